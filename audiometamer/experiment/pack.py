"""An experiment that needs no server of ours: a folder for any web host, a study for JATOS, or condition files for PsychoPy."""

import hashlib
import re
import shutil
import tempfile
import uuid
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.reading import read_experiment
from audiometamer.io.draws import equalize_mtimes
from audiometamer.io.files import atomic_folder, atomic_write, json_text, write_json, write_private, write_text
from audiometamer.io.paths import real_path
from audiometamer.io.tables import write_table
from audiometamer.listening import folder as layout
from audiometamer.listening.checks import MAX_MESSAGES
from audiometamer.listening.design import Question
from audiometamer.listening.folder import Experiment
from audiometamer.listening.list_names import derived_id, list_names, list_token
from audiometamer.listening.sentences import html_of
from audiometamer.listening.session import HeadphoneTask, PageTask, PageTrial, Session, session_of
from audiometamer.listening.state import ListenerState
from audiometamer.listening.trials import TrialList
from audiometamer.version import __version__

Form = Literal["static", "jatos", "psychopy"]
INDEX, STUDY, LISTS = "index.html", "study.json", "lists"
_CHARSET = re.compile(r'<meta charset="[^"]*">')
_CHECKED = ("headphones", "practice", "demonstration")  # whose answers the page itself must judge
PSYCHOPY_COLUMNS = ("stim_file", "stim_id", "duration", "list", "trial", "kind", "options", "correct_answer", "also_correct")
_WORKERS = ["Jatos", "PersonalSingle", "PersonalMultiple", "GeneralSingle", "GeneralMultiple", "MT", "MTSandbox"]
_OFFLINE = '<meta name="transport" content="offline">'
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the same experiment makes the same file


class PackedTrial(PageTrial, frozen=True):
    """A trial as the page may know it.

    Parameters
    ----------
    right : str
        A hash of the right answer, see `answer_hash`, where the page itself must judge it; main and catch trials have none.
    """

    right: str = ""


class PackedList(msgspec.Struct, frozen=True):
    """One listener's list."""

    trials: list[PackedTrial]
    breaks: list[int]


class Gate(msgspec.Struct, frozen=True):
    """What a check asks for."""

    minimum: int
    otherwise: Literal["stop", "continue"]


class Study(msgspec.Struct, frozen=True):
    """``study.json``: all that every listener's page needs.

    Parameters
    ----------
    audiometamer : str
        The version.
    title, task, headphones, questions, texts
        As in `audiometamer.listening.session.Session`; the debriefing is here from the beginning.
    completion : dict of str to str or None
        Addresses, by ``finished`` and ``stopped``.
    gates : dict of str to Gate
        By kind of trial.
    salt : str
        Of the hashes of right answers.
    most_messages : int
        Beyond the answers, of one listener.
    lists : list of str
        Names of the lists, where the page itself takes one that is free; none where each listener's link names a list.
    counted : dict of str to str
        Words that count as another, and that other.
    """

    audiometamer: str
    title: str
    task: PageTask
    headphones: HeadphoneTask
    questions: list[Question]
    texts: dict[str, str]
    completion: dict[str, str | None]
    gates: dict[str, Gate]
    salt: str
    most_messages: int
    lists: list[str]
    counted: dict[str, str]


def pack(folder: Path, out: Path, *, to: Form, address: str = "", any_list: bool = False) -> Path | None:
    """Write an experiment in a form that needs no server of ours; the same experiment gives the same files.

    Parameters
    ----------
    folder : path
        Of the experiment.
    out : path
        A new folder; for JATOS, a new file whose name ends in .jzip.
    to : {"static", "jatos", "psychopy"}
    address : str
        Where the static folder will be reached, or the study link of JATOS, for the links. Default: none; those of a static
        folder begin with ``index.html``, and those of JATOS are what follows the study link.
    any_list : bool
        JATOS gives whoever comes the next free list, under one study link for all; whoever comes can then read all lists.
        Default False: each list is for who has its link.

    Returns
    -------
    path or None
        The table of links to the lists, beside `out` and readable by the owner alone; None where there are no links.

    Raises
    ------
    AudioMetamerError
        If `out` exists, the folder is no experiment, or one of its files is missing.
    """
    if to not in get_args(Form):
        raise AudioMetamerError(f"{to!r} is no form to pack into; there are {', '.join(get_args(Form))}")
    if any_list and to != "jatos":
        raise AudioMetamerError(f"only JATOS hands out lists by itself; nobody does where an experiment is packed to {to}")
    links = None if to == "psychopy" or any_list else out.parent / f"{real_path(out).name.removesuffix('.jzip')}-links.tsv"
    for path in (out, links):
        if path is not None and path.exists():
            raise AudioMetamerError(f"{path} exists; nothing is overwritten: choose another --out")
    if to == "jatos" and out.suffix != ".jzip":
        raise AudioMetamerError(f"{out} is no name of a study for JATOS; it must end in .jzip")
    experiment = read_experiment(folder)
    if lacking := [path for path in experiment.sounds.values() if not path.is_file()]:
        raise AudioMetamerError(f"{lacking[0]} does not exist; build the experiment again")
    with atomic_write(out) if to == "jatos" else atomic_folder(out) as new:
        if to == "jatos":
            _write_jatos(experiment, new, any_list=any_list)
        elif to == "static":
            _write_page(experiment, new, head=_OFFLINE)
        else:
            _write_psychopy(experiment, new)
        equalize_mtimes(path for path in new.rglob("*") if path.is_file())
        if links is not None:
            before = f"{address or INDEX}#" if to == "static" else f"{address}{'&' if '?' in address else '?'}list="
            rows = (f"{one.number}\t{before}{list_token(experiment, one.number)}" for one in experiment.lists.listeners)
            write_private(links, "\n".join(("list\tlink", *rows)) + "\n")
    return links


def answer_hash(salt: str, stimulus: str, answer: str) -> str:
    """What a page compares an answer with that it must not show.

    Who tries the whole closed list finds the answer: it keeps it from being read, not from being found.
    """
    return hashlib.sha256(f"{salt} {stimulus} {answer}".encode()).hexdigest()[:32]


def _write_page(experiment: Experiment, folder: Path, *, head: str, any_list: bool = False) -> None:
    """Page, study, lists, sounds and pictures; nothing in them names a condition or an answer."""
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
        write_text(folder / LISTS / f"{name}.json", json_text(_list(experiment, one, study.salt)))
    _copy(experiment.sounds.values(), folder / layout.SOUNDS)
    if experiment.design.answers.pictures is not None:
        shutil.copytree(experiment.folder / layout.PICTURES, folder / layout.PICTURES)


def _copy(files: Iterable[Path], folder: Path) -> None:
    folder.mkdir()
    for path in files:
        shutil.copyfile(path, folder / path.name)


def _session(experiment: Experiment, number: int) -> Session:
    """What a page is told at the beginning of a list."""
    return session_of(experiment, ListenerState(0, number, 1, None, frozenset()), None)


def _study(experiment: Experiment, lists: list[str]) -> Study:
    told, design = _session(experiment, 1), experiment.design
    return Study(
        audiometamer=__version__,
        title=told.title,
        task=told.task,
        headphones=told.headphones,
        questions=told.questions,
        texts={name: html_of(text) for name, text in experiment.texts.items()},
        completion=msgspec.structs.asdict(design.completion),
        gates={kind: Gate(gate.minimum, gate.otherwise) for kind, gate in design.gates.items()},
        salt=derived_id(experiment, "answers"),
        most_messages=MAX_MESSAGES,
        lists=lists,
        counted=design.answers.counted,
    )


def _list(experiment: Experiment, one: TrialList, salt: str) -> PackedList:
    told = _session(experiment, one.number)
    trials = []
    for trial in told.trials:
        right = answer_hash(salt, trial.stimulus, experiment.key[trial.stimulus].answer) if trial.kind in _CHECKED else ""
        trials.append(PackedTrial(**msgspec.structs.asdict(trial), right=right))
    return PackedList(trials, told.breaks)


def _write_jatos(experiment: Experiment, out: Path, *, any_list: bool) -> None:
    """A JATOS study archive, version 3: a zip of one folder of assets and one ``.jas`` beside it."""
    assets = f"audiometamer_{derived_id(experiment, 'assets')[:8]}"
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(out, "w") as archive:
        folder = Path(scratch) / assets
        folder.mkdir()
        _write_page(experiment, folder, head=f'{_OFFLINE}\n<script src="jatos.js"></script>', any_list=any_list)
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            _add(archive, path.relative_to(scratch).as_posix(), path.read_bytes())
        _add(archive, f"{assets}.jas", msgspec.json.encode(_jas(experiment, assets)))


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Sounds as they are: dithered noise does not become smaller."""
    kind = zipfile.ZIP_STORED if name.endswith(".wav") else zipfile.ZIP_DEFLATED
    archive.writestr(zipfile.ZipInfo(name, _ZIP_DATE), content, kind)


def _jas(experiment: Experiment, assets: str) -> dict[str, Any]:
    """The properties of a JATOS study, in the words of its archive format, version 3 (JATOS 3)."""

    def name(what: str) -> str:  # always the same, so that JATOS knows a study that is imported again
        return str(uuid.UUID(derived_id(experiment, f"jatos {what}"), version=4))

    title = experiment.design.title
    component = {
        "uuid": name("component"), "title": title, "htmlFilePath": INDEX, "reloadable": True, "active": True, "comments": "",
        "jsonData": None,
    }  # fmt: skip
    batch = {
        "uuid": name("batch"), "title": "Default", "active": True, "maxActiveMembers": None, "maxTotalMembers": None,
        "maxTotalWorkers": None, "allowedWorkerTypes": _WORKERS, "comments": None, "jsonData": None,
    }  # fmt: skip
    study = {
        "uuid": name("study"), "title": title, "description": "", "groupStudy": False, "linearStudy": False,
        "allowPreview": False, "dirName": assets, "comments": f"Made with audiometamer {__version__}.", "jsonData": None,
        "endRedirectUrl": "", "studyEntryMsg": None, "componentList": [component], "batchList": [batch],
    }  # fmt: skip
    return {"version": "3", "data": study}


def _write_psychopy(experiment: Experiment, folder: Path) -> None:
    """A condition file for each list, the sounds, and the closed list."""
    _copy(experiment.sounds.values(), folder / "stimuli")
    if experiment.design.answers.pictures is not None:
        shutil.copytree(experiment.folder / layout.PICTURES, folder / layout.PICTURES)
    for one in experiment.lists.listeners:
        write_table(folder / LISTS / f"list_{one.number:03d}.csv", PSYCHOPY_COLUMNS, _psychopy_rows(experiment, one))
    write_text(folder / layout.ANSWERS, "\n".join(experiment.answers) + "\n")
    for name, text in experiment.texts.items():
        write_text(folder / layout.TEXTS_FOLDER / f"{name}.md", text)
    write_text(folder / "README.md", _psychopy_readme(experiment))


def _psychopy_rows(experiment: Experiment, one: TrialList) -> Iterator[dict[str, object]]:
    """A row for each trial; catch trials are main trials here too, and the list is told in every row."""
    import soundfile

    own, told, design = experiment.trials(one.number), _session(experiment, one.number), experiment.design
    for trial, shown in zip(own, told.trials, strict=True):
        options = experiment.options(trial) if trial.options or trial.kind == "headphones" or experiment.design.compares else ""
        sound = soundfile.info(experiment.folder / layout.SOUNDS / f"{trial.stimulus}.wav")
        yield {
            "stim_file": f"stimuli/{trial.stimulus}.wav", "stim_id": trial.stimulus, "duration": sound.duration,
            "list": one.number, "trial": trial.trial, "kind": shown.kind, "options": options,
            "correct_answer": (right := experiment.key[trial.stimulus].answer),
            "also_correct": [one for one in experiment.answers if one != right and design.answers.same(one, right)] or "",
        }  # fmt: skip


def _psychopy_readme(experiment: Experiment) -> str:
    return f"""# {experiment.design.title}: condition files for PsychoPy

Made with audiometamer {__version__}.

**For the experimenter's machine alone:** the column `correct_answer` of the condition files names right answers. What each sound
is stands only in the key of the experiment, which is not here.

- `{LISTS}/list_001.csv`, …: one for each listener, to be read by a loop of type "sequential". Columns, which become variables:
  `stim_file`, the sound; `stim_id`, its name; `duration`, s; `list` and `trial`, their numbers; `kind`: headphones, practice
  (tell the right answer afterwards), demonstration or main; `options`: the answers, where these are not the closed list;
  `correct_answer`; `also_correct`: other answers that count as it.
- `stimuli/`: the sounds, and `{layout.CALIBRATION_NOISE}.wav` to set the level by.
- `{layout.ANSWERS}`: the closed list. `{layout.TEXTS_FOLDER}/`: consent, instructions and debriefing.

Keep the condition file's columns in what PsychoPy saves, as it does by itself. Its CSV files go back into the experiment:

    audiometamer experiment collect EXPERIMENT data/*.csv --response key_resp.keys
"""
