"""``audiometamer models`` and ``audiometamer layers``: the zoo, and the layers of a model."""

import itertools
import math
from collections.abc import Iterator, Mapping

import click

from audiometamer.cli import options
from audiometamer.cli.printing import paragraph, plain_table, print_table
from audiometamer.ears.registry import FRONT_ENDS
from audiometamer.io.files import json_text
from audiometamer.io.registry import distribution
from audiometamer.io.resources import zoo_folder
from audiometamer.models.cards import read_card
from audiometamer.models.layer_info import LayerInfo
from audiometamer.models.loading import MODELS, zoo
from audiometamer.networks.registry import NETWORKS


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the complete cards as JSON.")
def models(as_json: bool) -> None:
    """List the models that come with audiometamer, with their vocabularies and limits.

    The names of models, front ends and networks that other installed packages register follow.
    """
    cards = {name: read_card(zoo_folder() / name) for name in zoo()}
    if as_json:
        click.echo(json_text(cards))
        return
    for name, card in cards.items():
        quiet = [f"{task} {scores['quiet']['percent']} %" for task, scores in card.accuracy.items() if "quiet" in scores]
        size = (zoo_folder() / name / card.weights.file).stat().st_size / 1e6
        click.secho(name, bold=True)
        click.echo(paragraph(f"{card.description} {size:.1f} MB; correct in quiet: {', '.join(quiet) or 'not measured'}."))
        for task, labels in card.labels.items():
            click.echo(paragraph(f"{len(labels)} {task}s: {', '.join(labels)}"))
        for limit in card.limits:
            click.echo(paragraph(f"Limit: {limit}"))
        click.echo()
    if found := list(_registered()):
        click.echo(f"Registered by other packages: {', '.join(found)}")


def _registered() -> Iterator[str]:
    for registry in (MODELS, FRONT_ENDS, NETWORKS):
        for name, entry in registry.registered().items():
            yield f"{registry.kind} {name} ({distribution(entry)})"


@click.command()
@click.argument("model_name", metavar="MODEL", default=options.DEFAULT_MODEL)
@click.option("--all", "every", is_flag=True, help="List every module, not only the layers that the model names.")
def layers(model_name: str, every: bool) -> None:
    """List the layers of a MODEL: names, shapes and numbers of units, and the reason why a layer cannot be matched."""
    model = options.opened_model(model_name, "cpu")
    named = model.layer_info() | (model.layer_info(every=True) if every else {})
    table = plain_table("layer", "module", "shape", numbers=["units"])
    for name, place in named.items():
        if not place.left_out:
            shape = " × ".join(str(n) for n in place.shape)
            table.add_row(name, place.tap.path, shape, f"{math.prod(place.shape):,}")
    print_table(table)
    for dimension, several in itertools.groupby(sorted(_batch_elsewhere(named)), key=lambda found: found[0]):
        names = ", ".join(name for _, name in several)
        click.echo(f"batch in dimension {dimension} (counted from 0), moved to the front: {names}")
    left_out = {name: place.left_out for name, place in named.items() if place.left_out}
    if left_out:
        click.echo(f"{len(left_out)} left out:")
    for name, reason in left_out.items():
        click.echo(f"  {name} {reason}")


def _batch_elsewhere(named: Mapping[str, LayerInfo]) -> list[tuple[int, str]]:
    return [(place.batch, name) for name, place in named.items() if place.batch and not place.left_out]
