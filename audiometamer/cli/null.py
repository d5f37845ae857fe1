"""``audiometamer null``: the null distribution of random pairs of sounds."""

import math
import random
import warnings
from collections.abc import Iterator
from pathlib import Path

import click
import soundfile
from torch import Tensor

from audiometamer.cli import options
from audiometamer.cli.printing import plain_table, print_table
from audiometamer.cli.progress import tracked
from audiometamer.criteria import METRICS, NullDistribution
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.metamers.clips import read_clips
from audiometamer.models import Model

_SOUNDS = {f".{name.lower()}" for name in soundfile.available_formats()} | {".aif", ".aifc", ".oga", ".opus"}
_PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


@click.command()
@click.argument("sounds", nargs=-1, required=True, type=click.Path(path_type=Path))
@options.model
@options.layers
@click.option(
    "--pairs",
    type=click.IntRange(1),
    default=1_000_000,
    show_default=True,
    help="Random pairs, at least, if there are sounds enough.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the choice among the sounds.")
@click.option("--memory", type=float, default=1.0, show_default=True, help="GB for activations.")
@options.device
@options.batch_size
@click.option("--out", type=click.Path(path_type=Path), default=Path("null.json"), show_default=True, help="File to write.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it is there.")
def null(
    sounds: tuple[Path, ...], model_name: str, layer_names: tuple[str, ...], pairs: int, seed: int, memory: float, device: str,
    batch_size: int, out: Path, overwrite: bool,
) -> None:  # fmt: skip
    """Compare random pairs of natural SOUNDS, or photographs (files, or folders of them), at layers of a model.

    Recordings that are longer than the model takes give several sounds, one after the other. The file can be given to
    `synth --null`; named null.json in a model's folder, it is used from then on.
    """
    options.check_free(out, overwrite=overwrite)
    model = options.opened_model(model_name, device)
    wanted = math.ceil((1 + math.sqrt(1 + 8 * pairs)) / 2)
    excerpts = _excerpts(model, sounds)
    random.Random(seed).shuffle(excerpts)  # noqa: S311 (nothing secret)
    n_sounds = min(wanted, len(excerpts))
    if n_sounds < wanted:
        click.echo(
            f"note: {pairs} pairs need {wanted} sounds; {len(excerpts)} give {n_sounds * (n_sounds - 1) // 2} pairs", err=True
        )
    with tracked() as tracker:
        distribution = NullDistribution.measure(
            model, _read(model, excerpts, n_sounds), layers=options.split_names(layer_names) or None,
            source=f"{n_sounds} of {len(excerpts)} excerpts of {', '.join(str(s) for s in sounds)}", batch_size=batch_size,
            memory=memory * 1e9, progress=lambda done: tracker(done / n_sounds, f"{done} of {n_sounds} sounds"),
        )  # fmt: skip
    distribution.save(out)
    table = plain_table("layer", *(f"largest {metric}" for metric in METRICS))
    for layer, metrics in distribution.layers.items():
        table.add_row(layer, *(f"{metrics[metric].maximum:.4f}" for metric in METRICS))
    print_table(table)
    click.echo(f"{distribution.pairs} pairs of {distribution.sounds} sounds: {out}")


def _excerpts(model: Model, sounds: tuple[Path, ...]) -> list[tuple[Path, float]]:
    """Every file and, of a sound, the second in it where an excerpt begins."""
    endings = _PICTURES if model.picture is not None else _SOUNDS
    files = [f for s in sounds for f in (sorted(p for p in s.rglob("*") if p.suffix.lower() in endings) if s.is_dir() else [s])]
    found = []
    for file in files:
        if not file.exists():
            raise AudioMetamerError(f"{file} does not exist")
        if model.picture is not None:
            found.append((file, 0.0))
            continue
        if model.duration is None:
            raise AudioMetamerError(f"{model.name} takes neither sounds nor images: it has no duration and no picture")
        try:
            seconds = soundfile.info(file).duration
        except soundfile.LibsndfileError as error:
            raise AudioMetamerError(f"{file} cannot be read as audio: {error}") from error
        found += [(file, model.duration * k) for k in range(max(int(seconds / model.duration), 1))]
    return found


def _read(model: Model, excerpts: list[tuple[Path, float]], n_sounds: int) -> Iterator[Tensor]:
    """The first `n_sounds` excerpts; padding is no news here, silence is an error that names the file."""
    for path, start in excerpts[:n_sounds]:
        with warnings.catch_warnings(action="ignore", category=AudioMetamerWarning):
            (clip,) = read_clips(model, [path], start=None if model.sample_rate is None else start)
        yield clip.samples
