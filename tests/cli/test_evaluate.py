"""``audiometamer evaluate``: what it writes and prints, and one line for everything that is wrong."""

from pathlib import Path

import pytest
from command_line import refused
from tiny_evaluation import sound, write_metamer

from audiometamer.cli import main
from audiometamer.io.locks import exclusive_folder

MODELS = ("--models", "tiny_evaluation:echo_model,tiny_evaluation:rival_model")
RUN = ("evaluate", "metamers", "--resamples", "50")


@pytest.fixture(autouse=True)
def in_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, k in (("x", 0), ("y", 2)):
        clip = sound(*[0.4 * (i == k) for i in range(8)])
        write_metamer(Path("metamers"), name, clip, clip.roll(1), model="maker")
        write_metamer(Path("metamers"), name, clip, clip, layer="twice", model="maker")


def test_it_writes_a_table_pictures_and_dissimilarities(capsys):
    Path("clips.csv").write_text("path,letter\nx.wav,a\ny.wav,c\n")
    attack = ("--attack", "waveform:linf:0.1,0.3", "--attack", "waveform:l2:0.5", "--attack-steps", "20")
    assert main([*RUN, *MODELS, "--labels", "clips.csv", *attack]) == 0
    assert sorted(str(path) for path in Path("evaluation").rglob("*.*")) == [
        "evaluation/.lock", "evaluation/attacks.png", "evaluation/evaluation.tsv", "evaluation/layers_maker.png",
        "evaluation/rdms/echo/maker.npz", "evaluation/rdms/rival/maker.npz", "evaluation/recognition.png",
    ]  # fmt: skip
    out = capsys.readouterr()
    assert "letter: accuracy of the other networks, % (95 % interval)" in out.out
    table = [line.split() for line in out.out.splitlines()]
    assert ["natural", "100", "(100–100)"] in table
    assert ["out", "0", "(0–0)"] in table
    assert ["twice", "100", "(100–100)"] in table
    assert "100% rival" in out.err
    rows = Path("evaluation/evaluation.tsv").read_text().splitlines()
    curve = [line.split("\t") for line in rows if line.startswith("echo\t\tnatural\t\twaveform:linf")]
    assert [(cells[5], cells[8]) for cells in curve] == [("0", "1"), ("0.1", "1"), ("0.3", "0")]


def test_nothing_is_overwritten_unasked(capsys):
    assert main([*RUN, *MODELS, "--no-rdms"]) == 0
    assert "label agreement of the other networks" in capsys.readouterr().out
    before = Path("evaluation/evaluation.tsv").stat().st_mtime_ns
    assert not Path("evaluation/rdms").exists()
    assert "evaluation.tsv exists; choose another --out, or --overwrite it" in refused(capsys, *RUN, *MODELS)
    assert Path("evaluation/evaluation.tsv").stat().st_mtime_ns == before
    assert main([*RUN, *MODELS, "--no-rdms", "--overwrite"]) == 0
    assert Path("evaluation/evaluation.tsv").stat().st_mtime_ns != before


def test_one_run_at_a_time(capsys):
    with exclusive_folder(Path("evaluation")):
        assert "another run is writing into evaluation" in refused(capsys, *RUN, *MODELS)


def record():
    return next(Path("metamers").glob("x/maker/out_seed0.json"))


BAD = {
    "no WAV": (lambda: record().with_suffix(".wav").unlink(), "out_seed0.wav does not exist"),
    "no original": (lambda: record().with_name("original.wav").unlink(), "original.wav does not exist"),
    "corrupt JSON": (
        lambda: record().write_text("{"),
        "out_seed0.json is not the record of a metamer: ",
    ),
    "a missing field": (lambda: record().write_text('{"kept": 0}'), "Object missing required field `settings`"),
    "corrupt WAV": (lambda: record().with_suffix(".wav").write_bytes(b"RIFF"), "out_seed0.wav is truncated or damaged"),
    "no folder": (lambda: Path("metamers").rename("elsewhere"), "metamers does not exist; give the --out folder"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_folders(capsys, case):
    spoil, message = BAD[case]
    spoil()
    assert message in refused(capsys, *RUN, *MODELS)
    assert not Path("evaluation/evaluation.tsv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--models", "tiny_models:nameless_model"), "nameless has no labels, so it cannot name what it recognises"),
        (("--models", "tiny_evaluation:echo_model", "--labels", "none.csv"), "none.csv cannot be read as a table: No such file"),
        ((*MODELS, "--attack", "waveform:l2"), "attack 'waveform:l2' is not WHERE:NORM:RADIUS"),
        ((*MODELS, "--attack", "waveform:l2:1,x"), "attack 'waveform:l2:1,x' is not WHERE:NORM:RADIUS"),
        ((*MODELS, "--attack", "cochleagram:l2:1"), "echo has no front end"),
        (("--models", ","), "--models names no model"),
        (("--models", "nowhere"), "there is no model 'nowhere'"),
        ((), "Missing option '--models'"),
    ],
)
def test_bad_arguments(capsys, arguments, message):
    assert message in refused(capsys, *RUN, *arguments)
