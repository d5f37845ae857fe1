"""A model: front end, network, and what is needed to use them. Wraps any module and says what is wrong with it."""

import hashlib
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audiometamer.activations import Tap, calls_in_order, record_taps, split_layer, unknown_layer
from audiometamer.cards import Card
from audiometamer.cochleagram import Cochleagram
from audiometamer.domains import Domain, Gaussian, Waveform
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, one_line
from audiometamer.images import Picture
from audiometamer.networks.heads import Heads
from audiometamer.straight_through import straight_through_relu

_PROBE_SEED = 0


class Model(nn.Module):
    """A network with its front end, and what is needed to give it sounds and to read its answers.

    Any `torch.nn.Module` in eval mode and without trainable parameters will do. It is tried once, on noise, and what would make
    its metamers meaningless is named: see Raises.

    A network that hands some of its submodules several items of each signal as so many rows of the batch (frames of a sound,
    nodes of a graph), one signal's after the other's, says how many in an attribute `items_per_signal`; these layers are then
    recorded with shape (batch, items, ...).

    Parameters
    ----------
    network : Module
        Takes what the front end gives, or signals if there is none. Returns logits [shape=(batch, classes)], a dict of them by
        task, or anything else if no labels are wanted.
    front_end : Module, optional
        Signals [shape=(batch, *signal_shape)] to the network's input; its output is the layer ``cochleagram``, or ``front_end``
        if it is not a `Cochleagram`.
    sample_rate : int, optional
        Hz. Needed for sounds.
    duration : float, optional
        Seconds. Needed for sounds.
    channels : {1, 2}
        Channels of its sounds: 2 for a binaural network, whose signals have shape (2, samples), left first. Default 1.
    level : float or None
        RMS that clips are set to; of two channels, over both together, so that one gain keeps their difference. Default 0.1.
    signal_shape : sequence of int, optional
        Shape of one signal. Default: (samples,), or (2, samples), with sample_rate · duration samples.
    bounds : tuple of float
        Range of the signals; what lies outside is clamped first. Default (−1, 1).
    labels : sequence of str, or mapping of str to them
        Names of the classes, or of each task's. Default: numbers.
    layers : mapping of str to str
        Names for places in the network (``{"relu0": "features.0"}``), listed in order. Default: the network's own attribute
        `layers`, or the names of all its submodules. Any dotted module name works besides, and so do ``module@k``, its k-th call
        from 0, and ``module[key]``, an item of the tuple or dict that it returns. After any of them, ``/channels=0:32``,
        ``/frames=10:20``, ``/units=3.5.9`` and ``/average=time`` mean a part of the layer; see `audiometamer.parts.Part`.
    domain : Domain, optional
        What its signals are. Default: `Waveform` if there is a sample rate, or `Gaussian.within` the bounds.
    picture : Picture, optional
        How photographs become its signals. Needed for images.
    name : str
        For folders and reports. Default: the network's class.
    check : bool
        Whether to try the model. Default True.

    Raises
    ------
    AudioMetamerError
        If the network is TorchScript; is in train mode; has trainable parameters, or tensors on several devices or of several
        floating types; fails on noise; gives an output that does not depend on its input, or that depends on the rest of the
        batch; or if no gradient, or a gradient of zero, reaches the input.

    Warns
    -----
    AudioMetamerWarning
        If the gradient is zero where a synthesis would start.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        front_end: nn.Module | None = None,
        sample_rate: int | None = None,
        duration: float | None = None,
        channels: int = 1,
        level: float | None = 0.1,
        signal_shape: Sequence[int] | None = None,
        bounds: tuple[float, float] = (-1.0, 1.0),
        labels: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        layers: Mapping[str, str] | None = None,
        domain: Domain | None = None,
        picture: Picture | None = None,
        name: str | None = None,
        check: bool = True,
    ) -> None:
        super().__init__()
        if signal_shape is None:
            if sample_rate is None or duration is None:
                raise AudioMetamerError("a model needs sample_rate and duration (sounds) or signal_shape (anything else)")
            n_samples = round(sample_rate * duration)
            signal_shape = (n_samples,) if channels == 1 else (2, n_samples)
        for path, module in network.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                what = f"its module {path}" if path else "the network"
                raise AudioMetamerError(f"{what} is a TorchScript module, which takes no hooks; give the original nn.Module")
        self.front_end = front_end
        self.network = network
        self.sample_rate, self.duration, self.level = sample_rate, duration, level
        self.signal_shape, self.bounds = tuple(signal_shape), bounds
        self._check_channels(channels)
        self.domain = domain or (Gaussian.within(bounds) if sample_rate is None else Waveform())
        self.picture = picture
        self.labels = labels
        self.name = name or type(network).__name__
        self.card: Card | None = None
        self.folder: Path | None = None  # where it was loaded from
        self._layers = self._named_layers(layers)
        self._calls: list[Tap] | None = None
        if check:
            check_model(self)

    def _check_channels(self, asked: int) -> None:
        rate, shape = self.sample_rate, self.signal_shape
        if asked not in (1, 2):
            raise AudioMetamerError(f"channels is {asked!r}; the sounds of a model have 1 or 2")
        if asked == 2 and (rate is None or self.channels != 2):
            raise AudioMetamerError(
                f"channels is 2, which needs a sample_rate and signals of shape (2, samples), not {rate}, {shape}"
            )
        if rate is not None and self.channels not in (1, 2):
            raise AudioMetamerError(f"signal_shape is {shape}; sounds have 1 or 2 channels: omit sample_rate for other signals")

    @property
    def channels(self) -> int:
        """Channels of its sounds."""
        return math.prod(self.signal_shape[:-1])

    def _named_layers(self, layers: Mapping[str, str] | None) -> dict[str, str]:
        named = {}
        if self.front_end is not None:
            named["cochleagram" if isinstance(self.front_end, Cochleagram) else "front_end"] = "front_end"
        own = layers or getattr(self.network, "layers", None)
        if not isinstance(own, Mapping):
            own = {path: path for path, _ in self.network.named_modules() if path}
        return named | {layer: f"network.{path}" for layer, path in own.items()}

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that the model lists, from input to output."""
        return tuple(self._layers)

    @property
    def tasks(self) -> tuple[str, ...]:
        """What the network is asked: the keys of its labels, or ``word`` alone if they are not named."""
        return tuple(self.labels) if isinstance(self.labels, Mapping) else ("word",)

    def named_labels(self) -> dict[str, list[str]]:
        """Names of the classes by task; empty if they have none."""
        if self.labels is None:
            return {}
        labels = self.labels if isinstance(self.labels, Mapping) else {self.tasks[0]: self.labels}
        return {task: list(names) for task, names in labels.items()}

    @property
    def dtype(self) -> torch.dtype:
        """Floating type of the parameters; float32 if there are none."""
        return next((t.dtype for t in self._tensors() if t.is_floating_point()), torch.float32)

    @property
    def device(self) -> torch.device:
        """Device of the parameters; the CPU if there are none."""
        return next((t.device for t in self._tensors()), torch.device("cpu"))

    def _tensors(self) -> list[Tensor]:
        return [*self.network.parameters(), *self.network.buffers()]

    def weights_sha256(self) -> str:
        """SHA-256 of the weight file, or of all parameters and buffers, in order, if there is no file."""
        if self.card is not None:
            return self.card.weights.sha256
        digest = hashlib.sha256()
        for tensor in self._tensors():
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def forward(self, signals: Tensor) -> Any:
        """The network's output for signals [shape=(batch, *signal_shape)]."""
        x = self.limited(signals)
        return self.network(x if self.front_end is None else self.front_end(x))

    def limited(self, signals: Tensor) -> Tensor:
        """Signals clamped to the bounds.

        At the bounds themselves the gradient passes, which torch's own clamp stops there: a white pixel could never turn grey.
        """
        low, high = self.bounds
        return torch.where((signals >= low) & (signals <= high), signals, signals.detach().clamp(low, high))

    def tap(self, layer: str) -> Tap:
        """Where a layer is, in the names of this module.

        Raises
        ------
        AudioMetamerError
            If there is no such layer, naming the nearest; or if its module is called several times and no ``@k`` says which.
        """
        whole, part = split_layer(layer)
        tap = Tap.parse(self._layers.get(whole, f"network.{whole}") + part)
        modules = dict(self.named_modules(remove_duplicate=False))
        if tap.path not in modules:
            known = [*self._layers, *(path.removeprefix("network.") for path in modules if path.startswith("network."))]
            raise unknown_layer(whole, dict.fromkeys(known), where=self.name)
        calls = sum(call.path == tap.path for call in self.calls())
        if calls == 0:
            raise AudioMetamerError(f"layer {layer!r} is never called in a forward pass of {self.name}")
        if tap.call is None and calls > 1:
            choices = ", ".join(f"{whole}@{k}" for k in range(calls))
            raise AudioMetamerError(f"layer {layer!r} is called {calls} times in a forward pass; say which: {choices}")
        if tap.call is not None and tap.call >= calls:
            raise AudioMetamerError(f"layer {layer!r}: the module is called {calls} time(s), numbered from 0")
        return tap

    def calls(self) -> list[Tap]:
        """Every call of a submodule in one forward pass, in order; found out once, with silence."""
        if self._calls is None:
            silence = torch.zeros(1, *self.signal_shape, dtype=self.dtype, device=self.device)
            with torch.no_grad():
                self._calls = calls_in_order(self, lambda: self(silence))
        return self._calls

    def relu_pooled_by(self, layer: str) -> Tap | None:
        """The call of a `torch.nn.ReLU` whose output a layer's module is given, or None."""
        tap, calls = self.tap(layer), self.calls()
        before = calls[: calls.index(Tap(tap.path, tap.call or 0))]
        relu = next((c for c in reversed(before) if isinstance(self.get_submodule(c.path), nn.ReLU)), None)
        if relu is None or getattr(self.network, "items_per_signal", 1) != 1:
            return None
        probe = Gaussian.within(self.bounds)
        noise = probe.start(self.signal_shape, seeds=[_PROBE_SEED], dtype=self.dtype, device=self.device)
        taps = {"relu": relu, "layer": tap.before()}
        with torch.no_grad():
            found = record_taps(self, lambda: self(noise), taps)
        return relu if torch.equal(found["relu"], found["layer"]) else None

    def activations(self, signals: Tensor, taps: Mapping[str, Tap]) -> dict[str, Tensor]:
        """Activations [shape=(batch, ...)] for signals [shape=(batch, *signal_shape)]; see `record_taps`.

        Raises
        ------
        AudioMetamerError
            If a layer's first dimension is not the batch, or it has no such part.
        """
        whole = record_taps(self, lambda: self(signals), taps)
        return {layer: self.of_each_signal(layer, taps[layer], whole[layer], len(signals)) for layer in taps}

    def of_each_signal(self, layer: str, tap: Tap, output: Tensor, batch: int) -> Tensor:
        """What a place returned for a batch of signals, [shape=(batch, ...)]: its items by signal, the part that is meant."""
        items = getattr(self.network, "items_per_signal", 1)
        if output.ndim > 0 and items > 1 and len(output) == items * batch:
            output = output.unflatten(0, (batch, items))
        if output.ndim == 0 or len(output) != batch:
            raise AudioMetamerError(
                f"layer {layer!r} has shape {tuple(output.shape)} for {batch} signal(s): its first dimension is not the batch; "
                "if it is several items of each signal, the network needs an attribute items_per_signal"
            )
        return tap.part(output)

    def logits(self, output: Any) -> dict[str, Tensor]:
        """The model's output as logits [shape=(batch, classes)] by task; empty if it is not of that form."""
        outputs = dict(output) if isinstance(output, Mapping) else {self.tasks[0]: output}
        return {task: t for task, t in outputs.items() if isinstance(t, Tensor) and t.ndim == 2}

    def tasks_told_by(self, layer: str, tasks: Iterable[str]) -> list[str]:
        """Those tasks whose labels follow from a layer: its own for a read-out beside others, all for any other layer."""
        path = self.tap(layer).path
        if (asked := getattr(self.network, "tasks_told_by", None)) is not None:
            return list(asked(path.removeprefix("network."), tasks))
        own = [task for task in tasks if path.endswith(f".{task}")]
        if own and isinstance(self.get_submodule(path.removesuffix(f".{own[0]}")), Heads):
            return own
        return list(tasks)

    def label(self, task: str, index: int) -> str:
        """Name of a class of a task; its number if the model has no labels."""
        labels = self.labels.get(task) if isinstance(self.labels, Mapping) else self.labels
        return str(index) if labels is None else str(labels[index])


def record(model: Model, inputs: Tensor, layers: Sequence[str] | str, *, straight_through: bool = False) -> dict[str, Tensor]:
    """Activations of layers of a model; the forward pass stops after the last of them.

    Parameters
    ----------
    model : Model
    inputs : Tensor [shape=(batch, *signal_shape)]
    layers : sequence of str, or str
    straight_through : bool
        Whether the ReLUs at these layers, and only those, pass the gradient unchanged. Default False.

    Returns
    -------
    dict of str to Tensor [shape=(batch, ...)]

    Raises
    ------
    AudioMetamerError
        If a layer is unknown, naming the nearest, or does not say which of several calls or outputs it means.
    """
    names = [layers] if isinstance(layers, str) else list(layers)
    taps = {layer: model.tap(layer) for layer in names}
    if not straight_through:
        return model.activations(inputs, taps)
    relus = {layer: tap for layer, tap in taps.items() if isinstance(model.get_submodule(tap.path), nn.ReLU)}
    found = model.activations(inputs, {**taps, **{layer: tap.before() for layer, tap in relus.items()}})
    return {layer: relus[layer].part(straight_through_relu(a)) if layer in relus else a for layer, a in found.items()}


def check_model(model: Model) -> None:
    """Try a model on noise and raise if its metamers would be meaningless; see `Model`."""
    network, name = model.network, model.name
    if training := [path or name for path, module in network.named_modules() if module.training]:
        raise AudioMetamerError(f"{name} is in train mode ({training[0]}); call .eval() on it first")
    if trainable := [path for path, parameter in network.named_parameters() if parameter.requires_grad]:
        raise AudioMetamerError(
            f"{len(trainable)} parameters of {name} require gradients (first: {trainable[0]}); call .requires_grad_(False) on it"
        )
    for kind, values in (
        ("devices", {str(t.device) for t in model._tensors()}),
        ("floating types", {str(t.dtype) for t in model._tensors() if t.is_floating_point()}),
    ):
        if len(values) > 1:
            raise AudioMetamerError(f"{name} has parameters of several {kind}: {', '.join(sorted(values))}; move it to one")

    generator = torch.Generator().manual_seed(_PROBE_SEED)
    middle, spread = sum(model.bounds) / 2, (model.bounds[1] - model.bounds[0]) / 20
    noise = middle + spread * torch.randn(2, *model.signal_shape, generator=generator, dtype=torch.float64)
    signals = noise.to(dtype=model.dtype, device=model.device).requires_grad_()
    try:
        outputs = _floating(model(signals))
        alone = _floating(model(signals[:1].detach()))
    except AudioMetamerError:
        raise
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        shape = (2, *model.signal_shape)
        raise AudioMetamerError(f"{name} fails on noise of shape {shape}, {model.dtype}: {one_line(error)}") from error
    if not outputs:
        raise AudioMetamerError(f"{name} returns no floating-point tensor")
    if any(not torch.isfinite(out).all() for out in outputs):
        raise AudioMetamerError(f"the output of {name} for noise is not finite")
    if all(torch.equal(out[0], out[1]) for out in outputs if len(out) == 2):
        raise AudioMetamerError(f"the output of {name} does not depend on its input: it is the same for two different noises")
    for both, one in zip(outputs, alone, strict=True):
        if both.shape[1:] == one.shape[1:] and not torch.allclose(
            both[:1], one, rtol=1e-2, atol=1e-3 * float(one.detach().abs().max())
        ):
            raise AudioMetamerError(f"the output of {name} for a signal depends on the others in the batch, or on chance")
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
    if not _moves_at_the_start(model):
        warnings.warn(
            f"the gradient at the input of {name} is zero at the near-silence that a synthesis starts from (a front end with a "
            "floor?); give Model a louder start, such as domain=Waveform(deviation=0.01)",
            AudioMetamerWarning,
            stacklevel=3,
        )


def _moves_at_the_start(model: Model) -> bool:
    """Whether a gradient reaches the signal that a synthesis starts from."""
    start = model.domain.start(model.signal_shape, seeds=[_PROBE_SEED], dtype=model.dtype, device=model.device)
    signals = start.requires_grad_()
    outputs = [out for out in _floating(model(model.domain.signals(signals))) if out.requires_grad]
    (gradient,) = torch.autograd.grad(torch.as_tensor(sum(out.square().sum() + out.sum() for out in outputs)), signals)
    return bool(gradient.any())


def _floating(output: Any) -> list[Tensor]:
    """All floating-point tensors in an output, however nested."""
    if isinstance(output, Tensor):
        return [output] if output.is_floating_point() else []
    if isinstance(output, Mapping):
        return [tensor for value in output.values() for tensor in _floating(value)]
    if isinstance(output, (tuple, list)):
        return [tensor for value in output for tensor in _floating(value)]
    return []
