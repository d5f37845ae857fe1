"""What every ear has: a sample rate, a level of full scale, and filters made once for each kind of sound."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audiometamer.errors import AudioMetamerError
from audiometamer.io.integers import as_integer

REFERENCE_PASCAL = 20e-6  # 0 dB SPL

_MAX_DESIGNS = 8  # lengths, dtypes and devices whose filters are kept at the same time

Filters = Mapping[str, NDArray[np.float64] | NDArray[np.complex128]]


class Ear(nn.Module):
    """A differentiable ear: sounds of any length to sounds, or to channels and frames.

    A subclass says what it does in `process`, and what depends on the length of the sound in `design`.

    Parameters
    ----------
    sample_rate : int
        Sample rate in Hz.
    full_scale : float
        Level in dB SPL of a sound whose RMS is 1.

    Attributes
    ----------
    gives_sound : bool
        Whether it gives a sound for another front end, as hearing loss and vocoders do; others are front ends themselves.
    """

    gives_sound = False

    def __init__(self, *, sample_rate: int, full_scale: float) -> None:
        super().__init__()
        self.sample_rate = as_integer(sample_rate, "sample_rate", least=1)
        if not -60 <= full_scale <= 200:
            raise AudioMetamerError(f"full_scale is {full_scale}; it must be a level in dB SPL, −60 to 200, such as 120")
        self.full_scale = float(full_scale)
        self._designs: dict[tuple[int, torch.dtype, torch.device], dict[str, Tensor]] = {}

    def forward(self, sound: Tensor) -> Tensor:
        """Sounds as this ear hears them.

        Parameters
        ----------
        sound : Tensor [shape=(..., samples)]
            float32 or float64, on any device, of any length.

        Returns
        -------
        Tensor [shape=(..., samples)] or [shape=(..., channels, frames)]

        Raises
        ------
        AudioMetamerError
            If the sound is empty, or not real floating point.
        """
        if sound.dtype not in (torch.float32, torch.float64):
            raise AudioMetamerError(f"the sound is {sound.dtype}; an ear takes float32 or float64")
        if sound.ndim < 1 or sound.shape[-1] < 1:
            raise AudioMetamerError(f"the sound has shape {tuple(sound.shape)}; an ear needs at least one sample")
        heard = self.process(sound.reshape(-1, sound.shape[-1]))
        return heard.view(*sound.shape[:-1], *heard.shape[1:])

    def process(self, sounds: Tensor) -> Tensor:
        """Sounds [shape=(batch, samples)] to sounds, or to channels and frames."""
        raise NotImplementedError

    def design(self, n_samples: int) -> Filters:
        """Arrays that `process` needs for sounds of a length, in double precision."""
        raise NotImplementedError

    def filters(self, sounds: Tensor) -> dict[str, Tensor]:
        """What `design` gives for sounds [shape=(batch, samples)], as tensors of their precision, on their device."""
        key = (sounds.shape[-1], sounds.dtype, sounds.device)
        if key not in self._designs:
            while len(self._designs) >= _MAX_DESIGNS:
                del self._designs[next(iter(self._designs))]
            complex_dtype = torch.complex64 if sounds.dtype == torch.float32 else torch.complex128
            self._designs[key] = {
                name: torch.from_numpy(array).to(
                    device=sounds.device, dtype=complex_dtype if np.iscomplexobj(array) else sounds.dtype
                )
                for name, array in self.design(sounds.shape[-1]).items()
            }
        return self._designs[key]

    @property
    def pascals(self) -> float:
        """Sound pressure in pascals of a sample of 1."""
        return float(REFERENCE_PASCAL * 10 ** (self.full_scale / 20))

    def level(self, sound: Tensor) -> Tensor:
        """Levels of sounds [shape=(..., samples)] in dB SPL, by their RMS; −inf for silence."""
        return 20 * sound.square().mean(-1).sqrt().log10() + self.full_scale

    def __getstate__(self) -> dict[str, object]:
        """Everything but the filters, which copies make again."""
        return self.__dict__ | {"_designs": {}}
