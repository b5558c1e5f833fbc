"""What lies round a new face, out to the mask's border: made from what lies beyond the mask alone."""

from __future__ import annotations

import cv2
import numpy as np

from incog.types import Floats

_FAINT = 0.25
"""Mask from which on a pixel is taken to show the face: its feather still does, most of it at the hull."""


def filled(pixels: Floats, mask: Floats) -> Floats:
    """Return the crop (S, S, 3) with the masked part filled from around: hair, neck and walls go on inwards and lose
    their detail with the distance from the mask's border.

    Pull and push (Grossman and Dally 1998): means of what is known in ever larger cells fill what is not. A little
    change of the mask changes the result a little, so that it is steady in videos. pixels: (S, S, 3) float32; where the
    mask (S, S) is above ``_FAINT`` they do not count.
    """
    known: Floats = np.where(mask <= _FAINT, np.float32(1), np.float32(0))
    if not known.any():
        return np.broadcast_to(pixels.mean((0, 1)), pixels.shape).astype(np.float32)
    return _pushed(np.asarray(pixels * known[..., None], np.float32), known)


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
