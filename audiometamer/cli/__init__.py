"""The command line: parses, calls, prints. One file for each group of commands; no science."""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.version import __version__

_RESUMING = ("demo", "run", "synth", "train", "explore ladder")  # commands that keep what they have finished
_INTERRUPTED = 130  # 128 + SIGINT, as shells count


# In the order in which --help lists them; where each lies, and its name there if that is another.
_COMMANDS = {
    "demo": "demo", "synth": "synth", "models": "models", "layers": "models", "record": "record", "null": "null",
    "train": "train", "test-model": "accuracy:test_model", "evaluate": "evaluate", "invariance": "invariance", "report": "report",
    "import-checkpoint": "import_checkpoint", "benchmark": "benchmark", "plan": "plan", "run": "plan", "status": "status",
    "submit": "plan", "stimuli": "stimuli", "experiment": "experiment", "explore": "explore",
}  # fmt: skip


class _Commands(click.Group):
    """Commands that are loaded when they are asked for: none waits for what only others need."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's)
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (click's)
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(f"{__name__}.{module}"), name or cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="audiometamer")
def audiometamer() -> None:
    """Make model metamers: sounds that a layer of a neural network cannot tell from a natural one."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 1 if differences were found, 2 after bad input, 130 after Ctrl-C.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always", AudioMetamerWarning)
        plain = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
            if issubclass(category, AudioMetamerWarning):
                click.echo(f"note: {message}", err=True)
            else:
                plain(message, category, *rest)

        warnings.showwarning = show  # type: ignore[assignment]  # mypy wants the parameters' names repeated
        try:
            status = audiometamer.main(args=None if arguments is None else list(arguments), standalone_mode=False)
        except click.exceptions.Abort:
            words = " ".join(sys.argv[1:] if arguments is None else arguments)
            kept = "; what was finished is kept, and the same command goes on from there" if words.startswith(_RESUMING) else ""
            click.echo(f"\naudiometamer: interrupted{kept}", err=True)
            return _INTERRUPTED
        except click.ClickException as error:
            error.show()
            return 2
        except AudioMetamerError as error:
            click.echo(f"audiometamer: error: {error}", err=True)
            return 2
    return status or 0  # of a command that ended by ctx.exit


def run() -> None:
    """Entry point of the console script."""
    sys.exit(main())
