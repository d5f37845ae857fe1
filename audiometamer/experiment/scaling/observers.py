"""Simulated listeners with a known scale and Gaussian noise of their decisions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.scaling.design import ScalingDesign
from audiometamer.listening.folder import Experiment
from audiometamer.listening.trials import KeyEntry


@dataclass(frozen=True)
class ScaleListener:
    """A listener with a known scale ψ.

    The last pair that is played is called more different if its distance on the scale, less that of the first pair, plus
    N(0, σ²) is above 0 (Maloney & Yang 2003). It passes the headphone check. Reaction times are log-normal.

    Parameters
    ----------
    key : mapping of str to KeyEntry
        Key of the experiment.
    scale : mapping of str to float
        ψ by file.
    sigma : float
        σ; 0 for a perfectly consistent listener. Default 0.2.
    guesses : float
        Lapse rate: probability of a random answer. Default 0.
    reaction_time_ms : float
        Median reaction time. Default 1500.
    spread : float
        Standard deviation of the reaction time's natural logarithm. Default 0.4.
    """

    key: Mapping[str, KeyEntry]
    scale: Mapping[str, float]
    sigma: float = 0.2
    guesses: float = 0.0
    reaction_time_ms: float = 1500.0
    spread: float = 0.4

    def __post_init__(self) -> None:
        if not 0 <= self.sigma < math.inf:
            raise AudioMetamerError(f"sigma is {self.sigma:g}; it must be 0 or more")
        if not 0 <= self.guesses <= 1:
            raise AudioMetamerError(f"guesses is {self.guesses:g}; it must be from 0 to 1")

    @classmethod
    def of(
        cls, experiment: Experiment, scale: ArrayLike | None = None, *, sigma: float = 0.2, guesses: float = 0.0
    ) -> "ScaleListener":
        """A listener of an experiment.

        Parameters
        ----------
        experiment : Experiment
        scale : array [shape=(sounds,)], optional
            ψ at each sound of the path. Default: the straight line over the positions.
        sigma, guesses : float
            As in the class.
        """
        design = experiment.design
        assert isinstance(design, ScalingDesign)
        files, positions = design.path.sounds or [], np.array(design.path.positions)
        psi = (positions - positions[0]) / (positions[-1] - positions[0]) if scale is None else np.asarray(scale, float)
        if psi.shape != (len(files),) or not np.isfinite(psi).all():
            raise AudioMetamerError(f"the scale has shape {psi.shape}; give a number for each of {len(files)} sounds")
        return cls(experiment.key, dict(zip(files, psi.tolist(), strict=True)), sigma=sigma, guesses=guesses)

    def __call__(self, stimulus: str, options: Sequence[str], generator: np.random.Generator) -> tuple[str, float]:
        milliseconds = self.reaction_time_ms * math.exp(self.spread * float(generator.standard_normal()))
        entry = self.key[stimulus]
        if not entry.sequence:
            return entry.answer, milliseconds
        if generator.random() < self.guesses:
            return options[int(generator.integers(len(options)))], milliseconds
        psi = [self.scale[file] for file in entry.sequence]
        excess = abs(psi[-1] - psi[-2]) - abs(psi[1] - psi[0]) + self.sigma * float(generator.standard_normal())
        return ("2" if excess > 0 else "1"), milliseconds
