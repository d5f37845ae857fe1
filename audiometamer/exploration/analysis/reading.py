"""What an analysis takes: the folder of an exploration that listeners have answered, or its trial table alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.analysis.trials import Listener, read_listeners
from audiometamer.experiment.export import read_answers
from audiometamer.experiment.folder import DATABASE
from audiometamer.exploration.build import read_exploration
from audiometamer.exploration.course import ExplorationCourse
from audiometamer.exploration.procedures import Procedure
from audiometamer.exploration.results import answered
from audiometamer.exploration.trials import Answered, read_answered


class Given(NamedTuple):
    """Answers of listeners, and what is known of them.

    Parameters
    ----------
    trials : list of Answered
    listeners : list of Listener
    procedures : mapping of str to Procedure
        By dimension; none with a trial table alone.
    task : str or None
        ``abx`` or ``odd-one-out``; None with a trial table alone.
    headphones : int or None
        Trials of the headphone check to get right, by the design; None with a trial table alone.
    """

    trials: list[Answered]
    listeners: list[Listener]
    procedures: Mapping[str, Procedure]
    task: str | None = None
    headphones: int | None = None


def read_given(path: Path, listeners: Path | None = None) -> Given:
    """Read the folder of an exploration, or a table of trials; and a table of listeners, which goes before the folder's own.

    Raises
    ------
    AudioMetamerError
        If something cannot be read, or nobody has answered.
    """
    known = read_listeners(listeners) if listeners else []
    if not path.is_dir():
        return Given(read_answered(path), known, {})
    experiment = read_exploration(path)
    found, course = read_answers(path / DATABASE, experiment), experiment.course
    if not isinstance(course, ExplorationCourse):
        raise AudioMetamerError(f"{path} is no exploration; it is for `audiometamer experiment`")
    design = course.design
    trials, known = list(answered(found)), known or found.listeners
    return Given(trials, known, course.procedures, design.task.kind, design.headphones.minimum)
