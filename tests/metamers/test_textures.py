"""Textures through the house: their method, their start, their verdict in the record, morphs."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io.wavfile
import torch

import audiometamer as am
from audiometamer.matching import losses
from audiometamer.matching.losses import relative_fourth_power
from audiometamer.metamers.methods import METHODS, method_for
from audiometamer.metamers.morphs import read_morph
from audiometamer.metamers.setup import by_term
from audiometamer.metamers.texture_methods import Audible
from audiometamer.metamers.verdicts import ClassMatch, Verdict, average_db
from audiometamer.report.report import make_report
from tests.helpers.command_line import refused

NAME = "texture:toolbox/seconds=1.4"


@pytest.fixture(scope="module")
def model() -> am.Model:
    return am.load_model(NAME)


def noise_of(seed: int, seconds: float = 1.4) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(round(20_000 * seconds)).astype(np.float32)


def write_noise(path: Path, seconds: float = 1.4, seed: int = 0) -> Path:
    scipy.io.wavfile.write(path, 20_000, 0.1 * noise_of(seed, seconds))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, model: am.Model) -> Path:
    folder = tmp_path_factory.mktemp("textures")
    clip = model.read_clip(write_noise(folder / "noise.wav"))
    am.synthesize_into(folder / "out", model, clip, steps=40)
    return folder


def test_the_record_holds_every_class_and_the_verdict_follows_from_them(folder: Path) -> None:
    metamer = am.load_metamer(next(folder.glob("out/*/*/statistics_seed0.wav")))
    evidence = metamer.evidence
    assert evidence.settings.method == "textures"
    assert evidence.settings.loss == "relative_fourth_power, faint bands 0.1"
    assert list(evidence.verdict.classes) == list(evidence.similarity)[:-1]
    snrs = {name: match.snr_db for name, match in evidence.verdict.classes.items()}
    assert snrs["envelope_mean"] > 15
    assert metamer.passed is (sum(snrs.values()) / len(snrs) >= 20)
    assert evidence.tries[0].losses[-1] < 0.1 * evidence.tries[0].losses[0]


def test_the_report_shows_a_bar_for_each_class(folder: Path) -> None:
    page = make_report(folder / "out").read_text(encoding="utf-8")
    assert '"classes":[["subband_variance",' in page


def test_a_verdict_passes_at_20_db_on_average_and_halts_at_30_in_every_class() -> None:
    classes = {"a": ClassMatch(35.0, 0.1), "b": ClassMatch(None, 0.0), "c": ClassMatch(29.0, 0.1)}
    assert average_db(classes) == pytest.approx((35 + 100 + 29) / 3)
    assert not Verdict(True, {}, {}, {}, classes).reached_halt
    assert Verdict(True, {}, {}, {}, classes | {"c": ClassMatch(30.0, 0.1)}).reached_halt
    assert not Verdict(None, {}, {}, {}).reached_halt


def test_a_texture_model_has_a_method_of_its_own(model: am.Model) -> None:
    assert method_for(model, "default") is METHODS["textures"]
    assert method_for(model, "feather2023") is METHODS["feather2023"]
    assert {"textures-unweighted", "textures-normalised"} <= METHODS.keys()


def test_parts_of_a_vector_count_alike() -> None:
    loss = losses.by_part(losses.relative_squared_error, [(1, 1.0), (3, 0.5)])
    found = loss(torch.tensor([[2.0, 1.0, 1.0, 2.0]]), torch.tensor([[1.0, 1.0, 1.0, 1.0]]))
    assert found.tolist() == pytest.approx([1.0 + 0.5 / 3])


def test_a_morph_averages_statistics(tmp_path: Path, model: am.Model) -> None:
    paths = [write_noise(tmp_path / f"{k}.wav", seed=k) for k in range(2)]
    (tmp_path / "texture_morph.toml").write_text('[weights]\n"0.wav" = 1\n"1.wav" = 3\n')
    target = read_morph(tmp_path / "texture_morph.toml", model)
    first, second = (model.network.targets(model.read_clip(path).samples[None])["statistics"][0] for path in paths)
    torch.testing.assert_close(target.activations["statistics"], 0.25 * first + 0.75 * second)


def test_a_morph_of_parts_of_longer_sounds(tmp_path: Path, model: am.Model) -> None:
    path = write_noise(tmp_path / "long.wav", 2.0)
    (tmp_path / "morph.toml").write_text('[weights]\n"long.wav" = 1\n')
    with pytest.raises(am.AudioMetamerError, match=r"long.wav lasts 2.000 s and the model takes 1.4 s; say where to begin"):
        read_morph(tmp_path / "morph.toml", model)
    target = read_morph(tmp_path / "morph.toml", model, start=0.5)
    part = model.network.targets(model.read_clip(path, start=0.5).samples[None])["statistics"][0]
    torch.testing.assert_close(target.activations["statistics"], part)


def test_a_step_and_a_gradient_have_statistics_in_time(tmp_path: Path, model: am.Model) -> None:
    paths = [write_noise(tmp_path / f"{k}.wav", seed=k) for k in range(2)]
    (tmp_path / "step.toml").write_text('[[segments]]\n"0.wav" = 1\n[[segments]]\n"1.wav" = 1\n')
    first, second = (model.network.targets(model.read_clip(path).samples[None])["envelope_mean"][0] for path in paths)
    for option, wanted in (
        ("step_at=0.7", [first, second]),
        ("gradient=3", [first, (first + second) / 2, second]),
    ):
        target = read_morph(tmp_path / "step.toml", am.load_model(f"{NAME}/{option}"))
        torch.testing.assert_close(target.activations["envelope_mean"], torch.cat(wanted))


def test_a_step_is_made(tmp_path: Path) -> None:
    model = am.load_model(f"{NAME}/step_at=0.7")
    quiet, loud = (am.Clip.from_array(level * noise_of(seed), 20_000) for seed, level in ((0, 0.005), (1, 0.02)))
    target = am.morph([[(quiet, 1)], [(loud, 1)]], model)

    (metamer,) = am.synthesize(model, target, steps=40)

    first, second = metamer.samples.unflatten(-1, (2, -1)).square().mean(-1).sqrt().tolist()
    assert first == pytest.approx(0.005, rel=0.1)
    assert second == pytest.approx(0.02, rel=0.1)
    classes = metamer.evidence.verdict.classes
    assert len(classes) == 14
    assert classes["envelope_mean, segment 1"].snr_db > 20
    assert classes["envelope_mean, segment 2"].snr_db > 20


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[weights]\n"0.wav" = 1\n"long.wav" = 1\n', "equal length, and these have 0 1.4 s, long 1.6 s"),
        ('[weights]\n"0.wav" = -1\n', "0.wav has weight -1"),
        ('[weights]\n"0.wav" = 0\n', "a weight above 0"),
        ("", "give either"),
        ('[[segments]]\n"0.wav" = 1\n[[segments]]\n"0.wav" = 2\n', "statistics are for 2 segments, and the model has none"),
    ],
)
def test_a_wrong_morph_is_told(tmp_path: Path, text: str, message: str) -> None:
    write_noise(tmp_path / "0.wav")
    write_noise(tmp_path / "long.wav", 1.6)
    (tmp_path / "morph.toml").write_text(text)
    with pytest.raises(am.AudioMetamerError, match=message):
        read_morph(tmp_path / "morph.toml", am.load_model("texture:toolbox/seconds=2"))


def test_without_is_for_texture_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound = write_noise(tmp_path / "noise.wav")
    assert "not a model of these" in refused(capsys, "synth", sound, "--without", "envelope_mean", "--model", "cochcnn-digits")
    assert "no class 'mean'" in refused(capsys, "synth", sound, "--without", "mean", "--model", NAME)


def test_faint_bands_count_less_in_an_audible_loss(model: am.Model) -> None:
    """Squares of the second value count a quarter: (0.25 · 1 / (1 + 0.25 · 4))² of the first sound, (1 / 2)² of the second."""
    loss = Audible(relative_fourth_power, faint=0.25)
    a, t = torch.tensor([[1.0, 3.0], [2.0, 2.0]]), torch.tensor([[1.0, 2.0], [1.0, 2.0]])
    over = loss.over(loss.loss, lambda target: torch.ones_like(target).index_fill(1, torch.tensor([1]), 0.0))
    torch.testing.assert_close(over(a, t), torch.tensor([0.125**2, 0.5**2]))
    torch.testing.assert_close(loss(a, t), relative_fourth_power(a, t))  # where no network says which bands are faint
    targets, found = torch.ones(1, 32), torch.ones(1, 32)
    targets[0, 0], found[0, 0] = 1e-4, 1.0001  # a faint band, off by 1
    at = by_term(model, "subband_variance", METHODS["textures"].loss)(found, targets)
    assert at.item() == pytest.approx((0.1 / 31) ** 2, rel=1e-3)
    unweighted = by_term(model, "statistics", METHODS["textures-unweighted"].loss)
    every = torch.ones(1, sum(model.network.sizes().values()))
    assert unweighted(every + 1, every).item() == pytest.approx(every.numel() / 2)


def test_a_texture_stops_where_the_published_synthesis_halts(model: am.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here already at 4 dB in every class; the loss, in which faint bands count too, is not asked."""
    monkeypatch.setattr("audiometamer.metamers.verdicts.HALT_DB", 4.0)
    (metamer,) = am.synthesize(model, 0.1 * noise_of(3), steps=80)
    evidence = metamer.evidence
    assert evidence.tries[0].outcome == f"matched after {evidence.tries[0].steps} steps"
    assert evidence.tries[0].steps in (20, 40, 60)
    assert min(match.snr_db for match in evidence.verdict.classes.values() if match.snr_db is not None) >= 4
