"""Moved signals made online, while listeners hear others: which one is made next, and who waits for it."""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, Self

from audiometamer.dimensions.dimensions import Dimension
from audiometamer.dimensions.ladder import Ladder
from audiometamer.dimensions.ladder_files import read_moved_stimuli
from audiometamer.dimensions.moved import MovedStimulus
from audiometamer.errors import AudioMetamerError

_log = logging.getLogger(__name__)


class MoveRequest(NamedTuple):
    """A moved signal that a listener may need soon: a reference of the ladder, moved along a dimension by a change."""

    dimension: str
    reference: str
    change: float

    @classmethod
    def of(cls, dimension: str, reference: str, change: float) -> Self:
        """A request with the change rounded as in the names of files, to six digits."""
        return cls(dimension, reference, float(f"{change:g}"))

    @property
    def layer(self) -> str:
        """The layer of the dimension."""
        return Dimension.parse(self.dimension).layer

    def __str__(self) -> str:
        return f"{self.reference} along {self.dimension} by {self.change:g}"


class Mover(Protocol):
    """Makes moved signals, in this process (`audiometamer.exploration.model_mover`) or another (`…mover_process`).

    Parameters
    ----------
    batch_size : int
        The largest number of signals made together.
    """

    batch_size: int

    def __call__(self, requests: Sequence[MoveRequest]) -> list[MovedStimulus | str]:
        """Make signals of one layer and write them; a signal that cannot be made gives one line that says why. Never raises."""

    def close(self) -> None:
        """Make no more. May be called from another thread meanwhile, and several times; returns soon if possible."""


class RenderQueue:
    """Requests of many listeners for moved signals, passed to a mover in batches by a thread of its own.

    Signals are kept in a folder as in a ladder, where a later queue finds them. A signal that cannot be made is logged once, and
    the ladder takes its place. All methods may be called from any thread and return immediately, except `wait` and `close`.

    Parameters
    ----------
    mover : Mover
        Closed together with the queue; it writes into `folder`.
    ladder : Ladder
        Its references are moved.
    folder : path

    Raises
    ------
    AudioMetamerError
        If signals in the folder were made with other weights or dimensions.
    """

    def __init__(self, mover: Mover, ladder: Ladder, folder: Path) -> None:
        self.mover, self.ladder, self.folder = mover, ladder, folder
        self._made = {
            MoveRequest.of(stimulus.record.dimension, stimulus.record.clip, stimulus.record.requested): stimulus
            for stimulus in self._read_made()
        }
        self._waiting: dict[MoveRequest, dict[int, float]] = {}  # urgency by listener, in the order of the requests
        self._in_progress: set[MoveRequest] = set()
        self._failed: set[MoveRequest] = set()
        self._logged: set[str] = set()
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="render queue", daemon=True)
        self._thread.start()

    def want(self, request: MoveRequest, *, urgency: float = 0.0, listener: int = 0) -> None:
        """Request a signal for a listener, or update how urgent it is.

        Parameters
        ----------
        request : MoveRequest
        urgency : float
            Larger is sooner; equally urgent requests are served in their order. Default 0.
        listener : int
            Requests of other listeners for the same signal are independent. Default 0.

        Raises
        ------
        AudioMetamerError
            If the ladder has no such dimension or reference, or the change is not above 0.
        """
        self.ladder.nearest(*request)
        with self._changed:
            if request not in self._made and request not in self._failed and request not in self._in_progress:
                self._waiting.setdefault(request, {})[listener] = urgency
                self._changed.notify_all()

    def drop(self, request: MoveRequest, *, listener: int = 0) -> None:
        """Withdraw a listener's request; a signal that is in progress or requested by others is still made."""
        with self._changed:
            listeners = self._waiting.get(request, {})
            listeners.pop(listener, None)
            if not listeners:
                self._waiting.pop(request, None)
            self._changed.notify_all()

    def wait(self, request: MoveRequest, *, timeout: float = 0.0) -> MovedStimulus | None:
        """The signal once it is made; None if that takes too long, is impossible, or was not requested.

        Parameters
        ----------
        request : MoveRequest
        timeout : float
            Seconds. Default 0: only look.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or (request not in self._waiting and request not in self._in_progress), timeout
            )
            return self._made.get(request)

    def can_come(self, request: MoveRequest) -> bool:
        """Whether nothing is known that prevents the signal from being made."""
        with self._changed:
            return not self._closed and request not in self._failed

    def close(self) -> None:
        """Stop: nobody waits any longer, and signals in progress may be abandoned."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.mover.close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_made(self) -> list[MovedStimulus]:
        """The signals that an earlier queue made."""
        stimuli = read_moved_stimuli(self.folder)
        for record, path in stimuli:
            layer = Dimension.parse(record.dimension).layer
            expected = self.ladder.weights_sha256, self.ladder.dimensions_sha256.get(layer)
            if (record.weights_sha256, record.dimensions_sha256) != expected:
                raise AudioMetamerError(f"{path} was not made with the weights and dimensions of {self.ladder.folder}; delete it")
        return stimuli

    def _work(self) -> None:
        while batch := self._next_batch():
            self._finish(batch, self.mover(batch))

    def _next_batch(self) -> list[MoveRequest]:
        """Wait for requests, then take the most urgent one and others of its layer; none once the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting)
            if self._closed:
                return []
            in_order = sorted(self._waiting, key=lambda request: -max(self._waiting[request].values()))
            batch = [request for request in in_order if request.layer == in_order[0].layer][: self.mover.batch_size]
            for request in batch:
                del self._waiting[request]
            self._in_progress.update(batch)
            return batch

    def _finish(self, batch: Sequence[MoveRequest], results: Sequence[MovedStimulus | str]) -> None:
        with self._changed:
            for request, result in zip(batch, results, strict=True):
                if isinstance(result, MovedStimulus):
                    self._made[request] = result
                else:
                    self._failed.add(request)
                    self._log_once(request, result)
            self._in_progress.difference_update(batch)
            self._changed.notify_all()

    def _log_once(self, request: MoveRequest, reason: str) -> None:
        if reason not in self._logged and not self._closed:
            self._logged.add(reason)
            _log.error("could not move %s; the nearest of the ladder is taken for this and similar requests: %s", request, reason)
