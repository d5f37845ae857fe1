"""``audiometamer models`` and ``audiometamer layers``: what there is."""

from collections import Counter

import click
import torch

from audiometamer.cards import read_card
from audiometamer.cli import options
from audiometamer.cli.printing import paragraph, plain_table, print_table
from audiometamer.files import json_text
from audiometamer.loading import zoo
from audiometamer.models import record
from audiometamer.resources import zoo_folder


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Whole cards, as JSON.")
def models(as_json: bool) -> None:
    """List the models that come with audiometamer: what they are, their vocabulary and limits."""
    cards = {name: read_card(zoo_folder() / name) for name in zoo()}
    if as_json:
        click.echo(json_text(cards))
        return
    for name, card in cards.items():
        quiet = [f"{task} {scores['quiet']['percent']} %" for task, scores in card.accuracy.items() if "quiet" in scores]
        size = (zoo_folder() / name / card.weights.file).stat().st_size / 1e6
        click.secho(name, bold=True)
        click.echo(paragraph(f"{card.description} {size:.1f} MB; right in quiet: {', '.join(quiet) or 'not measured'}."))
        for task, labels in card.labels.items():
            click.echo(paragraph(f"{len(labels)} {task}s: {', '.join(labels)}"))
        for limit in card.limits:
            click.echo(paragraph(f"Limit: {limit}"))
        click.echo()


@click.command()
@click.argument("model_name", metavar="MODEL", default=options.DEFAULT_MODEL)
@click.option("--all", "every", is_flag=True, help="Every module, not only the layers that the model lists.")
def layers(model_name: str, every: bool) -> None:
    """List the layers of a MODEL: their names, shapes and numbers of units."""
    model = options.opened_model(model_name, "cpu")
    names = list(model.layers)
    if every:
        calls = Counter(call.path for call in model.calls())
        for path, number in calls.items():
            if path.startswith("network."):
                name = path.removeprefix("network.")
                names += [name] if number == 1 else [f"{name}@{k}" for k in range(number)]
    silence = torch.zeros(1, *model.signal_shape, dtype=model.dtype)
    table = plain_table("layer", "module", "shape", numbers=["units"])
    for name in dict.fromkeys(names):
        activation = record(model, silence, name)[name][0]
        shape = " × ".join(str(n) for n in activation.shape)
        table.add_row(name, model.tap(name).path, shape, f"{activation.numel():,}")
    print_table(table)
