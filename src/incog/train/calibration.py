"""Calibration of classifiers: temperature and bias from held-out logits, and how far probabilities then are from truth.

Pure functions of logits or probabilities (N, K) and labels (N,) of 0..K-1, one row per picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from incog.types import Array, Floats


@dataclass(frozen=True, slots=True)
class Scaling:
    """Probabilities are softmax(logits / temperature + bias). bias: one per class, of sum 0."""

    temperature: float
    bias: tuple[float, ...]

    def __call__(self, logits: Floats) -> Floats:
        """Return the probabilities (N, K) float32."""
        return np.asarray(softmax(logits / self.temperature + np.array(self.bias), axis=1), np.float32)


def fit(logits: Floats, labels: Array, *, bias: bool = False, prior: float = 0.02) -> Scaling:
    """Return the scaling of the lowest mean cross-entropy.

    Temperature alone keeps the order of the classes (Guo et al. 2017). bias: shift the classes too, for a network that
    learnt from classes weighted otherwise than they occur (bias-corrected temperature scaling, Alexandari et al. 2020).
    prior: weight of the squared shifts, so that few pictures shift little. Raises ValueError without pictures.
    """
    values = _checked(logits, labels).astype(np.float64)
    count, classes = values.shape

    def loss(parameters: Array) -> float:
        shifted = values / np.exp(parameters[0]) + (parameters[1:] if bias else 0)
        likelihood = log_softmax(shifted, axis=1)[np.arange(count), labels].mean()
        return float(
            -likelihood + prior * np.square(parameters[1:]).sum() / classes + 1e-4 * parameters[0] ** 2
        )

    found = minimize(loss, np.zeros(1 + classes * bias), method="L-BFGS-B").x
    shifts = found[1:] - found[1:].mean() if bias else np.zeros(classes)
    return Scaling(float(np.exp(found[0])), tuple(float(shift) for shift in shifts))


def expected_error(probabilities: Floats, labels: Array, *, bins: int = 15) -> float:
    """Return the expected calibration error, 0..1 (Naeini et al. 2015).

    Over equal bins of the highest probability: the mean distance of confidence and accuracy, by the bins' shares.
    """
    values = _checked(probabilities, labels)
    confidence, right = values.max(1), values.argmax(1) == labels
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    sums = np.bincount(place, weights=confidence - right, minlength=bins)
    return float(np.abs(sums).sum() / len(values))


def class_error(probabilities: Floats, labels: Array, *, bins: int = 15) -> float:
    """Return the class-wise calibration error, 0..1 (Kull et al. 2019).

    As ``expected_error``, of the probability of each class against whether it is that class; the mean over classes.
    """
    values = _checked(probabilities, labels)
    errors = []
    for number, column in enumerate(values.T):
        place = np.minimum((column * bins).astype(np.int64), bins - 1)
        sums = np.bincount(place, weights=column - (labels == number), minlength=bins)
        errors.append(float(np.abs(sums).sum() / len(values)))
    return float(np.mean(errors))


def balanced_accuracy(chosen: Array, labels: Array) -> float:
    """Return the mean over the classes that occur of the share of each that was recognised. Both (N,)."""
    return float(np.mean([(chosen[labels == number] == number).mean() for number in np.unique(labels)]))


def _checked(values: Floats, labels: Array) -> Floats:
    if values.ndim != 2 or not len(values) or labels.shape != values.shape[:1]:
        raise ValueError(f"values must be (N, K) and labels (N,), got {values.shape} and {labels.shape}")
    if labels.min() < 0 or labels.max() >= values.shape[1]:
        raise ValueError(f"labels must be 0..{values.shape[1] - 1}, got {labels.min()}..{labels.max()}")
    return values
