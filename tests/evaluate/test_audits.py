"""Audits agree with cases counted by hand, and refute what is wrong without refuting what is right."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from incog.evaluate import audits


def test_k_is_the_smallest_group_of_people_not_of_pictures() -> None:
    outputs = [b"x", b"x", b"x", b"y", b"y", b"y"]
    assert audits.anonymity(outputs, ["a", "b", "c", "d", "d", "e"]) == (2, 2)
    assert audits.anonymity([b"x", b"x", b"x "], ["a", "b", "c"]) == (1, 2)
    with pytest.raises(ValueError, match="a person for each"):
        audits.anonymity([], [])


def test_distances_by_hand() -> None:
    assert audits.distance(np.array([0.8, 0.2]), np.array([0.55, 0.45]), "nominal") == pytest.approx(0.25)
    assert audits.distance(np.array([0.8, 0.2]), np.array([0.55, 0.45]), "ordinal") == pytest.approx(0.25)
    assert audits.distance(np.array([1, 0, 0]), np.array([0, 0, 1]), "nominal") == 1
    assert audits.distance(np.array([1, 0, 0]), np.array([0, 1, 0]), "ordinal") == pytest.approx(0.5)
    assert audits.distance(np.array([1.0]), np.array([1.0]), "ordinal") == 0
    with pytest.raises(ValueError, match="two distributions"):
        audits.distance(np.array([0.5, 0.6]), np.array([0.5, 0.5]), "nominal")


@given(st.lists(st.integers(0, 20), min_size=3, max_size=8).filter(sum), st.integers(0, 100))
def test_the_ordinal_distance_is_scipys(counts: list[int], seed: int) -> None:
    p = np.array(counts, float) / sum(counts)
    q = np.random.default_rng(seed).dirichlet(np.ones(len(p)))
    places = np.arange(len(p)) / (len(p) - 1)
    expected = stats.wasserstein_distance(places, places, p, q)
    assert audits.distance(p, q, "ordinal") == pytest.approx(expected, abs=1e-9)


def test_closeness_finds_the_worst_class_and_what_chance_gives() -> None:
    values = ["m"] * 8 + ["f"] * 2 + ["m"] * 5 + ["f"] * 5
    classes = ["one"] * 10 + ["two"] * 10
    found = audits.closeness(values, classes, ["m", "f"], "nominal")
    assert found.worst == pytest.approx(0.15)
    assert found.where in ("one", "two")
    assert found.by_chance >= 0.15
    apart = audits.closeness(
        ["m"] * 50 + ["f"] * 50, classes=["one"] * 50 + ["two"] * 50, order="mf", kind="nominal"
    )
    assert apart.worst == pytest.approx(0.5)
    assert apart.by_chance < 0.2
    with pytest.raises(ValueError, match="got 'x'"):
        audits.closeness(["x"], ["one"], ["m"], "nominal")


def test_diversity_by_hand() -> None:
    distinct, effective = audits.diversity(["a", "b", "b", "b", "c", "d"], [1, 1, 1, 1, 2, 2])
    assert distinct == 2
    assert effective == pytest.approx(math.exp(-(0.25 * math.log(0.25) + 0.75 * math.log(0.75))))
    assert audits.diversity(["a", "b", "c"], [1, 1, 1])[1] == pytest.approx(3)


def flip(epsilon: float, claimed_seed: int = 0):  # type: ignore[no-untyped-def]
    """Return randomised response of one bit (Warner 1965)."""
    keep = math.exp(epsilon) / (1 + math.exp(epsilon))

    def mechanism(value: int, trials: int) -> list[int]:
        random = np.random.default_rng([claimed_seed, value])
        kept = random.uniform(size=trials) < keep
        return np.where(kept, value, 1 - value).tolist()

    return mechanism


def test_an_honest_epsilon_stands_and_a_false_one_falls() -> None:
    for seed in range(5):
        found = audits.leakage(flip(1.0, seed), (0, 1), trials=50_000)
        assert 0.93 < found.least <= 1.0
        assert not found.refutes(1.0)
        assert found.refutes(0.9)


def test_a_mechanism_without_noise_leaks_without_bound() -> None:
    found = audits.leakage(lambda value, trials: [value] * trials, (0, 1), trials=10_000)
    assert found.least > 7
    silent = audits.leakage(lambda value, trials: [0] * trials, (0, 1), trials=1000)
    assert silent.least == 0
