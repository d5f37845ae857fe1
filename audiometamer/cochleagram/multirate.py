"""Down-sampled Hilbert envelopes computed with each subband at a rate a few times its own bandwidth.

The same three steps as in `FullRate`, none of them at the sound's own rate:

1. A subband occupies few FFT bins, so a short inverse FFT of just those bins gives its samples on a coarse grid, shifted to base
   band, which leaves its magnitude as it was.
2. Its power, the squared magnitude, is smooth: it is band-limited too, and interpolates well from the coarse grid to a finer one.
3. The magnitude is not: it has a kink where the subband passes zero, so the root is taken on the finer grid, and the low-pass
   filter runs there.

Steps 2 and 3 are matrix products. The aliasing of the kinks on the finer grid is neglected. Not so that of the edge at the floor
of magnitudes, where the gradient begins: below it nothing moves. Subbands near the floor cross it all the time, and the published
computation itself aliases there, by 35 dB for noise whose standard deviation is 1e-7. So for faint sounds the finer grid is the
sound's own, and both alias alike.
"""

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from audiometamer.cochleagram.constants import Compression, add_constant
from audiometamer.cochleagram.decimation import BlockDecimation, SpectralDecimation
from audiometamer.cochleagram.filters import Filterbank
from audiometamer.cochleagram.lowpass import Lowpass
from audiometamer.cochleagram.spectra import Gather, LowSpectrum, gather_positions
from audiometamer.cochleagram.subband_magnitude import SubbandMagnitude, interpolation_matrix
from audiometamer.cochleagram.subbands import BLOCK, grid_points, pack_bands, plan_subbands


class Multirate(nn.Module):
    """Hilbert envelopes computed with each subband at a rate a few times its own bandwidth.

    Subbands of similar bandwidth share their grids and are computed together; see `plan_subbands`.

    Parameters
    ----------
    filterbank, lowpass, n_samples, sample_rate, dtype, device
        As in `FullRate`.
    oversampling : float
        See `plan_subbands`. More is more exact and slower; infinite, the root is taken at the sound's own samples.
    """

    def __init__(
        self,
        filterbank: Filterbank,
        lowpass: Lowpass,
        *,
        n_samples: int,
        sample_rate: float,
        dtype: torch.dtype,
        device: torch.device,
        oversampling: float,
    ) -> None:
        super().__init__()
        self.n_bins = n_samples // 2 + 1
        bands = filterbank.bands(np.fft.rfftfreq(n_samples, 1 / sample_rate))
        bandwidths = [len(band.gains) * lowpass.stride / n_samples for band in bands]
        groups = plan_subbands(bandwidths, stride=lowpass.stride, n_samples=n_samples, oversampling=oversampling)
        points = partial(grid_points, stride=lowpass.stride, n_samples=n_samples)
        self.lengths = [points(group.coarse) for group in groups]
        self.decimate = nn.ModuleList()
        all_bins, all_used = [], []
        turn = np.array([1, -1j])[:, None, None, None]
        for g, (group, length) in enumerate(zip(groups, self.lengths, strict=True)):
            bins, gains, halved = pack_bands([bands[row] for row in group.rows], n_samples=n_samples, length=length)
            all_bins.append(bins.ravel())
            all_used.append(gains.ravel() != 0)
            add_constant(self, f"parts{g}", turn * halved, dtype.to_complex(), device)
            add_constant(self, f"adjoint_parts{g}", turn.conj() * gains, dtype.to_complex(), device)
            add_constant(self, f"interpolation{g}", interpolation_matrix(BLOCK * group.fine // group.coarse), dtype, device)
            if n_samples % lowpass.stride == 0:
                self.decimate.append(BlockDecimation(lowpass, group.fine, n_samples, dtype=dtype, device=device))
            else:
                self.decimate.append(SpectralDecimation(lowpass, points(group.fine), n_samples, dtype=dtype, device=device))
        self.widths = [len(bins) for bins in all_bins]
        columns = np.concatenate(all_bins)
        positions = gather_positions(columns, np.concatenate(all_used), self.n_bins)
        order = np.argsort(np.concatenate([group.rows for group in groups]))
        for name, values in (("bins", columns), ("positions", positions), ("order", order)):
            add_constant(self, name, values, torch.int64, device)

    def forward(self, sound: Tensor, compress: Compression) -> Tensor:
        """Frames of the envelopes of sound [shape=(batch, samples)], `compress`ed first: [shape=(batch, filters, frames)]."""
        spectrum = Gather.apply(LowSpectrum.apply(sound, self.n_bins), self.get_buffer("bins"), self.get_buffer("positions"))
        frames = []
        for g, (spectra, decimate) in enumerate(zip(spectrum.split(self.widths, dim=1), self.decimate, strict=True)):
            constants = (self.get_buffer(f"{name}{g}") for name in ("parts", "adjoint_parts", "interpolation"))
            frames.append(decimate(compress(SubbandMagnitude.apply(spectra, *constants, self.lengths[g]))))
        return torch.cat(frames, dim=1).index_select(1, self.get_buffer("order"))
