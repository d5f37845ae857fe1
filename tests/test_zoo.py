"""The zoo's cards tell the truth, and the shipped clips are what they are said to be."""

import csv
import hashlib
import warnings
from pathlib import Path

import pytest
import soundfile
import torch

import audiometamer as am
from audiometamer.models import read_card
from audiometamer.training.recipe import read_recipe
from audiometamer.training.synthetic_voices import WORDS

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "models" / "cochcnn-word"
CLIPS = ROOT / "stimuli" / "words"


@pytest.fixture(scope="module")
def model():
    return am.load_model("cochcnn-word")


@pytest.fixture(scope="module")
def clips():
    with warnings.catch_warnings(action="ignore", category=am.AudioMetamerWarning), (CLIPS / "clips.csv").open() as file:
        return [(row["word"], am.read_clip(CLIPS / row["path"])) for row in csv.DictReader(file)]


def test_the_card(model):
    card, recipe = read_card(FOLDER), read_recipe(FOLDER / "recipe.toml")
    assert card.labels["word"] == recipe.words == list(WORDS)
    assert hashlib.sha256((FOLDER / "weights.safetensors").read_bytes()).hexdigest() == card.weights.sha256
    assert (FOLDER / "weights.safetensors").stat().st_size <= 5e6
    assert card.accuracy["quiet"]["percent"] >= 95
    assert set(card.accuracy) == {"quiet", "low_passed_4_khz", "snr_10_db", "snr_0_db", "snr_-5_db"}
    assert card.training["seed"] == recipe.seed
    assert card.data
    assert card.limits
    assert isinstance(model.network, am.networks.CochCNN9)


def test_the_null_distribution(model):
    null = am.NullDistribution.load(FOLDER / "null.json")
    assert null.pairs >= 100_000
    assert tuple(null.layers) == model.layers
    for metrics in null.layers.values():
        assert set(metrics) == {"snr_db", "pearson_r2", "spearman_rho"}
        for metric in metrics.values():
            assert sorted(metric.quantiles.values()) == list(metric.quantiles.values())
            assert metric.maximum >= metric.quantiles["0.9999"]


def test_the_shipped_clips(clips):
    assert len(clips) == 32
    assert sorted({word for word, _ in clips}) == sorted(WORDS)
    for _, clip in clips:
        info = soundfile.info(CLIPS / f"{clip.name}.flac")
        assert (info.samplerate, info.frames, info.channels) == (20_000, 40_000, 1)


def test_the_model_hears_the_shipped_clips(model, clips):
    heard = model(torch.stack([clip.samples for _, clip in clips])).argmax(1)
    right = sum(model.label("word", int(i)) == word for i, (word, _) in zip(heard, clips, strict=True))
    assert right >= 31


def test_metamers_at_an_early_and_a_late_layer_pass(model, clips):
    (clip,) = [clip for _, clip in clips if clip.name == "computer_slt"]
    for metamer in am.synthesize(model, clip, ["cochleagram", "final"]):
        assert metamer.passed is True
