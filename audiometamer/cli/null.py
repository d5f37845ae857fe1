"""``audiometamer null``: the null distribution of random pairs of sounds."""

from pathlib import Path

import click

from audiometamer.cli import options
from audiometamer.cli.printing import plain_table, print_table
from audiometamer.cli.progress import tracked
from audiometamer.errors import pluralize
from audiometamer.io.files import check_writable
from audiometamer.metamers.verdicts import PAIRS

_INFINITE = 1e9  # dB: beyond it, pairs are equal or all zeros


@click.command()
@click.argument("sounds", nargs=-1, required=True, type=click.Path(path_type=Path))
@options.model
@options.layers
@click.option(
    "--pairs",
    type=click.IntRange(1),
    default=PAIRS,
    show_default=True,
    help="Minimum number of random pairs, if there are enough sounds.",
)
@click.option("--seed", type=options.SEED, default=0, show_default=True, help="Random seed of the selection of sounds.")
@click.option(
    "--memory", type=options.Number(0, 1e6, min_open=True), default=1.0, show_default=True, help="Memory for activations in GB."
)
@options.device
@options.batch_size
@click.option("--out", type=click.Path(path_type=Path), default=Path("null.json"), show_default=True, help="File to write.")
@click.option("--overwrite", is_flag=True, help="Overwrite an existing file.")
def null(
    sounds: tuple[Path, ...], model_name: str, layer_names: tuple[str, ...], pairs: int, seed: int, memory: float, device: str,
    batch_size: int, out: Path, overwrite: bool,
) -> None:  # fmt: skip
    """Compare random pairs of natural SOUNDS or images (files, or folders of them) at layers of a model.

    Recordings longer than the model's duration give several consecutive sounds. Pass the file to `synth --null`, or put it into
    the model's folder as null.json, where it is found without an option.
    """
    from audiometamer.metamers.criteria import METRICS
    from audiometamer.metamers.null_sounds import null_of_sounds

    options.check_free(out, overwrite=overwrite)
    check_writable(out)
    model = options.opened_model(model_name, device)
    with tracked() as tracker:
        distribution = null_of_sounds(
            model, sounds, layers=options.split_names(layer_names) or None, pairs=pairs, seed=seed, batch_size=batch_size,
            memory=memory * 1e9, progress=tracker,
        )  # fmt: skip
    distribution.save(out)
    table = plain_table("layer", *(f"largest {metric}" for metric in METRICS))
    for layer, metrics in distribution.layers.items():
        largest = (metrics[metric].maximum for metric in METRICS)
        table.add_row(layer, *map(_format, largest))
    print_table(table)
    click.echo(f"{pluralize(distribution.pairs, 'pair')} of {pluralize(distribution.sounds, 'sound')}: {out}")


def _format(value: float) -> str:
    return f"{value:.4f}" if abs(value) < _INFINITE else "∞" if value > 0 else "−∞"
