"""Writing the answers as tables, which are safe to open in a spreadsheet."""

from pathlib import Path

from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import write_private, write_text
from audiometamer.listening.received import EVENTS, LISTENERS, PARTICIPANTS, TRIALS, ReceivedAnswers


def write_tables(answers: ReceivedAnswers, out: Path) -> None:
    """Write all tables into a folder; that of the participants is readable by its owner only.

    Raises
    ------
    AudioMetamerError
        If a table exists already, or cannot be written.
    """
    for table in (TRIALS, LISTENERS, EVENTS, PARTICIPANTS):
        if (out / table).exists():
            raise AudioMetamerError(f"{out / table} exists; nothing is overwritten: choose another --out")
    for table in (TRIALS, LISTENERS, EVENTS):
        write_text(out / table, answers.text(table))
    write_private(out / PARTICIPANTS, answers.text(PARTICIPANTS))
