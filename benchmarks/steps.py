"""One step of a synthesis: against the published step, and against the network alone."""

import torch

import audiometamer as am
from audiometamer.metamers.benchmark import STEPS, medians, step_of, time_step
from benchmarks.front_end import sounds
from benchmarks.measuring import table
from benchmarks.published import RATE, PublishedCochleagram, published_step

FULL_SIZE = {
    "CochCNN9": ("relu0", "relu2", "relu4", "relufc"),
    "CochResNet50": ("layer2", "layer4"),
}


def full_size(name: str) -> am.Model:
    """A published network with random weights; times do not depend on them."""
    torch.manual_seed(0)
    network = getattr(am.networks, name)().eval().requires_grad_(False)
    return am.Model(network, front_end=am.Cochleagram(), sample_rate=RATE, duration=2.0, name=name, check=False)


def against_published(repeats: int) -> str:
    """One clip, full-size networks."""
    rows: list[tuple[object, ...]] = [("network", "layer", "published (ms)", "default (ms)", "ratio")]
    sound = sounds(2 * RATE)["voice"][None]
    start = sounds(2 * RATE)["noise"][None]
    ears = PublishedCochleagram(2 * RATE)
    for name, layers in FULL_SIZE.items():
        model = full_size(name)
        for layer in layers:
            target = am.record(model, sound, layer)
            path = model.tap(layer).path.removeprefix("network.")
            a, b = medians(
                [
                    lambda: published_step(ears, model.network, path, target, start, 1.0),  # noqa: B023 (called at once)
                    step_of(model, layer, start),
                ],
                repeats=repeats,
            )
            rows.append((name, layer, f"{1000 * a:.0f}", f"{1000 * b / STEPS:.1f}", f"{a / b * STEPS:.1f}"))
    return table(*rows)


def overhead(repeats: int) -> str:
    """A step against the network alone, without its front end, on the same batch."""
    rows: list[tuple[object, ...]] = [("network", "sounds", "layer", "network alone (ms)", "step (ms)", "ratio")]
    for model, n_sounds in (
        (am.load_model("cochcnn-word"), 8),
        (am.load_model("cochresnet-word"), 8),
        (full_size("CochCNN9"), 1),
        (full_size("CochCNN9"), 8),
        (full_size("CochResNet50"), 1),
    ):
        for layer in FULL_SIZE[type(model.network).__name__]:
            t = time_step(model, layer, batch_size=n_sounds, repeats=repeats)
            ratio = f"{t.step / t.network:.2f}"
            rows.append((model.name, n_sounds, layer, f"{1000 * t.network:.1f}", f"{1000 * t.step:.1f}", ratio))
    return table(*rows)
