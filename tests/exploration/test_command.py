"""``audiometamer explore build | serve | rehearse``: what they print, and one line for everything that is wrong."""

import socket

import pytest
from command_line import refused
from tiny_built import DESIGN, write_design

from audiometamer.cli import main, serving
from audiometamer.exploration import build as building
from audiometamer.exploration.trials import read_answered_trials


def test_build_tells_what_will_be_explored(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(building, "write_page", lambda folder, _sentences: folder.mkdir())
    write_design(tmp_path)
    assert main(["explore", "build", "design.toml", "--out", "exp"]) == 0
    reported = capsys.readouterr().out
    rows = [line.split() for line in reported.splitlines() if line.strip().startswith("relu")]
    assert rows == [["relu0", "2", "3", "4", "0.1", "0.8"], ["relu1", "1", "3", "4", "0.1", "0.8"]]
    assert "4 listeners, each with 3 of 3 dimensions: exp" in reported
    assert "the consent is an example that no ethics committee has seen: exp/texts/consent.md" in reported
    assert "exp exists; nothing is overwritten" in refused(capsys, "explore", "build", "design.toml", "--out", "exp")


def test_a_design_of_before_is_read_once_with_one_notice(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(building, "write_page", lambda folder, _sentences: folder.mkdir())
    path = write_design(tmp_path, DESIGN.replace("max_trials", "most_trials"))
    assert main(["explore", "build", str(path), "--out", str(tmp_path / "exp")]) == 0
    told = capsys.readouterr()
    assert (told.out + told.err).count("procedure.most_trials is now called max_trials") == 1
    assert "max_trials = 12" in (tmp_path / "exp" / "design.toml").read_text()


def test_links_and_tables_are_those_of_any_experiment(exploration, tmp_path, capsys):
    database = ["--answers", str(tmp_path / "answers.db")]
    assert main(["experiment", "links", str(exploration), *database, "--count", "2"]) == 0
    assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()] == ["1", "2"]
    assert main(["experiment", "release", str(exploration), *database, "1", "--reason", "left"]) == 0
    assert main(["experiment", "export", str(exploration), *database, "--out", str(tmp_path / "out")]) == 0
    assert "0 answers of 2 listeners" in capsys.readouterr().out
    assert (tmp_path / "out" / "trials.tsv").read_text().startswith("listener\tlist\ttrial\tkind\ttask\tdimension\tlayer")


def test_rehearse_tells_what_came_of_it(short, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    out = tmp_path / "rehearsal"
    options = ["--listeners", "1", "--d-prime", "500", "--d-prime", "relu0/0/-=0", "--lapse", "0", "--no-load"]
    assert main(["explore", "rehearse", str(short), "--out", str(out), *options]) == 0
    reported = capsys.readouterr().out
    assert "1 listeners (1 finished)" in reported
    assert "0 lost, 0 stored twice" in reported
    trials = read_answered_trials(out / "trials.tsv")
    assert all(trial.correct for trial in trials if trial.dimension != "relu0/0/-")


def test_rehearse_serves_on_the_device_that_is_asked_for(exploration, tmp_path, monkeypatch):
    served = []
    monkeypatch.setattr(serving, "rehearse_and_report", lambda *_, serve, **__: served.append(serve[-3:]))
    for options in ([], ["--device", "cpu"]):
        assert main(["explore", "rehearse", str(exploration), "--out", str(tmp_path / "r"), *options]) == 0
    assert served == [("serve", "--device", "auto"), ("serve", "--device", "cpu")]


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        (["--d-prime", "much"], "--d-prime is 'much'; it must be a number, or DIMENSION=D as in relu2/0/+=3"),
        (["--d-prime", "relu7/0/+=2"], "has no dimension 'relu7/0/+'; it has relu0/0/+, relu0/0/-, relu1/2/+"),
        (["--d-prime", "-1"], "d′ is -1; it must be 0 or more"),
        (["--listeners", "5"], "5 listeners were requested, and there are 4 lists"),
    ],
)
def test_rehearsals_that_cannot_be(exploration, tmp_path, capsys, arguments, reported):
    assert reported in refused(capsys, "explore", "rehearse", exploration, "--out", tmp_path / "r", *arguments)


def test_serve_refuses_in_one_line(exploration, tmp_path, capsys):
    assert "is no experiment: it has no lists.json" in refused(capsys, "explore", "serve", tmp_path)
    assert "is for `audiometamer explore`" in refused(capsys, "experiment", "serve", exploration)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answers = ["--answers", tmp_path / "answers.db"]
        assert f"cannot serve at 127.0.0.1 port {port}" in refused(
            capsys, "explore", "serve", exploration, "--port", port, *answers
        )


def test_a_device_that_is_not_there(online, tmp_path, capsys):
    reported = refused(capsys, "explore", "serve", online, "--device", "mps", "--answers", tmp_path / "answers.db")
    assert "design.toml: making: " in reported
