"""Intervals agree with scipy's and cover the truth about as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from incog.evaluate.intervals import Figure, clopper_pearson, mean_over_people, over_people, wilson


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (10, 10), (3, 40), (700, 1000)])
def test_intervals_of_shares_are_scipys(hits: int, count: int) -> None:
    test = stats.binomtest(hits, count)
    for mine, method in (
        (wilson(hits, count), "wilson"),
        (Figure(0, *clopper_pearson(hits, count), 0), "exact"),
    ):
        theirs = test.proportion_ci(0.95, method)
        assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_shares_of_nothing() -> None:
    assert math.isnan(wilson(0, 0).value)
    assert str(wilson(0, 0)) == "not measured"
    with pytest.raises(ValueError, match=r"in 0\.\.3, got 4"):
        wilson(4, 3)
    with pytest.raises(ValueError, match="at least 1"):
        clopper_pearson(0, 0)


def test_pictures_of_one_person_do_not_count_as_many() -> None:
    random = np.random.default_rng(0)
    people = np.repeat(np.arange(40), 25)
    values = (random.uniform(size=40) < 0.5)[people].astype(float)
    found = mean_over_people(values, people.astype(str).tolist())
    alone = wilson(int(values.sum()), len(values))
    assert found.people == 40
    assert found.count == 1000
    # As wide as forty throws of a coin, not as a thousand.
    assert found.high - found.low > 3 * (alone.high - alone.low)
    expected = wilson(round(found.value * 40), 40)
    assert found.high - found.low == pytest.approx(expected.high - expected.low, rel=0.15)


@pytest.mark.slow
def test_intervals_cover_the_truth() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for number in range(200):
        rates = random.beta(2, 3, 60)
        people = np.repeat(np.arange(60), random.integers(1, 6, 60))
        values = (random.uniform(size=len(people)) < rates[people]).astype(float)
        found = mean_over_people(values, people.astype(str).tolist(), seed=number, rounds=300)
        covered += found.low <= 0.4 <= found.high
    assert 178 <= covered <= 200


def test_hits_that_never_or_always_happen_are_not_certain() -> None:
    for value in (0.0, 1.0):
        found = mean_over_people(np.full(30, value), [str(n // 3) for n in range(30)], hits=True)
        expected = wilson(round(10 * value), 10)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    for few in range(8):
        values = np.array([1.0] * few + [0.0] * (300 - few))
        found = mean_over_people(values, [str(n) for n in range(300)], hits=True)
        assert found.high >= wilson(few, 300).high - 1e-9, "one hit more never lowers the upper end"
        assert found.low <= wilson(few, 300).low + 1e-9
    assert mean_over_people(np.full(4, 0.3), list("abcd"), hits=True).high == pytest.approx(0.3)
    assert mean_over_people(np.zeros(0), []).people == 0
    with pytest.raises(ValueError, match="must name 2 items"):
        mean_over_people(np.zeros(2), ["a"])


def test_any_statistic_over_people() -> None:
    values = np.random.default_rng(0).normal(size=300)
    people = [str(n // 3) for n in range(300)]
    found = over_people(lambda weights: float((weights * values).sum() / weights.sum()), people, 300, seed=5)
    expected = mean_over_people(values, people, seed=5)
    assert (found.value, found.low, found.high) == pytest.approx(
        (expected.value, expected.low, expected.high)
    )
