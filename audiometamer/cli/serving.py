"""Options and steps shared by the commands that serve and rehearse experiments."""

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
answers = click.option("--answers", "database", type=_path, help="Database of answers; default: answers.db in EXPERIMENT.")
names_key = click.option(
    "--names-key",
    "key",
    type=_path,
    help="Private key (names.key) of an earlier build, to get the same files; default: a new key.",
)
_PORT = 8000
_WILDCARDS = ("http://0.0.0.0:", "http://[::]:")  # addresses that a server can listen on, and no browser can open
_SERVED = (
    answers,
    click.option(
        "--host", default="127.0.0.1", show_default=True, help="Interface to bind; 0.0.0.0 lets other machines connect."
    ),
    click.option("--port", type=click.IntRange(0, 65535), default=_PORT, show_default=True, help="Port; 0: any free port."),
    click.option(
        "--open", "open_to", type=click.Choice(["prolific", "mturk", "anyone"]),
        help="Admit listeners without a link of their own, from this service; default: links only.",
    ),
    click.option(
        "--proxy", "proxies", multiple=True, metavar="ADDRESS",
        help="Address or network of a proxy whose X-Forwarded-For is trusted; repeatable.",
    ),
    click.option(
        "--free-after", type=options.Number(0, 5e6, min_open=True), default=FREE_AFTER, show_default=True, metavar="MINUTES",
        help="With --open: time without an answer after which a list may be reassigned; "
        f"{MAIN_TRIALS_FACTOR} times as long in the main part.",
    ),
    click.option(
        "--per-minute", type=click.IntRange(1), default=PER_MINUTE, show_default=True,
        help="With --open: maximum of newcomers per minute.",
    ),
    click.option(
        "--per-address", type=click.IntRange(1), default=PER_ADDRESS, show_default=True,
        help="With --open: maximum of newcomers per minute from one address.",
    ),
    click.option(
        "--prolific-study", "studies", multiple=True, metavar="ID",
        help="With --open prolific: accept only links that Prolific signed for this study; repeatable.",
    ),
    click.option("--prolific-keys", "keys", metavar="FILE|URL", help="Prolific's public keys; default: those on its site."),
    click.option(
        "--prolific-audience", "audience", metavar="URL", default="",
        help="Address of the study at Prolific; its host is checked.",
    ),
)  # fmt: skip
_REHEARSED = (
    click.option(
        "--pace", type=options.Number(0), default=0.0, show_default=True, help="Pause before answers, in reaction times."
    ),
    click.option(
        "--load/--no-load", default=True, show_default=True, help="Load every sound, or image, before answering."
    ),
    click.option(
        "--browser", "chromium", metavar="PROGRAM", help="Chromium: listeners use the page itself; needs playwright."
    ),
    click.option("--kills", type=click.IntRange(0), default=0, show_default=True, help="Times the server is killed."),
    click.option("--seed", type=options.SEED, default=0, show_default=True, help="Random seed of the answers."),
)  # fmt: skip
listeners = click.option(
    "--listeners", type=click.IntRange(1), default=5, show_default=True, help="Number of concurrent listeners."
)


def served(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of `serve`: where and for whom an experiment is served."""
    return _with(_SERVED)(command)


def rehearsed(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of `audiometamer.listening.rehearsal.rehearse`."""
    return _with(_REHEARSED)(command)


def _with(options_: Sequence[Decorator]) -> Decorator:
    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options_):
            command = option(command)
        return command

    return decorate


def serve(
    experiment: Experiment,
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
    """Serve an experiment until it is interrupted, and print its address."""
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
        experiment, host=host, port=port, open_to=cast("Service | None", open_to), free_after=free_after,
        rate=RateLimit(per_minute, per_address), signed=signed, database=database, proxies=proxies,
        started=started,
    )  # fmt: skip


def print_open_ends(design: CommonDesign, out: Path) -> None:
    """Print what a design leaves unspecified and listeners would notice: example texts, ends that lead nowhere."""
    texts, ends = design.texts, design.completion
    if texts.consent is None:
        click.echo(f"the consent is an example that no ethics committee has seen: {out / layout.TEXTS_FOLDER / 'consent.md'}")
    if texts.sentences is not None and (examples := [name for name in TEXTS if getattr(texts, name) is None]):
        click.echo(f"{', '.join(examples)}: examples in {texts.language!r}, and not in the language of {texts.sentences}")
    stops = [kind for kind, gate in design.gates.items() if gate.trials and gate.otherwise == "stop"]
    if "headphones" in stops and not design.headphone_trials:
        stops.remove("headphones")
    if ends.finished is not None and ends.stopped is None and stops:
        click.echo(
            f"listeners who fail the {' or '.join(stops)} check are sent nowhere and get no code: "
            "name an address in completion.stopped"
        )


def print_files(design: CommonDesign, out: Path) -> None:
    """Print what the design of a built folder leaves open, and which of its files are for the experimenter alone."""
    print_open_ends(design, out)
    keys = f"{out / layout.KEY} {out / layout.NAMES_KEY}"
    click.echo(f"keys, for your eyes only: {keys}   secret of the results page: {out / layout.SECRET}")


def local_address(port: int) -> str:
    """Address of a server on this machine, for listeners at this machine."""
    return f"http://127.0.0.1:{port}"


def public_address(served: str | None) -> str:
    """Address at which listeners reach a server, from the one that it recorded itself."""
    if served is None:
        click.echo(
            f"not served yet: these links are for a server on this machine at port {_PORT}; for another, give --address", err=True
        )
        return local_address(_PORT)
    if not served.startswith(_WILDCARDS):
        return served
    name = f"http://{socket.gethostname()}:{served.rpartition(':')[2]}"
    click.echo(f"if listeners do not reach this machine as {name}, give --address", err=True)
    return name


def rehearse_and_report(experiment: Experiment, out: Path, reply: Responder, *, listeners: int, **settings: Any) -> None:
    """Rehearse, write the tables and print the results."""
    with tracked() as tracker:
        found = rehearse(experiment, out, reply, listeners=listeners, progress=tracker, **settings)
    write_tables(read_answers(out / layout.DATABASE, experiment), out)
    times = ", ".join(f"{name} {value:.1f} ms" for name, value in found.milliseconds.items())
    ends = ", ".join(f"{n} {how}" for how, n in found.ends.items())
    click.echo(f"{listeners} listeners ({ends}), {found.confirmed} answers confirmed in {found.seconds:.1f} s: {times}")
    click.echo(f"{found.lost} lost, {found.duplicates} stored twice, {found.retried} sent more than once: {out}")
    if settings["kills"]:
        click.echo(f"kills of the server: {found.kills}")


def named_number(text: str, *, option: str, expected: str) -> tuple[str, float]:
    """Parse ``NAME=NUMBER``; the name may be missing."""
    name, _, value = text.rpartition("=")
    try:
        return name, float(value)
    except ValueError as error:
        raise AudioMetamerError(f"{option} is {text!r}; it must be {expected}") from error
