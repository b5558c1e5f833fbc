"""Pictures with their faces: what a collage is, how it is put together, and other views of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp

import cv2
import numpy as np
import numpy.typing as npt

from incog.train.cutouts import Cutout
from incog.types import Bytes, Floats

LEAST = 7.0
"""Longer side in pixels of the smallest face that is one; smaller ones are neither faces nor none."""

VISIBLE = 0.45
"""Share of a face that must be seen for it to be one; below ``GONE`` it is none."""

GONE = 0.12


@dataclass(frozen=True, slots=True, eq=False)
class Collage:
    """A picture and its faces.

    pixels: (S, S, 3) uint8 RGB. boxes (N, 4), points (N, 5, 2) float32 px, may reach over the border. sure (N,):
    False for what is neither a face nor none. visible (N,) float32: share of each face that is in sight.
    """

    pixels: Bytes
    boxes: Floats
    points: Floats
    sure: npt.NDArray[np.bool_]
    visible: Floats


@dataclass(slots=True, eq=False)
class Canvas:
    """A collage in the making. owners: (S, S) int32, which face is seen at each pixel, -1 where none is."""

    pixels: Bytes
    owners: npt.NDArray[np.int32]
    boxes: list[Floats] = field(default_factory=list)
    points: list[Floats] = field(default_factory=list)
    sure: list[bool] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)

    def paste(
        self, picture: Bytes, mask: Bytes | None, matrix: Floats, rng: np.random.Generator | None = None
    ) -> tuple[slice, slice, npt.NDArray[np.bool_]]:
        """Blend a picture (H, W, 3) in through ``matrix`` (2, 3), picture -> canvas; mask: (h, w) uint8 over all of it.

        rng: changes its tone, if given. Returns the window and where the picture is opaque in it.
        """
        side = len(self.pixels)
        height, width = picture.shape[:2]
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - 0.5
        there = corners @ matrix[:, :2].T + matrix[:, 2]
        x0, y0 = np.maximum(np.floor(there.min(0)).astype(int), 0)
        x1, y1 = np.minimum(np.ceil(there.max(0)).astype(int) + 1, side)
        if x1 <= x0 or y1 <= y0:
            return slice(0, 0), slice(0, 0), np.zeros((0, 0), bool)
        window = (slice(int(y0), int(y1)), slice(int(x0), int(x1)))
        patch = seen(picture, matrix, window, cv2.BORDER_REPLICATE)
        if rng is not None:
            patch = toned(rng, patch, 0.4)
        if mask is None:
            mask = np.full((2, 2), 255, np.uint8)
        stretch = np.array([[width / mask.shape[1], 0], [0, height / mask.shape[0]]], np.float32)
        across = np.column_stack(
            [matrix[:, :2] @ stretch, matrix[:, :2] @ (stretch.diagonal() - 1) / 2 + matrix[:, 2]]
        )
        alpha = seen(mask, across.astype(np.float32), window, cv2.BORDER_CONSTANT)
        weight = alpha[..., None].astype(np.float32) * (1 / 255)
        under = self.pixels[window]
        self.pixels[window] = under + (patch.astype(np.float32) - under) * weight
        opaque = alpha > 127
        self.owners[window][opaque] = -1
        return *window, opaque

    def face(self, cutout: Cutout, mask: Bytes | None, matrix: Floats, rng: np.random.Generator) -> None:
        """Paste a cutout with all the faces that are on it."""
        rows, columns, opaque = self.paste(cutout.pixels, mask, matrix, rng)
        if not opaque.size:
            return
        linear = matrix[:, :2]
        mirrored = bool(np.linalg.det(linear) < 0)
        turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        circle = np.stack([np.cos(turn), np.sin(turn)], 1) / 2
        for box, points, sure in zip(cutout.boxes, cutout.points, cutout.sure, strict=True):
            centre, extent = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
            middle = linear @ centre + matrix[:, 2]
            # The box round the ellipse that fills the face's own box, wherever that is turned.
            half = np.hypot(linear[:, 0] * extent[0], linear[:, 1] * extent[1]) / 2
            outline = (circle * extent + centre) @ linear.T + matrix[:, 2] - (columns.start, rows.start)
            inside = np.zeros(opaque.shape, np.uint8)
            cv2.fillConvexPoly(inside, np.round(outline * 16).astype(np.int32), 1, cv2.LINE_8, 4)
            self.owners[rows, columns][(inside > 0) & opaque] = len(self.boxes)
            moved = (points @ linear.T + matrix[:, 2]).astype(np.float32)
            self.points.append(moved[[1, 0, 2, 4, 3]] if mirrored else moved)
            self.boxes.append(np.concatenate([middle - half, middle + half]).astype(np.float32))
            self.sure.append(bool(sure))
            self.areas.append(float(np.pi / 4 * extent[0] * extent[1] * abs(np.linalg.det(linear))))

    def finished(self, pixels: Bytes) -> Collage:
        """Return the collage: what can be seen of each face settles whether it is one."""
        count = len(self.boxes)
        boxes = np.array(self.boxes, np.float32).reshape(-1, 4)
        points = np.array(self.points, np.float32).reshape(-1, 5, 2)
        shown = np.bincount(self.owners[self.owners >= 0], minlength=count)[:count]
        visible = np.minimum(shown / np.maximum(np.array(self.areas).reshape(-1), 1e-6), 1).astype(np.float32)
        large = (boxes[:, 2:] - boxes[:, :2]).max(1, initial=0) >= LEAST
        sure = np.array(self.sure, bool).reshape(-1) & (visible >= VISIBLE) & large
        there = visible >= GONE
        return Collage(pixels, boxes[there], points[there], sure[there], visible[there])


def seen(image: Bytes, matrix: Floats, window: tuple[slice, slice], border: int) -> Bytes:
    """Return the window of a canvas on which ``image`` lies through ``matrix`` (2, 3), image -> canvas."""
    zoom = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if zoom < 0.6 and min(image.shape[:2]) > 4:
        # Bilinear sampling alone would alias: shrink by areas first.
        size = [max(2, round(side * max(zoom * 1.3, 0.02))) for side in image.shape[1::-1]]
        fx, fy = size[0] / image.shape[1], size[1] / image.shape[0]
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        linear = matrix[:, :2] / (fx, fy)
        matrix = np.column_stack([linear, matrix[:, 2] + (linear - matrix[:, :2]) @ (0.5, 0.5)])
    # The corner of the window is the origin of the patch.
    matrix = matrix.astype(np.float64)
    matrix[:, 2] -= (window[1].start, window[0].start)
    shape = (window[1].stop - window[1].start, window[0].stop - window[0].start)
    return np.asarray(
        cv2.warpAffine(image, matrix, shape, flags=cv2.INTER_LINEAR, borderMode=border), np.uint8
    )


def toned(rng: np.random.Generator, pixels: Bytes, strength: float) -> Bytes:
    """Change brightness, contrast, gamma and white balance of a picture (H, W, 3) uint8."""
    ramp = np.arange(256, dtype=np.float32)[:, None] / 255
    ramp = ramp ** exp(rng.uniform(-0.6, 0.6) * strength)
    ramp = 0.5 + (ramp - 0.5) * exp(rng.uniform(-0.7, 0.5) * strength) + rng.uniform(-0.25, 0.25) * strength
    table = ramp * np.exp(rng.uniform(-0.25, 0.25, 3) * strength)
    table = np.clip(table * 255, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(pixels, table[:, None]), np.uint8)


def varied(rng: np.random.Generator, collage: Collage, side: int) -> Collage:
    """Return another view of a collage: a part of ``side`` x ``side`` px, maybe mirrored, in another tone."""
    length = len(collage.pixels)
    left, top = (int(value) for value in rng.integers(0, length - side + 1, 2))
    pixels = collage.pixels[top : top + side, left : left + side]
    boxes, points = collage.boxes - np.tile([left, top], 2).astype(np.float32), collage.points - (left, top)
    # What the new borders take away was as visible as the rest.
    before, after = (
        np.clip(np.minimum(edges[:, 2:], end) - np.maximum(edges[:, :2], 0), 0, None).prod(1)
        for edges, end in ((collage.boxes, length), (boxes, side))
    )
    visible = collage.visible * after / np.maximum(before, 1e-6)
    if rng.uniform() < 0.5:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
        boxes = np.stack([side - 1 - boxes[:, 2], boxes[:, 1], side - 1 - boxes[:, 0], boxes[:, 3]], 1)
        points = points[:, [1, 0, 2, 4, 3]] * (-1, 1) + (side - 1, 0)
    if rng.uniform() < 0.5:
        pixels = toned(rng, pixels, 0.5)
    there = visible >= GONE
    sure = collage.sure & (visible >= VISIBLE)
    return Collage(
        np.ascontiguousarray(pixels), boxes.astype(np.float32)[there], points.astype(np.float32)[there], sure[there],
        visible[there].astype(np.float32),
    )  # fmt: skip


def rotation(angle: float) -> Floats:
    """Return the matrix (2, 2) of a turn by ``angle`` radians."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]], np.float32)
