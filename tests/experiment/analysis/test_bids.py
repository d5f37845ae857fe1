"""Answers as BIDS takes them."""

import csv
import json

import pytest
from tiny_answers import answers, check

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.analysis.bids import write_beh
from audiometamer.listening.tables import ListenerRow


def listeners(*names):
    return [ListenerRow(listener=name, finished=True) for name in names]


def test_what_is_written(tmp_path):
    listeners_in_words = [
        ListenerRow(listener="1", group="young", questionnaire={"age": "30"}),
        ListenerRow(listener="2", excluded=True, reason="asleep"),
    ]
    write_beh(tmp_path, answers(2, 2) + check("2", "catch", 1, 2), listeners_in_words)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == [
        "README.md", "dataset_description.json", "participants.json", "participants.tsv",
        "sub-1/beh/sub-1_task-recognition_beh.tsv", "sub-2/beh/sub-2_task-recognition_beh.tsv", "task-recognition_beh.json",
    ]  # fmt: skip
    with (tmp_path / "participants.tsv").open(newline="") as file:
        first, second = csv.DictReader(file, delimiter="\t")
    assert (first["participant_id"], first["group"], first["age"], first["reason"]) == ("sub-1", "young", "30", "n/a")
    assert (second["excluded"], second["reason"], second["age"]) == ("true", "asleep", "n/a")
    with (tmp_path / "sub-2/beh/sub-2_task-recognition_beh.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == 4 * 2 + 2
    assert [rows[1][name] for name in ("onset", "duration", "trial", "trial_type", "layer", "seed", "response_time")] == [
        "6", "4", "2", "main", "natural", "n/a", "0.902",
    ]  # fmt: skip
    assert rows[-1]["trial_type"] == "catch"
    assert rows[-1]["onset"] == "n/a"
    assert all(cell for row in rows for cell in row.values())


def test_every_column_is_described(tmp_path):
    write_beh(tmp_path, answers(1, 1), [ListenerRow(listener="1", questionnaire={"age": "30"})])
    for table, sidecar in (
        ("participants.tsv", "participants.json"),
        ("sub-1/beh/sub-1_task-recognition_beh.tsv", "task-recognition_beh.json"),
    ):
        header = (tmp_path / table).read_text().splitlines()[0].split("\t")
        output = json.loads((tmp_path / sidecar).read_text())
        assert header == list(output)
        assert all(column["Description"] for column in output.values())
    about = json.loads((tmp_path / "dataset_description.json").read_text())
    assert {"Name", "BIDSVersion", "DatasetType"} <= set(about)


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (("a-1", "a1"), {}, "would be sub-a1 in a BIDS data set, as 'a-1'; names must differ in their letters and digits"),
        (("語",), {}, "listener '語' would be sub- in a BIDS data set; names must differ in their letters and digits"),
        (("1",), {"task": "my task"}, "task 'my task' of a BIDS data set; it takes letters and digits only"),
        (("1",), {}, "holds sub-2, of another experiment; choose another folder"),
    ],
)  # fmt: skip
def test_what_cannot_be_written(tmp_path, names, options, message):
    (tmp_path / "sub-2").mkdir()
    with pytest.raises(AudioMetamerError) as error:
        write_beh(tmp_path, answers(1, 1), listeners(*names), **options)
    assert message in str(error.value)
