"""The answers to an exploration as a table: a row for each trial that was decided on the way."""

from collections.abc import Iterator
from datetime import UTC
from typing import cast

import msgspec

from audiometamer.experiment.course import Decided
from audiometamer.experiment.export import Answers, json_cell, tsv
from audiometamer.experiment.messages import Answer
from audiometamer.exploration.course import Kind
from audiometamer.exploration.presented import Presented
from audiometamer.exploration.trials import COLUMNS, Answered, row_of


def table_of(answers: Answers) -> str:
    """``trials.tsv``, as `audiometamer.exploration.trials` reads it."""
    return tsv(COLUMNS, map(row_of, answered(answers)))


def answered(answers: Answers) -> Iterator[Answered]:
    """Every answer to a comparison, of each listener in order; the headphone check is not among them."""
    for one in answers.enrolled:
        for given in answers.given(one.listener):
            if given.decided is not None:
                yield _answered(str(one.listener), given.decided, given.message)


def _answered(listener: str, decided: Decided, message: Answer) -> Answered:
    about = msgspec.convert(decided.about, Presented)
    backwards = message.answered < message.started  # the listener's clock was set meanwhile
    kind = cast("Kind", decided.trial.kind)
    return Answered(
        listener=listener, list=about.number, trial=decided.trial.trial, kind=kind, dimension=about.dimension,
        reference=about.reference, wished=about.wished, made=about.made, reached=about.reached, leakage=about.leakage,
        snr_db=about.snr_db, modulation=about.modulation, level_db=about.level_db, way=about.way, waited_s=about.waited,
        arrangement=about.arrangement, answer=message.answer, right=decided.answer, correct=message.answer == decided.answer,
        reaction_time_ms=message.reaction_time_ms, plays=message.plays,
        started=None if backwards else message.started.astimezone(UTC), answered=message.answered.astimezone(UTC),
        playback=json_cell(message.playback),
    )  # fmt: skip
