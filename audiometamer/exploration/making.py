"""Moved signals made on the way, while listeners hear others: in a thread, the most urgent first."""

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from audiometamer.devices import is_accelerator
from audiometamer.errors import AudioMetamerError, one_line
from audiometamer.exploration.dimensions import Dimension, Dimensions
from audiometamer.exploration.ladder import Ladder, Rung, read_rungs, save_moved
from audiometamer.exploration.moving import Move, Moved, move
from audiometamer.models import Model

_SIDE_BY_SIDE = 8  # on an accelerator; on a CPU little is won by it, and who waits for one signal waits for all
_log = logging.getLogger(__name__)


class Wish(NamedTuple):
    """A moved signal that somebody may hear soon: a reference of the ladder, moved along a dimension by a change."""

    dimension: str
    reference: str
    change: float

    @classmethod
    def of(cls, dimension: str, reference: str, wished: float) -> Self:
        """The change rounded as files are named, to six digits."""
        return cls(dimension, reference, float(f"{wished:g}"))

    def __str__(self) -> str:
        return f"{self.reference} along {self.dimension} by {self.change:g}"


class Maker:
    """Makes moved signals for many listeners, one batch after the other, in a thread of its own.

    What it made lies in its folder as in a ladder, and is found there by the next one. What it cannot make it tells once in the
    log, and leaves to the ladder. All methods may be called from any thread; they come back at once, but for `wait` and `close`.

    Parameters
    ----------
    model : Model
        On the device where it will compute; nobody else uses it meanwhile.
    dimensions : mapping of str to Dimensions
        By layer.
    ladder : Ladder
        Its references are moved, by its method and in as many steps.
    folder : path
    batch_size : int, optional
        Signals side by side at most. Default: 8 on an accelerator, 1 on a CPU, where those who wait would wait for all.

    Raises
    ------
    AudioMetamerError
        If model, dimensions and ladder do not belong together, or what lies in the folder is of others.
    """

    def __init__(
        self, model: Model, dimensions: Mapping[str, Dimensions], ladder: Ladder, folder: Path, *, batch_size: int | None = None
    ) -> None:
        ladder.check(dimensions)
        for layer in ladder.dimensions_sha256:
            dimensions[layer].check(model)
        self.model, self.dimensions, self.ladder, self.folder = model, dimensions, ladder, folder
        self.batch_size = batch_size or (_SIDE_BY_SIDE if is_accelerator(model.device) else 1)
        self._made = {Wish.of(rung.record.dimension, rung.record.clip, rung.record.wished): rung for rung in self._found()}
        self._waiting: dict[Wish, float] = {}  # with their urgency, in the order in which they were wished for
        self._in_the_making: set[Wish] = set()
        self._in_vain: set[Wish] = set()
        self._told: set[str] = set()
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="maker", daemon=True)
        self._thread.start()

    def want(self, dimension: str, reference: str, wished: float, *, urgency: float = 0.0) -> None:
        """Ask for a signal, or, if it is asked for already, tell how urgent it is now.

        Parameters
        ----------
        dimension, reference : str
            Of the ladder.
        wished : float
            Above 0.
        urgency : float
            The larger the sooner; of two that are equally urgent, the one that was asked for first. Default 0.

        Raises
        ------
        AudioMetamerError
            If the ladder has no such dimension or reference, or the change is not above 0.
        """
        self.ladder.nearest(dimension, reference, wished)
        wish = Wish.of(dimension, reference, wished)
        with self._changed:
            if wish not in self._made and wish not in self._in_vain and wish not in self._in_the_making:
                self._waiting[wish] = urgency
                self._changed.notify_all()

    def drop(self, dimension: str, reference: str, wished: float) -> None:
        """Ask no more for a signal that nobody waits for; if it is in the making, it will be made."""
        with self._changed:
            self._waiting.pop(Wish.of(dimension, reference, wished), None)
            self._changed.notify_all()

    def wait(self, dimension: str, reference: str, wished: float, *, timeout: float = 0.0) -> Rung | None:
        """The signal, once it is made; None if it is not made in time, cannot be made, or is not asked for.

        Parameters
        ----------
        dimension, reference : str
        wished : float
        timeout : float
            Seconds. Default 0: only look.
        """
        wish = Wish.of(dimension, reference, wished)
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or (wish not in self._waiting and wish not in self._in_the_making), timeout
            )
            return self._made.get(wish)

    def comes(self, dimension: str, reference: str, wished: float) -> bool:
        """Whether the signal is made, or will be: it is asked for, and nothing is known that prevents it."""
        wish = Wish.of(dimension, reference, wished)
        with self._changed:
            return not self._closed and (wish in self._made or wish in self._waiting or wish in self._in_the_making)

    def close(self) -> None:
        """End the thread, after the batch that it is making; nobody waits any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _found(self) -> list[Rung]:
        """What an earlier one made."""
        rungs = read_rungs(self.folder)
        for record, path in rungs:
            layer = Dimension.parse(record.dimension).layer
            expected = self.ladder.weights_sha256, self.ladder.dimensions_sha256.get(layer)
            if (record.weights_sha256, record.dimensions_sha256) != expected:
                raise AudioMetamerError(f"{path} was not made with the weights and dimensions of {self.ladder.folder}; delete it")
        return rungs

    def _work(self) -> None:
        while batch := self._next():
            self._make(batch)

    def _next(self) -> list[Wish]:
        """The most urgent wish and others of its layer, once there are any; none when this is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting)
            if self._closed:
                return []
            in_order = sorted(self._waiting, key=lambda wish: -self._waiting[wish])
            layers = [Dimension.parse(wish.dimension).layer for wish in in_order]
            batch = [wish for wish, layer in zip(in_order, layers, strict=True) if layer == layers[0]][: self.batch_size]
            for wish in batch:
                del self._waiting[wish]
            self._in_the_making.update(batch)
            return batch

    def _make(self, batch: Sequence[Wish]) -> None:
        """Make signals together; if that fails, each by itself."""
        try:
            made = [save_moved(self.model, moved, self.folder) for moved in self._moved(batch)]
        except Exception as error:  # noqa: BLE001 (whatever it is, listeners go on with the ladder)
            if len(batch) > 1:
                for wish in batch:
                    self._make([wish])
            else:
                self._failed(batch[0], error)
            return
        with self._changed:
            self._made |= zip(batch, made, strict=True)
            self._in_the_making.difference_update(batch)
            self._changed.notify_all()

    def _moved(self, batch: Sequence[Wish]) -> list[Moved]:
        record = self.ladder.all[0].record
        moves = [Move(self.ladder.clip(wish.reference), Dimension.parse(wish.dimension), wish.change) for wish in batch]
        return move(self.model, self.dimensions, moves, method=record.method, steps=record.steps, batch_size=len(batch))

    def _failed(self, wish: Wish, error: Exception) -> None:
        if (told := one_line(error) or type(error).__name__) not in self._told:
            self._told.add(told)
            _log.error("could not move %s; the nearest of the ladder is taken for this and its like: %s", wish, told)
        with self._changed:
            self._in_vain.add(wish)
            self._in_the_making.discard(wish)
            self._changed.notify_all()
