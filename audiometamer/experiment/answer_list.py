"""The answers of an experiment: the closed list, checked against the stimulus set."""

import re
import shutil
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from audiometamer.errors import AudioMetamerError, did_you_mean
from audiometamer.experiment.available import AvailableStimuli, right_answers
from audiometamer.experiment.design import Design
from audiometamer.io.files import write_text
from audiometamer.io.toml_files import error_context
from audiometamer.io.toml_problems import Problem
from audiometamer.listening import folder as layout
from audiometamer.listening.design import read_answer_list
from audiometamer.listening.folder import interval_choices
from audiometamer.listening.messages import MAX_ANSWER_LENGTH

MAX_CHOICES = 100  # buttons on a page
_NO_WORD = "__nullSignal__"  # output 0 of published networks


@dataclass(frozen=True)
class AnswerList:
    """The answers that listeners can give.

    Parameters
    ----------
    listed : list of str
        The closed list: that of the design, the labels of its network, or all right answers to the set's clips; numbers of
        intervals where sounds are compared.
    equal : list of str
        Words that count as an answer of the list and are not in it.
    """

    listed: list[str]
    equal: list[str]

    @property
    def all(self) -> list[str]:
        """The closed list, then the words that count as one of its answers."""
        return [*self.listed, *self.equal]


def answer_list(path: Path, design: Design, available: AvailableStimuli) -> AnswerList:
    """The answers of a design that lies at `path`, for the stimuli that are available."""
    if design.compares:
        return AnswerList(interval_choices(design.answers.kind), [])
    if design.answers.list is not None:
        listed = read_answer_list(path.parent / design.answers.list)
    elif design.answers.model is not None:
        listed = _labels(path, design)
    else:
        listed = right_answers(available, design.answer_column)
    return AnswerList(listed, [word for words in design.answers.equal.values() for word in words if word not in listed])


def _labels(path: Path, design: Design) -> list[str]:
    """The labels of the network that a design names."""
    from audiometamer.models.loading import load_model  # late: an experiment is served without torch
    from audiometamer.stimuli.plan import model_reference

    with error_context(path, "answers.model"):
        model, task = load_model(model_reference(path, design.answers.model or "")), design.answers.of
        labels = model.named_labels()
        if task not in labels:
            raise AudioMetamerError(f"{model.name} has no labels for {task!r}; it has some for {', '.join(labels) or 'nothing'}")
        return sorted(label for label in labels[task] if label != _NO_WORD)


def answer_problems(path: Path, design: Design, available: AvailableStimuli, answers: AnswerList) -> Iterator[Problem]:
    """Everything wrong with the answers of a design that lies at `path`."""
    if design.compares or not answers.listed:
        return
    listed, equal, everything = answers.listed, answers.equal, answers.all
    if lacking := [answer for answer in right_answers(available, design.answer_column) if answer not in listed]:
        yield Problem("answers.list", f"it lacks {lacking[0]!r}, the right answer to a clip{_and_more(lacking)}")
    yield from _unknown("equal", design.answers.equal, listed)
    if equal and design.answers.kind != "typed":
        yield Problem("answers.equal", f"{equal[0]!r} is not in the list of answers{_and_more(equal)}; nobody can choose it")
    yield from _unknown("names", design.answers.names, everything)
    yield from (Problem("answers.list", message) for message in _unfit(everything, design))
    if design.answers.kind == "choice" and design.answers.alternatives is None and len(listed) > MAX_CHOICES:
        message = f"a choice among {len(listed)} answers fits no page; have them typed, or give alternatives"
        yield Problem("answers.kind", message)
    different = min(len(design.answers.others(answer, everything)) for answer in everything) + 1
    if (design.answers.alternatives or 0) > different:
        yield Problem("answers.alternatives", f"{design.answers.alternatives} are wanted of a list of {different}")
    if design.answers.pictures is not None:
        pictures = [_picture(path, design.answers.pictures, answer) for answer in everything]
        if absent := [picture for picture in pictures if not picture.is_file()]:
            yield Problem("answers.pictures", f"{absent[0]} does not exist{_and_more(absent)}")


def write_answers(folder: Path, path: Path, design: Design, answers: AnswerList) -> None:
    """Write the closed list into the folder of an experiment, and copy the pictures of a design that lies at `path`."""
    if not design.compares:
        write_text(folder / layout.ANSWERS, "\n".join(answers.all) + "\n")
    if design.answers.pictures is not None:
        (folder / layout.PICTURES).mkdir()
        for k, answer in enumerate(answers.all, start=1):
            shutil.copyfile(_picture(path, design.answers.pictures, answer), folder / layout.PICTURES / f"{k}.png")


def _picture(path: Path, pictures: str, answer: str) -> Path:
    return path.parent / pictures / f"{answer}.png"


def _and_more(found: Sequence[object]) -> str:
    """The number of others beside the first."""
    return f", and {len(found) - 1} more" if len(found) > 1 else ""


def _unknown(key: str, words: Iterable[str], answers: Sequence[str]) -> Iterator[Problem]:
    """Words in a table of answers that are not in the list."""
    for word in words:
        if word not in answers:
            yield Problem(f"answers.{key}", f"{word!r} is none of the answers{did_you_mean(word, answers)}", word)


def _unfit(answers: Sequence[str], design: Design) -> Iterator[str]:
    """Why listeners cannot choose among answers: too few, too long, or not distinguishable."""
    if len(answers) < 2:
        yield f"{answers[0]!r} is the only answer; there must be at least two"
    if too_long := [answer for answer in answers if len(answer) > MAX_ANSWER_LENGTH]:
        yield f"{too_long[0][:20]!r}… has {len(too_long[0])} letters{_and_more(too_long)}; an answer may have {MAX_ANSWER_LENGTH}"
    answer_by_entry: dict[str, str] = {}
    reported: set[str] = set()
    typed = design.answers.kind == "typed"
    for answer in answers:
        shown = design.answers.display_name(answer)
        for entry in {_as_typed(answer), _as_typed(shown)} if typed else {shown}:
            if (other := answer_by_entry.setdefault(entry, answer)) != answer and answer not in reported:
                reported.add(answer)
                same = "the same when typed" if typed else f"both shown as {shown!r}"
                yield f"{other!r} and {answer!r} are {same}; keep one of them"


def _as_typed(answer: str) -> str:
    """Normalise a typed answer: case, spacing and the kind of apostrophe do not count; the page's plugin `typed` agrees."""
    plain = unicodedata.normalize("NFKC", re.sub("[‘’ʼ´`]", "'", answer))
    return " ".join(plain.lower().split())
