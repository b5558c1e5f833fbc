"""From dense points to the outline of a face that a mask must cover: hairline to chin, ear to ear. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from incog import geometry, points
from incog.types import Face, Floats

FLOOR = 0.8
"""Size of the box's own hull that every mask covers, relative to the one that serves without dense points: they may
move a mask but not take the face's box out of it."""

MARGIN = 0.92
"""Size of the grown outline relative to ``scale``: 1.15 of the outline at the default scale of 1.25, to the ears."""


DOUBT = 1.5
"""Growth of the outline for its points' doubt: twice the expected error, in units of half a face's height and width,
which are 1.3 times the distance between the eyes."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Where a face lies in a frame: ``outline``, what its mask covers wholly, (K, 2) float32 px, convex, and ``dense``,
    its points of ``incog.points``, (130, 2) float32 px, or None where they are unknown or not trusted. ``look``: (9,)
    float32, how the face of its track looks, see ``incog.perceive.attributes.LOOK``, or None where nobody told."""

    outline: Floats
    dense: Floats | None = None
    look: Floats | None = None


def face_outline(dense: Floats, *, grow: float = 1.0) -> Floats:
    """Return the convex outline of dense points (130, 2), (K, 2) float32 px, grown about its middle by a factor.

    It runs along jaw, cheeks, temples and hairline, and holds all other points too, such as the nose of a profile.
    """
    corners = _convex(dense)
    low, high = corners.min(0), corners.max(0)
    middle = (low + high) / 2
    return np.asarray((corners - middle) * grow + middle, np.float32)


def mask_hull(
    face: Face, dense: Floats | None, scale: float = geometry.MASK_SCALE, *, doubt: float = 0.0
) -> Floats:
    """Return the outline that the mask covers wholly, (K, 2) float32 px, convex.

    dense: (130, 2) points that are known to be this face's, see ``incog.perceive.landmarks.trusted``; None: the egg of
    ``geometry.hull`` round the box. With points it is the face's own outline with a margin together with a smaller egg
    round the box, so a wrong point cannot uncover brow, chin or cheeks of the box. ``scale`` and ``face.grow`` enlarge
    either, and ``doubt``, the expected error of the points as a share of the distance between the eyes, the outline.
    """
    if dense is None or not np.isfinite(dense).all():
        return geometry.hull(face, scale)
    own = face_outline(dense, grow=max(MARGIN * scale, 1.0) * (1 + face.grow + DOUBT * doubt))
    return _convex(np.concatenate([own, least_hull(face, scale)]))


def least_hull(face: Face, scale: float = geometry.MASK_SCALE) -> Floats:
    """Return what the mask of a face covers whatever its dense points say: (K, 2) float32 px, convex."""
    return geometry.hull(face, max(FLOOR * scale, 1.0))


def groups_hull(dense: Floats, *names: str) -> Floats:
    """Return the convex outline of some groups of ``incog.points.GROUPS``, (K, 2) float32 px, such as both eyes."""
    return _convex(np.concatenate([dense[points.GROUPS[name]] for name in names]))


def _convex(corners: Floats) -> Floats:
    hull = cv2.convexHull(np.ascontiguousarray(corners, np.float32))
    return np.asarray(hull, np.float32).reshape(-1, 2)
