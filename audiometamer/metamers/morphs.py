"""Morphs, steps and gradients of textures: statistics of several sounds, averaged or one after the other, as a target."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.io.toml_files import error_context, read_toml
from audiometamer.io.toml_problems import Problem
from audiometamer.metamers.targets import GivenTarget, as_input
from audiometamer.models.model import Model
from audiometamer.networks.texture_network import TextureNetwork
from audiometamer.signals.audio import Clip


class Morph(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of ``texture_morph.toml``: weights by sound, in all of it or in each of several segments.

    Parameters
    ----------
    weights : dict of str to float
        Weight of each sound, by its path relative to the file; they are divided by their sum.
    segments : list of dict of str to float
        Such weights for each segment of a model with some, in their order.
    """

    weights: dict[str, float] = {}
    segments: list[dict[str, float]] = []

    @property
    def in_time(self) -> list[dict[str, float]]:
        """Weights by sound for each segment; of one segment if they are for the whole."""
        return self.segments or [self.weights]

    def problems(self) -> list[Problem]:
        """Problems with the weights."""
        if bool(self.weights) == bool(self.segments):
            return [Problem("weights", "give either [weights] or, for each segment, [[segments]]: weights by sound")]
        wrong = [
            Problem("weights", f"{sound} has weight {weight}; it must be a number of 0 or more")
            for weights in self.in_time
            for sound, weight in weights.items()
            if not 0 <= weight < math.inf
        ]
        if not wrong and not all(sum(weights.values()) > 0 for weights in self.in_time):
            wrong = [Problem("weights", "must hold a sound with a weight above 0")]
        return wrong


def read_morph(
    path: str | os.PathLike[str], model: Model, *, start: float | None = None, length: float | None = None
) -> GivenTarget:
    """The target of a file of weights; see `morph`.

    Parameters
    ----------
    path : path
        A TOML file, see `Morph`.
    model : Model
        A model of texture statistics.
    start, length : float, optional
        Part of every sound, in seconds; see `Model.read_clip`. Default: the whole.

    Raises
    ------
    AudioMetamerError
        If the file cannot be read or is wrong, or there is no such morph.
    """
    path = Path(path)
    _network_of(model)
    content = read_toml(path, Morph, Morph.problems)
    in_time = content.in_time
    clips = {
        name: model.read_clip(path.parent / name, start=start, length=length)
        for name in dict.fromkeys(name for each in in_time for name in each)
    }
    with error_context(path, "segments" if content.segments else "weights"):
        return morph([[(clips[name], weight) for name, weight in each.items()] for each in in_time], model, name=path.stem)


def morph(segments: Sequence[Sequence[tuple[Clip, float]]], model: Model, *, name: str = "morph") -> GivenTarget:
    """A target from the statistics of several sounds: they are averaged, not waveforms (McDermott & Simoncelli 2011).

    No sound need exist that has such statistics: the verdict says how near one came. A model with ``step_at=`` in its name
    takes weights for each segment; one with ``gradient=`` takes two or more, and statistics change linearly from one to the next.

    Parameters
    ----------
    segments : sequence of sequence of (Clip, float)
        Clips and their weights for each segment; they are divided by their sum. One segment for a model without any.
    model : Model
        A model of texture statistics.
    name : str
        Name of the folder of its metamers. Default "morph".

    Returns
    -------
    GivenTarget

    Raises
    ------
    AudioMetamerError
        If the model has no statistics, or other segments; if sounds differ in length.

    Examples
    --------
    >>> import audiometamer as am
    >>> model = am.load_model("texture:toolbox/step_at=3")
    >>> rain, fire = (am.Clip.from_array(am.make_texture(kind), 20_000, name=kind) for kind in ("rain", "fire"))
    >>> am.morph([[(rain, 1)], [(fire, 1)]], model, name="step").notices
    ('segments of statistics: rain 1; fire 1',)
    """
    network = _network_of(model)
    _check_lengths([clip for pairs in segments for clip, _ in pairs])
    with torch.no_grad():
        layers = network.as_layers(network.in_time([_averaged(pairs, model) for pairs in segments]))
    listed = "; ".join(", ".join(f"{clip.name} {share:.3g}" for clip, share in _shares(pairs)) for pairs in segments)
    kind = "morph" if len(segments) == 1 else "segments"
    return GivenTarget(name, {layer: values[0].cpu() for layer, values in layers.items()}, (f"{kind} of statistics: {listed}",))


def _averaged(pairs: Sequence[tuple[Clip, float]], model: Model) -> Mapping[str, Tensor]:
    """Weighted mean of the statistics of clips, by class [shape=(1, bands, ...)]."""
    clips, shares = zip(*_shares(pairs), strict=True)
    found = _network_of(model).of_whole(torch.stack([model.clamp(as_input(model, clip)) for clip in clips]))
    weights = torch.tensor(shares, dtype=torch.float64)
    return {name: torch.einsum("s,s...->...", weights.to(values), values)[None] for name, values in found.items()}


def _shares(pairs: Sequence[tuple[Clip, float]]) -> list[tuple[Clip, float]]:
    total = sum(weight for _, weight in pairs)
    return [(clip, weight / total) for clip, weight in pairs]


def _network_of(model: Model) -> TextureNetwork:
    if not isinstance(model.network, TextureNetwork):
        raise AudioMetamerError(f"a morph is one of statistics, and {model.name} has none: use --model texture:toolbox")
    return model.network


def _check_lengths(clips: Sequence[Clip]) -> None:
    lengths = {clip.name: clip.source.duration for clip in clips if clip.source is not None and clip.source.duration}
    if lengths and max(lengths.values()) - min(lengths.values()) > 0.001:
        shown = ", ".join(f"{name} {seconds:g} s" for name, seconds in lengths.items())
        raise AudioMetamerError(f"sounds of a morph must have equal length, and these have {shown}")
