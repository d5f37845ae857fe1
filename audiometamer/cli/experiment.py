"""``audiometamer experiment``: listening experiments, from design to analysis."""

from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from audiometamer.cli import options
from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.analysis import analyse as analysing
from audiometamer.experiment.analysis.bids import write_beh
from audiometamer.experiment.analysis.exclusions import Rules
from audiometamer.experiment.analysis.logistic import mixed_logistic, write_logistic
from audiometamer.experiment.analysis.recognition import read_recognised
from audiometamer.experiment.analysis.trials import read_listeners, read_trials
from audiometamer.experiment.power import listeners_needed
from audiometamer.files import only_writer
from audiometamer.loading import load_model, zoo

_path = click.Path(path_type=Path)


@click.group()
def experiment() -> None:
    """Listening experiments: from a stimulus set to listeners' answers and their analysis."""


@experiment.command()
@click.argument("trials", metavar="TRIALS.tsv", type=_path)
@click.option("--listeners", type=_path, help="The table of listeners: who was excluded, groups, headphone checks.")
@click.option("--key", type=_path, help="key.json of the experiment: what each network recognises of shared natural clips.")
@click.option(
    "--layers", "layer_names", multiple=True, metavar="A,B,…",
    help="Order of the layers of all models; default: that of the zoo's models, else as first met in the table.",
)  # fmt: skip
@click.option("--headphones", type=click.IntRange(0), default=5, show_default=True, help="Headphone trials to get right.")
@click.option("--demonstration", type=click.IntRange(0), default=5, show_default=True, help="Demonstration trials to get right.")
@click.option("--catch", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Share of catch trials to get right.")
@click.option("--finished", is_flag=True, help="Leave out listeners who did not finish.")
@click.option("--count-missing", is_flag=True, help="Count natural clips that were played for missing metamers, as in 2023.")
@click.option("--chance", type=click.FloatRange(0, 1), help="Share that is right by chance, drawn as a line.")
@click.option("--resamples", type=click.IntRange(1), default=10_000, show_default=True, help="Of the bootstrap over listeners.")
@click.option("--permutations", type=click.IntRange(0), default=10_000, show_default=True, help="Of each test.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of bootstrap, permutations and split halves.")
@click.option("--logistic", is_flag=True, help="Also mixed logistic models (needs statsmodels).")
@click.option("--bids", is_flag=True, help="Also all trials as BIDS beh files.")
@options.out("analysis")
@click.option("--overwrite", is_flag=True, help="Replace the analysis that is there.")
def analyse(
    trials: Path, listeners: Path | None, key: Path | None, layer_names: tuple[str, ...], headphones: int, demonstration: int,
    catch: float, finished: bool, count_missing: bool, chance: float | None, resamples: int, permutations: int, seed: int,
    logistic: bool, bids: bool, out: Path, overwrite: bool,
) -> None:  # fmt: skip
    """Analyse the answers of an experiment: exclusions, recognition with intervals, tests, a figure.

    Writes trials.tsv, listeners.tsv, recognition.tsv, anova.tsv, recognition.png and summary.txt into --out.
    """
    answers = read_trials(trials)
    known = read_listeners(listeners) if listeners else []
    recognised = read_recognised(key) if key else None
    rules = Rules(headphones=headphones, demonstration=demonstration, catch=catch, finished=finished)
    models = {trial.model: None for trial in answers if trial.model}
    if order := options.split_names(layer_names):
        layers = dict.fromkeys(models, order)
    else:
        layers = {name: list(load_model(name).layers) for name in models if name in zoo()}
    with only_writer(out):
        if (out / "summary.txt").exists() and not overwrite:
            raise AudioMetamerError(f"{out} holds an analysis; choose another --out, or --overwrite it")
        found = analysing.analyse(
            answers, known, rules=rules, layers=layers, recognised=recognised, count_missing=count_missing,
            resamples=resamples, permutations=permutations, seed=seed,
        )  # fmt: skip
        paths = analysing.write_analysis(found, out, chance=chance)
        if logistic:
            paths.append(write_logistic(out / "logistic.tsv", mixed_logistic(found.trials)))
        if bids:
            paths.append(write_beh(out / "bids", answers, found.exclusions.listeners))
    click.echo(analysing.summary(found))
    click.echo(f"{out}: {', '.join(path.name for path in paths)}")


@experiment.command()
@click.option(
    "--accuracy", "accuracies", multiple=True, required=True, metavar="A,B,…",
    help="What the median listener gets right at each layer, as in 0.9,0.8,0.3; given several times, of several models.",
)  # fmt: skip
@click.option("--trials", type=click.IntRange(1), required=True, help="Of each listener at each condition.")
@click.option("--effect", default="layer", show_default=True, help="layer, model, or layer*model.")
@click.option("--power", "wanted", type=float, default=0.8, show_default=True, help="Share of experiments that find the effect.")
@click.option("--alpha", type=float, default=0.05, show_default=True, help="An effect is found if p is below it.")
@click.option("--spread", type=float, default=0.5, show_default=True, help="Standard deviation of listeners, log odds.")
@click.option("--scatter", type=float, default=0.0, show_default=True, help="Of a listener's conditions beyond that, log odds.")
@click.option("--lapse", type=float, default=0.0, show_default=True, help="Share of answers that are wrong whatever is played.")
@click.option("--most", type=click.IntRange(2), default=500, show_default=True, help="Listeners at which to give up.")
@click.option("--experiments", type=click.IntRange(1), default=1000, show_default=True, help="Simulated for each number.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the simulation.")
def power(
    accuracies: tuple[str, ...], trials: int, effect: str, wanted: float, alpha: float, spread: float, scatter: float,
    lapse: float, most: int, experiments: int, seed: int,
) -> None:  # fmt: skip
    """How many listeners an effect needs, by simulated experiments that are analysed as real ones."""
    tried = listeners_needed(
        _accuracies(accuracies), wanted=wanted, most=most, trials=trials, effect=effect, spread=spread, scatter=scatter,
        lapse=lapse, alpha=alpha, experiments=experiments, seed=seed,
    )  # fmt: skip
    click.echo("listeners  power")
    for found in tried:
        click.echo(f"{found.listeners:>9}  {found.power:.3f} ± {found.se:.3f}")
    needed = next(found for found in tried if found.power >= wanted)
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
