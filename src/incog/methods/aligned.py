"""What methods share that work on aligned faces: a crop is carried to a template by its five points, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from math import ceil
from typing import ClassVar, Literal

import cv2
import numpy as np

from incog import geometry
from incog.alignment import similarity
from incog.data.faces import ARCFACE
from incog.methods.base import Claim, Rendered
from incog.methods.parameters import check
from incog.types import Crops, Floats, Key

ZOOM = 0.95
"""Size of a face in the template relative to the crops of recognisers: hairline to chin, ear to ear, little more."""

SOFT_CONDITION = "the face is drawn with 64 x 64 pixels: larger ones come out soft"

_WORST_FIT = 0.35
"""Largest root mean square distance of the points from the template's, as a share of their spread: 0.3 is a profile."""

_LEAST_ZOOM = 0.75
"""Zoom below which several pixels of the crop are averaged for one of the template."""


class Aligned(ABC):
    """Base of methods whose result for a crop is a changed aligned face, laid back where the mask is.

    A subclass is a frozen dataclass with its parameters as fields; it writes ``change`` and ``claims``. Crops without
    five usable points are unfit. side: of the template in pixels.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    granularity: ClassVar[Literal["image", "track", "set"]] = "image"
    reversible: ClassVar[bool] = False
    keyed: ClassVar[bool] = False
    side: ClassVar[int] = 64

    def __post_init__(self) -> None:
        check(self)

    @abstractmethod
    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        """What holds when the method was applied to ``frames`` frames of one track."""

    @abstractmethod
    def change(self, face: Floats, key: Key, frame: int) -> Floats:
        """Return the new face, (side, side, 3); values outside of 0..1 are clipped. face: the same, 0..1."""

    def __call__(self, crops: Crops, keys: Sequence[Key]) -> Rendered:
        """Return new pixels for the crops, as ``Method`` says. ValueError unless keys and crops pair."""
        if len(keys) != len(crops):
            raise ValueError(f"there must be one key per crop, got {len(keys)} keys for {len(crops)} crops")
        pixels, unfit = crops.pixels.copy(), np.zeros(len(crops), np.bool_)
        for row, key in enumerate(keys):
            matrix = placed(crops.points[row], self.side)
            if matrix is None:
                unfit[row] = True
                continue
            face = taken(crops.pixels[row], matrix, self.side)
            new = np.clip(self.change(face, key, int(crops.frames[row])), 0, 1).astype(np.float32)
            lay(pixels[row], crops.masks[row], new, matrix)
        return Rendered(pixels, unfit)


@lru_cache(maxsize=4)
def goal(side: int) -> Floats:
    """Return where the five points lie in the template, (5, 2) float32 px: the middle of the face is the middle."""
    points = (ARCFACE - np.array([56, 70], np.float32)) * np.float32(ZOOM * side / 128)
    return np.asarray(points + np.float32((side - 1) / 2), np.float32)


def placed(points: Floats, side: int) -> Floats | None:
    """Return the (2, 3) float32 matrix crop -> template of five points (5, 2), or None as ``carried`` does."""
    return carried(points, goal(side))


def carried(points: Floats, template: Floats) -> Floats | None:
    """Return the (2, 3) float32 matrix that carries five points (5, 2) to a template's, or None where they are no
    face's: one is unknown, all are one, or they lie too far from a frontal face's."""
    if not np.isfinite(points).all():
        return None
    spread = float(np.sqrt(np.square(points - points.mean(0)).sum(1).mean()))
    if not spread > 1e-3:
        return None
    back = similarity(template, points)
    misfit = points - geometry.apply(back, template)
    if float(np.sqrt(np.square(misfit).sum(1).mean())) > _WORST_FIT * spread:
        return None
    return similarity(points, template)


def taken(pixels: Floats, matrix: Floats, side: int) -> Floats:
    """Return the aligned face, (side, side, 3) float32, of a crop (S, S, 3); beyond it its border is repeated."""
    zoom = max(float(np.hypot(matrix[0, 0], matrix[1, 0])), 1e-6)
    # Shrinking in one step would skip pixels: take the face as large as it is and average it down.
    factor = min(max(ceil(_LEAST_ZOOM / zoom), 1), 16)
    half = (factor - 1) / 2
    larger = (matrix * np.float32(factor) + np.array([[0, 0, half], [0, 0, half]])).astype(np.float32)
    large = cv2.warpAffine(
        pixels,
        larger,
        (side * factor, side * factor),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    face = large if factor == 1 else cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(face, np.float32)


def lay(pixels: Floats, mask: Floats, face: Floats, matrix: Floats) -> None:
    """Write an aligned face into a crop (S, S, 3) where its mask (S, S) is above 0, in place; beyond the template the
    face's border is repeated."""
    np.copyto(pixels, np.clip(laid(face, matrix, len(pixels)), 0, 1), where=(mask > 0)[..., None])


def laid(face: Floats, matrix: Floats, size: int) -> Floats:
    """Return a face of the template laid over a crop, (size, size, 3); beyond the template its border is repeated.
    matrix: (2, 3), crop -> template."""
    return np.asarray(
        cv2.warpAffine(
            face,
            matrix,
            (size, size),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.float32,
    )


def relit(
    new: Floats, old: Floats, share: float = 1.0, *, weight: Floats | None = None, most: float = np.inf
) -> Floats:
    """Return a face with the mean and the contrast of another in each channel, by a share of 0..1: both (S, S, 3).

    weight: (S, S), how much each pixel counts; None for all the same. most: factor that contrast may grow by.
    """
    if not share:
        return new
    weights = np.ones(new.shape[:2], np.float32) if weight is None else weight
    weights = (weights / weights.sum())[..., None]

    def light(face: Floats) -> tuple[Floats, Floats]:
        mean = (weights * face).sum((0, 1))
        return mean, np.sqrt(np.maximum((weights * np.square(face - mean)).sum((0, 1)), 1e-8))

    (new_mean, new_spread), (old_mean, old_spread) = light(new), light(old)
    matched = (new - new_mean) * np.minimum(old_spread / new_spread, np.float32(most)) + old_mean
    return np.asarray(new + np.float32(share) * (matched - new), np.float32)


@lru_cache(maxsize=4)
def inner(side: int) -> Floats:
    """Return how much each pixel of the template is of a face, (side, side) float32: an oval, without hair and
    background."""
    place = (np.arange(side) - (side - 1) / 2) / (side / 2)
    radius = np.hypot(place[None, :] / 0.55, place[:, None] / 0.72)
    weight: Floats = np.clip((1.1 - radius) / 0.2, 0, 1).astype(np.float32)
    weight.setflags(write=False)
    return weight
