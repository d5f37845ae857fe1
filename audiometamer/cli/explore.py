"""``audiometamer explore``: dimensions of what a network hears, and signals moved along them."""

import itertools
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from audiometamer.cli import options, serving, slurm
from audiometamer.cli.groups import Group
from audiometamer.cli.plan import plan_file
from audiometamer.cli.printing import plain_table, print_table
from audiometamer.cli.progress import tracked
from audiometamer.dimensions.calibration import Calibrated, calibrate
from audiometamer.dimensions.catalogue import calibrate_places, check_replaced, move_to, write_catalogue
from audiometamer.dimensions.dimensions import (
    Dimension,
    Dimensions,
    chosen_dimensions,
    folder_of_layer,
    load_all,
)
from audiometamer.dimensions.finding import COMPONENT_METHODS, check_found, find_dimensions
from audiometamer.dimensions.ladder import all_moves, distinct_clips
from audiometamer.dimensions.ladder_plan import planned_ladder, read_ladder_plan
from audiometamer.dimensions.ladder_run import run_ladder
from audiometamer.dimensions.moving import METHODS, STEPS, Moved, move
from audiometamer.errors import AudioMetamerError, pluralize
from audiometamer.exploration.analysis import analyse as analysing
from audiometamer.exploration.analysis.reading import read_given
from audiometamer.exploration.analysis.sensitivity import Decision, at_d_prime
from audiometamer.exploration.build import build as build_folder
from audiometamer.exploration.build import read_exploration, served_exploration
from audiometamer.exploration.design import read_exploration_design
from audiometamer.exploration.rehearsal import sensitive
from audiometamer.io.locks import exclusive_folder
from audiometamer.io.names import as_output_folder
from audiometamer.io.resources import COMMAND
from audiometamer.listening import folder as layout
from audiometamer.listening.exclusions import ExclusionRules
from audiometamer.listening.responders import IdealListener
from audiometamer.models.excerpts import Excerpt, find_excerpts, read_excerpts
from audiometamer.models.model import Model
from audiometamer.psychophysics import DECISIONS, model_of

_path = click.Path(path_type=Path)
_number = click.option("--signals-at-most", "number", type=click.IntRange(1), help="So many of SIGNALS, at random.")
_seed = click.option("--seed", type=options.SEED, default=0, show_default=True, help="Random seed.")
_lapse = click.option(
    "--lapse",
    type=options.Number(0, 0.3),
    default=0.02,
    show_default=True,
    help="Share of answers that are wrong whatever is played.",
)


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


@explore.command()
@click.argument("bank", nargs=-1, required=True, type=_path)
@options.model
@options.layers
@click.option("--method", type=click.Choice(COMPONENT_METHODS), default="ica", show_default=True)
@click.option("--components", type=click.IntRange(1), default=100, show_default=True, help="To look for; a small bank has fewer.")
@click.option("--kept", type=click.IntRange(1), default=10, show_default=True, help="The strongest of them.")
@click.option("--average-frequency", is_flag=True, help="Average Gram matrices over frequency as over time.")
@_number
@_seed
@click.option(
    "--memory", type=options.Number(0, 1e6, min_open=True), default=1.0, show_default=True, help="GB for Gram matrices."
)
@options.device
@options.batch_size
@options.out("dimensions")
def dimensions(
    bank: tuple[Path, ...], model_name: str, layer_names: tuple[str, ...], method: str, components: int, kept: int,
    average_frequency: bool, number: int | None, seed: int, memory: float, device: str, batch_size: int, out: Path,
) -> None:  # fmt: skip
    """Find dimensions of layers of a model over BANK: natural sounds or photographs, their folders, or tables with a column path.

    Recordings that are longer than the model takes give several sounds. Writes a folder for each layer into --out, as soon as
    its dimensions are found: the same command resumes where it was interrupted.
    """
    model = options.opened_model(model_name, device)
    layers = options.layers_of(model, layer_names)
    for layer in layers:
        model.tap(layer)
    folders = {layer: folder_of_layer(as_output_folder(out), layer) for layer in layers}
    found = {layer: Dimensions.load(folder) for layer, folder in folders.items() if folder.exists()}
    excerpts = _drawn(find_excerpts(model, bank), number, seed)
    keep_frequency = False if average_frequency else None
    if found:
        check_found(
            found.values(), model, read_excerpts(model, excerpts), method=method, components=components, kept=kept,
            keep_frequency=keep_frequency, seed=seed,
        )  # fmt: skip
        click.echo(f"there already: {', '.join(found)}")
    if missing := [layer for layer in layers if layer not in found]:
        with tracked() as tracker:
            found |= find_dimensions(
                model, read_excerpts(model, excerpts), missing, method=method, components=components, kept=kept,
                keep_frequency=keep_frequency, seed=seed, batch_size=batch_size, memory=memory * 1e9,
                progress=lambda done: tracker(done / len(excerpts), f"{done} of {len(excerpts)} signals"),
                found=lambda own: own.save(folders[own.record.layer]),
            )  # fmt: skip
    table = plain_table("layer", numbers=("Gram matrix", "found", "variance of all", "kept", "variance of each"))
    for layer in layers:
        own = found[layer]
        origin, side = own.record, own.directions.shape[1]
        shares = " ".join(f"{100 * share:.1f}" for share in origin.explained)
        table.add_row(
            layer,
            f"{side} × {side}",
            str(origin.components),
            f"{100 * origin.explained_by_all:.1f} %",
            str(len(own)),
            f"{shares} %",
        )
    print_table(table)
    click.echo(f"{len(excerpts)} signals: {out}")


@explore.command()
@click.argument("signals", nargs=-1, required=True, type=_path)
@options.model
@click.option("--dimensions", "folder", type=_path, default=Path("dimensions"), show_default=True, help="Found before.")
@click.option(
    "--choose",
    "names",
    multiple=True,
    metavar="LAYER/COMPONENT,…",
    help="Components to move along; one side alone: relu2/3/+; default: the strongest.",
)
@click.option(
    "--strongest",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="How many of the strongest components of each layer.",
)
@click.option(
    "--changes", metavar="A,B,…", help="How far, in standard deviations of natural signals, to either side.  [default: 1,2]"
)
@click.option("--coordinates", metavar="A,B,…", help="Where to, rather than how far: the same coordinates for all, as in -2,0,2.")
@_number
@_seed
@click.option("--method", type=click.Choice(list(METHODS)), default="default", show_default=True, help="How signals are moved.")
@click.option("--steps", type=click.IntRange(1), default=STEPS, show_default=True)
@options.device
@options.batch_size
@options.out("catalogue")
@click.option("--overwrite", is_flag=True, help="Replace the catalogue that is there, with all its files.")
def catalogue(out: Path, overwrite: bool, **asked: Any) -> None:
    """Move SIGNALS along dimensions by a few changes, or to a few coordinates, to hear and to see what these are.

    Writes files, moves.tsv, and pictures into --out.
    """
    options.check_free(as_output_folder(out) / "moves.tsv", overwrite=overwrite)
    check_replaced(out)
    model, moved, coordinates = _moved(**asked)
    pictures = write_catalogue(model, moved, out, coordinates=coordinates, overwrite=overwrite)
    _print_calibrated(calibrate_places(moved, coordinates) if coordinates else calibrate(each.record for each in moved))
    click.echo(f"table: {out / 'moves.tsv'}   pictures: {', '.join(picture.name for picture in pictures)}")


def _moved(
    *, signals: tuple[Path, ...], model_name: str, folder: Path, names: tuple[str, ...], strongest: int,
    changes: str | None, coordinates: str | None, number: int | None, seed: int, method: str, steps: int, device: str,
    batch_size: int,
) -> tuple[Model, list[Moved], list[float] | None]:  # fmt: skip
    """A model, signals moved as options say, and the coordinates that they were moved to if options say that."""
    if changes is not None and coordinates is not None:
        raise AudioMetamerError(f"--changes is {changes!r} and --coordinates is {coordinates!r}; give one of them")
    sizes = _numbers("1,2" if changes is None else changes, option="--changes")
    places = None if coordinates is None else _numbers(coordinates, option="--coordinates")
    chosen = options.split_names(names)
    if places is not None and (sided := [name for name in chosen if name.endswith(("/+", "/-"))]):
        raise AudioMetamerError(f"--choose is {sided[0]!r}; with --coordinates, which are on both sides, it is {sided[0][:-2]!r}")
    model = options.opened_model(model_name, device)
    dimensions = load_all(folder)
    for found in dimensions.values():
        found.check(model)
    along = chosen_dimensions(dimensions, chosen, strongest=strongest)
    if not (excerpts := _drawn(find_excerpts(model, signals), number, seed)):
        raise AudioMetamerError(f"there are no recordings or photographs in {', '.join(map(str, signals))}")
    clips = distinct_clips(read_excerpts(model, excerpts))
    total = len(clips) * (len(along) * len(sizes) if places is None else len({each[:2] for each in along}) * len(places))
    with tracked() as tracker:

        def progress(done: int) -> None:
            tracker(done / total, f"{done} of {total} moved signals")

        if places is None:
            moves = all_moves(clips, along, sizes)
            moved = move(model, dimensions, moves, method=method, steps=steps, batch_size=batch_size, progress=progress)
            return model, moved, None
        return model, *move_to(
            model, dimensions, clips, along, places, method=method, steps=steps, batch_size=batch_size, progress=progress
        )


def _numbers(text: str, *, option: str) -> list[float]:
    """Those of an option, each once to six digits, as files are named."""
    try:
        numbers = list({f"{float(number):g}": float(number) for number in text.split(",") if number}.values())
    except ValueError as error:
        raise AudioMetamerError(f"{option} is {text!r}; it takes numbers with commas, as in 0.5,1,2") from error
    if not numbers:
        raise AudioMetamerError(f"{option} is {text!r}: there is nothing to move")
    return numbers


def _drawn(items: list[Excerpt], number: int | None, seed: int) -> list[Excerpt]:
    """So many, at random, or all, in their order."""
    if number is None or number >= len(items):
        return items
    return [items[i] for i in sorted(random.Random(seed).sample(range(len(items)), number))]  # noqa: S311 (nothing secret)


def _print_calibrated(calibrated: Sequence[Calibrated]) -> None:
    numbers = ("wished", "reached", "from", "to", "leakage", "SNR (dB)", "modulation")
    table = plain_table("dimension", numbers=numbers)
    for row in calibrated:
        table.add_row(
            row.dimension, f"{row.wished:g}", f"{row.reached:.3f}", f"{row.reached_low:.3f}", f"{row.reached_high:.3f}",
            f"{row.leakage:.3f}", f"{row.snr_db:.1f}", f"{row.modulation:.3f}",
        )  # fmt: skip
    print_table(table)


@explore.command()
@plan_file
@options.device
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes on this machine.")
def ladder(path: Path, device: str, workers: int) -> None:
    """Make the moved signals that PLAN asks for and that are not there yet: what listeners will hear.

    What is finished is kept: the same command resumes where it was interrupted. Several runs share the work. Each ends with
    moves.tsv, a row for each signal, and calibration.tsv, what each wished change along each dimension came to.
    """
    with tracked() as tracker:
        made, failed = run_ladder(path, read_ladder_plan(path), device=device, workers=workers, progress=tracker)
    _print_calibrated(calibrate(rung.record for rung in made.all))
    for trouble in failed[:10]:
        click.echo(f"{trouble.reference} along {trouble.dimension} by {trouble.change:g}: {trouble.message}")
    if len(failed) > 10:
        click.echo(f"and {len(failed) - 10} more could not be made")
    references = {rung.record.clip for rung in made.all}
    click.echo(
        f"{pluralize(len(made.all), 'moved signal')} in {made.folder}: {pluralize(len(made.dimensions), 'dimension')}, "
        f"{pluralize(len(references), 'reference')}; {len(failed)} could not be made"
    )


@explore.command(name="submit")
@plan_file
@slurm.options
def submit_ladder(path: Path, **asked: Any) -> None:
    """Make the ladder of PLAN on a Slurm cluster: write an array script beside it, and start it."""
    planned_ladder(path, read_ladder_plan(path))  # faults are reported here rather than in a log
    slurm.submit(path, command="explore ladder", **asked)


@explore.command()
@click.argument("design", metavar="DESIGN", type=_path)
@serving.names_key
@options.out("exploration")
def build(design: Path, key: Path | None, out: Path) -> None:
    """Make an experiment of DESIGN, a TOML file: the ladder and the page, with all that listeners need."""
    built = build_folder(design, out, key=key)
    asked, course = built.course.design, built.course
    table = plain_table("layer", numbers=("dimensions", "references of each", "changes", "from", "to"))
    for layer, own in itertools.groupby(course.dimensions, lambda name: Dimension.parse(name).layer):
        names = list(own)
        references = _span(len(course.ladder.references(name)) for name in names)
        levels = [asked.levels(course.ladder, name) for name in names]
        least, most = f"{min(one[0] for one in levels):g}", f"{max(one[-1] for one in levels):g}"
        table.add_row(layer, str(len(names)), references, _span(map(len, levels)), least, most)
    print_table(table)
    click.echo(
        f"{pluralize(asked.listeners, 'listener')}, each with {asked.ladder.each} of "
        f"{pluralize(len(course.dimensions), 'dimension')}: {out}"
    )
    serving.print_open_ends(read_exploration_design(design), out)
    click.echo(f"key, for your eyes alone: {out / layout.NAMES_KEY}")
    click.echo(f"links for listeners: audiometamer experiment links {out}   secret of the results page: {out / layout.SECRET}")


def _span(numbers: Iterable[int]) -> str:
    least, *_, most = sorted(numbers) * 2
    return str(least) if least == most else f"{least}–{most}"


@explore.command()
@serving.folder
@serving.served
@options.device
def serve(folder: Path, device: str, **asked: Any) -> None:
    """Run the exploration EXPERIMENT in browsers. Where sounds are made on-line, its model makes them on --device.

    An answer that was confirmed is on disk; stop and start again as you like. Links, releases and tables as of any experiment:
    audiometamer experiment links | release | export.
    """
    with served_exploration(folder, device=device) as read:
        serving.serve(read, **asked)


@explore.command()
@serving.folder
@options.out("rehearsal")
@serving.listeners
@click.option(
    "--d-prime", "chosen", multiple=True, metavar="[DIMENSION=]D",
    help="d′ of a listener for a change of one standard deviation: 2, or relu2/0/+=3; may be given several times.  [default: 2]",
)  # fmt: skip
@_lapse
@options.device
@serving.rehearsed
def rehearse(
    folder: Path, out: Path, listeners: int, chosen: tuple[str, ...], lapse: float, device: str, **asked: Any
) -> None:  # fmt: skip
    """Let simulated listeners, whose sensitivity is known, go through the exploration EXPERIMENT at once.

    Answers and tables are in --out: audiometamer explore analyse EXPERIMENT --answers OUT/answers.db. Sounds that are made
    on-line stay in EXPERIMENT, where listeners' trials will find them.
    """
    read = read_exploration(folder)
    expected = "a number, or DIMENSION=D as in relu2/0/+=3"
    sensitivities = dict(serving.named_number(text, option="--d-prime", expected=expected) for text in chosen)
    reply = IdealListener(read, out / layout.DATABASE, sensitive(read, sensitivities, lapse=lapse))
    serve = (*COMMAND, "explore", "serve", "--device", device)
    serving.rehearse_and_report(read, out, reply, listeners=listeners, serve=serve, **asked)


@explore.command()
@click.argument("answers", metavar="EXPERIMENT|TRIALS.tsv", type=_path)
@serving.answers
@click.option("--listeners", type=_path, help="With a table of trials: the table of listeners, who was excluded among them.")
@click.option(
    "--decision", type=click.Choice(DECISIONS), default="differencing", show_default=True,
    help="Whether listeners compare the sounds of a trial with each other, or know both.",
)  # fmt: skip
@click.option(
    "--target", type=options.Number(),
    help="A threshold is where so many answers are correct.  [default: what procedures of EXPERIMENT look for, or 0.794]",
)  # fmt: skip
@click.option("--d-prime", "d_prime", type=options.Number(0, min_open=True), help="Rather than --target: where d′ is so large.")
@_lapse
@click.option("--headphones", type=click.IntRange(0), help="Headphone trials to get right; default: as in the design, or 5.")
@click.option(
    "--catch", type=options.Number(0, 1),
    help="Share of catch trials to get right.  [default: halfway from chance to all, 0.75 for abx]",
)  # fmt: skip
@click.option("--finished", is_flag=True, help="Leave out listeners who did not finish.")
@click.option("--resamples", type=click.IntRange(0), default=400, show_default=True, help="Bootstrap samples; 0: χ² alone.")
@_seed
@options.out("analysis")
@click.option("--overwrite", is_flag=True, help="Replace the analysis that is there.")
def analyse(
    answers: Path, database: Path | None, listeners: Path | None, decision: str, target: float | None,
    d_prime: float | None, lapse: float, headphones: int | None, catch: float | None, finished: bool, resamples: int, seed: int,
    out: Path, overwrite: bool,
) -> None:  # fmt: skip
    """Thresholds of the listeners of an exploration, along each dimension, with intervals; layers compared; a map.

    Writes thresholds.tsv, levels.tsv, layers.tsv, comparisons.tsv, sample.tsv, trials.tsv, listeners.tsv, sensitivity.png, .pdf
    and .svg, and summary.txt into --out.
    """
    if target is not None and d_prime is not None:
        raise AudioMetamerError(f"--target is {target:g} and --d-prime is {d_prime:g}; a threshold is at one of them")
    given = read_given(answers, listeners=listeners, database=database)
    model = model_of(given.trials[0].task, decision=decision)
    if d_prime is not None:
        chosen = at_d_prime(d_prime, task=model, lapse=lapse)
    else:
        chosen = Decision(task=model, lapse=lapse, target=given.target if target is None else target)
    least = [number for number in (headphones, given.headphones, ExclusionRules().headphones) if number is not None]
    rules = ExclusionRules(headphones=least[0], catch=analysing.attentive(chosen) if catch is None else catch, finished=finished)
    with exclusive_folder(out):
        options.check_free(out / "summary.txt", overwrite=overwrite)
        found = analysing.analyse(
            given.trials, given.listeners, decision=chosen, rules=rules, procedures=given.procedures, resamples=resamples,
            seed=seed,
        )  # fmt: skip
        paths = analysing.write_analysis(found, out)
    click.echo(analysing.summary(found))
    click.echo(f"{out}: {', '.join(path.name for path in paths)}")
