"""The chance level, from the answers that a design offers."""

from typing import NamedTuple

from audiometamer.listening.folder import Experiment


class Chance(NamedTuple):
    """Proportion correct by chance.

    Parameters
    ----------
    proportion : float
    source : str
        Origin of the chance level, in words.
    """

    proportion: float
    source: str = "as given"


def chance_level(experiment: Experiment) -> Chance:
    """Chance level of an experiment's main trials: one over the number of answers among which a listener chooses.

    Where answers are typed, that is the length of the list: the level of a listener who types one of its words at random.
    Listeners who guess common words may do better.
    """
    answers = experiment.design.answers
    number = answers.alternatives or len(experiment.answers)
    what = {"typed": "words that can be typed", "choice": "answers shown"}.get(answers.kind, "intervals")
    return Chance(1 / number, f"1 of {number} {what}")
