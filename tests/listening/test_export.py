"""Tables of the answers: the columns that the analysis reads, and nothing that a spreadsheet would run."""

import csv
import io
import json
import shutil
import sqlite3
import stat

import msgspec
import pytest
from disks import Disk
from processes import finished, started
from tiny_experiment import LAYERS, answer_message, form_message, key_of

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.reading import read_experiment
from audiometamer.listening.enrolment import Participant
from audiometamer.listening.export import write_tables
from audiometamer.listening.messages import Message
from audiometamer.listening.reading import read_answers
from audiometamer.listening.received import EVENTS, LISTENERS, PARTICIPANTS, TRIALS
from audiometamer.listening.refusals import RefusedError
from audiometamer.listening.results import results_page
from audiometamer.listening.tables import read_listeners, read_trials
from audiometamer.listening.trials import Trial

# What the analysis reads
TRIAL_TABLE = (
    "listener trial kind stimulus clip model layer seed missing word speaker answer correct reaction_time_ms plays started "
    "answered network_correct browser playback confidence"
)
LISTENER_TABLE = "listener group headphones_correct headphones_trials practice_correct finished excluded reason"


def rows(text):
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter="\t"))


def keep(store, listener, message):
    return store.keep(listener, msgspec.convert(message, Message))


@pytest.fixture
def answered(store):
    """One listener who answered everything, the first trial of each kind wrongly, and one who only came."""
    person = Participant("prolific", "=cmd", {"STUDY_ID": "+1"})
    listener = store.listener(store.enrol(participant=person))
    keep(store, listener, form_message("consent"))
    keep(store, listener, form_message("browser", agent='Mozilla/5.0 "x"\t(y)'))
    seen = set()
    for trial in store.experiment.trials(1):
        entry = store.experiment.key[trial.stimulus]
        options = [option for option in store.experiment.options(trial) if option != entry.answer]
        keep(store, listener, answer_message(trial, entry.answer if trial.kind in seen | {"headphones"} else options[0]))
        seen.add(trial.kind)
    keep(store, listener, form_message("questions-after", age=-30, remarks="=HYPERLINK(1)\nfine\t\u2028\x00"))
    event = {"what": "missed load", "when": "2026-03-01T09:00:00Z", "trial": 3, "details": {"status": 500}}
    keep(store, listener, {"kind": "events", "key": key_of("events"), "events": [event, event | {"what": "blur"}]})
    store.enrol(group="simulated")
    return read_answers(store.path, store.experiment)


def test_the_table_of_trials(answered, experiment):
    text = answered.text(TRIALS)
    assert text.splitlines()[0] == TRIAL_TABLE.replace(" ", "\t")
    found = rows(text)
    trials = experiment.trials(1)
    assert [(int(row["trial"]), row["kind"], row["stimulus"]) for row in found] == [(t.trial, t.kind, t.stimulus) for t in trials]
    for row in found:
        entry = experiment.key[row["stimulus"]]
        assert (row["clip"], row["word"], row["speaker"]) == (entry.clip, entry.word, entry.speaker)
        assert row["correct"] == ("true" if row["answer"] == entry.answer else "false")
        assert (row["reaction_time_ms"], row["plays"], row["missing"]) == ("812.5", "1", "false")
        assert (row["started"], row["answered"]) == ("2026-03-01T09:00:00Z", "2026-03-01T09:00:02Z")
        assert json.loads(row["playback"]) == {"sample_rate": 48000}
        assert row["confidence"] == "", "nobody was asked"
        if entry.condition == "headphones":
            assert (row["layer"], row["model"], row["seed"], row["network_correct"]) == ("", "", "", "")
        elif entry.condition == "natural":
            assert (row["layer"], row["model"], row["seed"], row["network_correct"]) == ("natural", "", "", "")
        else:
            assert (row["model"], row["seed"]) == ("tiny", "0")
            assert row["layer"] in LAYERS
            assert row["network_correct"] == "false", "the tiny model says yes to everything"
    assert {row["correct"] for row in found if row["kind"] == "main"} == {"true", "false"}
    assert {row["kind"] for row in found} == {"headphones", "practice", "demonstration", "catch", "main"}


def test_the_table_of_listeners(answered):
    first, second = rows(answered.text(LISTENERS))
    assert " ".join(first).startswith(LISTENER_TABLE)
    assert first["group"] == ""
    assert (first["headphones_correct"], first["headphones_trials"], first["practice_correct"]) == ("2", "2", "0")
    assert (first["finished"], first["excluded"], first["reason"], first["age"]) == ("true", "false", "", "'-30")
    assert first["remarks"] == "'=HYPERLINK(1) fine \u2028 "
    assert (second["group"], second["finished"], second["age"]) == ("simulated", "false", "")
    assert (second["headphones_correct"], second["headphones_trials"]) == ("", "")  # the check was not given


def test_who_took_part_is_in_a_table_of_its_own(answered, tmp_path):
    write_tables(answered, tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out" / PARTICIPANTS).stat().st_mode) == 0o600
    first, _ = rows((tmp_path / "out" / PARTICIPANTS).read_text())
    assert (first["service"], first["participant"], first["parameters"]) == ("prolific", "'=cmd", '{"STUDY_ID":"+1"}')
    others = "".join(path.read_text() for path in (tmp_path / "out").iterdir() if path.name != PARTICIPANTS)
    assert "cmd" not in others
    events = rows((tmp_path / "out" / "events.tsv").read_text())
    assert [(row["listener"], row["trial"], row["what"]) for row in events] == [("1", "3", "missed load"), ("1", "3", "blur")]
    with pytest.raises(AudioMetamerError, match=r"trials\.tsv exists; nothing is overwritten"):
        write_tables(answered, tmp_path / "out")


def test_it_is_read_while_answers_come_in(store, answered):
    listener = 2
    keep(store, listener, form_message("consent"))
    with store.database.transaction() as db:
        db.execute("UPDATE listeners SET excluded = 'x' WHERE listener = 2")
        assert read_answers(store.path, store.experiment).enrolled[1].excluded is None


def test_answers_that_are_not_there(experiment, tmp_path):
    with pytest.raises(AudioMetamerError, match=r"answers\.db does not exist: nobody has answered yet"):
        read_answers(tmp_path / "answers.db", experiment)
    (tmp_path / "answers.db").write_bytes(b"x" * 5000)
    with pytest.raises(AudioMetamerError, match="cannot be read: file is not a database"):
        read_answers(tmp_path / "answers.db", experiment)


def test_the_analysis_reads_the_tables(answered, experiment, tmp_path):
    write_tables(answered, tmp_path)
    assert read_trials(tmp_path / TRIALS) == answered.trials
    first, second = read_listeners(tmp_path / LISTENERS)
    assert (first.finished, first.headphones_correct, first.questionnaire["age"]) == (True, 2, "-30")
    assert (second.group, second.finished, second.questionnaire["list"]) == ("simulated", False, "2")


def test_a_clock_that_was_set_back_does_not_spoil_the_table(store, tmp_path):
    listener = store.listener(store.enrol())
    keep(store, listener, form_message("consent"))
    trial = store.experiment.trials(1)[0]
    keep(store, listener, answer_message(trial, "1", answered="2026-03-01T08:00:00Z"))
    write_tables(read_answers(store.path, store.experiment), tmp_path)
    (read,) = read_trials(tmp_path / TRIALS)
    assert read.started is None
    assert read.reaction_time_ms == 812.5


BAD = ("9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00", "1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z")


@pytest.mark.parametrize("moment", BAD)
def test_dates_that_no_experiment_has_are_refused(store, moment):
    listener = store.listener(store.enrol())
    keep(store, listener, form_message("consent"))
    trial = store.experiment.trials(1)[0]
    event = {"kind": "events", "key": key_of("events"), "events": [{"what": "blur", "when": moment}]}
    for message in (answer_message(trial, "1", started=moment), answer_message(trial, "1", answered=moment), event):
        with pytest.raises(RefusedError, match="a date outside the years 1970 to 2199"):
            keep(store, listener, message)
    assert store.state(listener).next == 1


@pytest.mark.parametrize("moment", BAD)
def test_rows_that_were_kept_before_are_named_and_their_cells_are_empty(answered, store, experiment, moment):
    with sqlite3.connect(store.path) as db:
        replaced = "replace(replace(content, '2026-03-01T10:00:00+01:00', :bad), '2026-03-01T09:00:02Z', :bad)"
        db.execute(f"UPDATE messages SET content = {replaced} WHERE kind = 'answer' AND trial = 2", {"bad": moment})
        db.execute("UPDATE messages SET content = replace(content, '2026-03-01T09:00:00Z', ?) WHERE kind = 'events'", (moment,))
        db.execute("UPDATE messages SET content = '{' WHERE kind = 'answer' AND trial = 3")
    found = read_answers(store.path, experiment)
    row = rows(found.text(TRIALS))[1]
    assert (row["trial"], row["started"], row["answered"]) == ("2", "", "")
    assert row["correct"] == rows(answered.text(TRIALS))[1]["correct"]
    assert [one["when"] for one in rows(found.text(EVENTS))] == ["", ""]
    assert len(rows(found.text(TRIALS))) == len(rows(answered.text(TRIALS))) - 1
    broken, *dated = found.notices
    assert broken.startswith(f"listener 1, message {key_of('trial', 3)}: it cannot be read and is left out")
    assert sorted(dated) == [
        f"listener 1, {what}: a date outside the years 1970 to 2199; its cell is empty"
        for what in (f"message {key_of('events')}", "trial 2")
    ]
    assert all(notice.replace("'", "&#x27;") in results_page("x", found) for notice in dated)


GARBAGE = [
    "", "{", "null", "[]", "\x00", "[" * 50_000, '{"kind": "answer"}', '{"kind": "other"}', b"\xff\xfe", "9" * 5000,
    answer_message(Trial(99, "main", "x"), "apple"), answer_message(Trial(3, "main", "x"), "apple"),
    form_message("level", volume=float("inf")),
]  # fmt: skip


@pytest.mark.parametrize("content", GARBAGE)
def test_whatever_a_row_holds_the_others_are_read_and_it_is_named(answered, store, experiment, content):
    text = json.dumps(content) if isinstance(content, dict) else content
    with sqlite3.connect(store.path) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute("UPDATE messages SET content = CAST(? AS TEXT) WHERE kind = 'answer' AND trial = 3", (text,))
    found = read_answers(store.path, experiment)
    (notice,) = found.notices
    assert notice.startswith(f"listener 1, message {key_of('trial', 3)}: it cannot be read and is left out: ")
    assert len(notice) < 300
    assert rows(found.text(TRIALS)) == [row for row in rows(answered.text(TRIALS)) if row["trial"] != "3"]
    assert results_page("x", found)


@pytest.mark.parametrize("number", [0, -1, 7, 2**62])
def test_a_listener_of_a_list_that_is_not_there_is_named(answered, store, experiment, number):
    with sqlite3.connect(store.path) as db:
        db.execute("UPDATE listeners SET list = ? WHERE listener = 1", (number,))
    found = read_answers(store.path, experiment)
    assert found.notices == [f"listener 1 has list {number} of 6; all their answers are left out"]
    assert [row["listener"] for row in rows(found.text(LISTENERS))] == ["2"]
    assert results_page("x", found)


def test_forms_are_in_the_order_in_which_they_came_whatever_the_clock_said(store, experiment):
    listener = store.listener(store.enrol())
    for k, age in enumerate((30, 31)):
        keep(store, listener, {**form_message("questions-after", age=age), "key": key_of(k)})
        with sqlite3.connect(store.path) as db:
            db.execute("UPDATE messages SET received = ? WHERE key = ?", (f"20{30 - k}-01-01T00:00:00.000Z", key_of(k)))
    assert rows(read_answers(store.path, experiment).text(LISTENERS))[0]["age"] == "31"


def exported_from_a_read_only_disk(folder, files, out):
    disk = Disk(out.with_name("disk"))
    for path in files:
        shutil.copy(path, disk.folder)
    disk.make_read_only()
    answers = read_answers(disk.folder / "answers.db", read_experiment(folder))
    write_tables(answers, out)
    (out / "notices.txt").write_text("\n".join(answers.notices))


@pytest.mark.parametrize(
    ("ends", "complete"), [(("", "-wal", "-shm"), True), (("", "-wal"), True), (("",), False), (("", "closed"), True)]
)
def test_it_is_read_where_nothing_can_be_written(answered, store, experiment, tmp_path, ends, complete):
    files = [store.path.with_name(store.path.name + end) for end in ends if end != "closed"]
    if "closed" in ends:
        store.close()
    elif not complete:
        store.database.checkpoint()
    out = tmp_path / "out"
    process = started(exported_from_a_read_only_disk, experiment.folder, files, out, output=tmp_path / "output.txt")
    assert finished(process) == 0, (tmp_path / "output.txt").read_text()
    assert (out / TRIALS).read_text(encoding="utf-8") == answered.text(TRIALS)
    reported = "" if complete else "answers.db has no answers.db-wal beside it: if it was copied while in use, the answers of"
    assert (out / "notices.txt").read_text().startswith(reported)
    assert bool(reported) == bool((out / "notices.txt").read_text())
