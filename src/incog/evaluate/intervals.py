"""How sure a figure is: 95 % intervals for shares, and by drawing people anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan, sqrt

import numpy as np
import numpy.typing as npt
from scipy import stats

Values = npt.NDArray[np.float64]

LEVEL = 0.95
"""Of all intervals."""

ROUNDS = 1000
"""Draws of a bootstrap."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value with its 95 % interval.

    count: what it was measured on: pictures, pairs or frames. people: how many of them, where they are known.
    """

    value: float
    low: float
    high: float
    count: int
    people: int | None = None

    def __str__(self) -> str:
        if isnan(self.value):
            return "not measured"
        return f"{self.value:.4g} ({self.low:.4g} to {self.high:.4g})"


def wilson(hits: int, count: int) -> Figure:
    """Return a share with its Wilson interval (Wilson 1927). NaN without a count.

    Raises ValueError for hits that are not in 0..count.
    """
    if not 0 <= hits <= count:
        raise ValueError(f"hits must be in 0..{count}, got {hits}")
    if count == 0:
        return Figure(nan, nan, nan, 0)
    return Figure(hits / count, *_wilson(hits / count, count), count)


def _wilson(share: float, count: int) -> tuple[float, float]:
    z = float(stats.norm.ppf((1 + LEVEL) / 2))
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def clopper_pearson(hits: int, count: int, *, level: float = LEVEL) -> tuple[float, float]:
    """Return the exact interval of a share (Clopper, Pearson 1934), which covers it with probability ``level``.

    Raises ValueError as ``wilson``, or at count 0.
    """
    if count < 1 or not 0 <= hits <= count:
        raise ValueError(f"hits must be in 0..count with a count of at least 1, got {hits} of {count}")
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(stats.beta.ppf(tail, hits, count - hits + 1))
    high = 1.0 if hits == count else float(stats.beta.ppf(1 - tail, hits + 1, count - hits))
    return low, high


def drawn(
    people: Sequence[str], *, seed: int = 0, rounds: int = ROUNDS
) -> tuple[Values, npt.NDArray[np.intp]]:
    """Return how often each person is drawn, (rounds, P), and which person each item is of, (N,).

    Pictures of one person are alike, so that people, not pictures, are drawn with replacement (cluster bootstrap).
    """
    names, codes = np.unique(list(people), return_inverse=True)
    random = np.random.default_rng(seed)
    counts = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=rounds)
    return counts.astype(np.float64), codes


def mean_over_people(
    values: Values, people: Sequence[str], *, hits: bool = False, seed: int = 0, rounds: int = ROUNDS
) -> Figure:
    """Return the mean of values (N,) with a percentile interval over draws of people.

    people: of each value. hits: the values are hits (1), misses (0), or the chance of one where ties are split; draws
    are too sure of what is rare or was never seen, so the interval then reaches at least as far as Wilson's over the
    number of people. Raises ValueError when lengths differ. NaN without values.
    """
    values = np.asarray(values, np.float64)
    if len(values) != len(people):
        raise ValueError(f"people must name {len(values)} items, got {len(people)}")
    if not len(values):
        return Figure(nan, nan, nan, 0, 0)
    counts, codes = drawn(people, seed=seed, rounds=rounds)
    number = counts.shape[1]
    sums = np.bincount(codes, values, number)
    sizes = np.bincount(codes, minlength=number).astype(np.float64)
    found = percentiles(float(values.mean()), (counts @ sums) / (counts @ sizes), len(values), number)
    # Values that are all the chance of splitting one tie are not a throw of dice: they are known.
    if hits and (np.ptp(values) > 0 or values[0] in (0, 1)):
        low, high = _wilson(found.value, number)
        return replace(found, low=min(found.low, low), high=max(found.high, high))
    return found


def over_people(
    statistic: Callable[[Values], float],
    people: Sequence[str],
    count: int,
    *,
    seed: int = 0,
    rounds: int = ROUNDS,
) -> Figure:
    """Return any statistic with a percentile interval over draws of people.

    statistic: takes how much each item weighs, (N,), whole numbers. people: of each item. count: for the figure.
    """
    counts, codes = drawn(people, seed=seed, rounds=rounds)
    again = np.array([statistic(row[codes]) for row in counts])
    return percentiles(statistic(np.ones(len(codes))), again[np.isfinite(again)], count, counts.shape[1])


def percentiles(value: float, again: Values, count: int, people: int) -> Figure:
    """Return the figure whose interval holds the middle 95 % of what draws gave."""
    if not len(again):
        return Figure(value, nan, nan, count, people)
    low, high = np.quantile(again, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Figure(value, float(low), float(high), count, people)
