"""A faster copy of a model for the many passes of a synthesis: the same function of the signal, with less memory traffic.

Batch normalisation in eval mode is a scale and an offset of each channel. Where it follows a convolution directly, and nothing
else uses the convolution's output, both are folded into the convolution's weights. Wide two-dimensional convolutions are laid
out with channels last, the layout that the libraries under torch prefer, and one with few input channels gets its gradient by a
matrix product. Values change by rounding only.
"""

import copy
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from audiometamer.errors import AudioMetamerWarning
from audiometamer.models.activations import first_input
from audiometamer.models.model import Model
from audiometamer.models.recording import record

# From this median number of channels on, channels last was faster on a CPU (full-size networks by 5 to 35 %); with the 16 to 64
# channels of the compact ones it was slower by up to 40 %.
_WIDE = 64
# Up to this number of input channels the gradient is a matrix product: 4 times as fast with one (3 ms for 12).
_FEW = 4

Size = tuple[int, int]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def faster_copy(model: Model, layers: Sequence[str] | str) -> Model:
    """A copy of a model whose activations at some layers equal the model's up to rounding, and take less time.

    Parameters
    ----------
    model : Model
        Stays as it is; the copy shares its tensors, except for those that differ.
    layers : sequence of str, or str
        Layers after them, and modules that are folded before them, may differ in the copy.

    Returns
    -------
    Model
        The model itself if there is nothing to gain, or, with a warning, if it cannot be copied.
    """
    trace = _Trace.of(model, [layers] if isinstance(layers, str) else layers)
    pairs = trace.foldable()
    channels = [m.out_channels for path in trace.outputs if isinstance(m := model.get_submodule(path), nn.Conv2d)]
    wide = bool(channels) and median(channels) >= _WIDE
    if not pairs and not wide:
        return model
    fast = shallow_copy(model)
    if fast is model:
        return model
    for convolution, norm in pairs:
        both = cast(nn.Conv2d, fast.get_submodule(convolution)), cast(nn.BatchNorm2d, fast.get_submodule(norm))
        fast.set_submodule(convolution, fuse_conv_bn_eval(*both).requires_grad_(False))
        fast.set_submodule(norm, nn.Identity())
    for path in trace.outputs if wide else ():
        if isinstance(module := fast.get_submodule(path), nn.Conv2d):
            _lay_out(module)
    return fast


def shallow_copy(model: Model, replaced: Mapping[nn.Module, nn.Module] | None = None) -> Model:
    """A copy of a model that shares its front end and all its tensors; the model itself, with a warning, if that fails.

    Parameters
    ----------
    model : Model
    replaced : mapping of Module to Module, optional
        Modules of the model, the front end perhaps, to those that take their place in the copy. Default: none.
    """
    shared: dict[int, Any] = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    if replaced:
        shared |= {id(module): other for module, other in replaced.items()}
    elif model.front_end is not None:
        shared[id(model.front_end)] = model.front_end
    try:
        return copy.deepcopy(model, shared)
    except (TypeError, RuntimeError, AttributeError) as error:  # what uncopyable objects raise
        warnings.warn(f"{model.name} cannot be copied ({error}), so it is matched as it is", AudioMetamerWarning, stacklevel=2)
        return model


def _lay_out(module: nn.Conv2d) -> None:
    """Put the channels of a convolution last; if its input has few, give it the backward pass of `_FewChannels`."""
    module.weight = nn.Parameter(module.weight.contiguous(memory_format=torch.channels_last), requires_grad=False)
    numeric = module.padding_mode == "zeros" and not isinstance(module.padding, str)
    if module.in_channels <= _FEW and module.groups == 1 and numeric:

        def convolved(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            out: Tensor = _FewChannels.apply(x, weight, bias, module.stride, module.padding, module.dilation)
            return out

        module._conv_forward = convolved  # type: ignore[method-assign, assignment]  # of this one object


class _FewChannels(torch.autograd.Function):
    """A convolution whose gradient at its input is a matrix product and a sum of overlapping patches."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Size, padding: Size, dilation: Size) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.size, ctx.options = x.shape[2:], {"stride": stride, "padding": padding, "dilation": dilation}
        return nn.functional.conv2d(x, weight, bias, **ctx.options)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        (weight,) = ctx.saved_tensors
        patches = weight.flatten(1).T @ gradient.flatten(2)
        return nn.functional.fold(patches, ctx.size, weight.shape[2:], **ctx.options), None, None, None, None, None


@dataclass
class _Trace:
    """Outputs of convolutions and inputs of batch normalisations, by path, in one forward pass to some layers."""

    outputs: dict[str, Tensor] = field(default_factory=dict)
    inputs: dict[str, Tensor] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    uses: Counter[Any] = field(default_factory=Counter)  # of the output of each node of the autograd graph

    @classmethod
    def of(cls, model: Model, layers: Sequence[str]) -> "_Trace":
        trace, tapped = cls(), {model.tap(layer).path for layer in layers}
        with ExitStack() as hooks:
            for path, module in model.named_modules():
                if type(module) in _NORMS:
                    hooks.callback(module.register_forward_hook(partial(trace.note_normalisation, path), with_kwargs=True).remove)
                elif isinstance(module, _CONVOLUTIONS):
                    hooks.callback(module.register_forward_hook(partial(trace.note_convolution, path)).remove)
            silence = torch.zeros(1, *model.signal_shape, dtype=model.dtype, device=model.device, requires_grad=True)
            activations = record(model, silence, layers)
        trace.uses.update(_edges(activations.values()))
        trace.calls.update(tapped)  # a convolution whose own output is recorded stays
        return trace

    def note_convolution(self, path: str, _module: nn.Module, _args: tuple[Any, ...], output: Tensor) -> None:
        self.calls[path] += 1
        self.outputs[path] = output

    def note_normalisation(
        self, path: str, module: nn.BatchNorm2d, args: tuple[Any, ...], kwargs: Mapping[str, Any], _output: Tensor
    ) -> None:
        self.calls[path] += 1
        if module.track_running_stats and not module.training:
            self.inputs[path] = first_input(args, kwargs)

    def foldable(self) -> list[tuple[str, str]]:
        """Paths of convolutions and of the normalisations that can be folded into them."""
        return [
            (convolution, norm)
            for norm, received in self.inputs.items()
            for convolution, output in self.outputs.items()
            if output is received and self.uses[output.grad_fn] == self.calls[convolution] == self.calls[norm] == 1
        ]


def _edges(activations: Iterable[Tensor]) -> Iterator[Any]:
    """The node at the end of every edge of the autograd graph of some tensors."""
    seen = {activation.grad_fn for activation in activations}
    ahead = list(seen)
    while ahead:
        node = ahead.pop()
        for following, _ in node.next_functions if node is not None else ():
            if following is not None:
                yield following
                if following not in seen:
                    seen.add(following)
                    ahead.append(following)
