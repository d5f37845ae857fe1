"""``audiometamer explore``: dimensions of a network's layers, signals moved along them, and listeners who hear these."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audiometamer.cli import options, slurm
from audiometamer.cli.explore_analysis import analyse
from audiometamer.cli.explore_listeners import build, rehearse, serve
from audiometamer.cli.groups import Group
from audiometamer.cli.plan import plan_file
from audiometamer.cli.printing import plain_table, print_table
from audiometamer.cli.progress import tracked
from audiometamer.errors import AudioMetamerError, pluralize
from audiometamer.io.names import as_output_folder

if TYPE_CHECKING:
    from audiometamer.dimensions.calibration import CalibrationRow
    from audiometamer.dimensions.dimensions import Dimensions

_path = click.Path(path_type=Path)
_number = click.option(
    "--signals-at-most", "number", type=click.IntRange(1), help="Use a random sample of at most this many signals."
)
_seed = click.option("--seed", type=options.SEED, default=0, show_default=True, help="Random seed.")


@click.group(
    cls=Group,
    headings={
        "Find and move": ("dimensions", "catalogue", "ladder", "submit"),
        "Listen": ("build", "rehearse", "serve"),
        "Analyse": ("analyse",),
    },
)  # fmt: skip
def explore() -> None:
    """Along which dimensions of a layer can signals be moved, and how far, before a listener notices?"""


for _command in (build, rehearse, serve, analyse):
    explore.add_command(_command)


@explore.command()
@click.argument("bank", nargs=-1, required=True, type=_path)
@options.model
@options.layers
@click.option(
    "--method", type=click.Choice(("ica", "pca")), default="ica", show_default=True,
    help="Independent or principal components.",
)  # fmt: skip
@click.option(
    "--components", type=click.IntRange(1), default=100, show_default=True,
    help="Number of components to look for; a small bank has fewer.",
)  # fmt: skip
@click.option("--kept", type=click.IntRange(1), default=10, show_default=True, help="Number of strongest components to keep.")
@click.option("--average-frequency", is_flag=True, help="Average Gram matrices over frequency as over time.")
@_number
@_seed
@click.option(
    "--memory", type=options.Number(0, 1e6, min_open=True), default=1.0, show_default=True,
    help="GB of Gram matrices kept in memory.",
)  # fmt: skip
@options.device
@options.batch_size
@options.out("dimensions")
def dimensions(
    bank: tuple[Path, ...], model_name: str, layer_names: tuple[str, ...], average_frequency: bool, number: int | None,
    memory: float, device: str, batch_size: int, out: Path, **chosen: Any,
) -> None:  # fmt: skip
    """Find dimensions of layers of a model over BANK: natural sounds or photographs, their folders, or tables with a column path.

    Recordings that are longer than the model takes give several sounds. Writes a folder for each layer into --out as soon as its
    dimensions are found: rerun the same command to resume.
    """
    from audiometamer.dimensions.dimensions import folder_of_layer
    from audiometamer.dimensions.dimensions_folder import find_dimensions_into
    from audiometamer.dimensions.finding import ComponentSettings
    from audiometamer.dimensions.sampling import sample_excerpts

    model = options.opened_model(model_name, device)
    layers = options.layers_of(model, layer_names)
    for layer in layers:
        model.tap(layer)
    settings = ComponentSettings(keep_frequency=False if average_frequency else None, **chosen)
    excerpts = sample_excerpts(model, bank, number=number, seed=settings.seed)
    folder = as_output_folder(out)
    present = [layer for layer in layers if folder_of_layer(folder, layer).exists()]
    with tracked() as tracker:
        found = find_dimensions_into(
            folder, model, excerpts, layers, settings, batch_size=batch_size, memory=memory * 1e9,
            progress=lambda done: tracker(done / len(excerpts), f"{done} of {len(excerpts)} signals"),
        )  # fmt: skip
    if present:
        click.echo(f"already found: {', '.join(present)}")
    _print_dimensions(list(found.values()))
    click.echo(f"{len(excerpts)} signals: {out}")


def _print_dimensions(found: "Sequence[Dimensions]") -> None:
    table = plain_table("layer", numbers=("Gram matrix", "found", "variance of all", "kept", "variance of each"))
    for each in found:
        record, side = each.record, each.directions.shape[1]
        shares = " ".join(f"{100 * share:.1f}" for share in record.explained)
        table.add_row(
            record.layer,
            f"{side} × {side}",
            str(record.components),
            f"{100 * record.explained_by_all:.1f} %",
            str(len(each)),
            f"{shares} %",
        )
    print_table(table)


@explore.command()
@click.argument("signals", nargs=-1, required=True, type=_path)
@options.model
@click.option(
    "--dimensions", "folder", type=_path, default=Path("dimensions"), show_default=True,
    help="Folder written by `explore dimensions`.",
)  # fmt: skip
@click.option(
    "--choose", "names", multiple=True, metavar="LAYER/COMPONENT,…",
    help="Components to move along; one side alone: relu2/3/+; default: the strongest.",
)  # fmt: skip
@click.option(
    "--strongest", type=click.IntRange(1), default=3, show_default=True,
    help="Number of components of each layer, unless --choose names them.",
)  # fmt: skip
@click.option(
    "--changes", metavar="A,B,…", help="How far, in standard deviations of natural signals, to either side.  [default: 1,2]"
)
@click.option("--coordinates", metavar="A,B,…", help="Where to, instead of how far: the same coordinates for all, as in -2,0,2.")
@_number
@_seed
@click.option(
    "--method", type=click.Choice(("default", "adam")), default="default", show_default=True, help="How signals are moved."
)
@click.option("--steps", type=click.IntRange(1), default=50, show_default=True, help="Optimisation steps.")
@options.device
@options.batch_size
@options.out("catalogue")
@click.option("--overwrite", is_flag=True, help="Replace an existing catalogue with all its files.")
def catalogue(
    signals: tuple[Path, ...], model_name: str, folder: Path, names: tuple[str, ...], strongest: int, number: int | None,
    seed: int, device: str, out: Path, overwrite: bool, **moving: Any,
) -> None:  # fmt: skip
    """Move SIGNALS along dimensions by a few changes, or to a few coordinates, to hear and to see what the dimensions are.

    Writes files, moves.tsv, and pictures into --out.
    """
    from audiometamer.dimensions.calibration import calibrate
    from audiometamer.dimensions.catalogue import check_replaceable, make_catalogue
    from audiometamer.dimensions.dimensions import chosen_dimensions, load_all
    from audiometamer.dimensions.moving_to import calibrate_coordinates
    from audiometamer.dimensions.sampling import sample_excerpts
    from audiometamer.models.excerpts import read_excerpts

    options.check_free(as_output_folder(out) / "moves.tsv", overwrite=overwrite)
    check_replaceable(out)
    places = _places(moving.pop("changes"), moving.pop("coordinates"), options.split_names(names))
    model = options.opened_model(model_name, device)
    along = load_all(folder)
    for found in along.values():
        found.check(model)
    chosen = chosen_dimensions(along, options.split_names(names), strongest=strongest)
    clips = read_excerpts(model, sample_excerpts(model, signals, number=number, seed=seed))
    with tracked() as tracker:
        made = make_catalogue(
            model, along, list(clips), chosen, out, overwrite=overwrite, **places, **moving,
            progress=lambda done, total: tracker(done / total, f"{done} of {total} moved signals"),
        )  # fmt: skip
    has_coordinates = "coordinates" in places
    _print_calibration(calibrate_coordinates(made.moved) if has_coordinates else calibrate(each.record for each in made.moved))
    click.echo(f"table: {out / 'moves.tsv'}   pictures: {', '.join(picture.name for picture in made.pictures)}")


def _places(changes: str | None, coordinates: str | None, names: Sequence[str]) -> dict[str, Any]:
    """The changes or the coordinates, as an argument of `make_catalogue`."""
    if changes is not None and coordinates is not None:
        raise AudioMetamerError(f"--changes is {changes!r} and --coordinates is {coordinates!r}; give one of them")
    if coordinates is None:
        return {"changes": _numbers("1,2" if changes is None else changes, option="--changes")}
    if sided := [name for name in names if name.endswith(("/+", "/-"))]:
        raise AudioMetamerError(f"--choose is {sided[0]!r}; with --coordinates, which are on both sides, it is {sided[0][:-2]!r}")
    return {"coordinates": _numbers(coordinates, option="--coordinates")}


def _numbers(text: str, *, option: str) -> list[float]:
    """The numbers of an option, each once to six digits, as files are named."""
    try:
        numbers = list({f"{float(number):g}": float(number) for number in text.split(",") if number}.values())
    except ValueError as error:
        raise AudioMetamerError(f"{option} is {text!r}; it takes numbers with commas, as in 0.5,1,2") from error
    if not numbers:
        raise AudioMetamerError(f"{option} is {text!r}: there is nothing to move")
    return numbers


def _print_calibration(rows: "Sequence[CalibrationRow]") -> None:
    table = plain_table("dimension", numbers=("requested", "reached", "from", "to", "leakage", "SNR (dB)", "modulation"))
    for row in rows:
        table.add_row(
            row.dimension, f"{row.requested:g}", f"{row.reached:.3f}", f"{row.reached_low:.3f}", f"{row.reached_high:.3f}",
            f"{row.leakage:.3f}", f"{row.snr_db:.1f}", f"{row.modulation:.3f}",
        )  # fmt: skip
    print_table(table)


@explore.command()
@plan_file
@options.device
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Number of processes on this machine.")
def ladder(path: Path, device: str, workers: int) -> None:
    """Make the moved signals of PLAN that do not exist yet: what listeners will hear.

    What is finished is kept: rerun the same command to resume. Several runs share the work. Each ends with moves.tsv, a row for
    each signal, and calibration.tsv, what each requested change along each dimension came to.
    """
    from audiometamer.dimensions.calibration import calibrate
    from audiometamer.dimensions.ladder_plan import read_ladder_plan
    from audiometamer.dimensions.ladder_run import run_ladder

    with tracked() as tracker:
        made, failed = run_ladder(path, read_ladder_plan(path), device=device, workers=workers, progress=tracker)
    _print_calibration(calibrate(stimulus.record for stimulus in made.all))
    for failure in failed[:10]:
        click.echo(f"{failure.reference} along {failure.dimension} by {failure.change:g}: {failure.message}")
    if len(failed) > 10:
        click.echo(f"and {len(failed) - 10} more could not be made")
    references = {stimulus.record.clip for stimulus in made.all}
    click.echo(
        f"{pluralize(len(made.all), 'moved signal')} in {made.folder}: {pluralize(len(made.dimensions), 'dimension')}, "
        f"{pluralize(len(references), 'reference')}; {len(failed)} could not be made"
    )


@explore.command(name="submit")
@plan_file
@slurm.options
def submit_ladder(path: Path, **resources: Any) -> None:
    """Make the ladder of PLAN on a Slurm cluster: write an array script beside it, and submit it."""
    from audiometamer.dimensions.ladder_plan import planned_ladder, read_ladder_plan

    planned_ladder(path, read_ladder_plan(path))  # faults are reported here rather than in a log
    slurm.submit(path, command="explore ladder", **resources)
