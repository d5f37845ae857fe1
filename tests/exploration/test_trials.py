"""The trial table of an exploration: what is written is read back, and what is wrong is reported in a line."""

from datetime import UTC, datetime

import pytest

from audiometamer.errors import AudioMetamerError
from audiometamer.exploration.trials import COLUMNS, AnsweredTrial, read_answered_trials, write_answered_trials

MOMENT = datetime(2026, 11, 2, 12, 0, 6, tzinfo=UTC)


def answered(**changed):
    trial = {
        "listener": "1", "list": 0, "trial": 7, "kind": "main", "task": "abx", "dimension": "relu2/3/-",
        "reference": "=clip", "requested": 0.5, "made": 0.41, "reached": 0.4, "leakage": 0.01, "snr_db": 24.5, "modulation": 0.05,
        "level_db": 0.0, "way": "fallback", "waited_s": 1.5, "arrangement": 2, "answer": "1", "right": "2", "correct": False,
        "reaction_time_ms": 812.5, "plays": 1, "started": MOMENT, "answered": MOMENT,
    }  # fmt: skip
    return AnsweredTrial(**(trial | changed))


def test_trials_come_back(tmp_path):
    path = tmp_path / "trials.tsv"
    trials = [
        answered(),
        answered(trial=8, snr_db=None, plays=None, started=None),
        answered(listener="-2", answer="2", correct=True),
    ]
    write_answered_trials(path, trials)
    header, first, *_ = path.read_text().splitlines()
    assert header.split("\t") == list(COLUMNS)
    assert header.startswith(
        "listener\tlist\ttrial\tkind\ttask\tdimension\tlayer\tcomponent\tsign\treference\twished\tmade\treached"
    )
    assert first.split("\t")[:12] == ["1", "0", "7", "main", "abx", "relu2/3/-", "relu2", "3", "-", "'=clip", "0.5", "0.41"]
    assert read_answered_trials(path) == trials


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        ("listener", "", "Object missing required field `listener`"),
        ("list", "-1", "list is '-1'; it must be a whole number >= 0"),
        ("kind", "headphones", "kind is 'headphones'; it must be one of practice, catch, main"),
        ("task", "", "Object missing required field `task`"),
        ("task", "2afc", "task is '2afc'; it must be one of abx, odd-one-out"),
        ("right", "3", "right is '3'; of abx it is one of 1, 2"),
        ("dimension", "relu2", "'relu2' is no dimension; it would be layer/component/sign, as in relu2/3/+"),
        ("layer", "relu3", "layer is 'relu3', and the dimension is relu2/3/-"),
        ("component", "4", "component is '4', and the dimension is relu2/3/-"),
        ("sign", "+", "sign is '+', and the dimension is relu2/3/-"),
        ("wished", "0", "wished is '0'; it must be a number > 0.0 (decimals after a point)"),
        ("made", "much", "made is 'much'; it must be a number (decimals after a point)"),
        ("reached", "nan", "reached is nan; it must be finite"),
        ("leakage", "-1", "leakage is '-1'; it must be a number >= 0.0 (decimals after a point)"),
        ("snr_db", "inf", "snr_db is inf; it must be finite"),
        ("way", "radio", "way is 'radio'; it must be one of ladder, online, fallback"),
        ("correct", "true", "correct is true, the answer is '1' and the right one '2'"),
        ("correct", "perhaps", "correct is 'perhaps'; it must be true or false"),
        ("answered", "2026-11-02T12:00:05Z", "before it started"),
        ("answered", "yesterday", "answered is 'yesterday'; it must be a time with its zone"),
    ],
)
def test_every_column_is_checked(tmp_path, column, cell, said):
    path = tmp_path / "trials.tsv"
    write_answered_trials(path, [answered()])
    header, row = (line.split("\t") for line in path.read_text().splitlines())
    row[header.index(column)] = cell
    path.write_text("\n".join("\t".join(line) for line in (header, row)))
    with pytest.raises(AudioMetamerError) as error:
        read_answered_trials(path)
    assert said in str(error.value)
    assert str(error.value).startswith(f"{path}, line 2: ")
    assert "\n" not in str(error.value)


def test_tables_that_do_not_fit(tmp_path):
    path = tmp_path / "trials.tsv"
    write_answered_trials(path, [answered(), answered(trial=8), answered()])
    with pytest.raises(AudioMetamerError, match="line 4: listener 1, trial 7 is also in line 2; there must be one answer"):
        read_answered_trials(path)
    write_answered_trials(path, [answered(), answered(trial=8, list=3)])
    with pytest.raises(AudioMetamerError, match="trial 8 is of list 3, earlier ones are of list 0; a listener has one list"):
        read_answered_trials(path)
    write_answered_trials(path, [answered(), answered(trial=8, task="odd-one-out")])
    with pytest.raises(AudioMetamerError, match="trial 8 is odd-one-out, earlier ones are abx; they cannot be analysed together"):
        read_answered_trials(path)
    path.write_text("listener\ttrial\n1\t1\n")
    with pytest.raises(AudioMetamerError, match="has no column list, kind, task, dimension, layer"):
        read_answered_trials(path)
