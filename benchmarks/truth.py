"""Ground truth of faces in clips: hulls, what is visible of them, and bounds on rates. Pure functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from skimage.draw import polygon as polygon_pixels

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

BINS: tuple[float, ...] = (12, 20, 40, 80, 160, 400)
HULL_POINTS = 40
OUTLINE_POINTS = 48
COVERED = 0.99
"""A face-frame is covered when at least this share of the visible pixels of its hull were altered."""
VISIBLE = 0.40
"""A face-frame counts when at least this share of its hull lies in the frame and behind nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Where every face of a clip is, in pixels of the upright frame (pixel centres at integers).

    One row per thing per frame, ordered by frame and, within a frame, from the back to the front. frame,
    actor: (N,) int64; actor -1 is an occluding object. size: (N,) height of the face box in px, brow line and
    forehead to chin as detectors and WIDER FACE draw it. hulls: (N, 40, 2), brow to chin and ear to ear; NaN
    for objects. outlines: (N, 48, 2), the silhouette that hides what is behind it. visible: (N,) share of the
    hull's area that is in the frame and not behind something. frames: length of the clip.
    """

    hazard: str
    width: int
    height: int
    frames: int
    frame: npt.NDArray[np.int64]
    actor: npt.NDArray[np.int64]
    size: Floats
    hulls: Floats
    outlines: Floats
    visible: Floats

    @property
    def counted(self) -> Mask:
        """(N,) rows that must be covered."""
        return (self.actor >= 0) & (self.visible >= VISIBLE)

    def save(self, path: Path) -> None:
        """Write the truth to ``path`` (.npz)."""
        np.savez_compressed(
            path,
            hazard=np.array(self.hazard),
            shape=np.array([self.width, self.height, self.frames]),
            frame=self.frame,
            actor=self.actor,
            size=self.size,
            hulls=self.hulls.astype(np.float32),
            outlines=self.outlines.astype(np.float32),
            visible=self.visible,
        )

    @classmethod
    def load(cls, path: Path) -> Truth:
        """Read what ``save`` wrote."""
        with np.load(path) as data:
            width, height, frames = (int(value) for value in data["shape"])
            return cls(
                str(data["hazard"]),
                width,
                height,
                frames,
                data["frame"],
                data["actor"],
                data["size"],
                data["hulls"].astype(np.float64),
                data["outlines"].astype(np.float64),
                data["visible"],
            )


def resample(polygon: Floats, count: int) -> Floats:
    """Return ``count`` points at equal distances along the closed polygon (N, 2)."""
    closed = np.vstack([polygon, polygon[:1]])
    steps = np.linalg.norm(np.diff(closed, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    at = np.linspace(0, along[-1], count, endpoint=False)
    return np.stack([np.interp(at, along, closed[:, axis]) for axis in (0, 1)], axis=1)


def area(polygon: Floats) -> float:
    """Return the area in px of a polygon (N, 2), by the shoelace formula."""
    x, y = polygon[:, 0], polygon[:, 1]
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def raster(polygon: Floats, height: int, width: int) -> tuple[slice, slice, Mask]:
    """Return the window (rows, columns) of the polygon and the mask of pixels whose centre is inside."""
    x0, y0 = np.maximum(np.floor(polygon.min(0)).astype(int), 0)
    x1, y1 = np.ceil(polygon.max(0)).astype(int) + 1
    x1, y1 = min(int(x1), width), min(int(y1), height)
    if x1 <= x0 or y1 <= y0:
        return slice(0, 0), slice(0, 0), np.zeros((0, 0), bool)
    mask = np.zeros((y1 - y0, x1 - x0), bool)
    rows, columns = polygon_pixels(polygon[:, 1] - y0, polygon[:, 0] - x0, mask.shape)
    mask[rows, columns] = True
    return slice(int(y0), y1), slice(int(x0), x1), mask


def visible_hulls(
    hulls: Floats, outlines: Floats, height: int, width: int
) -> list[tuple[slice, slice, Mask, float]]:
    """Return for each thing of one frame, back to front, the window and mask of its hull that can be seen.

    The last value is the visible share of the whole hull's area, parts outside the frame included. Things
    without a hull (NaN) get an empty mask and 0, but hide what is behind them.
    """
    hidden = np.zeros((height, width), bool)
    out: list[tuple[slice, slice, Mask, float]] = []
    for hull, outline in zip(hulls[::-1], outlines[::-1], strict=True):
        if np.isnan(hull).any():
            out.append((slice(0, 0), slice(0, 0), np.zeros((0, 0), bool), 0.0))
        else:
            rows, columns, mask = raster(hull, height, width)
            mask = mask & ~hidden[rows, columns]
            share = min(1.0, float(mask.sum()) / max(area(hull), 1e-9))
            out.append((rows, columns, mask, share))
        rows, columns, mask = raster(outline, height, width)
        hidden[rows, columns] |= mask
    return out[::-1]


def size_bin(size: float) -> str:
    """Return the label of the bin of a face of ``size`` px; sizes beyond the ends go to the end bins."""
    last = len(BINS) - 2
    index = min(max(int(np.searchsorted(BINS, size, side="right")) - 1, 0), last)
    return f"{BINS[index]:g}-{BINS[index + 1]:g}"


def bin_labels() -> list[str]:
    """Return the labels of the size bins, smallest first."""
    return [f"{low:g}-{high:g}" for low, high in pairwise(BINS)]


def wilson(events: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the two-sided 95 % Wilson score interval of a rate (Wilson 1927); (0, 1) without trials."""
    if trials == 0:
        return 0.0, 1.0
    rate = events / trials
    scale = 1 + z * z / trials
    centre = (rate + z * z / (2 * trials)) / scale
    half = z * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials)) / scale
    return (0.0 if events == 0 else max(0.0, centre - half)), (1.0 if events == trials else centre + half)


def rate(events: int, trials: int) -> dict[str, float | int]:
    """Return events, trials, their ratio and the ends of its 95 % Wilson interval, ready for JSON."""
    low, high = wilson(events, trials)
    share = events / trials if trials else 0.0
    return {
        "events": events,
        "trials": trials,
        "rate": round(share, 6),
        "low95": round(low, 6),
        "high95": round(high, 6),
    }


def iou(first: Floats, second: Floats) -> Floats:
    """Return the intersection over union (N, M) of boxes (N, 4) and (M, 4) as x0, y0, x1, y1."""
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    far = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(far - corner, 0, None).prod(-1)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(-1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - shared
    return shared / np.maximum(union, 1e-12)
