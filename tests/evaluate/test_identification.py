"""Ranks agree with counting one by one, ties are split, and a picture never finds itself."""

from __future__ import annotations

import numpy as np
import pytest

from incog.evaluate.identification import by_person, rank_shares


def test_a_person_is_as_near_as_the_nearest_picture() -> None:
    found, people = by_person(np.array([[0.1, 0.9, 0.3], [0.5, 0.2, 0.4]], np.float32), ["b", "a", "b"])
    assert people == ["a", "b"]
    np.testing.assert_allclose(found, [[0.9, 0.3], [0.2, 0.5]])


def test_the_picture_that_a_probe_was_made_of_does_not_count() -> None:
    found, _ = by_person(np.array([[np.nan, 0.2], [np.nan, np.nan]], np.float32), ["a", "a"])
    np.testing.assert_array_equal(found, np.array([[0.2], [-np.inf]], np.float32))


def test_columns_and_names_must_agree() -> None:
    with pytest.raises(ValueError, match="must name 2 pictures"):
        by_person(np.zeros((1, 2), np.float32), ["a"])


def test_ranks_by_hand() -> None:
    similarities = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.4, 0.4, 0.1]], np.float32)
    shares = rank_shares(similarities, np.array([0, 2, 1]), 3)
    np.testing.assert_allclose(shares, [[1, 1, 1], [0, 0, 1], [0.5, 1, 1]])


def test_a_gallery_in_which_all_are_alike_is_chance() -> None:
    shares = rank_shares(np.zeros((5, 4), np.float32), np.arange(5) % 4, 4)
    np.testing.assert_allclose(shares, np.tile([0.25, 0.5, 0.75, 1], (5, 1)))


def test_ties_are_split_as_random_orders_split_them() -> None:
    random = np.random.default_rng(0)
    similarities = random.integers(0, 4, (6, 7)).astype(np.float32)
    columns = random.integers(0, 7, 6)
    shares = rank_shares(similarities, columns, 7)
    hits = np.zeros((6, 7))
    for _ in range(4000):
        noisy = similarities + random.uniform(0, 0.5, similarities.shape)
        order = np.argsort(-noisy, axis=1)
        ranks = np.argmax(order == columns[:, None], axis=1)
        hits += np.arange(7)[None] >= ranks[:, None]
    np.testing.assert_allclose(shares, hits / 4000, atol=0.04)


def test_who_is_not_in_the_gallery_has_no_rank() -> None:
    with pytest.raises(ValueError, match="must have a gallery picture"):
        rank_shares(np.array([[-np.inf, 0.3]], np.float32), np.array([0]), 1)
