"""Check a model before it is used: what would make its metamers meaningless is named in one line."""

import warnings

import torch
from torch import Tensor, nn

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, first_few, one_line
from audiometamer.matching.complex_values import as_real
from audiometamer.matching.domains import Domain
from audiometamer.matching.inference import with_gradients
from audiometamer.models.activations import Tap, flattened
from audiometamer.models.answers import Names, check_labels
from audiometamer.models.layer_info import MIXED
from audiometamer.models.layered_network import LayeredNetwork
from audiometamer.models.signal_network import SignalNetwork
from audiometamer.models.tracing import PROBE_SEED, NoiseRun


def check_hookable(network: nn.Module) -> None:
    """Raise if a network is no module, or it or a module in it takes no hooks."""
    if not isinstance(network, nn.Module):
        raise AudioMetamerError(f"the network is of type {type(network).__name__}; it must be a torch.nn.Module")
    for path, module in network.named_modules():
        what = f"its module {path}" if path else "the network"
        if isinstance(module, torch.jit.ScriptModule):
            raise AudioMetamerError(f"{what} is a TorchScript module, which takes no hooks; give the original nn.Module")
        if "_orig_mod" in module._modules:
            raise AudioMetamerError(
                f"{what} was compiled by torch.compile, which takes no hooks; give the network that was compiled (net._orig_mod) "
                "and compiled=True"
            )
        if getattr(module, "_compiled_call_impl", None) is not None:
            raise AudioMetamerError(
                f"{what} was compiled in place by .compile(), which takes no hooks; give it as it was before and compiled=True"
            )


def check_weights(network: nn.Module, source: str) -> None:
    """Raise if a weight of a network, which came from `source`, is not a finite number; buffers may hold −∞, as masks do."""
    finite = {name: tensor.isfinite() for name, tensor in network.named_parameters()}
    finite |= {name: b.isfinite() | b.isneginf() for name, b in network.named_buffers() if b.is_floating_point()}
    if wrong := {name: int((~good).sum()) for name, good in finite.items() if not good.all()}:
        listed = first_few([f"{name} ({n} of {finite[name].numel()})" for name, n in wrong.items()])
        raise AudioMetamerError(f"{source} has weights that are not finite: {listed}")


def check_mode(model: SignalNetwork) -> None:
    """Raise if a part of a model's network is in train mode: its output then depends on chance or on the batch."""
    if training := [path or model.name for path, module in model.network.named_modules() if module.training]:
        raise AudioMetamerError(f"{model.name} is in train mode ({training[0]}); call .eval() on it first")


@with_gradients
def check_model(model: LayeredNetwork, *, labels: Names | None, domain: Domain) -> None:
    """Run a model on noise and raise if its metamers would be meaningless; see `audiometamer.Model`.

    Parameters
    ----------
    model : LayeredNetwork
    labels : sequence of str, mapping of str to sequences of str, or None
        Names of the classes, as in `audiometamer.Model`.
    domain : Domain
        Domain in which a synthesis starts.
    """
    _check_parameters(model)
    run = model.trace()
    outputs = [as_real(out) for out in flattened(run.both).values()]
    if not outputs:
        raise AudioMetamerError(f"{model.name} returns no floating-point tensor")
    if any(not torch.isfinite(out).all() for out in outputs):
        raise AudioMetamerError(f"the output of {model.name} for noise is not finite")
    _check_rows(model.name, run)
    if labels is not None:
        check_labels(model.name, labels, run.both)
    _check_gradient(model.name, outputs, run.signals)
    if not _moves_from_start(model, domain):
        warnings.warn(
            f"the gradient at the input of {model.name} is zero at the near-silence that a synthesis starts from (a front end "
            "with a floor?); give Model a louder start, such as domain=Waveform(deviation=0.01)",
            AudioMetamerWarning,
            stacklevel=5,  # whoever makes the Model
        )


def _check_parameters(model: LayeredNetwork) -> None:
    network, name = model.network, model.name
    check_mode(model)
    if trainable := [path for path, parameter in network.named_parameters() if parameter.requires_grad]:
        raise AudioMetamerError(
            f"{len(trainable)} parameters of {name} require gradients (first: {trainable[0]}); call .requires_grad_(False) on it"
        )
    if any(tensor.is_inference() for tensor in (*model.parameters(), *model.buffers())):
        raise AudioMetamerError(f"{name} was built under torch.inference_mode, which autograd refuses; build it outside of that")
    for kind, values in (
        ("devices", {str(t.device) for t in model.network_tensors()}),
        ("floating types", {str(t.dtype) for t in model.network_tensors() if t.is_floating_point()}),
    ):
        if len(values) > 1:
            raise AudioMetamerError(f"{name} has parameters of several {kind}: {', '.join(sorted(values))}; move it to one")
    check_weights(network, name)


def _check_rows(name: str, run: NoiseRun) -> None:
    """Raise if the outputs for two signals are the same, or that for one depends on the other."""
    both, alone, found = flattened(run.both), flattened(run.alone), run.calls[Tap("", 0)].tensors
    recordable = {key: info for key, info in found.items() if not info.unrecordable}
    mixed = any(info.unrecordable == MIXED for info in found.values())
    rows = {key: info.unflatten_items(both[key], 2) for key, info in recordable.items()}
    if rows and all(torch.equal(*row) for row in rows.values()):
        raise AudioMetamerError(f"the output of {name} does not depend on its input: it is the same for two different noises")
    for key, info in recordable.items():
        one = info.unflatten_items(alone[key], 1)
        mixed |= not torch.allclose(rows[key][:1], one, rtol=1e-2, atol=1e-3 * float(one.detach().abs().max()))
    if mixed:
        raise AudioMetamerError(f"the output of {name} for a signal depends on the others in the batch, or on chance")


def _check_gradient(name: str, outputs: list[Tensor], signals: Tensor) -> None:
    """Raise unless a finite gradient that is not zero reaches the signals from the outputs."""
    generator = torch.Generator().manual_seed(PROBE_SEED)
    attached = [out for out in outputs if out.requires_grad]
    if not attached:
        raise AudioMetamerError(f"no gradient reaches the input of {name}: its output is detached (no_grad, numpy, argmax?)")
    weighted = sum((out * torch.randn(out.shape, generator=generator).to(out)).sum() for out in attached)
    try:
        (gradient,) = torch.autograd.grad(torch.as_tensor(weighted), signals, allow_unused=True)
    except RuntimeError as error:  # a value that the gradient needs was overwritten in place, or torch has no derivative
        raise AudioMetamerError(f"the gradient of {name} cannot be computed: {one_line(error)}") from error
    if gradient is None:
        raise AudioMetamerError(f"no gradient reaches the input of {name}: its output is computed from something else")
    if not torch.isfinite(gradient).all():
        raise AudioMetamerError(f"the gradient at the input of {name} is not finite")
    if not gradient.any():
        raise AudioMetamerError(f"the gradient at the input of {name} is zero everywhere")


def _moves_from_start(model: LayeredNetwork, domain: Domain) -> bool:
    """Whether a gradient reaches the signal that a synthesis starts from."""
    start = domain.start(model.signal_shape, seeds=[PROBE_SEED], dtype=model.dtype, device=model.device)
    signals = start.requires_grad_()
    outputs = [as_real(out) for out in flattened(model(domain.signals(signals))).values() if out.requires_grad]
    (gradient,) = torch.autograd.grad(torch.as_tensor(sum(out.square().sum() + out.sum() for out in outputs)), signals)
    return bool(gradient.any())
