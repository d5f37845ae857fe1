"""The answers to an exploration: a record for each trial that was decided on the way."""

from collections.abc import Iterator

from audiometamer.exploration.trials import AnsweredTrial
from audiometamer.listening.adaptive import Decided
from audiometamer.listening.export import Answers, json_cell, started_answered
from audiometamer.listening.messages import Answer


def answered(answers: Answers, *, task: str) -> Iterator[AnsweredTrial]:
    """Every answer to a comparison, of each listener in order; the headphone check is not among them."""
    for one in answers.enrolled:
        for given in answers.given(one.listener):
            if given.decided is not None:
                yield answered_trial(str(one.listener), task, given.decided, given.message)


def answered_trial(listener: str, task: str, decided: Decided, message: Answer) -> AnsweredTrial:
    """One answer of one listener, as a row of the trial table."""
    started, answered_at = started_answered(message)
    return AnsweredTrial.to(
        decided, listener=listener, task=task, answer=message.answer, reaction_time_ms=message.reaction_time_ms,
        plays=message.plays, started=started, answered=answered_at, playback=json_cell(message.playback),
    )  # fmt: skip
