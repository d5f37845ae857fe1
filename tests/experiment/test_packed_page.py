"""The page as plain files is whole, and holds hashes in the place of answers."""

import json

from audiometamer.experiment.packed_page import answer_hash
from audiometamer.listening.list_names import list_names


def lists(folder):
    return {path.stem: json.loads(path.read_text()) for path in (folder / "lists").iterdir()}


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_only_what_the_page_must_judge_has_a_hash(static, experiment):
    salt = json.loads((static / "study.json").read_text())["salt"]
    for number, name in enumerate(list_names(experiment), start=1):
        packed = lists(static)[name]["trials"]
        for trial, shown in zip(experiment.trials(number), packed, strict=True):
            assert shown["kind"] == ("main" if trial.kind == "catch" else trial.kind)
            judged = trial.kind in ("headphones", "practice", "demonstration")
            right = answer_hash(salt, trial.stimulus, experiment.key[trial.stimulus].answer)
            assert shown.get("right") == (right if judged else None)
        assert {frozenset(shown) for shown in packed if shown["kind"] == "main"} == {frozenset({"trial", "kind", "stimulus"})}


def test_a_static_folder_is_the_page_with_all_its_files(static, experiment):
    found = files(static)
    assert {f"sounds/{name}.wav" for name in (*experiment.key, "calibrationnoise")} <= found
    assert "results.css" not in {name.rpartition("/")[2] for name in found}
    index = (static / "index.html").read_text()
    assert index.count('<meta name="transport" content="offline">') == 1
    assert "jatos.js" not in index
    assert "page/index.html" not in found
    study = json.loads((static / "study.json").read_text())
    assert study["gates"] == {
        "headphones": {"minimum": 1, "otherwise": "stop"}, "demonstration": {"minimum": 1, "otherwise": "stop"},
    }  # fmt: skip
    assert study["lists"] == []  # who has no token finds no list


def test_times_of_files_tell_nothing(static):
    assert len({path.stat().st_mtime_ns for path in static.rglob("*") if path.is_file()}) == 1
