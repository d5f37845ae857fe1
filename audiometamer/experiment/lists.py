"""Lists of trials, one for each listener: the random draws of an experiment."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.available import NATURAL_CONDITION, AvailableStimuli, Condition
from audiometamer.experiment.design import Design
from audiometamer.io.draws import Draws
from audiometamer.listening.gates import DEMONSTRATION_TRIALS
from audiometamer.listening.trials import ARRANGEMENTS, TrialKind

MOST_TRIALS = 400  # main trials of a listener (Feather et al. 2023): an hour
_PUBLISHED = {"practice": 10, "demonstration": DEMONSTRATION_TRIALS, "catch": 16}
Word = Sequence[str]  # the clips of a word, one of which a listener hears
Deal = Callable[[int], list[tuple[str, Condition]]]  # from a listener's number, from 0, to clips and their conditions


class PlannedTrial(NamedTuple):
    """A trial, before its sound has a name.

    Parameters
    ----------
    kind : str
    clip : str
    condition : Condition
    arrangement : int
        Order of the sounds, where clips are compared; see `audiometamer.listening.trials.interval_order`. Default 0.
    """

    kind: TrialKind
    clip: str
    condition: Condition
    arrangement: int = 0


class Words(NamedTuple):
    """The words of an experiment: those for main trials, and further ones, of which there are only natural clips."""

    main: Sequence[Word]
    further: Sequence[Word] = ()


class Reserved(NamedTuple):
    """Words for practice, demonstration and catch trials, the same for all listeners, and the rest for main trials."""

    practice: Sequence[Word]
    demonstration: Sequence[Word]
    catch: Sequence[Word]
    main: Sequence[Word]


def draw_trials(words: Words, conditions: Sequence[Condition], design: Design, draws: Draws) -> list[list[PlannedTrial]]:
    """Draw the trials of every listener, in order, without the headphone check, which has no words.

    A listener's trials depend on the draws and on the listener's number, not on how many listeners there are.

    Parameters
    ----------
    words : Words
        The clips of each word.
    conditions : sequence of Condition
    design : Design
    draws : Draws

    Returns
    -------
    list of list of PlannedTrial
        One list for each listener.

    Raises
    ------
    AudioMetamerError
        If there are too few words.
    """
    design, shared = with_numbers(design, words), draws.generator(0)
    check_words(words, design)
    reserved = _reserve(Words(*([some[k] for k in shared.permutation(len(some))] for some in words)), design)
    trials = design.trials or len(reserved.main)
    if design.balance == "latin":
        deal = latin_square(reserved.main, conditions, trials=trials, generator=shared)
    else:
        deal = independent_draws(reserved.main, conditions, trials=trials, draws=draws)
    return [_trials_of(number, deal(number), reserved, conditions, design, draws) for number in range(design.listeners)]


def words_of(available: AvailableStimuli, column: str) -> Words:
    """The words that a set has for an experiment, by a column of its clips."""
    return Words(available.words(column), available.further_words(column))


def with_numbers(design: Design, words: Words) -> Design:
    """A design with the numbers of trials that it leaves open, which follow from the number of words.

    Practice, demonstration and catch trials are as many as in Feather et al. (2023), but take at most a quarter of the words.
    """
    share = min(1.0, (len(words.main) + len(words.further)) / (4 * sum(_PUBLISHED.values())))
    parts = {name: getattr(design, name) for name in _PUBLISHED}
    numbers = {name: math.floor(share * number) for name, number in _PUBLISHED.items()}
    if design.compares:
        numbers["catch"] = 0  # they are natural clips
    open_ = {name: msgspec.structs.replace(part, trials=numbers[name]) for name, part in parts.items() if part.trials is None}
    design = msgspec.structs.replace(design, **open_)
    demonstration = msgspec.structs.replace(design.demonstration, minimum=design.demonstration.gate.minimum)
    left = len(_reserve(words, design).main)
    trials = design.trials or (left // math.ceil(left / MOST_TRIALS) if left else None)
    return msgspec.structs.replace(design, demonstration=demonstration, trials=trials)


def check_words(words: Words, design: Design) -> None:
    """Raise an `AudioMetamerError` if words are too few for a design, all of whose numbers are given."""
    wanted = (design.practice.trials or 0, design.demonstration.trials or 0, design.catch.trials or 0, design.trials or 1)
    if any(len(given) < number for given, number in zip(_reserve(words, design), wanted, strict=True)):
        further = f", and {len(words.further)} further ones as natural clips" if words.further else ""
        raise AudioMetamerError(
            f"there are {len(words.main)} words that a listener can hear once{further}; wanted are {wanted[0]} for practice, "
            f"{wanted[1]} for the demonstration, {wanted[2]} for catch trials and {design.trials or 'at least 1'} for the trials "
            "themselves: lower one of them"
        )


def _reserve(words: Words, design: Design) -> Reserved:
    """Words for each kind of trial; trials with natural clips take further words as long as there are any."""
    further, main = list(words.further), list(words.main)

    def taken(trials: int | None, conditions: str) -> list[Word]:
        pools, found = ([further, main] if conditions == "natural" else [main]), list[Word]()
        for pool in pools:
            n = (trials or 0) - len(found)
            found += pool[:n]
            del pool[:n]
        return found

    practice = taken(design.practice.trials, design.practice.conditions)
    demonstration = taken(design.demonstration.trials, design.demonstration.conditions)
    return Reserved(practice, demonstration, taken(design.catch.trials, "natural"), main)


def latin_square(words: Sequence[Word], conditions: Sequence[Condition], *, trials: int, generator: np.random.Generator) -> Deal:
    """Assign words to conditions by a Latin square of words and listeners.

    The nth listener of word w hears it in condition (w + n) mod C, and as clip (n + ⌊n / lcm(C, K)⌋ + a random start) mod K of
    its K clips. Every listener hears each condition equally often, every word is heard equally often in each, and so is every
    clip of a word; all within one, and for the first few listeners too. More words than `trials` are split into groups of
    `trials`, and each listener hears one group; the remainder is not presented.
    """
    groups, n_conditions = len(words) // trials, len(conditions)
    order = generator.permutation(n_conditions)
    first_clip = [int(generator.integers(len(clips))) for clips in words]

    def deal(listener: int) -> list[tuple[str, Condition]]:
        round_, group = divmod(listener, groups)
        dealt = []
        for place in range(group * trials, (group + 1) * trials):
            clips = words[place]
            turn = round_ + round_ // math.lcm(n_conditions, len(clips)) + first_clip[place]
            dealt.append((clips[turn % len(clips)], conditions[order[(place + round_) % n_conditions]]))
        return dealt

    return deal


def independent_draws(words: Sequence[Word], conditions: Sequence[Condition], *, trials: int, draws: Draws) -> Deal:
    """Draw words, their clips and conditions independently for each listener (Feather et al. 2023).

    A listener hears each condition equally often within one; words and clips are balanced over listeners only by chance.
    """

    def deal(listener: int) -> list[tuple[str, Condition]]:
        generator = draws.generator(1, listener)
        chosen = generator.choice(len(words), trials, replace=False)
        order = generator.permutation(len(conditions))
        drawn = generator.permutation(np.arange(trials) % len(conditions))
        return [
            (words[word][int(generator.integers(len(words[word])))], conditions[order[condition]])
            for word, condition in zip(chosen, drawn, strict=True)
        ]

    return deal


def _trials_of(
    number: int,
    main: Sequence[tuple[str, Condition]],
    reserved: Reserved,
    conditions: Sequence[Condition],
    design: Design,
    draws: Draws,
) -> list[PlannedTrial]:
    """One listener's trials: practice, demonstration, then main trials in random order with catch trials among them."""
    generator = draws.generator(2, number)

    def gate(kind: TrialKind, words: Sequence[Word], which: str) -> list[PlannedTrial]:
        order = generator.permutation(len(words))
        turns = [NATURAL_CONDITION] if which == "natural" else list(conditions)
        return [
            PlannedTrial(kind, words[k][number % len(words[k])], turns[(number + place) % len(turns)])
            for place, k in enumerate(order)
        ]

    trials = [PlannedTrial("main", *main[k]) for k in generator.permutation(len(main))]
    planned = [
        *gate("practice", reserved.practice, design.practice.conditions),
        *gate("demonstration", reserved.demonstration, design.demonstration.conditions),
        *_among(trials, gate("catch", reserved.catch, "natural"), generator),
    ]
    arrangements = generator.permutation(np.arange(len(planned)) % ARRANGEMENTS.get(design.answers.kind, 1))
    return [trial._replace(arrangement=int(a)) for trial, a in zip(planned, arrangements, strict=True)]


def _among(trials: Sequence[PlannedTrial], catches: Sequence[PlannedTrial], generator: np.random.Generator) -> list[PlannedTrial]:
    """Spread catch trials over the others: one at a random place in each of equal stretches."""
    edges = np.linspace(0, len(trials), len(catches) + 1).round().astype(int)
    spread: list[PlannedTrial] = []
    for k, catch in enumerate(catches):
        stretch = list(trials[edges[k] : edges[k + 1]])
        stretch.insert(int(generator.integers(len(stretch) + 1)), catch)
        spread += stretch
    return spread if catches else list(trials)


def draw_alternatives(answer: str, others: Sequence[str], n: int, generator: np.random.Generator) -> list[str]:
    """Draw n - 1 other answers, and return them with the right one in random order."""
    chosen = [answer, *(others[k] for k in generator.choice(len(others), n - 1, replace=False))]
    return [chosen[k] for k in generator.permutation(n)]
