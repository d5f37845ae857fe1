"""``audiometamer explore build``, ``rehearse`` and ``serve``: an exploration for listeners."""

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from audiometamer.cli import options, serving
from audiometamer.cli.printing import plain_table, print_table
from audiometamer.errors import pluralize
from audiometamer.io.resources import COMMAND
from audiometamer.listening import folder as layout
from audiometamer.listening.responders import IdealListener

lapse = click.option(
    "--lapse", type=options.Number(0, 0.3), default=0.02, show_default=True,
    help="Lapse rate: proportion of wrong answers however easy a trial is.",
)  # fmt: skip


@click.command()
@click.argument("design", metavar="DESIGN", type=click.Path(path_type=Path))
@serving.names_key
@options.out("exploration")
def build(design: Path, key: Path | None, out: Path) -> None:
    """Build an experiment from DESIGN, a TOML file: the ladder and the page, with all that listeners need."""
    from audiometamer.dimensions.dimensions import Dimension
    from audiometamer.exploration.build import build as build_folder

    built = build_folder(design, out, key=key)
    settings, ladder, schedule = built.sequence.design, built.sequence.ladder, built.sequence.schedule
    table = plain_table("layer", numbers=("dimensions", "references of each", "changes", "from", "to"))
    for layer, own in itertools.groupby(schedule.dimensions, lambda name: Dimension.parse(name).layer):
        names = list(own)
        references = _span(len(ladder.references(name)) for name in names)
        levels = [settings.levels(ladder, name) for name in names]
        least, most = f"{min(each[0] for each in levels):g}", f"{max(each[-1] for each in levels):g}"
        table.add_row(layer, str(len(names)), references, _span(map(len, levels)), least, most)
    print_table(table)
    click.echo(
        f"{pluralize(settings.listeners, 'listener')}, each with {settings.ladder.each} of "
        f"{pluralize(len(schedule.dimensions), 'dimension')}: {out}"
    )
    serving.print_open_ends(built.design, out)
    click.echo(f"key, for your eyes only: {out / layout.NAMES_KEY}")
    click.echo(f"links for listeners: audiometamer experiment links {out}   secret of the results page: {out / layout.SECRET}")


def _span(numbers: Iterable[int]) -> str:
    least, *_, most = sorted(numbers) * 2
    return str(least) if least == most else f"{least}–{most}"


@click.command()
@serving.folder
@serving.served
@options.device
def serve(folder: Path, device: str, **where: Any) -> None:
    """Run the exploration EXPERIMENT in browsers. Where sounds are made online, its model makes them on --device.

    A confirmed answer is on disk: stop the server and start it again at any time. Links, releases and tables are those of any
    experiment: audiometamer experiment links | release | export.
    """
    from audiometamer.exploration.folder import served_exploration

    with served_exploration(folder, device=device) as read:
        serving.serve(read, **where)


@click.command()
@serving.folder
@options.out("rehearsal")
@serving.listeners
@click.option(
    "--d-prime", "chosen", multiple=True, metavar="[DIMENSION=]D",
    help="d′ of a listener for a change of one standard deviation: 2, or relu2/0/+=3; may be given several times.  [default: 2]",
)  # fmt: skip
@lapse
@options.device
@serving.rehearsed
def rehearse(
    folder: Path, out: Path, listeners: int, chosen: tuple[str, ...], lapse: float, device: str, **rehearsed: Any
) -> None:  # fmt: skip
    """Let simulated listeners of known sensitivity take part in the exploration EXPERIMENT concurrently.

    Answers and tables are in --out: audiometamer explore analyse EXPERIMENT --answers OUT/answers.db. Sounds that are made online
    stay in EXPERIMENT, where later trials find them.
    """
    from audiometamer.exploration.folder import read_exploration
    from audiometamer.exploration.rehearsal import probability_correct

    read = read_exploration(folder)
    expected = "a number, or DIMENSION=D as in relu2/0/+=3"
    sensitivities = dict(serving.named_number(text, option="--d-prime", expected=expected) for text in chosen)
    reply = IdealListener(read, out / layout.DATABASE, probability_correct(read, sensitivities, lapse=lapse))
    server = (*COMMAND, "explore", "serve", "--device", device)
    serving.rehearse_and_report(read, out, reply, listeners=listeners, serve=server, **rehearsed)
