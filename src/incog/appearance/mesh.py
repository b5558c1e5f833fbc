"""Between a face in a crop and the model's own frame, piecewise affine over a fixed triangulation.

The model's frame is the mean face, its outline ``WIDTH`` px wide, in a picture of ``SHAPE``; texture is taken where
the frame's triangles lie, and painted where a face's do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from incog import points
from incog.types import Floats

Integers = npt.NDArray[np.int32]

WIDTH = 128
"""Width of the mean face's outline in the model's frame, px."""

SHAPE = (172, 148)
"""Height and width of the model's frame, px."""

RING = 1.1
"""Size of the ring of vertices round the outline: the texture goes a little beyond the face."""

_USED = np.r_[0:89, 93, 98:130]
"""All dense points but the rims of the irises, which the lids cross."""

ROWS: Integers = np.searchsorted(_USED, np.arange(points.COUNT)).astype(np.int32)
"""The vertex of each dense point that is one; of no use for the rims of the irises."""

VERTICES = len(_USED) + 36


def vertices(dense: Floats, ring: float = RING) -> Floats:
    """Return the corners of the mesh's triangles, (VERTICES, 2) float32, of dense points (130, 2)."""
    outline = dense[points.OUTLINE]
    middle = (outline.min(0) + outline.max(0)) / 2
    return np.concatenate([dense[_USED], middle + np.float32(ring) * (outline - middle)]).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """The frame's triangles and the pixels that they cover.

    corners: (VERTICES, 2) float32 px of the frame. triangles: (T, 3) int32, those of the ring first. pixels: (P,)
    int32, indices into a flat frame. owners: (P,) int32, the triangle of each. weights: (P, 3) float32, how near to
    each of its corners a pixel lies, sum 1. shape: height and width of the frame.
    """

    corners: Floats
    triangles: Integers
    pixels: Integers
    owners: Integers
    weights: Floats
    shape: tuple[int, int]

    @property
    def covered(self) -> npt.NDArray[np.bool_]:
        """Where the frame has triangles, (H, W)."""
        found = np.zeros(self.shape, np.bool_)
        found.ravel()[self.pixels] = True
        return found

    def places(self, corners: Floats) -> Floats:
        """Return where the covered pixels lie in a face whose corners lie at (VERTICES, 2) px: (P, 2) float32."""
        own = corners[self.triangles[self.owners]].astype(np.float32)
        return np.asarray(np.einsum("pk,pkc->pc", self.weights, own), np.float32)

    def back(self, corners: Floats, size: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Return where each pixel of a crop lies in the frame, (size, size, 2) float32 px, and where it lies in any.

        corners: (VERTICES, 2) float32 px of the crop.
        """
        owner = np.full((size, size), -1, np.int32)
        places = np.rint(np.clip(corners, -4 * size, 4 * size) * 16).astype(np.int32)
        # Edges belong to the triangle that is drawn last: between closed lips there is then nothing of the mouth.
        mouth = np.isin(self.triangles, ROWS[points.INNER_LIPS]).all(1)
        for number in np.argsort(~mouth, kind="stable").tolist():
            cv2.fillConvexPoly(owner, places[self.triangles[number]], number, lineType=cv2.LINE_8, shift=4)
        covered = owner >= 0
        affine = _affine(corners[self.triangles], self.corners[self.triangles])
        rows, columns = np.nonzero(covered)
        own = affine[owner[rows, columns]]
        found = np.zeros((size, size, 2), np.float32)
        found[rows, columns] = (
            own[:, :, 0] * columns[:, None] + own[:, :, 1] * rows[:, None] + own[:, :, 2]
        ).astype(np.float32)
        return _smooth(found, covered), covered


def _smooth(places: Floats, covered: npt.NDArray[np.bool_]) -> Floats:
    """Return places (S, S, 2) averaged with their neighbours: where triangles are thinner than a pixel, as between
    closed lips, the owners of neighbours have little to do with each other."""
    known = covered.astype(np.float32)
    sums = cv2.GaussianBlur(places * known[..., None], (5, 5), 0.9)
    shares = np.asarray(cv2.GaussianBlur(known, (5, 5), 0.9), np.float32)
    return np.asarray(sums / np.maximum(shares, 1e-3)[..., None], np.float32)


def make(corners: Floats, triangles: Integers) -> Mesh:
    """Return the mesh with the pixels that its triangles cover. corners: (VERTICES, 2) px of the frame."""
    return _rastered(corners, triangles, SHAPE)


@lru_cache(maxsize=4)
def fine(mesh: Mesh, zoom: int) -> Mesh:
    """Return the mesh of a frame ``zoom`` times as large, the same part of the face."""
    height, width = SHAPE
    return _rastered((mesh.corners + 0.5) * zoom - 0.5, mesh.triangles, (height * zoom, width * zoom))


def _rastered(corners: Floats, triangles: Integers, shape: tuple[int, int]) -> Mesh:
    owner = np.full(shape, -1, np.int32)
    for number, triangle in enumerate(triangles):
        corner = np.rint(corners[triangle] * 16).astype(np.int32)
        cv2.fillConvexPoly(owner, corner, number, lineType=cv2.LINE_8, shift=4)
    pixels = np.flatnonzero(owner >= 0).astype(np.int32)
    owners = owner.ravel()[pixels]
    place = np.stack([pixels % shape[1], pixels // shape[1], np.ones(len(pixels))], 1)
    own = np.concatenate(
        [corners[triangles].astype(np.float64), np.ones((len(triangles), 3, 1))], axis=2
    ).transpose(0, 2, 1)
    weights = np.einsum("pij,pj->pi", np.linalg.inv(own)[owners], place)
    return Mesh(
        corners.astype(np.float32),
        triangles,
        pixels,
        owners.astype(np.int32),
        weights.astype(np.float32),
        shape,
    )


def _affine(source: Floats, goal: Floats) -> npt.NDArray[np.float64]:
    """Return (T, 2, 3) matrices source -> goal of triangles (T, 3, 2); flat ones are carried to a corner."""
    edge = (source[:, 1:] - source[:, :1]).astype(np.float64)
    other = (goal[:, 1:] - goal[:, :1]).astype(np.float64)
    (a, b), (c, d) = edge.transpose(1, 2, 0)
    area = a * d - b * c
    safe = np.where(np.abs(area) > 1e-6, area, np.inf)
    inverse = np.stack([np.stack([d, -b], 1), np.stack([-c, a], 1)], 1) / safe[:, None, None]
    # Of each triangle: the rows of edge times the transposed matrix are the rows of other.
    linear = (inverse @ other).transpose(0, 2, 1)
    shift = goal[:, 0] - np.einsum("tki,ti->tk", linear, source[:, 0])
    return np.concatenate([linear, shift[:, :, None]], axis=2)
