"""A model's answers to labelled sounds, and their scores: top 1 and top 5, by class, by group of recordings."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError, closest_names
from audiometamer.io.files import write_text
from audiometamer.io.tables import table_text
from audiometamer.training.recordings import Recording
from audiometamer.training.selection import SOURCE, source_of

TOP, MANY = 5, 10  # of a task with more than MANY classes, how often the label is among the first TOP
_RESAMPLES = 200
_Z = 1.959963984540054  # of a 95 % interval


class Score(msgspec.Struct, frozen=True, omit_defaults=True):
    """The score of one task in one condition.

    Parameters
    ----------
    clips : int
        Number of clips with a label of the task.
    percent : float
        Percentage of clips labelled correctly; for a multi-label task, the mean average precision over classes.
    interval_95 : tuple of float
        In percent: Wilson's interval (Wilson 1927); for a multi-label task, from 200 bootstrap resamples of the clips.
    correct : int, optional
        Number of clips labelled correctly; None for a multi-label task.
    top_5 : Score, optional
        Counts a clip as correct if its label is among the five most likely; for tasks of more than ten classes.
    """

    clips: int
    percent: float
    interval_95: tuple[float, float]
    correct: int | None = None
    top_5: "Score | None" = None

    @classmethod
    def of(cls, correct: int, clips: int, top_5: "Score | None" = None) -> "Score":
        """The score of a number of correct clips, with its interval.

        Examples
        --------
        >>> Score.of(8, 10)
        Score(clips=10, percent=80.0, interval_95=(49.0, 94.3), correct=8, top_5=None)
        """
        return cls(clips, round(100 * correct / clips, 1), _wilson(correct, clips), correct, top_5)


Scores = dict[tuple[str, ...], Score]


class TaskAnswers(msgspec.Struct, frozen=True):
    """A model's answers to the sounds that have a label of one task.

    Parameters
    ----------
    logits : array [shape=(clips, classes)]
    targets : array [shape=(clips,)] or [shape=(clips, classes)]
    numbers : array of int [shape=(clips,)], optional
        Number of each sound among all that were presented. Default: those with a label were the only ones.
    """

    logits: NDArray[np.float32]
    targets: NDArray[Any]
    numbers: NDArray[np.int64] | None = None

    def proportion_correct(self) -> float:
        """Proportion of correct answers, or mean average precision for a multi-label task."""
        if self.targets.ndim == 2:
            return _mean_precision(self.logits, self.targets) or 0.0
        return float(self.among_first(1).mean())

    def among_first(self, k: int) -> NDArray[np.bool_]:
        """Whether the label of each sound is among the `k` classes with the largest logits; for single-label tasks.

        Of equal logits, the one of the earlier class counts as larger.
        """
        own = np.take_along_axis(self.logits, self.targets[:, None], axis=1)
        earlier = np.arange(self.logits.shape[1]) < self.targets[:, None]
        return np.asarray(((self.logits > own) | ((self.logits == own) & earlier)).sum(1) < k)

    def score(self) -> Score:
        """`proportion_correct` in percent, with its interval."""
        if self.targets.ndim == 2:
            return _average_precision(self.logits, self.targets)
        n = len(self.targets)
        top = Score.of(int(self.among_first(TOP).sum()), n) if self.logits.shape[1] > MANY else None
        return Score.of(int(self.among_first(1).sum()), n, top)

    def confusion(self) -> NDArray[np.int64]:
        """Counts of answers (columns) to the sounds of each class (rows); for single-label tasks."""
        n_classes = self.logits.shape[1]
        flat = self.targets * n_classes + self.logits.argmax(1)
        return np.bincount(flat, minlength=n_classes**2).reshape(n_classes, n_classes)

    def of(self, members: NDArray[np.bool_]) -> "TaskAnswers":
        """The answers to some of the sounds."""
        return TaskAnswers(self.logits[members], self.targets[members], self._numbers()[members])

    def values(self, column: str, recordings: Sequence[Recording]) -> NDArray[np.str_]:
        """The value of a column for the recording of each sound; empty if it has none.

        Parameters
        ----------
        column : str
        recordings : sequence of Recording
            Recordings of all sounds that were presented, in order.
        """
        return np.array([recordings[number].groups.get(column, "") for number in self._numbers()], dtype=np.str_)

    def by_group(self, recordings: Sequence[Recording], columns: Sequence[str]) -> Scores:
        """Scores by column of the data sets' tables and value; recordings without a value are left out.

        None for multi-label tasks, whose recordings hold other sounds too.
        """
        found: Scores = {}
        for column in columns if self.targets.ndim == 1 else ():
            values = self.values(column, recordings)
            found |= {(column, str(value)): self.of(values == value).score() for value in sorted({*values} - {""})}
        return found

    def by_class(self, labels: Sequence[str], recordings: Sequence[Recording]) -> Iterator[dict[str, Any]]:
        """Rows with the counts of each class: of all sources (an empty cell), then of each; for single-label tasks."""
        sources, first, top = self.values(SOURCE, recordings), self.among_first(1), self.among_first(TOP)
        for number, label in enumerate(labels):
            own = self.targets == number
            named = sorted({*sources[own]} - {""})
            for source, members in [("", own), *((source, own & (sources == source)) for source in named)]:
                row = {"label": label, "source": str(source), "clips": int(members.sum()), "correct": int(first[members].sum())}
                yield row | ({"top_5_correct": int(top[members].sum())} if len(labels) > MANY else {})

    def _numbers(self) -> NDArray[np.int64]:
        return np.arange(len(self.logits)) if self.numbers is None else self.numbers


def group_columns(recordings: Sequence[Recording], wanted: Sequence[str]) -> tuple[str, ...]:
    """The columns to group recordings by: ``source``, if any has one, and those that are asked for.

    Raises
    ------
    AudioMetamerError
        If no recording has a value in a column that is asked for.
    """
    known = {column for r in recordings for column, value in r.groups.items() if value}
    for column in wanted:
        if column not in known:
            raise AudioMetamerError(
                f"no recording has a value in column {column!r}, by which accuracies are to be grouped; there are "
                f"{closest_names(column, sorted(known))}"
            )
    return tuple(dict.fromkeys([SOURCE] * any(map(source_of, recordings)) + list(wanted)))


def write_by_class(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    """Write a tab-separated table of the counts of each class; see `TaskAnswers.by_class`."""
    listed = list(rows)
    write_text(path, table_text(tuple(listed[0]), listed))


def nested(scores: Scores) -> dict[str, dict[str, Any]]:
    """Scores by column and value, as a card holds them."""
    found: dict[str, dict[str, Any]] = {}
    for (column, value), score in scores.items():
        found.setdefault(column, {})[value] = msgspec.to_builtins(score)
    return found


def write_scores(path: Path, scores: Scores, *, columns: Sequence[str]) -> None:
    """Write a tab-separated table with a row for each score, whose key is in the first `columns`."""
    columns = (*columns, "clips", "correct", "percent", "low_95", "high_95", "top_5_correct", "top_5_percent")
    rows = ((*key, s.clips, s.correct, s.percent, *s.interval_95, *_top(s)) for key, s in scores.items())
    write_text(path, table_text(columns, (dict(zip(columns, row, strict=True)) for row in rows)))


def _top(score: Score) -> tuple[int | None, float | None]:
    return (None, None) if score.top_5 is None else (score.top_5.correct, score.top_5.percent)


def _wilson(correct: int, n: int) -> tuple[float, float]:
    share = correct / n
    center, half = share + _Z * _Z / (2 * n), _Z * math.sqrt(share * (1 - share) / n + _Z * _Z / (4 * n * n))
    low, high = ((center + sign * half) / (1 + _Z * _Z / n) for sign in (-1, 1))
    return round(100 * low, 1), round(100 * high, 1)


def _average_precision(logits: NDArray[np.float32], targets: NDArray[np.float32]) -> Score:
    """Mean average precision: over classes, the mean precision at each sound of the class, with sounds ordered by logit."""
    rng = np.random.default_rng(0)
    n = len(logits)
    drawn = [rng.integers(n, size=n) for _ in range(_RESAMPLES)]
    resampled = [value for rows in drawn if (value := _mean_precision(logits[rows], targets[rows])) is not None]
    low, high = (float(value) for value in np.percentile(resampled, [2.5, 97.5]))
    return Score(n, round(100 * (_mean_precision(logits, targets) or 0.0), 1), (round(100 * low, 1), round(100 * high, 1)))


def _mean_precision(logits: NDArray[np.float32], targets: NDArray[np.float32]) -> float | None:
    precisions = []
    for scores, truth in zip(logits.T, targets.T, strict=True):
        hits = truth[np.argsort(-scores, kind="stable")] > 0
        if hits.any():
            precisions.append((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())
    return float(np.mean(precisions)) if precisions else None
