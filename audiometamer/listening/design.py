"""The design of any listening test: task, playback, texts and questions, read from TOML and checked key by key."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from audiometamer.errors import AudioMetamerError
from audiometamer.io.reading import read_unicode
from audiometamer.io.toml_files import parse_toml, problems_raised, read_toml
from audiometamer.io.toml_problems import Problem
from audiometamer.listening.gates import Gate, Headphones
from audiometamer.listening.headphones import GAP_SECONDS, PAIR_GAP_SECONDS
from audiometamer.listening.sentences import SentenceCatalogue, read_catalogue, shipped_catalogue, shipped_file
from audiometamer.listening.tables import LISTENER_COLUMNS
from audiometamer.signals.presentation import PresentationSettings

PositiveInt = Annotated[int, Meta(ge=1)]
Seed = Annotated[int, Meta(ge=0, lt=2**31)]
Text = Annotated[str, Meta(min_length=1)]
Words = list[Text]
Identifier = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]*\Z")]
Choice = Literal["typed", "choice", "abx", "odd-one-out", "triads", "quadruples", "further", "words"]
INTERVALS: dict[str, int] = {  # number of sounds of one trial
    "abx": 3, "odd-one-out": 3, "triads": 3, "quadruples": 4, "further": 3,
}  # fmt: skip
PAIRS = ("triads", "quadruples")  # which of two pairs of sounds differs more: no answer is right
COMPARED = ("further", "words")  # kinds of answers about sounds that tell models apart
NEITHER = "neither"  # the answer that neither word was heard
TEXTS = ("consent", "instructions", "debriefing")


class ResponseFormat(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The table ``answers``: how listeners respond.

    Parameters
    ----------
    kind : {"typed", "choice", "abx", "odd-one-out", "triads", "quadruples", "further", "words"}
        A word of the list, typed; one of the list, chosen; whether the third sound is the first or the second; which of three
        sounds differs; which of two pairs among three, or four, sounds of a path differs more. ABX and odd one out compare each
        metamer with its natural clip. Of sounds that tell models apart: which of two is further from the original, which is
        played first; which of two words was heard, or neither, and how sure the listener is. Default "typed".
    of : {"word", "speaker"}
        Property of the speech to recognise. Default "word".
    question : str, optional
        What listeners are asked. Default: the page's own question, as in "Which word did you hear?".
    list : str, optional
        Text file with one possible answer per line, relative to the design's folder. Default: the words of the set's clips.
    model : str, optional
        Network whose labels are the possible answers, in place of a `list`: as `audiometamer.load_model` takes it.
    alternatives : int, optional
        Number of options of a choice: the right answer, and others drawn from the list. Default: the whole list.
    pictures : str, optional
        For a choice: folder with ``<answer>.png`` for each possible answer.
    names : dict of str to str
        Labels that listeners see in place of answers. Default: the answer, with spaces for underscores.
    equal : dict of str to list of str
        Words that count as an answer, as in ``two = ["too", "to"]``; where answers are typed, they need not be in the list.
        If several answers of the list are among them, these count as one.
    """

    kind: Choice = "typed"
    of: Literal["word", "speaker"] = "word"
    question: Text | None = None
    list: str | None = None
    model: str | None = None
    alternatives: Annotated[int, Meta(ge=2)] | None = None
    pictures: str | None = None
    names: dict[str, Text] = {}
    equal: dict[str, Words] = {}

    def display_name(self, answer: str) -> str:
        """Label that listeners see in place of an answer."""
        return self.names.get(answer, answer.replace("_", " "))

    @property
    def counted(self) -> dict[str, str]:
        """Words that count as another answer, and that answer."""
        return {word: answer for answer, words in self.equal.items() for word in words}

    def same(self, one: str, other: str) -> bool:
        """Whether two answers count as the same."""
        return not self.others(one, [other])

    def others(self, answer: str, answers: Iterable[str]) -> Words:
        """Those of some answers that do not count as `answer`."""
        counted = self.counted
        return [other for other in answers if counted.get(other, other) != counted.get(answer, answer)]


class SoundSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The presentation copies; see `audiometamer.signals.presentation.PresentationSettings`.

    Parameters
    ----------
    sample_rate : {44100, 48000}
        In Hz. Default 48000.
    bits : {16, 24}
        Default 24.
    level : float
        RMS of every sound, in dB re full scale. Default -30.
    peaks : {"lower", "stop"}
        Default "lower".
    ramp : float
        Duration of the ramps, ms. Default 10.
    """

    sample_rate: int = 48_000
    bits: int = 24
    level: float = -30.0
    peaks: Literal["lower", "stop"] = "lower"
    ramp: float = 10.0

    def settings(self, seed: int) -> PresentationSettings:
        """As `audiometamer.stimuli.export` takes them; raises if one of them is out of range."""
        return PresentationSettings(**msgspec.structs.asdict(self), seed=seed)


class Images(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Presentation of images, in experiments on images.

    Parameters
    ----------
    seconds : float
        How long each image is shown. Default 0.5.
    scale : int, optional
        Size of a pixel of the image, in pixels of the page (CSS), if the window allows. Default: as fits 400 of them.
    """

    seconds: Annotated[float, Meta(gt=0, le=60)] = 0.5
    scale: PositiveInt | None = None


class Breaks(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Rests.

    Parameters
    ----------
    every : int, optional
        Number of trials between rests. Default: no rests.
    """

    every: PositiveInt | None = None


class Question(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A question that is asked once, before or after the trials.

    Parameters
    ----------
    name : str
        Its column in the table of listeners.
    text : str
    kind : {"text", "number", "choice"}
        Default "text".
    options : list of str
        Options of a choice.
    required : bool
        Whether it must be answered. Default false.
    when : {"before", "after"}
        Whether it is asked before or after the trials. Default "after".
    """

    name: Identifier
    text: Text
    kind: Literal["text", "number", "choice"] = "text"
    options: list[Text] = []
    required: bool = False
    when: Literal["before", "after"] = "after"


class Texts(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The texts for listeners.

    Parameters
    ----------
    consent, instructions, debriefing : str, optional
        Markdown files, relative to the design's folder. Default: short examples, which no ethics committee has seen.
    language : str
        Language of these examples and of the page's own sentences: ``en`` or ``de``. Default "en".
    sentences : str, optional
        File with the page's own sentences in another language, relative to the design's folder: a translation of the output of
        `audiometamer experiment sentences`. Default: those of `language`.
    """

    consent: str | None = None
    instructions: str | None = None
    debriefing: str | None = None
    language: str = "en"
    sentences: str | None = None


class CompletionLinks(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The address to which a listener is sent at the end.

    Parameters
    ----------
    finished, stopped : str, optional
        Addresses (https), of Prolific for example: after the last trial, and after a failed check. Default: none.
    """

    finished: str | None = None
    stopped: str | None = None


class CommonDesign(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Settings common to all designs, whether trials are drawn beforehand or adaptive.

    Parameters
    ----------
    title : str
        Title that listeners see.
    listeners : int
        Number of lists.
    seed : int
        Random seed of all draws, which also follow from a private key of the experiment. Default 0.
    sounds, headphones, breaks, questions, texts, completion
        Tables of their own; see the structs.
    """

    title: Text
    listeners: PositiveInt
    seed: Seed = 0
    sounds: SoundSettings = SoundSettings()
    headphones: Headphones = Headphones()
    breaks: Breaks = Breaks()
    questions: list[Question] = []
    texts: Texts = Texts()
    completion: CompletionLinks = CompletionLinks()

    @property
    def answers(self) -> ResponseFormat:
        """Means of response."""
        raise NotImplementedError

    @property
    def gap(self) -> float:
        """Pause between the sounds, or images, of one trial, s."""
        return GAP_SECONDS

    @property
    def pair_gap(self) -> float:
        """Pause between two pairs of sounds that have none in common, beyond `gap`, s."""
        return PAIR_GAP_SECONDS if self.answers.kind == "quadruples" else 0.0

    @property
    def image_settings(self) -> Images | None:
        """Presentation of images; None for sounds."""
        return None

    @property
    def gates(self) -> dict[str, Gate]:
        """Checks that a listener must pass to continue, by the kind of their trials."""
        return {"headphones": self.headphones.gate}

    @property
    def headphone_trials(self) -> int:
        """Number of trials of the headphone check."""
        return 0 if self.headphones.test == "none" else self.headphones.trials

    def example(self, text: str) -> Path:
        """File of the example for a text that the design does not name."""
        raise NotImplementedError

    @property
    def rates_confidence(self) -> bool:
        """Whether listeners say how sure they are of each answer."""
        return self.answers.kind == "words"

    @property
    def compares(self) -> bool:
        """Whether sounds are compared with each other rather than recognised."""
        return self.answers.kind in INTERVALS


D = TypeVar("D", bound=CommonDesign)
DesignCheck = tuple[str, bool, str]  # a key of the design, whether its value is valid, and the message if it is not
RESERVED_COLUMNS = (*LISTENER_COLUMNS, "questionnaire", "list", "enrolled")  # names that no question may have


def read_common(path: Path, kind: type[D], checks: Callable[[D], Iterable[DesignCheck]] = lambda _design: ()) -> D:
    """Read a design of some kind, and check what all designs share and `checks`; the error names all that is wrong."""

    def problems(design: D) -> Iterator[Problem]:
        yield from failed((*_common_checks(design), *checks(design)))
        yield from problems_raised("sounds", lambda: design.sounds.settings(design.seed))
        for k, question in enumerate(design.questions):
            yield from problems_raised(f"questions[{k}]", partial(_check_question, question, design.questions[:k]))
        unknown = [*problems_raised("texts.language", partial(shipped_file, design.texts.language))]
        yield from unknown
        for name in TEXTS:
            if getattr(design.texts, name) is not None or not unknown:
                yield from problems_raised(f"texts.{name}", partial(read_text, path, design, name))
        if design.texts.sentences is not None:
            yield from problems_raised("texts.sentences", partial(read_sentences, path, design))
        if design.answers.list is not None:
            yield from problems_raised("answers.list", partial(read_answer_list, path.parent / design.answers.list))

    return read_toml(path, kind, problems)


def kind_of_answers(path: Path) -> object:
    """The kind of answers that a design names; None if it names none or cannot be read, which reading it reports."""
    try:
        answers = parse_toml(read_unicode(path)).get("answers")
    except (OSError, ValueError, AudioMetamerError):
        return None
    return answers.get("kind") if isinstance(answers, dict) else None


def failed(checks: Iterable[DesignCheck]) -> Iterator[Problem]:
    """The problems of the checks that fail."""
    return (Problem(place, message) for place, valid, message in checks if not valid)


def _common_checks(design: CommonDesign) -> Iterator[DesignCheck]:
    """Whether keys of the design agree with each other."""
    for kind, gate in design.gates.items():
        yield f"{kind}.minimum", not gate.trials or gate.minimum <= gate.trials, (
            f"{gate.minimum} right answers of {gate.trials} trials cannot be reached"
        )  # fmt: skip
    for name in ("finished", "stopped"):
        address = getattr(design.completion, name)
        yield (
            f"completion.{name}",
            address is None or _is_https(address),
            f"{address!r} is not an address that begins with https://",
        )


def check_unique(values: Sequence[object]) -> tuple[bool, str]:
    """Whether no value appears twice, and the message if one does."""
    repeated = [value for value, n in Counter(values).items() if n > 1]
    return not repeated, f"{repeated[0]!r} appears twice" if repeated else ""


def _is_https(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname) and address.isprintable() and " " not in address


def _check_question(question: Question, before: Sequence[Question]) -> None:
    if question.name in RESERVED_COLUMNS or question.name in [other.name for other in before]:
        raise AudioMetamerError(f"name: {question.name!r} is taken; choose another")
    if (question.kind == "choice") != bool(question.options):
        raise AudioMetamerError(f"options: kind = {question.kind!r} {'needs' if not question.options else 'has no'} options")
    unique, message = check_unique(question.options)
    if not unique:
        raise AudioMetamerError(f"options: {message}")


def read_text(path: Path, design: CommonDesign, name: str) -> str:
    """Read one of the texts of the design at `path`, or the example for it."""
    file: str | None = getattr(design.texts, name)
    found = design.example(name) if file is None else path.parent / file
    text = _read(found)
    if not text.strip():
        raise AudioMetamerError(f"{found} is empty")
    return text


def _read(path: Path) -> str:
    try:
        return read_unicode(path)
    except (OSError, ValueError) as error:
        raise AudioMetamerError(f"{path} cannot be read as text: {getattr(error, 'strerror', None) or error}") from error


def read_sentences(path: Path, design: CommonDesign) -> SentenceCatalogue:
    """Read the page's own sentences for the design at `path`."""
    named = design.texts.sentences
    return shipped_catalogue(design.texts.language) if named is None else read_catalogue(path.parent / named)


def read_answer_list(path: Path) -> list[str]:
    """Read the possible answers, in the order of the file."""
    found = [line.strip() for line in _read(path).splitlines() if line.strip()]
    if not found:
        raise AudioMetamerError(f"{path} names no answer")
    unique, message = check_unique(found)
    if not unique:
        raise AudioMetamerError(f"{path}: {message}")
    return found
