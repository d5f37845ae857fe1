"""Steps of a batch as graphs of fixed shape: each kind of step is traced once, then run, compiled or replayed."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Self, TypeVar

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode
from torch.utils._pytree import tree_leaves

from audiometamer.errors import AudioMetamerError, first_line
from audiometamer.matching.batch import Batch, FixedBatch, MatchState
from audiometamer.matching.descent import Descent, Taken, for_each
from audiometamer.matching.losses import Activations
from audiometamer.matching.optimizers import Optimizer, numbers_of
from audiometamer.matching.stages import at

_R = TypeVar("_R")
_WARM_UPS = 3  # runs before a capture, as PyTorch's notes on CUDA graphs advise


class _Fixed(NamedTuple):
    """Tensors that stay where they are: whatever a step reads, and writes."""

    parameters: Tensor
    moving: Tensor
    number: Tensor  # of the next step, [shape=(1,)]
    numbers: Tensor  # of all steps of the optimiser, [shape=(steps, most)]
    target: Activations
    memory: dict[str, Tensor]

    def tensors(self) -> list[Tensor]:
        return [self.parameters, self.moving, self.number, self.numbers, *_tensors(self.target), *self.memory.values()]

    def like(self, tensors: Sequence[Tensor]) -> "_Fixed":
        """The same with other tensors, in the order of `tensors`."""
        parameters, moving, number, numbers, *others = tensors
        rest = iter(others)
        target = next(rest) if isinstance(self.target, Tensor) else {name: next(rest) for name in self.target}
        return _Fixed(parameters, moving, number, numbers, target, {name: next(rest) for name in self.memory})


class Graphs:
    """The steps of matches of one kind, as graphs of one shape.

    A graph holds everything: hooks, front end, network, loss, backward pass, optimiser and bounds; nothing of Python runs in it.
    Rows of signals that have stopped, or that no match has filled, stay in the batch and are not moved. On an NVIDIA GPU a graph
    is captured, and a step is one launch; elsewhere it is run node by node.

    Parameters
    ----------
    size : int, optional
        Rows of the batch. Default: as many as the first match has signals.
    beside : Graphs, optional
        Others that are never run at the same time: on a GPU they share their working memory. Default: none.
    """

    def __init__(self, size: int | None = None, *, beside: "Graphs | None" = None) -> None:
        self.size = size
        self._pool: list[Any] = [] if beside is None else beside._pool  # the handle, once there is one
        self._descent: Descent | None = None
        self._fixed: _Fixed | None = None
        self._runs: dict[Hashable, Callable[[], _Outputs]] = {}

    def of(self, descent: Descent) -> Self:
        """These graphs, of the first descent that they are of: later ones must do the same."""
        self._descent = self._descent or descent
        return self

    @torch.no_grad()
    def begin(self, state: MatchState, target: Activations, steps: int) -> FixedBatch:
        """Signals before one of their steps, in the first rows of the fixed tensors; see `Descent.begin`."""
        assert self._descent is not None
        n, device = len(state.parameters), state.parameters.device
        self.size = self.size or n
        given = _Fixed(
            _filled_up(state.parameters, self.size),
            torch.arange(self.size, device=device) < n,
            torch.tensor([state.step], device=device),
            _table(self._descent.optimizer, steps).to(state.parameters),
            for_each(partial(_filled_up, size=self.size), target),
            {name: _filled_up(tensor, self.size) for name, tensor in state.optimizer_state.items()},
        )
        self._fixed = fixed = self._fixed or given
        for old, new in zip(fixed.tensors(), given.tensors(), strict=True):
            old.copy_(new)
        batch = FixedBatch.resume(state, fixed.target, steps, moving=fixed.moving)
        batch.parameters, batch.optimizer_state = fixed.parameters, fixed.memory
        return batch

    def take(self, step: int, batch: Batch, *, keep: bool) -> Taken:
        """Take a step; see `Descent.take`."""
        assert self._descent is not None
        assert self._fixed is not None
        before = batch.parameters.clone() if keep else batch.parameters
        kind, numbers = numbers_of(self._descent.optimizer, step)
        key = id(at(self._descent.forward, step)), id(at(self._descent.loss, step)), kind if numbers is not None else None
        if key not in self._runs:
            self._runs[key] = _Step(self._descent, self._fixed, step).run(self._pool)
        with torch.no_grad():
            losses, activations, gradients = self._runs[key]()
            if gradients is not None:
                fixed = self._fixed
                _write(fixed, *self._descent.moved(step, fixed.parameters, gradients, fixed.memory))
        return Taken(losses, activations, before)


class _Outputs(NamedTuple):
    """What a graph leaves behind; gradients only where the optimiser is not in it."""

    losses: Tensor
    activations: Activations
    gradients: Tensor | None


class _Step:
    """One kind of step.

    Parameters
    ----------
    descent : Descent
    fixed : _Fixed
        Its tensors, which the step reads and writes.
    step : int
        Number of a step of this kind.
    """

    def __init__(self, descent: Descent, fixed: _Fixed, step: int) -> None:
        self.descent, self.fixed, self.step = descent, fixed, step
        self.kind, numbers = numbers_of(descent.optimizer, step)
        self.moves = numbers is not None
        self.names: list[str] | None = None  # of the activations

    def run(self, pool: list[Any]) -> Callable[[], _Outputs]:
        """A function that takes the step; nothing of Python runs in it, and on a GPU it is one launch."""
        inputs = self.fixed.tensors()
        graph = trace(self.flat, inputs)

        def run() -> _Outputs:
            return self.written(graph(*inputs))

        if self.fixed.parameters.device.type == "cuda":
            pool[:] = pool or [torch.cuda.graph_pool_handle()]
            return replayed(run, warm_up=partial(graph, *inputs), pool=pool[0])
        return run

    def flat(self, *inputs: Tensor) -> list[Tensor]:
        """Losses, activations, and then gradients, or parameters and memory after the step."""
        fixed = self.fixed.like(inputs)
        values = self.descent.values(self.step, fixed.parameters, fixed.target)
        self.names = None if isinstance(values.activations, Tensor) else list(values.activations)
        outputs = [values.losses, *_tensors(values.activations)]
        if self.moves:
            numbers = fixed.numbers.index_select(0, fixed.number).unbind(1)
            step = self.kind, [number.squeeze(0) for number in numbers]
            moved, memory = self.descent.moved(step, fixed.parameters, values.gradients, fixed.memory)
            outputs += [_where(fixed.moving, moved, fixed.parameters), *(memory[name] for name in fixed.memory)]
        else:
            outputs.append(values.gradients)
        read = {_storage(tensor) for tensor in inputs}  # what is written must not be what is still to be read
        return [output.clone() if _storage(output) in read else output for output in outputs]

    def written(self, outputs: Sequence[Tensor]) -> _Outputs:
        """Write what a graph has returned into the fixed tensors."""
        losses, *rest = outputs
        if self.names is None:
            activations: Activations = rest.pop(0)
        else:
            activations = {name: rest.pop(0) for name in self.names}
        if not self.moves:
            return _Outputs(losses, activations, rest[0])
        moved, *memory = rest
        for old, new in zip(self.fixed.tensors()[-len(memory) :] if memory else [], memory, strict=True):
            old.copy_(new)
        self.fixed.parameters.copy_(moved)
        self.fixed.number.add_(1)
        return _Outputs(losses, activations, None)


def _write(fixed: _Fixed, moved: Tensor, memory: Mapping[str, Tensor]) -> None:
    """Write parameters and memory after a step that no graph has taken."""
    after = {name: memory[name].clone() for name in fixed.memory}
    fixed.parameters.copy_(_where(fixed.moving, moved, fixed.parameters))
    for name, tensor in after.items():
        fixed.memory[name].copy_(tensor)


def _where(moving: Tensor, moved: Tensor, still: Tensor) -> Tensor:
    """Rows that are moved, and the others where they are."""
    return torch.where(moving.view(-1, *[1] * (still.ndim - 1)), moved, still)


def _tensors(activations: Activations) -> list[Tensor]:
    return [activations] if isinstance(activations, Tensor) else list(activations.values())


def _filled_up(tensor: Tensor, size: int) -> Tensor:
    """A copy with so many rows, those beyond its own like its last."""
    return torch.cat([tensor.detach(), *[tensor[-1:].detach()] * (size - len(tensor))])


def _table(optimizer: Optimizer, steps: int) -> Tensor:
    """The numbers of every step, [shape=(steps, most)], filled up with zeros."""
    rows = [torch.tensor(numbers_of(optimizer, step)[1] or (), dtype=torch.float64) for step in range(steps)]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def trace(function: Callable[..., Any], inputs: Sequence[Tensor]) -> GraphModule:
    """One graph of what a function, with its backward pass, does to tensors, without a value of theirs.

    ``torch.compile(…, fullgraph=True)`` takes it whole once `torch.func.functionalize` has taken out what is done in place.

    Parameters
    ----------
    function : callable
        Tensors to a tuple of tensors.
    inputs : sequence of Tensor
        Examples, for their shapes, dtypes and device.

    Raises
    ------
    AudioMetamerError
        If a shape or a branch depends on the values.

    Examples
    --------
    >>> graph = trace(lambda x: (x.square().sum(1),), [torch.zeros(2, 3)])
    >>> graph(torch.ones(2, 3))[0].tolist()
    [3.0, 3.0]
    """
    function(*map(torch.zeros_like, inputs))  # what is built at the first call, such as filters, holds values
    traced = partial(make_fx, tracing_mode="fake", _allow_non_fake_inputs=True)
    refusal = "a step whose shapes or branches depend on values cannot be captured"
    try:
        graph: GraphModule = traced(function)(*inputs)
    except (DataDependentOutputException, DynamicOutputShapeException, GuardOnDataDependentSymNode) as error:
        raise AudioMetamerError(f"{refusal}: {first_line(error)}") from error
    values = (value for node in graph.graph.nodes for value in tree_leaves(node.meta.get("val")) if isinstance(value, Tensor))
    if any(isinstance(size, torch.SymInt) for value in values for size in value.shape):
        raise AudioMetamerError(f"{refusal}: a size is a number of values of some kind")
    return graph


def replayed(run: Callable[[], _R], *, warm_up: Callable[[], object], pool: Any = None) -> Callable[[], _R]:
    """A function as a CUDA graph: each call launches the same kernels, which leave their results in the same tensors.

    Parameters
    ----------
    run : callable
        Tensors out of tensors that stay where they are.
    warm_up : callable
        The same without its effects, called before the capture.
    pool : optional
        Handle of the memory that it works in; see `torch.cuda.graph_pool_handle`. Default: its own.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream), torch.no_grad():
        for _ in range(_WARM_UPS):
            warm_up()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool), torch.no_grad():
        outputs = run()

    def replay() -> _R:
        graph.replay()
        return outputs

    return replay
