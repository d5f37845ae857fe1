"""The example experiment: its plan and design fit together, and a small version of it runs from synthesis to analysis."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from command_line import commands_in, parse

from audiometamer.cli import main
from audiometamer.experiment.design import read_design
from audiometamer.io.resources import zoo_folder
from audiometamer.io.tables import read_table
from audiometamer.stimuli.plan import read_plan
from audiometamer.stimuli.sources import find_sources

EXAMPLE = Path(__file__).parents[1] / "examples" / "word_recognition"
STIMULI = Path(__file__).parents[1] / "stimuli"
COMMANDS = commands_in((EXAMPLE / "README.md").read_text(encoding="utf-8"))
SMALLER = {  # three digits at one layer, in five steps and without a null distribution; and two more digits, as they are
    "../../stimuli/speech/clips.csv": f"{STIMULI / 'speech' / 'clips.csv'}",
    'select.style = "sentence"': 'select.word = ["two", "three", "five"]',
    "count = 120\n": "",
    'natural.style = "isolated"': 'natural.word = ["nine", "zero"]',
    "[clips]": "steps = 5\n[clips]",
    '"cochleagram", "relu0", "relu1", "relu2", "relu3", "relu4", "avgpool", "relufc", "final"': '"relu2"',
    "cochcnn-word": "cochcnn-digits",
    "listeners = 20": "listeners = 3",
    '[answers.equal]            # words of the list that sound alike count as one\nhear = ["here"]\nno = ["know"]\n': "",
    "[texts]": "[conditions]\nfailed = true\n[practice]\ntrials = 1\n[demonstration]\ntrials = 0\n[catch]\ntrials = 1\n[texts]",
}


def smaller(text):
    """A plan or a design made small."""
    for old, new in SMALLER.items():
        text = text.replace(old, new)
    return text


def small_command(line):
    """A command for the small version, which has fewer layers, listeners and permutations."""
    line = re.sub(r" --accuracy (?!natural|relu2)\w+=[\d.]+", "", line).replace(" --workers 2", "")
    return line + " --listeners 3" * ("rehearse" in line) + " --permutations 0" * ("analyse" in line)


def test_the_plan_and_the_design_are_for_words_enough():
    found = find_sources(read_plan(EXAMPLE / "plan.toml"))
    words = [source.columns["word"] for source in found]
    assert len({*words}) == len(words)
    assert sum(not source.natural for source in found) == 120
    assert sum(source.natural for source in found) >= 38  # 10, 12 and 16, so that all 120 are left for main trials
    design = read_design(EXAMPLE / "design.toml")
    assert (design.trials, design.practice.trials, design.catch.trials) == (None, None, None)
    assert {*design.answers.equal} <= {*words}
    assert not {word for words_ in design.answers.equal.values() for word in words_} & {*words}, "nobody hears one of them twice"


def test_the_page_is_right_about_its_commands():
    assert [shlex.split(line)[1] for line in COMMANDS[:2]] == ["run", "experiment"]
    assert len(COMMANDS) == 4
    for line in COMMANDS:
        parse(line)


@pytest.mark.slow
def test_a_small_version_runs_by_the_same_four_commands(tmp_path, monkeypatch, capsys):
    for path in EXAMPLE.glob("*.[tm]*"):
        (tmp_path / path.name).write_text(smaller(path.read_text(encoding="utf-8")), encoding="utf-8")
    (tmp_path / "cochcnn-digits").mkdir()
    for name in ("model.toml", "weights.safetensors"):  # without a null distribution
        shutil.copy(zoo_folder() / "cochcnn-digits" / name, tmp_path / "cochcnn-digits")
    monkeypatch.chdir(tmp_path)
    for line in COMMANDS:
        assert main(shlex.split(small_command(line))[1:]) == 0
    assert "3 listeners, 5 trials each, 3 of them main trials: experiment" in capsys.readouterr().out
    trials = [row for row in read_table(tmp_path / "rehearsal" / "trials.tsv") if row["kind"] != "headphones"]
    assert {row["word"] for row in trials if row["kind"] == "main"} == {"two", "three", "five"}
    assert {row["word"] for row in trials if row["kind"] != "main"} == {"nine", "zero"}
    for listener in ("1", "2", "3"):
        heard = [row["word"] for row in trials if row["listener"] == listener]
        assert len({*heard}) == len(heard) == 5, "nobody hears a word twice"
    conditions = {row["layer"] for row in read_table(tmp_path / "analysis" / "recognition.tsv")}
    assert conditions == {"natural", "relu2"}
