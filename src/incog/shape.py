"""The part of a face's shape that is pose and expression, apart from the part that is the person.

Dense landmarks carry identity: the proportions of a face. From many pairs of pictures of one person one learns how a
shape varies while the person stays the same, S_w, and how people differ, S_b. The best linear estimate of what is not
the person in a shape s is then the Wiener filter S_w (S_w + S_b)^-1 (s - mean): what a method may keep.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np

from incog import models
from incog.errors import ModelError
from incog.points import COUNT
from incog.types import Floats

NAME = "shape"
"""The filter's record."""


@dataclass(frozen=True, slots=True, eq=False)
class PoseFilter:
    """mean: (130, 2) float32, the mean face in half sides from the middle of a crop of the template ``outline``.
    reads, writes: (260, R) and (R, 260) float32, whose product is the filter."""

    mean: Floats
    reads: Floats
    writes: Floats

    def __call__(self, dense: Floats) -> Floats:
        """Return shapes (..., 130, 2) of nobody in particular with the pose and expression of ``dense``, (..., 130, 2).

        Both float32 in half sides from the middle of a crop of the template ``outline``.
        """
        return self.shape_of(self.pose(dense))

    def pose(self, dense: Floats) -> Floats:
        """Return the coordinates (..., R) float32 of pose and expression of shapes (..., 130, 2)."""
        apart = (dense - self.mean).reshape(*dense.shape[:-2], COUNT * 2)
        return np.asarray(apart @ self.reads, np.float32)

    def shape_of(self, pose: Floats) -> Floats:
        """Return the shapes (..., 130, 2) of nobody in particular with a pose and expression, (..., R)."""
        kept = pose @ self.writes
        return np.asarray(self.mean + kept.reshape(*pose.shape[:-1], COUNT, 2), np.float32)

    def dump(self) -> bytes:
        """Return the filter as NPZ."""
        file = io.BytesIO()
        np.savez(file, mean=self.mean, reads=self.reads, writes=self.writes)
        return file.getvalue()

    @classmethod
    def load(cls, data: bytes) -> Self:
        """Return the filter of an NPZ. Raises ModelError when it is none, or its parts do not fit together."""
        mean, reads, writes = models.tables(data, "the shape filter", "mean", "reads", "writes")
        rank = reads.shape[-1] if reads.ndim else 0
        must = [(COUNT, 2), (2 * COUNT, rank), (rank, 2 * COUNT)]
        if (got := [mean.shape, reads.shape, writes.shape]) != must:
            raise ModelError(f"the parts of the shape filter must be of shapes {must}, got {got}")
        return cls(mean, reads, writes)


@lru_cache(maxsize=1)
def load() -> PoseFilter:
    """Return the filter that the package brings. Raises ModelError when it is missing or another file."""
    return PoseFilter.load(models.own(NAME))


def halves(points: Floats, size: int) -> Floats:
    """Return points in px of a crop of side ``size`` in half sides from its middle, float32."""
    return np.asarray((points + 0.5) * (2 / size) - 1, np.float32)


def pixels(points: Floats, size: int) -> Floats:
    """Return points in half sides from the middle in px of a crop of side ``size``, float32."""
    return np.asarray((points + 1) * (size / 2) - 0.5, np.float32)
