"""What a listener's page sends: answers, forms and events, each under a key of its own; read from JSON and checked."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MOST_LETTERS = 200  # of an answer
Key = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{16,64}\Z")]
Moment = Annotated[datetime, Meta(tz=True)]
Scalar = Annotated[str, Meta(max_length=4000)] | int | float | bool | None
Details = Annotated[dict[Annotated[str, Meta(max_length=64)], Scalar], Meta(max_length=64)]
FormName = Literal["consent", "browser", "level", "questions-before", "questions-after"]


class Answer(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, tag_field="kind", tag="answer"):
    """An answer to a trial.

    Parameters
    ----------
    key : str
        16 to 64 letters, digits, - and _, drawn by the page; the same message is always sent under the same key.
    trial : int
        From 1.
    stimulus, answer : str
    reaction_time_ms : float
        From the end of the sound, or of the last image.
    plays : int
        How often the sound was played, or the images shown.
    started, answered : datetime
        With their time zone; of the listener's clock.
    playback : dict
        What is known of the playback: sample rate, latency, missed loads, ….
    """

    key: Key
    trial: Annotated[int, Meta(ge=1)]
    stimulus: Annotated[str, Meta(max_length=64)]
    answer: Annotated[str, Meta(max_length=MOST_LETTERS)]
    reaction_time_ms: Annotated[float, Meta(ge=0, le=86_400_000)]
    plays: Annotated[int, Meta(ge=0, le=1000)]
    started: Moment
    answered: Moment
    playback: Details = {}


class Form(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, tag_field="kind", tag="form"):
    """What is told once: consent, browser, level, or the answers to the questions of the design."""

    key: Key
    form: FormName
    content: Details = {}


class Event(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Something that happened on the page: a loss of focus, a missed load, a problem with the sound."""

    what: Annotated[str, Meta(pattern=r"\A[a-z][a-z -]{0,31}\Z")]
    when: Moment
    trial: Annotated[int, Meta(ge=1)] | None = None
    details: Details = {}


class Events(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, tag_field="kind", tag="events"):
    """Some events under one key."""

    key: Key
    events: Annotated[list[Event], Meta(min_length=1, max_length=100)]


Message = Answer | Form | Events
