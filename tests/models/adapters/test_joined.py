"""Several models as one."""

import pytest
import tiny_models
import torch

import audiometamer as am
from audiometamer.metamers.criteria import default_null
from audiometamer.models.adapters.joined import joined
from audiometamer.signals.resampling import resample_by_sinc


def another(rate=tiny_models.SAMPLE_RATE, **options):
    """With other weights than the tiny model, by default for the same sounds."""
    ears = tiny_models.front_end() if rate == tiny_models.SAMPLE_RATE else am.Cochleagram(
        sample_rate=rate, n_filters=4, low_limit=50, high_limit=rate / 2, overcompleteness=2, frame_rate=100, window_size=161
    )  # fmt: skip
    network = tiny_models.seeded(tiny_models.TinyNetwork(), 1)
    return am.Model(
        network, front_end=ears, name="other",
        **({"sample_rate": rate, "duration": tiny_models.DURATION, "labels": {"mood": ("a", "b", "c")}} | options),
    )  # fmt: skip


def test_layers_and_outputs_are_those_of_the_models(tiny, tiny_clip):
    other = another()
    both = joined({"tiny": tiny, "other": other})
    assert both.name == "tiny+other"
    assert both.layers[:2] == ("tiny.cochleagram", "tiny.relu0")
    signals = tiny_clip.samples[None]
    found = am.record(both, signals, ["tiny.relu0", "other.final"])
    assert torch.equal(found["tiny.relu0"], am.record(tiny, signals, "relu0"))
    assert torch.equal(found["other.final"], am.record(other, signals, "final"))
    assert {k: v.shape for k, v in both.logits(both(signals)).items()} == {"tiny.word": (1, 3), "other.mood": (1, 3)}
    assert both.label("other.mood", 1) == "b"


def test_a_metamer_of_both_matches_both_and_of_one_is_judged_by_one(tiny, tiny_clip):
    both = joined({"tiny": tiny, "other": another()})
    (metamer,) = am.synthesize(both, tiny_clip, "tiny.relu1+other.relu1", steps=150)
    assert all(metamer.evidence.similarity[f"{name}.relu1"]["snr_db"] > 15 for name in ("tiny", "other"))
    assert set(metamer.evidence.verdict.labels) == {"tiny.word", "other.mood"}
    (one,) = am.synthesize(both, tiny_clip, "tiny.relu1")
    assert one.evidence.similarity["tiny.relu1"]["snr_db"] > one.evidence.similarity["other.relu1"]["snr_db"] + 5
    assert set(one.evidence.verdict.labels) == {"tiny.word"}


def test_sounds_of_different_rates_come_at_the_highest(tiny, tiny_clip):
    high = joined({"tiny": tiny, "other": another(8000)})
    assert (high.sample_rate, high.signal_shape) == (8000, (2000,))
    signals = resample_by_sinc(tiny_clip.samples[None], 4000, 8000)
    found = am.record(high, signals, "tiny.relu0")
    there_and_back = resample_by_sinc(signals, 8000, 4000)
    torch.testing.assert_close(found, am.record(tiny, there_and_back, "relu0"))


def test_nulls_of_the_models_judge_their_layers():
    model = am.load_model("cochcnn-digits+cochcnn-speaker")
    null = default_null(model)
    own = default_null(am.load_model("cochcnn-speaker"))
    assert null.layers["cochcnn-speaker.relu3"] == own.layers["relu3"]


def test_what_cannot_be_joined(tiny):
    with pytest.raises(am.AudioMetamerError, match=r"their duration are 0\.25 and 0\.5"):
        joined({"tiny": tiny, "other": another(duration=0.5)})
    with pytest.raises(am.AudioMetamerError, match="1 model cannot be joined"):
        joined({"tiny": tiny})
    with pytest.raises(am.AudioMetamerError, match="two of the models are called cochcnn-digits"):
        am.load_model("cochcnn-digits+cochcnn-digits")


def test_models_come_by_name(tiny):
    with pytest.raises(am.AudioMetamerError, match="models is a list; give a dict of names to models"):
        joined([tiny, another()])
