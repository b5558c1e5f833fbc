"""Are formal claims kept? Audits of k-anonymity, l-diversity, t-closeness and local differential privacy.

Pure functions over released values. Audits can refute a claim, never prove it.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, log
from typing import Literal

import numpy as np
import numpy.typing as npt

from incog.evaluate.intervals import LEVEL, clopper_pearson

Shares = npt.NDArray[np.float64]
Kind = Literal["nominal", "ordinal"]


def anonymity(outputs: Sequence[bytes], people: Sequence[str]) -> tuple[int, int]:
    """Return the smallest number of different people who share one output, and the number of different outputs.

    Outputs count as one only when they are so byte by byte (Newton, Sweeney, Malin 2005): k-anonymity at most holds for
    that number. Raises ValueError without outputs or when lengths differ.
    """
    if not outputs or len(outputs) != len(people):
        raise ValueError(f"there must be outputs and a person for each, got {len(outputs)} and {len(people)}")
    groups: dict[bytes, set[str]] = defaultdict(set)
    for output, person in zip(outputs, people, strict=True):
        groups[hashlib.sha256(output).digest()].add(person)
    return min(map(len, groups.values())), len(groups)


def distance(first: Shares, second: Shares, kind: Kind) -> float:
    """Return the earth mover's distance of two distributions (m,) over the same values, 0..1 (Li et al. 2007).

    nominal: all values lie 1 apart, so that it is half the sum of the differences. ordinal: neighbours lie 1 / (m - 1)
    apart. For two values both are |p - q|. Raises ValueError for what are no distributions over the same values.
    """
    p, q = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if p.shape != q.shape or p.ndim != 1 or not (np.isclose(p.sum(), 1) and np.isclose(q.sum(), 1)):
        raise ValueError(f"there must be two distributions over the same values, got {first} and {second}")
    if len(p) == 1:
        return 0.0
    if kind == "nominal":
        return float(np.abs(p - q).sum() / 2)
    return float(np.abs(np.cumsum(p - q)[:-1]).sum() / (len(p) - 1))


@dataclass(frozen=True, slots=True)
class Closeness:
    """worst: t, the largest distance of a class from the whole. where: which class. by_chance: what the worst distance
    stays below in 95 of 100 random splits into classes of these sizes; a t below it is no achievement."""

    worst: float
    where: Hashable
    by_chance: float


def closeness(
    values: Sequence[Hashable],
    classes: Sequence[Hashable],
    order: Sequence[Hashable],
    kind: Kind,
    *,
    seed: int = 0,
    rounds: int = 1000,
) -> Closeness:
    """Return how near the sensitive values of each equivalence class are to those of all records (t-closeness).

    values, classes: of each record. order: all values there are, in their order. Raises ValueError when lengths differ
    or a value is not in ``order``.
    """
    if not values or len(values) != len(classes):
        raise ValueError(f"there must be values and a class for each, got {len(values)} and {len(classes)}")
    places = {value: number for number, value in enumerate(order)}
    unknown = [value for value in values if value not in places]
    if unknown:
        raise ValueError(f"values must be of {list(order)}, got {unknown[0]!r}")
    coded = np.array([places[value] for value in values])
    names = list(dict.fromkeys(classes))
    numbers = {name: number for number, name in enumerate(names)}
    members = np.array([numbers[name] for name in classes])
    whole = np.bincount(coded, minlength=len(order)) / len(coded)

    def distances(codes: npt.NDArray[np.intp]) -> list[float]:
        table = np.zeros((len(names), len(order)))
        np.add.at(table, (members, codes), 1)
        return [distance(row / row.sum(), whole, kind) for row in table]

    found = distances(coded)
    random = np.random.default_rng(seed)
    chance = [max(distances(random.permutation(coded))) for _ in range(rounds)]
    worst = int(np.argmax(found))
    return Closeness(found[worst], names[worst], float(np.quantile(chance, 0.95)))


def diversity(values: Sequence[Hashable], classes: Sequence[Hashable]) -> tuple[int, float]:
    """Return l of l-diversity over all classes (Machanavajjhala et al. 2007): the fewest distinct sensitive values in a
    class, and the exponential of the least entropy. Raises ValueError when lengths differ or nothing is given."""
    if not values or len(values) != len(classes):
        raise ValueError(f"there must be values and a class for each, got {len(values)} and {len(classes)}")
    groups: dict[Hashable, list[Hashable]] = defaultdict(list)
    for value, name in zip(values, classes, strict=True):
        groups[name].append(value)
    distinct, effective = inf, inf
    for members in groups.values():
        counts = np.array([members.count(value) for value in set(members)], np.float64)
        shares = counts / counts.sum()
        distinct = min(distinct, len(counts))
        effective = min(effective, float(np.exp(-(shares * np.log(shares)).sum())))
    return int(distinct), effective


@dataclass(frozen=True, slots=True)
class Leakage:
    """least: the epsilon that the mechanism has at least, to 95 %. seen: the outcome that shows it. trials: of each
    input."""

    least: float
    seen: Hashable
    trials: int

    def refutes(self, epsilon: float) -> bool:
        """Whether a claim of local differential privacy with this epsilon is wrong."""
        return self.least > epsilon


def leakage(
    mechanism: Callable[[int, int], Sequence[Hashable]], inputs: tuple[int, int], *, trials: int = 100_000
) -> Leakage:
    """Return what running a randomised mechanism on two inputs shows of its epsilon.

    mechanism: takes an input and a number of trials, returns that many outcomes. For each outcome, epsilon is at least
    the logarithm of the lower bound of the more frequent over the upper bound of the less frequent share
    (Clopper-Pearson). The doubt of 5 % is shared among the outcomes (Bonferroni), so few of them are better than many.
    """
    tables: list[Mapping[Hashable, int]] = []
    for value in inputs:
        table: dict[Hashable, int] = defaultdict(int)
        for outcome in mechanism(value, trials):
            table[outcome] += 1
        tables.append(table)
    least, seen = 0.0, None
    outcomes = sorted(set(tables[0]) | set(tables[1]), key=repr)
    level = 1 - (1 - LEVEL) / len(outcomes)
    for outcome in outcomes:
        bounds = [clopper_pearson(table.get(outcome, 0), trials, level=level) for table in tables]
        for more, less in ((bounds[0], bounds[1]), (bounds[1], bounds[0])):
            if more[0] > 0 and log(more[0] / less[1]) > least:
                least, seen = log(more[0] / less[1]), outcome
    return Leakage(least, seen, trials)
