"""The whole analysis of an experiment, from its trial table to a folder of tables, a picture and a summary in words."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.analysis.anova import Effect, anova
from audiometamer.experiment.analysis.exclusions import Exclusions, Rules, exclude
from audiometamer.experiment.analysis.figures import draw_recognition
from audiometamer.experiment.analysis.recognition import (
    Condition,
    Observer,
    Recognised,
    Row,
    Scores,
    conditions_of,
    human_scores,
    network_scores,
    recognition,
)
from audiometamer.experiment.analysis.reliability import SplitHalf, split_half
from audiometamer.experiment.analysis.trials import Listener, Trial, write_listeners, write_trials
from audiometamer.files import write_text
from audiometamer.metamers.clips import NATURAL
from audiometamer.tables import write_table


@dataclass(frozen=True)
class Analysis:
    """What `analyse` found.

    Parameters
    ----------
    trials : list of Trial
        Those that the numbers are of.
    exclusions : Exclusions
    recognition : list of Row
    tests : dict of str to list of Effect
        Analyses of variance by what they compare.
    ceiling : SplitHalf or None
        Of the listeners' proportions over all conditions.
    notes : list of str
        What was left out of some part, with counts.
    """

    trials: list[Trial]
    exclusions: Exclusions
    recognition: list[Row]
    tests: dict[str, list[Effect]]
    ceiling: SplitHalf | None
    notes: list[str] = field(default_factory=list)


def analyse(
    trials: Sequence[Trial],
    listeners: Iterable[Listener] = (),
    *,
    rules: Rules | None = None,
    layers: Mapping[str, Sequence[str]] | None = None,
    recognised: Recognised | None = None,
    count_missing: bool = False,
    resamples: int = 10_000,
    permutations: int = 10_000,
    seed: int = 0,
) -> Analysis:
    """Analyse an experiment.

    Parameters
    ----------
    trials : sequence of Trial
        All of them; the main part is analysed, of listeners who are not excluded.
    listeners : iterable of Listener, optional
        What is known of listeners beyond their trials.
    rules : Rules, optional
        Of exclusion.
    layers : mapping of str to sequence of str, optional
        By model, in which order its layers come; default: as first met.
    recognised : mapping, optional
        What networks recognise beyond `Trial.network_correct`; see `network_scores`.
    count_missing : bool
        Whether trials without a metamer, in which the natural clip was played, count for their condition, as in Feather et al.
        (2023). Default: they are left out. Their number is told either way.
    resamples, permutations : int
        Of the bootstrap over listeners, and of the permutation tests (0: none); default 10000 each.
    seed : int
        Of both, and of the split halves; default 0.

    Returns
    -------
    Analysis

    Raises
    ------
    AudioMetamerError
        If no listener or no trial is left.
    """
    excluded = exclude(trials, listeners, rules)
    heard = [trial for trial in trials if trial.kind == "main" and trial.listener in excluded.kept]
    conditions = conditions_of(heard, layers)
    missing = Counter(Condition(trial.model, trial.layer) for trial in heard if trial.missing)
    counted = heard if count_missing else [trial for trial in heard if not trial.missing]
    if not counted:
        raise AudioMetamerError(f"none of {len(heard)} trials had a metamer; count_missing counts the natural clips instead")
    scores: dict[Observer, Scores] = {"human": human_scores(counted, conditions)}
    networks = network_scores(counted, conditions, recognised)
    if networks.of.any():
        scores["network"] = networks
    groups = {listener.listener: listener.group for listener in excluded.listeners}
    tests, notes = _tests(_designs(scores, groups), permutations=permutations, seed=seed)
    if missing:
        notes.insert(0, _missing_note(missing, len(heard), count_missing=count_missing))
    rows = recognition(scores, missing, resamples=resamples, seed=seed)
    return Analysis(counted, excluded, rows, tests, _ceiling(scores["human"], seed), notes)


def _missing_note(missing: Counter[Condition], heard: int, *, count_missing: bool) -> str:
    where = ", ".join(f"{n} at {model} {layer}" for (model, layer), n in missing.items())
    what = "count as the metamers that they stand for" if count_missing else "are left out"
    return f"In {missing.total()} of {heard} trials there was no metamer, and the natural clip was played ({where}); they {what}."


class _Design(NamedTuple):
    """What one analysis of variance is of; values are NaN where a listener had no trial."""

    name: str
    values: NDArray[np.float64]
    within: Sequence[str]
    between: str | None = None
    groups: Sequence[str] | None = None


def _designs(scores: Mapping[Observer, Scores], groups: Mapping[str, str]) -> Iterator[_Design]:
    """Layers, of each model: of listeners, of groups of them, and of listeners and network; layers and models of listeners."""
    human = scores["human"]
    values, n = human.proportions, len(human.listeners)
    of_listeners = [groups[listener] for listener in human.listeners]
    columns: dict[str, dict[str, int]] = {}
    for k, (model, layer) in enumerate(human.conditions):
        columns.setdefault(model, {})[layer] = k
    for model, at in columns.items():
        yield _Design(f"listeners, {model}", values[:, [*at.values()]], ["layer"])
        if len(set(of_listeners)) > 1:
            yield _Design(f"groups of listeners, {model}", values[:, [*at.values()]], ["layer"], "group", of_listeners)
        if network := scores.get("network"):
            known = [k for k in at.values() if network.of[:, k].any()]
            both = np.concatenate([values[:, known], network.proportions[:, known]])
            yield _Design(f"listeners and network, {model}", both, ["layer"], "observer", ["human"] * n + ["network"] * n)
    if len(columns) > 1:
        shared = [layer for layer in next(iter(columns.values())) if all(layer in at for at in columns.values())]
        of_models = np.stack([values[:, [at[layer] for layer in shared]] for at in columns.values()], axis=2)
        yield _Design(f"listeners, {' and '.join(columns)}", of_models, ["layer", "model"])


def _tests(designs: Iterable[_Design], *, permutations: int, seed: int) -> tuple[dict[str, list[Effect]], list[str]]:
    """Each analysis of variance, of those who have a trial at each of its conditions; and notes on what could not be."""
    tests, notes = {}, []
    for name, values, within, between, groups in designs:
        complete = np.isfinite(values.reshape(len(values), -1).sum(1))
        if not complete.all():
            notes.append(f"{name}: {(~complete).sum()} of {len(complete)} had no trial at some condition; left out of the test.")
        kept = None if groups is None else [group for group, whole in zip(groups, complete, strict=True) if whole]
        try:
            tests[name] = anova(
                values[complete], within=within, between=between, groups=kept, permutations=permutations, seed=seed
            )
        except AudioMetamerError as error:
            notes.append(f"{name}: no analysis of variance, for {error}.")
    return tests, notes


def _ceiling(human: Scores, seed: int) -> SplitHalf | None:
    """Over all conditions, natural clips once; None if there are too few listeners or conditions."""
    natural = [k for k, condition in enumerate(human.conditions) if condition.layer == NATURAL]
    values = np.delete(human.proportions, natural[1:], axis=1)
    try:
        return split_half(values, seed=seed)
    except AudioMetamerError:
        return None


def write_analysis(analysis: Analysis, out: Path, *, chance: float | None = None) -> list[Path]:
    """Write an analysis as tables, a picture and words.

    Parameters
    ----------
    analysis : Analysis
    out : path
        Folder for ``trials.tsv``, ``listeners.tsv``, ``recognition.tsv``, ``anova.tsv``, ``recognition.png``, ``summary.txt``.
    chance : float, optional
        Proportion that is right by chance, for the picture.

    Returns
    -------
    list of path
    """
    names = ("trials.tsv", "listeners.tsv", "recognition.tsv", "anova.tsv", "recognition.png", "summary.txt")
    trials, listeners, table, tests, picture, words = paths = [out / name for name in names]
    write_trials(trials, analysis.trials)
    write_listeners(listeners, analysis.exclusions.listeners)
    write_table(table, Row.__struct_fields__, map(msgspec.structs.asdict, analysis.recognition))
    effects = [{"test": name, **effect._asdict()} for name, effects in analysis.tests.items() for effect in effects]
    write_table(tests, ("test", *Effect._fields), effects)
    draw_recognition(analysis.recognition, picture, chance=chance)
    write_text(words, summary(analysis))
    return paths


def summary(analysis: Analysis) -> str:
    """The analysis in words: who was left out, recognition, tests, noise ceiling."""
    lines = [analysis.exclusions.statement, *analysis.notes, ""]
    lines.append("Recognised, % (95 % interval over listeners):")
    width = max(len(f"{row.model} {row.layer}") for row in analysis.recognition)
    shown: dict[str, dict[str, Row]] = {}
    for row in analysis.recognition:
        shown.setdefault(f"{row.model} {row.layer}", {})[row.observer] = row
    for condition, rows in shown.items():
        lines.append(f"  {condition:<{width}}" + "".join(f"  {name} {_percent(row):<18}" for name, row in rows.items()).rstrip())
    for name, effects in analysis.tests.items():
        lines += ["", f"Analysis of variance: {name}", *(f"  {apa(effect)}" for effect in effects)]
    if (ceiling := analysis.ceiling) is not None:
        lines += [
            "",
            f"Noise ceiling: split halves of the listeners agree with r = {ceiling.correlation:.3f}; reliability of all "
            f"{ceiling.reliability:.3f} (Spearman–Brown), highest correlation to be expected {ceiling.ceiling:.3f}.",
        ]
    return "\n".join(lines) + "\n"


def _percent(row: Row) -> str:
    if row.value is None:
        return "no trials"
    interval = "" if row.low is None or row.high is None else f" ({100 * row.low:.1f}–{100 * row.high:.1f})"
    return f"{100 * row.value:.1f}{interval}"


def apa(effect: Effect) -> str:
    """An effect as a paper states it."""
    text = f"{effect.name}: F({effect.df}, {effect.df_error}) = {effect.f:.5g}, p = {effect.p:.4g}"
    if effect.epsilon < 1:
        text += f", Greenhouse–Geisser p = {effect.p_gg:.4g} (ε = {effect.epsilon:.3f})"
    text += f", partial η² = {effect.partial_eta2:.4f}"
    return text if math.isnan(effect.p_permutation) else f"{text}, permutation p = {effect.p_permutation:.2g}"
