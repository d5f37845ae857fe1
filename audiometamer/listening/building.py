"""Files common to all listening tests: headphone checks, texts, page, design and keys."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from audiometamer.errors import AudioMetamerError
from audiometamer.io.draws import Draws, write_key
from audiometamer.io.files import json_text, write_private, write_text
from audiometamer.io.toml_files import toml_text
from audiometamer.listening import folder as layout
from audiometamer.listening.design import TEXTS, CommonDesign, Texts, read_sentences, read_text
from audiometamer.listening.headphones import N_INTERVALS, antiphase, huggins
from audiometamer.listening.pages import write_page
from audiometamer.listening.trials import KeyEntry, Trial
from audiometamer.signals.presentation import PresentationSettings, write_pcm

_HEADPHONES = {"huggins": huggins, "antiphase": antiphase}


def headphone_checks(design: CommonDesign, draws: Draws) -> dict[str, KeyEntry]:
    """Entries of the headphone check for the key; each interval is the odd one equally often, within one."""
    n = design.headphone_trials
    right = draws.generator(3).permutation(np.arange(n) % N_INTERVALS) + 1
    names = [draws.name(f"headphones {k}") for k in range(n)]
    return {name: KeyEntry("", "headphones", "", "", "", False, {}, str(k)) for name, k in zip(names, right, strict=True)}


def check_trials(number: int, checks: Sequence[str], draws: Draws) -> tuple[list[Trial], np.random.Generator]:
    """The headphone check at the beginning of a list, and the generator that draws the rest of the list."""
    generator = draws.generator(4, number)
    return [Trial(k, "headphones", checks[i]) for k, i in enumerate(generator.permutation(len(checks)), start=1)], generator


def write_checks(folder: Path, checks: Mapping[str, KeyEntry], design: CommonDesign, draws: Draws, *, rms: float) -> None:
    """Write the sounds of the headphone check, at the level of all others.

    Raises
    ------
    AudioMetamerError
        If a sound would clip.
    """
    settings: PresentationSettings = design.sounds.settings(design.seed)
    for k, name in enumerate(sorted(checks)):
        make = _HEADPHONES[design.headphones.test]
        sound = make(int(checks[name].answer), sample_rate=settings.sample_rate, rms=rms, seed=draws.subseed(5, k))
        if (peak := float(np.abs(sound).max())) > settings.highest:
            raise AudioMetamerError(
                f"the headphone check would clip at {design.sounds.level:g} dB: its peak is {peak:.2f} of full scale; "
                f"lower sounds.level by {20 * np.log10(peak) + 0.1:.1f} dB"
            )
        write_pcm(folder / f"{name}.wav", sound, settings, name=name, draws=draws)


def check_names(path: Path, names: Collection[str], checks: Collection[str], design: CommonDesign) -> None:
    """Raise an `AudioMetamerError` if two sounds of the design at `path` have the same name, which hardly ever happens."""
    if len({*names, *checks}) < len(names) + design.headphone_trials:
        raise AudioMetamerError(f"{path}: seed: two sounds would have the same name; choose another")


def write_parts(
    folder: Path, path: Path, design: CommonDesign, resolved: CommonDesign, key: Mapping[str, KeyEntry], draws: Draws
) -> None:
    """Write what every folder has beside its sounds and lists, for the design at `path`, as read and with defaults filled in."""
    write_texts(folder, path, design)
    write_page(folder / layout.PAGE, read_sentences(path, design))
    write_text(folder / layout.DESIGN, toml_text(resolved))
    write_keys(folder, {name: key[name] for name in sorted(key)}, draws)


def copied_texts(design: CommonDesign) -> Texts:
    """The texts of a built folder, whose page holds the page's own sentences."""
    return Texts(**{name: f"{layout.TEXTS_FOLDER}/{name}.md" for name in TEXTS}, language=design.texts.language)


def write_texts(folder: Path, path: Path, design: CommonDesign) -> None:
    """Copy consent, instructions and debriefing of the design at `path`, so that the folder needs nothing outside itself."""
    for name in TEXTS:
        write_text(folder / layout.TEXTS_FOLDER / f"{name}.md", read_text(path, design, name))


def write_keys(folder: Path, key: Mapping[str, KeyEntry], draws: Draws) -> None:
    """Write what only the experimenter may read: what each sound is, the private key of all draws, and the results' secret."""
    write_private(folder / layout.KEY, json_text(dict(key)))
    write_key(folder / layout.NAMES_KEY, draws)
    write_private(folder / layout.SECRET, secrets.token_urlsafe(24) + "\n")
