"""The next adaptive trial: decided once, however many windows ask for it, and on disk before the page learns of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import anyio.to_thread
import msgspec

from audiometamer.listening.adaptive import AdaptiveSequence, DecidedTrial, TrialRequest
from audiometamer.listening.refusals import ConflictError, ExcessError, UnavailableError
from audiometamer.listening.session import PageTrial, page_trial
from audiometamer.listening.state import ListenerState
from audiometamer.listening.store import Store

_POLL_SECONDS = 1.0  # between two checks whether somebody is still waiting
_GRACE_SECONDS = 5.0  # in which a page that lost its connection may return
_MAX_WAITING = 100  # concurrent requests for one trial, from several windows for example; each holds a connection
_MAX_CONCURRENT = 1000  # trials that are being made; each holds a thread


class UpcomingTrial(msgspec.Struct, frozen=True):
    """Response to a page that asks for a trial.

    Parameters
    ----------
    trial : PageTrial or None
        None while it depends on the answer to the trial before, and at the end.
    progress : float
        Proportion of the trials that are done, from 0 to 1.
    rest : bool
        Whether there is a rest before it.
    """

    trial: PageTrial | None
    progress: float
    rest: bool = False


class _Place(NamedTuple):
    """The context of a trial: those before it, and itself or the request for it."""

    before: list[DecidedTrial]
    progress: float
    decided: DecidedTrial | None
    request: TrialRequest | None


class _Making:
    """A trial that is being decided, and those who are waiting for it."""

    def __init__(self, ending: Callable[[], bool]) -> None:
        self.ending = ending
        self.waiting = 0
        self.left = time.monotonic()  # when a request last ended
        self.since: float | None = None  # when a listener began to wait with nothing else to do
        self.task: asyncio.Task[DecidedTrial | None]

    def waited(self) -> float:
        return 0.0 if self.since is None else time.monotonic() - self.since

    def cancelled(self) -> bool:
        return self.ending() or (self.waiting == 0 and time.monotonic() - self.left > _GRACE_SECONDS)


class TrialDecider:
    """Decides trials for the listeners of one server.

    Parameters
    ----------
    store : Store
    sequence : AdaptiveSequence
        The sequence of the store's experiment.
    ending : function
        Returns whether the server is stopping.
    """

    def __init__(self, store: Store, sequence: AdaptiveSequence, ending: Callable[[], bool]) -> None:
        self.store, self.sequence, self.ending = store, sequence, ending
        self.under_way: dict[tuple[int, int], _Making] = {}
        # In threads of their own, so that a hundred sounds in the making do not delay other listeners' answers.
        self.threads = anyio.CapacityLimiter(_MAX_CONCURRENT)

    async def upcoming(
        self, state: ListenerState, trial: int, *, waiting: bool, left: Callable[[], Awaitable[bool]]
    ) -> UpcomingTrial:
        """A trial, once it is decided and stored.

        Parameters
        ----------
        state : ListenerState
            State of the listener.
        trial : int
            Its number: the one whose turn it is, the one after that, or the first of the sequence.
        waiting : bool
            Whether the listener has nothing else to do.
        left : function
            Returns whether the client has disconnected.

        Raises
        ------
        ConflictError
            If it is not the turn of this trial, or `Store.decide` raises it.
        ExcessError
            If there are far too many concurrent requests for it.
        UnavailableError
            If it was not decided, because the server is stopping for example; it may be asked for again.
        """
        place = await anyio.to_thread.run_sync(self._place, state, trial)
        decided = place.decided
        if decided is None and place.request is not None:
            decided = await self._made(state.listener, place.request, waiting=waiting, left=left)
        if decided is None:
            return UpcomingTrial(None, place.progress)
        rest = _is_rest(decided, place.before, self.store.experiment.design.breaks.every)
        return UpcomingTrial(page_trial(decided.trial), place.progress, rest)

    def _place(self, state: ListenerState, trial: int) -> _Place:
        """The place of a trial among those of a listener."""
        completed, sequence = self.store.completed(state.listener), self.sequence
        ahead = trial - len(self.store.experiment.trials(state.number)) - 1 - len(completed)
        if ahead < 0:
            raise ConflictError(f"trial {trial} is answered, or is one of the list")
        pending = self.store.decided(state.listener, trial - 1) if ahead == 1 else None
        if ahead > 1 or (ahead == 1 and pending is None):
            raise ConflictError(f"it is the turn of trial {state.next}")
        before = [one.decided for one in completed] + ([] if pending is None else [pending])
        decided, request = self.store.decided(state.listener, trial), None
        if decided is None and pending is None:
            request = sequence.next(state.number, completed)
        elif decided is None and pending is not None:
            request = sequence.ahead(state.number, completed, pending)
        return _Place(before, sequence.progress(state.number, completed), decided, request)

    async def _made(
        self, listener: int, request: TrialRequest, *, waiting: bool, left: Callable[[], Awaitable[bool]]
    ) -> DecidedTrial | None:
        """The requested trial, possibly made for an earlier request; None if the client has disconnected."""
        key = listener, request.trial
        making = self.under_way.get(key)
        if making is None:
            making = self.under_way[key] = _Making(self.ending)
            making.task = asyncio.create_task(self._make(key, request, making))
        if making.waiting >= _MAX_WAITING:
            raise ExcessError(f"more than {_MAX_WAITING} concurrent requests for one trial")
        if waiting and making.since is None:
            making.since = time.monotonic()
        making.waiting += 1
        try:
            while not making.task.done() and not await left():
                await asyncio.wait([making.task], timeout=_POLL_SECONDS)
        finally:
            making.waiting -= 1
            making.left = time.monotonic()
        if not making.task.done():
            return None
        if making.task.result() is None:
            raise UnavailableError(f"trial {request.trial} was not decided: the server is stopping")
        return making.task.result()

    async def _make(self, key: tuple[int, int], request: TrialRequest, making: _Making) -> DecidedTrial | None:
        """Decide and store a trial, in a thread; where another server was faster, its decision holds."""

        def decide() -> DecidedTrial | None:
            decided = self.sequence.decide(request, making.waited, making.cancelled)
            return None if decided is None else self.store.decide(key[0], decided)

        try:
            return await anyio.to_thread.run_sync(decide, limiter=self.threads)
        finally:
            del self.under_way[key]


def _is_rest(decided: DecidedTrial, before: list[DecidedTrial], every: int | None) -> bool:
    """Whether there is a rest before a trial: rests follow a fixed number of main and catch trials."""
    done = sum(one.trial.kind != "practice" for one in before)
    return every is not None and decided.trial.kind != "practice" and done > 0 and done % every == 0
