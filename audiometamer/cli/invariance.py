"""``audiometamer invariance``: the invariance of a model's layers to small changes of a sound."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Column

from audiometamer.cli import options
from audiometamer.cli.printing import plain_table, print_table
from audiometamer.cli.progress import tracked
from audiometamer.errors import AudioMetamerError
from audiometamer.io.names import as_output_folder
from audiometamer.models.inputs import read_clips

if TYPE_CHECKING:
    from torch import Tensor

    from audiometamer.distortions.invariance import Invariance
    from audiometamer.models.model import Model

_DTYPES = ("float64", "float32")


@click.command()
@click.argument("sounds", nargs=-1, required=True, type=click.Path(path_type=Path))
@options.model
@options.layers
@click.option(
    "--probes", type=click.IntRange(1), default=32, show_default=True, help="Number of singular values to find if not all."
)
@click.option(
    "--exact-up-to",
    type=click.IntRange(0),
    default=512,
    show_default=True,
    help="Maximum number of active units for which all singular values are computed.",
)
@click.option("--seed", type=options.SEED, default=0, show_default=True, help="Random seed of the probes.")
@click.option(
    "--dtype",
    type=click.Choice(_DTYPES),
    default="float64",
    show_default=True,
    help="Floating-point type of the model.",
)
@options.device
@options.batch_size
@options.out("invariance")
@click.option("--overwrite", is_flag=True, help="Overwrite existing results.")
def invariance(
    sounds: tuple[Path, ...], model_name: str, layer_names: tuple[str, ...], probes: int, exact_up_to: int, seed: int, dtype: str,
    device: str, batch_size: int, out: Path, overwrite: bool,
) -> None:  # fmt: skip
    """Measure the invariance of a model's layers to small changes of SOUNDS: recordings, or metamers with their originals.

    A metamer is a file with its record (.json) beside it, as `synth` writes them.
    """
    import torch

    from audiometamer.distortions.invariance import Invariance, draw_curves, measure_invariance, write_table

    table_file = as_output_folder(out) / "invariance.tsv"
    options.check_free(table_file, overwrite=overwrite)
    model = options.opened_model(model_name, device).to(getattr(torch, dtype))
    layers = options.layers_of(model, layer_names)
    for layer in layers:
        model.tap(layer)
    signals = {name: signal for path in sounds for name, signal in _signals(model, path).items()}
    measured: dict[str, list[Invariance]] = {name: [] for name in signals}
    with tracked() as tracker:
        todo = [(name, layer) for layer in layers for name in signals]
        for done, (name, layer) in enumerate(todo):
            tracker(done / len(todo), f"{layer}: {name}")
            measured[name].append(
                measure_invariance(
                    model, signals[name], layer, probes=probes, exact_up_to=exact_up_to, batch_size=batch_size, seed=seed
                )
            )
        tracker(1.0, "done")
    write_table(table_file, measured)
    draw_curves(out / "invariance.png", measured)
    _print_measured(measured)
    click.echo(f"table: {table_file}   curves: {out / 'invariance.png'}")


def _signals(model: "Model", path: Path) -> "dict[str, Tensor]":
    """A recording as the model takes it, or a metamer's original and the metamer as it is."""
    from audiometamer.metamers.files import load_metamer
    from audiometamer.signals.audio import Clip

    if path.is_dir() or not path.with_suffix(".json").exists():
        (clip,) = read_clips(model, [path])
        return {clip.name: clip.samples}
    metamer = load_metamer(path)
    own = {f"{metamer.clip.name} {path.stem}": metamer.samples}
    if not isinstance(metamer.clip, Clip):  # made from activations, without an original
        return own
    if metamer.clip.sample_rate != model.sample_rate:
        raise AudioMetamerError(f"{path} is at {metamer.clip.sample_rate} Hz; {model.name} takes {model.sample_rate} Hz")
    return {metamer.clip.name: metamer.clip.samples} | own


def _print_measured(measured: "dict[str, list[Invariance]]") -> None:
    numbers = ("units", "metamer dimension", "largest σ", "effective rank", "log-volume", "inactive")
    table = plain_table(Column("sound", no_wrap=True), "layer", numbers=numbers)
    for sound, layers in measured.items():
        for found in layers:
            low, high = found.metamer_dimension
            share = found.inactive_share
            table.add_row(
                sound, found.layer, str(found.units), f"{low}" if low == high else f"{low} … {high}",
                f"{max(found.singular_values, default=0.0):.4g}", f"{found.effective_rank:.1f}", f"{found.log_volume:.1f}",
                "–" if share is None else f"{100 * share:.1f} %",
            )  # fmt: skip
    print_table(table)
    if any(not found.exact for layers in measured.values() for found in layers):
        click.echo("where the dimension is a range, effective rank and log-volume are of the largest singular values only")
