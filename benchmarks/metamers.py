"""A whole metamer: what 240 steps reach, a hundredth of the published number, and in which share of the published time."""

import time

import torch

import audiometamer as am
from audiometamer.matching.domains import Waveform
from audiometamer.metamers.benchmark import forward_to, medians
from audiometamer.metamers.methods import load_method
from benchmarks.batches import clips
from benchmarks.measuring import table
from benchmarks.published import RATE, PublishedCochleagram, published_step

STEPS, PUBLISHED_STEPS = 240, 24_000


def in_a_hundredth_of_the_steps() -> str:
    """One shipped word at every layer: 240 steps of the default optimiser, on the plain loss, against the published number.

    The published time is its number of steps times a step's.
    """
    model, clip = am.load_model("cochcnn-word"), clips()[0]
    ears = PublishedCochleagram(2 * RATE)
    rows: list[tuple[object, ...]] = [("layer", "SNR after 240 steps (dB)", "ours (s)", "published (h)", "ratio")]
    for layer in model.layers:
        target = am.record(model, clip.samples[None], layer)
        forward = forward_to(model, layer)
        began = time.perf_counter()
        found = am.match(
            forward,
            target,
            Waveform().start(model.signal_shape, seeds=[0], dtype=torch.float32, device="cpu"),
            domain=Waveform(),
            optimizer=load_method("default").attempts[0].optimizer(STEPS),
            steps=STEPS,
        )
        ours = time.perf_counter() - began
        snr = am.similarity(target, am.record(model, found.signals, layer))["snr_db"]
        path = model.tap(layer).path.removeprefix("network.")
        if path == "front_end":
            rows.append((layer, f"{snr:.1f}", f"{ours:.1f}", "", ""))
            continue
        (step,) = medians(
            [lambda: published_step(ears, model.network, path, target, found.signals, 1.0)],  # noqa: B023 (called at once)
            repeats=3,
        )
        published = step * PUBLISHED_STEPS
        rows.append((layer, f"{snr:.1f}", f"{ours:.1f}", f"{published / 3600:.1f}", f"{published / ours:.0f}"))
    return table(*rows)
