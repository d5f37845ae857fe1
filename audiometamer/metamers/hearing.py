"""How probable a network finds its label for a sound, and whether the sound can hold anything that the network knows."""

import functools
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.signal import welch
from torch import Tensor

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, pluralize
from audiometamer.io.resources import zoo_folder
from audiometamer.io.tables import read_table
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip

LOW_PROBABILITY = 0.9
"""A label with a lower probability is doubtful, for models whose card has no limit of its own.

Chosen with 40 test words and 40 sentences of running speech in two networks of sixteen words: 39 of 40 words reach it in each,
and 11 and 10 of 40 sentences. So about a quarter of running speech goes unnoticed.
"""

_SHOWN = 3  # labels in a notice
BAND_HZ, EMPTY_DB = 4000.0, -60.0
"""A clip is empty above 4 kHz if at most this share of its power lies there.

Chosen between 120 recordings made at 8 kHz, all below -90 dB, and 120 made at 16 kHz, all above -50 dB.
"""
_LEAST_RATE = 10_000  # Hz; a model of a lower rate hears too little above 4 kHz
_FRAME = 1024


def probabilities(model: Model, logits: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """Probability of the most likely label of each signal, by task, for tasks whose labels have names.

    Parameters
    ----------
    model : Model
    logits : mapping of str to Tensor [shape=(batch, classes)]
        Turned into probabilities by the softmax, or by the sigmoid where a sound can have several labels, unless they are
        probabilities already. Classes that share a label, as in a coarser grouping, add up to its probability.

    Returns
    -------
    dict of str to list of float
    """
    named = model.named_labels()
    found = {}
    for task, values in logits.items():
        if task in named:
            by_label, label = _by_label(model, task, values)
            found[task] = by_label.gather(1, label[values.argmax(1)][:, None])[:, 0].tolist()
    return found


def likeliest_labels(model: Model, logits: Mapping[str, Tensor]) -> dict[str, list[tuple[str, float]]]:
    """The three most probable labels of one signal, by task, with their probabilities; see `probabilities`.

    Parameters
    ----------
    model : Model
    logits : mapping of str to Tensor [shape=(1, classes)]
    """
    found = {}
    for task, names in model.named_labels().items():
        if task in logits:
            by_label, _ = _by_label(model, task, logits[task])
            values, places = by_label[0].topk(min(_SHOWN, len(set(names))))
            found[task] = [(names[int(place)], float(value)) for value, place in zip(values, places, strict=True)]
    return found


def _by_label(model: Model, task: str, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities [shape=(batch, classes)], those of a label all in its first class; that class of each [shape=(classes,)]."""
    logits, names = logits.double(), model.named_labels()[task]
    label = torch.tensor([names.index(name) for name in names], device=logits.device)
    if model.card is not None and task in model.card.multi_label:
        return logits.sigmoid(), torch.arange(len(names), device=logits.device)
    ones = torch.ones(len(logits), dtype=logits.dtype, device=logits.device)
    is_distribution = bool((logits >= 0).all()) and torch.allclose(logits.sum(1), ones, atol=1e-4)
    by_class = logits if is_distribution else logits.softmax(1)
    return torch.zeros_like(by_class).index_add_(1, label, by_class), label


def compare_labels(model: Model, clip: Clip, logits: Mapping[str, Tensor]) -> tuple[dict[str, tuple[float, float]], list[str]]:
    """Probabilities of the labels of a clip and its metamer by task, from their logits; and the `notices` about the clip."""
    found = {task: (natural, synthetic) for task, (natural, synthetic) in probabilities(model, logits).items()}
    return found, notices(model, clip, {task: values[:1] for task, values in logits.items()})


def vocabulary(model: Model) -> dict[str, list[str]]:
    """Labels that a network chooses from, by task, each once."""
    return {task: list(dict.fromkeys(names)) for task, names in model.named_labels().items()}


def doubtful(model: Model, logits: Mapping[str, Tensor]) -> dict[str, list[bool]]:
    """Whether the label of each signal is doubtful, by task, for tasks of which the model's card says when.

    Parameters
    ----------
    model : Model
    logits : mapping of str to Tensor [shape=(batch, classes)]
    """
    limits = {} if model.card is None else model.card.doubt
    found = probabilities(model, {task: values for task, values in logits.items() if task in limits})
    return {task: [probability < limits[task].below for probability in values] for task, values in found.items()}


def notices(model: Model, clip: Clip, logits: Mapping[str, Tensor]) -> list[str]:
    """Reasons to doubt that a clip holds anything that the network knows.

    Parameters
    ----------
    model : Model
    clip : Clip
    logits : mapping of str to Tensor [shape=(1, classes)]
        The network's answer to the clip, by task.

    Returns
    -------
    list of str
        Empty if there are none.
    """
    found = likeliest_labels(model, logits)
    stated = _as_labelled(model, stated_labels(clip)) if found else {}
    doubts = [doubt for task, labels in found.items() if (doubt := _doubt(model, clip, task, labels, stated.get(task)))]
    share = share_above(clip, BAND_HZ) if (model.sample_rate or 0) >= _LEAST_RATE else math.inf
    if share < EMPTY_DB:
        doubts.append(
            f"{clip.name}: no sound above {BAND_HZ / 1000:g} kHz ({share:.0f} dB of its power), though {model.name} takes "
            f"{model.sample_rate} Hz: a telephone, or a recording at 8 kHz?"
        )
    return doubts


def _doubt(model: Model, clip: Clip, task: str, found: Sequence[tuple[str, float]], stated: str | None) -> str | None:
    """What is to be said of the labels that a model finds for a clip, the likeliest first, if they are doubtful."""
    known, (label, probability) = vocabulary(model)[task], found[0]
    names = f"none of the {pluralize(len(known), task)} that {model.name} knows"
    shown = ", ".join(f"{name} {value:.3f}" for name, value in found)
    where = f"; `audiometamer models {_listed_as(model)}` lists them" if model.folder is not None else ""
    if stated is not None:
        if stated not in known:
            return (
                f"{clip.name}: its {task}, {stated} by the clips.csv beside it, is {names}; likeliest among them: {shown}{where}"
            )
        mistaken = f"{clip.name}: {model.name} takes its {task}, {stated} by the clips.csv beside it, for another: {shown}"
        return mistaken if stated != label else None
    measured = None if model.card is None else model.card.doubt.get(task)
    if measured is None:
        perhaps = f"{clip.name}: perhaps {names}; likeliest among them: {shown}, below {LOW_PROBABILITY}{where}"
        return perhaps if probability < LOW_PROBABILITY else None
    usual = f"95 % of the clips that it labels correctly reach {measured.below:.3f}"
    doubt = f"{clip.name}: probably {names}; likeliest among them: {shown}; {usual}{where}"
    return doubt if probability < measured.below else None


def _as_labelled(model: Model, stated: Mapping[str, str]) -> dict[str, str]:
    """Stated labels of the tasks that take one, in the groups they belong to if the labels of the model's card are grouped."""
    if model.card is None:
        return dict(stated)
    own, named = model.card.labels, model.named_labels()
    return {
        task: named[task][own[task].index(label)] if task in named and label in own.get(task, ()) else label
        for task, label in stated.items()
        if task not in model.card.multi_label
    }


def _listed_as(model: Model) -> str:
    """The name by which the command line finds the card of a model that was loaded from a folder."""
    assert model.folder is not None
    return model.folder.name if model.folder.parent == zoo_folder() else str(model.folder)


def stated_labels(clip: Clip) -> dict[str, str]:
    """Labels of a clip by task, as a ``clips.csv`` beside its recording states them; empty if there is none that does.

    Its column ``path`` holds the names of files; the others are tasks, or anything else.
    """
    if clip.source is None:
        return {}
    path = Path(clip.source.path)
    table = path.parent / "clips.csv"
    return _rows(table, table.stat().st_mtime_ns).get(path.name, {}) if table.is_file() else {}


@functools.lru_cache(maxsize=4)
def _rows(table: Path, _changed: int) -> dict[str, dict[str, str]]:
    """The rows of a ``clips.csv`` by file, without empty cells; none if it is a table of something else."""
    try:
        rows = read_table(table, required=["path"], short_rows=True)
    except AudioMetamerError:
        return {}
    return {row["path"]: {column: cell.strip() for column, cell in row.items() if cell.strip()} for row in rows}


def warn_of_doubts(model: Model, clip: Clip) -> None:
    """Let a model hear a clip, and warn of the `notices`.

    Warns
    -----
    AudioMetamerWarning
        If the clip may hold nothing that the model knows.
    """
    signal = clip.samples.to(dtype=model.dtype, device=model.device).view(1, *model.signal_shape)
    with torch.no_grad():
        logits = model.logits(model(signal))
    for doubt in notices(model, clip, logits):
        warnings.warn(doubt, AudioMetamerWarning, stacklevel=3)


def share_above(clip: Clip, frequency: float) -> float:
    """Share of a sound's power above a frequency in Hz, in dB: 10·log10(P_above / P).

    By Welch's method, in Hann windows of 1024 samples, between the first and the last sample that are not zero: the silence that
    pads a short clip, and the edge to it, are not part of the recording.
    """
    samples = clip.samples.double().flatten().numpy()
    sounding = np.flatnonzero(samples)
    if not len(sounding):
        return math.inf
    recording = samples[sounding[0] : sounding[-1] + 1]
    frequencies, power = welch(recording, clip.sample_rate or 1, nperseg=min(_FRAME, len(recording)))
    total = power.sum()
    return 10 * math.log10(max(power[frequencies > frequency].sum(), np.finfo(float).tiny) / total) if total else math.inf
