"""Modulation models in a synthesis: both methods, their records, and what they refuse."""

import numpy as np
import pytest
import torch

import audiometamer as am
from audiometamer.metamers.targets import GivenTarget
from audiometamer.metamers.texture_methods import GRADIENT_CLIP

NAME = "modulation:normanhaignere2018/seconds=0.15/padding_seconds=0.1/padding_octaves=1/lowest_rate=4"


@pytest.fixture(scope="module")
def model() -> am.Model:
    return am.load_model(NAME)


@pytest.fixture(scope="module")
def glide() -> torch.Tensor:
    time = torch.arange(3_000) / 20_000
    return 0.014 * torch.sin(2 * np.pi * (500 * time + 8_000 * time**2))[None]


def test_matched_histograms_are_recorded_iteration_by_iteration(model, glide):
    seen = []
    (metamer,) = am.synthesize(
        model, glide, "temporal", method="normanhaignere2018", steps=2, callback=lambda step, *_: seen.append(step)
    )
    (tried,) = metamer.evidence.tries
    assert (metamer.evidence.settings.method, metamer.evidence.settings.layer) == ("normanhaignere2018", "temporal")
    assert (tried.attempt, tried.steps, tried.loss_steps, seen) == ("histogram matching", 2, [0, 1, 2], [0, 1, 2])
    assert tried.losses[2] < tried.losses[0]
    assert [set(each) for each in tried.comparisons] == 3 * [{"cochlear", "temporal", "spectral", "spectrotemporal"}]
    snr = [each["cochlear"]["snr_db"][0] for each in tried.comparisons]
    assert snr[0] < snr[1] < snr[2]


def test_the_default_method_of_a_modulation_model_is_the_gradient_on_its_moments(model, glide):
    losses = []
    (metamer,) = am.synthesize(model, glide, "cochlear", steps=21, callback=lambda *report: losses.append(report[2].item()))
    assert metamer.evidence.settings.method == "modulation"
    assert metamer.evidence.tries[0].comparisons == []
    assert losses[-1] < losses[0]
    assert metamer.evidence.tries[0].losses == pytest.approx(losses)


def test_the_gradient_goes_on_from_matched_histograms_without_a_verdict(model, glide):
    (metamer,) = am.synthesize(model, glide, "cochlear", method="modulation-refined", steps=15)
    first, then = metamer.evidence.tries
    assert [tried.attempt for tried in (first, then)] == ["histogram matching", "quasi-Newton"]
    assert (then.continues, then.start_seed, len(first.comparisons)) == (0, None, 16)
    assert (first.steps, then.steps, then.gradient_clip) == (15, 90, GRADIENT_CLIP)
    assert then.losses[-1] < 0.5 * then.losses[0]
    assert then.snr_db > first.snr_db + 3
    assert metamer.evidence.kept == 1


def test_an_interrupted_iteration_returns_what_it_has(model, glide):
    def stop(step: int, *_: torch.Tensor) -> None:
        if step == 1:
            raise am.StopSynthesis

    (metamer,) = am.synthesize(model, glide, "cochlear", method="normanhaignere2018", steps=5, callback=stop)
    assert (metamer.evidence.tries[0].steps, metamer.evidence.tries[0].outcome) == (1, "stopped by the callback after 1 steps")


def test_what_cannot_be_matched_by_histograms_is_refused(model, glide):
    with pytest.raises(am.AudioMetamerError, match="has no layer 'front_end' to match; its conditions are cochlear, temporal"):
        am.synthesize(model, glide, "front_end", method="normanhaignere2018")
    with pytest.raises(am.AudioMetamerError, match="minimises nothing: give neither loss nor penalty"):
        am.synthesize(model, glide, "full", method="normanhaignere2018", penalty=lambda x: x.square().sum(1))
    target = GivenTarget("given", {"cochlear": am.record(model, glide, ["cochlear"])["cochlear"][0]})
    with pytest.raises(am.AudioMetamerError, match="needs recordings: a target that is given holds activations only"):
        am.synthesize(model, target, "cochlear", method="normanhaignere2018")
    tone = am.Model(torch.nn.Sequential(torch.nn.Flatten()).eval(), signal_shape=(10,), name="tone")
    with pytest.raises(am.AudioMetamerError, match="which tone has not: give a model such as modulation:normanhaignere2018"):
        am.synthesize(tone, torch.rand(1, 10), "0", method="normanhaignere2018")


@pytest.mark.parametrize("value", [0.0, 0.01])
def test_sounds_without_modulation_are_refused(model, value):
    with pytest.raises(am.AudioMetamerError, match="a sound has no modulation to match: it is silent or constant"):
        am.synthesize(model, torch.full((1, 3_000), value), "cochlear")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("chi2005", "there is no model modulation:chi2005; there is modulation:normanhaignere2018"),
        ("normanhaignere2018/speed=2", "has no option 'speed'; it has seconds, padding_seconds, padding_octaves, lowest_rate"),
        ("normanhaignere2018/seconds=long", "the option seconds .* is 'long'; it must be a number of 0 or more"),
        ("normanhaignere2018/seconds=0.01", r"a sound of 0.01 s is too short .*: give 0.1 to 60 s"),
        ("normanhaignere2018/seconds=0.5", "0.5 s are too short for the lowest modulation filter, at 0.5 Hz: give at least 1 s"),
        ("normanhaignere2018/lowest_rate=200", "lowest_rate is 200 Hz; give 0 to 128 Hz"),
    ],
)
def test_names_that_do_not_exist_are_refused(name, message):
    with pytest.raises(am.AudioMetamerError, match=message):
        am.load_model(f"modulation:{name}")


def test_a_recording_shorter_than_half_a_cycle_is_refused(model, tmp_path):
    am.write_wav(tmp_path / "short.wav", torch.rand(2_400) / 10, 20_000)
    with (
        pytest.warns(am.AudioMetamerWarning, match="padded with silence"),
        pytest.raises(
            am.AudioMetamerError, match=r"short: 0\.12 s are too short for the lowest modulation filter, at 4 Hz: give"
        ),
    ):
        model.read_clip(tmp_path / "short.wav")
    am.write_wav(tmp_path / "enough.wav", torch.rand(3_000) / 10, 20_000)
    assert model.read_clip(tmp_path / "enough.wav").samples.shape == (3_000,)
