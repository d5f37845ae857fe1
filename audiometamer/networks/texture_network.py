"""A network of sound-texture statistics: the classes that are imposed, each a layer, and all of them as one layer."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from audiometamer.errors import AudioMetamerError
from audiometamer.networks.texture_edits import Edits
from audiometamer.networks.texture_segments import Segments
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

    def forward(self, segments: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Classes [shape=(batch, bands, ...)] of each segment to vectors [shape=(batch, segments · entries)]."""
        return {name: torch.cat([self._chosen(name, found[name]).flatten(1) for found in segments], 1) for name in segments[0]}

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
    segments : Segments, optional
        Segments with statistics of their own; a class has those of all of them, one after the other. Default: none.
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
        segments: Segments | None = None,
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
        self.edits, self.weights, self.segments = edits or Edits(), dict(weights or {}), segments
        if unknown := [name for name in self.weights if name not in self.classes]:
            raise AudioMetamerError(f"{unknown[0]!r} has a weight and is not imposed; classes are {', '.join(self.classes)}")
        if wrong := [name for name, weight in self.weights.items() if not 0 <= weight < float("inf")]:
            raise AudioMetamerError(f"the weight of {wrong[0]} is {self.weights[wrong[0]]}; it must be a number of 0 or more")
        # Not modules of this network: they are not called for its output.
        self._natural = [TextureStatistics((*self.classes, "envelope_cv"), window=target_window, **options)]

    def forward(self, waveforms: Tensor) -> Tensor:
        """All imposed statistics of waveforms [shape=(batch, samples)], [shape=(batch, 1, entries)]."""
        found = [self.measure(waveforms)] if self.segments is None else self._by_segment(self.measure, waveforms)
        vector: Tensor = self.all_classes(self.imposed(found))
        return vector[:, None]  # not two-dimensional: statistics are no logits

    def clip_gradients(self, factor: float) -> None:
        """Limit the derivative of the compression, for steps of a synthesis; see `TextureStatistics`."""
        self.measure.gradient_clip = factor

    def _by_segment(self, measure: TextureStatistics, waveforms: Tensor) -> list[dict[str, Tensor]]:
        return measure.of_segments(waveforms, self._windows(waveforms.shape[-1] // measure.factor))

    def _windows(self, n_frames: int) -> Tensor:
        """Weights of the frames in each segment, [shape=(segments, frames)]."""
        if self.segments is None:
            return torch.ones(1, n_frames, dtype=torch.float64)
        return torch.from_numpy(self.segments.windows(n_frames, self.measure.envelope_rate))

    def targets(self, waveforms: Tensor) -> dict[str, Tensor]:
        """The statistics that match natural sounds [shape=(batch, samples)], by layer."""
        if self.segments is None:
            return self.as_layers([self.of_whole(waveforms)])
        natural = self._natural[0]
        return self.as_layers([self.edits(found, natural) for found in self._by_segment(natural, waveforms)])

    def of_whole(self, waveforms: Tensor) -> dict[str, Tensor]:
        """The statistics of natural sounds [shape=(batch, samples)] by class, edited.

        Sounds that are repetitions of one are measured over one of them: the ramps of the window fall on its ends.
        """
        natural = self._natural[0]
        return self.edits(natural(waveforms[:, : _period(waveforms, self.measure.factor)]), natural)

    def in_time(self, given: Sequence[Mapping[str, Tensor]]) -> list[dict[str, Tensor]]:
        """Statistics of each segment from given ones: one each, or interpolated along a gradient; see `Segments.mixtures`.

        Raises
        ------
        AudioMetamerError
            If there are more or fewer than this network has segments.
        """
        if self.segments is None and len(given) > 1:
            raise AudioMetamerError(
                f"statistics are for {len(given)} segments, and the model has none: name it with them, as in "
                "texture:toolbox/step_at=2.5 or texture:toolbox/gradient=6"
            )
        mixtures = np.ones((1, 1)) if self.segments is None else self.segments.mixtures(len(given))
        return [
            {
                name: sum((share * each[name] for share, each in zip(row, given, strict=True)), torch.zeros(()))
                for name in given[0]
            }
            for row in mixtures.tolist()
        ]

    def as_layers(self, segments: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Statistics of each segment, by class [shape=(batch, bands, ...)], as the activations of layers."""
        classes = self.imposed([{name: found[name] for name in self.classes} for found in segments])
        return classes | {ALL: torch.cat(list(classes.values()), 1)}

    def start(self, noise: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """Noise [shape=(batch, samples)] whose bands have the variances of the targets, as far as these have any."""
        by_class = {name: values for layer, whole in targets.items() for name, values in self.split(layer, whole)}
        if _VARIANCE not in by_class:
            return noise
        windows = self._windows(noise.shape[-1] // self.measure.factor).to(noise).repeat_interleave(self.measure.factor, 1)
        variances = by_class[_VARIANCE].unflatten(1, (len(windows), -1)).unbind(1)
        shaped = [window * self.measure.shaped(noise, wanted) for window, wanted in zip(windows, variances, strict=True)]
        return torch.stack(shaped).sum(0)

    def terms(self, layer: str) -> dict[str, tuple[int, float]] | None:
        """Number of values and weight in the loss of each class in each segment of a layer, in order; None if it is but one."""
        if layer != ALL and self.segments is None:
            return None
        names = self.classes if layer == ALL else (layer,)
        return {
            part: (self.sizes()[name] // self._n_segments, self.weights.get(name, 1.0))
            for name in names
            for part in self._parts(name)
        }

    def _parts(self, name: str) -> list[str]:
        """Names of a class in each segment."""
        return [name] if self.segments is None else [f"{name}, segment {k + 1}" for k in range(self._n_segments)]

    def matches(self, targets: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> dict[str, tuple[float, float]]:
        """SNR in dB and RMS error of each class, in each segment, in some layers of one sound.

        As published (McDermott & Simoncelli 2011, toolbox), over the bands whose variance in the target is within 30 dB of the
        largest, and, of correlations, over the imposed pairs of each such band with any other.

        Parameters
        ----------
        targets, found : mapping of str to Tensor [shape=(entries,)]
            By layer.
        """
        wanted, values = (
            {
                name: part.double().unflatten(0, (self._n_segments, -1))
                for layer, whole in side.items()
                for name, part in self.split(layer, whole)
            }
            for side in (targets, found)
        )
        shares = self._loud_shares(wanted)
        return {
            part: _match(*rows)
            for name in wanted
            for part, *rows in zip(self._parts(name), wanted[name], values[name], shares[name], strict=True)
        }

    def loud_shares(self, layer: str, targets: Tensor) -> Tensor:
        """The share of loud bands in each value of a layer: 0 or 1, or ½ for a correlation with a faint band.

        Loud are bands whose variance in the target is within 30 dB of the largest; all are where variances are not in the layer.

        Parameters
        ----------
        layer : str
        targets : Tensor [shape=(batch, entries)]

        Returns
        -------
        Tensor [shape=(batch, entries)]
        """
        by_class = {name: part.unflatten(-1, (self._n_segments, -1)) for name, part in self.split(layer, targets)}
        return torch.cat([shares.flatten(-2) for shares in self._loud_shares(by_class).values()], -1)

    def _loud_shares(self, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """By class, from targets [shape=(..., segments, entries)], of the same shape."""
        some = next(iter(targets.values()))
        loud = some.new_ones(*some.shape[:-1], self.measure.n_bands)
        if _VARIANCE in targets:
            variances = targets[_VARIANCE]
            loud = (variances > variances.amax(-1, keepdim=True) / _FAINTEST).to(variances)
        return {name: loud[..., self.imposed.bands(name, values.shape[-1])].mean(-1) for name, values in targets.items()}

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
        """Number of imposed statistics by class, over all segments."""
        bands, pairs = self.measure.n_bands, self.imposed.pairs
        each = {
            "envelope_correlation": len(pairs["envelope_correlation"]), "modulation_power": 20 * bands,
            "modulation_c1": 6 * len(pairs["modulation_c1"]), "modulation_c2": 12 * bands, "envelope_autocorrelation": 23 * bands,
        }  # fmt: skip
        return {name: each.get(name, bands) * self._n_segments for name in self.classes}

    @property
    def _n_segments(self) -> int:
        return 1 if self.segments is None else len(self.segments)


def _match(wanted: Tensor, found: Tensor, shares: Tensor) -> tuple[float, float]:
    """SNR in dB and RMS error over the values that count, by their shares [shape=(entries,)]."""
    power, noise = (float((shares * x.square()).sum()) for x in (wanted, wanted - found))
    snr = math.inf if noise == 0 else -math.inf if power == 0 else 10 * math.log10(power / noise)
    return snr, math.sqrt(noise / float(shares.sum()))


def _period(waveforms: Tensor, step: int) -> int:
    """Number of samples after which waveforms [shape=(batch, samples)] repeat themselves exactly, a multiple of `step`."""
    n_samples = waveforms.shape[-1]
    heads = waveforms.unfold(-1, step, step)
    candidates = ((heads == heads[:, :1]).all(-1).all(0)).nonzero().flatten().tolist()
    repeated = (k * step for k in candidates if k and torch.equal(waveforms[:, k * step :], waveforms[:, : n_samples - k * step]))
    return next(repeated, n_samples)
