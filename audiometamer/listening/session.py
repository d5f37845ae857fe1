"""The session: what a listener's page may know, which excludes conditions, and answers before they are given."""

from typing import Literal

import msgspec

from audiometamer.listening.design import INTERVALS, Images, Question
from audiometamer.listening.enrolment import Participant
from audiometamer.listening.folder import Experiment
from audiometamer.listening.headphones import GAP_SECONDS, N_INTERVALS
from audiometamer.listening.sentences import html_of
from audiometamer.listening.state import ListenerState
from audiometamer.listening.trials import Trial

MTURK = "https://www.mturk.com https://worker.mturk.com https://workersandbox.mturk.com"  # where tasks are shown, and submitted


class PageState(msgspec.Struct, frozen=True):
    """A listener's progress, as the page may know it: next trial, whether and how it is over, forms that were sent."""

    next: int | None
    over: Literal["finished", "stopped"] | None
    forms: list[str]


class PageTrial(msgspec.Struct, frozen=True, omit_defaults=True):
    """A trial, as the page may know it: catch trials are main trials.

    Parameters
    ----------
    options : list of str
        Possible answers, where they are the trial's own.
    """

    trial: int
    kind: Literal["headphones", "practice", "demonstration", "main"]
    stimulus: str
    options: list[str] = []


class PageTask(msgspec.Struct, frozen=True):
    """The task of the listener.

    Parameters
    ----------
    kind : {"typed", "choice", "abx", "odd-one-out", "triads", "quadruples"}
    of : {"word", "speaker"}
    answers : list of str
        All possible answers.
    intervals : int
        Number of sounds of one trial, all in one file and of one length; or of images, one below the other.
    gap_seconds : float
        Pause between them.
    pair_gap_seconds : float
        Further pause in their middle.
    pictures : bool
        Whether answers have pictures.
    images : Images or None
        How images are shown; None where sounds are played.
    names : dict of str to str
        Labels of answers, where they differ from the answers.
    question : str or None
        The question, in place of the page's own.
    confidence : bool
        Whether listeners say how sure they are.
    """

    kind: str
    of: str
    answers: list[str]
    intervals: int
    gap_seconds: float
    pair_gap_seconds: float
    pictures: bool
    images: Images | None
    names: dict[str, str]
    question: str | None = None
    confidence: bool = False


class HeadphoneTask(msgspec.Struct, frozen=True):
    """The headphone check: its kind, its answers, which are the intervals, and the pause between these."""

    test: str
    gap_seconds: float
    answers: list[str]


class Redirect(msgspec.Struct, frozen=True):
    """The redirect at the end: a link or, if there are `fields`, a form that is posted there."""

    address: str
    fields: dict[str, str] = {}


class Session(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything that the page needs.

    Parameters
    ----------
    title : str
    state : PageState
    trials : list of PageTrial
        Trials that were drawn beforehand.
    task : PageTask
    headphones : HeadphoneTask
    breaks : list of int
        Trials after which there is a rest.
    questions : list of Question
    texts : dict of str to str
        HTML of consent and instructions; of the debriefing only at the end.
    completion : Redirect or None
        Address to which the page redirects at the end.
    adaptive : bool
        Whether adaptive trials follow, which the page asks for one by one.
    """

    title: str
    state: PageState
    trials: list[PageTrial]
    task: PageTask
    headphones: HeadphoneTask
    breaks: list[int]
    questions: list[Question]
    texts: dict[str, str]
    completion: Redirect | None
    adaptive: bool = msgspec.field(default=False, name="course")


def session_of(experiment: Experiment, state: ListenerState, participant: Participant | None) -> Session:
    """Everything that the page of one listener needs."""
    design, trials = experiment.design, experiment.trials(state.number)
    shown = page_state(state)
    texts = {name: html_of(text) for name, text in experiment.texts.items() if name != "debriefing" or shown.over}
    return Session(
        title=design.title,
        state=shown,
        trials=[page_trial(trial) for trial in trials],
        task=_task(experiment),
        headphones=HeadphoneTask(design.headphones.test, GAP_SECONDS, [str(k) for k in range(1, N_INTERVALS + 1)]),
        breaks=_breaks(trials, design.breaks.every),
        questions=design.questions,
        texts=texts,
        completion=_completion(experiment, shown, participant),
        adaptive=experiment.adaptive is not None,
    )


def _task(experiment: Experiment) -> PageTask:
    design = experiment.design
    response = design.answers
    return PageTask(
        kind=response.kind,
        of=response.of,
        answers=experiment.answers,
        intervals=INTERVALS.get(response.kind, 1),
        gap_seconds=design.gap,
        pair_gap_seconds=design.pair_gap,
        pictures=response.pictures is not None,
        images=design.image_settings,
        names={answer: response.display_name(answer) for answer in experiment.answers if response.display_name(answer) != answer},
        question=response.question,
        confidence=design.rates_confidence,
    )


def page_trial(trial: Trial) -> PageTrial:
    """A trial, as the page may know it."""
    return PageTrial(trial.trial, "main" if trial.kind == "catch" else trial.kind, trial.stimulus, trial.options)


def page_state(state: ListenerState) -> PageState:
    """A listener's progress."""
    over: Literal["finished", "stopped"] | None = "stopped" if state.excluded is not None else None
    if over is None and state.next is None:
        over = "finished"
    return PageState(state.next, over, sorted(state.forms))


def _breaks(trials: list[Trial], every: int | None) -> list[int]:
    """Numbers of the main and catch trials after which there is a rest; none after the last."""
    numbers = [trial.trial for trial in trials if trial.kind in ("main", "catch")]
    return [] if every is None else numbers[every - 1 : -1 : every]


def _completion(experiment: Experiment, state: PageState, participant: Participant | None) -> Redirect | None:
    """The redirect at the end: back to MTurk, or to the address of the design."""
    if state.over is None:
        return None
    if participant is not None and participant.service == "mturk":
        site = participant.parameters.get("turkSubmitTo", "").rstrip("/")
        if site in MTURK.split():
            fields = {"assignmentId": participant.parameters.get("assignmentId", ""), "over": state.over}
            return Redirect(f"{site}/mturk/externalSubmit", fields)
    ends = {"finished": experiment.design.completion.finished, "stopped": experiment.design.completion.stopped}
    address_of_design = ends[state.over]
    return None if address_of_design is None else Redirect(address_of_design)
