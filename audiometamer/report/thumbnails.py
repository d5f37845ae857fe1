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
_LEVELS = 16  # of grey, four bits a pixel: a few kilobytes a picture
_SOFTWARE = "audiometamer report"


class Painter:
    """Draws cochleagrams; keeps the filters of every sample rate that it has met."""

    def __init__(self) -> None:
        self._ears: dict[int, Cochleagram] = {}

    def draw(self, sounds: Sequence[Path], pictures: Sequence[Path], *, redraw: bool = False) -> None:
        """Write a PNG for each sound that has none yet, all on the scale of the first.

        A picture carries the time of change of its sound, and counts as drawn while the two agree.

        Parameters
        ----------
        sounds : sequence of path
            The first sets the scale: its largest value is the brightest colour.
        pictures : sequence of path
            Where the picture of each is to lie.
        redraw : bool
            Whether to redraw existing pictures. Default False.

        Raises
        ------
        AudioMetamerError
            If a sound cannot be read, or a file that was not drawn here is in the way.
        """
        todo = [(s, p) for s, p in zip(sounds, pictures, strict=True) if redraw or not _is_drawn(s, p)]
        if not todo:
            return
        top = max(float(half.max()) for half in self._cochleagrams(sounds[0]))
        for sound, picture in todo:
            if picture.exists() and not _is_ours(picture):
                raise AudioMetamerError(f"{picture} is in the way and was not drawn by audiometamer report; choose another --out")
            shares = [half / (top or 1.0) for half in self._cochleagrams(sound)]
            _write(picture, shares, changed=sound.stat().st_mtime_ns)

    def _cochleagrams(self, path: Path) -> list[Tensor]:
        """One of each channel, or of more than two mixed down, from the sound's first instant to its last.

        Returns
        -------
        list of Tensor [shape=(rows, columns)]
            Pooled to the picture's size, all together.
        """
        channels, rate = read_samples(path)
        if rate not in self._ears:
            self._ears[rate] = Cochleagram.for_rate(rate)
        ear = self._ears[rate]
        half = ear.lowpass.window_size // 2
        heard = channels if channels.shape[1] == 2 else channels.mean(axis=1, keepdims=True)
        sound = pad(torch.from_numpy(heard.T.astype(np.float32)), (half, half))
        with torch.no_grad():
            values = ear(sound)
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
    """A 4-bit PNG of shares of the brightest colour, [shape=(rows, columns)] of each channel, low rows at the bottom.

    Two channels lie one above the other with a line between them, and are marked L and R.
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
    about = PngInfo()
    about.add_text("Software", _SOFTWARE)
    with atomic_write(path) as temporary:
        image.save(temporary, bits=4, optimize=True, pnginfo=about)
        os.utime(temporary, ns=(changed, changed))
