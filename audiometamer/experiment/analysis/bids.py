"""Answers as a BIDS data set: a ``beh`` table for each listener."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import write_json, write_text
from audiometamer.io.tables import write_table
from audiometamer.listening.tables import ListenerRow, TrialRow, cells
from audiometamer.stimuli.description import BIDS_VERSION
from audiometamer.version import __version__

_EMPTY = "n/a"  # as BIDS writes what does not apply
_KINDS = {
    "headphones": "headphone check",
    "practice": "practice, with feedback",
    "demonstration": "practice without feedback, by which listeners are chosen",
    "catch": "clean clip among the main trials, by which listeners are chosen",
    "main": "of the experiment",
}
_COLUMNS: dict[str, dict[str, Any]] = {
    "onset": {"Description": "When the trial started, from the listener's first trial on.", "Units": "s"},
    "duration": {"Description": "From the start of the trial to the answer.", "Units": "s"},
    "trial": {"Description": "Number of the trial in the listener's list."},
    "trial_type": {"Description": "What the trial was for.", "Levels": _KINDS},
    "stimulus": {"Description": "Opaque name of the sound that was played."},
    "clip": {"Description": "The natural recording that was played, or that the metamer was made of."},
    "model": {"Description": "The network that the metamer was made for."},
    "layer": {"Description": "The layer that was matched; natural: the recording itself."},
    "seed": {"Description": "Of the metamer."},
    "missing": {"Description": "Whether there was no metamer, and the natural recording was played in its place."},
    "word": {"Description": "The word of the clip."},
    "speaker": {"Description": "The speaker of the clip."},
    "answer": {"Description": "What the listener answered."},
    "correct": {"Description": "Whether the answer is right."},
    "response_time": {"Description": "Reaction time.", "Units": "s"},
    "plays": {"Description": "How often the sound was played."},
    "network_correct": {"Description": "Whether the network that the metamer was made for recognises this sound."},
    "browser": {"Description": "The listener's browser."},
    "playback": {"Description": "What the browser told of how the sound was played, as JSON."},
}
_PARTICIPANT = {
    "participant_id": "The listener.",
    "group": "Group of listeners.",
    "headphones_correct": "Headphone check: trials that are right.",
    "headphones_trials": "Headphone check: trials.",
    "practice_correct": "Practice trials that are right.",
    "finished": "Whether the last trial was answered.",
    "excluded": "Whether the analysis leaves the listener out.",
    "reason": "Why.",
}


def write_beh(folder: Path, trials: Sequence[TrialRow], listeners: Sequence[ListenerRow], *, task: str = "recognition") -> Path:
    """Write all trials of all listeners as BIDS takes them.

    ``participants.tsv``, ``sub-<listener>/beh/sub-<listener>_task-<task>_beh.tsv``, and JSON files that say what columns are.

    Parameters
    ----------
    folder : path
    trials : sequence of TrialRow
    listeners : sequence of ListenerRow
        One for each listener of the trials.
    task : str
        Letters and digits.

    Returns
    -------
    path
        The folder.

    Raises
    ------
    AudioMetamerError
        If names of listeners differ in other signs than letters and digits alone, the task has such signs, or the folder holds
        other listeners.
    """
    if not re.fullmatch("[A-Za-z0-9]+", task):
        raise AudioMetamerError(f"task {task!r} of a BIDS data set; it takes letters and digits only")
    labels = _labels(listeners)
    if other := sorted({path.name for path in folder.glob("sub-*")} - {*labels.values()}):
        raise AudioMetamerError(f"{folder} holds {', '.join(other)}, of another experiment; choose another folder")
    about = {
        "Name": f"Listening experiment: {task}", "BIDSVersion": BIDS_VERSION, "DatasetType": "raw",
        "GeneratedBy": [{"Name": "audiometamer", "Version": __version__}],
    }  # fmt: skip
    write_json(folder / "dataset_description.json", about)
    write_text(folder / "README.md", f"{len(listeners)} listeners' answers to metamers and natural clips.\n")
    participants = [
        {"participant_id": labels[listener.listener], **_without(cells(listener), "listener")} for listener in listeners
    ]
    columns = list(dict.fromkeys(column for row in participants for column in row))
    _write(folder / "participants.tsv", columns, participants)
    told = {name: {"Description": _PARTICIPANT.get(name, "Answer to the questionnaire.")} for name in columns}
    write_json(folder / "participants.json", told)
    write_json(folder / f"task-{task}_beh.json", _COLUMNS)  # of all tables below, by BIDS's inheritance
    for listener, label in labels.items():
        own = [trial for trial in trials if trial.listener == listener]
        if own:
            _write(folder / label / "beh" / f"{label}_task-{task}_beh.tsv", _COLUMNS, _rows(own))
    return folder


def _labels(listeners: Sequence[ListenerRow]) -> dict[str, str]:
    """Labels of BIDS by listener: letters and digits."""
    labels = {listener.listener: "sub-" + re.sub("[^A-Za-z0-9]", "", listener.listener) for listener in listeners}
    met: dict[str, str] = {}
    for name, label in labels.items():
        if label == "sub-" or met.setdefault(label.lower(), name) != name:
            raise AudioMetamerError(
                f"listener {name!r} would be {label} in a BIDS data set"
                + (f", as {met[label.lower()]!r}" if label != "sub-" else "")
                + "; names must differ in their letters and digits"
            )
    return labels


def _rows(trials: Sequence[TrialRow]) -> list[dict[str, Any]]:
    first = min((trial.started for trial in trials if trial.started), default=None)
    rows = []
    for trial in sorted(trials, key=lambda trial: trial.trial):
        onset = (trial.started - first).total_seconds() if trial.started and first else None
        duration = (trial.answered - trial.started).total_seconds() if trial.started and trial.answered else None
        seconds = None if trial.reaction_time_ms is None else trial.reaction_time_ms / 1000
        rest = _without(cells(trial), "listener", "kind", "reaction_time_ms", "started", "answered")
        rows.append({"onset": onset, "duration": duration, "trial_type": trial.kind, "response_time": seconds, **rest})
    return rows


def _without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: cell for name, cell in row.items() if name not in names}


def _write(path: Path, columns: Collection[str], rows: Sequence[dict[str, Any]]) -> None:
    filled = [{name: _EMPTY if row.get(name) in (None, "") else row[name] for name in columns} for row in rows]
    write_table(path, columns, filled)
