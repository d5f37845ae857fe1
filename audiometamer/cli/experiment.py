"""``audiometamer experiment``: build a listening experiment, run it, and take the answers out."""

from collections import Counter
from pathlib import Path
from typing import cast

import click
from rich.console import Console
from rich.table import Table

from audiometamer.cli import options
from audiometamer.cli.progress import tracked
from audiometamer.errors import AudioMetamerError
from audiometamer.experiment import folder as layout
from audiometamer.experiment.build import Built
from audiometamer.experiment.build import build as build_folder
from audiometamer.experiment.design import read_design
from audiometamer.experiment.export import read_answers, write_tables
from audiometamer.experiment.folder import Experiment, read_experiment
from audiometamer.experiment.rehearsal import rehearse as rehearse_folder
from audiometamer.experiment.simulated import NetworkListener, Person, Reply, rankings_by
from audiometamer.experiment.store import Store

_folder = click.argument("folder", metavar="EXPERIMENT", type=click.Path(path_type=Path))
_answers = click.option(
    "--answers", "database", type=click.Path(path_type=Path), help="Where they are kept; default: answers.db in EXPERIMENT."
)
_stimulus_set = click.argument("stimulus_set", metavar="SET", type=click.Path(path_type=Path))


@click.group()
def experiment() -> None:
    """Listening experiments: from a stimulus set to listeners' answers and their analysis."""


@experiment.command()
@_stimulus_set
@click.option("--design", required=True, type=click.Path(path_type=Path), help="A TOML file: who hears what.")
@options.out("experiment")
def build(stimulus_set: Path, design: Path, out: Path) -> None:
    """Make an experiment of SET: every listener's list, the sounds under names that tell nothing, and the key to them."""
    built = build_folder(stimulus_set, design, out)
    _tell(built)
    click.echo(
        f"{built.design.listeners} listeners, {len(built.lists[0])} trials each, {built.design.trials} of them main trials: {out}"
    )
    if built.unheard:
        click.echo(f"{built.unheard} words are heard by nobody")
    if built.offer.missing:
        instead = "left out" if built.design.conditions.missing == "leave-out" else "played as natural clips instead"
        clips = len({one.clip for one in built.offer.missing})
        click.echo(f"{len(built.offer.missing)} metamers of {clips} clips are missing, {instead}: {out / layout.MISSING}")
    if read_design(design).texts.consent is None:
        click.echo(f"the consent is an example that no ethics committee has seen: {out / layout.TEXTS_FOLDER / 'consent.md'}")
    click.echo(f"key, for your eyes alone: {out / layout.KEY}   secret of the results page: {out / layout.SECRET}")


def _tell(built: Built) -> None:
    """How often each condition is heard, by a listener and in all."""
    table = Table(box=None, header_style="bold")
    for column in ("condition", "of a listener", "in all", "missing"):
        table.add_column(column, justify="left" if column == "condition" else "right")
    heard = [Counter(trial.condition for trial in trials if trial.kind == "main") for trials in built.lists]
    missing = Counter(one.condition for one in built.offer.missing)
    for condition in built.offer.conditions:
        numbers = [count[condition] for count in heard]
        span = f"{min(numbers)}–{max(numbers)}" if min(numbers) != max(numbers) else str(numbers[0])
        table.add_row(str(condition), span, str(sum(numbers)), str(missing[condition]))
    console = Console()
    console.width = max(console.width, 100)
    console.print(table)


@experiment.command()
@_folder
@_answers
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Who may come: 127.0.0.1 is this machine, 0.0.0.0 everybody."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any that is free.")
@click.option(
    "--open", "open_to", type=click.Choice(["prolific", "mturk", "anyone"]),
    help="Take listeners without a link of their own; default: links alone.",
)  # fmt: skip
def serve(folder: Path, database: Path | None, host: str, port: int, open_to: str | None) -> None:
    """Run EXPERIMENT in browsers. An answer that was confirmed is on disk; stop and start again as you like."""
    try:
        from audiometamer.experiment.server import Service
        from audiometamer.experiment.server import serve as serve_folder
    except ModuleNotFoundError as error:
        raise AudioMetamerError(f"serving needs {error.name}: pip install 'audiometamer[experiment]'") from error

    def started(address: str) -> None:
        click.echo(f"{address} (results: {address}/results)")

    serve_folder(folder, host=host, port=port, open_to=cast("Service | None", open_to), database=database, started=started)


@experiment.command()
@_folder
@_answers
@click.option("--count", type=click.IntRange(1), default=1, show_default=True, help="How many listeners.")
@click.option("--address", default="http://127.0.0.1:8000", show_default=True, help="Where listeners reach the server.")
def links(folder: Path, database: Path | None, count: int, address: str) -> None:
    """Print links for new listeners of EXPERIMENT. Each is shown this once: only its hash is kept."""
    store = _store(folder, database)
    for _ in range(count):
        token = store.enrol()
        click.echo(f"{store.listener(token)}\t{address.rstrip('/')}/#{token}")


@experiment.command()
@_folder
@_answers
@click.argument("listener", type=int)
@click.option("--reason", required=True, help="As the table of listeners will give it.")
def release(folder: Path, database: Path | None, listener: int, reason: str) -> None:
    """Count LISTENER, who did not finish, as excluded, and give the list to the next who comes. The answers stay."""
    _store(folder, database).release(listener, reason)
    click.echo(f"listener {listener} is excluded; the list is free")


@experiment.command()
@_folder
@_answers
@options.out("answers")
def export(folder: Path, database: Path | None, out: Path) -> None:
    """Write the answers of EXPERIMENT as tables, while the server runs or after."""
    answers = read_answers(database or folder / layout.DATABASE, read_experiment(folder))
    write_tables(answers, out)
    click.echo(f"{len(answers.trials)} answers of {len(answers.listeners)} listeners: {out}")


@experiment.command()
@_folder
@options.out("rehearsal")
@click.option("--listeners", type=click.IntRange(1), default=5, show_default=True, help="At once.")
@click.option(
    "--accuracy", multiple=True, metavar="CONDITION=P",
    help="Of a listener: relu0=0.8, cochcnn-word/relu0=0.8, natural=0.95 or headphones=1; may be given several times.",
)  # fmt: skip
@click.option("--lapse", type=float, default=0.02, show_default=True, help="Probability of an answer at random.")
@click.option("--model", "model_name", help="A network as listener, in the place of --accuracy.")
@options.device
@click.option(
    "--pace", type=click.FloatRange(0), default=0.0, show_default=True, help="1: as slow as people; 0: without a pause."
)
@click.option("--sounds/--no-sounds", default=True, show_default=True, help="Load every sound before it is answered.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the answers.")
def rehearse(
    folder: Path,
    out: Path,
    listeners: int,
    accuracy: tuple[str, ...],
    lapse: float,
    model_name: str | None,
    device: str,
    pace: float,
    sounds: bool,
    seed: int,
) -> None:
    """Let simulated listeners go through EXPERIMENT at once, and hold what was confirmed against what is on disk."""
    read = read_experiment(folder)
    reply = _reply(read, accuracy, lapse, model_name, device)
    with tracked() as tracker:
        found = rehearse_folder(read, out, reply, listeners=listeners, seed=seed, pace=pace, load_sounds=sounds, report=tracker)
    write_tables(read_answers(out / layout.DATABASE, read), out)
    times = ", ".join(f"{name} {value:.1f} ms" for name, value in found.milliseconds.items())
    ends = ", ".join(f"{n} {how}" for how, n in found.ends.items())
    click.echo(f"{listeners} listeners ({ends}), {found.confirmed} answers confirmed in {found.seconds:.1f} s: {times}")
    click.echo(f"{found.lost} lost, {found.twice} there twice, {found.again} sent more than once: {out}")


def _reply(read: Experiment, accuracy: tuple[str, ...], lapse: float, model_name: str | None, device: str) -> Reply:
    """How simulated listeners answer."""
    if model_name is not None:
        return NetworkListener(read.key, rankings_by(options.opened_model(model_name, device), read))
    return Person(read.key, dict(map(_chosen, accuracy)), lapse=lapse)


def _chosen(text: str) -> tuple[str, float]:
    """A condition and its accuracy, from ``CONDITION=P``."""
    condition, _, value = text.rpartition("=")
    try:
        return condition, float(value)
    except ValueError as error:
        raise AudioMetamerError(f"--accuracy is {text!r}; it must be CONDITION=P, as in relu0=0.8") from error


def _store(folder: Path, database: Path | None) -> Store:
    return Store(database or folder / layout.DATABASE, read_experiment(folder))
