"""``audiometamer experiment analyse`` and ``power``."""

from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from audiometamer.cli import options
from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.analysis.chance import Chance
from audiometamer.experiment.analysis.settings import RecognitionSettings
from audiometamer.experiment.analysis.sources import AnalysisFiles, RequestedRules

_path = click.Path(path_type=Path)
_PROPORTION = options.Number(0, 1)
_INSIDE = options.Number(0, 1, min_open=True, max_open=True)
_files = options.gathered(
    "files", AnalysisFiles,
    click.argument("trials", metavar="TRIALS.tsv", type=_path),
    click.option("--listeners", type=_path, help="Table of listeners: experimenter's exclusions, groups, headphone checks."),
    click.option(
        "--participants", type=_path,
        help="participants.tsv of `experiment export`: of several listeners who are the same person, the first is analysed.",
    ),
    click.option(
        "--experiment", "folder", type=_path,
        help="Folder of `experiment build`: its design gives the minimum of both checks and the chance level, its key what "
        "networks recognise.",
    ),
    click.option("--key", type=_path, help="Its key.json alone: what each network recognises of shared natural clips."),
    click.option(
        "--beside", multiple=True, metavar="NAME|FILE",
        help="Draw listeners of another experiment beside one's own: feather2023 (of the network with most layers in common), "
        "feather2023/NETWORK, feather2023/experiment3/NETWORK, or a table or .mat file; may be given several times.",
    ),
)  # fmt: skip
_rules = options.gathered(
    "requested", RequestedRules,
    click.option(
        "--headphones", type=click.IntRange(0), help="Minimum of correct headphone trials; default: that of the design, or 5."
    ),
    click.option("--demonstration", type=click.IntRange(0), help="Minimum of correct demonstration trials; default: likewise."),
    click.option("--catch", type=_PROPORTION, default=0.5, show_default=True, help="Minimum proportion of catch trials correct."),
    click.option("--finished", is_flag=True, help="Exclude listeners who did not finish."),
    click.option(
        "--fastest", "fastest_ms", type=options.Number(0), metavar="MS",
        help="Exclude listeners with a shorter median reaction time.",
    ),
)  # fmt: skip
_settings = options.gathered(
    "settings", RecognitionSettings,
    click.option(
        "--layers", multiple=True, metavar="A,B,…", callback=lambda _context, _option, values: options.split_names(values),
        help="Order of the layers of all models; default: that of the zoo's models, else order of first occurrence.",
    ),
    click.option("--count-missing", is_flag=True, help="Count natural clips played for missing metamers, as in 2023."),
    click.option(
        "--resamples", type=click.IntRange(1), default=10_000, show_default=True, help="Bootstrap samples of listeners."
    ),
    click.option(
        "--permutations", type=click.IntRange(0), default=10_000, show_default=True, help="Random permutations in each test."
    ),
    click.option(
        "--seed", type=options.SEED, default=0, show_default=True,
        help="Random seed of the bootstrap, permutations and split halves.",
    ),
)  # fmt: skip


@click.command()
@_files
@_rules
@_settings
@click.option("--chance", "proportion", type=_PROPORTION, help="Chance level, drawn as a line; default: the design's.")
@click.option("--logistic", is_flag=True, help="Also fit mixed logistic models (needs statsmodels).")
@click.option("--bids", is_flag=True, help="Also write all trials as BIDS beh files.")
@options.out("analysis")
@click.option("--overwrite", is_flag=True, help="Replace an existing analysis.")
def analyse(
    files: AnalysisFiles, requested: RequestedRules, settings: RecognitionSettings, proportion: float | None, out: Path,
    **outputs: bool,
) -> None:  # fmt: skip
    """Analyse the answers of an experiment: exclusions, recognition with intervals, tests, a figure.

    Writes trials.tsv, listeners.tsv, sample.tsv, recognition.tsv, anova.tsv, recognition.png, .pdf and .svg, and summary.txt
    into --out.
    """
    from audiometamer.experiment.analysis.folder import analyse_into

    sources = files.read()
    chance = sources.chance if proportion is None else Chance(proportion)
    rules = sources.rules(requested)
    analysis, paths = analyse_into(out, sources, rules=rules, settings=settings, chance=chance, **outputs)
    click.echo(analysis.summary(chance=chance))
    click.echo(f"{out}: {', '.join(path.name for path in paths)}")


@click.command()
@click.option(
    "--accuracy", "accuracies", multiple=True, required=True, metavar="A,B,…",
    help="Proportion correct of the median listener at each layer, as in 0.9,0.8,0.3; given several times: of several models.",
)  # fmt: skip
@click.option("--trials", type=click.IntRange(1), required=True, help="Trials of each listener in each condition.")
@click.option("--effect", default="layer", show_default=True, help="layer, model, or layer*model.")
@click.option(
    "--power", "wanted", type=_INSIDE, default=0.8, show_default=True, help="Proportion of experiments that find the effect."
)
@click.option("--alpha", type=_INSIDE, default=0.05, show_default=True, help="Significance level.")
@click.option(
    "--spread", type=options.Number(0), default=0.5, show_default=True,
    help="Standard deviation between listeners, log odds.",
)  # fmt: skip
@click.option(
    "--scatter", type=options.Number(0), default=0.0, show_default=True,
    help="Standard deviation between the conditions of a listener beyond that, log odds.",
)  # fmt: skip
@click.option("--lapse", type=_PROPORTION, default=0.0, show_default=True, help="Lapse rate.")
@click.option("--most", type=click.IntRange(2), default=500, show_default=True, help="Largest number of listeners to try.")
@click.option("--experiments", type=click.IntRange(1), default=1000, show_default=True, help="Simulated experiments per number.")
@click.option("--seed", type=options.SEED, default=0, show_default=True, help="Random seed of the simulation.")
def power(accuracies: tuple[str, ...], effect: str, wanted: float, **simulation: Any) -> None:
    """Find how many listeners an effect needs, by simulated experiments that are analysed as real ones."""
    from audiometamer.experiment.power import listeners_needed

    tried = listeners_needed(_accuracies(accuracies), effect=effect, wanted=wanted, **simulation)
    click.echo("listeners  power")
    for found in tried:
        click.echo(f"{found.listeners:>9}  {found.power:.3f} ± {found.se:.3f}")
    needed = next(found for found in tried if found.power >= wanted)
    if needed.untested:
        click.echo(
            f"{100 * needed.untested:.0f} % of experiments have no F, as listeners do not differ; they count as not finding it"
        )
    click.echo(f"{needed.listeners} listeners: {effect} is found in {100 * needed.power:.0f} % of experiments")


def _accuracies(texts: tuple[str, ...]) -> NDArray[np.float64]:
    """Accuracies of each model, separated by commas; shape=(layers,), or (layers, models) if there are several."""
    try:
        rows = [[float(number) for number in text.split(",")] for text in texts]
    except ValueError as error:
        raise AudioMetamerError(f"--accuracy takes a number for each layer, as in 0.9,0.8,0.3: {error}") from error
    if len({len(row) for row in rows}) != 1:
        raise AudioMetamerError(f"--accuracy of {' and '.join(str(len(row)) for row in rows)} layers; all models need the same")
    return np.array(rows[0]) if len(rows) == 1 else np.array(rows).T
