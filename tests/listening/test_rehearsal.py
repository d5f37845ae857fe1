"""Rehearsals: every answer that was confirmed to a simulated listener is on disk."""

import shutil

import pytest
from command_line import refused

from audiometamer.cli import main
from audiometamer.listening.rehearsal import rehearse


def test_a_rehearsal_from_the_command_line(folder, tmp_path, capsys):
    out = tmp_path / "rehearsal"
    arguments = [
        "experiment",
        "rehearse",
        str(folder),
        "--out",
        str(out),
        "--listeners",
        "3",
        "--accuracy",
        "relu1=0",
        "--guesses",
        "0",
    ]
    assert main(arguments) == 0
    reported = capsys.readouterr().out
    assert "3 listeners (3 finished), 42 answers confirmed in" in reported
    assert "0 lost, 0 stored twice, 0 sent more than once" in reported
    lines = [line.split("\t") for line in (out / "trials.tsv").read_text().splitlines()]
    rows = [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]
    assert len(rows) == 42
    assert {row["correct"] for row in rows if row["layer"] == "relu1"} == {"false"}
    assert {row["correct"] for row in rows if row["layer"] == "natural"} == {"true"}
    assert not (folder / "answers.db").exists(), "those of real listeners are elsewhere"
    assert "answers.db exists; nothing is overwritten" in refused(capsys, *arguments)


def test_a_rehearsal_with_a_server_that_is_killed(folder, tmp_path, capsys):
    arguments = ["--listeners", "4", "--no-load", "--kills", "1", "--pace", "0.2"]
    assert main(["experiment", "rehearse", str(folder), "--out", str(tmp_path / "r"), *arguments]) == 0
    reported = capsys.readouterr().out
    assert "4 listeners (4 finished), 56 answers confirmed in" in reported
    assert "0 lost, 0 stored twice" in reported
    assert "kills of the server: 1" in reported


@pytest.mark.browser
def test_a_rehearsal_through_the_page_and_its_analysis(folder, tmp_path, capsys):
    """The design's own minima of its checks, 1 of 2 each, count in the analysis rather than the usual 5."""
    out, analysis = tmp_path / "rehearsal", tmp_path / "analysis"
    chromium = shutil.which("chromium")
    assert chromium, "this test takes part in Chromium: apt-get install chromium"
    arguments = ["--listeners", "2", "--accuracy", "relu1=0", "--guesses", "0", "--browser", chromium]
    assert main(["experiment", "rehearse", str(folder), "--out", str(out), *arguments]) == 0
    assert "0 lost, 0 stored twice" in capsys.readouterr().out
    tables = [str(out / "trials.tsv"), "--listeners", str(out / "listeners.tsv"), "--resamples", "20", "--permutations", "20"]
    options = ["--layers", "relu0,relu1", "--out", str(analysis)]
    assert "2 at the headphone check (fewer than 5 right)" in refused(capsys, "experiment", "analyse", *tables, *options)
    assert main(["experiment", "analyse", *tables, *options, "--experiment", str(folder)]) == 0
    assert "2 analysed" in capsys.readouterr().out
    own = ["--experiment", str(folder), "--demonstration", "3", "--overwrite"]
    assert "fewer than 3 right" in refused(capsys, "experiment", "analyse", *tables, *options, *own)


def test_a_browser_that_is_not_there(folder, tmp_path, capsys):
    arguments = ["--out", tmp_path / "r", "--browser", "/no/chromium"]
    assert "/no/chromium does not start" in refused(capsys, "experiment", "rehearse", folder, *arguments)


def test_a_listener_who_breaks_down_is_not_passed_over(experiment, tmp_path):
    def reply(stimulus, options, generator):
        raise RuntimeError("a bug in this listener")

    with pytest.raises(RuntimeError, match="a bug in this listener"):
        rehearse(experiment, tmp_path / "r", reply, listeners=1, load=False)


@pytest.mark.parametrize(
    ("options", "reported"),
    [
        (["--listeners", 7], "7 listeners were requested, and there are 6 lists"),
        (["--accuracy", "relu0"], "--accuracy is 'relu0'; it must be CONDITION=P, as in relu0=0.8"),
        (["--accuracy", "relu7=1"], "there is no condition 'relu7'"),
        (["--guesses", "2"], "2.0 is not in the range 0<=x<=1"),
        (["--model", "tiny_models:tensor_model"], "tiny_models:tensor_model"),
    ],
)
def test_what_cannot_be_rehearsed(folder, tmp_path, capsys, options, reported):
    assert reported in refused(capsys, "experiment", "rehearse", folder, "--out", tmp_path / "r", *options)
    assert not (tmp_path / "r" / "answers.db").exists()
