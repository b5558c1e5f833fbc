"""From a face's box to the hull that must go, to an aligned crop, and back into the frame. Pure functions.

Coordinates: pixel centres lie at integers, x to the right, y down.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import atan2, cos, pi, sin

import cv2
import numpy as np

from incog.colour import Region
from incog.types import Face, Floats

MASK_SCALE = 1.25
"""Default size of the mask relative to the detector's box, which ends at mid-forehead, chin and cheeks."""

FEATHER = 0.06
"""Width of the feather outside the hull, as a share of the face."""

FEATHER_MOST = 120.0
"""Widest feather in pixels: a box in a plan may be far larger than any picture, and the feather costs its area."""

CROP_SIZES = (64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""Sides of crops in pixels; a face takes the smallest that loses no resolution."""

_SURE = 0.2
"""Pixels by which outlines are drawn too large, so that the drawing holds them."""

_CORNERS = 48
_EXPONENT = 2.5
"""Of the superellipse |x/a|^n + |y/b|^n = 1: 2 is an ellipse, larger is nearer to the box."""


def hull(face: Face, scale: float = MASK_SCALE) -> Floats:
    """Return the outline that the mask covers wholly: (48, 2) float32 px, convex.

    A superellipse around the box, brow to chin and ear to ear with a margin; ``scale`` is its size relative to the box
    and the box's uncertainty ``face.grow`` comes on top.
    """
    angles = np.linspace(0, 2 * pi, _CORNERS, endpoint=False)
    power = 2 / _EXPONENT
    unit = np.stack(
        [
            np.sign(np.cos(angles)) * np.abs(np.cos(angles)) ** power,
            np.sign(np.sin(angles)) * np.abs(np.sin(angles)) ** power,
        ],
        axis=1,
    )
    # A turned or half hidden face has a narrow box; the head behind it is not narrower than 0.7 of its height.
    half_width = max(face.width, 0.7 * face.height) / 2
    half_height = max(face.height, 0.7 * face.width) / 2
    reach = scale * (1 + face.grow)
    # One pixel more: to small faces the grid of pixels is coarse.
    outline = unit * [half_width * reach + 1, half_height * reach + 1] + face.centre
    return outline.astype(np.float32)


def roll(face: Face) -> float:
    """Return the in-plane rotation of the face in radians, from the eyes; 0 when there are no points or they
    disagree with each other."""
    if face.points is None:
        return 0.0
    eyes = face.points[1] - face.points[0]
    down = (face.points[3] + face.points[4] - face.points[0] - face.points[1]) / 2
    if np.hypot(*eyes) < 0.1 * face.size or np.hypot(*down) < 0.1 * face.size:
        return 0.0
    angle = atan2(float(eyes[1]), float(eyes[0]))
    upright = atan2(float(-down[0]), float(down[1]))
    difference = (angle - upright + pi) % (2 * pi) - pi
    return angle if abs(difference) < pi / 6 else 0.0


def crop_matrix(face: Face, outline: Floats) -> tuple[Floats, int]:
    """Return the (2, 3) float32 matrix crop -> frame and the crop's side S in pixels.

    The crop is a square, turned so that the eyes are level, that holds the outline and its feather.
    """
    angle = roll(face)
    turn = np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])
    middle = (outline.min(axis=0) + outline.max(axis=0)) / 2
    reach = np.abs((outline - middle) @ turn).max() + 2 * feather_width(face) + 1
    side = 2 * float(reach)
    size = next((size for size in CROP_SIZES if size >= side), CROP_SIZES[-1])
    scale = side / size
    linear = turn * scale
    shift = middle - linear @ np.array([(size - 1) / 2, (size - 1) / 2])
    return np.column_stack([linear, shift]).astype(np.float32), size


def feather_width(face: Face) -> float:
    """Return how far outside the hull the mask fades, in pixels."""
    return min(max(2.0, FEATHER * face.size), FEATHER_MOST)


def bounds(outline: Floats, margin: float) -> Region:
    """Return the region in whole pixels that holds the outline and a margin around it; it may reach over the frame."""
    low = np.floor(outline.min(axis=0) - margin).astype(int)
    high = np.ceil(outline.max(axis=0) + margin).astype(int) + 1
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def mask(outlines: Sequence[Floats], region: Region, feather: float) -> Floats:
    """Return the soft mask of outlines inside a region: (h, w) float32, exactly 1 on them, fading to 0 outside.

    Every pixel that an outline touches counts as on it. feather: px over which the mask falls to 0; 0 gives a
    hard mask.
    """
    x0, y0, x1, y1 = region
    pad = int(np.ceil(feather)) + 2
    canvas = np.zeros((y1 - y0 + 2 * pad, x1 - x0 + 2 * pad), np.uint8)
    for outline in outlines:
        # OpenCV's lines are exact to a tenth of a pixel or so: none of them may lie inside.
        apart = outline - (outline.min(axis=0) + outline.max(axis=0)) / 2
        away = apart / np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), 1e-6)
        corners = np.rint((outline + _SURE * away - [x0 - pad, y0 - pad]) * 16).astype(np.int32)
        cv2.fillPoly(canvas, [corners], 1, lineType=cv2.LINE_8, shift=4)
        cv2.polylines(canvas, [corners], True, 1, thickness=1, lineType=cv2.LINE_8, shift=4)
    inner = slice(pad, -pad)
    if feather <= 0:
        return canvas[inner, inner].astype(np.float32)
    distance = cv2.distanceTransform(1 - canvas, cv2.DIST_L2, cv2.DIST_MASK_5)[inner, inner]
    fade = 1 - np.minimum(distance, np.float32(feather)) / np.float32(feather)
    return np.asarray(fade * fade * (3 - 2 * fade), dtype=np.float32)


def to_crop(image: Floats, matrix: Floats, size: int) -> Floats:
    """Return the (size, size, C) crop of a float32 image; beyond its border the nearest pixel is repeated."""
    return np.asarray(
        cv2.warpAffine(
            image,
            matrix,
            (size, size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        dtype=np.float32,
    )


def from_crop(crop: Floats, matrix: Floats, shape: tuple[int, int]) -> Floats:
    """Return the crop laid back into an image of (height, width) ``shape``: the inverse of ``to_crop``."""
    height, width = shape
    return np.asarray(
        cv2.warpAffine(
            crop, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        ),
        dtype=np.float32,
    )


def apply(matrix: Floats, points: Floats) -> Floats:
    """Return (..., 2) points moved by a (2, 3) matrix, float32."""
    return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def inverse(matrix: Floats) -> Floats:
    """Return the (2, 3) matrix that undoes another."""
    return np.asarray(cv2.invertAffineTransform(matrix), dtype=np.float32)


def shifted(matrix: Floats, x: float, y: float) -> Floats:
    """Return crop -> frame seen from a region whose corner lies at (x, y)."""
    return matrix - np.array([[0, 0, x], [0, 0, y]], dtype=np.float32)
