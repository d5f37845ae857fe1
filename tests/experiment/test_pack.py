"""What is packed is whole, names no condition and no answer, and is what JATOS and PsychoPy read."""

import csv
import json
import shutil
import stat
import uuid
import zipfile

import pytest
from command_line import refused
from tiny_experiment import DESIGN, SECRETS, build_experiment, wav_header

from audiometamer.cli import main
from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.pack import pack
from audiometamer.experiment.packed_page import answer_hash
from audiometamer.experiment.reading import read_experiment
from audiometamer.listening.list_names import list_name, list_names, list_token


def lists(folder):
    return {path.stem: json.loads(path.read_text()) for path in (folder / "lists").iterdir()}


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def words(experiment):
    return {entry.word for entry in experiment.key.values() if entry.word}


def told(folder):
    """All that lies in a folder, by name: texts as they are, of a WAV what is no sample; without texts and closed list."""
    found = {}
    for name in files(folder) - {"study.json"}:
        content = (folder / name).read_bytes()
        found[name] = name + (wav_header(content) if name.endswith(".wav") else content.decode())
    study = json.loads((folder / "study.json").read_text())
    del study["texts"], study["task"]["answers"]
    return {**found, "study.json": json.dumps(study)}


@pytest.mark.parametrize("form", ["static", "jatos"])
def test_nothing_in_it_names_a_condition_or_an_answer(experiment, request, form):
    folder = request.getfixturevalue(form)
    for name, text in told(folder).items():
        if name.startswith(("page/", "index.html")):
            continue  # the same for every experiment
        assert not [secret for secret in (*SECRETS, *words(experiment)) if secret in text], name
    for name in ("key.json", "names.key", "lists.json", "design.toml", "results.secret", "missing.tsv", "answers.db"):
        assert name not in {path.rpartition("/")[2] for path in files(folder)}


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


def test_links_lie_beside_it_for_the_experimenter_alone(folder, experiment, tmp_path):
    links = pack(folder, tmp_path / "page", to="static", address="https://hear.example/x/").links
    assert links == tmp_path / "page-links.tsv"
    assert stat.S_IMODE(links.stat().st_mode) == 0o600
    rows = [line.split("\t") for line in links.read_text().splitlines()]
    assert rows[0] == ["list", "link"]
    for number, (listed, link) in enumerate(rows[1:], start=1):
        assert int(listed) == number
        address, _, mark = link.partition("#")
        assert address == "https://hear.example/x/"
        assert mark == list_token(experiment, number)
        assert (tmp_path / "page" / "lists" / f"{list_name(mark)}.json").is_file()
        assert not [name for name, text in told(tmp_path / "page").items() if mark in text]


def test_the_same_experiment_is_packed_into_the_same_bytes(folder, tmp_path, static):
    pack(folder, tmp_path / "again", to="static")
    assert {name: (static / name).read_bytes() for name in files(tmp_path / "again")} == {
        name: (tmp_path / "again" / name).read_bytes() for name in files(tmp_path / "again")
    }
    for name in ("a.jzip", "b.jzip"):
        pack(folder, tmp_path / name, to="jatos")
    assert (tmp_path / "a.jzip").read_bytes() == (tmp_path / "b.jzip").read_bytes()


def test_a_study_is_what_jatos_imports(folder, experiment, tmp_path):
    """As its documentation describes an archive: one folder of assets, one .jas beside it, version 3 of its properties."""
    pack(folder, tmp_path / "study.jzip", to="jatos")
    with zipfile.ZipFile(tmp_path / "study.jzip") as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        (jas,) = [name for name in names if name.endswith(".jas")]
        study = json.loads(archive.read(jas))
        (assets,) = {name.split("/")[0] for name in names} - {jas}
        index = archive.read(f"{assets}/index.html").decode()
        lists = json.loads(archive.read(f"{assets}/study.json"))["lists"]
    assert index.index('content="offline"') < index.index('<script src="jatos.js"></script>') < index.index("</html>")
    assert lists == []  # nor does anybody find one here without a link
    assert study["version"] == "3"
    data = study["data"]
    assert (data["title"], data["dirName"]) == ("Words in noise", assets)
    (component,), (batch,) = data["componentList"], data["batchList"]
    assert (component["htmlFilePath"], component["reloadable"], component["active"]) == ("index.html", True, True)
    assert "PersonalMultiple" in batch["allowedWorkerTypes"]
    for part in (data, component, batch):
        assert str(uuid.UUID(part["uuid"])) == part["uuid"]
    assert len({part["uuid"] for part in (data, component, batch)}) == 3


def test_links_to_a_study_are_for_one_list_each(folder, experiment, tmp_path):
    study = "https://jatos.example/publix/AB"
    for address, before in (
        ("", "?list="),
        (study, f"{study}?list="),
        (f"{study}?PROLIFIC_PID=P", f"{study}?PROLIFIC_PID=P&list="),
    ):
        links = pack(folder, tmp_path / f"{len(before)}.jzip", to="jatos", address=address).links
        assert links == tmp_path / f"{len(before)}-links.tsv"
        assert stat.S_IMODE(links.stat().st_mode) == 0o600
        rows = [line.split("\t") for line in links.read_text().splitlines()]
        assert rows == [["list", "link"], *([str(n), before + list_token(experiment, n)] for n in range(1, 7))]


def test_a_study_for_all_has_no_links_and_others_cannot_be_for_all(folder, experiment, tmp_path, jatos_for_all):
    assert json.loads((jatos_for_all / "study.json").read_text())["lists"] == list_names(experiment)
    assert pack(folder, tmp_path / "study.jzip", to="jatos", any_list=True).links is None
    assert [path.name for path in tmp_path.iterdir()] == ["study.jzip"]
    with pytest.raises(AudioMetamerError, match="only JATOS hands out lists by itself"):
        pack(folder, tmp_path / "page", to="static", any_list=True)


def test_times_of_files_tell_nothing(static):
    assert len({path.stat().st_mtime_ns for path in static.rglob("*") if path.is_file()}) == 1


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


def test_options_of_a_trial_and_pictures_are_packed(tmp_path):
    text = DESIGN + '\n[answers]\nkind = "choice"\nalternatives = 3\npictures = "pictures"\n'
    (tmp_path / "pictures").mkdir()
    for word in ["apple", "bread", "chair", "dog", "eagle", "fish", "goat", "house", "ink", "juice", "kite", "lamp"]:
        (tmp_path / "pictures" / f"{word}.png").write_bytes(b"png of " + word.encode())
    experiment = read_experiment(build_experiment(tmp_path, text))
    pack(experiment.folder, tmp_path / "static", to="static")
    assert (tmp_path / "static" / "pictures" / "2.png").read_bytes() == b"png of bread"
    packed = lists(tmp_path / "static")[list_names(experiment)[0]]["trials"]
    assert [trial.get("options", []) for trial in packed] == [trial.options for trial in experiment.trials(1)]
    pack(experiment.folder, tmp_path / "psychopy", to="psychopy")
    assert str(experiment.trials(1)[-1].options) in (tmp_path / "psychopy" / "lists" / "list_001.csv").read_text()


def test_nothing_is_overwritten(folder, tmp_path, capsys):
    (tmp_path / "there").mkdir()
    (tmp_path / "page-links.tsv").write_text("mine")
    for name in ("there", "page"):
        assert "exists; nothing is overwritten" in refused(
            capsys, "experiment", "pack", folder, "--to", "static", "--out", tmp_path / name
        )
    assert (tmp_path / "page-links.tsv").read_text() == "mine"
    assert not (tmp_path / "page").exists()


def test_bad_inputs_leave_nothing_behind(folder, own, tmp_path, capsys):
    out = tmp_path / "out"

    def line(experiment, name="out", to="static"):
        found = refused(capsys, "experiment", "pack", experiment, "--to", to, "--out", out / name)
        assert not out.exists() or not list(out.iterdir())
        return found

    assert "is no experiment: it has no lists.json" in line(tmp_path)
    assert "does not exist; build the experiment again" in line(own)  # a copy without its sounds
    shutil.copytree(folder / "sounds", own / "sounds", dirs_exist_ok=True)
    assert "must end in .jzip" in line(own, "study.zip", "jatos")
    (own / "page" / "index.html").write_text("<p>something else</p>")
    assert "is not the page of an experiment; build the experiment again" in line(own)
    assert "is not the page of an experiment" in line(own, "study.jzip", "jatos")
    (own / "page" / "index.html").unlink()
    assert "cannot be read; build the experiment again" in line(own)
    (own / "results.secret").unlink()
    assert "results.secret cannot be read" in line(own)
    with pytest.raises(AudioMetamerError, match="'qualtrics' is no format to pack into; there are static, jatos, psychopy"):
        pack(folder, out, to="qualtrics")


def test_the_command_says_what_is_where(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for to, out in (("static", "page"), ("jatos", "study.jzip"), ("psychopy", "psychopy")):
        assert main(["experiment", "pack", str(folder), "--to", to, "--out", out]) == 0
    told = capsys.readouterr().out
    assert "6 lists: page\nlinks, one for each listener, for your eyes only: page-links.tsv" in told
    assert "6 lists: study.jzip\nlinks, one for each listener, for your eyes only: study-links.tsv\n" in told
    assert "6 lists: psychopy\nthe condition files name right answers" in told
