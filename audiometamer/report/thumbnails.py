"""Small cochleagrams of sound files, drawn once and kept."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, pad

from audiometamer.cochleagram import Cochleagram
from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import atomic_write
from audiometamer.signals.audio import read_samples

_MOST_ROWS, _MOST_COLUMNS = 106, 240  # pixels: half the published filters, and a phone's width
_LEVELS = 16  # four bits per pixel: a few kilobytes per picture
_SOFTWARE = "audiometamer report"


class Painter:
    """Draws cochleagrams; caches the filters of every sample rate."""

    def __init__(self) -> None:
        self._cochleagram_by_rate: dict[int, Cochleagram] = {}

    def draw(self, sounds: Sequence[Path], pictures: Sequence[Path], *, redraw: bool = False) -> None:
        """Write a PNG for each sound without one, all on the scale of the first.

        A picture has the modification time of its sound, and counts as drawn while the two agree.

        Parameters
        ----------
        sounds : sequence of path
            Sounds, of which the first sets the scale: its largest value is the brightest colour.
        pictures : sequence of path
            File of the picture of each sound.
        redraw : bool
            Whether to redraw existing pictures. Default False.

        Raises
        ------
        AudioMetamerError
            If a sound cannot be read, or a file that was not drawn here would be replaced.
        """
        todo = [(s, p) for s, p in zip(sounds, pictures, strict=True) if redraw or not _is_drawn(s, p)]
        if not todo:
            return
        top = max(float(channel.max()) for channel in self._cochleagrams(sounds[0]))
        for sound, picture in todo:
            if picture.exists() and not _is_ours(picture):
                raise AudioMetamerError(f"{picture} is in the way and was not drawn by audiometamer report; choose another --out")
            shares = [channel / (top or 1.0) for channel in self._cochleagrams(sound)]
            _write(picture, shares, changed=sound.stat().st_mtime_ns)

    def _cochleagrams(self, path: Path) -> list[Tensor]:
        """Cochleagrams of one or two channels, or of a mixture of more, over the whole duration of the sound.

        Returns
        -------
        list of Tensor [shape=(rows, columns)]
            Cochleagrams pooled to the size that they have in the picture.
        """
        channels, rate = read_samples(path)
        if rate not in self._cochleagram_by_rate:
            self._cochleagram_by_rate[rate] = Cochleagram.for_rate(rate)
        cochleagram = self._cochleagram_by_rate[rate]
        half_window = cochleagram.lowpass.window_size // 2
        shown = channels if channels.shape[1] == 2 else channels.mean(axis=1, keepdims=True)
        sound = pad(torch.from_numpy(shown.T.astype(np.float32)), (half_window, half_window))
        with torch.no_grad():
            values = cochleagram(sound)
        size = (min(values.shape[1], _MOST_ROWS // len(values)), min(values.shape[2], _MOST_COLUMNS))
        return list(adaptive_avg_pool2d(values, size))


def _is_drawn(sound: Path, picture: Path) -> bool:
    return picture.exists() and picture.stat().st_mtime_ns == sound.stat().st_mtime_ns


def _is_ours(picture: Path) -> bool:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(picture) as image:
            return image.info.get("Software") == _SOFTWARE
    except (OSError, UnidentifiedImageError):
        return False


def _write(path: Path, shares: Sequence[Tensor], *, changed: int) -> None:
    """Write a 4-bit PNG of values from 0 to 1 [shape=(rows, columns)] for each channel, first row at the bottom.

    Two channels are stacked with a line between them, and marked L and R.
    """
    import matplotlib
    from PIL import Image, ImageDraw
    from PIL.PngImagePlugin import PngInfo

    palette = matplotlib.colormaps["magma"](np.linspace(0, 1, _LEVELS), bytes=True)[:, :3]
    height = len(shares[0]) + 1
    rows = torch.cat([row for channel in shares for row in (channel.flip(0), torch.ones_like(channel[:1]))])[:-1]
    levels = (rows * (_LEVELS - 1)).round().clamp(0, _LEVELS - 1).to(torch.uint8).numpy()
    image = Image.fromarray(levels)
    for k, mark in enumerate("LR" if len(shares) == 2 else ""):
        ImageDraw.Draw(image).text((2, k * height), mark, fill=_LEVELS - 1)
    image.putpalette(palette.tobytes())
    metadata = PngInfo()
    metadata.add_text("Software", _SOFTWARE)
    with atomic_write(path) as temporary:
        image.save(temporary, bits=4, optimize=True, pnginfo=metadata)
        os.utime(temporary, ns=(changed, changed))
