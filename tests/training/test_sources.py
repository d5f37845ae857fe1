"""Data sets of every layout, in miniature."""

import csv
import sys
from collections import Counter

import numpy as np
import pytest
import soundfile

import audiometamer as am
from audiometamer.training.sources import open_source


def write_sound(path, rate=16_000):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.sin(np.arange(rate // 100)), rate)


def contents(folder, recordings):
    """What is known of each recording, by its path in the folder."""
    return {r.path.relative_to(folder).as_posix(): (r.split, dict(r.labels)) for r in recordings}


def fails(spec, message):
    with pytest.raises(am.AudioMetamerError, match=message) as caught:
        open_source(str(spec))
    assert "\n" not in str(caught.value)


@pytest.fixture
def clips(tmp_path):
    """A function that writes sounds a.wav and b/c.flac and a table."""
    write_sound(tmp_path / "a.wav")
    write_sound(tmp_path / "b/c.flac")

    def written(*rows, name="clips.csv"):
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
        return tmp_path

    return written


def test_clips(clips):
    folder = clips(
        ["", "path", "word", "split", "sounds", "speaker", "source", "seconds", "sample_rate"],
        ["0", "a.wav", "zéro", "train", "dog; rain", "", "made here", "0.01", "16000"],
        ["1", "b/c.flac", "", "background", "", "", "", "", ""],
        ["2", "a.wav", "", "test"],
    )
    expected = [
        ("a.wav", "train", {"word": ("zéro",), "sounds": ("dog", "rain")}),
        ("b/c.flac", "background", {}),
        ("a.wav", "test", {}),
    ]
    (folder / "clips.csv").rename(folder / "other.csv")
    (folder / "clips.csv").write_bytes("\ufeff".encode() + (folder / "other.csv").read_bytes())  # as spreadsheets write it
    for spec in (folder, f"clips:{folder}", folder / "other.csv", f"clips:{folder / 'other.csv'}"):
        recordings = open_source(str(spec))
        assert [(r.path.relative_to(folder).as_posix(), r.split, r.labels) for r in recordings] == expected
    samples, rate = recordings[1].read()
    assert (rate, len(samples), recordings[1].seconds) == (16_000, 160, 0.01)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["word", "split"], ["zero", "train"]], r"clips\.csv has no column path$"),
        ([["word"], ["zero"]], r"clips\.csv has no column path and no column split$"),
        ([], r"clips\.csv has no column path"),
        ([["path", "split"]], r"clips\.csv lists no recordings"),
        (
            [["path", "split"], ["a.wav", "train"], ["a.wav", "training"]],
            r"clips\.csv, line 3: the split is 'training'; it would be one of train, valid, test, background",
        ),
        ([["path", "split"], ["a.wav"]], r"line 2: the split is ''"),
        ([["path", "split"], ["d.wav", "test"]], r"clips\.csv, line 2: .*d\.wav is not a file"),
        ([["path", "split"], ["", "test"]], r"line 2: .* is not a file"),
        ([["path", "split"], ["a.wav", "test", "more"]], r"clips\.csv, line 2: 3 cells; there should be 2"),
    ],
)
def test_tables_that_do_not_fit(clips, rows, message):
    fails(f"clips:{clips(*rows)}", message)


def test_files_that_are_no_tables(tmp_path):
    fails(f"clips:{tmp_path}", r"clips\.csv does not exist; it lists recordings")
    (tmp_path / "clips.csv").write_bytes(b"path,split\n\xff\xfe,train")
    fails(tmp_path, r"clips\.csv cannot be read as a table: .*utf-8")
    (tmp_path / "clips.csv").write_text('path,split\n"' + "a" * 200_000 + '",train')
    fails(tmp_path, r"clips\.csv cannot be read as a table: field larger than field limit")


def test_tree_with_splits(tmp_path):
    for name in ("train/yes/1.wav", "train/yes/deep/er/2.FLAC", "valid/no/3.ogg", "test/no/4.mp3", "background/5.wav",
                 "background/rain/6.wav", "train/yes/._1.wav", ".cache/train/7.wav"):  # fmt: skip
        write_sound(tmp_path / name)
    (tmp_path / "train/yes/notes.txt").write_text("no audio")
    expected = {
        "train/yes/1.wav": ("train", {"word": ("yes",)}),
        "train/yes/deep/er/2.FLAC": ("train", {"word": ("yes",)}),
        "valid/no/3.ogg": ("valid", {"word": ("no",)}),
        "test/no/4.mp3": ("test", {"word": ("no",)}),
        "background/5.wav": ("background", {}),
        "background/rain/6.wav": ("background", {}),
    }
    assert contents(tmp_path, open_source(str(tmp_path))) == expected
    assert contents(tmp_path, open_source(f"tree:{tmp_path}")) == expected
    speakers = contents(tmp_path, open_source(f"tree.speaker:{tmp_path}"))
    assert speakers["test/no/4.mp3"] == ("test", {"speaker": ("no",)})
    assert speakers["background/5.wav"] == ("background", {})


def test_tree_without_splits(tmp_path):
    sizes = {"one": 1, "two": 2, "three": 3, "twenty": 20, "fortyone": 41}
    for name, n in sizes.items():
        for i in range(n):
            write_sound(tmp_path / "set" / name / f"{i}.wav")
    write_sound(tmp_path / "set/background/wind.wav")
    found = contents(tmp_path / "set", open_source(str(tmp_path / "set")))
    assert found.pop("background/wind.wav") == ("background", {})
    assert all(labels == {"word": (path.split("/")[0],)} for path, (_, labels) in found.items())
    assert Counter((labels["word"][0], split) for split, labels in found.values()) == {
        ("one", "train"): 1,
        ("two", "train"): 1, ("two", "test"): 1,
        ("three", "train"): 1, ("three", "test"): 1, ("three", "valid"): 1,
        ("twenty", "train"): 16, ("twenty", "test"): 2, ("twenty", "valid"): 2,
        ("fortyone", "train"): 33, ("fortyone", "test"): 4, ("fortyone", "valid"): 4,
    }  # fmt: skip
    # `printf three/0.wav | sha256sum` and so on: 1 (4127…) for training, then 0 (4d31…) test, then 2 (dffa…) valid
    assert [found[f"three/{i}.wav"][0] for i in range(3)] == ["test", "train", "valid"]
    (tmp_path / "set").rename(tmp_path / "moved")
    assert contents(tmp_path / "moved", open_source(str(tmp_path / "moved"))).items() >= found.items()


def test_trees_that_do_not_fit(tmp_path):
    fails(f"tree:{tmp_path}", r"holds no audio files \(\.wav, \.flac")
    write_sound(tmp_path / "a/loose.wav")
    write_sound(tmp_path / "loose.wav")
    fails(tmp_path, r"loose\.wav lies in no folder of a class: it would be .*/<class>/loose\.wav")
    (tmp_path / "loose.wav").unlink()
    write_sound(tmp_path / "train/yes.wav")
    fails(tmp_path, r"/a is none of the splits train, valid, test, background, which lie beside it")
    (tmp_path / "a/loose.wav").unlink()
    fails(tmp_path, r"train/yes\.wav lies in no folder of a class: it would be .*train/<class>/yes\.wav")


@pytest.fixture
def speech_commands(tmp_path):
    folder = tmp_path / "SpeechCommands/speech_commands_v0.02"
    for name in ("bed/0a_nohash_0.wav", "bed/0b_nohash_1.wav", "cat/0a_nohash_0.wav", "cat/0c_nohash_0.wav",
                 "_background_noise_/pink_noise.wav"):  # fmt: skip
        write_sound(folder / name)
    (folder / "_background_noise_/README.md").write_text("noise")
    (folder / "validation_list.txt").write_text("bed/0b_nohash_1.wav\n")
    (folder / "testing_list.txt").write_text("cat/0c_nohash_0.wav\n")
    return folder


def test_speech_commands(tmp_path, speech_commands):
    for spec in (f"speechcommands:{tmp_path}", tmp_path, speech_commands.parent, speech_commands):
        recordings = open_source(str(spec))
        assert contents(speech_commands, recordings) == {
            "bed/0a_nohash_0.wav": ("train", {"word": ("bed",), "speaker": ("0a",)}),
            "cat/0a_nohash_0.wav": ("train", {"word": ("cat",), "speaker": ("0a",)}),
            "bed/0b_nohash_1.wav": ("valid", {"word": ("bed",), "speaker": ("0b",)}),
            "cat/0c_nohash_0.wav": ("test", {"word": ("cat",), "speaker": ("0c",)}),
            "_background_noise_/pink_noise.wav": ("background", {}),
        }
    assert all(len(recording.read()[0]) == 160 for recording in recordings)


def test_speech_commands_that_do_not_fit(tmp_path, speech_commands, monkeypatch):
    fails(f"speechcommands:{speech_commands / 'bed'}", "is not a folder with SpeechCommands/speech_commands_v0.02")
    (speech_commands / "bed/0b_nohash_1.wav").unlink()
    fails(tmp_path, r"bed/0b_nohash_1\.wav does not exist, but the list of the validation subset names it")
    (speech_commands / "testing_list.txt").unlink()
    fails(tmp_path, r"is not Speech Commands as it was published: .*testing_list\.txt")
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    fails(tmp_path, "needs torchaudio, which could not be imported")


def utterance(folder, subset, speaker, chapter, number):
    place = folder / "LibriSpeech" / subset / str(speaker) / str(chapter)
    name = f"{speaker}-{chapter}-{number:04}"
    write_sound(place / f"{name}.flac")
    with (place / f"{speaker}-{chapter}.trans.txt").open("a") as file:
        file.write(f"{name} WORDS WERE SAID\n")
    return place / f"{name}.flac"


def test_librispeech(tmp_path):
    # chapters 9 and 10 in the order of their numbers, as they were read, not of their letters
    many = [utterance(tmp_path, "train-clean-100", 19, 9, i) for i in range(7)]
    many += [utterance(tmp_path, "train-clean-100", 19, 10, i) for i in range(18)]
    six = [utterance(tmp_path, "dev-clean", 3, 1, i) for i in range(6)]
    five = [utterance(tmp_path, "dev-clean", 4, 1, i) for i in range(5)]
    one = utterance(tmp_path, "dev-clean", 5, 1, 0)
    for spec in (tmp_path, tmp_path / "LibriSpeech", f"librispeech:{tmp_path}"):
        found = {r.path: (r.split, r.labels) for r in open_source(str(spec))}
        assert len(found) == 37
        splits = [found[path][0] for path in many]
        assert [i + 1 for i, split in enumerate(splits) if split == "test"] == [10, 20]
        assert [i + 1 for i, split in enumerate(splits) if split == "valid"] == [5, 15, 25]
        assert splits.count("train") == 20
        assert [found[path][0] for path in six] == ["train"] * 4 + ["valid", "test"]
        assert [found[path][0] for path in five] == ["train"] * 4 + ["test"]
        assert found[one] == ("train", {"speaker": ("5",)})
        assert found[many[9]] == ("test", {"speaker": ("19",)})


def test_librispeech_that_does_not_fit(tmp_path, monkeypatch):
    (tmp_path / "LibriSpeech").mkdir()
    fails(f"librispeech:{tmp_path}", r"is not a folder with LibriSpeech/<subset> \(train-clean-100, .*\)")
    path = utterance(tmp_path, "dev-clean", 3, 1, 0)
    (path.parent / "3-1.trans.txt").unlink()
    fails(tmp_path, r"dev-clean is not LibriSpeech as it was published: .*3-1\.trans\.txt")
    (path.parent / "3-1.trans.txt").write_text("")
    fails(tmp_path, r"dev-clean is not LibriSpeech as it was published: .*3-1-0000")
    (tmp_path / "LibriSpeech/dev-clean/3").rename(tmp_path / "elsewhere")
    fails(tmp_path, "holds no utterances")
    monkeypatch.setitem(sys.modules, "torchaudio.datasets", None)
    fails(tmp_path, "needs torchaudio, which could not be imported")


def test_hdf5_is_recognised(tmp_path):
    (tmp_path / "valid_x").mkdir()
    (tmp_path / "valid_x/JSIN_all__run_3.h5").write_text("not HDF5")
    for spec in (tmp_path, f"hdf5:{tmp_path}"):
        fails(spec, r"JSIN_all__run_3\.h5 cannot be read as HDF5")


def test_what_is_no_data_set(tmp_path):
    fails(tmp_path, r"is none of these: a folder with clips\.csv \(clips\); .*\(speechcommands\); .*\(hdf5\); .*\(tree\)$")
    (tmp_path / "notes.txt").write_text("nothing")
    fails(tmp_path / "notes.txt", r"notes\.txt is none of these")
    fails(tmp_path / "none", r"none does not exist; a data set is PATH or KIND:PATH, with the kinds clips, ")
    fails(f"clip:{tmp_path}", r"^clip:.* does not exist; a data set is PATH or KIND:PATH")
