"""Proportion correct at every condition: of each listener, of networks on the very same sounds, and of all with intervals."""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import JSON_ERRORS, read_file_bytes
from audiometamer.io.reading import read_file_bytes
from audiometamer.listening.tables import TrialRow
from audiometamer.metamers.record_files import JSON_ERRORS
from audiometamer.metamers.results import JSON_ERRORS
from audiometamer.models.inputs import NATURAL
from audiometamer.statistics.intervals import mean_over_listeners

Observer = Literal["human", "network"]
Recognised = Mapping[tuple[str, str], bool]  # whether a model recognises a stimulus
Numbers = NDArray[np.intp]


class Condition(NamedTuple):
    """A layer of a model; layer ``natural``: the clips themselves, which several models may share."""

    model: str
    layer: str


@dataclass(frozen=True)
class Scores:
    """What each listener got right at each condition.

    Parameters
    ----------
    listeners : list of str
    conditions : list of Condition
    right, of : array of int [shape=(listeners, conditions)]
        Trials that are right, and all.
    """

    listeners: list[str]
    conditions: list[Condition]
    right: Numbers
    of: Numbers

    @property
    def proportions(self) -> NDArray[np.float64]:
        """NaN where a listener had no trial; shape=(listeners, conditions)."""
        return np.divide(self.right, self.of, out=np.full(self.of.shape, np.nan), where=self.of > 0)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``recognition.tsv``: an observer at a condition.

    Parameters
    ----------
    model, layer : str
    observer : str
        ``human``; or ``network``, the one of `model`, which heard what the listeners heard.
    value, low, high : float or None
        Mean over listeners of the proportion correct, and its 95 % interval.
    listeners, trials : int
        How many the value is of.
    missing : int
        Trials in which there was no metamer, and the natural clip was played.
    note : str
        Why there is no value, or no interval; else empty.
    """

    model: str
    layer: str
    observer: Observer
    value: float | None
    low: float | None
    high: float | None
    listeners: int
    trials: int
    missing: int
    note: str = ""


def conditions_of(trials: Iterable[TrialRow], layers: Mapping[str, Sequence[str]] | None = None) -> list[Condition]:
    """The conditions of trials, by models' names, natural first.

    Parameters
    ----------
    trials : iterable of TrialRow
        Natural clips that name no model are a condition of every model.
    layers : mapping of str to sequence of str, optional
        By model, in which order its layers come. Default: as they are first met.

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
        raise AudioMetamerError("there are no trials with metamers to be analysed")
    conditions = []
    for model, met in sorted(found.items()):
        order = list((layers or {}).get(model, met))
        if unknown := [layer for layer in met if layer not in order]:
            raise AudioMetamerError(f"trials of {model} are at {', '.join(unknown)}; its layers are given as {', '.join(order)}")
        names = [NATURAL] * bool(natural & {model, ""}) + [layer for layer in order if layer in met]
        conditions += [Condition(model, layer) for layer in names]
    return conditions


def human_scores(trials: Sequence[TrialRow], conditions: Sequence[Condition]) -> Scores:
    """What listeners got right."""
    return _scores(trials, conditions, lambda trial, _: trial.correct)


def network_scores(trials: Sequence[TrialRow], conditions: Sequence[Condition], recognised: Recognised | None = None) -> Scores:
    """What networks recognise of the sounds that each listener heard, each network at its own conditions.

    Parameters
    ----------
    trials : sequence of TrialRow
        `TrialRow.network_correct` is of the trial's own model; if there is a single one, also of natural clips.
    conditions : sequence of Condition
    recognised : mapping, optional
        What models recognise beyond that: needed for natural clips that several models share.
    """
    alone = len(_models(conditions)) == 1

    def judge(trial: TrialRow, model: str) -> bool | None:
        stated = trial.network_correct if alone or trial.model == model else None
        return (recognised or {}).get((model, trial.stimulus)) if stated is None else stated

    return _scores(trials, conditions, judge)


def _scores(trials: Sequence[TrialRow], conditions: Sequence[Condition], judge: Callable[[TrialRow, str], bool | None]) -> Scores:
    """Counts of what is right by a judge of each trial and model; a trial that it knows nothing of is passed over."""
    listeners = list(dict.fromkeys(trial.listener for trial in trials))
    rows, columns = ({name: k for k, name in enumerate(names)} for names in (listeners, conditions))
    counts = np.zeros((2, len(listeners), len(conditions)), np.intp)
    for trial in trials:
        for model in [trial.model] if trial.model else _models(conditions):
            column = columns.get(Condition(model, trial.layer))
            right = judge(trial, model)
            if column is not None and right is not None:
                counts[:, rows[trial.listener], column] += right, 1
    return Scores(listeners, list(conditions), *counts)


def recognition(
    scores: Mapping[Observer, Scores], missing: Mapping[Condition, int], *, resamples: int = 10_000, seed: int = 0
) -> list[Row]:
    """A row for each condition and observer, with intervals over listeners."""
    rows = []
    for observer, of in scores.items():
        means = mean_over_listeners(of.proportions, resamples=resamples, seed=seed)
        for k, condition in enumerate(of.conditions):
            value, low, high = (_known(array[k]) for array in (means.value, means.low, means.high))
            rows.append(
                Row(
                    model=condition.model, layer=condition.layer, observer=observer, value=value, low=low, high=high,
                    listeners=int(means.listeners[k]), trials=int(of.of[:, k].sum()), missing=missing.get(condition, 0),
                    note=_note(int(means.listeners[k]), has_interval=low is not None),
                )
            )  # fmt: skip
    return rows


def _note(listeners: int, *, has_interval: bool) -> str:
    if not listeners:
        return "no trials"
    if has_interval:
        return ""
    return "no interval: a single listener" if listeners == 1 else "no interval: all alike"


def read_recognised(path: Path, *, same: Callable[[str, str], bool] = operator.eq) -> dict[tuple[str, str], bool]:
    """What models recognise of the sounds of an experiment, from its ``key.json``: their words against the clips'.

    Parameters
    ----------
    path : path
    same : callable
        Whether two answers count as the same. Default: they are equal.

    Raises
    ------
    AudioMetamerError
        If it is not the key of an experiment.
    """
    try:
        key = msgspec.json.decode(read_file_bytes(path), type=dict[str, _Sound])
    except (OSError, *JSON_ERRORS) as error:
        raise AudioMetamerError(f"{path} is not the key of an experiment: {error}") from error
    return {
        (model, stimulus): any(same(said, right) for right in (sound.word, sound.speaker))
        for stimulus, sound in key.items()
        for model, said in sound.recognised_by.items()
    }


class _Sound(msgspec.Struct):
    """Of a sound's entry in ``key.json``, what is needed here."""

    word: str = ""
    speaker: str = ""
    recognised_by: dict[str, str] = {}


def _models(conditions: Iterable[Condition]) -> list[str]:
    return list(dict.fromkeys(condition.model for condition in conditions))


def _known(number: float) -> float | None:
    return None if np.isnan(number) else float(number)
