"""``audiometamer demo``: make metamers of a shipped clip."""

from pathlib import Path

import click

from audiometamer.cli import options
from audiometamer.cli.synth import synthesize_and_print
from audiometamer.io.resources import clips_folder
from audiometamer.models.inputs import read_clips

_CLIP = "words/jarvis_slt.flac"


@click.command()
@options.model_by_default("cochcnn-digits")  # small and fast
@options.device
@options.out("demo")
def demo(model_name: str, device: str, out: Path) -> None:
    """Make metamers of a shipped speech clip at every layer of a shipped network."""
    model = options.opened_model(model_name, device)
    synthesize_and_print(out, model, read_clips(model, [clips_folder() / _CLIP]), model.layers, batch_size=1)
