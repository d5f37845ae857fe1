"""``audiometamer import-checkpoint``: make a model from a published checkpoint."""

import shlex
from pathlib import Path

import click

from audiometamer.io.label_files import read_label_file
from audiometamer.models.published import ALIASES, NETWORKS


@click.command("import-checkpoint")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--network", type=click.Choice([*NETWORKS, *ALIASES]), required=True, metavar="NAME",
    help=f"{', '.join(NETWORKS)}; or the name in the published code: {', '.join(ALIASES)}.",
)  # fmt: skip
@click.option(
    "--labels", "labels_file", type=click.Path(path_type=Path), required=True,
    help="Names of the classes in order: a text file with one per line; a CSV with a column for each task; a TOML or JSON "
    "file with a list for each task; or the published label file (.pckl), from which only plain values are read.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the new model.")
@click.option("--trust", is_flag=True, help="Read the file even if it runs code; only for files from a source that you trust.")
def import_checkpoint(file: Path, network: str, labels_file: Path, out: Path, trust: bool) -> None:
    """Make a model's folder from FILE, a checkpoint of Feather et al. (2023), or any state dict of one of these networks."""
    from audiometamer.models import published_checkpoints

    published_checkpoints.import_checkpoint(file, network=network, labels=read_label_file(labels_file), out=out, trust=trust)
    folder = shlex.quote(str(out))
    click.echo(f"{out} is a model: audiometamer synth MY.wav --model {folder}")
    click.echo(
        "note: it has no null distribution, which verdicts need; measure one on natural sounds: "
        f"audiometamer null SOUNDS --model {folder} --out {shlex.quote(str(out / 'null.json'))}",
        err=True,
    )
