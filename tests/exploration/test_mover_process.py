"""Signals moved in another process: what it makes, how it is told of errors, and every way in which one of the two can end."""

import errno
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from functools import partial
from types import SimpleNamespace

import psutil
import pytest
import tiny_movers
import torch
from processes import CONTEXT
from tiny_built import TESTS, write_online_design

from audiometamer.dimensions.dimensions import load_all
from audiometamer.dimensions.ladder import read_ladder
from audiometamer.errors import AudioMetamerError
from audiometamer.exploration.model_mover import ModelMover, open_model_mover
from audiometamer.exploration.mover_process import MoverProcess
from audiometamer.exploration.render_queue import MoveRequest, RenderQueue

HELLO, DEADLY = MoveRequest("relu0/0/+", "hello", 0.1), MoveRequest("relu0/0/+", "deadly", 0.1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny):
    """With a ladder and the dimensions that it was made along."""
    return write_online_design(tmp_path_factory.mktemp("apart"), tiny).parent


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("multiprocessing.get_context", lambda method: CONTEXT)  # seconds faster than to begin anew


@pytest.fixture
def teller(quick):
    opened = MoverProcess(tiny_movers.Teller)
    yield opened
    opened.close()


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_is_made_is_what_is_made_here(folder, tiny, tmp_path):
    opened = partial(
        open_model_mover, "tiny_models:sound_model", "cpu", dimensions=folder / "dimensions", ladder=folder / "ladder",
        folder=tmp_path / "there",
    )  # fmt: skip
    ladder = read_ladder(folder / "ladder")
    here = ModelMover(tiny, load_all(folder / "dimensions"), ladder, tmp_path / "here")
    dimension = ladder.dimensions[0]
    requests = [MoveRequest(dimension, ladder.references(dimension)[0], 0.3), MoveRequest(dimension, "song", 0.3)]
    there = MoverProcess(opened)
    try:
        assert there.batch_size == here.batch_size == 1
        made, reported = there(requests)
        expected, expected_report = here(requests)
    finally:
        there.close()
    assert made.path.relative_to(tmp_path / "there") == expected.path.relative_to(tmp_path / "here")
    torch.testing.assert_close(made.read(), expected.read(), rtol=1e-3, atol=1e-4)
    assert (made.record.requested, made.record.steps) == (0.3, 3)
    assert made.record.reached == pytest.approx(expected.record.reached, rel=1e-3)
    assert reported == expected_report
    assert "has no reference 'song'" in reported


def test_it_gives_way(monkeypatch):
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    with closing(MoverProcess(tiny_movers.Teller)) as teller:
        (reported,) = teller([HELLO])
        assert reported == f"hello along relu0/0/+ by 0.1, {teller.pid}, {psutil.Process().nice() + 2}, 5000"
        assert teller.pid != os.getpid()
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    with closing(MoverProcess(tiny_movers.Teller)) as other:
        assert other([HELLO])[0].endswith(", 7"), "whoever sets it knows better"


@pytest.mark.parametrize(
    ("opened", "reported"),
    [
        (tiny_movers.refused, "there is no such model"),
        (tiny_movers.gone, "the process that moves signals ended with status 3 before it was ready"),
    ],
)
def test_one_that_cannot_be_opened_is_reported_in_a_line(opened, reported, quick):
    with pytest.raises(AudioMetamerError, match=f"^{reported}$"):
        MoverProcess(opened)


@pytest.mark.slow
def test_one_that_is_killed_is_started_again_three_times(teller):
    assert teller.batch_size == 3
    for k in range(1, 4):
        pid = teller.pid
        again = f"the process that moves signals was killed (SIGKILL); it is started again ({k} of 3)"
        assert teller([HELLO, DEADLY]) == [again, again]
        assert teller.pid != pid
        (reported,) = teller([HELLO])
        assert str(teller.pid) in reported
    last = "the process that moves signals was killed (SIGKILL); it is not started again"
    assert teller([DEADLY]) == [last]
    assert teller([HELLO]) == [last]


def test_one_that_cannot_be_started_again_for_lack_of_memory(teller, monkeypatch):
    """Likeliest just after it was killed for its memory; later there may be some."""
    start, lacking = multiprocessing.process.BaseProcess.start, [OSError(errno.ENOMEM, "Cannot allocate memory")] * 2

    def started(process):
        if lacking:
            raise lacking.pop()
        start(process)

    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", started)
    killed = "the process that moves signals was killed (SIGKILL); it"
    for k in (1, 2):
        assert teller([DEADLY]) == [f"{killed} could not be started again: Cannot allocate memory ({k} of 3)"]
    assert teller([HELLO]) == [f"{killed} is started again (3 of 3)"]
    assert teller([HELLO])[0].startswith("hello")


def test_one_that_is_killed_while_it_has_nothing_to_do(teller):
    os.kill(teller.pid, signal.SIGKILL)
    (reported,) = teller([HELLO])
    assert reported.endswith("was killed (SIGKILL); it is started again (1 of 3)")
    assert teller([HELLO])[0].startswith("hello")


def test_one_that_cannot_be_opened_again(tmp_path, quick):
    mover = MoverProcess(partial(tiny_movers.gone_the_second_time, tmp_path))
    reported = [mover([DEADLY])[0].removeprefix("the process that moves signals ") for _ in range(5)]
    mover.close()
    assert reported == [
        "was killed (SIGKILL); it is started again (1 of 3)",
        "ended with status 3; it is started again (2 of 3)",
        "ended with status 3; it is started again (3 of 3)",
        "ended with status 3; it is not started again",
        "ended with status 3; it is not started again",
    ]


def test_listeners_go_on_with_the_ladder(folder, tmp_path, caplog, quick):
    """What the process was making is of the ladder, what comes after is made, and the log tells each time."""
    ladder = read_ladder(folder / "ladder")
    dimension = ladder.dimensions[0]
    reference = ladder.references(dimension)[0]
    opened = partial(
        open_model_mover, "tiny_models:sound_model", "cpu", dimensions=folder / "dimensions", ladder=folder / "ladder",
        folder=tmp_path / "made",
    )  # fmt: skip
    with caplog.at_level(logging.ERROR), RenderQueue(MoverProcess(opened), ladder, tmp_path / "made") as render_queue:
        os.kill(render_queue.mover.pid, signal.SIGKILL)
        render_queue.want(MoveRequest.of(dimension, reference, 0.3))
        assert render_queue.wait(MoveRequest.of(dimension, reference, 0.3), timeout=60) is None
        assert not render_queue.can_come(MoveRequest.of(dimension, reference, 0.3))
        render_queue.want(MoveRequest.of(dimension, reference, 0.31))
        assert render_queue.wait(MoveRequest.of(dimension, reference, 0.31), timeout=60).record.requested == 0.31
    (reported,) = (record.getMessage() for record in caplog.records)
    assert reported == (
        f"could not move {reference} along {dimension} by 0.3; the nearest of the ladder is taken for this and similar requests: "
        "the process that moves signals was killed (SIGKILL); it is started again (1 of 3)"
    )


def test_closing_leaves_what_is_in_the_making(tmp_path, caplog, quick):
    """Whoever waits is let go, and nobody is told of a process that was to end."""
    (tmp_path / "0").mkdir()
    dimension, found = f"{tmp_path}/0/+", []
    anything = SimpleNamespace(nearest=lambda *_: None)
    with (
        caplog.at_level(logging.ERROR),
        RenderQueue(MoverProcess(tiny_movers.Teller), anything, tmp_path / "made") as render_queue,
    ):
        render_queue.want(MoveRequest.of(dimension, "slow", 1.0))
        waiter = threading.Thread(
            target=lambda: found.append(render_queue.wait(MoveRequest.of(dimension, "slow", 1.0), timeout=50))
        )
        waiter.start()
        wait_for((tmp_path / "0" / "+").exists)
        pid, began = render_queue.mover.pid, time.monotonic()
    assert time.monotonic() - began < 30, "what it makes takes 60 s"
    waiter.join(10)
    assert found == [None]
    assert not psutil.pid_exists(pid)
    assert caplog.text == ""


PARENT = f"""
import os, signal, sys, threading, time
sys.path.append({TESTS!r})
import tiny_movers
from audiometamer.exploration.mover_process import MoverProcess
from audiometamer.exploration.render_queue import MoveRequest
"""


def run(code, *arguments):
    """A process of its own, and its group, whose main module is a piece of code."""
    return subprocess.Popen(
        [sys.executable, "-c", PARENT + code, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


SLOW = """
mover = MoverProcess(tiny_movers.Teller)
print(mover.pid, flush=True)
mover([MoveRequest(sys.argv[1], "slow", 1.0)])
"""


def test_it_ends_with_its_parent_even_in_the_middle_of_a_batch(tmp_path):
    parent = run(SLOW, tmp_path / "begun")
    child = psutil.Process(int(parent.stdout.readline()))
    wait_for((tmp_path / "begun").exists)
    parent.kill()
    parent.communicate()  # comes back once nobody holds the other end
    psutil.wait_procs([child], timeout=60)
    assert not child.is_running()


INTERRUPTED = """
def interrupt():
    while not over:
        os.killpg(0, signal.SIGINT)
        time.sleep(0.005)

over = heard = 0
def count(*_):
    global heard
    heard += 1

signal.signal(signal.SIGINT, count)
threading.Thread(target=interrupt, daemon=True).start()
mover = MoverProcess(tiny_movers.patient)
over = 1
print(heard > 10, mover([MoveRequest("relu0/0/+", "hello", 0.1)])[0].startswith("hello"))
mover.close()
"""


def test_ctrl_c_is_left_to_the_parent():
    """However early: it is pressed again and again from before the process is started until it is ready."""
    reported, errors = run(INTERRUPTED).communicate(timeout=120)
    assert (reported, errors) == ("True True\n", "")
