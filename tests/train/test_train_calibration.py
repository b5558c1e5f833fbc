"""Calibration: temperatures and shifts that were put in are found again; errors agree with sums written out."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import softmax

from incog.train.calibration import Scaling, balanced_accuracy, class_error, expected_error, fit


def _drawn(count: int, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits that are true log-odds, and labels drawn from them."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (count, classes)).astype(np.float32)
    uniform = random.random((count, 1))
    return logits, (softmax(logits, axis=1).cumsum(1) < uniform).sum(1).clip(max=classes - 1)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_a_temperature_is_found_again(temperature: float) -> None:
    logits, labels = _drawn(20_000)
    found = fit(logits * np.float32(temperature), labels)
    assert found.temperature == pytest.approx(temperature, rel=0.03)
    assert found.bias == (0, 0, 0)


def test_a_shift_is_found_again() -> None:
    logits, labels = _drawn(20_000)
    shift = np.array([0.8, -0.2, -0.6], np.float32)
    found = fit((logits + shift) * 2, labels, bias=True, prior=0)
    assert found.temperature == pytest.approx(2, rel=0.03)
    assert np.array(found.bias) == pytest.approx(-shift, abs=0.06)


def test_few_pictures_shift_little() -> None:
    logits, labels = _drawn(20)
    free, held = (fit(logits, np.zeros_like(labels), bias=True, prior=prior) for prior in (1e-4, 1.0))
    assert abs(held.bias[0]) < abs(free.bias[0])


def test_scaled_probabilities_err_less() -> None:
    logits, labels = _drawn(5000)
    sure = logits * 3
    before = expected_error(softmax(sure, axis=1), labels)
    after = expected_error(fit(sure, labels)(sure), labels)
    assert before > 0.1
    assert after < 0.03


def test_expected_error_by_hand() -> None:
    # Two bins: .6 and .65 with one right of two, .9 and .9 and .9 with all right.
    probabilities = np.array([[0.6, 0.4], [0.65, 0.35], [0.1, 0.9], [0.1, 0.9], [0.9, 0.1]], np.float32)
    labels = np.array([0, 1, 1, 1, 0])
    assert expected_error(probabilities, labels, bins=4) == pytest.approx(
        2 / 5 * 0.125 + 3 / 5 * 0.1, abs=1e-6
    )


def test_errors_agree_with_loops() -> None:
    logits, labels = _drawn(700, 4, seed=3)
    probabilities = Scaling(0.5, (0.1, 0, 0, -0.1))(logits)
    edges = np.linspace(0, 1, 11)

    def slow(confidence: np.ndarray, right: np.ndarray) -> float:
        total = 0.0
        for low, high in pairwise(edges):
            inside = (confidence >= low) & (confidence < high) | (high == 1) & (confidence == 1)
            if inside.any():
                total += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
        return total

    top = slow(probabilities.max(1), probabilities.argmax(1) == labels)
    assert expected_error(probabilities, labels, bins=10) == pytest.approx(top, abs=1e-5)
    each = np.mean([slow(probabilities[:, k], labels == k) for k in range(4)])
    assert class_error(probabilities, labels, bins=10) == pytest.approx(each, abs=1e-5)


def test_balanced_accuracy_counts_classes_alike() -> None:
    labels = np.array([0] * 98 + [1, 1])
    assert balanced_accuracy(np.zeros(100, int), labels) == 0.5
    assert balanced_accuracy(labels, labels) == 1


@pytest.mark.parametrize(
    ("values", "labels", "says"),
    [
        (np.zeros((0, 2), np.float32), np.zeros(0, int), "must be"),
        (np.zeros((3, 2), np.float32), np.zeros(2, int), "must be"),
        (np.zeros((2, 2), np.float32), np.array([0, 2]), r"0\.\.1"),
        (np.zeros((2, 2), np.float32), np.array([0, -1]), r"0\.\.1"),
    ],
)
def test_what_cannot_be_measured_is_refused(values: np.ndarray, labels: np.ndarray, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        expected_error(values, labels)
