"""Comparisons of all pairs, against numpy on whole matrices."""

import numpy as np
import pytest
import torch

from audiometamer.statistics.pairwise import RowStore, UniqueSignals, gram_matrix, pairwise_correlations


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(3, 1, (5, 7)).astype(np.float32)


@pytest.mark.parametrize("memory", [1e6, 0])
def test_rows_come_back_from_memory_or_a_file(tmp_path, rows, memory):
    store = RowStore(tmp_path / "rows", memory)
    for block in (rows[:2], rows[2:3], rows[3:]):
        store.append(block)
    assert (store.n_rows, store.width, store.in_file) == (5, 7, memory == 0)
    assert (tmp_path / "rows").exists() == (memory == 0)
    np.testing.assert_array_equal(store.matrix(), rows)


@pytest.mark.parametrize("memory", [1e6, 0])
def test_inner_products_from_slices_are_those_of_whole_rows(rows, memory):
    whole = rows.astype(float)
    np.testing.assert_allclose(gram_matrix(rows, memory), whole @ whole.T)
    np.testing.assert_allclose(gram_matrix(rows, memory, shift=3.0), (whole - 3) @ (whole - 3).T)


def test_correlations_are_pearsons(rows):
    found = pairwise_correlations(gram_matrix(rows, 1e6), rows.sum(1, dtype=np.float64), 7)
    np.testing.assert_allclose(found, np.corrcoef(rows)[np.triu_indices(5, 1)], atol=1e-6)


def test_a_constant_row_correlates_with_nothing():
    rows = np.array([[0.1, 0.1, 0.1], [1, 2, 3], [3, 2, 1]], np.float32)
    found = pairwise_correlations(gram_matrix(rows, 1e6), rows.sum(1, dtype=np.float64), 3)
    assert found.tolist() == pytest.approx([0, 0, -1])


def test_repeats_are_named_with_what_they_repeat():
    """A copy that differs by 70 dB less than its norm is a repeat, one that differs by 40 dB less is not."""
    generator = torch.Generator().manual_seed(1)
    sound, other, noise = torch.randn(3, 4000, generator=generator)
    signals = [sound, other, sound + 10 ** (-70 / 20) * noise, other + 10 ** (-40 / 20) * noise, sound]
    unique = UniqueSignals("abcde")
    kept = list(unique.filter(signals))
    assert [id(signal) for signal in kept] == [id(signals[k]) for k in (0, 1, 3)]
    assert unique.repeats == [("c", "a"), ("e", "a")]


def test_signals_without_names_are_numbered():
    unique = UniqueSignals()
    assert len(list(unique.filter([torch.ones(3), torch.ones(3)]))) == 1
    assert unique.repeats == [("1", "0")]
