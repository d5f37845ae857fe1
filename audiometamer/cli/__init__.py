"""The command line: parses, calls, prints. One file for each group of commands; no science."""

import errno
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from traceback import walk_stack
from types import FrameType
from typing import Any

import click

from audiometamer.cli.groups import Group
from audiometamer.cli.streams import forget_output, print_any_character
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, first_line, shortened
from audiometamer.io.own_process import keep_memory, wait_idly
from audiometamer.io.paths import printable
from audiometamer.version import __version__

_RESUMING = (
    "demo",
    "run",
    "synth",
    "check-method",
    "train",
    "explore ladder",
    "published get",
)  # commands that keep what they have finished
_INTERRUPTION = "audiometamer: interrupted"
_INTERRUPTED, _BROKEN_PIPE = 130, 141  # 128 + SIGINT and SIGPIPE, as shells count


# The module of each command, and its name there if it differs, by heading and in the order of --help.
_HEADINGS = {
    "Make metamers": {"demo": "demo", "synth": "synth", "record": "record", "report": "report", "benchmark": "benchmark"},
    "Models": {
        "models": "models", "layers": "models", "null": "null", "train": "train", "test-model": "accuracy:test_model",
        "import-checkpoint": "import_checkpoint", "published": "published", "evaluate": "evaluate",
        "confusions": "confusions", "invariance": "invariance", "distortions": "distortions", "compare": "compare",
        "check-method": "check_method",
    },
    "Stimulus sets": {"plan": "plan", "run": "plan", "submit": "plan", "status": "status", "stimuli": "stimuli"},
    "Experiments": {"experiment": "experiment", "explore": "explore"},
}  # fmt: skip
_COMMANDS = {name: where for commands in _HEADINGS.values() for name, where in commands.items()}


class _Commands(Group):
    """Commands, each loaded when it is used, so that none waits for the imports of others."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (click's)
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(f"{__name__}.{module}"), name or cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with _output_errors():  # from --help and --version
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _output_errors():
            return super().invoke(ctx)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end the process during an import: libraries that catch the exception would stay half imported."""

    def interrupt(_: int, frame: FrameType | None) -> None:
        if any("importlib._bootstrap" in each.f_code.co_filename for each, _ in walk_stack(frame)):
            os.write(2, f"{_INTERRUPTION}\n".encode())
            os._exit(_INTERRUPTED)
        raise KeyboardInterrupt

    in_main_thread = threading.current_thread() is threading.main_thread()  # which alone receives signals
    if not in_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def _output_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise click.exceptions.Exit(_BROKEN_PIPE) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise AudioMetamerError(f"the output cannot be written: {error.strerror}") from error
        if error.filename is None:
            raise
        raise AudioMetamerError(f"{printable(str(error.filename))}: {error.strerror}") from error


@click.group(cls=_Commands, headings=_HEADINGS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="audiometamer")
def audiometamer() -> None:
    """Make model metamers: sounds that a layer of a neural network cannot distinguish from a natural one."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    The status is 0; 1 if differences were found; 2 after bad input; 130 after Ctrl-C; 141 if the reader of the output has closed
    it.

    Parameters
    ----------
    arguments : sequence of str, optional
        Arguments after the program's name. Default: those of the process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always", AudioMetamerWarning)
        plain = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
            if issubclass(category, AudioMetamerWarning):
                click.echo(shortened(f"note: {message}"), err=True)
            else:
                plain(shortened(str(message)), category, *rest)

        warnings.showwarning = show  # type: ignore[assignment]  # mypy wants the parameters' names repeated
        try:
            with _interruptible():
                status = audiometamer.main(args=None if arguments is None else list(arguments), standalone_mode=False)
        except click.exceptions.Abort as abort:
            if isinstance(abort.__cause__, EOFError):  # a truncated file, which click takes for Ctrl-D
                raise abort.__cause__ from None
            words = " ".join(sys.argv[1:] if arguments is None else arguments)
            kept = "; finished work is kept: rerun the same command to resume" if words.startswith(_RESUMING) else ""
            click.echo(f"{_INTERRUPTION}{kept}", err=True)
            return _INTERRUPTED
        except click.ClickException as error:
            with io.StringIO() as message:
                error.show(message)
                click.echo("\n".join(map(shortened, message.getvalue().splitlines())), err=True)
            return 2
        except AudioMetamerError as error:
            click.echo(shortened(f"audiometamer: error: {error}"), err=True)
            return 2
        except MemoryError as error:
            click.echo(shortened(f"audiometamer: error: not enough memory: {first_line(error)}"), err=True)
            return 2
    return status or 0  # set by ctx.exit


def run() -> None:
    """Entry point of the console script and of ``python -m audiometamer``."""
    os.environ["PYTHONSAFEPATH"] = "1"  # so that processes we start do not import local files such as ./random.py
    print_any_character()
    wait_idly()
    keep_memory()
    try:
        status = main()
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:  # before a command has begun, or after it has ended
        click.echo(_INTERRUPTION, err=True)
        status = _INTERRUPTED
    except BrokenPipeError:
        status = _BROKEN_PIPE
    if status:
        forget_output()
    sys.exit(status)
