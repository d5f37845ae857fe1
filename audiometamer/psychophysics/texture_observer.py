"""An observer of time-averaged statistics in texture and exemplar discrimination (McDermott, Schemitsch & Simoncelli 2013)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from audiometamer.drawing import line_style, tidy
from audiometamer.errors import AudioMetamerError
from audiometamer.networks import texture_measures as measures
from audiometamer.networks.texture_statistics import TextureStatistics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FloatArray = NDArray[np.float64]
# Roughly the published range, 40 ms to 2.5 s in equal ratios.
DURATIONS = (0.04, 0.09, 0.21, 0.48, 1.09, 2.5)
_CLASSES = ("envelope_mean", "envelope_cv", "envelope_skewness", "envelope_correlation", "modulation_power")
_CHANCE = 1 / 3
_POOL = 64  # excerpts of a texture, at most


class DiscriminationCurves(NamedTuple):
    """Proportions correct by duration.

    Parameters
    ----------
    durations : array [shape=(durations,)]
        Seconds.
    texture, exemplar : array [shape=(durations,)]
        Proportions correct; chance is a third.
    """

    durations: FloatArray
    texture: FloatArray
    exemplar: FloatArray


def texture_discrimination(
    sounds: Mapping[str, ArrayLike],
    *,
    sample_rate: int = 20_000,
    durations: Sequence[float] = DURATIONS,
    trials: int = 300,
    noise: float = 2.0,
    seed: int = 0,
) -> DiscriminationCurves:
    """Proportion of trials in which an observer of time-averaged statistics finds the odd one of three excerpts.

    In *texture discrimination*, two excerpts are of one texture and one is of another; in *exemplar discrimination*, one excerpt
    is heard twice, and one is another of the same texture. Of each excerpt the observer has nothing but statistics averaged over
    it, with internal noise, and names the excerpt that does not belong to the closest pair. The longer the excerpts, the nearer
    come the statistics of two of one texture: that helps in the first task and harms in the second.

    Parameters
    ----------
    sounds : mapping of str to array [shape=(samples,)]
        A long sound of each of two or more textures.
    sample_rate : int
        Hz. Default 20000.
    durations : sequence of float
        Seconds. Default: 40 ms to 2.5 s.
    trials : int
        Trials of each task and duration. Default 300.
    noise : float
        Standard deviation of the internal noise of each statistic, in standard deviations over excerpts of all textures, of the
        middle duration. The one parameter of the observer, and ours. Default 2.
    seed : int
        Random seed of excerpts and noise. Default 0.

    Returns
    -------
    DiscriminationCurves

    Raises
    ------
    AudioMetamerError
        If there are fewer than two textures, a duration is below 20 ms, or a sound does not hold two excerpts of the longest.

    Examples
    --------
    >>> from audiometamer.signals.textures import make_texture
    >>> sounds = {kind: make_texture(kind, seconds=3) for kind in ("rain", "stream")}
    >>> curves = texture_discrimination(sounds, durations=(0.04, 1.0), trials=50)
    >>> bool(curves.texture[1] > curves.texture[0]), bool(curves.exemplar[1] < curves.exemplar[0])
    (True, True)
    """
    if len(sounds) < 2:
        raise AudioMetamerError(f"textures are told apart, and {len(sounds)} is given: give two or more")
    measure = TextureStatistics(_CLASSES, sample_rate=sample_rate)
    textures = [_Texture.of(np.asarray(sound), measure) for sound in sounds.values()]
    frames = [round(seconds * measure.envelope_rate) for seconds in durations]
    if min(frames) < 8:
        raise AudioMetamerError(f"excerpts last {min(durations):g} s; they must last at least 0.02 s")
    for name, texture in zip(sounds, textures, strict=True):
        if texture.n_frames < 2 * max(frames):
            raise AudioMetamerError(
                f"{name} lasts {texture.n_frames / measure.envelope_rate:g} s; it must hold two excerpts of {max(durations):g} s"
            )
    generator = np.random.default_rng(seed)
    scale = _scale(textures, sorted(frames)[len(frames) // 2])
    correct = np.array([_correct(textures, n, trials, scale, noise, generator) for n in frames])
    return DiscriminationCurves(np.array(durations, float), correct[:, 0], correct[:, 1])


def plot_texture_discrimination(curves: DiscriminationCurves) -> "Figure":
    """A figure of both proportions correct against duration."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.subplots()
    for k, (name, proportions) in enumerate((("texture", curves.texture), ("exemplar", curves.exemplar))):
        axes.plot(1000 * curves.durations, 100 * proportions, **line_style(k), label=f"{name} discrimination")
    axes.axhline(100 * _CHANCE, color="0.5", linewidth=1, label="chance")
    axes.set_xscale("log")
    axes.set(xlabel="duration of the excerpts (ms)", ylabel="correct (%)", ylim=(20, 103))
    axes.set_xticks(1000 * curves.durations, [f"{1000 * seconds:g}" for seconds in curves.durations], minor=False)
    axes.minorticks_off()
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize="small")
    tidy(axes)
    return figure


class _Texture(NamedTuple):
    """Envelopes [shape=(bands, frames)] of a sound, and their modulation bands [shape=(bands, filters, frames)]."""

    envelopes: Tensor
    modulations: Tensor

    @classmethod
    def of(cls, sound: NDArray[np.floating], measure: TextureStatistics) -> "_Texture":
        whole = torch.from_numpy(sound[: len(sound) // measure.factor * measure.factor].astype(np.float32))[None]
        with torch.no_grad():
            envelopes = measure.envelopes(whole)
            return cls(envelopes[0], measure.modulations(envelopes)["modulation_power"][0])

    @property
    def n_frames(self) -> int:
        return self.envelopes.shape[-1]

    def statistics(self, n: int) -> list[FloatArray]:
        """Statistics of excerpts of n frames, evenly spread and apart from each other, [shape=(excerpts, ...)] by class."""
        count = min(self.n_frames // n, _POOL)
        starts = np.linspace(0, self.n_frames - n, count).astype(int)
        window = torch.full((n,), 1 / n)
        envelopes = torch.stack([self.envelopes[:, s : s + n] for s in starts])
        found = measures.envelope_moments(envelopes, window)
        upper = torch.triu_indices(envelopes.shape[1], envelopes.shape[1], 1)
        found["envelope_correlation"] = measures.correlation(envelopes, window)[:, upper[0], upper[1]]
        power = torch.stack([self.modulations[..., s : s + n].square().mean(-1) for s in starts])
        found["modulation_power"] = power / envelopes.var(-1, unbiased=False)[..., None].clamp(min=1e-12)
        return [found[name].flatten(1).double().numpy() for name in _CLASSES]


def _scale(textures: Sequence[_Texture], n: int) -> FloatArray:
    """Factors on statistics, [shape=(statistics,)]: 1 over their deviation over excerpts of all textures; classes count alike."""
    pooled = [np.concatenate(each) for each in zip(*[texture.statistics(n) for texture in textures], strict=True)]
    deviations = [values.std(0) for values in pooled]
    return np.concatenate([1 / (np.maximum(each, 1e-9) * np.sqrt(len(each) * len(deviations))) for each in deviations])


def _correct(
    textures: Sequence[_Texture], n: int, trials: int, scale: FloatArray, noise: float, generator: np.random.Generator
) -> tuple[float, float]:
    """Proportions correct in texture and in exemplar discrimination with excerpts of n frames."""
    pools = [np.concatenate(texture.statistics(n), 1) * scale for texture in textures]
    spread = noise * np.repeat(1 / np.sqrt(len(scale)), len(scale))

    def finds_odd(first: FloatArray, second: FloatArray, odd: FloatArray) -> bool:
        heard = [excerpt + spread * generator.standard_normal(len(scale)) for excerpt in (first, second, odd)]
        apart = [float(np.square(heard[a] - heard[b]).sum()) for a, b in ((0, 1), (0, 2), (1, 2))]
        return apart[0] < min(apart[1:])

    found = np.zeros((trials, 2))
    for trial in found:
        one, other = generator.choice(len(pools), 2, replace=False)
        first, second = pools[one][generator.choice(len(pools[one]), 2, replace=False)]
        trial[:] = finds_odd(first, second, generator.choice(pools[other])), finds_odd(first, first, second)
    return float(found[:, 0].mean()), float(found[:, 1].mean())
