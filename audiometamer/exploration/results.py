"""The answers to an exploration: a record for each trial that was decided on the way."""

from collections.abc import Iterator

from audiometamer.exploration.trials import Answered
from audiometamer.listening.adaptive import DecidedTrial
from audiometamer.listening.messages import AnswerMessage, started_answered
from audiometamer.listening.received import ReceivedAnswers
from audiometamer.listening.tables import json_cell


def answered(answers: ReceivedAnswers, *, task: str) -> Iterator[Answered]:
    """Every answer to a comparison, of each listener in order; the headphone check is not among them."""
    for one in answers.enrolled:
        for given in answers.judged(one.listener):
            if given.decided is not None:
                yield answered_trial(str(one.listener), task, given.decided, given.message)


def answered_trial(listener: str, task: str, decided: DecidedTrial, message: AnswerMessage) -> Answered:
    """One answer of one listener, as a row of the trial table."""
    started, answered_at = started_answered(message)
    return Answered.to(
        decided, listener=listener, task=task, answer=message.answer, reaction_time_ms=message.reaction_time_ms,
        plays=message.plays, started=started, answered=answered_at, playback=json_cell(message.playback),
    )  # fmt: skip
