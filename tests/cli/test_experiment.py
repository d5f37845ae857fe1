"""``audiometamer experiment``: what it prints, its exit status, and one line for everything that is wrong."""

import socket
import sys

import pytest
from command_line import refused
from tiny_experiment import DESIGN, write_design, write_stimuli

from audiometamer.cli import main
from audiometamer.experiment.reading import read_experiment
from audiometamer.listening.reading import read_answers
from audiometamer.listening.rehearsal import address_of, start_server
from audiometamer.listening.store import Store


def test_build_tells_what_is_heard_and_what_is_missing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_stimuli(tmp_path / "set", failed=[("dog_slt", "relu1")])
    write_design(tmp_path)
    assert main(["experiment", "build", "set", "--design", "design.toml", "--out", "exp"]) == 0
    output = capsys.readouterr().out
    assert "6 listeners, 12 trials each, 7 of them main trials: exp" in output
    assert "1 metamers of 1 clips are missing, left out: exp/missing.tsv" in output
    assert "the consent is an example that no ethics committee has seen: exp/texts/consent.md" in output
    table = {
        line.split("  ")[0]: line.split()[-3:]
        for line in map(str.strip, output.splitlines())
        if line.startswith(("natural", "tiny"))
    }
    assert table == {
        "natural": ["2–3", "14", "0"],
        "tiny relu0, seed 0": ["2–3", "14", "0"],
        "tiny relu1, seed 0": ["2–3", "14", "1"],
    }
    assert "gets no code" not in output
    ends = DESIGN + '[completion]\nfinished = "https://lab.example/done"\n'
    write_design(tmp_path, ends)
    assert main(["experiment", "build", "set", "--design", "design.toml", "--out", "other"]) == 0
    assert "listeners who fail the headphones or demonstration check are sent nowhere and get no code" in capsys.readouterr().out
    assert "exp exists; nothing is overwritten" in refused(
        capsys, "experiment", "build", "set", "--design", "design.toml", "--out", "exp"
    )


def test_links_are_shown_once_and_open_the_experiment(own, capsys):
    assert main(["experiment", "links", str(own), "--count", "3", "--address", "https://hear.example/"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [listener for listener, _ in lines] == ["1", "2", "3"]
    store = Store(own / "answers.db", read_experiment(own))
    for listener, link in lines:
        address, _, token = link.partition("#")
        assert address == "https://hear.example/"
        assert store.listener(token) == int(listener)
    store.close()
    assert "all 6 lists have their listeners" in refused(capsys, "experiment", "links", own, "--count", "4")


@pytest.mark.parametrize(
    ("served", "asked", "link", "output"),
    [
        (None, (), "http://127.0.0.1:8000/", "not served yet"),
        ("http://127.0.0.1:8617", (), "http://127.0.0.1:8617/", ""),
        ("http://127.0.0.1:8617", ("--port", "8618"), "http://127.0.0.1:8618/", ""),
        ("http://127.0.0.1:8617", ("--url", "https://hear.example"), "https://hear.example/", ""),
        ("http://lab:8617", (), "http://lab:8617/", ""),
        ("http://0.0.0.0:8617", (), f"http://{socket.gethostname()}:8617/", "give --address"),
        ("http://[::]:8617", (), f"http://{socket.gethostname()}:8617/", "give --address"),
    ],
)
def test_links_know_where_it_was_served(own, capsys, served, asked, link, output):
    store = Store(own / "answers.db", read_experiment(own))
    if served:
        store.address = "http://127.0.0.1:1"
        store.address = served
    store.close()
    assert main(["experiment", "links", str(own), *asked]) == 0
    found = capsys.readouterr()
    assert found.out.split("\t")[1].startswith(f"{link}#")
    assert output in found.err
    assert bool(found.err) == bool(output)


def test_the_server_writes_down_where_it_listens(folder, tmp_path):
    server = start_server(folder, tmp_path / "answers.db")
    try:
        address = address_of(server)
        store = Store(tmp_path / "answers.db", read_experiment(folder))
        assert store.address == address
        store.close()
    finally:
        server.kill()
        server.communicate()


def test_a_group_is_a_name(own, capsys):
    assert main(["experiment", "links", str(own), "--group", " young "]) == 0
    assert [one.group for one in read_answers(own / "answers.db", read_experiment(own)).enrolled] == ["young"]
    capsys.readouterr()
    assert "--group is ' '; it must be a name" in refused(capsys, "experiment", "links", own, "--group", " ")
    assert "give one of them" in refused(capsys, "experiment", "links", own, "--port", 1, "--address", "http://x")


def test_a_list_is_released(own, capsys):
    main(["experiment", "links", str(own)])
    assert main(["experiment", "release", str(own), "1", "--reason", "left"]) == 0
    assert "listener 1 is excluded; the list is free" in capsys.readouterr().out
    assert "there is no listener 9" in refused(capsys, "experiment", "release", own, 9, "--reason", "x")


def test_answers_are_exported(own, tmp_path, capsys):
    assert "answers.db does not exist: nobody has answered yet" in refused(capsys, "experiment", "export", own)
    main(["experiment", "links", str(own)])
    assert main(["experiment", "export", str(own), "--out", str(tmp_path / "tables")]) == 0
    assert "0 answers of 1 listeners" in capsys.readouterr().out
    assert (tmp_path / "tables" / "listeners.tsv").read_text().count("\n") == 2


@pytest.mark.parametrize("command", ["serve", "links", "export", "rehearse"])
def test_a_folder_that_is_no_experiment(tmp_path, capsys, command):
    assert f"{tmp_path} is no experiment: it has no lists.json" in refused(capsys, "experiment", command, tmp_path)


def test_an_address_that_is_taken(folder, tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        output = refused(capsys, "experiment", "serve", folder, "--port", port, "--answers", tmp_path / "a.db")
    assert f"cannot serve at 127.0.0.1 port {port}: Address already in use" in output
    output = refused(capsys, "experiment", "serve", folder, "--host", "no such host", "--answers", tmp_path / "a.db")
    assert "cannot serve at no such host port 8000" in output


def test_sounds_that_are_gone(own, capsys):
    assert "does not exist; build the experiment again" in refused(capsys, "experiment", "serve", own, "--port", 0)


def test_without_the_extra_it_is_told_what_to_install(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "audiometamer.listening.server", None)
    output = refused(capsys, "experiment", "serve", folder)
    assert output.endswith("pip install 'audiometamer[experiment]'")


@pytest.mark.parametrize(
    ("asked", "output"),
    [
        (["--prolific-study", "s"], "--prolific-study needs --open prolific"),
        (["--open", "anyone", "--prolific-study", "s"], "--prolific-study needs --open prolific"),
        (["--open", "prolific", "--prolific-keys", "k.json"], "--prolific-keys and --prolific-audience need --prolific-study"),
        (["--open", "prolific", "--prolific-study", "s", "--prolific-keys", "none.json"], "none.json cannot be read as keys"),
        (["--open", "anyone", "--free-after", "0"], "--free-after"),
        (["--open", "anyone", "--free-after", "nan"], "--free-after"),
        (["--open", "anyone", "--per-minute", "0"], "--per-minute"),
    ],
)
def test_who_may_come_is_said_as_a_whole(folder, capsys, asked, output):
    assert output in refused(capsys, "experiment", "serve", folder, *asked)
