"""``audiometamer confusions``: what it writes and prints, and one line for everything that is wrong."""

from pathlib import Path

import pytest
from command_line import refused
from tiny_confusions import write_corpus

from audiometamer.cli import main
from audiometamer.io.tables import read_table

MODELS = ("--models", "tiny_evaluation:echo_model,tiny_evaluation:rival_model")
RUN = ("confusions", "corpus", "--resamples", "50", "--permutations", "50", "--splits", "5")


@pytest.fixture(autouse=True)
def in_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_corpus(Path("corpus"))


def test_it_writes_tables_and_a_figure_of_each_network(capsys):
    assert main([*RUN, *MODELS]) == 0
    assert sorted(path.name for path in Path("confusions").iterdir()) == [
        ".lock", "confusions.tsv", "confusions_echo.png", "confusions_rival.png", "tokens_echo.tsv", "tokens_rival.tsv",
    ]  # fmt: skip
    out = capsys.readouterr()
    assert "echo: 4 of 5 tokens have a target in its vocabulary (task letter); of these, 75 % have a confusion in it" in out.out
    table = [line.split() for line in out.out.splitlines()]
    assert ["network", "accuracy", "25.0", "%"] in [line[:4] for line in table]
    assert ["confusion", "share", "50.0", "%"] in [line[:4] for line in table]
    assert "100% rival: 8 of 8 sounds" in out.err
    rows = {
        (row["network"], row["presentation"], row["measure"], row["masker"]): row
        for row in read_table(Path("confusions/confusions.tsv"))
    }
    assert float(rows["rival", "masker", "agreement", ""]["value"]) == pytest.approx(0.25)
    assert float(rows["rival", "quiet", "network_accuracy", "SSN"]["value"]) == 1
    tokens = read_table(Path("confusions/tokens_echo.tsv"))
    assert [row["answer"] for row in tokens] == list("bcce")
    assert tokens[0]["listeners_right"] == "0.3"


def test_some_talkers(capsys):
    assert main([*RUN, *MODELS, "--talkers", "s2"]) == 0
    assert "echo: 2 of 3 tokens have a target" in capsys.readouterr().out
    assert "has no talker 's9'; it has s1, s2" in refused(capsys, *RUN, *MODELS, "--talkers", "s2,s9")


def test_nothing_is_overwritten_unasked(capsys):
    assert main([*RUN, *MODELS]) == 0
    before = Path("confusions/confusions.tsv").read_bytes()
    capsys.readouterr()
    assert "confusions.tsv exists; choose another --out, or --overwrite it" in refused(capsys, *RUN, *MODELS)
    assert main([*RUN, *MODELS, "--overwrite"]) == 0
    assert Path("confusions/confusions.tsv").read_bytes() == before


def test_what_is_wrong_is_said_in_a_line(capsys):
    assert "--models names no model" in refused(capsys, *RUN, "--models", ",")
    assert "elsewhere cannot be read" in refused(capsys, "confusions", "elsewhere", *MODELS)
    assert "knows none of the targets" in refused(capsys, *RUN, "--models", "tiny_evaluation:stranger_model")
    assert not Path("confusions/confusions.tsv").exists()
