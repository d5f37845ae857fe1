"""Build a scaling experiment from a folder of sounds and a design."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from audiometamer.experiment.scaling.design import ScalingDesign, SoundPath, read_scaling_design
from audiometamer.experiment.scaling.path import PathSounds, read_path
from audiometamer.experiment.scaling.trials import PairTrial, draw_pair_trials, possible_trials
from audiometamer.io.draws import Draws, equalize_mtimes, keyed_draws
from audiometamer.io.files import atomic_folder, json_text, refuse_existing, write_text
from audiometamer.io.toml_files import error_context
from audiometamer.listening import folder as layout
from audiometamer.listening.building import check_names, check_trials, copied_texts, headphone_checks, write_checks, write_parts
from audiometamer.listening.trials import PATH, KeyEntry, Lists, Trial, TrialList
from audiometamer.signals.presentation import NOISE, Sounds, in_sequence, write_pcm
from audiometamer.version import __version__


class BuiltScaling(NamedTuple):
    """A built scaling experiment.

    Parameters
    ----------
    requested : ScalingDesign
        Design as read.
    design : ScalingDesign
        Design with all defaults filled in.
    lists : list of list of PairTrial
        The trials of each listener, without the headphone check.
    possible : int
        Number of triads, or quadruples, of the sounds.
    """

    requested: ScalingDesign
    design: ScalingDesign
    lists: list[list[PairTrial]]
    possible: int


def build_scaling(sounds: Path, design: Path, out: Path, *, key: Path | None = None) -> BuiltScaling:
    """Build the folder of a scaling experiment; see `audiometamer.listening.folder`.

    The same sounds, design, seed and private key give the same files, except for the secret that opens the results.

    Parameters
    ----------
    sounds : path
        Folder with the sounds of a path.
    design : path
        See `audiometamer.experiment.scaling.design.ScalingDesign`.
    out : path
    key : path, optional
        Private key: the ``names.key`` of another experiment. Default: a fresh one.

    Returns
    -------
    BuiltScaling

    Raises
    ------
    AudioMetamerError
        If `out` exists, the private key cannot be read, something is wrong with the design, or a sound cannot be read, is silent
        or would clip.
    """
    refuse_existing(out)
    requested = read_scaling_design(design)
    draws, kind = keyed_draws(requested.seed, key), requested.answers.kind
    with error_context(design, "path"):
        path = read_path(sounds, requested.path, kind)
    with error_context(design, "trials"):
        drawn = draw_pair_trials(
            kind, len(path.files), listeners=requested.listeners, trials=requested.trials, draws=draws
        )  # fmt: skip
    resolved = msgspec.structs.replace(
        requested, trials=len(drawn[0]), path=SoundPath(path.files, path.positions), texts=copied_texts(requested)
    )
    names = {
        played: draws.name(repr(played)) for played in sorted({_played(trial, path, kind) for one in drawn for trial in one})
    }
    checks = headphone_checks(requested, draws)
    check_names(design, names.values(), checks, requested)
    with atomic_folder(out) as folder:
        rms = _write_sounds(folder / layout.SOUNDS, sounds, path, names, resolved, draws)
        write_checks(folder / layout.SOUNDS, checks, resolved, draws, rms=rms)
        equalize_mtimes((folder / layout.SOUNDS).iterdir())
        entries = {name: _entry(played) for played, name in names.items()} | checks
        write_parts(folder, design, requested, resolved, entries, draws)
        lists = [
            _list(k, [names[_played(trial, path, kind)] for trial in trials], [*checks], draws)
            for k, trials in enumerate(drawn, start=1)
        ]
        write_text(folder / layout.LISTS, json_text(Lists(requested.seed, __version__, None, lists, keyed=True)))
    return BuiltScaling(requested, resolved, drawn, len(possible_trials(kind, len(path.files))))


def _played(trial: PairTrial, path: PathSounds, kind: str) -> tuple[str, ...]:
    """The files that a trial plays, in order."""
    return tuple(path.files[number] for number in trial.played(kind))


def _entry(played: Sequence[str]) -> KeyEntry:
    clips = " ".join(Path(file).stem for file in played)
    return KeyEntry("", PATH, clips, "", "", False, {}, "", sequence=[*played])


def _list(number: int, names: Sequence[str], checks: Sequence[str], draws: Draws) -> TrialList:
    """One listener's list, the headphone check first."""
    first, _ = check_trials(number, checks, draws)
    return TrialList(number, [*first, *(Trial(k, "main", name) for k, name in enumerate(names, start=len(first) + 1))])


def _write_sounds(
    folder: Path, stimuli: Path, path: PathSounds, names: dict[tuple[str, ...], str], design: ScalingDesign, draws: Draws
) -> float:
    """Write a file for each sequence of sounds, and the noise that sets the level; returns the RMS of the sounds."""
    settings = design.sounds.settings(design.seed)
    sounds = Sounds(stimuli, settings, path.files, draws)
    heard = {file: sounds.read(file) for file in path.files}
    for played, name in sorted(names.items(), key=lambda item: item[1]):
        parts = [heard[file] for file in played]
        if design.pair_gap:
            parts = [in_sequence(pair, design.gap, settings) for pair in (parts[:2], parts[2:])]
        whole = in_sequence(parts, design.gap + design.pair_gap, settings)
        write_pcm(folder / f"{name}.wav", whole, settings, name=name, draws=draws)
    noise = folder / f"{layout.CALIBRATION_NOISE}.wav"
    write_pcm(noise, sounds.noise * sounds.rms, settings, name=NOISE, draws=draws)
    return sounds.rms
