"""Proportion correct at every condition: of each listener, of networks on the same sounds, and means with intervals."""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError
from audiometamer.io.reading import JSON_ERRORS, read_file_bytes
from audiometamer.listening.tables import TrialRow
from audiometamer.listening.trials import KeyEntry
from audiometamer.models.inputs import NATURAL
from audiometamer.statistics.intervals import ListenerMeans, mean_over_listeners

ObserverKind = Literal["human", "network"]
NetworkRecognition = Mapping[tuple[str, str], bool]  # whether a model recognises a stimulus
IntArray = NDArray[np.intp]


class ModelLayer(NamedTuple):
    """A layer of a model; layer ``natural``: the clips themselves, which several models may share."""

    model: str
    layer: str


@dataclass(frozen=True)
class CorrectCounts:
    """Numbers of correct and of all trials of each listener at each condition.

    Parameters
    ----------
    listeners : list of str
    conditions : list of Condition
    correct, total : array of int [shape=(listeners, conditions)]
        Correct trials, and all trials.
    """

    listeners: list[str]
    conditions: list[ModelLayer]
    correct: IntArray
    total: IntArray

    @property
    def proportions(self) -> NDArray[np.float64]:
        """Proportion correct; NaN where a listener had no trial; shape=(listeners, conditions)."""
        return np.divide(self.correct, self.total, out=np.full(self.total.shape, np.nan), where=self.total > 0)


class RecognitionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``recognition.tsv``: an observer at a condition.

    Parameters
    ----------
    model, layer : str
    observer : str
        ``human``; or ``network``: the network `model` on the sounds that the listeners heard.
    value, low, high : float or None
        Mean over listeners of the proportion correct, and its 95 % interval.
    listeners : int
        Number of listeners behind the value.
    trials : int or None
        Number of their trials; None: not known.
    missing : int
        Number of trials without a metamer, in which the natural clip was played.
    note : str
        Why there is no value, or no interval; else empty.
    source : str
        Of listeners of another experiment: where they come from; else empty.
    """

    model: str
    layer: str
    observer: ObserverKind
    value: float | None
    low: float | None
    high: float | None
    listeners: int
    trials: int | None
    missing: int
    note: str = ""
    source: str = ""


def conditions_of(trials: Iterable[TrialRow], layers: Mapping[str, Sequence[str]] | None = None) -> list[ModelLayer]:
    """The conditions of trials, sorted by model, natural first.

    Parameters
    ----------
    trials : iterable of Trial
        Natural clips that name no model are a condition of every model.
    layers : mapping of str to sequence of str, optional
        Order of the layers of each model. Default: order of first occurrence.

    Raises
    ------
    AudioMetamerError
        If there is no metamer, or a layer has no place in `layers`.
    """
    found: dict[str, dict[str, None]] = {}
    natural = set()
    for trial in trials:
        if trial.layer == NATURAL:
            natural.add(trial.model)
        else:
            found.setdefault(trial.model, {})[trial.layer] = None
    if not found:
        raise AudioMetamerError("there are no trials with metamers to analyse")
    conditions = []
    for model, met in sorted(found.items()):
        order = list((layers or {}).get(model, met))
        if unknown := [layer for layer in met if layer not in order]:
            raise AudioMetamerError(f"trials of {model} are at {', '.join(unknown)}; its layers are given as {', '.join(order)}")
        names = [NATURAL] * bool(natural & {model, ""}) + [layer for layer in order if layer in met]
        conditions += [ModelLayer(model, layer) for layer in names]
    return conditions


def listener_counts(trials: Sequence[TrialRow], conditions: Sequence[ModelLayer]) -> CorrectCounts:
    """Count the correct answers of listeners."""
    return _counts(trials, conditions, lambda trial, _: trial.correct)


def network_counts(
    trials: Sequence[TrialRow], conditions: Sequence[ModelLayer], recognised: NetworkRecognition | None = None
) -> CorrectCounts:
    """Count what networks recognise of the sounds that each listener heard, each network at its own conditions.

    Parameters
    ----------
    trials : sequence of Trial
        `TrialRow.network_correct` refers to the trial's own model; if there is a single model, for natural clips too.
    conditions : sequence of Condition
    recognised : mapping, optional
        Whether a model recognises a stimulus, where the trials do not say: natural clips that several models share.
    """
    is_single = len(_models(conditions)) == 1

    def judge(trial: TrialRow, model: str) -> bool | None:
        stated = trial.network_correct if is_single or trial.model == model else None
        return (recognised or {}).get((model, trial.stimulus)) if stated is None else stated

    return _counts(trials, conditions, judge)


def _counts(
    trials: Sequence[TrialRow], conditions: Sequence[ModelLayer], judge: Callable[[TrialRow, str], bool | None]
) -> CorrectCounts:
    """Count correct trials by a judge of each trial and model, which returns None where it does not know."""
    listeners = list(dict.fromkeys(trial.listener for trial in trials))
    rows, columns = ({name: k for k, name in enumerate(names)} for names in (listeners, conditions))
    counts = np.zeros((2, len(listeners), len(conditions)), np.intp)
    for trial in trials:
        for model in [trial.model] if trial.model else _models(conditions):
            column = columns.get(ModelLayer(model, trial.layer))
            correct = judge(trial, model)
            if column is not None and correct is not None:
                counts[:, rows[trial.listener], column] += correct, 1
    return CorrectCounts(listeners, list(conditions), *counts)


def recognition_rows(
    counts: Mapping[ObserverKind, CorrectCounts], missing: Mapping[ModelLayer, int], *, resamples: int = 10_000, seed: int = 0
) -> list[RecognitionRow]:
    """A row for each condition and observer, with intervals over listeners."""
    rows = []
    for observer, own in counts.items():
        means = mean_over_listeners(own.proportions, resamples=resamples, seed=seed)
        for k, condition in enumerate(own.conditions):
            trials, absent = int(own.total[:, k].sum()), missing.get(condition, 0)
            rows.append(row_of_means(means, k, **condition._asdict(), observer=observer, trials=trials, missing=absent))
    return rows


def row_of_means(
    means: ListenerMeans, k: int, *, model: str, layer: str, observer: ObserverKind, trials: int | None, missing: int = 0,
    source: str = "",
) -> RecognitionRow:  # fmt: skip
    """The row of condition number `k` of means over listeners; see `RecognitionRow` for the other parameters."""
    value, low, high = (_known(array[k]) for array in (means.value, means.low, means.high))
    listeners = int(means.listeners[k])
    return RecognitionRow(
        model=model, layer=layer, observer=observer, value=value, low=low, high=high, listeners=listeners, trials=trials,
        missing=missing, note=_note(listeners, has_interval=low is not None), source=source,
    )  # fmt: skip


def _note(listeners: int, *, has_interval: bool) -> str:
    if not listeners:
        return "no trials"
    if has_interval:
        return ""
    return "no interval: a single listener" if listeners == 1 else "no interval: all alike"


class KeyedSound(msgspec.Struct):
    """The part of a sound's entry in ``key.json`` that says what models recognise."""

    word: str = ""
    speaker: str = ""
    recognised_by: dict[str, str] = {}


def read_recognised(path: Path, *, same: Callable[[str, str], bool] = operator.eq) -> dict[tuple[str, str], bool]:
    """Read what models recognise of the sounds of an experiment from its ``key.json``; see `recognised_in`.

    Raises
    ------
    AudioMetamerError
        If the file is not the key of an experiment.
    """
    try:
        key = msgspec.json.decode(read_file_bytes(path), type=dict[str, KeyedSound])
    except (OSError, *JSON_ERRORS) as error:
        raise AudioMetamerError(f"{path} is not the key of an experiment: {error}") from error
    return recognised_in(key, same=same)


def recognised_in(
    key: Mapping[str, KeyedSound | KeyEntry], *, same: Callable[[str, str], bool] = operator.eq
) -> dict[tuple[str, str], bool]:
    """Whether each model recognises each stimulus: its label against the clip's word and speaker.

    Parameters
    ----------
    key : mapping
        Key of an experiment, by stimulus.
    same : callable
        Whether two answers count as the same. Default: equality.
    """
    return {
        (model, stimulus): same(label, sound.word) or same(label, sound.speaker)
        for stimulus, sound in key.items()
        for model, label in sound.recognised_by.items()
    }


def _models(conditions: Iterable[ModelLayer]) -> list[str]:
    return list(dict.fromkeys(condition.model for condition in conditions))


def _known(number: float) -> float | None:
    return None if np.isnan(number) else float(number)
