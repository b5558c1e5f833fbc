"""Random numbers that belong to the item, not to the batch: the same item in the same epoch always draws the same."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from incog.types import Floats

Integers = npt.NDArray[np.int64]
_Words = npt.NDArray[np.uint64]


def uniform(seed: int, items: Integers, epochs: Integers, count: int) -> Floats:
    """Return (B, count) float32 in [0, 1): a hash of seed, item, epoch and column.

    items, epochs: (B,) int64. The numbers do not depend on what else is in the batch.
    """
    # Mixed twice, or seed 1 of item 2 would draw what seed 2 of item 1 draws.
    state = _mixed(_mixed(np.full(len(items), seed % 2**64, np.uint64)))
    for part in (items, epochs):
        state = _mixed(state ^ _mixed(part.astype(np.uint64)))
    words = _mixed(state[:, None] ^ _mixed(np.arange(1, count + 1, dtype=np.uint64))[None])
    return np.asarray((words >> np.uint64(40)).astype(np.float32) / np.float32(2**24), dtype=np.float32)


@lru_cache(maxsize=2)
def order(seed: int, epoch: int, count: int) -> Integers:
    """Return the order of ``count`` items in an epoch: a permutation of 0 .. count - 1."""
    drawn = np.random.default_rng([seed % 2**63, epoch]).permutation(count).astype(np.int64)
    drawn.setflags(write=False)
    return drawn


def batch(seed: int, first: int, size: int, count: int) -> tuple[Integers, Integers]:
    """Return (items, epochs), (size,) each: what is drawn after ``first`` draws from an endless run of epochs."""
    drawn = np.arange(first, first + size, dtype=np.int64)
    epochs = drawn // count
    items = np.empty(size, np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        items[here] = order(seed, int(epoch), count)[drawn[here] - epoch * count]
    return items, epochs


def _mixed(words: _Words) -> _Words:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    with np.errstate(over="ignore"):
        words = words + np.uint64(0x9E3779B97F4A7C15)
        words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return words ^ (words >> np.uint64(31))
