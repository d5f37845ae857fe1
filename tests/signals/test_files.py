"""Signals that are read back: what else lies there under their names is refused in one line."""

import io

import numpy as np
import pytest
import scipy.io.wavfile
import torch

import audiometamer as am
from audiometamer.signals.files import read_signal, write_signal


def array_file(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def zipped(array):
    file = io.BytesIO()
    np.savez(file, array)
    return file.getvalue()


def announcing(shape):
    """A .npy of three numbers whose header announces others."""
    return array_file(np.zeros(3)).replace(b"(3,)", shape).replace(b" " * (len(shape) - 4) + b"\n", b"\n")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        zipped(np.zeros(3)),
        array_file(np.array([{}, []], dtype=object)),
        array_file(np.array(["a"])),
        array_file(np.zeros(3, dtype=[("a", "f4")])),
        array_file(np.zeros(3))[:-1],
        announcing(b"(1000000000000,)"),
        announcing(b"(3, 10000000000, 10000000000)"),
        array_file(np.zeros(3)).replace(b"(3,)", b"(3, "),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(tmp_path, content):
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(am.AudioMetamerError, match=r"^[^\n]*x\.npy cannot be read: [^\n]+$"):
        read_signal(tmp_path / "x.npy")


@pytest.mark.parametrize("size", [0, 44, 60, 100])
def test_a_wav_that_is_cut_is_refused(tmp_path, size):
    write_signal(tmp_path / "x.wav", torch.rand(1000), 8000)
    (tmp_path / "x.wav").write_bytes((tmp_path / "x.wav").read_bytes()[:size])
    with pytest.raises(am.AudioMetamerError, match=r"^[^\n]*x\.wav [^\n]+$"):
        read_signal(tmp_path / "x.wav")


@pytest.mark.parametrize("channels", [1, 2])
def test_a_wav_is_read_as_it_was_by_scipy(tmp_path, channels):
    samples = np.random.default_rng(0).standard_normal((1000, channels)).astype(np.float32).squeeze()
    scipy.io.wavfile.write(tmp_path / "x.wav", 8000, samples)
    assert torch.equal(read_signal(tmp_path / "x.wav"), torch.from_numpy(samples.T.copy()))


@pytest.mark.parametrize("array", [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.ones((2, 3), np.float32)), np.float64(2)])
def test_an_array_is_read_as_it_is(tmp_path, array):
    np.save(tmp_path / "x.npy", array)
    assert torch.equal(read_signal(tmp_path / "x.npy"), torch.from_numpy(np.asarray(array)))
