"""Simulated listeners of known sensitivity, to check procedures and analyses before anyone listens."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiometamer.dimensions.dimensions import Dimensions
from audiometamer.dimensions.physical import displayed
from audiometamer.errors import AudioMetamerError
from audiometamer.models.model import Model
from audiometamer.models.recording import record


class Observer(Protocol):
    """A listener who discriminates signals."""

    def d_prime(self, references: Tensor, signals: Tensor) -> Tensor:
        """Sensitivity [shape=(batch,)] to the difference between signals and references [shape=(batch, ...)], 0 or more."""
        ...


@dataclass(frozen=True)
class LinearObserver:
    """Observes features with independent normal noise of one standard deviation, and knows the signals.

    Its sensitivity is d′ = ‖f(a) − f(b)‖ / σ, that of the ideal observer of two known signals in white noise (Green & Swets
    1966), or |wᵀ(f(a) − f(b))| / (σ ‖w‖) if it only observes their projection on a template w.

    Parameters
    ----------
    features : callable
        Signals [shape=(batch, ...)] to features [shape=(batch, ...)].
    noise : float
        Standard deviation σ, in units of the features.
    template : Tensor, optional
        Template with the shape of the features of one signal.
    """

    features: Callable[[Tensor], Tensor]
    noise: float
    template: Tensor | None = None

    def __post_init__(self) -> None:
        if not 0 < self.noise < float("inf"):
            raise AudioMetamerError(f"an observer's noise is {self.noise}; it must be above 0")

    def d_prime(self, references: Tensor, signals: Tensor) -> Tensor:
        """Sensitivity [shape=(batch,)] to the difference between signals and references [shape=(batch, ...)]."""
        with torch.no_grad():
            difference = (self.features(signals).double() - self.features(references).double()).flatten(1)
        if self.template is None:
            return difference.norm(dim=1) / self.noise
        template = self.template.double().flatten().to(difference.device)
        return (difference @ template).abs() / (self.noise * template.norm())


def cochleagram_observer(model: Model, *, noise: float, template: Tensor | None = None) -> LinearObserver:
    """An observer of cochleagrams, or of the signals themselves if they are not sounds.

    Parameters
    ----------
    model : Model
        Its cochleagram is used, or one for its sample rate.
    noise, template
        See `LinearObserver`.
    """
    return LinearObserver(lambda signals: displayed(model, signals), noise, template)


def network_observer(model: Model, layer: str, *, noise: float, template: Tensor | None = None) -> LinearObserver:
    """An observer of the activations of a network at a layer, with internal noise.

    Parameters
    ----------
    model : Model
        May differ from the model whose dimensions are explored, if it takes the same signals.
    layer : str
    noise, template
        See `LinearObserver`.
    """
    model.tap(layer)
    return LinearObserver(lambda signals: record(model, signals, layer), noise, template)


@dataclass(frozen=True)
class CoordinateObserver:
    """Observes only coordinates, each with a sensitivity of its own: d′ = ‖s ∘ (c(a) − c(b))‖.

    Along dimension k, with the others held, d′ is s_k times the reached change: the threshold at any d′ is d′ / s_k.

    Parameters
    ----------
    model : Model
    dimensions : Dimensions
    sensitivities : Tensor [shape=(components,)]
        d′ for a change of one standard deviation of the bank.
    """

    model: Model
    dimensions: Dimensions
    sensitivities: Tensor

    def __post_init__(self) -> None:
        if self.sensitivities.shape != (len(self.dimensions),):
            raise AudioMetamerError(
                f"there are {len(self.dimensions)} components and sensitivities of shape {tuple(self.sensitivities.shape)}"
            )

    def d_prime(self, references: Tensor, signals: Tensor) -> Tensor:
        """Sensitivity [shape=(batch,)] to the difference between signals and references [shape=(batch, ...)]."""
        change = self.dimensions.coordinates_of(self.model, signals) - self.dimensions.coordinates_of(self.model, references)
        return (self.sensitivities.double().to(change.device) * change.double()).norm(dim=1)


def abx_answers(
    d_prime: NDArray[np.float64] | Tensor | float, rng: np.random.Generator, *, differencing: bool = False, guesses: float = 0.0
) -> NDArray[np.bool_]:
    """Simulate answers to ABX trials by drawing observations, not from the formula of the proportion correct.

    In a trial, A, B and X are each observed with standard normal noise; the means of A and B are 0 and d′ in either order, and
    that of X is one of them. See Macmillan & Creelman (2005, Detection theory, chapter 9).

    Parameters
    ----------
    d_prime : array [shape=(...)]
        Sensitivity in each trial.
    rng : Generator
    differencing : bool
        Whether the answer is the one of A and B that is nearer to X. Default False: the ideal observer, who knows both means and
        decides independently on the order of A and B and on X.
    guesses : float
        Proportion of trials that are answered by guessing, half of them right: twice the lapse rate of
        `audiometamer.psychophysics.proportion_correct`, which is the proportion of wrong answers. Default 0.

    Returns
    -------
    array of bool [shape=(...)]
        Whether the answers are right.
    """
    if not 0 <= guesses <= 1:
        raise AudioMetamerError(f"the proportion of guesses is {guesses}; it must be between 0 and 1")
    size = np.asarray(d_prime, dtype=np.float64)
    b_is_larger, x_is_b, guessed = (rng.random(size.shape) < p for p in (0.5, 0.5, guesses))
    a, b, x = (size * mean + rng.standard_normal(size.shape) for mean in (~b_is_larger, b_is_larger, x_is_b == b_is_larger))
    says_b = np.abs(x - b) < np.abs(x - a) if differencing else (b > a) == (x > size / 2)
    return np.asarray(np.where(guessed, rng.random(size.shape) < 0.5, says_b == x_is_b))
