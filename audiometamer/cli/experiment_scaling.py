"""``audiometamer experiment scale``, and what `build` and `rehearse` do for triads and quadruples."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from audiometamer.cli import options, serving
from audiometamer.errors import AudioMetamerError, pluralize
from audiometamer.listening.folder import Experiment
from audiometamer.listening.responders import Responder

_path = click.Path(path_type=Path)


def build_pairs(sounds: Path, design: Path, key: Path | None, out: Path) -> None:
    """Build an experiment with triads or quadruples, and print what it has."""
    from audiometamer.experiment.scaling.build import build_scaling

    built = build_scaling(sounds, design, out, key=key)
    kind, heard = built.design.answers.kind, Counter(trial.numbers for trials in built.lists for trial in trials)
    times = sorted({*heard.values(), *([0] if len(heard) < built.possible else [])})
    span = f"{times[0]}–{times[-1]}" if len(times) > 1 else f"{times[0]}"
    click.echo(
        f"{pluralize(len(built.design.path.sounds or []), 'sound')}: {built.possible} {kind}, each heard {span} times in all"
    )
    click.echo(f"{pluralize(built.design.listeners, 'listener')}, {built.design.trials} main trials each: {out}")
    serving.print_files(built.requested, out)


def reply_to_pairs(read: Experiment, scale: tuple[Path, str] | None, sigma: float, guesses: float) -> Responder:
    """How simulated listeners with a known scale answer."""
    from audiometamer.experiment.scaling.analyse import path_of
    from audiometamer.experiment.scaling.observers import ScaleListener
    from audiometamer.experiment.scaling.predicted import scale_named

    psi = None if scale is None else scale_named(*scale, path_of(read).places)
    return ScaleListener.of(read, psi, sigma=sigma, guesses=guesses)


@click.command()
@click.argument("trials", metavar="TRIALS.tsv", type=_path)
@click.option("--experiment", "folder", type=_path, required=True, help="Folder of `experiment build`.")
@click.option("--listeners", "listeners_table", type=_path, help="Table of listeners: exclusions and headphone checks.")
@click.option(
    "--predicted", multiple=True, type=_path, metavar="FOLDER|TABLE",
    help="Scales of a model, as `distortions scale` writes them; may be given several times.",
)  # fmt: skip
@click.option("--free", is_flag=True, help="Let scales fall too; default: they only rise.")
@click.option(
    "--prior", type=options.Number(0), default=0.0, show_default=True,
    help="Weight of a prior of sigma, for listeners who never contradict themselves.",
)  # fmt: skip
@click.option("--headphones", type=click.IntRange(0), help="Minimum of correct headphone trials; default: that of the design.")
@click.option("--finished", is_flag=True, help="Exclude listeners who did not finish.")
@click.option("--fastest", type=options.Number(0), metavar="MS", help="Exclude listeners with a shorter median reaction time.")
@click.option("--resamples", type=click.IntRange(0), default=400, show_default=True, help="Bootstrap samples.")
@click.option("--seed", type=options.SEED, default=0, show_default=True, help="Random seed of the bootstrap.")
@options.out("scaling")
@click.option("--overwrite", is_flag=True, help="Overwrite existing results.")
def scale(
    trials: Path, folder: Path, listeners_table: Path | None, predicted: Sequence[Path], free: bool, prior: float,
    headphones: int | None, finished: bool, fastest: float | None, resamples: int, seed: int, out: Path, overwrite: bool,
) -> None:  # fmt: skip
    """Fit the perceptual scale of each listener of triads or quadruples, and rank models by how well theirs explain the answers.

    Writes scales.tsv, measured.tsv, models.tsv, sample.tsv, scales.png, .pdf and .svg, and summary.txt into --out.
    """
    from audiometamer.experiment.reading import read_experiment
    from audiometamer.experiment.scaling.analyse import analyse_scaling_into
    from audiometamer.experiment.scaling.fits import ScalingSettings
    from audiometamer.listening.exclusions import ExclusionRules
    from audiometamer.listening.tables import read_listeners, read_trials

    experiment = read_experiment(folder)
    least = experiment.design.headphones.minimum if headphones is None else headphones
    rules = ExclusionRules(headphones=least, demonstration=None, catch=None, finished=finished, fastest_ms=fastest)
    listeners = [] if listeners_table is None else read_listeners(listeners_table)
    settings = ScalingSettings(monotone=not free, prior=prior, resamples=resamples, seed=seed)
    analysis, paths = analyse_scaling_into(
        out, experiment, read_trials(trials), listeners, predicted=predicted, rules=rules, settings=settings, overwrite=overwrite
    )  # fmt: skip
    click.echo(analysis.summary)
    click.echo(f"{out}: {', '.join(path.name for path in paths)}")


def refuse_options(given: dict[str, bool], why: str) -> None:
    """Raise if an option was given that does not apply."""
    if unfit := [name for name, is_given in given.items() if is_given]:
        raise AudioMetamerError(f"{unfit[0]} is for experiments {why}")
