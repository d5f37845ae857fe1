"""Which of a network's outputs count in a verdict."""

import hashlib
import json

import pytest
import soundfile
import tiny_models
import torch
from torch import nn

import audiometamer as am
from audiometamer.cli import main
from audiometamer.metamers.criteria import METRICS, MetricNull, NullDistribution, judge_sha256
from audiometamer.metamers.measuring import paired_labels
from audiometamer.models.adapters.joined import joined

EASY = {metric: MetricNull(-100.0 if metric == "snr_db" else -2.0, {}) for metric in METRICS}


def test_an_embedding_has_no_label_whatever_its_largest_value_is(tmp_path, monkeypatch, capsys):
    """A module of the user's own, by package.module:function: it returns (batch, values), as a network of classes does."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("tone.wav", tiny_models.make_clip("tone", 0).samples.numpy(), tiny_models.SAMPLE_RATE, subtype="FLOAT")
    NullDistribution(1, 2, "", {"conv": EASY}).save("null.json")
    command = ["synth", "tone.wav", "--model", "tiny_models:embedding_module", "--layers", "conv", "--null", "null.json"]
    assert main([*command, "--steps", "4", "--out", "made"]) == 0
    (record,) = (tmp_path / "made").glob("*/*/conv_seed0.json")
    assert json.loads(record.read_text())["verdict"] | {"beyond_null": 0, "margin": 0} == {
        "passed": True, "beyond_null": 0, "margin": 0, "labels": {},
    }  # fmt: skip
    model = am.load_model("tiny_models:embedding_module")
    answers = model(torch.stack([model.read_clip("tone.wav").samples, am.load_metamer(record.with_suffix(".wav")).samples]))
    assert answers.argmax(1).unique().numel() == 2  # the verdict would have failed by it


class WithEmbedding(nn.Module):
    """Logits of three classes, and an embedding beside them."""

    def __init__(self):
        super().__init__()
        self.read_out = nn.Linear(6, 3)

    def forward(self, x):
        return {"word": self.read_out(x), "embedding": 2 * x}


def test_of_several_outputs_those_with_labels_count():
    network = tiny_models.seeded(WithEmbedding())
    model = am.Model(network, signal_shape=(6,), labels={"word": list("abc")}, name="two")
    logits = {"word": torch.eye(3)[[1, 1]], "embedding": torch.eye(6)[[0, 5]]}
    assert paired_labels(model, logits, ["read_out"]) == {"word": ("b", "b")}


def test_of_joined_models_those_with_labels_count():
    both = joined({"tiny": tiny_models.sound_model(), "nameless": tiny_models.nameless_model()})
    assert both.named_labels() == {"tiny.word": list(tiny_models.WORDS)}
    logits = {"tiny.word": torch.eye(3)[[2, 0]], "nameless.word": torch.eye(3)[[0, 1]]}
    assert paired_labels(both, logits, ["tiny.relu1", "nameless.relu1"]) == {"tiny.word": ("perhaps", "yes")}
    assert paired_labels(both, logits, ["nameless.relu1"]) == {}


def test_verdicts_by_answers_without_labels_are_out_of_date():
    """What they were based on was hashed with an empty mapping for the labels that there are none of."""
    model = tiny_models.nameless_model()
    assert judge_sha256(model, None) != hashlib.sha256(b"[null,{}]").hexdigest()
    assert judge_sha256(model, None) == hashlib.sha256(b"[null,null]").hexdigest()


@pytest.mark.parametrize("passed", [True, False])
def test_of_a_network_with_labels_the_answer_still_decides(passed):
    model = tiny_models.sound_model()
    logits = {"word": torch.eye(3)[[0, 0 if passed else 1]]}
    assert (len(set(paired_labels(model, logits, ["relu1"])["word"])) == 1) is passed
