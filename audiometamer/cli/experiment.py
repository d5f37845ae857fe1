"""``audiometamer experiment``: listening experiments, from design to analysis."""

from collections import Counter
from pathlib import Path
from typing import Any, get_args

import click

from audiometamer.cli import options, serving
from audiometamer.cli.experiment_analysis import analyse, power
from audiometamer.cli.experiment_ranking import build_compared, rank, reply_as_model
from audiometamer.cli.experiment_scaling import build_pairs, refuse_options, reply_to_pairs, scale
from audiometamer.cli.groups import Group
from audiometamer.cli.printing import plain_table, print_table
from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.build import BuiltExperiment
from audiometamer.experiment.build import build as build_folder
from audiometamer.experiment.comparisons.design import ComparisonDesign, is_comparison_design
from audiometamer.experiment.pack import PackFormat
from audiometamer.experiment.pack import pack as pack_folder
from audiometamer.experiment.reading import experiment_with, read_experiment
from audiometamer.experiment.scaling.design import ScalingDesign, is_scaling_design
from audiometamer.listening import folder as layout
from audiometamer.listening.collect import RefusalsError
from audiometamer.listening.collect import collect as collect_files
from audiometamer.listening.export import write_tables
from audiometamer.listening.folder import Experiment, read_lists
from audiometamer.listening.identity import identity
from audiometamer.listening.reading import read_answers
from audiometamer.listening.responders import NetworkListener, Responder, SimulatedListener, rankings_by
from audiometamer.listening.sentences import shipped, shipped_file
from audiometamer.listening.store import Store

_path = click.Path(path_type=Path)
_stimulus_set = click.argument("stimulus_set", metavar="SET", type=_path)


@click.group(
    cls=Group,
    headings={
        "Prepare": ("power", "sentences", "build", "rehearse"),
        "Run": ("serve", "links", "release", "pack", "collect"),
        "Analyse": ("export", "analyse", "rank", "scale"),
    },
)  # fmt: skip
def experiment() -> None:
    """Listening experiments: from a stimulus set to listeners' answers and their analysis."""


experiment.add_command(analyse)
experiment.add_command(power)
experiment.add_command(rank)
experiment.add_command(scale)


@experiment.command()
@_stimulus_set
@click.option("--design", required=True, type=_path, help="Design: a TOML file.")
@serving.names_key
@options.out("experiment")
def build(stimulus_set: Path, design: Path, key: Path | None, out: Path) -> None:
    """Build an experiment from SET: the list of every listener, sounds under opaque names, and the key to them.

    SET is a stimulus set; for triads and quadruples, a folder with the sounds of a path.
    """
    if is_comparison_design(design):
        build_compared(stimulus_set, design, key, out)
        return
    if is_scaling_design(design):
        build_pairs(stimulus_set, design, key, out)
        return
    built = build_folder(stimulus_set, design, out, key=key)
    _print_conditions(built)
    click.echo(
        f"{built.design.listeners} listeners, {len(built.lists[0])} trials each, {built.design.trials} of them main trials: {out}"
    )
    if built.unheard:
        click.echo(f"{built.unheard} words are not presented to any listener")
    if built.available.missing:
        instead = "left out" if built.design.conditions.missing == "leave-out" else "played as natural clips instead"
        clips = len({one.clip for one in built.available.missing})
        click.echo(f"{len(built.available.missing)} metamers of {clips} clips are missing, {instead}: {out / layout.MISSING}")
    serving.print_files(built.requested, out)


def _print_conditions(built: BuiltExperiment) -> None:
    """Print how often each condition is presented, per listener and in total."""
    table = plain_table("condition", numbers=["per listener", "in all", "missing"])
    per_listener = [Counter(trial.condition for trial in trials if trial.kind == "main") for trials in built.lists]
    missing = Counter(one.condition for one in built.available.missing)
    for condition in built.available.conditions:
        numbers = [count[condition] for count in per_listener]
        span = f"{min(numbers)}–{max(numbers)}" if min(numbers) != max(numbers) else str(numbers[0])
        table.add_row(str(condition), span, str(sum(numbers)), str(missing[condition]))
    print_table(table)


@experiment.command()
@click.option("--language", type=click.Choice(shipped()), default="en", show_default=True, help="Language to translate from.")
def sentences(language: str) -> None:
    """Print the page's own sentences as TOML for translation; a design names the translated file in texts.sentences."""
    click.echo(shipped_file(language).read_text(encoding="utf-8"), nl=False)


@experiment.command()
@serving.folder
@serving.served
def serve(folder: Path, **asked: Any) -> None:
    """Run EXPERIMENT in browsers. A confirmed answer is on disk, so the server can be stopped and restarted at any time."""
    serving.serve(read_experiment(folder), **asked)


@experiment.command()
@serving.folder
@serving.answers
@click.option("--count", type=click.IntRange(1), default=1, show_default=True, help="Number of listeners.")
@click.option(
    "--address", "--url", help="Address of the server as listeners reach it; default: where EXPERIMENT was last served."
)
@click.option("--port", type=click.IntRange(1, 65535), help="Port of a server on this machine, instead of --address.")
@click.option("--group", help="Group of these listeners, if the experiment compares groups; default: none.")
def links(folder: Path, database: Path | None, count: int, address: str | None, port: int | None, group: str | None) -> None:
    """Print links for new listeners of EXPERIMENT. Each link is shown only once: only its hash is stored."""
    if address is not None and port is not None:
        raise AudioMetamerError(f"--address is {address} and --port is {port}; give one of them")
    group_name = "" if group is None else identity(group)
    if group_name is None:
        raise AudioMetamerError(f"--group is {group!r}; it must be a name")
    store = _store(folder, database)
    reached = address or (serving.local_address(port) if port is not None else serving.public_address(store.address))
    for _ in range(count):
        token = store.enrol(group=group_name)
        click.echo(f"{store.listener(token)}\t{reached.rstrip('/')}/#{token}")


@experiment.command()
@serving.folder
@serving.answers
@click.argument("listener", type=int)
@click.option("--reason", required=True, help="Reason, for the table of listeners.")
def release(folder: Path, database: Path | None, listener: int, reason: str) -> None:
    """Exclude LISTENER, who did not finish, and give the list to the next newcomer. The answers are kept."""
    _store(folder, database).release(listener, reason)
    click.echo(f"listener {listener} is excluded; the list is free")


@experiment.command()
@serving.folder
@serving.answers
@options.out("answers")
def export(folder: Path, database: Path | None, out: Path) -> None:
    """Write the answers of EXPERIMENT as tables, while the server runs or afterwards."""
    answers = read_answers(database or folder / layout.DATABASE, _opened(folder))
    write_tables(answers, out)
    for notice in answers.notices:
        click.echo(notice, err=True)
    click.echo(f"{answers.total} answers of {len(answers.enrolled)} listeners: {out}")


@experiment.command()
@serving.folder
@click.option(
    "--to", required=True, type=click.Choice(get_args(PackFormat)),
    help="static: a folder for any web host; jatos: a study (.jzip); psychopy: condition files.",
)  # fmt: skip
@click.option("--out", required=True, type=_path, help="A new folder; for JATOS a new file.jzip.")
@click.option(
    "--address",
    default="",
    help="Address at which listeners will reach the static folder, or the study link of JATOS, for their links.",
)
@click.option(
    "--any-list", is_flag=True,
    help="jatos: each participant who opens the study link gets the next free list, and could read all lists.",
)  # fmt: skip
def pack(folder: Path, to: PackFormat, out: Path, address: str, any_list: bool) -> None:
    """Write EXPERIMENT in a format that needs no server of ours."""
    packed = pack_folder(folder, out, to=to, address=address, any_list=any_list)
    click.echo(f"{packed.lists} lists: {out}")
    if packed.links is not None:
        click.echo(f"links, one for each listener, for your eyes only: {packed.links}")
    if to == "psychopy":
        click.echo("the condition files name right answers: keep them on the experimenter's machine")


@experiment.command()
@serving.folder
@serving.answers
@click.argument("files", metavar="FILE…", nargs=-1, required=True, type=_path)
@click.option("--response", help="Column with the answers in PsychoPy's files, as in key_resp.keys.")
@click.option("--reaction-time", help="Column with reaction times in s in PsychoPy's files; default: .rt of the same component.")
def collect(
    folder: Path, database: Path | None, files: tuple[Path, ...], response: str | None, reaction_time: str | None
) -> None:
    """Import FILES with answers from static folders, JATOS or PsychoPy into EXPERIMENT; repeating an import changes nothing.

    A listener who is refused does not hold up the others; refusals are listed at the end, and the exit status is 2.
    """
    store = _store(folder, database)
    try:
        taken, refusals = collect_files(store.experiment, files, store, response=response, reaction_time=reaction_time), []
    except RefusalsError as error:
        taken, refusals = error.taken, list(error.refusals)
    for one in taken:
        click.echo(f"listener {one.listener}, list {one.number}: {one.answers} answers from {one.file}")
    for refusal in refusals[:-1]:
        click.echo(refusal, err=True)
    if refusals:
        others = f"; {len(refusals) - 1} more refused, above" if len(refusals) > 1 else ""
        raise AudioMetamerError(f"{refusals[-1]}{others}")


@experiment.command()
@serving.folder
@options.out("rehearsal")
@serving.listeners
@click.option(
    "--accuracy", multiple=True, metavar="CONDITION=P",
    help="Proportion correct: relu0=0.8, cochcnn-word/relu0=0.8, natural=0.95, headphones=1; may be given several times.",
)  # fmt: skip
@click.option("--guesses", type=options.Number(0, 1), default=0.02, show_default=True, help="Probability of a random answer.")
@click.option(
    "--model", "model_name",
    help="Network that answers, instead of --accuracy; where sounds tell models apart, one of these: MODEL:LAYER, or MODEL.",
)  # fmt: skip
@click.option(
    "--noise", type=options.Number(0), default=None, help="Where sounds tell models apart: noise of the decisions; default: 0.5."
)
@click.option(
    "--scale", "known", type=(_path, str), metavar="TABLE LAYER",
    help="Triads and quadruples: scale of the listeners, of a layer in a table of `distortions scale`; default: a straight line.",
)  # fmt: skip
@click.option(
    "--sigma", type=options.Number(0), default=None, help="Triads and quadruples: noise of the decisions; default: 0.2."
)
@options.device
@serving.rehearsed
def rehearse(
    folder: Path, out: Path, listeners: int, accuracy: tuple[str, ...], guesses: float, model_name: str | None,
    noise: float | None, known: tuple[Path, str] | None, sigma: float | None, device: str, **asked: Any,
) -> None:  # fmt: skip
    """Let simulated listeners take EXPERIMENT concurrently, and compare confirmed answers with those on disk."""
    read = read_experiment(folder)
    of_pairs, of_models = {"--scale": known is not None, "--sigma": sigma is not None}, {"--noise": noise is not None}
    of_words = {"--accuracy": bool(accuracy)}
    if isinstance(read.design, ScalingDesign):
        refuse_options(of_words | {"--model": model_name is not None}, "in which answers are right or wrong")
        refuse_options(of_models, "of sounds that tell models apart")
        reply = reply_to_pairs(read, known, 0.2 if sigma is None else sigma, guesses)
    elif isinstance(read.design, ComparisonDesign):
        refuse_options(of_words | of_pairs, "in which sounds do not tell models apart")
        reply = reply_as_model(read, model_name, 0.5 if noise is None else noise)
    else:
        refuse_options(of_pairs, "with triads or quadruples")
        refuse_options(of_models, "of sounds that tell models apart")
        reply = _reply(read, accuracy, guesses, model_name, device)
    serving.rehearse_and_report(read, out, reply, listeners=listeners, **asked)


def _reply(read: Experiment, accuracy: tuple[str, ...], guesses: float, model_name: str | None, device: str) -> Responder:
    """How simulated listeners answer."""
    if model_name is not None:
        return NetworkListener(read.key, rankings_by(options.opened_model(model_name, device), read))
    expected = "CONDITION=P, as in relu0=0.8"
    chosen = dict(serving.named_number(text, option="--accuracy", expected=expected) for text in accuracy)
    return SimulatedListener(read.key, chosen, guesses=guesses)


def _store(folder: Path, database: Path | None) -> Store:
    store = Store(database or folder / layout.DATABASE, _opened(folder))
    click.get_current_context().call_on_close(store.close)
    return store


def _opened(folder: Path) -> Experiment:
    """An experiment or an exploration: listeners have links and answers in both."""
    lists, key = read_lists(folder)
    if not lists.adaptive_command:
        return experiment_with(folder, lists, key)
    from audiometamer.exploration.folder import exploration_with

    return exploration_with(folder, lists, key)
