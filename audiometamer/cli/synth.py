"""``audiometamer synth``: metamers of recordings."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click
from rich.table import Column
from rich.text import Text

from audiometamer.cli import options
from audiometamer.cli.printing import plain_table, print_table
from audiometamer.cli.progress import tracked
from audiometamer.errors import AudioMetamerError, BrokenError, first_few
from audiometamer.io.label_files import grouped, read_groups
from audiometamer.io.locks import exclusive_folder
from audiometamer.io.names import as_output_folder
from audiometamer.metamers import files, hearing
from audiometamer.metamers.criteria import NullDistribution, default_null
from audiometamer.metamers.evidence import Evidence
from audiometamer.metamers.figure import draw_figure
from audiometamer.metamers.files import (
    archive_attempt,
    check_clip_folder,
    checkpoint_path,
    clip_folder,
    has_attempts_left,
    is_finished,
    load_metamer,
    named_as_before,
    record_path,
    restore_original,
    save_metamer,
    write_index,
)
from audiometamer.metamers.judging import null_notice, rejudge_saved
from audiometamer.metamers.metamer import Metamer, Progress, settings_of
from audiometamer.metamers.results import warn_about_broken
from audiometamer.metamers.settings import Settings, places
from audiometamer.metamers.synthesis import iterate_metamers
from audiometamer.metamers.targets import GivenTarget, read_target
from audiometamer.metamers.unfinished import Checkpoints
from audiometamer.metamers.verdicts import verdict_word
from audiometamer.models.inputs import check_clip_names, read_clips
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip


@click.command()
@click.argument("clips", nargs=-1, type=click.Path(path_type=Path))
@options.model
@options.layers
@click.option(
    "--target",
    "targets",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Instead of CLIPS: a file of activations by layer, as `audiometamer record` writes; may be given several times.",
)
@click.option(
    "--groups",
    "groups_file",
    type=click.Path(path_type=Path),
    help="A file of coarser labels for the verdict: TOML, a list of labels for each group.",
)
@options.seeds
@options.method
@options.steps
@options.start
@options.duration
@options.device
@options.fitting_batch_size
@click.option("--tf32", is_flag=True, help="Let an NVIDIA GPU take its steps in TF32; targets and evidence stay float32.")
@click.option("--compile", "compiled", is_flag=True, help="Compile the network with torch.compile, a layer at a time.")
@options.null_file
@options.out("metamers")
@click.option("--overwrite", is_flag=True, help="Make again what exists already.")
def synth(
    clips: tuple[Path, ...],
    model_name: str,
    layer_names: tuple[str, ...],
    targets: tuple[Path, ...],
    groups_file: Path | None,
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
    """Make metamers of recordings or photographs, CLIPS, and write them with their evidence.

    What is finished is kept, and every five minutes also what is not: the same command can_resume where it was interrupted.

    A+B among the layers is matched at both at once; A/channels=0:32, A/frames=10:20, A/units=3.5.9 and A/average=time are parts
    of a layer.
    """
    if bool(clips) == bool(targets):
        raise AudioMetamerError("give either CLIPS or --target FILE" + (", not both" if clips else ": there is nothing to match"))
    model = options.opened_model(model_name, device)
    if groups_file is not None:
        model.labels = grouped(model.named_labels(), read_groups(groups_file))
    check_clip_names(targets)
    given = [read_target(path).rename_layers(model.canonical) for path in targets]
    of_targets = tuple(dict.fromkeys(layer for target in given for layer in target.activations))
    null = default_null(model) if null_file is None else NullDistribution.load(null_file)
    layers = options.layers_of(model, layer_names or of_targets)
    for place in dict.fromkeys(place for layer in layers for place in places(layer)):
        model.tap(place)
    if (notice := null_notice(model, null, layers, name=model_name)) is not None:
        click.echo(f"note: {notice}", err=True)
    make(
        model, given or read_clips(model, clips, start=start, length=duration),
        layers=layers, seeds=seeds, method=method, steps=steps, batch_size=batch_size, null=null, out=out, overwrite=overwrite,
        tf32=tf32, compiled=compiled,
    )  # fmt: skip


def make(
    model: Model,
    clips: Sequence[Clip | GivenTarget],
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
    null = null or default_null(model)
    with exclusive_folder(as_output_folder(out)):
        clips = [named_as_before(out, model, clip) if isinstance(clip, Clip) else clip for clip in clips]
        jobs = [(clip, layer, seed) for layer in dict.fromkeys(layers) for clip in clips for seed in dict.fromkeys(seeds)]
        weights = model.weights_sha256()
        chosen = [settings_of(model, *job, method=method, steps=steps, weights_sha256=weights) for job in jobs]
        files.check_names(out, chosen)
        for clip in clips:
            check_clip_folder(out, clip, model.name, type(model.domain).__name__)
            restore_original(out, clip, model)
            if isinstance(clip, Clip):
                for doubt in hearing.notices(model, clip, hearing.heard(model, clip)):
                    click.echo(f"note: {doubt}", err=True)
        there = [] if overwrite else _finished(out, chosen)
        judged = [metamer for settings in there if (metamer := rejudge_saved(model, out, settings, null)) is not None]
        again = [settings for settings in there if has_attempts_left(out, settings)]
        todo = [job for job, settings in zip(jobs, chosen, strict=True) if settings not in there or settings in again]
        if there:
            click.echo(f"{len(there)} of {len(jobs)} metamers are in {out} already")
        if judged:
            passed = sum(metamer.passed is True for metamer in judged)
            click.echo(f"{len(judged)} of them were judged anew: {passed} passed; {len(again)} are attempted again")
        done = 0
        with tracked() as tracker:

            def progress(p: Progress) -> None:
                share = (done + p.signals * min(p.step / p.steps, 1)) / len(todo)
                again = f", attempt {p.attempt + 1}" if p.attempt else ""
                tracker(min(share, 1), f"{p.layer}: {p.signals} sound(s), step {p.step}/{p.steps}, SNR {p.snr_db:.1f} dB{again}")

            found = iterate_metamers(
                model, todo, method=method, steps=steps, null=null, batch_size=batch_size, tf32=tf32, compiled=compiled,
                progress=progress, checkpoints=Checkpoints(partial(checkpoint_path, out)),
            )  # fmt: skip
            for metamer in found:
                if metamer.evidence.settings in again:
                    archive_attempt(out, metamer.evidence.settings)
                save_metamer(out, metamer)
                done += 1
                tracker(done / len(todo), f"{metamer.evidence.settings.layer}: {verdict_word(metamer.passed)}")
        metamers = [load_metamer(record_path(out, settings)) for settings in chosen]
        for clip in clips:
            first = [m for m in metamers if m.clip.name == clip.name and m.evidence.settings.seed == seeds[0]]
            draw_figure(model, first, clip_folder(out, clip.name, model.name) / "figure.png")
        index = write_index(out)
    _print_metamers(metamers)
    _print_vocabulary(model)
    click.echo(f"metamers, figures and records: {out}   list: {index}")


def _finished(out: Path, chosen: Sequence[Settings]) -> list[Settings]:
    """Those whose metamers are in `out`; a warning says which are broken."""
    there, broken = [], []
    for settings in chosen:
        try:
            if is_finished(out, settings):
                there.append(settings)
        except BrokenError as error:
            broken.append(str(error))
    warn_about_broken(broken, "counts as not made, and is made again")
    return there


def _print_metamers(metamers: Sequence[Metamer]) -> None:
    measures = (Column(name, justify="right") for name in ("seed", "SNR (dB)", "ρ", "R²"))
    table = plain_table("clip", "layer", *measures, "verdict", "clip heard as", "metamer heard as", numbers=("steps", "seconds"))
    for m in metamers:
        e = m.evidence
        measured = e.similarity[e.settings.layer]
        snr = measured["snr_db"]
        word = verdict_word(m.passed)
        style = {"passed": "green", "failed": "red"}.get(word, "")
        table.add_row(
            e.settings.clip, e.settings.layer, str(e.settings.seed), "inf" if snr is None else f"{snr:.1f}",
            f"{measured['spearman_rho']:.4f}", f"{measured['pearson_r2']:.4f}", Text(word, style=style),
            _heard(e, 0), _heard(e, 1),
            str(sum(t.steps for t in e.tries)), f"{e.seconds:.1f}",
        )  # fmt: skip
    print_table(table)
    failed = sum(m.passed is False for m in metamers)
    judged = sum(m.passed is not None for m in metamers)
    click.echo(f"{judged - failed} of {judged} metamers passed their verdict" if judged else "no null distribution: no verdicts")


def _heard(evidence: Evidence, which: int) -> str:
    """What the clip, 0, or the metamer, 1, is heard as, with its probability."""
    probable = {task: f" {pair[which]:.2f}" for task, pair in evidence.probabilities.items()}
    return ", ".join(pair[which] + probable.get(task, "") for task, pair in evidence.verdict.labels.items())


def _print_vocabulary(model: Model) -> None:
    """What the network chooses from, and what its card says of its limits."""
    for task, names in hearing.vocabulary(model).items():
        click.echo(f"{model.name} knows {len(names)} labels of task {task}: {first_few(names, 20)}")
    for limit in [] if model.card is None else model.card.limits:
        click.echo(f"limit: {limit}")
