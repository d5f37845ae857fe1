"""The design of a scaling experiment: which sounds of a path are compared, and how often."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from audiometamer.listening.design import (
    PAIRS,
    CommonDesign,
    DesignCheck,
    PositiveInt,
    ResponseFormat,
    Text,
    check_unique,
    kind_of_answers,
    read_common,
)

_TEXTS = Path(__file__).parents[1] / "texts"  # a folder for each language


class SoundPath(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The sounds of a path, in order.

    Parameters
    ----------
    sounds : list of str, optional
        Files, relative to the folder. Default: those of its ``scale.tsv``, as `audiometamer distortions scale` writes it;
        without one, all its WAV files in the order of their names.
    positions : list of float, optional
        Rising positions of the sounds on the path. Default: those of ``scale.tsv``, otherwise equal steps.
    """

    sounds: Annotated[list[Text], Meta(min_length=1)] | None = None
    positions: list[float] | None = None


class ScalingDesign(CommonDesign, forbid_unknown_fields=True, frozen=True):
    """A scaling experiment: listeners say which of two pairs of sounds differs more.

    Parameters
    ----------
    trials : int, optional
        Trials of each listener. Default: every triad, or quadruple, once, or as many of them as are at most 400.
    path : SoundPath
    answers : ResponseFormat
        Of its keys, `kind` ("triads" or "quadruples") and `question`. Default: triads.
    title, listeners, seed, sounds, headphones, breaks, questions, texts, completion
        As in `CommonDesign`.
    """

    trials: PositiveInt | None = None
    path: SoundPath = SoundPath()
    answers: ResponseFormat = ResponseFormat(kind="triads")

    def example(self, text: str) -> Path:
        """The example of a text that the design does not name; instructions depend on the task."""
        name = f"instructions-{self.answers.kind}" if text == "instructions" else text
        return _TEXTS / self.texts.language / f"{name}.md"

    def cross_checks(self) -> Iterator[DesignCheck]:
        """Check keys against each other: what this kind of design has beyond `CommonDesign`."""
        answers, path = self.answers, self.path
        yield "answers.kind", answers.kind in PAIRS, f"{answers.kind!r} compares no pairs; it must be one of {', '.join(PAIRS)}"
        for name in ("list", "model", "alternatives", "pictures", "names", "equal"):
            yield f"answers.{name}", not getattr(answers, name), f"kind = {answers.kind!r} has its own answers"
        yield "path.sounds", *check_unique(path.sounds or [])
        if path.positions is not None:
            rising = len(path.positions) > 1 and all(a < b for a, b in pairwise(path.positions))
            yield "path.positions", rising, "they must rise from each sound to the next"
            yield "path.positions", path.sounds is None or len(path.sounds) == len(path.positions), (
                f"there are {len(path.positions)} for {len(path.sounds or [])} sounds; give one for each"
            )  # fmt: skip


def is_scaling_design(path: Path) -> bool:
    """Whether a design asks for triads or quadruples; False if it cannot be read, which `read_design` reports."""
    return kind_of_answers(path) in PAIRS


def read_scaling_design(path: Path) -> ScalingDesign:
    """Read a design, and check everything that can be checked without the sounds.

    Raises
    ------
    AudioMetamerError
        As `audiometamer.experiment.design.read_design`.
    """
    return read_common(path, ScalingDesign, ScalingDesign.cross_checks)
