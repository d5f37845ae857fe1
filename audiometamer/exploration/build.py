"""Build an exploration from a ladder and a design: the folder that listeners are served from, and read it back."""

import hashlib
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from audiometamer.dimensions.dimensions import Dimension, Dimensions, folder_of_layer, load_all
from audiometamer.dimensions.ladder import Ladder, MovedStimulus, read_ladder
from audiometamer.errors import AudioMetamerError
from audiometamer.exploration.course import ExplorationCourse
from audiometamer.exploration.design import ExplorationDesign, read_exploration_design, suited
from audiometamer.exploration.making import RenderQueue
from audiometamer.exploration.model_mover import open_model_mover
from audiometamer.exploration.mover_process import MoverProcess
from audiometamer.io.draws import Draws, equalize_mtimes, keyed_draws, write_key
from audiometamer.io.files import atomic_folder, json_text, write_private, write_text
from audiometamer.io.hashes import file_sha256
from audiometamer.io.toml_files import error_context, toml_text
from audiometamer.listening import folder as layout
from audiometamer.listening.building import check_trials, copied_texts, headphone_checks, write_checks, write_texts
from audiometamer.listening.design import read_sentences
from audiometamer.listening.folder import Experiment, read_lists
from audiometamer.listening.pages import write_page
from audiometamer.listening.trials import KeyEntry, Lists, TrialList
from audiometamer.models.loading import load_model
from audiometamer.signals.images import read_png
from audiometamer.signals.presentation import NOISE, Sounds, write_pcm
from audiometamer.stimuli.plan import model_reference
from audiometamer.version import __version__

COURSE = "explore"  # the command whose experiments these are
LADDER, DIMENSIONS, MADE = "ladder", "dimensions", "made"


class Built(NamedTuple):
    """What was built, for those who look at it.

    Parameters
    ----------
    course : ExplorationCourse
        With the design as it lies in the folder.
    rungs : int
        Moved signals that were copied.
    """

    course: ExplorationCourse
    rungs: int


def build(design: Path, out: Path, *, key: Path | None = None) -> Built:
    """Make an exploration's folder; it needs nothing outside itself, but for the weights of the model that makes sounds on-line.

    As that of an experiment (see `audiometamer.listening.folder`), with ``ladder/`` and, where sounds are made on-line, with
    ``dimensions/`` and ``made/``. The same ladder, design, seed and private key give the same files, but for the secret of the
    results. Who lacks the key can compute no name, no order and no right answer.

    Parameters
    ----------
    design : path
        See `audiometamer.exploration.design.ExplorationDesign`.
    out : path
    key : path, optional
        Private key, as ``names.key`` of an experiment. Default: a fresh one.

    Raises
    ------
    AudioMetamerError
        If `out` exists, the private key cannot be read, something is wrong with the design, the ladder does not have what it
        asks for, the dimensions or the model are not those of the ladder, a sound cannot be read, is silent or would clip, or an
        image cannot be read.
    """
    if out.exists():
        raise AudioMetamerError(f"{out} exists; nothing is overwritten: choose another --out")
    read = read_exploration_design(design)
    draws = keyed_draws(read.seed, key)
    with error_context(design, "ladder.folder"):
        ladder = read_ladder(design.parent / read.ladder.folder, strict=True)
        ladder.check_files()
    asked = suited(design, read, ladder)
    with error_context(design, "ladder"):
        chosen = asked.chosen(ladder)
    with error_context(design, "procedure"):
        for levels in dict.fromkeys(asked.levels(ladder, dimension) for dimension in chosen):
            asked.procedure_over(levels)
    dimensions = _dimensions(design, asked, ladder, chosen)
    rungs = [rung for rung in ladder.all if rung.record.dimension in chosen]
    with atomic_folder(out) as folder:
        _copy(ladder.folder, rungs, folder / LADDER)
        for layer, found in dimensions.items():
            found.save(folder_of_layer(folder / DIMENSIONS, layer))
        resolved = _resolved(design, asked, chosen, ladder)
        if asked.image_settings is None:
            with error_context(design, "sounds"):
                resolved = _write_sounds(folder, resolved, draws)
        else:
            _check_images(rungs)
        write_texts(folder, design, asked)
        write_page(folder / layout.PAGE, read_sentences(design, asked))
        checks = headphone_checks(asked, draws)
        write_text(folder / layout.DESIGN, toml_text(resolved))
        write_private(folder / layout.KEY, json_text(checks))
        write_key(folder / layout.NAMES_KEY, draws)
        write_private(folder / layout.SECRET, secrets.token_urlsafe(24) + "\n")
        lists = [TrialList(k, check_trials(k, [*checks], draws)[0]) for k in range(1, asked.listeners + 1)]
        drawn = Lists(asked.seed, __version__, _sha256_of(folder / LADDER), lists, COURSE, keyed=True)
        write_text(folder / layout.LISTS, json_text(drawn))
    return Built(ExplorationCourse(out, resolved, read_ladder(out / LADDER), draws), len(rungs))


def read_exploration(folder: Path) -> Experiment:
    """Read what `build` made; sounds are of the ladder, whatever the design says, as nobody is there who makes them.

    Raises
    ------
    AudioMetamerError
        If it is no such folder, or something in it cannot be read or does not fit together.
    """
    return exploration_with(folder, *read_lists(folder))


def exploration_with(folder: Path, lists: Lists, key: dict[str, KeyEntry]) -> Experiment:
    """The exploration of a folder whose lists and key have been read; raises as `read_exploration`."""
    if lists.adaptive_command != COURSE:
        raise AudioMetamerError(f"{folder} is no exploration; it is for `audiometamer experiment`")
    design = read_exploration_design(folder / layout.DESIGN)
    course = ExplorationCourse(folder, design, read_ladder(folder / LADDER, strict=True), lists.draws(folder / layout.NAMES_KEY))
    course.ladder.check_files()
    with error_context(folder / layout.DESIGN, "ladder"):
        assert course.procedures  # raises where the ladder is not that of the design
    return Experiment(folder, design, lists, key, course)


@contextmanager
def served_exploration(folder: Path, *, device: str = "auto") -> Iterator[Experiment]:
    """The same for listeners: where the design says so, with a process that makes sounds on-line as long as the block lasts.

    Raises
    ------
    AudioMetamerError
        As `read_exploration`; if the model cannot be loaded, has other weights, or there is no such device.
    """
    read = read_exploration(folder)
    course = read.adaptive
    assert isinstance(course, ExplorationCourse)
    making = course.design.making
    if making.way == "ladder":
        yield read
        return
    opened = partial(
        open_model_mover, making.model or course.ladder.model, device,
        dimensions=folder / DIMENSIONS, ladder=folder / LADDER, folder=folder / MADE,
    )  # fmt: skip
    with ExitStack() as stack:
        with error_context(folder / layout.DESIGN, "making"):
            mover = stack.enter_context(closing(MoverProcess(opened)))
            maker = stack.enter_context(RenderQueue(mover, course.ladder, folder / MADE))
        yield replace(read, adaptive=replace(course, maker=maker))


def _dimensions(path: Path, design: ExplorationDesign, ladder: Ladder, chosen: Sequence[str]) -> dict[str, Dimensions]:
    """What sounds are moved along on-line, checked against the ladder and the model; nothing if they are not made on-line."""
    if design.making.dimensions is None:
        return {}
    with error_context(path, "making.dimensions"):
        found = load_all(path.parent / design.making.dimensions)
        ladder.check(found)
    with error_context(path, "making.model"):
        model = load_model(model_reference(path, design.making.model or ladder.model))
        needed = {layer: found[layer] for layer in dict.fromkeys(Dimension.parse(name).layer for name in chosen)}
        for each in needed.values():
            each.check(model)
    return needed


def _resolved(path: Path, design: ExplorationDesign, chosen: Sequence[str], ladder: Ladder) -> ExplorationDesign:
    """A design whose files are seen from the experiment's folder, with everything filled in that it left open."""
    online = design.making.way == "online"
    return msgspec.structs.replace(
        design,
        ladder=msgspec.structs.replace(design.ladder, folder=LADDER, choose=list(chosen), each=design.ladder.each or len(chosen)),
        making=msgspec.structs.replace(
            design.making,
            dimensions=DIMENSIONS if online else None,
            model=_from_anywhere(model_reference(path, design.making.model or ladder.model)) if online else None,
        ),
        texts=copied_texts(design),
    )


def _from_anywhere(model: str) -> str:
    """A name as it is, a folder by its whole path."""
    return str(Path(model).resolve()) if Path(model).is_dir() else model


def _copy(source: Path, rungs: Sequence[MovedStimulus], folder: Path) -> None:
    """Moved signals, their records and their references."""
    files = {file for rung in rungs for file in (rung.path, rung.path.with_suffix(".json"), rung.original)}
    for file in sorted(files):
        to = folder / file.relative_to(source)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, to)


def _sha256_of(folder: Path) -> str:
    """Of the names and the contents of all files: answers to other signals are of another experiment."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()} {file_sha256(path)}\n".encode())
    return digest.hexdigest()


def _check_images(rungs: Sequence[MovedStimulus]) -> None:
    """Raise if an image cannot be read, or has not the size of its reference."""
    sizes = {original: read_png(original).shape for original in {rung.original for rung in rungs}}
    for rung in rungs:
        if (shape := read_png(rung.path).shape) != (size := sizes[rung.original]):
            raise AudioMetamerError(f"{rung.path} has shape {tuple(shape)} and its reference {tuple(size)}: make it again")


def _write_sounds(folder: Path, design: ExplorationDesign, draws: Draws) -> ExplorationDesign:
    """The headphone check and a noise as loud as the loudest sounds; the design with the level at which no trial clips."""
    asked, rove = design.sounds, design.task.rove
    files = sorted(path.relative_to(folder).as_posix() for path in (folder / LADDER).rglob("*.wav"))
    loudest = msgspec.structs.replace(asked, level=asked.level + rove).settings(design.seed)
    sounds = Sounds(folder, loudest, files, draws)
    lowered = msgspec.structs.replace(asked, level=asked.level - sounds.lowered_db)
    resolved, settings = msgspec.structs.replace(design, sounds=lowered), lowered.settings(design.seed)
    rms, loudest_rms = (float(10 ** (level / 20)) for level in (lowered.level, lowered.level + rove))
    write_pcm(
        folder / layout.SOUNDS / f"{layout.CALIBRATION_NOISE}.wav", sounds.noise * loudest_rms, settings, name=NOISE, draws=draws
    )
    write_checks(folder / layout.SOUNDS, headphone_checks(design, draws), resolved, draws, rms=rms)
    equalize_mtimes((folder / layout.SOUNDS).iterdir())
    return resolved
