"""Where faces lie in a frame: their landmarks where these can be trusted, and the outlines that masks cover: the faces'
own by these landmarks, else eggs round boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from incog import colour, geometry
from incog.outline import Seen, least_hull, mask_hull
from incog.perceive.landmarks import Landmarker, make_landmarker, trusted
from incog.types import Face, Floats, Frame

AROUND = 0.6
"""How far around a box the picture is looked at, as a share of the box's longer side."""

LEAST = 16.0
"""Smallest face in pixels whose landmarks are looked for: below, a crop has nothing to say."""


class FaceHulls:
    """Outlines and dense points of faces in frames."""

    def __init__(self, landmarker: Landmarker | None) -> None:
        """landmarker: None gives eggs for all."""
        self._landmarker = landmarker

    def __call__(self, frame: Frame, faces: Sequence[Face], scale: float) -> list[Seen]:
        """Return the outline of each face, see ``incog.outline.mask_hull``, and its dense points if they are trusted.

        frame: as it was before anything was hidden.
        """
        return [self._seen(frame, face, scale) for face in faces]

    def least(self, face: Face, scale: float) -> Floats:
        """Return what the mask of a face covers for certain, when its frame is no longer as it was."""
        return geometry.hull(face, scale) if self._landmarker is None else least_hull(face, scale)

    def _seen(self, frame: Frame, face: Face, scale: float) -> Seen:
        egg = Seen(geometry.hull(face, scale))
        if self._landmarker is None or face.size < LEAST:
            return egg
        corners = np.array(face.box, np.float32).reshape(2, 2)
        region = colour.align(geometry.bounds(corners, AROUND * face.size), frame)
        if region[0] >= region[2] or region[1] >= region[3]:
            return egg
        away = np.array(region[:2], np.float32)
        x0, y0, x1, y1 = face.box
        here = Face(
            (x0 - region[0], y0 - region[1], x1 - region[0], y1 - region[1]),
            face.score,
            None if face.points is None else (face.points - away).astype(np.float32),
            face.grow,
        )
        found = self._landmarker(colour.rgb8(frame, region), [here])[0]
        if not trusted(found, here):
            return egg
        dense = (found.points + away).astype(np.float32)
        return Seen(mask_hull(face, dense, scale, doubt=found.doubt), dense)


def make_hulls(*, device: str = "cpu", threads: int = 1) -> FaceHulls:
    """Return the outlines by the landmark network that the package brings. Raises ModelError when it is missing or not
    the recorded file."""
    return FaceHulls(make_landmarker(device=device, threads=threads))
