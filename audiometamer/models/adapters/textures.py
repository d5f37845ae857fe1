"""Sound-texture statistics as a model: ``texture:mcdermott2011``, ``texture:toolbox``, with options in the name."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from audiometamer.errors import AudioMetamerError
from audiometamer.matching.domains import Waveform
from audiometamer.models.model import Model
from audiometamer.networks.texture_edits import Edits
from audiometamer.networks.texture_filters import needed_seconds
from audiometamer.networks.texture_network import TextureNetwork
from audiometamer.networks.texture_segments import Segments
from audiometamer.networks.texture_statistics import PRESETS
from audiometamer.signals.audio import Clip, read_clip
from audiometamer.signals.resampling import resample_by_polyphase

SAMPLE_RATE, LEVEL = 20_000, 0.01
_SECONDS = 5.0
_BLOCK = 100  # samples: sounds are cut to a multiple of these, as published
_LONGEST = 60.0


class TextureModel(Model):
    """A model of texture statistics: a recording that is shorter than its sounds is repeated, since statistics know no length."""

    def read_clip(
        self,
        path: str | os.PathLike[str],
        *,
        level: float | None = None,
        start: float | None = None,
        length: float | None = None,
    ) -> Clip:
        """Read a recording, resampled as published; see `Model.read_clip`."""
        read = partial(read_clip, path, sample_rate=SAMPLE_RATE, start=start, length=length, resampler=resample_by_polyphase)
        level = LEVEL if level is None else level
        part = read(duration=None, level=None)
        if part.samples.shape[-1] >= self.signal_shape[-1]:
            return read(duration=self.duration, level=level)
        return _repeated(part, self.signal_shape[-1], level)


def load(text: str) -> Model:
    """Texture statistics as a model.

    Layers: each class that is imposed, and ``statistics``, all of them. Sounds are loops at 20 kHz and an RMS of 0.01.

    Parameters
    ----------
    text : str
        ``mcdermott2011`` or ``toolbox``, and any of these options after it, each with a ``/`` before it:

        - ``seconds=30``: duration of the sounds, by default 5; a shorter recording is repeated;
        - ``without=A,B``: classes that are left out;
        - ``weights=A:2,B:0.5``: weights of classes in the loss, by default 1;
        - ``pink=A,B``: classes that are those of pink noise;
        - ``flip=A,B``: classes whose sign is changed, see `Edits`;
        - ``step_at=2.5,4``: moments in seconds at which statistics change, or ``gradient=6``: number of segments along which
          they change gradually, see `Segments`;
        - ``scale=linear``, ``modulation_scale=linear``: filters evenly spaced in Hz, the lesions of the paper;
        - ``overcompleteness=2``, ``compression=log`` or ``none``, ``edges=zero``, ``target_window=ones``: see
          `TextureStatistics`.

    Returns
    -------
    Model

    Raises
    ------
    AudioMetamerError
        If there is no such preset, option, class or value.

    Examples
    --------
    >>> model = load("toolbox/seconds=2/without=envelope_correlation")
    >>> model.layers[-1], "envelope_correlation" in model.layers
    ('statistics', False)
    """
    preset, *given = text.split("/")
    if preset not in PRESETS:
        raise AudioMetamerError(
            f"there is no model texture:{preset}; there are {', '.join(f'texture:{name}' for name in PRESETS)}"
        )
    options = dict(_parsed(option, preset) for option in given)
    seconds = options.pop("seconds", _SECONDS)
    edits = Edits(pink=options.pop("pink", ()), flip=options.pop("flip", ()))
    steps, gradient = options.pop("step_at", ()), options.pop("gradient", 0)
    segments = Segments(steps, gradient) if steps or gradient else None
    network = TextureNetwork(preset, edits=edits, segments=segments, **options)
    return TextureModel(
        network.eval(),
        sample_rate=SAMPLE_RATE,
        duration=max(round(seconds * SAMPLE_RATE / _BLOCK), 1) * _BLOCK / SAMPLE_RATE,
        level=LEVEL,
        domain=Waveform(deviation=LEVEL),
        name=f"texture:{text}",
    )


def _moments(value: str) -> tuple[float, ...]:
    return tuple(float(moment) for moment in value.split(","))


def _names(value: str) -> tuple[str, ...]:
    return tuple(value.split(","))


def _weights(value: str) -> dict[str, float]:
    pairs = [each.partition(":") for each in value.split(",")]
    return {name: float(weight) for name, _, weight in pairs}


def _seconds(value: str) -> float:
    if not 0 < (seconds := float(value)) <= _LONGEST:
        raise AudioMetamerError(f"a texture of {value} s cannot be made; give above 0 and at most {_LONGEST:g} s")
    return seconds


_OPTIONS: Mapping[str, Callable[[str], Any]] = {
    "seconds": _seconds, "without": _names, "weights": _weights, "pink": _names, "flip": _names, "step_at": _moments,
    "gradient": int, "scale": str, "modulation_scale": str, "overcompleteness": int, "compression": str, "edges": str,
    "target_window": str,
}  # fmt: skip
# What options that hold numbers look like.
_EXAMPLES = {
    "seconds": "30", "weights": "envelope_mean:2,modulation_c1:0.5", "step_at": "2.5", "gradient": "6", "overcompleteness": "2",
}  # fmt: skip


def _parsed(option: str, preset: str) -> tuple[str, Any]:
    name, _, value = option.partition("=")
    if name not in _OPTIONS:
        raise AudioMetamerError(f"texture:{preset} has no option {name!r}; it has {', '.join(_OPTIONS)}")
    try:
        return name, _OPTIONS[name](value)
    except ValueError as error:
        raise AudioMetamerError(f"texture:{preset} cannot have {option}; write {name}={_EXAMPLES[name]}, say") from error


def _repeated(clip: Clip, n_samples: int, level: float) -> Clip:
    """A clip cut to whole blocks and repeated, at an RMS."""
    kept = clip.samples[..., : clip.samples.shape[-1] // _BLOCK * _BLOCK]
    if not kept.numel():
        raise AudioMetamerError(
            f"{clip.name} lasts {clip.samples.shape[-1] / SAMPLE_RATE:g} s, too short for any statistics; the slowest "
            f"modulations need {needed_seconds():.1f} s"
        )
    kept = kept - kept.mean()
    rms = float(kept.square().mean().sqrt())
    if rms == 0:
        raise AudioMetamerError(f"{clip.name} is silent; a clip must have sound")
    kept = kept * (level / rms)
    times = -(-n_samples // kept.shape[-1])
    seconds = kept.shape[-1] / SAMPLE_RATE
    notice = f"{clip.name}: its {seconds:g} s are repeated to {n_samples / SAMPLE_RATE:g} s" if times > 1 else ""
    return replace(clip, samples=kept.repeat(times)[:n_samples], notices=(*clip.notices, *filter(None, [notice])))
