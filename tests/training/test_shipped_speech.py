"""Which recordings are shipped, and that the shipped ones are what their table says."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

import audiometamer as am
from audiometamer.io.tables import read_table, write_table
from audiometamer.training.shipped_speech import Recording, candidates, chosen, is_good, level_range, main, silence

SHIPPED = Path(__file__).parents[2] / "stimuli" / "speech"
RATE = 16_000


def recording(word, reader, source="librispeech-train-clean-100"):
    return Recording(f"{word}/{reader}", word, source, reader)


def speech(*, gap=0.2):
    """Noise of varying level, 2 s, with a soft stretch of `gap` s."""
    samples = 0.2 * np.random.default_rng(0).standard_normal(2 * RATE)
    samples[: round(gap * RATE)] *= 0.01
    return np.clip(samples, -0.9, 0.9)


def test_a_natural_recording_comes_before_a_synthetic_one():
    rows = [recording("about", "bella", "kokoro-82m"), recording("about", "s1", "eccc"), recording("about", "12")]
    assert chosen(rows) == [rows[2]]
    assert chosen(rows[:2]) == [rows[1]]


def test_speakers_take_turns_where_words_allow():
    # "one" and "two" have one reader each, so the third reader is left for "four", who has all three
    rows = [recording("one", "a"), recording("two", "b"), *(recording("four", reader) for reader in "abc")]
    assert {one.word: one.speaker for one in chosen(rows)} == {"one": "a", "two": "b", "four": "c"}


def test_candidates_are_words_of_tests_alone():
    def row(path, word, split="test", source="librispeech-train-clean-100"):
        return {"path": path, "word": word, "split": split, "source": source}

    rows = [
        row("libri/test/about/1578-140045-0000_3.flac", "about"),
        row("libri/test/about/9999-140045-0000_3.flac", "about"),
        row("libri/train/about/12-1-0000_3.flac", "about", "train"),
        row("libri/test/alice/13-1-0000_3.flac", "alice"),
        row("libri/test/it_s/13-1-0000_3.flac", "it's"),
        row("so/test/about/13.ogg", "about", source="speechocean762"),
        row("kokoro/test/bf_emma/call.ogg", "call", source="kokoro-82m"),
        row("eccc/call_s3.flac", "call", source="eccc"),
    ]
    found = list(candidates(rows, ["about", "alice", "it's", "call"], ["libri/test/about/9999-140045-0000_3.flac"]))
    assert [one.speaker for one in found] == ["LibriSpeech reader 1578", "Kokoro voice bf_emma", "ECCC talker 3"]


@pytest.mark.parametrize(
    ("samples", "style", "good"),
    [
        (speech(), "sentence", True),
        (speech(gap=0), "sentence", False),  # as loud everywhere: noise
        (speech(gap=0), "isolated", True),
        (np.r_[np.zeros(RATE), speech()[RATE:]], "sentence", False),  # begins after a second
        (np.r_[speech()[:RATE], 4.0, speech()[:200]], "isolated", False),  # a click, which peaks above 1 at RMS 0.1
    ],
)
def test_good_recordings(tmp_path, samples, style, good):
    soundfile.write(tmp_path / "clip.wav", samples, RATE, subtype="FLOAT")
    assert is_good(tmp_path / "clip.wav", style=style) == good


def test_level_range_and_silence_of_half_a_tone():
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    assert level_range(np.r_[0.01 * tone, tone], RATE) == pytest.approx(40, abs=0.1)
    assert silence(np.r_[np.zeros(RATE // 2), tone + 2], RATE) == pytest.approx(0.5, abs=0.011)


def test_a_corpus_becomes_clips_with_a_table(tmp_path):
    corpus, out = tmp_path / "corpus", tmp_path / "out"
    (corpus / "eccc").mkdir(parents=True)
    soundfile.write(corpus / "eccc" / "call_s3.flac", 0.5 * speech(gap=0)[:RATE], RATE, subtype="PCM_16")
    write_table(
        corpus / "clips.csv",
        ("path", "split", "word", "source"),
        [{"path": "eccc/call_s3.flac", "split": "test", "word": "call", "source": "eccc"}],
    )
    (corpus / "words_usable.txt").write_text("call\n")
    done = CliRunner().invoke(main, [str(corpus), str(out)], catch_exceptions=False)
    assert done.output.startswith("1 words of 1 speakers")
    samples, rate = soundfile.read(out / "call.flac")
    assert (len(samples), rate) == (2 * RATE, RATE)
    assert np.sqrt(np.mean(samples**2)) == pytest.approx(0.1, rel=1e-3)
    assert not samples[: RATE // 2].any()
    assert not samples[-RATE // 2 :].any()
    (row,) = read_table(out / "clips.csv")
    assert (row["licence"], row["speech"], row["style"], row["split"]) == ("CC BY 4.0", "natural", "isolated", "test")


def test_the_shipped_clips_are_what_their_table_says():
    rows = read_table(SHIPPED / "clips.csv")
    assert {row["path"] for row in rows} == {path.name for path in SHIPPED.glob("*.flac")}
    assert len({row["word"] for row in rows}) == len(rows) >= 158  # 120, and 38 for practice, demonstration and catch trials
    assert sum(row["speech"] == "natural" for row in rows) >= 120
    assert max(Counter(row["speaker"] for row in rows if row["style"] == "sentence").values()) <= 6
    assert {row["licence"] for row in rows} == {"CC BY 4.0", "Apache 2.0 (the model; its speech is free)"}
    assert all(row["attribution"] for row in rows)
    assert not {row["recording"] for row in rows} & {row["recording"] for row in read_table(SHIPPED / "left_out.csv")}
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 8e6
    for row in rows[::4]:
        clip = am.read_clip(SHIPPED / row["path"])
        assert not clip.notices, row["path"]  # neither padded nor beyond full scale at the models' level
