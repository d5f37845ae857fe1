"""``audiometamer experiment analyse`` and ``power``: what they write and print, and one line for everything that is wrong."""

from pathlib import Path

import msgspec
import pytest
import tiny_answers
from command_line import refused
from tiny_published import write_matrix

from audiometamer.cli import main
from audiometamer.listening.tables import ListenerRow, write_listeners, write_trials
from audiometamer.published.listeners import published_listeners

FAST = ("--resamples", "100", "--permutations", "20")


@pytest.fixture(autouse=True)
def in_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trials = tiny_answers.answers(6, 4) + tiny_answers.check("2", "headphones", 3, 6)
    write_trials(Path("trials.tsv"), trials)
    write_listeners(Path("listeners.tsv"), [ListenerRow(listener="1", excluded=True, reason="asleep")])
    Path("key.json").write_text('{"s0001": {"word": "three", "recognised_by": {"one": "three"}}}')


def test_analyse(capsys):
    options = (
        "--listeners",
        "listeners.tsv",
        "--key",
        "key.json",
        "--layers",
        "relu0,relu1,final",
        "--logistic",
        "--bids",
        *FAST,
    )
    assert main(["experiment", "analyse", "trials.tsv", *options]) == 0
    output = capsys.readouterr().out
    assert "2 excluded: 1 by the experimenter; 1 at the headphone check (fewer than 5 right); 4 analysed." in output
    assert "Headphone check: 1 failed, 5 not given." in output
    assert "Analysis of variance: listeners and network, one" in output
    assert sorted(path.name for path in Path("analysis").iterdir()) == [
        ".lock", "anova.tsv", "bids", "listeners.tsv", "logistic.tsv", "recognition.pdf", "recognition.png", "recognition.svg",
        "recognition.tsv", "sample.tsv", "summary.txt", "trials.tsv",
    ]  # fmt: skip
    assert Path("analysis/summary.txt").read_text() in output
    assert "holds an analysis; choose another --out, or --overwrite it" in refused(capsys, "experiment", "analyse", "trials.tsv")
    assert main(["experiment", "analyse", "trials.tsv", "--headphones", "0", "--overwrite", *FAST]) == 0
    assert "6 listeners with answers; finished: not recorded; none excluded; 6 analysed." in capsys.readouterr().out


def test_published_listeners_beside_ones_own(capsys, monkeypatch):
    monkeypatch.setenv("AUDIOMETAMER_HOME", "home")
    file = write_matrix(".")
    published_listeners(Path(), Path("home/data/feather2023/listeners"))
    asked = ("--beside", "feather2023", "--beside", str(file))
    assert main(["experiment", "analyse", "trials.tsv", *asked, *FAST]) == 0
    output = capsys.readouterr().out
    assert output.count("\nBeside one: 4 listeners who heard metamers of cochcnn9 (Feather et al. 2023, ") == 2
    assert "summary.txt" in output.splitlines()[-1]
    assert "beside.json" in output.splitlines()[-1]
    wrong = refused(capsys, "experiment", "analyse", "trials.tsv", "--beside", "feather2023/resnet", "--overwrite")
    assert "feather2023/resnet: no listeners of resnet; there are experiment1, cochcnn9" in wrong


def test_rules_that_are_asked_for(capsys):
    Path("participants.tsv").write_text("listener\tservice\tparticipant\n3\tprolific\ta\n4\tprolific\ta\n5\t\t\n6\t\t\n")
    asked = ("--participants", "participants.tsv", "--fastest", "920", "--chance", "0.0625")  # medians are of 901 to 916 ms
    assert "6 by reaction time (median below 920 ms)" in refused(capsys, "experiment", "analyse", "trials.tsv", *asked)
    assert main(["experiment", "analyse", "trials.tsv", *asked[:2], *asked[4:], *FAST]) == 0
    output = capsys.readouterr().out
    assert "2 excluded: 1 at the headphone check (fewer than 5 right); 1 for taking part again; 4 analysed." in output
    assert "Chance: 6.25 % (as given)." in output


def test_layers_of_the_zoo_come_in_their_own_order(capsys):
    trials = [
        msgspec.structs.replace(trial, model="cochcnn-digits" if trial.model else "")
        for trial in reversed(tiny_answers.answers(3, 2))
    ]
    write_trials(Path("trials.tsv"), trials)
    assert main(["experiment", "analyse", "trials.tsv", *FAST]) == 0
    rows = Path("analysis/recognition.tsv").read_text().splitlines()
    assert [row.split("\t")[1] for row in rows[1:5]] == ["natural", "relu0", "relu1", "final"]


def test_what_cannot_be_analysed(capsys):
    assert "nothing.tsv cannot be read as a table" in refused(capsys, "experiment", "analyse", "nothing.tsv")
    assert "has no column headphones" not in refused(capsys, "experiment", "analyse", "key.json")
    assert "its layers are given as relu0" in refused(capsys, "experiment", "analyse", "trials.tsv", "--layers", "relu0")
    assert "is not the key of an experiment" in refused(capsys, "experiment", "analyse", "trials.tsv", "--key", "trials.tsv")
    assert "Invalid value for '--catch'" in refused(capsys, "experiment", "analyse", "trials.tsv", "--catch", "16")


def test_power(capsys):
    arguments = ("--trials", "20", "--experiments", "200", "--spread", "0.3")
    assert main(["experiment", "power", "--accuracy", "0.7,0.5", *arguments]) == 0
    output = capsys.readouterr().out.splitlines()
    assert output[0] == "listeners  power"
    assert output[-1].endswith("of experiments")
    needed = int(output[-1].split()[0])
    assert any(line.split()[0] == str(needed) for line in output[1:-1])
    two = ("--accuracy", "0.9,0.5", "--accuracy", "0.9,0.2", "--effect", "layer*model")
    assert main(["experiment", "power", *two, *arguments]) == 0


def test_powers_that_cannot_be(capsys):
    assert "--accuracy takes a number for each layer" in refused(
        capsys, "experiment", "power", "--accuracy", "a,b", "--trials", "4"
    )
    several = ("--accuracy", "0.9,0.5", "--accuracy", "0.9,0.5,0.1")
    assert "--accuracy of 2 and 3 layers" in refused(capsys, "experiment", "power", *several, "--trials", "4")
    assert "4 listeners have a power of" in refused(
        capsys, "experiment", "power", "--accuracy", "0.5,0.5", "--trials", "4", "--most", "4"
    )
