"""The whole analysis: what it leaves out, what it writes, and that others can read it."""

import re

import msgspec
import pytest
import tiny_listeners

from audiometamer.errors import AudioMetamerError
from audiometamer.exploration.analysis.analyse import analyse, catch_criterion, levels, summary, write_analysis
from audiometamer.exploration.analysis.sensitivity import Decision
from audiometamer.exploration.simulate import simulate
from audiometamer.exploration.trials import read_answered_trials
from audiometamer.io.tables import read_table
from audiometamer.psychophysics import d_prime

DECISION = Decision()
DIMENSIONS = ("relu0/0/+", "relu0/0/-", "relu2/0/+")


def explored(listeners=2):
    ladder = tiny_listeners.ladder(DIMENSIONS)
    course = tiny_listeners.course(ladder, max_trials=25)
    known = tiny_listeners.sensitivities(ladder, {"relu0/0/+": 0.4, "relu0/0/-": 0.8, "relu2/0/+": 60.0}, DECISION.d_prime)
    trials = [trial for number in range(1, listeners + 1) for trial in simulate(course, number, known, DECISION, seed=2)]
    return trials, course


def test_what_is_written(tmp_path):
    trials, course = explored()
    found = analyse(trials, procedures=course.schedule.procedures, resamples=10)
    paths = write_analysis(found, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)
    main = [trial for trial in trials if trial.kind == "main"]
    assert [(each.listener, each.trial, each.correct) for each in read_answered_trials(tmp_path / "trials.tsv")] == [
        (each.listener, each.trial, each.correct) for each in main
    ]
    rows = read_table(tmp_path / "thresholds.tsv")
    assert [(row["dimension"], row["listener"]) for row in rows] == [(name, who) for name in DIMENSIONS for who in ("", "1", "2")]
    assert sum(int(row["trials"]) for row in rows if not row["listener"]) == len(main)
    for row in rows:
        assert float(row["low"] or 0) <= float(row["threshold"]) <= float(row["high"] or "inf")
        assert (row["low"] == "", row["high"] == "") == (row["no_end"] in ("low", "both"), row["no_end"] in ("high", "both"))
    assert any(row["no_end"] == "high" for row in rows if row["dimension"] == "relu2/0/+")  # no change of it is heard
    for path in tmp_path.glob("*.t??"):
        assert not re.search(r"\b(nan|inf)\b", path.read_text()), path
    assert len(read_table(tmp_path / "layers.tsv")) == 2 * 3 * 3 - 3  # relu2 has one sign
    assert len(read_table(tmp_path / "comparisons.tsv")) == 3
    assert (tmp_path / "summary.txt").read_text() == summary(found)


def test_the_same_seed_tells_the_same():
    trials, course = explored()
    first, second = (analyse(trials, procedures=course.schedule.procedures, resamples=10, seed=4) for _ in range(2))
    assert first.thresholds == second.thresholds


@pytest.mark.parametrize(("task", "least"), [("abx-differencing", 3 / 4), ("oddity-independent", 2 / 3)])
def test_of_catch_trials_more_are_to_be_right_than_by_guessing(task, least):
    assert catch_criterion(Decision(task=task)) == pytest.approx(least)


def test_who_fails_the_catch_trials_is_left_out():
    trials, _ = explored(3)
    one = next(trial for trial in trials if trial.listener == "3" and trial.kind == "main")
    for k in range(40):
        trials.append(msgspec.structs.replace(one, trial=1000 + k, kind="catch", answer="0", correct=False))
    found = analyse(trials, resamples=0)
    assert {trial.listener for trial in found.trials} == {"1", "2"}
    assert summary(found).startswith(
        "3 listeners with answers; finished: not recorded; 1 excluded: 1 by catch trials (less than 75 % right); 2 analysed.\n"
        "Headphone check: not given.\n"
        f"{len(found.trials)} trials of 3 dimensions. Threshold: the reached change at which 0.794 is correct, d′ = 2.40"
    )
    assert "relu2/0/+" in summary(found)


def test_a_dimension_that_tells_nothing_is_seen_everywhere(tmp_path):
    trials = [
        msgspec.structs.replace(trial, reached=-trial.reached) if trial.dimension == "relu2/0/+" else trial
        for trial in explored()[0]
    ]
    found = analyse(trials, resamples=0)
    (line,) = (line for line in summary(found).splitlines() if line.strip().startswith("relu2/0/+"))
    assert line == "  relu2/0/+  not measured: no sound went to this side (no interval; 2, 50)"
    assert {(each.layer, each.dimensions, each.left_out) for each in found.layers if each.layer == "relu2"} == {("relu2", 0, 1)}
    write_analysis(found, tmp_path)
    (row,) = (row for row in read_table(tmp_path / "thresholds.tsv") if (row["dimension"], row["listener"]) == ("relu2/0/+", ""))
    assert (row["threshold"], row["low"], row["snr_db"], row["flag"]) == ("", "", "", "backwards")


def test_answers_that_are_all_right_measure_nothing():
    trials = [msgspec.structs.replace(trial, answer=trial.right, correct=True) for trial in explored(1)[0]]
    words = summary(analyse(trials, resamples=0))
    assert words.count("not measured: outside the changes that were presented (up to ") == 3
    assert "Differences between listeners were not computed: no two heard the same dimension" in words
    assert "relu0 (0 dimensions): no threshold, no SNR, no modulation distance; left out: 2" in words


def test_the_decision_is_of_the_task():
    trials = [msgspec.structs.replace(trial, task="odd-one-out") for trial in explored()[0]]
    assert analyse(trials, resamples=0).decision.task == "oddity-differencing"
    assert analyse(trials, decision=Decision(task="oddity-independent"), resamples=0).decision.task == "oddity-independent"
    with pytest.raises(AudioMetamerError, match="listeners' task was odd-one-out; abx-differencing is not a model of it"):
        analyse(trials, decision=DECISION)
    with pytest.raises(AudioMetamerError, match="there are no trials to analyse"):
        analyse([])


def test_sounds_made_for_one_trial_are_reported_together():
    """In thirds of octaves from 1: 2^(-1/3) = 0.793701, 2^(-2/3) = 0.629961."""
    one = next(trial for trial in explored()[0] if trial.kind == "main")
    made = {"online": (0.64, 0.62, 0.75, 0.8), "ladder": (0.8, 0.66), "fallback": (0.66,)}
    trials = [
        msgspec.structs.replace(one, way=way, made=change, reached=2 * change) for way, own in made.items() for change in own
    ]
    found = [(row.made, row.trials, row.reached) for row in levels(trials, DECISION)]
    assert found == [
        (0.629961, 2, pytest.approx(1.26)), (0.66, 2, pytest.approx(1.32)), (0.793701, 2, pytest.approx(1.55)), (0.8, 1, 1.6),
    ]  # fmt: skip


def test_levels_tell_proportions_and_d_prime():
    trials = [trial for trial in explored()[0] if trial.kind == "main"]
    rows = levels(trials, DECISION)
    assert [(row.dimension, row.made) for row in rows] == sorted({(trial.dimension, trial.made) for trial in trials})
    assert sum(row.correct for row in rows) == sum(trial.correct for trial in trials)
    for row in rows:
        assert row.proportion == row.correct / row.trials
        if row.proportion >= 0.98:
            assert row.d_prime is None
        elif row.proportion <= 0.5:
            assert row.d_prime == 0.0
        else:
            assert row.d_prime == float(d_prime(row.proportion, task="abx-differencing", lapse=0.02))
