"""Read photographs as a model takes them, and write 16-bit images. Knows no models."""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, first_line
from audiometamer.io.files import atomic_write
from audiometamer.io.paths import printable
from audiometamer.signals.audio import Clip, ClipSource
from audiometamer.signals.clip_names import clip_name

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURE_ENDINGS = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000")  # raster formats only: PostScript files are programs
MAX_PIXELS = 64_000_000  # of a photograph: 0.8 GB in float32
STEPS_8_BIT, STEPS_16_BIT = 2**8 - 1, 2**16 - 1
_COLOURS = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB", "I;16": "I;16", "I;16B": "I;16"}
_MAX_ASPECT = 100  # longer to shorter side: the whole is resized before the centre is cropped
_LOWER_FIRST = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L", "LA;16B": "RGBA"}


@dataclass(frozen=True)
class ImageTransform:
    """How a photograph becomes a model's signal: values in [0, 1], shorter side resized, centre cropped.

    Parameters
    ----------
    shape : tuple of int
        (channels, height, width); channels are 3 (red, green, blue) or 1 (grey).
    resize : int, optional
        Size of the shorter side before cropping, in pixels. Default: the shorter side of `shape`.
    interpolation : str
        ``bilinear``, ``bicubic`` or ``nearest``; the first two low-pass when they downsample. Default ``bilinear``.
    """

    shape: tuple[int, int, int]
    resize: int | None = None
    interpolation: str = "bilinear"

    def __call__(self, pixels: Tensor) -> Tensor:
        """Pixels [shape=(channels, rows, columns)] in [0, 1] as the model takes them, [shape=shape]."""
        channels, height, width = self.shape
        if pixels.shape[1:] != (height, width):
            pixels = self._cropped(pixels)
        if len(pixels) < channels:
            return pixels.expand(channels, -1, -1).contiguous()
        return pixels if len(pixels) == channels else _grey(pixels)

    def _cropped(self, pixels: Tensor) -> Tensor:
        _, height, width = self.shape
        rows, columns = pixels.shape[1:]
        shorter = self.resize or min(height, width)
        longer = int(shorter * max(rows, columns) / min(rows, columns))  # as torchvision rounds
        size = (max(shorter if rows <= columns else longer, height), max(shorter if columns < rows else longer, width))
        smooth = self.interpolation != "nearest"
        resized = torch.nn.functional.interpolate(pixels[None], size, mode=self.interpolation, antialias=smooth)[0]
        top, left = round((size[0] - height) / 2), round((size[1] - width) / 2)
        return resized[:, top : top + height, left : left + width].clamp(0, 1)


def _grey(pixels: Tensor) -> Tensor:
    """Luma of red, green and blue (ITU-R BT.601), [shape=(1, rows, columns)]."""
    return (torch.tensor([0.299, 0.587, 0.114], dtype=pixels.dtype)[:, None, None] * pixels).sum(0, keepdim=True)


def read_image(path: str | os.PathLike[str], picture: ImageTransform) -> Clip:
    """Read a photograph as a model takes it, as `audiometamer.read_clip` reads a sound.

    Parameters
    ----------
    path : path
        PNG (8 or 16 bits), JPEG, TIFF, WebP, BMP, GIF, PPM or JPEG 2000, of at most 64 million pixels; colour, grey or palette.
    picture : ImageTransform

    Returns
    -------
    Clip
        `samples` [shape=picture.shape] in [0, 1], no sample rate. A warning reports an enlarged photograph, and a file of
        several images, of which the first is read.

    Raises
    ------
    AudioMetamerError
        If the file is not an image, is transparent, in another colour space, of one uniform colour, smaller than half of what
        the model takes, or too large.
    """
    path = Path(path)
    pixels, frames = _pixels(path)
    rows, columns = pixels.shape[1:]
    if max(rows, columns) > _MAX_ASPECT * min(rows, columns):
        raise AudioMetamerError(
            f"{path} has {columns} × {rows} pixels; crop it until the longer side is at most {_MAX_ASPECT} times the shorter"
        )
    _, height, width = picture.shape
    notices = [f"the first of {frames} images was taken"] if frames > 1 else []
    if 2 * rows < height or 2 * columns < width:
        raise AudioMetamerError(
            f"{path} has {columns} × {rows} pixels and the model takes {width} × {height}: give a larger image"
        )
    if rows < height or columns < width:
        notices.append(f"{columns} × {rows} pixels were enlarged to {width} × {height}")
    if not float(pixels.amax() - pixels.amin()):
        raise AudioMetamerError(
            f"{path} has the same value, {float(pixels.amax()):.3g}, in every pixel: there is nothing to match"
        )
    for notice in notices:
        warnings.warn(f"{printable(path)}: {notice}", AudioMetamerWarning, stacklevel=2)
    return Clip(clip_name(path), picture(pixels).contiguous(), None, tuple(notices), ClipSource.of(path))


def _pixels(path: Path) -> tuple[Tensor, int]:
    """The first image of a file, [shape=(1 or 3, rows, columns)] in [0, 1], and the number of images in the file."""
    from PIL import ExifTags, Image, UnidentifiedImageError

    if not path.is_file():
        raise AudioMetamerError(f"{path} is not a file")
    try:
        with (
            warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning),  # the limit here is different
            Image.open(path, formats=FORMATS) as image,
        ):
            _check_size(path, *image.size)
            frames = getattr(image, "n_frames", 1)
            values = _upright(_deepened(path, _opaque(path, image)), image.getexif().get(ExifTags.Base.Orientation, 1))
    except AudioMetamerError:
        raise
    except UnidentifiedImageError as error:
        raise AudioMetamerError(f"{path} is not an image that can be read: {', '.join(FORMATS)}; convert it to PNG") from error
    except Exception as error:  # Pillow raises many kinds for broken files
        raise AudioMetamerError(f"{path} cannot be read as an image: {first_line(error)}") from error
    values = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    pixels = np.empty(values.shape, dtype=np.float32)
    np.divide(values, np.float32(STEPS_16_BIT if values.dtype == np.uint16 else STEPS_8_BIT), out=pixels)
    return torch.from_numpy(pixels), frames


def _check_size(path: Path, columns: int, rows: int) -> None:
    if columns * rows > MAX_PIXELS:
        raise AudioMetamerError(f"{path} has {columns} × {rows} pixels; at most {MAX_PIXELS:,} in all are read: reduce it")


def _upright(values: np.ndarray, orientation: int) -> np.ndarray:
    """An image as viewers show it, by its Exif orientation (Exif 2.32, tag 274); values other than 1 … 8 are ignored."""
    if orientation in (5, 6, 7, 8):  # rows are stored as columns
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    return values[:, ::-1] if orientation in (2, 3, 6, 7) else values


def _opaque(path: Path, image: "Image") -> np.ndarray:
    """The values of an image without transparency, [shape=(rows, columns)] or [shape=(rows, columns, 3)]."""
    mode = image.mode
    if mode in ("LA", "RGBA", "PA") or "transparency" in image.info:
        opaque = image.convert("RGBA")
        if opaque.getchannel("A").getextrema() != (255, 255):
            raise AudioMetamerError(f"{path} is transparent in places: put it on a background first")
        image = opaque.convert("L" if mode == "LA" else "RGB")
    elif mode not in _COLOURS:
        raise AudioMetamerError(f"{path} is an image of mode {mode}; convert it to RGB or grey of 8 or 16 bits")
    elif _COLOURS[mode] != mode:
        image = image.convert(_COLOURS[mode])
    return np.asarray(image)


def _deepened(path: Path, values: np.ndarray) -> np.ndarray:
    """The values of an image, with the lower bytes of a 16-bit PNG in colour or with alpha, which Pillow reduces to 8 bits.

    Pillow unpacks the lower bytes if it is made to take them for the first. Grey with alpha is unpacked as four 8-bit values.
    """
    from PIL import Image

    with Image.open(path, formats=FORMATS) as image:
        packing = image.tile[0][3] if image.format == "PNG" and image.tile else None
        if packing not in _LOWER_FIRST:
            return values
        image.tile = [(*image.tile[0][:3], _LOWER_FIRST[packing])]  # type: ignore[list-item]  # any tuple will do
        lower = np.asarray(image)
    if packing == "LA;16B":
        values, lower = values[..., 0], lower[..., 1]
    else:
        lower = lower[..., :3]
    return values * np.uint16(256) + lower


def read_png(path: str | os.PathLike[str]) -> Tensor:
    """Read back what `write_png` wrote: pixels [shape=(1 or 3, rows, columns)] in [0, 1]."""
    return _pixels(Path(path))[0]


def write_png(path: str | os.PathLike[str], pixels: Tensor) -> None:
    """Write an image as a 16-bit PNG.

    Parameters
    ----------
    path : path
    pixels : Tensor [shape=(1 or 3, rows, columns)]
        In [0, 1]; rounded to the nearest of 65,536 values.

    Raises
    ------
    AudioMetamerError
        If a value is not in [0, 1], or the file cannot be written.
    """
    import png

    if pixels.ndim != 3 or len(pixels) not in (1, 3):
        raise AudioMetamerError(f"an image has shape (1 or 3, rows, columns), not {tuple(pixels.shape)}")
    if not bool(((pixels >= 0) & (pixels <= 1)).all()):
        raise AudioMetamerError(f"an image is in [0, 1]; this one is in [{float(pixels.min()):.3g}, {float(pixels.max()):.3g}]")
    values = (pixels.detach().double().cpu() * STEPS_16_BIT).round().to(torch.int32).numpy().astype(np.uint16)
    channels, rows, columns = values.shape
    writer = png.Writer(width=columns, height=rows, greyscale=channels == 1, bitdepth=16)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        writer.write(file, values.transpose(1, 2, 0).reshape(rows, columns * channels))
