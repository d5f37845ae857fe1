"""Tests of sounds that tell models apart: who hears what, what the page knows, and what only the experimenter does."""

import json
import stat
from collections import Counter

import numpy as np
import pytest
import scipy.io.wavfile
from command_line import refused
from compared_sets import write_compared_set, write_design

from audiometamer.cli import main
from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.comparisons.design import read_comparison_design
from audiometamer.experiment.comparisons.stimuli import read_compared, read_table_of_compared
from audiometamer.experiment.pack import pack
from audiometamer.experiment.reading import read_experiment
from audiometamer.listening.checks import check_answer
from audiometamer.listening.messages import AnswerMessage
from audiometamer.listening.refusals import RefusedError
from audiometamer.listening.session import session_of
from audiometamer.listening.state import ListenerState


@pytest.fixture(params=["mad", "controversial"])
def folder(request, folders):
    return folders[request.param]


@pytest.fixture
def pairs(folders):
    return read_experiment(folders["mad"] / "experiment")


@pytest.fixture
def words(folders):
    return read_experiment(folders["controversial"] / "experiment")


def test_each_listener_hears_every_pair_once_in_orders_that_balance(pairs):
    compared = read_table_of_compared(pairs.folder)
    orders = Counter()
    for number in range(1, 9):
        main_trials = [compared[trial.stimulus] for trial in pairs.trials(number) if trial.kind == "main"]
        assert sorted(Counter(one.pair for one in main_trials).values()) == [1] * 12
        orders.update((one.pair, one.swapped) for one in main_trials)
    assert set(orders.values()) == {4}


def test_a_trial_is_the_original_and_two_sounds(pairs):
    trial = pairs.trials(1)[0]
    rate, sound = scipy.io.wavfile.read(pairs.folder / "sounds" / f"{trial.stimulus}.wav")
    assert len(sound) == pytest.approx(rate * (3 * 0.1 + 2 * 0.5), abs=3)
    page = session_of(pairs, ListenerState(0, 1, 1, None, frozenset()), None)
    assert (page.task.kind, page.task.intervals, page.task.answers) == ("further", 3, ["1", "2"])


def test_in_a_catch_trial_one_sound_is_the_original_itself(pairs):
    compared = read_table_of_compared(pairs.folder)
    caught = [compared[trial.stimulus] for number in range(1, 9) for trial in pairs.trials(number) if trial.kind == "catch"]
    assert len(caught) == 16
    for one in caught:
        same = [file.endswith("original.wav") for file in one.files]
        assert same in ([True, False, True], [True, True, False])
        assert one.right == ("1" if same[2] else "2")
    assert pairs.correct(next(name for name, one in compared.items() if one == caught[0]), caught[0].right)


def test_words_are_offered_in_either_order_and_neither_last(words):
    compared = read_table_of_compared(words.folder)
    offered = [(trial.options, compared[trial.stimulus].words) for n in range(1, 9) for trial in words.trials(n)]
    assert all(options[2] == "neither" and set(options[:2]) == set(own) for options, own in offered)
    assert 0.3 < np.mean([options[0] == own[0] for options, own in offered]) < 0.7
    page = session_of(words, ListenerState(0, 1, 1, None, frozenset()), None)
    assert page.task.confidence
    assert set(page.task.answers) == {"yes", "no", "perhaps", "neither"}


def test_a_confidence_is_needed_where_it_is_asked_for_and_nowhere_else(pairs, words):
    for experiment, answer, good, message in (
        (words, "neither", 30.0, "a confidence is needed"), (pairs, "1", None, "no confidence is asked for"),
    ):  # fmt: skip
        trial = experiment.trials(1)[0]
        common = {"key": "k" * 16, "trial": 1, "stimulus": trial.stimulus, "answer": answer, "reaction_time_ms": 1, "plays": 1}
        moments = dict.fromkeys(("started", "answered"), "2026-03-01T10:00:00Z")
        decoded = [AnswerMessage(**common, **moments, confidence=given) for given in (good, None if good else 30.0)]
        check_answer(experiment, trial, decoded[0])
        with pytest.raises(RefusedError, match=message):
            check_answer(experiment, trial, decoded[1])


def test_only_the_experimenter_learns_what_a_sound_is(folder):
    table = folder / "experiment" / "comparisons.tsv"
    assert stat.S_IMODE(table.stat().st_mode) == 0o600
    experiment = read_experiment(folder / "experiment")
    page = json.dumps([trial.stimulus for trial in experiment.trials(1)])
    assert not [name for name in ("first", "hidden", "most", "c0") if name in page]


def test_it_is_packed_as_other_experiments_are(folder, tmp_path):
    pack(folder / "experiment", tmp_path / "page", to="static")
    assert not list((tmp_path / "page").rglob("comparisons.tsv"))
    study = json.loads((tmp_path / "page" / "study.json").read_text())
    assert study["task"]["kind"] in ("further", "words")
    if study["task"]["kind"] == "words":
        with pytest.raises(AudioMetamerError, match="asks how sure listeners are, which condition files cannot"):
            pack(folder / "experiment", tmp_path / "psychopy", to="psychopy")


def test_the_same_key_gives_the_same_experiment(folders, tmp_path):
    folder = folders["controversial"]
    key = folder / "experiment" / "names.key"
    arguments = [folder / "set", "--design", folder / "design.toml", "--out", tmp_path / "again", "--names-key", key]
    assert main(["experiment", "build", *map(str, arguments)]) == 0
    for name in ("lists.json", "comparisons.tsv", "key.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / "experiment" / name).read_bytes()


def test_parts_of_the_pairs_follow_each_other_from_list_to_list(tmp_path, folders):
    from audiometamer.experiment.comparisons.build import _draw

    design = read_comparison_design(write_design(tmp_path, "mad", more="trials = 5\n"))
    found = read_compared(folders["mad"] / "set", tmp_path, design)
    drawn = [_draw(found, design, k, np.random.default_rng(k)) for k in range(1, 13)]
    assert {len(trials) for trials in drawn} == {5}
    assert set(Counter(one.pair for trials in drawn for _, one in trials).values()) == {5}


REFUSED = [
    ("mad", "further", 'kinds = ["distant"]\n', "holds no distant; it holds mad"),
    ("mad", "words", "", "holds no sounds for 'words'"),
    ("controversial", "words", "catch = 1\n", "catch: a catch trial has an original"),
    ("mad", "further", "[clips]\n", "clips"),
]


@pytest.mark.parametrize(("kind", "task", "more", "message"), REFUSED)
def test_what_does_not_fit_is_refused_in_one_line(folders, tmp_path, capsys, kind, task, more, message):
    design = write_design(tmp_path, "controversial" if task == "words" else "mad", more=more)
    arguments = [folders[kind] / "set", "--design", design, "--out", tmp_path / "x"]
    assert message in refused(capsys, "experiment", "build", *arguments)
    assert not (tmp_path / "x").exists()


def test_sounds_that_failed_are_left_out_unless_they_are_asked_for(tmp_path, capsys):
    stimuli = write_compared_set(tmp_path / "set", "mad", clips=1)
    for record in stimuli.rglob("item.json"):
        record.write_text(record.read_text().replace('"passed": null', '"passed": false'))
    design = write_design(tmp_path, "mad")
    design.write_text(design.read_text().replace("failed = true", ""))
    found = refused(capsys, "experiment", "build", stimuli, "--design", design, "--out", tmp_path / "x")
    assert "holds no sounds that passed: failed = true plays the others" in found
