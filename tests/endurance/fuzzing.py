"""What the fuzzers share: a command run in this process, what is wrong with how it ended, and the account at the end."""

import contextlib
import io
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from audiometamer.cli import main

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))  # what the tests share
HANG = 40  # seconds
LONGEST = 400  # characters of a line
STRINGS: list[str] = [
    "", ".", "..", "../../../etc/passwd", "/etc/passwd", "/dev/null", "/dev/zero", "/dev/stdin", "a\0b", "x" * 300, "x" * 5000,
    "/".join(["d"] * 3000), "\u202e", "é", "日本" * 100, "a/b", "a\\b", " ", "\n", "x\ny", "=1+1", "~", "$HOME", "%s", "{0}",
    "http://[", "tiny_models:sound_model", "cochcnn-word", "random:tiny_models:sound_model:0", "permuted:x:1", "os:getcwd",
    "builtins:dict", "sys:exit", "..x:y", ".:x", "relu0/channels=0:9999999999", "relu0+relu1", "relu0/frames=5:2",
    "relu0/average=time", "*", "[", "(", "con", "nul.wav", "nan", "inf", "-1", "1e400", "-", "--help", "\x7f", "\ufeff",
    "relu0/0/+",
    "relu0/0", "relu0/99", "relu1/2/-", "typed", "abx", "odd-one-out", "natural", "speaker", "word", "clip", "voice", "9" * 5000,
    "random:tiny_models:sound_model:18446744073709551616", "relu0,relu1", "٣", "0x10", "1_000", "NaN", "+" * 300, ":" * 300,
]  # fmt: skip


class Hang(BaseException):
    """Raised by the watchdog; no code of ours catches it."""


@dataclass
class Account:
    """How commands ended, and the first of each kind of fault."""

    ended: Counter[str] = field(default_factory=Counter)
    faults: dict[str, list[tuple[str, Sequence[str]]]] = field(default_factory=dict)

    def add(self, arguments: Sequence[str], *, stop: float | None = None, watched: bool = True) -> str:
        """Run a command; returns what is wrong with how it ended, or nothing.

        Parameters
        ----------
        arguments : sequence of str
        stop : float, optional
            Seconds after which it is interrupted as by Ctrl-C: what trains or serves for ever. Default: it is not.
        watched : bool
            Whether it is ended after `HANG` seconds. Default True.
        """
        out, err = io.StringIO(), io.StringIO()
        fault = status = ""
        begun = time.monotonic()
        try:
            with (
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
                _watched(stop) if watched else contextlib.nullcontext(),
            ):
                status = str(main(list(arguments)))
            fault = _fault(status, arguments, out.getvalue(), err.getvalue())
            if not fault and watched and time.monotonic() - begun > HANG + (stop or 0):  # something caught the watchdog
                fault = f"more than {HANG} s"
        except Hang:
            status, fault = "hang", f"more than {HANG} s"
        except BaseException as error:  # noqa: BLE001 (whatever leaves the command line is what is looked for)
            frames = traceback.extract_tb(error.__traceback__)
            own = [frame for frame in frames if "audiometamer" in frame.filename] or frames
            status, fault = "escaped", f"{type(error).__name__} {str(error)[:90]!r}, {own[-1].filename}:{own[-1].lineno}"
        self.ended[status] += 1
        if fault:
            self.faults.setdefault(re.sub(r"\d+", "N", fault), []).append((fault, arguments))
        return fault

    def report(self, title: str) -> int:
        """Print the account; returns the exit status of the script."""
        ended = ", ".join(f"{times} {status}" for status, times in sorted(self.ended.items()))
        print(f"{title}: {sum(self.ended.values())} cases, status: {ended}; {len(self.faults)} kinds of fault")
        for found in self.faults.values():
            fault, arguments = found[0]
            print(f"  {len(found):4d} x {fault}\n         {[word if len(word) < 80 else f'{word[:60]}…' for word in arguments]}")
        return int(bool(self.faults))


def _fault(status: str, arguments: Sequence[str], out: str, err: str) -> str:
    allowed = ("0", "1", "2", "130") if arguments[:2] == ["stimuli", "verify"] else ("0", "2", "130")
    if status not in allowed:
        return f"status {status}: {err[-100:]!r}"
    if "Traceback" in err:
        return f"a traceback is printed: {err.splitlines()[-1][:100]}"
    if status == "2" and not any(line.startswith(("audiometamer: error:", "Error:")) for line in err.splitlines()):
        return f"status 2 and no error line: {err[-100:]!r}"
    for stream, text in (("error", err), ("output", out)):
        longest = max(text.splitlines(), key=len, default="")
        if len(longest) > LONGEST:
            return f"a line of {len(longest)} characters on standard {stream}: {longest[:60]!r} … {longest[-40:]!r}"
    return ""


@contextlib.contextmanager
def _watched(stop: float | None) -> Iterator[None]:
    """Interrupt after `stop` seconds, then end after `HANG` seconds more."""
    interrupts = stop is not None

    def ring(*_: object) -> None:
        nonlocal interrupts
        if not interrupts:
            raise Hang
        interrupts = False
        signal.setitimer(signal.ITIMER_REAL, HANG)
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, stop or HANG)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A new folder, several below the one that is looked at for files that were written outside it; the current one meanwhile."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top, "a", "b", "c", "d")
        folder.mkdir(parents=True)
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(before)


def outside(folder: Path) -> list[str]:
    """Files that lie beside a folder of `scratch`."""
    return [str(path) for path in folder.parents[3].rglob("*") if path.is_file() and folder not in path.parents]


def tidy(folder: Path, kept: set[str]) -> None:
    """Remove everything from a folder but what is kept."""
    for path in (path for path in folder.iterdir() if path.name not in kept):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def elapsed(since: float) -> str:
    return f"{time.time() - since:.0f} s"


def generator(seed: int) -> random.Random:
    return random.Random(seed)
