"""A face in a frame as something to compare: aligned, embedded, and judged for how much it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from incog import colour, geometry
from incog.alignment import similarity
from incog.perceive import calibration, embedder
from incog.perceive.calibration import Calibration
from incog.perceive.embedder import SIZE, TEMPLATE, Embedder, align, misfit
from incog.types import Bytes, Face, Floats, Frame

Look = Callable[[Frame, Face], Face | None]

CLEAR_SIZE = 40.0
"""Longer side of a face in pixels from which on it can be told whose it is. From 32 down more pairs of one person are
missed than the calibration says."""

TURNED = 6.0
"""Largest misfit of the points, see ``embedder.misfit``, of a face that counts as seen from the front."""

SHARP = 0.07
"""Least share of fine detail in the contrast of a clear face: half of what sharp photos have. A blur of 0.03 of the
face's size, at which pairs of one person begin to be missed, lies below it."""


SURE_FACE = 0.6
"""Detector's score of a face that counts as seen whole."""

BLANK = 1e-2
"""Rate of false matches at whose level a face that matches its own heavy blur is nobody's: hair, the back of a head, a
figure in a sign. Of sharp photos of faces fewer than one in a hundred are that similar."""

_HEAVY = 14.0
"""Of that blur, in pixels of the aligned crop: light and colour are left, and no features."""

_COARSE = 16
"""Side in pixels of the small picture that it is made from."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Sight:
    """One look at a face. face: with its five points. vector: (D,) float32 unit norm, in memory only. whole: whether it
    is sharp, seen from the front, and surely a face. coarse: (16, 16, 3) uint8, its light and colours."""

    face: Face
    vector: Floats
    whole: bool
    coarse: Bytes


class Recogniser:
    """Embeds faces of frames. look: finds a face near its place, for frames in which its points are not known."""

    def __init__(self, network: Embedder, measured: Calibration, look: Look) -> None:
        self._network, self.calibration, self._look = network, measured, look
        self._blank = measured.sensitive(BLANK)

    @property
    def name(self) -> str:
        """The embedder's name."""
        return self._network.name

    def sight(self, frame: Frame, face: Face) -> Sight | None:
        """Return a look at the face, or None where no points can be found at its place."""
        found = face if face.points is not None else self._find(frame, face)
        if found is None:
            return None
        crop = crop_of(frame, found)
        if crop is None:
            return None
        whole = found.score >= SURE_FACE and misfit(found) <= TURNED and sharpness(crop) >= SHARP
        coarse = cv2.resize(crop, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA)
        return Sight(found, self._embed(crop), whole, np.asarray(coarse, np.uint8))

    def is_telling(self, sight: Sight) -> bool:
        """Whether a look shows enough of a face to be somebody's: whole, and more than its light and colours."""
        if not sight.whole:
            return False
        plain = cv2.resize(sight.coarse, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
        plain = cv2.GaussianBlur(plain, (0, 0), _HEAVY)
        return float(sight.vector @ self._embed(np.asarray(plain, np.uint8))) < self._blank

    def is_clear(self, sight: Sight) -> bool:
        """Whether a look is telling, and large enough for a no to mean something."""
        return sight.face.size >= CLEAR_SIZE and self.is_telling(sight)

    def vector(self, frame: Frame, face: Face) -> Floats | None:
        """Return the (D,) vector of what is at a face's points, whatever it is; None without usable points."""
        crop = crop_of(frame, face)
        return None if crop is None else self._embed(crop)

    def _embed(self, crop: Bytes) -> Floats:
        row: Floats = self.calibration.project(self._network(crop[None]))[0]
        return row

    def _find(self, frame: Frame, face: Face) -> Face | None:
        found = self._look(frame, face)
        if found is None or found.points is None:
            return None
        # Nearer than ``look`` asks for: the neighbour's face must not speak for this one.
        apart = np.hypot(found.centre[0] - face.centre[0], found.centre[1] - face.centre[1])
        return found if apart < 0.4 * face.size else None


def make_recogniser(look: Look, *, device: str = "cpu", threads: int = 0) -> Recogniser:
    """Return the recogniser that the package brings. Raises ModelError when it is missing or not the recorded file."""
    network = embedder.make_embedder(device=device, threads=threads)
    return Recogniser(network, calibration.shipped(), look)


def crop_of(frame: Frame, face: Face) -> Bytes | None:
    """Return the aligned crop (112, 112, 3) uint8, or None when the points are none, are one, or lie outside."""
    if face.points is None:
        return None
    try:
        matrix = similarity(face.points, TEMPLATE)
    except ValueError:
        return None
    if not np.hypot(matrix[0, 0], matrix[1, 0]) > 1e-4:
        return None
    corners = np.array([[0, 0], [SIZE, 0], [0, SIZE], [SIZE, SIZE]], np.float32)
    region = colour.align(
        geometry.bounds(geometry.apply(geometry.inverse(matrix), corners), 2),
        frame,
    )
    if region[0] >= region[2] or region[1] >= region[3]:
        return None
    points = face.points - np.array(region[:2], np.float32)
    return align(colour.rgb8(frame, region), Face(box=face.box, points=points.astype(np.float32)))


def around_points(face: Face) -> Face:
    """Return the face with the box, brow to chin, that its points alone call for. Raises ValueError without them."""
    if face.points is None:
        raise ValueError("a face must have its five points, got none")
    corners = np.array([[18, 28], [94, 28], [18, 112], [94, 112]], np.float32)
    placed = geometry.apply(geometry.inverse(similarity(face.points, TEMPLATE)), corners)
    (x0, y0), (x1, y1) = placed.min(axis=0), placed.max(axis=0)
    return Face((float(x0), float(y0), float(x1), float(y1)), 1.0, face.points)


def sharpness(crop: Bytes) -> float:
    """Return the share of fine detail (finer than a Gaussian of 2 px) in the contrast of an aligned crop's inside."""
    grey = np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), np.float32)[20:100, 20:92]
    fine = grey - np.asarray(cv2.GaussianBlur(grey, (0, 0), 2.0), np.float32)
    return float(fine.std() / (grey.std() + 4))
