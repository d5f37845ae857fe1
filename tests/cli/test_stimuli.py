"""``audiometamer stimuli``: what it writes and prints, its exit status, and one line for everything that is wrong."""

from pathlib import Path

import pytest
import tiny_stimuli as tiny
from command_line import refused

from audiometamer.cli import main


@pytest.fixture(autouse=True)
def in_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny.write_items(Path("my set"), failed=[("two_slt", "relu1")])
    tiny.write_clips(Path("clips.csv"))


def test_from_index_to_export(capsys):
    assert main(["stimuli", "index", "my set", "--clips", "clips.csv"]) == 0
    assert "6 items (5 passed, 1 failed)" in capsys.readouterr().out
    assert main(["stimuli", "verify", "my set"]) == 0
    assert "all 21 files are as the manifest states" in capsys.readouterr().out
    assert main(["stimuli", "select", "my set", "--out", "chosen", "--balance", "voice"]) == 0
    assert "4 of 6 items, 2 clips at 2 conditions: chosen/selection.tsv" in capsys.readouterr().out
    options = (
        "--selection",
        "chosen/selection.tsv",
        "--rate",
        "44100",
        "--bits",
        "16",
        "--level",
        "-26",
        "--bids-version",
        "coming",
    )
    assert main(["stimuli", "export", "my set", "--to", "bids", "--out", "bids", *options]) == 0
    assert "6 sounds: bids   key: bids-key.tsv" in capsys.readouterr().out
    assert len(list(Path("bids/stimuli").glob("stim-*_audio.wav"))) == 6 + 2
    assert main(["stimuli", "verify", "my set"]) == 0, "nothing was written into the set"


def test_a_layer_alone_is_selected(capsys):
    assert main(["stimuli", "select", "my set", "--only", "layer=relu0", "--most-clips", "2", "--without-path", "longer*"]) == 2
    assert "no path is like 'longer*'" in capsys.readouterr().err
    assert main(["stimuli", "select", "my set", "--only", "layer=relu0", "--most-clips", "2"]) == 0
    assert "2 of 3 items, 2 clips at 1 condition: selection/selection.tsv" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["status"], ["stimuli", "verify"]])
@pytest.mark.parametrize(
    ("file", "what"),
    [
        ("", "has no folder items"),
        ("model.toml", "is a model"),
        ("sounds.tsv", "is an export"),
        ("lists.json", "is an experiment"),
    ],
)
def test_another_folder_than_a_set_is_named(command, file, what, capsys):
    Path("other").mkdir()
    if file:
        (Path("other") / file).touch()
    reported = f"other is no stimulus set: it {what}; give the folder that `audiometamer run` made"
    assert refused(capsys, *command, "other") == f"audiometamer: error: {reported}"
    assert [path.name for path in Path("other").iterdir()] == ([file] if file else [])


def test_differences_are_status_1(capsys):
    main(["stimuli", "index", "my set"])
    Path("my set/README.md").unlink()
    Path("my set/new").touch()
    capsys.readouterr()
    assert main(["stimuli", "verify", "my set"]) == 1
    reported = capsys.readouterr()
    assert reported.out.splitlines() == ["missing    README.md", "extra      new"]
    assert reported.err == "my set: 1 missing, 1 extra\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["index", "nowhere"], "nowhere is no stimulus set: it does not exist"),
        (["verify", "my set"], "MANIFEST.sha256 does not exist; `audiometamer stimuli index my set` writes it"),
        (["verify", "nowhere"], "nowhere is no stimulus set: it does not exist"),
        (["select", "my set", "--balance", "colour"], "clips.tsv has no column 'colour'"),
        (["select", "my set", "--most-clips", "0"], "most clips is 0"),
        (["select", "my set", "--only", "layer"], "--only is 'layer'; it must be COLUMN=VALUE"),
        (["select", "my set", "--only", "layer=relu9"], "no item has layer 'relu9'; there are relu0, relu1"),
        (["export", "my set", "--to", "folder", "--level", "1"], "level is 1.0 dB re full scale"),
        (["export", "my set", "--to", "folder", "--level", "-30", "--factor", "1"], "a level in dB or a factor"),
        (["export", "my set", "--to", "folder", "--out", "my set"], "my set exists; nothing is overwritten"),
        (["export", "my set", "--to", "folder", "--out", "."], ". exists; nothing is overwritten"),
        (["export", "my set", "--to", "folder", "--out", "/"], "/ exists; nothing is overwritten"),
    ],
)
def test_bad_input_is_reported_in_a_line(capsys, arguments, message):
    assert message in refused(capsys, "stimuli", *arguments)
    assert sorted(str(path) for path in Path().iterdir()) == ["clips.csv", "my set"]
