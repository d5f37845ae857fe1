"""The input of an analysis: the folder of an exploration with its answers, or its trial table alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from audiometamer.errors import AudioMetamerError
from audiometamer.exploration.folder import read_exploration
from audiometamer.exploration.results import answered
from audiometamer.exploration.trials import AnsweredTrial, read_answered_trials
from audiometamer.listening.folder import DATABASE
from audiometamer.listening.reading import read_answers
from audiometamer.listening.tables import ListenerRow, read_listeners
from audiometamer.psychophysics import DEFAULT_TARGET, Procedure


class AnalysisInput(NamedTuple):
    """Answers of listeners, and what is known about them.

    Parameters
    ----------
    trials : list of Answered
    listeners : list of ListenerRow
    procedures : mapping of str to Procedure
        Procedures by dimension; empty with a trial table alone.
    target : float
        Proportion correct at threshold, as of the procedures; 0.794 with a trial table alone.
    headphones : int or None
        Headphone trials to get right, by the design; None with a trial table alone.
    """

    trials: list[AnsweredTrial]
    listeners: list[ListenerRow]
    procedures: Mapping[str, Procedure]
    target: float = DEFAULT_TARGET
    headphones: int | None = None


def read_analysis_input(path: Path, *, listeners: Path | None = None, database: Path | None = None) -> AnalysisInput:
    """Read the folder of an exploration, or a table of trials, and a table of listeners.

    Parameters
    ----------
    path : path
        A folder, or a table of trials.
    listeners : path, optional
        A table of listeners; it takes precedence over what the folder knows of them.
    database : path, optional
        The database of a folder's answers. Default: the one in the folder.

    Raises
    ------
    AudioMetamerError
        If something cannot be read, or there are no answers.
    """
    known = read_listeners(listeners) if listeners else []
    if path.is_dir():
        return _read_folder(path, known, database or path / DATABASE)
    if database is not None:
        raise AudioMetamerError(f"{path} is no folder of an exploration; answers in {database} can only be read with one")
    return AnalysisInput(read_answered_trials(path), known, {})


def _read_folder(folder: Path, known: list[ListenerRow], database: Path) -> AnalysisInput:
    exploration = read_exploration(folder)
    answers, sequence = read_answers(database, exploration), exploration.sequence
    if not (trials := list(answered(answers, task=sequence.design.task.kind))):
        raise AudioMetamerError(f"{database} holds no answers to comparisons")
    procedures = sequence.schedule.procedures
    (target,) = {procedure.target for procedure in procedures.values()}
    return AnalysisInput(trials, known or answers.listeners, procedures, target, sequence.design.headphones.minimum)
