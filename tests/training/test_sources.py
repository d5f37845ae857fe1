"""Data sets of every layout, in miniature."""

import csv
import shutil
from collections import Counter

import numpy as np
import pytest
import soundfile

import audiometamer as am
from audiometamer.training.copies import without_copies
from audiometamer.training.sources import open_source, open_sources


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
    assert [r.groups["source"] for r in recordings] == ["made here", "", ""]
    assert recordings[0].groups["sounds"] == "dog; rain"
    samples, rate = recordings[1].read()
    assert (rate, len(samples), recordings[1].seconds) == (16_000, 160, 0.01)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["word", "split"], ["zero", "train"]], r"clips\.csv has no column path; it has word, split$"),
        ([["word"], ["zero"]], r"clips\.csv has no column path, split; it has word$"),
        ([], r"clips\.csv has no column path"),
        ([["path", "split"]], r"clips\.csv has no rows"),
        (
            [["path", "split"], ["a.wav", "train"], ["a.wav", "trained"]],
            r"clips\.csv, line 3: the split is 'trained'; it must be one of train, valid, test, background",
        ),
        ([["path", "split"], ["a.wav"]], r"line 2: the split is ''"),
        ([["path", "split"], ["a.wav", "train"], [], ["d.wav", "test"]], r"clips\.csv, line 4: .*d\.wav is not a file"),
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
    fails(tmp_path, r"clips\.csv cannot be read as a table: it is not UTF-8")
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
    fails(f"tree:{tmp_path}", r"holds no audio files \(\.wav, \.flac, \.mp3 and the like\)$")
    write_sound(tmp_path / "a/loose.wav")
    write_sound(tmp_path / "loose.wav")
    fails(tmp_path, r"loose\.wav is in no class folder: expected .*/<class>/loose\.wav")
    (tmp_path / "loose.wav").unlink()
    write_sound(tmp_path / "train/yes.wav")
    fails(tmp_path, r"/a is not one of the splits train, valid, test, background beside it")
    (tmp_path / "a/loose.wav").unlink()
    fails(tmp_path, r"train/yes\.wav is in no class folder: expected .*train/<class>/yes\.wav")


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


def test_speech_commands_that_do_not_fit(tmp_path, speech_commands):
    fails(f"speechcommands:{speech_commands / 'bed'}", "bed is not Speech Commands: it holds neither validation_list.txt and")
    (speech_commands / "bed/0b_nohash_1.wav").unlink()
    fails(tmp_path, r"bed/0b_nohash_1\.wav does not exist, but validation_list\.txt names it")
    (speech_commands / "testing_list.txt").unlink()
    fails(tmp_path, r"speech_commands_v0\.02 has the other list of Speech Commands but no testing_list\.txt")


def test_speech_commands_under_another_name(tmp_path, speech_commands):
    """The archive has no folder of its own: the words lie where it was unpacked."""
    folder = speech_commands.rename(tmp_path / "speech_data")
    without_marvin = b"\xef\xbb\xbfcat/0c_nohash_0.wav\r\n\r\nmarvin/0d_nohash_0.wav\r\n"
    (folder / "testing_list.txt").write_bytes(without_marvin)
    for spec in (folder, f"speechcommands:{folder}", tmp_path):
        assert {path: split for path, (split, _) in contents(folder, open_source(str(spec))).items()} == {
            "bed/0a_nohash_0.wav": "train", "cat/0a_nohash_0.wav": "train", "bed/0b_nohash_1.wav": "valid",
            "cat/0c_nohash_0.wav": "test", "_background_noise_/pink_noise.wav": "background",
        }  # fmt: skip


def test_speech_commands_without_lists_keep_a_speaker_in_one_split(tmp_path):
    # by the function which_set in the README of the data set
    expected = {
        "0a7c2a8d": "train", "0132a06d": "train", "1a9afd33": "valid", "bb05582b": "test", "0ab3b47d": "valid",
        "0c40e715": "test",
    }  # fmt: skip
    for speaker in expected:
        for word in ("yes", "no"):
            write_sound(tmp_path / "mini" / word / f"{speaker}_nohash_1.wav")
    found = open_source(str(tmp_path / "mini"))
    assert len(found) == 2 * len(expected)
    assert {r.labels["speaker"][0]: r.split for r in found} == expected


def test_lists_that_share_a_speaker_are_noticed(tmp_path, speech_commands):
    (speech_commands / "testing_list.txt").write_text("cat/0a_nohash_0.wav\n")
    with pytest.warns(am.AudioMetamerWarning, match=r"1 speakers are in several splits \(first: 0a\)"):
        assert len(open_source(str(tmp_path))) == 5


def tone_of(path, frequency):
    """A sound that no other is a copy of."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.sin(np.arange(1600) * frequency), 16_000)


def test_each_real_folder_and_file_is_there_once(tmp_path):
    for word in ("yes", "no"):
        for k in range(3):
            tone_of(tmp_path / "set" / word / f"{k}.wav", 0.1 + k)
    (tmp_path / "set/yes/up").symlink_to("..")
    (tmp_path / "set/yes/out").symlink_to("../..")
    (tmp_path / "set/aaa").symlink_to("yes")
    (tmp_path / "set/no/again.wav").symlink_to("0.wav")
    write_sound(tmp_path / "elsewhere/deep/3.wav")
    (tmp_path / "set/maybe").symlink_to("../elsewhere")
    (tmp_path / "set/no/4.WAV").symlink_to("../../elsewhere/deep/3.wav")
    (tmp_path / "set/no/broken.wav").symlink_to("nowhere.wav")
    found = contents(tmp_path / "set", open_source(str(tmp_path / "set")))
    assert sorted(found) == [
        "maybe/deep/3.wav", "no/0.wav", "no/1.wav", "no/2.wav", "yes/0.wav", "yes/1.wav", "yes/2.wav",
    ]  # fmt: skip


def test_empty_files_are_left_out_with_a_line(tmp_path):
    write_sound(tmp_path / "yes/1.wav")
    write_sound(tmp_path / "no/1.wav")
    (tmp_path / "no/2.wav").touch()
    (tmp_path / "no/._1.wav").touch()
    with pytest.warns(am.AudioMetamerWarning, match=r"1 file is empty \(0 bytes\) and left out: .*no/2\.wav") as caught:
        assert len(open_source(f"tree:{tmp_path}")) == 2
    assert len(caught) == 1


def test_splits_in_capitals_and_by_other_names(tmp_path):
    for name in ("TRAIN/yes/1.WAV", "Dev/yes/1.wav", "TEST/no/1.Flac", "_background_noise_/hum.wav"):
        write_sound(tmp_path / name)
    assert {path: split for path, (split, _) in contents(tmp_path, open_source(str(tmp_path))).items()} == {
        "TRAIN/yes/1.WAV": "train", "Dev/yes/1.wav": "valid", "TEST/no/1.Flac": "test",
        "_background_noise_/hum.wav": "background",
    }  # fmt: skip


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


def test_librispeech_under_another_name_and_a_subset_alone(tmp_path):
    path = utterance(tmp_path, "dev-clean", 3, 1, 0)
    (path.parent / "3-1.trans.txt").unlink()  # what was said is not asked for
    renamed = (tmp_path / "LibriSpeech").rename(tmp_path / "libri")
    for folder in (renamed, renamed / "dev-clean", renamed / "dev-clean/3"):
        assert [(r.path.name, r.labels) for r in open_source(str(folder))] == [("3-1-0000.flac", {"speaker": ("3",)})]
    (tmp_path / "nothing").mkdir()
    fails(f"librispeech:{tmp_path / 'nothing'}", r"no files with names as in librispeech, 1272/128104/1272-128104-0000\.flac")


def test_vctk_takes_one_of_two_microphones(tmp_path):
    for number in range(1, 11):
        for mic in (1, 2):
            write_sound(tmp_path / f"wav48_silence_trimmed/p225/p225_{number:03}_mic{mic}.flac")
    found = contents(tmp_path, open_source(str(tmp_path)))
    assert len(found) == 10
    assert found["wav48_silence_trimmed/p225/p225_005_mic1.flac"] == ("valid", {"speaker": ("p225",)})
    assert found["wav48_silence_trimmed/p225/p225_010_mic1.flac"] == ("test", {"speaker": ("p225",)})


@pytest.fixture
def timit(tmp_path):
    """Two speakers of TRAIN, one of TEST, in NIST's format, with the times of their words."""
    for n, speaker in enumerate(("TRAIN/DR1/FCJF0", "TRAIN/DR8/MKRG0", "TEST/DR2/MABW0")):
        for k, sentence in enumerate(("SA1", "SA2", "SX10", "SX9")):
            place = tmp_path / "TIMIT" / speaker
            place.mkdir(parents=True, exist_ok=True)
            sound = np.sin(np.arange(8000) * (0.1 + 0.01 * n + 0.001 * k))
            soundfile.write(place / f"{sentence}.WAV", sound, 16_000, format="NIST", subtype="PCM_16")
            (place / f"{sentence}.WRD").write_text("0 1600 She\n1600 4800 had\n")
            (place / f"{sentence}.PHN").write_text("0 1600 sh\n")
    return tmp_path / "TIMIT"


def test_timit_as_it_is_shipped(timit):
    for folder in (timit, timit.parent, f"timit:{timit}"):
        found = contents(timit, open_source(str(folder)))
        assert len(found) == 12
        # SX9 comes before SX10: the last of four is test
        assert found["TRAIN/DR1/FCJF0/SX10.WAV"] == ("test", {"speaker": ("fcjf0",), "sentence": ("sx10",)})
        assert found["TEST/DR2/MABW0/SA1.WAV"] == ("train", {"speaker": ("mabw0",), "sentence": ("sa1",)})
    samples, rate = next(r for r in open_source(str(timit)) if r.path.name == "SA1.WAV").read()
    assert (rate, len(samples)) == (16_000, 8000)
    soundfile.write(timit / "TRAIN/DR1/FCJF0/SA1.WAV.wav", samples, rate)  # as others have converted it
    assert len(open_source(str(timit))) == 12


def test_timit_words_are_cut_out(timit):
    found = open_source(f"timit.word:{timit}")
    assert Counter((r.split, *r.labels["word"]) for r in found) == {
        ("train", "she"): 8, ("train", "had"): 8, ("test", "she"): 4, ("test", "had"): 4,
    }  # fmt: skip
    had = next(r for r in found if r.labels == {"word": ("had",)})
    samples, rate = had.read()
    whole, _ = soundfile.read(had.path)
    assert (had.seconds, rate) == (pytest.approx(0.2), 16_000)
    np.testing.assert_allclose(samples, whole[1600:4800], atol=1e-6)
    assert len({r.name for r in found}) == 24
    (timit / "TEST/DR2/MABW0/SA2.WRD").write_text("0 sh\n")
    fails(f"timit.word:{timit}", r"SA2\.WRD is not a list of first sample, last sample and word")
    (timit / "TEST/DR2/MABW0/SA2.WRD").unlink()
    fails(f"timit.word:{timit}", r"SA2\.WAV has no SA2\.WRD beside it")
    fails(f"timit.phone:{timit}", r"^timit\.phone: is no kind of data set; only tree\.TASK: and timit\.word: name a task")


@pytest.fixture
def common_voice(tmp_path):
    """Rows as they are published: quotation marks in sentences are no quoting."""
    folder = tmp_path / "cv-corpus-17.0/en"
    header = "client_id\tpath\tsentence\tup_votes\n"
    for split, rows in {
        "train": [("a" * 128, "1.mp3", "Yes!"), ("a" * 128, "2.mp3", '"No" he said')],
        "dev": [("b" * 128, "3.mp3", "no")],
        "test": [("c" * 128, "4", "zéro")],
        "validated": [("a" * 128, "1.mp3", "Yes!")],
    }.items():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{split}.tsv").write_text(header + "".join("\t".join((*row, "2")) + "\n" for row in rows), encoding="utf-8")
    for k in range(1, 5):
        write_sound(folder / f"clips/{k}.mp3")
    return folder


def test_common_voice(tmp_path, common_voice):
    expected = {
        "clips/1.mp3": ("train", {"speaker": ("a" * 128,), "word": ("yes",)}),
        "clips/2.mp3": ("train", {"speaker": ("a" * 128,)}),
        "clips/3.mp3": ("valid", {"speaker": ("b" * 128,), "word": ("no",)}),
        "clips/4.mp3": ("test", {"speaker": ("c" * 128,), "word": ("zéro",)}),
    }
    for spec in (common_voice, tmp_path, f"commonvoice:{common_voice.parent}"):
        assert contents(common_voice, open_source(str(spec))) == expected
    assert contents(common_voice, open_source(str(common_voice / "dev.tsv"))) == {"clips/3.mp3": expected["clips/3.mp3"]}
    (common_voice / "clips/2.mp3").unlink()
    with pytest.warns(am.AudioMetamerWarning, match=r"1 of 4 clips listed in .* do not exist: .*clips/2\.mp3"):
        assert len(open_source(str(common_voice))) == 3


def test_common_voice_that_does_not_fit(tmp_path, common_voice):
    fails(
        f"commonvoice:{common_voice / 'clips'}", r"clips is not Common Voice: no table with the columns client_id, path, sentence"
    )
    (tmp_path / "cv-corpus-17.0/de").mkdir()
    (tmp_path / "cv-corpus-17.0/de/train.tsv").write_text("client_id\tpath\tsentence\na\t1.mp3\tja\n")
    fails(tmp_path, r"holds several data sets of Common Voice \(cv-corpus-17\.0/de, cv-corpus-17\.0/en\)")
    fails(tmp_path / "cv-corpus-17.0/de", r"none of the 1 clips listed in .*de exists: .*clips/1\.mp3")
    for name in ("train", "dev", "test"):
        (common_voice / f"{name}.tsv").unlink()
    fails(common_voice, r"none of train\.tsv, dev\.tsv, test\.tsv; name one, as in commonvoice:.*validated\.tsv")


def test_a_line_says_what_was_recognised(tmp_path, speech_commands):
    lines = []
    open_sources([str(tmp_path), f"tree.speaker:{speech_commands}"], lines.append)
    assert lines[0] == f"{tmp_path}: speechcommands; 2 train, 1 valid, 1 test, 1 background; word: 2 classes; speaker: 3 classes"
    assert lines[1].startswith(f"tree.speaker:{speech_commands}: tree; ")
    write_sound(tmp_path / "more/of/it.wav")
    open_sources([f"speechcommands:{tmp_path}"], lines.append)
    assert lines[2].endswith("; 1 other audio files are not used")


def test_copies_in_a_split_that_is_tested_on_are_left_out(tmp_path):
    for k, name in enumerate(("train/yes/a.wav", "train/no/b.wav", "valid/no/c.wav", "test/yes/d.wav")):
        tone_of(tmp_path / name, 0.1 + k)
    for copy, of in (("train/yes/z.wav", "test/yes/d.wav"), ("train/no/y.wav", "valid/no/c.wav"),
                     ("valid/yes/d.wav", "test/yes/d.wav"),
                     ("train/no/twice.wav", "train/no/b.wav")):  # fmt: skip
        (tmp_path / copy).parent.mkdir(exist_ok=True)
        shutil.copy(tmp_path / of, tmp_path / copy)
    lines = []
    kept = without_copies(open_source(str(tmp_path)), lines.append)
    assert sorted(contents(tmp_path, kept)) == [
        "test/yes/d.wav", "train/no/b.wav", "train/no/twice.wav", "train/yes/a.wav", "valid/no/c.wav",
    ]  # fmt: skip
    assert len(lines) == 1
    assert lines[0].startswith("note: 3 recordings are left out as copies of others in a split that is tested on: ")


def test_hdf5_is_recognised(tmp_path):
    (tmp_path / "valid_x").mkdir()
    (tmp_path / "valid_x/JSIN_all__run_3.h5").write_text("not HDF5")
    for spec in (tmp_path, f"hdf5:{tmp_path}"):
        fails(spec, r"JSIN_all__run_3\.h5 cannot be read as HDF5")


def test_what_is_no_data_set(tmp_path):
    fails(
        tmp_path,
        r"has none of the known layouts \(clips, speechcommands, .*, tree\); most simply, .* with a clips\.csv$",
    )
    (tmp_path / "notes.txt").write_text("nothing")
    fails(tmp_path / "notes.txt", r"notes\.txt has none of the known layouts")
    fails(tmp_path / "none", r"none does not exist; a data set is PATH or KIND:PATH, with the kinds clips, ")
    fails(f"clip:{tmp_path}", r"^clip:.* does not exist; a data set is PATH or KIND:PATH")


@pytest.mark.parametrize(
    "text",
    [
        "path;split;word\na.wav;Training;yes\n",
        "\ufeffpath\tsplit\tword\r\na.wav\t train \tyes\r\n\r\n",
        "path,split,word,\na.wav,train, yes ,\n",
    ],
)
def test_tables_as_spreadsheets_write_them(tmp_path, text):
    write_sound(tmp_path / "a.wav")
    (tmp_path / "clips.csv").write_text(text, encoding="utf-8", newline="")
    (recording,) = open_source(str(tmp_path))
    assert (recording.split, recording.labels) == ("train", {"word": ("yes",)})


def test_splits_below_other_folders_are_not_taken_for_a_class(tmp_path):
    for split in ("train", "test"):
        write_sound(tmp_path / f"data/set/{split}/yes/0.wav")
    fails(tmp_path, r"splits come first, as in .*/train/<class>/; name the folder that holds them$")
    assert {recording.split for recording in open_source(str(tmp_path / "data/set"))} == {"train", "test"}


def test_a_utf16_table_of_common_voice_is_read(tmp_path):
    write_sound(tmp_path / "clips/a.wav")
    (tmp_path / "train.tsv").write_text("client_id\tpath\tsentence\nanna\ta.wav\tYes.\n", encoding="utf-16")
    (tmp_path / "dev.tsv").write_text("client_id\tpath\tsentence\n")
    found = contents(tmp_path, open_source(f"commonvoice:{tmp_path}"))
    assert found == {"clips/a.wav": ("train", {"speaker": ("anna",), "word": ("yes",)})}
