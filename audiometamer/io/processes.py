"""Processes by their numbers: where a number means the same, whether its process has ended, and how it did."""

import os
import platform
import signal
import sys
from pathlib import Path

import psutil

_PROC = Path("/proc")
_BOOT = _PROC / "sys/kernel/random/boot_id"
_HAS_PROC = sys.platform in {"linux", "android"}


def pid_namespace() -> str:
    """Where numbers of processes mean what they mean here; empty if that is unknown.

    Containers may share the name of their host, and number their processes by themselves: on Linux it is the boot with the
    namespaces of numbers and times, elsewhere the name of the host.
    """
    if not _HAS_PROC:
        return platform.node()
    try:
        spaces = [(_PROC / "self/ns" / kind).stat().st_ino for kind in ("pid", "time") if (_PROC / "self/ns" / kind).exists()]
        return " ".join([_BOOT.read_text().strip(), *map(str, spaces)]) if spaces else ""
    except OSError:
        return ""


def start_time(pid: int) -> int | None:
    """When a process began, by a clock that nobody sets; None if it cannot be seen. Numbers come again, with another time."""
    return _looked_at(pid)[0]


def has_ended(pid: int, since: int | None) -> bool:
    """Whether a process is known to have ended, if only its number is left, or if the number is another process's now.

    Parameters
    ----------
    pid : int
        As it is numbered here.
    since : int or None
        When it began, as `start_time` has it. None if unknown.
    """
    if not _exists(pid):
        return True
    now, is_left = _looked_at(pid)
    return is_left or (since is not None and now is not None and now != since)


def describe_exit(status: int | None) -> str:
    """The end of a process in words, by its exit status: that of `subprocess` and `multiprocessing`."""
    if status is None or status >= 0:
        return f"ended with status {status}"
    return f"was killed ({signal.Signals(-status).name if -status in list(signal.Signals) else f'signal {-status}'})"


def _exists(pid: int) -> bool:
    if sys.platform == "win32":
        return psutil.pid_exists(pid)
    try:
        os.kill(pid, 0)  # not psutil: a mounted /proc may hide what others run, or be that of another namespace
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _looked_at(pid: int) -> tuple[int | None, bool]:
    """When a process began, and whether only its number is left, for a parent that does not ask after it."""
    if not _HAS_PROC:
        try:
            process = psutil.Process(pid)
            return round(process.create_time() * 1000), process.status() == psutil.STATUS_ZOMBIE
        except psutil.Error:
            return None, False
    try:
        if pid != os.getpid() and not _proc_is_ours():
            return None, False
        content = (_PROC / ("self" if pid == os.getpid() else str(pid)) / "stat").read_text(errors="replace")
        state, *rest = content.rpartition(")")[2].split()  # the program's name may hold blanks and parentheses
        return int(rest[18]), state == "Z"
    except (OSError, ValueError, IndexError):
        return None, False


def _proc_is_ours() -> bool:
    """Whether /proc numbers processes as they are numbered for this one."""
    status = (_PROC / "self/status").read_text(errors="replace")
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return lines.get("NSpid", lines.get("Pid", "")).split() == [str(os.getpid())]
