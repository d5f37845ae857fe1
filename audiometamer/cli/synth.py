"""``audiometamer synth``: metamers of recordings."""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from audiometamer.audio import Clip, read_clip
from audiometamer.cli import options
from audiometamer.cli.progress import tracked
from audiometamer.criteria import NullDistribution
from audiometamer.errors import AudioMetamerError
from audiometamer.files import only_writer
from audiometamer.metamers.figure import draw_figure
from audiometamer.metamers.files import (
    clip_folder,
    folder_of,
    is_finished,
    metamer_path,
    read_metamer,
    save_metamer,
    verdict_word,
    write_index,
)
from audiometamer.metamers.synthesis import Metamer, Progress, iterate_metamers, settings_of
from audiometamer.models import Model


@click.command()
@click.argument("clips", nargs=-1, required=True, type=click.Path(path_type=Path))
@options.model
@options.layers
@options.seeds
@options.method
@options.steps
@click.option("--start", type=float, help="Seconds into the recordings where the clips begin.")
@click.option("--duration", type=float, help="Seconds to take from there; default: as much as the model takes.")
@options.device
@options.fitting_batch_size
@click.option("--tf32", is_flag=True, help="Let an NVIDIA GPU take its steps in TF32; targets and evidence stay float32.")
@click.option("--compile", "compiled", is_flag=True, help="Compile the network with torch.compile, a layer at a time.")
@options.null_file
@options.out("metamers")
@click.option("--overwrite", is_flag=True, help="Make again what is there already.")
def synth(
    clips: tuple[Path, ...],
    model_name: str,
    layer_names: tuple[str, ...],
    seeds: tuple[int, ...],
    method: str,
    steps: int | None,
    start: float | None,
    duration: float | None,
    device: str,
    batch_size: int | None,
    tf32: bool,
    compiled: bool,
    null_file: Path | None,
    out: Path,
    overwrite: bool,
) -> None:
    """Make metamers of recordings, CLIPS, and write them with their evidence.

    What is finished is kept: the same command goes on where it was interrupted.
    """
    model = options.opened_model(model_name, device)
    make(
        model, read_clips(model, clips, start=start, length=duration),
        layers=options.split_names(layer_names) or list(model.layers), seeds=seeds, method=method, steps=steps,
        batch_size=batch_size, null=None if null_file is None else NullDistribution.load(null_file), out=out, overwrite=overwrite,
        tf32=tf32, compiled=compiled,
    )  # fmt: skip


def read_clips(model: Model, paths: Sequence[Path], *, start: float | None = None, length: float | None = None) -> list[Clip]:
    """Recordings as a model takes them; their names must differ, since they name folders."""
    if model.sample_rate is None or model.duration is None:
        raise AudioMetamerError(f"{model.name} is not a model of sounds: it has no sample rate and duration")
    seen: dict[str, Path] = {}
    for path in paths:
        if seen.setdefault(path.stem, path) != path:
            raise AudioMetamerError(f"{seen[path.stem]} and {path} would share the folder {path.stem}; rename one of them")
    return [
        read_clip(path, sample_rate=model.sample_rate, duration=model.duration, level=model.level, start=start, length=length)
        for path in dict.fromkeys(paths)
    ]


def make(
    model: Model,
    clips: Sequence[Clip],
    *,
    layers: Sequence[str],
    seeds: Sequence[int],
    method: str,
    steps: int | None,
    batch_size: int | None,
    null: NullDistribution | None,
    out: Path,
    overwrite: bool,
    tf32: bool = False,
    compiled: bool = False,
) -> None:
    """Synthesise, save, draw and list; used by `synth` and `demo`."""
    with only_writer(folder_of(out)):
        jobs = [(clip, layer, seed) for layer in dict.fromkeys(layers) for clip in clips for seed in dict.fromkeys(seeds)]
        for layer in dict.fromkeys(layers):
            model.tap(layer)
        weights = model.weights_sha256()
        chosen = [settings_of(model, *job, method=method, steps=steps, weights_sha256=weights) for job in jobs]
        todo = [job for job, settings in zip(jobs, chosen, strict=True) if overwrite or not is_finished(out, settings)]
        if len(todo) < len(jobs):
            click.echo(f"{len(jobs) - len(todo)} of {len(jobs)} metamers are in {out} already")
        done = 0
        with tracked() as tracker:

            def progress(p: Progress) -> None:
                share = (done + p.signals * min(p.step / p.steps, 1)) / len(todo)
                again = f", attempt {p.attempt + 1}" if p.attempt else ""
                tracker(min(share, 1), f"{p.layer}: {p.signals} sound(s), step {p.step}/{p.steps}, SNR {p.snr_db:.1f} dB{again}")

            found = iterate_metamers(
                model, todo, method=method, steps=steps, null=null, batch_size=batch_size, tf32=tf32, compiled=compiled,
                progress=progress,
            )  # fmt: skip
            for metamer in found:
                save_metamer(out, metamer)
                done += 1
                tracker(done / len(todo), f"{metamer.evidence.settings.layer}: {verdict_word(metamer.passed)}")
        metamers = [read_metamer(metamer_path(out, s.clip, s.model, s.layer, s.seed)) for s in chosen]
        for clip in clips:
            first = [m for m in metamers if m.clip.name == clip.name and m.evidence.settings.seed == seeds[0]]
            draw_figure(model, first, clip_folder(out, clip.name, model.name) / "figure.png")
        index = write_index(out)
    _print_table(metamers)
    click.echo(f"WAVs, figures and records: {out}   list: {index}")


def _print_table(metamers: Sequence[Metamer]) -> None:
    table = Table(box=None, header_style="bold")
    for column in (
        "clip",
        "layer",
        "seed",
        "SNR (dB)",
        "ρ",
        "R²",
        "verdict",
        "clip heard as",
        "metamer heard as",
        "steps",
        "seconds",
    ):
        table.add_column(column, justify="right" if column in ("seed", "SNR (dB)", "ρ", "R²", "steps", "seconds") else "left")
    for m in metamers:
        e = m.evidence
        measured = e.similarity[e.settings.layer]
        snr, labels = measured["snr_db"], list(e.verdict.labels.values())
        word = verdict_word(m.passed)
        style = {"passed": "green", "failed": "red"}.get(word, "")
        table.add_row(
            e.settings.clip, e.settings.layer, str(e.settings.seed), "inf" if snr is None else f"{snr:.1f}",
            f"{measured['spearman_rho']:.4f}", f"{measured['pearson_r2']:.4f}", f"[{style}]{word}[/]" if style else word,
            ", ".join(clip for clip, _ in labels), ", ".join(label for _, label in labels),
            str(sum(t.steps for t in e.tries)), f"{e.seconds:.1f}",
        )  # fmt: skip
    console = Console()
    console.width = max(console.width, 110)
    console.print(table)
    failed = sum(m.passed is False for m in metamers)
    judged = sum(m.passed is not None for m in metamers)
    click.echo(f"{judged - failed} of {judged} metamers passed their verdict" if judged else "no null distribution: no verdicts")
