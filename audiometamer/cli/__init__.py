"""The command line: parses, calls, prints. One file for each group of commands; no science."""

import sys
import warnings
from collections.abc import Sequence
from typing import Any

import click

from audiometamer.cli.accuracy import test_model
from audiometamer.cli.benchmark import benchmark
from audiometamer.cli.demo import demo
from audiometamer.cli.evaluate import evaluate
from audiometamer.cli.experiment import experiment
from audiometamer.cli.explore import explore
from audiometamer.cli.import_checkpoint import import_checkpoint
from audiometamer.cli.invariance import invariance
from audiometamer.cli.models import layers, models
from audiometamer.cli.null import null
from audiometamer.cli.plan import plan, status, submit
from audiometamer.cli.plan import run as run_command
from audiometamer.cli.record import record
from audiometamer.cli.report import report
from audiometamer.cli.stimuli import stimuli
from audiometamer.cli.synth import synth
from audiometamer.cli.train import train
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.version import __version__

_RESUMING = ("demo", "run", "synth", "train")  # commands that keep what they have finished
_INTERRUPTED = 130  # 128 + SIGINT, as shells count


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="audiometamer")
def audiometamer() -> None:
    """Make model metamers: sounds that a layer of a neural network cannot tell from a natural one."""


for command in (
    demo, synth, models, layers, record, null, train, test_model, evaluate, invariance, report, import_checkpoint, benchmark,
    plan, run_command, status, submit, stimuli, experiment, explore,
):  # fmt: skip
    audiometamer.add_command(command)


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
            words = sys.argv[1:] if arguments is None else arguments
            kept = "; what was finished is kept, and the same command goes on from there" if {*words[:1]} & {*_RESUMING} else ""
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
