"""The trials of a scaling experiment: all triads or quadruples, or as many of each sound as of the others."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from audiometamer.errors import AudioMetamerError
from audiometamer.io.draws import Draws
from audiometamer.listening.trials import ARRANGEMENTS, interval_order
from audiometamer.psychophysics import all_quadruples, all_triads, difference_matrix
from audiometamer.psychophysics.difference_scaling import Indices

MOST_TRIALS = 400  # of a listener, by default: an hour


class PairTrial(NamedTuple):
    """A trial: the numbers of its sounds on the path, ascending, and the order in which they are played.

    Parameters
    ----------
    numbers : tuple of int
    arrangement : int
        See `audiometamer.listening.trials.interval_order`.
    """

    numbers: tuple[int, ...]
    arrangement: int

    def played(self, kind: str) -> list[int]:
        """The numbers in the order in which the sounds are played."""
        return [self.numbers[place] for place in interval_order(kind, self.arrangement)[0]]


def possible_trials(kind: str, sounds: int) -> Indices:
    """All triads or quadruples of a number of sounds, shape=(trials, 3 or 4)."""
    return all_triads(sounds) if kind == "triads" else all_quadruples(sounds)


def balanced_order(trials: Indices, generator: np.random.Generator) -> Indices:
    """All trials in a random order in which every stretch has each sound about equally often.

    The next trial is always one whose sounds were rarest so far; ties are broken at random.

    Examples
    --------
    >>> order = balanced_order(all_triads(6), np.random.default_rng(0))
    >>> np.bincount(order[:4].ravel()).tolist()
    [2, 2, 2, 2, 2, 2]
    """
    left, counts, order = generator.permutation(trials), np.zeros(trials.max() + 1, int), []
    while len(left):
        k = int(np.argmin((counts[left] ** 2).sum(axis=1)))
        order.append(left[k])
        counts[left[k]] += 1
        left = np.delete(left, k, axis=0)
    return np.array(order)


def draw_pair_trials(kind: str, sounds: int, *, listeners: int, trials: int | None = None, draws: Draws) -> list[list[PairTrial]]:
    """Draw the trials of every listener, in order.

    Listeners take turns through all trials in a balanced order, so that all are heard equally often, within one, whatever the
    number of listeners; each listener hears each of its orders of sounds equally often, within one.

    Parameters
    ----------
    kind : {"triads", "quadruples"}
    sounds : int
        Number of sounds.
    listeners : int
    trials : int, optional
        Trials of each listener. Default: all, at most 400.
    draws : Draws

    Returns
    -------
    list of list of PairTrial
        One list for each listener.

    Raises
    ------
    AudioMetamerError
        If a listener's trials leave a step of the scale undetermined.
    """
    order = balanced_order(possible_trials(kind, sounds), draws.generator(0))
    wanted = min(len(order), MOST_TRIALS) if trials is None else trials
    return [_trials_of(number, kind, order, wanted, draws) for number in range(listeners)]


def _trials_of(number: int, kind: str, order: Indices, wanted: int, draws: Draws) -> list[PairTrial]:
    generator = draws.generator(2, number)
    chosen = order[(number * wanted + np.arange(wanted)) % len(order)]
    sounds = int(order.max()) + 1
    if (known := np.linalg.matrix_rank(difference_matrix(chosen, sounds)[:, 1:])) < sounds - 1:
        raise AudioMetamerError(
            f"{wanted} {kind} of {sounds} sounds determine {known} of {sounds - 1} steps of the scale; give more trials"
        )
    arrangements = generator.permutation(np.arange(wanted) % ARRANGEMENTS[kind])
    shuffled = generator.permutation(wanted)
    return [
        PairTrial(tuple(map(int, chosen[k])), int(arrangement)) for k, arrangement in zip(shuffled, arrangements, strict=True)
    ]


def later_pair_larger(played: Sequence[int], answer: str) -> bool:
    """Whether the pair further along the path was called more different, by the answer 1 (first pair played) or 2 (last).

    Examples
    --------
    >>> later_pair_larger([5, 3, 0], "1"), later_pair_larger([4, 6, 0, 1], "2")
    (True, False)
    """
    return (answer == "2") == (sum(played[-2:]) > sum(played[:2]))
