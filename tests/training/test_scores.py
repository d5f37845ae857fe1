"""Scores against published and hand-made values; classes, groups and their tables."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import binomtest

import audiometamer as am
from audiometamer.training.scores import Score, TaskAnswers, group_columns, nested, write_by_class, write_scores


def one_label(right, wrong):
    logits = np.tile(np.float32([0, 2, 1]), (right + wrong, 1))
    return TaskAnswers(logits, np.array([1] * right + [2] * wrong))


def test_wilsons_interval():
    """8 of 10: 49.0 to 94.3 % (Newcombe 1998 gives the formula); others as scipy has them."""
    assert one_label(8, 2).score() == Score(10, 80.0, (49.0, 94.3), 8)
    for right, n in ((0, 7), (7, 7), (1, 3), (812, 1000)):
        interval = binomtest(right, n).proportion_ci(method="wilson")
        score = one_label(right, n - right).score()
        assert score.interval_95 == pytest.approx((100 * interval.low, 100 * interval.high), abs=0.051)
        assert (score.clips, score.correct) == (n, right)
        assert score.percent == pytest.approx(100 * right / n, abs=0.051)


def test_average_precision():
    """Of x, sounds in order are right, wrong, right, wrong: (1/1 + 2/3)/2. Of y: wrong, wrong, right, right: (1/3 + 2/4)/2."""
    logits = np.float32([[4, 1], [3, 2], [2, 4], [1, 3]])
    targets = np.float32([[1, 1], [0, 1], [1, 0], [0, 0]])
    score = TaskAnswers(logits, targets).score()
    assert score.percent == round(100 * (5 / 6 + 5 / 12) / 2, 1) == 62.5
    low, high = score.interval_95
    assert 0 <= low < 62.5 < high <= 100
    assert score.correct is None
    assert TaskAnswers(targets - 0.5, targets).score().interval_95 == (100, 100)
    unheard = np.concatenate([targets, np.zeros((4, 1), np.float32)], axis=1)  # a class of no sound does not count
    assert TaskAnswers(np.concatenate([logits, logits[:, :1]], axis=1), unheard).score().percent == 62.5


def test_confusion():
    logits = np.float32([[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]])
    found = TaskAnswers(logits, np.array([0, 0, 1, 1, 1])).confusion()
    assert found.tolist() == [[1, 1, 0], [1, 1, 1], [0, 0, 0]]


def test_the_label_among_the_first():
    """Twelve classes: ranks 1, 5 and 6; where all logits are equal, the earlier class counts as more likely."""
    descending = np.arange(12, 0, -1, dtype=np.float32)
    answers = TaskAnswers(np.stack([descending] * 3 + [np.ones(12, np.float32)] * 2), np.array([0, 4, 5, 4, 5]))
    assert answers.among_first(1).tolist() == [True, False, False, False, False]
    assert answers.among_first(5).tolist() == [True, True, False, True, False]
    score = answers.score()
    assert (score.correct, score.percent) == (1, 20.0)
    assert score.top_5 == Score.of(3, 5)
    assert TaskAnswers(np.ones((1, 10), np.float32), np.array([0])).score().top_5 is None  # of ten classes, half are among them


RECORDINGS = [
    SimpleNamespace(groups={"source": "a", "age": "child"}), SimpleNamespace(groups={"source": "b", "age": ""}),
    SimpleNamespace(groups={"source": "b"}), SimpleNamespace(groups={}),
]  # fmt: skip


def test_scores_by_group():
    """The first recording has no label of the task, so that the answers are to the other three."""
    answers = TaskAnswers(np.float32([[1, 0], [1, 0], [0, 1]]), np.array([0, 1, 1]), np.array([1, 2, 3]))
    found = answers.by_group(RECORDINGS, ["source", "age"])
    assert found == {("source", "b"): Score.of(1, 2)}
    assert nested(found) == {"source": {"b": {"clips": 2, "percent": 50.0, "interval_95": (9.5, 90.5), "correct": 1}}}
    everything = TaskAnswers(answers.logits, answers.targets).by_group(RECORDINGS[:3], ["source", "age"])
    assert everything == {("source", "a"): Score.of(1, 1), ("source", "b"): Score.of(1, 2), ("age", "child"): Score.of(1, 1)}
    assert TaskAnswers(np.ones((3, 2), np.float32), np.ones((3, 2), np.float32)).by_group(RECORDINGS, ["source"]) == {}


def test_columns_to_group_by():
    assert group_columns(RECORDINGS, []) == ("source",)
    assert group_columns(RECORDINGS, ["age", "source"]) == ("source", "age")
    assert group_columns(RECORDINGS[3:], []) == ()
    with pytest.raises(am.AudioMetamerError, match=r"no recording has a value in column 'aeg', .*; there are age"):
        group_columns(RECORDINGS, ["aeg"])


def test_counts_of_each_class(tmp_path):
    """Of all sources, then of each; a class of no clip has a row too."""
    answers = TaskAnswers(np.float32([[2, 1, 0], [2, 1, 0], [1, 2, 0]]), np.array([0, 1, 1]), np.array([0, 1, 2]))
    write_by_class(tmp_path / "classes.tsv", answers.by_class(["yes", "no", "-1"], RECORDINGS))
    assert (tmp_path / "classes.tsv").read_text().splitlines() == [
        "label\tsource\tclips\tcorrect", "yes\t\t1\t1", "yes\ta\t1\t1", "no\t\t2\t1", "no\tb\t2\t1", "-1\t\t0\t0",
    ]  # fmt: skip
    many = TaskAnswers(np.arange(11, 0, -1, dtype=np.float32)[None], np.array([4]))
    (row,) = [row for row in many.by_class([str(k) for k in range(11)], RECORDINGS[3:]) if row["clips"]]
    assert row == {"label": "4", "source": "", "clips": 1, "correct": 0, "top_5_correct": 1}


def test_the_table_of_scores(tmp_path):
    scores = {
        ("word", "valid", "quiet"): Score(10, 80.0, (49.0, 94.3), 8, Score.of(9, 10)),
        ("sounds", "valid", "quiet"): Score(4, 62.5, (41.7, 100.0)),
    }
    write_scores(tmp_path / "new" / "accuracy.tsv", scores, columns=("task", "split", "condition"))
    assert (tmp_path / "new" / "accuracy.tsv").read_text() == (
        "task\tsplit\tcondition\tclips\tcorrect\tpercent\tlow_95\thigh_95\ttop_5_correct\ttop_5_percent\n"
        "word\tvalid\tquiet\t10\t8\t80.0\t49.0\t94.3\t9\t90.0\n"
        "sounds\tvalid\tquiet\t4\t\t62.5\t41.7\t100.0\t\t\n"
    )
