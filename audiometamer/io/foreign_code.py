"""Run somebody else's code, and report whatever it raises in one line."""

import inspect
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from audiometamer.errors import AudioMetamerError, one_line

_P = ParamSpec("_P")
_T = TypeVar("_T")


def run_foreign(failure: str, function: Callable[_P, _T], *args: _P.args, **options: _P.kwargs) -> _T:
    """The result of a function that is not ours.

    Standard input is empty meanwhile: code that asks a person there, as a debugger does, must not wait for an answer.

    Parameters
    ----------
    failure : str
        Beginning of the message if it fails.
    function : callable
    *args, **options
        Its arguments.

    Raises
    ------
    AudioMetamerError
        In one line, with its place, for whatever the function raises, attempts to end the process included.
    """
    before = sys.stdin
    with Path(os.devnull).open() as sys.stdin:
        try:
            return function(*args, **options)
        except (AudioMetamerError, KeyboardInterrupt):  # also that of a handler of SIGTERM
            raise
        except BaseException as raised:  # noqa: BLE001 (anything can be in it)
            error = raised
        finally:
            sys.stdin = before
    kind = "" if isinstance(error, ImportError) else type(error).__name__
    what = ": ".join(filter(None, (kind, one_line(error))))
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = "" if last.filename == __file__ or last.filename.startswith("<") else f", {last.filename}:{last.lineno}"
    raise AudioMetamerError(f"{failure} ({what}{where})") from error


def takes(function: Callable[..., object], number: int) -> bool:
    """Whether a function can be called with so many positional arguments; True if it does not say."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # as of some that are written in C
        return True
    try:
        signature.bind(*range(number))
    except TypeError:
        return False
    return True
