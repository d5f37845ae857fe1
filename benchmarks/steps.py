"""One step of a synthesis: against the published step, and against the network alone."""

import torch
from torch import Tensor, nn

import audiometamer as am
from audiometamer.activations import Tap, record_taps
from audiometamer.domains import Waveform
from audiometamer.folding import folded
from audiometamer.matching import Halving, Match, NormalizedDescent
from audiometamer.straight_through import straight_through_relu
from benchmarks.front_end import sounds
from benchmarks.measuring import Work, medians, table
from benchmarks.published import RATE, PublishedCochleagram, published_step

_STEPS = 5  # of which the first is dearer
FULL_SIZE = {
    "CochCNN9": ("relu0", "relu2", "relu4", "relufc"),
    "CochResNet50": ("layer2", "layer4"),
}


def full_size(name: str) -> am.Model:
    """A published network with random weights; times do not depend on them."""
    torch.manual_seed(0)
    network = getattr(am.networks, name)().eval().requires_grad_(False)
    return am.Model(network, front_end=am.Cochleagram(), sample_rate=RATE, duration=2.0, name=name, check=False)


def step_of(model: am.Model, layer: str, target: Tensor, start: Tensor) -> Work:
    """Steps of our synthesis, as the default method takes them."""
    twin = folded(model, layer)
    tap = {layer: twin.tap(layer)}

    def steps() -> Match:
        return am.match(
            lambda signals: record_taps(twin, lambda: twin(signals), tap, relus={tap[layer]: straight_through_relu})[layer],
            target, start, domain=Waveform(), optimizer=NormalizedDescent(Halving(), momentum=0.9), steps=_STEPS,
        )  # fmt: skip

    return steps


def network_alone(network: nn.Module, path: str, heard: Tensor) -> None:
    """The network's own forward pass to a layer, and back to its input: no step can be faster."""
    heard = heard.detach().requires_grad_()
    activation = record_taps(network, lambda: network(heard), {"layer": Tap(path)})["layer"]
    torch.autograd.grad(activation.square().sum(), heard)


def against_published(repeats: int) -> str:
    """One clip, full-size networks."""
    rows: list[tuple[object, ...]] = [("network", "layer", "published (ms)", "default (ms)", "ratio")]
    sound = sounds(2 * RATE)["voice"][None]
    start = sounds(2 * RATE)["noise"][None]
    ears = PublishedCochleagram(2 * RATE)
    for name, layers in FULL_SIZE.items():
        model = full_size(name)
        for layer in layers:
            target = am.record(model, sound, layer)[layer]
            path = model.tap(layer).path.removeprefix("network.")
            a, b = medians(
                [
                    lambda: published_step(ears, model.network, path, target, start, 1.0),  # noqa: B023 (called at once)
                    step_of(model, layer, target, start),
                ],
                repeats=repeats,
            )
            rows.append((name, layer, f"{1000 * a:.0f}", f"{1000 * b / _STEPS:.1f}", f"{a / b * _STEPS:.1f}"))
    return table(*rows)


def overhead(repeats: int) -> str:
    """A step against the network alone, without its front end, on the same batch."""
    rows: list[tuple[object, ...]] = [("network", "sounds", "layer", "network alone (ms)", "step (ms)", "ratio")]
    for model, n_sounds in ((am.load_model("cochcnn-word"), 8), (full_size("CochCNN9"), 1), (full_size("CochCNN9"), 8)):
        batch = sounds(2 * RATE)["noise"].repeat(n_sounds, 1)
        with torch.no_grad():
            heard = model.front_end(batch)
        for layer in ("relu0", "relu2", "relu4", "relufc"):
            target = am.record(model, batch, layer)[layer]
            path = model.tap(layer).path.removeprefix("network.")
            a, b = medians(
                [lambda: network_alone(model.network, path, heard), step_of(model, layer, target, batch)],  # noqa: B023 (called at once)
                repeats=repeats,
            )
            rows.append((model.name, n_sounds, layer, f"{1000 * a:.1f}", f"{1000 * b / _STEPS:.1f}", f"{b / a / _STEPS:.2f}"))
    return table(*rows)
