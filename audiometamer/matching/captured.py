"""Losses and gradients of a batch as one graph of fixed shape: traced once, then run, compiled or replayed at every step."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode
from torch.utils._pytree import tree_leaves

from audiometamer.errors import AudioMetamerError, first_line
from audiometamer.matching.losses import Activations

_WARM_UPS = 3  # runs before a capture, as PyTorch's notes on CUDA graphs advise


class FixedShape:
    """A function of parameters and targets to losses and gradients, as one graph of the batch's first shape.

    Rows of signals that have left the batch stay in the graph's inputs, as they were, and their results are left out. The trace
    holds everything: hooks, front end, network, loss and backward pass; nothing of Python runs in a step. On a GPU it is captured
    as a CUDA graph, one launch; elsewhere it is run node by node.

    Parameters
    ----------
    function : callable
        Parameters [shape=(batch, ...)] and target to losses [shape=(batch,)] and gradients [shape=(batch, ...)].
    parameters : Tensor [shape=(batch, ...)]
    target : Tensor [shape=(batch, ...)] or mapping of str to Tensor

    Raises
    ------
    AudioMetamerError
        If a shape or a branch depends on the values.
    """

    def __init__(self, function: Callable[..., Any], parameters: Tensor, target: Activations) -> None:
        self._names = None if isinstance(target, Tensor) else list(target)
        self._target = target
        self.inputs = [tensor.detach().clone() for tensor in (parameters, *self._tensors(target))]

        def flat(*inputs: Tensor) -> tuple[Tensor, Tensor]:
            targets = inputs[1] if self._names is None else dict(zip(self._names, inputs[1:], strict=True))
            losses, gradients = function(inputs[0], targets)
            return losses, gradients

        self.graph = trace(flat, self.inputs)
        run = partial(self.graph, *self.inputs)
        self._run = replayed(run) if parameters.device.type == "cuda" else run

    def _tensors(self, target: Activations) -> list[Tensor]:
        return [target] if isinstance(target, Tensor) else list(target.values())

    @torch.no_grad()
    def __call__(self, parameters: Tensor, target: Activations) -> tuple[Tensor, Tensor]:
        """Losses and gradients of signals [shape=(batch or fewer, ...)]."""
        n = len(parameters)
        changed = [] if target is self._target else self._tensors(target)
        for fixed, given in zip(self.inputs, (parameters, *changed), strict=False):
            fixed[:n].copy_(given)
        self._target = target
        losses, gradients = self._run()
        return losses[:n], gradients[:n]


class Captured:
    """`losses_and_gradients` with a `FixedShape` for each stage of forward pass and loss.

    Parameters
    ----------
    function : callable
        Forward pass, parameters, target and loss to losses and gradients.
    """

    def __init__(self, function: Callable[..., tuple[Tensor, Tensor]]) -> None:
        self._function = function
        self._graphs: dict[tuple[Any, Any], FixedShape] = {}

    def __call__(self, forward: Any, parameters: Tensor, target: Activations, *, loss: Any) -> tuple[Tensor, Tensor]:
        if (forward, loss) not in self._graphs:
            self._graphs[forward, loss] = FixedShape(partial(self._function, forward, loss=loss), parameters, target)
        return self._graphs[forward, loss](parameters, target)


def trace(function: Callable[..., Any], inputs: Sequence[Tensor]) -> GraphModule:
    """One graph of what a function, with its backward pass, does to tensors, without a value of theirs and without mutation.

    ``torch.compile(graph, fullgraph=True, dynamic=False)`` takes it whole.

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
        graph = traced(function)(*inputs)
    except (DataDependentOutputException, DynamicOutputShapeException, GuardOnDataDependentSymNode) as error:
        raise AudioMetamerError(f"{refusal}: {first_line(error)}") from error
    values = (value for node in graph.graph.nodes for value in tree_leaves(node.meta.get("val")) if isinstance(value, Tensor))
    if any(isinstance(size, torch.SymInt) for value in values for size in value.shape):
        raise AudioMetamerError(f"{refusal}: a size is a number of values of some kind")
    functional: GraphModule = traced(torch.func.functionalize(graph))(*inputs)
    return functional


def replayed(run: Callable[[], Sequence[Tensor]]) -> Callable[[], list[Tensor]]:
    """A function as a CUDA graph: each call replays the same kernels, on the same memory, and returns copies.

    Parameters
    ----------
    run : callable
        Tensors out of tensors that stay where they are.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream), torch.no_grad():
        for _ in range(_WARM_UPS):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph), torch.no_grad():
        outputs = run()

    def replay() -> list[Tensor]:
        graph.replay()
        return [output.clone() for output in outputs]

    return replay
