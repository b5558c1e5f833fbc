"""How a picture is searched: which scales, and how a doubtful face gets a second sight."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

from incog import colour
from incog.perceive.detector import Detector, merge, scales_for
from incog.types import Bytes, Depth, Face, Frame

NEAR = 48
"""Size in pixels at which an expected face is looked at: where the detector is at its best and still quick."""

SURE = 0.65
"""Score that needs no second sight."""


def photo_scale(width: int, height: int) -> float:
    """Return the finest scale for a photo: 12 px faces are found up to 4K, larger pictures are taken as they are."""
    megapixels = width * height / 1e6
    if megapixels <= 1.5:
        return 2.0
    return 1.5 if megapixels <= 9 else 1.0


_MEGAPIXELS = {Depth.COARSE: 0.52, Depth.FINE: 2.1, Depth.FINEST: 8.3}
_LARGEST = {Depth.COARSE: 1.5, Depth.FINE: 2.0, Depth.FINEST: 3.0}


def video_scale(width: int, height: int, depth: Depth) -> float:
    """Return the finest scale for a video frame: a size in megapixels by depth, never below the frame's own size
    unless coarse."""
    scale = min(_LARGEST[depth], sqrt(_MEGAPIXELS[depth] * 1e6 / (width * height)))
    return scale if depth is Depth.COARSE else max(1.0, scale)


_MARGIN = 0.2
"""How much surer than the threshold both sights of a doubtful face in a photo must be on average, and half of it the
first alone: a photo has no second frame that could bear it out."""


class Searcher:
    """Searches frames with one detector. threshold and low as in ``track.Settings``."""

    def __init__(self, detector: Detector, *, threshold: float, low: float) -> None:
        self._detector, self._threshold, self._low = detector, threshold, low

    def frame(self, frame: Frame) -> list[Face]:
        """Return the faces of a photo; doubtful ones only when a second sight confirms them."""
        scales = scales_for(
            frame.width, frame.height, finest=photo_scale(frame.width, frame.height), coarsest=320
        )
        found: list[Face] = []
        for rgb in colour.appearances(frame):
            faces = self._detector(rgb, scales=scales, threshold=self._low)
            found += [face for face in faces if self._confirmed(rgb, face)]
        return merge(found)

    def _confirmed(self, rgb: Bytes, face: Face) -> bool:
        if face.score >= SURE:
            return True
        if face.score < self._threshold + _MARGIN / 2:
            return False
        again = self.near(rgb, face)
        return again is not None and (again.score + face.score) / 2 >= self._threshold + _MARGIN

    def scan(self, frame: Frame, depth: Depth) -> list[Face]:
        """Return the faces of a video frame with scores down to ``low``; see ``track.Scan``."""
        finest = video_scale(frame.width, frame.height, depth)
        scales = scales_for(frame.width, frame.height, finest=finest)
        return self._all(colour.appearances(frame), scales)

    def _all(self, pictures: Sequence[Bytes], scales: Sequence[float]) -> list[Face]:
        found = [self._detector(rgb, scales=scales, threshold=self._low) for rgb in pictures]
        return found[0] if len(found) == 1 else merge([face for faces in found for face in faces])

    def look(self, frame: Frame, face: Face) -> Face | None:
        """Return the face near a place, looked at where it is easiest to see, or None; see ``track.Look``."""
        reach = 1.5 * max(face.size, 8)
        x, y = face.centre
        region = colour.align((int(x - reach), int(y - reach), int(x + reach) + 1, int(y + reach) + 1), frame)
        if region[2] - region[0] < 4 or region[3] - region[1] < 4:
            return None
        left, top = region[:2]
        box = face.box[0] - left, face.box[1] - top, face.box[2] - left, face.box[3] - top
        sights = [self.near(rgb, Face(box=box)) for rgb in colour.appearances(frame, region)]
        found = max(
            (sight for sight in sights if sight is not None), key=lambda item: item.score, default=None
        )
        return None if found is None else moved(found, left, top)

    def near(self, rgb: Bytes, face: Face) -> Face | None:
        """Return the best face at the place and of about the size of ``face``, or None."""
        reach = 1.5 * max(face.size, 8)
        x, y = face.centre
        left, top = max(int(x - reach), 0), max(int(y - reach), 0)
        part = rgb[top : int(y + reach) + 1, left : int(x + reach) + 1]
        if min(part.shape[:2]) < 4:
            return None
        scale = min(NEAR / max(face.size, 8), 4.0)
        candidates = self._detector(np.ascontiguousarray(part), scales=[scale], threshold=self._low)
        best: Face | None = None
        for candidate in candidates:
            candidate = moved(candidate, left, top)
            away = np.hypot(candidate.centre[0] - x, candidate.centre[1] - y) / face.size
            if away > 0.75 or not 0.5 < candidate.size / face.size < 2:
                continue
            if best is None or candidate.score > best.score:
                best = candidate
        return best


def moved(face: Face, x: float, y: float) -> Face:
    """Return the face shifted by (x, y) pixels."""
    box = face.box[0] + x, face.box[1] + y, face.box[2] + x, face.box[3] + y
    points = None if face.points is None else face.points + np.array([x, y], np.float32)
    return Face(box=box, score=face.score, points=points, grow=face.grow)
