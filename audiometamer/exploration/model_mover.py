"""Make moved signals with a model in this process, and write them into a folder as in a ladder."""

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

_BATCH_SIZE = 8  # on an accelerator; on a CPU a batch is hardly faster, and every listener waits for all of it


class ModelMover:
    """Implements `audiometamer.exploration.render_queue.Mover`.

    Parameters
    ----------
    model : Model
        On the device on which it computes; nobody else may use it meanwhile.
    dimensions : mapping of str to Dimensions
        Dimensions by layer.
    ladder : Ladder
        Its references are moved, with its method and number of steps.
    folder : path
    batch_size : int, optional
        Default: 8 on an accelerator, 1 on a CPU.

    Raises
    ------
    AudioMetamerError
        If the model, the dimensions and the ladder do not belong together.
    """

    def __init__(
        self, model: Model, dimensions: Mapping[str, Dimensions], ladder: Ladder, folder: Path, *, batch_size: int | None = None
    ) -> None:
        ladder.check(dimensions)
        for layer in ladder.dimensions_sha256:
            dimensions[layer].check(model)
        self.model, self.dimensions, self.ladder, self.folder = model, dimensions, ladder, folder
        self.batch_size = batch_size or (_BATCH_SIZE if is_accelerator(model.device) else 1)

    def __call__(self, requests: Sequence[MoveRequest]) -> list[MovedStimulus | str]:
        """Make signals in one batch; if that fails, each alone."""
        try:
            return [save_moved(self.model, moved, self.folder) for moved in self._moved(requests)]
        except Exception as error:  # noqa: BLE001 (whatever it is, listeners continue with the ladder)
            if len(requests) == 1:
                return [one_line(error) or type(error).__name__]
            return [made for request in requests for made in self([request])]

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def _moved(self, requests: Sequence[MoveRequest]) -> list[Moved]:
        record = self.ladder.all[0].record
        moves = [
            Move(self.ladder.clip(request.reference), Dimension.parse(request.dimension), request.change) for request in requests
        ]
        return move(
            self.model, self.dimensions, moves, method=record.method, steps=record.steps, batch_size=len(moves), check=False
        )  # checked when the model was opened


def open_model_mover(model: str, device: str, *, dimensions: Path, ladder: Path, folder: Path) -> ModelMover:
    """A mover from names and folders, which can be sent to another process.

    Raises
    ------
    AudioMetamerError
        If the model cannot be loaded, or there is no such device; and as `ModelMover`, `load_all` and `read_ladder`.
    """
    return ModelMover(load_model(model).to(choose_device(device)), load_all(dimensions), read_ladder(ladder), folder)
