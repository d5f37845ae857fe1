"""What a network knows: probabilities in closed form, and clips that hold nothing it could know."""

import math
import os
from dataclasses import replace
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
import tiny_models
import torch

import audiometamer as am
from audiometamer.io.resources import zoo_folder
from audiometamer.io.tables import read_table
from audiometamer.metamers.evidence import Evidence
from audiometamer.metamers.files import load_metamer
from audiometamer.metamers.hearing import (
    LOW_PROBABILITY,
    doubtful,
    likeliest_labels,
    notices,
    probabilities,
    share_above,
    stated_labels,
    warn_of_doubts,
)  # fmt: skip
from audiometamer.metamers.index import write_index
from audiometamer.models.cards import DoubtCard
from audiometamer.signals.audio import ClipSource

RATE = 20_000


class Asked:
    """As much of a model as its labels need."""

    name, sample_rate, folder = "net", RATE, None

    def __init__(self, labels, multi_label=(), doubt=()):
        self.labels, self.card = labels, SimpleNamespace(multi_label=list(multi_label), doubt=dict(doubt), labels=labels)

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


def odds(*shares):
    """Logits of these odds."""
    return torch.tensor([[math.log(share) for share in shares]])


FULL, EMPTY = clip(sines((1000, 1.0), (6000, 0.1))), clip(sines((1000, 1.0), (6000, 1e-4)))


def test_the_likeliest_labels_and_their_probabilities():
    model = Asked({"word": ["a", "b", "c", "d", "b"], "sounds": ["x", "y"], "nothing": []}, multi_label=["sounds"])
    found = likeliest_labels(model, {"word": odds(1, 2, 3, 1, 3), "sounds": odds(1, 3)})
    assert [label for label, _ in found["word"]] == ["b", "c", "a"]
    assert [p for _, p in found["word"]] == pytest.approx([0.5, 0.3, 0.1])
    assert dict(found["sounds"]) == pytest.approx({"y": 0.75, "x": 0.5})


def test_notices_name_a_low_probability_and_an_empty_band():
    model = Asked({"word": ["yes", "no"]})
    assert notices(model, FULL, {"word": odds(LOW_PROBABILITY, 1 - LOW_PROBABILITY - 1e-6)}) == []
    (low,) = notices(model, FULL, {"word": odds(44, 56)})
    assert low == "take: perhaps none of the 2 words that net knows; likeliest among them: no 0.560, yes 0.440, below 0.9"
    (band,) = notices(model, EMPTY, {"word": odds(99, 1)})
    assert band.startswith("take: no sound above 4 kHz (-80 dB of its power), though net takes 20000 Hz")
    model.sample_rate = 8000  # which holds nothing above 4 kHz
    assert notices(model, EMPTY, {}) == []


def test_the_limit_of_a_model_that_was_tested_is_its_own():
    model = Asked({"word": ["yes", "no", "so", "go"]}, doubt={"word": DoubtCard(0.6)})
    assert notices(model, FULL, {"word": odds(61, 30, 5, 4)}) == []
    model.folder = zoo_folder() / "net-of-four"
    assert notices(model, FULL, {"word": odds(59, 30, 6, 5)}) == [
        "take: probably none of the 4 words that net knows; likeliest among them: yes 0.590, no 0.300, so 0.060; 95 % of the "
        "clips that it labels correctly reach 0.600; `audiometamer models net-of-four` lists them"
    ]


def test_of_many_signals_those_whose_label_is_doubtful():
    model = Asked({"word": ["yes", "no"], "speaker": ["x", "y"]}, doubt={"word": DoubtCard(0.6)})
    logits = torch.cat([odds(7, 3), odds(1, 1), odds(3, 7)])
    assert doubtful(model, {"word": logits, "speaker": logits}) == {"word": [False, True, False]}


def test_the_word_that_a_table_states(tmp_path):
    """Outside the vocabulary, taken for another, recognised; and tables that state nothing."""
    model, table = Asked({"word": ["yes", "no"]}, doubt={"word": DoubtCard(0.9)}), tmp_path / "clips.csv"
    take = replace(FULL, source=ClipSource(str(tmp_path / "take.wav"), None, None, None))

    def said(content, *shares):
        table.write_text(content)
        os.utime(table, ns=(0, said.time))  # as if it was written later
        said.time += 10**9
        return notices(model, take, {"word": odds(*shares)})

    said.time = 0
    assert said("path,word\ntake.wav,meeting\n", 98, 2) == [
        "take: its word, meeting by the clips.csv beside it, is none of the 2 words that net knows; likeliest among them: "
        "yes 0.980, no 0.020"
    ]
    assert said("path,word\ntake.wav, yes\n", 40, 60) == [
        "take: net takes its word, yes by the clips.csv beside it, for another: no 0.600, yes 0.400"
    ]
    assert said("path,word\ntake.wav,yes\n", 60, 40) == []
    model.card.multi_label = ["word"]  # of several words, none is a mistake
    assert said("path,word\ntake.wav,yes;no\n", 95, 40) == []
    model.card.multi_label = []
    unsure = [said(content, 60, 40) for content in ("path,word\nother.wav,no\n", "path,speaker\ntake.wav,x\n", "a,b\n1,2\n")]
    assert all("probably none of the 2 words" in line for (line,) in unsure)
    model.labels = {"word": ["answer", "other"]}  # as --groups groups them; the card has the words
    model.card.labels = {"word": ["yes", "no"]}
    assert said("path,word\ntake.wav,yes\n", 60, 40) == []
    table.unlink()
    assert stated_labels(take) == stated_labels(FULL) == {}


@pytest.fixture
def vowel():
    return clip(0.1 * sines((120, 1.0), (240, 0.5), seconds=0.25, rate=4000), 4000)


def test_evidence_holds_the_probabilities_of_clip_and_metamer(vowel, tmp_path):
    model = tiny_models.sound_model()
    (made,) = am.synthesize(model, vowel, "final", steps=2)
    both = torch.stack([vowel.samples, made.samples])
    expected = model(both).softmax(1).amax(1).tolist()
    assert made.evidence.probabilities == {"word": pytest.approx(expected, rel=1e-5)}
    assert made.evidence.classes == {"word": 3}
    assert any("perhaps none" in notice for notice in made.evidence.clip_notices) == (expected[0] < 0.9)
    path = made.save(tmp_path)
    assert load_metamer(path).evidence.probabilities == made.evidence.probabilities
    (row,) = read_table(write_index(tmp_path))
    assert [float(row["probability_clip"]), float(row["probability_metamer"])] == pytest.approx(expected, abs=1e-4)


def test_what_a_model_hears_is_warned_of(vowel):
    with pytest.warns(am.AudioMetamerWarning, match=r"^take: perhaps none of the 3 words that tiny knows; .*, below 0\.9$"):
        warn_of_doubts(tiny_models.sound_model(), vowel)


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
