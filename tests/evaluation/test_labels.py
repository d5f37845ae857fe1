"""Label files, and what is wrong with them."""

import re
from pathlib import Path

import pytest
import tiny_models
from tiny_evaluation import LETTERS, echo

import audiometamer as am
from audiometamer.evaluation.labels import chance_of, check_labels, classes_of, read_labels


@pytest.fixture
def file(tmp_path):
    def written(text: str) -> Path:
        path = tmp_path / "clips.csv"
        path.write_text(text)
        return path

    return written


def test_clips_by_path_or_name(file):
    by_path = read_labels(file("path,word,speaker,split\na/x.wav,yes,kim,test\ny.flac,no,,test\nz.wav,up,kim,test\n"), ["x", "y"])
    assert by_path == {
        ("x", "word"): "yes", ("x", "speaker"): "kim", ("y", "word"): "no", ("z", "word"): "up", ("z", "speaker"): "kim",
    }  # fmt: skip
    assert read_labels(file("clip,word\nx.1,yes\n"), ["x.1"]) == {("x.1", "word"): "yes"}


def test_a_row_is_for_all_excerpts_of_a_recording_or_for_one(file):
    clips = ["a@1.5s", "a@3-3.5s", "a", "b@2s"]
    assert read_labels(file("path,word\na.wav,yes\nb.wav,no\n"), clips) == {
        ("a", "word"): "yes", ("b", "word"): "no", ("a@1.5s", "word"): "yes", ("a@3-3.5s", "word"): "yes", ("b@2s", "word"): "no",
    }  # fmt: skip
    assert read_labels(file("path,duration,word\na.wav,9.5,yes\n"), ["a@3s"])["a@3s", "word"] == "yes"
    each = file("path,start,duration,word\na.wav,1.5,,yes\na.wav,3,0.5,no\na.wav,,,up\nb.wav,2,,yes\n")
    found = read_labels(each, [*clips, "b"])  # version 0.1 named every excerpt after its file alone
    assert [found[clip, "word"] for clip in [*clips, "b"]] == ["yes", "no", "up", "yes", "yes"]
    with pytest.raises(am.AudioMetamerError, match=r"no row for 1 of the clips \(first: 'b@3s'\)"):
        read_labels(each, ["b@3s"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        ("word\nyes\n", "has the columns word; it needs path or clip"),
        ("path,split\nx.wav,test\n", "has the columns path, split; it needs path or clip, and one for each task"),
        ("path,word\nx.wav,yes,no\n", "line 2: 3 cells; there should be 2"),
        ("path,word\nx.wav\n", "line 2: 1 cell; there should be 2"),
        ("path,word\nx.wav,yes\nb/x.wav,no\n", "line 3: the word of 'x' is 'no', but 'yes' before"),
        ("path,word\n\nx.wav,yes\n,\nb/x.wav,no\n", "line 5: the word of 'x' is 'no', but 'yes' before"),
        ("path,word\ny.wav,yes\n", "has no row for 1 of the clips (first: 'x')"),
        ("path,word\n\0", "cannot be read as a table"),
    ],
)
def test_files_that_do_not_fit(file, text, message):
    if "\0" in text:
        path = file("")
        path.write_bytes(b"\xff\xfe\x00")
    else:
        path = file(text)
    with pytest.raises(am.AudioMetamerError, match=re.escape(message)) as caught:
        read_labels(path, ["x"])
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(am.AudioMetamerError, match=r"none\.csv cannot be read as a table: No such file"):
        read_labels(tmp_path / "none.csv", [])


def test_labels_that_no_model_could_give():
    judges = {"echo": {"letter": LETTERS}}
    check_labels(Path("l.csv"), {("x", "letter"): "a"}, ["x"], judges)
    with pytest.warns(am.AudioMetamerWarning, match="1 of 2 labels are not among the classes of echo .*: q"):
        check_labels(Path("l.csv"), {("x", "letter"): "a", ("y", "letter"): "q"}, ["x", "y"], judges)
    for truths in ({("x", "letter"): "q"}, {("x", "word"): "a"}, {("other", "letter"): "a"}):
        with pytest.raises(
            am.AudioMetamerError, match=re.escape("l.csv has no label of a clip that echo could give; its classes: letter")
        ):
            check_labels(Path("l.csv"), truths, ["x"], judges)


def test_classes():
    assert classes_of(echo()) == {"letter": list(LETTERS)}
    assert classes_of(echo(labels=LETTERS)) == {"word": list(LETTERS)}
    with pytest.raises(am.AudioMetamerError, match="nameless has no labels, so it cannot name what it recognises"):
        classes_of(tiny_models.nameless_model())
    assert chance_of([echo(), echo()]) == {"letter": 1 / 8}
    assert chance_of([echo(), tiny_models.sound_model()]) == {"letter": 1 / 8, "word": 1 / 3}
