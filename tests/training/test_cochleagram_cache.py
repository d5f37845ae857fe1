"""Cochleagrams that are kept, and used by whoever needs the same."""

import pytest
import torch

import audiometamer as am
from audiometamer.training.cochleagram_cache import CochleagramBatch, CochleagramCache

COCHLEAGRAMS = torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(0))
BATCH = CochleagramBatch(COCHLEAGRAMS, {"word": torch.tensor([4, -1]), "sounds": torch.tensor([[1.0, 0.0], [torch.nan] * 2])})


def test_what_is_kept_is_what_was_made(tmp_path):
    cache = CochleagramCache(tmp_path, [b"front end", b"seed"])
    assert cache.load("0/1") is None
    made = cache.save("0/1", BATCH)
    loaded = CochleagramCache(tmp_path, [b"front end", b"seed"]).load("0/1")
    assert torch.equal(loaded.cochleagrams, made)
    assert made.dtype == torch.float32
    span = COCHLEAGRAMS.amax(dim=(1, 2)) - COCHLEAGRAMS.amin(dim=(1, 2))
    assert bool(((made - COCHLEAGRAMS).abs().amax(dim=(1, 2)) <= span / 255 * 0.5001).all())
    assert loaded.targets.keys() == BATCH.targets.keys()
    for task, targets in BATCH.targets.items():
        torch.testing.assert_close(loaded.targets[task], targets, rtol=0, atol=0, equal_nan=True)


def test_a_constant_cochleagram_is_kept(tmp_path):
    constant = CochleagramBatch(torch.full((2, 3, 5), -4.0), {})
    assert torch.equal(CochleagramCache(tmp_path, []).save("0/0", constant), constant.cochleagrams)


def test_other_settings_are_kept_apart(tmp_path):
    CochleagramCache(tmp_path, [b"ab", b"c"]).save("0/1", BATCH)
    for other in ([b"a", b"bc"], [b"ab", b"d"], [b"abc"]):
        assert CochleagramCache(tmp_path, other).load("0/1") is None


def test_a_broken_file_is_named(tmp_path):
    cache = CochleagramCache(tmp_path, [])
    cache.save("0/1", BATCH)
    (path,) = tmp_path.rglob("*.npz")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(
        am.AudioMetamerError, match=r"1\.npz is not a batch of cochleagrams; delete it, or .*, and what is missing"
    ):
        cache.load("0/1")


def test_a_cache_below_a_file(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(am.AudioMetamerError, match=r"^could not write .*1\.npz: "):
        CochleagramCache(tmp_path / "file", []).save("0/1", BATCH)


def test_the_number_of_batches(tmp_path):
    cache = CochleagramCache(tmp_path, [])
    assert cache.n_batches == 0
    cache.save("0/1", BATCH)
    cache.save("1/1", BATCH)
    assert cache.n_batches == 2
