"""Which recordings are used, for which task, and how often."""

from pathlib import Path

import numpy as np
import pytest

import audiometamer as am
from audiometamer.training.recordings import AudioFile
from audiometamer.training.selection import SourceRecipe, check_natural, select, weights


def file(number, source, split="train", **labels):
    return AudioFile(
        Path(f"{source}/{number}.wav"), split, {task: (name,) for task, name in labels.items()}, groups={"source": source}
    )


def paths(recordings):
    return [str(r.path) for r in recordings]


def test_a_source_counts_for_its_tasks_only():
    recordings = [file(1, "read", word="a", speaker="x"), file(2, "spoken", word="b", speaker="y")]
    found = select(recordings, {"read": SourceRecipe(tasks=["word"])}, by="word", seed=0)
    assert [r.labels for r in found] == [{"word": ("a",)}, {"word": ("b",), "speaker": ("y",)}]


def test_at_most_so_many_of_each_class_and_source():
    recordings = [file(k, source, split, word="ab"[k % 2]) for k in range(20) for source in "xy" for split in ("train", "test")]
    found = select(recordings, {"x": SourceRecipe(at_most=3)}, by="word", seed=0)
    counts = {
        key: sum(1 for r in found if (r.groups["source"], r.split, r.labels["word"][0]) == key)
        for key in [("x", "train", "a"), ("x", "train", "b"), ("x", "test", "a"), ("y", "train", "a")]
    }
    assert list(counts.values()) == [3, 3, 10, 10]
    assert paths(select(recordings[::-1], {"x": SourceRecipe(at_most=3)}, by="word", seed=0)) == paths(found)[::-1]
    other = select(recordings, {"x": SourceRecipe(at_most=3)}, by="word", seed=1)
    assert paths(other) != paths(found)


def test_at_most_leaves_recordings_without_a_class_alone():
    """Sentences of a speaker beside words: they are no class of the first task."""
    recordings = [file(k, "x", speaker="a") for k in range(5)] + [file(k, "x", word="w") for k in range(5, 10)]
    found = select(recordings, {"x": SourceRecipe(at_most=1)}, by="word", seed=0)
    assert [r.labels.get("word") for r in found] == [None] * 5 + [("w",)]


def test_a_task_that_no_recording_has():
    with pytest.raises(
        am.AudioMetamerError, match=r"^source x counts for task wrod, of which no recording has a label; .* word$"
    ):
        select([file(1, "x", word="a")], {"x": SourceRecipe(tasks=["wrod"])}, by="word", seed=0)


def test_a_null_distribution_needs_natural_sounds():
    recordings = [file(k, "xxy"[k], word="a") for k in range(3)]
    check_natural(recordings, {"y": SourceRecipe(synthetic=True)})
    with pytest.raises(am.AudioMetamerError, match=r"^1 of 3 training recordings are of sources that are not synthetic"):
        check_natural(recordings, {"x": SourceRecipe(synthetic=True)})


def test_weight_zero_is_for_tests_only():
    recordings = [file(1, "x", word="a"), file(2, "x", "test", word="a"), file(3, "y", word="a"), file(4, "x", "background")]
    assert paths(select(recordings, {"x": SourceRecipe(weight=0)}, by="word", seed=0)) == ["x/2.wav", "y/3.wav"]


def test_a_source_that_does_not_exist():
    with pytest.raises(
        am.AudioMetamerError, match=r"^no recording has the source kokor, which the recipe names; there are kokoro$"
    ):
        select([file(1, "kokoro")], {"kokor": SourceRecipe()}, by="word", seed=0)


def test_shares_of_synthetic_voices():
    """Class 0: three real, one of them of a source of weight 2, and two synthetic; class 1: synthetic only; one unlabelled."""
    recordings = [file(k, source) for k, source in enumerate(["a", "a", "b", "s", "s", "s", "a"])]
    sources = {"b": SourceRecipe(weight=2), "s": SourceRecipe(synthetic=True)}
    classes = np.array([0, 0, 0, 0, 0, 1, -1])
    found = weights(recordings, sources, classes=classes, synthetic_share=0.25)
    real = 3 * 0.75  # each of two classes has half of six labelled recordings
    np.testing.assert_allclose(found, [real / 4, real / 4, real / 2, 3 * 0.125, 3 * 0.125, 3, 1])
    plain = weights(recordings, sources, classes=classes, synthetic_share=None)
    np.testing.assert_allclose(plain, [0.5, 0.5, 1, 0.5, 0.5, 3, 1])


def test_without_settings_all_are_alike():
    recordings = [file(k, "a") for k in range(4)]
    assert weights(recordings, {}, classes=np.zeros(4, dtype=np.int64), synthetic_share=None).tolist() == [1, 1, 1, 1]
