"""Processes by PID: where a PID is valid, whether its process has ended, and how."""

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
    """An identifier of where PIDs are those of this process; empty if unknown.

    Containers may share the name of their host but have PIDs of their own: on Linux it is the boot ID with the PID and time
    namespaces, elsewhere the host name.
    """
    if not _HAS_PROC:
        return platform.node()
    try:
        spaces = [(_PROC / "self/ns" / kind).stat().st_ino for kind in ("pid", "time") if (_PROC / "self/ns" / kind).exists()]
        return " ".join([_BOOT.read_text().strip(), *map(str, spaces)]) if spaces else ""
    except OSError:
        return ""


def start_time(pid: int) -> int | None:
    """Start time of a process, by a clock that is never set; None if unknown. It distinguishes processes with a reused PID."""
    return _inspect(pid)[0]


def has_ended(pid: int, since: int | None) -> bool:
    """Whether a process is known to have ended; also if it is a zombie, or if its PID is another process's now.

    Parameters
    ----------
    pid : int
        PID in this namespace.
    since : int or None
        Its `start_time`. None if unknown.
    """
    if not _exists(pid):
        return True
    now, is_left = _inspect(pid)
    return is_left or (since is not None and now is not None and now != since)


def describe_exit(status: int | None) -> str:
    """How a process ended, in words, by its exit status in the convention of `subprocess` and `multiprocessing`."""
    if status is None or status >= 0:
        return f"ended with status {status}"
    return f"was killed ({signal.Signals(-status).name if -status in list(signal.Signals) else f'signal {-status}'})"


def _exists(pid: int) -> bool:
    if sys.platform == "win32":
        return psutil.pid_exists(pid)
    try:
        os.kill(pid, 0)  # not psutil: /proc may hide other users' processes, or belong to another namespace
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _inspect(pid: int) -> tuple[int | None, bool]:
    """Start time of a process, and whether it is a zombie, for which its parent has not waited."""
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
        state, *rest = content.rpartition(")")[2].split()  # the program's name may contain blanks and parentheses
        return int(rest[18]), state == "Z"
    except (OSError, ValueError, IndexError):
        return None, False


def _proc_is_ours() -> bool:
    """Whether /proc shows the PIDs of this process's namespace."""
    status = (_PROC / "self/status").read_text(errors="replace")
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return lines.get("NSpid", lines.get("Pid", "")).split() == [str(os.getpid())]
