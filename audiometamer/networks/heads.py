"""Read-outs: one linear layer, or several side by side, one for each task."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from audiometamer.errors import AudioMetamerError

Outputs = int | Mapping[str, int]
_MAX_SIZE = 100_000  # filters or frames of a cochleagram


def checked_shape(shape: Sequence[int]) -> tuple[int, int]:
    """The shape of a cochleagram, (filters, frames); cards give it as a list.

    Raises
    ------
    AudioMetamerError
        If the shape is not two integers from 1 to 100,000.
    """
    if len(shape) != 2 or not all(isinstance(n, int) and 1 <= n <= _MAX_SIZE for n in shape):
        raise AudioMetamerError(f"cochleagram_shape is {list(shape)}; it must be (filters, frames), each from 1 to {_MAX_SIZE}")
    return shape[0], shape[1]


class Heads(nn.ModuleDict):
    """Linear read-outs side by side, by task: ``{"word": 794, "speaker": 433}``.

    Their state-dict keys are ``<task>.weight`` and ``<task>.bias``; the output is a dict of tensors [shape=(batch, classes)].

    Raises
    ------
    AudioMetamerError
        If a task has the name of an attribute of every module, such as ``keys``, or contains a dot.
    """

    def __init__(self, n_features: int, outputs: Mapping[str, int]) -> None:
        super().__init__()
        for task, n in outputs.items():
            try:
                self[task] = nn.Linear(n_features, n)
            except KeyError as error:  # a dot, or the name of an attribute of modules
                raise AudioMetamerError(f"a task cannot be called {task!r}: {error.args[0]}") from error

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {task: head(x) for task, head in self.items()}


def read_out(n_features: int, outputs: Outputs) -> nn.Linear | Heads:
    """A single linear read-out for a number of classes, `Heads` for a mapping of tasks to numbers of classes."""
    return nn.Linear(n_features, outputs) if isinstance(outputs, int) else Heads(n_features, outputs)


def read_out_layers(module_name: str, outputs: Outputs) -> dict[str, str]:
    """Published names of the read-out's layers: ``final``, or ``final/<task>`` for each task."""
    if isinstance(outputs, int):
        return {"final": module_name}
    return {f"final/{task}": f"{module_name}.{task}" for task in outputs}
