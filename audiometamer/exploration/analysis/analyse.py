"""The analysis of an exploration, from its trials to a folder of tables, a figure and a summary in words."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from audiometamer.dimensions.dimensions import Dimension
from audiometamer.errors import AudioMetamerError, pluralize
from audiometamer.exploration.analysis.figures import draw_sensitivity
from audiometamer.exploration.analysis.layers import LayerDifference, LayerMean, layer_differences, layer_means
from audiometamer.exploration.analysis.sensitivity import Decision
from audiometamer.exploration.analysis.thresholds import Threshold, Thresholds, thresholds
from audiometamer.exploration.trials import AnsweredTrial, write_answered_trials
from audiometamer.io.files import write_text
from audiometamer.io.tables import write_table
from audiometamer.listening.exclusions import ExclusionRules, Exclusions, Stage, exclude
from audiometamer.listening.tables import ListenerRow, write_listeners
from audiometamer.psychophysics import DECISION_RULES, Procedure, d_prime, decision_model_for


class LevelRow(msgspec.Struct, frozen=True):
    """A row of ``levels.tsv``: the answers of all listeners to stimuli of one dimension and about one requested change.

    Parameters
    ----------
    dimension : str
    made : float
        The requested change of these stimuli; that of stimuli made online is rounded to thirds of an octave from 1.
    reached : float
        Reached change, averaged over the trials.
    trials, correct : int
    proportion : float
        Proportion correct.
    d_prime : float or None
        d′ of that proportion under the decision model; 0 below chance, None where it is infinite.
    """

    dimension: str
    made: float
    reached: float
    trials: int
    correct: int
    proportion: float
    d_prime: float | None


@dataclass(frozen=True)
class ExplorationAnalysis:
    """The result of `analyse`.

    Parameters
    ----------
    trials : list of Answered
        The analysed trials.
    decision : Decision
    exclusions : Exclusions
    thresholds : Thresholds
    levels : list of Level
    layers : list of LayerMean
    differences : list of LayerDifference
    """

    trials: list[AnsweredTrial]
    decision: Decision
    exclusions: Exclusions
    thresholds: Thresholds
    levels: list[LevelRow]
    layers: list[LayerMean]
    differences: list[LayerDifference]


def analyse(
    trials: Sequence[AnsweredTrial],
    listeners: Iterable[ListenerRow] = (),
    *,
    decision: Decision | None = None,
    rules: ExclusionRules | None = None,
    procedures: Mapping[str, Procedure] | None = None,
    resamples: int = 400,
    seed: int = 0,
) -> ExplorationAnalysis:
    """Analyse an exploration.

    Parameters
    ----------
    trials : sequence of Answered
        All trials; those of the main part by listeners who are not excluded are analysed.
    listeners : iterable of ListenerRow, optional
        Information about listeners beyond their trials.
    decision : Decision, optional
        Default: differencing in the trials' task, with threshold at 0.794 correct.
    rules : ExclusionRules, optional
        Rules of exclusion. Default: those of `ExclusionRules`, with the proportion of catch trials of `catch_criterion`.
    procedures : mapping of str to Procedure, optional
        Procedures by dimension, for their own thresholds, and to simulate them for the intervals.
    resamples : int
        Bootstrap samples. Default 400.
    seed : int
        Random seed. Default 0.

    Returns
    -------
    Analysis

    Raises
    ------
    AudioMetamerError
        If no listener or no trial is left, or the decision model is not one of the trials' task.
    """
    if not trials:
        raise AudioMetamerError("there are no trials to analyse")
    task = trials[0].task
    decision = decision or Decision(task=decision_model_for(task))
    if decision.task not in {decision_model_for(task, decision=each) for each in DECISION_RULES}:
        raise AudioMetamerError(f"listeners' task was {task}; {decision.task} is not a model of it")
    excluded = exclude(trials, listeners, rules or ExclusionRules(catch=catch_criterion(decision)))
    analysed = [trial for trial in trials if trial.kind == "main" and trial.listener in excluded.kept]
    found = thresholds(analysed, decision, procedures=procedures, resamples=resamples, seed=seed)
    means, differences = layer_means(found.rows), layer_differences(found.rows)
    return ExplorationAnalysis(analysed, decision, excluded, found, levels(analysed, decision), means, differences)


def catch_criterion(decision: Decision) -> float:
    """The proportion of catch trials that separates attentive listeners from guessing ones: halfway between chance and 1."""
    return (1 + decision.guess) / 2


def levels(trials: Sequence[AnsweredTrial], decision: Decision) -> list[LevelRow]:
    """Proportion correct and d′ by dimension and requested change, in their order."""
    groups: dict[tuple[str, float], list[AnsweredTrial]] = {}
    for trial in trials:
        groups.setdefault((trial.dimension, _about(trial)), []).append(trial)
    rows = []
    for dimension, made in sorted(groups, key=lambda key: (Dimension.parse(key[0]).order, key[1])):
        own = groups[dimension, made]
        right = sum(trial.correct for trial in own)
        proportion = right / len(own)
        reached = float(np.mean([trial.reached for trial in own]))
        rows.append(LevelRow(dimension, made, reached, len(own), right, proportion, _sensitivity(proportion, decision)))
    return rows


def _about(trial: AnsweredTrial) -> float:
    """The requested change of the stimulus, rounded to thirds of an octave if it was made for this trial."""
    if trial.way != "online":
        return trial.made
    return float(f"{2 ** (round(3 * math.log2(trial.made)) / 3):g}")


def _sensitivity(proportion: float, decision: Decision) -> float | None:
    if proportion >= 1 - decision.lapse:
        return None
    return float(d_prime(max(proportion, decision.guess), task=decision.task, lapse=decision.lapse))


def write_analysis(analysis: ExplorationAnalysis, out: Path) -> list[Path]:
    """Write an analysis as tables, a figure and a summary.

    Parameters
    ----------
    analysis : Analysis
    out : path
        Folder for ``thresholds.tsv``, ``levels.tsv``, ``layers.tsv``, ``comparisons.tsv``, ``trials.tsv``, ``listeners.tsv``,
        ``sample.tsv``, ``sensitivity.png``, ``.pdf`` and ``.svg``, and ``summary.txt``.

    Returns
    -------
    list of path
    """
    tables: dict[str, tuple[type[msgspec.Struct], Sequence[msgspec.Struct]]] = {
        "thresholds.tsv": (Threshold, analysis.thresholds.rows),
        "levels.tsv": (LevelRow, analysis.levels),
        "layers.tsv": (LayerMean, analysis.layers),
        "comparisons.tsv": (LayerDifference, analysis.differences),
        "sample.tsv": (Stage, analysis.exclusions.stages),
    }
    for name, (kind, rows) in tables.items():
        write_table(out / name, kind.__struct_fields__, map(msgspec.structs.asdict, rows))
    write_answered_trials(out / "trials.tsv", analysis.trials)
    write_listeners(out / "listeners.tsv", analysis.exclusions.listeners)
    figures = draw_sensitivity(analysis.thresholds.rows, out / "sensitivity.png")
    write_text(out / "summary.txt", summary(analysis))
    return [*(out / name for name in (*tables, "trials.tsv", "listeners.tsv")), *figures, out / "summary.txt"]


_WHY_NOT = {
    "beyond": "outside the changes that were presented", "no slope": "answers hardly depend on the change",
    "backwards": "no sound went to this side",
}  # fmt: skip


def summary(analysis: ExplorationAnalysis) -> str:
    """The analysis in words: exclusions, the definition of a threshold, thresholds of all listeners, layers compared."""
    decision, found = analysis.decision, analysis.thresholds
    rows = [row for row in found.rows if not row.listener]
    spread = f"Listeners differ {found.dispersion:.2f} times as much as by chance alone"
    if all(row.listeners < 2 for row in rows):
        spread = "Differences between listeners were not computed: no two heard the same dimension"
    lines = [
        analysis.exclusions.statement,
        *analysis.exclusions.details,
        *analysis.exclusions.notes,
        f"{len(analysis.trials)} trials of {pluralize(len(rows), 'dimension')}. Threshold: the reached change at which "
        f"{decision.target:.3f} is correct, d′ = {decision.d_prime:.2f} ({decision.task}, {decision.lapse:g} lapses).",
        f"{spread}; intervals hold the thresholds that lose at most {found.max_loss_of_all / 2:.2f} of log likelihood (single "
        f"listeners: {found.max_loss_of_one / 2:.2f}).",
    ]
    if backwards := sum(trial.reached <= 0 for trial in analysis.trials):
        lines.append(
            f"In {backwards} trials the stimulus had moved to the other side of its dimension, or not at all; they are left out."
        )
    lines += ["", "Threshold in SD (95 % interval; number of listeners, trials), and SNR there:"]
    width = max(len(row.dimension) for row in rows)
    for row in rows:
        value = f"not measured: {_WHY_NOT[row.flag]}" if row.flag else f"{row.threshold:6.3g}"
        snr = "" if row.flag or row.snr_db is None else f"  {row.snr_db:5.1f} dB"
        lines.append(f"  {row.dimension:<{width}}  {value} ({_interval(row)}; {row.listeners}, {row.trials}){snr}")
    lines += ["", "Layers, mean over dimensions (95 % interval over dimensions):"]
    for layer, own in itertools.groupby((mean for mean in analysis.layers if not mean.sign), key=lambda mean: mean.layer):
        means = list(own)
        left = f"; left out: {means[0].left_out}" if means[0].left_out else ""
        count = pluralize(means[0].dimensions, "dimension")
        lines.append(f"  {layer} ({count}): " + ", ".join(map(_mean_in_words, means)) + left)
    return "\n".join(lines) + "\n"


def _interval(row: Threshold) -> str:
    if row.low is None or row.high is None:
        end = f"from {row.low:.3g} up" if row.low is not None else f"up to {row.high:.3g}" if row.high is not None else ""
        return end or "no interval"
    return f"{row.low:.3g}–{row.high:.3g}"


def _mean_in_words(mean: LayerMean) -> str:
    names = {"threshold": ("threshold", " SD"), "snr_db": ("SNR", " dB"), "modulation": ("modulation distance", "")}
    name, unit = names[mean.unit]
    if mean.value is None:
        return f"no {name}"
    interval = " (no interval)" if mean.low is None or mean.high is None else f" ({mean.low:.3g}–{mean.high:.3g})"
    return f"{name} {mean.value:.3g}{unit}{interval}"
