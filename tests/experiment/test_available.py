"""What a set has for an experiment: words, natural clips that stand in, and what is wrong with a selection."""

import pytest
from tiny_experiment import DESIGN, LAYERS, write_design, write_stimuli

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.available import (
    NATURAL_CONDITION,
    AvailableStimuli,
    Condition,
    MissingMetamer,
    PlayableSound,
    read_available_stimuli,
    right_answers,
)
from audiometamer.experiment.design import read_design

RELU = Condition("m", "relu0", 0)


@pytest.fixture
def stimuli():
    """Two recordings of "dog" and one of "cat", whose metamer is missing."""
    sounds = {(clip, NATURAL_CONDITION): PlayableSound(f"{clip}.wav", {}) for clip in ("cat_a", "dog_a", "dog_b")}
    sounds |= {(clip, RELU): PlayableSound(f"{clip}_relu0.wav", {"m": "dog"}) for clip in ("dog_a", "dog_b")}
    metadata = {clip: {"word": clip[:3]} for clip in ("cat_a", "dog_a", "dog_b")}
    missing = [MissingMetamer("cat_a", RELU, "not made")]
    return AvailableStimuli([NATURAL_CONDITION, RELU], ["cat_a", "dog_a", "dog_b"], sounds, missing, metadata)


def test_a_natural_clip_stands_in_for_a_missing_metamer(stimuli):
    assert stimuli.sound("dog_a", RELU).file == "dog_a_relu0.wav"
    assert stimuli.sound("cat_a", RELU).file == "cat_a.wav"
    assert [stimuli.is_missing(clip, RELU) for clip in stimuli.clips] == [True, False, False]


def test_words_are_groups_of_clips(stimuli):
    assert stimuli.words("word") == [["cat_a"], ["dog_a", "dog_b"]]
    assert stimuli.words("clip") == [["cat_a"], ["dog_a"], ["dog_b"]]
    assert right_answers(stimuli, "word") == ["cat", "dog"]
    assert right_answers(stimuli, "speaker") == []
    assert [stimuli.has(column) for column in ("clip", "word", "speaker")] == [True, True, False]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_stimuli(tmp_path_factory.mktemp("set") / "set", failed=[("dog_slt", "relu1")])


def test_a_set_is_read_with_what_it_lacks(made, tmp_path):
    path = write_design(tmp_path)
    stimuli, problems = read_available_stimuli(made, path, read_design(path))
    assert problems == []
    assert stimuli.conditions == [NATURAL_CONDITION, *(Condition("tiny", layer, 0) for layer in LAYERS)]
    assert stimuli.missing == [MissingMetamer("dog_slt", Condition("tiny", "relu1", 0), "failed its verdict")]
    assert "dog_slt" not in stimuli.clips
    assert len(stimuli.clips) == 23
    assert stimuli.further == ["dog_slt"]  # its natural sound can still be played
    assert stimuli.further_words("word") == []  # but listeners hear the word as "dog_rms"
    assert stimuli.further_words("clip") == [["dog_slt"]]


def test_natural_clips_of_a_set_are_further_words(tmp_path):
    made = write_stimuli(tmp_path / "set", words=("apple", "bread"))
    (made / "originals" / "fig.wav").write_bytes(b"a sound")
    (made / "natural.tsv").write_text("clip\tfile\nfig\toriginals/fig.wav\n")
    (made / "clips.tsv").write_text((made / "clips.tsv").read_text() + "fig\tfig\tslt\t\t\t\n")
    path = write_design(tmp_path)
    stimuli, problems = read_available_stimuli(made, path, read_design(path))
    assert problems == []
    assert stimuli.further_words("word") == [["fig"]]
    assert stimuli.sound("fig", NATURAL_CONDITION) == PlayableSound("originals/fig.wav", {})
    assert right_answers(stimuli, "word") == ["apple", "bread", "fig"]
    (made / "originals" / "fig.wav").unlink()
    with pytest.raises(AudioMetamerError, match=r"originals/fig\.wav is gone: put it back, or run the set's plan again"):
        read_available_stimuli(made, path, read_design(path))


def test_problems_of_a_design_that_leaves_something_are_returned(made, tmp_path):
    path = write_design(
        tmp_path, DESIGN.replace('speaker = "voice"', 'word = "worde"') + '[conditions]\nlayers = ["relu0", "relu7"]\n'
    )
    stimuli, problems = read_available_stimuli(made, path, read_design(path))
    assert [problem.place for problem in problems] == ["conditions.layers[1]", "clips.once"]
    assert stimuli.conditions == [NATURAL_CONDITION, Condition("tiny", "relu0", 0)]


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (None, r"conditions\.selection: .*selection\.tsv cannot be read as a table"),
        (
            "file\nnone.wav\n",
            r"conditions\.selection: .*selection\.tsv names nothing of the models, layers and seeds that are wanted",
        ),
    ],
)
def test_a_bad_selection_is_listed_with_all_else_that_is_wrong(made, tmp_path, selection, message):
    text = DESIGN.replace('speaker = "voice"', 'word = "worde"') + '[conditions]\nselection = "selection.tsv"\n'
    path = write_design(tmp_path, text)
    if selection is not None:
        (tmp_path / "selection.tsv").write_text(selection)
    with pytest.raises(AudioMetamerError, match=message) as error:
        read_available_stimuli(made, path, read_design(path))
    assert "2 things are wrong" in str(error.value)
    assert "has no column 'worde'" in str(error.value)
