"""The design of a listening test of sounds that tell models apart."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from audiometamer.listening.design import (
    COMPARED,
    CommonDesign,
    DesignCheck,
    PositiveInt,
    ResponseFormat,
    check_unique,
    kind_of_answers,
    read_common,
)
from audiometamer.listening.tables import NonNegativeInt

_TEXTS = Path(__file__).parents[1] / "texts"  # a folder for each language


class ComparisonDesign(CommonDesign, forbid_unknown_fields=True, frozen=True):
    """A listening test of sounds that tell models apart.

    Parameters
    ----------
    trials : int, optional
        Main trials of each listener. Default: every pair of sounds, or every sound, `repeats` times.
    repeats : int
        How often a listener hears each of them; pairs alternate in their order. Default 1.
    kinds : list of str, optional
        Kinds of sounds. Default: all of the set that suit the task.
    failed : bool
        Whether sounds that failed their verdict are played too. Default false.
    catch : int
        Trials in which one of the two sounds is the original itself, which reveal inattentive listeners. Default 0.
    answers : ResponseFormat
        Of its keys, `kind` ("further" or "words"), `question` and `names`. Default: which sound is further from the original.
    title, listeners, seed, sounds, headphones, breaks, questions, texts, completion
        As in `CommonDesign`.
    """

    trials: PositiveInt | None = None
    repeats: PositiveInt = 1
    kinds: Annotated[list[str], Meta(min_length=1)] | None = None
    failed: bool = False
    catch: NonNegativeInt = 0
    answers: ResponseFormat = ResponseFormat(kind="further")

    def example(self, text: str) -> Path:
        """The example of a text that the design does not name; instructions depend on the task."""
        name = f"instructions-{self.answers.kind}" if text == "instructions" else text
        return _TEXTS / self.texts.language / f"{name}.md"

    def cross_checks(self) -> Iterator[DesignCheck]:
        """Check keys against each other: what this kind of design has beyond `CommonDesign`."""
        kind = self.answers.kind
        yield "answers.kind", kind in COMPARED, f"{kind!r} is not for sounds that tell models apart; it must be further or words"
        for name in ("list", "model", "alternatives", "pictures", "equal"):
            yield f"answers.{name}", not getattr(self.answers, name), f"kind = {kind!r} has its own answers"
        yield (
            "catch",
            not self.catch or kind == "further",
            "a catch trial has an original, which controversial sounds do not have",
        )
        yield "kinds", *check_unique(self.kinds or [])


def is_comparison_design(path: Path) -> bool:
    """Whether a design is of sounds that tell models apart; False if it cannot be read, which reading it reports."""
    return kind_of_answers(path) in COMPARED


def read_comparison_design(path: Path) -> ComparisonDesign:
    """Read a design, and check everything that can be checked without the stimulus set.

    Raises
    ------
    AudioMetamerError
        As `audiometamer.experiment.design.read_design`.
    """
    return read_common(path, ComparisonDesign, ComparisonDesign.cross_checks)
