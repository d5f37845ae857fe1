"""``audiometamer synth``: make metamers of recordings or photographs."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click
from rich.table import Column
from rich.text import Text

from audiometamer.cli import options
from audiometamer.cli.printing import plain_table, print_table
from audiometamer.cli.progress import tracked
from audiometamer.errors import AudioMetamerError, first_few
from audiometamer.io.label_files import grouped, read_groups
from audiometamer.metamers.layout import INDEX
from audiometamer.metamers.settings import places
from audiometamer.metamers.verdicts import HALT_DB, average_db, verdict_word
from audiometamer.models.inputs import check_clip_names, read_clips

if TYPE_CHECKING:
    from audiometamer.metamers.criteria import NullDistribution
    from audiometamer.metamers.evidence import Evidence
    from audiometamer.metamers.folder import FolderProgress
    from audiometamer.metamers.metamer import Metamer
    from audiometamer.metamers.setup import SynthesisOptions
    from audiometamer.metamers.starts import Initial
    from audiometamer.metamers.targets import GivenTarget
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
    help="File of activations to match instead of CLIPS, as `audiometamer record` writes, or a TOML file of a morph, step or "
    "gradient of textures; may be given several times.",
)
@click.option(
    "--groups",
    "groups_file",
    type=click.Path(path_type=Path),
    help="TOML file of coarser labels for the verdict: a list of labels for each group.",
)
@click.option(
    "--without", multiple=True, metavar="CLASS", help="Class of texture statistics to leave out; may be given several times."
)
@options.seeds
@options.method
@options.steps
@options.exact
@click.option(
    "--initial",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Recording or image to start from instead of noise; given several times, one for each of CLIPS.",
)
@options.stop
@options.start
@options.duration
@options.device
@options.fitting_batch_size
@click.option("--tf32", is_flag=True, help="Take steps in TF32 on an NVIDIA GPU; targets and evidence stay float32.")
@click.option("--compile", "compiled", is_flag=True, help="Compile the network with torch.compile, one layer at a time.")
@click.option(
    "--capture", "captured", is_flag=True, help="Take each step as one graph, captured as a CUDA graph on an NVIDIA GPU."
)
@options.null_file
@options.out("metamers")
@click.option("--overwrite", is_flag=True, help="Overwrite existing metamers.")
def synth(
    clips: tuple[Path, ...],
    model_name: str,
    layer_names: tuple[str, ...],
    targets: tuple[Path, ...],
    groups_file: Path | None,
    without: tuple[str, ...],
    seeds: tuple[int, ...],
    method: str,
    steps: int | None,
    exact: bool | None,
    initial: tuple[Path, ...],
    stop: str | None,
    start: float | None,
    duration: float | None,
    device: str,
    batch_size: int | None,
    tf32: bool,
    compiled: bool,
    captured: bool,
    null_file: Path | None,
    out: Path,
    overwrite: bool,
) -> None:
    """Make metamers of recordings or photographs, CLIPS, and write them with their evidence.

    Finished metamers are kept, and unfinished ones are saved every five minutes: rerun the same command to resume.

    A+B among the layers matches both at the same time; A/channels=0:32, A/frames=10:20, A/units=3.5.9 and A/average=time are
    parts of a layer.
    """
    from audiometamer.metamers.criteria import NullDistribution, default_null
    from audiometamer.metamers.judging import null_notice
    from audiometamer.metamers.stops import parse_stop

    if bool(clips) == bool(targets):
        raise AudioMetamerError("give either CLIPS or --target FILE" + (", not both" if clips else ": there is nothing to match"))
    if without:
        model_name = _ablated(model_name, without)
    model = options.opened_model(model_name, device)
    if groups_file is not None:
        model.labels = grouped(model.named_labels(), read_groups(groups_file))
    given = _read_targets(model, targets, start=start, length=duration)
    layers = options.layers_of(
        model,
        layer_names or tuple(dict.fromkeys(layer for target in given for layer in target.activations)) or model.default_layers,
    )
    for place in dict.fromkeys(place for layer in layers for place in places(layer)):
        model.tap(place)
    null = default_null(model) if null_file is None else NullDistribution.load(null_file)
    if (notice := null_notice(model, null, layers, name=model_name)) is not None:
        click.echo(f"note: {notice}", err=True)
    synthesize_and_print(
        out, model, given or read_clips(model, clips, start=start, length=duration), layers, seed=seeds, null=null,
        initial=initial[0] if len(initial) == 1 else initial or None,
        stop=parse_stop(stop),
        overwrite=overwrite, method=method, steps=steps, exact=exact, batch_size=batch_size, tf32=tf32, compiled=compiled,
        captured=captured,
    )  # fmt: skip


def _read_targets(model: "Model", paths: Sequence[Path], *, start: float | None, length: float | None) -> "list[GivenTarget]":
    """Read files of activations, whose layers are renamed as the model records them, and of morphs, of a part of each sound."""
    from audiometamer.metamers.morphs import read_morph
    from audiometamer.metamers.targets import read_target

    check_clip_names(paths)
    return [
        read_morph(path, model, start=start, length=length)
        if path.suffix == ".toml"
        else read_target(path).rename_layers(model.canonical)
        for path in paths
    ]


def _ablated(model_name: str, without: Sequence[str]) -> str:
    """The name of a model of texture statistics without some classes."""
    if not model_name.startswith("texture:"):
        raise AudioMetamerError(f"--without leaves out classes of texture statistics; {model_name} is not a model of these")
    return f"{model_name}/without={','.join(without)}"


def synthesize_and_print(
    out: Path,
    model: "Model",
    clips: "Sequence[Clip] | Sequence[GivenTarget]",
    layers: Iterable[str],
    *,
    seed: Iterable[int] = (0,),
    null: "NullDistribution | None" = None,
    initial: "Initial | Iterable[Initial] | None" = None,
    overwrite: bool = False,
    **synthesis: "Unpack[SynthesisOptions]",
) -> None:
    """Fill a folder with metamers and print a table of them; see `synthesize_into`."""
    from audiometamer.metamers.folder import FolderProgress, synthesize_into

    begin: list[FolderProgress] = []
    with tracked() as tracker:

        def show(report: FolderProgress) -> None:
            if begin or report.existing:
                tracker(report.fraction, report.message)
            if not begin:
                begin.append(report)

        metamers = synthesize_into(
            out, model, clips, layers, seed=seed, null=null, initial=initial, overwrite=overwrite, progress=show, **synthesis
        )
    _print_existing(out, *begin)
    _print_metamers(metamers)
    _print_vocabulary(model)
    click.echo(f"metamers, figures and records: {out}   list: {out / INDEX}")


def _print_existing(out: Path, begin: "FolderProgress") -> None:
    """Print how many metamers existed before, and how many of these have a new verdict."""
    if begin.existing:
        click.echo(f"{begin.existing} of {begin.requested} metamers are in {out} already")
    if begin.rejudged:
        passed = f"{begin.rejudged_passed} passed; {begin.reattempted} are attempted again"
        click.echo(f"{begin.rejudged} of them were judged again: {passed}")


def _print_metamers(metamers: "Sequence[Metamer]") -> None:
    measures = (Column(name, justify="right") for name in ("seed", "SNR (dB)", "ρ", "R²"))
    table = plain_table("clip", "layer", *measures, "verdict", "clip label", "metamer label", numbers=("steps", "seconds"))
    for m in metamers:
        e = m.evidence
        measured = e.similarity[e.settings.layer]
        snr = measured["snr_db"]
        word = verdict_word(m.passed)
        style = {"passed": "green", "failed": "red"}.get(word, "")
        table.add_row(
            e.settings.clip, e.settings.layer, str(e.settings.seed), "inf" if snr is None else f"{snr:.1f}",
            f"{measured['spearman_rho']:.4f}", f"{measured['pearson_r2']:.4f}", Text(word, style=style),
            _labels(e, 0), _labels(e, 1),
            str(sum(t.steps for t in e.tries)), f"{e.seconds:.1f}",
        )  # fmt: skip
    print_table(table)
    _print_classes(metamers)
    failed = sum(m.passed is False for m in metamers)
    judged = sum(m.passed is not None for m in metamers)
    click.echo(f"{judged - failed} of {judged} metamers passed their verdict" if judged else "no null distribution: no verdicts")


def _print_classes(metamers: "Sequence[Metamer]") -> None:
    """Print the SNR and RMS error of each class of statistics, where there are some."""
    judged = [m.evidence for m in metamers if m.evidence.verdict.classes]
    if not judged:
        return
    table = plain_table("clip", "model", "class", numbers=("seed", "SNR (dB)", "RMS error"))
    for e in judged:
        for name, match in e.verdict.classes.items():
            snr = "inf" if match.snr_db is None else f"{match.snr_db:.1f}"
            table.add_row(e.settings.clip, e.settings.model, name, str(e.settings.seed), snr, f"{match.rms_error:.3g}")
    print_table(table)
    for e in judged:
        halted = "all reach" if e.verdict.reached_halt else "not all reach"
        average = average_db(e.verdict.classes)
        click.echo(
            f"{e.settings.clip}, seed {e.settings.seed}: SNR {average:.1f} dB on average over classes; {halted} {HALT_DB:g} dB"
        )


def _labels(evidence: "Evidence", which: int) -> str:
    """Labels of the clip (0) or the metamer (1) with their probabilities, over all tasks."""
    probable = {task: f" {pair[which]:.2f}" for task, pair in evidence.probabilities.items()}
    return ", ".join(pair[which] + probable.get(task, "") for task, pair in evidence.verdict.labels.items())


def _print_vocabulary(model: "Model") -> None:
    """Print the labels that the network chooses from, and the limits stated in its card."""
    from audiometamer.metamers import hearing

    for task, names in hearing.vocabulary(model).items():
        click.echo(f"{model.name} knows {len(names)} labels of task {task}: {first_few(names, 20)}")
    for limit in [] if model.card is None else model.card.limits:
        click.echo(f"limit: {limit}")
