"""Pixels of single faces: cut out of the original, packed without loss, and laid back into the published picture."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from incog.errors import InputError, VaultError
from incog.media import decode
from incog.media.encode import png_bytes
from incog.types import Array, Face, Floats, Frame, Layout

Mask = npt.NDArray[np.bool_]
Box = tuple[int, int, int, int]

_MARGIN: Final = 8
"""Pixels around a face that go with it where the picture is coded with loss: as far as a block of JPEG smears."""

_LOSSLESS: Final = {".png", ".tiff", ".bmp"}

_HEAD: Final = struct.Struct(">HIII")
_LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A face. number: from 1, left to right. x, y: its upper left corner. mask: (H, W) bool, which of the pixels from
    there belong to it. png: their samples as a PNG file, 0 where the mask is False; empty where only the place counts.
    """

    number: int
    x: int
    y: int
    mask: Mask
    png: bytes = b""

    @property
    def box(self) -> Box:
        """x, y, width and height in pixels."""
        return self.x, self.y, self.mask.shape[1], self.mask.shape[0]

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the picture that the patch covers."""
        height, width = self.mask.shape
        return slice(self.y, self.y + height), slice(self.x, self.x + width)


Rows = npt.NDArray[np.intp]

WITHIN = 1.6
"""Squared distance from a face's middle, in half axes of its box, up to which a place is its own: a quarter farther
than the box, as masks reach."""


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """A photo as it was, and where it was changed."""

    before: Frame
    patches: tuple[Patch, ...]

    @classmethod
    def between(cls, before: Frame, after: Frame, faces: Sequence[Face], suffix: str) -> Self:
        """Compare a photo with what will be written of it. suffix: of the published file, which tells its format."""
        margin = 0 if suffix in _LOSSLESS else _MARGIN
        return cls(before, tuple(outlined(before, after, faces, margin=margin)))


def outlined(before: Frame, after: Frame, faces: Sequence[Face], *, margin: int = 0) -> list[Patch]:
    """Return where a photo was changed, each pixel in the patch of one face: of the smallest in whose outline it lies,
    else of the one to whose centre it is nearest, in half axes of the box. margin: pixels that are added around, where
    no other face has them. Without ``png``.
    """
    old, new = decode.joined(before.planes), decode.joined(after.planes)
    changed = old != new
    changed = changed.any(axis=-1) if changed.ndim == 3 else changed
    if not faces or not changed.any():
        return []
    rows, columns = np.nonzero(_grown(changed, margin))
    nearest = np.zeros(len(rows), np.intp)
    least = np.full(len(rows), np.inf, np.float32)
    ordered = sorted(faces, key=lambda face: face.centre)
    for place, face in enumerate(ordered):
        distance = _distance(face, columns, rows)
        closer = distance < least
        nearest[closer], least[closer] = place, distance[closer]
    # Half axes of a large face are long: without this the rim of a small one beside it were the large one's.
    for place in sorted(range(len(ordered)), key=lambda place: -ordered[place].width * ordered[place].height):
        nearest[_distance(ordered[place], columns, rows) <= WITHIN] = place
    found: list[Patch] = []
    for place in range(len(ordered)):
        mine = nearest == place
        if not mine.any():
            continue
        x, y = int(columns[mine].min()), int(rows[mine].min())
        mask = np.zeros((int(rows[mine].max()) - y + 1, int(columns[mine].max()) - x + 1), np.bool_)
        mask[rows[mine] - y, columns[mine] - x] = True
        found.append(Patch(len(found) + 1, x, y, mask))
    return found


def _distance(face: Face, columns: Rows, rows: Rows) -> Floats:
    """Return the squared distances of places from the middle of a face, in half axes of its box."""
    x, y = face.centre
    across, down = (columns - x) / (face.width / 2), (rows - y) / (face.height / 2)
    return np.asarray(across**2 + down**2, np.float32)


def cut(frame: Frame, patch: Patch) -> Patch:
    """Return the patch with its samples from a frame. Raises VaultError when it does not lie in it."""
    _check_place(frame, patch)
    window = decode.joined(frame.planes)[patch.window].copy()
    window[~patch.mask] = 0
    return replace(patch, png=png_bytes(window, frame.layout))


def laid(frame: Frame, patches: Sequence[Patch]) -> Frame:
    """Return the frame with the samples of patches in it. Raises VaultError when they do not fit."""
    pixels = decode.joined(frame.planes).copy()
    for patch in patches:
        _check_place(frame, patch)
        samples = _samples(patch, frame.layout)
        pixels[patch.window][patch.mask] = samples[patch.mask]
    return replace(frame, planes=decode.planes(pixels, frame.layout))


def pack(patches: Sequence[Patch]) -> bytes:
    """Return patches as bytes."""
    parts: list[bytes] = []
    for patch in patches:
        buffer = io.BytesIO()
        Image.fromarray(patch.mask).save(buffer, "PNG")
        mask = buffer.getvalue()
        parts += [
            _HEAD.pack(patch.number, patch.x, patch.y, len(mask)),
            mask,
            _LENGTH.pack(len(patch.png)),
            patch.png,
        ]
    return b"".join(parts)


def unpack(data: bytes) -> list[Patch]:
    """Return the patches that ``pack`` packed. Raises VaultError when the bytes are something else."""
    found, at = list[Patch](), 0
    try:
        while at < len(data):
            number, x, y, size = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            mask = decode.open_picture(data[at : at + size], "png")
            at += size
            (length,) = _LENGTH.unpack_from(data, at)
            at += _LENGTH.size
            with decode.parsing("PNG"):
                found.append(Patch(number, x, y, np.array(mask.convert("1")), data[at : at + length]))
            if at + length > len(data):
                break
            at += length
    except (struct.error, InputError) as error:
        raise VaultError(f"the vault holds faces that cannot be read: {error}") from None
    if at != len(data):
        raise VaultError("the vault holds faces that cannot be read: they are cut off")
    return found


def _grown(changed: Mask, margin: int) -> Mask:
    if not margin:
        return changed
    side = 2 * margin + 1
    return cv2.dilate(changed.astype(np.uint8), np.ones((side, side), np.uint8)).astype(np.bool_)


def _check_place(frame: Frame, patch: Patch) -> None:
    x, y, width, height = patch.box
    if x + width > frame.width or y + height > frame.height:
        raise VaultError(
            f"the faces lie outside of the picture of {frame.width} x {frame.height} pixels: it is another one"
        )


def _samples(patch: Patch, layout: Layout) -> Array:
    """Return the samples of a patch, laid out as those of the picture that they are to lie in."""
    with decode.parsing("PNG"):
        pixels, found = decode.samples(decode.open_picture(patch.png, "png"), [])
        deep = decode.sixteen_bit(patch.png, pixels) if layout.depth > 8 and found.depth == 8 else None
    if deep is not None:
        pixels, found = deep, replace(found, depth=16)
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if layout.kind == "grey" and channels > 2:
        # grey with alpha and 16 bits is packed as colours, all three alike
        pixels = pixels[..., [0, 3]]
    if not layout.alpha and channels in {2, 4}:
        pixels = pixels[..., :-1] if channels == 4 else pixels[..., 0]
    if (pixels.shape, found.depth) != (patch.mask.shape + _channels(layout), layout.depth):
        raise VaultError("the faces are of other samples than the picture: it is another one")
    return pixels


def _channels(layout: Layout) -> tuple[int, ...]:
    count = (1 if layout.kind == "grey" else 3) + layout.alpha
    return (count,) if count > 1 else ()
