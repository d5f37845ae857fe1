"""Training: the same choices again, resuming to the same weights, and a folder that loads."""

import csv
import hashlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from copy import deepcopy
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from tiny_training import RECIPE

import audiometamer as am
from audiometamer.io.locks import exclusive_folder
from audiometamer.models.cards import read_card, write_card
from audiometamer.training import finishing, synthetic_voices
from audiometamer.training.corpus import ClassificationTask, Corpus, corpus_identity
from audiometamer.training.recipe import OptimizerRecipe, read_recipe, stated
from audiometamer.training.recipe_files import find_recipe, shipped_recipes
from audiometamer.training.recordings import AudioFile
from audiometamer.training.retesting import retest
from audiometamer.training.run import TrainingRun
from audiometamer.training.synthetic_voices import WORDS, shipped_utterances, training_utterances
from audiometamer.training.train import train


def log_of(folder):
    """The rows of its log, but for the times."""
    with (folder / "log.csv").open() as file:
        return [{key: float(value) for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def test_a_recipe_becomes_a_model_folder(unbroken):
    assert {p.name for p in unbroken.iterdir()} == {
        ".lock", "confusion-speaker.png", "confusion-word.png", "events", "learning_curve.png", "log.csv", "model.toml",
        "null.json", "recipe.toml", "weights.safetensors",
    }  # fmt: skip
    model = am.load_model(unbroken)
    card = model.card
    assert card.labels == {"word": ["low", "high"], "speaker": ["rough", "smooth"], "sounds": ["hiss", "rain"]}
    assert card.multi_label == ["sounds"]
    assert card.accuracy["word"]["quiet"]["clips"] == 4
    assert card.accuracy["speaker"]["quiet"]["clips"] == 3
    assert set(card.accuracy["word"]) == {"quiet", "low_passed_4_khz", "snr_10_db", "snr_0_db", "snr_-5_db"}
    assert set(card.accuracy["sounds"]) == {"snr_10_db", "snr_0_db", "snr_-5_db"}  # in quiet there is no sound to name
    by_group = card.accuracy_by_group["word"]  # of test clips 16 to 19, every other one from here, all but 16 old
    found = {(column, value): score["clips"] for column, values in by_group.items() for value, score in values.items()}
    assert found == {("source", "here"): 2, ("source", "there"): 2, ("age", "old"): 3}
    assert sum(score["correct"] for score in by_group["source"].values()) == card.accuracy["word"]["quiet"]["correct"]
    assert card.accuracy_by_class == {}  # of two classes, the confusion matrix says it
    assert set(card.doubt) == {task for task in ("word", "speaker") if card.accuracy[task]["quiet"]["correct"]}
    assert all(0.5 < doubt.below < 1 and not doubt.others for doubt in card.doubt.values())
    assert (card.training["epochs"], card.training["clips"], card.training["tested_on"]) == (2, 13, "test")
    assert am.NullDistribution.load(unbroken / "null.json").pairs >= 10
    (first, second) = log_of(unbroken)
    assert set(first) == {
        "epoch", "loss", "word_loss", "word_accuracy", "speaker_loss", "speaker_accuracy", "sounds_loss", "valid_word_accuracy",
        "valid_speaker_accuracy", "learning_rate",
    }  # fmt: skip
    parts = first["word_loss"] + 0.5 * first["speaker_loss"] + 10 * first["sounds_loss"]
    assert first["loss"] == pytest.approx(parts, rel=1e-4)
    assert second["loss"] != first["loss"]
    assert any((unbroken / "events").iterdir())


def test_ctrl_c_in_mid_epoch_resumes_to_the_same_losses_and_weights(unbroken, data, recipe, tmp_path):
    """Also with a process that makes the batches meanwhile."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    calls = []

    def press_ctrl_c(done, message):
        calls.extend([message] if message.startswith("epoch") else [])
        if len(calls) == 4:  # the first step of the second epoch
            signal.raise_signal(signal.SIGINT)

    try:
        with pytest.raises(KeyboardInterrupt):
            train(recipe, [str(data)], tmp_path / "broken", workers=1, progress=press_ctrl_c)
    finally:
        signal.signal(signal.SIGINT, before)
    state = torch.load(tmp_path / "broken" / "checkpoint.pt", weights_only=True)["state"]
    assert (state["epoch"], state["step"]) == (1, 1)
    assert not (tmp_path / "broken" / "model.toml").exists()
    resumed = train(recipe, [str(data)], tmp_path / "broken", workers=1)
    assert log_of(resumed) == log_of(unbroken)
    for name in ("weights.safetensors", "null.json"):
        assert (resumed / name).read_bytes() == (unbroken / name).read_bytes()


def test_a_killed_run_resumes_to_the_same_losses_and_weights(unbroken, data, recipe, tmp_path):
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "audiometamer", "train", recipe, "--data", data, "--out", out, "--device", "cpu"]
    process = subprocess.Popen([*map(str, command)], stderr=subprocess.DEVNULL)
    while not (out / "log.csv").exists() and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (out / "model.toml").exists()
    assert torch.load(out / "checkpoint.pt", weights_only=True)["state"]["epoch"] == 1
    resumed = train(recipe, [str(data)], out, workers=0)
    assert log_of(resumed) == log_of(unbroken)
    assert (resumed / "weights.safetensors").read_bytes() == (unbroken / "weights.safetensors").read_bytes()


def torchrun(script, *arguments):
    """The finished command, run by two processes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2, *script]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [str(word) for word in (*launcher, *arguments, "--workers", 0, "--device", "cpu")], env=environment, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_two_processes_train_as_one(data, tmp_path):
    """Of two sounds each, against one of four; a network without dropout, an optimiser that does not enlarge rounding."""
    recipe = tmp_path / "recipe.toml"
    network = RECIPE.replace("CochCNN9", "CochResNet50").replace("width = 0.02", "width = 0.05, blocks = [1, 1, 1, 1]")
    recipe.write_text(network + '[optimizer]\nname = "SGD"\nlearning_rate = 0.002\n')
    one = train(recipe, [str(data)], tmp_path / "one", workers=0)
    done = torchrun(("-m", "audiometamer"), "train", recipe, "--data", data, "--out", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained:") == 1
    assert "Warning" not in done.stderr
    for a, b, rounding in zip(log_of(one), log_of(tmp_path / "two"), (3e-4, 1e-2), strict=True):
        one_sound = 1.01 / 12  # which rounding may move across a border of two words
        assert b == {
            key: pytest.approx(value, rel=rounding, abs=one_sound if key.endswith("accuracy") else None)
            for key, value in a.items()
        }
    assert (tmp_path / "two" / "model.toml").exists()


@pytest.mark.slow
def test_a_process_that_fails_ends_the_other(data, tmp_path, recipe):
    """One meets a clip that cannot be read, while the other waits for it to take its step."""
    corrupt = changed(data, tmp_path / "a", lambda text: text)
    (tmp_path / "a" / "3.flac").write_bytes((tmp_path / "a" / "3.flac").read_bytes()[:-200])
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from audiometamer.cli import main\n"
        "from audiometamer.training.corpus import Corpus\n"
        'Corpus.__init__.__kwdefaults__["memory"] = 0\n'
        "sys.exit(main())\n"
    )
    done = torchrun((script,), "train", recipe, "--data", corrupt, "--out", tmp_path / "model")
    assert done.returncode != 0
    assert done.stderr.count("audiometamer: error: ") == 1
    assert "3.flac cannot be read as audio" in done.stderr


def test_two_processes_are_told_what_is_wrong_with_a_recipe(data, recipe, tmp_path):
    recipe.write_text(RECIPE.replace("batch_size = 4", "batch_size = 3"))
    done = torchrun(("-m", "audiometamer"), "train", recipe, "--data", data, "--out", tmp_path / "model")
    assert done.returncode != 0
    assert "audiometamer: error: batch_size is 3; 2 processes cannot share it equally" in done.stderr


def test_nothing_is_overwritten(unbroken, data, recipe, tmp_path):
    with pytest.raises(am.AudioMetamerError, match="already holds a trained model"):
        train(recipe, [str(data)], unbroken)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("precious")
    with pytest.raises(am.AudioMetamerError, match=r"holds other files \(thesis.tex\)"):
        train(recipe, [str(data)], tmp_path / "other")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 2", 'epochs = "two"', "is not a recipe: Expected `int`"),
        ("epochs = 2", "epoch = 2", "is not a recipe: .*unknown field"),
        ("epochs = 2", "epochs = 0", "is not a recipe: Expected `int` >= 1 - at `.*epochs`"),
        ("batch_size = 4", "batch_size = 400", "batch_size is 400, but there are 13 recordings in all"),
        ("epochs = 2", "epochs = 2\nexcerpts = 3", "batch_size is 4, but there are 3 excerpts in an epoch"),
        (
            "[data]",
            "[sources.here]\nsynthetic = true\n[sources.there]\nsynthetic = true\n[data]",
            "0 of 13 training recordings are",
        ),
        ("[data]", "[sources.here]\nweight = 0\n[sources.there]\nweight = 0\n[data]", r"0 classes .*, without what \[sources\]"),
        ('"high"]', '"high", "middle"]', "no recording of split 'train' has the word middle"),
        ("[tasks.speaker]", "[tasks.singer]", "task singer has 0 classes in split 'train'; the data have labels of task "),
        ('balanced = "speaker"', 'balanced = "sounds"', "balanced is 'sounds'; it must be one of the tasks with one label"),
        ('name = "CochCNN9"', 'name = "Net"', "no network 'Net'"),
        ("epochs = 2", "epochs = 2\nseed = -1", "Expected `int` >= 0"),
        ("quiet = 0.2", "quiet = 1.2", "Expected `float` <= 1.0"),
        ("speed = 1.1", "speed = 0.0", "Expected `float` >= 1.0"),
        ("[tasks.speaker]", "[tasks.type]", "a task cannot be called 'type'"),
        ('labels = ["low", "high"]', 'labels = ["low", "high", "low"]', "task word lists a label twice"),
        (
            "batch_size = 4",
            "batch_size = 4\nsample_rate = 16000",
            "the front end takes 20000 Hz and the model 16000; set sample_rate",
        ),
        ("[data]", "[background]\nn_voices = [6, 1]\n[data]", r"n_voices is \(6, 1\); it must be the minimum"),
        ("[data]", "[background]\nkinds = { rain = 1.0 }\n[data]", "no kind of background rain; there are babble, "),
        ("[data]", '[optimizer]\nname = "Adam"\n[data]', "is not a recipe: Invalid enum value 'Adam'"),
    ],
)
def test_bad_recipes(data, recipe, tmp_path, old, new, message):
    assert old in recipe.read_text()
    recipe.write_text(recipe.read_text().replace(old, new))
    with pytest.raises(am.AudioMetamerError, match=message):
        train(recipe, [str(data)], tmp_path / "model", workers=0)


def changed(data, folder, change):
    """A copy of the data with another clips.csv."""
    shutil.copytree(data, folder)
    table = folder / "clips.csv"
    table.write_text(change(table.read_text()))
    return str(folder)


def test_empty_splits(data, recipe, tmp_path):
    no_training = changed(data, tmp_path / "a", lambda text: text.replace("train", "test"))
    with pytest.raises(am.AudioMetamerError, match="task speaker has 0 classes in split 'train'"):
        train(recipe, [no_training], tmp_path / "model", workers=0)
    no_test = changed(data, tmp_path / "b", lambda text: text.replace("test", "train").replace("valid", "train"))
    with pytest.raises(
        am.AudioMetamerError, match="no recording of split 'test' or 'valid' has a label of task word, speaker, sounds"
    ):
        train(recipe, [no_test], tmp_path / "model", workers=0)


def test_a_corrupt_clip_is_named_when_it_is_read(data, recipe, tmp_path, monkeypatch):
    """In memory from the start, or read in another process when its turn comes."""
    corrupt = changed(data, tmp_path / "a", lambda text: text)
    (tmp_path / "a" / "3.flac").write_bytes((tmp_path / "a" / "3.flac").read_bytes()[:-200])
    with pytest.raises(am.AudioMetamerError, match=r"3\.flac"):
        train(recipe, [corrupt], tmp_path / "model", workers=0)
    monkeypatch.setitem(Corpus.__init__.__kwdefaults__, "memory", 0.0)
    with pytest.raises(am.AudioMetamerError, match=r"3\.flac") as reported:
        train(recipe, [corrupt], tmp_path / "model", workers=1)
    assert "\n" not in str(reported.value)


def test_half_a_wav_is_named_when_it_is_read(data, recipe, tmp_path):
    """libsndfile would read the half that is there without a word."""
    broken = changed(data, tmp_path / "a", lambda text: text.replace("\n3.flac", "\n3.wav"))
    path = tmp_path / "a" / "3.wav"
    soundfile.write(path, np.sin(np.arange(5000)), 8000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(am.AudioMetamerError, match=r"3\.wav is truncated: its header announces more samples") as reported:
        train(recipe, [broken], tmp_path / "model", workers=0)
    assert "\n" not in str(reported.value)


def test_nan_in_a_clip_is_named(data, recipe, tmp_path):
    broken = changed(data, tmp_path / "a", lambda text: text.replace("\n3.flac", "\n3.wav"))
    soundfile.write(tmp_path / "a" / "3.wav", np.full(5000, np.nan), 8000, subtype="FLOAT")
    with pytest.raises(am.AudioMetamerError, match=r"3\.wav holds 5000 NaN or infinite samples"):
        train(recipe, [broken], tmp_path / "model", workers=0)


def test_a_loss_that_is_not_finite_stops_the_run(data, recipe, tmp_path):
    recipe.write_text(recipe.read_text().replace("[data]", '[optimizer]\nname = "SGD"\nlearning_rate = 1e15\n[data]'))
    with pytest.raises(
        am.AudioMetamerError, match=r"the loss is not finite in epoch 1, step \d; lower learning_rate \(now 1e\+15\)"
    ):
        train(recipe, [str(data)], tmp_path / "model", workers=0)
    assert not (tmp_path / "model" / "checkpoint.pt").exists()


def test_a_checkpoint_goes_on_only_as_it_began(data, recipe, tmp_path):
    def stop(done, message):
        if message.startswith("epoch"):
            raise RuntimeError("stopped")

    def press_ctrl_c(done, message):
        if message.startswith("epoch"):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(RuntimeError, match="stopped"):  # after the first step
        train(recipe, [str(data)], tmp_path / "model", workers=0, progress=stop)
    assert not (tmp_path / "model" / "checkpoint.pt").exists()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(recipe, [str(data)], tmp_path / "model", workers=0, progress=press_ctrl_c)
    finally:
        signal.signal(signal.SIGINT, before)
    more = changed(data, tmp_path / "more", lambda text: text.replace("16.flac,low,rough,,test", "16.flac,low,rough,,train"))
    with pytest.raises(am.AudioMetamerError, match="holds a run on other recordings or labels; name another folder"):
        train(recipe, [more], tmp_path / "model", workers=0)
    recipe.write_text(RECIPE.replace("epochs = 2", "epochs = 3"))
    with pytest.raises(am.AudioMetamerError, match="holds a run of another recipe"):
        train(recipe, [str(data)], tmp_path / "model", workers=0)


def test_the_learning_rate_of_the_published_recipes():
    """÷10 every 50 epochs (Feather et al. 2023)."""
    assert shipped_recipes() == ["feather2023-cochcnn9", "feather2023-cochresnet50"]
    for name, first, batch_size in (("feather2023-cochcnn9", 0.01, 128), ("feather2023-cochresnet50", 0.1, 256)):
        recipe = read_recipe(find_recipe(name))
        assert (recipe.epochs, recipe.batch_size, recipe.optimizer.name) == (150, batch_size, "SGD")
        assert (recipe.optimizer.momentum, recipe.optimizer.weight_decay) == (0.9, 1e-4)
        assert (recipe.augmentation.snr, recipe.augmentation.centered, recipe.augmentation.quiet) == ((-10, 10), 1, 0)
        rates = [recipe.optimizer.rate(7 * epoch, per_epoch=7, epochs=150) for epoch in (0, 49, 50, 99, 100, 149)]
        assert rates == pytest.approx([first, first, first / 10, first / 10, first / 100, first / 100])


def test_the_cosine_schedule():
    recipe = msgspec.convert({"learning_rate": 2.0, "warm_up": 0.5}, OptimizerRecipe)
    rates = [recipe.rate(step, per_epoch=4, epochs=2) for step in range(8)]
    assert rates == pytest.approx([0.5, 1, 1.5, 2, 2, 1 + 0.5**0.5, 1, 1 - 0.5**0.5])
    first = msgspec.structs.replace(recipe, span=2)
    assert [first.rate(step, per_epoch=4, epochs=1) for step in range(4)] == rates[:4]


@pytest.mark.programs
def test_synthetic_voices(tmp_path):
    """The real programs speak; the shipped clips' settings are none of the training clips'."""
    assert shutil.which("flite")
    assert shutil.which("espeak-ng")
    training = list(training_utterances())
    assert len(training) == 16 * (24 + 84)
    chosen = list(training_utterances(words=["sea", "shore"], each=5))
    assert [u.word for u in chosen] == ["sea"] * 5 + ["shore"] * 5
    assert len({u.name for u in chosen}) == 10
    assert chosen == list(training_utterances(words=["sea", "shore"], each=5))
    shipped = list(shipped_utterances())
    assert [u.word for u in shipped[::2]] == list(WORDS)
    assert not {u.options for u in shipped} & {u.options for u in training}
    for utterance in (shipped[0], training[0], training[30]):
        utterance.speak(tmp_path / "spoken.wav")
        samples, _ = soundfile.read(tmp_path / "spoken.wav")
        assert np.abs(samples).max() > 0.05


@pytest.mark.programs
@pytest.mark.parametrize(
    ("words", "reported"), [("\n \n", "holds no words"), ("sea\n../shore\n", "holds '../shore'"), ("-h\n", "holds '-h'")]
)
def test_words_that_cannot_be_spoken(tmp_path, words, reported):
    (tmp_path / "words.txt").write_text(words)
    result = CliRunner().invoke(synthetic_voices.main, [str(tmp_path / "voices"), "--words", str(tmp_path / "words.txt")])
    assert result.exit_code == 2
    assert reported in result.output
    assert not (tmp_path / "voices").exists()


@pytest.mark.programs
def test_synthetic_voices_resume(tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("sea\nshore\n")
    command = [str(tmp_path / "voices"), "--words", str(words), "--each", "3"]
    made = []
    for _ in range(2):
        result = CliRunner().invoke(synthetic_voices.main, command)
        assert result.exit_code == 0, result.output
        made.append({path: path.stat().st_mtime_ns for path in (tmp_path / "voices").rglob("*.flac")})
        missing = min(made[0])
        missing.unlink()
    assert len(made[0]) == 6
    assert {path for path in made[0] if made[1][path] != made[0][path]} == {missing}
    with (tmp_path / "voices" / "clips.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["word"] for row in rows] == ["sea"] * 3 + ["shore"] * 3
    assert {row["source"] for row in rows} <= {"flite", "espeak-ng"}


def test_a_schedulers_signal_leaves_a_checkpoint(data, recipe, tmp_path):
    """SIGTERM to all processes, also to the one that makes the batches; nothing is left waiting."""

    def time_is_up(done, message):
        if message.startswith("epoch"):
            for process in (*multiprocessing.active_children(), multiprocessing.process.current_process()):
                os.kill(process.pid, signal.SIGTERM)
            time.sleep(0.5)  # until a worker that ends at once is missed

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, [str(data)], tmp_path / "model", workers=1, progress=time_is_up)
    assert signal.getsignal(signal.SIGTERM) is before
    assert torch.load(tmp_path / "model" / "checkpoint.pt", weights_only=True)["state"]["step"] == 1
    assert not multiprocessing.active_children()


def stopped_run(data, recipe, out):
    """A run that was interrupted after its first step."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def press_ctrl_c(done, message):
        if message.startswith("epoch"):
            signal.raise_signal(signal.SIGINT)

    try:
        with pytest.raises(KeyboardInterrupt):
            train(recipe, [str(data)], out, workers=0, progress=press_ctrl_c)
    finally:
        signal.signal(signal.SIGINT, before)
    return out / "checkpoint.pt"


def test_what_a_recipe_says_of_the_result_may_change(data, recipe, tmp_path):
    stopped_run(data, recipe, tmp_path / "model")
    recipe.write_text('description = "Better words."\ntest_snrs = [3.0]\n' + RECIPE.replace('name = "tones"', 'name = "sounds"'))
    checkpoint = stopped_run(data, recipe, tmp_path / "model")
    assert torch.load(checkpoint, weights_only=True)["state"]["step"] == 2


def test_other_labels_are_another_run(data, recipe, tmp_path):
    stopped_run(data, recipe, tmp_path / "model")
    swapped = changed(data, tmp_path / "swapped", lambda text: text.replace(",smooth,", ",velvet,"))
    with pytest.raises(am.AudioMetamerError, match="holds a run on other recordings or labels"):
        train(recipe, [swapped], tmp_path / "model", workers=0)


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04"])
def test_of_a_damaged_checkpoint_the_one_before_is_taken(data, recipe, tmp_path, content):
    out = tmp_path / "model"
    checkpoint = stopped_run(data, recipe, out)
    checkpoint.write_bytes(content)
    with pytest.warns(am.AudioMetamerWarning, match=r"checkpoint\.pt is not a checkpoint of a training run .*; training resumes"):
        stopped_run(data, recipe, out)  # from the beginning
    assert torch.load(checkpoint, weights_only=True)["state"]["step"] == 1
    assert [path.read_bytes() for path in out.glob("*.broken")] == ([content] if content else [])
    stopped_run(data, recipe, out)
    assert torch.load(checkpoint, weights_only=True)["state"]["step"] == 2
    checkpoint.write_bytes(content)
    with pytest.warns(am.AudioMetamerWarning, match=r"checkpoint\.pt is not a checkpoint"):
        stopped_run(data, recipe, out)  # from the first step's
    assert torch.load(checkpoint, weights_only=True)["state"]["step"] == 2
    assert torch.load(out / "checkpoint-previous.pt", weights_only=True)["state"]["step"] == 1


def test_a_run_whose_first_checkpoint_was_lost_begins_anew(data, recipe, tmp_path):
    out = tmp_path / "model"
    stopped_run(data, recipe, out).unlink()
    (out / "recipe.toml").write_bytes(b"")
    (out / "model.toml").write_bytes(bytes(10))
    with pytest.raises(am.AudioMetamerError, match=r"holds other files \(model.toml\) and no checkpoint"):
        stopped_run(data, recipe, out)
    (out / "model.toml").unlink()
    assert stopped_run(data, recipe, out).exists()
    assert (out / "recipe.toml").read_bytes() == recipe.read_bytes()


def test_a_recording_in_two_splits_is_refused(data, recipe, tmp_path):
    leaking = changed(data, tmp_path / "leaking", lambda text: text + "0.flac,low,smooth,,test\n")
    with pytest.raises(am.AudioMetamerError, match=r"0\.flac is in split train and in split test; it must be in one"):
        train(recipe, [leaking], tmp_path / "model", workers=0)


def test_two_labels_of_a_task_that_takes_one_are_refused(data, recipe, tmp_path):
    doubled = changed(data, tmp_path / "doubled", lambda text: text.replace("\n0.flac,low,", "\n0.flac,low;high,"))
    with pytest.raises(am.AudioMetamerError, match=r"0\.flac has several labels of task word \(low, high\), which takes one"):
        train(recipe, [doubled], tmp_path / "model", workers=0)


def test_one_run_in_a_folder(data, recipe, tmp_path):
    with exclusive_folder(tmp_path / "model"), pytest.raises(am.AudioMetamerError, match="another run is writing into"):
        train(recipe, [str(data)], tmp_path / "model", workers=0)


def test_an_impossible_folder_is_reported_before_anything_is_done(data, recipe, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(am.AudioMetamerError, match="could not write into"):
        train(recipe, [str(data)], tmp_path / "file" / "model", workers=0, progress=lambda *_: pytest.fail("too late"))


def test_weights_that_are_not_finite_are_never_saved(data, recipe, tmp_path):
    """The last step of an epoch spoils them when its loss has been looked at already."""

    def spoil(self, batch):
        step(self, batch)
        if self.state.step == 2:
            with torch.no_grad():
                next(self.model.network.parameters()).fill_(float("nan"))

    step = TrainingRun._step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingRun, "_step", spoil)
        with pytest.raises(am.AudioMetamerError, match="the weights are not finite after epoch 1"):
            train(recipe, [str(data)], tmp_path / "model", workers=0)
    assert not (tmp_path / "model" / "checkpoint.pt").exists()


def test_another_length_and_front_end(data, recipe, tmp_path):
    """A second of sound in a mel spectrogram: the network's shape comes from the recipe as a list."""
    text = recipe.read_text().replace("options = { width = 0.02 }", "options = { width = 0.02, cochleagram_shape = [256, 201] }")
    text = text.replace('preset = "feather2023"', 'preset = "logmel"').replace("oversampling = 3.0", "")
    recipe.write_text(text.replace("batch_size = 4", "batch_size = 4\nduration = 1.0").replace("epochs = 2", "epochs = 1"))
    out = train(recipe, [str(data)], tmp_path / "model", workers=0)
    assert am.load_model(out)(torch.zeros(1, 20_000))["word"].shape == (1, 2)


def test_half_precision_is_what_is_tested(data, recipe, tmp_path, monkeypatch):
    """The tests and the null distribution see the weights that are saved, not those before rounding."""
    seen = []
    seen_by = lambda model, *_, **__: seen.append(deepcopy(model.network.state_dict())) or ({}, {})  # noqa: E731
    monkeypatch.setattr(finishing.testing, "measure", seen_by)
    recipe.write_text(recipe.read_text().replace("epochs = 2", 'epochs = 1\nweights_dtype = "float16"'))
    out = train(recipe, [str(data)], tmp_path / "model", workers=0)
    saved = load_file(out / "weights.safetensors")
    assert saved["conv0.weight"].dtype == torch.float16
    assert all(torch.equal(tensor, saved[name].to(tensor.dtype)) for name, tensor in seen[0].items())


def test_groups_that_no_recording_has_are_reported_before_the_training(data, recipe, tmp_path):
    recipe.write_text(RECIPE.replace('groups = ["age"]', 'groups = ["accent"]'))
    with pytest.raises(am.AudioMetamerError, match="no recording has a value in column 'accent'"):
        train(recipe, [str(data)], tmp_path / "model", workers=0)
    assert not (tmp_path / "model" / "checkpoint.pt").exists()


def test_a_trained_model_is_tested_again(unbroken, data, tmp_path):
    """To the same card; the weights stay as they are."""
    shutil.copytree(unbroken, folder := tmp_path / "model")
    before, weights = read_card(folder), (folder / "weights.safetensors").read_bytes()
    write_card(folder, msgspec.structs.replace(before, accuracy={}, accuracy_by_group={}, doubt={}))
    retest(folder, [str(data)], device="cpu")
    after = read_card(folder)
    assert (after, (folder / "weights.safetensors").read_bytes()) == (before, weights)


@pytest.mark.parametrize(
    ("before", "after", "reported"),
    [
        ("epochs = 2", "epochs = 2\nduration = inf", r"duration is inf; a number must be finite and at most 1e\+15$"),
        ("epochs = 2", "epochs = 99999999999999999999", "epochs is 99999999999999999999; a number must be finite"),
        ("width = 0.02", "width = nan", "network.options.width is nan; a number must be finite"),
        ("weight = 0.5", "weight = nan", "tasks.speaker.weight is nan; a number must be finite"),
        ("snr = [0.0, 20.0]", "snr = [0.0, inf]", r"augmentation.snr\[1\] is inf; a number must be finite"),
        ("snr = [0.0, 20.0]", "snr = [20.0, 0.0]", r"snr is \[20, 0\]; the smaller number comes first"),
        ("gain = [-3.0, 3.0]", "gain = [-3.0, 300.0]", "`float` <= 200.0"),
        ("epochs = 2", "epochs = 2\ntest_snrs = [0.0, -1e14]", "`float` >= -200.0"),
        ("epochs = 2", f"epochs = 2\nseed = {2**31}", "`int` <= 2147483647"),
        ("epochs = 2", "epochs = 2\nsynthetic_share = 0.5", "synthetic_share is 0.5, but no source is synthetic"),
        ("weight = 0.5", "weight = -1.0", "`float` >= 0.0"),
        ("weight = 0.5", "smoothing = 1.0", "`float` < 1.0"),
        ("[data]", "[masking]\nbands = 100000\n[data]", "`int` <= 1000"),
        ("quiet = 0.2", "reverberation = [1.0, 10000.0]", "`float` <= 20.0"),
        ("epochs = 2", f"epochs = 2\nx = {'[' * 3000}{']' * 3000}", "it is nested too deeply"),
    ],
)
def test_numbers_that_no_recipe_has(tmp_path, before, after, reported):
    (tmp_path / "recipe.toml").write_text(RECIPE.replace(before, after, 1))
    with pytest.raises(am.AudioMetamerError, match=rf"recipe\.toml is not a recipe: .*{reported}"):
        read_recipe(tmp_path / "recipe.toml")


def test_the_identity_of_the_data_is_that_of_version_0_1(tmp_path):
    """Checkpoints of before are resumed: the digest does not depend on today's name of the class of tasks."""
    recording = AudioFile(tmp_path / "yes.wav", "train", {"word": ("yes",)})
    corpus = SimpleNamespace(tasks={"word": ClassificationTask(("no", "yes"))}, recordings={"train": [recording]})
    text = "{'word': Task(labels=('no', 'yes'), multi=False)}" + "('train', 'yes.wav', {'word': ('yes',)})"
    assert corpus_identity(corpus) == hashlib.sha256(text.encode()).hexdigest()


CACHED = (
    RECIPE.replace("epochs = 2\n", 'epochs = 3\ncached_epochs = 1\nexcerpts = 12\nprecision = "bfloat16"\n')
    + "[masking]\nmoments = 1\n"
)


@pytest.fixture
def cached_recipe(tmp_path):
    path = tmp_path / "cached.toml"
    path.write_text(CACHED)
    return path


def test_cochleagrams_are_made_once_for_all_epochs_and_all_recipes(cached_recipe, data, tmp_path):
    """Three batches of the one epoch that is kept serve nine steps, and another recipe whose network differs."""
    lines = []
    first = train(cached_recipe, [str(data)], tmp_path / "first", workers=0, cache=tmp_path / "cache", notify=lines.append)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npz")}
    assert len(kept) == 3
    assert any(line.startswith("about 1 minute of training: 12 excerpts, 3 epochs") for line in lines)
    other = tmp_path / "other.toml"
    other.write_text(CACHED.replace("width = 0.02", "width = 0.03"))
    train(other, [str(data)], tmp_path / "other", workers=1, cache=tmp_path / "cache")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npz")} == kept
    again = train(cached_recipe, [str(data)], tmp_path / "again", workers=0)  # in a cache of its own, which is deleted
    assert (again / "weights.safetensors").read_bytes() == (first / "weights.safetensors").read_bytes()
    assert not (again / "cochleagrams").exists()


def test_other_recordings_of_the_same_names_share_no_cache(cached_recipe, data, tmp_path):
    shutil.copytree(data, tmp_path / "other")
    noise = np.random.default_rng(0).standard_normal(6000) * 0.1
    soundfile.write(tmp_path / "other" / "0.flac", noise, 8000)
    for number, folder in enumerate((data, tmp_path / "other")):
        train(cached_recipe, [str(folder)], tmp_path / f"model{number}", workers=0, cache=tmp_path / "cache")
        assert len(list((tmp_path / "cache").iterdir())) == number + 1


def test_a_cache_that_is_not_used(recipe, data, tmp_path):
    with pytest.warns(am.AudioMetamerWarning, match=r"recipe.toml has no cached_epochs, so .*cache is not used"):
        train(recipe, [str(data)], tmp_path / "model", workers=0, cache=tmp_path / "cache")


def test_what_start_from_leaves_random_is_told(unbroken, recipe, data, tmp_path):
    """The read-out of a further task."""
    lines = []
    start = f'epochs = 1\nstart_from = "{unbroken}"'
    recipe.write_text(RECIPE.replace("epochs = 2", start).replace("[network]", "[tasks.age]\nmulti = true\n[network]"))
    train(recipe, [str(data)], tmp_path / "model", workers=0, notify=lines.append)
    (line,) = (line for line in lines if line.startswith("note: "))
    assert line.startswith(f"note: 2 tensors begin with random weights, because {unbroken} has none that fit: ")
    assert line.endswith("classification.age.weight, classification.age.bias")


def test_a_run_resumes_without_the_model_that_it_started_from(unbroken, recipe, data, tmp_path):
    shutil.copytree(unbroken, tmp_path / "first")
    recipe.write_text(RECIPE.replace("epochs = 2", f'epochs = 2\nstart_from = "{tmp_path / "first"}"'))

    def stop(done, message):
        if message.startswith("epoch 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, [str(data)], tmp_path / "model", workers=0, progress=stop)
    shutil.rmtree(tmp_path / "first")
    train(recipe, [str(data)], tmp_path / "model", workers=0)
    assert (tmp_path / "model" / "model.toml").exists()


def test_a_cached_run_resumes_to_the_same_weights(cached_recipe, data, tmp_path):
    whole = train(cached_recipe, [str(data)], tmp_path / "whole", workers=0)

    def stop(done, message):
        if message.startswith("epoch 2") and done > 0.45:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(cached_recipe, [str(data)], tmp_path / "broken", workers=0, progress=stop)
    assert any((tmp_path / "broken" / "cochleagrams").rglob("*.npz"))
    resumed = train(cached_recipe, [str(data)], tmp_path / "broken", workers=0)
    assert (resumed / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()


def test_cached_cochleagrams_and_an_adversary_at_the_waveform(cached_recipe):
    cached_recipe.write_text(CACHED + '[adversary]\nat = "waveform"\nnorm = "l2"\nradius = 1.0\n')
    with pytest.raises(am.AudioMetamerError, match="cached_epochs keeps cochleagrams, but the adversary is at the waveform"):
        read_recipe(cached_recipe)


def test_a_schedule_that_ends_before_the_training(cached_recipe):
    cached_recipe.write_text(CACHED + "[optimizer]\nspan = 1\n")
    with pytest.raises(am.AudioMetamerError, match=r"the span of the optimizer is 1; it must be at least the epochs, 3"):
        read_recipe(cached_recipe)


def test_a_null_distribution_is_of_natural_sounds(data, recipe, tmp_path, monkeypatch):
    """Half of the training clips are said to be synthetic."""
    with (data / "clips.csv").open() as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row |= {"path": str(data / row["path"]), "source": ("flite", "people")[number % 2]}
    with (tmp_path / "clips.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    recipe.write_text(RECIPE.replace("null_pairs = 10", "null_pairs = 3") + "[sources.flite]\nsynthetic = true\n")
    used = []
    measure = am.NullDistribution.measure

    def noted(model, sounds, *, names, **settings):
        used.extend(names := list(names))
        return measure(model, sounds, names=names, **settings)

    monkeypatch.setattr(am.NullDistribution, "measure", noted)
    train(recipe, [str(tmp_path)], tmp_path / "model", workers=0)
    assert len(used) == 3
    assert set(used) <= {row["path"] for row in rows if row["source"] == "people"}


def test_the_identity_of_a_recipe_is_what_it_states(tmp_path):
    """Settings at their defaults do not count: a checkpoint is resumed after other settings have been added."""
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    plain = stated(read_recipe(path))
    path.write_text(RECIPE + "[optimizer]\nlearning_rate = 2e-3\n[masking]\nbands = 0\n")
    assert stated(read_recipe(path)) == plain
    path.write_text(RECIPE + "[masking]\nbands = 2\n")
    assert stated(read_recipe(path)) == plain | {"masking": {"bands": 2}}
    assert plain["augmentation"] == {
        "snr": [0.0, 20.0], "quiet": 0.2, "low_pass": 0.5, "noise_floor": 0.5, "speed": 1.1, "gain": [-3.0, 3.0]
    }  # fmt: skip
