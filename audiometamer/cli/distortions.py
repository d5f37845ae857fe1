"""``audiometamer distortions``: what a model notices most and least, what tells models apart, and scales along a path."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from rich.table import Column

from audiometamer.cli import options
from audiometamer.cli.groups import Group
from audiometamer.cli.printing import plain_table, print_table
from audiometamer.cli.progress import tracked
from audiometamer.errors import AudioMetamerError
from audiometamer.io.names import as_output_folder
from audiometamer.models.inputs import read_clips

if TYPE_CHECKING:
    from torch import Tensor

    from audiometamer.distortions.principal import PrincipalDistortions
    from audiometamer.distortions.scales import PerceptualScale
    from audiometamer.distortions.spaces import Space, SpaceName
    from audiometamer.distortions.study import Study
    from audiometamer.models.model import Model

_path = click.Path(path_type=Path)
_DTYPES = ("float64", "float32")
_SPACES = ("all", "level", "envelope", "cochlea", "band")
_PATHS = ("sounds", "crossfade", "depth", "slope", "bands")
_dtype = click.option(
    "--dtype", type=click.Choice(_DTYPES), default="float64", show_default=True, help="Floating-point type of the models."
)
_seed = click.option("--seed", type=options.SEED, default=0, show_default=True, help="Random seed of the starts.")
_overwrite = click.option("--overwrite", is_flag=True, help="Overwrite existing results.")
_level = click.option(
    "--level", type=options.Number(), default=-20.0, show_default=True, help="RMS of the distortions in dB re the sound."
)


class _Space(msgspec.Struct):
    """The options of the space of changes."""

    space: "SpaceName"
    band: tuple[float, float] | None
    bands: int

    def of(self, model: "Model", signal: "Tensor") -> "Space":
        """The space at a signal of a model."""
        from audiometamer.distortions.spaces import space_named

        return space_named(self.space, signal, sample_rate=model.sample_rate, band=self.band, bands=self.bands)


_space = options.gathered(
    "allowed", _Space,
    click.option(
        "--space", type=click.Choice(_SPACES), default="all", show_default=True,
        help="Allowed changes: all; that keep the level; that follow the sound's envelope; of the level and phase of cochlear "
        "bands; within a frequency band.",
    ),
    click.option("--band", type=(float, float), metavar="LOW HIGH", help="Edges in Hz of --space band."),
    click.option(
        "--bands", type=click.IntRange(2), default=30, show_default=True, help="Number of bands of --space cochlea."
    ),
)  # fmt: skip


@click.group(cls=Group)
def distortions() -> None:
    """Which small changes of a sound does a model notice most and least, and about which do models disagree?"""


@distortions.command()
@click.argument("sounds", nargs=-1, required=True, type=_path)
@options.model
@options.layers
@click.option("--number", type=click.IntRange(1), default=1, show_default=True, help="Distortions at each end.")
@_space
@click.option(
    "--criterion", metavar="LAYER",
    help="Layer that notices most what the other does not notice at all; default: the front end's output.",
)  # fmt: skip
@_level
@click.option(
    "--steps", type=click.IntRange(0), default=50, show_default=True, help="Iterations of the search at that level; 0: none."
)
@click.option(
    "--exact-up-to", type=click.IntRange(0), default=512, show_default=True,
    help="Maximum number of active units, or dimensions, for exact results.",
)  # fmt: skip
@click.option(
    "--iterations", type=click.IntRange(1), default=500, show_default=True, help="Iterations where results are not exact."
)
@_seed
@_dtype
@options.device
@options.batch_size
@options.out("distortions")
@_overwrite
def eigen(
    sounds: tuple[Path, ...], model_name: str, layer_names: tuple[str, ...], number: int, allowed: _Space, criterion: str | None,
    level: float, steps: int, exact_up_to: int, iterations: int, seed: int, dtype: str, device: str, batch_size: int, out: Path,
    overwrite: bool,
) -> None:  # fmt: skip
    """Find the changes of SOUNDS that a layer notices most and least: eigendistortions, and those extreme at a level.

    Written: the sounds with each change at --level, how far each change moves the layer at other levels, and a figure.
    """
    from audiometamer.distortions.study import study, write_studies

    options.check_free(as_output_folder(out) / "eigendistortions.tsv", overwrite=overwrite)
    (model,) = _opened([model_name], device, dtype)
    layers = options.layers_of(model, layer_names)
    for layer in layers:
        model.tap(layer)
    signals = {clip.name: clip.samples for clip in read_clips(model, sounds)}
    todo = [(name, layer) for name in signals for layer in layers]
    studies = []
    with tracked() as tracker:
        for done, (name, layer) in enumerate(todo):
            tracker(done / len(todo), f"{layer}: {name}")
            studies.append(
                study(
                    model, name, signals[name].to(dtype=model.dtype), layer, n=number, space=allowed.of(model, signals[name]),
                    criterion=criterion, level=level, steps=steps, exact_up_to=exact_up_to, iterations=iterations,
                    batch_size=batch_size, seed=seed,
                )
            )  # fmt: skip
        tracker(1.0, "done")
    written = write_studies(out, studies, sample_rate=model.sample_rate)
    _print_studies(studies)
    click.echo(f"table: {written[0]}   curves: {written[1]}")


def _print_studies(studies: "list[Study]") -> None:
    numbers = ("null space", "λ most", "λ least", "residuals", "linear to, dB", "moved by most", "least", "finite most", "least")
    table = plain_table(Column("sound", no_wrap=True), "layer", numbers=numbers)
    for study in studies:
        found, index = study.eigen, study.curves["most"][0].levels.index(study.level)
        low, high = found.null_dimension
        most, least = (study.curves[end][0] for end in ("most", "least"))
        linear = most.linear_range
        finite = study.finite and (f"{study.finite.most_distance:.4g}", f"{study.finite.least_distance:.4g}")
        table.add_row(
            study.sound, found.layer, f"{low}" if low == high else f"{low} … {high}", f"{found.top_eigenvalues[0]:.4g}",
            f"{found.bottom_eigenvalues[0]:.4g}", f"{found.top_residuals[0]:.1g}, {found.bottom_residuals[0]:.1g}",
            f"{linear[1]:g}" if linear else "–", f"{most.distances[index]:.4g}", f"{least.distances[index]:.4g}",
            *(finite or ("–", "–")),
        )  # fmt: skip
    print_table(table)
    for criterion in dict.fromkeys(study.eigen.criterion for study in studies if study.eigen.criterion):
        click.echo(f"where there is a null space, the least noticeable is in it: {criterion}")


@distortions.command()
@click.argument("sound", type=_path)
@click.option(
    "--model", "pairs", multiple=True, required=True, type=(str, str), metavar="MODEL LAYER",
    help="A model and its layer; given two or more times.",
)  # fmt: skip
@_space
@click.option(
    "--ridge", type=options.Number(0, 1, max_open=True), default=1e-3, show_default=True,
    help="Multiple of the identity added to each Fisher matrix, as a fraction of its largest eigenvalue.",
)  # fmt: skip
@click.option("--starts", type=click.IntRange(1), default=4, show_default=True, help="Random starts for more than two models.")
@click.option("--steps", type=click.IntRange(1), default=500, show_default=True, help="Iterations from each.")
@_level
@_seed
@_dtype
@options.device
@options.batch_size
@options.out("distortions")
@_overwrite
def principal(
    sound: Path, pairs: tuple[tuple[str, str], ...], allowed: _Space, ridge: float, starts: int, steps: int, level: float,
    seed: int, dtype: str, device: str, batch_size: int, out: Path, overwrite: bool,
) -> None:  # fmt: skip
    """Find the two changes of SOUND about which models disagree most: principal distortions."""
    from audiometamer.distortions.principal import principal_distortions, write_principal

    table_file = as_output_folder(out) / "principal.tsv"
    options.check_free(table_file, overwrite=overwrite)
    models = _opened([name for name, _ in pairs], device, dtype)
    layers = [model.canonical(layer) for model, (_, layer) in zip(models, pairs, strict=True)]
    (clip,) = read_clips(models[0], [sound])
    space = allowed.of(models[0], clip.samples)
    found = principal_distortions(
        models, clip.samples, layers, space=space, ridge=ridge, starts=starts, steps=steps, batch_size=batch_size, seed=seed
    )
    write_principal(out, clip.samples, found, level=level, sample_rate=models[0].sample_rate)
    _print_principal(found)
    click.echo(f"table: {table_file}   sounds: {out / 'first.wav'}, {out / 'second.wav'}")


def _print_principal(found: "PrincipalDistortions") -> None:
    table = plain_table(Column("model", no_wrap=True), numbers=("threshold first", "second", "ratio", "added"))
    for k, (name, added) in enumerate(zip(found.layers, found.added, strict=True)):
        first, second = found.thresholds[:, k].tolist()
        table.add_row(name, f"{first:.4g}", f"{second:.4g}", f"{first / second:.4g}", f"{added:.3g}")
    print_table(table)
    how = "generalised eigenvectors" if found.exact else "the best of several searches"
    click.echo(f"disagreement {found.objective:.4g}: {how}, {found.space}")
    if found.singular:
        click.echo(f"regularised, since some changes are not noticed at all: {', '.join(found.singular)}")


@distortions.command()
@click.argument("sounds", nargs=-1, required=True, type=_path)
@click.option(
    "--model", "model_names", multiple=True, default=[options.DEFAULT_MODEL], show_default=True,
    help="A model; given several times: several, each with these layers.",
)  # fmt: skip
@options.layers
@click.option(
    "--path", "kind", type=click.Choice(_PATHS), default="sounds", show_default=True,
    help="The sounds themselves; a crossfade of two; one sound's depth of amplitude modulation at 4 Hz, its spectral slope in dB "
    "per octave, or its number of vocoder bands.",
)  # fmt: skip
@click.option("--values", metavar="A,B,…", help="Positions on the path: mixes, depths, slopes, numbers of bands.")
@click.option("--points", type=click.IntRange(1), default=4, show_default=True, help="Points of integration between two sounds.")
@_seed
@_dtype
@options.device
@options.batch_size
@options.out("distortions")
@_overwrite
def scale(
    sounds: tuple[Path, ...], model_names: tuple[str, ...], layer_names: tuple[str, ...], kind: str, values: str | None,
    points: int, seed: int, dtype: str, device: str, batch_size: int, out: Path, overwrite: bool,
) -> None:  # fmt: skip
    """Predict the perceptual scale along a path of sounds: SOUNDS in order, or a path made from one or two."""
    from audiometamer.distortions.jacobian import check_same_signals
    from audiometamer.distortions.paths import path_of
    from audiometamer.distortions.scale_files import write_scales
    from audiometamer.distortions.scales import fisher_scale

    table_file = as_output_folder(out) / "scale.tsv"
    options.check_free(table_file, overwrite=overwrite)
    models = _opened([*model_names], device, dtype)
    check_same_signals(models)
    model = models[0]
    todo = [(each, layer) for each in models for layer in options.layers_of(each, layer_names)]
    clips = [clip.samples for clip in read_clips(model, sounds)]
    path, numbers = path_of(kind, clips, _numbers(values), sample_rate=model.sample_rate, seed=seed)
    scales = []
    with tracked() as tracker:
        for done, (each, layer) in enumerate(todo):
            tracker(done / len(todo), f"{each.name} {layer}")
            scales.append(fisher_scale(each, path, layer, positions=numbers, points=points, batch_size=batch_size))
        tracker(1.0, "done")
    write_scales(out, path, numbers, scales, sample_rate=model.sample_rate)
    _print_scales(scales)
    click.echo(f"table: {table_file}   figure: {out / 'scale.png'}")


def _numbers(values: str | None) -> list[float] | None:
    if values is None:
        return None
    try:
        return [float(value) for value in values.split(",")]
    except ValueError:
        raise AudioMetamerError(f"--values is {values!r}; give numbers separated by commas") from None


def _print_scales(scales: "list[PerceptualScale]") -> None:
    table = plain_table("model", "layer", "scale", numbers=("length",))
    for scale in scales:
        table.add_row(scale.model, scale.layer, " ".join(f"{value:.3f}" for value in scale.values), f"{scale.length:.4g}")
    print_table(table)


@distortions.command()
@click.argument("measured", type=_path)
@click.argument("predicted", type=_path)
def score(measured: Path, predicted: Path) -> None:
    """Score the scales in PREDICTED, as `scale` writes them, by a MEASURED one.

    MEASURED is a table with the columns position and scale, and any further columns of resampled scales, named resample….
    """
    from audiometamer.distortions.scale_files import score_tables

    table = plain_table("layer", numbers=("score", "area", "interval"))
    for layer, match in score_tables(measured, predicted).items():
        interval = "–" if match.interval is None else "{:.3f} … {:.3f}".format(*match.interval)
        table.add_row(layer, f"{match.score:.3f}", f"{match.area:.3f}", interval)
    print_table(table)


def _opened(names: list[str], device: str, dtype: str) -> "list[Model]":
    import torch

    return [options.opened_model(name, device).to(getattr(torch, dtype)) for name in names]
