"""Checks of what a listener sends, against the design and the trial whose turn it is; they neither read nor write a database."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from audiometamer.listening.design import Question
from audiometamer.listening.folder import Experiment
from audiometamer.listening.messages import AnswerMessage, EventsMessage, FormMessage, Message, is_plausible, timestamps
from audiometamer.listening.refusals import ConflictError, ExcessError, RefusedError
from audiometamer.listening.state import ListenerState
from audiometamer.listening.trials import Trial

MAX_MESSAGES = 2000  # forms and events of one listener: a page that has gone wild does not fill the disk
MAX_MESSAGES_BYTES = 4 * 1024**2  # of these messages together
MAX_ANSWER_BYTES = 8 * 1024  # ten times what the page sends


class Stored(NamedTuple):
    """Number and size of the forms and events that a listener has sent already."""

    messages: int
    bytes: int


def check_dates(message: Message) -> None:
    """Raise `RefusedError` if a message holds a date outside the years in which experiments take place."""
    if not all(map(is_plausible, timestamps(message))):
        raise RefusedError("it holds a date outside the years 1970 to 2199")


def check_form_or_events(message: FormMessage | EventsMessage, size: int, stored: Stored, questions: Sequence[Question]) -> None:
    """Raise if a form or events are one too many, or answer questions that the design does not ask.

    Raises
    ------
    ExcessError, RefusedError
    """
    if stored.messages >= MAX_MESSAGES:
        raise ExcessError(f"more than {MAX_MESSAGES} forms and events are not kept")
    if stored.bytes + size > MAX_MESSAGES_BYTES:
        raise ExcessError(f"more than {MAX_MESSAGES_BYTES} bytes of forms and events are not kept")
    if isinstance(message, FormMessage) and message.form.startswith("questions-"):
        when = message.form.removeprefix("questions-")
        check_replies(message.content, [question for question in questions if question.when == when])


def check_turn(experiment: Experiment, state: ListenerState, message: AnswerMessage, size: int) -> None:
    """Raise unless it is the turn of the trial that an answer is to.

    Raises
    ------
    ConflictError, ExcessError, RefusedError
    """
    if size > MAX_ANSWER_BYTES:
        raise ExcessError(f"an answer of {size} bytes is not kept; it may have {MAX_ANSWER_BYTES}")
    state.check_under_way()
    trials = experiment.trials(state.number)
    if experiment.adaptive is None and message.trial > len(trials):
        raise RefusedError(f"there is no trial {message.trial}; there are {len(trials)}")
    if state.next is None or message.trial < state.next:
        raise ConflictError(f"trial {message.trial} is answered")
    if message.trial > state.next:
        raise ConflictError(f"it is the turn of trial {state.next}")


def check_answer(experiment: Experiment, trial: Trial | None, message: AnswerMessage) -> None:
    """Raise unless an answer is one of those that a trial accepts, and to the sound that it plays.

    Raises
    ------
    ConflictError, RefusedError
    """
    if trial is None:
        raise ConflictError(f"trial {message.trial} is not decided yet")
    if message.stimulus != trial.stimulus:
        raise RefusedError(f"trial {message.trial} plays another sound")
    if message.answer not in experiment.options(trial):
        raise RefusedError("this is none of the possible answers")
    asked = experiment.design.rates_confidence and trial.kind != "headphones"
    if asked != (message.confidence is not None):
        raise RefusedError("a confidence is needed" if asked else "no confidence is asked for")


def check_replies(replies: Mapping[str, object], questions: Sequence[Question]) -> None:
    """Raise `RefusedError` unless these are answers to the questions of a design."""
    by_name = {question.name: question for question in questions}
    for name, reply in replies.items():
        question = by_name.get(name)
        if question is None:
            raise RefusedError("there is no such question")
        if reply is None or reply == "":
            continue
        number = isinstance(reply, int | float) and not isinstance(reply, bool)
        if question.kind == "number" and not number:
            raise RefusedError(f"the answer to {name} must be a number")
        if question.kind != "number" and not isinstance(reply, str):
            raise RefusedError(f"the answer to {name} must be a text")
        if question.kind == "choice" and reply not in question.options:
            raise RefusedError(f"the answer to {name} is none of its options")
    if lacking := [question.name for question in questions if question.required and replies.get(question.name) in (None, "")]:
        raise RefusedError(f"an answer to {lacking[0]} is needed")
