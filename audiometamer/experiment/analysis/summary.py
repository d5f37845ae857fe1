"""An analysis in words, as a paper states it."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from audiometamer.errors import listeners_in_words
from audiometamer.experiment.analysis.beside import Beside, distinct_rows
from audiometamer.experiment.analysis.chance import Chance
from audiometamer.experiment.analysis.recognition import RecognitionRow
from audiometamer.experiment.analysis.variance import Anova
from audiometamer.listening.exclusions import Exclusions, group_sizes
from audiometamer.statistics.anova import Effect
from audiometamer.statistics.reliability import SplitHalf


def summary_text(
    *,
    exclusions: Exclusions,
    notes: Sequence[str],
    recognition: Iterable[RecognitionRow],
    tests: Mapping[str, Anova],
    ceiling: SplitHalf | None,
    chance: Chance | None = None,
    beside: Sequence[Beside] = (),
) -> str:
    """Exclusions, recognition, chance, tests and noise ceiling, a line each; see `RecognitionAnalysis` for the parameters."""
    lines = [exclusions.statement, *exclusions.details, *notes, ""]
    lines.append("Recognised, % (95 % percentile bootstrap interval over listeners; number of listeners, trials):")
    shown: dict[str, dict[str, str]] = {}
    for row in recognition:
        shown.setdefault(f"{row.model} {row.layer}", {})[row.observer] = _percent(row)
    lines += _aligned([[condition, *(f"{name} {cell}" for name, cell in rows.items())] for condition, rows in shown.items()])
    lines.append(_chance(chance))
    if beside:
        lines += ["", *(each.statement for each in beside)]
        lines.append("Recognised by these listeners, % (the same interval; number of listeners):")
        lines += _aligned([[f"{row.model} {row.layer}", _percent(row)] for row in distinct_rows(beside)])
    for name, test in tests.items():
        sizes = f": {group_sizes(test.groups)}" if test.groups else ""
        lines += ["", f"Analysis of variance: {name} ({listeners_in_words(test.listeners)}{sizes})"]
        lines += [f"  {apa(effect)}" for effect in test.effects] or [f"  not computed: {test.note}"]
    return "\n".join([*lines, "", _ceiling(ceiling)]) + "\n"


def apa(effect: Effect) -> str:
    """An effect in the style of the American Psychological Association."""
    text = f"{effect.name}: F({effect.df}, {effect.df_error})"
    text += f" not computed: {effect.note}" if effect.note else f" = {effect.f:.5g}, {_p(effect.p)}"
    if effect.epsilon < 1:
        text += f", Greenhouse–Geisser {_p(effect.p_gg)} (ε = {effect.epsilon:.3f})"
    if not effect.note:
        text += f", partial η² = {effect.partial_eta2:.4f}"
    return text if math.isnan(effect.p_permutation) else f"{text}, permutation p = {effect.p_permutation:.2g}"


def _p(p: float) -> str:
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.4g}"


def _percent(row: RecognitionRow) -> str:
    """A value with its interval and numbers of listeners and trials."""
    if row.value is None:
        return row.note
    interval = row.note if row.low is None or row.high is None else f"{100 * row.low:.1f}–{100 * row.high:.1f}"
    numbers = f"{row.listeners}" if row.trials is None else f"{row.listeners}, {row.trials}"
    return f"{100 * row.value:.1f} ({interval}; {numbers})"


def _chance(chance: Chance | None) -> str:
    if chance is None:
        return "Chance: not known without the experiment."
    return f"Chance: {100 * chance.proportion:.3g} % ({chance.source})."


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows whose cells are aligned, two spaces between columns."""
    widths = [max(map(len, column)) for column in itertools.zip_longest(*rows, fillvalue="")]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()


def _ceiling(ceiling: SplitHalf | None) -> str:
    """The noise ceiling, or why there is none."""
    if ceiling is None:
        return "Noise ceiling: not computed: it needs at least 4 listeners and 3 conditions."
    if math.isnan(ceiling.correlation):
        return "Noise ceiling: not computed: no variance between conditions."
    text = f"Noise ceiling: split halves of {listeners_in_words(ceiling.listeners)} agree with r = {ceiling.correlation:.3f}"
    if math.isnan(ceiling.ceiling):
        return f"{text}; not computed: halves do not agree."
    return (
        f"{text}; reliability of all {ceiling.reliability:.3f} (Spearman–Brown), highest correlation to be expected "
        f"{ceiling.ceiling:.3f}."
    )
