"""How a face is turned, scaled and cut so that its points lie where a network expects them."""

from __future__ import annotations

from math import ceil

import cv2
import numpy as np

from incog.types import Bytes, Floats

MOST = 8
"""Largest factor by which a crop is taken too large before it is averaged down."""


def similarity(points: Floats, template: Floats) -> Floats:
    """Return the (2, 3) float32 matrix that carries points (N, 2) nearest to a template (N, 2) by turn, zoom and shift.

    The least-squares solution without reflection (Umeyama 1991, in the plane). Raises ValueError when all points are
    one.
    """
    middle, goal = points.mean(axis=0), template.mean(axis=0)
    one, other = points - middle, template - goal
    spread = float((one**2).sum())
    if not spread > 1e-9:
        raise ValueError("the points of a face must not all be the same")
    along = float((one * other).sum()) / spread
    across = float((one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]).sum()) / spread
    linear = np.array([[along, -across], [across, along]])
    return np.column_stack([linear, goal - linear @ middle]).astype(np.float32)


def crop(
    picture: Bytes,
    points: Floats,
    template: Floats,
    size: int,
    *,
    least: float = 0.75,
    beyond: int = cv2.BORDER_CONSTANT,
) -> Bytes:
    """Return the (size, size, 3) uint8 crop in which the points lie nearest to a template.

    picture: (H, W, 3) uint8. points, template: (N, 2) float32 px of the picture and of the crop, pixel centres at
    integers. least: zoom below which several pixels of the picture are averaged for one of the crop. beyond: OpenCV's
    border mode, black by default. Raises ValueError when all points are one.
    """
    matrix = similarity(points, template)
    zoom = max(float(np.hypot(matrix[0, 0], matrix[1, 0])), 1e-6)
    # Shrinking in one step would skip pixels: take the crop as large as the face is and average it down.
    factor = min(max(ceil(least / zoom), 1), MOST)
    if factor > 1:
        half = (factor - 1) / 2
        matrix = matrix * np.float32(factor) + np.array([[0, 0, half], [0, 0, half]], np.float32)
    taken = cv2.warpAffine(
        picture, matrix, (size * factor, size * factor), flags=cv2.INTER_LINEAR, borderMode=beyond
    )
    if factor > 1:
        taken = cv2.resize(taken, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(taken, np.uint8)
