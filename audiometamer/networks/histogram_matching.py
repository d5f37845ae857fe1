"""Iterative matching of histograms of modulation maps, the published synthesis of Norman-Haignere & McDermott (2018)."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from audiometamer.cochleagram.filters import FloatArray
from audiometamer.errors import AudioMetamerError
from audiometamer.networks.modulation import GROUPS_OF, ModulationMoments, compare_moments, moment_loss
from audiometamer.networks.modulation_filters import (
    Condition,
    ModulationFilter,
    ModulationFilterbank,
    published_filters,
)
from audiometamer.networks.octave_cochleagram import OctaveCochleagram, put_together, take_apart

_LEAST_GAIN = 1e-10
_MOST_KEPT = 4e9  # bytes
_SMALLEST_RANGE = 1e-30


class HistogramMatching:
    """Synthesis by matching the histograms of the cochleagram and of its filtered maps, over and over.

    One iteration: the histogram of every filtered map is matched, channel by channel, and the maps are put together; then that of
    every channel of the cochleagram; then a sound is made with the phases of the last. In the first one the channels are matched
    before the maps, too. There are no gradients.

    Parameters
    ----------
    sounds : Tensor [shape=(batch, samples)]
        The originals, at 20 kHz.
    condition : {"cochlear", "temporal", "spectral", "full"}
        Which maps are matched beside the cochleagram. Default "full".
    padding_octaves, padding_seconds : float, optional
        See `ModulationFilterbank`. Defaults: 8 octaves and 24 s, as published, whatever the condition.
    lowest_rate : float
        Rate in Hz below which filters are left out, but those of rate 0. Default 0: none, as published.

    Attributes
    ----------
    comparisons : list of list of dict
        For each call of `losses`, for each sound: `compare_moments` by group, ``cochlear``, ``temporal``, ``spectral`` and
        ``spectrotemporal``.
    """

    def __init__(
        self,
        sounds: Tensor,
        condition: Condition = "full",
        *,
        padding_octaves: float | None = None,
        padding_seconds: float | None = None,
        lowest_rate: float = 0.0,
    ) -> None:
        filters = published_filters(condition, lowest_rate=lowest_rate)
        self.measure = ModulationMoments(
            padding_octaves=padding_octaves, padding_seconds=padding_seconds, lowest_rate=lowest_rate
        )
        octaves, seconds = self.measure.padding
        bank = ModulationFilterbank(filters, padding_octaves=octaves, padding_seconds=seconds)
        self.condition = condition
        self.cochlea = OctaveCochleagram().to(sounds.device)
        self.original = self.cochlea(sounds)
        self.maps = MapMatching(bank, self.original) if filters else None
        self.wanted = self.measure.groups(self.original)
        self.comparisons: list[list[dict[str, dict[str, list[float | None]]]]] = []

    @torch.no_grad()
    def advance(self, step: int, sounds: Tensor) -> Tensor:
        """Sounds [shape=(batch, samples)] after iteration number `step`, from 0."""
        cochleagram, carrier = take_apart(self.cochlea, sounds)
        if self.maps is not None:
            if step == 0:
                cochleagram = matched_histograms(cochleagram, self.original)
            cochleagram = self.maps(cochleagram)
        return put_together(self.cochlea, matched_histograms(cochleagram, self.original), carrier)

    @torch.no_grad()
    def losses(self, sounds: Tensor) -> Tensor:
        """`moment_loss` of the condition's moments, [shape=(batch,)]; adds to `comparisons`."""
        found = self.measure.groups(self.cochlea(sounds))
        self.comparisons.append(
            [
                {group: compare_moments(wanted[k], found[group][k]) for group, wanted in self.wanted.items()}
                for k in range(len(sounds))
            ]
        )
        ours, theirs = (torch.cat([groups[name] for name in GROUPS_OF[self.condition]], dim=1) for groups in (found, self.wanted))
        return moment_loss(ours, theirs)


def matched_histograms(values: Tensor, wanted: Tensor) -> Tensor:
    """Values in their order, with the histogram of others, row by row.

    Parameters
    ----------
    values, wanted : Tensor [shape=(..., frames)]
        Ties in the values are broken by time; so are, in single precision on a CPU, values that differ by less than 1/65,535 of
        their row's range.

    Examples
    --------
    >>> matched_histograms(torch.tensor([3.0, 1.0, 2.0]), torch.tensor([0.1, 0.2, 0.9]))
    tensor([0.9000, 0.1000, 0.2000])
    """
    return _put_in_order(_sorted(wanted), values, torch.empty_like(values))


def _put_in_order(rising: Tensor, values: Tensor, out: Tensor) -> Tensor:
    """Rising values in the order of others, row by row, into `out`."""
    if values.dtype != torch.float32 or values.device.type != "cpu":
        return out.scatter_(-1, torch.argsort(values, dim=-1, stable=True), rising)
    n_threads = torch.get_num_threads()
    rows = (np.array_split(torch.atleast_2d(each).flatten(0, -2).numpy(), n_threads) for each in (rising, values, out))
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(_put_rows_in_order, *rows))
    return out


def _put_rows_in_order(rising: FloatArray, values: FloatArray, out: FloatArray) -> None:
    """For values of 16 bits NumPy has a radix sort, which is several times faster than any of 32 bits."""
    for sorted_row, row, out_row in zip(rising, values, out, strict=True):
        above = row - row.min()
        above *= 65_535 / max(above.max(), _SMALLEST_RANGE)
        out_row[np.argsort(above.astype(np.uint16), kind="stable")] = sorted_row


class MapMatching:
    """Makes cochleagrams whose filtered maps have nearly the histograms of those of an original.

    The maps of each filter are matched channel by channel, over all frames and then without the padding in front, and filtered
    again; their sum is divided by Σ|H|². That of the original with itself is the same.

    Parameters
    ----------
    bank : ModulationFilterbank
    original : Tensor [shape=(batch, channels, frames)]

    Raises
    ------
    AudioMetamerError
        If the filters leave out a modulation.
    """

    def __init__(self, bank: ModulationFilterbank, original: Tensor) -> None:
        self.bank = bank
        self.spectrum = bank.spectrum(original)
        self.shape = bank.padded_shape(original)
        self.gain = torch.zeros_like(self.spectrum[0].real)
        for group in bank.by_scale_and_direction():
            over_time = [bank.factors(tuning, self.spectrum, self.shape)[1].abs().square() for tuning in group]
            self.gain += bank.factors(group[0], self.spectrum, self.shape)[0].abs().square() * torch.stack(over_time).sum(0)
        if self.gain.min() < _LEAST_GAIN:
            raise AudioMetamerError(
                f"the filters pass nothing of some modulations (the least Σ|H|² is {float(self.gain.min()):.1g}), so that a "
                "cochleagram cannot be put together from its maps: add filters, of rate and scale 0 too"
            )
        n_bytes = len(bank) * len(original) * math.prod(self.shape) * original.element_size()
        self._keeps = n_bytes <= _MOST_KEPT
        self._kept: dict[ModulationFilter, tuple[Tensor, Tensor]] = {}

    def __call__(self, cochleagram: Tensor) -> Tensor:
        """The matched cochleagram, of the shape of the given one, which is that of the original."""
        spectrum = self.bank.spectrum(cochleagram)
        total = torch.zeros_like(spectrum)
        for group in self.bank.by_scale_and_direction():
            over_frequency, _ = self.bank.factors(group[0], total, self.shape)
            ours = torch.fft.ifft(spectrum * over_frequency, dim=1)
            theirs = None if group[0] in self._kept else torch.fft.ifft(self.spectrum * over_frequency, dim=1)
            part = torch.zeros_like(total)
            for tuning in group:
                over_time = self.bank.factors(tuning, total, self.shape)[1]
                rising = self._kept[tuning] if theirs is None else self._rising(tuning, theirs * over_time)
                part.addcmul_(torch.fft.rfft(self._matched(tuning, ours * over_time, *rising)), over_time.conj())
            total.addcmul_(torch.fft.fft(part, dim=1), over_frequency.conj())
        return self.bank.unpad(torch.fft.irfft(torch.fft.ifft(total / self.gain, dim=1), n=self.shape[1]))

    def _rising(self, tuning: ModulationFilter, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Sorted values of the original's map, with padding in time and without; kept if those of all filters fit in memory."""
        maps = torch.fft.irfft(rows, n=self.shape[1])
        rising = _sorted(maps), _sorted(maps[..., self.bank.padding[1] :])
        if self._keeps:
            self._kept[tuning] = rising
        return rising

    def _matched(self, tuning: ModulationFilter, rows: Tensor, padded: Tensor, inner: Tensor) -> Tensor:
        """The map with the original's values, over all frames, and then over those of the sound."""
        if tuning.rate == 0:
            return padded  # constant
        maps, n_padding = torch.fft.irfft(rows, n=self.shape[1]), self.bank.padding[1]
        matched = _put_in_order(padded, maps, torch.empty_like(maps))
        _put_in_order(inner, maps[..., n_padding:], matched[..., n_padding:])
        return matched


def _sorted(values: Tensor) -> Tensor:
    """Sorted rows; on a CPU by NumPy, which needs a quarter of the time."""
    return torch.from_numpy(np.sort(values.numpy())) if values.device.type == "cpu" else values.sort(-1).values
