"""``audiometamer train`` and ``test-model``: files, tables, and one line for what is wrong."""

import csv
import shutil

import matplotlib.image
import pytest
import torch
from command_line import refused
from tiny_training import RECIPE

from audiometamer.cli import main
from audiometamer.models.published_checkpoints import import_checkpoint
from audiometamer.networks import CochCNN9


@pytest.fixture(autouse=True)
def in_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def rows_of(table):
    with table.open(newline="") as file:
        return list(csv.reader(file, delimiter="\t"))


def test_train_prints_the_accuracy_and_goes_on_to_nothing(data, recipe, tmp_path, capsys, unbroken):
    """The command's weights are those of the function."""
    arguments = ("train", str(recipe), "--data", str(data), "--out", "model", "--workers", "0", "--device", "cpu")
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert "trained: model" in captured.out
    assert captured.out.count("snr -5 db") == 3
    shown = captured.err.splitlines()
    assert (shown[0], shown[-1]) == ("  0% reading 25 recordings", "100% done")
    assert len(shown) < 10, "progress is shown now and then"
    assert (tmp_path / "model" / "weights.safetensors").read_bytes() == (unbroken / "weights.safetensors").read_bytes()
    assert "model already holds a trained model" in refused(capsys, *arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": "no-such-recipe"}, "there is no recipe 'no-such-recipe'"),
        ({"--data": "nowhere"}, "nowhere does not exist; a data set is PATH or KIND:PATH"),
        ({"--device": "warp"}, "device 'warp' is not available here"),
        ({"--workers": "-1"}, "-1 is not in the range x>=0"),
    ],
)
def test_train_refuses(data, recipe, capsys, change, message):
    options = {"recipe": recipe, "--data": data, "--out": "model", "--device": "cpu"} | change
    first = options.pop("recipe")
    assert message in refused(capsys, "train", first, *[word for pair in options.items() for word in pair])


def test_train_names_what_is_wrong_with_a_recipe(data, recipe, capsys):
    recipe.write_text(RECIPE.replace("epochs", "epoch"))
    assert "recipe.toml is not a recipe" in refused(capsys, "train", recipe, "--data", data, "--out", "model", "--device", "cpu")


def test_test_model_writes_what_training_has_measured(unbroken, data, tmp_path, capsys):
    """Also under an attack; the folder is named after the model."""
    command = ("test-model", str(unbroken), "--data", str(data), "--device", "cpu", "--snr", "3", "--group", "age")
    assert main((*command, "--attack", "waveform:linf:0.002", "--attack-steps", "2")) == 0
    out = capsys.readouterr().out
    folder = tmp_path / "test-model" / "tones"
    assert sorted(path.name for path in folder.iterdir()) == [
        "accuracy-by-group.tsv", "accuracy.tsv", "confusion-speaker-test.png", "confusion-speaker-test.tsv",
        "confusion-word-test.png", "confusion-word-test.tsv",
    ]  # fmt: skip
    assert "test-model/tones/accuracy.tsv and confusion matrices beside it" in out
    head, *rows = rows_of(folder / "accuracy.tsv")
    conditions = ["quiet", "low_passed_4_khz", "snr_3_db", "waveform_linf_0.002"]
    names = [*[("word", c) for c in conditions], *[("speaker", c) for c in conditions], ("sounds", "snr_3_db")]
    assert [(row[0], row[2]) for row in rows] == names
    for task, condition in names:
        assert any(task in line and condition.replace("_", " ") in line for line in out.splitlines())
    assert {row[1] for row in rows} == {"test"}
    words = rows_of(folder / "confusion-word-test.tsv")
    assert words[0] == ["label", "low", "high"]
    assert [row[0] for row in words[1:]] == ["low", "high"]
    counts = [[int(cell) for cell in row[1:]] for row in words[1:]]
    assert [sum(row) for row in counts] == [2, 2]  # of the four recordings of split test
    quiet = dict(zip(head, rows[0], strict=True))
    assert int(quiet["correct"]) == counts[0][0] + counts[1][1]
    assert matplotlib.image.imread(folder / "confusion-word-test.png").std() > 0.01
    groups = [row[:5] for row in rows_of(folder / "accuracy-by-group.tsv") if row[0] == "word"]
    assert [row[2:] for row in groups] == [["source", "here", "2"], ["source", "there", "2"], ["age", "old", "3"]]
    assert "in quiet:" in out

    before = (folder / "accuracy.tsv").read_bytes()
    assert "test-model/tones/accuracy.tsv exists; choose another --out, or --overwrite it" in refused(capsys, *command)
    assert (folder / "accuracy.tsv").read_bytes() == before
    assert main((*command, "--split", "valid", "--split", "train", "--overwrite")) == 0
    clips = {(row[0], row[1]): row[3] for row in rows_of(folder / "accuracy.tsv")[1:] if row[2] == "quiet"}
    assert clips == {("word", "valid"): "3", ("speaker", "valid"): "2", ("word", "train"): "13", ("speaker", "train"): "9"}


def test_tables_of_tasks_with_a_slash_in_their_name(data, tmp_path):
    """As imported ones have; the slash would make a folder."""
    shutil.copytree(data, tmp_path / "clips")
    table = tmp_path / "clips" / "clips.csv"
    table.write_text(table.read_text().replace("word,speaker", "signal/word_int,signal/speaker_int"))
    labels = {"signal/word_int": ["low", "high"], "signal/speaker_int": ["smooth", "rough"]}
    torch.manual_seed(0)
    torch.save(CochCNN9(dict.fromkeys(labels, 2), width=0.02).state_dict(), tmp_path / "checkpoint.pt")
    import_checkpoint(tmp_path / "checkpoint.pt", network="cochcnn9", labels=labels, out=tmp_path / "model")
    assert main(["test-model", "./model", "--data", "clips", "--device", "cpu", "--snr", "3", "--out", "tested"]) == 0
    assert sorted(path.name for path in (tmp_path / "tested").iterdir()) == [
        "accuracy-by-group.tsv", "accuracy.tsv", "confusion-signal_speaker_int-test.png", "confusion-signal_speaker_int-test.tsv",
        "confusion-signal_word_int-test.png", "confusion-signal_word_int-test.tsv",
    ]  # fmt: skip


def test_a_card_does_not_say_where_tables_go(unbroken, data, tmp_path):
    (tmp_path / "inner").mkdir()
    shutil.copytree(unbroken, tmp_path / "model")
    card = tmp_path / "model" / "model.toml"
    card.write_text(card.read_text().replace('name = "tones"', 'name = "../../outside"', 1))
    assert main(["test-model", "./model", "--data", str(data), "--device", "cpu", "--snr", "3"]) == 0
    assert [path.name for path in (tmp_path / "test-model").iterdir()] == ["_.._outside"]
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("file", ["../weights.safetensors", "/etc/passwd", "", "..", "n" * 300, "a\\u0000b"])
def test_weights_lie_beside_their_card(unbroken, tmp_path, capsys, file):
    shutil.copytree(unbroken, tmp_path / "model")
    card = tmp_path / "model" / "model.toml"
    card.write_text(card.read_text().replace('"weights.safetensors"', f'"{file}"'))
    assert "it must be the name of a file in model" in refused(capsys, "layers", "./model")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--attack", "waveform:l2"), "attack 'waveform:l2' is not WHERE:NORM:RADIUS, with waveform or cochleagram"),
        (("--attack", "ear:l2:1"), "attack 'ear:l2:1' is not WHERE:NORM:RADIUS"),
        (("--attack", "waveform:l2:far"), "attack 'waveform:l2:far' is not WHERE:NORM:RADIUS"),
        (("--attack-steps", "0"), "0 is not in the range x>=1"),
        (("--split", "background"), "'background' is not one of 'train', 'valid', 'test'"),
        (("--data", "nowhere"), "nowhere does not exist; a data set is PATH or KIND:PATH"),
        (("--device", "warp"), "device 'warp' is not available here"),
        (("--snr", "-1e300"), "-1e+300 is not in the range -200<=x<=200"),
    ],
)
def test_test_model_refuses(unbroken, data, tmp_path, capsys, arguments, message):
    assert message in refused(capsys, "test-model", unbroken, "--data", data, "--device", "cpu", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_models_and_data_that_do_not_fit(unbroken, data, tmp_path, capsys):
    assert "has no labels or no sample rate" in refused(
        capsys, "test-model", "tiny_models:nameless_model", "--data", data, "--device", "cpu"
    )
    assert "no recording of split 'test' has a label of task word" in refused(
        capsys, "test-model", "tiny_models:sound_model", "--data", data, "--device", "cpu"
    )  # other words
    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    (copy / "16.flac").write_bytes(b"nothing")
    assert "16.flac cannot be read as audio" in refused(capsys, "test-model", unbroken, "--data", copy, "--device", "cpu")
    assert not (tmp_path / "test-model").exists()
