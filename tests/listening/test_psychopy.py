"""Files of PsychoPy's runs."""

import csv
import json

import pytest
from submission_files import refusals
from tiny_experiment import contents

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.pack import pack
from audiometamer.listening.collect import collect
from audiometamer.listening.reading import read_answers


@pytest.fixture
def ran(folder, experiment, tmp_path):
    """What PsychoPy saves: the columns of the condition file, its own, and rows without a trial beside the loop."""
    pack(folder, tmp_path / "psychopy", to="psychopy")

    def run(number, *, participant="p1", change=lambda _row: None, name=None):
        with (tmp_path / "psychopy" / "lists" / f"list_{number:03d}.csv").open() as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            row |= {"trials.thisN": int(row["trial"]) - 1, "key_resp.keys": row["correct_answer"], "key_resp.rt": "0.8125"}
            change(row)
        path = tmp_path / (name or f"{participant}.csv")
        extra = {"participant": participant, "date": "2026-03-01_10h15.30.123", "expName": "words", "psychopyVersion": "2024.2.4"}
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys([*rows[0], *extra])), restval="")
            writer.writeheader()
            writer.writerows([extra, *(extra | row for row in rows), extra])
        return path

    return run


def test_results_of_psychopy(experiment, store, ran):
    path = ran(2)
    for _ in range(2):
        (one,) = collect(experiment, [path], store, response="key_resp.keys")
        assert (one.listener, one.number, one.answers) == (1, 2, len(experiment.trials(2)))
    (again,) = collect(experiment, [ran(2, participant=" p1 ")], store, response="key_resp.keys")
    assert again.listener == 1
    answers = read_answers(store.path, experiment)
    assert answers.listeners[0].finished
    assert {trial.reaction_time_ms for trial in answers.trials} == {812.5}
    assert [trial.kind for trial in answers.trials] == [trial.kind for trial in experiment.trials(2)]
    assert all(trial.correct for trial in answers.trials)
    assert json.loads(answers.trials[0].playback) == {"source": "PsychoPy"}


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        ({"key_resp.keys": "nothing"}, "list 2: this is none of the possible answers"),
        ({"key_resp.rt": ""}, "trial '1' .*could not convert"),
        ({"key_resp.rt": "-1"}, "trial '1' .*>= 0"),
        ({"trial": "one"}, "trial 'one'"),
        ({"stim_id": "zzz"}, "list 2: trial 1 plays another sound"),
        ({"list": "9"}, "participant 'p1' and list '9' are none of this experiment's"),
        ({"list": "two"}, "participant 'p1' and list 'two' are none"),
        ({"participant": "undefined"}, "participant 'undefined' and list '2' are none of this experiment's"),
        ({"date": "0001-01-01_00h00.00.000"}, "a date outside the years 1970 to 2199|date is '0001"),
        ({"date": "9999-12-31_23h59.59.000"}, "a date outside the years 1970 to 2199|date is '9999"),
        ({"stim_id": ""}, "must hold the trials of one participant, date and list"),
    ],
)
def test_what_is_wrong_with_results_of_psychopy(experiment, store, ran, change, reported):
    path = ran(2, change=lambda row: row.update(change))
    with pytest.raises(AudioMetamerError, match=rf"p1\.csv.*{reported}"):
        collect(experiment, [path], store, response="key_resp.keys")
    assert contents(store) == []


@pytest.mark.parametrize(
    "change",
    [{"list": "9" * 5000}, {"list": "²"}, {"list": "٢"}, {"trial": "9" * 5000}, {"key_resp.rt": "nan"}, {"key_resp.rt": "inf"}],
)
def test_numbers_that_psychopy_does_not_write(experiment, store, ran, change):
    good = ran(3, participant="p3")
    bad = ran(2, change=lambda row: row.update(change))
    (line,), taken = refusals(experiment, store, bad, good, response="key_resp.keys")
    assert (line.startswith(str(bad)), taken) == (True, [3])


def test_csv_with_a_field_without_end(experiment, store, tmp_path, monkeypatch):
    path = tmp_path / "p.csv"
    path.write_bytes(b'participant,date,list\x00,trial\np,"' + b"x" * 200_000 + b'",1,1\n')
    assert "field larger than field limit" in refusals(experiment, store, path, response="a.keys")[0][0]
    monkeypatch.setattr("audiometamer.listening.psychopy._MAX_BYTES", 1000)
    assert "bytes are too many; at most 1000 are read" in refusals(experiment, store, path, response="a.keys")[0][0]


def test_columns_and_dates_that_psychopy_does_not_write(experiment, store, ran, capsys):
    path = ran(2)
    with pytest.raises(AudioMetamerError, match="say which column holds the answers"):
        collect(experiment, [path], store)
    with pytest.raises(AudioMetamerError, match=r"has no column typed\.text, typed\.rt"):
        collect(experiment, [path], store, response="typed.text")
    (one,) = collect(experiment, [path], store, response="correct_answer", reaction_time="key_resp.rt")
    assert one.number == 2
    path.write_text(path.read_text(encoding="utf-8").replace("2026-03-01_10h15.30.123", "yesterday"), encoding="utf-8")
    with pytest.raises(AudioMetamerError, match="date is 'yesterday'; it must be as PsychoPy writes it"):
        collect(experiment, [path], store, response="key_resp.keys")
