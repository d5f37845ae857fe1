"""``audiometamer models`` and ``audiometamer layers``: what there is."""

from collections import Counter

import click
import torch

from audiometamer.cards import read_card
from audiometamer.cli import options
from audiometamer.cli.printing import plain_table, print_table
from audiometamer.loading import zoo
from audiometamer.models import record
from audiometamer.resources import zoo_folder


@click.command()
def models() -> None:
    """List the models that come with audiometamer."""
    table = plain_table("name", "network", "classes", "right in quiet", "MB", "what it is")
    for name in zoo():
        folder = zoo_folder() / name
        card = read_card(folder)
        quiet = [f"{task} {scores['quiet']['percent']} %" for task, scores in card.accuracy.items() if "quiet" in scores]
        table.add_row(
            name, card.network.name, ", ".join(f"{len(v)} {task}s" for task, v in card.labels.items()),
            ", ".join(quiet), f"{(folder / card.weights.file).stat().st_size / 1e6:.1f}",
            card.description,
        )  # fmt: skip
    print_table(table)


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
