"""Small cochleagrams of sound files, drawn once and kept."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, pad

from audiometamer.audio import read_samples
from audiometamer.cochleagram import Cochleagram
from audiometamer.errors import AudioMetamerError
from audiometamer.files import whole_file

_MOST_ROWS, _MOST_COLUMNS = 106, 240  # pixels: half the published filters, and a phone's width
_LEVELS = 16  # of grey, four bits a pixel: a few kilobytes a picture
_SOFTWARE = "audiometamer report"


class Painter:
    """Draws cochleagrams; keeps the filters of every sample rate that it has met."""

    def __init__(self) -> None:
        self._ears: dict[int, Cochleagram] = {}

    def draw(self, sounds: Sequence[Path], pictures: Sequence[Path], *, anew: bool = False) -> None:
        """Write a PNG for each sound that has none yet, all on the scale of the first.

        A picture carries the time of change of its sound, and counts as drawn while the two agree.

        Parameters
        ----------
        sounds : sequence of path
            The first sets the scale: its largest value is the brightest colour.
        pictures : sequence of path
            Where the picture of each is to lie.
        anew : bool
            Whether pictures are drawn again that are there already. Default False.

        Raises
        ------
        AudioMetamerError
            If a sound cannot be read, or a file that was not drawn here is in the way.
        """
        todo = [(s, p) for s, p in zip(sounds, pictures, strict=True) if anew or not _is_drawn(s, p)]
        if not todo:
            return
        top = float(self._cochleagram(sounds[0]).max())
        for sound, picture in todo:
            if picture.exists() and not _is_ours(picture):
                raise AudioMetamerError(f"{picture} is in the way and was not drawn by audiometamer report; choose another --out")
            _write(picture, self._cochleagram(sound) / (top or 1.0), changed=sound.stat().st_mtime_ns)

    def _cochleagram(self, path: Path) -> Tensor:
        """Pooled to the size of the picture, [shape=(rows, columns)], from the sound's first instant to its last."""
        channels, rate = read_samples(path)
        if rate not in self._ears:
            self._ears[rate] = Cochleagram.for_rate(rate)
        ear = self._ears[rate]
        half = ear.lowpass.window_size // 2
        sound = pad(torch.from_numpy(channels.mean(axis=1).astype(np.float32)), (half, half))
        with torch.no_grad():
            values = ear(sound[None])
        size = (min(values.shape[1], _MOST_ROWS), min(values.shape[2], _MOST_COLUMNS))
        return adaptive_avg_pool2d(values, size)[0]


def _is_drawn(sound: Path, picture: Path) -> bool:
    return picture.exists() and picture.stat().st_mtime_ns == sound.stat().st_mtime_ns


def _is_ours(picture: Path) -> bool:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(picture) as image:
            return image.info.get("Software") == _SOFTWARE
    except (OSError, UnidentifiedImageError):
        return False


def _write(path: Path, shares: Tensor, *, changed: int) -> None:
    """A 4-bit PNG of shares of the brightest colour, [shape=(rows, columns)], low rows at the bottom."""
    import matplotlib
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    palette = matplotlib.colormaps["magma"](np.linspace(0, 1, _LEVELS), bytes=True)[:, :3]
    levels = (shares.flip(0) * (_LEVELS - 1)).round().clamp(0, _LEVELS - 1).to(torch.uint8).numpy()
    image = Image.fromarray(levels)
    image.putpalette(palette.tobytes())
    about = PngInfo()
    about.add_text("Software", _SOFTWARE)
    with whole_file(path) as temporary:
        image.save(temporary, bits=4, optimize=True, pnginfo=about)
        os.utime(temporary, ns=(changed, changed))
