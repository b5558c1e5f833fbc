"""Boxes as arrays, (4,) or (N, 4) float32 x0, y0, x1, y1 in pixels: where they lie and which belong together."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from incog.types import Face, Floats, Frame


def centre_of(box: Floats) -> Floats:
    """Return the centre (2,) of a box (4,)."""
    return np.asarray((box[:2] + box[2:]) / 2, dtype=np.float32)


def size_of(box: Floats) -> float:
    """Return the longer side of a box (4,), at least 1."""
    return float(max(box[2] - box[0], box[3] - box[1], 1.0))


def moved(box: Floats, centre: Floats) -> Floats:
    """Return the box (4,) with its centre elsewhere."""
    return np.asarray(box + np.tile(centre - centre_of(box), 2), dtype=np.float32)


def inside(box: Floats, frame: Frame) -> bool:
    """Whether a quarter of the box, at least, lies in the picture."""
    width = min(box[2], frame.width) - max(box[0], 0)
    height = min(box[3], frame.height) - max(box[1], 0)
    return bool(width > 0 and height > 0 and width * height > 0.25 * (box[2] - box[0]) * (box[3] - box[1]))


def face_at(box: Floats) -> Face:
    """Return a place to look at as a face without a score."""
    x0, y0, x1, y1 = (float(value) for value in box)
    return Face(box=(x0, y0, x1, y1), score=0.0)


def overlap(one: Floats, other: Floats) -> Floats:
    """Return intersection over union of boxes (N, 4) and (M, 4) as (N, M) float32."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=2)
    area_one = np.prod(one[:, 2:] - one[:, :2], axis=1)
    area_other = np.prod(other[:, 2:] - other[:, :2], axis=1)
    union = area_one[:, None] + area_other[None] - common
    return np.asarray(common / np.maximum(union, 1e-6), dtype=np.float32)


def assign(expected: Floats, found: Floats) -> list[tuple[int, int]]:
    """Return pairs (row of expected, row of found) of boxes (N, 4) and (M, 4) that are likely the same face.

    Hungarian assignment on overlap and distance; pairs further apart than one face size, or more than twice as large,
    do not match.
    """
    if not len(expected) or not len(found):
        return []
    size_expected = np.maximum(np.max(expected[:, 2:] - expected[:, :2], axis=1), 1)
    size_found = np.maximum(np.max(found[:, 2:] - found[:, :2], axis=1), 1)
    distance = np.linalg.norm(
        (expected[:, None, :2] + expected[:, None, 2:] - found[None, :, :2] - found[None, :, 2:]) / 2, axis=2
    )
    mean = (size_expected[:, None] + size_found[None]) / 2
    ratio = np.abs(np.log2(size_expected[:, None] / size_found[None]))
    cost = distance / mean + 0.5 * ratio + (1 - overlap(expected, found))
    cost[(distance > mean) | (ratio > 1)] = 1e3
    rows, columns = linear_sum_assignment(cost)
    return [
        (int(row), int(column)) for row, column in zip(rows, columns, strict=True) if cost[row, column] < 1e3
    ]
