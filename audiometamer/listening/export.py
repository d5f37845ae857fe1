"""Writing the answers as tables, which are safe to open in a spreadsheet."""

from pathlib import Path

from audiometamer.io.files import refuse_existing, write_private, write_text
from audiometamer.listening.received import EVENTS, LISTENERS, PARTICIPANTS, TRIALS, ReceivedAnswers


def write_tables(answers: ReceivedAnswers, out: Path) -> None:
    """Write all tables into a folder; that of the participants is readable by its owner only.

    Raises
    ------
    AudioMetamerError
        If a table exists already, or cannot be written.
    """
    refuse_existing(*(out / table for table in (TRIALS, LISTENERS, EVENTS, PARTICIPANTS)))
    for table in (TRIALS, LISTENERS, EVENTS):
        write_text(out / table, answers.text(table))
    write_private(out / PARTICIPANTS, answers.text(PARTICIPANTS))
