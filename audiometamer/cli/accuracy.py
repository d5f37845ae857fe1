"""``audiometamer test-model``: the accuracy of a model on labelled recordings."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from audiometamer.cli import attacking, options
from audiometamer.cli.printing import plain_table, print_table
from audiometamer.cli.progress import tracked
from audiometamer.io.names import safe_name
from audiometamer.models.cards import Card

if TYPE_CHECKING:
    from audiometamer.training.scores import Scores

_GROUP_COLUMNS = ("split", "column", "value", "task")


def print_scores(scores: "Scores", *, columns: Sequence[str]) -> None:
    """Print scores, whose keys are in the first columns."""
    has_top = any(score.top_5 for score in scores.values())
    table = plain_table(*columns, numbers=("clips", "correct", "%", "95 % interval", *(["top 5 (%)"] if has_top else [])))
    for key, score in scores.items():
        low, high = score.interval_95
        counts = str(score.clips), "" if score.correct is None else str(score.correct)
        top = [f"{score.top_5.percent:.1f}" if score.top_5 else ""] if has_top else []
        table.add_row(*key, *counts, f"{score.percent:.1f}", f"{low:.1f} to {high:.1f}", *top)
    print_table(table)


def print_accuracy(scores: "Scores", by_group: "Scores") -> None:
    """Print scores by task, split and condition, then those in quiet by group, if there are any."""
    from audiometamer.training.scores import Scores

    conditions: Scores = {(split, task, name.replace("_", " ")): score for (task, split, name), score in scores.items()}
    print_scores(conditions, columns=("split", "task", "condition"))
    if by_group:
        click.echo("\nin quiet:")
        print_scores({(split, *group, task): s for (task, split, *group), s in by_group.items()}, columns=_GROUP_COLUMNS)


def print_card(card: Card) -> None:
    """Print the scores of a card."""
    from audiometamer.training.scores import Score

    split = str(card.training.get("tested_on", "test"))
    scores = {(task, split, name): score for task, found in card.accuracy.items() for name, score in found.items()}
    by_group = {
        (task, split, column, value): score
        for task, columns in card.accuracy_by_group.items()
        for column, values in columns.items()
        for value, score in values.items()
    }
    print_accuracy(*(msgspec.convert(found, dict[tuple[str, ...], Score]) for found in (scores, by_group)))


@click.command("test-model")
@click.argument("model_name", metavar="MODEL")
@options.data
@click.option(
    "--split", "splits", type=click.Choice(("train", "valid", "test")), multiple=True, default=("test",), show_default=True,
    help="Recordings to test on; may be given several times.",
)  # fmt: skip
@click.option(
    "--snr",
    "snrs",
    type=options.Number(-200, 200),
    multiple=True,
    default=(10.0, 0.0, -5.0),
    show_default=True,
    help="Signal-to-noise ratio in dB; may be given several times.",
)
@attacking.attacks
@attacking.attack_steps
@click.option(
    "--group", "groups", multiple=True, metavar="COLUMN",
    help="A column of the data sets' tables by whose values the accuracy in quiet is listed too, besides source; may be given "
    "several times.",
)  # fmt: skip
@click.option("--seed", type=options.SEED, default=0, show_default=True, help="Random seed of the backgrounds.")
@options.device
@options.batch_size
@click.option("--out", type=click.Path(path_type=Path), help="Folder for tables and figures; default: test-model/MODEL.")
@click.option("--overwrite", is_flag=True, help="Overwrite existing tables and figures.")
def test_model(
    model_name: str, data: tuple[str, ...], splits: tuple[str, ...], snrs: tuple[float, ...], attacks: tuple[str, ...],
    attack_steps: int, groups: tuple[str, ...], seed: int, device: str, batch_size: int, out: Path | None, overwrite: bool,
) -> None:  # fmt: skip
    """Measure the accuracy of MODEL by task: in quiet, below 4 kHz, in background at each SNR.

    Backgrounds are the last fifth of the data sets' backgrounds, reserved for tests; without any, pink noise is used.
    """
    from audiometamer.training import testing
    from audiometamer.training.retesting import SCORES, measure_splits
    from audiometamer.training.sources import open_sources

    adversaries = attacking.adversaries(attacks, attack_steps)
    model = options.opened_model(model_name, device)
    out = out or Path("test-model") / safe_name(model.name)
    table = out / SCORES
    options.check_free(table, overwrite=overwrite)
    recordings = open_sources(data, click.echo)
    conditions = testing.conditions(snrs, adversaries)
    with tracked() as tracker:
        scores, by_group = measure_splits(
            model, recordings, splits, conditions, out, groups=groups, seed=seed, batch_size=batch_size, progress=tracker
        )
    print_accuracy(scores, by_group)
    click.echo(f"{table} and confusion matrices beside it")
