"""A model: front end, network, and what is needed to use them. Wraps any module and says what is wrong with it."""

import hashlib
import math
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audiometamer.cochleagram import Cochleagram
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, one_line, some_of
from audiometamer.io.whole_numbers import whole
from audiometamer.matching.complex_values import as_real
from audiometamer.matching.domains import Domain, Gaussian, Waveform
from audiometamer.matching.inference import with_gradients
from audiometamer.models.activations import (
    Tap,
    chosen_key,
    flattened,
    record_taps,
    split_layer,
    split_place,
    traced,
    unknown_layer,
)
from audiometamer.models.answers import Names, check_labels, class_names, extract_logits
from audiometamer.models.cards import Card
from audiometamer.models.input_forms import suggest_fix
from audiometamer.models.layer_info import MIXED, Calls, LayerInfo, declared_layers, describe_call, expand_names, why_uncalled
from audiometamer.networks.heads import Heads
from audiometamer.signals.images import ImageTransform

NO_LABEL = "(logits not finite)"
_PROBE_SEED = 0
_MOST_SAMPLES = 10_000_000  # of a sound, as 8 minutes at 20 kHz; front ends take up to 200 times as much memory


class Model(nn.Module):
    """A network with its front end, and what is needed to give it sounds and to read its answers.

    Any `torch.nn.Module` in eval mode and without trainable parameters will do. It is tried once, on noise, and what would make
    its metamers meaningless is named: see Raises.

    Where a network hands a submodule several items of each signal as so many rows of the batch (frames of a sound, windows of a
    picture, nodes of a graph), one signal's after the other's, these layers are recorded with shape (batch, items, ...). That is
    seen from their values; where those do not tell, the network says how many in an attribute `items_per_signal`.

    Parameters
    ----------
    network : Module
        Takes what the front end gives, or signals if there is none. Returns logits [shape=(batch, classes)], a dict of them by
        task, or anything else if no labels are given.
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
        Names of the classes, or of each task's; as many as the network has. In place of a sequence, a mapping of the classes'
        numbers to their names. Default: numbers.
    layers : mapping of str to str, or sequence of str
        Names for places in the network (``{"relu0": "features.0"}``), listed in order. Default: the network's own attribute
        `layers` if it is such a mapping, or all submodules that a forward pass calls, in that order. What cannot be recorded is
        left out, see `left_out`. Any dotted module name works besides, and so do ``module@k``, its k-th call from 0, and
        ``module[key]``, an item of the tuple or dict that it returns; where there are several, they are listed so. A batch in
        another dimension than the first is moved to the front. After any of them, ``/channels=0:32``,
        ``/frames=10:20``, ``/units=3.5.9`` and ``/average=time`` mean a part of the layer; see `audiometamer.models.parts.Part`.
    domain : Domain, optional
        What its signals are. Default: `Waveform` if there is a sample rate, or `Gaussian.within` the bounds.
    picture : Picture, optional
        How photographs become its signals. Needed for images.
    untrained : callable, optional
        Makes the network anew, untrained, for ``random:`` controls. Default: its modules are reset; see
        `audiometamer.models.controls`.
    name : str
        For folders and reports. Default: the network's class.
    check : bool
        Whether to try the model. Default True.

    Raises
    ------
    AudioMetamerError
        If the network is TorchScript or compiled; is in train mode; has trainable parameters, or tensors on several devices or
        of several floating types; fails on noise; gives an output that does not depend on its input, or that depends on the rest
        of the batch; if the labels do not fit its output; or if no gradient, or a gradient of zero, reaches the input.

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
        labels: Names | Mapping[int, str] | None = None,
        layers: Mapping[str, str] | Sequence[str] | None = None,
        domain: Domain | None = None,
        picture: ImageTransform | None = None,
        untrained: Callable[[], nn.Module] | None = None,
        name: str | None = None,
        check: bool = True,
    ) -> None:
        super().__init__()
        sample_rate = None if sample_rate is None else whole(sample_rate, "sample_rate", least=1)
        if signal_shape is None:
            if sample_rate is None or duration is None:
                raise AudioMetamerError("a model needs sample_rate and duration (sounds) or signal_shape (anything else)")
            if not 0.5 < sample_rate * duration <= _MOST_SAMPLES:
                raise AudioMetamerError(
                    f"a model of {duration} s at {sample_rate} Hz has no signals: give 1 to {_MOST_SAMPLES:,} samples"
                )
            n_samples = round(sample_rate * duration)
            signal_shape = (n_samples,) if channels == 1 else (2, n_samples)
        if level is not None and not 0 < level <= 1:
            raise AudioMetamerError(f"level is {level}; it must be above 0 and at most 1, an RMS, or None")
        check_hookable(network)
        self.front_end = front_end
        self.network = network
        self.sample_rate, self.duration, self.level = sample_rate, duration, level
        self.signal_shape, self.bounds = tuple(signal_shape), bounds
        self._check_channels(channels)
        self.domain = domain or (Gaussian.within(bounds) if sample_rate is None else Waveform())
        self.picture = picture
        self.untrained = untrained
        self.labels = class_names(labels)
        self.name = name or type(network).__name__
        self.card: Card | None = None
        self.folder: Path | None = None  # where it was loaded from
        self._own = declared_layers(network) if layers is None else _named(layers)
        self._calls: Calls | None = None
        self._layer_info: dict[str, LayerInfo] | None = None
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

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that the model lists, from input to output."""
        return tuple(name for name, place in self.layer_info().items() if not place.left_out)

    @property
    def left_out(self) -> dict[str, str]:
        """Why the others are not listed: their names, and what is wrong with each."""
        return {name: place.left_out for name, place in self.layer_info().items() if place.left_out}

    def layer_info(self, *, every: bool = False) -> dict[str, LayerInfo]:
        """All places that have names, by name, also those that cannot be recorded.

        Parameters
        ----------
        every : bool
            Whether to name all modules of the network, also if it or the caller named some. Default False.
        """
        if every or self._layer_info is None:
            modules, calls = dict(self.named_modules(remove_duplicate=False)), self._traced()
            by_module = every or self._own is None
            places = expand_names(self._all_modules() if by_module else self._own_taps(), calls, modules)
            if by_module:
                order = {call: i for i, call in enumerate(calls)}
                of_call = {name: order.get(Tap(p.tap.path, p.tap.call or 0), len(order)) for name, p in places.items()}
                places = dict(sorted(places.items(), key=lambda named: of_call[named[0]]))
            if every:
                return places
            self._layer_info = places
        return self._layer_info

    def named_taps(self) -> dict[str, Tap]:
        """Where the layers that the model lists are, by name."""
        return {name: place.tap for name, place in self.layer_info().items() if not place.left_out}

    def _ears(self) -> dict[str, Tap]:
        if self.front_end is None:
            return {}
        return {"cochleagram" if isinstance(self.front_end, Cochleagram) else "front_end": Tap("front_end")}

    def _own_taps(self) -> dict[str, Tap]:
        return self._ears() | {name: Tap.parse(f"network.{text}") for name, text in (self._own or {}).items()}

    def _all_modules(self) -> dict[str, Tap]:
        return self._ears() | {path: Tap(f"network.{path}") for path, _ in self.network.named_modules() if path}

    @property
    def tasks(self) -> tuple[str, ...]:
        """What the network is asked: the keys of its labels, or ``word`` alone if they are not named."""
        return tuple(self.labels) if isinstance(self.labels, Mapping) else ("word",)

    def canonical(self, layer: str) -> str:
        """The name under which a layer is recorded: one that the network's attribute `aliases` knows becomes the model's own.

        ``relu0_fakerelu+relu1_fakerelu/channels=0:32``, as the published code names layers, is ``relu0+relu1/channels=0:32``.
        A layer that is named twice, ``relu0+relu0``, is ``relu0``.
        """
        known: Mapping[str, str] = getattr(self.network, "aliases", {})
        return "+".join(dict.fromkeys(known.get(name, name) + rest for name, rest in map(split_place, layer.split("+"))))

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
        x = self.clamp(signals)
        return self.network(x if self.front_end is None else self.front_end(x))

    def clamp(self, signals: Tensor) -> Tensor:
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
            If there is no such layer, naming the nearest; if it cannot be recorded; or if its module is called several times, or
            returns several tensors, and no ``@k`` or ``[key]`` says which.
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
        if unrecordable := self._place(layer, tap).unrecordable:
            raise AudioMetamerError(f"layer {layer!r} {unrecordable}")
        return tap

    def _tap_of(self, whole: str) -> Tap:
        """What the name of a layer stands for."""
        if (place := self.layer_info().get(whole)) is not None:
            return place.tap
        name = re.split(r"[@\[]", whole)[0]
        base = f"network.{name}" if name not in self._own_taps() else str(self._own_taps()[name])
        return Tap.parse(base + whole[len(name) :])

    def _place(self, layer: str, tap: Tap) -> LayerInfo:
        """What is known of the tensor that a tap of a call means."""
        call = self._traced().get(Tap(tap.path, tap.call or 0))
        if call is None or (tap.capture_input and len(call.places) != 1):
            return LayerInfo(tap)  # outside of the network, or nothing is known but that the batch is first
        return call.places[chosen_key(layer, call.form, call.places, tap.key)]

    def calls(self) -> list[Tap]:
        """Every call of a submodule in one forward pass, in the order in which they end; found out once, with noise."""
        return [call for call in self._traced() if call.path]

    def _traced(self) -> Calls:
        if self._calls is None:
            run_on_noise(self)
        assert self._calls is not None  # tracing it is what trying does
        return self._calls

    def find_pooled_relu(self, layer: str) -> Tap | None:
        """The call of a `torch.nn.ReLU` whose output a layer's module is given, or None."""
        tap, calls = self.tap(layer), self.calls()
        before = calls[: calls.index(Tap(tap.path, tap.call or 0))]
        relu = next((c for c in reversed(before) if isinstance(self.get_submodule(c.path), nn.ReLU)), None)
        if relu is None or any(
            place.items != 1 for call in (relu, Tap(tap.path, tap.call or 0)) for place in self._traced()[call].places.values()
        ):
            return None
        probe = Gaussian.within(self.bounds)
        noise = probe.start(self.signal_shape, seeds=[_PROBE_SEED], dtype=self.dtype, device=self.device)
        taps = {"relu": relu, "layer": tap.input_tap()}
        with torch.no_grad():
            found = record_taps(self, lambda: self(noise), taps)
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
        """What a place returned for a batch of signals, [shape=(batch, ...)]: the part that is meant, complex values as pairs."""
        try:
            return replace(self._place(layer, tap), tap=tap).unflatten_items(output, batch)
        except AudioMetamerError as error:
            raise AudioMetamerError(f"layer {layer!r}: {error}") from error

    def logits(self, output: Any) -> dict[str, Tensor]:
        """The model's output as logits [shape=(batch, classes)] by task; empty if it is not of that form."""
        return extract_logits(output, self.tasks[0])

    def tasks_determined_by(self, layer: str, tasks: Iterable[str]) -> list[str]:
        """Those tasks whose labels follow from a layer: its own for a read-out beside others, all for any other layer."""
        path = self.tap(layer).path
        if (asked := getattr(self.network, "tasks_determined_by", None)) is not None:
            return list(asked(path.removeprefix("network."), tasks))
        own = [task for task in tasks if path.endswith(f".{task}")]
        if own and isinstance(self.get_submodule(path.removesuffix(f".{own[0]}")), Heads):
            return own
        return list(tasks)

    def label(self, task: str, index: int) -> str:
        """Name of a class of a task; its number if the model has no labels."""
        labels = self.labels.get(task) if isinstance(self.labels, Mapping) else self.labels
        return str(index) if labels is None else str(labels[index])

    def predicted_label(self, task: str, logits: Tensor) -> str:
        """The label of the largest of a task's logits [shape=(classes,)]; `NO_LABEL` if they are not all finite."""
        return self.label(task, int(logits.argmax())) if bool(torch.isfinite(logits).all()) else NO_LABEL


def check_weights(network: nn.Module, source: str) -> None:
    """Raise if a weight of a network, which came from `source`, is not a finite number; buffers may hold −∞, as masks do."""
    finite = {name: tensor.isfinite() for name, tensor in network.named_parameters()}
    finite |= {name: b.isfinite() | b.isneginf() for name, b in network.named_buffers() if b.is_floating_point()}
    if wrong := {name: int((~good).sum()) for name, good in finite.items() if not good.all()}:
        told = some_of([f"{name} ({n} of {finite[name].numel()})" for name, n in wrong.items()])
        raise AudioMetamerError(f"{source} has weights that are not finite: {told}")


def _named(layers: Mapping[str, str] | Sequence[str]) -> dict[str, str]:
    names = [layers] if isinstance(layers, str) else layers
    named = dict(names) if isinstance(names, Mapping) else {name: name for name in names}
    if wrong := [text for pair in named.items() for text in pair if not isinstance(text, str)]:
        raise AudioMetamerError(f"layers holds {wrong[0]!r}; it must map names to dotted names of modules, or list these")
    return named


def check_hookable(network: nn.Module) -> None:
    """Raise if a network, or a module in it, takes no hooks."""
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


@with_gradients
def run_on_noise(model: Model) -> tuple[Tensor, Any, Any]:
    """Give a model two noises, and the first of them alone, and note what its modules return.

    Returns
    -------
    tuple of Tensor [shape=(2, *signal_shape)] and the outputs for both, and for the first alone
    """
    generator = torch.Generator().manual_seed(_PROBE_SEED)
    middle, spread = sum(model.bounds) / 2, (model.bounds[1] - model.bounds[0]) / 20
    noise = middle + spread * torch.randn(2, *model.signal_shape, generator=generator, dtype=torch.float64)
    signals = noise.to(dtype=model.dtype, device=model.device).requires_grad_()
    first: dict[Tap, dict[str, Tensor]] = {}
    calls: Calls = {}
    items = getattr(model.network, "items_per_signal", 1)

    def note_alone(call: Tap, output: Any) -> None:
        first[call] = {key: tensor.detach().clone() for key, tensor in flattened(output).items()}  # later ones may work in place

    def note_both(call: Tap, output: Any) -> None:
        calls[call] = describe_call(call, output, first.pop(call, {}), items=items)

    try:
        with traced(model, note_alone):
            alone = model(signals[:1].detach())
        with traced(model, note_both):
            both = model(signals)
    except AudioMetamerError:
        raise
    except (RuntimeError, TypeError, ValueError, IndexError, KeyError, AttributeError, AssertionError) as error:
        given = _heard(model, signals)
        failed = f"{model.name} fails on noise of shape {(2, *model.signal_shape)}, {model.dtype}"
        if given is not None and (mend := suggest_fix(model.network, given)) is not None:
            raise AudioMetamerError(f"{failed}; {mend}") from error
        raise AudioMetamerError(f"{failed}: {one_line(error)}") from error
    model._calls = calls
    return signals, both, alone


def _heard(model: Model, signals: Tensor) -> Tensor | None:
    """What the network is given; None if the front end fails on it."""
    heard = model.clamp(signals.detach())
    try:
        return heard if model.front_end is None else model.front_end(heard)
    except (RuntimeError, TypeError, ValueError, IndexError):
        return None


def check_mode(model: Model) -> None:
    """Raise if a part of a model's network is in train mode: what it returns then depends on chance or on the batch."""
    if training := [path or model.name for path, module in model.network.named_modules() if module.training]:
        raise AudioMetamerError(f"{model.name} is in train mode ({training[0]}); call .eval() on it first")


@with_gradients
def check_model(model: Model) -> None:
    """Try a model on noise and raise if its metamers would be meaningless; see `Model`."""
    network, name = model.network, model.name
    check_mode(model)
    if trainable := [path for path, parameter in network.named_parameters() if parameter.requires_grad]:
        raise AudioMetamerError(
            f"{len(trainable)} parameters of {name} require gradients (first: {trainable[0]}); call .requires_grad_(False) on it"
        )
    if any(tensor.is_inference() for tensor in (*model.parameters(), *model.buffers())):
        raise AudioMetamerError(f"{name} was built under torch.inference_mode, which autograd refuses; build it outside of that")
    for kind, values in (
        ("devices", {str(t.device) for t in model._tensors()}),
        ("floating types", {str(t.dtype) for t in model._tensors() if t.is_floating_point()}),
    ):
        if len(values) > 1:
            raise AudioMetamerError(f"{name} has parameters of several {kind}: {', '.join(sorted(values))}; move it to one")
    check_weights(network, name)

    generator = torch.Generator().manual_seed(_PROBE_SEED)
    signals, output, output_alone = run_on_noise(model)
    outputs = [as_real(out) for out in flattened(output).values()]
    if not outputs:
        raise AudioMetamerError(f"{name} returns no floating-point tensor")
    if any(not torch.isfinite(out).all() for out in outputs):
        raise AudioMetamerError(f"the output of {name} for noise is not finite")
    _check_rows(model, flattened(output), flattened(output_alone))
    if model.labels is not None:
        check_labels(name, model.labels, output)
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


def _check_rows(model: Model, both: Mapping[str, Tensor], alone: Mapping[str, Tensor]) -> None:
    """Raise if the outputs for two signals are the same, or that for one depends on the other."""
    found = model._traced()[Tap("", 0)].places
    places = {key: place for key, place in found.items() if not place.unrecordable}
    mixed = any(place.unrecordable == MIXED for place in found.values())
    rows = {key: place.unflatten_items(both[key], 2) for key, place in places.items()}
    if rows and all(torch.equal(*row) for row in rows.values()):
        raise AudioMetamerError(
            f"the output of {model.name} does not depend on its input: it is the same for two different noises"
        )
    for key, place in places.items():
        one = place.unflatten_items(alone[key], 1)
        mixed |= not torch.allclose(rows[key][:1], one, rtol=1e-2, atol=1e-3 * float(one.detach().abs().max()))
    if mixed:
        raise AudioMetamerError(f"the output of {model.name} for a signal depends on the others in the batch, or on chance")


def _moves_at_the_start(model: Model) -> bool:
    """Whether a gradient reaches the signal that a synthesis starts from."""
    start = model.domain.start(model.signal_shape, seeds=[_PROBE_SEED], dtype=model.dtype, device=model.device)
    signals = start.requires_grad_()
    outputs = [as_real(out) for out in flattened(model(model.domain.signals(signals))).values() if out.requires_grad]
    (gradient,) = torch.autograd.grad(torch.as_tensor(sum(out.square().sum() + out.sum() for out in outputs)), signals)
    return bool(gradient.any())
