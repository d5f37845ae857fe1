"""The condition files are what PsychoPy reads."""

import csv

from tiny_experiment import SECRETS

from audiometamer.experiment.pack import pack


def test_condition_files_for_psychopy(folder, experiment, tmp_path):
    pack(folder, tmp_path / "psychopy", to="psychopy")
    assert not [
        name for name in (*SECRETS, "catch") for path in (tmp_path / "psychopy" / "lists").iterdir() if name in path.read_text()
    ]
    for number in range(1, 7):
        with (tmp_path / "psychopy" / "lists" / f"list_{number:03d}.csv").open() as file:
            rows = list(csv.DictReader(file))
        for trial, row in zip(experiment.trials(number), rows, strict=True):
            assert (tmp_path / "psychopy" / row["stim_file"]).is_file()
            assert (row["stim_id"], int(row["trial"]), int(row["list"])) == (trial.stimulus, trial.trial, number)
            assert row["correct_answer"] == experiment.key[trial.stimulus].answer
            assert row["options"] == ("['1', '2', '3']" if trial.kind == "headphones" else "")
            assert all(column.isidentifier() for column in row)  # PsychoPy makes each a variable
    assert (tmp_path / "psychopy" / "answers.txt").read_text().split() == experiment.answers
    assert "names right answers" in (tmp_path / "psychopy" / "README.md").read_text()
