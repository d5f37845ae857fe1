"""What metamers keep of their clips beyond the matched layer: similarity at every earlier layer, level, spectra.

=====================  ==============================================================================================
``spearman_rho``       rank correlation with the clip at a layer, and at the cochleagram of a network that has none
``snr_db``             SNR there, in dB
``level_db``           level re the clip, in dB
``above_4_khz_db``     share of the metamer's power above 4 kHz, in dB
``spectrum_db``        RMS difference of the long-term spectra of clip and metamer in third octaves, in dB
``modulation_db``      RMS difference of their modulation spectra, in dB
=====================  ==============================================================================================
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.signal import welch
from torch import Tensor

from audiometamer.cochleagram import Cochleagram
from audiometamer.errors import AudioMetamerError
from audiometamer.metamers.criteria import similarity
from audiometamer.metamers.hearing import BAND_HZ, share_above
from audiometamer.metamers.settings import places
from audiometamer.models.activations import Tap
from audiometamer.models.model import Model
from audiometamer.models.recording import record
from audiometamer.networks.modulation_spectrum import modulation_spectrum, spectrum_distance
from audiometamer.networks.octave_cochleagram import LEVEL, SAMPLE_RATE_HZ, OctaveCochleagram
from audiometamer.signals.audio import Clip
from audiometamer.signals.resampling import resample_by_sinc
from audiometamer.statistics.arrays import FloatArray
from audiometamer.statistics.bootstrap import Bootstrap

COCHLEAGRAM = "cochleagram"
_COMPARED = ("spearman_rho", "snr_db")
_LOWEST_BAND_HZ, _FLOOR_DB, _FRAME = 100.0, -80.0, 2048
_SHORTEST = 0.1  # seconds; below, no bin falls into the lowest filters of the OctaveCochleagram


class Measure(NamedTuple):
    """What is measured, and where: at a layer, or of the sound itself, where `layer` is empty."""

    layer: str
    name: str


Likeness = Mapping[Measure, FloatArray]


class LikenessDifference(NamedTuple):
    """Mean difference of one measure between two metamers of the same clips.

    Parameters
    ----------
    layer : str
        The layer at which it was measured; empty if it is one of the sound.
    measure : str
    first, second : float
        Means.
    difference : float
        Second minus first.
    low, high : float
        95 % interval of the difference over clips; NaN for a single clip.
    clips : int
    """

    layer: str
    measure: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    clips: int


@torch.no_grad()
def measure_likeness(model: Model, originals: Sequence[Tensor], metamers: Sequence[Tensor], layer: str) -> Likeness:
    """Measure how like their clips metamers are, from the cochleagram to the matched layer, and as sounds.

    Parameters
    ----------
    model : Model
        The model that made them, or any other that takes the same signals.
    originals, metamers : sequence of Tensor [shape=signal_shape]
        The n-th metamer is one of the n-th original.
    layer : str
        The matched layer, or a later one.

    Returns
    -------
    mapping of Measure to array [shape=(metamers,)]
        In the order of the table above, of each layer first, the earliest first. NaN where activations are not finite. What
        needs sound is left out of models that take none, `above_4_khz_db` below a sample rate of 10 kHz, and `modulation_db`
        of less than 0.1 s.

    Raises
    ------
    AudioMetamerError
        If there are not as many metamers as originals, or none.

    Examples
    --------
    >>> model = am.load_model("cochcnn-word")
    >>> metamers = am.synthesize(model, "speech.wav", "relu2")
    >>> found = measure_likeness(model, [m.clip.samples for m in metamers], [m.samples for m in metamers], "relu2")
    >>> found["relu0", "spearman_rho"], found["", "level_db"]
    """
    if len(originals) != len(metamers) or not len(originals):
        raise AudioMetamerError(f"{len(metamers)} metamers of {len(originals)} originals; there must be one or more of each")
    names = layers_up_to(model, layer)
    rows = [_of_pair(model, *pair, names) for pair in zip(originals, metamers, strict=True)]
    keys = max((row.keys() for row in rows), key=len)
    return {key: np.array([row.get(key, np.nan) for row in rows]) for key in keys}


def compare_likeness(
    first: Likeness, second: Likeness, clips: Sequence[str], bootstrap: Bootstrap | None = None
) -> list[LikenessDifference]:
    """Compare two series of metamers of the same clips, such as those of two methods, measure by measure.

    Parameters
    ----------
    first, second : mapping of Measure to array [shape=(metamers,)]
        See `measure_likeness`. Pairs with a value that is not finite are left out, as are measures of one series only.
    clips : sequence of str
        The clip of each pair.
    bootstrap : Bootstrap, optional
        Default: 10,000 resamples of the clips.

    Examples
    --------
    >>> key = Measure("", "level_db")
    >>> (found,) = compare_likeness({key: np.array([0.0, 1.0])}, {key: np.array([2.0, 3.0])}, ["a", "b"])
    >>> found.difference, found.low, found.high
    (2.0, 2.0, 2.0)
    """
    bootstrap = bootstrap or Bootstrap()
    found = []
    for key in (key for key in first if key in second):
        both = np.isfinite(first[key]) & np.isfinite(second[key])
        before, after = (np.where(both, values[key], np.nan) for values in (first, second))
        estimate = bootstrap.mean(after - before, clips)
        if estimate is not None:
            value, low, high, n_clips, _ = estimate
            means = [float(np.nanmean(values)) for values in (before, after)]
            found.append(LikenessDifference(key.layer, key.name, means[0], means[1], value, low, high, n_clips))
    return found


def layers_up_to(model: Model, layer: str) -> list[str]:
    """The layers that a model lists and up to the module of a layer, in their order, and the layer itself."""
    order = {Tap(call.path, call.call or 0): k for k, call in enumerate(model.calls())}

    def place(name: str) -> int:
        tap = model.tap(name)
        return order.get(Tap(tap.path, tap.call or 0), -1)

    matched = places(layer)
    last = max(map(place, matched))
    return [*(name for name in model.layers if name not in matched and place(name) <= last), *matched]


def _of_pair(model: Model, original: Tensor, metamer: Tensor, names: Sequence[str]) -> dict[Measure, float]:
    pair = torch.stack([each.to(dtype=model.dtype, device=model.device).view(model.signal_shape) for each in (original, metamer)])
    found = record(model, pair, names)
    if model.sample_rate is not None and COCHLEAGRAM not in found:
        heard = resample_by_sinc(pair.flatten(1).cpu(), model.sample_rate, SAMPLE_RATE_HZ)
        found = {COCHLEAGRAM: Cochleagram()(heard.float())} | found
    measured: dict[Measure, float] = {}
    for layer, activations in found.items():
        if bool(torch.isfinite(activations).all()):
            compared = similarity(activations[0], activations[1])
            measured |= {Measure(layer, name): compared[name] for name in _COMPARED}
    sounds = pair.double().cpu().flatten(1)
    return measured | {Measure("", name): value for name, value in _of_sounds(sounds, model.sample_rate).items()}


def _of_sounds(pair: Tensor, rate: int | None) -> dict[str, float]:
    """Measures of an original and a metamer as sounds [shape=(2, samples)]."""
    power = pair.square().sum(1).clamp(min=1e-30)
    measured = {"level_db": float(10 * torch.log10(power[1] / power[0]))}
    if rate is None:
        return measured
    if rate / 2 > 1.25 * BAND_HZ:
        measured["above_4_khz_db"] = share_above(Clip("metamer", pair[1], rate), BAND_HZ)
    bands = third_octaves(pair, rate)
    measured["spectrum_db"] = float((bands[0] - bands[1]).square().mean().sqrt())
    if pair.shape[1] >= _SHORTEST * rate:
        measured["modulation_db"] = _modulation_distance(pair, rate)
    return measured


def third_octaves(sounds: Tensor, rate: int) -> Tensor:
    """Long-term spectra in third octaves from 100 Hz, in dB re their sum, [shape=(sounds, bands)].

    By Welch's method in Hann windows of 2048 samples; bands as in IEC 61260-1, base 2, around 1 kHz; no less than -80 dB.

    Parameters
    ----------
    sounds : Tensor [shape=(sounds, samples)]
    rate : int
        Sample rate in Hz.
    """
    frequencies, density = welch(sounds.double().numpy(), rate, nperseg=min(_FRAME, sounds.shape[1]))
    n_bands = int(np.floor(3 * np.log2(rate / 2 / _LOWEST_BAND_HZ) - 0.5)) + 1
    lowest = round(3 * np.log2(_LOWEST_BAND_HZ / 1000))
    edges = 1000 * 2 ** ((lowest + np.arange(n_bands + 1) - 0.5) / 3)
    band = np.digitize(frequencies, edges) - 1
    powers = np.stack([density[:, band == k].sum(1) for k in range(n_bands)], axis=1)
    total = np.maximum(powers.sum(1, keepdims=True), np.finfo(float).tiny)
    return torch.from_numpy(np.maximum(10 * np.log10(np.maximum(powers / total, 1e-30)), _FLOOR_DB))


def _modulation_distance(pair: Tensor, rate: int) -> float:
    """Distance of the modulation spectra of two sounds, both at the level of the published cochleagrams."""
    heard = resample_by_sinc(pair, rate, SAMPLE_RATE_HZ)
    heard = LEVEL * heard / heard.square().mean(1, keepdim=True).sqrt().clamp(min=1e-15)
    spectra = modulation_spectrum(OctaveCochleagram()(heard[:, : heard.shape[1] // 2 * 2].float()))
    return float(spectrum_distance(spectra[:1], spectra[1:]))
