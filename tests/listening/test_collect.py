"""Answers from elsewhere: each listener on their own list, each answer once, and errors that name the file."""

import itertools
import os
from pathlib import Path

import pytest
from command_line import refused
from submission_files import refusals
from tiny_experiment import all_messages, answer_message, build_experiment, contents, key_of, wrong

from audiometamer.cli import main
from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.reading import read_experiment
from audiometamer.listening.collect import collect
from audiometamer.listening.reading import read_answers
from audiometamer.listening.store import Store


def test_each_listener_on_their_own_list_whatever_the_order_of_files(experiment, saved, tmp_path):
    paths = [saved(number) for number in (5, 2, 3)]
    found = []
    for k, order in enumerate(itertools.permutations(paths)):
        store = Store(tmp_path / f"{k}.db", experiment)
        taken = collect(experiment, order, store)
        assert [(one.number, one.answers) for one in taken] == [(n, len(experiment.trials(n))) for n in (2, 3, 5)]
        found.append([contents(store), read_answers(store.path, experiment).trials])
        store.close()
    assert all(other == found[0] for other in found)
    assert all(trial.correct for trial in found[0][1])


def test_the_same_file_again_changes_nothing_and_a_longer_one_goes_on(experiment, store, saved):
    trials = experiment.trials(4)
    collect(experiment, [saved(4, all_messages(experiment, 4, n=5)[:-1])], store)
    assert store.state(1).next == 6
    path = saved(4)
    for _ in range(2):
        (one,) = collect(experiment, [path, path], store)[:1]
        assert (one.listener, one.answers) == (1, len(trials))
    assert len(contents(store)) == len(trials) + 2
    assert len(read_answers(store.path, experiment).enrolled) == 1


def test_a_changed_file_is_refused_with_its_name_and_changes_nothing(experiment, store, saved):
    collect(experiment, [saved(1)], store)
    before = contents(store)
    messages = all_messages(experiment, 1)
    messages[4] = answer_message(experiment.trials(1)[3], wrong(experiment, experiment.trials(1)[3]))
    changed = saved(1, messages, name="changed.jsonl")
    with pytest.raises(
        AudioMetamerError, match=r"changed\.jsonl, list 1: another message was kept under this key; nothing of this"
    ):
        collect(experiment, [changed], store)
    assert contents(store) == before


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        (lambda m: m[1:], "there was no consent"),
        (lambda m: [*m[:3], *m[4:]], "it is the turn of trial 3"),
        (lambda m: [*m[:3], {**m[3], "key": key_of("other")}, *m[3:]], "trial 3 is answered"),
        (lambda m: [*m[:3], {**m[3], "stimulus": m[4]["stimulus"]}, *m[4:]], "trial 3 plays another sound"),
        (lambda m: [*m[:3], {**m[3], "answer": "nothing"}, *m[4:]], "this is none of the possible answers"),
        (lambda m: [*m[:-1], {**m[-1], "content": {"age": "old"}}], "the answer to age must be a number"),
        (lambda m: [*m[:3], {**m[3], "answered": "9999-12-31T23:59:59-01:00"}, *m[4:]], "it holds a date outside the years"),
        (lambda m: [*m, {**m[-2], "trial": 99, "key": key_of("more")}], "there is no trial 99; there are 14"),
    ],
)
def test_what_the_server_would_refuse_is_refused_all_messages(experiment, store, saved, change, reported):
    path = saved(2, change(all_messages(experiment, 2)))
    with pytest.raises(AudioMetamerError, match=rf"answers-2\.jsonl, list 2: {reported}.*; nothing of this listener was taken"):
        collect(experiment, [path], store)
    assert contents(store) == []
    assert read_answers(store.path, experiment).enrolled == []


def test_a_list_has_one_listener_unless_who_had_it_was_stopped(experiment, store, saved, tmp_path):
    first = saved(3, listener="first")
    second = saved(3, listener="second", name="second.jsonl")
    with pytest.raises(AudioMetamerError, match=r"second\.jsonl, list 3: list 3 has another listener; nothing"):
        collect(experiment, [second, first], store)
    stopped = saved(3, all_messages(experiment, 3, answer=wrong, n=2), listener="zero", name="stopped.jsonl")
    for order in ([first, stopped], [stopped, first]):
        other = Store(tmp_path / f"{order[0].name}.db", experiment)
        assert [one.number for one in collect(experiment, order, other)] == [3, 3]
        assert sorted(one.excluded for one in read_answers(other.path, experiment).listeners) == [False, True]
        assert other.state(other.listener(other.enrol())).number == 1
        other.close()


def test_a_listener_has_one_list(experiment, store, saved):
    with pytest.raises(AudioMetamerError, match=r"answers-2\.jsonl, list 2: listener 1 has list 1, not list 2"):
        collect(experiment, [saved(1, listener="same"), saved(2, listener="same")], store)


def test_lists_that_were_collected_are_not_given_again(experiment, store, saved):
    collect(experiment, [saved(1), saved(3)], store)
    assert [store.state(store.listener(store.enrol())).number for _ in range(2)] == [2, 4]


@pytest.mark.parametrize(
    ("content", "reported"),
    [
        (b"", "holds no answers"),
        (b"\n\n", "holds no answers"),
        (b"\xff\xfe", "cannot be read"),
        (b"{", "line 1 is no line of a file of answers"),
        (b"[" * 100_000, "line 1 is no line of a file of answers"),
        (b'{"kind": "drop"}', "line 1 is no line of a file of answers"),
        (b'{"kind": "form", "key": "0123456789abcdef", "form": "consent"}', r"line \d+: nothing says whose answers these are"),
        (b'{"kind": "listener", "audiometamer": "1", "service": "static", "list": "0a1b", "listener": "x"}',
         "line 1: list '0a1b' is none of this experiment's"),
        (b"PK\x03\x04 not a zip", "line 1 is no line of a file of answers"),
    ],
)  # fmt: skip
def test_files_that_are_none(experiment, store, tmp_path, content, reported):
    path = tmp_path / "odd.jsonl"
    path.write_bytes(content)
    with pytest.raises(AudioMetamerError, match=rf"odd\.jsonl.*{reported}") as found:
        collect(experiment, [path], store)
    assert "\n" not in str(found.value)
    assert contents(store) == []


def test_a_file_that_is_cut_off_is_refused(experiment, store, saved):
    path = saved(1)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(AudioMetamerError, match=r"answers-1\.jsonl, line 17 is no line of a file of answers"):
        collect(experiment, [path], store)


def test_files_that_are_not_there(experiment, store, tmp_path):
    for path, reported in (
        (tmp_path / "none.jsonl", "No such file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "none.csv", "No such"),
    ):
        with pytest.raises(AudioMetamerError, match=f"{path} cannot be read.*{reported}"):
            collect(experiment, [path], store, response="key_resp.keys")


def test_answers_of_another_experiment(experiment, store, saved, tmp_path):
    other = read_experiment(build_experiment(tmp_path / "other"))
    with pytest.raises(AudioMetamerError, match=r"answers-1\.jsonl, line 1: list .* is none of this experiment's"):
        collect(other, [saved(1)], Store(tmp_path / "other.db", other))


def test_pipes_and_devices_are_not_waited_for(experiment, store, tmp_path, saved):
    os.mkfifo(tmp_path / "fifo")
    reported, taken = refusals(experiment, store, tmp_path / "fifo", Path("/dev/zero"), tmp_path, tmp_path / "no", saved(1))
    assert [line.split(": ")[1] for line in reported] == [
        *["it is a pipe or a device, not a file"] * 2, "Is a directory", "No such file or directory"
    ]  # fmt: skip
    assert taken == [1]


@pytest.mark.parametrize("listener", ["undefined", "", " ", "{{%PROLIFIC_PID%}}", "x" * 257])
def test_answers_of_nobody_are_refused(experiment, store, saved, listener):
    with pytest.raises(AudioMetamerError, match=r"answers-1\.jsonl: static does not say who this is: its participant is '"):
        collect(experiment, [saved(1, listener=listener)], store)
    assert contents(store) == []


def test_the_command(own, experiment, saved, capsys):
    assert main(["experiment", "collect", str(own), str(saved(2)), str(saved(1))]) == 0
    reported = capsys.readouterr().out.splitlines()
    assert [line.split(" from ")[0] for line in reported] == ["listener 1, list 1: 14 answers", "listener 2, list 2: 14 answers"]
    assert main(["experiment", "export", str(own), "--out", str(own / "tables")]) == 0
    assert "28 answers of 2 listeners" in capsys.readouterr().out
    (own / "empty.jsonl").touch()
    assert "holds no answers" in refused(capsys, "experiment", "collect", own, own / "empty.jsonl")
    assert "it is a pipe or a device, not a file" in refused(capsys, "experiment", "collect", own, "/dev/zero")
    path = saved(3)
    path.write_bytes(path.read_bytes()[:-20])
    assert main(["experiment", "collect", str(own), str(path), "/dev/zero", str(saved(4))]) == 2
    reported = capsys.readouterr()
    assert reported.out.startswith("listener 3, list 4: 14 answers")
    assert "answers-3.jsonl, line 17 is no line" in reported.err.splitlines()[0]
    assert reported.err.splitlines()[1:] == [
        "audiometamer: error: /dev/zero cannot be read: it is a pipe or a device, not a file; 1 more refused, above"
    ]
    assert "Missing argument" in refused(capsys, "experiment", "collect", own)
