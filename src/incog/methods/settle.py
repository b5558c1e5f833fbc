"""How a drawn face settles into its picture: in the tone and light of the skin there, and without a seam."""

from __future__ import annotations

import cv2
import numpy as np

from incog.methods.fill import places, skin_light
from incog.types import Floats

_GAIN = 2.5
"""Most that a colour is multiplied or divided by."""

_RING = 0.04
"""Width, as a share of the face, of the ring around the mask that the seam is matched to."""

_REACH = 0.06
"""How far into the mask that match reaches, as a share of the face."""

_SMALLEST = 4


def settled(new: Floats, old: Floats, mask: Floats, face: float) -> Floats:
    """Return a drawn face (S, S, 3) with the tone of the old one and the colours of its surroundings at its border.

    new, old: (S, S, 3) float32 in 0..1, the drawn and the original crop; ``new`` must go on a little beyond the mask.
    mask: (S, S), above 0 somewhere. face: longer side of the face box in px. Inside the mask five numbers of the old
    face are used, its colour and the slope of the light (see ``incog.methods.fill``); the rest comes from outside it.
    """
    return unseamed(toned(new, old, mask, face), old, mask, face)


def toned(new: Floats, old: Floats, mask: Floats, face: float) -> Floats:
    """Return the drawn face with the old one's mean colour of the skin and fall of light."""
    u, v = places(mask, face)
    (mine, my_slopes), (goal, slopes) = (skin_light(one, mask, u, v) for one in (new, old))
    gain = np.clip((goal + 1 / 255) / (mine + 1 / 255), 1 / _GAIN, _GAIN)
    # Slopes are measured near the middle; far out a straight line would go too far.
    across, down = np.clip(u, -1, 1), np.clip(v, -1, 1)
    falls = [1 + one[0] * across[None, :] + one[1] * down[:, None] for one in (slopes, my_slopes)]
    light = np.clip(falls[0] / np.maximum(falls[1], 0.2), 0.5, 2.0)
    return np.asarray(new * (gain * light[..., None]), np.float32)


def unseamed(new: Floats, old: Floats, mask: Floats, face: float) -> Floats:
    """Return the drawn face with its difference from the old picture just outside the mask taken out, less and less
    further in. Where the mask fills the crop, nothing is known of the surroundings, and nothing is done."""
    inside = mask > 0
    if inside.all():
        return new
    distance = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    ring = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    around = (~inside & (distance <= max(1.5, _RING * face))).astype(np.float32)
    spread = _filled(old - new, around)
    fade = np.exp(-np.square(ring / max(1.0, _REACH * face))).astype(np.float32)
    return np.asarray(new + spread * fade[..., None], np.float32)


def _filled(values: Floats, known: Floats) -> Floats:
    """Return values (H, W, 3) smoothly continued from where ``known`` (H, W) is 1: means over ever larger cells, laid
    under each other."""
    height, width = known.shape
    total = values * known[..., None]
    if min(height, width) > _SMALLEST:
        half = (-(-width // 2), -(-height // 2))
        small = cv2.resize(total, half, interpolation=cv2.INTER_AREA)
        weight = cv2.resize(known, half, interpolation=cv2.INTER_AREA)
        mean = small / np.maximum(weight, 1e-6)[..., None]
        below = _filled(np.asarray(mean, np.float32), np.minimum(weight * 4, 1))
        under = cv2.resize(below, (width, height), interpolation=cv2.INTER_LINEAR)
    else:
        under = np.broadcast_to(total.sum((0, 1)) / max(float(known.sum()), 1e-6), values.shape)
    return np.asarray(total + under * (1 - known[..., None]), np.float32)
