"""What lies round a new face, out to the mask's border: made from what lies beyond the mask alone."""

from __future__ import annotations

import cv2
import numpy as np

from incog.appearance import texture
from incog.types import Floats

_FAINT = 0.25
"""Mask from which on a pixel is taken to show the face: its feather still does, most of it at the hull."""

_SHARE = 0.3
"""How far beyond the border the picture is taken, relative to how far inside a pixel lies."""


def filled(pixels: Floats, mask: Floats, face: float) -> Floats:
    """Return the crop (S, S, 3) with the masked part filled from around: hair, neck and walls go on inwards, mirrored
    at the mask's border, and lose their detail with the distance from it.

    pixels: (S, S, 3) float32; where the mask (S, S) is above ``_FAINT`` they do not count. face: its longer side, px.
    """
    hull = (mask > _FAINT).astype(np.uint8)
    if not hull.any() or hull.all():
        return np.broadcast_to(pixels.mean((0, 1)), pixels.shape).astype(np.float32)
    distance, labels = cv2.distanceTransformWithLabels(
        hull, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    size = len(mask)
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    outside = hull == 0
    place = np.zeros((int(labels.max()) + 1, 2), np.float32)
    place[labels[outside]] = np.stack([columns[outside], rows[outside]], 1)
    nearest = place[labels]
    away = nearest - np.stack([columns, rows], 2)
    length = np.linalg.norm(away, axis=2, keepdims=True)
    # Two pixels further out, so that no interpolation reaches in.
    mirrored = nearest + away * (_SHARE + 2 / np.maximum(length, 1))
    mirrored = np.clip(mirrored, 0, size - 1)
    inside = hull > 0
    mirrored[outside] = np.stack([columns[outside], rows[outside]], 1)
    laid = texture.sampled(pixels, mirrored)
    soft = laid
    # Blurs of growing width, each laid in deeper than the one before.
    for sigma, depth in ((0.01, 0.03), (0.02, 0.07), (0.035, 0.14)):
        blurred = cv2.GaussianBlur(laid, (0, 0), max(sigma * face, 0.6))
        weight = np.clip(distance / (depth * face), 0, 1)[..., None] * inside[..., None]
        soft = soft + weight * (blurred - soft)
    return np.asarray(soft, np.float32)
