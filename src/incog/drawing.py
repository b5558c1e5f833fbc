"""What a generator is shown of a face: pose and expression as lines, and the hole that it must fill. Pure functions."""

from __future__ import annotations

import cv2
import numpy as np

from incog import points
from incog.types import Bytes, Floats

ANGLES = 64
"""Directions in which the reach of a hole is told."""

_CHANNELS = (
    ("outline", "right_brow", "left_brow"),
    ("right_eye", "left_eye", "right_iris", "left_iris"),
    ("nose", "outer_lips", "inner_lips"),
)
_OPEN = ("nose",)


def drawing(shape: Floats, size: int) -> Bytes:
    """Return the lines of dense points as a picture, (size, size, 3) uint8.

    shape: (130, 2) float32 in half sides from the middle. Outline and brows, eyes and irises, nose and lips are one
    channel each; the disc of an iris is filled.
    """
    canvas = np.zeros((3, size, size), np.uint8)
    # Sixteenths of a pixel, kept in the range that OpenCV's fixed point can hold.
    places = np.rint(((np.clip(shape, -3, 3) + 1) * (size / 2) - 0.5) * 16).astype(np.int32)
    thick = max(1, round(size / 96))
    for plane, names in zip(canvas, _CHANNELS, strict=True):
        for name in names:
            corners = places[points.GROUPS[name]]
            if name.endswith("iris"):
                radius = float(np.linalg.norm(corners[1:] - corners[0], axis=1).mean())
                centre = (int(corners[0, 0]), int(corners[0, 1]))
                cv2.circle(plane, centre, max(round(radius), 8), 255, -1, cv2.LINE_AA, 4)
                continue
            cv2.polylines(plane, [corners], name not in _OPEN, 255, thick, cv2.LINE_AA, 4)
    return np.ascontiguousarray(canvas.transpose(1, 2, 0))


def reach(outline: Floats) -> tuple[Floats, Floats]:
    """Return the middle (2,) of a convex outline (K, 2) and how far it reaches from there in ``ANGLES`` directions,
    from the x axis over the y axis: (64,) float32, in the units of the outline."""
    middle = (outline.min(0) + outline.max(0)) / 2
    apart = outline - middle
    following = np.roll(apart, -1, axis=0)
    angles = np.linspace(0, 2 * np.pi, ANGLES, endpoint=False)
    rays = np.stack([np.cos(angles), np.sin(angles)], 1)
    edges = following - apart
    # Where the ray t * r meets the line a + s * e: a convex outline is its innermost lines.
    normals = np.stack([edges[:, 1], -edges[:, 0]], 1)
    heights = (normals * apart).sum(1)
    flip = np.sign(heights) + (heights == 0)
    normals, heights = normals * flip[:, None], heights * flip
    towards = rays @ normals.T
    with np.errstate(divide="ignore"):
        distances = np.where(towards > 1e-9, heights[None] / np.maximum(towards, 1e-9), np.inf)
    distances[:, heights < 1e-12] = np.inf
    found = distances.min(1)
    return middle.astype(np.float32), np.where(np.isfinite(found), found, 0).astype(np.float32)
