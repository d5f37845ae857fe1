"""Targets: activations of clips, or activations given instead of a clip."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import atomic_write
from audiometamer.io.reading import read_file_bytes
from audiometamer.matching.complex_values import as_real
from audiometamer.matching.inference import normal_tensor
from audiometamer.models.model import Model
from audiometamer.models.recording import record
from audiometamer.signals.audio import Clip

_KEPT_BYTES = 2**28  # of targets, on the model's device


@dataclass(frozen=True)
class GivenTarget:
    """Activations to match instead of those of a clip: from elsewhere, averaged over clips, changed by hand.

    There is no natural signal, so labels and other layers cannot be compared.

    Parameters
    ----------
    name : str
        Names the folder of its metamers.
    activations : mapping of str to Tensor [shape=(...)]
        Activations of one signal by layer, without the dimension of the batch.
    notices : tuple of str
        Notices that are kept with the evidence.
    """

    name: str
    activations: Mapping[str, Tensor]
    notices: tuple[str, ...] = ()

    def rename_layers(self, canonical: Callable[[str], str]) -> "GivenTarget":
        """The same target with other names of its layers; see `Model.canonical`."""
        return replace(self, activations={canonical(layer): tensor for layer, tensor in self.activations.items()})

    def at(self, layer: str) -> Tensor:
        """The activations of one layer.

        Raises
        ------
        AudioMetamerError
            If there are none.
        """
        if layer not in self.activations:
            raise AudioMetamerError(
                f"target {self.name!r} has no activations of layer {layer!r}; it has {', '.join(self.activations)}"
            )
        return self.activations[layer]


@dataclass
class Targets:
    """Targets at the layers of a model, each computed once; no more are kept than fit in 256 MiB.

    Parameters
    ----------
    model : Model
    """

    model: Model
    _kept: dict[tuple[int, str], Tensor] = field(default_factory=dict, repr=False)

    def at(self, clip: Clip | GivenTarget, names: Sequence[str]) -> dict[str, Tensor]:
        """The target of one signal, [shape=(...)] at each of some layers."""
        missing = [place for place in names if (id(clip), place) not in self._kept]
        computed = self._computed(clip, missing) if missing else {}
        self.keep(clip, computed)
        return {place: computed[place] if place in computed else self._kept[id(clip), place] for place in names}

    def stack(self, clips: Iterable[Clip | GivenTarget], names: Sequence[str]) -> dict[str, Tensor]:
        """Targets of several signals, [shape=(clips, ...)] at each of some layers."""
        rows = [self.at(clip, names) for clip in clips]
        return {place: torch.stack([row[place] for row in rows]) for place in names}

    def keep(self, clip: Clip | GivenTarget, targets: Mapping[str, Tensor]) -> None:
        """Keep targets of a signal that were computed elsewhere, as far as they fit."""
        room = _KEPT_BYTES - sum(tensor.nbytes for tensor in self._kept.values())
        for place, tensor in targets.items():
            if (room := room - tensor.nbytes) >= 0:
                self._kept[id(clip), place] = tensor

    def forget(self, names: Iterable[str]) -> None:
        """Drop the targets at layers that are done."""
        gone = set(names)
        self._kept = {key: tensor for key, tensor in self._kept.items() if key[1] not in gone}

    def _computed(self, clip: Clip | GivenTarget, names: Sequence[str]) -> dict[str, Tensor]:
        with torch.no_grad():
            if isinstance(clip, Clip):
                found = record(self.model, as_input(self.model, clip)[None], names)
                return as_targets(self.model, clip, {place: a[0] for place, a in found.items()})
            silence = torch.zeros(1, *self.model.signal_shape, dtype=self.model.dtype, device=self.model.device)
            own = record(self.model, silence, names)
        given = {place: normal_tensor(as_real(clip.at(place)).to(own[place])) for place in names}
        for place in names:
            if given[place].shape != own[place].shape[1:]:
                raise AudioMetamerError(
                    f"target {clip.name!r} has shape {tuple(given[place].shape)} at {place}; {self.model.name} gives "
                    f"{tuple(own[place].shape[1:])} there"
                )
        return given


def as_targets(model: Model, clip: Clip, activations: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a clip is matched by: its activations [shape=(...)] by layer, or what the network says in place of some of them."""
    own = getattr(model.network, "targets", None)
    if own is None:
        return dict(activations)
    with torch.no_grad():
        found = {layer: values[0] for layer, values in own(model.clamp(as_input(model, clip)[None])).items()}
    return {layer: found.get(layer, values) for layer, values in activations.items()}


def as_input(model: Model, clip: Clip) -> Tensor:
    """The samples of a clip as a model takes them, [shape=signal_shape]."""
    return normal_tensor(clip.samples.to(dtype=model.dtype, device=model.device).view(model.signal_shape))


def save_activations(path: str | os.PathLike[str], activations: Mapping[str, Tensor]) -> None:
    """Write activations [shape=(...)] of one signal, by layer, as safetensors."""
    from safetensors.torch import save

    content = save({layer: tensor.detach().cpu().contiguous() for layer, tensor in activations.items()})
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def read_target(path: str | os.PathLike[str]) -> GivenTarget:
    """Read activations from any safetensors file with a tensor for each layer, such as ``audiometamer record`` writes.

    Raises
    ------
    AudioMetamerError
        If the file is of another kind, is empty, or holds numbers that are not finite.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    path = Path(path)
    try:
        activations = load(read_file_bytes(path))
    except OSError as error:
        raise AudioMetamerError(f"{path} cannot be read: {error.strerror}") from error
    except SafetensorError as error:
        raise AudioMetamerError(f"{path} is not a safetensors file of activations: {error}") from error
    if not activations:
        raise AudioMetamerError(f"{path} holds no activations")
    for layer, tensor in activations.items():
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
            raise AudioMetamerError(f"{path}: the activations of {layer} are not all finite numbers ({tensor.dtype})")
    return GivenTarget(path.stem, activations)
