"""Identity codes: what a generator is told of who a face shall be, and the prior that fresh ones are drawn from.

A code is an embedding on whitened principal axes, so codes of people are about standard normal and any standard normal
numbers are somebody. Given how a face shall look (age, gender, ethnicity) the prior is a normal one about a mean that
is linear in that look: a drawn face then fits hair, neck and clothes that stay.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from incog import models
from incog.errors import InputError, ModelError
from incog.types import Floats

SIZE = 96
"""Numbers of a code."""

LOOK = 7
"""Columns of the attributes that a code depends on: age in centuries, female, five ethnicities."""


@dataclass(frozen=True, slots=True, eq=False)
class Prior:
    """mean: (D,) float32 of the embeddings. axes: (D, 96), orthonormal. spread: (96,), standard deviations on them.
    slopes: (F, 96), what ``features`` of a look make of the mean code. rest: (96, 96), a square root of the covariance
    that the look leaves."""

    mean: Floats
    axes: Floats
    spread: Floats
    slopes: Floats
    rest: Floats

    def dump(self) -> bytes:
        """Return the prior as NPZ, in half precision."""
        file = io.BytesIO()
        np.savez_compressed(
            file, **{item.name: getattr(self, item.name).astype(np.float16) for item in fields(self)}
        )
        return file.getvalue()

    @classmethod
    def load(cls, data: bytes) -> Self:
        """Return the prior of an NPZ. Raises ModelError when it is none, or its parts do not fit together."""
        parts = models.tables(data, "the prior of identity codes", *(item.name for item in fields(cls)))
        size = parts[0].shape[0] if parts[0].ndim else 0
        must = [(size,), (size, SIZE), (SIZE,), (LOOK + 2, SIZE), (SIZE, SIZE)]
        if (got := [part.shape for part in parts]) != must:
            raise ModelError(f"the parts of the prior of identity codes must be of shapes {must}, got {got}")
        return cls(*parts)

    def code(self, embeddings: Floats) -> Floats:
        """Return the codes (B, 96) of embeddings (B, D) of unit norm."""
        return np.asarray((embeddings - self.mean) @ self.axes / self.spread, np.float32)

    def embedding(self, codes: Floats) -> Floats:
        """Return the embeddings (B, D) of unit norm that codes (B, 96) stand for."""
        rows = self.mean + (codes * self.spread) @ self.axes.T
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)

    def draw(self, normals: Floats, looks: Floats) -> Floats:
        """Return codes (B, 96) for looks (B, 7 or more) from standard normal numbers (B, 96): another number, another
        person, and each code has one row of numbers."""
        return np.asarray(features(looks) @ self.slopes + normals @ self.rest.T, np.float32)

    def numbers(self, codes: Floats, looks: Floats) -> Floats:
        """Return the standard normal numbers (B, 96) that ``draw`` makes the codes of: its inverse."""
        return np.asarray(np.linalg.solve(self.rest, (codes - features(looks) @ self.slopes).T).T, np.float32)


def features(looks: Floats) -> Floats:
    """Return what the mean code is linear in, (B, 9): one, the look, and age squared."""
    look = looks[:, :LOOK]
    return np.concatenate([np.ones_like(look[:, :1]), look, look[:, :1] ** 2], 1)


def fit(embeddings: Floats, looks: Floats) -> Prior:
    """Return the prior of embeddings (N, D) of unit norm and looks (N, 7 or more). Raises InputError for too few."""
    if len(embeddings) < 10 * SIZE:
        raise InputError(f"a prior must be fitted to at least {10 * SIZE} faces, got {len(embeddings)}")
    mean = embeddings.mean(0)
    _, values, rows = np.linalg.svd((embeddings - mean).astype(np.float64), full_matrices=False)
    axes, spread = rows[:SIZE].T, values[:SIZE] / np.sqrt(len(embeddings))
    codes = (embeddings - mean) @ axes / spread
    given = features(looks)
    slopes = np.linalg.solve(given.T @ given + 1e-3 * np.eye(given.shape[1]), given.T @ codes)
    left = codes - given @ slopes
    rest = np.linalg.cholesky(left.T @ left / len(left) + 1e-6 * np.eye(SIZE))
    return Prior(*(np.asarray(item, np.float32) for item in (mean, axes, spread, slopes, rest)))
