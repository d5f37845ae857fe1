"""The ranking of models as a table, a figure and a summary."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from audiometamer.drawing import line_style, literal_text, save_figure
from audiometamer.experiment.comparisons.ranking import Interval, Ranking
from audiometamer.io.files import write_text
from audiometamer.io.tables import write_table

RANKING = "ranking.tsv"
COLUMNS = (
    "kind", "measure", "rank", "model", "score", "low", "high", "agreement", "agreement_low", "agreement_high", "behind",
    "behind_low", "behind_high", "best", "ceiling_lower", "ceiling_upper", "listeners", "sounds", "answers",
)  # fmt: skip


def write_rankings(out: Path, rankings: Sequence[Ranking], *, statement: str = "") -> None:
    """Write ``ranking.png``, ``.pdf`` and ``.svg``, ``summary.txt``, and last ``ranking.tsv``.

    Parameters
    ----------
    out : path
    rankings : sequence of Ranking
    statement : str
        Which listeners were excluded, for the summary. Default: nothing.
    """
    draw_rankings(out / "ranking.png", rankings)
    write_text(out / "summary.txt", "\n".join([*map(summary, rankings), *([statement] if statement else [])]) + "\n")
    write_table(out / RANKING, COLUMNS, [row for ranking in rankings for row in _rows(ranking)])


def _rows(ranking: Ranking) -> Iterator[dict[str, object]]:
    for k, one in enumerate(ranking.models, start=1):
        agreement = one.agreement or Interval(*[float("nan")] * 3)
        given = one.agreement is not None
        yield {
            "kind": ranking.kind, "measure": ranking.measure, "rank": k, "model": one.name, "score": one.score.value,
            "low": one.score.low, "high": one.score.high, "agreement": agreement.value if given else None,
            "agreement_low": agreement.low if given else None, "agreement_high": agreement.high if given else None,
            "behind": one.behind.value, "behind_low": one.behind.low, "behind_high": one.behind.high, "best": one.best,
            "ceiling_lower": ranking.ceiling[0].value, "ceiling_upper": ranking.ceiling[1].value,
            "listeners": ranking.listeners, "sounds": ranking.sounds, "answers": ranking.answers,
        }  # fmt: skip


def summary(ranking: Ranking) -> str:
    """The ranking in sentences."""
    best, *others = ranking.models
    lower, upper = ranking.ceiling
    what = f"{ranking.kind}: {ranking.answers} answers of {ranking.listeners} listeners to {ranking.sounds} sounds or pairs. "
    first = f"{best.name} predicts them best: {_in_words(best.score)} {ranking.measure}"
    ceiling = f"; noise ceiling {lower.value:.3f} to {upper.value:.3f}."
    behind = [f" {one.name} is {_in_words(one.behind)} behind." for one in others]
    return what + first + ceiling + "".join(behind)


def _in_words(interval: Interval) -> str:
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


@literal_text()
def draw_rankings(path: Path, rankings: Sequence[Ranking]) -> list[Path]:
    """Draw the score of each model with its interval and the noise ceiling in grey: a panel for each kind of sounds."""
    from matplotlib.figure import Figure

    names = sorted(one.name for one in rankings[0].models)
    height = 1.4 + 0.32 * len(names)
    figure = Figure(figsize=(min(3.4 * len(rankings) + 1.6, 16), height), layout="constrained")
    panels = figure.subplots(1, len(rankings), squeeze=False, sharey=True)[0]
    for axes, ranking in zip(panels, rankings, strict=True):
        lower, upper = (ceiling.value for ceiling in ranking.ceiling)
        axes.axvspan(min(lower, upper), upper, color="0.85", zorder=0)
        axes.axvline(0, color="0.4", linestyle=":", linewidth=1.2)
        for place, one in enumerate(reversed(ranking.models)):
            value, low, high = one.score.value, one.score.low, one.score.high
            style = line_style(names.index(one.name)) | {"linestyle": "none"}
            errors = [[max(value - low, 0)], [max(high - value, 0)]]
            axes.errorbar([value], [place if len(rankings) == 1 else names.index(one.name)], xerr=errors, capsize=2, **style)
        axes.set(xlabel=ranking.measure, title=f"{ranking.kind} ({ranking.answers} answers)")
        axes.spines[["top", "right"]].set_visible(False)
    ticks = [one.name for one in reversed(rankings[0].models)] if len(rankings) == 1 else names
    panels[0].set_yticks(range(len(names)), ticks)
    panels[0].set_ylim(-0.6, len(names) - 0.4)
    return save_figure(figure, path)
