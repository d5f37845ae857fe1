"""Models that hear through an ear: names, layers, levels, and what is refused."""

import click
import pytest
import torch
from click.testing import CliRunner
from torch import nn

import audiometamer as am
from audiometamer.cli import options
from audiometamer.models.cards import Card, FrontEndCard, NetworkCard, WeightsCard
from audiometamer.models.ear_front_end import EarFrontEnd
from audiometamer.models.heard import split_ear, through_ear, with_ear_beside
from audiometamer.models.model_folder import build_model


class _Loudness(nn.Module):
    """Frames of 100 samples to their mean squares."""

    def forward(self, sounds: torch.Tensor) -> torch.Tensor:
        return sounds.unfold(-1, 100, 100).square().mean(-1)


def small_model(channels: int = 1) -> am.Model:
    """Two answers about a sound of 0.25 s at 4 kHz."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(10 * channels, 2)).eval().requires_grad_(False)
    return am.Model(
        network, front_end=_Loudness(), sample_rate=4000, duration=0.25, channels=channels, labels=["a", "b"], name="m"
    )


def test_sound_goes_through_the_ear() -> None:
    model = through_ear(small_model(), "msbg:flat40/level=50")
    assert model.name == "m~msbg:flat40/level=50"
    assert isinstance(model.front_end, EarFrontEnd)
    ear = model.front_end.ear
    assert ear.full_scale == pytest.approx(70)  # clips have an RMS of 0.1
    assert model.layers[:2] == ("ear", "front_end")
    sounds = torch.randn(2, 1000, generator=torch.Generator().manual_seed(1)) / 10
    recorded = am.record(model, sounds, ["ear", "front_end"])
    torch.testing.assert_close(recorded["ear"], ear(sounds))
    torch.testing.assert_close(recorded["front_end"], _Loudness()(ear(sounds)))
    assert model.domain.deviation == model.level  # the usual start is not heard
    (metamer,) = am.synthesize(model, sounds[:1], "front_end", steps=3)
    assert metamer.evidence.settings.model == model.name


def test_ears_that_differ(tmp_path) -> None:
    (tmp_path / "a.toml").write_text("frequencies = [500, 1000]\nleft = [10, 20]\nright = [60, 60]\n")
    spec = f"msbg:{tmp_path}/a.toml"
    with pytest.raises(am.AudioMetamerError, match=r"ears of .*differ.*side=left"):
        through_ear(small_model(), spec)
    right = through_ear(small_model(), f"{spec}/side=right").front_end
    assert isinstance(right, EarFrontEnd)
    assert right.ear.audiogram.losses == (60, 60)
    both = through_ear(small_model(channels=2), spec)
    sounds = torch.randn(1, 2, 1000, generator=torch.Generator().manual_seed(1)) / 10
    heard = am.record(both, sounds, "ear")
    torch.testing.assert_close(heard[:, 1], right.ear(sounds[:, 1]))
    assert not torch.allclose(heard[:, 0], right.ear(sounds[:, 0]))


def test_broader_filters() -> None:
    cochleagram = am.Cochleagram(sample_rate=4000, n_filters=4, high_limit=2000, window_size=101)
    network = nn.Sequential(nn.Flatten(), nn.Linear(27 * 45, 2)).eval().requires_grad_(False)
    model = am.Model(network, front_end=cochleagram, sample_rate=4000, duration=0.25, labels=["a", "b"], name="m")
    broadened = through_ear(model, "broadened:2")
    assert (broadened.name, broadened.layers[0]) == ("m~broadened:2", "cochleagram")
    assert isinstance(broadened.front_end, am.Cochleagram)
    sounds = torch.randn(1, 1000, generator=torch.Generator().manual_seed(1)) / 10
    expected = am.Cochleagram(sample_rate=4000, n_filters=4, high_limit=2000, window_size=101, broadening=2.0)(sounds)
    torch.testing.assert_close(broadened.front_end(sounds), expected)
    assert not torch.allclose(cochleagram(sounds), expected)
    for ear, message in (("broadened", "such as broadened:2"), ("broadened:20", "broadening is 40.0")):
        with pytest.raises(am.AudioMetamerError, match=message):
            through_ear(model, ear)
    with pytest.raises(am.AudioMetamerError, match="no cochleagram at its front"):
        through_ear(small_model(), "broadened:2")


def test_names(tmp_path) -> None:
    assert split_ear("a/b~msbg:N3") == ("a/b", "msbg:N3")
    assert split_ear("a+b~msbg:N3") == ("a+b", "msbg:N3")
    assert split_ear("a~msbg:N3+b") is None
    (tmp_path / "x.csv").write_text("frequency,loss\n500,10\n")
    assert with_ear_beside("m~msbg:x.csv/level=50", tmp_path) == f"m~msbg:{tmp_path}/x.csv/level=50"
    assert with_ear_beside("m~msbg:N3", tmp_path) == "m~msbg:N3"
    assert with_ear_beside("m", tmp_path) == "m"


@pytest.mark.parametrize(
    ("ear", "message"),
    [
        ("deaf", "there is no ear 'deaf'"),
        ("msbg", "needs an audiogram"),
        ("msbg:N9", "no audiogram 'N9'"),
        ("msbg:N2/gain=3", "no option 'gain'"),
        ("msbg:N2/level=loud", "level is 'loud'"),
        ("msbg:N2/level=300", "level is '300'"),
        ("msbg:N2/level=50/full_scale=100", "not both"),
        ("msbg:N2/smearing=perhaps", "true or false"),
        ("msbg:N2/side=left/side=right", "twice"),
        ("msbg:N2/side=top", "side is 'top'"),
    ],
)
def test_bad_ears(ear: str, message: str) -> None:
    with pytest.raises(am.AudioMetamerError, match=message):
        through_ear(small_model(), ear)


def test_the_ear_of_a_card() -> None:
    card = Card(
        "m", 20_000, 0.25, 0.1, NetworkCard("CochCNN9", {"width": 0.02}), FrontEndCard("feather2023", ear="msbg:N1/level=55"),
        WeightsCard("", ""), {"word": ["a", "b"]},
    )  # fmt: skip
    front_end = build_model(card).front_end
    assert isinstance(front_end, EarFrontEnd)
    assert (front_end.ear.audiogram.name, front_end.ear.full_scale) == ("N1", 75)
    card.front_end = FrontEndCard("feather2023", ear="gammatone")
    with pytest.raises(am.AudioMetamerError, match="gives no sound for feather2023; name it as preset"):
        build_model(card)


def test_the_option_ear() -> None:
    heard = []

    @click.command()
    @options.model_by_default("cochcnn-word")
    def command(model_name: str) -> None:
        heard.append(model_name)

    for given in ([], ["--ear", "msbg:N2"], ["--model", "m", "--ear", "vocoder:8"], ["--ear", "vocoder:8", "--model", "m"]):
        assert CliRunner().invoke(command, given).exit_code == 0
    assert heard == ["cochcnn-word", "cochcnn-word~msbg:N2", "m~vocoder:8", "m~vocoder:8"]
