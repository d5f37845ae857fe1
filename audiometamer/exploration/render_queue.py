"""Moved signals made on the way, while listeners hear others: which are made next, and who waits for them."""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, Self

from audiometamer.dimensions.dimensions import Dimension
from audiometamer.dimensions.ladder import Ladder, MovedStimulus, read_moved_stimuli
from audiometamer.errors import AudioMetamerError

_log = logging.getLogger(__name__)


class MoveRequest(NamedTuple):
    """A moved signal that somebody may hear soon: a reference of the ladder, moved along a dimension by a change."""

    dimension: str
    reference: str
    change: float

    @classmethod
    def of(cls, dimension: str, reference: str, requested: float) -> Self:
        """The change rounded as files are named, to six digits."""
        return cls(dimension, reference, float(f"{requested:g}"))

    def __str__(self) -> str:
        return f"{self.reference} along {self.dimension} by {self.change:g}"


class Mover(Protocol):
    """Who makes moved signals, in this process (`audiometamer.exploration.model_mover`) or another (`…mover_process`).

    Parameters
    ----------
    batch_size : int
        Signals side by side at most.
    """

    batch_size: int

    def __call__(self, requests: Sequence[MoveRequest]) -> list[MovedStimulus | str]:
        """Make signals of one layer and write them; of each that cannot be made, a line that says why. It raises nothing."""

    def close(self) -> None:
        """Make no more. May be called from another thread meanwhile, and several times; it comes back soon if it can."""


class RenderQueue:
    """Has moved signals made for many listeners, one batch after the other; a thread waits for who makes them.

    What was made lies in its folder as in a ladder, and is found there by the next one. What cannot be made it tells once in the
    log, and leaves to the ladder. All methods may be called from any thread; they come back at once, but for `wait` and `close`.

    Parameters
    ----------
    mover : Mover
        Closed with this; it writes into `folder`.
    ladder : Ladder
        Whose references are moved.
    folder : path

    Raises
    ------
    AudioMetamerError
        If what lies in the folder was made with other weights or dimensions.
    """

    def __init__(self, mover: Mover, ladder: Ladder, folder: Path) -> None:
        self.mover, self.ladder, self.folder = mover, ladder, folder
        self._made = {
            MoveRequest.of(stimulus.record.dimension, stimulus.record.clip, stimulus.record.requested): stimulus
            for stimulus in self._found()
        }
        self._waiting: dict[MoveRequest, dict[int, float]] = {}  # how urgent for whom, in the order in which they were wished for
        self._in_the_making: set[MoveRequest] = set()
        self._in_vain: set[MoveRequest] = set()
        self._told: set[str] = set()
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="maker", daemon=True)
        self._thread.start()

    def want(self, dimension: str, reference: str, requested: float, *, urgency: float = 0.0, listener: int = 0) -> None:
        """Ask for a signal, or, if a listener has asked for it already, tell how urgent it is now.

        Parameters
        ----------
        dimension, reference : str
            Of the ladder.
        wished : float
            Above 0.
        urgency : float
            The larger the sooner; of two that are equally urgent, the one that was asked for first. Default 0.
        listener : int
            For whom; who else asks for it is not concerned. Default 0.

        Raises
        ------
        AudioMetamerError
            If the ladder has no such dimension or reference, or the change is not above 0.
        """
        self.ladder.nearest(dimension, reference, requested)
        request = MoveRequest.of(dimension, reference, requested)
        with self._changed:
            if request not in self._made and request not in self._in_vain and request not in self._in_the_making:
                self._waiting.setdefault(request, {})[listener] = urgency
                self._changed.notify_all()

    def drop(self, dimension: str, reference: str, requested: float, *, listener: int = 0) -> None:
        """Ask no more for a signal for a listener; if it is in the making, or others ask for it, it will be made."""
        request = MoveRequest.of(dimension, reference, requested)
        with self._changed:
            askers = self._waiting.get(request, {})
            askers.pop(listener, None)
            if not askers:
                self._waiting.pop(request, None)
            self._changed.notify_all()

    def wait(self, dimension: str, reference: str, requested: float, *, timeout: float = 0.0) -> MovedStimulus | None:
        """The signal, once it is made; None if it is not made in time, cannot be made, or is not asked for.

        Parameters
        ----------
        dimension, reference : str
        wished : float
        timeout : float
            Seconds. Default 0: only look.
        """
        request = MoveRequest.of(dimension, reference, requested)
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or (request not in self._waiting and request not in self._in_the_making), timeout
            )
            return self._made.get(request)

    def can_come(self, dimension: str, reference: str, requested: float) -> bool:
        """Whether nothing is known that keeps the signal from being made, whoever asks for it."""
        with self._changed:
            return not self._closed and MoveRequest.of(dimension, reference, requested) not in self._in_vain

    def close(self) -> None:
        """End; nobody waits any longer, and what is in the making may be left."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.mover.close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _found(self) -> list[MovedStimulus]:
        """What an earlier one made."""
        stimuli = read_moved_stimuli(self.folder)
        for record, path in stimuli:
            layer = Dimension.parse(record.dimension).layer
            expected = self.ladder.weights_sha256, self.ladder.dimensions_sha256.get(layer)
            if (record.weights_sha256, record.dimensions_sha256) != expected:
                raise AudioMetamerError(f"{path} was not made with the weights and dimensions of {self.ladder.folder}; delete it")
        return stimuli

    def _work(self) -> None:
        while batch := self._next():
            self._note(batch, self.mover(batch))

    def _next(self) -> list[MoveRequest]:
        """The most urgent wish and others of its layer, once there are any; none when this is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting)
            if self._closed:
                return []
            in_order = sorted(self._waiting, key=lambda request: -max(self._waiting[request].values()))
            layers = [Dimension.parse(request.dimension).layer for request in in_order]
            batch = [request for request, layer in zip(in_order, layers, strict=True) if layer == layers[0]][
                : self.mover.batch_size
            ]
            for request in batch:
                del self._waiting[request]
            self._in_the_making.update(batch)
            return batch

    def _note(self, batch: Sequence[MoveRequest], made: Sequence[MovedStimulus | str]) -> None:
        """What came of a batch."""
        with self._changed:
            for request, stimulus in zip(batch, made, strict=True):
                if isinstance(stimulus, MovedStimulus):
                    self._made[request] = stimulus
                else:
                    self._in_vain.add(request)
                    self._tell(request, stimulus)
            self._in_the_making.difference_update(batch)
            self._changed.notify_all()

    def _tell(self, request: MoveRequest, why: str) -> None:
        if why not in self._told and not self._closed:
            self._told.add(why)
            _log.error("could not move %s; the nearest of the ladder is taken for this and its like: %s", request, why)
