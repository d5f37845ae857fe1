"""``audiometamer train``: train a recipe's network."""

from pathlib import Path

import click

from audiometamer.training.train import train as train_model


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--data",
    "folders",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="A folder with a clips.csv; may be given several times.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Becomes the model's folder.")
def train(recipe: Path, folders: tuple[Path, ...], out: Path) -> None:
    """Train the network of a RECIPE (TOML); goes on from the last epoch after an interruption."""
    folder = train_model(recipe, folders, out, log=lambda line: click.echo(line))
    click.echo(f"trained: {folder}")
