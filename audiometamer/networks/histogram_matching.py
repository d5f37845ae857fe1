"""Iterative matching of histograms of modulation maps, the published synthesis of Norman-Haignere & McDermott (2018)."""

import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.networks.modulation import GROUPS_OF, ModulationMoments, compare_moments, moment_loss
from audiometamer.networks.modulation_filters import Condition, ModulationFilterbank, padding_of, published_filters
from audiometamer.networks.octave_cochleagram import OctaveCochleagram, put_together, take_apart

_LEAST_GAIN = 1e-10


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
    ) -> None:
        filters = published_filters(condition)
        octaves, seconds = padding_of(padding_octaves, padding_seconds)
        self.bank = ModulationFilterbank(filters, padding_octaves=octaves, padding_seconds=seconds) if filters else None
        self.condition = condition
        self.cochlea = OctaveCochleagram().to(sounds.device)
        self.measure = ModulationMoments(padding_octaves=octaves, padding_seconds=seconds)
        self.original = self.cochlea(sounds)
        self.wanted = self.measure.groups(self.original)
        self.comparisons: list[list[dict[str, dict[str, list[float | None]]]]] = []

    @torch.no_grad()
    def advance(self, step: int, sounds: Tensor) -> Tensor:
        """Sounds [shape=(batch, samples)] after iteration number `step`, from 0."""
        cochleagram, carrier = take_apart(self.cochlea, sounds)
        if self.bank is not None:
            if step == 0:
                cochleagram = matched_histograms(cochleagram, self.original)
            cochleagram = matched_maps(self.bank, cochleagram, self.original)
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


def matched_histograms(values: Tensor, wanted: Tensor, *, padding: int = 0) -> Tensor:
    """Values in their order, with the histogram of others, row by row; then again without the padding in front.

    Parameters
    ----------
    values, wanted : Tensor [shape=(..., frames)]
        Ties in the values are broken by time.
    padding : int
        Number of frames of padding. Default 0.

    Examples
    --------
    >>> matched_histograms(torch.tensor([3.0, 1.0, 2.0]), torch.tensor([0.1, 0.2, 0.9]))
    tensor([0.9000, 0.1000, 0.2000])
    """
    matched = torch.empty_like(values).scatter_(-1, _order(values), wanted.sort(-1).values)
    if padding:
        matched[..., padding:] = matched_histograms(matched[..., padding:], wanted[..., padding:])
    return matched


def _order(values: Tensor) -> Tensor:
    return torch.argsort(values, dim=-1, stable=True)


def matched_maps(bank: ModulationFilterbank, cochleagram: Tensor, original: Tensor) -> Tensor:
    """A cochleagram whose filtered maps have nearly the histograms of those of an original.

    The maps of each filter are matched channel by channel and filtered again; their sum is divided by Σ|H|². That of a
    cochleagram with itself is the same.

    Parameters
    ----------
    bank : ModulationFilterbank
    cochleagram, original : Tensor [shape=(batch, channels, frames)]

    Returns
    -------
    Tensor [shape=(batch, channels, frames)]

    Raises
    ------
    AudioMetamerError
        If the filters leave out a modulation.
    """
    spectra = bank.spectrum(cochleagram), bank.spectrum(original)
    shape, n_padding = bank.padded_shape(cochleagram), bank.padding[1]
    total, gain = torch.zeros_like(spectra[0]), torch.zeros_like(spectra[0][0].real)
    for group in bank.by_scale_and_direction():
        over_frequency, _ = bank.factors(group[0], total, shape)
        ours, theirs = (torch.fft.ifft(spectrum * over_frequency, dim=1) for spectrum in spectra)
        part = torch.zeros_like(total)
        for tuning in group:
            over_time = bank.factors(tuning, total, shape)[1]
            maps, wanted = (torch.fft.irfft(each * over_time, n=shape[1]) for each in (ours, theirs))
            matched = wanted if tuning.rate == 0 else matched_histograms(maps, wanted, padding=n_padding)  # of rate 0: constant
            part += torch.fft.rfft(matched) * over_time.conj()
            gain += (over_frequency * over_time).abs().square()
        total += torch.fft.fft(part, dim=1) * over_frequency.conj()
    if gain.min() < _LEAST_GAIN:
        raise AudioMetamerError(
            f"the filters pass nothing of some modulations (the least Σ|H|² is {float(gain.min()):.1g}), so that a cochleagram "
            "cannot be put together from its maps: add filters, of rate and scale 0 too"
        )
    return bank.unpad(torch.fft.irfft(torch.fft.ifft(total / gain, dim=1), n=shape[1]))
