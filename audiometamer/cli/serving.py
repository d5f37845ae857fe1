"""What commands share that serve experiments and rehearse them."""

import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import click

from audiometamer.cli import options
from audiometamer.cli.options import Decorator
from audiometamer.cli.progress import tracked
from audiometamer.errors import AudioMetamerError
from audiometamer.listening import folder as layout
from audiometamer.listening.design import TEXTS, CommonDesign
from audiometamer.listening.enrolment import FREE_AFTER, MAIN_TRIALS_FACTOR
from audiometamer.listening.export import write_tables
from audiometamer.listening.folder import Experiment
from audiometamer.listening.rate import PER_ADDRESS, PER_MINUTE, RateLimit
from audiometamer.listening.reading import read_answers
from audiometamer.listening.rehearsal import rehearse
from audiometamer.listening.responders import Responder
from audiometamer.listening.signed import KEYS_URL, SignedLinks

_path = click.Path(path_type=Path)
folder = click.argument("folder", metavar="EXPERIMENT", type=_path)
answers = click.option("--answers", "database", type=_path, help="Where answers are kept; default: answers.db in EXPERIMENT.")
names_key = click.option(
    "--names-key",
    "key",
    type=_path,
    help="Private key (names.key) of an earlier build, for the same files; default: a fresh one.",
)
_PORT = 8000
_EVERYWHERE = ("http://0.0.0.0:", "http://[::]:")  # addresses at which a server takes listeners, and which none of them can open
_SERVED = (
    answers,
    click.option(
        "--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 lets other machines connect."
    ),
    click.option("--port", type=click.IntRange(0, 65535), default=_PORT, show_default=True, help="Port; 0: any that is free."),
    click.option(
        "--open", "open_to", type=click.Choice(["prolific", "mturk", "anyone"]),
        help="Take listeners without a link of their own; default: links alone.",
    ),
    click.option(
        "--proxy", "proxies", multiple=True, metavar="ADDRESS",
        help="Address or network of a proxy whose X-Forwarded-For is trusted; may be given several times.",
    ),
    click.option(
        "--free-after", type=options.Number(0, 5e6, min_open=True), default=FREE_AFTER, show_default=True, metavar="MINUTES",
        help="With --open: time without an answer after which a list may be reassigned; "
        f"{MAIN_TRIALS_FACTOR} times as long in the main part.",
    ),
    click.option(
        "--per-minute", type=click.IntRange(1), default=PER_MINUTE, show_default=True,
        help="With --open: most newcomers a minute.",
    ),
    click.option(
        "--per-address", type=click.IntRange(1), default=PER_ADDRESS, show_default=True,
        help="With --open: most newcomers a minute from one address.",
    ),
    click.option(
        "--prolific-study", "studies", multiple=True, metavar="ID",
        help="With --open prolific: take only links that Prolific signed for this study; may be given several times.",
    ),
    click.option("--prolific-keys", "keys", metavar="FILE|URL", help="Prolific's keys; default: from Prolific."),
    click.option(
        "--prolific-audience", "audience", metavar="URL", default="",
        help="Address of the study at Prolific, whose host is checked.",
    ),
)  # fmt: skip
_REHEARSED = (
    click.option(
        "--pace", type=options.Number(0), default=0.0, show_default=True, help="1: as slow as people; 0: without a pause."
    ),
    click.option(
        "--load/--no-load", default=True, show_default=True, help="Load every sound, or image, before it is answered."
    ),
    click.option(
        "--browser", "chromium", metavar="PROGRAM", help="Chromium: listeners go through the page itself; needs playwright."
    ),
    click.option("--kills", type=click.IntRange(0), default=0, show_default=True, help="Times that the server is killed."),
    click.option("--seed", type=options.SEED, default=0, show_default=True, help="Random seed of the answers."),
)  # fmt: skip
listeners = click.option("--listeners", type=click.IntRange(1), default=5, show_default=True, help="Listeners at once.")


def served(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where and for whom an experiment is served, as arguments of `serve`."""
    return _with(_SERVED)(command)


def rehearsed(command: Callable[..., Any]) -> Callable[..., Any]:
    """How an experiment is rehearsed, as arguments of `audiometamer.listening.rehearsal.rehearse`."""
    return _with(_REHEARSED)(command)


def _with(asked: Sequence[Decorator]) -> Decorator:
    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(asked):
            command = option(command)
        return command

    return decorate


def serve(
    read: Experiment,
    *,
    database: Path | None,
    host: str,
    port: int,
    open_to: str | None,
    free_after: float,
    per_minute: int,
    per_address: int,
    studies: Sequence[str],
    keys: str | None,
    audience: str,
    proxies: Sequence[str],
) -> None:
    """Serve until it is interrupted, and print where."""
    if studies and open_to != "prolific":
        raise AudioMetamerError("--prolific-study needs --open prolific")
    if (keys or audience) and not studies:
        raise AudioMetamerError("--prolific-keys and --prolific-audience need --prolific-study, whose links they verify")
    try:
        from audiometamer.listening.newcomers import Service
        from audiometamer.listening.server import serve as serve_experiment
    except ModuleNotFoundError as error:
        raise AudioMetamerError(f"serving needs {error.name}: pip install 'audiometamer[experiment]'") from error
    signed = SignedLinks(studies, keys=keys or KEYS_URL, audience=audience) if studies else None

    def started(address: str) -> None:
        click.echo(f"{address} (results: {address}/results)")

    serve_experiment(
        read, host=host, port=port, open_to=cast("Service | None", open_to), free_after=free_after,
        rate=RateLimit(per_minute, per_address), signed=signed, database=database, proxies=proxies,
        started=started,
    )  # fmt: skip


def tell_of_ends(asked: CommonDesign, out: Path) -> None:
    """Print what a design leaves open that listeners would notice: example texts, ends without a way back to a service."""
    texts, ends = asked.texts, asked.completion
    if texts.consent is None:
        click.echo(f"the consent is an example that no ethics committee has seen: {out / layout.TEXTS_FOLDER / 'consent.md'}")
    if texts.sentences is not None and (examples := [name for name in TEXTS if getattr(texts, name) is None]):
        click.echo(f"{', '.join(examples)}: examples in {texts.language!r}, and not in the language of {texts.sentences}")
    stops = [kind for kind, gate in asked.gates.items() if gate.trials and gate.otherwise == "stop"]
    if "headphones" in stops and not asked.headphone_trials:
        stops.remove("headphones")
    if ends.finished is not None and ends.stopped is None and stops:
        click.echo(
            f"who fails the {' or '.join(stops)} check is sent nowhere and gets no code: name an address in completion.stopped"
        )


def local(port: int) -> str:
    """A server on this machine, for listeners at this machine."""
    return f"http://127.0.0.1:{port}"


def reached_at(served: str | None) -> str:
    """Where listeners reach a server, by the address that it noted itself."""
    if served is None:
        click.echo(
            f"not served yet: these links are for a server on this machine at port {_PORT}; for another, give --address", err=True
        )
        return local(_PORT)
    if not served.startswith(_EVERYWHERE):
        return served
    name = f"http://{socket.gethostname()}:{served.rpartition(':')[2]}"
    click.echo(f"if listeners do not reach this machine as {name}, give --address", err=True)
    return name


def rehearse_and_tell(read: Experiment, out: Path, reply: Responder, *, listeners: int, **asked: Any) -> None:
    """Rehearse, write the tables and print what came of it."""
    with tracked() as tracker:
        found = rehearse(read, out, reply, listeners=listeners, report=tracker, **asked)
    write_tables(read_answers(out / layout.DATABASE, read), out)
    times = ", ".join(f"{name} {value:.1f} ms" for name, value in found.milliseconds.items())
    ends = ", ".join(f"{n} {how}" for how, n in found.ends.items())
    click.echo(f"{listeners} listeners ({ends}), {found.confirmed} answers confirmed in {found.seconds:.1f} s: {times}")
    click.echo(f"{found.lost} lost, {found.twice} there twice, {found.again} sent more than once: {out}")
    if asked["kills"]:
        click.echo(f"the server was killed: {found.kills}")


def named_number(text: str, *, option: str, expected: str) -> tuple[str, float]:
    """A name, or nothing, and a number, from ``NAME=NUMBER``."""
    name, _, value = text.rpartition("=")
    try:
        return name, float(value)
    except ValueError as error:
        raise AudioMetamerError(f"{option} is {text!r}; it must be {expected}") from error
