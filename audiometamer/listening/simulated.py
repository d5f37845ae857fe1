"""Listeners that are programs: they answer through the server as a page does, retries and all."""

import http.client
import json
import math
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import numpy as np

from audiometamer.errors import AudioMetamerError
from audiometamer.listening.adaptive import Decided
from audiometamer.listening.export import read_decided
from audiometamer.listening.folder import SOUNDS, Experiment
from audiometamer.listening.trials import ConditionKey, Entry
from audiometamer.models.inputs import load_clip

if TYPE_CHECKING:
    from audiometamer.models.model import Model

_AGAIN = (502, 503, 504)  # sending the same later may help
_BACK_OFF = 0.05  # s, before the first repetition; then twice as long each time
_LONGEST_WAIT = 2.0


class Reply(Protocol):
    """What a listener answers to a sound, and after how many ms."""

    def __call__(self, stimulus: str, options: Sequence[str], generator: np.random.Generator) -> tuple[str, float]: ...


@dataclass(frozen=True)
class Person:
    """A listener with a chosen accuracy in each condition.

    With probability `guesses` the answer is drawn from all options, whatever was heard; otherwise it is right with the
    probability of the condition, and one of the wrong options if not. Reaction times are log-normal.

    Parameters
    ----------
    key : mapping of str to Entry
        Of the experiment.
    accuracy : mapping of str to float
        By ``<model>/<layer>``, ``<layer>``, ``natural`` or ``headphones``; the first that fits counts. Default: 0.5 everywhere,
        but 1 for natural clips and headphones.
    guesses : float
        Default 0.02.
    reaction_time_ms : float
        Median. Default 1500.
    spread : float
        Standard deviation of its natural logarithm. Default 0.4.
    """

    key: Mapping[str, Entry]
    accuracy: Mapping[str, float] = field(default_factory=dict)
    guesses: float = 0.02
    reaction_time_ms: float = 1500.0
    spread: float = 0.4

    def __post_init__(self) -> None:
        for name, value in {**self.accuracy, "guesses": self.guesses}.items():
            if not 0 <= value <= 1:
                raise AudioMetamerError(f"{name} is {value}; it must be from 0 to 1")
        known = set(_DEFAULTS).union(*(_names(entry) for entry in self.key.values()))
        if unknown := sorted(set(self.accuracy) - known):
            raise AudioMetamerError(f"there is no condition {unknown[0]!r}; there are {', '.join(sorted(known))}")

    def __call__(self, stimulus: str, options: Sequence[str], generator: np.random.Generator) -> tuple[str, float]:
        entry = self.key[stimulus]
        wrong = [option for option in options if option != entry.answer]
        if generator.random() < self.guesses or not wrong:
            answer = options[int(generator.integers(len(options)))]
        elif generator.random() < self.expected(entry):
            answer = entry.answer
        else:
            answer = wrong[int(generator.integers(len(wrong)))]
        return answer, self.reaction_time_ms * math.exp(self.spread * float(generator.standard_normal()))

    def expected(self, entry: Entry) -> float:
        """The accuracy of a condition, before guesses."""
        named = [name for name in _names(entry) if name in self.accuracy]
        return self.accuracy[named[0]] if named else _DEFAULTS.get(_names(entry)[0], 0.5)


_DEFAULTS = {"natural": 1.0, "headphones": 1.0}


def _names(entry: Entry) -> list[str]:
    """By what an accuracy may be given, the most special first; a natural clip that stands in for a metamer is natural."""
    if entry.missing:
        return ["natural"]
    if isinstance(entry.condition, ConditionKey):
        return [f"{entry.condition.model}/{entry.condition.layer}", entry.condition.layer]
    return [entry.condition]


@dataclass(frozen=True)
class NetworkListener:
    """A network as listener: of the possible answers, the one that it takes the sound for most of all.

    It passes the headphone check, which is not for it.

    Parameters
    ----------
    key : mapping of str to Entry
        Of the experiment.
    rankings : mapping of str to sequence of str
        By sound, the labels of the network, the likeliest first; see `rankings_by`.
    """

    key: Mapping[str, Entry]
    rankings: Mapping[str, Sequence[str]]

    def __call__(self, stimulus: str, options: Sequence[str], generator: np.random.Generator) -> tuple[str, float]:
        entry = self.key[stimulus]
        if entry.condition == "headphones":
            return entry.answer, 1.0
        answers = (label for label in self.rankings[stimulus] if label in options)
        return next(answers, None) or options[int(generator.integers(len(options)))], 1.0


def rankings_by(model: "Model", experiment: Experiment) -> dict[str, list[str]]:
    """What a model takes each sound of an experiment for, from the very files that listeners hear.

    Parameters
    ----------
    model : Model
    experiment : Experiment

    Returns
    -------
    dict of str to list of str
        By sound, its labels, the likeliest first.

    Raises
    ------
    AudioMetamerError
        If sounds are compared rather than recognised, or the model has no labels for what is asked.
    """
    import torch

    task = experiment.design.answers.of
    if experiment.design.compares or task not in model.tasks:
        raise AudioMetamerError(f"{model.name} cannot answer: it knows {', '.join(model.tasks)}, and the task is {task}")
    labels, found = np.array(model.named_labels()[task]), {}
    for name, entry in experiment.key.items():
        if entry.file:
            clip = load_clip(model, experiment.folder / SOUNDS / f"{name}.wav")
            with torch.no_grad():
                logits = model.logits(model(clip.samples[None].to(model.device)))[task][0]
            found[name] = [str(label) for label in labels[logits.argsort(descending=True).cpu().numpy()]]
    return found


@dataclass(frozen=True)
class IdealListener:
    """A listener who knows what a trial is that was decided on the way, from the answers on disk.

    It passes the headphone check. Reaction times are log-normal.

    Parameters
    ----------
    experiment : Experiment
        With a course.
    database : path
        Where the server keeps the answers.
    probability : function of Decided
        Of the right answer.
    reaction_time_ms : float
        Median. Default 1500.
    spread : float
        Standard deviation of its natural logarithm. Default 0.4.
    """

    experiment: Experiment
    database: Path
    probability: Callable[[Decided], float]
    reaction_time_ms: float = 1500.0
    spread: float = 0.4

    def __call__(self, stimulus: str, options: Sequence[str], generator: np.random.Generator) -> tuple[str, float]:
        milliseconds = self.reaction_time_ms * math.exp(self.spread * float(generator.standard_normal()))
        if stimulus in self.experiment.key:
            return self.experiment.key[stimulus].answer, milliseconds
        decided = read_decided(self.database, stimulus)
        wrong = [option for option in options if option != decided.answer]
        right = generator.random() < self.probability(decided)
        return decided.answer if right else wrong[int(generator.integers(len(wrong)))], milliseconds


class ServerError(AudioMetamerError):
    """The server refused, or was not there for too long."""


@dataclass(frozen=True)
class Confirmed:
    """A message that the server confirmed.

    Parameters
    ----------
    message : dict
        As it was sent.
    seconds : float
        From the first attempt to the confirmation.
    attempts : int
    """

    message: dict[str, Any]
    seconds: float
    attempts: int


class Client(AbstractContextManager["Client"]):
    """What a page does to a server: ask for the session, load sounds, send messages until they are confirmed.

    Parameters
    ----------
    address : str
        ``http://host:port``.
    token : str
        Of the listener.
    patience : float
        Seconds to try a request again after no answer or a refusal that may pass. Default 60.
    """

    def __init__(self, address: str, token: str, *, patience: float = 60.0) -> None:
        parts = urlsplit(address)
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        self.address, self.token, self.patience = address, token, patience

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def session(self) -> dict[str, Any]:
        """All that a page needs."""
        return json.loads(self.request("GET", "/api/session")[0])

    def trial(self, number: int, *, waiting: bool) -> dict[str, Any] | None:
        """A trial that is decided on the way; None if it depends on an answer that is not there yet."""
        path = f"/api/trials/{number}" + ("?waiting" if waiting else "")
        return json.loads(self.request("GET", path)[0])["trial"]

    def sound(self, stimulus: str) -> bytes:
        """A WAV file."""
        return self.request("GET", f"/sounds/{stimulus}.wav")[0]

    def image(self, stimulus: str) -> bytes:
        """A PNG file."""
        return self.request("GET", f"/images/{stimulus}.png")[0]

    def send(self, message: dict[str, Any]) -> tuple[Confirmed, dict[str, Any]]:
        """Send a message until it is confirmed; the confirmation, and what the server says with it."""
        start = time.perf_counter()
        body, attempts = self.request("POST", "/api/messages", message)
        told = json.loads(body)
        if told["kept"] != message["key"]:
            raise ServerError(f"the server confirmed {told['kept']!r}, and {message['key']!r} was sent")
        return Confirmed(message, time.perf_counter() - start, attempts), told

    def request(self, method: str, path: str, content: Any = None) -> tuple[bytes, int]:
        """A request, again and again with longer and longer pauses; what came back, and after how many attempts.

        Raises
        ------
        ServerError
            If the server refuses for good, or does not answer for as long as there is patience.
        """
        headers = {"Authorization": f"Bearer {self.token}"}
        body = None if content is None else json.dumps(content).encode()
        if body is not None:
            headers["Content-Type"] = "application/json"
        for attempt in _attempts(self.patience):
            try:
                self.connection.request(method, path, body, headers)
                response = self.connection.getresponse()
                received = response.read()
            except (OSError, http.client.HTTPException):
                self.connection.close()  # the next request connects anew
                continue
            if response.status == 200:
                return received, attempt
            if response.status not in _AGAIN:
                raise ServerError(f"{method} {path}: {response.status} {received[:200].decode(errors='replace')}")
        raise ServerError(f"{method} {path}: no answer for {self.patience:g} s")


def _attempts(patience: float) -> Iterator[int]:
    """Numbers from 1, with pauses between them, until the patience is over."""
    end, wait, attempt = time.monotonic() + patience, _BACK_OFF, 1
    while True:
        yield attempt
        if time.monotonic() + wait > end:
            return
        time.sleep(wait)
        wait, attempt = min(2 * wait, _LONGEST_WAIT), attempt + 1


class _Trials(AbstractContextManager["_Trials"]):
    """The trials of a session; those that are decided on the way are asked for ahead, as the page does."""

    def __init__(self, client: Client, session: Mapping[str, Any]) -> None:
        self.client, self.drawn, self.course = client, session["trials"], session.get("course", False)
        self.other = Client(client.address, client.token, patience=client.patience)
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self.ahead: dict[int, Future[dict[str, Any] | None]] = {}

    def __exit__(self, *_: object) -> None:
        self.thread.shutdown()
        self.other.connection.close()

    def take(self, number: int) -> dict[str, Any]:
        """The trial whose turn it is."""
        if number <= len(self.drawn):
            return self.drawn[number - 1]
        ahead = self.ahead.pop(number, None)
        known = ahead.result() if ahead is not None and ahead.done() else None
        trial = known or self.client.trial(number, waiting=True)
        if trial is None:
            raise ServerError(f"the server tells no trial {number}, and says that it is not over")
        return trial

    def look_ahead(self, number: int) -> None:
        """While the trial before is heard."""
        if self.course and number > len(self.drawn):
            self.ahead = {number: self.thread.submit(self.other.trial, number, waiting=False)}


def take_part(
    client: Client,
    reply: Reply,
    *,
    seed: int,
    pace: float = 0.0,
    load: bool = True,
    report: Callable[[Confirmed], None] = lambda _: None,
) -> str:
    """Go through an experiment, from wherever the listener is, to its end.

    Parameters
    ----------
    client : Client
    reply : Reply
        `Person`, `NetworkListener`, or `IdealListener`.
    seed : int
        Of the answers.
    pace : float
        So many times the reaction time is waited before each answer. Default 0: none.
    load : bool
        Load every sound, or image, before it is answered. Default True.
    report : function of Confirmed
        Called for every message that was confirmed.

    Returns
    -------
    str
        ``finished`` or ``stopped``.
    """
    generator, session = np.random.default_rng(seed), client.session()
    state = session["state"]

    def send(message: dict[str, Any]) -> dict[str, Any]:
        confirmed, told = client.send(message)
        report(confirmed)
        return told

    shown = session["task"]["images"] is not None
    forms: dict[str, dict[str, Any]] = {"browser": {"agent": "simulated"}, "consent": {}} | ({} if shown else {"level": {}})
    for form, content in forms.items():
        if form not in state["forms"]:
            state = send(form_message(form, content))["state"]
    with _Trials(client, session) as trials:
        while state["over"] is None:
            trial = trials.take(state["next"])
            if load:
                (client.image if shown else client.sound)(trial["stimulus"])
            trials.look_ahead(state["next"] + 1)
            task = session["headphones"] if trial["kind"] == "headphones" else session["task"]
            answer, milliseconds = reply(trial["stimulus"], trial.get("options") or task["answers"], generator)
            if pace:
                time.sleep(pace * milliseconds / 1000)
            state = send(answer_message(trial, answer, milliseconds))["state"]
    if "questions-after" not in state["forms"]:
        send(form_message("questions-after", _replies([q for q in session["questions"] if q["when"] == "after"])))
    return str(state["over"])


def _key() -> str:
    return secrets.token_urlsafe(16)


def form_message(name: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """A form as a page sends it."""
    return {"kind": "form", "key": _key(), "form": name, "content": dict(content)}


def _replies(questions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Something for each question."""
    return {
        q["name"]: q["options"][0] if q["kind"] == "choice" else 30 if q["kind"] == "number" else "simulated" for q in questions
    }


def answer_message(trial: Mapping[str, Any], answer: str, milliseconds: float) -> dict[str, Any]:
    """An answer as a page sends it, given now; the trial as the page knows it."""
    answered = datetime.now(UTC)
    return {
        "kind": "answer", "key": _key(), "trial": trial["trial"], "stimulus": trial["stimulus"], "answer": answer,
        "reaction_time_ms": round(milliseconds, 3), "plays": 1, "playback": {},
        "started": (answered - timedelta(milliseconds=milliseconds)).isoformat(), "answered": answered.isoformat(),
    }  # fmt: skip
