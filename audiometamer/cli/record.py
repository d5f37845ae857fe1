"""``audiometamer record``: write the activations of a clip to a file."""

from pathlib import Path

import click

from audiometamer.cli import options
from audiometamer.models.inputs import read_clips


@click.command()
@click.argument("clip", type=click.Path(path_type=Path))
@options.model
@options.layers
@options.start
@options.duration
@options.device
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Safetensors file to write, with a tensor for each layer."
)
@click.option("--overwrite", is_flag=True, help="Overwrite an existing file.")
def record(
    clip: Path,
    model_name: str,
    layer_names: tuple[str, ...],
    start: float | None,
    duration: float | None,
    device: str,
    out: Path,
    overwrite: bool,
) -> None:
    """Write the activations of a recording or photograph, CLIP.

    The file, edited as you like, can be the target of `synth --target`.
    """
    import torch

    from audiometamer.metamers import hearing
    from audiometamer.metamers.targets import save_activations
    from audiometamer.models.recording import record as record_activations

    options.check_free(out, overwrite=overwrite)
    model = options.opened_model(model_name, device)
    (natural,) = read_clips(model, [clip], start=start, length=duration)
    hearing.warn_of_doubts(model, natural)
    signal = natural.samples.to(dtype=model.dtype, device=model.device).view(1, *model.signal_shape)
    layers = options.layers_of(model, layer_names)
    with torch.no_grad():
        activations = {layer: a[0] for layer, a in record_activations(model, signal, layers).items()}
    save_activations(out, activations)
    for layer, activation in activations.items():
        click.echo(f"{layer}: {' × '.join(map(str, activation.shape))}")
    click.echo(f"activations: {out}")
