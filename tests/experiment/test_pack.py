"""What is packed is whole, names no condition and no answer, and is what JATOS and PsychoPy read."""

import json
import shutil
import stat

import pytest
from command_line import refused
from tiny_experiment import DESIGN, SECRETS, build_experiment, wav_header

from audiometamer.cli import main
from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.pack import pack
from audiometamer.experiment.reading import read_experiment
from audiometamer.listening.list_names import list_name, list_names, list_token


def lists(folder):
    return {path.stem: json.loads(path.read_text()) for path in (folder / "lists").iterdir()}


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def words(experiment):
    return {entry.word for entry in experiment.key.values() if entry.word}


def contents(folder):
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
    for name, text in contents(folder).items():
        if name.startswith(("page/", "index.html")):
            continue  # the same for every experiment
        assert not [secret for secret in (*SECRETS, *words(experiment)) if secret in text], name
    for name in ("key.json", "names.key", "lists.json", "design.toml", "results.secret", "missing.tsv", "answers.db"):
        assert name not in {path.rpartition("/")[2] for path in files(folder)}


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
        assert not [name for name, text in contents(tmp_path / "page").items() if mark in text]


def test_the_same_experiment_is_packed_into_the_same_bytes(folder, tmp_path, static):
    pack(folder, tmp_path / "again", to="static")
    assert {name: (static / name).read_bytes() for name in files(tmp_path / "again")} == {
        name: (tmp_path / "again" / name).read_bytes() for name in files(tmp_path / "again")
    }
    for name in ("a.jzip", "b.jzip"):
        pack(folder, tmp_path / name, to="jatos")
    assert (tmp_path / "a.jzip").read_bytes() == (tmp_path / "b.jzip").read_bytes()


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
    output = capsys.readouterr().out
    assert "6 lists: page\nlinks, one for each listener, for your eyes only: page-links.tsv" in output
    assert "6 lists: study.jzip\nlinks, one for each listener, for your eyes only: study-links.tsv\n" in output
    assert "6 lists: psychopy\nthe condition files name right answers" in output
