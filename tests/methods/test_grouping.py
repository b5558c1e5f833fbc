"""Groups of k people: against a plain reference, and for all sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incog.errors import InputError, UsageError
from incog.methods import grouping


def reference(points: Sequence[Sequence[float]], k: int) -> list[list[int]]:
    """Return the groups of one picture per person as the algorithm is written down, in plain Python."""
    left, found = list(range(len(points))), []
    while left:
        size = len(left) if len(left) < 2 * k else k
        first = left[0]

        def far(row: int, first: int = first) -> tuple[float, int]:
            return sum((a - b) ** 2 for a, b in zip(points[row], points[first], strict=True)), row

        taken = [first, *sorted(left[1:], key=far)[: size - 1]]
        found.append(sorted(taken))
        left = [row for row in left if row not in taken]
    return found


@pytest.mark.parametrize(("count", "k"), [(2, 2), (3, 2), (7, 3), (12, 4), (13, 5), (30, 5)])
def test_groups_are_those_of_the_reference(count: int, k: int) -> None:
    vectors = np.random.default_rng(count).normal(size=(count, 6)).astype(np.float32)
    found = grouping.groups(vectors, list(range(count)), k)
    assert [rows.tolist() for rows in found] == reference(vectors.astype(float).tolist(), k)


@st.composite
def sets(draw: Any) -> tuple[np.ndarray, list[int], list[int], int]:
    k = draw(st.integers(2, 6))
    count = draw(st.integers(k, 40))
    extra = draw(st.lists(st.integers(0, count - 1), max_size=20))
    people = draw(st.permutations([*range(count), *extra]))
    # Coarse values: many rows are equal.
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    vectors = random.integers(0, 3, (len(people), 2)).astype(np.float32)
    return vectors, people, random.integers(0, 4, len(people)).tolist(), k


@given(sets(), st.booleans())
def test_every_group_has_k_people_and_every_person_one_group(
    case: tuple[np.ndarray, list[int], list[int], int], split: bool
) -> None:
    vectors, people, labels, k = case
    found = grouping.groups(vectors, people, k, parts=labels if split else None)
    assert sorted(row for rows in found for row in rows) == list(range(len(people)))
    members = [{people[row] for row in rows} for rows in found]
    assert min(map(len, members)) >= k
    assert sum(map(len, members)) == len(set(people))
    if not split:
        assert max(map(len, members)) < 2 * k


def test_parts_are_kept_apart_unless_they_are_too_small() -> None:
    vectors = np.array([[0.0], [0.1], [0.2], [0.3], [5.0]], np.float32)
    labels = ["a", "b", "a", "b", "c"]
    found = grouping.groups(vectors, list(range(5)), 2, parts=labels)
    assert [rows.tolist() for rows in found] == [[0, 2], [1, 3, 4]]
    alone = grouping.groups(vectors, list(range(5)), 2, parts=list("abcde"))
    assert min(map(len, alone)) >= 2


def test_a_person_counts_once_however_many_pictures_there_are() -> None:
    vectors = np.array([[0.0], [0.0], [0.0], [4.0]], np.float32)
    mean = grouping.means_of_people(vectors, np.arange(4), ["a", "a", "a", "b"])
    assert mean.tolist() == [2.0]


def test_far_groups_swap() -> None:
    line = np.array([[0.0], [1.0], [10.0], [11.5]])
    assert grouping.opposites(line) == [3, 2, 1, 0]
    assert grouping.opposites(line[:3]) == [2, 2, 0]
    assert grouping.opposites(line[:1]) == [0]


@given(st.integers(2, 12), st.integers(0, 99))
def test_no_group_keeps_its_own_face(count: int, seed: int) -> None:
    partner = grouping.opposites(np.random.default_rng(seed).normal(size=(count, 3)))
    assert all(other != number for number, other in enumerate(partner))
    assert len(set(partner)) >= count // 2


def test_what_cannot_be_grouped_is_refused() -> None:
    vectors = np.zeros((4, 2), np.float32)
    with pytest.raises(InputError, match="at least k = 3 people to make one face of, got 2"):
        grouping.groups(vectors, ["a", "a", "b", "b"], 3)
    with pytest.raises(UsageError, match="k must be a whole number from 2, got 1"):
        grouping.groups(vectors, list("abcd"), 1)
    with pytest.raises(ValueError, match="one vector per row"):
        grouping.groups(vectors, list("abc"), 2)
    with pytest.raises(ValueError, match="finite"):
        grouping.groups(np.full((4, 2), np.nan, np.float32), list("abcd"), 2)
