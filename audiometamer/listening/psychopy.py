"""Files of answers of a run in PsychoPy."""

import hashlib
from datetime import datetime
from pathlib import Path

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.io.tables import read_table
from audiometamer.listening.enrolment import Participant
from audiometamer.listening.folder import Experiment
from audiometamer.listening.identity import identity
from audiometamer.listening.messages import AnswerMessage, FormMessage, Message
from audiometamer.listening.submissions import Submission

_MAX_BYTES = 1 << 24  # bytes of one file
_DATE = "%Y-%m-%d_%Hh%M.%S.%f"


def read_psychopy(file: Path, experiment: Experiment, response: str | None, reaction_time: str | None) -> Submission:
    """Read the trials of one run of PsychoPy: the rows with a sound.

    Consent was PsychoPy's own affair. All trials are dated by the beginning of the run.

    Raises
    ------
    AudioMetamerError
        If the file cannot be read, lacks a column, or holds no trials of this experiment.
    """
    if response is None:
        raise AudioMetamerError(f"{file}: say which column holds the answers (--response), as in key_resp.keys")
    if (size := file.stat().st_size) > _MAX_BYTES:
        raise AudioMetamerError(f"{file}: {size} bytes are too many; at most {_MAX_BYTES} are read")
    seconds = reaction_time or f"{response.rpartition('.')[0]}.rt"
    rows = read_table(file, required=["participant", "date", "list", "trial", "stim_id", response, seconds])
    rows = [row for row in rows if row["stim_id"]]
    if not rows or len({(row["participant"], row["date"], row["list"]) for row in rows}) != 1:
        raise AudioMetamerError(f"{file} must hold the trials of one participant, date and list")
    name, date, number = rows[0]["participant"], _moment(rows[0]["date"], file), rows[0]["list"]
    participant = identity(name)
    if participant is None or number not in map(str, range(1, len(experiment.lists.listeners) + 1)):
        raise AudioMetamerError(f"{file}: participant {name[:60]!r} and list {number[:20]!r} are none of this experiment's")
    messages: list[Message] = [
        FormMessage(key=_key(number, participant, "consent"), form="consent", content={"source": "PsychoPy"})
    ]
    for line, row in enumerate(rows, start=1):
        try:
            answer = {
                "kind": "answer", "key": _key(number, participant, row["trial"]), "trial": int(row["trial"]),
                "stimulus": row["stim_id"], "answer": row[response].strip(), "reaction_time_ms": 1000 * float(row[seconds]),
                "plays": 1, "started": date, "answered": date, "playback": {"source": "PsychoPy"},
            }  # fmt: skip
            messages.append(msgspec.convert(answer, AnswerMessage))
        except (ValueError, msgspec.ValidationError) as error:
            raise AudioMetamerError(f"{file}, trial {row['trial'][:20]!r} (row {line} with a sound): {error}") from error
    return Submission(file, Participant("psychopy", participant, {}), int(number), list(map(msgspec.json.encode, messages)))


def _moment(text: str, file: Path) -> datetime:
    """When the run began, in the time zone of this machine."""
    try:
        return datetime.strptime(text, _DATE).astimezone()
    except (ValueError, OverflowError) as error:
        raise AudioMetamerError(
            f"{file}: date is {text[:40]!r}; it must be as PsychoPy writes it: 2026-03-01_10h15.30.123"
        ) from error


def _key(*parts: str) -> str:
    """Equal for the same trial of the same participant, so that reading a file twice changes nothing."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
