"""Sound-texture statistics as a model: ``texture:mcdermott2011``, ``texture:toolbox``, with options in the name."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from audiometamer.errors import AudioMetamerError
from audiometamer.matching.domains import Waveform
from audiometamer.models.model import Model
from audiometamer.networks.texture_edits import Edits
from audiometamer.networks.texture_network import TextureNetwork
from audiometamer.networks.texture_statistics import PRESETS
from audiometamer.signals.audio import Clip, read_clip

SAMPLE_RATE, LEVEL = 20_000, 0.01
_SECONDS = 5.0
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
        """Read a recording; see `Model.read_clip`."""
        part = read_clip(path, sample_rate=SAMPLE_RATE, duration=None, level=None, start=start, length=length)
        if part.samples.shape[-1] >= self.signal_shape[-1]:
            return super().read_clip(path, level=level, start=start, length=length)
        return _repeated(part, self.signal_shape[-1], LEVEL if level is None else level)


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
    network = TextureNetwork(preset, edits=edits, **options)
    step = 2 * network.measure.factor
    return TextureModel(
        network.eval(),
        sample_rate=SAMPLE_RATE,
        duration=max(round(seconds * SAMPLE_RATE / step), 1) * step / SAMPLE_RATE,
        level=LEVEL,
        domain=Waveform(deviation=LEVEL),
        name=f"texture:{text}",
    )


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
    "seconds": _seconds, "without": _names, "weights": _weights, "pink": _names, "flip": _names, "scale": str,
    "modulation_scale": str, "overcompleteness": int, "compression": str, "edges": str, "target_window": str,
}  # fmt: skip


def _parsed(option: str, preset: str) -> tuple[str, Any]:
    name, _, value = option.partition("=")
    if name not in _OPTIONS:
        raise AudioMetamerError(f"texture:{preset} has no option {name!r}; it has {', '.join(_OPTIONS)}")
    try:
        return name, _OPTIONS[name](value)
    except ValueError as error:
        raise AudioMetamerError(f"the option {option!r} of texture:{preset} has no such value") from error


def _repeated(clip: Clip, n_samples: int, level: float) -> Clip:
    """A clip cut to whole blocks of 100 samples and repeated, at an RMS."""
    kept = clip.samples[..., : min(clip.samples.shape[-1] // 100 * 100, n_samples)]
    kept = kept - kept.mean()
    rms = float(kept.square().mean().sqrt()) if kept.numel() else 0.0
    if rms == 0:
        raise AudioMetamerError(f"{clip.name} is silent or shorter than 100 samples: it has no statistics")
    kept = kept * (level / rms)
    times = -(-n_samples // kept.shape[-1])
    seconds = kept.shape[-1] / SAMPLE_RATE
    notice = f"{clip.name}: its {seconds:g} s are repeated to {n_samples / SAMPLE_RATE:g} s" if times > 1 else ""
    return replace(clip, samples=kept.repeat(times)[:n_samples], notices=(*clip.notices, *filter(None, [notice])))
