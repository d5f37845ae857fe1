"""``audiometamer check-method``: how far a method is from equilibrium in a model."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from audiometamer.cli import options
from audiometamer.cli.printing import plain_table, print_table
from audiometamer.cli.progress import tracked
from audiometamer.io.names import as_output_folder
from audiometamer.io.resources import clips_folder
from audiometamer.models.inputs import read_clips

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiometamer.evaluation.method_check import Drift

_CLIPS = ("five_rms", "jarvis_slt", "nine_slt", "one_rms")  # of the shipped words


@click.command()
@click.argument("model_name", metavar="MODEL")
@click.argument("clips", nargs=-1, type=click.Path(path_type=Path))
@options.layers
@options.seeds
@options.method
@options.steps
@options.exact
@options.start
@options.duration
@options.device
@options.fitting_batch_size
@options.out("method-check")
@click.option("--overwrite", is_flag=True, help="Overwrite an existing table; metamers are kept in any case.")
def check_method(
    model_name: str, clips: tuple[Path, ...], layer_names: tuple[str, ...], seeds: tuple[int, ...], method: str,
    steps: int | None, exact: bool | None, start: float | None, duration: float | None, device: str,
    batch_size: int | None, out: Path, overwrite: bool,
) -> None:  # fmt: skip
    """Measure how far a method is from equilibrium: how much twice its steps change in metamers of MODEL.

    Metamers of CLIPS, by default four shipped words, are made with the method's steps and with twice as many. Compared are
    their similarity to the clip at the matched layer, at every earlier one and at the cochleagram, their level, power above
    4 kHz, long-term spectrum and modulation spectrum, with 95 % intervals over clips. MODEL is any that --model of synth takes.

    Finished metamers are kept, and unfinished ones are saved every five minutes: rerun the same command to resume.
    """
    from audiometamer.evaluation import method_check as checking

    table_file = as_output_folder(out) / checking.TABLE
    options.check_free(table_file, overwrite=overwrite)
    model = options.opened_model(model_name, device)
    layers = options.layers_of(model, layer_names or model.default_layers)
    recordings = clips or [clips_folder() / "words" / f"{name}.flac" for name in _CLIPS]
    natural = read_clips(model, recordings, start=start, length=duration)
    with tracked() as tracker:
        rows = checking.check_method(
            out,
            model,
            natural,
            layers,
            seed=seeds,
            progress=tracker,
            method=method,
            steps=steps,
            exact=exact,
            batch_size=batch_size,
        )
    _print_drift(rows)
    click.echo(f"table: {table_file}   metamers: {out}")


def _print_drift(rows: "Sequence[Drift]") -> None:
    numbers = (f"{rows[0].steps} steps", f"{rows[0].more_steps} steps", "drift", "low", "high")
    table = plain_table("layer", "measured at", "measure", numbers=numbers)
    for row in rows:
        digits = 1 if row.measure.endswith("_db") else 3
        values = (row.value, row.more_value)
        changes = (row.drift, row.low, row.high)
        table.add_row(
            row.layer, row.measured_layer, row.measure, *(f"{value:.{digits}f}" for value in values),
            *(f"{value:+.{digits}f}" if value == value else "" for value in changes),
        )  # fmt: skip
    print_table(table)
    clear = sum(row.is_clear for row in rows)
    of = f"{clear} of {len(rows)} measures drift: the 95 % interval over {rows[0].clips} clips does not contain 0"
    click.echo(of if rows[0].clips > 1 else "a single clip has no intervals: give several")
