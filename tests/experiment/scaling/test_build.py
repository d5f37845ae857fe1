"""The folder of a scaling experiment: its sounds, key and lists; and packed for other programs."""

import csv
import json

import numpy as np
import pytest
import soundfile
from tiny_scaling import DESIGN, write_design

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.pack import pack
from audiometamer.experiment.scaling.build import build_scaling
from audiometamer.listening.session import page_trial, session_of
from audiometamer.listening.state import ListenerState


def test_sounds_are_played_in_the_order_of_the_key(quadruples):
    """Two pairs, half a second within and a second between; the tone of each interval is that of its sound."""
    name, entry = next(iter(quadruples.key.items()))
    assert (entry.file, entry.condition, entry.answer) == ("", "path", "")
    samples, rate = soundfile.read(quadruples.sounds[name])
    step = round(0.55 * rate)
    starts = [0, step, 2 * step + rate // 2, 3 * step + rate // 2]
    assert len(samples) == starts[3] + round(0.05 * rate)
    for start, file in zip(starts, entry.sequence, strict=True):
        part = samples[start : start + round(0.05 * rate)]
        assert np.sqrt(np.mean(part**2)) == pytest.approx(10 ** (-30 / 20), rel=0.01)
        frequency = np.abs(np.fft.rfft(part)).argmax() * rate / len(part)
        assert frequency == pytest.approx(300 + 200 * int(file[1]), abs=21)


def test_the_page_learns_nothing_of_the_path(quadruples):
    session = session_of(quadruples, ListenerState(0, 1, 1, None, frozenset()), None)
    assert (session.task.answers, session.task.intervals, session.task.pair_gap_seconds) == (["1", "2"], 4, 0.5)
    for trial in quadruples.trials(1):
        shown = str(page_trial(trial))
        assert not any(file in shown for file in quadruples.design.path.sounds)


def test_the_design_holds_all_that_the_analysis_needs(quadruples):
    assert quadruples.design.path.sounds == [f"s{k}.wav" for k in range(5)]
    assert quadruples.design.trials == len(quadruples.trials(1)) == 5
    assert quadruples.texts["instructions"].startswith("# What to do")


def test_packed_for_psychopy_and_the_web(quadruples, tmp_path):
    pack(quadruples.folder, tmp_path / "psychopy", to="psychopy")
    with (tmp_path / "psychopy" / "lists" / "list_001.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["kind"], row["options"], row["correct_answer"]) for row in rows} == {("main", "['1', '2']", "")}
    pack(quadruples.folder, tmp_path / "static", to="static")
    task = json.loads((tmp_path / "static" / "study.json").read_text())["task"]
    assert (task["kind"], task["intervals"], task["pair_gap_seconds"]) == ("quadruples", 4, 0.5)


def test_nothing_is_overwritten_and_problems_are_named_with_their_key(quadruples, tmp_path):
    path = quadruples.folder.parent / "path"
    with pytest.raises(AudioMetamerError, match="exists; nothing is overwritten"):
        build_scaling(path, write_design(tmp_path), quadruples.folder)
    few = write_design(tmp_path, "triads", DESIGN.replace("listeners = 4", "listeners = 4\ntrials = 2"))
    with pytest.raises(AudioMetamerError, match=r"trials: 2 triads of 5 sounds determine 2 of 4 steps"):
        build_scaling(path, few, tmp_path / "out")
    with pytest.raises(AudioMetamerError, match=r"path: .* has 0 sounds of a path; triads take 3 to 20"):
        build_scaling(tmp_path, write_design(tmp_path), tmp_path / "out")
    assert not (tmp_path / "out").exists()
