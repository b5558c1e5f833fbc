"""Between libav's pictures and planes of samples: layouts, pixel formats, orientation. No state, no files."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum
from typing import cast

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace

from incog.types import Array, Layout

_YUV = re.compile(r"yuv(?P<mark>[aj]?)(?P<chroma>4\d\d)p(?P<depth>9|10|12|14|16)?(le)?")
_GREY = re.compile(r"gray(?P<depth>9|10|12|14|16)?(le)?")
_GBR = re.compile(r"gbr(?P<mark>a?)p(?P<depth>9|10|12|14|16)?(le)?")
_SHIFTS = {"420": (1, 1), "422": (1, 0), "444": (0, 0), "440": (0, 1), "411": (2, 0), "410": (2, 2)}
_CHROMA = {shifts: name for name, shifts in _SHIFTS.items()}

# Interleaved formats: samples per pixel, and where red, green, blue (or grey) and alpha stand.
_PACKED = {
    "rgb24": (3, (0, 1, 2)),
    "bgr24": (3, (2, 1, 0)),
    "rgba": (4, (0, 1, 2, 3)),
    "bgra": (4, (2, 1, 0, 3)),
    "argb": (4, (1, 2, 3, 0)),
    "abgr": (4, (3, 2, 1, 0)),
    "rgb0": (4, (0, 1, 2)),
    "bgr0": (4, (2, 1, 0)),
    "0rgb": (4, (1, 2, 3)),
    "0bgr": (4, (3, 2, 1)),
    "rgb48le": (3, (0, 1, 2)),
    "bgr48le": (3, (2, 1, 0)),
    "rgba64le": (4, (0, 1, 2, 3)),
    "bgra64le": (4, (2, 1, 0, 3)),
    "ya8": (2, (0, 1)),
    "ya16le": (2, (0, 1)),
}

# Formats that hold the same samples in another order or packing: the planar one that loses nothing.
_UNPACKED = {
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv16": "yuv422p",
    "nv24": "yuv444p",
    "nv42": "yuv444p",
    "nv20le": "yuv422p10le",
    "p010le": "yuv420p10le",
    "p012le": "yuv420p12le",
    "p016le": "yuv420p16le",
    "p210le": "yuv422p10le",
    "p212le": "yuv422p12le",
    "p216le": "yuv422p16le",
    "p410le": "yuv444p10le",
    "p412le": "yuv444p12le",
    "p416le": "yuv444p16le",
    "yuyv422": "yuv422p",
    "uyvy422": "yuv422p",
    "yvyu422": "yuv422p",
    "uyyvyy411": "yuv411p",
    "y210le": "yuv422p10le",
    "y212le": "yuv422p12le",
    "vuyx": "yuv444p",
    "vuya": "yuva444p",
    "ayuv": "yuva444p",
    "xv30le": "yuv444p10le",
    "xv36le": "yuv444p12le",
    "ayuv64le": "yuva444p16le",
    "monob": "gray",
    "monow": "gray",
    "pal8": "rgb24",
}


class Turn(Enum):
    """How a stored picture becomes upright; the value is OpenCV's code, or what ``upright`` does."""

    NONE = "as stored"
    RIGHT = "turned by 90 degrees clockwise"
    HALF = "turned by 180 degrees"
    LEFT = "turned by 90 degrees counter-clockwise"
    MIRROR = "mirrored left to right"
    FLIP = "mirrored top to bottom"
    TRANSPOSE = "mirrored along the main diagonal"
    TRANSVERSE = "mirrored along the other diagonal"

    @property
    def swaps(self) -> bool:
        """Whether width and height change places."""
        return self in (Turn.RIGHT, Turn.LEFT, Turn.TRANSPOSE, Turn.TRANSVERSE)


_TURNS: dict[tuple[int, ...], Turn] = {
    (1, 0, 0, 1): Turn.NONE,
    (0, 1, -1, 0): Turn.RIGHT,
    (-1, 0, 0, -1): Turn.HALF,
    (0, -1, 1, 0): Turn.LEFT,
    (-1, 0, 0, 1): Turn.MIRROR,
    (1, 0, 0, -1): Turn.FLIP,
    (0, 1, 1, 0): Turn.TRANSPOSE,
    (0, -1, -1, 0): Turn.TRANSVERSE,
}


def turn_of(matrix: bytes) -> Turn | None:
    """Return what a display matrix (nine native int32, row by row) asks for; None if no multiple of 90°."""
    a, b, _, c, d = (float(value) for value in np.frombuffer(matrix[:20], dtype=np.int32))
    largest = max(abs(a), abs(b), abs(c), abs(d))
    if not largest:
        return Turn.NONE
    signs = tuple(0 if abs(value) < 0.01 * largest else (1 if value > 0 else -1) for value in (a, b, c, d))
    return _TURNS.get(signs)


def upright(samples: Array, turn: Turn) -> Array:
    """Return a contiguous, writable copy of ``samples`` (H, W) or (H, W, 3), turned as ``turn`` says."""
    if turn is Turn.NONE:
        return samples.copy()
    plane = cast(npt.NDArray[np.integer], samples)
    match turn:
        case Turn.RIGHT:
            return cv2.rotate(plane, cv2.ROTATE_90_CLOCKWISE)
        case Turn.HALF:
            return cv2.rotate(plane, cv2.ROTATE_180)
        case Turn.LEFT:
            return cv2.rotate(plane, cv2.ROTATE_90_COUNTERCLOCKWISE)
        case Turn.MIRROR:
            return cv2.flip(plane, 1)
        case Turn.FLIP:
            return cv2.flip(plane, 0)
        case Turn.TRANSPOSE:
            return cv2.transpose(plane)
        case Turn.TRANSVERSE:
            return cv2.flip(cv2.transpose(plane), -1)


def layout_of(name: str) -> Layout | None:
    """Return the layout of a pixel format that planes can hold as it is, else None."""
    if found := _YUV.fullmatch(name):
        shift_x, shift_y = _SHIFTS[found["chroma"]]
        return Layout(
            "yuv",
            int(found["depth"] or 8),
            alpha=found["mark"] == "a",
            shift_x=shift_x,
            shift_y=shift_y,
            full_range=found["mark"] == "j",
        )
    if found := _GREY.fullmatch(name):
        return Layout("grey", int(found["depth"] or 8))
    if found := _GBR.fullmatch(name):
        return Layout("rgb", int(found["depth"] or 8), alpha=found["mark"] == "a")
    if name in _PACKED:
        depth = 16 if name.endswith("le") else 8
        order = _PACKED[name][1]
        return Layout("grey" if len(order) == 2 else "rgb", depth, alpha=len(order) % 2 == 0)
    return None


def exists(name: str) -> bool:
    """Whether libav knows a pixel format of this name."""
    try:
        av.VideoFormat(name)
    except ValueError:
        return False
    return True


def format_for(layout: Layout) -> str:
    """Return the pixel format that holds ``layout`` sample by sample; it need not exist (see ``exists``)."""
    deep = "" if layout.depth == 8 else f"{layout.depth}le"
    if layout.kind == "yuv":
        chroma = _CHROMA.get((layout.shift_x, layout.shift_y), "4xx")
        return f"yuv{'a' if layout.alpha else ''}{chroma}p{deep}"
    if layout.kind == "grey":
        if layout.alpha:
            return "ya8" if layout.depth == 8 else "ya16le"
        return f"gray{deep}"
    if layout.depth == 8:
        return "rgba" if layout.alpha else "rgb24"
    return f"gbr{'a' if layout.alpha else ''}p{deep}"


def readable(name: str, turn: Turn) -> str:
    """Return the pixel format that a picture of format ``name`` is read as: ``name`` itself where planes can
    hold it.

    Everything else becomes the nearest planar format of no smaller depth and no coarser chroma.
    """
    if name.endswith("be"):
        little = name[:-2] + "le"
        name = little if exists(little) else name
    name = _UNPACKED.get(name, name)
    layout = layout_of(name)
    if layout is None:
        parts = av.VideoFormat(name).components
        deep = max(part.bits for part in parts) > 8
        alpha = "a" if any(part.is_alpha for part in parts) else ""
        family = f"gbr{alpha}p" if av.VideoFormat(name).is_rgb else f"yuv{alpha}444p"
        return f"{family}16le" if deep else family
    if turn.swaps and not exists(format_for(swapped(layout))):
        return format_for(replace(layout, shift_x=0, shift_y=0))
    return name


def swapped(layout: Layout) -> Layout:
    """Return the layout after a turn by 90 degrees: the two chroma shifts change places."""
    return replace(layout, shift_x=layout.shift_y, shift_y=layout.shift_x)


def _samples(plane: av.video.plane.VideoPlane, dtype: np.dtype[np.generic], per_pixel: int) -> Array:
    """Return a view (H, W * per_pixel) of the samples of a libav plane, without the padding of its lines."""
    line = plane.line_size
    # The stubs of PyAV cannot say that a plane offers its buffer before Python 3.12.
    rows: Array = np.frombuffer(cast(memoryview, plane), dtype=np.uint8).reshape(plane.height, abs(line))
    samples = rows[:, : plane.width * per_pixel * dtype.itemsize].view(dtype)
    return samples[::-1] if line < 0 else samples


def read_planes(frame: av.VideoFrame, turn: Turn) -> tuple[Array, ...]:
    """Return upright, writable copies of the samples of ``frame``, whose format is one of ``readable``'s.

    The planes are those of ``layout_of(frame.format.name)``, swapped where ``turn`` swaps.
    """
    name = frame.format.name
    layout = layout_of(name)
    if layout is None:
        raise ValueError(f"the pixel format must be one that planes can hold, got {name!r}")
    if name in _PACKED:
        per_pixel, order = _PACKED[name]
        pixels = _samples(frame.planes[0], layout.dtype, per_pixel).reshape(
            frame.height, frame.width, per_pixel
        )
        if name == "rgb24":
            return (upright(pixels, turn),)
        if layout.kind == "grey":
            return tuple(upright(np.ascontiguousarray(pixels[..., channel]), turn) for channel in order)
        colours = upright(np.ascontiguousarray(pixels[..., list(order[:3])]), turn)
        if not layout.alpha:
            return (colours,)
        return colours, upright(np.ascontiguousarray(pixels[..., order[3]]), turn)
    planes = [_samples(plane, layout.dtype, 1) for plane in frame.planes]
    if layout.kind == "rgb":
        green, blue, red = planes[:3]
        planes = [np.stack((red, green, blue), axis=-1), *planes[3:]]
    return tuple(upright(plane, turn) for plane in planes)


def write_planes(planes: tuple[Array, ...], layout: Layout) -> av.VideoFrame:
    """Return a libav picture of format ``format_for(layout)`` with the samples of ``planes``."""
    name = format_for(layout)
    height, width = planes[0].shape[:2]
    frame = av.VideoFrame(width, height, name)
    if name in _PACKED:
        per_pixel, order = _PACKED[name]
        pixels = _samples(frame.planes[0], layout.dtype, per_pixel).reshape(height, width, per_pixel)
        if len(planes) == 1:
            pixels[...] = planes[0]
        else:
            pixels[..., list(order[:-1])] = planes[0].reshape(height, width, -1)
            pixels[..., order[-1]] = planes[1]
        return frame
    if layout.kind == "rgb":
        colours = planes[0]
        planes = (colours[..., 1], colours[..., 2], colours[..., 0], *planes[1:])
    for target, plane in zip(frame.planes, planes, strict=True):
        _samples(target, layout.dtype, 1)[...] = plane
    return frame


_SPACES = {
    "bt601": Colorspace.ITU601,
    "bt709": Colorspace.ITU709,
    "bt2020": Colorspace.BT2020,
}


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a picture of one layout becomes one of another pixel format, colours kept."""

    target: str
    source: Layout
    full_range: bool

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        if frame.format.name == self.target:
            return frame
        space = _SPACES[self.source.matrix]
        full = self.source.full_range or self.source.kind != "yuv"
        return frame.reformat(
            format=self.target,
            src_colorspace=space,
            dst_colorspace=space,
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG if self.full_range else ColorRange.MPEG,
        )
