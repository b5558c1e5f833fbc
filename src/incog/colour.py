"""Between a frame's native samples and R'G'B', for whole frames (perception) and for regions (rendering).

Only the samples that a mask touches are ever converted and written; all others stay as they were decoded.
"""

from __future__ import annotations

import cv2
import numpy as np

from incog.types import Array, Bytes, Floats, Frame, Layout

Region = tuple[int, int, int, int]
"""x0, y0, x1, y1 in whole pixels, the end excluded, inside the frame."""

_LUMA = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
"""Weights of red and blue in luma (ITU-R BT.601, BT.709, BT.2020)."""


def _samples(plane: Array, layout: Layout, *, chroma: bool) -> Floats:
    """Return samples as float32: luma and R'G'B' in 0..1, chroma in -0.5..0.5 (unclipped beyond the legal range)."""
    unit = np.float32(1 << (layout.depth - 8))
    values: Floats = plane.astype(np.float32)
    if layout.kind == "yuv" and not layout.full_range:
        return (values - 128 * unit) / (224 * unit) if chroma else (values - 16 * unit) / (219 * unit)
    if chroma:
        return (values - 128 * unit) / np.float32(layout.maximum)
    return values / np.float32(layout.maximum)


def _quantise(values: Floats, layout: Layout, *, chroma: bool) -> Floats:
    """Return float32 values back on the sample scale, before rounding: the inverse of ``_samples``."""
    unit = 1 << (layout.depth - 8)
    if layout.kind == "yuv" and not layout.full_range:
        return values * (224 * unit) + 128 * unit if chroma else values * (219 * unit) + 16 * unit
    if chroma:
        return values * layout.maximum + 128 * unit
    return values * layout.maximum


def align(region: Region, frame: Frame) -> Region:
    """Return the region grown to whole chroma samples and cut to the frame; it may come out empty."""
    x0, y0, x1, y1 = region
    step_x, step_y = 1 << frame.layout.shift_x, 1 << frame.layout.shift_y
    return (
        max(x0, 0) // step_x * step_x,
        max(y0, 0) // step_y * step_y,
        min(-(-max(x1, 0) // step_x) * step_x, frame.width),
        min(-(-max(y1, 0) // step_y) * step_y, frame.height),
    )


def _chroma(region: Region, layout: Layout) -> tuple[slice, slice]:
    x0, y0, x1, y1 = region
    sx, sy = layout.shift_x, layout.shift_y
    return slice(y0 >> sy, -(-y1 >> sy)), slice(x0 >> sx, -(-x1 >> sx))


def rgb(frame: Frame, region: Region | None = None) -> Floats:
    """Return R'G'B' of a region that ``align`` gave (default: all) as (h, w, 3) float32 in 0..1."""
    x0, y0, x1, y1 = region or (0, 0, frame.width, frame.height)
    layout = frame.layout
    first = _samples(frame.planes[0][y0:y1, x0:x1], layout, chroma=False)
    if layout.kind == "rgb":
        return first
    if layout.kind == "grey":
        return np.repeat(first[..., None], 3, axis=2)
    rows, columns = _chroma((x0, y0, x1, y1), layout)
    blue, red = (_samples(plane[rows, columns], layout, chroma=True) for plane in frame.planes[1:3])
    if blue.shape != first.shape:
        step = 1 << layout.shift_x, 1 << layout.shift_y
        size = blue.shape[1] * step[0], blue.shape[0] * step[1]
        blue, red = (
            np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR), np.float32)[
                : first.shape[0], : first.shape[1]
            ]
            for plane in (blue, red)
        )
    weight_red, weight_blue = _LUMA[layout.matrix]
    weight_green = 1 - weight_red - weight_blue
    r = first + 2 * (1 - weight_red) * red
    b = first + 2 * (1 - weight_blue) * blue
    g = (first - weight_red * r - weight_blue * b) / weight_green
    return np.asarray(np.clip(np.stack([r, g, b], axis=2), 0, 1), dtype=np.float32)


def rgb8(frame: Frame, region: Region | None = None) -> Bytes:
    """Return the picture, or a region that ``align`` gave, as (h, w, 3) uint8 R'G'B', for perception."""
    layout = frame.layout
    x0, y0, x1, y1 = region or (0, 0, frame.width, frame.height)
    if layout.kind == "rgb" and layout.depth == 8:
        return np.ascontiguousarray(frame.planes[0][y0:y1, x0:x1], dtype=np.uint8)
    halved = layout.depth == 8 and layout.shift_x == layout.shift_y == 1 and layout.kind == "yuv"
    if halved and not ((x1 - x0) | (y1 - y0)) & 1:
        # One pass in OpenCV; its BT.601 limited range is near enough for a detector, and ten times faster.
        rows, columns = _chroma((x0, y0, x1, y1), layout)
        packed = np.concatenate(
            [
                frame.planes[0][y0:y1, x0:x1].ravel(),
                frame.planes[1][rows, columns].ravel(),
                frame.planes[2][rows, columns].ravel(),
            ]
        ).reshape((y1 - y0) * 3 // 2, x1 - x0)
        return np.asarray(cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_I420), dtype=np.uint8)
    return np.rint(rgb(frame, (x0, y0, x1, y1)) * 255).astype(np.uint8)


def appearances(frame: Frame, region: Region | None = None) -> list[Bytes]:
    """Return the picture as it may be seen, each as ``rgb8`` does: as stored, and, where transparency varies, over
    white and over black too. A face may show in the stored colours, in the transparency, or in both."""
    stored = rgb8(frame, region)
    if not frame.layout.alpha:
        return [stored]
    x0, y0, x1, y1 = region or (0, 0, frame.width, frame.height)
    alpha = frame.planes[-1][y0:y1, x0:x1]
    if alpha.size == 0 or alpha.min() == alpha.max():
        return [stored]
    share = (alpha.astype(np.float32) / np.float32(frame.layout.maximum))[..., None]
    return [
        stored,
        *(np.rint(stored * share + (1 - share) * ground).astype(np.uint8) for ground in (255, 0)),
    ]


def luma8(frame: Frame) -> Bytes:
    """Return brightness as (H, W) uint8, for tracking."""
    plane = frame.planes[0]
    if frame.layout.kind == "rgb":
        return np.asarray(cv2.cvtColor(rgb8(frame), cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    if frame.layout.depth > 8:
        return np.right_shift(plane.astype(np.uint16), frame.layout.depth - 8).astype(np.uint8)
    return np.asarray(plane, dtype=np.uint8)


def blend(frame: Frame, region: Region, pixels: Floats, weight: Floats) -> None:
    """Write new pixels into a region of the frame's own planes, in place.

    region: as ``align`` gave it, (h, w) large. pixels: (h, w, 3) float32 R'G'B' in 0..1. weight: (h, w) float32 in
    0..1; where it is 1 nothing of the old sample is left, where it is 0 the sample is not touched. A chroma
    sample takes the largest weight of the pixels that it belongs to. Transparency becomes opaque by the same weight:
    it can hold a face too.
    """
    x0, y0, x1, y1 = region
    layout = frame.layout
    if layout.alpha:
        _mix(frame.planes[-1][y0:y1, x0:x1], np.full_like(weight, layout.maximum), weight, layout)
    if layout.kind == "rgb":
        _mix(
            frame.planes[0][y0:y1, x0:x1], _quantise(pixels, layout, chroma=False), weight[..., None], layout
        )
        return
    weight_red, weight_blue = _LUMA[layout.matrix] if layout.kind == "yuv" else _LUMA["bt601"]
    luma = pixels @ np.array([weight_red, 1 - weight_red - weight_blue, weight_blue], dtype=np.float32)
    _mix(frame.planes[0][y0:y1, x0:x1], _quantise(luma, layout, chroma=False), weight, layout)
    if layout.kind == "grey":
        return
    rows, columns = _chroma(region, layout)
    coarse = _pool(weight, layout, np.maximum)
    for plane, channel, share in ((1, 2, weight_blue), (2, 0, weight_red)):
        difference = (pixels[..., channel] - luma) / np.float32(2 * (1 - share))
        new = _quantise(_pool(difference, layout, np.add), layout, chroma=True)
        _mix(frame.planes[plane][rows, columns], new, coarse, layout)


def _pool(plane: Floats, layout: Layout, how: np.ufunc) -> Floats:
    """Return one value per chroma sample: the sum's mean or the maximum over its pixels, edges repeated."""
    step_x, step_y = 1 << layout.shift_x, 1 << layout.shift_y
    if step_x == step_y == 1:
        return plane
    height, width = plane.shape
    padded = np.pad(plane, ((0, -height % step_y), (0, -width % step_x)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // step_y, step_y, padded.shape[1] // step_x, step_x)
    pooled = how.reduce(how.reduce(blocks, axis=3), axis=1)
    return np.asarray(pooled / (step_x * step_y) if how is np.add else pooled, dtype=np.float32)


def _mix(target: Array, new: Floats, weight: Floats, layout: Layout) -> None:
    old = target.astype(np.float32)
    # In this form weight 1 gives ``new`` exactly; old + (new - old) * weight rounds, and so depends on ``old``.
    mixed = np.clip(np.rint(old * (1 - weight) + new * weight), 0, layout.maximum).astype(target.dtype)
    # Rounding may move a sample even at weight 0 when ``new`` is not finite; the mask decides alone.
    np.copyto(target, mixed, where=weight > 0)
