"""The page of an experiment as plain files: study, lists, sounds and pictures, none of which names a condition."""

import hashlib
import re
import shutil
from pathlib import Path
from typing import Literal

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import json_text, write_json, write_text
from audiometamer.listening import folder as layout
from audiometamer.listening.checks import MAX_MESSAGES
from audiometamer.listening.design import Question
from audiometamer.listening.folder import Experiment
from audiometamer.listening.list_names import derived_id, list_names
from audiometamer.listening.sentences import html_of
from audiometamer.listening.session import HeadphoneTask, PageTask, PageTrial, Session, session_of
from audiometamer.listening.state import ListenerState
from audiometamer.listening.trials import TrialList
from audiometamer.version import __version__

INDEX, STUDY, LISTS = "index.html", "study.json", "lists"
OFFLINE = '<meta name="transport" content="offline">'
_CHARSET = re.compile(r'<meta charset="[^"]*">')
_CHECKED = ("headphones", "practice", "demonstration")  # kinds of trials whose answers the page itself must judge


class PackedTrial(PageTrial, frozen=True):
    """A trial, as much of it as the page may know.

    Parameters
    ----------
    right : str
        Hash of the right answer (see `answer_hash`), where the page itself must judge it; empty in main and catch trials.
    """

    right: str = ""


class PackedList(msgspec.Struct, frozen=True):
    """One listener's list."""

    trials: list[PackedTrial]
    breaks: list[int]


class PackedGate(msgspec.Struct, frozen=True):
    """Criterion of a screening check, and the action for listeners who miss it."""

    minimum: int
    otherwise: Literal["stop", "continue"]


class Study(msgspec.Struct, frozen=True):
    """``study.json``: everything that the page of any listener needs.

    Parameters
    ----------
    audiometamer : str
        Version.
    title, task, headphones, questions, texts
        As in `audiometamer.listening.session.Session`, but with the debriefing from the beginning.
    completion : dict of str to str or None
        Addresses to which listeners are sent, by ``finished`` and ``stopped``.
    gates : dict of str to PackedGate
        Gates by kind of trial.
    salt : str
        Salt of the hashes of right answers.
    most_messages : int
        Largest number of messages of one listener, answers aside.
    lists : list of str
        Names of the lists, where the page itself takes a free one; empty where each listener's link names a list.
    counted : dict of str to str
        Words that count as an answer, and that answer.
    """

    audiometamer: str
    title: str
    task: PageTask
    headphones: HeadphoneTask
    questions: list[Question]
    texts: dict[str, str]
    completion: dict[str, str | None]
    gates: dict[str, PackedGate]
    salt: str
    most_messages: int
    lists: list[str]
    counted: dict[str, str]


def answer_hash(salt: str, stimulus: str, answer: str) -> str:
    """Hash an answer, so that a page can judge it without showing the right one.

    It keeps the answer from being read, not from being found: whoever tries the whole closed list finds it.
    """
    return hashlib.sha256(f"{salt} {stimulus} {answer}".encode()).hexdigest()[:32]


def write_packed_page(experiment: Experiment, folder: Path, *, head: str = OFFLINE, any_list: bool = False) -> None:
    """Write page, study, lists, sounds and pictures.

    Parameters
    ----------
    experiment : Experiment
    folder : path
    head : str
        Elements for the page's head. Default: that of a page without a server.
    any_list : bool
        Whether the page itself takes a free list. Default False: each listener's link names one.

    Raises
    ------
    AudioMetamerError
        If the experiment's page cannot be read, or is none.
    """
    page, names = experiment.folder / layout.PAGE, list_names(experiment)
    try:
        index = (page / INDEX).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AudioMetamerError(f"{page / INDEX} cannot be read; build the experiment again: {error}") from error
    if len(_CHARSET.findall(index)) != 1:
        raise AudioMetamerError(f"{page / INDEX} is not the page of an experiment; build the experiment again")
    shutil.copytree(page, folder / layout.PAGE, ignore=shutil.ignore_patterns(INDEX, "results.css"))
    write_text(folder / INDEX, _CHARSET.sub(lambda charset: f"{charset[0]}\n{head}", index))
    study = _study(experiment, names if any_list else [])
    write_json(folder / STUDY, study)
    for one, name in zip(experiment.lists.listeners, names, strict=True):
        write_text(folder / LISTS / f"{name}.json", json_text(_packed_list(experiment, one, study.salt)))
    copy_sounds_and_pictures(experiment, folder, sounds=layout.SOUNDS)


def copy_sounds_and_pictures(experiment: Experiment, folder: Path, *, sounds: str) -> None:
    """Copy all sounds, into a folder of this name, and the pictures of answers, if there are any."""
    (folder / sounds).mkdir()
    for path in experiment.sounds.values():
        shutil.copyfile(path, folder / sounds / path.name)
    if experiment.design.answers.pictures is not None:
        shutil.copytree(experiment.folder / layout.PICTURES, folder / layout.PICTURES)


def page_session(experiment: Experiment, number: int) -> Session:
    """State of a page at the beginning of a list."""
    return session_of(experiment, ListenerState(0, number, 1, None, frozenset()), None)


def _study(experiment: Experiment, lists: list[str]) -> Study:
    session, design = page_session(experiment, 1), experiment.design
    return Study(
        audiometamer=__version__,
        title=session.title,
        task=session.task,
        headphones=session.headphones,
        questions=session.questions,
        texts={name: html_of(text) for name, text in experiment.texts.items()},
        completion=msgspec.structs.asdict(design.completion),
        gates={kind: PackedGate(gate.minimum, gate.otherwise) for kind, gate in design.gates.items()},
        salt=derived_id(experiment, "answers"),
        most_messages=MAX_MESSAGES,
        lists=lists,
        counted=design.answers.counted,
    )


def _packed_list(experiment: Experiment, one: TrialList, salt: str) -> PackedList:
    session = page_session(experiment, one.number)
    trials = []
    for trial in session.trials:
        is_checked = trial.kind in _CHECKED
        right = answer_hash(salt, trial.stimulus, experiment.key[trial.stimulus].answer) if is_checked else ""
        trials.append(PackedTrial(**msgspec.structs.asdict(trial), right=right))
    return PackedList(trials, session.breaks)
