"""Label files of each kind, and pickles that ask for more than they may."""

import collections
import contextlib
import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import audiometamer as am
from audiometamer.label_files import _PlainUnpickler, read_label_file

PUBLISHED = {
    "word_idx_to_word": {0: "__nullSignal__", 2: "above", 1: "about"},
    "speaker_idx_to_speaker": collections.OrderedDict([(0, "anna"), (1, "bert")]),
    "word_to_word_idx": {"about": 1},
    "speaker_idx_to_word": {5: "another mapping"},
    7: [None, True, 2.5, "text", ("a", {"b": {1, 2}}), frozenset("ab")],
}
READ = {"word": ["__nullSignal__", "about", "above"], "speaker": ["anna", "bert"]}


@pytest.mark.parametrize("ending", [".pckl", ".pkl", ".pickle", ".PKL"])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_published_file(tmp_path, ending, protocol):
    path = tmp_path / f"encodings{ending}"
    path.write_bytes(pickle.dumps(PUBLISHED, protocol))
    assert read_label_file(path) == READ


@pytest.mark.parametrize(
    ("name", "text", "labels"),
    [
        ("words.txt", "yes\nnö\n", {"word": ["yes", "nö"]}),
        ("words", "yes", {"word": ["yes"]}),
        ("tasks.toml", "word = ['yes', 'no']\nspeaker = ['anna']", {"word": ["yes", "no"], "speaker": ["anna"]}),
        ("tasks.json", '{"speaker": ["anna", "bert"]}', {"speaker": ["anna", "bert"]}),
    ],
)
def test_text_files(tmp_path, name, text, labels):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_label_file(str(tmp_path / name)) == labels


class Malicious:
    """Would make a folder when it is read."""

    def __init__(self, path):
        self.command = f"mkdir {path}"

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_malicious_pickle_is_refused_before_it_runs(tmp_path, protocol):
    path, trace = tmp_path / "labels.pckl", tmp_path / "trace"
    path.write_bytes(pickle.dumps({**PUBLISHED, "more": Malicious(trace)}, protocol))
    with pytest.raises(am.AudioMetamerError, match=r"labels\.pckl .*asks for '(posix|nt)\.system'") as caught:
        read_label_file(path)
    assert not trace.exists()
    assert "\n" not in str(caught.value)
    pickle.loads(path.read_bytes())  # it is a real one
    assert trace.exists()


@pytest.mark.parametrize(
    "value", [np.float64(1), np.zeros(2), np.dtype("i4"), collections.defaultdict(int), complex(1, 2), print]
)
def test_what_is_not_plain_is_refused(tmp_path, value):
    path = tmp_path / "labels.pckl"
    path.write_bytes(pickle.dumps({"word_idx_to_word": {0: "yes"}, "more": value}))
    with pytest.raises(am.AudioMetamerError, match="only plain containers and scalars are read"):
        read_label_file(path)


def test_persistent_names_are_refused(tmp_path):
    path = tmp_path / "labels.pckl"
    path.write_bytes(b"Pname\n.")
    with pytest.raises(am.AudioMetamerError, match="is not a pickle that can be read"):
        read_label_file(path)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner) | st.sets(st.integers()),
    max_leaves=8,
)


@given(plain)
def test_plain_content_is_what_pickle_reads(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "plain.pckl"
    path.write_bytes(pickle.dumps(content, 4))
    with path.open("rb") as file:
        assert _PlainUnpickler(file).load() == content


@given(st.integers(0, 200), st.integers(0, 255))
def test_a_broken_pickle_is_an_error_of_ours_or_none(tmp_path_factory, position, byte):
    broken = bytearray(pickle.dumps(PUBLISHED, 2))
    broken[position % len(broken)] = byte
    path = tmp_path_factory.getbasetemp() / "broken.pckl"
    path.write_bytes(broken)
    with contextlib.suppress(am.AudioMetamerError):  # and no other
        labels = read_label_file(path)
        assert all(isinstance(name, str) for names in labels.values() for name in names)


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content))
    return path


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pckl", b"", "a.pckl is not a pickle that can be read: Ran out of input"),
        ("a.pckl", pickle.dumps(PUBLISHED)[:-20], "a.pckl is not a pickle that can be read"),
        ("a.pckl", ["yes", "no"], "a.pckl names no classes: .*'word_idx_to_word'"),
        ("a.pckl", {"word_to_idx": {"yes": 0}}, "a.pckl names no classes"),
        ("a.pckl", {"word_idx_to_word": {0: "yes", 2: "no"}}, "has 2 names for word, numbered from 0 to 2, but none for 1"),
        ("a.pckl", {"word_idx_to_word": {1: "yes", 2: "no"}}, "has 2 names for word, numbered from 1 to 2, but none for 0"),
        ("a.pckl", {"word_idx_to_word": ["yes"]}, "a.pckl is not a list of labels: Expected `object`, got `array`"),
        ("a.pckl", {"word_idx_to_word": {0: 1}}, "a.pckl is not a list of labels: Expected `str`, got `int`"),
        ("a.toml", b"word = 3", "a.toml is not a list of labels: Expected `array`, got `int`"),
        ("a.json", b"[", "a.json is not a list of labels"),
        ("a.txt", b"\xff", "a.txt is not a list of labels: .*utf-8"),
    ],
)
def test_what_is_no_label_file(tmp_path, name, content, message):
    with pytest.raises(am.AudioMetamerError, match=message) as caught:
        read_label_file(write(tmp_path / name, content))
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path):
    for name in ("labels.txt", "labels.pckl"):
        with pytest.raises(am.AudioMetamerError, match=f"{name} is not a list of labels: .*No such file"):
            read_label_file(tmp_path / name)
