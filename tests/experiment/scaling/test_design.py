"""Designs of scaling experiments: what they hold, and what is refused with its key."""

import pytest
from tiny_scaling import write_design

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.design import read_design
from audiometamer.experiment.reading import read_any_design
from audiometamer.experiment.scaling.design import ScalingDesign, SoundPath, read_scaling_design


def test_the_kind_of_answers_says_which_design_it_is(tmp_path):
    design = read_any_design(write_design(tmp_path, "quadruples"))
    assert isinstance(design, ScalingDesign)
    assert (design.trials, design.path, design.pair_gap) == (None, SoundPath(), 0.5)
    assert design.example("instructions").name == "instructions-quadruples.md"
    assert read_any_design(write_design(tmp_path, "triads")).pair_gap == 0
    assert not isinstance(read_any_design(write_design(tmp_path, "typed")), ScalingDesign)


def test_recognition_takes_no_pairs(tmp_path):
    with pytest.raises(AudioMetamerError, match=r"answers.kind.*'triads' is for another kind of design"):
        read_design(write_design(tmp_path, "triads"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('list = "words.txt"', "answers.list"),
        ('[path]\nsounds = ["a.wav", "a.wav"]', "'a.wav' appears twice"),
        ("[path]\npositions = [0, 2, 1]", "path.positions: they must rise from each sound to the next"),
        ('[path]\nsounds = ["a.wav"]\npositions = [0, 1]', "there are 2 for 1 sounds; give one for each"),
        ("[conditions]", "conditions"),
    ],
)
def test_what_is_wrong_is_named_with_its_key(tmp_path, more, message):
    path = write_design(tmp_path)
    path.write_text(path.read_text() + more)
    (tmp_path / "words.txt").write_text("a\nb\n")
    with pytest.raises(AudioMetamerError) as error:
        read_scaling_design(path)
    assert message in str(error.value)


def test_other_kinds_are_for_other_designs(tmp_path):
    with pytest.raises(AudioMetamerError, match="'abx' compares no pairs; it must be one of triads, quadruples"):
        read_scaling_design(write_design(tmp_path, "abx"))
