"""The zoo's cards tell the truth, and the shipped clips are what they are said to be."""

import csv
import hashlib
import warnings
from pathlib import Path

import msgspec
import pytest
import soundfile
import torch

import audiometamer as am
from audiometamer.io.tables import read_table
from audiometamer.models.cards import read_card
from audiometamer.models.shipped import zoo
from audiometamer.training.recipe import read_recipe
from audiometamer.training.synthetic_voices import WORDS

ROOT = Path(__file__).parents[1]
ZOO = ROOT / "models"
CLIPS = ROOT / "stimuli" / "words"
DIGITS = [name for name in zoo() if read_card(ZOO / name).labels.get("word") == list(WORDS)]  # those that know only these words


@pytest.fixture(scope="module")
def clips():
    with warnings.catch_warnings(action="ignore", category=am.AudioMetamerWarning), (CLIPS / "clips.csv").open() as file:
        return [(row["word"], am.read_clip(CLIPS / row["path"])) for row in csv.DictReader(file)]


def test_what_there_is():
    assert zoo() == [
        "cochcnn-digits", "cochcnn-speaker", "cochcnn-word", "cochcnn-word-random-step", "cochcnn-word-robust",
        "cochcnn-word-speaker", "cochresnet-word",
    ]  # fmt: skip
    assert am.load_model("cochcnn-word-speaker").layers[-2:] == ("final/word", "final/speaker")
    assert isinstance(am.load_model("cochresnet-word").network, am.networks.CochResNet50)


@pytest.mark.parametrize("name", zoo())
def test_the_card(name):
    folder = ZOO / name
    card, recipe = read_card(folder), read_recipe(folder / "recipe.toml")
    assert card.name == recipe.name == name
    assert hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest() == card.weights.sha256
    assert (folder / "weights.safetensors").stat().st_size <= 12e6
    for task, settings in recipe.tasks.items():
        assert settings.labels in (None, card.labels[task])
    assert (card.training["seed"], card.training["tested_on"]) == (recipe.seed, "test")
    assert card.training["hours"] > 0
    assert card.data
    assert card.limits
    for task, scores in card.accuracy.items():
        assert {"quiet", "low_passed_4_khz", "snr_10_db", "snr_0_db", "snr_-5_db"} <= set(scores)
        assert name not in DIGITS or scores["quiet"]["percent"] >= 97
        assert name not in DIGITS or task != "word" or scores["snr_0_db"]["percent"] >= 85
        for score in scores.values():
            low, high = score["interval_95"]
            assert low <= score["percent"] == round(100 * score["correct"] / score["clips"], 1) <= high
        assert (folder / f"confusion-{task}.png").is_file()
    for task, table in card.accuracy_by_class.items():
        rows = [row for row in read_table(folder / table) if not row["source"]]
        assert [row["label"] for row in rows] == card.labels[task]
        quiet = card.accuracy[task]["quiet"]
        assert [sum(int(row[name]) for row in rows) for name in ("clips", "correct")] == [quiet["clips"], quiet["correct"]]


@pytest.mark.parametrize("name", zoo())
def test_the_log_ends_with_the_last_epoch(name):
    with (ZOO / name / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(1, read_recipe(ZOO / name / "recipe.toml").epochs + 1))
    assert float(rows[-1]["seconds"]) / 3600 == pytest.approx(read_card(ZOO / name).training["hours"], abs=1e-3)


@pytest.mark.parametrize("name", zoo())
def test_the_null_distribution(name):
    null = am.NullDistribution.load(ZOO / name / "null.json")
    assert null.pairs >= 1_000_000
    assert tuple(null.layers) == am.load_model(name).layers
    for metrics in null.layers.values():
        assert set(metrics) == {"snr_db", "pearson_r2", "spearman_rho"}
        for metric in metrics.values():
            assert sorted(metric.quantiles.values()) == list(metric.quantiles.values())
            assert metric.maximum >= metric.quantiles["0.9999"]


@pytest.mark.parametrize("name", zoo())
def test_the_table_in_the_documentation_is_what_the_cards_say(name):
    card = read_card(ZOO / name)
    megabytes = (ZOO / name / card.weights.file).stat().st_size / 1e6
    for task, scores in card.accuracy.items():
        low, high = scores["quiet"]["interval_95"]
        cells = [name, task, f"{scores['quiet']['percent']} ({low}–{high})"]
        others = ("low_passed_4_khz", "snr_10_db", "snr_0_db", "snr_-5_db", "cochleagram_l2_0.5", "cochleagram_l2_1")
        cells += [str(scores[condition]["percent"]) if condition in scores else "" for condition in others]
        cells += [f"{megabytes:.1f}", f"{card.training['hours']:.2f}"]
        assert "| " + " | ".join(cells) + " |" in (ROOT / "docs" / "zoo.md").read_text()


def test_the_robust_network_withstands_what_undoes_the_ordinary_one():
    ordinary, robust, control = (
        read_card(ZOO / name).accuracy["word"] for name in ("cochcnn-digits", "cochcnn-word-robust", "cochcnn-word-random-step")
    )
    attack = "cochleagram_l2_1"
    assert ordinary[attack]["percent"] < 10
    assert control[attack]["percent"] < 10
    assert robust[attack]["percent"] >= robust["quiet"]["percent"] / 2
    assert robust["quiet"]["percent"] >= ordinary["quiet"]["percent"] - 10


def test_the_control_differs_from_the_robust_network_in_the_perturbation_only():
    robust, control = (read_recipe(ZOO / f"cochcnn-word-{name}" / "recipe.toml") for name in ("robust", "random-step"))
    same = dict.fromkeys(("name", "description", "adversary"))
    assert msgspec.structs.replace(robust, **same) == msgspec.structs.replace(control, **same)
    where = [(r.adversary.at, r.adversary.norm, r.adversary.radius, r.adversary.warm_up) for r in (robust, control)]
    assert where[0] == where[1]
    assert (robust.adversary.kind, control.adversary.kind) == ("gradient", "random_step")


def test_the_shipped_clips(clips):
    assert len(clips) == 32
    assert sorted({word for word, _ in clips}) == sorted(WORDS)
    for _, clip in clips:
        info = soundfile.info(CLIPS / f"{clip.name}.flac")
        assert (info.samplerate, info.frames, info.channels) == (20_000, 40_000, 1)


@pytest.mark.parametrize("name", DIGITS)
def test_the_models_hear_the_shipped_clips(name, clips):
    model = am.load_model(name)
    heard = model.logits(model(torch.stack([clip.samples for _, clip in clips])))["word"].argmax(1)
    right = sum(model.label("word", int(i)) == word for i, (word, _) in zip(heard, clips, strict=True))
    assert right >= 30


@pytest.mark.slow
def test_metamers_at_an_early_and_a_late_layer_pass(clips):
    model = am.load_model("cochcnn-digits")
    (clip,) = [clip for _, clip in clips if clip.name == "computer_slt"]
    for metamer in am.synthesize(model, clip, ["cochleagram", "final"]):
        assert metamer.passed is True
