"""Finding dimensions: coordinates of the bank by hand, what is there already, and what is refused."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
import tiny_models
import torch
from tiny_exploration import image_dimensions, image_model, images, sounds

import audiometamer as am
from audiometamer.dimensions.dimensions_folder import check_existing
from audiometamer.dimensions.finding import ComponentSettings, find_dimensions
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning


@pytest.mark.filterwarnings("ignore:FastICA did not settle")  # the tiny bank has one source
@pytest.mark.filterwarnings("ignore:.*one signal of the bank")
@pytest.mark.parametrize("method", ["pca", "ica"])
def test_coordinates_of_the_bank_are_its_scores(method):
    model = tiny_models.sound_model().double()
    bank = sounds(30)
    found = find_dimensions(
        model, bank, ["cochleagram", "relu0"], ComponentSettings(method=method, components=5, kept=4), memory=1e4, batch_size=7
    )
    for layer, own in found.items():
        coordinates = own.coordinates_of(model, torch.stack([clip.samples for clip in bank]).double())
        assert coordinates.numpy() == pytest.approx(own.bank.numpy(), abs=1e-4)  # directions are kept in float32
        assert own.bank.mean(0).numpy() == pytest.approx(np.zeros(4), abs=1e-9)
        assert own.bank.std(0, correction=0).numpy() == pytest.approx(np.ones(4))
        assert own.record.explained == sorted(own.record.explained, reverse=True)
        assert sum(own.record.explained) < own.record.explained_by_all <= 1 + 1e-9
        assert torch.equal(own.directions, own.directions.transpose(1, 2))
        assert (own.record.layer, own.record.components, own.record.bank[3]) == (layer, 5, "sound3")


def test_images_have_dimensions_too():
    found = image_dimensions(image_model())["relu"]
    assert found.directions.shape == (3, 5, 5)
    assert found.record.keep_frequency is False


def test_existing_results_are_distinguished_from_what_would_be_found():
    model, bank = image_model(), images(24)
    found = image_dimensions(model, components=30)["relu"]
    assert (found.record.looked_for, found.record.components) == (23, 15)  # 24 signals; a Gram matrix of 5 has 15 numbers
    check_existing([found], model, bank, ComponentSettings(method="pca", components=23, kept=3))
    for wrong in ({"components": 15}, {"kept": 4}, {"seed": 1}, {"bank": bank[:-1]}, {"bank": [*bank[:-1], images(1)[0]]}):
        other = wrong.pop("bank", bank)
        settings = ComponentSettings(**{"method": "pca", "components": 30, "kept": 3} | wrong)
        with pytest.raises(
            AudioMetamerError, match=r"^dimensions of relu are there, found with another .*; choose another --out$"
        ):
            check_existing([found], model, other, settings)
    before = replace(found, record=msgspec.structs.replace(found.record, looked_for=None))  # as versions before wrote it
    check_existing([before], model, bank, ComponentSettings(method="pca", components=15, kept=3))


def test_what_is_wrong_is_reported_in_a_line():
    model = tiny_models.sound_model()
    with pytest.raises(AudioMetamerError, match="has no layer 'relu9'"):
        find_dimensions(model, sounds(6), ["relu9"])
    with pytest.raises(AudioMetamerError, match=r"the bank has 4 signal\(s\); ica needs at least 5"):
        find_dimensions(model, sounds(4), ["relu0"])
    with pytest.raises(AudioMetamerError, match=r"the bank has 1 signal\(s\); pca needs at least 2"):
        find_dimensions(model, sounds(1), ["relu0"], ComponentSettings(method="pca"))
    with pytest.raises(AudioMetamerError, match="no method 'nmf'; there are ica, pca"):
        find_dimensions(model, sounds(4), ["relu0"], ComponentSettings(method="nmf"))
    with pytest.raises(AudioMetamerError, match="kept is 0; it must be at least 1"):
        find_dimensions(model, sounds(4), ["relu0"], ComponentSettings(kept=0))
    with pytest.raises(AudioMetamerError, match="all signals of the bank are the same"):
        find_dimensions(model, sounds(1) * 6, ["relu0"], ComponentSettings(method="pca"))
    mono = am.Model(
        torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3)).eval().requires_grad_(False),
        signal_shape=(1, 12, 12),
        layers={"c": "0"},
        check=False,
    )
    with pytest.raises(AudioMetamerError, match="has one channel, so its Gram matrix is a single number"):
        find_dimensions(mono, images(6), ["c"])
    loud = [am.Clip(clip.name, clip.samples * 1e30, clip.sample_rate) for clip in sounds(6)]
    plain = am.Model(tiny_models.seeded(tiny_models.Tone()), sample_rate=4000, duration=0.25, bounds=(-9e37, 9e37), check=False)
    with pytest.raises(AudioMetamerError, match="are not finite for a signal of the bank"):
        find_dimensions(plain, loud, ["conv"])


def test_a_component_of_one_signal_is_reported():
    model = tiny_models.sound_model()
    bank = [*sounds(1) * 20, *sounds(1, first=5)]
    with pytest.warns(AudioMetamerWarning, match=r"relu0: a component is 9\d % one signal of the bank"):
        find_dimensions(model, bank, ["relu0"], ComponentSettings(method="pca"))
