"""What the tests of the command line share."""

import re
import shlex

import click

from audiometamer.cli import audiometamer, main


def commands_in(page):
    """The lines of a page that are commands of ours, without comments."""
    return [line.partition("  #")[0].strip() for line in re.findall(r"^audiometamer .*", page, re.MULTILINE)]


def parse(line):
    """Parse a command without running it; it raises what is not known."""
    command, words = audiometamer, shlex.split(line)[1:]
    context = click.Context(command)
    while isinstance(command, click.Group):
        _, command, words = command.resolve_command(context, words)
    command.make_context("", words)


def refused(capsys, *arguments):
    """The one line of error that a command ends with."""
    assert main([str(a) for a in arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    errors = [line for line in lines if line.startswith(("audiometamer: error:", "Error:"))]
    assert len(errors) == 1, lines
    assert "Traceback" not in "".join(lines)
    return errors[0]
