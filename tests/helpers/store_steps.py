"""Steps of a listener at a store, without a server."""

import msgspec
from tiny_experiment import form_message

from audiometamer.listening.messages import Message

BIG = {"a": "x" * 3900, "b": "x" * 3700}  # of an answer: almost all that it may have


def read(message):
    return msgspec.convert(message, Message)


def keep(store, listener, message):
    return store.keep(listener, read(message))


def right(store, trial):
    return store.experiment.key[trial.stimulus].answer


def wrong(store, trial):
    return next(answer for answer in store.experiment.options(trial) if answer != right(store, trial))


def enrolled(store):
    """A listener who has agreed, and their trials."""
    listener = store.listener(store.enrol())
    state = keep(store, listener, form_message("consent"))
    return listener, store.experiment.trials(state.number)
