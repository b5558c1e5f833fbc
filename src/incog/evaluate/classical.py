"""Recognisers without a trained network, from before there were any: texture and subspace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from skimage import feature

from incog.errors import must_be
from incog.evaluate.crops import Aligned, Kind, check, template_at
from incog.types import Bytes, Floats

_LABELS = 59
"""Uniform patterns of eight neighbours: 58 with at most two changes around the circle, and one for all others."""


def grey(crops: Bytes) -> Bytes:
    """Return the lumas (B, S, S) uint8 of crops (B, S, S, 3) uint8 R'G'B'."""
    return np.stack([np.asarray(cv2.cvtColor(one, cv2.COLOR_RGB2GRAY), np.uint8) for one in crops])


class LocalBinaryPatterns(Aligned):
    """How often each local pattern of light and dark occurs in each part of the face (Ahonen et al. 2006).

    LBP(8, radius) of the aligned grey crop with uniform patterns, one histogram of 59 shares for each of cells x cells
    parts. Their square roots are compared, so the cosine is the Bhattacharyya coefficient of two faces, the mean over
    the parts; the authors compare by chi square. D = 59 cells^2.
    """

    kind: Kind = "classical"

    def __init__(self, *, radius: int = 2, cells: int = 7, name: str = "lbp") -> None:
        """radius: of the circle of neighbours in pixels, 1 or 2. cells: along each side, 1 to 16.

        Raises UsageError for others.
        """
        if radius not in (1, 2):
            raise must_be("radius", "1 or 2", radius)
        if not 1 <= cells <= 16:
            raise must_be("cells", "in 1..16", cells)
        self.name, self._radius, self._cells = name, radius, cells
        self.note = f"local binary patterns of radius {radius} px in {cells} x {cells} cells, not trained"

    def embed(self, crops: Bytes) -> Floats:
        part = np.arange(self.size) * self._cells // self.size
        first = (part[:, None] * self._cells + part[None]) * _LABELS
        length = self._cells**2 * _LABELS
        patterns: Any = feature.local_binary_pattern
        rows = []
        for luma in grey(crops):
            labels = patterns(luma, 8, self._radius, method="nri_uniform").astype(np.int64)
            counts = np.bincount((first + labels).ravel(), minlength=length).reshape(-1, _LABELS)
            rows.append(np.sqrt(counts / counts.sum(axis=1, keepdims=True)).ravel())
        return np.array(rows, np.float32)


class Eigenfaces(Aligned):
    """Coordinates in the space that the faces of other people span (Turk & Pentland 1991).

    The principal components of aligned grey crops of 56 px, each at unit variance, so that the cosine is that of
    whitened coordinates. The first three follow the light more than the person and may be dropped (Belhumeur et al.
    1997). D = components.
    """

    kind: Kind = "classical"
    size = 56
    template = template_at(56)

    def __init__(
        self,
        pictures: Sequence[Bytes],
        points: Sequence[Floats],
        *,
        components: int = 100,
        dropped: int = 0,
        name: str = "eigenfaces",
    ) -> None:
        """pictures, points: as for a call, of people who are not judged later. components: that are kept, at least one.

        dropped: how many are left out before these, 0 for none. Raises UsageError for other numbers or too few
        pictures, and ValueError as a call does.
        """
        if components < 1:
            raise must_be("components", "at least 1", components)
        if dropped < 0:
            raise must_be("dropped", "at least 0", dropped)
        check(pictures, points)
        needed = components + dropped
        if len(pictures) <= needed:
            raise must_be("pictures for eigenfaces", f"more than {needed}", len(pictures))
        crops = np.stack(
            [self.cut(picture, places) for picture, places in zip(pictures, points, strict=True)]
        )
        values = self._rows(crops)
        self._mean = values.mean(axis=0)
        _, spreads, axes = np.linalg.svd(values - self._mean, full_matrices=False)
        differing = int((spreads > 1e-4 * max(float(spreads[0]), 1.0)).sum())
        if differing < needed:
            raise must_be("pictures for eigenfaces", f"more than {needed} that differ", differing + 1)
        kept = slice(dropped, needed)
        self._axes = (axes[kept] / spreads[kept, None]).T * np.float32(np.sqrt(len(values) - 1))
        self.name = name
        self.note = (
            f"{components} principal components of {len(pictures)} faces, after the first {dropped}"
            if dropped
            else f"the first {components} principal components of {len(pictures)} faces"
        )

    def embed(self, crops: Bytes) -> Floats:
        return np.asarray((self._rows(crops) - self._mean) @ self._axes, np.float32)

    def _rows(self, crops: Bytes) -> Floats:
        return grey(crops).reshape(len(crops), -1).astype(np.float32) / np.float32(255)
