"""``audiometamer experiment rank``, and what `build` and `rehearse` do for sounds that tell models apart."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from audiometamer.cli import options, serving
from audiometamer.cli.printing import plain_table, print_table
from audiometamer.errors import pluralize
from audiometamer.io.names import as_output_folder
from audiometamer.listening.folder import Experiment
from audiometamer.listening.responders import Responder

if TYPE_CHECKING:
    from audiometamer.experiment.comparisons.ranking import Interval, Ranking

_path = click.Path(path_type=Path)


def build_compared(stimulus_set: Path, design: Path, key: Path | None, out: Path) -> None:
    """Build a test of sounds that tell models apart, and print what it has."""
    from audiometamer.experiment.comparisons.build import build_comparison

    built = build_comparison(stimulus_set, design, out, key=key)
    table = plain_table("kind", "made for", numbers=["sounds or pairs"])
    for (kind, of), number in built.counts.items():
        table.add_row(kind, of.replace("|", ", "), str(number))
    print_table(table)
    click.echo(f"{pluralize(built.design.listeners, 'listener')}, {built.trials} main trials each: {out}")
    serving.print_files(built.design, out)


def reply_as_model(read: Experiment, representation: str | None, noise: float) -> Responder:
    """A model that answers about sounds that tell models apart; default: the first of them."""
    from audiometamer.experiment.comparisons.listeners import ModelListener
    from audiometamer.experiment.comparisons.stimuli import read_table_of_compared

    compared = read_table_of_compared(read.folder)
    known = next(iter(compared.values())).representations
    return ModelListener(read.key, compared, representation or known[0], noise)


@click.command()
@click.argument("trials", metavar="TRIALS.tsv", type=_path)
@click.option("--experiment", "folder", required=True, type=_path, help="Folder of `experiment build`.")
@click.option("--listeners", type=_path, help="Table of listeners: experimenter's exclusions, headphone checks.")
@click.option(
    "--catch", type=options.Number(0, 1), default=0.5, show_default=True, help="Minimum proportion of catch trials correct."
)
@click.option("--resamples", type=click.IntRange(1), default=2000, show_default=True, help="Bootstrap samples.")
@click.option("--seed", type=options.SEED, default=0, show_default=True, help="Random seed of the bootstrap and the folds.")
@options.out("ranking")
@click.option("--overwrite", is_flag=True, help="Replace an existing ranking.")
def rank(
    trials: Path, folder: Path, listeners: Path | None, catch: float, resamples: int, seed: int, out: Path, overwrite: bool
) -> None:
    """Rank models by how well they predict the answers to sounds that tell them apart.

    Writes ranking.tsv, ranking.png, .pdf and .svg, and summary.txt.
    """
    from audiometamer.experiment.comparisons.ranking import rank_models
    from audiometamer.experiment.comparisons.report import RANKING, write_rankings
    from audiometamer.experiment.comparisons.stimuli import read_table_of_compared
    from audiometamer.experiment.reading import read_experiment
    from audiometamer.listening.exclusions import ExclusionRules, exclude
    from audiometamer.listening.tables import read_listeners, read_trials

    options.check_free(as_output_folder(out) / RANKING, overwrite=overwrite)
    compared = read_table_of_compared(folder)
    minimum = read_experiment(folder).design.headphones.minimum
    answers = read_trials(trials)
    rules = ExclusionRules(headphones=minimum, demonstration=None, catch=catch)
    excluded = exclude(answers, [] if listeners is None else read_listeners(listeners), rules)
    kept = [trial for trial in answers if trial.listener in excluded.kept]
    rankings = rank_models(kept, compared, resamples=resamples, seed=seed)
    write_rankings(out, rankings, statement=excluded.statement)
    for ranking in rankings:
        _print(ranking)
    click.echo(f"{excluded.statement} Table: {out / RANKING}   figure: {out / 'ranking.png'}")


def _print(ranking: "Ranking") -> None:
    table = plain_table("rank", ranking.kind, numbers=(ranking.measure, "agreement", "behind the best", "best in"))
    for k, one in enumerate(ranking.models, start=1):
        agreement = "–" if one.agreement is None else _spelt(one.agreement)
        table.add_row(str(k), one.name, _spelt(one.score), agreement, _spelt(one.behind), f"{100 * one.best:.0f} %")
    print_table(table)
    lower, upper = ranking.ceiling
    click.echo(
        f"noise ceiling: {lower.value:.3f} to {upper.value:.3f}; {ranking.answers} answers of {ranking.listeners} listeners to "
        f"{ranking.sounds} sounds or pairs"
    )


def _spelt(interval: "Interval") -> str:
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"
