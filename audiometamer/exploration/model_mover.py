"""Moved signals made by a model in this process, and written into a folder as in a ladder."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from audiometamer.devices import choose_device, is_accelerator
from audiometamer.dimensions.dimensions import Dimension, Dimensions, load_all
from audiometamer.dimensions.ladder import Ladder, read_ladder
from audiometamer.dimensions.ladder_files import save_moved
from audiometamer.dimensions.moved import Move, Moved, MovedStimulus
from audiometamer.dimensions.moving import move
from audiometamer.errors import one_line
from audiometamer.exploration.render_queue import MoveRequest
from audiometamer.models.loading import load_model
from audiometamer.models.model import Model

_SIDE_BY_SIDE = 8  # on an accelerator; on a CPU little is won by it, and who waits for one signal waits for all


class ModelMover:
    """Implements `audiometamer.exploration.render_queue.Mover`.

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
        Default: 8 on an accelerator, 1 on a CPU, where those who wait would wait for all.

    Raises
    ------
    AudioMetamerError
        If model, dimensions and ladder do not belong together.
    """

    def __init__(
        self, model: Model, dimensions: Mapping[str, Dimensions], ladder: Ladder, folder: Path, *, batch_size: int | None = None
    ) -> None:
        ladder.check(dimensions)
        for layer in ladder.dimensions_sha256:
            dimensions[layer].check(model)
        self.model, self.dimensions, self.ladder, self.folder = model, dimensions, ladder, folder
        self.batch_size = batch_size or (_SIDE_BY_SIDE if is_accelerator(model.device) else 1)

    def __call__(self, requests: Sequence[MoveRequest]) -> list[MovedStimulus | str]:
        """Make signals together; if that fails, each by itself."""
        try:
            return [save_moved(self.model, moved, self.folder) for moved in self._moved(requests)]
        except Exception as error:  # noqa: BLE001 (whatever it is, listeners go on with the ladder)
            if len(requests) == 1:
                return [one_line(error) or type(error).__name__]
            return [made for request in requests for made in self([request])]

    def close(self) -> None:
        """Nothing is left to be done."""

    def _moved(self, requests: Sequence[MoveRequest]) -> list[Moved]:
        record = self.ladder.all[0].record
        moves = [
            Move(self.ladder.clip(request.reference), Dimension.parse(request.dimension), request.change) for request in requests
        ]
        return move(
            self.model, self.dimensions, moves, method=record.method, steps=record.steps, batch_size=len(moves), check=False
        )  # they were checked when the model was opened


def open_model_mover(model: str, device: str, *, dimensions: Path, ladder: Path, folder: Path) -> ModelMover:
    """The same, by the name of the model and of its device and from folders: all that another process can be told.

    Raises
    ------
    AudioMetamerError
        If the model cannot be loaded, or there is no such device; and as `ModelMover`, `load_all` and `read_ladder`.
    """
    return ModelMover(load_model(model).to(choose_device(device)), load_all(dimensions), read_ladder(ladder), folder)
