"""Rehearsals: many simulated listeners take part in an experiment concurrently, and every confirmed answer must be on disk."""

import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import make_folder, refuse_existing
from audiometamer.io.processes import describe_exit
from audiometamer.io.resources import COMMAND
from audiometamer.listening import browser
from audiometamer.listening.client import Client, ConfirmedMessage
from audiometamer.listening.folder import DATABASE, Experiment
from audiometamer.listening.messages import AnswerMessage
from audiometamer.listening.reading import read_answers
from audiometamer.listening.responders import Responder
from audiometamer.listening.simulated import take_part
from audiometamer.listening.store import Store

SERVE_COMMAND = (*COMMAND, "experiment", "serve")
_PATIENCE = 60.0  # s for a message to be confirmed, and more for each kill of the server
_MAX_SECONDS_ALIVE = 1.0  # of a server before it is killed


class RehearsalReport(NamedTuple):
    """Results of a rehearsal.

    Parameters
    ----------
    ends : dict of str to int
        Number of listeners who finished, and who were stopped.
    confirmed : int
        Number of answers that the server confirmed.
    lost : int
        Confirmed answers that are not on disk as they were sent.
    duplicates : int
        Trials with more than one answer from the same listener.
    retried : int
        Messages that took more than one attempt.
    kills : int
        How often the server was killed and restarted.
    milliseconds : dict of str to float
        Time from sending an answer to its confirmation: ``median``, ``99 %`` and ``longest``.
    seconds : float
        Duration of the rehearsal.
    """

    ends: dict[str, int]
    confirmed: int
    lost: int
    duplicates: int
    retried: int
    kills: int
    milliseconds: dict[str, float]
    seconds: float


def rehearse(
    experiment: Experiment,
    out: Path,
    reply: Responder,
    *,
    listeners: int,
    seed: int = 0,
    pace: float = 0.0,
    load: bool = True,
    chromium: str | None = None,
    kills: int = 0,
    serve: Sequence[str] = SERVE_COMMAND,
    progress: Callable[[float, str], None] = lambda _done, _message: None,
) -> RehearsalReport:
    """Let simulated listeners take part concurrently; their answers go into a new folder, apart from those of real listeners.

    Parameters
    ----------
    experiment : Experiment
    out : path
        Folder for ``answers.db``.
    reply : Responder
        How the listeners answer; see `audiometamer.listening.responders`.
    listeners : int
        Number of listeners, at most the number of lists.
    seed : int
        Random seed of their answers. Default 0.
    pace : float
        Pause before each answer, in reaction times. Default 0.
    load : bool
        Whether to load every sound, or image, before answering. Default True.
    chromium : str, optional
        Browser in which listeners use the page itself; see `audiometamer.listening.browser`. Default: they talk to the server
        without a page.
    kills : int
        How often the server is killed (SIGKILL) at random moments and restarted. Default 0.
    serve : sequence of str
        Command that serves the experiment, to which its folder, ``--answers`` and ``--port`` are added. Default:
        `experiment serve`.
    progress : callable, optional
        Called with the proportion of answers that are confirmed (in adaptive experiments, of listeners who have ended), and a
        message.

    Raises
    ------
    AudioMetamerError
        If `out` holds answers already, there are fewer lists, or the server does not start.
    """
    database = out / DATABASE
    refuse_existing(database)
    if listeners > (n := len(experiment.lists.listeners)):
        raise AudioMetamerError(f"{listeners} listeners were requested, and there are {n} lists")
    make_folder(out)
    store = Store(database, experiment)
    tokens = [store.enrol(group="simulated") for _ in range(listeners)]
    store.close()
    drawn = sum(len(experiment.trials(k + 1)) for k in range(listeners))
    crowd = _Crowd(listeners, drawn if experiment.adaptive is None else None, progress)
    start = time.perf_counter()
    with _Server(experiment.folder, database, serve) as server, server.killed(kills, np.random.default_rng([seed, 1])):
        if chromium is not None:
            addresses = [f"{server.address}/#{token}" for token in tokens]
            crowd.browse(addresses, reply, program=chromium, seed=seed, pace=pace)
        else:

            def take(number: int) -> None:
                with Client(server.address, tokens[number], patience=_PATIENCE * (1 + kills)) as client:
                    on_confirmed = crowd.confirmed(number + 1)
                    crowd.end(take_part(client, reply, seed=seed + number, pace=pace, load=load, on_confirmed=on_confirmed))

            crowd.run(take, listeners)
    return _result(crowd, experiment, database, kills=server.kills, seconds=time.perf_counter() - start)


class _Crowd:
    """The simulated listeners, a thread for each, and what was confirmed to them."""

    def __init__(self, listeners: int, expected: int | None, progress: Callable[[float, str], None]) -> None:
        self.listeners, self.expected, self.progress = listeners, expected, progress
        self.lock = threading.Lock()
        self.answers: list[tuple[int, ConfirmedMessage]] = []
        self.retried = 0
        self.ends: Counter[str] = Counter()

    def confirmed(self, listener: int) -> Callable[[ConfirmedMessage], None]:
        """A function that a listener calls for every confirmed message."""

        def note(one: ConfirmedMessage) -> None:
            with self.lock:
                self.retried += one.attempts > 1
                if one.message["kind"] == "answer":
                    self.answers.append((listener, one))
                    n = len(self.answers)
                    share = n / self.expected if self.expected else self.ends.total() / self.listeners
                    self.progress(share, f"{n} answers")

        return note

    def end(self, how: str) -> None:
        with self.lock:
            self.ends[how] += 1

    def browse(self, addresses: Sequence[str], reply: Responder, *, program: str, seed: int, pace: float) -> None:
        """Let all listeners use windows of one browser instead of threads."""
        callbacks = [self.confirmed(number) for number in range(1, len(addresses) + 1)]
        self.ends.update(
            browser.take_part_in_browser(addresses, reply, program=program, seed=seed, pace=pace, callbacks=callbacks)
        )

    def run(self, take: Callable[[int], None], n: int) -> None:
        """Run all listeners to their end, then raise the first error of one of them."""
        with ThreadPoolExecutor(n, thread_name_prefix="listener") as threads:
            running = [threads.submit(take, k) for k in range(n)]
        for one in running:
            one.result()


def _result(crowd: _Crowd, experiment: Experiment, database: Path, *, kills: int, seconds: float) -> RehearsalReport:
    """Compare what was confirmed with what is on disk."""
    kept = read_answers(database, experiment)
    stored = {(one.listener, a.trial): a for one in kept.enrolled for a in kept.answers(one.listener)}
    trials = Counter((one.listener, a.trial) for one in kept.enrolled for a in kept.answers(one.listener))
    lost = sum(not _is_kept(one.message, stored.get((listener, one.message["trial"]))) for listener, one in crowd.answers)
    waited = np.array([1000 * one.seconds for _, one in crowd.answers])
    times = {"median": np.median(waited), "99 %": np.quantile(waited, 0.99), "longest": waited.max()}
    return RehearsalReport(
        ends=dict(crowd.ends),
        confirmed=len(crowd.answers),
        lost=lost,
        duplicates=sum(n > 1 for n in trials.values()),
        retried=crowd.retried,
        kills=kills,
        milliseconds={name: float(value) for name, value in times.items()},
        seconds=seconds,
    )


def _is_kept(message: Mapping[str, object], answer: AnswerMessage | None) -> bool:
    fields = ("key", "stimulus", "answer", "reaction_time_ms")
    return answer is not None and all(getattr(answer, name) == message[name] for name in fields)


class _Server(AbstractContextManager["_Server"]):
    """A server in a process of its own, on this machine, that can be killed and restarted."""

    def __init__(self, folder: Path, database: Path, serve: Sequence[str]) -> None:
        self.start: Callable[[int], subprocess.Popen[str]] = lambda port: start_server(folder, database, port=port, serve=serve)
        self.process = self.start(0)
        self.address = address_of(self.process)
        self.kills = 0

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.communicate()

    @contextmanager
    def killed(self, times: int, generator: np.random.Generator) -> Iterator[None]:
        """While this lasts, it is killed so often, each time up to `_MAX_SECONDS_ALIVE` after it takes requests."""
        over = threading.Event()
        thread = threading.Thread(target=self._kill, args=(times, generator, over), name="killer")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _kill(self, times: int, generator: np.random.Generator, over: threading.Event) -> None:
        for _ in range(times):
            if over.wait(_MAX_SECONDS_ALIVE * generator.random()):
                return
            self.process.kill()
            self.process.communicate()
            self.kills += 1
            self.process = self.start(int(self.address.rpartition(":")[2]))
            address_of(self.process)


def start_server(folder: Path, database: Path, *, port: int = 0, serve: Sequence[str] = SERVE_COMMAND) -> "subprocess.Popen[str]":
    """Start ``audiometamer experiment serve``, or another command that serves; see `address_of`."""
    command = [*serve, str(folder), "--answers", str(database), "--port", str(port)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})


def address_of(process: "subprocess.Popen[str]") -> str:
    """Address of a server that was started; waits for its first line.

    Raises
    ------
    AudioMetamerError
        If it ends instead.
    """
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
    except BaseException:  # interrupted: nobody else knows of it yet
        process.kill()
        process.communicate()
        raise
    if "http://" not in line:
        raise AudioMetamerError(f"the server did not start; it {describe_exit(process.wait())}")
    return "http://" + line.split("http://")[1].split()[0]
