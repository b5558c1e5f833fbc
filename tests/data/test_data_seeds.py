"""Random numbers belong to the item and its epoch: no batch, no order and no resumption changes them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from incog.data import seeds


def _items(count: int) -> seeds.Integers:
    return np.arange(count, dtype=np.int64)


def test_numbers_do_not_depend_on_the_batch() -> None:
    items, epochs = _items(100), _items(100) // 10
    whole = seeds.uniform(3, items, epochs, 5)
    assert whole.shape == (100, 5)
    assert whole.dtype == np.float32
    shuffled = np.random.default_rng(0).permutation(100)
    assert np.array_equal(seeds.uniform(3, items[shuffled], epochs[shuffled], 5), whole[shuffled])
    for row in (0, 57, 99):
        alone = seeds.uniform(3, items[row : row + 1], epochs[row : row + 1], 5)
        assert np.array_equal(alone[0], whole[row])


def test_more_columns_leave_the_first_as_they_are() -> None:
    few, many = (seeds.uniform(3, _items(50), _items(50), count) for count in (4, 9))
    assert np.array_equal(few, many[:, :4])


def test_seed_item_epoch_and_column_all_matter() -> None:
    zeros = np.zeros(1, np.int64)
    base = seeds.uniform(0, zeros, zeros, 2)[0]
    others = [
        seeds.uniform(1, zeros, zeros, 2)[0, 0],
        seeds.uniform(0, zeros + 1, zeros, 2)[0, 0],
        seeds.uniform(0, zeros, zeros + 1, 2)[0, 0],
        base[1],
    ]
    assert len({float(base[0]), *map(float, others)}) == 5


@pytest.mark.parametrize("seed", [0, -1, 2**63, 12345])
def test_numbers_are_uniform_and_unrelated(seed: int) -> None:
    drawn = seeds.uniform(seed, _items(20_000), np.full(20_000, 3, np.int64), 3)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    for column in drawn.T:
        assert kstest(column, "uniform").pvalue > 1e-4
    # Standard deviation of a correlation of 20,000 is 0.007.
    assert np.abs(np.corrcoef(drawn.T) - np.eye(3)).max() < 0.035
    assert abs(np.corrcoef(drawn[:-1, 0], drawn[1:, 0])[0, 1]) < 0.035


def test_an_epoch_is_a_permutation() -> None:
    first, second = (seeds.order(5, epoch, 1000) for epoch in (0, 1))
    assert np.array_equal(np.sort(first), _items(1000))
    assert np.array_equal(np.sort(second), _items(1000))
    assert (first == second).mean() < 0.02
    assert np.array_equal(first, seeds.order(5, 0, 1000))
    assert not np.array_equal(first, seeds.order(6, 0, 1000))


def test_batches_run_through_epochs_without_a_gap() -> None:
    count, size = 23, 10
    parts = [seeds.batch(9, first, size, count) for first in range(0, 3 * count, size)]
    items, epochs = (np.concatenate(rows) for rows in zip(*parts, strict=True))
    for epoch in range(3):
        here = items[epochs == epoch][:count]
        assert np.array_equal(here, seeds.order(9, epoch, count)[: len(here)])
    assert set(items[epochs == 1].tolist()) == set(range(count))


def test_batches_do_not_depend_on_how_they_are_cut() -> None:
    items, epochs = seeds.batch(9, 0, 60, 23)
    again = [seeds.batch(9, first, 7, 23) for first in range(0, 56, 7)]
    assert np.array_equal(np.concatenate([rows[0] for rows in again]), items[:56])
    assert np.array_equal(np.concatenate([rows[1] for rows in again]), epochs[:56])


def test_a_batch_may_be_larger_than_the_data() -> None:
    items, epochs = seeds.batch(1, 0, 7, 3)
    assert epochs.tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert sorted(items[:3].tolist()) == sorted(items[3:6].tolist()) == [0, 1, 2]


def test_seed_and_item_are_not_exchangeable() -> None:
    small = _items(40)
    table = {seed: seeds.uniform(seed, small, 0 * small, 1)[:, 0] for seed in range(40)}
    values = np.concatenate(list(table.values()))
    # 24 bits: of 1,600 numbers about 0.08 pairs are equal by chance.
    assert len(np.unique(values)) >= 1598
