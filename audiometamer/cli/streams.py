"""Standard output and error: any character on any terminal, and readers who have gone."""

import codecs
import io
import os
import sys

ERRORS = "audiometamer.spelled"
_SPELLED = {
    "ρ": "rho", "σ": "sigma", "²": "2", "±": "+/-", "×": "x", "…": "...", "–": "-", "−": "-", "→": "->", "‘": "'", "’": "'",
}  # fmt: skip


def _spelled(error: UnicodeError) -> tuple[str, int]:
    """Characters that an encoding lacks, in ASCII: as a word, or as Python escapes them."""
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return "".join(_SPELLED.get(c) or c.encode("ascii", "backslashreplace").decode() for c in lacking), error.end


codecs.register_error(ERRORS, _spelled)


class _Ascii(io.TextIOWrapper):
    encoding = "latin-1"  # click writes UTF-8 to a stream that says it is ASCII


def print_any_character() -> None:
    """Let standard output and error spell what their encoding lacks, rather than fail; one that is closed goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 (for as long as the process lives)
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper):
            continue
        if codecs.lookup(stream.encoding).name == "ascii":
            buffered = stream.line_buffering
            setattr(sys, name, _Ascii(stream.detach(), encoding="ascii", errors=ERRORS, line_buffering=buffered))
        else:
            stream.reconfigure(errors=ERRORS)


def forget_output() -> None:
    """Discard what is still to be printed: the interpreter would complain at its end that nobody reads it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            os.dup2(nowhere, stream.fileno())
