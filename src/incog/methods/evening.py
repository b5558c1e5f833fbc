"""A drawn face in one colour: tints that change slowly over its skin are taken out, and those that no skin has; light
and detail stay."""

from __future__ import annotations

import cv2
import numpy as np

from incog import shape
from incog.methods.per_crop import LUMA
from incog.outline import face_outline, groups_hull
from incog.types import Floats

_SOFT = 0.045
"""Standard deviation of what is slow, as a share of the picture: a third of the distance between the eyes."""

_MOST = 1.6
"""Most that a colour is multiplied or divided by."""

_SPOT, _FEATURE = 0.1, 0.22
"""Most by which the logarithms of a pixel's colours differ from those of the usual tint at its luma: on skin, and on
lips and eyes. Freckles, blushes and lipstick are within."""

_DARK = 0.05
"""Added to colours before they are compared: those of the dark are noise."""

_APART = (("outer_lips", "inner_lips"), ("right_eye",), ("left_eye",))
"""What has a colour of its own: it changes with the skin around it."""


def evened(face: Floats, dense: Floats) -> Floats:
    """Return a drawn face (S, S, 3) in 0..1 whose skin has one tint, that of most of it.

    dense: (130, 2) in half sides. Each pixel keeps its luma, and about how its colour differs from that around it, as
    far as skin, lips and eyes do differ. Beyond the outline of the face nothing changes.
    """
    size, places = len(face), shape.pixels(dense, len(face))
    inside = _filled(face_outline(places, grow=0.97), size)
    skin = inside.copy()
    for names in _APART:
        skin -= skin * _filled(groups_hull(places, *names), size)
    if not skin.any():
        return face
    soft = _SOFT * size
    # Normalised convolution: what is left out is filled from around it.
    light = np.maximum(cv2.GaussianBlur(skin * (face @ LUMA), (0, 0), soft), 1e-4)
    tints = cv2.GaussianBlur(skin[..., None] * face, (0, 0), soft) / light[..., None]
    usual = np.median(tints[skin > 0.5], axis=0)
    gain = np.clip((usual + _DARK) / (np.maximum(tints, 0) + _DARK), 1 / _MOST, _MOST)
    gain = gain / np.maximum((gain * tints) @ LUMA, 1e-3)[..., None]
    most = np.asarray(_FEATURE + (_SPOT - _FEATURE) * skin, np.float32)
    even = _bounded(np.asarray(face * gain, np.float32), np.asarray(usual, np.float32), most)
    return np.asarray(face + (even - face) * face_weight(dense, size)[..., None], np.float32)


def _bounded(face: Floats, usual: Floats, most: Floats) -> Floats:
    """Return a face whose colours are near a tint, (3,), at the same luma: no further than ``most``, (S, S)."""
    luma = np.maximum(face @ LUMA, 0)[..., None]
    plain = luma * usual + _DARK
    limit = cv2.GaussianBlur(most, (0, 0), 0.01 * len(face))[..., None]
    apart = limit * np.tanh(np.log((np.maximum(face, 0) + _DARK) / plain) / limit)
    near = np.maximum(plain * np.exp(apart) - _DARK, 0)
    return np.asarray(near * luma / np.maximum(near @ LUMA, 1e-3)[..., None], np.float32)


def face_weight(dense: Floats, size: int) -> Floats:
    """Return how much each pixel is of the face and not of what is behind it, (size, size) float32 in 0..1, soft at the
    outline. dense: (130, 2) in half sides."""
    inside = _filled(face_outline(shape.pixels(dense, size), grow=0.97), size)
    return np.asarray(cv2.GaussianBlur(inside, (0, 0), _SOFT * size / 2), np.float32)


def _filled(corners: Floats, size: int) -> Floats:
    canvas = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(canvas, np.rint(corners * 16).astype(np.int32), 1, cv2.LINE_8, 4)
    return canvas.astype(np.float32)
