"""A crowd of simulated listeners at a server that something happens to; for the other scripts in this folder."""

import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

HELPERS = Path(__file__).parents[1] / "helpers"
sys.path[:0] = [str(HELPERS), str(HELPERS.parents[1])]

import tiny_experiment  # noqa: E402 (found only there)

from audiometamer.experiment.reading import read_experiment  # noqa: E402
from audiometamer.listening.client import Client, ConfirmedMessage  # noqa: E402
from audiometamer.listening.folder import Experiment  # noqa: E402
from audiometamer.listening.rehearsal import SERVE_COMMAND, address_of  # noqa: E402
from audiometamer.listening.responders import SimulatedListener  # noqa: E402
from audiometamer.listening.simulated import take_part  # noqa: E402
from audiometamer.listening.store import Store  # noqa: E402


def build(folder: Path, listeners: int) -> Experiment:
    """A small experiment with lists for so many listeners."""
    text = tiny_experiment.DESIGN.replace("listeners = 6", f"listeners = {listeners}")
    return read_experiment(tiny_experiment.build_experiment(folder, text))


class Server:
    """A server in a process of its own, at an address that it keeps when it is started again."""

    def __init__(self, experiment: Experiment, database: Path, log: Path) -> None:
        self.command = [*SERVE_COMMAND, str(experiment.folder), "--answers", str(database), "--port"]
        self.log, self.port = log, 0
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*self.command, str(self.port)], stdout=subprocess.PIPE, stderr=log, text=True)
        self.address = address_of(self.process)
        self.port = int(self.address.rpartition(":")[2])

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate()


class Kept(NamedTuple):
    """A message that was confirmed, and when."""

    when: float
    listener: int
    message: dict


class Crowd:
    """Listeners who answer at once, each in a thread, and all that was confirmed to them."""

    def __init__(self, experiment: Experiment, database: Path, listeners: int, *, pace: float) -> None:
        with closing(Store(database, experiment)) as store:
            self.tokens = [store.enrol(group="simulated") for _ in range(listeners)]
        self.experiment, self.pace = experiment, pace
        self.confirmed: list[Kept] = []
        self.ends: Counter[str] = Counter()
        self.again = 0
        self.lock = threading.Lock()
        self.threads: list[threading.Thread] = []

    def start(self, address: str) -> None:
        self.threads = [threading.Thread(target=self._listen, args=(address, k)) for k in range(len(self.tokens))]
        for thread in self.threads:
            thread.start()

    def busy(self) -> bool:
        return any(thread.is_alive() for thread in self.threads)

    def _listen(self, address: str, k: int) -> None:
        def note(one: ConfirmedMessage) -> None:
            with self.lock:
                self.confirmed.append(Kept(time.monotonic(), k + 1, one.message))
                self.again += one.attempts > 1

        try:
            with Client(address, self.tokens[k], patience=600) as client:
                end = take_part(
                    client, SimulatedListener(self.experiment.key), seed=k, pace=self.pace, load=k % 4 == 0, on_confirmed=note
                )
        except Exception as error:  # noqa: BLE001 (counted, whatever it is)
            end = repr(error)
        with self.lock:
            self.ends[end] += 1


def lost(database: Path, confirmed: list[Kept]) -> tuple[int, int, str]:
    """How many confirmed messages are not there as they were sent, how many messages are, and whether the file is whole."""
    with closing(sqlite3.connect(database)) as db:
        (whole,) = db.execute("PRAGMA integrity_check").fetchone()
        there = {
            (listener, key): json.loads(text) for listener, key, text in db.execute("SELECT listener, key, content FROM messages")
        }
    return sum(not _same(there.get((one.listener, one.message["key"])), one.message) for one in confirmed), len(there), whole


def _same(kept: dict | None, sent: dict) -> bool:
    """Whether the fields by which an answer counts are as they were sent."""
    names = ("kind", "trial", "stimulus", "answer", "reaction_time_ms", "form")
    return kept is not None and all(kept.get(name) == sent.get(name) for name in names)
