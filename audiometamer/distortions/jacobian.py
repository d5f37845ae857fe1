"""The derivative of a layer at one signal, as products with vectors from either side."""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from audiometamer.cochleagram import Cochleagram
from audiometamer.distortions.spaces import EverySample, Space
from audiometamer.errors import AudioMetamerError, one_line
from audiometamer.models.model import Model
from audiometamer.models.recording import record


def check_same_signals(models: Sequence[Model]) -> None:
    """Raise an `AudioMetamerError` unless all models take signals of one sample rate and shape."""
    for model in models[1:]:
        if model.sample_rate != models[0].sample_rate:
            rates = f"{models[0].name} takes {models[0].sample_rate} Hz and {model.name} {model.sample_rate} Hz"
            raise AudioMetamerError(f"{rates}; give models of one sample rate")
        if model.signal_shape != models[0].signal_shape:
            raise AudioMetamerError(
                f"{models[0].name} takes signals of shape {models[0].signal_shape} and {model.name} of {model.signal_shape}"
            )


class Jacobian:
    """The derivative of a layer of a model at one signal, as products with vectors from either side.

    Parameters
    ----------
    model : Model
    signal : Tensor [shape=signal_shape]
    layer : str
    batch_size : int
        Vectors in one pass. Default 8.
    """

    def __init__(self, model: Model, signal: Tensor, layer: str, *, batch_size: int = 8) -> None:
        if batch_size < 1:
            raise AudioMetamerError(f"batch_size is {batch_size}; it must be at least 1")
        self.model, self.layer, self.batch_size = _truly_differentiated(model), layer, batch_size
        self.at = fitting(model, signal)
        self.inputs = self.at.numel()
        with torch.no_grad():
            self.units = self.activations(self.at[None]).numel()

    def times(self, tangents: Tensor) -> Tensor:
        """J v for rows v [shape=(k, inputs)]: [shape=(k, units)]."""
        products = []
        with _forward_mode(self.model.name):
            for rows in tangents.split(self.batch_size):
                # With gradients required, torch's transformers avoid their inference path, which has no derivatives.
                copies = self._copies(len(rows)).requires_grad_()
                signals = _with_tangent(copies, rows.view(-1, *self.at.shape))
                product = torch.autograd.forward_ad.unpack_dual(self.activations(signals)).tangent
                if product is None:
                    raise AudioMetamerError(f"layer {self.layer!r} does not depend on the signal by differentiable steps")
                products.append(product.detach())
        return torch.cat(products)

    def transposed_times(self, cotangents: Tensor) -> Tensor:
        """Jᵀ u for rows u [shape=(k, units)]: [shape=(k, inputs)]; with a single forward pass."""
        signals = self._copies(min(self.batch_size, len(cotangents))).requires_grad_()
        activations = self.activations(signals)
        if not activations.requires_grad:
            raise AudioMetamerError(f"layer {self.layer!r} does not depend on the signal by differentiable steps")
        products = []
        for rows in cotangents.split(len(signals)):
            weights = torch.cat([rows, rows.new_zeros(len(signals) - len(rows), self.units)])
            (product,) = torch.autograd.grad(activations, signals, weights, retain_graph=True)
            products.append(product[: len(rows)].flatten(1))
        return torch.cat(products)

    def _copies(self, number: int) -> Tensor:
        return self.at.expand(number, *self.at.shape).clone()

    def activations(self, signals: Tensor) -> Tensor:
        """The layer's activations for signals [shape=(k, *signal_shape)]: [shape=(k, units)]; gradients pass through."""
        with sdpa_kernel(SDPBackend.MATH):  # fused attention has no forward-mode derivative
            return record(self.model, signals, self.layer).flatten(1)


class Restricted:
    """J B: the derivative with respect to the coefficients of a space of changes.

    Parameters
    ----------
    jacobian : Jacobian
    space : Space, optional
        Default: all changes.
    """

    def __init__(self, jacobian: Jacobian, space: Space | None = None) -> None:
        self.space = space or EverySample(jacobian.inputs)
        if self.space.inputs != jacobian.inputs:
            raise AudioMetamerError(
                f"the space has signals of {self.space.inputs} values; {jacobian.model.name} takes {jacobian.inputs}"
            )
        self.jacobian, self.size, self.units = jacobian, self.space.size, jacobian.units

    def times(self, coefficients: Tensor) -> Tensor:
        """J B z for rows z [shape=(k, size)]: [shape=(k, units)]."""
        return self.jacobian.times(self.space.signals(coefficients))

    def transposed_times(self, cotangents: Tensor) -> Tensor:
        """Bᵀ Jᵀ u for rows u [shape=(k, units)]: [shape=(k, size)]."""
        return self.space.coefficients(self.jacobian.transposed_times(cotangents))

    def fisher(self, coefficients: Tensor) -> Tensor:
        """F z = Bᵀ Jᵀ J B z for rows z [shape=(k, size)], the Fisher matrix of the layer with white noise of variance 1."""
        return self.transposed_times(self.times(coefficients))

    def rows(self, units: Tensor) -> Tensor:
        """Rows of J B of given units [shape=(k,)]: [shape=(k, size)]."""
        vectors = self.jacobian.at.new_zeros(len(units), self.units)
        vectors[torch.arange(len(units)), units] = 1
        return self.transposed_times(vectors)

    def matrix(self) -> Tensor:
        """J B whole [shape=(units, size)], column by column."""
        return self.times(torch.eye(self.size, dtype=self.jacobian.at.dtype, device=self.jacobian.at.device)).T

    def active(self, generator: torch.Generator) -> Tensor:
        """Units that some change moves: only a row of zeros has a product of zero with normal noise."""
        noise = torch.randn(1, self.size, generator=generator, dtype=torch.float64).to(self.jacobian.at)
        return self.times(noise)[0].nonzero()[:, 0]


def _truly_differentiated(model: Model) -> Model:
    """The model itself, or a shallow copy whose cochleagram has its compression's true derivative."""
    if not isinstance(model.front_end, Cochleagram):
        return model
    changed = copy(model)
    changed._modules = model._modules | {"front_end": model.front_end.with_true_derivative()}
    return changed


def fitting(model: Model, signal: Tensor) -> Tensor:
    """A signal in the shape, the dtype and on the device of a model."""
    if signal.numel() != math.prod(model.signal_shape):
        raise AudioMetamerError(f"the signal has shape {tuple(signal.shape)}; {model.name} takes {model.signal_shape}")
    return signal.detach().to(dtype=model.dtype, device=model.device).reshape(model.signal_shape)


@contextmanager
def _forward_mode(name: str) -> Iterator[None]:
    """Enable forward-mode differentiation; report parts without it in one line."""
    try:
        with torch.autograd.forward_ad.dual_level():
            yield
    except NotImplementedError as error:
        raise AudioMetamerError(f"{name} has a part without a forward-mode derivative (jvp): {one_line(error)}") from error


def _with_tangent(signals: Tensor, tangents: Tensor) -> Tensor:
    """Attach tangents to signals."""
    with warnings.catch_warnings():
        # On first use torch scripts the derivatives of some operations with functions that it has deprecated itself.
        warnings.filterwarnings("ignore", message="`torch.jit.script` is (deprecated|not supported)")
        return torch.autograd.forward_ad.make_dual(signals, tangents)
