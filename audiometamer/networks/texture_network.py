"""A network of sound-texture statistics: the classes that are imposed, each a layer, and all of them as one layer."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from audiometamer.errors import AudioMetamerError
from audiometamer.networks.texture_edits import Edits
from audiometamer.networks.texture_statistics import TextureStatistics

# Distances between the bands whose correlations are imposed (McDermott & Simoncelli 2011, toolbox), at overcompleteness 1.
_OFFSETS = {"envelope_correlation": (1, 2, 3, 5, 8, 11, 16, 21), "modulation_c1": (1, 2)}
_FAINTEST = 10**3.0  # a power of 30 dB
ALL, _VARIANCE = "statistics", "subband_variance"


class Imposed(nn.Module):
    """Statistics by class to those that are imposed, as vectors: of correlations, one of each pair at the published offsets.

    Parameters
    ----------
    n_bands : int
        Number of cochlear bands.
    overcompleteness : int
        Factor on the offsets. Default 1.
    """

    def __init__(self, n_bands: int, *, overcompleteness: int = 1) -> None:
        super().__init__()
        self.n_bands = n_bands
        self.pairs = {
            name: [(k, k + overcompleteness * o) for o in offsets for k in range(n_bands - overcompleteness * o)]
            for name, offsets in _OFFSETS.items()
        }

    def forward(self, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Classes [shape=(batch, bands, ...)] to vectors [shape=(batch, entries)]."""
        return {name: self._chosen(name, values).flatten(1) for name, values in found.items()}

    def _chosen(self, name: str, values: Tensor) -> Tensor:
        if name not in self.pairs:
            return values
        rows, columns = torch.tensor(self.pairs[name], device=values.device).T
        return values[:, rows, columns]

    def bands(self, name: str, n_entries: int) -> Tensor:
        """The bands of the entries of a class, [shape=(entries, 2)]: twice the same unless it is a correlation."""
        pairs = torch.tensor(self.pairs.get(name) or [(k, k) for k in range(self.n_bands)])
        return pairs.repeat_interleave(n_entries // len(pairs), dim=0)


class _Concatenated(nn.Module):
    def forward(self, classes: Mapping[str, Tensor]) -> Tensor:
        return torch.cat(list(classes.values()), 1)


class TextureNetwork(nn.Module):
    """Waveforms to the statistics that a texture synthesis imposes.

    Layers: each class by its name [shape=(batch, entries)], and ``statistics``, all of them in one vector. Sounds are loops here:
    envelopes are resampled circularly, and every frame counts alike. The target of a natural sound is measured as published,
    under a window that falls to zero at its ends, and edited where envelopes hardly vary; see `targets`.

    Parameters
    ----------
    preset : {"mcdermott2011", "toolbox"}
    without : sequence of str
        Classes that are left out. Default: none.
    weights : mapping of str to float, optional
        Weights of classes in the loss of ``statistics``. Default: 1 for each.
    edits : Edits, optional
        What is changed in the statistics of natural sounds. Default: bands of low variance, as published.
    target_window : str or sequence of float
        Window of the targets; see `TextureStatistics`. Default "ramps".
    edges : {"zero", "circular"}
        What the resampling of envelopes finds beyond the ends of a synthetic sound. Default "circular".
    **options
        Filters and compression; see `TextureStatistics`.

    Attributes
    ----------
    method : str
        Name of the method that matches it unless another one is chosen.
    default_layers : tuple of str
        Layers that are matched unless others are named: ``statistics``.

    Raises
    ------
    AudioMetamerError
        If a class is not among those of the preset, or none is left; if a weight is of a class that is not imposed, or negative.
    """

    method = "textures"
    default_layers = (ALL,)

    def __init__(
        self,
        preset: str,
        *,
        without: Sequence[str] = (),
        weights: Mapping[str, float] | None = None,
        edits: Edits | None = None,
        target_window: str | Sequence[float] = "ramps",
        edges: Literal["zero", "circular"] = "circular",
        **options: Any,
    ) -> None:
        super().__init__()
        full = TextureStatistics.from_preset(preset).classes
        for name in without:
            if name not in full:
                raise AudioMetamerError(f"texture:{preset} has no class {name!r} to leave out; it has {', '.join(full)}")
        self.classes = tuple(name for name in full if name not in without)
        if not self.classes:
            raise AudioMetamerError(f"texture:{preset} without {', '.join(without)} has no class left")
        self.measure = TextureStatistics(self.classes, edges=edges, **options)
        self.imposed = Imposed(self.measure.n_bands, overcompleteness=self.measure.overcompleteness)
        self.all_classes = _Concatenated()
        self.layers = {name: f"imposed[{name}]" for name in self.classes} | {ALL: "all_classes"}
        self.edits, self.weights = edits or Edits(), dict(weights or {})
        if unknown := [name for name in self.weights if name not in self.classes]:
            raise AudioMetamerError(f"{unknown[0]!r} has a weight and is not imposed; classes are {', '.join(self.classes)}")
        if wrong := [name for name, weight in self.weights.items() if not 0 <= weight < float("inf")]:
            raise AudioMetamerError(f"the weight of {wrong[0]} is {self.weights[wrong[0]]}; it must be a number of 0 or more")
        # Not modules of this network: they are not called for its output.
        self._natural = [TextureStatistics((*self.classes, "envelope_cv"), window=target_window, **options)]

    def forward(self, waveforms: Tensor) -> Tensor:
        """All imposed statistics of waveforms [shape=(batch, samples)], [shape=(batch, 1, entries)]."""
        vector: Tensor = self.all_classes(self.imposed(self.measure(waveforms)))
        return vector[:, None]  # not two-dimensional: statistics are no logits

    def targets(self, waveforms: Tensor) -> dict[str, Tensor]:
        """The statistics that match natural sounds [shape=(batch, samples)], by layer.

        Sounds that are repetitions of one are measured over one of them: the ramps of the window fall on its ends.
        """
        natural = self._natural[0]
        period = _period(waveforms, self.measure.factor)
        edited = self.edits(natural(waveforms[:, :period]), natural)
        classes = self.imposed({name: edited[name] for name in self.classes})
        return classes | {ALL: torch.cat(list(classes.values()), 1)}

    def start(self, noise: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """Noise [shape=(batch, samples)] whose bands have the variances of the targets, as far as these have any."""
        by_class = {name: values for layer, whole in targets.items() for name, values in self.split(layer, whole)}
        return self.measure.shaped(noise, by_class[_VARIANCE]) if _VARIANCE in by_class else noise

    def terms(self, layer: str) -> dict[str, tuple[int, float]] | None:
        """Number of values and weight in the loss of each class in a layer, in its order; None for a single class."""
        if layer != ALL:
            return None
        return {name: (size, self.weights.get(name, 1.0)) for name, size in self.sizes().items()}

    def matches(self, targets: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> dict[str, tuple[float, float]]:
        """SNR in dB and RMS error of each class in some layers of one sound.

        As published (McDermott & Simoncelli 2011, toolbox), over the bands whose variance in the target is within 30 dB of the
        largest, and, of correlations, over the imposed pairs of each such band with any other.

        Parameters
        ----------
        targets, found : mapping of str to Tensor [shape=(entries,)]
            By layer.
        """
        wanted, values = (
            {name: part.double() for layer, whole in side.items() for name, part in self.split(layer, whole)}
            for side in (targets, found)
        )
        kept = torch.ones(self.measure.n_bands, dtype=torch.float64)
        if _VARIANCE in wanted:
            kept = (wanted[_VARIANCE] > wanted[_VARIANCE].max() / _FAINTEST).double().cpu()
        return {name: self._match(name, wanted[name], values[name], kept) for name in wanted}

    def _match(self, name: str, wanted: Tensor, found: Tensor, kept: Tensor) -> tuple[float, float]:
        counts = kept[self.imposed.bands(name, len(wanted))].mean(1).to(wanted)
        power, noise = (float((counts * x.square()).sum()) for x in (wanted, wanted - found))
        snr = math.inf if noise == 0 else -math.inf if power == 0 else 10 * math.log10(power / noise)
        return snr, math.sqrt(noise / float(counts.sum()))

    def split(self, layer: str, values: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Names and values [shape=(..., entries)] of the classes in a layer [shape=(..., entries)].

        Parameters
        ----------
        layer : str
        values : Tensor [shape=(..., entries)]
        """
        if layer != ALL:
            yield layer, values
            return
        begin = 0
        for name, size in self.sizes().items():
            yield name, values[..., begin : begin + size]
            begin += size

    def sizes(self) -> dict[str, int]:
        """Number of imposed statistics by class."""
        bands, pairs = self.measure.n_bands, self.imposed.pairs
        each = {
            "envelope_correlation": len(pairs["envelope_correlation"]), "modulation_power": 20 * bands,
            "modulation_c1": 6 * len(pairs["modulation_c1"]), "modulation_c2": 12 * bands, "envelope_autocorrelation": 23 * bands,
        }  # fmt: skip
        return {name: each.get(name, bands) for name in self.classes}


def _period(waveforms: Tensor, step: int) -> int:
    """Number of samples after which waveforms [shape=(batch, samples)] repeat themselves exactly, a multiple of `step`."""
    n_samples = waveforms.shape[-1]
    heads = waveforms.unfold(-1, step, step)
    candidates = ((heads == heads[:, :1]).all(-1).all(0)).nonzero().flatten().tolist()
    repeated = (k * step for k in candidates if k and torch.equal(waveforms[:, k * step :], waveforms[:, : n_samples - k * step]))
    return next(repeated, n_samples)
