"""Finding the face that a picture is of, and judging whether it is worth learning from."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import cv2
import numpy as np

from incog.alignment import similarity
from incog.data.faces import Sample, fitted, template
from incog.perceive.detector import Detector, make_detector
from incog.perceive.recogniser import SHARP, sharpness
from incog.types import Bytes, Face

NO_FACE, UNSURE, SMALL, BLURRED = "no face found", "score too low", "too small", "too blurred"

ENLARGED = 3.0
"""A face that a crop of 128 px would have to enlarge more than this is too small: its eyes are some 12 px apart."""

_DOUBTFUL, _SURE = 0.3, 0.5
"""Lowest score that is looked at, and the one from which on no finer look is taken."""

_BORDER = 0.25
_SIDES = (256, 640)


class Finder:
    """Finds the face that a picture is of: the largest and most central. The detector is loaded when it is needed."""

    def __init__(self) -> None:
        self._detector: Detector | None = None
        self._lock = Lock()

    def __call__(self, image: Bytes) -> Face | None:
        """Return the face, with its points, of a picture (H, W, 3) uint8 RGB. Raises ModelError."""
        with self._lock:
            detector = self._detector = self._detector or make_detector("centerface", device="cpu", threads=1)
        # Faces that fill the picture to its edges are seldom found without something around them.
        edge = round(_BORDER * max(image.shape[:2]))
        wide = np.asarray(cv2.copyMakeBorder(image, edge, edge, edge, edge, cv2.BORDER_REPLICATE), np.uint8)
        best: Face | None = None
        for side in _SIDES:
            found = detector(wide, scales=[side / max(wide.shape[:2])], threshold=_DOUBTFUL)
            face = chosen(found, wide.shape[1], wide.shape[0])
            if face is not None and (best is None or face.score > best.score):
                best = face
            if best is not None and best.score >= _SURE:
                break
        if best is None or best.points is None:
            return None
        x0, y0, x1, y1 = best.box
        box = x0 - edge, y0 - edge, x1 - edge, y1 - edge
        return Face(box=box, score=best.score, points=best.points - np.float32(edge))


def chosen(faces: Sequence[Face], width: int, height: int) -> Face | None:
    """Return the largest and most central of the faces: size counts less the further it lies from the middle."""
    reach = float(np.hypot(width, height)) / 2

    def weight(face: Face) -> float:
        x, y = face.centre
        return face.size * (1 - min(float(np.hypot(x - width / 2, y - height / 2)) / reach, 1))

    return max(faces, key=weight, default=None)


def judged(image: Bytes, sample: Sample) -> tuple[str, str] | None:
    """Return why a face is not worth packing, ``SMALL`` or ``BLURRED``, and the measure in words; None where it is."""
    assert sample.points is not None
    matrix = similarity(sample.points, template("arcface", 128))
    zoom = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if not 0 < zoom <= ENLARGED:
        return SMALL, f"a crop of 128 px enlarges it {zoom:.1f} times"
    share = sharpness(fitted(sample, image, "arcface", 128)[0][8:120, 8:120])
    if share < SHARP:
        return BLURRED, f"share of fine detail {share:.3f}"
    return None
