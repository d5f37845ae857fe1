"""Names of lists, and the tokens in the links of listeners that open them."""

import hashlib
import hmac

from audiometamer.listening.folder import Experiment


def list_token(experiment: Experiment, number: int) -> str:
    """Token that opens a list: it cannot be guessed, and follows from the experiment's folder."""
    return derived_id(experiment, f"list {number}")


def list_name(token: str) -> str:
    """Name of the list that a token opens, in a packed experiment."""
    return hashlib.sha256(token.encode()).hexdigest()[:32]


def list_names(experiment: Experiment) -> list[str]:
    """Names of all lists, in order."""
    return [list_name(list_token(experiment, one.number)) for one in experiment.lists.listeners]


def derived_id(experiment: Experiment, what: str) -> str:
    """128 bits that follow from the experiment's secret without revealing it."""
    return hmac.new(experiment.secret.encode(), what.encode(), hashlib.sha256).hexdigest()[:32]
