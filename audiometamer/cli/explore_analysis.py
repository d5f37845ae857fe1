"""``audiometamer explore analyse``: thresholds along dimensions, from listeners' answers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from audiometamer.cli import options, serving
from audiometamer.cli.explore_listeners import lapse
from audiometamer.io.locks import exclusive_folder

_path = click.Path(path_type=Path)
_SETTINGS = (
    click.option(
        "--decision", type=click.Choice(("differencing", "independent")), default="differencing", show_default=True,
        help="Whether listeners compare the sounds of a trial with each other, or know both.",
    ),
    click.option(
        "--target", type=options.Number(),
        help="Proportion correct at threshold.  [default: that of the procedures of EXPERIMENT, or 0.794]",
    ),
    click.option("--d-prime", type=options.Number(0, min_open=True), help="d′ at threshold, instead of --target."),
    lapse,
    click.option(
        "--headphones", type=click.IntRange(0), help="Minimum of correct headphone trials; default: that of the design, or 5."
    ),
    click.option(
        "--catch", type=options.Number(0, 1),
        help="Minimum proportion of catch trials correct.  [default: halfway between chance and 1, 0.75 for abx]",
    ),
    click.option("--finished", is_flag=True, help="Exclude listeners who did not finish."),
    click.option("--resamples", type=click.IntRange(0), default=400, show_default=True, help="Bootstrap samples; 0: χ² alone."),
    click.option("--seed", type=options.SEED, default=0, show_default=True, help="Random seed."),
)  # fmt: skip


def _settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that are fields of `AnalysisSettings`."""
    for option in reversed(_SETTINGS):
        command = option(command)
    return command


@click.command()
@click.argument("answers", metavar="EXPERIMENT|TRIALS.tsv", type=_path)
@serving.answers
@click.option("--listeners", type=_path, help="With a table of trials: the table of listeners, who was excluded among them.")
@_settings
@options.out("analysis")
@click.option("--overwrite", is_flag=True, help="Replace an existing analysis.")
def analyse(
    answers: Path, database: Path | None, listeners: Path | None, out: Path, overwrite: bool, **settings: Any
) -> None:  # fmt: skip
    """Analyse an exploration: thresholds along each dimension with intervals, layers compared, a map of sensitivity.

    Writes thresholds.tsv, levels.tsv, layers.tsv, comparisons.tsv, sample.tsv, trials.tsv, listeners.tsv, sensitivity.png, .pdf
    and .svg, and summary.txt into --out.
    """
    from audiometamer.exploration.analysis.analyse import summary, write_analysis
    from audiometamer.exploration.analysis.reading import read_analysis_input
    from audiometamer.exploration.analysis.settings import AnalysisSettings, analyse_input

    chosen = AnalysisSettings(**settings)
    data = read_analysis_input(answers, listeners=listeners, database=database)
    chosen.decision_about(data)
    with exclusive_folder(out):
        options.check_free(out / "summary.txt", overwrite=overwrite)
        found = analyse_input(data, chosen)
        paths = write_analysis(found, out)
    click.echo(summary(found))
    click.echo(f"{out}: {', '.join(path.name for path in paths)}")
