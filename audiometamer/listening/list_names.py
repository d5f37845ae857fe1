"""The names of lists: what the links of listeners hold."""

import hashlib
import hmac

from audiometamer.listening.folder import Experiment


def list_token(experiment: Experiment, number: int) -> str:
    """What opens a list: nobody guesses it, and whoever has the experiment's folder finds it again."""
    return derived_id(experiment, f"list {number}")


def list_name(token: str) -> str:
    """The name under which the list of a token lies in a packed experiment."""
    return hashlib.sha256(token.encode()).hexdigest()[:32]


def list_names(experiment: Experiment) -> list[str]:
    """The names of all lists, in their order."""
    return [list_name(list_token(experiment, one.number)) for one in experiment.lists.listeners]


def derived_id(experiment: Experiment, what: str) -> str:
    """128 bits that follow from the experiment's secret, which they do not tell."""
    return hmac.new(experiment.secret.encode(), what.encode(), hashlib.sha256).hexdigest()[:32]
