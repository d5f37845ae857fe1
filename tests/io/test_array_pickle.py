"""Pickles with arrays and records of pandas: what is kept, what stands for what is not made, and what is refused."""

import os
import pickle
import sys
from types import ModuleType

import numpy as np
import pytest

from audiometamer.errors import AudioMetamerError
from audiometamer.io.array_pickle import Inert, read_array_pickle, record_of

LABELS = ["word", "word_int", "sr", "source"]
RECORD = ["about", 7, 20_000, "wsj_0.wav"]


@pytest.fixture
def reread(tmp_path):
    """Pickle a value and read it."""

    def read(value, protocol=4):
        path = tmp_path / "value.pckl"
        path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol=protocol))
        return read_array_pickle(path)

    return read


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32),
        np.arange(6, dtype=">i2").reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(["a", "bb"]),
        np.array(["a", 1, None], dtype=object),
        np.zeros((0, 3)),
        np.array(1.5),
    ],
)
def test_arrays_stay_arrays(reread, array, protocol):
    found = reread({"array": array, "again": array}, protocol)
    stored = np.asarray(found["array"])
    np.testing.assert_array_equal(stored, array)
    assert (stored.dtype, stored.shape) == (array.dtype, array.shape)
    assert found["array"] is found["again"]


def test_rows_and_types_of_arrays(reread):
    found = reread([np.arange(6, dtype=np.int16).reshape(2, 3)])[0]
    assert (len(found), found[1].tolist()) == (2, [3, 4, 5])
    assert np.asarray(found, float).dtype == float
    copied = np.array(found)
    copied[0, 0] = 9
    assert found[0, 0] == 0


@pytest.fixture
def pandas_classes(monkeypatch):
    """Look-alikes of the classes of pandas whose names its pickles hold, and of the two forms of a Series' state."""

    def reduced(module, name):
        cls = type(name, (), {"__module__": module})
        stand_in = ModuleType(module)
        setattr(stand_in, name, cls)
        monkeypatch.setitem(sys.modules, module, stand_in)
        return cls

    monkeypatch.setitem(sys.modules, "pandas", ModuleType("pandas"))
    return {
        name: reduced(f"pandas.{module}", name)
        for name, module in (
            ("Series", "core.series"), ("Index", "core.indexes.base"), ("SingleBlockManager", "core.internals.managers")
        )
    }  # fmt: skip


def objects(values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("form", ["old", "new"])
def test_a_record_of_pandas_is_a_mapping(reread, pandas_classes, form, protocol):
    """Before 1.3 the state of a manager has axes, values, items, and all again; later its blocks and axes."""
    index, manager, series = (pandas_classes[name]() for name in ("Index", "SingleBlockManager", "Series"))
    index.data, places, values = objects(LABELS), np.arange(4), objects(RECORD)
    old = ([index], [values], [index], {"0.14.1": {"axes": [index], "blocks": [{"values": values, "mgr_locs": slice(0, 4, 1)}]}})
    manager.state = old if form == "old" else ((places, slice(0, 4, 1), values), [index])
    series.state = {"_mgr": manager, "_typ": "series", "_name": 3}
    found = reread({"record": series}, protocol)["record"]
    assert isinstance(found, Inert)
    assert record_of(found, ["word", "sr"]) == dict(zip(LABELS, RECORD, strict=True))
    assert record_of(found, ["word", "rate"]) == {}


def test_real_records_of_pandas(reread):
    pandas = pytest.importorskip("pandas")
    record = pandas.Series(RECORD, index=pandas.Index(LABELS, dtype=object), dtype=object)
    assert record_of(reread(record), ["word", "sr"]) == dict(zip(LABELS, RECORD, strict=True))


def test_a_cycle_ends(pandas_classes, reread):
    series = pandas_classes["Series"]()
    series.itself = series
    assert record_of(reread(series), ["word"]) == {}


def test_nothing_is_run(reread, tmp_path):
    mark = tmp_path / "mark"

    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(mark),)

    with pytest.raises(AudioMetamerError, match=r"it asks for '(posix|nt)\.mkdir'"):
        reread({"array": np.ones(3), "attack": Attack()})
    # What pandas names is not even imported; numpy's functions other than those of arrays are refused.
    assert isinstance(reread(b"cpandas.no_such_module\nread_pickle\n(Vfile\ntR."), Inert)
    for name in ("numpy\nload", "numpy\nmemmap", "pandasx\nread", "builtins\neval", "numpy.core.multiarray\nfromfile"):
        with pytest.raises(AudioMetamerError, match="it asks for"):
            reread(f"c{name}\n(Vfile\ntR.".encode())
    assert not mark.exists()


@pytest.mark.parametrize("kind", ["V8", "M8", "m8", "O7", "f16"])
def test_other_types_of_numpy_are_refused(reread, kind):
    with pytest.raises(AudioMetamerError, match=f"numpy's type {kind!r}"):
        reread(f"cnumpy\ndtype\n(V{kind}\nI00\nI01\ntR.".encode())


def test_objects_are_no_bytes(reread):
    """Bytes as addresses of objects would be a way out."""
    content = pickle.dumps(objects([1, 2]), protocol=4)
    harmful = pickle.dumps(np.arange(2), protocol=4).replace(b"\x8c\x02i8", b"\x8c\x02O8")
    assert np.asarray(reread(content)).tolist() == [1, 2]
    with pytest.raises(AudioMetamerError, match="not a pickle that can be read"):
        reread(harmful)
    with pytest.raises(AudioMetamerError, match="not a pickle that can be read"):
        reread(pickle.dumps(np.arange(2), protocol=5).replace(b"\x8c\x02i8", b"\x8c\x02O8"))
    with pytest.raises(AudioMetamerError, match="not a pickle that can be read"):
        reread(pickle.dumps(np.int64(2), protocol=4).replace(b"\x8c\x02i8", b"\x8c\x02O8"))


def test_numbers_of_remembered_values_do_not_fill_the_memory(reread):
    with pytest.raises(AudioMetamerError, match="it remembers 0 values and numbers one 2000000000"):
        reread(b"\x80\x02]r" + (2_000_000_000).to_bytes(4, "little") + b".")


def test_broken_pickles_raise_one_line(reread):
    whole = pickle.dumps({"a": np.arange(4.0), "b": objects(["x", 2]), "c": np.float32(1)}, protocol=4)
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(200):
        damaged = bytearray(whole[: rng.integers(1, 2 * len(whole))])  # half of them are cut
        damaged[rng.integers(len(damaged))] = rng.integers(256)
        try:
            reread(bytes(damaged))
            outcomes.add("read")
        except AudioMetamerError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}
