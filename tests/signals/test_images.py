"""Photographs in, PNGs of 16 bits out."""

import struct
import zlib

import numpy as np
import png
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import audiometamer as am
from audiometamer.errors import AudioMetamerWarning
from audiometamer.matching.domains import Image as ImageDomain
from audiometamer.signals.images import ImageTransform, read_image, read_png, write_png

COLOUR, GREY = ImageTransform((3, 8, 8)), ImageTransform((1, 8, 8))


def pixels(rows=8, columns=8, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, channels), dtype=np.uint8)


@given(st.integers(0, 2**31), st.sampled_from([1, 3]))
def test_what_is_written_is_read_back_to_the_bit(tmp_path_factory, seed, channels):
    path = tmp_path_factory.mktemp("png") / "x.png"
    image = torch.rand(channels, 5, 7, generator=torch.Generator().manual_seed(seed))
    image[0, 0, :2] = torch.tensor([0.0, 1.0])
    rounded = ImageDomain().as_written(image[None])[0]
    assert float((rounded - image).abs().max()) <= 0.5001 / 65535
    write_png(path, image)
    assert torch.equal(read_png(path), rounded)


def test_files_of_every_common_kind(tmp_path):
    values = pixels()
    expected = torch.from_numpy(values).permute(2, 0, 1) / 255
    for name, mode in (("a.png", "RGB"), ("b.png", "RGBA"), ("c.bmp", "RGB")):
        Image.fromarray(values).convert(mode).save(tmp_path / name)
        clip = read_image(tmp_path / name, COLOUR)
        torch.testing.assert_close(clip.samples, expected)
        assert (clip.name, clip.sample_rate, clip.notices) == (name[0], None, ())
    Image.fromarray(values[..., 0]).save(tmp_path / "grey.png")
    torch.testing.assert_close(read_image(tmp_path / "grey.png", COLOUR).samples, expected[:1].expand(3, -1, -1))
    torch.testing.assert_close(read_image(tmp_path / "grey.png", GREY).samples, expected[:1])
    luma = 0.299 * expected[0] + 0.587 * expected[1] + 0.114 * expected[2]
    torch.testing.assert_close(read_image(tmp_path / "a.png", GREY).samples[0], luma)
    palette = Image.fromarray(values // 128 * 128).convert("P", palette=Image.Palette.ADAPTIVE)
    palette.save(tmp_path / "palette.png")
    torch.testing.assert_close(
        read_image(tmp_path / "palette.png", COLOUR).samples,
        torch.from_numpy(np.array(palette.convert("RGB"))).permute(2, 0, 1) / 255,
    )


@pytest.mark.parametrize(("rows", "columns"), [(40, 61), (61, 40), (33, 33)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resized_and_cut_as_torchvision_does(tmp_path, rows, columns, interpolation):
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms import functional as tv

    values = pixels(rows, columns)
    Image.fromarray(values).save(tmp_path / "x.png")
    whole = torch.from_numpy(values).permute(2, 0, 1)[None] / 255
    theirs = tv.center_crop(tv.resize(whole, 20, InterpolationMode(interpolation), antialias=True), [16, 16]).clamp(0, 1)
    ours = read_image(tmp_path / "x.png", ImageTransform((3, 16, 16), 20, interpolation)).samples
    torch.testing.assert_close(ours, theirs[0])


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("planes", [1, 2, 3, 4])
def test_all_16_bits_of_a_png_are_read(tmp_path, planes, interlaced):
    values = np.random.default_rng(0).integers(0, 65536, (11, 9, planes))
    if planes % 2 == 0:
        values[..., -1] = 65535  # opaque
    writer = png.Writer(9, 11, bitdepth=16, greyscale=planes < 3, alpha=planes % 2 == 0, interlace=interlaced)
    with (tmp_path / "x.png").open("wb") as file:
        writer.write(file, values.reshape(11, -1).tolist())
    colours = values[..., : 1 if planes < 3 else 3].transpose(2, 0, 1)
    assert torch.equal(read_png(tmp_path / "x.png"), torch.from_numpy((colours / 65535).astype(np.float32)))


def test_an_image_that_is_enlarged_says_so(tmp_path):
    Image.fromarray(pixels(6, 6)).save(tmp_path / "x.png")
    with pytest.warns(AudioMetamerWarning, match="6 × 6 pixels were enlarged to 8 × 8"):
        clip = read_image(tmp_path / "x.png", COLOUR)
    assert clip.samples.shape == (3, 8, 8)


def broken(path):
    Image.fromarray(pixels(50, 50)).save(path)
    path.write_bytes(path.read_bytes()[:-3000])


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of(columns, rows):
    """A PNG that announces any number of pixels, and holds none."""
    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def transparent(path):
    Image.fromarray(np.dstack([pixels(), pixels(channels=1)])).save(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "is not a file"),
        (lambda path: path.write_text("words"), "is not an image that can be read"),
        (broken, "cannot be read as an image"),
        (lambda path: Image.fromarray(pixels(3, 3)).save(path), "has 3 × 3 pixels and the model takes 8 × 8: give a larger"),
        (transparent, "is transparent in places"),
        (
            lambda path: path.write_bytes(png_of(9000, 8000)),
            r"9000 × 8000 pixels; at most 64,000,000 in all are read: reduce it",
        ),
        (lambda path: path.write_bytes(png_of(60_000, 60_000)), "exceeds limit"),
        (
            lambda path: Image.fromarray(pixels(8, 900)).save(path),
            "900 × 8 pixels; crop it until the longer side is at most 100 times",
        ),
        (
            lambda path: path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
            "is not an image that can be read: PNG",
        ),
        (lambda path: Image.fromarray(pixels()).convert("CMYK").save(path, "TIFF"), "of mode CMYK; convert it to RGB"),
        (lambda path: Image.fromarray(pixels()[..., 0].astype(np.float32)).save(path, "TIFF"), "of mode F; convert"),
        (lambda path: Image.fromarray(np.full((8, 8, 3), 51, np.uint8)).save(path), "has the same value, 0.2, in every pixel"),
    ],
)
def test_what_is_no_photograph_is_one_line(tmp_path, make, message):
    make(tmp_path / "x.png")
    with pytest.raises(am.AudioMetamerError, match=message):
        read_image(tmp_path / "x.png", COLOUR)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.full((3, 4, 4), 1.5), r"in \[0, 1\]; this one is in \[1.5, 1.5\]"),
        (torch.full((3, 4, 4), float("nan")), r"in \[0, 1\]"),
        (torch.zeros(4, 4), r"not \(4, 4\)"),
    ],
)
def test_what_cannot_be_written_is_one_line(tmp_path, image, message):
    with pytest.raises(am.AudioMetamerError, match=message):
        write_png(tmp_path / "x.png", image)
    assert not list(tmp_path.iterdir())


def stored(upright, orientation):
    """An image as a camera stores it: by Exif, where row 0 and column 0 of what is stored are seen."""
    rows, columns = upright.shape[:2]
    lines = {
        1: [upright[i] for i in range(rows)],  # row 0 is at the top, column 0 at the left
        2: [upright[i][::-1] for i in range(rows)],  # top, right
        3: [upright[-1 - i][::-1] for i in range(rows)],  # bottom, right
        4: [upright[-1 - i] for i in range(rows)],  # bottom, left
        5: [upright[:, i] for i in range(columns)],  # left, top
        6: [upright[:, -1 - i] for i in range(columns)],  # right, top
        7: [upright[:, -1 - i][::-1] for i in range(columns)],  # right, bottom
        8: [upright[:, i][::-1] for i in range(columns)],  # left, bottom
    }
    return np.stack(lines[orientation])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_photographs_stand_upright(tmp_path, orientation, ending):
    upright, exif = pixels(8, 12), Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"x.{ending}"
    Image.fromarray(stored(upright, orientation)).save(path, exif=exif, **({"lossless": True} if ending == "webp" else {}))
    clip = read_image(path, ImageTransform((3, 8, 12)))
    torch.testing.assert_close(clip.samples, torch.from_numpy(upright).permute(2, 0, 1) / 255)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_of_16_bits_stand_upright(tmp_path, orientation):
    upright, exif = pixels(8, 12)[..., 0].astype(np.uint16) * 257, Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored(upright, orientation)).save(tmp_path / "x.png", exif=exif)
    clip = read_image(tmp_path / "x.png", ImageTransform((1, 8, 12)))
    torch.testing.assert_close(clip.samples[0], torch.from_numpy(upright.astype(np.float32)) / 65535)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientations_that_there_are_not_are_ignored(tmp_path, orientation):
    values, exif = pixels(), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(values).save(tmp_path / "x.png", exif=exif)
    torch.testing.assert_close(read_image(tmp_path / "x.png", COLOUR).samples, torch.from_numpy(values).permute(2, 0, 1) / 255)


@pytest.mark.parametrize("ending", ["gif", "webp", "tiff", "png"])
def test_the_first_of_several_images_is_taken_and_said_so(tmp_path, ending):
    values = np.zeros((32, 32, 3), np.uint8)
    values[:16] = 255
    first, second = Image.fromarray(values), Image.fromarray(255 - values)
    first.save(tmp_path / f"two.{ending}", save_all=True, append_images=[second])
    with pytest.warns(am.AudioMetamerWarning, match=f"two.{ending}: the first of 2 images was taken"):
        clip = read_image(tmp_path / f"two.{ending}", ImageTransform((3, 32, 32)))
    assert clip.samples[:, :14].mean() > 0.9
    assert clip.samples[:, 18:].mean() < 0.1
