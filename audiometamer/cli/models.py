"""``audiometamer models`` and ``audiometamer layers``: the zoo, and the layers of a model."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import click

from audiometamer.cli import options
from audiometamer.cli.accuracy import print_card
from audiometamer.cli.printing import paragraph, plain_table, print_table
from audiometamer.errors import first_few
from audiometamer.io.files import json_text
from audiometamer.io.registry import distribution
from audiometamer.models.cards import Card, read_card
from audiometamer.models.shipped import UNTRAINED, card_folder, zoo

if TYPE_CHECKING:
    from audiometamer.models.layer_info import LayerInfo

_GROUPS = ("audiometamer.models", "audiometamer.front_ends", "audiometamer.networks")  # of entry points
_LISTED = 20  # labels of a model of which all are not asked for


@click.command()
@click.argument("names", metavar="[MODEL]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print the complete cards as JSON.")
def models(names: tuple[str, ...], as_json: bool) -> None:
    """List the models that come with audiometamer, or print the cards of MODELs.

    A card has every label of the vocabulary, the accuracy by condition and group of recordings, when a label is doubtful, the
    data, and the limits. A MODEL may also be a folder with a model.toml. The list ends with the names of models, front ends and
    networks that other installed packages register.
    """
    folders = {name: card_folder(name) for name in names or zoo()}
    cards = {name: read_card(folder) for name, folder in folders.items()}
    if as_json:
        click.echo(json_text(cards))
        return
    for name, card in cards.items():
        _print_summary(name, card, (folders[name] / card.weights.file).stat().st_size, most=len if names else lambda _: _LISTED)
        if names:
            _print_details(card)
        click.echo()
    if names:
        return
    click.echo(paragraph("`audiometamer models MODEL` prints a card whole, with every label.", indent=0))
    click.echo(paragraph(f"Statistics of sounds, without training: {', '.join(UNTRAINED)}.", indent=0))
    if found := list(_registered()):
        click.echo(f"Registered by other packages: {', '.join(found)}")


def _print_summary(name: str, card: Card, size: int, *, most: Callable[[list[str]], int]) -> None:
    quiet = [_in_quiet(task, scores["quiet"]) for task, scores in card.accuracy.items() if "quiet" in scores]
    click.secho(name, bold=True)
    click.echo(paragraph(f"{card.description} {size / 1e6:.1f} MB; correct in quiet: {', '.join(quiet) or 'not measured'}."))
    for task, labels in card.labels.items():
        click.echo(paragraph(f"{len(labels)} {task}s: {first_few(labels, most(labels))}"))
    for limit in card.limits:
        click.echo(paragraph(f"Limit: {limit}"))


def _in_quiet(task: str, score: Mapping[str, Any]) -> str:
    top = f" (among the first five {score['top_5']['percent']} %)" if "top_5" in score else ""
    return f"{task} {score['percent']} %{top}"


def _print_details(card: Card) -> None:
    for task, doubt in card.doubt.items():
        others = (
            f"; so do {100 - doubt.percent:.0f} % of {doubt.others} test clips of other {task}s"
            if doubt.percent is not None
            else ""
        )
        click.echo(paragraph(f"95 % of the {task}s that it labels correctly reach a probability of {doubt.below:.3f}{others}."))
    for name, about in card.data.items():
        click.echo(paragraph(f"Data: {name}: {about}"))
    if card.accuracy:
        click.echo()
        print_card(card)
    for task, table in card.accuracy_by_class.items():
        click.echo(f"by {task}: {table} beside the card")


def _registered() -> Iterator[str]:
    if not any(entry_points(group=group) for group in _GROUPS):
        return
    from audiometamer.ears.registry import FRONT_ENDS
    from audiometamer.models.loading import MODELS
    from audiometamer.networks.registry import NETWORKS

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


def _batch_elsewhere(named: "Mapping[str, LayerInfo]") -> list[tuple[int, str]]:
    return [(place.batch, name) for name, place in named.items() if place.batch and not place.left_out]
