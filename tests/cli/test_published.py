"""The commands of published networks: the list, questions before anything large, and what --model offers."""

import json

import pytest
from command_line import refused
from look_alikes import files, networks, served

import audiometamer as am
from audiometamer.cli import fetching, main

FIRST = "feather2023/cochcnn9"
NOT_HERE = f"{FIRST} is not here yet: `audiometamer published get {FIRST}` fetches it"


@pytest.fixture(scope="module")
def archives():
    return files(networks())


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOMETAMER_HOME", str(tmp_path / "home"))


@pytest.fixture
def server(archives, tmp_path, monkeypatch):
    with served(archives, tmp_path, monkeypatch) as server:
        yield server


@pytest.fixture
def answer(monkeypatch):
    """A terminal at which questions get this answer; the questions."""
    asked = []

    def at_terminal(yes):
        def confirm(question, **_):
            asked.append(question)
            return yes

        monkeypatch.setattr(fetching, "interactive", lambda: True)
        monkeypatch.setattr(fetching.click, "confirm", confirm)
        return asked

    return at_terminal


def test_the_list(capsys):
    assert main(["published", "list"]) == 0
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines()]
    assert ["feather2023/cochresnet50", "100.7", "MB", "9.4", "GB"] in rows
    assert ["tuckute2023/audioset-labels", "27.0", "kB"] in rows
    assert len([row for row in rows if row and "/" in row[0] and row[0][0] != "`"]) >= 69
    assert max(map(len, printed.splitlines())) <= 110
    assert main(["published", "list", "spectemp"]) == 0
    assert "feather2023/spectemp: Spectrotemporal filters" in " ".join(capsys.readouterr().out.split())
    assert main(["published", "list", "SPECTEMP", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out).values()
    assert (entry["member"], entry["here"]) == ("spectemp_model.pt", False)


def test_names_that_are_not_there(capsys):
    assert "nothing published contains 'vision'" in refused(capsys, "published", "list", "vision")
    assert "did you mean 'feather2023/cochcnn9'" in refused(capsys, "published", "get", "feather2023/cochcnn")
    assert "did you mean 'feather2023/cochcnn9'" in refused(capsys, "published", "get", "cochcnn9")
    assert "no published network or data set is called" in refused(capsys, "published", "clean", "feather2023/cochcnn")


def test_what_is_large_is_asked_for(capsys, server, answer):
    expected = f"to fetch {FIRST}, about 0.4 GB from an archive of 9.4 GB, add --yes"
    assert refused(capsys, "published", "get", FIRST).endswith(expected)
    questions = answer(False)
    assert refused(capsys, "published", "get", FIRST, "tuckute2023/cochcnn9-word-permuted").endswith("nothing was fetched")
    assert questions == [f"fetch {FIRST}, tuckute2023/cochcnn9-word-permuted, about 0.9 GB from archives of 9.4 GB and 14 GB?"]
    assert server.log == []
    assert main(["published", "get", FIRST, "--yes"]) == 0
    reported = capsys.readouterr()
    assert f"audiometamer synth MY.wav --model {FIRST}" in reported.out
    assert "kell2018_wsn_word.pt: SHA-256 " in reported.err
    assert (reported.out + reported.err).count(f"{FIRST} is ") == 1
    assert main(["published", "get", FIRST]) == 0  # it is here
    assert main(["published", "list", FIRST]) == 0
    assert ["feather2023/cochcnn9", "yes"] in [line.split()[:2] for line in capsys.readouterr().out.splitlines() if line]


def test_a_model_is_offered_at_its_first_use(capsys, server, answer):
    assert NOT_HERE in refused(capsys, "layers", FIRST)
    questions = answer(False)
    assert NOT_HERE in refused(capsys, "layers", FIRST)
    assert questions == [f"{FIRST} is not here yet; fetch about 0.4 GB from an archive of 9.4 GB?"]
    answer(True)
    assert main(["layers", f"permuted:{FIRST}:3"]) == 0
    assert capsys.readouterr().out.split()[:4] == ["layer", "module", "shape", "units"]
    assert main(["models", FIRST]) == 0
    assert "CochCNN9, words. Published by Feather et al. (2023)." in capsys.readouterr().out
    assert len(questions) == 2


def test_from_a_file_nothing_is_asked(capsys, tmp_path, server, archives):
    archive, labels = tmp_path / "mine.tar", tmp_path / "word_and_speaker_encodings_jsinv3.pckl"
    archive.write_bytes(archives["cochdnn_model_checkpoints.tar"])
    wanted = "published", "get", "tuckute2023/cochcnn9-word", "--from", str(archive)
    assert f"feather2023/labels is made from {labels.name}, which is missing" in refused(capsys, *wanted)
    labels.write_bytes(archives[labels.name])
    assert main([*wanted, "--from", str(labels)]) == 0
    assert server.log == []
    assert am.load_model("tuckute2023/cochcnn9-word").name == "tuckute2023/cochcnn9-word"
    assert "does not exist" in refused(capsys, "published", "get", FIRST, "--from", tmp_path / "other.tar")


def test_cleaning(capsys, server, answer, monkeypatch):
    assert main(["published", "clean"]) == 0
    assert capsys.readouterr().out == "nothing to remove\n"
    assert main(["published", "get", FIRST, "--yes"]) == 0
    monkeypatch.setattr(fetching, "LARGE", 0.0)
    assert "add --yes" in refused(capsys, "published", "clean", FIRST)
    answer(False)
    assert refused(capsys, "published", "clean", FIRST).endswith("nothing was removed")
    assert main(["published", "clean", FIRST, "--yes"]) == 0
    assert NOT_HERE in refused(capsys, "layers", FIRST)
    control = "tuckute2023/cochcnn9-word-permuted"
    assert main(["published", "get", control, "--yes"]) == 0
    (questions := answer(True)).clear()
    capsys.readouterr()
    assert main(["published", "clean", control]) == 0
    assert f"{control} is made from tuckute2023/cochcnn9-word, which is removed" in capsys.readouterr().out
    assert main(["published", "clean"]) == 0
    assert [question.split()[0] for question in questions] == ["remove", "remove"]
