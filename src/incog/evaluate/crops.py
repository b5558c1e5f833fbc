"""What recognisers share: the face cut out of a picture, the checks, and unit length."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import numpy as np

from incog.alignment import crop
from incog.errors import ModelError
from incog.perceive.embedder import SIZE, TEMPLATE, unit
from incog.types import Bytes, Floats

Kind = Literal["black box", "white box", "classical"]

_BATCH = 32


def template_at(size: int) -> Floats:
    """Return where the five points lie in ArcFace's crop when that is ``size`` px wide and high, (5, 2) float32."""
    return np.asarray((TEMPLATE + 0.5) * size / SIZE - 0.5, np.float32)


def check(pictures: Sequence[Bytes], points: Sequence[Floats]) -> None:
    """Raise ValueError unless there are five finite points (5, 2) for every picture (H, W, 3) uint8."""
    if len(pictures) != len(points):
        raise ValueError(f"points must be given for {len(pictures)} pictures, got {len(points)}")
    for picture, places in zip(pictures, points, strict=True):
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or not picture.size:
            raise ValueError(f"pictures must be (H, W, 3) uint8, got {picture.shape} {picture.dtype.name}")
        if places.shape != (5, 2) or not np.isfinite(places).all():
            raise ValueError(f"points must be five finite (x, y), got {places.tolist()}")


class Aligned(ABC):
    """Base of the recognisers: it checks, cuts and normalises, and a recogniser writes ``embed``.

    size: side of the crops in pixels. template: (5, 2) float32, where the five points lie in them. settings: see
    ``recognisers.Recogniser``.
    """

    name: str
    kind: Kind
    note: str
    sha256: str = ""
    settings: str = ""
    size: int = SIZE
    template: Floats = TEMPLATE

    def __call__(self, pictures: Sequence[Bytes], points: Sequence[Floats]) -> Floats:
        """Return (N, D) float32 of unit norm, see ``recognisers.Recogniser``.

        Raises ValueError for pictures or points of another shape or type, and for points that are all the same;
        ModelError when the recogniser gives numbers that are not finite.
        """
        check(pictures, points)
        # Without pictures one black crop is run, for the number of columns.
        parts = [] if len(pictures) else [self.embed(np.zeros((1, self.size, self.size, 3), np.uint8))[:0]]
        for start in range(0, len(pictures), _BATCH):
            some = slice(start, start + _BATCH)
            faces = zip(pictures[some], points[some], strict=True)
            parts.append(self.embed(np.stack([self.cut(picture, places) for picture, places in faces])))
        vectors = np.concatenate(parts).astype(np.float32)
        if not np.isfinite(vectors).all():
            raise ModelError(f"the recogniser {self.name} gives numbers that are not finite")
        return unit(vectors)

    def cut(self, picture: Bytes, points: Floats) -> Bytes:
        """Return the crop of one face, (size, size, 3) uint8."""
        return crop(picture, points, self.template, self.size)

    @abstractmethod
    def embed(self, crops: Bytes) -> Floats:
        """Return (B, D) float32 of any length for crops (B, size, size, 3) uint8 R'G'B'."""
