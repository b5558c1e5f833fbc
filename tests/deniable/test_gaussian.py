"""Gaussianisation: skewed and rare things become normal numbers, and come out of normal numbers again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from incog.deniable import gaussian
from incog.deniable.gaussian import Doubles, Gaussian


def drawn(count: int, seed: int) -> Doubles:
    """Return values (count, 6) of unit variance, mixed: two of them rare events, one skewed."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(count, 6))
    values[:, 0] *= np.where(generator.uniform(size=count) < 0.2, 2.0, 0.4)
    values[:, 1] *= np.where(generator.uniform(size=count) < 0.2, 2.0, 0.4)
    values[:, 2] = generator.exponential(size=count) - 1
    turn, _ = np.linalg.qr(np.random.default_rng(99).normal(size=(6, 6)))
    return np.asarray(values / values.std(0) @ turn, np.float64)


@pytest.fixture(scope="module")
def fitted() -> Gaussian:
    return gaussian.fit(drawn(6000, 1))


def test_other_values_of_the_same_kind_become_normal(fitted: Gaussian) -> None:
    raw = drawn(3000, 2)
    numbers = fitted.forward(raw)
    assert max(stats.kurtosis(raw, axis=0)) > 1
    assert np.abs(stats.kurtosis(numbers, axis=0)).max() < 0.35
    lengths = np.square(numbers).sum(1)
    assert stats.kstest(lengths, stats.chi2(6).cdf).statistic < 0.05
    # Of values that are merely uncorrelated the lengths tell it at once.
    assert stats.kstest(np.square(raw).sum(1), stats.chi2(6).cdf).statistic > 0.1


def test_what_is_drawn_has_the_rare_things(fitted: Gaussian) -> None:
    made = fitted.backward(np.random.default_rng(3).normal(size=(6000, 6)))
    turn, _ = np.linalg.qr(np.random.default_rng(99).normal(size=(6, 6)))
    real, fake = (stats.kurtosis(values @ turn.T, axis=0) for values in (drawn(6000, 2), made))
    np.testing.assert_allclose(fake[:2], real[:2], rtol=0.35)
    assert stats.skew((made @ turn.T)[:, 2]) > 1


def test_there_and_back(fitted: Gaussian) -> None:
    values = np.concatenate([drawn(500, 4), 20 * drawn(20, 5), np.zeros((1, 6))])
    np.testing.assert_allclose(fitted.backward(fitted.forward(values)), values, atol=1e-6)
    numbers = np.random.default_rng(6).normal(size=(500, 6)) * 1.5
    np.testing.assert_allclose(fitted.forward(fitted.backward(numbers)), numbers, atol=1e-6)
