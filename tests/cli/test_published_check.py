"""``published check``: what it prints, where it writes, and its exit status."""

import json

import numpy as np
import pytest
import soundfile
import torch
from checkpoint_files import WORDS, network, published
from command_line import refused

import audiometamer as am
from audiometamer.cli import main
from audiometamer.models.published_checkpoints import import_checkpoint

FAST = ("--layers", "relu0,final", "--steps", "2", "--device", "cpu")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOMETAMER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def fetched(home):
    """A network that looks as if it had been fetched."""
    folder = home / "models" / "feather2023" / "cochcnn9"
    torch.save(published(network("cochcnn9")), "checkpoint.pt")
    import_checkpoint("checkpoint.pt", network="cochcnn9", labels={"word": WORDS}, out=folder)
    return folder


@pytest.fixture
def sounds(tmp_path):
    """Four noises; the table says the word that is the right answer of one of three networks."""
    folder = tmp_path / "sounds"
    folder.mkdir()
    for seed in range(4):
        soundfile.write(
            folder / f"{seed}.wav", 0.1 * np.random.default_rng(seed).standard_normal(40_000), 20_000, subtype="FLOAT"
        )
    (folder / "clips.csv").write_text("path,word,split\n" + "".join(f"{seed}.wav,about,test\n" for seed in range(4)))
    return folder


def test_a_fetched_network_keeps_what_was_found(fetched, sounds, capsys):
    """It has random weights, so that it gives all noises one label, which may be the right one."""
    command = ("published", "check", "feather2023/cochcnn9", "--data", "sounds", "--sounds", "sounds", "--pairs", "6", *FAST)
    status = main([*command])
    out, err = capsys.readouterr()
    found = json.loads((fetched / "check.json").read_text())
    assert status == bool(found["problems"])
    assert ("problem: word (test): " in err) == bool(status)
    assert (found["layers"], found["null_pairs"], found["classes"]) == (["relu0", "final"], 6, {"word": 3})
    assert [steps["steps"] for steps in found["steps"]] == [2, 2]
    assert found["accuracy"][0]["score"]["clips"] == 4
    for text in ("2 layers, 3 words", "accuracy in quiet:", "natural sounds: 6 pairs", "relu0", "check.json, ", "null.json"):
        assert text in out
    assert am.NullDistribution.load(fetched / "null.json").pairs == 6
    before = (fetched / "null.json").read_bytes()
    assert "check.json exists; choose another --out, or --overwrite it" in refused(capsys, *command)
    assert (fetched / "null.json").read_bytes() == before


def test_any_model_is_checked_and_its_folder_left_alone(tmp_path, capsys):
    model = ("published", "check", "tiny_models:sound_model")
    assert main([*model, "--steps", "2", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "check/tiny/check.json\n" in out
    assert "natural sounds" not in out
    assert sorted(path.name for path in (tmp_path / "check" / "tiny").iterdir()) == ["check.json"]
    assert main([*model, "--steps", "2", "--out", "elsewhere"]) == 0
    assert (tmp_path / "elsewhere" / "check.json").is_file()


def test_published_recordings_have_names_too(home, sounds, capsys):
    (home / "data" / "feather2023").mkdir(parents=True)
    sounds.rename(home / "data" / "feather2023" / "stimuli")
    command = ("published", "check", "tiny_models:sound_model", "--layers", "final", "--steps", "1", "--pairs", "6")
    assert main([*command, "--sounds", "feather2023/stimuli"]) == 0
    assert "natural sounds: 6 pairs" in capsys.readouterr().out
    words = refused(capsys, *command, "--data", "feather2023/stimuli", "--overwrite")
    assert "no recording of split 'test' has a label of task word" in words


def test_bad_input(sounds, capsys):

    def refused_by(*arguments):
        return refused(capsys, "published", "check", *arguments)

    assert "feather2023/cochcnn9 is not here yet" in refused_by("feather2023/cochcnn9")
    assert "there is no model 'none'" in refused_by("none")
    assert "relu9" in refused_by("tiny_models:sound_model", "--layers", "relu9")
    assert "nowhere does not exist" in refused_by("tiny_models:sound_model", "--data", "nowhere")
    assert "no recording of split 'test' has a label of task word" in refused_by("tiny_models:sound_model", "--data", "sounds")
