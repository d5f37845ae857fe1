"""``audiometamer import-checkpoint``: a published checkpoint becomes a model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from audiometamer import checkpoints
from audiometamer.errors import AudioMetamerError


@click.command("import-checkpoint")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--network", type=click.Choice(list(checkpoints.NETWORKS)), required=True)
@click.option(
    "--labels", "labels_file", type=click.Path(path_type=Path), required=True,
    help="Names of the classes in order: a text file with one on each line, or, for several tasks, a TOML or JSON file with a "
    "list for each.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the new model.")
@click.option("--trust", is_flag=True, help="Read the file even if it runs programs of its own; for makers that you trust.")
def import_checkpoint(file: Path, network: str, labels_file: Path, out: Path, trust: bool) -> None:
    """Make a model's folder from FILE, a checkpoint of Feather et al. (2023), or any state dict of one of these networks."""
    checkpoints.import_checkpoint(file, network=network, labels=read_labels(labels_file), out=out, trust=trust)
    click.echo(f"{out} is a model: audiometamer synth MY.wav --model {out}")


def read_labels(path: Path) -> dict[str, list[str]]:
    """Names of classes by task."""
    decoders: dict[str, Callable[[bytes], Any]] = {".toml": msgspec.toml.decode, ".json": msgspec.json.decode}
    try:
        text = path.read_text(encoding="utf-8")
        if decode := decoders.get(path.suffix):
            return msgspec.convert(decode(text.encode()), dict[str, list[str]])
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError, ValueError) as error:
        raise AudioMetamerError(f"{path} is not a list of labels: {error}") from error
    return {"word": text.splitlines()}
