"""The metamers of several folders, and their sounds as a model takes them."""

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.io.hashes import file_sha256
from audiometamer.io.paths import real_path
from audiometamer.io.tables import read_table
from audiometamer.metamers.integrity import check_integrity
from audiometamer.metamers.results import Result, read_results
from audiometamer.models.model import Model
from audiometamer.signals.audio import pad_or_crop
from audiometamer.signals.files import read_signal
from audiometamer.signals.resampling import resample

_ROUNDING = 1e-4  # relative; a smaller difference from the model's level is rounding


@dataclass(frozen=True)
class NaturalClip:
    """A clip as a generating model received it.

    Parameters
    ----------
    clip : str
    path : path
        File of its samples.
    sample_rate : int or None
        In Hz; None if the clip is not a sound.
    shape : tuple of int
    """

    clip: str
    path: Path
    sample_rate: int | None
    shape: tuple[int, ...]

    def read(self) -> Tensor:
        """Samples of the clip, [shape=shape]."""
        return read_signal(self.path)


@dataclass(frozen=True)
class CollectedMetamer:
    """A metamer on disk, with the part of its record that is used here.

    Parameters
    ----------
    path : path
    natural : int
        Index of its clip in the collection's `naturals`.
    clip, generator, layer : str
    seed : int
    passed : bool or None
    labels : dict of str to str
        Labels that its model gave the clip, by task.
    similarity : dict of str to dict of str to float
        Layer to metric to value; an infinite SNR is None.
    """

    path: Path
    natural: int
    clip: str
    generator: str
    layer: str
    seed: int
    passed: bool | None
    labels: dict[str, str]
    similarity: dict[str, dict[str, float | None]]

    def read(self) -> Tensor:
        """Samples of the metamer, in the shape of the clip's."""
        return read_signal(self.path)


@dataclass
class Collection:
    """Metamers and their clips, each clip once even if several models received it.

    Parameters
    ----------
    naturals : list of NaturalClip
    metamers : list of CollectedMetamer
    weights : dict of str to str
        SHA-256 of the weights of each generating model.
    layers : dict of str to list of str
        Matched layers of each generating model, in the order of the model.
    """

    naturals: list[NaturalClip] = field(default_factory=list)
    metamers: list[CollectedMetamer] = field(default_factory=list)
    weights: dict[str, str] = field(default_factory=dict)
    layers: dict[str, list[str]] = field(default_factory=dict)

    @property
    def clips(self) -> list[str]:
        """Names of the clips, each once."""
        return list(dict.fromkeys(natural.clip for natural in self.naturals))

    def naturals_of(self, generator: str) -> list[int]:
        """Indices of the clips that a model made metamers of."""
        return sorted({metamer.natural for metamer in self.metamers if metamer.generator == generator})

    def labels_by(self, generator: str) -> dict[tuple[str, str], str]:
        """The labels that a generating model gave the clips, by clip and task."""
        own = (metamer for metamer in self.metamers if metamer.generator == generator)
        return {(metamer.clip, task): label for metamer in own for task, label in metamer.labels.items()}


def read_collection(folders: Iterable[Path], *, only_passed: bool = False, selection: Path | None = None) -> Collection:
    """Read the metamers that `audiometamer synth` or `audiometamer run` has written into folders.

    Parameters
    ----------
    folders : iterable of path
    only_passed : bool
        Whether to leave out metamers that did not pass their verdict. Default False.
    selection : path, optional
        Table with the column ``file``, as `audiometamer stimuli select` writes it; other metamers are left out. Default: all.

    Raises
    ------
    AudioMetamerError
        If a folder holds no metamers, or one of their files is missing or does not match its record; if two metamers have the
        same clip, model, layer and seed; if models of the same name had different weights; if different sounds have the same
        clip name.
    """
    collection, seen = Collection(), dict[tuple[str, str, str, int], Path]()
    file_hash = cache(file_sha256)
    naturals: dict[tuple[str, str], int] = {}  # by clip and SHA-256
    models_layers: dict[str, list[str]] = {}
    chosen = None if selection is None else {row["file"] for row in read_table(selection, required=["file"])}
    folders = list(dict.fromkeys(real_path(folder) for folder in folders))
    for result in (result for folder in folders for result in read_results(folder)):
        if chosen is not None and result.file not in chosen:
            continue
        path, evidence = result.path, result.evidence
        if not result.has_clip:
            warnings.warn(f"{path} matches given activations, not a clip; it is left out", AudioMetamerWarning, stacklevel=2)
            continue
        for needed in (path, result.folder / result.original):
            if not needed.is_file():
                raise AudioMetamerError(f"{needed} does not exist, but {result.folder / result.record} does")
        check_integrity(result, file_hash)
        settings = evidence.settings
        place = (settings.clip, settings.model, settings.layer, result.seed)
        if (before := seen.setdefault(place, path)) != path:
            remedy = "name one of them in a --selection (audiometamer stimuli select), or evaluate their folders separately"
            raise AudioMetamerError(f"{before} and {path} are both the metamer of {place}; {remedy}")
        if collection.weights.setdefault(settings.model, settings.weights_sha256) != settings.weights_sha256:
            raise AudioMetamerError(f"{path} was made with other weights of {settings.model} than the metamers before it")
        if only_passed and result.passed is not True:
            continue
        natural = (settings.clip, settings.clip_sha256)
        if natural not in naturals:
            naturals[natural] = len(collection.naturals)
            _add_natural(collection, result)
        models_layers.setdefault(settings.model, list(evidence.similarity))
        labels = {task: clip for task, (clip, _) in evidence.verdict.labels.items()}
        collection.metamers.append(CollectedMetamer(path, naturals[natural], *place, result.passed, labels, evidence.similarity))
    if not collection.metamers:
        passed = " that passed its verdict" if only_passed else ""
        wanted = "" if selection is None else f" that {selection} names"
        where = ", ".join(map(str, folders))
        raise AudioMetamerError(f"there is no metamer of a clip{passed}{wanted} in {where}: nothing to evaluate")
    for model in models_layers:
        matched = dict.fromkeys(metamer.layer for metamer in collection.metamers if metamer.generator == model)
        collection.layers[model] = [layer for layer in dict.fromkeys([*models_layers[model], *matched]) if layer in matched]
    return collection


def _add_natural(collection: Collection, result: Result) -> None:
    path, evidence = result.folder / result.original, result.evidence
    samples = read_signal(path)
    natural = NaturalClip(evidence.settings.clip, path, evidence.sample_rate, tuple(samples.shape))
    for other in collection.naturals:
        if (other.clip, other.sample_rate, other.shape) == (natural.clip, natural.sample_rate, natural.shape):
            a, b = other.read().double(), samples.double()
            if not torch.allclose(a / a.norm(), b / b.norm(), atol=1e-5):
                raise AudioMetamerError(f"the clip {natural.clip!r} of {path} differs from that of {other.path}; rename one")
    collection.naturals.append(natural)


def check_presentable(model: Model, naturals: Sequence[NaturalClip]) -> list[str]:
    """Check that a model can take the clips; return one line for each change that they need.

    Raises
    ------
    AudioMetamerError
        If a clip is longer than the model's input (nothing is cut), or the model takes signals of another kind or shape.
    """
    notes = {}
    for natural in naturals:
        if (model.sample_rate is None) != (natural.sample_rate is None):
            kinds = ("signals other than sounds", "sounds")
            raise AudioMetamerError(
                f"{model.name} takes {kinds[model.sample_rate is not None]}, and {natural.path} is one of "
                f"{kinds[natural.sample_rate is not None]}"
            )
        if natural.sample_rate is None or model.sample_rate is None:
            if natural.shape != model.signal_shape:
                raise AudioMetamerError(
                    f"{model.name} takes signals of shape {model.signal_shape}; {natural.path}: {natural.shape}"
                )
            continue
        if (channels := math.prod(natural.shape[:-1])) != model.channels:
            raise AudioMetamerError(
                f"{model.name} takes sounds of {model.channels} channel(s), and {natural.path} has {channels}: leave either out"
            )
        has, takes = natural.shape[-1] / natural.sample_rate, model.signal_shape[-1] / model.sample_rate
        one_sample = 1 / min(natural.sample_rate, model.sample_rate)
        if has > takes + 1.5 * one_sample:
            raise AudioMetamerError(
                f"{model.name} takes {takes:g} s and {natural.path} lasts {has:g} s; nothing is cut: leave the model out, or "
                "make metamers of shorter clips"
            )
        if has < takes - 1.5 * one_sample:
            notes[f"{model.name}: sounds of {has:g} s are padded with equal silence before and after to {takes:g} s"] = True
    return list(notes)


def fit_to_model(model: Model, samples: Tensor, sample_rate: int | None) -> Tensor:
    """Fit a sound to a model's input, except for its level: resample it, and pad it with silence if it is short.

    Parameters
    ----------
    model : Model
    samples : Tensor
    sample_rate : int or None
        In Hz; None if the signal is not a sound, which is only reshaped.

    Returns
    -------
    Tensor [shape=signal_shape]
    """
    if sample_rate is None or model.sample_rate is None:
        return samples.reshape(model.signal_shape)
    channels = samples.reshape(model.channels, -1)
    fitted = pad_or_crop(resample(np.asarray(channels, dtype=np.float32), sample_rate, model.sample_rate), model.signal_shape[-1])
    return torch.from_numpy(np.ascontiguousarray(fitted)).reshape(model.signal_shape)


def gain_for(model: Model, natural: Tensor) -> float:
    """Gain that brings a fitted clip to a model's level, also applied to its metamers; 1 if the model has no level."""
    rms = float(natural.double().square().mean().sqrt())
    if model.level is None or model.sample_rate is None or rms == 0:
        return 1.0
    gain = model.level / rms
    return gain if abs(gain - 1) > _ROUNDING else 1.0
