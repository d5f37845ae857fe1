"""Audiograms: standard shapes, files, what is refused and what is doubted."""

import pytest

import audiometamer as am
from audiometamer.ears import Audiogram, find_audiogram, flat, read_audiogram, standard
from audiometamer.errors import AudioMetamerWarning


def test_standard_shapes() -> None:
    n3 = standard("n3")  # Bisgaard et al. (2010), table 3
    assert (n3.name, n3.at(250), n3.at(2000), n3.at(6000)) == ("N3", 35, 50, 65)
    assert standard("S1").at(4000) == 55
    assert n3.at(2500) == 52.5  # halfway in Hz
    assert (n3.at(100), n3.at(9000)) == (35, 65)  # flat beyond
    assert n3.high_frequency_loss == (50 + 55 + 60 + 65) / 4
    assert flat(40).at(1234) == standard("normal").at(1234) + 40 == 40
    assert set(find_audiogram("flat25")["left"].losses) == {25}


def test_files_of_both_ears(tmp_path) -> None:
    (tmp_path / "a.toml").write_text("frequencies = [500, 1000]\nleft = [10, 20]\nright = [30, 40]\n")
    (tmp_path / "b.csv").write_text("frequency,left,right\n500,10,30\n1000,20,40\n")
    (tmp_path / "c.toml").write_text("frequencies = [500, 1000]\nloss = [10, 20]\n")
    for name in ("a.toml", "b.csv"):
        ears = read_audiogram(tmp_path / name)
        assert (ears["left"].losses, ears["right"].losses) == ((10, 20), (30, 40))
    same = find_audiogram(str(tmp_path / "c.toml"))
    assert same["left"] is same["right"]
    assert find_audiogram("500=10,1000=20.5")["right"].at(1000) == 20.5


@pytest.mark.parametrize(
    ("frequencies", "losses", "message"),
    [
        ([500, 1000], [10], "2 frequencies and 1 losses"),
        ([], [], "0 frequencies and 0 losses"),
        ([1000, 500], [10, 20], "1000, 500 do not rise"),
        ([0.5, 1, 2], [10, 20, 30], "frequency 0.5 Hz.*in kHz, perhaps"),
        ([500, 1000], [10, 200], "loss 200 dB HL at 1000 Hz"),
        ([500, float("nan")], [10, 20], "frequency nan Hz"),
    ],
)
def test_bad_audiograms(frequencies, losses, message) -> None:
    with pytest.raises(am.AudioMetamerError, match=message):
        Audiogram(frequencies, losses)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frequencies = [500]\n", "there are no losses"),
        ("frequencies = [500]\nloss = [1]\nleft = [1]\n", "not both"),
        ("frequencies = [500]\nlos = [1]\n", "los"),
    ],
)
def test_bad_files(tmp_path, text, message) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(am.AudioMetamerError, match=message):
        read_audiogram(tmp_path / "a.toml")
    (tmp_path / "a.csv").write_text("frequency,loss\n500,ten\n")
    with pytest.raises(am.AudioMetamerError, match="line 2: loss is 'ten'"):
        read_audiogram(tmp_path / "a.csv")
    for name in ("N8", "a.txt", "flat"):
        with pytest.raises(am.AudioMetamerError, match="there is no audiogram"):
            find_audiogram(name)
    with pytest.raises(am.AudioMetamerError, match="there is no standard audiogram 'N8'"):
        standard("N8")
    with pytest.raises(am.AudioMetamerError, match=r"\.toml, \.csv or \.tsv"):
        read_audiogram(tmp_path / "a.txt")


def test_five_where_fifty_is_meant() -> None:
    with pytest.warns(AudioMetamerWarning, match="5 dB HL at 2000 Hz is beside 45 and 55 dB HL; is 50 meant"):
        Audiogram([1000, 2000, 4000], [45, 5, 55])
    with pytest.warns(AudioMetamerWarning, match="6 dB HL at 4000 Hz.*is 60 meant"):
        Audiogram([1000, 2000, 4000], [45, 55, 6])
    with pytest.warns(AudioMetamerWarning, match="25 dB HL at 2000 Hz.*is that right"):
        Audiogram([1000, 2000, 4000], [50, 25, 55])
    for name in ("N1", "N7", "S2"):  # steep, but sound
        standard(name)
