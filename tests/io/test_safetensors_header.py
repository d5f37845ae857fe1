"""Headers of safetensors files, read without torch."""

import json

import pytest
import torch
from safetensors.torch import save_file

from audiometamer.io.safetensors_header import announced_size, read_metadata


def test_a_file_announces_its_size(tmp_path):
    path = tmp_path / "two.safetensors"
    save_file({"a": torch.zeros(3), "b": torch.zeros(2, 2)}, path, metadata={"kind": "test"})
    with path.open("rb") as file:
        assert announced_size(file) == path.stat().st_size
    assert read_metadata(path) == {"kind": "test"}


def test_the_size_of_a_header_written_by_hand(tmp_path):
    header = json.dumps({"x": {"dtype": "F32", "shape": [5], "data_offsets": [0, 20]}}).encode()
    path = tmp_path / "one.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)  # without its 20 bytes of values
    with path.open("rb") as file:
        assert announced_size(file) == 8 + len(header) + 20
    assert read_metadata(path) == {}


def test_a_header_that_ends_early(tmp_path):
    path = tmp_path / "short.safetensors"
    path.write_bytes((100).to_bytes(8, "little") + b"{}")
    with pytest.raises(ValueError, match="should have 100 bytes and has 2"):
        read_metadata(path)
