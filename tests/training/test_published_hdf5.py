"""HDF5 files in the published layout: labels, samples, and reading in workers."""

import operator
import os
import pickle
import re
import sys

import h5py
import numpy as np
import pytest
from torch.utils.data import DataLoader

import audiometamer as am
from audiometamer.training.published_hdf5 import LABEL_FILE, open_published_hdf5

SIGNAL, NOISE = "sources/signal/signal", "sources/noise/signal"
WORD, SPEAKER, SOUNDS = "sources/signal/word_int", "sources/signal/speaker_int", "sources/noise/labels_binary_via_int"
TRAIN, VALID = "train_ab/JSIN_all__run_0.h5", "valid_ab/JSIN_all__run_1.h5"
N_SAMPLES = 40_000


def tables(seed, words, speakers, present):
    rng = np.random.default_rng(seed)
    n = len(words)
    sounds = np.zeros((n, 517), dtype=np.int64)
    for row, numbers in enumerate(present):
        sounds[row, numbers] = 1
    return {
        SIGNAL: rng.standard_normal((n, N_SAMPLES)).astype(np.float32),
        NOISE: rng.standard_normal((n, N_SAMPLES)).astype(np.float64),
        WORD: np.array(words),
        SPEAKER: np.array(speakers),
        SOUNDS: sounds,
    }


CONTENT = {
    TRAIN: tables(0, [0, 2, 1], [1, 0, 432], [[0, 516], [], [7]]),
    VALID: tables(1, [2, 2], [0, 0], [[8, 15, 16], [3]]),
}


def write(folder, content):
    for name, datasets in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(folder / name, "w") as file:
            for dataset, values in datasets.items():
                file[dataset] = values


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, CONTENT)
    words = {0: "__nullSignal__", 1: "about", 2: "above"}
    (tmp_path / LABEL_FILE).write_bytes(
        pickle.dumps({"word_idx_to_word": words, "speaker_idx_to_speaker": {0: "anna", 1: "bert"}})
    )
    return tmp_path


def expected(row):
    return (CONTENT[TRAIN], row) if row < 3 else (CONTENT[VALID], row - 3)


def test_labels_and_splits(folder):
    recordings = open_published_hdf5(folder)
    assert [r.split for r in recordings] == ["train"] * 3 + ["valid"] * 2
    assert [r.labels for r in recordings] == [
        {"word": ("__nullSignal__",), "speaker": ("bert",)},
        {"word": ("above",), "speaker": ("anna",)},
        {"word": ("about",), "speaker": ("432",)},  # the label file names no such speaker
        {"word": ("above",), "speaker": ("anna",)},
        {"word": ("above",), "speaker": ("anna",)},
    ]
    sounds = [("0", "516"), (), ("7",), ("8", "15", "16"), ("3",)]
    assert [r.background.labels for r in recordings] == [{"noise": names} for names in sounds]
    assert [r.background.split for r in recordings] == [r.split for r in recordings]
    assert all(r.background.background is None for r in recordings)


def test_samples(folder):
    for row, recording in enumerate(open_published_hdf5(folder)):
        content, row = expected(row)
        for one, dataset in ((recording, SIGNAL), (recording.background, NOISE)):
            samples, rate = one.read()
            assert (rate, one.seconds, samples.dtype) == (20_000, 2.0, np.float32)
            np.testing.assert_array_equal(samples, content[dataset][row].astype(np.float32))
            assert one.name.endswith(f".h5, row {row} of {dataset}")


def test_names_of_sounds_and_no_label_file(folder):
    names = {"noise_idx_to_noise": {i: f"sound {i}" for i in range(517)}}
    (folder / LABEL_FILE).write_bytes(pickle.dumps(names))
    recordings = open_published_hdf5(folder)
    assert recordings[0].background.labels == {"noise": ("sound 0", "sound 516")}
    assert recordings[1].labels == {"word": ("2",), "speaker": ("0",)}
    (folder / LABEL_FILE).unlink()
    assert open_published_hdf5(folder)[0].background.labels == {"noise": ("0", "516")}


def test_columns_of_one(folder):
    content = {**CONTENT[TRAIN], WORD: CONTENT[TRAIN][WORD][:, None]}
    write(folder, {TRAIN: content})
    assert [r.labels["word"] for r in open_published_hdf5(folder)[:3]] == [("__nullSignal__",), ("above",), ("about",)]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers(folder, start):
    recordings = open_published_hdf5(folder)
    recordings[0].read()  # this process has a file open when the workers start
    loader = DataLoader(
        recordings,
        batch_size=None,
        collate_fn=operator.methodcaller("read"),
        num_workers=2,
        multiprocessing_context=start,
    )
    for _ in range(2):
        for row, (samples, rate) in enumerate(loader):
            content, row = expected(row)
            assert rate == 20_000
            np.testing.assert_array_equal(samples, content[SIGNAL][row])
    np.testing.assert_array_equal(recordings[2].read()[0], CONTENT[TRAIN][SIGNAL][2])


def test_a_file_is_opened_once_in_each_process(folder, monkeypatch):
    opened = []
    original = h5py.File

    def counted(path, mode):
        opened.append(os.getpid())
        return original(path, mode)

    monkeypatch.setattr(h5py, "File", counted)
    recordings = open_published_hdf5(folder)[:3]
    assert len(opened) == 2  # to read the labels, and closed again
    for recording in recordings:
        recording.read()
        recording.background.read()
    assert len(opened) == 3
    first = recordings[0].table._handle[1]
    monkeypatch.setattr(os, "getpid", lambda: 12345)  # as after a fork
    recordings[0].read()
    recordings[1].read()
    assert opened[3:] == [12345]
    assert not first  # closed here, where nobody reads from it
    copy = pickle.loads(pickle.dumps(recordings[0]))
    np.testing.assert_array_equal(copy.read()[0], CONTENT[TRAIN][SIGNAL][0])
    assert len(opened) == 5


def fails(folder, message):
    with pytest.raises(am.AudioMetamerError, match=message) as caught:
        open_published_hdf5(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dataset", [SIGNAL, NOISE, WORD, SPEAKER, SOUNDS])
def test_a_missing_dataset(tmp_path, dataset):
    write(tmp_path, {TRAIN: {key: values for key, values in CONTENT[TRAIN].items() if key != dataset}})
    fails(tmp_path, rf"JSIN_all__run_0\.h5: dataset {dataset} cannot be opened: .*doesn't exist")


@pytest.mark.parametrize(
    ("dataset", "cut", "shape"),
    [(WORD, np.s_[:2], "(2,)"), (SOUNDS, np.s_[:2], "(2, 517)"), (NOISE, np.s_[:, 0], "(3,)"), (SIGNAL, np.s_[0, 0], "()")],
)
def test_datasets_that_do_not_fit(tmp_path, dataset, cut, shape):
    write(tmp_path, {TRAIN: {**CONTENT[TRAIN], dataset: CONTENT[TRAIN][dataset][cut]}})
    fails(tmp_path, rf"JSIN_all__run_0\.h5: {dataset} has the shape {re.escape(shape)}, which does not fit")


def of_a_kind(kind):
    """Puts something else in the place of a dataset, or a table that is in no way what it seems."""

    def put(file, dataset):
        shape = CONTENT[TRAIN][dataset].shape
        elsewhere = [("/etc/hostname", 0, h5py.h5f.UNLIMITED)]
        if kind == "virtual":
            layout = h5py.VirtualLayout(shape, "f4")
            layout[:] = h5py.VirtualSource("other.h5", dataset, shape)
            file.create_virtual_dataset(dataset, layout)
        elif kind in ("group", "link", "soft"):
            file[dataset] = {"group": h5py.Empty("f"), "link": h5py.ExternalLink("other.h5", "/x"), "soft": h5py.SoftLink("/x")}[
                kind
            ]
        elif kind == "pieces":
            file.create_dataset(dataset, (*shape[:1], 1 << 30), "f4", chunks=(1, 1 << 27), compression="gzip")
        else:
            options = {
                "external": {"dtype": "u1", "external": elsewhere},
                "unwritten": {"dtype": "f4"},
                "fill": {"dtype": "f4", "chunks": (1, *shape[1:]), "compression": "gzip", "fillvalue": 1},
                "vlen": {"dtype": h5py.vlen_dtype("f4")},
                "compound": {"dtype": [("a", "f4"), ("b", "i4")]},
            }
            file.create_dataset(dataset, shape, **options[kind])

    return put


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("external", "are stored in other files"),
        ("virtual", "are stored in other files"),
        ("link", "is a link"),
        ("soft", "is a link"),
        ("group", "is not a table of numbers"),
        ("vlen", "is not a table of numbers"),
        ("compound", "is not a table of numbers"),
        ("unwritten", "that were never written"),
        ("fill", "that were never written"),
        ("pieces", "is in pieces of 536,870,912 bytes"),
    ],
)
def test_what_is_no_table_of_numbers_in_the_file_is_refused(tmp_path, kind, message):
    write(tmp_path, {TRAIN: {key: values for key, values in CONTENT[TRAIN].items() if key != SIGNAL}})
    with h5py.File(tmp_path / TRAIN, "a") as file:
        of_a_kind(kind)(file, SIGNAL)
    fails(tmp_path, rf"JSIN_all__run_0\.h5: .*{SIGNAL} .*{message}")


@pytest.mark.parametrize("numbers", [[0.5, 1, 2], [np.nan, 1, 2], [0, 1, 2**40]])
def test_what_are_no_numbers_of_classes_are_refused(tmp_path, numbers):
    write(tmp_path, {TRAIN: {**CONTENT[TRAIN], WORD: np.array(numbers)}})
    fails(tmp_path, rf"JSIN_all__run_0\.h5: {WORD} holds values that cannot be class numbers")


def test_more_rows_than_are_kept_in_memory_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("audiometamer.training.published_hdf5._MOST_ROWS", 2)
    write(tmp_path, CONTENT)
    fails(tmp_path, r"JSIN_all__run_0\.h5 has 3 rows of 517 classes of noise; at most 2 rows")


def test_labels_of_noises_are_read_some_rows_at_a_time(folder, monkeypatch):
    whole = [r.background.labels for r in open_published_hdf5(folder)]
    monkeypatch.setattr("audiometamer.training.published_hdf5._BLOCK", 1034)
    assert [r.background.labels for r in open_published_hdf5(folder)] == whole


def test_a_truncated_file(folder):
    data = (folder / TRAIN).read_bytes()
    (folder / TRAIN).write_bytes(data[: len(data) // 2])
    fails(folder, r"JSIN_all__run_0\.h5 cannot be read as HDF5: .*truncated file")
    (folder / TRAIN).write_text("not HDF5")
    fails(folder, r"JSIN_all__run_0\.h5 cannot be read as HDF5")


def test_a_damaged_row(tmp_path):
    write(tmp_path, {TRAIN: {key: values for key, values in CONTENT[TRAIN].items() if key != SIGNAL}})
    with h5py.File(tmp_path / TRAIN, "a") as file:
        file.create_dataset(SIGNAL, data=CONTENT[TRAIN][SIGNAL], chunks=(1, N_SAMPLES), fletcher32=True)
        place = file[SIGNAL].id.get_chunk_info(1).byte_offset
    with (tmp_path / TRAIN).open("r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 100)
    recordings = open_published_hdf5(tmp_path)
    recordings[0].read()
    with pytest.raises(am.AudioMetamerError, match=rf"JSIN_all__run_0\.h5: {SIGNAL} cannot be read: "):
        recordings[1].read()


def test_a_silent_row_is_allowed(tmp_path):
    """Some hold no word, but noise alone."""
    silent = CONTENT[TRAIN][SIGNAL].copy()
    silent[1] = 0
    write(tmp_path, {TRAIN: {**CONTENT[TRAIN], SIGNAL: silent}})
    samples, _ = open_published_hdf5(tmp_path)[1].read()
    assert samples.shape == (N_SAMPLES,)
    assert not samples.any()


def test_no_files(tmp_path):
    fails(tmp_path, r"holds no rows in train_\*/JSIN_all__run_\*\.h5 or valid_")


def test_h5py_is_asked_for(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    fails(folder, r"needs h5py, which is not installed: pip install 'audiometamer\[train\]'")
