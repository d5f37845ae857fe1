"""How workers end, and what is said of it."""

import os
import signal
import warnings

import pytest
from processes import CONTEXT

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.jobs.workers import run_processes


def refuse(*_):
    raise AudioMetamerError("could not write set/item.json:\nNo space left on device")


def fail(*_):
    raise LookupError("no such layer\nTraceback of another library")


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def crash(*_):
    os.kill(os.getpid(), signal.SIGSEGV)


def leave(*_):
    os._exit(7)


def note(*_):
    warnings.warn("a clip was padded", AudioMetamerWarning, stacklevel=1)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("multiprocessing.get_context", lambda method: CONTEXT)  # seconds faster than to begin anew
    monkeypatch.setattr("audiometamer.jobs.workers._POLL", 0.05)


@pytest.mark.parametrize(
    ("work", "workers", "reported"),
    [
        (refuse, 2, "workers 0, 1 failed: could not write set/item.json: No space left on device"),
        (fail, 1, "worker 0 failed: LookupError: no such layer Traceback of another library"),
        (die, 1, "worker 0 was killed (SIGKILL): out of memory?"),
        (crash, 1, "worker 0 was killed (SIGSEGV)"),
        (leave, 1, "worker 0 ended with status 7"),
    ],
)
def test_it_is_said_why_a_worker_ended(quick, work, workers, reported):
    with pytest.raises(AudioMetamerError) as raised:
        run_processes(work, workers, device="cpu", watch=lambda _: None)
    assert str(raised.value) == f"{reported}; what they had finished is kept"


def test_notes_of_workers_are_passed_on(quick):
    with pytest.warns(AudioMetamerWarning, match="^a clip was padded$"):
        run_processes(note, 1, device="cpu", watch=lambda _: None)
