"""What lies round a new face, out to the mask's border: made from what lies beyond the mask alone."""

from __future__ import annotations

import cv2
import numpy as np

from incog.types import Floats

_FAINT = 0.25
"""Mask from which on a pixel is taken to show the face: its feather still does, most of it at the hull."""


_DEPTH = 0.16
"""How far inside the mask's border what lies beyond it is still seen mirrored, as a share of the crop."""

_SMOOTH = 0.012
"""Over how much of the crop the directions to the border are evened: beside its corners they leap."""


def filled(pixels: Floats, mask: Floats) -> Floats:
    """Return the crop (S, S, 3) with the masked part filled from around: hair, neck and walls go on inwards, mirrored
    at the mask's border, and lose their detail with the distance from it.

    Deeper inside it is pull and push (Grossman and Dally 1998): means of what is known in ever larger cells fill what
    is not. A little change of the mask changes the result a little, so that it is steady in videos. pixels: (S, S, 3)
    float32; where the mask (S, S), that of a convex outline, is above ``_FAINT`` they do not count.
    """
    known: Floats = np.where(mask <= _FAINT, np.float32(1), np.float32(0))
    if not known.any():
        return np.broadcast_to(pixels.mean((0, 1)), pixels.shape).astype(np.float32)
    # Zeroed first: not even a weight of 0 would keep out what is no number.
    seen = np.asarray(pixels * known[..., None], np.float32)
    soft = _pushed(seen, known)
    if known.all():
        return soft
    mirrored, share = _mirrored(seen, known)
    return np.asarray(soft + share[..., None] * (mirrored - soft), np.float32)


def _mirrored(seen: Floats, known: Floats) -> tuple[Floats, Floats]:
    """Return what lies beyond the border of the known, mirrored into the unknown, (S, S, 3), and how much it counts
    there, (S, S) in 0..1: nothing where the mirror image is unknown itself, or outside of the crop."""
    size = len(known)
    deep, nearest = cv2.distanceTransformWithLabels(
        (1 - known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    rows, columns = np.nonzero(known)
    place = np.zeros((int(nearest.max()) + 1, 2), np.float32)
    place[nearest[rows, columns]] = np.stack([columns, rows], axis=1)
    here = np.stack(np.meshgrid(*[np.arange(size, dtype=np.float32)] * 2), axis=2)
    way = cv2.GaussianBlur(place[nearest] - here, (0, 0), max(_SMOOTH * size, 0.5))
    x, y = (np.ascontiguousarray((here + 2 * way)[..., axis], np.float32) for axis in (0, 1))
    both = np.dstack([seen, known])
    laid = np.asarray(cv2.remap(both, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), np.float32)
    near = np.clip(1 - np.asarray(deep, np.float32) / (_DEPTH * size), 0, 1)
    whole = np.clip(4 * laid[..., 3] - 3, 0, 1)
    share = np.asarray(near * near * (3 - 2 * near) * whole * (1 - known), np.float32)
    return np.asarray(laid[..., :3] / np.maximum(laid[..., 3:], np.float32(0.5)), np.float32), share


def _pushed(sums: Floats, known: Floats) -> Floats:
    """Return means of known values, and of the larger cells where there are none. sums: (h, w, 3) values times
    ``known``, (h, w) in 0..1."""
    mean = sums / np.maximum(known, 1e-6)[..., None]
    if min(known.shape) <= 2 or known.min() >= 1:
        whole = sums.sum((0, 1)) / max(float(known.sum()), 1e-6)
        return np.asarray(np.where(known[..., None] > 1e-6, mean, whole), np.float32)
    # A cell that is known for the most part is trusted as if it were known wholly.
    pulled = np.asarray(cv2.pyrDown(known), np.float32)
    share = np.asarray(np.minimum(2 * pulled, 1) / np.maximum(pulled, 1e-6), np.float32)
    coarse = _pushed(np.asarray(cv2.pyrDown(sums) * share[..., None], np.float32), pulled * share)
    height, width = known.shape
    under = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(under + known[..., None] * (mean - under), np.float32)
