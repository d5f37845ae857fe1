"""``audiometamer status``: how far a stimulus set is; without loading torch."""

from pathlib import Path

import click

from audiometamer.cli.printing import plain_table, print_table
from audiometamer.io.files import json_text
from audiometamer.stimuli.comparison_records import is_comparison_set
from audiometamer.stimuli.status import STATES, Status, read_status


@click.command()
@click.argument("folder", metavar="SET", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(folder: Path, as_json: bool) -> None:
    """Show how many items of a stimulus set are in which state; reads only the disk."""
    found = read_status(folder)
    if as_json:
        click.echo(json_text(found))
    else:
        print_status(found)


def print_status(found: Status) -> None:
    """Print how many items are in which state, and what went wrong."""
    table = plain_table("model", "layer", numbers=STATES)
    for model, layers in found.layers.items():
        for layer, counts in layers.items():
            table.add_row(model, layer, *(str(counts[state]) for state in STATES))
    print_table(table)
    for trouble in found.errors[:10]:
        click.echo(f"{trouble.folder}: {trouble.message}")
    if len(found.errors) > 10:
        click.echo(f"and {len(found.errors) - 10} more with errors: see their error.json")
    why = "distortions have no criterion" if is_comparison_set(Path(found.set)) else "their models have no null distribution"
    unjudged = f", {n} are unjudged: {why}" if (n := found.counts["unjudged"]) else ""
    failed = f"{found.counts['failed']} of them failed their verdict"
    click.echo(f"{found.made} of {found.total} items of {found.set} are made, {failed}{unjudged}")
