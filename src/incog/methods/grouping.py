"""Which people become one face: the grouping of the k-Same family (Newton, Sweeney and Malin 2005). Pure functions.

People, not pictures, are grouped: all pictures of one person count as one unit, and a group has at least ``k`` units.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from incog.errors import InputError, must_be
from incog.types import Floats

Rows = npt.NDArray[np.intp]
Doubles = npt.NDArray[np.float64]


def groups(
    vectors: Floats, people: Sequence[Hashable], k: int, *, parts: Sequence[Hashable] | None = None
) -> list[Rows]:
    """Return the rows of each group, ascending: every row is in one group, and all of one person's are in the same.

    vectors: (N, D) float32, finite, what distances are taken of; a person's is the mean of their rows. people: who each
    row shows. Greedy: while people are left, the first of them, in the order of their first rows, and the k - 1 nearest
    by Euclidean distance are a group; the last 2k - 1 or fewer are one. parts: a label of each row; people of one label
    are grouped among themselves (k-Same-Select), see ``merged``; a person with several goes by the most frequent.

    Raises InputError for fewer than k people, UsageError for a k below 2, ValueError for vectors that are not finite or
    do not pair with people and parts.
    """
    if k < 2:
        raise must_be("k", "a whole number from 2", k)
    if vectors.ndim != 2 or len(vectors) != len(people) or (parts is not None and len(parts) != len(people)):
        raise ValueError(f"there must be one vector per row, got {vectors.shape} for {len(people)}")
    if not np.isfinite(vectors).all():
        raise ValueError("vectors must be finite")
    units = units_of(people)
    if len(units) < k:
        raise InputError(f"there must be at least k = {k} people to make one face of, got {len(units)}")
    means = centres(vectors, units)
    pools: list[Rows] = [np.arange(len(units))]
    if parts is not None:
        labels = [Counter(parts[row] for row in unit).most_common(1)[0][0] for unit in units]
        pools = merged(means, labels, k)
    found = [pool[rows] for pool in pools for rows in nearest(means[pool], k)]
    return [np.sort(np.concatenate([units[unit] for unit in group])) for group in found]


def units_of(people: Sequence[Hashable]) -> list[Rows]:
    """Return the rows of each person, people in the order of their first rows."""
    rows: dict[Hashable, list[int]] = {}
    for row, person in enumerate(people):
        rows.setdefault(person, []).append(row)
    return [np.array(some, np.intp) for some in rows.values()]


def centres(vectors: Floats, sets: Sequence[Rows]) -> Doubles:
    """Return the mean of each set of rows of (N, D) vectors, (len(sets), D) float64."""
    # In float64 and in row order, so that equal sets give equal means to the last bit.
    return np.stack([vectors[rows].mean(0, dtype=np.float64) for rows in sets])


def means_of_people(vectors: Floats, group: Rows, people: Sequence[Hashable]) -> Doubles:
    """Return the mean of a group's vectors, (D,) float64, in which every person counts the same."""
    own = [group[rows] for rows in units_of([people[row] for row in group])]
    mean: Doubles = centres(vectors, own).mean(0)
    return mean


def nearest(vectors: Doubles, k: int) -> list[Rows]:
    """Return greedy groups of at least k rows of (N, D) vectors, N at least k: see ``groups``."""
    left = np.arange(len(vectors))
    found: list[Rows] = []
    while len(left) >= 2 * k:
        distance = np.square(vectors[left] - vectors[left[0]]).sum(1)
        # The first belongs to its own group, also where others are equal to it; ties go by order.
        distance[0] = -1
        taken = np.argsort(distance, kind="stable")[:k]
        found.append(left[np.sort(taken)])
        left = np.delete(left, taken)
    return [*found, left]


def merged(vectors: Doubles, labels: Sequence[Hashable], k: int) -> list[Rows]:
    """Return the rows of each label, in the order of first rows; a part of fewer than k rows is merged with the part
    whose centre is nearest, the smallest first, until all have k, or there is one."""
    pools = units_of(labels)
    while len(pools) > 1:
        small = min(range(len(pools)), key=lambda number: len(pools[number]))
        if len(pools[small]) >= k:
            break
        middles = np.stack([vectors[pool].mean(0) for pool in pools])
        distance = np.square(middles - middles[small]).sum(1)
        distance[small] = np.inf
        other = int(distance.argmin())
        joined = np.sort(np.concatenate([pools[small], pools[other]]))
        pools = [pool for number, pool in enumerate(pools) if number not in (small, other)] + [joined]
        pools.sort(key=lambda pool: int(pool[0]))
    return pools


def opposites(centres: Doubles) -> list[int]:
    """Return which group's face each group gets, of (G, D) centres: that of a far one (k-Same-furthest).

    The two groups furthest from each other swap, then the two furthest of those left, and so on; where their number is
    odd, the last one gets the face of the group that is furthest from it, which then stands for both groups. One alone
    keeps its own.
    """
    count = len(centres)
    squares = np.square(centres).sum(1)
    distance = squares[:, None] + squares[None, :] - 2 * centres @ centres.T
    np.fill_diagonal(distance, -np.inf)
    partner = list(range(count))
    open_pairs = distance.copy()
    for _ in range(count // 2):
        one, other = (int(index) for index in np.unravel_index(int(open_pairs.argmax()), distance.shape))
        partner[one], partner[other] = other, one
        open_pairs[[one, other]] = open_pairs[:, [one, other]] = -np.inf
    for number in range(count) if count > 1 else ():
        if partner[number] == number:
            partner[number] = int(distance[number].argmax())
    return partner
