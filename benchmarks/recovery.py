"""``python -m benchmarks.recovery LADDER``: a whole exploration by listeners whose thresholds are known, true and recovered.

Two observers listen: one sees cochleagrams, one the activations of another network; both have internal noise, such that half of
their thresholds lie below the middle of the ladder. Their true thresholds come from their d′ for every sound of the ladder by the
model of the decision; no answers are drawn and nothing is fitted. Then simulated listeners answer through the course of real
ones, and their trial tables are analysed as those of real listeners.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import scipy.stats

from audiometamer.dimensions.ladder import Ladder, read_ladder
from audiometamer.drawing import line_style
from audiometamer.exploration.analysis.analyse import ExplorationAnalysis, analyse, write_analysis
from audiometamer.exploration.analysis.sensitivity import Decision
from audiometamer.exploration.analysis.thresholds import Threshold
from audiometamer.exploration.design import ExplorationDesign
from audiometamer.exploration.design_tables import LadderSelection
from audiometamer.exploration.observers import Observer, cochleagram_observer, network_observer
from audiometamer.exploration.sequence import ExplorationSequence
from audiometamer.exploration.simulate import StimulusKey, sensitivities, simulate, true_threshold
from audiometamer.io.draws import Draws
from audiometamer.io.files import atomic_write
from audiometamer.io.tables import read_table, write_table
from audiometamer.models.loading import load_model
from benchmarks.measuring import table

DECISION = Decision()
OBSERVERS = ("cochleagrams", "cochcnn-speaker/relu2")
EACH = 6  # dimensions per listener: about 300 trials, three quarters of an hour
SHARED = 4  # listeners per dimension


class Recovered(NamedTuple):
    """A threshold that was found, and the one that is true."""

    row: Threshold
    true: float

    @property
    def error(self) -> float:
        """In natural logarithms."""
        return math.log(self.row.threshold / self.true)

    @property
    def interval(self) -> tuple[float, float]:
        """From 0, or to infinity, where it has no end."""
        return self.row.low or 0.0, self.row.high or math.inf

    @property
    def held(self) -> bool:
        """Whether the interval holds the truth."""
        low, high = self.interval
        return low <= self.true <= high


@click.command()
@click.argument("folder", metavar="LADDER", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("recovered"), show_default=True)
@click.option(
    "--experiments", type=click.IntRange(1), default=5, show_default=True, help="With each observer; the first is drawn."
)
@click.option("--resamples", type=int, default=400, show_default=True)
def main(folder: Path, out: Path, experiments: int, resamples: int) -> None:
    """Print how well thresholds are recovered, and draw OUT/recovered.png."""
    ladder, rows, drawn = read_ladder(folder), [], {}
    for name in OBSERVERS:
        sensitivity = in_the_middle(ladder, known_sensitivities(ladder, name, out))
        truths = {dimension: true_threshold(ladder, sensitivity, dimension, DECISION) for dimension in ladder.dimensions}
        runs = [experiment(ladder, sensitivity, seed=seed, resamples=resamples) for seed in range(experiments)]
        write_analysis(runs[0], out / name.replace("/", "-"))
        measured = [[row for row in run.thresholds.rows if row.flag != "backwards"] for run in runs]
        found = [[Recovered(row, truths[row.dimension]) for row in own] for own in measured]
        rows += [(name, *told) for told in summarised(found)]
        drawn[name] = [each for each in found[0] if not each.row.listener]
    print(table(HEAD, *rows))
    draw(drawn, out / "recovered.png")


def known_sensitivities(ladder: Ladder, name: str, out: Path) -> dict[StimulusKey, float]:
    """An observer's d′ with noise of 1 for every sound; kept in a table, as it takes minutes."""
    path = out / f"{name.replace('/', '-')}.tsv"
    if not path.exists():
        found = sensitivities(ladder, observer(ladder, name))
        rows = [
            dict(zip(("dimension", "reference", "wished", "d_prime"), (*sound, d), strict=True)) for sound, d in found.items()
        ]
        write_table(path, rows[0], rows)
    rows_read = read_table(path, required=("dimension", "reference", "wished", "d_prime"))
    return {(row["dimension"], row["reference"], float(row["wished"])): float(row["d_prime"]) for row in rows_read}


def observer(ladder: Ladder, name: str) -> Observer:
    """The observer of a name, with noise of 1."""
    if name == "cochleagrams":
        return cochleagram_observer(load_model(ladder.model), noise=1.0)
    model, layer = name.split("/")
    return network_observer(load_model(model), layer, noise=1.0)


def in_the_middle(ladder: Ladder, sensitivity: Mapping[StimulusKey, float]) -> dict[StimulusKey, float]:
    """Divided by the noise with which the median of the true thresholds is in the middle of the ladder, in ratio."""
    changes = [stimulus.record.requested for stimulus in ladder.all]
    middle, least, most = math.sqrt(min(changes) * max(changes)), 1e-6, 1e6
    while most / least > 1.001:
        noise = math.sqrt(least * most)
        noisy = {sound: d / noise for sound, d in sensitivity.items()}
        median = np.median([true_threshold(ladder, noisy, dimension, DECISION) for dimension in ladder.dimensions])
        least, most = (noise, most) if median < middle else (least, noise)
    return noisy


def experiment(ladder: Ladder, sensitivity: Mapping[StimulusKey, float], *, seed: int, resamples: int) -> ExplorationAnalysis:
    """Every dimension with `SHARED` listeners, three down and one up to twelve reversals."""
    n_listeners = math.ceil(SHARED * len(ladder.dimensions) / EACH)
    design = ExplorationDesign(
        title="simulated", listeners=n_listeners, seed=seed, ladder=LadderSelection(ladder.folder.name, each=EACH)
    )
    course = ExplorationSequence(ladder.folder.parent, design, ladder, Draws(design.seed, None))
    trials = [
        trial for number in range(1, n_listeners + 1) for trial in simulate(course, number, sensitivity, DECISION, seed=seed)
    ]
    return analyse(trials, decision=DECISION, procedures=course.schedule.procedures, resamples=resamples, seed=seed)


HEAD = (
    "observer", "thresholds", "experiments", "trials of each", "flagged", "Spearman's ρ", "bias", "spread",
    "intervals that hold the truth", "width of the intervals", "staircases' ρ", "bias",
)  # fmt: skip


def summarised(found: list[list[Recovered]]) -> Iterator[tuple[object, ...]]:
    """A row for thresholds over all listeners, and one for those of single listeners, over several experiments."""
    for what, single in (("of all listeners", False), ("of each", True)):
        runs = [[each for each in run if bool(each.row.listener) is single] for run in found]
        flat = [each for run in runs for each in run]
        good = [each for each in flat if not each.row.flag]
        errors = np.array([each.error for each in good])
        own = [[each for each in run if each.row.procedure is not None] for run in runs]
        own_errors = [math.log((each.row.procedure or math.nan) / each.true) for run in own for each in run]
        yield (
            what, len(runs), f"{np.mean([each.row.trials for each in flat]):.0f}", f"{len(flat) - len(good)} of {len(flat)}",
            _ranks([[(each.true, each.row.threshold) for each in run] for run in runs]),
            f"{100 * math.expm1(errors.mean()):+.0f} %", f"{100 * math.expm1(errors.std()):.0f} %",
            f"{100 * np.mean([each.held for each in flat]):.1f} %",
            f"× {np.median([each.interval[1] / max(each.interval[0], 1e-3) for each in good]):.1f}",
            _ranks([[(each.true, each.row.procedure or math.nan) for each in run] for run in own]),
            f"{100 * math.expm1(np.mean(own_errors)):+.0f} %",
        )  # fmt: skip


def _ranks(runs: list[list[tuple[float, float]]]) -> str:
    """Rank correlations of every experiment: their median, least and largest."""
    values = [float(scipy.stats.spearmanr(*zip(*run, strict=True)).statistic) for run in runs]
    return f"{np.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def draw(drawn: Mapping[str, list[Recovered]], path: Path) -> None:
    """True against recovered thresholds of one experiment with each observer, and their intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6 * len(drawn), 4.4), layout="constrained")
    panels = figure.subplots(1, len(drawn), sharex=True, sharey=True, squeeze=False)[0]
    everything = [each for found in drawn.values() for each in found]
    ends = [f([*(e.true for e in everything), *(e.row.threshold for e in everything)]) for f in (min, max)]
    for axes, (name, found) in zip(panels, drawn.items(), strict=True):
        axes.plot(ends, ends, color="0.6", linewidth=1, zorder=0)
        for k, layer in enumerate(dict.fromkeys(each.row.layer for each in found)):
            own = [each for each in found if each.row.layer == layer]
            x, y = ([value(each) for each in own] for value in (lambda e: e.true, lambda e: e.row.threshold))
            around = [
                [e.row.threshold - max(e.interval[0], 1e-3) for e in own],
                [min(e.interval[1], 99.0) - e.row.threshold for e in own],
            ]
            style = line_style(k) | {"linestyle": "none"}
            axes.errorbar(x, y, yerr=around, label=layer, markersize=4.5, elinewidth=0.8, capsize=0, **style)
        flagged = [each for each in found if each.row.flag]
        x, y = ([value(each) for each in flagged] for value in (lambda e: e.true, lambda e: e.row.threshold))
        axes.scatter(x, y, s=90, facecolors="none", edgecolors="k", label="flagged: no measurement")
        rank = scipy.stats.spearmanr([e.true for e in found], [e.row.threshold for e in found]).statistic
        held = sum(each.held for each in found)
        axes.set(xscale="log", yscale="log", xlabel="true threshold (SD)", xlim=(ends[0] / 1.3, ends[1] * 1.3))
        axes.set(ylim=(ends[0] / 2, ends[1] * 2.5))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_title(f"{name}\nρ = {rank:.3f}; {held} of {len(found)} intervals hold the truth", fontsize=10)
        axes.grid(color="0.93")
        axes.set_axisbelow(True)
    panels[0].set_ylabel("recovered threshold (SD), 95 % interval")
    panels[0].legend(fontsize=8, loc="upper left")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=130)


if __name__ == "__main__":
    main()
