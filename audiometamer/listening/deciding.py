"""The next trial of a course: decided once, however many windows ask for it, and on disk before a page is told of it."""

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

_LOOK_AROUND = 1.0  # s between two looks whether somebody still waits
_GRACE = 5.0  # s in which who lost the connection may come back
_MOST_ASKING = 100  # at once for one trial, from several windows for example; each holds a connection
_MOST_AT_ONCE = 1000  # trials that are being made; each holds a thread


class UpcomingTrial(msgspec.Struct, frozen=True):
    """What a page is told of the trial that it asked for.

    Parameters
    ----------
    trial : PageTrial or None
        None: it depends on the answer to the trial before, which is not there yet, or it is all over.
    progress : float
        How much is done, from 0 to 1.
    rest : bool
        Whether there is a rest before it.
    """

    trial: PageTrial | None
    progress: float
    rest: bool = False


class _Place(NamedTuple):
    """What is known of the trial that is asked for: what comes before it, and it or what it is to be."""

    before: list[DecidedTrial]
    progress: float
    decided: DecidedTrial | None
    wanted: TrialRequest | None


class _Making:
    """A trial that is being decided, and those who ask for it."""

    def __init__(self, ending: Callable[[], bool]) -> None:
        self.ending = ending
        self.asking = 0
        self.left = time.monotonic()  # when somebody last gave up
        self.since: float | None = None  # when somebody began to wait, with nothing else to do
        self.task: asyncio.Task[DecidedTrial | None]

    def waited(self) -> float:
        return 0.0 if self.since is None else time.monotonic() - self.since

    def gone(self) -> bool:
        return self.ending() or (self.asking == 0 and time.monotonic() - self.left > _GRACE)


class TrialDecider:
    """Decides trials for the listeners of one server.

    Parameters
    ----------
    store : Store
        Of an experiment with a course.
    course : Course
    ending : function
        Whether the server ends.
    """

    def __init__(self, store: Store, course: AdaptiveSequence, ending: Callable[[], bool]) -> None:
        self.store, self.course, self.ending = store, course, ending
        self.under_way: dict[tuple[int, int], _Making] = {}
        # Threads of their own: a hundred listeners whose sounds are being made do not keep the answers of others waiting.
        self.threads = anyio.CapacityLimiter(_MOST_AT_ONCE)

    async def upcoming(
        self, state: ListenerState, trial: int, *, waiting: bool, left: Callable[[], Awaitable[bool]]
    ) -> UpcomingTrial:
        """A trial, once it is decided and kept.

        Parameters
        ----------
        state : ListenerState
            Of the listener.
        trial : int
            Its number: the one whose turn it is, the one after that, or the first of the course.
        waiting : bool
            Whether the listener has nothing else to do.
        left : function
            Whether who asked is there no more.

        Raises
        ------
        ConflictError
            If it is not the turn of this trial, or `Store.decide` raises it.
        ExcessError
            If it is asked for far too often at once.
        UnavailableError
            If it was not decided, because the server ends for example; it may be asked for again.
        """
        place = await anyio.to_thread.run_sync(self._place, state, trial)
        decided = place.decided
        if decided is None and place.wanted is not None:
            decided = await self._made(state.listener, place.wanted, waiting=waiting, left=left)
        if decided is None:
            return UpcomingTrial(None, place.progress)
        rest = _is_rest(decided, place.before, self.store.experiment.design.breaks.every)
        return UpcomingTrial(page_trial(decided.trial), place.progress, rest)

    def _place(self, state: ListenerState, trial: int) -> _Place:
        """Where a trial stands among those of a listener."""
        heard, course = self.store.completed(state.listener), self.course
        ahead = trial - len(self.store.experiment.trials(state.number)) - 1 - len(heard)
        if ahead < 0:
            raise ConflictError(f"trial {trial} is answered, or is one of the list")
        pending = self.store.decided(state.listener, trial - 1) if ahead == 1 else None
        if ahead > 1 or (ahead == 1 and pending is None):
            raise ConflictError(f"it is the turn of trial {state.next}")
        before = [one.decided for one in heard] + ([] if pending is None else [pending])
        decided, wanted = self.store.decided(state.listener, trial), None
        if decided is None:
            wanted = course.next(state.number, heard) if pending is None else course.ahead(state.number, heard, pending)
        return _Place(before, course.progress(state.number, heard), decided, wanted)

    async def _made(
        self, listener: int, wanted: TrialRequest, *, waiting: bool, left: Callable[[], Awaitable[bool]]
    ) -> DecidedTrial | None:
        """The trial that is wanted, made anew or with those who asked for it before; None if who asked has left."""
        key = listener, wanted.trial
        making = self.under_way.get(key)
        if making is None:
            making = self.under_way[key] = _Making(self.ending)
            making.task = asyncio.create_task(self._make(key, wanted, making))
        if making.asking >= _MOST_ASKING:
            raise ExcessError(f"more than {_MOST_ASKING} requests for one trial at once")
        if waiting and making.since is None:
            making.since = time.monotonic()
        making.asking += 1
        try:
            while not making.task.done() and not await left():
                await asyncio.wait([making.task], timeout=_LOOK_AROUND)
        finally:
            making.asking -= 1
            making.left = time.monotonic()
        if not making.task.done():
            return None
        if making.task.result() is None:
            raise UnavailableError(f"trial {wanted.trial} was not decided: the server ends")
        return making.task.result()

    async def _make(self, key: tuple[int, int], wanted: TrialRequest, making: _Making) -> DecidedTrial | None:
        """In a thread: decide, and keep what was decided; of another server that was faster, what it decided."""

        def decide() -> DecidedTrial | None:
            decided = self.course.decide(wanted, making.waited, making.gone)
            return None if decided is None else self.store.decide(key[0], decided)

        try:
            return await anyio.to_thread.run_sync(decide, limiter=self.threads)
        finally:
            del self.under_way[key]


def _is_rest(decided: DecidedTrial, before: list[DecidedTrial], every: int | None) -> bool:
    """Whether there is a rest before a trial: after every so many main and catch trials."""
    done = sum(one.trial.kind != "practice" for one in before)
    return every is not None and decided.trial.kind != "practice" and done > 0 and done % every == 0
