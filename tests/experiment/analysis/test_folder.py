"""The folder of an analysis: what is written, and what is in it."""

import csv
import re

import matplotlib.image
import pytest
from tiny_answers import LAYERS, answers, check

from audiometamer.experiment.analysis.analyse import analyse
from audiometamer.experiment.analysis.chance import Chance
from audiometamer.experiment.analysis.folder import ANOVA_COLUMNS, write_recognition_analysis
from audiometamer.io.tables import read_table
from audiometamer.listening.exclusions import ExclusionRules
from audiometamer.listening.tables import ListenerRow, read_listeners, read_trials

FAST = {"resamples": 200, "permutations": 50}


@pytest.mark.parametrize(
    "accuracy",
    [
        {"natural": 1.5, "relu0": 1.5, "final": 1.5},
        {"natural": -1, "relu0": -1, "final": -1},
        {"natural": 1.5, "relu0": -1, "final": -1},
    ],
)
@pytest.mark.parametrize("listeners", [1, 2, 5])
def test_nothing_that_is_no_number_is_reported_as_a_result(tmp_path, accuracy, listeners):
    """All right, all wrong, all alike; one listener, two, several."""
    groups = [ListenerRow(listener=str(k + 1), group="ab"[k % 2]) for k in range(listeners)]
    found = analyse(answers(listeners, 3, accuracy=accuracy, network=1.0), groups, **FAST)
    paths = write_recognition_analysis(found, tmp_path)
    for path in paths:
        if path.suffix in (".txt", ".tsv"):
            assert not re.search(r"\b(nan|inf|None)\b|p = 0(?![.\d])|100\.0–100\.0|\t0\.0*\t0\.0*\t", path.read_text()), path
    words = found.summary()
    assert words.count("not computed") >= len(found.tests)
    why = "a single listener" if listeners == 1 else "no variance"
    assert f"not computed: {why}" in words
    rows = read_table(tmp_path / "anova.tsv", required=ANOVA_COLUMNS)
    assert {row["test"] for row in rows} == set(found.tests)
    assert all(bool(row["f"]) != bool(row["note"]) for row in rows)
    assert all(row.low is None and row.high is None for row in found.recognition)
    note = "no interval: a single listener" if listeners == 1 else "no interval: all alike"
    assert {row.note for row in found.recognition} == {note}


def test_what_is_written(tmp_path):
    trials = answers(6, 5, models=("one", "two")) + check("6", "catch", 0, 16)
    found = analyse(trials, [ListenerRow(listener="1", questionnaire={"age": "30"})], rules=ExclusionRules(catch=0.75), **FAST)
    paths = write_recognition_analysis(found, tmp_path, chance=Chance(1 / 16))
    assert [path.name for path in paths] == [
        "trials.tsv", "listeners.tsv", "sample.tsv", "recognition.tsv", "anova.tsv", "recognition.png", "recognition.pdf",
        "recognition.svg", "summary.txt",
    ]  # fmt: skip
    assert read_trials(paths[0]) == found.trials
    assert [listener.reason for listener in read_listeners(paths[1])][-1] == "catch: 0 of 16 right"
    with paths[3].open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert list(rows[0]) == [
        "model", "layer", "observer", "value", "low", "high", "listeners", "trials", "missing", "note", "source",
    ]  # fmt: skip
    assert {row["note"] for row in rows if row["observer"] == "network" and row["layer"] == "natural"} == {"no trials"}
    assert [row["layer"] for row in rows[:4]] == ["natural", *LAYERS]
    assert float(rows[0]["value"]) == pytest.approx(found.recognition[0].value, rel=1e-5)
    with paths[4].open(newline="") as file:
        effects = list(csv.DictReader(file, delimiter="\t"))
    first = found.tests["listeners, one"].effects[0]
    assert (effects[0]["test"], effects[0]["name"], effects[0]["listeners"]) == ("listeners, one", "layer", "5")
    assert float(effects[0]["f"]) == pytest.approx(first.f, rel=1e-5)
    words = paths[-1].read_text()
    assert words.startswith(
        "6 listeners enrolled, 6 started; finished: not recorded; 1 excluded: 1 by catch trials (less than 75 % right); 5 "
        "analysed.\nHeadphone check: not given.\n"
        "Not in the table of listeners, though with trials: 5 listeners (2, 3, 4, 5, 6).\n"
    )
    assert f"layer: F(3, 12) = {first.f:.5g}" in words
    assert "Noise ceiling" in words
    assert "\nChance: 6.25 % (as given).\n" in words
    picture = matplotlib.image.imread(paths[5])
    assert picture.shape[1] > 2.5 * picture.shape[0]  # two models and their comparison, side by side
    assert picture.min() < 0.5 < picture.max()
