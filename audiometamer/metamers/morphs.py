"""Morphs of textures: the weighted mean of the statistics of several sounds, as a target."""

import math
import os
from pathlib import Path

import msgspec
import torch

from audiometamer.errors import AudioMetamerError
from audiometamer.io.toml_files import read_toml
from audiometamer.io.toml_problems import Problem
from audiometamer.metamers.targets import GivenTarget, as_input
from audiometamer.models.model import Model


class Morph(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of ``texture_morph.toml``: weights by sound.

    Parameters
    ----------
    weights : dict of str to float
        Weight of each sound, by its path relative to the file; they are divided by their sum.
    """

    weights: dict[str, float]

    def problems(self) -> list[Problem]:
        """Problems with the weights."""
        wrong = [
            Problem("weights", f"{sound} has weight {weight}; it must be a number of 0 or more")
            for sound, weight in self.weights.items()
            if not 0 <= weight < math.inf
        ]
        if not wrong and not sum(self.weights.values()) > 0:
            wrong = [Problem("weights", "must hold a sound with a weight above 0")]
        return wrong


def read_morph(path: str | os.PathLike[str], model: Model) -> GivenTarget:
    """The target of a morph: statistics are averaged, not waveforms (McDermott & Simoncelli 2011).

    No sound need exist that has such statistics: the verdict says how near one came.

    Parameters
    ----------
    path : path
        A TOML file, see `Morph`.
    model : Model
        A model of texture statistics.

    Raises
    ------
    AudioMetamerError
        If the file cannot be read or is wrong, the model has no statistics, or sounds differ in length.
    """
    path = Path(path)
    measure = getattr(model.network, "targets", None)
    if measure is None:
        raise AudioMetamerError(f"{path} is a morph of statistics, and {model.name} has none: use --model texture:toolbox")
    morph = read_toml(path, Morph, Morph.problems)
    clips = {name: model.read_clip(path.parent / name) for name in morph.weights}
    lengths = {name: clip.source.duration for name, clip in clips.items() if clip.source is not None and clip.source.duration}
    if lengths and max(lengths.values()) - min(lengths.values()) > 0.001:
        shown = ", ".join(f"{name} {seconds:g} s" for name, seconds in lengths.items())
        raise AudioMetamerError(f"{path}: sounds of a morph must have equal length, and these have {shown}")
    shares = torch.tensor(list(morph.weights.values()), dtype=torch.float64)
    shares = shares / shares.sum()
    with torch.no_grad():
        found = measure(torch.stack([model.clamp(as_input(model, clip)) for clip in clips.values()]))
    averaged = {layer: torch.einsum("s,s...->...", shares.to(values), values).cpu() for layer, values in found.items()}
    listed = ", ".join(f"{name} {share:.3g}" for name, share in zip(clips, shares.tolist(), strict=True))
    return GivenTarget(path.stem, averaged, (f"morph of statistics: {listed}",))
