"""Run a network on noise and note what every call of a submodule returns."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError, one_line
from audiometamer.matching.inference import with_gradients
from audiometamer.models.activations import Tap, flattened, traced
from audiometamer.models.input_forms import suggest_fix
from audiometamer.models.layer_info import Calls, describe_call
from audiometamer.models.signal_network import SignalNetwork

PROBE_SEED = 0


class NoiseRun(NamedTuple):
    """Trace of a network on two noises.

    Parameters
    ----------
    signals : Tensor [shape=(2, *signal_shape)]
        The noises; they require gradients.
    both, alone
        The network's output for both, and for the first one alone.
    calls : mapping of Tap to Call
        Every call of a submodule, in the order in which they end.
    """

    signals: Tensor
    both: Any
    alone: Any
    calls: Calls


@with_gradients
def run_on_noise(network: SignalNetwork) -> NoiseRun:
    """Run a network on two noises, and on the first of them alone.

    Raises
    ------
    AudioMetamerError
        If it fails, with what it takes instead where that is recognised.
    """
    generator = torch.Generator().manual_seed(PROBE_SEED)
    middle, spread = sum(network.bounds) / 2, (network.bounds[1] - network.bounds[0]) / 20
    noise = middle + spread * torch.randn(2, *network.signal_shape, generator=generator, dtype=torch.float64)
    signals = noise.to(dtype=network.dtype, device=network.device).requires_grad_()
    first: dict[Tap, dict[str, Tensor]] = {}
    calls: Calls = {}
    items = getattr(network.network, "items_per_signal", 1)

    def note_alone(call: Tap, output: Any) -> None:
        first[call] = {key: tensor.detach().clone() for key, tensor in flattened(output).items()}  # later ones may work in place

    def note_both(call: Tap, output: Any) -> None:
        calls[call] = describe_call(call, output, first.pop(call, {}), items=items)

    try:
        with traced(network, note_alone):
            alone = network(signals[:1].detach())
        with traced(network, note_both):
            both = network(signals)
    except AudioMetamerError:
        raise
    except (RuntimeError, TypeError, ValueError, IndexError, KeyError, AttributeError, AssertionError) as error:
        failed = f"{network.name} fails on noise of shape {(2, *network.signal_shape)}, {network.dtype}"
        received = _network_input(network, signals)
        if received is not None and (fix := suggest_fix(network.network, received)) is not None:
            raise AudioMetamerError(f"{failed}; {fix}") from error
        raise AudioMetamerError(f"{failed}: {one_line(error)}") from error
    return NoiseRun(signals, both, alone, calls)


def _network_input(network: SignalNetwork, signals: Tensor) -> Tensor | None:
    """Input of the network; None if the front end fails."""
    try:
        return network.network_input(signals.detach())
    except (RuntimeError, TypeError, ValueError, IndexError):
        return None
