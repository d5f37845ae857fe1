"""Forward passes to the layers that are matched: folded, with a gentler compression, compiled if asked for."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from audiometamer.cochleagram import Cochleagram
from audiometamer.metamers import compiled as compilation
from audiometamer.metamers.readings import reading
from audiometamer.metamers.settings import places
from audiometamer.models.activations import Tap, record_taps
from audiometamer.models.folding import faster_copy, shallow_copy
from audiometamer.models.front_ends import with_coarser_front_end
from audiometamer.models.model import Model
from audiometamer.networks.octave_cochleagram import OctaveCochleagram
from audiometamer.networks.texture_network import TextureNetwork

if TYPE_CHECKING:
    from audiometamer.matching.captured import Graphs


@dataclass(frozen=True)
class LayerPass:
    """The forward pass that is matched.

    Parameters
    ----------
    activations : callable
        Signals [shape=(batch, *signal_shape)] to activations by place.
    unrectified : list of str
        Places whose silent units are read below zero.
    """

    activations: Callable[[Tensor], dict[str, Tensor]]
    unrectified: list[str]

    def rectified(self, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Activations as the network has them, without gradients."""
        return {place: a.detach().relu() if place in self.unrectified else a.detach() for place, a in found.items()}


@contextmanager
def layer_pass(model: Model, layer: str, *, unrectified: bool, compiled: bool) -> Iterator[LayerPass]:
    """Prepare the forward pass of a model to a layer, or to several at the same time.

    Parameters
    ----------
    model : Model
    layer : str
    unrectified : bool
        See `audiometamer.metamers.readings.reading`.
    compiled : bool
        Whether to compile the network; not for places in the front end.
    """
    readings = {place: reading(model, place, unrectified=unrectified) for place in places(layer)}
    taps = {name: tap for each in readings.values() for name, tap in each.taps.items()}
    with ExitStack() as stack:
        forward: Callable[[Tensor], dict[str, Tensor]] = partial(model.activations, taps=taps)
        if compiled and all(tap.path.startswith("network.") for tap in taps.values()):
            forward = stack.enter_context(compilation.compiled(model, taps))

        def activations(signals: Tensor) -> dict[str, Tensor]:
            found = forward(signals)
            return {place: each.read(found) for place, each in readings.items()}

        yield LayerPass(activations, [place for place, each in readings.items() if each.unrectified])


class Passes:
    """Forward passes of a model, each prepared once and kept until the block ends.

    Parameters
    ----------
    model : Model
    unrectified, compiled : bool
        As for `layer_pass`.
    """

    def __init__(self, model: Model, *, unrectified: bool, compiled: bool) -> None:
        self._model, self._unrectified, self._compiled = model, unrectified, compiled
        self._stack = ExitStack()
        self._folded: dict[str, Model] = {}
        self._passes: dict[tuple[str, float, float | None], LayerPass] = {}
        self._graphs: dict[tuple[Hashable, int], Graphs] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def folded(self, layer: str) -> Model:
        """A copy of the model with the batch norms before a layer folded into its convolutions."""
        if layer not in self._folded:
            self._folded[layer] = faster_copy(self._model, places(layer))
        return self._folded[layer]

    def to(self, layer: str, gradient_clip: float = 1.0, oversampling: float | None = None) -> LayerPass:
        """The forward pass to a layer.

        Parameters
        ----------
        layer : str
        gradient_clip : float
            Factor on the largest derivative of the compression; see `Attempt`. Default 1.
        oversampling : float, optional
            Grid of cochleagrams that have a finer one. Default: their own.
        """
        key = (layer, gradient_clip, oversampling)
        if key not in self._passes:
            model = self.folded(layer)
            if oversampling is not None:
                model = with_coarser_front_end(model, oversampling)
            model = self._clipped(model, gradient_clip)
            if self._compiled and model is self._model:
                model = shallow_copy(model)
            prepared = layer_pass(model, layer, unrectified=self._unrectified, compiled=self._compiled)
            self._passes[key] = self._stack.enter_context(prepared)
        return self._passes[key]

    @contextmanager
    def graphs(self, kind: Hashable, signals: int) -> "Iterator[Graphs]":
        """The graphs of the steps of one kind, of a power of two of rows; given up when memory runs out.

        Parameters
        ----------
        kind : hashable
            What the forward pass, loss and optimiser depend on.
        signals : int
            Number of them in the batch.
        """
        from audiometamer.matching.captured import Graphs  # torch's tracer is slow to import

        size = 1 << (signals - 1).bit_length()
        if (kind, size) not in self._graphs:
            self._graphs[kind, size] = Graphs(size, beside=next(iter(self._graphs.values()), None))
        try:
            yield self._graphs[kind, size]
        except torch.OutOfMemoryError:
            self._graphs.clear()
            raise

    def _clipped(self, model: Model, gradient_clip: float) -> Model:
        """A copy whose compression has a smaller largest derivative, if it has one and can be copied."""
        front_end, network = model.front_end, model.network
        has_clip = isinstance(front_end, Cochleagram | OctaveCochleagram)
        if gradient_clip == 1 or not (has_clip or isinstance(network, TextureNetwork)):
            return model
        copy = shallow_copy(model)
        if copy is not model:
            if isinstance(front_end, Cochleagram | OctaveCochleagram):
                copy.front_end = front_end.with_gradient_clip(gradient_clip)
            if isinstance(copy.network, TextureNetwork):
                copy.network.clip_gradients(gradient_clip)
        return copy


def activations_and_logits(
    model: Model, signals: Tensor, names: Sequence[str], *, optional: Sequence[str] = ()
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Activations by layer and logits by task, from one forward pass without gradients.

    Parameters
    ----------
    model : Model
    signals : Tensor [shape=(batch, *signal_shape)]
    names : sequence of str
        Layers.
    optional : sequence of str
        More layers, which are left out where these signals have no activations there. Default: none.
    """
    taps: dict[str, Tap] = {layer: model.tap(layer) for layer in dict.fromkeys([*optional, *names])}
    outputs: list[object] = []
    with torch.no_grad():
        found = record_taps(
            model, lambda: outputs.append(model(signals)), taps, optional=set(optional) - set(names), stop_early=False
        )
        activations = {layer: model.unflatten_items(layer, taps[layer], whole, len(signals)) for layer, whole in found.items()}
        return activations, model.logits(outputs[0])
