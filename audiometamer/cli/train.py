"""``audiometamer train``: train a recipe's network."""

import os
from pathlib import Path

import click

from audiometamer.cli import options
from audiometamer.cli.accuracy import print_card
from audiometamer.cli.progress import tracked
from audiometamer.models.cards import read_card
from audiometamer.training.recipe_files import find_recipe, shipped_recipes


def _one_core_is_left() -> int:
    return max((os.cpu_count() or 1) - 1, 1)


@click.command(
    epilog="On several accelerators or machines: torchrun --nproc-per-node N -m audiometamer train … "
    f"Recipes with the published settings: {', '.join(shipped_recipes())}."
)
@click.argument("recipe")
@options.data
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the new model.")
@options.device
@click.option(
    "--workers",
    type=click.IntRange(0),
    default=_one_core_is_left,
    show_default="cores minus one",
    help="Number of processes that prepare batches.",
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that recipes with cached_epochs keep cochleagrams in, and can share.  [default: in OUT, deleted at the end]",
)
def train(recipe: str, data: tuple[str, ...], out: Path, device: str, workers: int, cache: Path | None) -> None:
    """Train the network of a RECIPE, a TOML file or the name of a shipped one.

    After an interruption, rerun the same command to resume.
    """
    from audiometamer.training.distributed import is_first_process
    from audiometamer.training.train import train as train_model

    with tracked() as tracker:
        folder = train_model(
            find_recipe(recipe), data, out, device=device, workers=workers, cache=cache, progress=tracker, notify=click.echo
        )
    if not is_first_process():
        return
    print_card(read_card(folder))
    click.echo(f"trained: {folder}")
