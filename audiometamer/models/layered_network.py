"""A network whose layers have names: where they are, and their activations."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from audiometamer.cochleagram import Cochleagram
from audiometamer.errors import AudioMetamerError
from audiometamer.matching.domains import Gaussian
from audiometamer.models.activations import Tap, chosen_key, record_taps, split_layer, split_place, unknown_layer
from audiometamer.models.ear_front_end import EarFrontEnd
from audiometamer.models.layer_info import Calls, LayerInfo, declared_layers, expand_names, why_uncalled
from audiometamer.models.signal_network import SignalNetwork
from audiometamer.models.tracing import PROBE_SEED, NoiseRun, run_on_noise
from audiometamer.networks.heads import Heads


class LayeredNetwork(SignalNetwork):
    """A `SignalNetwork` whose layers are found by name.

    Parameters
    ----------
    network, front_end, signal_shape, bounds, name
        See `SignalNetwork`.
    layers : mapping of str to str, sequence of str, or None
        See `audiometamer.Model`.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        front_end: nn.Module | None,
        signal_shape: Sequence[int],
        bounds: tuple[float, float],
        name: str,
        layers: Mapping[str, str] | Sequence[str] | None,
    ) -> None:
        super().__init__(network, front_end=front_end, signal_shape=signal_shape, bounds=bounds, name=name)
        self._declared = declared_layers(network) if layers is None else _by_name(layers)
        self._calls: Calls | None = None
        self._layer_info: dict[str, LayerInfo] | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that the model lists, from input to output."""
        return tuple(self.named_taps())

    @property
    def default_layers(self) -> tuple[str, ...]:
        """Names of the layers that are matched if none are named: those that the network's `default_layers` names, or all."""
        return tuple(getattr(self.network, "default_layers", self.layers))

    @property
    def left_out(self) -> dict[str, str]:
        """Names that are not listed as layers, with the reason."""
        return {name: info.left_out for name, info in self.layer_info().items() if info.left_out}

    def named_taps(self) -> dict[str, Tap]:
        """The taps of the layers that the model lists, by name."""
        return {name: info.tap for name, info in self.layer_info().items() if not info.left_out}

    def layer_info(self, *, every: bool = False) -> dict[str, LayerInfo]:
        """Information about each layer, by name, including those that cannot be recorded.

        Parameters
        ----------
        every : bool
            Whether to name all modules of the network, even if the network or the caller named some. Default False.
        """
        if every or self._layer_info is None:
            modules, calls = dict(self.named_modules(remove_duplicate=False)), self._traced()
            by_module = every or self._declared is None
            infos = expand_names(self._all_modules() if by_module else self._declared_taps(), calls, modules)
            if by_module:
                order = {call: i for i, call in enumerate(calls)}
                rank = {name: order.get(Tap(i.tap.path, i.tap.call or 0), len(order)) for name, i in infos.items()}
                infos = dict(sorted(infos.items(), key=lambda named: rank[named[0]]))
            if every:
                return infos
            self._layer_info = infos
        return self._layer_info

    def _front_end_tap(self) -> dict[str, Tap]:
        taps: dict[str, Tap] = {}
        path, module = "front_end", self.front_end
        while isinstance(module, EarFrontEnd):
            taps.setdefault("ear", Tap(f"{path}.ear"))
            path, module = f"{path}.front_end", module.front_end
        if module is not None:
            taps["cochleagram" if isinstance(module, Cochleagram) else "front_end"] = Tap(path)
        return taps

    def _declared_taps(self) -> dict[str, Tap]:
        return self._front_end_tap() | {name: Tap.parse(f"network.{text}") for name, text in (self._declared or {}).items()}

    def _all_modules(self) -> dict[str, Tap]:
        return self._front_end_tap() | {path: Tap(f"network.{path}") for path, _ in self.network.named_modules() if path}

    def canonical(self, layer: str) -> str:
        """The name under which a layer is recorded: one that the network's attribute `aliases` lists becomes the model's own.

        ``relu0_fakerelu+relu1_fakerelu/channels=0:32``, as the published code names layers, is ``relu0+relu1/channels=0:32``.
        A layer that is named twice, ``relu0+relu0``, is ``relu0``.
        """
        aliases: Mapping[str, str] = getattr(self.network, "aliases", {})
        return "+".join(dict.fromkeys(aliases.get(name, name) + rest for name, rest in map(split_place, layer.split("+"))))

    def tap(self, layer: str) -> Tap:
        """The tap of a layer, its path relative to this module.

        Raises
        ------
        AudioMetamerError
            If there is no such layer, with the nearest names; if it cannot be recorded; or if its module is called several times,
            or returns several tensors, and no ``@k`` or ``[key]`` selects one.
        """
        whole, part = split_layer(self.canonical(layer))
        tap = self._tap_of(whole).narrowed(part)
        modules = dict(self.named_modules(remove_duplicate=False))
        if tap.path not in modules:
            known = [*self.layer_info(), *(path.removeprefix("network.") for path in modules if path.startswith("network."))]
            raise unknown_layer(whole, dict.fromkeys(known), where=self.name)
        calls = sum(call.path == tap.path for call in self._traced())
        if calls == 0:
            raise AudioMetamerError(f"layer {layer!r} {why_uncalled(modules[tap.path])} of {self.name}")
        if tap.call is None and calls > 1:
            choices = ", ".join(f"{whole}@{k}" for k in range(calls))
            raise AudioMetamerError(f"layer {layer!r} is called {calls} times in a forward pass; say which: {choices}")
        if tap.call is not None and tap.call >= calls:
            raise AudioMetamerError(f"layer {layer!r}: the module is called {calls} time(s), numbered from 0")
        if reason := self._info_of(layer, tap).unrecordable:
            raise AudioMetamerError(f"layer {layer!r} {reason}")
        return tap

    def _tap_of(self, whole: str) -> Tap:
        """What a layer's name, without a part, stands for."""
        if (info := self.layer_info().get(whole)) is not None:
            return info.tap
        name = re.split(r"[@\[]", whole)[0]
        base = f"network.{name}" if name not in self._declared_taps() else str(self._declared_taps()[name])
        return Tap.parse(base + whole[len(name) :])

    def _info_of(self, layer: str, tap: Tap) -> LayerInfo:
        """Information about the tensor of a tap."""
        call = self._traced().get(Tap(tap.path, tap.call or 0))
        if call is None or (tap.capture_input and len(call.tensors) != 1):
            return LayerInfo(tap)  # outside of the network, or nothing is known but that the batch is first
        return call.tensors[chosen_key(layer, call.output_type, call.tensors, tap.key)]

    def calls(self) -> list[Tap]:
        """Every call of a submodule in one forward pass, in the order in which they end; found once, with noise."""
        return [call for call in self._traced() if call.path]

    def trace(self) -> NoiseRun:
        """Run on noise, and keep what is learnt about the calls of submodules."""
        run = run_on_noise(self)
        self._calls = run.calls
        return run

    def forget_calls(self) -> None:
        """Forget what was learnt about the calls of submodules, as when one is replaced."""
        self._calls = self._layer_info = None

    def _traced(self) -> Calls:
        return self.trace().calls if self._calls is None else self._calls

    def find_pooled_relu(self, layer: str) -> Tap | None:
        """The call of a `torch.nn.ReLU` whose output is the input of a layer's module, or None."""
        tap, calls = self.tap(layer), self.calls()
        own_call = Tap(tap.path, tap.call or 0)
        earlier = calls[: calls.index(own_call)]
        relu = next((c for c in reversed(earlier) if isinstance(self.get_submodule(c.path), nn.ReLU)), None)
        if relu is None or any(i.items != 1 for call in (relu, own_call) for i in self._traced()[call].tensors.values()):
            return None
        probe = Gaussian.within(self.bounds)
        noise = probe.start(self.signal_shape, seeds=[PROBE_SEED], dtype=self.dtype, device=self.device)
        with torch.no_grad():
            found = record_taps(self, lambda: self(noise), {"relu": relu, "layer": tap.input_tap()})
        return relu if torch.equal(found["relu"], found["layer"]) else None

    def activations(self, signals: Tensor, taps: Mapping[str, Tap], *, optional: Collection[str] = ()) -> dict[str, Tensor]:
        """Activations [shape=(batch, ...)] for signals [shape=(batch, *signal_shape)]; see `record_taps`.

        Raises
        ------
        AudioMetamerError
            If the batch of a layer is not found, or it has no such part.
        """
        whole = record_taps(self, lambda: self(signals), taps, optional=optional)
        return {layer: self.unflatten_items(layer, taps[layer], output, len(signals)) for layer, output in whole.items()}

    def unflatten_items(self, layer: str, tap: Tap, output: Tensor, batch: int) -> Tensor:
        """What a tap recorded for a batch of signals as [shape=(batch, ...)]: the tap's part, complex values as pairs."""
        try:
            return replace(self._info_of(layer, tap), tap=tap).unflatten_items(output, batch)
        except AudioMetamerError as error:
            raise AudioMetamerError(f"layer {layer!r}: {error}") from error

    def tasks_determined_by(self, layer: str, tasks: Iterable[str]) -> list[str]:
        """Those tasks whose labels follow from a layer: its own for one read-out of several, all for any other layer."""
        path = self.tap(layer).path
        if (by_network := getattr(self.network, "tasks_determined_by", None)) is not None:
            return list(by_network(path.removeprefix("network."), tasks))
        own = [task for task in tasks if path.endswith(f".{task}")]
        if own and isinstance(self.get_submodule(path.removesuffix(f".{own[0]}")), Heads):
            return own
        return list(tasks)


def _by_name(layers: Mapping[str, str] | Sequence[str]) -> dict[str, str]:
    names = [layers] if isinstance(layers, str) else layers
    named = dict(names) if isinstance(names, Mapping) else {name: name for name in names}
    if wrong := [text for pair in named.items() for text in pair if not isinstance(text, str)]:
        raise AudioMetamerError(f"layers holds {wrong[0]!r}; it must map names to dotted names of modules, or list these")
    return named
