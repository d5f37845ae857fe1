"""``audiometamer demo``: metamers of a shipped clip."""

from pathlib import Path

import click

from audiometamer.cli import options
from audiometamer.cli.synth import make
from audiometamer.io.resources import clips_folder
from audiometamer.models.inputs import read_clips

_CLIP = "words/jarvis_slt.flac"


@click.command()
@options.model
@options.device
@options.out("demo")
def demo(model_name: str, device: str, out: Path) -> None:
    """Make metamers of a shipped speech clip at every layer of a shipped network."""
    model = options.opened_model(model_name, device)
    make(
        model, read_clips(model, [clips_folder() / _CLIP]),
        layers=model.layers, seeds=[0], method="default", steps=None, batch_size=1, null=None, out=out, overwrite=False,
    )  # fmt: skip
