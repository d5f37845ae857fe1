"""What a network knows: probabilities in closed form, and clips that hold nothing it could know."""

import math

import msgspec
import numpy as np
import pytest
import tiny_models
import torch

import audiometamer as am
from audiometamer.io.tables import read_table
from audiometamer.metamers.evidence import Evidence
from audiometamer.metamers.files import load_metamer
from audiometamer.metamers.hearing import LOW_PROBABILITY, label_probabilities, notices, probabilities, share_above
from audiometamer.metamers.index import write_index

RATE = 20_000


class Asked:
    """As much of a model as its labels need."""

    name, sample_rate = "net", RATE

    def __init__(self, labels, multi_label=()):
        self.labels, self.card = labels, type("Card", (), {"multi_label": list(multi_label)})()

    def named_labels(self):
        return self.labels


def sines(*amplitudes_by_frequency, seconds=1.0, rate=RATE):
    t = np.arange(round(seconds * rate)) / rate
    return sum(a * np.sin(2 * np.pi * f * t) for f, a in amplitudes_by_frequency)


def clip(samples, rate=RATE):
    return am.Clip("take", torch.tensor(samples, dtype=torch.float32), rate, ())


def test_probabilities_are_the_softmax_of_the_largest_logit():
    model = Asked({"word": ["yes", "no", "perhaps"]})
    logits = torch.tensor([[math.log(6), math.log(3), 0.0], [0.0, 0.0, 0.0]])  # 6 : 3 : 1, and all alike
    assert probabilities(model, {"word": logits})["word"] == pytest.approx([0.6, 1 / 3])


def test_probabilities_of_several_labels_at_once_are_sigmoids():
    model = Asked({"sounds": ["dog", "rain"]}, multi_label=["sounds"])
    logits = torch.tensor([[math.log(3), math.log(4)]])
    assert probabilities(model, {"sounds": logits})["sounds"] == pytest.approx([0.8])


def test_outputs_that_are_probabilities_are_taken_as_they_are():
    model = Asked({"word": ["yes", "no"]})
    assert probabilities(model, {"word": torch.tensor([[0.7, 0.3]])})["word"] == pytest.approx([0.7])
    logarithms = torch.log(torch.tensor([[0.7, 0.3]]))
    assert probabilities(model, {"word": logarithms})["word"] == pytest.approx([0.7])


def test_classes_of_one_label_share_its_probability():
    model = Asked({"word": ["vowel", "noise", "vowel"]})
    logits = torch.tensor([[math.log(5), math.log(3), math.log(2)]])
    assert probabilities(model, {"word": logits})["word"] == pytest.approx([0.7])


def test_without_labels_there_is_nothing_to_tell():
    assert probabilities(Asked({}), {"word": torch.tensor([[1.0, 2.0]])}) == {}


@pytest.mark.parametrize("amplitude", [1.0, 0.1, 1e-3])
def test_share_above_of_two_sines(amplitude):
    expected = 10 * math.log10(amplitude**2 / (1 + amplitude**2))
    both = sines((1000, 1.0), (6000, amplitude))
    assert share_above(clip(both), 4000) == pytest.approx(expected, abs=0.02)
    padded = np.concatenate([np.zeros(10_007), both, np.zeros(9_993)])  # with an edge that is no part of the recording
    assert share_above(clip(padded), 4000) == pytest.approx(expected, abs=0.02)


def test_share_above_of_white_noise_is_that_of_its_band():
    noise = np.random.default_rng(0).standard_normal(20 * RATE)
    assert share_above(clip(noise), 4000) == pytest.approx(10 * math.log10(6000 / 10_000), abs=0.05)


def test_silence_has_no_band_to_be_empty():
    assert share_above(clip(np.zeros(RATE)), 4000) == math.inf


def test_notices_name_a_low_probability_and_an_empty_band():
    model = Asked({"word": ["yes", "no"]})
    full, empty = clip(sines((1000, 1.0), (6000, 0.1))), clip(sines((1000, 1.0), (6000, 1e-4)))
    assert notices(model, full, {"word": LOW_PROBABILITY}) == []
    (low,) = notices(model, full, {"word": 0.44})
    assert low == (
        "take: the word that net finds likeliest has a probability of 0.44, below 0.9; the clip may hold none of the 2 that it "
        "knows"
    )
    (band,) = notices(model, empty, {"word": 0.99})
    assert band.startswith("take: no sound above 4 kHz (-80 dB of its power), though net takes 20000 Hz")
    model.sample_rate = 8000  # which holds nothing above 4 kHz
    assert notices(model, empty, {}) == []


@pytest.fixture
def vowel():
    return clip(0.1 * sines((120, 1.0), (240, 0.5), seconds=0.25, rate=4000), 4000)


def test_evidence_holds_the_probabilities_of_clip_and_metamer(vowel, tmp_path):
    model = tiny_models.sound_model()
    (made,) = am.synthesize(model, vowel, "final", steps=2)
    both = torch.stack([vowel.samples, made.samples])
    expected = model(both).softmax(1).amax(1).tolist()
    assert made.evidence.probabilities == {"word": pytest.approx(expected, rel=1e-5)}
    assert label_probabilities(model, vowel) == {"word": pytest.approx(expected[0], rel=1e-5)}
    assert made.evidence.classes == {"word": 3}
    assert any("below 0.9" in notice for notice in made.evidence.clip_notices) == (expected[0] < 0.9)
    path = made.save(tmp_path)
    assert load_metamer(path).evidence.probabilities == made.evidence.probabilities
    (row,) = read_table(write_index(tmp_path))
    assert [float(row["probability_clip"]), float(row["probability_metamer"])] == pytest.approx(expected, abs=1e-4)


def test_of_a_model_without_labels_nothing_is_shown(vowel, tmp_path):
    (made,) = am.synthesize(tiny_models.nameless_model(), vowel, "final", steps=2)
    assert (made.evidence.probabilities, made.evidence.classes, made.evidence.clip_notices) == ({}, {}, [])
    made.save(tmp_path)
    (row,) = read_table(write_index(tmp_path))
    assert (row["probability_clip"], row["probability_metamer"]) == ("", "")


def test_records_of_earlier_versions_are_read(vowel):
    (made,) = am.synthesize(tiny_models.sound_model(), vowel, "final", steps=2)
    fields = msgspec.to_builtins(made.evidence)
    for name in ("probabilities", "classes", "limits"):
        del fields[name]
    read = msgspec.convert(fields, Evidence)
    assert (read.probabilities, read.classes, read.limits) == ({}, {}, [])
