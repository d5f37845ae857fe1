"""Dimensions: Gram matrices by hand, names, folders, and what is refused."""

import pytest
import tiny_models
import torch
from tiny_exploration import sound_dimensions

from audiometamer.dimensions.dimensions import (
    Dimension,
    Dimensions,
    chosen_dimensions,
    gram_matrices,
    load_all,
)
from audiometamer.errors import AudioMetamerError


def test_a_dimension_is_written_and_read():
    assert Dimension.parse("relu2/3/+") == ("relu2", 3, 1)
    assert str(Dimension("relu0/frames=0:4", 12, -1)) == "relu0/frames=0:4/12/-"
    assert Dimension.parse("relu0/frames=0:4/12/-") == ("relu0/frames=0:4", 12, -1)
    for wrong in ("relu2", "relu2/3", "relu2/x/+", "relu2/3/", "relu2/3/+-", "/3/+"):
        with pytest.raises(AudioMetamerError, match="is no dimension; it would be layer/component/sign"):
            Dimension.parse(wrong)


def test_gram_matrices_by_hand():
    a = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[0.0, 1.0], [1.0, 0.0]]]])  # (batch, channels, frequency, time)
    kept = torch.tensor([[[5.0, 11, 2, 1], [11, 25, 4, 3], [2, 4, 1, 0], [1, 3, 0, 1]]]) / 2
    assert torch.equal(gram_matrices(a, keep_frequency=True), kept)
    averaged = torch.tensor([[[30.0, 5.0], [5.0, 2.0]]]) / 4  # over four places: 1 + 4 + 9 + 16, 2 + 3, 1 + 1
    assert torch.equal(gram_matrices(a, keep_frequency=False), averaged)
    units = torch.tensor([[1.0, 2.0]])
    assert torch.equal(gram_matrices(units, keep_frequency=True), torch.tensor([[[1.0, 2.0], [2.0, 4.0]]]))
    three = a[:, 0]  # (batch, channels, time)
    assert torch.equal(gram_matrices(three, keep_frequency=True), gram_matrices(three, keep_frequency=False))


def test_a_folder_is_read_back_and_refused_for_other_weights(tmp_path):
    model = tiny_models.sound_model()
    found = sound_dimensions(model)["relu0"]
    found.save(tmp_path / "dimensions" / "relu0")
    read = load_all(tmp_path / "dimensions")["relu0"]
    assert read.record == found.record
    assert torch.equal(read.directions, found.directions)
    read.check(model)
    other = tiny_models.sound_model()
    other.network.conv0.weight[0] += 0.1
    with pytest.raises(AudioMetamerError, match=r"relu0 are of tiny with weights \w+…, and tiny has weights \w+…: find its own"):
        read.check(other)
    with pytest.raises(AudioMetamerError, match="exists already; name a new folder"):
        found.save(tmp_path / "dimensions" / "relu0")


def test_a_broken_folder_is_reported(tmp_path):
    with pytest.raises(AudioMetamerError, match="holds no dimensions: find them with explore dimensions"):
        load_all(tmp_path)
    with pytest.raises(AudioMetamerError, match="is not a folder of dimensions"):
        Dimensions.load(tmp_path)
    model = tiny_models.sound_model()
    sound_dimensions(model)["relu0"].save(tmp_path / "a")
    sound_dimensions(model, kept=2)["relu0"].save(tmp_path / "b")
    (tmp_path / "b" / "dimensions.safetensors").replace(tmp_path / "a" / "dimensions.safetensors")
    with pytest.raises(AudioMetamerError, match=r"is not what dimensions\.json says: a changed file"):
        Dimensions.load(tmp_path / "a")
    (tmp_path / "a" / "dimensions.safetensors").write_bytes(b"no")
    with pytest.raises(AudioMetamerError, match="is not a folder of dimensions"):
        Dimensions.load(tmp_path / "a")


def test_dimensions_are_chosen_by_name():
    found = sound_dimensions(tiny_models.sound_model())
    assert [str(d) for d in chosen_dimensions(found, [], strongest=2)] == ["relu0/0/+", "relu0/0/-", "relu0/1/+", "relu0/1/-"]
    assert [str(d) for d in chosen_dimensions(found, ["relu0/2", "relu0/1/-"], strongest=2)] == [
        "relu0/2/+", "relu0/2/-", "relu0/1/-",
    ]  # fmt: skip
    with pytest.raises(AudioMetamerError, match="no dimensions of layer 'relu7'; there are some of relu0"):
        chosen_dimensions(found, ["relu7/0"], strongest=2)
    with pytest.raises(AudioMetamerError, match="has 3 components, numbered from 0, so no 3"):
        chosen_dimensions(found, ["relu0/3/+"], strongest=2)
