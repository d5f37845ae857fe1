"""Dimensions: Gram matrices by hand, coordinates of the bank, folders, and what is refused."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
import tiny_models
import torch
from tiny_exploration import image_dimensions, image_model, images, sound_dimensions, sounds

import audiometamer as am
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.exploration.dimensions import (
    Dimension,
    Dimensions,
    check_found,
    chosen_dimensions,
    find_dimensions,
    gram_matrices,
    load_all,
)


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


@pytest.mark.filterwarnings("ignore:FastICA did not settle")  # the tiny bank has one source
@pytest.mark.filterwarnings("ignore:.*one signal of the bank")
@pytest.mark.parametrize("method", ["pca", "ica"])
def test_coordinates_of_the_bank_are_its_scores(method):
    model = tiny_models.sound_model().double()
    bank = sounds(30)
    found = find_dimensions(model, bank, ["cochleagram", "relu0"], method=method, components=5, kept=4, memory=1e4, batch_size=7)
    for layer, own in found.items():
        coordinates = own.of(model, torch.stack([clip.samples for clip in bank]).double())
        assert coordinates.numpy() == pytest.approx(own.bank.numpy(), abs=1e-4)  # directions are kept in float32
        assert own.bank.mean(0).numpy() == pytest.approx(np.zeros(4), abs=1e-9)
        assert own.bank.std(0, correction=0).numpy() == pytest.approx(np.ones(4))
        assert own.record.explained == sorted(own.record.explained, reverse=True)
        assert sum(own.record.explained) < own.record.explained_by_all <= 1 + 1e-9
        assert torch.equal(own.directions, own.directions.transpose(1, 2))
        assert (own.record.layer, own.record.components, own.record.bank[3]) == (layer, 5, "sound3")


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


def test_a_broken_folder_is_told(tmp_path):
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


def test_images_have_dimensions_too():
    found = image_dimensions(image_model())["relu"]
    assert found.directions.shape == (3, 5, 5)
    assert found.record.keep_frequency is False


def test_what_is_there_is_told_from_what_would_be_found():
    model, bank = image_model(), images(24)
    found = image_dimensions(model, components=30)["relu"]
    assert (found.record.looked_for, found.record.components) == (23, 15)  # 24 signals; a Gram matrix of 5 has 15 numbers
    check_found([found], model, bank, method="pca", components=23, kept=3)
    for wrong in ({"components": 15}, {"kept": 4}, {"seed": 1}, {"bank": bank[:-1]}, {"bank": [*bank[:-1], images(1)[0]]}):
        asked = {"bank": bank, "method": "pca", "components": 30, "kept": 3} | wrong
        with pytest.raises(
            AudioMetamerError, match=r"^dimensions of relu are there, found with another .*; choose another --out$"
        ):
            check_found([found], model, **asked)
    before = replace(found, record=msgspec.structs.replace(found.record, looked_for=None))  # as versions before wrote it
    check_found([before], model, bank, method="pca", components=15, kept=3)


def test_what_is_wrong_is_told_in_a_line():
    model = tiny_models.sound_model()
    with pytest.raises(AudioMetamerError, match="has no layer 'relu9'"):
        find_dimensions(model, sounds(6), ["relu9"])
    with pytest.raises(AudioMetamerError, match=r"the bank has 4 signal\(s\); ica needs at least 5"):
        find_dimensions(model, sounds(4), ["relu0"])
    with pytest.raises(AudioMetamerError, match=r"the bank has 1 signal\(s\); pca needs at least 2"):
        find_dimensions(model, sounds(1), ["relu0"], method="pca")
    with pytest.raises(AudioMetamerError, match="no method 'nmf'; there are ica, pca"):
        find_dimensions(model, sounds(4), ["relu0"], method="nmf")
    with pytest.raises(AudioMetamerError, match="kept is 0; it must be at least 1"):
        find_dimensions(model, sounds(4), ["relu0"], kept=0)
    with pytest.raises(AudioMetamerError, match="all signals of the bank are the same"):
        find_dimensions(model, sounds(1) * 6, ["relu0"], method="pca")
    mono = am.Model(
        torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3)).eval().requires_grad_(False),
        signal_shape=(1, 12, 12),
        layers={"c": "0"},
        check=False,
    )
    with pytest.raises(AudioMetamerError, match="has one channel, so its Gram matrix is a single number"):
        find_dimensions(mono, images(6), ["c"])
    loud = [am.audio.Clip(clip.name, clip.samples * 1e30, clip.sample_rate) for clip in sounds(6)]
    plain = am.Model(tiny_models.seeded(tiny_models.Tone()), sample_rate=4000, duration=0.25, bounds=(-9e37, 9e37), check=False)
    with pytest.raises(AudioMetamerError, match="are not finite for a signal of the bank"):
        find_dimensions(plain, loud, ["conv"])


def test_a_component_of_one_signal_is_told():
    model = tiny_models.sound_model()
    bank = [*sounds(1) * 20, *sounds(1, first=5)]
    with pytest.warns(AudioMetamerWarning, match=r"relu0: a component is 9\d % one signal of the bank"):
        find_dimensions(model, bank, ["relu0"], method="pca")
