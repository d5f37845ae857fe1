"""The design of an experiment: a TOML file that says who hears what and what is asked, and its checks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from audiometamer.listening.design import (
    COMPARED,
    PAIRS,
    CommonDesign,
    DesignCheck,
    PositiveInt,
    ResponseFormat,
    Seed,
    check_unique,
    read_common,
)
from audiometamer.listening.gates import Demonstration, Gate
from audiometamer.listening.tables import NonNegativeInt

_EXAMPLES = Path(__file__).parent / "texts"  # a folder for each language


class Conditions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The conditions: each layer of each model with each seed, and the natural clips.

    Parameters
    ----------
    natural : bool, optional
        Whether natural clips are a condition. Default: true, unless listeners compare metamers with them (abx, odd-one-out).
    models, layers : list of str, optional
        Default: all of the set.
    seeds : list of int, optional
        Seeds as planned; an item that was retried with another seed counts under the planned one. Default: all of the set.
    selection : str, optional
        A ``selection.tsv`` of `audiometamer stimuli select`, relative to the design's folder. Default: all finished items.
    failed : bool
        Whether metamers that failed their verdict are played too; if not, they count as missing. Default false.
    missing : {"leave-out", "natural"}
        What happens to a clip without a metamer at one of the conditions: it is left out of every condition, or played
        unchanged instead of the metamer, as in 2023. Either is recorded in ``missing.tsv``. Default "leave-out".
    """

    natural: bool | None = None
    models: Annotated[list[str], Meta(min_length=1)] | None = None
    layers: Annotated[list[str], Meta(min_length=1)] | None = None
    seeds: Annotated[list[Seed], Meta(min_length=1)] | None = None
    selection: str | None = None
    failed: bool = False
    missing: Literal["leave-out", "natural"] = "leave-out"


class Clips(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Columns of the set's ``clips.tsv``.

    Parameters
    ----------
    word, speaker : str
        Columns with the word and the speaker of a clip. Default: columns of these names.
    once : str, optional
        Column whose values no listener hears twice; ``clip``: the clips themselves. Default: the column of words.
    """

    word: str = "word"
    speaker: str = "speaker"
    once: str | None = None


class Practice(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Trials with feedback.

    Parameters
    ----------
    trials : int, optional
        Number of trials. Default: 10, as in Feather et al. (2023), or fewer where words are few.
    conditions : {"natural", "all"}
        Natural clips, or the conditions in turn. Default "natural".
    """

    trials: NonNegativeInt | None = None
    conditions: Literal["natural", "all"] = "natural"


class Catch(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Natural clips among the main trials, which reveal inattentive listeners in the analysis.

    Parameters
    ----------
    trials : int, optional
        Number of trials. Default: 16, as in Feather et al. (2023), or fewer where words are few; none where sounds are compared.
    """

    trials: NonNegativeInt | None = None


class Excerpts(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Excerpts of textures, of which one differs from the others (McDermott, Schemitsch & Simoncelli 2013).

    Parameters
    ----------
    task : {"texture discrimination", "exemplar discrimination"}
        The odd one is of another texture than the two others, which are excerpts of one; or it is another excerpt of the texture
        that the others are the same excerpt of.
    durations : list of float
        Durations of the excerpts in seconds, a condition each.
    """

    task: Literal["texture discrimination", "exemplar discrimination"]
    durations: Annotated[list[Annotated[float, Meta(gt=0, le=60)]], Meta(min_length=1)]


class Design(CommonDesign, forbid_unknown_fields=True, frozen=True):
    """An experiment whose trials are drawn beforehand.

    Parameters
    ----------
    trials : int, optional
        Main trials of each listener. Default: one of each word that is left; if these are more than 400, half of them, or a
        third, and so on, so that there are at most 400.
    balance : {"latin", "feather2023"}
        Assignment of words to conditions: a Latin square, or independent draws for each listener. Default "latin".
    excerpts : Excerpts, optional
        Excerpts of the metamers are compared with each other, in place of whole metamers with natural clips. Default: none.
    conditions, clips, answers, practice, demonstration, catch
        Tables of their own.
    title, listeners, seed, sounds, headphones, breaks, questions, texts, completion
        As in `CommonDesign`.
    """

    trials: PositiveInt | None = None
    balance: Literal["latin", "feather2023"] = "latin"
    conditions: Conditions = Conditions()
    clips: Clips = Clips()
    answers: ResponseFormat = ResponseFormat()
    practice: Practice = Practice()
    demonstration: Demonstration = Demonstration()
    catch: Catch = Catch()
    excerpts: Excerpts | None = None

    @property
    def gates(self) -> dict[str, Gate]:
        """Screening checks, by the kind of their trials."""
        return {"headphones": self.headphones.gate, "demonstration": self.demonstration.gate}

    def example(self, text: str) -> Path:
        """The example of a text that the design does not name; instructions depend on the task."""
        answers = self.answers
        task = answers.kind if self.compares else f"{answers.kind}-{answers.of}"
        return _EXAMPLES / self.texts.language / (f"instructions-{task}.md" if text == "instructions" else f"{text}.md")

    @property
    def natural(self) -> bool:
        """Whether natural clips are a condition."""
        return not self.compares if self.conditions.natural is None else self.conditions.natural

    @property
    def once(self) -> str:
        """The column whose values no listener hears twice."""
        return self.clips.once or self.clips.word

    @property
    def answer_column(self) -> str:
        """The column that holds the right answers."""
        return self.clips.word if self.answers.of == "word" else self.clips.speaker

    def cross_checks(self) -> Iterator[DesignCheck]:
        """Check keys against each other: what this kind of design has beyond `CommonDesign`."""
        conditions, answers = self.conditions, self.answers
        yield "answers.kind", answers.kind not in (*PAIRS, *COMPARED), f"{answers.kind!r} is for another kind of design"
        for name in ("models", "layers", "seeds"):
            yield f"conditions.{name}", *check_unique(getattr(conditions, name) or [])
        if self.excerpts is not None:
            yield "excerpts", answers.kind == "odd-one-out", "it is for kind = 'odd-one-out'"
            yield "excerpts.durations", *check_unique(self.excerpts.durations)
        yield "answers.alternatives", answers.alternatives is None or answers.kind == "choice", "it is for kind = 'choice'"
        yield "answers.pictures", answers.pictures is None or answers.kind == "choice", "it is for kind = 'choice'"
        yield "answers.model", answers.model is None or answers.list is None, "there is a list already; give one of them"
        for name in ("list", "model", "names", "equal"):
            yield (
                f"answers.{name}",
                not getattr(answers, name) or not self.compares,
                f"kind = {answers.kind!r} has its own answers",
            )
        yield "answers.equal", *check_unique([word for words in answers.equal.values() for word in words])
        for answer in sorted(answers.equal.keys() & answers.counted.keys()):
            yield (
                f"answers.equal.{answer}",
                False,
                f"it counts as {answers.counted[answer]!r} already; put all of them into one list",
            )
        yield "conditions.natural", not (self.natural and self.compares), (
            f"kind = {answers.kind!r} compares metamers with natural clips; these are no condition of their own"
        )  # fmt: skip
        yield "conditions.missing", not (self.compares and conditions.missing == "natural"), (
            f"kind = {answers.kind!r} cannot compare a clip with itself; it must be leave-out"
        )  # fmt: skip
        yield "catch.trials", not (self.compares and self.catch.trials), (
            f"kind = {answers.kind!r} compares metamers, catch trials are natural clips; set it to 0"
        )  # fmt: skip
        for place, gate in (("practice", self.practice), ("demonstration", self.demonstration)):
            yield f"{place}.conditions", not (self.compares and gate.trials != 0 and gate.conditions == "natural"), (
                f"kind = {answers.kind!r} compares metamers; it must be all"
            )  # fmt: skip


def read_design(path: Path) -> Design:
    """Read a design, and check everything that can be checked without the stimulus set.

    Raises
    ------
    AudioMetamerError
        If it or a file that it names cannot be read, has an unknown key, a value of a wrong type or out of range, or keys that
        contradict each other; all problems are listed with their places, as in ``questions[1].options``, counted from 0.
    """
    return read_common(path, Design, Design.cross_checks)
