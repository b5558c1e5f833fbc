"""Dense landmarks: the 130 points of ``incog.points`` and the head's pose, of a face that a detector found.

A crop is taken by the detector's five points, or by its box, and a second one by the points found in the first: the
answer then hardly depends on how well the detector placed its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import atan2, degrees
from typing import Protocol

import cv2
import numpy as np

from incog import alignment, models, points
from incog.alignment import similarity
from incog.perceive.embedder import TEMPLATE as ARCFACE
from incog.runtime import session
from incog.types import Bytes, Face, Floats

SIDE = 112
"""Side of the network's crop in pixels."""

REACH = 132.0
"""Side of that crop in units of the ArcFace template, whose eyes are 35.2 apart: hairline to chin with a margin."""

TEMPLATE: Floats = ((ARCFACE - [56, 70]) * (SIDE / REACH) + (SIDE - 1) / 2).astype(np.float32)
"""Where the five points lie in the crop, (5, 2) float32 px."""

IN_BOX: Floats = np.array([(0.275, 0.38), (0.725, 0.38), (0.5, 0.605), (0.3, 0.74), (0.7, 0.74)], np.float32)
"""Where the five points lie in CenterFace's boxes, as shares of width and height: means over frontal faces."""

PASSES = 2
"""Crops per face: one by the detector, one by the points found in it."""

NAME = "landmarks"
"""The network's record."""

DOUBTFUL = 0.12
"""Doubt above which landmarks are not trusted."""

_WORST_FIT = 0.35
"""Largest root mean square distance of a detector's five points from a frontal face's, as a share of their spread, at
which they are one face's points: 0.3 is a profile."""

_BATCH = 16


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """The dense points of one face.

    points: (130, 2) float32 px of the picture. yaw, pitch, roll: degrees, above 0 where the face looks to the right of
    the picture, looks up, is turned clockwise. doubt: the network's own estimate of the mean error of the points, as a
    share of the distance between the eyes; from ``DOUBTFUL`` on nothing should rely on them.
    """

    points: Floats
    yaw: float
    pitch: float
    roll: float
    doubt: float


class Landmarker(Protocol):
    """Finds the dense points of faces."""

    def __call__(self, rgb: Bytes, faces: Sequence[Face]) -> list[Landmarks]:
        """Return the landmarks of each face, for use where ``trusted``. rgb: (H, W, 3) uint8; faces in its px."""


class OnnxLandmarker:
    """The landmark network run by ONNX Runtime: (B, 3, 112, 112) float32 R'G'B' 0..255 -> points in pixels of the crop
    (B, 130, 2), yaw, pitch and roll in degrees (B, 3), doubt (B,)."""

    def __init__(self, data: bytes, *, device: str = "cpu", threads: int = 1, passes: int = PASSES) -> None:
        """data: the ONNX file. device: ``cpu`` or ``cuda``. threads: of ONNX Runtime. passes: crops per face."""
        if passes < 1:
            raise ValueError(f"passes must be at least 1, got {passes}")
        self._session = session(data, device=device, threads=threads)
        self._input = self._session.get_inputs()[0].name
        self._passes = passes

    def __call__(self, rgb: Bytes, faces: Sequence[Face]) -> list[Landmarks]:
        return self.refine(rgb, [five_points(face) for face in faces], passes=self._passes)

    def refine(self, rgb: Bytes, fives: Sequence[Floats], *, passes: int = 1) -> list[Landmarks]:
        """Return the landmarks of the faces that have their five points, (5, 2) px each, about there."""
        found: list[Landmarks] = []
        for _ in range(passes):
            found = self._look(rgb, fives)
            fives = [points.five(item.points) for item in found]
        return found

    def _look(self, rgb: Bytes, fives: Sequence[Floats]) -> list[Landmarks]:
        found: list[Landmarks] = []
        for start in range(0, len(fives), _BATCH):
            pairs = [crop(rgb, five) for five in fives[start : start + _BATCH]]
            pixels = np.stack([pixels for pixels, _ in pairs]).transpose(0, 3, 1, 2).astype(np.float32)
            dense, pose, doubt = (np.asarray(item) for item in self._session.run(None, {self._input: pixels}))
            for row, (_, matrix) in enumerate(pairs):
                back = np.asarray(cv2.invertAffineTransform(matrix), np.float32)
                turned = degrees(atan2(float(matrix[1, 0]), float(matrix[0, 0])))
                yaw, pitch, roll = (float(value) for value in pose[row])
                found.append(
                    Landmarks(
                        (dense[row] @ back[:, :2].T + back[:, 2]).astype(np.float32),
                        yaw,
                        pitch,
                        (roll - turned + 180) % 360 - 180,
                        float(doubt[row]),
                    )
                )
        return found


def make_landmarker(*, device: str = "cpu", threads: int = 1) -> OnnxLandmarker:
    """Return the landmark network that the package brings. Raises ModelError when it is missing or another file."""
    return OnnxLandmarker(models.own(NAME), device=device, threads=threads)


def five_points(face: Face) -> Floats:
    """Return five points to align the face by, (5, 2) float32 px: the detector's if they can be a face's in this box,
    else a frontal face's in the box."""
    x0, y0, x1, y1 = face.box
    by_box = np.asarray(IN_BOX * [x1 - x0, y1 - y0] + [x0, y0], np.float32)
    if face.points is None or not np.isfinite(face.points).all():
        return by_box
    spread = float(np.sqrt(np.square(face.points - face.points.mean(0)).sum(1).mean()))
    expected = float(np.sqrt(np.square(by_box - by_box.mean(0)).sum(1).mean()))
    if not 0.5 * expected < spread < 1.6 * expected:
        return by_box
    matrix = similarity(TEMPLATE, face.points)
    misfit = face.points - (TEMPLATE @ matrix[:, :2].T + matrix[:, 2])
    if float(np.sqrt(np.square(misfit).sum(1).mean())) > _WORST_FIT * spread:
        return by_box
    return face.points


def crop(rgb: Bytes, five: Floats) -> tuple[Bytes, Floats]:
    """Return the face as the network takes it, (112, 112, 3) uint8, and the (2, 3) float32 matrix picture -> crop.

    rgb: (H, W, 3) uint8. five: (5, 2) px. Beyond the picture its border is repeated. Raises ValueError when all points
    are one.
    """
    matrix = similarity(five, TEMPLATE)
    pixels = alignment.crop(rgb, five, TEMPLATE, SIDE, least=0.5, beyond=cv2.BORDER_REPLICATE)
    return pixels, matrix


def trusted(landmarks: Landmarks, face: Face) -> bool:
    """Whether the landmarks are those of the face: little doubt, a head's pose, and an outline where the box is.

    The box of the outline and the detector's must overlap by more than half of what they cover together.
    """
    if landmarks.doubt > DOUBTFUL or abs(landmarks.yaw) > 75 or abs(landmarks.pitch) > 60:
        return False
    outline = landmarks.points[points.OUTLINE]
    if not np.isfinite(landmarks.points).all():
        return False
    low, high = outline.min(0), outline.max(0)
    x0, y0, x1, y1 = face.box
    # The outline begins at the hairline, boxes at mid-forehead; below they agree.
    common = max(min(high[0], x1) - max(low[0], x0), 0) * max(min(high[1], y1) - max(low[1], y0), 0)
    union = (high[0] - low[0]) * (high[1] - low[1]) + (x1 - x0) * (y1 - y0) - common
    return bool(common > 0.5 * union)
