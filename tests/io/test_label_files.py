"""Label files of each kind, and pickles that ask for more than they may."""

import collections
import contextlib
import io
import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import audiometamer as am
from audiometamer.io.label_files import disambiguated, read_label_file
from audiometamer.io.plain_pickle import PlainUnpickler

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
        ("words.txt", "yes\r\n\r\n no \r\n\n", {"word": ["yes", "no"]}),
        ("words.csv", "word\nyes\nno\n", {"word": ["yes", "no"]}),
        ("words.csv", 'index,mid,display_name\n1,/m/2,"up, down"\n0,/m/1,yes\n', {"word": ["yes", "up, down"]}),
        ("words.tsv", "word\tspeaker\nyes\tanna\nno\tbert\n\nup\t\n", {"word": ["yes", "no", "up"], "speaker": ["anna", "bert"]}),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_files(tmp_path, name, text, labels, encoding):
    (tmp_path / name).write_text(text, encoding=encoding, newline="")
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


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "value",
    [
        np.array([{}], dtype=object),
        np.zeros(2, dtype=[("a", "i4")]),
        np.datetime64("2020-01-01"),
        np.complex128(1j),
        np.ma.masked_array([1, 2]),
        np.load,
        collections.defaultdict(int),
        complex(1, 2),
        print,
        getattr,
    ],
)
def test_what_is_not_plain_is_refused(tmp_path, value, protocol):
    path = tmp_path / "labels.pckl"
    path.write_bytes(pickle.dumps({"word_idx_to_word": {0: "yes"}, "more": value}, protocol))
    with pytest.raises(am.AudioMetamerError, match=r"labels\.pckl .*only plain \w+ and \w+ are read") as caught:
        read_label_file(path)
    assert "\n" not in str(caught.value)


def like_the_published(content):
    """Python's protocol 3 as the published file was written: numpy 1's module, and the arguments of its dtype as integers."""
    written = pickle.dumps(content, 3)
    return written.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n").replace(b"\x89\x88\x87", b"K\x00K\x01\x87")


def test_the_published_structure(tmp_path):
    """The first bytes are those of the published file, but for the number and the word."""
    names = {"word": ["__nullSignal__", *(f"word{i}" for i in range(300))], "speaker": ["0x0077be", "anna", "unknown"]}
    content = {}
    for task, known in names.items():
        content[f"{task}_to_idx"] = {name: np.int64(i) for i, name in reversed(list(enumerate(known)))}
        content[f"{task}_idx_to_{task}"] = {np.int64(i): name for i, name in enumerate(known)}
    written = like_the_published(content)
    assert written.startswith(
        b"\x80\x03}q\x00(X\x0b\x00\x00\x00word_to_idxq\x01}q\x02(X\x07\x00\x00\x00word299q\x03"
        b"cnumpy.core.multiarray\nscalar\nq\x04cnumpy\ndtype\nq\x05X\x02\x00\x00\x00i8q\x06K\x00K\x01\x87q\x07Rq\x08"
        b"(K\x03X\x01\x00\x00\x00<q\tNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\nb"
        b"C\x08,\x01\x00\x00\x00\x00\x00\x00q\x0b\x86q\x0cRq\r"
    )
    assert read_label_file(write(tmp_path / "word_and_speaker_encodings_jsinv3.pckl", written)) == names


NUMPY = {
    np.int64(-3): np.str_("ä"),
    np.uint64(2**63): np.bool_(True),
    "float": (np.float16(0.5), np.float32(0.1), np.float64(0.1), np.bytes_(b"ab")),
    "rows": np.arange(6, dtype=">i2").reshape(2, 3),
    "columns": np.asfortranarray([[1.5, 2.5], [3.5, 4.5]]),
    "text": np.array(["a", "bcd"]),
    "one": np.array(7),
    "empty": np.zeros((0, 10**12), np.int8),
    "bytes": (b"", b"\xff\x00"),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("core", [b"numpy.core", b"numpy._core"])
def test_numbers_text_and_arrays_of_numpy(protocol, core):
    written = pickle.dumps(NUMPY, protocol)
    if protocol < 4:  # later ones write the length before the name
        written = written.replace(b"cnumpy._core", b"c" + core)
    read = PlainUnpickler(io.BytesIO(written)).load()
    assert read == {
        -3: "ä",
        2**63: True,
        "float": (0.5, float(np.float32(0.1)), 0.1, b"ab"),
        "rows": [[0, 1, 2], [3, 4, 5]],
        "columns": [[1.5, 2.5], [3.5, 4.5]],
        "text": ["a", "bcd"],
        "one": [7],
        "empty": [],
        "bytes": (b"", b"\xff\x00"),
    }
    assert type(next(iter(read))) is int


@pytest.mark.parametrize(
    "attack",
    [
        b"\x80\x04\x8c\x05numpy\x8c\x09load.name\x93.",  # a chain of attributes
        b"\x80\x03cnumpy\nload\nX\x05\x00\x00\x00a.npy\x85R.",
        b"\x80\x03cnumpy\ndtype\nX\x01\x00\x00\x00O\x85R.",  # objects
        b"\x80\x03cnumpy\ndtype\nX\x10\x00\x00\x00os.system('true')\x85R.",
        b"\x80\x03c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00hex\x86R.",
        b"\x80\x03cbuiltins\nbytes\nJ\xff\xff\xff\x7f\x85R.",  # two gigabytes of zeros
        # an array of 2^31 − 1 numbers, of which eight bytes are there; and as many empty rows
        b"\x80\x03cnumpy.core.numeric\n_frombuffer\n(C\x08AAAAAAAAcnumpy\ndtype\nX\x02\x00\x00\x00i8\x85RJ\xff\xff\xff\x7f\x85tR.",
        b"\x80\x03cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nX\x0a\x00\x00\x00U999999999\x85RC\x01A\x86R.",
    ],
)
def test_attacks_are_refused_in_a_line(tmp_path, attack):
    path = write(tmp_path / "labels.pckl", attack)
    with pytest.raises(am.AudioMetamerError, match=r"labels\.pckl is not a pickle that can be read: ") as caught:
        read_label_file(path)
    assert "\n" not in str(caught.value)


def test_a_pickle_cannot_change_how_others_are_read(tmp_path):
    """BUILD sets attributes of what a name stands for: here, of the function that rebuilds scalars."""
    path = write(
        tmp_path / "labels.pckl", b"\x80\x03cnumpy.core.multiarray\nscalar\nN}X\x0c\x00\x00\x00__defaults__K\x01\x85s\x86b."
    )
    with pytest.raises(am.AudioMetamerError):
        read_label_file(path)
    assert PlainUnpickler(io.BytesIO(pickle.dumps(np.int64(5)))).load() == 5


def test_a_pickle_of_python_2(tmp_path):
    """Its text is bytes: names in UTF-8, and the bytes of numbers."""
    dtype = b"cnumpy\ndtype\n(U\x02i8I0\nI1\ntR(I3\nU\x01<NNNI-1\nI-1\nI0\ntb"
    number = b"cnumpy.core.multiarray\nscalar\n(" + dtype + b"U\x08%s\0\0\0\0\0\0\0tR"
    names = b"(d" + number % b"\x00" + b"U\x03n\xc3\xb6s" + number % b"\x01" + b"U\x03yess"
    path = write(tmp_path / "labels.pckl", b"\x80\x02(dU\x10word_idx_to_word" + names + b"s.")
    assert read_label_file(path) == {"word": ["nö", "yes"]}
    large = b"\x80\x02" + number % b"\xfe" + b"."  # 254 is no text
    assert PlainUnpickler(io.BytesIO(large)).load() == 254


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
        assert PlainUnpickler(file).load() == content


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
        (
            "a.txt",
            "yes\nnö\n".encode("latin-1"),
            r"a.txt is not a list of labels: it is not UTF-8 \(.* at byte 5\); save it as UTF-8",
        ),
        ("a.toml", b"word = ['n\xf6']", "a.toml is not a list of labels: it is not UTF-8"),
        ("a.txt", b"yes\nno\nno\n", "a.txt: classes 1 and 2 of word are both called 'no'"),
        ("a.json", b'{"word": ["yes", "yes "]}', "a.json: classes 0 and 1 of word are both called 'yes'"),
        ("a.pckl", {"word_idx_to_word": {0: "yes", 1: "yes"}}, "a.pckl: classes 0 and 1 of word are both called 'yes'"),
        ("a.toml", b"word = ['yes', ' ']", "a.toml: class 1 of word has a blank name"),
        ("a.csv", b"index,word\n1,yes\n2,no\n", "a.csv is not a list of labels: its column index is not 0, 1, …, 1, each once"),
        ("a.csv", b"index,word\nx,yes\n", "a.csv is not a list of labels: invalid literal for int"),
    ],
)
def test_what_is_no_label_file(tmp_path, name, content, message):
    with pytest.raises(am.AudioMetamerError, match=message) as caught:
        read_label_file(write(tmp_path / name, content))
    assert "\n" not in str(caught.value)


def test_classes_that_share_a_name_are_told_apart():
    assert disambiguated(["crane", "dog", "crane"]) == ["crane (0)", "dog", "crane (2)"]


def test_a_missing_file(tmp_path):
    for name in ("labels.txt", "labels.pckl"):
        with pytest.raises(am.AudioMetamerError, match=f"{name} is not a list of labels: .*No such file"):
            read_label_file(tmp_path / name)


@pytest.mark.parametrize("doubled", [b"2\x86", b"q\x01h\x01h\x01\x87", b"p1\ng1\n\x86"])
def test_a_pickle_whose_keys_would_take_without_end_to_hash(tmp_path, doubled):
    (tmp_path / "a.pckl").write_bytes(b"\x80\x02})" + doubled * 60 + b"K\x01s.")
    with pytest.raises(am.AudioMetamerError, match="is not a pickle that can be read: its keys are tuples of tuples without end"):
        read_label_file(tmp_path / "a.pckl")


def test_a_pickle_of_python_2_in_its_text_form(tmp_path):
    (tmp_path / "a.pckl").write_bytes(b"(dp0\nS'word_idx_to_word'\np1\n(dp2\nI0\nS'caf\\xc3\\xa9'\np3\nsI1\nS'no'\np4\nss.")
    assert read_label_file(tmp_path / "a.pckl") == {"word": ["café", "no"]}
