"""Rotation-based iterative Gaussianisation (Laparra, Camps-Valls and Malo 2011): whatever is drawn from it looks like
what it was fitted to, and what it was fitted to looks drawn. Exactly invertible.

Each layer turns the axes to where the values are least normal (independent components, Hyvärinen 1999), makes every
coordinate normal by its quantiles, and the length of the whole by its own (Lyu and Simoncelli 2009). What is rare in
faces, such as a beard or a shadow, then stays rare in drawn ones, and is not spread over all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from incog.types import Floats

Doubles = npt.NDArray[np.float64]

KNOTS = 25
"""Quantiles that a distribution is known by; between them it is linear, and beyond them goes on straight."""

_OUTER = 2.4
"""The outermost, in standard deviations: one value in 120 lies beyond on either side."""

LAYERS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Gaussian:
    """turns: (L, D, D) float32, orthogonal. marginals: (L, KNOTS, D), quantiles of the turned coordinates, rising.
    radii: (L, KNOTS), of the lengths."""

    turns: Floats
    marginals: Floats
    radii: Floats

    def forward(self, values: Doubles) -> Doubles:
        """Return values (N, D) as about standard normal numbers, (N, D)."""
        for turn, marginals, radii in zip(self.turns, self.marginals, self.radii, strict=True):
            values = _stretched(_each(values @ turn, marginals, _normal()), radii, _lengths(values.shape[1]))
        return values

    def backward(self, numbers: Doubles) -> Doubles:
        """Return the values (N, D) of standard normal numbers (N, D): the inverse of ``forward``."""
        size = numbers.shape[1]
        normal = np.repeat(_normal()[:, None], size, 1)
        for turn, marginals, radii in zip(
            self.turns[::-1], self.marginals[::-1], self.radii[::-1], strict=True
        ):
            turned = _each(_stretched(numbers, _lengths(size), radii), normal, marginals)
            numbers = np.linalg.solve(turn.T.astype(np.float64), turned.T).T
        return numbers


def fit(values: Doubles, *, layers: int = LAYERS, seed: int = 0) -> Gaussian:
    """Return the Gaussianisation of values (N, D) of about unit variance. seed: of the search for components."""
    generator = np.random.default_rng(seed)
    size = values.shape[1]
    found: list[tuple[Doubles, Doubles, Doubles]] = []
    for _ in range(layers):
        turn = _components(values, generator)
        values = values @ turn
        marginals = _rising(np.quantile(values, _shares(), axis=0))
        values = _each(values, marginals, _normal())
        radii = _rising(np.quantile(np.linalg.norm(values, axis=1), _shares()))
        values = _stretched(values, radii, _lengths(size))
        found.append((turn, marginals, radii))
    return Gaussian(*(np.stack(parts).astype(np.float32) for parts in zip(*found, strict=True)))


def _components(values: Doubles, generator: np.random.Generator, rounds: int = 60) -> Doubles:
    """Return the turn (D, D) to the independent components of values (N, D) that are about white: FastICA, symmetric,
    by the logarithm of the hyperbolic cosine."""
    turn, _ = np.linalg.qr(generator.normal(size=(values.shape[1], values.shape[1])))
    for _ in range(rounds):
        bent = np.tanh(values @ turn)
        pulled = values.T @ bent / len(values) - turn * (1 - np.square(bent)).mean(0)
        left, _, right = np.linalg.svd(pulled)
        turn = left @ right
    return np.asarray(turn, np.float64)


def _normal() -> Doubles:
    """Return the normal quantiles that are known, (KNOTS,)."""
    return np.linspace(-_OUTER, _OUTER, KNOTS)


def _shares() -> Doubles:
    """Return the share of values below each of them."""
    return np.asarray(special.ndtr(_normal()), np.float64)


def _lengths(size: int) -> Doubles:
    """Return the quantiles of the length of ``size`` standard normal numbers, (KNOTS,)."""
    return np.asarray(np.sqrt(2 * special.gammaincinv(size / 2, _shares())), np.float64)


def _rising(quantiles: Doubles) -> Doubles:
    """Return quantiles (KNOTS, ...) that rise strictly, also in single precision."""
    steps = 1e-4 * np.arange(KNOTS).reshape(-1, *[1] * (quantiles.ndim - 1))
    return np.asarray(quantiles + steps, np.float64)


def _each(values: Doubles, old: Floats | Doubles, new: Floats | Doubles) -> Doubles:
    """Return values (N, D) with each coordinate carried from quantiles ``old`` to ``new``, (KNOTS, D) or (KNOTS,)."""
    columns = [
        _carried(values[:, n], old[:, n], new[:, n] if new.ndim > 1 else new) for n in range(values.shape[1])
    ]
    return np.stack(columns, axis=1)


def _carried(values: Doubles, old: Floats | Doubles, new: Floats | Doubles) -> Doubles:
    """Return values (N,) carried from quantiles to quantiles, by lines between them and beyond the last ones."""
    first = np.clip(np.searchsorted(old, values) - 1, 0, len(old) - 2)
    low, high = old[first].astype(np.float64), old[first + 1].astype(np.float64)
    start, stop = new[first].astype(np.float64), new[first + 1].astype(np.float64)
    return np.asarray(start + (values - low) / (high - low) * (stop - start), np.float64)


def _stretched(values: Doubles, old: Floats | Doubles, new: Floats | Doubles) -> Doubles:
    """Return values (N, D) with their lengths carried from quantiles to quantiles (KNOTS,), in proportion beyond the
    first and the last one."""
    lengths = np.maximum(np.linalg.norm(values, axis=1), 1e-12)
    goal = _carried(lengths, old, new)
    goal = np.where(lengths < old[0], lengths * (new[0] / old[0]), goal)
    goal = np.where(lengths > old[-1], lengths * (new[-1] / old[-1]), goal)
    return np.asarray(values * (goal / lengths)[:, None], np.float64)
