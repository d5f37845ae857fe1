"""Standard output and error: any character on any terminal, and closed readers."""

import codecs
import io
import os
import sys

ERRORS = "audiometamer.spelled"
_SPELLED = {
    "ρ": "rho", "σ": "sigma", "²": "2", "±": "+/-", "×": "x", "…": "...", "–": "-", "−": "-", "→": "->", "‘": "'", "’": "'",
}  # fmt: skip


def _spelled(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that an encoding lacks by ASCII: a word, or Python's escape."""
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return "".join(_SPELLED.get(c) or c.encode("ascii", "backslashreplace").decode() for c in lacking), error.end


codecs.register_error(ERRORS, _spelled)


class _Ascii(io.TextIOWrapper):
    encoding = "latin-1"  # click writes UTF-8 to a stream that says it is ASCII


def print_any_character() -> None:
    """Let standard output and error replace characters that they cannot encode; a closed stream is discarded."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 (open for the life of the process)
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper):
            continue
        if codecs.lookup(stream.encoding).name == "ascii":
            buffered = stream.line_buffering
            setattr(sys, name, _Ascii(stream.detach(), encoding="ascii", errors=ERRORS, line_buffering=buffered))
        else:
            stream.reconfigure(errors=ERRORS)


def forget_output() -> None:
    """Discard pending output: otherwise the interpreter complains at exit about the closed reader."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            os.dup2(nowhere, stream.fileno())
