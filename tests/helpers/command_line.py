"""What the tests of the command line share."""

from audiometamer.cli import main


def refused(capsys, *arguments):
    """The one line of error that a command ends with."""
    assert main([str(a) for a in arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    errors = [line for line in lines if line.startswith(("audiometamer: error:", "Error:"))]
    assert len(errors) == 1, lines
    assert "Traceback" not in "".join(lines)
    return errors[0]
