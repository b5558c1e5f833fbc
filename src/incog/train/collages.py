"""Collages: pictures to train and to test a face detector on, put together from cut-out faces and face-free pictures.

Every collage comes from the random generator that is given, and from nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

import cv2
import numpy as np
import numpy.typing as npt

from incog.train import textures
from incog.train.canvas import Canvas, Collage, rotation, seen, toned
from incog.train.cutouts import SILHOUETTE, Cutout, Scenes
from incog.types import Bytes, Floats

Place = npt.NDArray[np.float64]
"""x and y on a canvas, (2,) px."""


class Maker:
    """Makes collages of cut-out faces over scenes and textures."""

    def __init__(self, cutouts: Sequence[Cutout], scenes: Scenes, *, seed: int, drawn: int = 320) -> None:
        """seed, drawn: of the textures, which are drawn once."""
        if not cutouts:
            raise ValueError("cutouts must not be empty")
        self._cutouts, self._scenes = cutouts, scenes
        rng = np.random.default_rng([seed, 1])
        self._textures = [textures.texture(rng) for _ in range(drawn)]
        self._noise = rng.normal(0, 1, (640, 640, 3)).astype(np.float32)

    def draw(self, rng: np.random.Generator, side: int) -> Collage:
        """Return one collage of ``side`` x ``side`` pixels."""
        canvas = Canvas(self._background(rng, side), np.full((side, side), -1, np.int32))
        kind = rng.uniform()
        if kind < 0.35:
            self._things(rng, canvas, 3)
            self._people(rng, canvas)
        elif kind < 0.66:
            self._mosaic(rng, canvas)
        elif kind < 0.82:
            self._close(rng, canvas)
        else:
            self._things(rng, canvas, 9)
            self._faceless(rng, canvas)
        if canvas.boxes and rng.uniform() < 0.4:
            self._cover(rng, canvas)
        return canvas.finished(self._photographed(rng, canvas.pixels))

    def _picture(self, rng: np.random.Generator) -> Bytes:
        photos, kind = self._scenes.photos, rng.uniform()
        if kind < 0.2:
            part = beside(rng, self._cutouts[int(rng.integers(len(self._cutouts)))])
            if part is not None:
                return part
        if photos and kind < 0.7:
            return photos[int(rng.integers(len(photos)))]
        return self._textures[int(rng.integers(len(self._textures)))]

    def _cutout(self, rng: np.random.Generator) -> Cutout:
        cutout = self._cutouts[int(rng.integers(len(self._cutouts)))]
        return aside(rng, cutout) if not cutout.tight and rng.uniform() < 0.25 else cutout

    def _background(self, rng: np.random.Generator, side: int) -> Bytes:
        picture = self._picture(rng)
        most = min(picture.shape[:2])
        span = exp(rng.uniform(log(min(64, most)), log(most)))
        zoom = side / span
        turn = rng.normal(0, 0.15) + (rng.integers(4) * np.pi / 2 if rng.uniform() < 0.2 else 0)
        linear = rotation(turn) * zoom * [rng.choice([-1, 1]), rng.choice([1, 1, 1, -1])]
        centre = rng.uniform(span / 2, np.array(picture.shape[1::-1]) - span / 2 + 1e-3)
        matrix = np.column_stack([linear, side / 2 - linear @ centre]).astype(np.float32)
        pixels = seen(picture, matrix, (slice(0, side), slice(0, side)), cv2.BORDER_REFLECT)
        return toned(rng, pixels, 0.7) if rng.uniform() < 0.5 else pixels

    def _people(self, rng: np.random.Generator, canvas: Canvas) -> None:
        """Paste faces of about one size, seldom over one another, the far ones first."""
        side = len(canvas.pixels)
        base = exp(rng.uniform(log(7), log(0.6 * side)))
        most = int(np.clip(0.13 * (side / base) ** 2, 1, 14))
        sizes = np.clip(base * np.exp(rng.normal(0, 0.35, int(rng.integers(1, most + 1)))), 6, 0.9 * side)
        taken: list[Place] = []
        for size in np.sort(sizes):
            for _ in range(6):
                at = rng.uniform(-0.1 * size, side + 0.1 * size, 2)
                near = [np.abs(at - other[:2]).max() < 0.65 * (size + other[2]) for other in taken]
                if not any(near) or rng.uniform() < 0.05:
                    taken.append(np.array([*at, size]))
                    self._person(rng, canvas, at, float(size))
                    break

    def _person(self, rng: np.random.Generator, canvas: Canvas, at: Place, size: float) -> None:
        cutout = self._cutout(rng)
        matrix = pose(rng, cutout, at, size)
        kind = rng.uniform()
        if cutout.tight:
            mask = _oval(rng, cutout) if kind < 0.6 else _sheet(rng)
        elif kind < 0.3:
            mask = _sheet(rng)
        elif kind < 0.6:
            mask = cutout.silhouette
        else:
            if rng.uniform() < 0.75:
                _body(rng, canvas, (self._picture(rng), self._picture(rng)), cutout, matrix)
            mask = _head(rng, cutout) if kind < 0.85 else _oval(rng, cutout)
        if mask is not None and rng.uniform() < 0.7:
            mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.5, 2))), np.uint8)
        canvas.face(cutout, mask, matrix, rng)

    def _mosaic(self, rng: np.random.Generator, canvas: Canvas) -> None:
        """Paste whole pictures side by side: faces in the surroundings that they were photographed in."""
        side = len(canvas.pixels)
        cell = exp(rng.uniform(log(22), log(side)))
        across = min(int(np.ceil(side / cell)) + 1, 6)
        start = rng.uniform(-cell, max(side - across * cell, 0) + 1e-3, 2)
        gap = rng.uniform(0.9, 1.05)
        for row in range(across):
            for column in range(across):
                if rng.uniform() < 0.12:
                    continue
                cutout = self._cutout(rng)
                zoom = cell / cutout.pixels.shape[0] * gap
                linear = np.array([[zoom * rng.choice([-1, 1]), 0], [0, zoom]])
                centre = np.array(cutout.pixels.shape[1::-1]) / 2 - 0.5
                middle = start + (np.array([column, row]) + 0.5) * cell
                matrix = np.column_stack([linear, middle - linear @ centre]).astype(np.float32)
                canvas.face(cutout, None, matrix, rng)

    def _close(self, rng: np.random.Generator, canvas: Canvas) -> None:
        """Paste one large picture that the borders cut."""
        side = len(canvas.pixels)
        size = side * exp(rng.uniform(log(0.3), log(1.15)))
        cutout = self._cutout(rng)
        at = side * rng.uniform(0.1, 0.9, 2) if size < 0.6 * side else side * rng.uniform(0.35, 0.65, 2)
        mask = None if rng.uniform() < 0.6 else cutout.silhouette
        canvas.face(cutout, mask, pose(rng, cutout, at, size, turned=0.6), rng)

    def _things(self, rng: np.random.Generator, canvas: Canvas, most: int) -> None:
        side = len(canvas.pixels)
        for _ in range(int(rng.integers(0, most + 1))):
            at, size = rng.uniform(0, side, 2), exp(rng.uniform(log(10), log(0.7 * side)))
            self._thing(rng, canvas, at, size)

    def _thing(self, rng: np.random.Generator, canvas: Canvas, at: Place, size: float) -> None:
        """Paste a stamp, a limb, or a piece of another picture."""
        kind = rng.uniform()
        mask: Bytes
        if self._scenes.stamps and kind < 0.5:
            stamp = self._scenes.stamps[int(rng.integers(len(self._scenes.stamps)))]
            picture, mask = stamp[..., :3], np.ascontiguousarray(stamp[..., 3])
        elif kind < 0.7:
            drawn = np.full((96, 96, 3), -1, np.float32)
            textures.limbs(rng, drawn, count=2)
            mask = np.where(drawn[..., 0] >= 0, 255, 0).astype(np.uint8)
            picture = np.clip(drawn, 0, 255).astype(np.uint8)
        else:
            whole = self._picture(rng)
            part = int(rng.integers(24, 160))
            top, left = (int(rng.integers(0, max(1, length - part))) for length in whole.shape[:2])
            picture = whole[top : top + part, left : left + part]
            mask = np.zeros((48, 48), np.uint8)
            corners = 24 + rng.uniform(6, 24, (7, 1)) * np.stack(
                [np.cos(a := np.arange(7) * 0.9), np.sin(a)], 1
            )
            cv2.fillPoly(mask, [corners.astype(np.int32)], 255)
        picture = np.ascontiguousarray(picture)
        zoom = size / max(picture.shape[:2])
        linear = rotation(rng.normal(0, 0.4)) * zoom * [rng.choice([-1, 1]), 1]
        centre = np.array(picture.shape[1::-1]) / 2 - 0.5
        canvas.paste(picture, mask, np.column_stack([linear, at - linear @ centre]).astype(np.float32), rng)

    def _faceless(self, rng: np.random.Generator, canvas: Canvas) -> None:
        """Paste people whose face is wholly hidden: hair, clothes and surroundings are not a face."""
        side = len(canvas.pixels)
        for _ in range(int(rng.integers(0, 4))):
            cutout, size = self._cutout(rng), exp(rng.uniform(log(16), log(0.6 * side)))
            if len(cutout.boxes) > 1:
                continue
            if cutout.tight or rng.uniform() < 0.4:
                if size > 24:
                    canvas.paste(
                        shuffled(rng, cutout.pixels),
                        None,
                        pose(rng, cutout, rng.uniform(0, side, 2), size),
                        rng,
                    )
                continue
            matrix = pose(rng, cutout, rng.uniform(0, side, 2), size)
            box = cutout.boxes[0]
            pixels = cutout.pixels.copy()
            cover = self._picture(rng)
            part = int(rng.integers(8, min(cover.shape[:2])))
            top, left = (int(rng.integers(0, length - part + 1)) for length in cover.shape[:2])
            x0, y0, x1, y1 = (int(v) for v in (*np.maximum(box[:2] - 4, 0), *(box[2:] + 5)))
            x1, y1 = min(x1, pixels.shape[1]), min(y1, pixels.shape[0])
            hair = (
                pixels[: max(y0, 6), x0:x1]
                if rng.uniform() < 0.4
                else cover[top : top + part, left : left + part]
            )
            pixels[y0:y1, x0:x1] = cv2.resize(hair, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
            canvas.paste(pixels, None if rng.uniform() < 0.5 else cutout.silhouette, matrix, rng)

    def _cover(self, rng: np.random.Generator, canvas: Canvas) -> None:
        """Put things in front of some faces."""
        for _ in range(int(rng.integers(1, 4))):
            box = canvas.boxes[int(rng.integers(len(canvas.boxes)))]
            extent = box[2:] - box[:2]
            at = (box[:2] + box[2:]) / 2 + rng.normal(0, 0.45, 2) * extent
            self._thing(rng, canvas, at, float(extent.max() * rng.uniform(0.3, 1.3)))

    def _photographed(self, rng: np.random.Generator, pixels: Bytes) -> Bytes:
        """Light, haze, blur, noise and coding, each only sometimes."""
        side = len(pixels)
        if rng.uniform() < 0.6:
            pixels = toned(rng, pixels, 1.0)
        dark = rng.uniform() < 0.2
        if dark:
            ramp = (np.arange(256) / 255) ** rng.uniform(1, 1.6) * rng.uniform(60, 200)
            pixels = np.asarray(cv2.LUT(pixels, ramp.astype(np.uint8)), np.uint8)
        if rng.uniform() < 0.15:
            lift = rng.uniform(10, 70)
            pixels = np.asarray(cv2.convertScaleAbs(pixels, alpha=1 - lift / 255, beta=lift), np.uint8)
        if rng.uniform() < 0.08:
            pixels = np.repeat(
                np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)[..., None], 3, 2
            )
        blur = rng.uniform()
        if blur < 0.2:
            pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.4, 1.6))), np.uint8)
        elif blur < 0.3:
            small = cv2.resize(
                pixels, None, fx=(share := rng.uniform(0.4, 0.9)), fy=share, interpolation=cv2.INTER_AREA
            )
            pixels = np.asarray(cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)
        elif blur < 0.37:
            length = int(rng.integers(3, 10))
            kernel = np.zeros((length, length), np.float32)
            reach = rotation(rng.uniform(0, np.pi)) @ (length / 2, 0)
            middle = (length - 1) / 2
            ends = [(round(middle + sign * reach[0]), round(middle + sign * reach[1])) for sign in (-1, 1)]
            cv2.line(kernel, ends[0], ends[1], 1.0)
            pixels = np.asarray(cv2.filter2D(pixels, -1, kernel / kernel.sum()), np.uint8)
        if rng.uniform() < (0.8 if dark else 0.3):
            top, left = rng.integers(0, 640 - side, 2) if side < 640 else (0, 0)
            grain = self._noise[top : top + side, left : left + side]
            grain = grain if rng.uniform() < 0.5 else grain[..., :1]
            pixels = np.clip(pixels + grain * exp(rng.uniform(log(1.5), log(18))), 0, 255).astype(np.uint8)
        if rng.uniform() < 0.4:
            quality = int(rng.integers(15, 92))
            _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
            pixels = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
        return pixels


def pose(rng: np.random.Generator, cutout: Cutout, at: Place, size: float, *, turned: float = 1.0) -> Floats:
    """Return a matrix (2, 3) that brings the first face to ``at`` with a box about ``size`` px long.

    turned: share of the usual tilts. Now and then the head is narrowed, as one that looks aside.
    """
    box = cutout.boxes[0]
    kind = rng.uniform()
    roll = rng.normal(0, 0.15) if kind < 0.75 else rng.uniform(-0.8, 0.8)
    narrow = rng.uniform(0.55, 1) if rng.uniform() < 0.25 else rng.uniform(0.88, 1.1)
    zoom = size / max(float((box[2:] - box[:2]).max()), 1.0)
    linear = rotation(roll * turned) @ np.diag([zoom * narrow * rng.choice([-1, 1]), zoom])
    return np.column_stack([linear, at - linear @ ((box[:2] + box[2:]) / 2)]).astype(np.float32)


def aside(rng: np.random.Generator, cutout: Cutout) -> Cutout:
    """Return a cutout that looks aside, as far as a flat picture can: one half of it is narrower than the other."""
    height, width = cutout.pixels.shape[:2]
    box = cutout.boxes[0]
    wide = box[2] - box[0]
    split = int(
        np.clip(cutout.points[0, 2, 0], max(box[0] + 0.3 * wide, 2), min(box[2] - 0.3 * wide, width - 2))
    )
    shares = [rng.uniform(0.15, 0.7), rng.uniform(0.75, 1.05)]
    if rng.uniform() < 0.5:
        shares.reverse()
    sizes = [max(2, round(split * shares[0])), max(2, round((width - split) * shares[1]))]
    halves = zip((cutout.pixels[:, :split], cutout.pixels[:, split:]), sizes, strict=True)
    pixels = np.hstack(
        [cv2.resize(half, (size, height), interpolation=cv2.INTER_AREA) for half, size in halves]
    )

    def moved(x: Floats) -> Floats:
        near, far = sizes[0] / split, sizes[1] / (width - split)
        there = np.where(x + 0.5 < split, (x + 0.5) * near, sizes[0] + (x + 0.5 - split) * far)
        return np.asarray(there - 0.5, np.float32)

    # The silhouette is stretched alike: its columns are looked up where they came from.
    columns = np.arange(sum(sizes), dtype=np.float32) + 0.5
    came = np.where(
        columns < sizes[0],
        columns * split / sizes[0],
        split + (columns - sizes[0]) * (width - split) / sizes[1],
    )
    mask = cutout.silhouette[:, np.minimum(came * SILHOUETTE / width, SILHOUETTE - 1).astype(int)]
    boxes, points = cutout.boxes.copy(), cutout.points.copy()
    boxes[:, 0::2], points[..., 0] = moved(boxes[:, 0::2]), moved(points[..., 0])
    silhouette = np.asarray(
        cv2.resize(mask, (SILHOUETTE, SILHOUETTE), interpolation=cv2.INTER_AREA), np.uint8
    )
    return Cutout(np.asarray(pixels, np.uint8), silhouette, boxes, points, cutout.sure, cutout.tight)


def _reach(cutout: Cutout, wide: float, high: float, up: float) -> Floats:
    """Return the distance (SILHOUETTE, SILHOUETTE) from the face's middle, moved up, in half axes of its box."""
    scale = np.tile(SILHOUETTE / np.array(cutout.pixels.shape[1::-1]), 2)
    x0, y0, x1, y1 = cutout.boxes[0] * scale
    rows, columns = np.mgrid[:SILHOUETTE, :SILHOUETTE].astype(np.float32)
    x, y = (columns - (x0 + x1) / 2) / (x1 - x0), (rows - (y0 + y1) / 2) / (y1 - y0) + up
    return np.asarray(np.hypot(2 * x / wide, 2 * y / high), np.float32)


def _oval(rng: np.random.Generator, cutout: Cutout) -> Bytes:
    reach = _reach(cutout, rng.uniform(0.9, 1.6), rng.uniform(1.0, 1.6), rng.uniform(0, 0.12))
    return np.where(reach < 1, 255, 0).astype(np.uint8)


def _head(rng: np.random.Generator, cutout: Cutout) -> Bytes:
    reach = _reach(cutout, rng.uniform(1.5, 2.2), rng.uniform(1.25, 1.6), rng.uniform(0.05, 0.2))
    return np.where(reach < 1, cutout.silhouette, 0).astype(np.uint8)


def _sheet(rng: np.random.Generator) -> Bytes | None:
    """Return nothing, or the mask of a picture whose borders fade."""
    if rng.uniform() < 0.5:
        return None
    edge = np.clip(np.minimum(ramp := np.arange(SILHOUETTE), ramp[::-1]) / rng.uniform(2, 14), 0, 1)
    return (edge[:, None] * edge[None] * 255).astype(np.uint8)


def beside(rng: np.random.Generator, cutout: Cutout) -> Bytes | None:
    """Return a part of the picture beside or below its faces, at least 16 px wide and high, or None."""
    height, width = cutout.pixels.shape[:2]
    (left, _), (right, bottom) = cutout.boxes[:, :2].min(0), cutout.boxes[:, 2:].max(0)
    left, right = int(max(left, 0)), int(min(right + 1, width))
    parts = [
        (int(min(bottom + 1, height)), height, 0, width),
        (0, height, 0, left),
        (0, height, right, width),
    ]
    y0, y1, x0, x1 = parts[int(rng.integers(3))]
    return cutout.pixels[y0:y1, x0:x1] if min(y1 - y0, x1 - x0) >= 16 else None


def shuffled(rng: np.random.Generator, pixels: Bytes) -> Bytes:
    """Return the picture with its squares in another order, none where it was: parts of a face are not a face."""
    count = int(rng.integers(3, 6))
    side = min(pixels.shape[:2]) // count
    squares = pixels[: side * count, : side * count].reshape(count, side, count, side, 3).swapaxes(1, 2)
    order = np.roll(rng.permutation(count**2), 1)
    taken = np.empty_like(squares.reshape(-1, side, side, 3))
    taken[np.roll(order, 1)] = squares.reshape(-1, side, side, 3)[order]
    return np.ascontiguousarray(
        taken.reshape(count, count, side, side, 3).swapaxes(1, 2).reshape(side * count, side * count, 3)
    )


def _body(
    rng: np.random.Generator, canvas: Canvas, cloths: tuple[Bytes, Bytes], cutout: Cutout, matrix: Floats
) -> None:
    """Draw what is under a head: a neck in the colour of the cheeks, clothes, hands and legs."""
    box = cutout.boxes[0]
    side = len(canvas.pixels)
    x0, y0, x1, y1 = (int(v) for v in np.maximum(box, 0))
    cheek = cutout.pixels[(y0 + y1) // 2 : y1, x0 + (x1 - x0) // 4 : x1 - (x1 - x0) // 4]
    tone = cheek.reshape(-1, 3).mean(0) * rng.uniform(0.7, 1) if cheek.size else textures.skin(rng)

    def placed(outline: list[list[float]]) -> npt.NDArray[np.int32]:
        """Points in sizes of the face from its middle -> sixteenths of pixels of the canvas."""
        there = (np.array(outline) * (box[2:] - box[:2]) + (box[:2] + box[2:]) / 2) @ matrix[
            :, :2
        ].T + matrix[:, 2]
        return np.asarray(np.round(there * 16), np.int32)

    def draped(cloth: Bytes, *outlines: npt.NDArray[np.int32]) -> None:
        mask = np.zeros((side, side), np.uint8)
        cv2.fillPoly(mask, list(outlines), 255, cv2.LINE_AA, 4)
        part = int(rng.integers(8, min(cloth.shape[:2])))
        top, left = (int(rng.integers(0, length - part + 1)) for length in cloth.shape[:2])
        fabric = np.asarray(cv2.resize(cloth[top : top + part, left : left + part], (side, side)), np.uint8)
        canvas.paste(fabric, mask, np.array([[1, 0, 0], [0, 1, 0]], np.float32), rng)

    wide, drop, hip = rng.uniform(0.8, 1.5), rng.uniform(0.55, 0.8), rng.uniform(2.6, 3.6)
    flare = wide * rng.uniform(0.8, 1.2)
    if rng.uniform() < 0.5:
        gap, foot = rng.uniform(0, 0.3), hip + rng.uniform(2, 4)
        legs = [
            placed(
                [
                    [sign * gap, hip],
                    [sign * flare, hip - 0.3],
                    [sign * 0.8 * flare, foot],
                    [sign * (gap + 0.1), foot],
                ]
            )
            for sign in (-1, 1)
        ]
        draped(cloths[1], *legs)
    draped(
        cloths[0],
        placed([
            [-0.3, drop], [-0.6 * wide, drop + 0.1], [-wide, drop + 0.4], [-flare, hip],
            [flare, hip], [wide, drop + 0.4], [0.6 * wide, drop + 0.1], [0.3, drop],
        ]),
    )  # fmt: skip
    neck = placed([[-0.28, 0.3], [-0.3, drop], [0, drop + rng.uniform(0.1, 0.5)], [0.3, drop], [0.28, 0.3]])
    cv2.fillPoly(canvas.pixels, [neck], tone.tolist(), cv2.LINE_AA, 4)
    for sign in (-1, 1):
        if rng.uniform() < 0.6:
            x, y = sign * rng.uniform(0, 1.2) * wide, rng.uniform(1.2, hip + 0.3)
            turn = np.arange(12) * np.pi / 6
            a, b, tilt = rng.uniform(0.15, 0.3), rng.uniform(0.2, 0.45), rng.uniform(0, np.pi)
            hand = np.stack([a * np.cos(turn), b * np.sin(turn)], 1) @ rotation(tilt).T + (x, y)
            cv2.fillPoly(
                canvas.pixels,
                [placed(hand.tolist())],
                (tone * rng.uniform(0.8, 1.1)).tolist(),
                cv2.LINE_AA,
                4,
            )
