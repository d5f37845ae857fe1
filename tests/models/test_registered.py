"""Models, front ends and networks of an installed package: by name everywhere that ours are."""

import msgspec
import pytest
import torch
from plugin import install

import audiometamer as am
from audiometamer.cli import main
from audiometamer.models.cards import Card, FrontEndCard, NetworkCard, WeightsCard
from audiometamer.models.model_folder import build_model, save_weights


@pytest.fixture(autouse=True)
def installed(tmp_path, monkeypatch):
    install(tmp_path / "site", monkeypatch)


def write_folder(folder, **changes):
    card = Card(
        "saved", 4000, 0.1, 0.1, NetworkCard("Reader", {"width": 5}), FrontEndCard("logs", {"floor": 0.02}),
        WeightsCard("weights.safetensors", ""), {"word": ["yes", "no"]},
    )  # fmt: skip
    folder.mkdir()
    sha = save_weights(build_model(card).network, folder / "weights.safetensors")
    card = msgspec.structs.replace(card, weights=WeightsCard("weights.safetensors", sha), **changes)
    (folder / "model.toml").write_bytes(msgspec.toml.encode(card))
    return folder


def test_a_registered_model_by_its_name_alone_and_with_a_choice():
    assert am.load_model("mine").name == "mine-plain"
    assert am.load_model("mine:loud").name == "mine-loud"
    assert am.load_model("permuted:mine:3").name == "permuted-mine-plain-3"


def test_a_registered_model_makes_metamers():
    model = am.load_model("mine")
    clip = am.Clip("noise", 0.1 * torch.randn(400, generator=torch.Generator().manual_seed(0)), 4000)
    (metamer,) = am.synthesize(model, clip, ["2"], steps=5)
    assert metamer.evidence.settings.model == "mine-plain"


def test_a_card_names_a_registered_front_end_and_network(tmp_path):
    model = am.load_model(write_folder(tmp_path / "saved"))
    assert model.front_end.floor == 0.02
    sound = torch.full((1, 400), 0.1)
    sound[0, :40] = 0.0
    expected = torch.full((1, 10, 40), 0.12).log()
    expected[0, 0] = torch.tensor(0.02).log()
    torch.testing.assert_close(am.record(model, sound, "front_end"), expected)
    assert am.record(model, sound, "1").shape == (1, 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sample_rate": 8000}, "the front end takes 4000 Hz and the model 8000"),
        ({"front_end": FrontEndCard("logs", {"flor": 1})}, r"'logs' of plugged 1.2 cannot be made \(TypeError: .*flor"),
        ({"network": NetworkCard("Writer")}, "no network 'Writer'; there are CochCNN9, CochResNet50, SpecTemp, Reader"),
    ],
)  # fmt: skip
def test_a_card_that_does_not_fit_what_is_registered(tmp_path, changes, message):
    with pytest.raises(am.AudioMetamerError, match=message):
        am.load_model(write_folder(tmp_path / "saved", **changes))


def test_what_is_registered_must_be_a_module(tmp_path, monkeypatch):
    wrong = {"audiometamer.front_ends": {"none": "odd:none"}, "audiometamer.models": {"zero": "odd:none"}}
    install(tmp_path / "odd", monkeypatch, name="odd", source="def none():\n    return 0\n", entry_points=wrong)
    with pytest.raises(am.AudioMetamerError, match=r"the front end 'none' is 0, not a torch\.nn\.Module"):
        am.load_model(write_folder(tmp_path / "saved", front_end=FrontEndCard("none")))
    with pytest.raises(am.AudioMetamerError, match=r"model 'zero': zero returns 0; it must return an am.Model or a module"):
        am.load_model("zero")


def test_the_command_lists_what_is_registered(capsys):
    assert main(["models"]) == 0
    listed = " ".join(capsys.readouterr().out.split()).partition("Registered by other packages:")[2]
    for part in ("model mine", "front end logs", "network Reader"):
        assert f"{part} (plugged 1.2)" in listed
