"""Textures: what a face reflects, freed of its light, as numbers on the model's frame. Pure functions.

A texture is R'G'B' divided by the face's own light, so that the tone of the skin is 1 whatever it is, as one vector:
luma at full resolution, then the two differences R - Y and B - Y at half of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from incog import points
from incog.appearance import light, mesh
from incog.appearance.mesh import SHAPE, Mesh
from incog.types import Floats

MOST = 3.0
"""Largest reflectance that counts: an eye's white in a dark face has less."""

_BEYOND = 0.3
"""Weight beyond the outline."""

_HALF = (SHAPE[0] // 2, SHAPE[1] // 2)


def taken(image: Floats, corners: Floats, own: Mesh, zoom: int = 1) -> Floats:
    """Return a face in a frame ``zoom`` times as large, (zoom H, zoom W, 3) float32, 1 where the frame has no triangle.

    image: (h, w, 3) float32; beyond it its border is repeated. corners: (VERTICES, 2) px of it, of the mesh.
    """
    fine = own if zoom == 1 else mesh.fine(own, zoom)
    shrunk = float(np.ptp(corners[points.OUTLINE][:, 0])) / (mesh.WIDTH * zoom)
    places = np.full((SHAPE[0] * zoom, SHAPE[1] * zoom, 2), -1, np.float32)
    places.reshape(-1, 2)[fine.pixels] = fine.places(corners)
    face = sampled(blurred(image, shrunk), places)
    face[~fine.covered] = 1
    return face


def blurred(image: Floats, shrunk: float) -> Floats:
    """Return an image (h, w, 3) float32 as it must be before it is sampled at every ``shrunk``-th pixel."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.45 * shrunk), np.float32) if shrunk > 1.3 else image


def sampled(image: Floats, places: Floats, how: int = cv2.INTER_LINEAR) -> Floats:
    """Return an image (h, w, 3) float32 at places (a, b, 2) float32 px, (a, b, 3). how: OpenCV's interpolation."""
    x, y = (np.ascontiguousarray(places[..., axis]) for axis in (0, 1))
    return np.asarray(cv2.remap(image, x, y, how, borderMode=cv2.BORDER_REPLICATE), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Which pixels a texture has. full: (P,) indices into a flat frame; half: (Q,) into one of half the size. weight:
    (P + 2 Q,) float32 in 0..1, by which a texture's numbers are multiplied: hair and walls beyond the outline vary more
    than faces do, and matter less.
    """

    full: npt.NDArray[np.int32]
    half: npt.NDArray[np.int32]
    weight: Floats

    @property
    def length(self) -> int:
        """The numbers of a texture."""
        return len(self.full) + 2 * len(self.half)


def grid(mesh: Mesh) -> Grid:
    """Return the pixels of a mesh's textures."""
    covered = np.zeros(SHAPE, np.float32)
    covered.ravel()[mesh.pixels] = 1
    small = cv2.resize(covered, _HALF[::-1], interpolation=cv2.INTER_AREA)
    half = np.flatnonzero(small.ravel() > 0).astype(np.int32)
    outline = np.zeros(SHAPE, np.uint8)
    corners = np.rint(mesh.corners[points.OUTLINE] * 16).astype(np.int32)
    cv2.fillConvexPoly(outline, corners, 1, cv2.LINE_8, 4)
    inner = cv2.erode(outline, np.ones((9, 9), np.uint8)).astype(np.float32)
    soft = _BEYOND + (1 - _BEYOND) * cv2.GaussianBlur(inner, (0, 0), 2.5)
    less = cv2.resize(soft, _HALF[::-1], interpolation=cv2.INTER_AREA)
    whole = [soft.ravel()[mesh.pixels], less.ravel()[half], less.ravel()[half]]
    return Grid(mesh.pixels, half, np.concatenate(whole).astype(np.float32))


def lit(coefficients: Floats, zoom: int = 1) -> Floats:
    """Return the light on the frame, (H, W, 3) float32, of its coefficients (TERMS, 3)."""
    return np.asarray(np.maximum(_terms(zoom) @ coefficients, light.LEAST), np.float32)


@lru_cache(maxsize=4)
def _terms(zoom: int) -> Floats:
    return light.basis((SHAPE[0] * zoom, SHAPE[1] * zoom))


def encode(face: Floats, coefficients: Floats, places: Grid) -> Floats:
    """Return the texture (L,) float32 of a face in the frame, (H, W, 3), under a light."""
    ratio = np.clip(face / lit(coefficients), 0, MOST)
    luma = ratio @ light.LUMA
    colour = ratio[..., [0, 2]] - luma[..., None]
    covered = np.zeros(SHAPE, np.float32)
    covered.ravel()[places.full] = 1
    sums = cv2.resize(colour * covered[..., None], _HALF[::-1], interpolation=cv2.INTER_AREA)
    share = cv2.resize(covered, _HALF[::-1], interpolation=cv2.INTER_AREA)
    half = sums.reshape(-1, 2)[places.half] / share.ravel()[places.half][:, None]
    values = np.concatenate([luma.ravel()[places.full], half.T.ravel()])
    return np.asarray(values * places.weight, np.float32)


def decode(vector: Floats, places: Grid) -> Floats:
    """Return the reflectance of a texture on the frame, (H, W, 3) float32, the border's mean beyond it."""
    count, quarter = len(places.full), len(places.half)
    values = vector / places.weight
    luma = np.ones(SHAPE, np.float32)
    luma.ravel()[places.full] = values[:count]
    half = np.zeros((*_HALF, 2), np.float32)
    half.reshape(-1, 2)[places.half] = values[count:].reshape(2, quarter).T
    colour = cv2.resize(half, SHAPE[::-1], interpolation=cv2.INTER_LINEAR)
    red, blue = luma + colour[..., 0], luma + colour[..., 1]
    weights = light.LUMA
    green = (luma - weights[0] * red - weights[2] * blue) / weights[1]
    return np.stack([red, green, blue], axis=2)
