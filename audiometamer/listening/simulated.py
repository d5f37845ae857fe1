"""Simulated sessions: a program takes part in an experiment, from its first trial to its last, through the server."""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from audiometamer.listening.client import Client, ConfirmedMessage, ServerError
from audiometamer.listening.responders import Responder


class _Trials(AbstractContextManager["_Trials"]):
    """The trials of a session; adaptive ones are requested ahead of time, as the page does."""

    def __init__(self, client: Client, session: Mapping[str, Any]) -> None:
        self.client, self.drawn, self.adaptive = client, session["trials"], session.get("course", False)
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
            raise ServerError(f"the server has no trial {number}, and says that the experiment is not over")
        return trial

    def look_ahead(self, number: int) -> None:
        """Request a trial while the one before is played."""
        if self.adaptive and number > len(self.drawn):
            self.ahead = {number: self.thread.submit(self.other.trial, number, waiting=False)}


def take_part(
    client: Client,
    reply: Responder,
    *,
    seed: int,
    pace: float = 0.0,
    load: bool = True,
    on_confirmed: Callable[[ConfirmedMessage], None] = lambda _: None,
) -> str:
    """Take part in an experiment, from wherever the listener is, to its end.

    Parameters
    ----------
    client : Client
    reply : Responder
        `SimulatedListener`, `NetworkListener`, or `IdealListener`.
    seed : int
        Random seed of the answers.
    pace : float
        Pause before each answer, in reaction times. Default 0.
    load : bool
        Whether to load every sound, or image, before answering. Default True.
    on_confirmed : callable
        Called for every confirmed message.

    Returns
    -------
    str
        ``finished`` or ``stopped``.
    """
    generator, session = np.random.default_rng(seed), client.session()
    state = session["state"]

    def send(message: dict[str, Any]) -> dict[str, Any]:
        confirmed, response = client.send(message)
        on_confirmed(confirmed)
        return response

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
            answer, milliseconds, *confidence = reply(trial["stimulus"], trial.get("options") or task["answers"], generator)
            if pace:
                time.sleep(pace * milliseconds / 1000)
            state = send(answer_message(trial, answer, milliseconds, *confidence))["state"]
    if "questions-after" not in state["forms"]:
        send(form_message("questions-after", _replies([q for q in session["questions"] if q["when"] == "after"])))
    return str(state["over"])


def _key() -> str:
    return secrets.token_urlsafe(16)


def form_message(name: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """A form, as a page sends it."""
    return {"kind": "form", "key": _key(), "form": name, "content": dict(content)}


def _replies(questions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A reply to each question."""
    return {
        q["name"]: q["options"][0] if q["kind"] == "choice" else 30 if q["kind"] == "number" else "simulated" for q in questions
    }


def answer_message(trial: Mapping[str, Any], answer: str, milliseconds: float, confidence: float | None = None) -> dict[str, Any]:
    """An answer that is given now to a trial, as a page sends it."""
    answered = datetime.now(UTC)
    rated = {} if confidence is None else {"confidence": confidence}
    return {
        "kind": "answer", "key": _key(), "trial": trial["trial"], "stimulus": trial["stimulus"], "answer": answer,
        "reaction_time_ms": round(milliseconds, 3), "plays": 1, "playback": {},
        "started": (answered - timedelta(milliseconds=milliseconds)).isoformat(), "answered": answered.isoformat(),
        **rated,
    }  # fmt: skip
