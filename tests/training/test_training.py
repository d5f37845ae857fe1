"""Training: the same choices again, resuming to the same weights, and a folder that loads."""

import csv
import shutil

import numpy as np
import pytest
import soundfile
import torch

import audiometamer as am
from audiometamer.training.data import Backgrounds, excerpt, mix, word_in_the_middle, word_span
from audiometamer.training.recipe import read_recipe
from audiometamer.training.synthetic_voices import WORDS, shipped_utterances, training_utterances
from audiometamer.training.train import Corpus, train

RECIPE = """
name = "tones"
words = ["low", "high"]
epochs = 2
batch_size = 4
null_pairs = 10
[network]
name = "CochCNN9"
options = { width = 0.02 }
[front_end]
preset = "feather2023"
[training_front_end]
oversampling = 3.0
[data]
tones = "made here"
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Tones that are words: low ones and high ones, and noise as background."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(16):
        word = ("low", "high")[i % 2]
        t = np.arange(6000) / 8000
        tone = np.sin(2 * np.pi * (300, 2000)[i % 2] * rng.uniform(0.8, 1.2) * t) * np.hanning(6000)
        soundfile.write(folder / f"{i}.flac", 0.3 * tone, 8000)
        rows.append([f"{i}.flac", word, "test" if i >= 12 else "train"])
    for i in range(5):
        soundfile.write(folder / f"background{i}.flac", 0.1 * rng.standard_normal(50_000), 20_000)
        rows.append([f"background{i}.flac", "", "background"])
    with (folder / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "word", "split"], *rows])
    return folder


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


def quiet(_):
    pass


def test_a_recipe_becomes_a_model_folder(data, recipe, tmp_path):
    out = train(recipe, [data], tmp_path / "model", log=quiet)
    assert sorted(p.name for p in out.iterdir()) == ["log.csv", "model.toml", "null.json", "recipe.toml", "weights.safetensors"]
    model = am.load_model(out)
    assert model.card.accuracy["quiet"]["clips"] == 4
    assert model.card.training["epochs"] == 2
    assert am.NullDistribution.load(out / "null.json").pairs >= 10
    assert len((out / "log.csv").read_text().splitlines()) == 3
    with pytest.raises(am.AudioMetamerError, match="holds a trained model already"):
        train(recipe, [data], out, log=quiet)


def test_an_interrupted_run_resumes_to_the_same_weights(data, recipe, tmp_path):
    unbroken = train(recipe, [data], tmp_path / "unbroken", log=quiet)

    def stop_after_one_epoch(line):
        if line.startswith("epoch 1"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, [data], tmp_path / "broken", log=stop_after_one_epoch)
    lines = []
    resumed = train(recipe, [data], tmp_path / "broken", log=lines.append)
    assert "going on after epoch 1" in lines
    for name in ("weights.safetensors", "null.json"):
        assert (resumed / name).read_bytes() == (unbroken / name).read_bytes()


def test_every_excerpt_can_be_made_again(data, recipe):
    corpus = Corpus(read_recipe(recipe), [data])
    once, again, other = corpus.excerpt(3, 5), corpus.excerpt(3, 5), corpus.excerpt(4, 5)
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other)
    assert once.shape == (40_000,)
    assert np.sqrt(np.mean(once**2)) == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 2", 'epochs = "two"', "is not a recipe: Expected `int`"),
        ("epochs = 2", "epoch = 2", "is not a recipe: .*unknown field"),
        ('"high"', '"middle"', "no clip of split 'train' has the word middle"),
        ('name = "CochCNN9"', 'name = "Net"', "no network 'Net'"),
    ],
)
def test_bad_recipes(data, recipe, tmp_path, old, new, message):
    recipe.write_text(recipe.read_text().replace(old, new))
    with pytest.raises(am.AudioMetamerError, match=message):
        train(recipe, [data], tmp_path / "model", log=quiet)


def test_bad_data(recipe, tmp_path):
    with pytest.raises(am.AudioMetamerError, match=r"clips.csv does not exist"):
        train(recipe, [tmp_path], tmp_path / "model", log=quiet)
    (tmp_path / "clips.csv").write_text("path,split\na.wav,train\n")
    with pytest.raises(am.AudioMetamerError, match="has no column word"):
        train(recipe, [tmp_path], tmp_path / "model", log=quiet)
    (tmp_path / "clips.csv").write_text("path,word,split\na.wav,low,train\n")
    with pytest.raises(am.AudioMetamerError, match=r"a.wav cannot be read as audio"):
        train(recipe, [tmp_path], tmp_path / "model", log=quiet)


def test_the_word_is_found_and_put_in_the_middle():
    sound = np.zeros(100_000, dtype=np.float32)
    sound[60_000:70_000] = 0.5
    assert word_span(sound, 20_000) == (60_000, 70_000)
    middle = word_in_the_middle(sound, 40_000, 20_000)
    assert np.flatnonzero(middle)[[0, -1]].tolist() == [15_000, 24_999]


def test_excerpts_reach_past_both_ends():
    sound = np.arange(1, 6, dtype=np.float32)
    assert excerpt(sound, 4, center=0).tolist() == [0, 0, 1, 2]
    assert excerpt(sound, 4, center=5).tolist() == [4, 5, 0, 0]
    assert excerpt(sound, 4, center=50).tolist() == [0, 0, 0, 0]


def test_mixing_sets_the_ratio():
    rng = np.random.default_rng(0)
    speech, background = (rng.standard_normal(10_000).astype(np.float32) for _ in range(2))
    added = mix(speech, background, -5.0) - speech
    assert 10 * np.log10(np.mean(speech**2) / np.mean(added**2)) == pytest.approx(-5, abs=1e-3)
    np.testing.assert_array_equal(mix(speech, np.zeros_like(speech), 0), speech)


def test_backgrounds_of_every_kind_have_sound():
    rng = np.random.default_rng(0)
    backgrounds = Backgrounds([rng.standard_normal(3000).astype(np.float32)], [np.ones(500, dtype=np.float32)])
    for seed in range(20):
        drawn = backgrounds.draw(np.random.default_rng(seed), 1000)
        assert drawn.shape == (1000,)
        assert drawn.any()


def test_synthetic_voices(tmp_path):
    """The real programs speak; the shipped clips' settings are none of the training clips'."""
    assert shutil.which("flite")
    assert shutil.which("espeak-ng")
    training = list(training_utterances())
    assert len(training) == 16 * (24 + 84)
    shipped = list(shipped_utterances())
    assert [u.word for u in shipped[::2]] == list(WORDS)
    assert not {u.options for u in shipped} & {u.options for u in training}
    for utterance in (shipped[0], training[0], training[30]):
        utterance.speak(tmp_path / "spoken.wav")
        samples, _ = soundfile.read(tmp_path / "spoken.wav")
        assert np.abs(samples).max() > 0.05


def test_the_same_order_of_clips_with_and_without_threads(data, recipe):
    corpus = Corpus(read_recipe(recipe), [data])
    first, second = (list(corpus.batches(0)) for _ in range(2))
    for (a, x), (b, y) in zip(first, second, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(x, y)
