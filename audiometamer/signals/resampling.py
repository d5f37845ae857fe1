"""Change the sample rate of sounds: band-limited, by a windowed sinc or in the Fourier domain."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audiometamer.errors import AudioMetamerError

_ROLL_OFF = 0.9475937167399596  # of the lower Nyquist frequency: where resampling begins to attenuate
_MAX_PHASES = 1000  # torchaudio builds a kernel for each


def resample(samples: NDArray[np.float32], rate: int, new_rate: int) -> NDArray[np.float32]:
    """Band-limited resampling; shape=(..., samples) in and out, rates in Hz.

    By the windowed sinc of `torchaudio` (Kaiser window); or, if the common divisor of the rates is so small that the sinc would
    be needed at more than 1000 phases, in the Fourier domain.

    Raises
    ------
    AudioMetamerError
        If torchaudio is needed and cannot be imported: its release must match torch's.
    """
    if rate == new_rate:
        return samples
    if max(rate, new_rate) // math.gcd(rate, new_rate) > _MAX_PHASES:
        return resample_by_fourier(samples, rate, new_rate).astype(np.float32)
    resampled: NDArray[np.float32] = resample_by_sinc(torch.from_numpy(samples), rate, new_rate).numpy()
    return resampled


def resample_by_polyphase(samples: NDArray[np.float32], rate: int, new_rate: int) -> NDArray[np.float32]:
    """Resample as MATLAB's ``resample`` does; shape=(..., samples), rates in Hz.

    A sinc cut off at the lower Nyquist frequency, ten of its zeros on either side, under a Kaiser window of β = 5 (MathWorks,
    documentation of ``resample``).
    """
    if rate == new_rate:
        return samples
    import scipy.signal  # only here: it takes longer to import than the rest

    divisor = math.gcd(rate, new_rate)
    resampled = scipy.signal.resample_poly(samples.astype(np.float64), new_rate // divisor, rate // divisor, axis=-1)
    return np.asarray(resampled, dtype=np.float32)


def resample_by_fourier(
    samples: NDArray[np.floating[Any]], rate: int, new_rate: int, *, roll_off: float = _ROLL_OFF
) -> NDArray[np.float64]:
    """Resample by one Fourier transform of the whole, with a half-cosine roll-off; shape=(..., samples), rates in Hz.

    Parameters
    ----------
    samples : array [shape=(..., samples)]
    rate, new_rate : int
    roll_off : float
        Where attenuation begins, relative to the lower Nyquist frequency, where it is complete. Nearer 1, it rings longer.
        Default 0.948.
    """
    step, new_step = rate // math.gcd(rate, new_rate), new_rate // math.gcd(rate, new_rate)
    # 0.1 s of zeros at the end lie, on the circle, before the beginning too; whole steps make the new length a whole number.
    n_samples = samples.shape[-1]
    n_steps = math.ceil((n_samples + 0.1 * rate) / step)
    n_bins = n_steps * min(step, new_step) // 2 + 1
    spectrum = np.fft.rfft(samples.astype(np.float64), n_steps * step)[..., :n_bins]
    frequencies = np.arange(n_bins) * 2 / (n_steps * min(step, new_step))  # of the lower Nyquist frequency
    spectrum *= 0.5 + 0.5 * np.cos(np.pi * np.clip((frequencies - roll_off) / (1 - roll_off), 0, 1))
    resampled: NDArray[np.float64] = np.fft.irfft(spectrum, n_steps * new_step) * (new_step / step)
    return resampled[..., : -(-n_samples * new_step // step)]


def resample_by_sinc(samples: Tensor, rate: int, new_rate: int) -> Tensor:
    """Resample by the windowed sinc of torchaudio, differentiable; shape=(..., samples), rates in Hz.

    Raises
    ------
    AudioMetamerError
        If torchaudio cannot be imported.
    """
    resampled: Tensor = _resampler(rate, new_rate, samples.dtype, samples.device)(samples)
    return resampled


@lru_cache(maxsize=16)  # the kernel takes longer than the resampling of a word
def _resampler(rate: int, new_rate: int, dtype: torch.dtype, device: torch.device) -> nn.Module:
    try:
        from torchaudio.transforms import Resample
    except (ImportError, OSError) as error:
        raise AudioMetamerError(
            f"changing the sample rate from {rate} to {new_rate} Hz needs torchaudio, which could not be imported ({error}); "
            f"install the release that matches torch {torch.__version__}, or give recordings at {new_rate} Hz"
        ) from error
    resampler: nn.Module = Resample(
        rate, new_rate, "sinc_interp_kaiser", lowpass_filter_width=64, rolloff=_ROLL_OFF, beta=14.769656459379492, dtype=dtype
    )
    return resampler.to(device)
