"""Heads to put into test clips: cut out with their hair, each with its face hull.

The people are real: nothing of them is kept. The hull runs from brow to chin and from ear to ear. For the
portraits it is the convex hull of hand-placed landmarks; elsewhere it is the mean portrait hull carried over
by the eyes and the mouth, and fitted to the sides and the chin of the face box.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from truth import HULL_POINTS, OUTLINE_POINTS, Floats, raster, resample

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
DATA = SHARED / "data"
BROWS = range(71, 83)
SIDES = range(109, 115)
JAW = range(125, 134)
HAIRLINE = range(134, 145)
EYES = (0, 1)
MOUTH = (87, 93)
"""Rows of the 189 landmarks of the portraits."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A cut-out head.

    levels: pictures (H, W, 4) uint8 RGB + alpha, each half the size of the one before. hull (40, 2), outline
    (48, 2) and box (4,) in pixels of the first level, pixel centres at integers.
    """

    levels: tuple[npt.NDArray[np.uint8], ...]
    hull: Floats
    outline: Floats
    box: Floats

    @property
    def height(self) -> float:
        """Height of the face box in pixels of the first level."""
        return float(self.box[3] - self.box[1])


@lru_cache(maxsize=8)
def _archive(name: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(DATA / f"{name}.zip")


@lru_cache(maxsize=8)
def _teacher(name: str) -> dict[str, npt.NDArray[np.generic]]:
    with np.load(DATA / f"{name}-teacher.npz") as data:
        return {key: data[key] for key in ("name", "points", "box", "score")}


def _picture(archive: str, name: str) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(_archive(archive).read(name))) as image:
        return np.asarray(image.convert("RGB"))


def _landmarks(name: str) -> Floats:
    return np.loadtxt(io.StringIO(_archive("portraits").read(name).decode()), delimiter=",")


def convex(points: Floats) -> Floats:
    """Return the convex hull (M, 2) of points (N, 2)."""
    return cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)


def portrait_hull(landmarks: Floats) -> Floats:
    """Return the brow-to-chin, ear-to-ear hull (40, 2) of the 189 landmarks of a portrait."""
    return resample(convex(landmarks[[*BROWS, *SIDES, *JAW]]), HULL_POINTS)


def face_frame(points: Floats) -> Floats:
    """Return the affine frame (2, 3) of eyes and mouth: eye vector, eyes-to-mouth vector and eye centre.

    points: (5, 2): the two eyes, nose tip, the two mouth corners.
    """
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    return np.stack([points[1] - points[0], mouth - eyes, eyes], axis=1)


@lru_cache(maxsize=1)
def mean_hull() -> Floats:
    """Return the mean hull of the portraits (40, 2) in the frame of eyes and mouth."""
    hulls = []
    for name in _archive("portraits").namelist():
        if name.endswith(".points.csv"):
            marks = _landmarks(name)
            frame = face_frame(marks[[*EYES, 0, *MOUTH]])
            flat = np.linalg.solve(frame[:, :2], (portrait_hull(marks) - frame[:, 2]).T).T
            angles = np.arctan2(flat[:, 1] - 0.45, flat[:, 0])
            radii = np.hypot(flat[:, 0], flat[:, 1] - 0.45)
            order = np.argsort(angles)
            grid = np.linspace(-np.pi, np.pi, 72, endpoint=False)
            hulls.append(np.interp(grid, angles[order], radii[order], period=2 * np.pi))
    radius = np.mean(hulls, axis=0)
    return np.stack([radius * np.cos(grid), 0.45 + radius * np.sin(grid)], axis=1)


def hull_from_points(points: Floats, box: Floats, template: Floats) -> Floats:
    """Return the hull (40, 2) of a face known by 5 points and its box (4,), from a template (N, 2).

    The template is in the frame of eyes and mouth. Its sides and chin are stretched to reach the sides and
    the bottom of the box.
    """
    frame = face_frame(points)
    hull = template @ frame[:, :2].T + frame[:, 2]
    centre = frame[:, 2]
    for edge, side in ((box[0], hull[:, 0] < centre[0]), (box[2], hull[:, 0] >= centre[0])):
        reach = np.abs(hull[side, 0] - centre[0]).max()
        hull[side, 0] = centre[0] + (hull[side, 0] - centre[0]) * abs(edge - centre[0]) / reach
    below = hull[:, 1] > centre[1]
    reach = (hull[below, 1] - centre[1]).max()
    hull[below, 1] = centre[1] + (hull[below, 1] - centre[1]) * (box[3] - centre[1]) / reach
    return resample(convex(hull), HULL_POINTS)


def _ellipse(shape: tuple[int, ...], centre: Floats, axes: Floats) -> npt.NDArray[np.uint8]:
    """Return a filled ellipse (H, W) of 0 and 1."""
    mask = np.zeros(shape[:2], np.uint8)
    at = (round(float(centre[0])), round(float(centre[1])))
    half = (round(float(axes[0])), round(float(axes[1])))
    cv2.ellipse(mask, at, half, 0, 0, 360, 1, -1)
    return mask


def _cut_out(picture: npt.NDArray[np.uint8], hull: Floats, box: Floats, plain: bool) -> npt.NDArray[np.uint8]:
    """Return the alpha (H, W) of head and hair: GrabCut inside an ellipse around the head, feathered.

    plain: the picture has a studio background, so the ellipse may be generous.
    """
    height, width = picture.shape[:2]
    scale = min(1.0, 160 / height)
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    centre = (box[:2] + box[2:]) / 2 * scale
    extent = (box[2:] - box[:2]) * scale
    face = np.zeros(small.shape[:2], np.uint8)
    rows, columns, inside = raster((hull + 0.5) * scale - 0.5, *face.shape)
    face[rows, columns] = inside
    sure = cv2.erode(face, np.ones((3, 3), np.uint8), iterations=max(1, round(extent[0] * 0.05)))
    if plain:
        reach = _ellipse(small.shape, centre, extent * 0.9)
    else:
        reach = _ellipse(small.shape, centre - (0, 0.03 * extent[1]), extent * (0.68, 0.66))
        sure |= _ellipse(small.shape, centre - (0, 0.02 * extent[1]), extent * (0.5, 0.54))
    labels = np.where(reach > 0, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    labels[sure > 0] = cv2.GC_FGD
    cv2.setRNGSeed(0)
    cv2.grabCut(small, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    cut = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    opened = cv2.morphologyEx(cut, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) | sure
    parts = cv2.connectedComponents(opened)[1]
    cut = (parts == np.bincount(parts[sure > 0]).argmax()).astype(np.uint8)
    cut = cv2.morphologyEx(cut, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    alpha = cv2.GaussianBlur(cut.astype(np.float32), (0, 0), max(0.8, extent[0] * 0.02))
    alpha = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LINEAR)
    margin = max(2.0, 0.04 * width)
    across = np.clip(np.minimum(np.arange(width), np.arange(width)[::-1]) / margin, 0, 1)
    down = np.clip(np.arange(height)[::-1] / margin, 0, 1)
    return np.rint(np.clip(alpha * across[None] * down[:, None], 0, 1) * 255).astype(np.uint8)


def make_head(picture: npt.NDArray[np.uint8], hull: Floats, box: Floats, plain: bool = False) -> Head:
    """Return the head of a picture (H, W, 3) RGB whose face has this hull (N, 2) and box (4,)."""
    alpha = _cut_out(picture, hull, box, plain)
    contours, _ = cv2.findContours((alpha > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(contours, key=len)[:, 0].astype(np.float64)
    levels = [np.dstack([picture, alpha])]
    while min(levels[-1].shape[:2]) >= 16:
        height, width = levels[-1].shape[:2]
        even = levels[-1][: height // 2 * 2, : width // 2 * 2]
        levels.append(cv2.resize(even, (width // 2, height // 2), interpolation=cv2.INTER_AREA))
    return Head(tuple(levels), hull, resample(outline, OUTLINE_POINTS), box)


@lru_cache(maxsize=64)
def load(source: str, name: str) -> Head:
    """Return a head of one of the sets: ``portraits``, ``synthetic`` or ``lfw``."""
    picture = _picture(source, name)
    if source == "portraits":
        marks = _landmarks(name.replace(".jpg", ".points.csv"))
        face = marks[[*SIDES, *JAW, *HAIRLINE]]
        return make_head(picture, portrait_hull(marks), np.concatenate([face.min(0), face.max(0)]), True)
    row = int(np.flatnonzero(_teacher(source)["name"] == name)[0])
    points = _teacher(source)["points"][row].astype(np.float64)
    box = _teacher(source)["box"][row].astype(np.float64)
    return make_head(picture, hull_from_points(points, box, mean_hull()), box, source == "synthetic")


@lru_cache(maxsize=4)
def names(source: str) -> Sequence[str]:
    """Return the pictures of a set that serve: face nearly upright, wholly inside, found with confidence."""
    if source == "portraits":
        members = set(_archive("portraits").namelist())
        return sorted(
            n for n in members if n.endswith(".jpg") and n.replace(".jpg", ".points.csv") in members
        )
    teacher = _teacher(source)
    points, box, score = (np.asarray(teacher[key], np.float64) for key in ("points", "box", "score"))
    eyes = points[:, 1] - points[:, 0]
    size = _picture(source, str(teacher["name"][0])).shape[0]
    with np.errstate(invalid="ignore"):
        good = (np.abs(eyes[:, 1]) < 0.12 * eyes[:, 0]) & (score > 0.9)
        good &= (box[:, 0] > 4) & (box[:, 1] > 2) & (box[:, 2] < size - 4) & (box[:, 3] < size - 2)
    return [str(name) for name in teacher["name"][good]]


def choose(rng: np.random.Generator, size: float) -> Head:
    """Return a random head whose picture is fine enough for a face box of ``size`` px."""
    if size > 220:
        weights = {"portraits": 0.75, "synthetic": 0.25}
    elif size > 110:
        weights = {"portraits": 0.35, "synthetic": 0.4, "lfw": 0.25}
    else:
        weights = {"portraits": 0.15, "synthetic": 0.25, "lfw": 0.6}
    source = str(rng.choice(list(weights), p=list(weights.values())))
    return load(source, str(rng.choice(np.asarray(names(source)))))
