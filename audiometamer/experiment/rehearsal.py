"""A whole experiment with simulated listeners at once, against a server of its own: are all answers there, and how fast."""

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment import browser
from audiometamer.experiment.export import read_answers
from audiometamer.experiment.folder import DATABASE, Experiment
from audiometamer.experiment.messages import Answer
from audiometamer.experiment.simulated import Client, Confirmed, Reply, take_part
from audiometamer.experiment.store import Store

_SECONDS_TO_START = 120.0


class Rehearsed(NamedTuple):
    """What came of a rehearsal.

    Parameters
    ----------
    ends : dict of str to int
        How many listeners finished, and were stopped.
    confirmed : int
        Answers that the server confirmed.
    lost : int
        Of these, those that are not on disk as they were sent.
    twice : int
        Trials with more than one answer of a listener.
    again : int
        Messages that took more than one attempt.
    milliseconds : dict of str to float
        From sending an answer to its confirmation: ``median``, ``99 %`` and ``longest``.
    seconds : float
        Of the whole.
    """

    ends: dict[str, int]
    confirmed: int
    lost: int
    twice: int
    again: int
    milliseconds: dict[str, float]
    seconds: float


def rehearse(
    experiment: Experiment,
    out: Path,
    reply: Reply,
    *,
    listeners: int,
    seed: int = 0,
    pace: float = 0.0,
    load_sounds: bool = True,
    chromium: str | None = None,
    report: Callable[[float, str], None] = lambda _done, _message: None,
) -> Rehearsed:
    """Let simulated listeners take part at once; their answers go into a new folder, not to those of real listeners.

    Parameters
    ----------
    experiment : Experiment
    out : path
        For ``answers.db``.
    reply : Reply
        How they answer; see `audiometamer.experiment.simulated`.
    listeners : int
        At most as many as there are lists.
    seed : int
        Of their answers. Default 0.
    pace : float
        So many times the reaction time is waited before each answer. Default 0: none.
    load_sounds : bool
        Load every sound before it is answered. Default True.
    chromium : str, optional
        The browser, where listeners go through the page itself; see `audiometamer.experiment.browser`. Default: they talk to the
        server without a page.
    report : function of float and str, optional
        Called with the share of answers that are confirmed, and words.

    Raises
    ------
    AudioMetamerError
        If `out` has answers, there are fewer lists, or the server does not start.
    """
    database = out / DATABASE
    if database.exists():
        raise AudioMetamerError(f"{database} exists; nothing is overwritten: choose another --out")
    if listeners > (n := len(experiment.lists.listeners)):
        raise AudioMetamerError(f"{listeners} listeners are wanted, and there are {n} lists")
    out.mkdir(parents=True, exist_ok=True)
    store = Store(database, experiment)
    tokens = [store.enrol(group="simulated") for _ in range(listeners)]
    store.close()
    expected = sum(len(experiment.trials(k + 1)) for k in range(listeners))
    crowd = _Crowd(expected, report)
    start = time.perf_counter()
    with server(experiment.folder, database) as address:
        if chromium is not None:
            crowd.browse([f"{address}/#{token}" for token in tokens], reply, program=chromium, seed=seed, pace=pace)
            return _result(crowd, experiment, database, time.perf_counter() - start)

        def take(number: int) -> None:
            with Client(address, tokens[number]) as client:
                crowd.end(take_part(
                    client, reply, seed=seed + number, pace=pace, load_sounds=load_sounds, report=crowd.confirmed(number + 1)
                ))  # fmt: skip

        crowd.run(take, listeners)
    seconds = time.perf_counter() - start
    return _result(crowd, experiment, database, seconds)


class _Crowd:
    """Threads, one for each listener, and what they tell."""

    def __init__(self, expected: int, report: Callable[[float, str], None]) -> None:
        self.expected, self.report = expected, report
        self.lock = threading.Lock()
        self.answers: list[tuple[int, Confirmed]] = []
        self.again = 0
        self.ends: Counter[str] = Counter()

    def confirmed(self, listener: int) -> Callable[[Confirmed], None]:
        """What a listener calls for every message that was confirmed."""

        def note(one: Confirmed) -> None:
            with self.lock:
                self.again += one.attempts > 1
                if one.message["kind"] == "answer":
                    self.answers.append((listener, one))
                    self.report(len(self.answers) / self.expected, f"{len(self.answers)} answers")

        return note

    def end(self, how: str) -> None:
        with self.lock:
            self.ends[how] += 1

    def browse(self, addresses: Sequence[str], reply: Reply, *, program: str, seed: int, pace: float) -> None:
        """Windows of a browser instead of threads."""
        reports = [self.confirmed(number) for number in range(1, len(addresses) + 1)]
        self.ends.update(browser.take_part(addresses, reply, program=program, seed=seed, pace=pace, reports=reports))

    def run(self, take: Callable[[int], None], n: int) -> None:
        """Wait for all; the first error of one of them is raised when all have ended."""
        with ThreadPoolExecutor(n, thread_name_prefix="listener") as threads:
            running = [threads.submit(take, k) for k in range(n)]
        for one in running:
            one.result()


def _result(crowd: _Crowd, experiment: Experiment, database: Path, seconds: float) -> Rehearsed:
    """Hold what was confirmed against what is on disk."""
    kept = read_answers(database, experiment)
    there = {(one.listener, a.trial): a for one in kept.enrolled for a in kept.answers(one.listener)}
    trials = Counter((one.listener, a.trial) for one in kept.enrolled for a in kept.answers(one.listener))
    lost = sum(not _is_kept(one.message, there.get((listener, one.message["trial"]))) for listener, one in crowd.answers)
    waited = np.array([1000 * one.seconds for _, one in crowd.answers])
    times = {"median": np.median(waited), "99 %": np.quantile(waited, 0.99), "longest": waited.max()}
    return Rehearsed(
        ends=dict(crowd.ends),
        confirmed=len(crowd.answers),
        lost=lost,
        twice=sum(n > 1 for n in trials.values()),
        again=crowd.again,
        milliseconds={name: float(value) for name, value in times.items()},
        seconds=seconds,
    )


def _is_kept(message: Mapping[str, object], answer: Answer | None) -> bool:
    fields = ("key", "stimulus", "answer", "reaction_time_ms")
    return answer is not None and all(getattr(answer, name) == message[name] for name in fields)


@contextmanager
def server(folder: Path, database: Path, *, port: int = 0) -> Iterator[str]:
    """A server in a process of its own, on this machine; its address."""
    with start_server(folder, database, port=port) as process:
        try:
            yield address_of(process)
        finally:
            process.terminate()


def start_server(folder: Path, database: Path, *, port: int = 0) -> "subprocess.Popen[str]":
    """Start ``audiometamer experiment serve``; see `address_of`."""
    command = [sys.executable, "-m", "audiometamer", "experiment", "serve", str(folder)]
    command += ["--answers", str(database), "--port", str(port)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})


def address_of(process: "subprocess.Popen[str]") -> str:
    """Where a server that was started takes requests; waits for its first line.

    Raises
    ------
    AudioMetamerError
        If it ends instead.
    """
    assert process.stdout is not None
    line = process.stdout.readline()
    if "http://" not in line:
        raise AudioMetamerError(f"the server did not start; it ended with status {process.wait()}")
    return "http://" + line.split("http://")[1].split()[0]
