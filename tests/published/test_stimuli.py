"""The published pickle of stimuli as a folder of clips: what is kept, what is said, what is refused."""

import numpy as np
import pytest
import soundfile
from tiny_published import stimuli, write_stimuli

import audiometamer as am
from audiometamer.errors import AudioMetamerError
from audiometamer.io.tables import read_table
from audiometamer.published.stimuli import COLUMNS, published_stimuli
from audiometamer.training.sources import open_source


def test_a_folder_of_clips(tmp_path):
    content = stimuli(["about", "o'clock"])
    notes = published_stimuli(write_stimuli(tmp_path / "words.pckl", content), tmp_path / "out")
    assert notes == ["2 words instead of 400"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["about.flac", "clips.csv", "o_clock.flac"]
    first, second = read_table(tmp_path / "out" / "clips.csv")
    assert tuple(first) == COLUMNS
    assert (first["path"], first["word"], first["recording"], first["split"]) == ("about.flac", "about", "wsj_0.wav", "test")
    assert (second["path"], second["word"], float(second["gain_db"])) == ("o_clock.flac", "o'clock", 0)
    assert "Linguistic Data Consortium" in first["licence"]
    samples, rate = soundfile.read(tmp_path / "out" / "o_clock.flac")
    assert (rate, samples.shape) == (20_000, (40_000,))
    np.testing.assert_allclose(samples, content["o'clock"]["audio_clips"][0], atol=2**-24)
    clip = am.read_clip(tmp_path / "out" / "about.flac", sample_rate=20_000, duration=2.0)
    assert float(clip.samples.square().mean().sqrt()) == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_every_protocol_of_binary_pickles(tmp_path, protocol):
    content = stimuli(seconds=0.1)
    content["Dataset_Word_Order"] = np.array(content["Dataset_Word_Order"])
    content["about"]["audio_clips"] = np.stack(content["about"]["audio_clips"])  # one array of clips × samples
    content["about"]["dataframe_metadata"]["sr"] = np.int64(20_000)
    notes = published_stimuli(write_stimuli(tmp_path / "words.pckl", content, protocol=protocol), tmp_path / "out")
    assert notes == ["2 words instead of 400", "2 clips of 0.1 s at 20000 Hz instead of 2 s at 20000 Hz"]
    samples, _ = soundfile.read(tmp_path / "out" / "about.flac")
    np.testing.assert_allclose(samples, content["about"]["audio_clips"][0], atol=2**-24)


def test_integers_keep_every_bit(tmp_path):
    content = stimuli()
    stored = np.random.default_rng(0).integers(-(2**15), 2**15, 40_000).astype(np.int16)
    content["after"]["audio_clips"] = [stored[:, None]]
    published_stimuli(write_stimuli(tmp_path / "words.pckl", content), tmp_path / "out")
    np.testing.assert_array_equal(soundfile.read(tmp_path / "out" / "after.flac", dtype="int16")[0], stored)


def test_what_a_file_cannot_hold_is_scaled_and_said(tmp_path):
    content = stimuli(["loud", "soft", "plain"])
    for word, factor in (("loud", 4), ("soft", 1e-3)):
        content[word]["audio_clips"][0] = content[word]["audio_clips"][0] * factor
    notes = published_stimuli(write_stimuli(tmp_path / "words.pckl", content), tmp_path / "out")
    assert notes[1:] == ["2 clips scaled, as in the column gain_db of clips.csv: loud, soft"]
    gains = {row["word"]: float(row["gain_db"]) for row in read_table(tmp_path / "out" / "clips.csv")}
    assert gains == {"loud": pytest.approx(-12.0412, abs=1e-3), "soft": pytest.approx(60, abs=1e-3), "plain": 0}
    for word, gain in gains.items():
        samples, _ = soundfile.read(tmp_path / "out" / f"{word}.flac")
        np.testing.assert_allclose(samples, content[word]["audio_clips"][0] * 10 ** (gain / 20), atol=1e-6)
        assert np.abs(samples).max() == pytest.approx(0.5, abs=1e-3)


def test_it_is_a_data_set_of_words(tmp_path):
    published_stimuli(write_stimuli(tmp_path / "words.pckl"), tmp_path / "out")
    source = open_source(str(tmp_path / "out"))
    assert [(each.split, each.labels["word"]) for each in source] == [("test", ("about",)), ("test", ("after",))]


def test_nothing_is_overwritten_unasked(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    path = write_stimuli(tmp_path / "words.pckl")
    with pytest.raises(AudioMetamerError, match="could not write"):
        published_stimuli(path, tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep"
    published_stimuli(path, tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "clips.csv").exists()


def changed(**entry):
    content = stimuli()
    content["after"] |= entry
    return content


def metadata(**values):
    return changed(dataframe_metadata=stimuli()["after"]["dataframe_metadata"] | values)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"about": 1}, "not the pickle of stimuli: it has no Dataset_Word_Order"),
        ([1, 2], "not the pickle of stimuli"),
        (stimuli() | {"Dataset_Word_Order": ["about", "after", "about"]}, "'about' is several times"),
        (stimuli() | {"Dataset_Word_Order": ["about", "again"]}, "'again': should have dataframe_metadata and audio_clips"),
        (stimuli(["About", "about"]), r"About and about would share the file about\.flac"),
        (metadata(word="before"), "'after': its dataframe_metadata says 'before'"),
        (metadata(sr=0), "its rate is 0; it should be a number of Hz"),
        (metadata(sr=20_000.5), r"its rate is 20000\.5; it should be"),
        (metadata(sr="fast"), "'after': could not convert"),
        (changed(dataframe_metadata={"word": "after"}), "its dataframe_metadata should have sr"),
        (changed(dataframe_metadata=3), "its dataframe_metadata should have word"),
        (changed(audio_clips=[]), "it has no clip"),
        (changed(audio_clips=3), "'after': object of type 'int'"),
        (changed(audio_clips=[np.ones((2, 9))]), r"of float64 and shape \(2, 9\); it should be one row of samples"),
        (changed(audio_clips=[np.array(["a", "b"])]), r"of <U1 and shape \(2,\)"),
        (changed(audio_clips=[np.array([0.1, np.nan])]), "all zero, or some are NaN"),
        (changed(audio_clips=[np.zeros(9)]), "all zero, or some are NaN"),
        (changed(audio_clips=[np.zeros(0)]), "all zero, or some are NaN"),
        (changed(more=print), r"asks for 'builtins\.print'"),
    ],
)
def test_what_is_not_the_published_pickle(tmp_path, content, message):
    with pytest.raises(AudioMetamerError, match=message):
        published_stimuli(write_stimuli(tmp_path / "words.pckl", content), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_that_are_no_pickles(tmp_path):
    (tmp_path / "words.pckl").write_bytes(b"no pickle")
    with pytest.raises(AudioMetamerError, match="not a pickle that can be read"):
        published_stimuli(tmp_path / "words.pckl", tmp_path / "out")
    with pytest.raises(AudioMetamerError, match="No such file"):
        published_stimuli(tmp_path / "absent.pckl", tmp_path / "out")
