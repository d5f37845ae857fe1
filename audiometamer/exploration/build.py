"""Build an exploration from a design and a ladder: the folder that listeners are served from."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from audiometamer.dimensions.dimensions import Dimension, Dimensions, folder_of_layer, load_all
from audiometamer.dimensions.ladder import Ladder, read_ladder
from audiometamer.dimensions.moved import MovedStimulus
from audiometamer.errors import AudioMetamerError
from audiometamer.exploration.design import ExplorationDesign, fit_to_ladder, read_exploration_design
from audiometamer.exploration.folder import COMMAND_NAME, DIMENSIONS, LADDER
from audiometamer.exploration.sequence import ExplorationSequence
from audiometamer.io.draws import Draws, equalize_mtimes, keyed_draws
from audiometamer.io.files import atomic_folder, json_text, refuse_existing, write_text
from audiometamer.io.hashes import file_sha256
from audiometamer.io.toml_files import error_context, toml_text
from audiometamer.listening import folder as layout
from audiometamer.listening.building import check_trials, copied_texts, headphone_checks, write_checks, write_keys, write_texts
from audiometamer.listening.design import read_sentences
from audiometamer.listening.pages import write_page
from audiometamer.listening.trials import Lists, TrialList
from audiometamer.models.loading import load_model
from audiometamer.signals.images import read_png
from audiometamer.signals.presentation import NOISE, Sounds, write_pcm
from audiometamer.stimuli.plan import model_reference
from audiometamer.version import __version__


class BuiltExploration(NamedTuple):
    """The result of `build`.

    Parameters
    ----------
    sequence : ExplorationSequence
        Sequence with the design as written in the folder.
    stimuli : int
        Number of moved signals that were copied.
    design : ExplorationDesign
        Design as its author wrote it.
    """

    sequence: ExplorationSequence
    stimuli: int
    design: ExplorationDesign


def build(design: Path, out: Path, *, key: Path | None = None) -> BuiltExploration:
    """Build the folder of an exploration; it needs nothing outside itself, except the model that makes stimuli online.

    It is laid out as that of any experiment (see `audiometamer.listening.folder`), with ``ladder/`` and, if stimuli are made
    online, ``dimensions/`` and ``made/``. The same ladder, design, seed and private key give the same files, except for the
    secret of the results page. Nobody without the key can compute a name, an order or a right answer.

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
        If `out` exists; if the private key cannot be read; if the design is wrong or asks for what the ladder does not have; if
        the dimensions or the model are not those of the ladder; if a sound cannot be read, is silent or would clip; if an image
        cannot be read.
    """
    refuse_existing(out)
    written = settings = read_exploration_design(design)
    draws = keyed_draws(settings.seed, key)
    with error_context(design, "ladder.folder"):
        ladder = read_ladder(design.parent / settings.ladder.folder, strict=True)
        ladder.check_files()
    settings = fit_to_ladder(design, settings, ladder)
    dimensions = _dimensions(design, settings, ladder)
    chosen = ladder.restricted_to(settings.chosen(ladder))
    with atomic_folder(out) as folder:
        _copy(chosen, folder / LADDER)
        for layer, found in dimensions.items():
            found.save(folder_of_layer(folder / DIMENSIONS, layer))
        resolved = _resolved(design, settings, ladder)
        if settings.image_settings is None:
            with error_context(design, "sounds"):
                resolved = _write_sounds(folder, resolved, draws)
        else:
            _check_images(chosen.all)
        write_texts(folder, design, settings)
        write_page(folder / layout.PAGE, read_sentences(design, settings))
        _write_lists(folder, settings, resolved, draws)
    return BuiltExploration(ExplorationSequence(out, resolved, chosen.relocated(out / LADDER), draws), len(chosen.all), written)


def _write_lists(folder: Path, settings: ExplorationDesign, resolved: ExplorationDesign, draws: Draws) -> None:
    """The resolved design, the lists, and what only the experimenter may see."""
    checks = headphone_checks(settings, draws)
    write_text(folder / layout.DESIGN, toml_text(resolved))
    write_keys(folder, checks, draws)
    lists = [TrialList(k, check_trials(k, [*checks], draws)[0]) for k in range(1, settings.listeners + 1)]
    drawn = Lists(settings.seed, __version__, _sha256_of(folder / LADDER), lists, COMMAND_NAME, keyed=True)
    write_text(folder / layout.LISTS, json_text(drawn))


def _dimensions(path: Path, design: ExplorationDesign, ladder: Ladder) -> dict[str, Dimensions]:
    """The dimensions for making stimuli online, by layer, checked against the ladder and the model; empty otherwise."""
    if design.making.dimensions is None:
        return {}
    with error_context(path, "making.dimensions"):
        found = load_all(path.parent / design.making.dimensions)
        ladder.check(found)
    with error_context(path, "making.model"):
        model = load_model(model_reference(path, design.making.model or ladder.model))
        needed = {layer: found[layer] for layer in dict.fromkeys(Dimension.parse(name).layer for name in design.chosen(ladder))}
        for each in needed.values():
            each.check(model)
    return needed


def _resolved(path: Path, design: ExplorationDesign, ladder: Ladder) -> ExplorationDesign:
    """The design with paths relative to the experiment's folder and with all defaults that follow from the ladder."""
    chosen = design.chosen(ladder)
    online = design.making.way == "online"
    return msgspec.structs.replace(
        design,
        ladder=msgspec.structs.replace(design.ladder, folder=LADDER, choose=chosen, each=design.ladder.each or len(chosen)),
        making=msgspec.structs.replace(
            design.making,
            dimensions=DIMENSIONS if online else None,
            model=_from_anywhere(model_reference(path, design.making.model or ladder.model)) if online else None,
        ),
        texts=copied_texts(design),
    )


def _from_anywhere(model: str) -> str:
    """A name as it is, a folder by its absolute path."""
    return str(Path(model).resolve()) if Path(model).is_dir() else model


def _copy(ladder: Ladder, folder: Path) -> None:
    """Copy moved signals, their records and their references."""
    files = {file for stimulus in ladder.all for file in (stimulus.path, stimulus.path.with_suffix(".json"), stimulus.original)}
    for file in sorted(files):
        to = folder / file.relative_to(ladder.folder)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, to)


def _sha256_of(folder: Path) -> str:
    """Hash of the names and the contents of all files: answers to other signals belong to another experiment."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()} {file_sha256(path)}\n".encode())
    return digest.hexdigest()


def _check_images(stimuli: Sequence[MovedStimulus]) -> None:
    """Raise if an image cannot be read, or its size is not that of its reference."""
    sizes = {original: read_png(original).shape for original in {stimulus.original for stimulus in stimuli}}
    for stimulus in stimuli:
        if (shape := read_png(stimulus.path).shape) != (size := sizes[stimulus.original]):
            raise AudioMetamerError(f"{stimulus.path} has shape {tuple(shape)} and its reference {tuple(size)}: make it again")


def _write_sounds(folder: Path, design: ExplorationDesign, draws: Draws) -> ExplorationDesign:
    """Write the headphone check and a noise as loud as the loudest sounds; the design with a level at which no trial clips."""
    requested, rove = design.sounds, design.task.rove
    files = sorted(path.relative_to(folder).as_posix() for path in (folder / LADDER).rglob("*.wav"))
    loudest = msgspec.structs.replace(requested, level=requested.level + rove).settings(design.seed)
    sounds = Sounds(folder, loudest, files, draws)
    lowered = msgspec.structs.replace(requested, level=requested.level - sounds.lowered_db)
    resolved, settings = msgspec.structs.replace(design, sounds=lowered), lowered.settings(design.seed)
    rms, loudest_rms = (float(10 ** (level / 20)) for level in (lowered.level, lowered.level + rove))
    write_pcm(
        folder / layout.SOUNDS / f"{layout.CALIBRATION_NOISE}.wav", sounds.noise * loudest_rms, settings, name=NOISE, draws=draws
    )
    write_checks(folder / layout.SOUNDS, headphone_checks(design, draws), resolved, draws, rms=rms)
    equalize_mtimes((folder / layout.SOUNDS).iterdir())
    return resolved
