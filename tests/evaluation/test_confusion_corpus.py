"""Reading words in maskers: the published layout, tables of one's own, and one line for what is wrong in them."""

import numpy as np
import pytest
import soundfile
from tiny_confusions import TOKENS, samples, write_corpus

import audiometamer as am
from audiometamer.evaluation import read_corpus

RATE = 8000
TONE = 0.1 * np.sin(np.arange(800) * 0.3)
NOISE = np.random.default_rng(0).normal(0, 0.05, 4000)


@pytest.fixture
def own(tmp_path):
    """Write a table of one's own beside a word of 0.1 s and a masker of 0.5 s."""
    soundfile.write(tmp_path / "boat.wav", TONE, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "noise.wav", NOISE, RATE, subtype="FLOAT")

    def write(*lines):
        path = tmp_path / "tokens.csv"
        path.write_text("\n".join(lines))
        return path

    return write


def test_the_published_layout(tmp_path):
    corpus = read_corpus(write_corpus(tmp_path / "corpus"))
    assert read_corpus(tmp_path / "corpus" / "confusionCorpus_v1.2.csv").tokens == corpus.tokens
    assert len(corpus.tokens) == len(TOKENS)
    first = corpus.tokens[0]
    assert (first.name, first.target, first.confusion, first.talker, first.masker, first.snr) == (
        "11",
        "a",
        "b",
        "s1",
        "SSN",
        -4.2,
    )
    assert first.responses == {"b": 6, "a": 3, "c": 1}
    sounds = first.read()
    np.testing.assert_allclose(sounds.heard, samples({"a": 0.25, "b": 0.5}), atol=1e-4)
    np.testing.assert_allclose(sounds.quiet, samples({"a": 0.25}), atol=1e-4)
    assert sounds.sample_rate == 8


def test_homophones_are_words_with_the_same_published_pronunciation(tmp_path):
    """Where a word has several, the most frequent one."""
    folder = write_corpus(tmp_path / "corpus")
    table = folder / "confusionCorpus_v1.2.csv"
    table.write_text(table.read_text().replace("! YONDER", "! D"))
    homophones = read_corpus(folder).homophones
    assert homophones["yonder"] == homophones["d"] == "d"
    assert homophones["a"] == "a"
    table.write_text(table.read_text().replace("6,! D,! d", "6,! E,! d"))  # of d, now as often as ! D, but later
    assert read_corpus(folder).homophones["yonder"] == "d"


def test_talkers(tmp_path):
    corpus = read_corpus(write_corpus(tmp_path / "corpus"))
    assert [token.name for token in corpus.of_talkers(["s1"]).tokens] == ["11", "12"]
    with pytest.raises(am.AudioMetamerError, match=r"has no talker 's7'; it has s1, s2"):
        corpus.of_talkers(["s1", "s7"])


def test_a_table_of_ones_own(own):
    path = own(
        "path,target,responses,talker,snr,masker,onset",
        "boat.wav,Boat,open: 6; boat:1; Open :1,anna,-6,noise.wav,0.25",
        "boat.wav,boat,open:3;over:3,,,,",
    )
    first, second = read_corpus(path).tokens
    assert (first.target, first.responses, first.confusion) == ("boat", {"open": 7, "boat": 1}, "open")
    assert (first.talker, first.masker, first.snr) == ("anna", "noise", -6)
    sounds = first.read()
    masker = sounds.heard - sounds.quiet
    np.testing.assert_allclose(sounds.quiet, TONE, atol=1e-6)
    assert np.corrcoef(masker, NOISE[2000:2800])[0, 1] > 0.9999
    assert 10 * np.log10(np.sum(TONE**2) / np.sum(masker**2)) == pytest.approx(-6, abs=1e-3)
    assert second.confusion == ""  # two tie
    assert second.read().quiet is None
    np.testing.assert_allclose(second.read().heard, TONE, atol=1e-6)


def test_a_masker_of_another_rate(own, tmp_path):
    soundfile.write(tmp_path / "noise.wav", np.repeat(NOISE, 2), 2 * RATE, subtype="FLOAT")
    (token,) = read_corpus(own("path,target,responses,snr,masker", "boat.wav,boat,open:6,0,noise.wav")).tokens
    sounds = token.read()
    assert len(sounds.heard) == 800
    assert np.sum((sounds.heard - sounds.quiet) ** 2) == pytest.approx(np.sum(TONE**2), rel=1e-3)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("boat.wav,boat,,", "the responses are ''; they must be words with numbers of listeners, as in boat:9;both:4"),
        ("boat.wav,boat,open:0,", "the responses are 'open:0'"),
        ("boat.wav,boat,open:9999999,", "the responses are 'open:9999999'"),
        ("boat.wav,boat,open 6,", "the responses are 'open 6'"),
        ("boat.wav,boat,open:6,loud", "snr is 'loud'; it must be from -200 to 200"),
        ("boat.wav,boat,open:6,nan", "snr is 'nan'"),
        ("coat.wav,boat,open:6,1", r"1 of 1 sound of .*tokens.csv do not exist \(first: .*coat.wav\)"),
    ],
)
def test_a_wrong_row(own, line, message):
    with pytest.raises(am.AudioMetamerError, match=message):
        read_corpus(own("path,target,responses,snr", line))


def test_maskers_that_do_not_fit(own):
    header = "path,target,responses,snr,masker,onset"
    with pytest.raises(am.AudioMetamerError, match="line 2: a masker without an snr; give the dB"):
        read_corpus(own(header, "boat.wav,boat,open:6,,noise.wav,"))
    with pytest.raises(am.AudioMetamerError, match="onset is '-1'; it must be from 0"):
        read_corpus(own(header, "boat.wav,boat,open:6,0,noise.wav,-1"))
    (token,) = read_corpus(own(header, "boat.wav,boat,open:6,0,noise.wav,0.45")).tokens
    with pytest.raises(am.AudioMetamerError, match=r"noise.wav has 0.050 s from 0.45 s on; .*boat.wav needs 0.100 s"):
        token.read()


def test_a_folder_without_the_table(tmp_path):
    with pytest.raises(am.AudioMetamerError, match=r"holds no confusionCorpus_\*.csv; name the folder of the corpus, or a table"):
        read_corpus(tmp_path)


def test_a_published_table_that_was_changed(tmp_path):
    folder = write_corpus(tmp_path / "corpus")
    table = folder / "confusionCorpus_v1.2.csv"
    text = table.read_text()
    table.write_text(text.replace("6 3 1", "6 3"))
    with pytest.raises(am.AudioMetamerError, match=r"line 2: 3 Responses have the Counts '6 3'; each needs a number"):
        read_corpus(folder)
    table.write_text(text.replace("Target-Arpabet", "Target-ARPA"))
    with pytest.raises(am.AudioMetamerError, match="has no column Target-Arpabet"):
        read_corpus(folder)
    table.write_text(text)
    soundfile.write(folder / "confusionWavs" / "T_11.wav", TONE, RATE)
    with pytest.raises(am.AudioMetamerError, match=r"T_11.wav has 1 channel\(s\); it must have two, the word and its masker"):
        read_corpus(folder).tokens[0].read()
