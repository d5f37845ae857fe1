"""Build a listening test of sounds that tell models apart: lists, key, sounds, texts and page."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.comparisons.design import ComparisonDesign, read_comparison_design
from audiometamer.experiment.comparisons.stimuli import Compared, catch_of, read_compared, write_compared
from audiometamer.io.draws import Draws, equalize_mtimes, keyed_draws
from audiometamer.io.files import atomic_folder, json_text, refuse_existing, write_text
from audiometamer.listening import folder as layout
from audiometamer.listening.building import check_names, check_trials, copied_texts, headphone_checks, write_checks, write_parts
from audiometamer.listening.design import NEITHER
from audiometamer.listening.headphones import GAP_SECONDS
from audiometamer.listening.trials import ConditionKey, KeyEntry, Lists, Trial, TrialKind, TrialList
from audiometamer.signals.presentation import NOISE, Sounds, in_sequence, write_pcm
from audiometamer.stimuli.verify import manifest_sha256
from audiometamer.version import __version__

_Planned = list[tuple[TrialKind, Compared]]  # the trials of one listener


class BuiltComparison(NamedTuple):
    """A built test.

    Parameters
    ----------
    design : ComparisonDesign
        Design as read.
    trials : int
        Main trials of each listener.
    counts : dict of (str, str) to int
        Number of pairs of sounds, or of controversial sounds, by their kind and what they were made for.
    """

    design: ComparisonDesign
    trials: int
    counts: dict[tuple[str, str], int]


def build_comparison(stimulus_set: Path, design: Path, out: Path, *, key: Path | None = None) -> BuiltComparison:
    """Build the folder of a test; see `audiometamer.listening.folder`. What each sound is, is also in ``comparisons.tsv``.

    Parameters
    ----------
    stimulus_set : path
        Set of a plan with ``[[comparisons]]``.
    design : path
        See `audiometamer.experiment.comparisons.design.ComparisonDesign`.
    out : path
    key : path, optional
        Private key: the ``names.key`` of another experiment. Default: a fresh one.

    Raises
    ------
    AudioMetamerError
        If `out` exists, something is wrong with the design, the set lacks what it asks for, or a sound cannot be read.
    """
    refuse_existing(out)
    settings = read_comparison_design(design)
    draws = keyed_draws(settings.seed, key)
    found = read_compared(stimulus_set, design, settings)
    _check_words(design, found)
    planned = [_draw(found, settings, k, draws.generator(10, k)) for k in range(1, settings.listeners + 1)]
    names = {one: draws.name(repr(one)) for one in sorted({one for trials in planned for _, one in trials})}
    checks = headphone_checks(settings, draws)
    check_names(design, names.values(), checks, settings)
    with atomic_folder(out) as folder:
        _write_sounds(folder, stimulus_set, names, checks, settings, draws)
        if settings.rates_confidence:
            write_text(folder / layout.ANSWERS, "\n".join([*_all_words(found), NEITHER]) + "\n")
        resolved = msgspec.structs.replace(settings, texts=copied_texts(settings))
        entries = {name: _entry(one) for one, name in names.items()} | checks
        write_parts(folder, design, settings, resolved, entries, draws)
        write_compared(folder, {name: one for one, name in names.items()})
        lists = [_list(k, trials, names, [*checks], draws) for k, trials in enumerate(planned, start=1)]
        drawn = Lists(settings.seed, __version__, manifest_sha256(stimulus_set), lists, keyed=True)
        write_text(folder / layout.LISTS, json_text(drawn))
    return BuiltComparison(settings, len(planned[0]) - settings.catch, dict(Counter((one.kind, one.of) for one, _ in found)))


_Found = Sequence[tuple[Compared, Compared | None]]


def _all_words(found: _Found) -> list[str]:
    return list(dict.fromkeys(word for one, _ in found for word in one.words))


def _check_words(path: Path, found: _Found) -> None:
    if NEITHER in _all_words(found):
        raise AudioMetamerError(f"{path}: {NEITHER!r} is a word of the set, and the answer that neither word was heard")


def _draw(found: _Found, design: ComparisonDesign, number: int, generator: np.random.Generator) -> _Planned:
    """The trials of list `number`, from 1: each pair equally often, in either order by turns; catch trials among them."""
    wanted = design.trials or design.repeats * len(found)
    first = (number - 1) * wanted if design.trials else 0  # lists of part of the pairs follow each other
    main: list[Compared] = []
    for k in range(first, first + wanted):
        place, turn = k % len(found), k // len(found) + number
        one, swapped = found[place]
        main.append(swapped if swapped is not None and (turn + place) % 2 else one)
    caught = [catch_of(main[i]) for i in generator.choice(len(main), size=design.catch, replace=design.catch > len(main))]
    trials: _Planned = [("main", one) for one in main]
    trials += [("catch", one) for one in caught]
    return [trials[i] for i in generator.permutation(len(trials))]


def _entry(one: Compared) -> KeyEntry:
    words = "|".join(one.words)
    condition = ConditionKey(one.of, one.kind, one.seed)
    return KeyEntry(one.files[-1], condition, one.clip, words, "", False, {}, one.right)


def _list(number: int, planned: _Planned, names: dict[Compared, str], checks: Sequence[str], draws: Draws) -> TrialList:
    """One listener's list, the headphone check first; the two words in either order."""
    trials, generator = check_trials(number, checks, draws)
    for kind, one in planned:
        words = [one.words[i] for i in generator.permutation(len(one.words))]
        trials.append(Trial(0, kind, names[one], [*words, NEITHER] if words else []))
    return TrialList(number, [msgspec.structs.replace(trial, trial=k) for k, trial in enumerate(trials, start=1)])


def _write_sounds(
    folder: Path, stimulus_set: Path, names: dict[Compared, str], checks: dict[str, KeyEntry], design: ComparisonDesign,
    draws: Draws,
) -> None:  # fmt: skip
    """Write every sound, the noise that sets the level, and the headphone check."""
    settings = design.sounds.settings(design.seed)
    sounds = Sounds(stimulus_set, settings, sorted({file for one in names for file in one.files}), draws)
    for one, name in sorted(names.items(), key=lambda pair: pair[1]):
        whole = in_sequence([sounds.read(file) for file in one.files], GAP_SECONDS, settings)
        write_pcm(folder / layout.SOUNDS / f"{name}.wav", whole, settings, name=name, draws=draws)
    noise = folder / layout.SOUNDS / f"{layout.CALIBRATION_NOISE}.wav"
    write_pcm(noise, sounds.noise * sounds.rms, settings, name=NOISE, draws=draws)
    write_checks(folder / layout.SOUNDS, checks, design, draws, rms=sounds.rms)
    equalize_mtimes((folder / layout.SOUNDS).iterdir())
