"""What an analysis takes: the folder of an exploration that listeners have answered, or its trial table alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from audiometamer.errors import AudioMetamerError
from audiometamer.exploration.build import read_exploration
from audiometamer.exploration.course import ExplorationCourse
from audiometamer.exploration.results import answered
from audiometamer.exploration.trials import Answered, read_answered
from audiometamer.listening.folder import DATABASE
from audiometamer.listening.reading import read_answers
from audiometamer.listening.tables import ListenerRow, read_listeners
from audiometamer.psychophysics import TARGET, Procedure


class Given(NamedTuple):
    """Answers of listeners, and what is known of them.

    Parameters
    ----------
    trials : list of Answered
    listeners : list of ListenerRow
    procedures : mapping of str to Procedure
        By dimension; none with a trial table alone.
    target : float
        Proportion correct at the thresholds that its procedures look for; 0.794 with a trial table alone.
    headphones : int or None
        Trials of the headphone check to get right, by the design; None with a trial table alone.
    """

    trials: list[Answered]
    listeners: list[ListenerRow]
    procedures: Mapping[str, Procedure]
    target: float = TARGET
    headphones: int | None = None


def read_given(path: Path, *, listeners: Path | None = None, database: Path | None = None) -> Given:
    """Read the folder of an exploration, or a table of trials; and a table of listeners, which goes before the folder's own.

    Parameters
    ----------
    path : path
        Of either.
    listeners : path, optional
    database : path, optional
        Of a folder: where its answers are. Default: within.

    Raises
    ------
    AudioMetamerError
        If something cannot be read, or nobody has answered.
    """
    known = read_listeners(listeners) if listeners else []
    if not path.is_dir():
        if database is not None:
            raise AudioMetamerError(f"{path} is no folder of an exploration; answers in {database} can only be read with one")
        return Given(read_answered(path), known, {})
    experiment = read_exploration(path)
    found, course = read_answers(database or path / DATABASE, experiment), experiment.adaptive
    if not isinstance(course, ExplorationCourse):
        raise AudioMetamerError(f"{path} is no exploration; it is for `audiometamer experiment`")
    design, procedures = course.design, course.procedures
    if not (trials := list(answered(found, task=design.task.kind))):
        raise AudioMetamerError(f"{database or path / DATABASE} holds no answers to comparisons")
    (target,) = {procedure.target for procedure in procedures.values()}
    return Given(trials, known or found.listeners, procedures, target, design.headphones.minimum)
