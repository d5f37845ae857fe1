"""The sounds of a path: those of a scale's table, of a folder, or of a list."""

import shutil

import pytest
from tiny_scaling import write_path

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.scaling.design import SoundPath
from audiometamer.experiment.scaling.path import read_path


def test_all_wavs_by_name_in_equal_steps(tmp_path):
    found = read_path(write_path(tmp_path / "p", 4), SoundPath(), "quadruples")
    assert found.files == ["s0.wav", "s1.wav", "s2.wav", "s3.wav"]
    assert found.places == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_those_of_a_table_at_its_positions(tmp_path):
    folder = write_path(tmp_path / "p", 4)
    (folder / "scale.tsv").write_text(
        "layer\tposition\tfile\n" + "".join(f"relu0\t{x}\ts{k}.wav\n" for k, x in ((2, 0), (0, 0.2), (1, 1)))
    )
    found = read_path(folder, SoundPath(), "triads")
    assert found == (["s2.wav", "s0.wav", "s1.wav"], [0.0, 0.2, 1.0])
    assert read_path(folder, SoundPath(sounds=["s0.wav", "s3.wav", "s1.wav"]), "triads").positions == [0, 1, 2]
    assert read_path(folder, SoundPath(positions=[1, 2, 4]), "triads").places == pytest.approx([0, 1 / 3, 1])
    with pytest.raises(AudioMetamerError, match=r"the positions of s1.wav, s0.wav, s2.wav do not rise; order path.sounds"):
        read_path(folder, SoundPath(sounds=["s1.wav", "s0.wav", "s2.wav"]), "triads")
    with pytest.raises(AudioMetamerError, match="2 positions for 3 sounds"):
        read_path(folder, SoundPath(positions=[1, 2]), "triads")
    (folder / "scale.tsv").write_text("layer\tposition\tfile\nrelu0\tfar\ts0.wav\n")
    with pytest.raises(AudioMetamerError, match="line 2: position is 'far'; it must be a number"):
        read_path(folder, SoundPath(), "triads")


def test_what_no_trial_can_be_made_of(tmp_path):
    folder = write_path(tmp_path / "p", 3)
    with pytest.raises(AudioMetamerError, match="has 3 sounds of a path; quadruples take 4 to 20"):
        read_path(folder, SoundPath(), "quadruples")
    with pytest.raises(AudioMetamerError, match=r"gone.wav does not exist; it is a sound of the path"):
        read_path(folder, SoundPath(sounds=["s0.wav", "gone.wav", "s1.wav"]), "triads")
    shutil.copyfile(write_path(tmp_path / "q", 1, seconds=0.1) / "s0.wav", folder / "s1.wav")
    with pytest.raises(AudioMetamerError, match=r"s1.wav lasts 0.1 s and s0.wav 0.05 s; sounds of a path must be equally long"):
        read_path(folder, SoundPath(), "triads")
