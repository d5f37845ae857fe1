"""The README of an export: its format, its level and how to calibrate it, licences."""

from collections.abc import Mapping, Sequence

from audiometamer.signals.presentation import NOISE, TONE, PresentationSettings
from audiometamer.stimuli.exports.sounds import ExportedSound
from audiometamer.version import __version__


def readme(
    sounds: Sequence[ExportedSound], settings: PresentationSettings, files: Mapping[str, str], *, level: float, lowered: float
) -> str:
    """Description and level of an export, without the contents of each sound.

    Parameters
    ----------
    sounds : sequence of ExportedSound
    settings : PresentationSettings
    files : mapping of str to str
        Paths of the calibration sounds by name.
    level : float
        RMS of the calibration sounds, dB re full scale.
    lowered : float
        Attenuation of the whole set in dB so that no peak clips.
    """
    if settings.factor is None:
        plays = "the level at which the sounds play"
        same = f"Every sound, the noise and the tone have the same RMS: {level:.2f} dB re full scale, where a constant 1 has 0 dB"
    else:
        plays = "the sounds' mean level"
        same = (
            f"All sounds were multiplied by {settings.factor:g}; noise and tone have the mean power of the set, {level:.2f} dB "
            f"re full scale, and the key says how far each sound is from it"
        )
    down = f" The whole set was lowered by {lowered:.2f} dB so that no peak clips." if lowered else ""
    of_clips = sorted({(sound.right("licence"), sound.right("attribution")) for sound in sounds})
    rights = "\n".join(f"- {licence}; {named}" for licence, named in of_clips)
    return f"""# Presentation copies

{len(sounds)} sounds, {settings.sample_rate} Hz, {settings.bits} bits with triangular dither, raised-cosine ramps of
{settings.ramp:g} ms. Their names reveal nothing; the key to them is kept elsewhere. Made with audiometamer {__version__}.

## Level
{same}.{down}

- `{files[NOISE]}`: Gaussian noise with the average spectrum of these sounds, 10 s.
- `{files[TONE]}`: 1 kHz, 10 s.

Set the level with the noise: the equivalent level that a sound level meter reads over it is {plays}.
The tone has the same RMS and is for checking the equipment.

## Licences of the clips, and whom to name
{rights}
"""
