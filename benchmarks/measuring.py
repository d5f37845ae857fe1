"""How things are measured: in turn within one run, so that the ratio holds whatever else the machine does."""

import ctypes
import multiprocessing
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from audiometamer.metamers.benchmark import Work


def peak_memory(prepare: Callable[..., Work], *arguments: object) -> float:
    """Bytes that work, made by `prepare` in a process of its own, takes beyond what that process held before; Linux only."""
    receiver, sender = multiprocessing.get_context("spawn").Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_measure, args=(sender, prepare, *arguments))
    process.start()
    taken = receiver.recv()
    process.join()
    return float(taken)


def _measure(sender, prepare: Callable[..., Work], *arguments: object) -> None:
    work = prepare(*arguments)
    ctypes.CDLL(None).malloc_trim(0)  # memory that is free but not yet given back would not be counted
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from now on
    before = _kilobytes("VmRSS")
    work()
    sender.send(1024 * (_kilobytes("VmHWM") - before))


def _kilobytes(field: str) -> int:
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field)]
    return int(line.split()[1])


class Spent(NamedTuple):
    """What work took: seconds, seconds of processors, and pages of memory that were taken anew from the system."""

    seconds: float
    processor: float
    page_faults: int


def spent(work: Work) -> Spent:
    """What work takes in this process; what is busy beside changes the seconds only."""
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work()
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(seconds, processor, after.ru_minflt - before.ru_minflt)


def table(*rows: Sequence[object]) -> str:
    """Rows as a Markdown table; the first is its head."""
    lines = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
