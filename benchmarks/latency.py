"""``python -m benchmarks.latency EXPERIMENT``: in an exploration, from an answer that is sent to the next sound that is there.

A listener without a page does what the page does: asks for the trial after next and loads its sound while a sound is played, and
answers some time after its end. The server runs in a process of its own, on this machine.
"""

import io
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import soundfile
from numpy.typing import NDArray

from audiometamer.exploration.folder import read_exploration
from audiometamer.exploration.rehearsal import probability_correct
from audiometamer.listening.client import Client
from audiometamer.listening.folder import Experiment
from audiometamer.listening.reading import read_answers
from audiometamer.listening.rehearsal import address_of, start_server
from audiometamer.listening.responders import IdealListener
from audiometamer.listening.simulated import answer_message, form_message
from audiometamer.listening.store import Store
from benchmarks.measuring import table

SERVE = (sys.executable, "-m", "audiometamer", "explore", "serve")
BUSY = "import time\nend = time.monotonic() + 3600\nwhile time.monotonic() < end: pass"  # ends, should nobody end it


class Ready(NamedTuple):
    """A trial as the page is told it, and its sound."""

    trial: dict[str, Any]
    sound: bytes


class Listener:
    """Somebody who does what the page does, and notes how long the next sound took."""

    def __init__(self, address: str, token: str, reply: IdealListener, seed: int) -> None:
        self.client, self.other = Client(address, token), Client(address, token)
        self.reply, self.generator = reply, np.random.default_rng(seed)
        self.seconds: list[float] = []

    def take_part(self, trials: int, *, reaction_time: float) -> None:
        """Hear so many comparisons, or all."""
        state = self.client.send(form_message("consent", {}))[1]["state"]
        session = self.client.session()
        drawn = {trial["trial"]: trial for trial in session["trials"]}
        with self.client, self.other, ThreadPoolExecutor(1) as thread:
            ready = self._drawn(drawn, state["next"]) or self._asked(state["next"])
            while len(self.seconds) < trials and ready is not None:
                ahead = thread.submit(self._ahead, state["next"] + 1)
                time.sleep(max(soundfile.info(io.BytesIO(ready.sound)).duration + reaction_time, 0))
                options = session["headphones" if ready.trial["kind"] == "headphones" else "task"]["answers"]
                given, milliseconds = self.reply(ready.trial["stimulus"], options, self.generator)
                message = answer_message(ready.trial, given, milliseconds)
                began = time.perf_counter()
                state = self.client.send(message)[1]["state"]
                if state["over"] is not None:
                    return
                of_list = self._drawn(drawn, state["next"])
                ready = of_list or self._next(ahead, state["next"])
                if of_list is None:
                    self.seconds.append(time.perf_counter() - began)

    def _drawn(self, drawn: dict[int, dict[str, Any]], number: int) -> Ready | None:
        """A trial of the headphone check."""
        return Ready(drawn[number], self.client.sound(drawn[number]["stimulus"])) if number in drawn else None

    def _ahead(self, number: int) -> Ready | None:
        trial = self.other.trial(number, waiting=False)
        return None if trial is None else Ready(trial, self.other.sound(trial["stimulus"]))

    def _next(self, ahead: "Future[Ready | None]", number: int) -> Ready | None:
        known = ahead.result() if ahead.done() else None
        return known or self._asked(number)

    def _asked(self, number: int) -> Ready | None:
        trial = self.client.trial(number, waiting=True)
        return None if trial is None else Ready(trial, self.client.sound(trial["stimulus"]))


def latencies(read: Experiment, *, listeners: int, trials: int, reaction_time: float) -> tuple[NDArray[np.float64], Counter[str]]:
    """Seconds from answers to sounds, and how often sounds came which way."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(listeners) as threads:
        database = Path(folder) / "answers.db"
        store = Store(database, read)
        tokens = [store.enrol() for _ in range(listeners)]
        store.close()
        server = start_server(read.folder, database, serve=SERVE)
        try:
            reply = IdealListener(read, database, probability_correct(read, {}))
            address = address_of(server)
            simulated = [Listener(address, token, reply, seed) for seed, token in enumerate(tokens)]
            list(threads.map(lambda one: one.take_part(trials, reaction_time=reaction_time), simulated))
        finally:
            server.kill()
            server.communicate()
        answers = read_answers(database, read)
        ways = Counter(one.decided.about["way"] for listener in answers.messages for one in answers.completed(listener))
    return np.concatenate([one.seconds for one in simulated]), ways


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """While the block runs, so many other processes compute without a pause."""
    running = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(processes)]
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()


@click.command()
@click.argument("folders", metavar="EXPERIMENT…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--listeners", type=click.IntRange(1), default=1, show_default=True, help="At once.")
@click.option("--trials", type=click.IntRange(1), default=50, show_default=True, help="Of each, at most.")
@click.option(
    "--reaction-time",
    type=float,
    default=1.5,
    show_default=True,
    help="s from the end of a sound to the answer; below 0: before.",
)
@click.option("--busy", "others", type=click.IntRange(0), default=0, show_default=True, help="Processes that compute meanwhile.")
def main(folders: tuple[Path, ...], listeners: int, trials: int, reaction_time: float, others: int) -> None:
    """Print a table of how long the next sound takes in explorations."""
    rows: list[tuple[object, ...]] = [("experiment", "trials", "ladder, online, fallback", "median (s)", "95 % (s)", "worst (s)")]
    for folder in folders:
        with busy(others):
            seconds, ways = latencies(read_exploration(folder), listeners=listeners, trials=trials, reaction_time=reaction_time)
        told = ", ".join(str(ways[way]) for way in ("ladder", "online", "fallback"))
        found = [f"{value:.3f}" for value in (np.median(seconds), np.quantile(seconds, 0.95), seconds.max())]
        rows.append((folder.name, len(seconds), told, *found))
    click.echo(table(*rows))


if __name__ == "__main__":
    main()
