"""``audiometamer experiment``: build a listening experiment, run it, and take the answers out."""

from collections import Counter
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from audiometamer.cli import options
from audiometamer.experiment import folder as layout
from audiometamer.experiment.build import Built
from audiometamer.experiment.build import build as build_folder

_stimulus_set = click.argument("stimulus_set", metavar="SET", type=click.Path(path_type=Path))


@click.group()
def experiment() -> None:
    """Listening experiments: from a stimulus set to listeners' answers and their analysis."""


@experiment.command()
@_stimulus_set
@click.option("--design", required=True, type=click.Path(path_type=Path), help="A TOML file: who hears what.")
@options.out("experiment")
def build(stimulus_set: Path, design: Path, out: Path) -> None:
    """Make an experiment of SET: every listener's list, the sounds under names that tell nothing, and the key to them."""
    built = build_folder(stimulus_set, design, out)
    _tell(built)
    click.echo(
        f"{built.design.listeners} listeners, {len(built.lists[0])} trials each, {built.design.trials} of them main trials: {out}"
    )
    if built.unheard:
        click.echo(f"{built.unheard} words are heard by nobody")
    if built.offer.missing:
        instead = "left out" if built.design.conditions.missing == "leave-out" else "played as natural clips instead"
        clips = len({one.clip for one in built.offer.missing})
        click.echo(f"{len(built.offer.missing)} metamers of {clips} clips are missing, {instead}: {out / layout.MISSING}")
    click.echo(f"key, for your eyes alone: {out / layout.KEY}   secret of the results page: {out / layout.SECRET}")


def _tell(built: Built) -> None:
    """How often each condition is heard, by a listener and in all."""
    table = Table(box=None, header_style="bold")
    for column in ("condition", "of a listener", "in all", "missing"):
        table.add_column(column, justify="left" if column == "condition" else "right")
    heard = [Counter(trial.condition for trial in trials if trial.kind == "main") for trials in built.lists]
    missing = Counter(one.condition for one in built.offer.missing)
    for condition in built.offer.conditions:
        numbers = [count[condition] for count in heard]
        span = f"{min(numbers)}–{max(numbers)}" if min(numbers) != max(numbers) else str(numbers[0])
        table.add_row(str(condition), span, str(sum(numbers)), str(missing[condition]))
    console = Console()
    console.width = max(console.width, 100)
    console.print(table)
