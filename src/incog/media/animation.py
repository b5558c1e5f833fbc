"""Animations, written one frame at a time: every frame of the source, at its own time, in constant memory.

The writers of the libraries merge frames that look alike and hold all frames at once; here each frame, or the part of
it that changed, is coded as a picture by itself and wrapped in the container's own records.
"""

from __future__ import annotations

import io
import struct
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import IO, Final, Protocol

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

from incog.media import containers
from incog.media.encode import (
    avif_options,
    picture,
    png_bytes,
    png_chunk,
    png_extras,
    webp_options,
    write_tiff_page,
)
from incog.media.metadata import exif_block
from incog.media.traits import Traits
from incog.types import Array, Layout

Box = tuple[int, int, int, int]


class AnimationWriter(Protocol):
    """Takes frames in order, as arrays like ``decode.samples`` returns them, and makes a file of them."""

    def add(self, pixels: Array, layout: Layout, time: Fraction) -> None:
        """Append a frame that is shown from ``time`` seconds on. Raises OSError."""

    def finish(self) -> None:
        """Complete the file. Raises OSError."""

    def release(self) -> None:
        """Give up an unfinished file: closes what is open."""


def open_writer(path: Path, traits: Traits, size: tuple[int, int], quality: int | None) -> AnimationWriter:
    """Return the writer for ``traits.format``: gif, png, webp, avif or tiff. size: width and height in pixels.

    Raises OSError when ``path`` cannot be opened for writing.
    """
    file = path.open("w+b")
    writers: dict[str, Callable[[], AnimationWriter]] = {
        "gif": lambda: GifWriter(file, traits, size),
        "png": lambda: ApngWriter(file, traits),
        "webp": lambda: WebpWriter(file, traits, size, quality),
        "avif": lambda: AvifWriter(file, traits, quality, path.parent),
        "tiff": lambda: TiffWriter(file, traits),
    }
    return writers[traits.format]()


def changed_box(before: Array | None, after: Array) -> Box:
    """Return the smallest x0, y0, x1, y1 that holds every changed pixel; one pixel when there is none."""
    height, width = after.shape[:2]
    if before is None or before.shape != after.shape:
        return 0, 0, width, height
    differs: npt.NDArray[np.bool_] = np.not_equal(before, after).reshape(height, width, -1).max(axis=2)
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    if not len(rows):
        return 0, 0, 1, 1
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


class ApngWriter:
    """Animated PNG: each frame replaces the changed rectangle of the one before."""

    def __init__(self, file: IO[bytes], traits: Traits) -> None:
        self._file, self._traits = file, traits
        self._before: Array | None = None
        self._number = 0
        self._sequence = 0

    def add(self, pixels: Array, layout: Layout, time: Fraction) -> None:
        x0, y0, x1, y1 = changed_box(self._before, pixels)
        parts, _ = containers.png_parts(data := png_bytes(pixels[y0:y1, x0:x1], layout))
        if self._before is None:
            header = data[parts[0].start : parts[0].end]
            count = len(self._traits.raw_delays)
            self._file.write(containers.PNG_SIGNATURE + png_chunk(b"IHDR", header) + png_extras(self._traits))
            self._file.write(png_chunk(b"acTL", struct.pack(">II", count, self._traits.loops or 0)))
        delay = self._traits.raw_delays[self._number]
        place = struct.pack(">IIIIHHBB", x1 - x0, y1 - y0, x0, y0, *delay, 0, 0)
        self._file.write(png_chunk(b"fcTL", self._next() + place))
        for part in parts:
            if part.kind == b"IDAT":
                coded = data[part.start : part.end]
                self._file.write(
                    png_chunk(b"IDAT", coded)
                    if self._before is None
                    else png_chunk(b"fdAT", self._next() + coded)
                )
        self._before, self._number = pixels, self._number + 1

    def finish(self) -> None:
        self._file.write(png_chunk(b"IEND", b""))
        self._file.close()

    def release(self) -> None:
        self._file.close()

    def _next(self) -> bytes:
        self._sequence += 1
        return struct.pack(">I", self._sequence - 1)


class WebpWriter:
    """Animated WebP: each frame replaces the changed rectangle, widened to even corners, of the one before."""

    def __init__(self, file: IO[bytes], traits: Traits, size: tuple[int, int], quality: int | None) -> None:
        self._file, self._traits = file, traits
        self._options = webp_options(traits, quality)
        self._exif = exif_block(traits.kept)
        self._size = size
        self._before: Array | None = None
        self._number = 0

    def add(self, pixels: Array, layout: Layout, time: Fraction) -> None:
        if self._before is None:
            self._begin(layout)
        x0, y0, x1, y1 = changed_box(self._before, pixels)
        x0, y0 = x0 & ~1, y0 & ~1
        buffer = io.BytesIO()
        picture(pixels[y0:y1, x0:x1]).save(buffer, "WEBP", **self._options)
        data = buffer.getvalue()
        parts, _ = containers.riff_parts(data)
        coded = b"".join(
            riff_chunk(part.kind, data[part.start : part.end])
            for part in parts
            if part.kind in {b"ALPH", b"VP8 ", b"VP8L"}
        )
        numbers = (x0 // 2, y0 // 2, x1 - x0 - 1, y1 - y0 - 1, self._traits.raw_delays[self._number][0])
        replace_pixels = b"\x02"
        place = b"".join(value.to_bytes(3, "little") for value in numbers)
        self._file.write(riff_chunk(b"ANMF", place + replace_pixels + coded))
        self._before, self._number = pixels, self._number + 1

    def finish(self) -> None:
        if self._exif:
            self._file.write(riff_chunk(b"EXIF", self._exif.removeprefix(b"Exif\0\0")))
        length = self._file.tell()
        self._file.seek(4)
        self._file.write(struct.pack("<I", length - 8))
        self._file.close()

    def release(self) -> None:
        self._file.close()

    def _begin(self, layout: Layout) -> None:
        icc = self._traits.icc
        flags = 0x02 | (0x20 if icc else 0) | (0x10 if layout.alpha else 0) | (0x08 if self._exif else 0)
        size = b"".join((side - 1).to_bytes(3, "little") for side in self._size)
        self._file.write(b"RIFF\0\0\0\0WEBP" + riff_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + size))
        if icc:
            self._file.write(riff_chunk(b"ICCP", icc))
        loops = self._traits.loops if self._traits.loops is not None else 1
        self._file.write(riff_chunk(b"ANIM", struct.pack("<IH", 0, loops)))


def riff_chunk(kind: bytes, payload: bytes) -> bytes:
    """Return a RIFF chunk, padded to an even length."""
    return kind + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) % 2)


class GifWriter:
    """GIF, also of one frame. A picture of up to 256 colours keeps them; others are reduced, frame by frame.

    A frame is written when the next is known: whether it is to be cleared away depends on what comes after it.
    """

    def __init__(self, file: IO[bytes], traits: Traits, size: tuple[int, int]) -> None:
        self._file, self._traits = file, traits
        file.write(b"GIF89a" + struct.pack("<HHBBB", *size, 0x70, 0, 0))
        if traits.loops is not None:
            file.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<H", traits.loops) + b"\0")
        self._shown: Array | None = None
        self._waiting: Array | None = None
        self._number = 0

    def add(self, pixels: Array, layout: Layout, time: Fraction) -> None:
        if self._waiting is not None:
            self._write(self._waiting, clear=bool(_clear(pixels).any()))
        self._waiting = pixels

    def finish(self) -> None:
        if self._waiting is not None:
            self._write(self._waiting, clear=False)
        self._file.write(b";")
        self._file.close()

    def release(self) -> None:
        self._file.close()

    def _write(self, pixels: Array, *, clear: bool) -> None:
        # clearing a frame clears its rectangle: all of the canvas has to be in it
        x0, y0, x1, y1 = changed_box(None if clear else self._shown, pixels)
        # viewers clear to transparency where the frame knows a transparent colour, else to a colour of their own
        indices, palette, transparent = indexed(pixels[y0:y1, x0:x1], hole=clear)
        image = Image.fromarray(indices)
        image.putpalette(palette.tobytes())
        buffer = io.BytesIO()
        image.save(buffer, "GIF", optimize=False, interlace=0)
        data = buffer.getvalue()
        parts, _ = containers.gif_parts(data)
        block = next(part for part in parts if part.kind == "image")
        table = data[13 : 13 + containers.gif_colours(data[10])]
        coded = data[block.start + 10 + containers.gif_colours(data[block.start + 9]) : block.end]
        if local := containers.gif_colours(data[block.start + 9]):
            table = data[block.start + 10 : block.start + 10 + local]
        delay = self._traits.raw_delays[self._number][0]
        disposal = 2 if clear else 1
        flags = disposal << 2 | (transparent is not None)
        self._file.write(b"\x21\xf9\x04" + struct.pack("<BHBB", flags, delay, transparent or 0, 0))
        depth = (len(table) // 3).bit_length() - 2
        self._file.write(b"," + struct.pack("<HHHHB", x0, y0, x1 - x0, y1 - y0, 0x80 | depth) + table + coded)
        self._shown, self._number = None if clear else pixels, self._number + 1


def indexed(
    pixels: Array, *, hole: bool = False
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], int | None]:
    """Reduce (H, W, 4) uint8 RGBA to at most 256 colours, exactly where there are no more.

    hole: have a transparent entry even when no pixel is transparent and a colour must yield for it. Returns indices
    (H, W) uint8, the palette (N, 3) uint8, and the index of the transparent entry or None. Alpha below one half
    counts as transparent, other alpha as opaque.
    """
    clear = _clear(pixels)
    hole = hole or bool(clear.any())
    colours = pixels[..., :3].astype(np.uint32)
    packed = colours[..., 0] << 16 | colours[..., 1] << 8 | colours[..., 2]
    room = 255 if hole else 256
    values, inverse = np.unique(packed[~clear], return_inverse=True)
    # Pillow shows no transparency at all when the first frame has no such entry
    hole = hole or len(values) < room
    if len(values) <= room:
        palette = np.stack([values >> 16, values >> 8 & 255, values & 255], axis=1).astype(np.uint8)
        indices = np.zeros(clear.shape, np.uint8)
        indices[~clear] = inverse
    else:
        image = picture(pixels[..., :3])
        reduced = image.quantize(room, Image.Quantize.MEDIANCUT)
        indices = np.array(image.quantize(palette=reduced, dither=Image.Dither.FLOYDSTEINBERG))
        palette = np.array(reduced.getpalette(), np.uint8).reshape(-1, 3)[:room]
    if not hole:
        return indices, palette, None
    indices[clear] = len(palette)
    return indices, np.concatenate([palette, np.zeros((1, 3), np.uint8)]), len(palette)


def _clear(pixels: Array) -> npt.NDArray[np.bool_]:
    return np.asarray(np.less(pixels[..., 3], 128))


class TiffWriter:
    """A TIFF file of several pages, each compressed without loss."""

    def __init__(self, file: IO[bytes], traits: Traits) -> None:
        self._file, self._traits = file, traits
        self._pages: Final = tifffile.TiffWriter(file)

    def add(self, pixels: Array, layout: Layout, time: Fraction) -> None:
        write_tiff_page(self._pages, pixels, layout, self._traits)

    def finish(self) -> None:
        self._pages.close()
        self._file.close()

    def release(self) -> None:
        self._file.close()


class AvifWriter:
    """An AVIF sequence. The encoder wants all frames in one call: they wait in a nameless file beside the output."""

    def __init__(self, file: IO[bytes], traits: Traits, quality: int | None, folder: Path) -> None:
        self._file, self._traits, self._quality = file, traits, quality
        self._spool: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - open until the end
        self._times: list[Fraction] = []
        self._shape: tuple[int, ...] = ()

    def add(self, pixels: Array, layout: Layout, time: Fraction) -> None:
        self._shape = pixels.shape
        self._spool.write(np.ascontiguousarray(pixels).tobytes())
        self._times.append(time)

    def finish(self) -> None:
        steps = [later - earlier for earlier, later in zip(self._times, self._times[1:], strict=False)]
        delays = [round(1000 * step) for step in [*steps, steps[-1] if steps else Fraction(1, 10)]]
        options: dict[str, object] = {
            "duration": delays,
            **avif_options(self._traits, self._quality, grey=len(self._shape) == 2),
        }
        if self._traits.icc:
            options["icc_profile"] = self._traits.icc
        if exif := exif_block(self._traits.kept):
            options["exif"] = exif
        try:
            _Reel(self._spool, self._shape, len(self._times)).save(
                self._file, "AVIF", save_all=True, **options
            )
        finally:
            self.release()

    def release(self) -> None:
        self._spool.close()
        self._file.close()


class _Reel(Image.Image):
    """Frames of one shape in a file, as the picture with several frames that Pillow's encoders walk through."""

    def __init__(self, file: IO[bytes], shape: tuple[int, ...], count: int) -> None:
        super().__init__()
        self._frames, self._shape, self._at = file, shape, -1
        self.n_frames, self.is_animated = count, count > 1
        self.seek(0)

    def seek(self, frame: int) -> None:
        if not 0 <= frame < self.n_frames:
            raise EOFError("no such frame")
        if frame == self._at:
            return
        length = int(np.prod(self._shape))
        self._frames.seek(frame * length)
        shown = picture(np.frombuffer(self._frames.read(length), np.uint8).reshape(self._shape))
        self._im, self._mode, self._size, self._at = shown.im, shown.mode, shown.size, frame

    def tell(self) -> int:
        return self._at
