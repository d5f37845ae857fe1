"""A model: a network with its front end, and what is needed to give it signals and to read its answers."""

import hashlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audiometamer.errors import AudioMetamerError
from audiometamer.io.integers import as_integer
from audiometamer.matching.domains import Domain, Gaussian, Waveform
from audiometamer.models.answers import Names, class_names, extract_logits
from audiometamer.models.cards import Card
from audiometamer.models.checking import check_hookable, check_model
from audiometamer.models.layered_network import LayeredNetwork
from audiometamer.signals.audio import Clip, read_clip
from audiometamer.signals.images import ImageTransform, read_image

NO_LABEL = "(logits not finite)"
_MOST_SAMPLES = 10_000_000  # of a sound, as 8 minutes at 20 kHz; front ends take up to 200 times as much memory


class Model(LayeredNetwork):
    """A network with its front end, and what is needed to give it sounds and to read its answers.

    Any `torch.nn.Module` in eval mode and without trainable parameters will do. It is run once, on noise, and anything that would
    make its metamers meaningless raises an error: see Raises.

    Where a network passes several items of each signal to a submodule as rows of the batch (frames of a sound, windows of an
    image, nodes of a graph), one signal after the other, these layers are recorded with shape (batch, items, ...). This is
    inferred from their values; where these do not settle it, the network's attribute `items_per_signal` gives the number.

    Parameters
    ----------
    network : Module
        Takes what the front end gives, or signals if there is none. Returns logits [shape=(batch, classes)], a dict of them by
        task, or anything else if no labels are given.
    front_end : Module, optional
        Maps signals [shape=(batch, *signal_shape)] to the network's input; its output is the layer ``cochleagram``, or
        ``front_end`` if it is not a `Cochleagram`.
    sample_rate : int, optional
        Sample rate in Hz. Required for sounds.
    duration : float, optional
        Duration in seconds. Required for sounds.
    channels : {1, 2}
        Number of channels of its sounds: 2 for a binaural network, whose signals have shape (2, samples), left first. Default 1.
    level : float or None
        RMS that clips are set to, over both channels together, which preserves their difference in level. Default 0.1.
    signal_shape : sequence of int, optional
        Shape of one signal. Default: (samples,), or (2, samples), with sample_rate · duration samples.
    bounds : tuple of float
        Range of the signals; values outside are clamped first. Default (−1, 1).
    labels : sequence of str, or mapping of str to them
        Names of all classes, or of those of each task. Instead of a sequence, a mapping from class numbers to names. Only tasks
        with labels count in verdicts: other outputs may be anything. Default: none.
    layers : mapping of str to str, or sequence of str
        Names for modules of the network (``{"relu0": "features.0"}``), from input to output. Default: the network's own attribute
        `layers` if it is such a mapping, or all submodules that a forward pass calls, in that order. What cannot be recorded is
        left out, see `left_out`. Any dotted module name also works, as do ``module@k``, its k-th call from 0, and
        ``module[key]``, an item of the tuple or dict that it returns; where there are several, they are listed that way. A batch
        dimension other than the first is moved to the front. After any of them, ``/channels=0:32``, ``/frames=10:20``,
        ``/units=3.5.9`` and ``/average=time`` select a part of the layer; see `audiometamer.models.parts.Part`.
    domain : Domain, optional
        The set of signals that a synthesis searches. Default: `Waveform` if there is a sample rate, or `Gaussian.within` the
        bounds.
    picture : ImageTransform, optional
        How images become its signals. Required for images.
    untrained : callable, optional
        Returns the untrained network, for ``random:`` controls. Default: its modules are reset; see
        `audiometamer.models.controls`.
    name : str
        Name for folders and reports. Default: the network's class.
    check : bool
        Whether to check the model. Default True.

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
        sample_rate = None if sample_rate is None else as_integer(sample_rate, "sample_rate", least=1)
        if signal_shape is None:
            signal_shape = _sound_shape(sample_rate, duration, channels)
        if level is not None and not 0 < level <= 1:
            raise AudioMetamerError(f"level is {level}; it must be above 0 and at most 1, an RMS, or None")
        check_hookable(network)
        super().__init__(
            network,
            front_end=front_end,
            signal_shape=signal_shape,
            bounds=bounds,
            name=name or type(network).__name__,
            layers=layers,
        )
        self.sample_rate, self.duration, self.level = sample_rate, duration, level
        self._check_channels(channels)
        self.domain = domain or (Gaussian.within(bounds) if sample_rate is None else Waveform())
        self.picture = picture
        self.untrained = untrained
        self.labels = class_names(labels)
        self.card: Card | None = None
        self.folder: Path | None = None  # where it was loaded from
        if check:
            check_model(self, labels=self.labels, domain=self.domain)

    def _check_channels(self, requested: int) -> None:
        rate, shape = self.sample_rate, self.signal_shape
        if requested not in (1, 2):
            raise AudioMetamerError(f"channels is {requested!r}; the sounds of a model have 1 or 2")
        if requested == 2 and (rate is None or self.channels != 2):
            raise AudioMetamerError(
                f"channels is 2, which needs a sample_rate and signals of shape (2, samples), not {rate}, {shape}"
            )
        if rate is not None and self.channels not in (1, 2):
            raise AudioMetamerError(f"signal_shape is {shape}; sounds have 1 or 2 channels: omit sample_rate for other signals")

    def read_clip(
        self,
        path: str | os.PathLike[str],
        *,
        level: float | None = None,
        start: float | None = None,
        length: float | None = None,
    ) -> Clip:
        """Read a recording or photograph as the model takes it.

        >>> import audiometamer as am
        >>> model = am.load_model("cochcnn-word")
        >>> (metamer,) = am.synthesize(model, model.read_clip("speech.wav", start=1.5), "relu2")

        Parameters
        ----------
        path : path
        level : float, optional
            RMS of the clip. Default: the model's.
        start, length : float, optional
            Seconds; see `audiometamer.read_clip`.

        Raises
        ------
        AudioMetamerError
            If the model takes neither sounds nor images, or the file cannot be read as what it takes.
        """
        if self.picture is not None:
            return read_image(path, self.picture)
        if self.sample_rate is None or self.duration is None:
            raise AudioMetamerError(f"{self.name} takes neither sounds nor images: it has no sample rate and no picture")
        level = self.level if level is None else level
        return read_clip(
            path, sample_rate=self.sample_rate, duration=self.duration, channels=self.channels, level=level, start=start,
            length=length,
        )  # fmt: skip

    @property
    def channels(self) -> int:
        """Number of channels of its sounds."""
        return math.prod(self.signal_shape[:-1])

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks: the keys of its labels, or ``word`` alone if they are not named."""
        return tuple(self.labels) if isinstance(self.labels, Mapping) else ("word",)

    def named_labels(self) -> dict[str, list[str]]:
        """Names of the classes by task; empty if they have none."""
        if self.labels is None:
            return {}
        labels = self.labels if isinstance(self.labels, Mapping) else {self.tasks[0]: self.labels}
        return {task: list(names) for task, names in labels.items()}

    def logits(self, output: Any) -> dict[str, Tensor]:
        """The model's output as logits [shape=(batch, classes)] by task; empty if it is not of that form."""
        return extract_logits(output, self.tasks[0])

    def label(self, task: str, index: int) -> str:
        """Name of a class of a task; its number if the model has no labels."""
        labels = self.labels.get(task) if isinstance(self.labels, Mapping) else self.labels
        return str(index) if labels is None else str(labels[index])

    def predicted_label(self, task: str, logits: Tensor) -> str:
        """The label of the largest of a task's logits [shape=(classes,)]; `NO_LABEL` if they are not all finite."""
        return self.label(task, int(logits.argmax())) if bool(torch.isfinite(logits).all()) else NO_LABEL

    def weights_sha256(self) -> str:
        """SHA-256 of the weight file, or of all parameters and buffers, in order, if there is no file."""
        if self.card is not None:
            return self.card.weights.sha256
        digest = hashlib.sha256()
        for tensor in self.network_tensors():
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


def _sound_shape(sample_rate: int | None, duration: float | None, channels: int) -> tuple[int, ...]:
    if sample_rate is None or duration is None:
        raise AudioMetamerError("a model needs sample_rate and duration (sounds) or signal_shape (anything else)")
    if not 0.5 < sample_rate * duration <= _MOST_SAMPLES:
        raise AudioMetamerError(
            f"a model of {duration} s at {sample_rate} Hz has no signals: give 1 to {_MOST_SAMPLES:,} samples"
        )
    n_samples = round(sample_rate * duration)
    return (n_samples,) if channels == 1 else (2, n_samples)
