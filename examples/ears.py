"""How do ears turn level into level, and how broad are their filters? Input-output functions and filter shapes, in one picture.

A 1-kHz tone from 20 to 100 dB SPL through hearing losses of the standard audiograms, and through the compression of the basilar
membrane; the filter of hearing loss at about 1 kHz for each degree, and of the cochleagram, narrow and broadened. A few seconds.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import audiometamer as am
from audiometamer.cochleagram.filters import CosineFilterbank
from audiometamer.ears.msbg_bank import BANKS

RATE, HZ = 20_000, 1000
OUT = Path("ears.png")


def output_levels(ear: torch.nn.Module, levels: np.ndarray) -> np.ndarray:
    """Levels in dB re 1 at which tones of some levels in dB SPL leave an ear with a full scale of 100 dB SPL."""
    tone = 2**0.5 * torch.sin(2 * torch.pi * HZ * torch.arange(RATE // 2, dtype=torch.float64) / RATE)
    tones = torch.from_numpy(10 ** ((levels - 100) / 20))[:, None] * tone
    steady = ear(tones).flatten(1)[:, RATE // 8 : -RATE // 8]  # one channel, if there are channels
    return 20 * np.log10(steady.square().mean(1).sqrt().numpy())


def main() -> None:
    figure, (functions, filters) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    levels = np.arange(20.0, 101.0, 5.0)
    for name in ("normal", "N1", "N2", "N3", "N4"):
        ear = am.ears.MSBG(am.ears.standard(name), sample_rate=RATE, full_scale=100)
        functions.plot(levels, 100 + output_levels(ear, levels), label=f"hearing loss, {name}")
    membrane = output_levels(am.ears.DRNL(n_channels=1, low=HZ, high=HZ, full_scale=100), levels)
    functions.plot(levels, membrane - membrane[-1] + 100, "k--", label="DRNL, shifted")
    functions.set(xlabel="level of a 1-kHz tone (dB SPL)", ylabel="level at the output (dB SPL)", ylim=(-40, 105))
    frequencies = np.linspace(0, RATE / 2, 5001)
    for bank in BANKS.values():
        channel = int(np.argmin(np.abs(np.array(bank.centers) - HZ)))
        gain = np.abs(bank.responses(frequencies)[channel])
        filters.plot(frequencies / bank.centers[channel], 20 * np.log10(gain + 1e-9), label=f"hearing loss, {bank.broadening:g}×")
    for broadening, style in ((1.0, "k-"), (2.0, "k--")):
        cosine = CosineFilterbank(broadening=broadening)
        channel = int(np.argmin(np.abs(cosine.center_frequencies() - HZ)))
        band = cosine.bands(frequencies)[channel]
        inside = slice(band.first_bin, band.last_bin + 1)
        relative = frequencies[inside] / cosine.center_frequencies()[channel]
        filters.plot(relative, 20 * np.log10(band.gains / band.gains.max() + 1e-9), style, label=f"cochleagram, {broadening:g}×")
    filters.set(xlabel="frequency / centre", ylabel="gain (dB)", ylim=(-50, 3), xlim=(0, 2.5))
    for axes in (functions, filters):
        axes.legend(fontsize=7)
    figure.savefig(OUT, dpi=120)
    print(f"picture: {OUT}")


if __name__ == "__main__":
    main()
