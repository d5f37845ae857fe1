"""Segments of a sound that have statistics of their own: before and after steps, or along a gradient."""

from dataclasses import dataclass

import numpy as np

from audiometamer.errors import AudioMetamerError
from audiometamer.networks.texture_filters import FloatArray

_FADE = 0.05  # s from one segment to the next at a step; ours


@dataclass(frozen=True)
class Segments:
    """Segments of a sound: statistics that change at given moments (texture steps, McWalter & McDermott 2018), or gradually.

    Parameters
    ----------
    steps : tuple of float
        Moments in seconds at which statistics change, rising. Either these or a gradient.
    gradient : int
        Number of segments of a gradient, at least 2: raised cosines that overlap by half, the first and the last halved.

    Raises
    ------
    AudioMetamerError
        If both are given or neither, moments do not rise, or a gradient has fewer than two segments.

    Examples
    --------
    >>> len(Segments(steps=(2.5,))), Segments(gradient=3).windows(5, 10).round(2).tolist()
    (2, [[1.0, 0.5, 0.0, 0.0, 0.0], [0.0, 0.5, 1.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.5, 1.0]])
    """

    steps: tuple[float, ...] = ()
    gradient: int = 0

    def __post_init__(self) -> None:
        if bool(self.steps) == bool(self.gradient):
            raise AudioMetamerError("segments are those between steps or those of a gradient: give one of the two")
        if self.gradient and self.gradient < 2:
            raise AudioMetamerError(f"a gradient of {self.gradient} segments has no beginning and end; give at least 2")
        if not all(before < after for before, after in zip((0.0, *self.steps), self.steps, strict=False)):
            raise AudioMetamerError(f"steps are at {_listed(self.steps)} s; they must be above 0, and rise")

    def __len__(self) -> int:
        return self.gradient or len(self.steps) + 1

    def windows(self, n_frames: int, rate: float) -> FloatArray:
        """Weights of the frames in each segment, [shape=(segments, frames)], with a sum of 1 in each frame.

        Parameters
        ----------
        n_frames : int
        rate : float
            Frames per second.

        Raises
        ------
        AudioMetamerError
            If a segment covers nothing: a step lies outside the sound or hardly after another, or the sound is too short for a
            gradient.
        """
        if self.gradient:
            if n_frames / rate < 2 * _FADE * (self.gradient - 1):
                raise AudioMetamerError(
                    f"{n_frames / rate:g} s of sound are too short for a gradient of {self.gradient} segments, which are "
                    f"{2 * _FADE:g} s or more apart: give at most {int(n_frames / rate / (2 * _FADE)) + 1} segments"
                )
            rising = np.linspace(0, self.gradient - 1, n_frames) - np.arange(self.gradient - 1)[:, None]
        else:
            seconds = n_frames / rate
            edges = np.array([0.0, *self.steps, seconds])
            if np.diff(edges).min() < 2 * _FADE:
                raise AudioMetamerError(
                    f"steps at {_listed(self.steps)} s in {seconds:g} s of sound leave a segment that covers nothing: give each "
                    f"at least {2 * _FADE:g} s"
                )
            rising = (np.arange(n_frames) / rate - edges[1:-1, None]) / _FADE + 0.5
        after = 0.5 - 0.5 * np.cos(np.pi * np.clip(rising, 0, 1))
        begun = np.concatenate([np.ones((1, n_frames)), after, np.zeros((1, n_frames))])
        return begun[:-1] - begun[1:]

    def mixtures(self, count: int) -> FloatArray:
        """Weights of some given statistics in each segment, [shape=(segments, count)]: one each, or linear along a gradient.

        Raises
        ------
        AudioMetamerError
            If there are more or fewer given statistics than segments between steps.
        """
        if not self.gradient and count != len(self):
            raise AudioMetamerError(f"steps at {_listed(self.steps)} s make {len(self)} segments, and statistics are for {count}")
        positions = np.linspace(0, count - 1, len(self))[:, None]
        shares: FloatArray = np.clip(1 - np.abs(positions - np.arange(count)), 0, 1)
        return shares


def _listed(seconds: tuple[float, ...]) -> str:
    return ", ".join(f"{moment:g}" for moment in seconds)
