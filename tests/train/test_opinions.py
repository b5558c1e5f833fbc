"""Opinions of a teacher's embeddings: what can be known is told, a wrong label is not repeated, gaps are filled."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from incog.train.opinions import crosswise  # noqa: E402


def _clusters(count: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors of two clusters and which each is of."""
    random = np.random.default_rng(5)
    kinds = random.integers(0, 2, count)
    vectors = random.normal(0, 0.3, (count, 16)).astype(np.float32)
    vectors[:, 0] += np.where(kinds, 1, -1)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), kinds


def test_wrong_labels_are_not_repeated_and_gaps_are_filled() -> None:
    vectors, kinds = _clusters()
    wrong = np.arange(600) % 10 == 0
    missing = np.arange(600) % 10 == 1
    labels = np.where(wrong, 1 - kinds, kinds)
    targets = np.eye(2, dtype=np.float32)[labels]
    targets[missing] = 0.5
    told = crosswise(vectors, {"kind": (targets, (~missing).astype(np.int64))}, seed=1)["kind"]
    assert told.sum(1) == pytest.approx(1, abs=1e-5)
    assert (told.argmax(1) == kinds).mean() > 0.97
    assert (told.argmax(1) == kinds)[wrong].mean() > 0.9
    assert (told.argmax(1) == kinds)[missing].mean() > 0.9


def test_what_cannot_be_known_stays_open() -> None:
    vectors, _ = _clusters()
    chance = np.eye(2, dtype=np.float32)[np.random.default_rng(0).integers(0, 2, 600)]
    told = crosswise(vectors, {"chance": (chance, np.ones(600, np.int64))}, seed=1)["chance"]
    right = (told.argmax(1) == chance.argmax(1)).mean()
    # A classifier that saw its own labels would know far more than half of them.
    assert 0.4 < right < 0.6


def test_the_same_seed_tells_the_same_and_leaves_the_random_state() -> None:
    vectors, kinds = _clusters(200)
    given = {"kind": (np.eye(2, dtype=np.float32)[kinds], np.ones(200, np.int64))}
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    one = crosswise(vectors, given, seed=4, epochs=2)["kind"]
    assert torch.equal(torch.rand(3), expected)
    assert np.array_equal(one, crosswise(vectors, given, seed=4, epochs=2)["kind"])
    assert not np.array_equal(one, crosswise(vectors, given, seed=5, epochs=2)["kind"])
