"""The whole analysis of an experiment, from its trial table to a folder of tables, a figure and a summary in words."""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError, format_listeners
from audiometamer.experiment.analysis.chance import Chance
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
from audiometamer.io.files import write_text
from audiometamer.io.tables import write_table
from audiometamer.listening.exclusions import ExclusionRules, Exclusions, Stage, exclude, named, sizes
from audiometamer.listening.tables import ListenerRow, TrialRow, write_listeners, write_trials
from audiometamer.models.inputs import NATURAL
from audiometamer.statistics.anova import Effect, anova
from audiometamer.statistics.reliability import SplitHalf, split_half


class Anova(NamedTuple):
    """One analysis of variance.

    Parameters
    ----------
    listeners : int
        How many it uses.
    groups : dict of str to int
        How many are in each group, if it compares groups.
    effects : list of Effect
        Empty if none can be computed.
    note : str
        Why there are none; else empty.
    """

    listeners: int
    groups: dict[str, int]
    effects: list[Effect]
    note: str = ""


@dataclass(frozen=True)
class Analysis:
    """What `analyse` found.

    Parameters
    ----------
    trials : list of TrialRow
        Those that the numbers are of.
    exclusions : Exclusions
    recognition : list of Row
    tests : dict of str to Anova
        By what they compare.
    ceiling : SplitHalf or None
        Of the listeners' proportions over all conditions.
    notes : list of str
        What was left out of some part, with counts.
    """

    trials: list[TrialRow]
    exclusions: Exclusions
    recognition: list[Row]
    tests: dict[str, Anova]
    ceiling: SplitHalf | None
    notes: list[str] = field(default_factory=list)


def analyse(
    trials: Sequence[TrialRow],
    listeners: Iterable[ListenerRow] = (),
    *,
    rules: ExclusionRules | None = None,
    persons: Mapping[str, str] | None = None,
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
    trials : sequence of TrialRow
        All of them; the main part is analysed, of listeners who are not excluded.
    listeners : iterable of ListenerRow, optional
        What is known of listeners beyond their trials.
    rules : ExclusionRules, optional
        Rules of exclusion.
    persons : mapping of str to str, optional
        Who listeners are, by listener; see `exclude`.
    layers : mapping of str to sequence of str, optional
        By model, in which order its layers come; default: as first met.
    recognised : mapping, optional
        What networks recognise beyond `TrialRow.network_correct`; see `network_scores`.
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
    main = [trial for trial in trials if trial.kind == "main"]
    if main and not count_missing and all(trial.missing for trial in main):
        raise AudioMetamerError(f"none of {len(main)} trials had a metamer; count_missing counts the natural clips instead")
    answers = [trial for trial in trials if count_missing or trial.kind != "main" or not trial.missing]
    excluded = exclude(answers, listeners, rules, persons=persons)
    heard = [trial for trial in main if trial.listener in excluded.kept]
    conditions = conditions_of(heard, layers)
    missing = Counter(Condition(trial.model, trial.layer) for trial in heard if trial.missing)
    counted = heard if count_missing else [trial for trial in heard if not trial.missing]
    scores: dict[Observer, Scores] = {"human": human_scores(counted, conditions)}
    networks = network_scores(counted, conditions, recognised)
    if networks.of.any():
        scores["network"] = networks
    groups = {listener.listener: listener.group for listener in excluded.listeners if listener.listener in excluded.kept}
    tests, notes = _tests(_designs(scores, groups), permutations=permutations, seed=seed)
    several = len({listener.group for listener in excluded.listeners}) > 1
    notes[:0] = [*excluded.notes, *_group_notes(groups, several=several)]
    if missing:
        notes.insert(0, _missing_note(missing, len(heard), count_missing=count_missing))
    rows = recognition(scores, missing, resamples=resamples, seed=seed)
    return Analysis(counted, excluded, rows, tests, _ceiling(scores["human"], seed), notes)


def _group_notes(groups: Mapping[str, str], *, several: bool) -> Iterator[str]:
    """What may be wrong with the groups of those who are analysed; `several`: whether all listeners have more than one."""
    names = list(dict.fromkeys(group for group in groups.values() if group))
    for first, second in itertools.combinations(names, 2):
        if first.casefold() == second.casefold():
            yield f"Groups {first} and {second} differ in letter case only; they count as two."
    for name, n in Counter(group for group in groups.values() if group).items():
        if n == 1 and len(names) > 1:
            yield f"Group {name} has a single listener: the test of groups takes its variance to be that of the others."
    without = [listener for listener, group in groups.items() if not group]
    if len(names) == 1 and several:
        yield f"No test of groups: of those who are analysed, all who have a group are {names[0]}."
    elif names and without:
        yield f"{format_listeners(len(without))} without a group ({named(without)}); left out of the tests of groups."


def _missing_note(missing: Counter[Condition], heard: int, *, count_missing: bool) -> str:
    where = ", ".join(f"{n} at {model} {layer}" for (model, layer), n in missing.items())
    what = "count as the metamers that they stand for" if count_missing else "are left out"
    return f"In {missing.total()} of {heard} trials there was no metamer, and the natural clip was played ({where}); they {what}."


class _Design(NamedTuple):
    """What one analysis of variance is of; values are NaN where a listener had no trial. `listeners` has one for each row."""

    name: str
    values: NDArray[np.float64]
    within: Sequence[str]
    listeners: Sequence[str]
    between: str | None = None
    groups: Sequence[str] | None = None


def _designs(scores: Mapping[Observer, Scores], groups: Mapping[str, str]) -> Iterator[_Design]:
    """Layers, of each model: of listeners, of groups of them, and of listeners and network; layers and models of listeners."""
    human = scores["human"]
    values, who = human.proportions, human.listeners
    grouped = [k for k, listener in enumerate(who) if groups[listener]]
    of_grouped = [groups[who[k]] for k in grouped]
    columns: dict[str, dict[str, int]] = {}
    for k, (model, layer) in enumerate(human.conditions):
        columns.setdefault(model, {})[layer] = k
    for model, at in columns.items():
        own = values[:, [*at.values()]]
        yield _Design(f"listeners, {model}", own, ["layer"], who)
        if len(set(of_grouped)) > 1:
            names = [who[k] for k in grouped]
            yield _Design(f"groups of listeners, {model}", own[grouped], ["layer"], names, "group", of_grouped)
        if network := scores.get("network"):
            known = [k for k in at.values() if network.of[:, k].any()]
            both = np.concatenate([values[:, known], network.proportions[:, known]])
            observers = ["human"] * len(who) + ["network"] * len(who)
            yield _Design(f"listeners and network, {model}", both, ["layer"], [*who, *who], "observer", observers)
    if len(columns) > 1:
        shared = [layer for layer in next(iter(columns.values())) if all(layer in at for at in columns.values())]
        of_models = np.stack([values[:, [at[layer] for layer in shared]] for at in columns.values()], axis=2)
        yield _Design(f"listeners, {' and '.join(columns)}", of_models, ["layer", "model"], who)


def _tests(designs: Iterable[_Design], *, permutations: int, seed: int) -> tuple[dict[str, Anova], list[str]]:
    """Each analysis of variance, of those who have a trial at each of its conditions; and notes on who has not."""
    tests, notes = {}, []
    for design in designs:
        gaps = np.isnan(design.values.reshape(len(design.values), -1)).sum(axis=1)
        absent = [name for name, missing in zip(design.listeners, gaps, strict=True) if missing]
        if absent := list(dict.fromkeys(absent)):
            there = len(set(design.listeners))
            notes.append(
                f"{design.name}: {len(absent)} of {there} had no trial at some condition ({named(absent)}); left out of the test."
            )
        # whoever lacks a condition is left out with all their rows: an observer is compared with the same listeners
        kept = [k for k, name in enumerate(design.listeners) if name not in absent]
        tests[design.name] = _test(design, kept, permutations=permutations, seed=seed)
    return tests, notes


def _test(design: _Design, kept: Sequence[int], *, permutations: int, seed: int) -> Anova:
    """An analysis of variance of some rows, or why there is none."""
    groups = None if design.groups is None else [design.groups[k] for k in kept]
    listeners, of_each = len({design.listeners[k] for k in kept}), dict(Counter(groups or ()))
    if listeners < 2:
        return Anova(listeners, of_each, [], "a single listener" if listeners else "no listener has trials at every condition")
    try:
        effects = anova(
            design.values[kept], within=design.within, between=design.between, groups=groups, permutations=permutations, seed=seed
        )
    except AudioMetamerError as error:
        return Anova(listeners, of_each, [], str(error))
    return Anova(listeners, of_each, effects)


def _ceiling(human: Scores, seed: int) -> SplitHalf | None:
    """Over all conditions, natural clips once; None if there are too few listeners or conditions."""
    natural = [k for k, condition in enumerate(human.conditions) if condition.layer == NATURAL]
    values = np.delete(human.proportions, natural[1:], axis=1)
    try:
        return split_half(values, seed=seed)
    except AudioMetamerError:
        return None


def write_analysis(analysis: Analysis, out: Path, *, chance: Chance | None = None) -> list[Path]:
    """Write an analysis as tables, a figure and words.

    Parameters
    ----------
    analysis : Analysis
    out : path
        Folder for ``trials.tsv``, ``listeners.tsv``, ``sample.tsv``, ``recognition.tsv``, ``anova.tsv``, ``recognition.png``,
        ``.pdf`` and ``.svg``, ``summary.txt``.
    chance : Chance, optional
        What is right by chance; a line in the figure.

    Returns
    -------
    list of path
    """
    tables: dict[str, tuple[Sequence[str], Iterable[Mapping[str, Any]]]] = {
        "sample.tsv": (Stage.__struct_fields__, map(msgspec.structs.asdict, analysis.exclusions.stages)),
        "recognition.tsv": (Row.__struct_fields__, map(msgspec.structs.asdict, analysis.recognition)),
        "anova.tsv": (ANOVA_COLUMNS, _anova_rows(analysis.tests)),
    }
    write_trials(out / "trials.tsv", analysis.trials)
    write_listeners(out / "listeners.tsv", analysis.exclusions.listeners)
    for name, (columns, rows) in tables.items():
        write_table(out / name, columns, rows)
    figures = draw_recognition(
        analysis.recognition, out / "recognition.png", chance=None if chance is None else chance.proportion
    )
    write_text(out / "summary.txt", summary(analysis, chance=chance))
    return [*(out / name for name in ("trials.tsv", "listeners.tsv", *tables)), *figures, out / "summary.txt"]


ANOVA_COLUMNS = ("test", "listeners", "groups", *Effect._fields)


def _anova_rows(tests: Mapping[str, Anova]) -> Iterator[dict[str, Any]]:
    """A row for each effect, or one for a test that has none."""
    for name, test in tests.items():
        about = {"test": name, "listeners": test.listeners, "groups": sizes(test.groups)}
        for effect in test.effects:
            yield {**about, **effect._asdict()}
        if not test.effects:
            yield {**about, "note": test.note}


def summary(analysis: Analysis, *, chance: Chance | None = None) -> str:
    """The analysis in words: who was left out, recognition, chance, tests, noise ceiling."""
    lines = [analysis.exclusions.statement, *analysis.exclusions.details, *analysis.notes, ""]
    lines.append("Recognised, % (95 % percentile bootstrap interval over listeners; number of listeners, trials):")
    shown: dict[str, dict[str, str]] = {}
    for row in analysis.recognition:
        shown.setdefault(f"{row.model} {row.layer}", {})[row.observer] = _percent(row)
    lines += _in_columns([[condition, *(f"{name} {cell}" for name, cell in rows.items())] for condition, rows in shown.items()])
    lines.append(
        "Chance: not known without the experiment."
        if chance is None
        else f"Chance: {100 * chance.proportion:.3g} % ({chance.source})."
    )
    for name, test in analysis.tests.items():
        of_each = f": {sizes(test.groups)}" if test.groups else ""
        lines += ["", f"Analysis of variance: {name} ({format_listeners(test.listeners)}{of_each})"]
        lines += [f"  {apa(effect)}" for effect in test.effects] or [f"  not computed: {test.note}"]
    return "\n".join([*lines, "", _ceiling_words(analysis.ceiling)]) + "\n"


def _in_columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Cells below each other, two blanks between columns."""
    widths = [max(map(len, column)) for column in itertools.zip_longest(*rows, fillvalue="")]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()


def _ceiling_words(ceiling: SplitHalf | None) -> str:
    if ceiling is None:
        return "Noise ceiling: not computed: it needs at least 4 listeners and 3 conditions."
    if math.isnan(ceiling.correlation):
        return "Noise ceiling: not computed: no variance between conditions."
    text = f"Noise ceiling: split halves of {format_listeners(ceiling.listeners)} agree with r = {ceiling.correlation:.3f}"
    if math.isnan(ceiling.ceiling):
        return f"{text}; not computed: halves do not agree."
    return (
        f"{text}; reliability of all {ceiling.reliability:.3f} (Spearman–Brown), highest correlation to be expected "
        f"{ceiling.ceiling:.3f}."
    )


def _percent(row: Row) -> str:
    if row.value is None:
        return row.note
    interval = row.note if row.low is None or row.high is None else f"{100 * row.low:.1f}–{100 * row.high:.1f}"
    return f"{100 * row.value:.1f} ({interval}; {row.listeners}, {row.trials})"


def apa(effect: Effect) -> str:
    """An effect as a paper states it."""
    text = f"{effect.name}: F({effect.df}, {effect.df_error})"
    if effect.note:
        text += f" not computed: {effect.note}"
    else:
        text += f" = {effect.f:.5g}, {_p(effect.p)}"
    if effect.epsilon < 1:
        text += f", Greenhouse–Geisser {_p(effect.p_gg)} (ε = {effect.epsilon:.3f})"
    if not effect.note:
        text += f", partial η² = {effect.partial_eta2:.4f}"
    return text if math.isnan(effect.p_permutation) else f"{text}, permutation p = {effect.p_permutation:.2g}"


def _p(p: float) -> str:
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.4g}"
