"""Files of lines, plain or zipped: read within limits, listener by listener."""

import re
import zipfile

import pytest
from submission_files import header, lines, refusals, runs, zipped
from tiny_experiment import all_messages, contents

from audiometamer.errors import AudioMetamerError
from audiometamer.listening.collect import collect
from audiometamer.listening.reading import read_answers
from audiometamer.listening.store import Store


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
    change, reported = WRONG[wrong]
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
    assert re.search(reported, line), line
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
    assert refusals(experiment, store, path) == ([f"{path}, 1/data.txt appears 2 times"], [])
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
