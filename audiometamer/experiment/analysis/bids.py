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

_EMPTY = "n/a"  # BIDS for what does not apply
_KINDS = {
    "headphones": "headphone check",
    "practice": "practice, with feedback",
    "demonstration": "practice without feedback, which screens listeners",
    "catch": "natural clip among the main trials, which screens listeners",
    "main": "main trial",
}
_COLUMNS: dict[str, dict[str, Any]] = {
    "onset": {"Description": "Start of the trial, relative to that of the listener's first trial.", "Units": "s"},
    "duration": {"Description": "From the start of the trial to the answer.", "Units": "s"},
    "trial": {"Description": "Number of the trial in the listener's list."},
    "trial_type": {"Description": "Purpose of the trial.", "Levels": _KINDS},
    "stimulus": {"Description": "Opaque name of the sound that was played."},
    "clip": {"Description": "The natural recording that was played, or that the metamer was made from."},
    "model": {"Description": "The network that the metamer was made for."},
    "layer": {"Description": "The layer that was matched; natural: the recording itself."},
    "seed": {"Description": "Random seed of the metamer."},
    "missing": {"Description": "Whether there was no metamer, so that the natural recording was played instead."},
    "word": {"Description": "The word of the clip."},
    "speaker": {"Description": "The speaker of the clip."},
    "answer": {"Description": "The listener's answer."},
    "correct": {"Description": "Whether the answer is right."},
    "response_time": {"Description": "Reaction time.", "Units": "s"},
    "plays": {"Description": "Number of times that the sound was played."},
    "network_correct": {"Description": "Whether the network that the metamer was made for recognises this sound."},
    "browser": {"Description": "The listener's browser."},
    "playback": {"Description": "What the browser reported about the playback, as JSON."},
    "confidence": {"Description": "How sure the listener was, from 0 to 100."},
}
_PARTICIPANT = {
    "participant_id": "The listener.",
    "group": "Group of listeners.",
    "headphones_correct": "Headphone check: correct trials.",
    "headphones_trials": "Headphone check: number of trials.",
    "practice_correct": "Number of correct practice trials.",
    "finished": "Whether the last trial was answered.",
    "excluded": "Whether the analysis leaves the listener out.",
    "reason": "Reason for leaving the listener out.",
}


def write_beh(folder: Path, trials: Sequence[TrialRow], listeners: Sequence[ListenerRow], *, task: str = "recognition") -> Path:
    """Write all trials of all listeners as a BIDS data set.

    ``participants.tsv``, ``sub-<listener>/beh/sub-<listener>_task-<task>_beh.tsv``, and JSON files that describe the columns.

    Parameters
    ----------
    folder : path
    trials : sequence of TrialRow
    listeners : sequence of ListenerRow
        One for each listener of the trials.
    task : str
        Name of the task: letters and digits. Default "recognition".

    Returns
    -------
    path
        The folder.

    Raises
    ------
    AudioMetamerError
        If names of listeners differ only in characters other than letters and digits, the task has such characters, or the
        folder holds other listeners.
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
    descriptions = {name: {"Description": _PARTICIPANT.get(name, "Answer to the questionnaire.")} for name in columns}
    write_json(folder / "participants.json", descriptions)
    write_json(folder / f"task-{task}_beh.json", _COLUMNS)  # for all tables below, by BIDS's inheritance
    for listener, label in labels.items():
        own = [trial for trial in trials if trial.listener == listener]
        if own:
            _write(folder / label / "beh" / f"{label}_task-{task}_beh.tsv", _COLUMNS, _rows(own))
    return folder


def _labels(listeners: Sequence[ListenerRow]) -> dict[str, str]:
    """BIDS labels by listener: letters and digits."""
    labels = {listener.listener: "sub-" + re.sub("[^A-Za-z0-9]", "", listener.listener) for listener in listeners}
    taken: dict[str, str] = {}
    for name, label in labels.items():
        if label == "sub-" or taken.setdefault(label.lower(), name) != name:
            raise AudioMetamerError(
                f"listener {name!r} would be {label} in a BIDS data set"
                + (f", as {taken[label.lower()]!r}" if label != "sub-" else "")
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
