"""Messages of a listener's page: answers, forms and events, each under a key of its own; read from JSON and checked."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MAX_ANSWER_LENGTH = 200  # characters of an answer
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)  # experiments take place between them
Key = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{16,64}\Z")]
Timestamp = Annotated[datetime, Meta(tz=True)]
Scalar = Annotated[str, Meta(max_length=4000)] | int | float | bool | None
Details = Annotated[dict[Annotated[str, Meta(max_length=64)], Scalar], Meta(max_length=64)]
FormName = Literal["consent", "browser", "level", "questions-before", "questions-after"]


class AnswerMessage(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, tag_field="kind", tag="answer"):
    """An answer to a trial.

    Parameters
    ----------
    key : str
        16 to 64 letters, digits, - and _, drawn by the page; a message is always sent under the same key.
    trial : int
        Number of the trial, from 1.
    stimulus, answer : str
    reaction_time_ms : float
        Time from the end of the sound, or of the last image.
    plays : int
        How often the sound was played, or the images shown.
    started, answered : datetime
        Times with time zone, by the listener's clock.
    playback : dict
        What is known of the playback: sample rate, latency, failed downloads, ….
    confidence : float or None
        How sure the listener is, from 0 to 100; None where this is not asked.
    """

    key: Key
    trial: Annotated[int, Meta(ge=1)]
    stimulus: Annotated[str, Meta(max_length=64)]
    answer: Annotated[str, Meta(max_length=MAX_ANSWER_LENGTH)]
    reaction_time_ms: Annotated[float, Meta(ge=0, le=86_400_000)]
    plays: Annotated[int, Meta(ge=0, le=1000)]
    started: Timestamp
    answered: Timestamp
    playback: Details = {}
    confidence: Annotated[float, Meta(ge=0, le=100)] | None = None


class FormMessage(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, tag_field="kind", tag="form"):
    """A form, which is sent once: consent, browser, level, or the answers to the questions of the design."""

    key: Key
    form: FormName
    content: Details = {}


class Event(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Something that happened on the page: a loss of focus, a failed download, a problem with the sound."""

    what: Annotated[str, Meta(pattern=r"\A[a-z][a-z -]{0,31}\Z")]
    when: Timestamp
    trial: Annotated[int, Meta(ge=1)] | None = None
    details: Details = {}


class EventsMessage(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, tag_field="kind", tag="events"):
    """Some events under one key."""

    key: Key
    events: Annotated[list[Event], Meta(min_length=1, max_length=100)]


Message = AnswerMessage | FormMessage | EventsMessage


def timestamps(message: Message) -> Iterator[datetime]:
    """All dates of a message."""
    if isinstance(message, AnswerMessage):
        yield from (message.started, message.answered)
    elif isinstance(message, EventsMessage):
        yield from (event.when for event in message.events)


def is_plausible(moment: datetime) -> bool:
    """Whether a date lies in the years 1970 to 2199, in UTC: others may not even exist there."""
    return _FIRST <= moment < _LAST


def in_utc(moment: datetime) -> datetime | None:
    """A date in UTC; None if it is out of range, as it may be in a message that an earlier version stored."""
    return moment.astimezone(UTC) if is_plausible(moment) else None


def started_answered(answer: AnswerMessage) -> tuple[datetime | None, datetime | None]:
    """When a trial started and was answered, in UTC; None where unknown, as when the listener's clock was set meanwhile."""
    started, answered = in_utc(answer.started), in_utc(answer.answered)
    return (None if started and answered and answered < started else started), answered
