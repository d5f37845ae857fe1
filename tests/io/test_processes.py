"""Numbers of processes, and how they end."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from audiometamer.io import processes
from audiometamer.io.processes import describe_exit, has_ended, pid_namespace, start_time


@pytest.fixture
def child():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def test_a_process_has_ended_when_its_number_is_nobodys_or_anothers(child):
    since = start_time(child.pid)
    assert since is not None
    assert start_time(os.getpid()) not in (None, since)
    assert not has_ended(child.pid, since)
    assert not has_ended(child.pid, None)
    assert has_ended(child.pid, since - 1)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # its number is kept for us
    assert has_ended(child.pid, since)
    child.wait()
    assert has_ended(child.pid, since)
    assert has_ended(child.pid, None)


def test_a_clock_that_is_set_changes_nothing(child, monkeypatch):
    since = start_time(child.pid)
    monkeypatch.setattr("time.time", lambda: 0.0)
    monkeypatch.setattr(psutil, "boot_time", lambda: 0.0)
    assert start_time(child.pid) == since


def test_processes_that_proc_hides_or_numbers_otherwise_are_not_taken_for_ended(child, monkeypatch, tmp_path):
    since = start_time(child.pid)
    for status in ("", "Pid:\t17\nNSpid:\t17\n", f"Pid:\t17\nNSpid:\t17\t{os.getpid()}\n", f"NSpid:\t{os.getpid()}\n"):
        (tmp_path / "self").mkdir(exist_ok=True)
        (tmp_path / "self" / "status").write_text(status)
        monkeypatch.setattr(processes, "_PROC", tmp_path)
        assert not has_ended(child.pid, since)
    assert pid_namespace() == ""


def test_numbers_mean_the_same_for_processes_of_one_place():
    reported = subprocess.run(
        [sys.executable, "-c", "from audiometamer.io.processes import pid_namespace; print(pid_namespace())"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert reported.strip() == pid_namespace() != ""


def test_the_end_of_a_process_is_reported_in_words():
    assert describe_exit(3) == "ended with status 3"
    assert describe_exit(-signal.SIGKILL) == "was killed (SIGKILL)"
    assert describe_exit(-200) == "was killed (signal 200)"
