"""Answers from elsewhere: each listener on their own list, each answer once, and whatever is wrong told with the file's name."""

import csv
import itertools
import json
import os
import re
import zipfile
from pathlib import Path

import pytest
from command_line import refused
from tiny_experiment import all_messages, answer_message, build_experiment, contents, key_of, wrong

from audiometamer.cli import main
from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.pack import pack
from audiometamer.experiment.reading import read_experiment
from audiometamer.listening.collect import RefusalsError, collect
from audiometamer.listening.list_names import list_names
from audiometamer.listening.reading import read_answers
from audiometamer.listening.store import Store


def header(experiment, number, **changes):
    told = {
        "kind": "listener", "audiometamer": "1.0", "service": "static", "list": list_names(experiment)[number - 1],
        "listener": f"listener{number}",
    }  # fmt: skip
    return {**told, **changes}


def lines(messages):
    return "".join(json.dumps(message) + "\n" for message in messages)


@pytest.fixture
def saved(experiment, tmp_path):
    """Write a file as the page saves it."""

    def write(number, messages=None, *, name=None, **changes):
        path = tmp_path / (name or f"answers-{number}.jsonl")
        told = [header(experiment, number, **changes), *(all_messages(experiment, number) if messages is None else messages)]
        path.write_text(lines(told), encoding="utf-8")
        return path

    return write


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
    ("change", "told"),
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
def test_what_the_server_would_refuse_is_refused_all_messages(experiment, store, saved, change, told):
    path = saved(2, change(all_messages(experiment, 2)))
    with pytest.raises(AudioMetamerError, match=rf"answers-2\.jsonl, list 2: {told}.*; nothing of this listener was taken"):
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
    ("content", "told"),
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
def test_files_that_are_none(experiment, store, tmp_path, content, told):
    path = tmp_path / "odd.jsonl"
    path.write_bytes(content)
    with pytest.raises(AudioMetamerError, match=rf"odd\.jsonl.*{told}") as found:
        collect(experiment, [path], store)
    assert "\n" not in str(found.value)
    assert contents(store) == []


def test_a_file_that_is_cut_off_is_refused(experiment, store, saved):
    path = saved(1)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(AudioMetamerError, match=r"answers-1\.jsonl, line 17 is no line of a file of answers"):
        collect(experiment, [path], store)


def test_files_that_are_not_there(experiment, store, tmp_path):
    for path, told in (
        (tmp_path / "none.jsonl", "No such file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "none.csv", "No such"),
    ):
        with pytest.raises(AudioMetamerError, match=f"{path} cannot be read.*{told}"):
            collect(experiment, [path], store, response="key_resp.keys")


def test_answers_of_another_experiment(experiment, store, saved, tmp_path):
    other = read_experiment(build_experiment(tmp_path / "other"))
    with pytest.raises(AudioMetamerError, match=r"answers-1\.jsonl, line 1: list .* is none of this experiment's"):
        collect(other, [saved(1)], Store(tmp_path / "other.db", other))


def test_results_of_jatos_as_text_or_zipped(experiment, tmp_path):
    """A page that is started again begins a new result; the zip has a file for each, the text all one after the other."""
    whose = [header(experiment, n, service="jatos", listener=f"worker{n}") for n in (1, 2)]
    one, two = all_messages(experiment, 1), all_messages(experiment, 2)
    results = {(9, 9): [whose[0], *one[:4]], (10, 10): [whose[1], *two], (9, 100): [whose[0], one[3], *one[4:]]}
    text = tmp_path / "results.txt"
    text.write_text(" ".join(lines(result) + "\n" for result in results.values()), encoding="utf-8")
    zipped = tmp_path / "results.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        for (study, component), result in reversed(results.items()):
            archive.writestr(f"study_result_{study}/comp-result_{component}/data.txt", lines(result))
        archive.writestr("metadata.json", "{}")
        archive.writestr("study_result_11/comp-result_11/data.txt", "")
    for path in (text, zipped):
        store = Store(tmp_path / f"{path.name}.db", experiment)
        taken = collect(experiment, [path], store)
        assert [found.number for found in taken] == [1, 2]
        assert all(listener.finished for listener in read_answers(store.path, experiment).listeners)
        assert [row.service for row in read_answers(store.path, experiment).participants] == ["jatos", "jatos"]
        store.close()


def test_zips_that_cannot_be_read(experiment, store, tmp_path, monkeypatch):
    path, name = tmp_path / "results.zip", "study_result_1/comp-result_1/data.txt"

    def line():
        with pytest.raises(AudioMetamerError, match=r"results\.zip") as found:
            collect(experiment, [path], store)
        return str(found.value)

    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, lines([header(experiment, 1), *all_messages(experiment, 1)]))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(whole[100:110], b"0123456789"))
    assert "data.txt cannot be read" in line()
    locked = bytearray(whole)
    for mark in (whole.index(b"PK\x03\x04") + 6, whole.index(b"PK\x01\x02") + 8):
        locked[mark] |= 1  # the flag of a password
    path.write_bytes(locked)
    assert "password" in line()
    path.write_bytes(whole)
    monkeypatch.setattr("audiometamer.listening.submissions.MAX_BYTES", 1000)
    assert "data.txt: " in line()
    assert contents(store) == []


def runs(experiment, n=6, **entries):
    """Results of JATOS by the name of their entry: of each listener one, and `entries` in the place of some."""
    whole = {
        f"study_result_{k}/comp-result_{k}/data.txt": lines([
            header(experiment, k, service="jatos"), *all_messages(experiment, k)
        ])
        for k in range(1, n + 1)
    }  # fmt: skip
    return {**whole, **{f"study_result_{k[1:]}/comp-result_{k[1:]}/data.txt": content for k, content in entries.items()}}


def zipped(path, entries, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def refusals(experiment, store, *files, **asked):
    """What was refused, and the lists that were taken all the same."""
    with pytest.raises(RefusalsError) as found:
        collect(experiment, files, store, **asked)
    assert all("\n" not in line and len(line) < 400 for line in found.value.refusals)
    taken = [one.number for one in found.value.taken]
    assert {*taken} <= {one.list for one in read_answers(store.path, experiment).enrolled}
    return found.value.refusals, taken


WRONG = {
    "junk": (lambda text: text.replace("\n", "\n{oops\n", 3), r"line \d+ is no line of a file of answers"),
    "order": (lambda text: "\n".join([*text.split("\n")[:3], *text.split("\n")[4:]]), "it is the turn of trial 2"),
    "cut": (lambda text: text[:-20], "is no line of a file of answers"),
    "no header": (lambda text: text.partition("\n")[2], r"line \d+: nothing says whose answers these are"),
    "other list": (lambda text: text.replace('"list": "', '"list": "0'), "is none of this experiment's"),
    "other service": (lambda text: text.replace('"jatos"', '"prolific"'), "Invalid enum value 'prolific'"),
    "nobody": (lambda text: text.replace('"listener4"', '"undefined"'), "does not say who this is"),
    "not UTF-8": (lambda text: text.encode() + b'{"\xff', r"line \d+ cannot be read"),
    "surrogate": (lambda text: text.replace('"listener4"', '"\\ud800"'), "is no line of a file of answers"),
    "long line": (lambda text: text + " " * 9 + "x" * (1 << 17) + "x\n", r"line \d+ has more than 131072 bytes"),
    "endless line": (lambda text: text + "x" * (3 << 20), r"line \d+ has more than 131072 bytes"),
    "long name": (lambda text: text.replace('"listener4"', f'"{"x" * 100_000}"'), "does not say who this is"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("form", ["zip", "text"])
def test_one_listener_with_whom_something_is_wrong_stops_nobody(experiment, store, tmp_path, wrong, form):
    change, told = WRONG[wrong]
    entries = runs(experiment)
    if form == "text" and wrong == "no header":
        entries = {k: v for k, v in entries.items() if "_3/" not in k}  # or they would seem to be of the listener before
        entries = dict(sorted(entries.items(), key=lambda item: "_4/" not in item[0]))
    entries = {k: change(v) if "_4/" in k else v for k, v in entries.items()}
    if form == "zip":
        path = zipped(tmp_path / "results.zip", entries)
    else:
        path = tmp_path / "results.txt"
        path.write_bytes(b"\n".join(v if isinstance(v, bytes) else v.encode() for v in entries.values()))
    (line,), taken = refusals(experiment, store, path)
    assert re.search(told, line), line
    assert taken == [
        number for number in range(1, 7) if f"study_result_{number}/comp-result_{number}/data.txt" in entries and number != 4
    ]


def test_zips_that_are_made_to_do_harm(experiment, store, tmp_path, monkeypatch):
    """Newlines by the million, a size that lies, names as numbers without end, the same name twice, and ways of packing."""
    path = tmp_path / "results.zip"
    bomb = zipped(path, runs(experiment, _4=b"\n" * (20 << 20)))
    (line,), taken = refusals(experiment, store, bomb)
    assert ("20971520 bytes are too many" in line, taken) == (True, [1, 2, 3, 5, 6])
    blank = zipped(path, runs(experiment, _4=b" \n" * (6 << 20)))
    assert collect(experiment, [blank], store) == collect(experiment, [zipped(path, runs(experiment, _4=""))], store)
    name = f"study_result_{'9' * 5000}/data.txt"
    (line,), taken = refusals(experiment, store, zipped(path, runs(experiment) | {name: "x"}))
    assert ("is no line of a file" in line, taken) == (True, [1, 2, 3, 4, 5, 6])
    lying = bytearray(zipped(path, {"1/data.txt": "\n" * 5000, "2/data.txt": "\n"}).read_bytes())
    for mark in (lying.index(b"PK\x03\x04") + 22, lying.index(b"PK\x01\x02") + 24):
        lying[mark : mark + 4] = (10).to_bytes(4, "little")
    path.write_bytes(lying)
    assert "1/data.txt cannot be read: Bad CRC-32" in refusals(experiment, store, path)[0][0]
    zipped(path, {"1/data.txt": "", "2/data.txt": "x"})
    path.write_bytes(path.read_bytes().replace(b"2/data.txt", b"1/data.txt"))
    assert refusals(experiment, store, path) == ([f"{path}, 1/data.txt is there 2 times"], [])
    for packed in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert "not packed as JATOS packs" in refusals(experiment, store, zipped(path, runs(experiment, 1), packed))[0][0]
    monkeypatch.setattr("audiometamer.listening.submissions._MAX_ENTRIES", 10)
    (line,), taken = refusals(experiment, store, zipped(path, {f"{k}/data.txt": "" for k in range(11)}))
    assert ("it has 11 entries; at most 10 are read" in line, taken) == (True, [])


def test_all_files_together_are_bounded(experiment, store, saved, monkeypatch):
    paths = [saved(number) for number in (1, 2, 3)]
    monkeypatch.setattr("audiometamer.listening.submissions.MAX_BYTES", 2 * paths[0].stat().st_size + 100)
    (line,), taken = refusals(experiment, store, *paths)
    assert ("answers-3.jsonl cannot be read: with it, more than" in line, taken) == (True, [1, 2])


def test_one_listener_is_bounded(experiment, store, saved, monkeypatch):
    long = saved(2, name="long.jsonl")
    monkeypatch.setattr("audiometamer.listening.submissions._MAX_LISTENER_BYTES", long.stat().st_size // 2)
    path = saved(1, all_messages(experiment, 1, n=3)[:-1])
    path.write_bytes(path.read_bytes() + long.read_bytes())
    (line,), taken = refusals(experiment, store, path)
    assert ("the answers of one listener have more than" in line, taken) == (True, [1])


def test_pipes_and_devices_are_not_waited_for(experiment, store, tmp_path, saved):
    os.mkfifo(tmp_path / "fifo")
    told, taken = refusals(experiment, store, tmp_path / "fifo", Path("/dev/zero"), tmp_path, tmp_path / "no", saved(1))
    assert [line.split(": ")[1] for line in told] == [
        *["it is a pipe or a device, not a file"] * 2, "Is a directory", "No such file or directory"
    ]  # fmt: skip
    assert taken == [1]


@pytest.mark.parametrize("listener", ["undefined", "", " ", "{{%PROLIFIC_PID%}}", "x" * 257])
def test_answers_of_nobody_are_refused(experiment, store, saved, listener):
    with pytest.raises(AudioMetamerError, match=r"answers-1\.jsonl: static does not say who this is: its participant is '"):
        collect(experiment, [saved(1, listener=listener)], store)
    assert contents(store) == []


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
    ("change", "told"),
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
def test_what_is_wrong_with_results_of_psychopy(experiment, store, ran, change, told):
    path = ran(2, change=lambda row: row.update(change))
    with pytest.raises(AudioMetamerError, match=rf"p1\.csv.*{told}"):
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


def test_the_command(own, experiment, saved, capsys):
    assert main(["experiment", "collect", str(own), str(saved(2)), str(saved(1))]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split(" from ")[0] for line in told] == ["listener 1, list 1: 14 answers", "listener 2, list 2: 14 answers"]
    assert main(["experiment", "export", str(own), "--out", str(own / "tables")]) == 0
    assert "28 answers of 2 listeners" in capsys.readouterr().out
    (own / "empty.jsonl").touch()
    assert "holds no answers" in refused(capsys, "experiment", "collect", own, own / "empty.jsonl")
    assert "it is a pipe or a device, not a file" in refused(capsys, "experiment", "collect", own, "/dev/zero")
    path = saved(3)
    path.write_bytes(path.read_bytes()[:-20])
    assert main(["experiment", "collect", str(own), str(path), "/dev/zero", str(saved(4))]) == 2
    told = capsys.readouterr()
    assert told.out.startswith("listener 3, list 4: 14 answers")
    assert "answers-3.jsonl, line 17 is no line" in told.err.splitlines()[0]
    assert told.err.splitlines()[1:] == [
        "audiometamer: error: /dev/zero cannot be read: it is a pipe or a device, not a file; 1 more refused, above"
    ]
    assert "Missing argument" in refused(capsys, "experiment", "collect", own)
