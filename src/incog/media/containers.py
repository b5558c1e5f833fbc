"""The structure of picture files, walked byte by byte without decoding: which parts there are, and is the end there.

Every walker raises InputError at the first part that is cut off, so that a truncated file is never taken for whole.
Positions are offsets into the file.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from incog.errors import InputError

_JPEG_MARKER: Final = re.compile(rb"\xff+([^\x00\xff])")
_JPEG_AFTER_SCAN: Final = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_JPEG_BARE: Final = {0x01, *range(0xD0, 0xD9)}
PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class Part:
    """One segment, chunk, block or box: its kind, and where its payload lies."""

    kind: bytes
    start: int
    end: int


def truncated(what: str) -> InputError:
    """Return the error for a file that ends too early."""
    return InputError(f"the {what} file is truncated: its end is missing")


def jpeg_parts(data: bytes) -> tuple[list[Part], int]:
    """Return the marker segments of a JPEG file (kind: the marker byte) and the offset after its end marker."""
    parts: list[Part] = []
    at = 2
    pattern = _JPEG_MARKER
    while found := pattern.search(data, at):
        marker, at = found[1][0], found.end()
        pattern = _JPEG_MARKER
        if marker == 0xD9:
            return parts, at
        if marker in _JPEG_BARE:
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        if length < 2:
            raise InputError("the JPEG file is corrupt: a segment has an impossible length")
        parts.append(Part(bytes([marker]), at + 2, at + length))
        at += length
        if at > len(data):
            break
        if marker == 0xDA:
            pattern = _JPEG_AFTER_SCAN
    raise truncated("JPEG")


def png_parts(data: bytes) -> tuple[list[Part], int]:
    """Return the chunks of a PNG file up to IEND and the offset after it; every check sum is verified."""
    parts: list[Part] = []
    at = len(PNG_SIGNATURE)
    view = memoryview(data)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        start, end = at + 8, at + 8 + length
        if end + 4 > len(data):
            break
        if zlib.crc32(view[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise InputError("the PNG file is corrupt: a check sum is wrong")
        part = Part(data[at + 4 : at + 8], start, end)
        if not parts and (part.kind != b"IHDR" or length != 13):
            raise InputError("the PNG file is corrupt: it does not begin with its header")
        parts.append(part)
        at = end + 4
        if part.kind == b"IEND":
            return parts, at
    raise truncated("PNG")


def riff_parts(data: bytes) -> tuple[list[Part], int]:
    """Return the chunks of a RIFF (WebP) file and the offset after the last."""
    stop = 8 + int.from_bytes(data[4:8], "little")
    if stop > len(data) or len(data) < 20:
        raise truncated("WebP")
    return list(riff_chunks(data, 12, stop)), min(stop + stop % 2, len(data))


def riff_chunks(data: bytes, at: int, stop: int) -> Iterator[Part]:
    """Yield the chunks of a RIFF list whose payload lies from ``at`` to ``stop``."""
    while at + 8 <= stop:
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + length > stop:
            raise truncated("WebP")
        yield Part(data[at : at + 4], at + 8, at + 8 + length)
        at += 8 + length + length % 2


def box_parts(data: bytes) -> list[Part]:
    """Return the top-level boxes of an AVIF or HEIF file."""
    parts: list[Part] = []
    at = 0
    while at + 8 <= len(data):
        length, header = int.from_bytes(data[at : at + 4], "big"), 8
        if length == 1:
            length, header = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        elif length == 0:
            length = len(data) - at
        if length < header or at + length > len(data):
            if parts and not data[at + 4 : at + 8].isalnum():
                break
            raise truncated("picture")
        parts.append(Part(data[at + 4 : at + 8], at + header, at + length))
        at += length
    return parts


@dataclass(frozen=True, slots=True)
class GifPart:
    """A block of a GIF file.

    kind: ``image``, ``control``, ``comment``, ``application`` or ``text``. start, end: the whole block. name: the
    application's. payload: the control block's four bytes, or the data of an application block.
    """

    kind: Literal["image", "control", "comment", "application", "text"]
    start: int
    end: int
    name: bytes = b""
    payload: bytes = b""


def gif_colours(flags: int) -> int:
    """Return the length in bytes of the colour table that the flags of a screen or image descriptor announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def gif_parts(data: bytes) -> tuple[list[GifPart], int]:
    """Return the blocks of a GIF file and the offset after its trailer."""
    if len(data) < 13:
        raise truncated("GIF")
    parts: list[GifPart] = []
    at = 13 + gif_colours(data[10])
    while at < len(data):
        start, introducer = at, data[at]
        if introducer == 0x3B:
            return parts, at + 1
        if introducer == 0x00:  # a stray terminator, which some encoders leave
            at += 1
        elif introducer == 0x21 and at + 2 < len(data):
            blocks, at = _gif_data(data, at + 2)
            parts.append(_gif_extension(data[start + 1], blocks, start, at))
        elif introducer == 0x2C and at + 10 < len(data):
            _, at = _gif_data(data, at + 11 + gif_colours(data[at + 9]))
            parts.append(GifPart("image", start, at))
        elif introducer in {0x21, 0x2C}:
            break
        else:
            raise InputError("the GIF file is corrupt: a block of unknown kind")
    raise truncated("GIF")


def _gif_extension(label: int, blocks: list[bytes], start: int, end: int) -> GifPart:
    if label == 0xF9:
        return GifPart("control", start, end, payload=blocks[0][:4].ljust(4, b"\0") if blocks else bytes(4))
    if label == 0xFF and blocks:
        return GifPart("application", start, end, name=blocks[0], payload=b"".join(blocks[1:]))
    return GifPart("text" if label == 0x01 else "comment", start, end)


def _gif_data(data: bytes, at: int) -> tuple[list[bytes], int]:
    blocks: list[bytes] = []
    while at < len(data):
        length = data[at]
        if length == 0:
            return blocks, at + 1
        blocks.append(data[at + 1 : at + 1 + length])
        at += 1 + length
    raise truncated("GIF")
