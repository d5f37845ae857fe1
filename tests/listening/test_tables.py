"""The trial table and the table of listeners: what is written is read back, and what is wrong is reported in a line."""

import sys

import msgspec
import pytest
import tiny_answers

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.listening.tables import (
    LISTENER_COLUMNS,
    TRIAL_COLUMNS,
    ListenerRow,
    TrialRow,
    read_listeners,
    read_persons,
    read_trials,
    trial_frame,
    write_listeners,
    write_trials,
)


def test_columns():
    assert TRIAL_COLUMNS == (
        "listener", "trial", "kind", "stimulus", "clip", "model", "layer", "seed", "missing", "word", "speaker", "answer",
        "correct", "reaction_time_ms", "plays", "started", "answered", "network_correct", "browser", "playback",
        "confidence",
    )  # fmt: skip
    assert LISTENER_COLUMNS == (
        "listener", "group", "headphones_correct", "headphones_trials", "practice_correct", "finished", "excluded", "reason",
    )  # fmt: skip


def test_trials_come_back(tmp_path):
    trials = tiny_answers.answers(2, 2) + tiny_answers.check("1", "catch", 1, 2)
    write_trials(tmp_path / "trials.tsv", trials)
    header, first, *_ = (tmp_path / "trials.tsv").read_text().splitlines()
    assert header.split("\t") == list(TRIAL_COLUMNS)
    assert first.split("\t")[:9] == ["1", "1", "main", "s0001", "clip1", "", "natural", "", "false"]
    assert first.split("\t")[15] == "2026-11-02T12:00:06Z"
    assert read_trials(tmp_path / "trials.tsv") == trials


def test_listeners_come_back(tmp_path):
    listeners = [
        ListenerRow(listener="1", group="young", headphones_correct=5, headphones_trials=6, questionnaire={"age": "30"}),
        ListenerRow(listener="2", finished=True, excluded=True, reason="asleep", questionnaire={"age": "", "=ears": "-2"}),
    ]
    write_listeners(tmp_path / "listeners.tsv", listeners)
    first, second = read_listeners(tmp_path / "listeners.tsv")
    assert first == msgspec.structs.replace(listeners[0], questionnaire={"age": "30", "=ears": ""})
    assert second == listeners[1]


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        ("naïve Ω 語 👂🏽 ‮", "naïve Ω 語 👂🏽 ‮"),
        ('"quoted"', '"quoted"'),
        ("=cmd|' /C calc'!A0", "=cmd|' /C calc'!A0"),
        ("a\tb\nc\rd\x00e", "a b c d e"),
        ("half \ud83d", "half ?"),
    ],
)
def test_strange_answers(tmp_path, answer, read):
    trial = TrialRow(listener="1", trial=1, kind="practice", answer=answer, correct=False)
    write_trials(tmp_path / "trials.tsv", [trial])
    assert read_trials(tmp_path / "trials.tsv") == [msgspec.structs.replace(trial, answer=read)]
    assert len((tmp_path / "trials.tsv").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer": ""}, "line 3: listener 1, trial 2 is of the main part and names no layer"),
        ({"clip": ""}, "line 3: listener 1, trial 2 is of the main part and names no clip"),
        ({"layer": "relu0"}, "line 3: listener 1, trial 2 is a metamer at relu0 and names no model"),
        ({"trial": 1}, "line 3: listener 1, trial 1 is also in line 2; there must be one answer to each trial"),
        ({"answered": tiny_answers.NOON}, "was answered at 2026-11-02 12:00:00+00:00 before it started"),
    ],
)
def test_trials_that_cannot_be(tmp_path, change, message):
    first, second, *rest = tiny_answers.answers(1, 2)
    write_trials(tmp_path / "trials.tsv", [first, msgspec.structs.replace(second, **change), *rest])
    with pytest.raises(AudioMetamerError) as error:
        read_trials(tmp_path / "trials.tsv")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("correct", "perhaps", "line 2: correct is 'perhaps'; it must be true or false"),
        ("correct", "", "line 2: Object missing required field `correct`"),
        ("kind", "warm-up", "line 2: kind is 'warm-up'; it must be one of headphones, practice, demonstration, catch, main"),
        ("trial", "-1", "line 2: trial is '-1'; it must be a whole number >= 0"),
        ("reaction_time_ms", "-5", "line 2: reaction_time_ms is '-5'; it must be a number >= 0.0 (decimals after a point)"),
        ("reaction_time_ms", "812,5", "line 2: reaction_time_ms is '812,5'; it must be a number (decimals after a point)"),
        ("seed", "1.5", "line 2: seed is '1.5'; it must be a whole number"),
        (
            "started",
            "2026-11-02T12:00:06",
            "line 2: started is '2026-11-02T12:00:06'; it must be a time with its zone, as in 2026-",
        ),
        ("started", "noon", "line 2: started is 'noon'; it must be a time with its zone, as in 2026-11-02T12:00:06Z"),
    ],
)
def test_cells_that_cannot_be_read(tmp_path, column, cell, message):
    path = tmp_path / "trials.tsv"
    write_trials(path, tiny_answers.answers(1, 1))
    header, first, *_ = path.read_text().splitlines()
    cells = dict(zip(header.split("\t"), first.split("\t"), strict=True)) | {column: cell}
    path.write_text(header + "\n" + "\t".join(cells.values()) + "\n")
    with pytest.raises(AudioMetamerError) as error:
        read_trials(path)
    assert message in str(error.value)


def test_a_missing_column(tmp_path):
    (tmp_path / "trials.tsv").write_text("listener\ttrial\n1\t1\n")
    with pytest.raises(AudioMetamerError, match="has no column kind, correct; it has listener, trial"):
        read_trials(tmp_path / "trials.tsv")


def test_columns_that_are_empty_may_be_missing_and_others_are_ignored_with_a_notice(tmp_path):
    path = tmp_path / "trials.tsv"
    path.write_text(
        "correct\tlistener\taudio\ttrial \tkind\tclip\tlayer\ntrue\t1\t{}\t1\tmain\tc\tnatural\nfalse\t1\t{}\t2\tpractice\t\t \n"
    )
    with pytest.warns(AudioMetamerWarning, match=r"trials\.tsv: unknown columns are ignored: audio"):
        found = read_trials(path)
    assert found == [
        TrialRow(listener="1", trial=1, kind="main", clip="c", layer="natural", correct=True),
        TrialRow(listener="1", trial=2, kind="practice", correct=False),
    ]


def test_a_required_column_that_is_misspelt_is_named_with_the_nearest(tmp_path):
    (tmp_path / "trials.tsv").write_text("Listener\ttrail\tkind\tcorrect\n1\t1\tmain\ttrue\n")
    with pytest.raises(AudioMetamerError, match=r"no column listener \(nearest: Listener\), trial \(nearest: trail\); it has"):
        read_trials(tmp_path / "trials.tsv")


@pytest.mark.parametrize("name", ["trials.tsv", "trials.csv", "trials.txt"])
@pytest.mark.parametrize("separator", "\t,;")
@pytest.mark.parametrize("line", ["\n", "\r\n"])
def test_what_spreadsheets_export(tmp_path, name, separator, line):
    rows = [
        ["listener", "trial", "kind", "correct", "reaction_time_ms", "answer"],
        ["Zo\N{LATIN SMALL LETTER E WITH DIAERESIS}", "1", "practice", "TRUE", "812.5", '"one, two; three"'],
    ]
    text = "\ufeff" + "".join(separator.join(row) + line for row in rows)
    (tmp_path / name).write_text(text, newline="", encoding="utf-8")
    (trial,) = read_trials(tmp_path / name)
    assert (trial.listener, trial.correct, trial.reaction_time_ms) == ("Zo\N{LATIN SMALL LETTER E WITH DIAERESIS}", True, 812.5)
    assert trial.answer == "one, two; three"


def test_names_that_look_alike_are_equal(tmp_path):
    path = tmp_path / "listeners.tsv"
    path.write_text(
        "listener\tgroup\nZoe\N{COMBINING DIAERESIS}\tyoung \n 2\tvery\N{NO-BREAK SPACE} old\n3\t \n", encoding="utf-8"
    )
    assert [(one.listener, one.group) for one in read_listeners(path)] == [
        ("Zo\N{LATIN SMALL LETTER E WITH DIAERESIS}", "young"), ("2", "very old"), ("3", ""),
    ]  # fmt: skip
    trial = TrialRow(listener=" 2", trial=1, kind="main", clip="c", model="m ", layer=" relu0", correct=True)
    assert (trial.listener, trial.model, trial.layer) == ("2", "m", "relu0")


def test_a_column_of_listeners_that_is_nearly_known_is_not_passed_over(tmp_path):
    (tmp_path / "listeners.tsv").write_text("listener\tGroup\tage\n1\told\t70\n")
    with pytest.warns(AudioMetamerWarning) as notices:
        (found,) = read_listeners(tmp_path / "listeners.tsv")
    assert [str(notice.message).partition(": ")[2] for notice in notices] == [
        "column Group is taken for a question; if it is group, rename it"
    ]
    assert (found.group, found.questionnaire) == ("", {"Group": "old", "age": "70"})


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("listener\n1\n1\n", "line 3: listener 1 appears twice"),
        ("listener\theadphones_correct\n1\t5\n", "line 2: 5 right of 0 headphone trials"),
        ("name\n1\n", "has no column listener"),
    ],
)
def test_listeners_that_cannot_be(tmp_path, rows, message):
    (tmp_path / "listeners.tsv").write_text(rows)
    with pytest.raises(AudioMetamerError, match=message):
        read_listeners(tmp_path / "listeners.tsv")


def test_persons(tmp_path):
    (tmp_path / "participants.tsv").write_text("listener\tservice\tparticipant\tparameters\n1\tprolific\ta\t{}\n2\t\t\t{}\n")
    assert read_persons(tmp_path / "participants.tsv") == {"1": "prolific a"}


def test_frame():
    frame = trial_frame(tiny_answers.answers(2, 3))
    assert list(frame.columns) == list(TRIAL_COLUMNS)
    assert len(frame) == 2 * 4 * 3
    assert frame["correct"].dtype == bool


def test_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(AudioMetamerError) as error:
        trial_frame([])
    assert str(error.value) == "a data frame needs pandas; `pip install 'audiometamer[analysis]'` installs it"
