"""Vaults inside of JPEG, PNG and WebP files, in places that every viewer skips (docs/format.md)."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from incog.errors import VaultError
from incog.media import containers

APP9: Final = 0xE9
JPEG_MARK: Final = b"incog vault\0"
JPEG_DATA: Final = 0xFFFF - 2 - len(JPEG_MARK) - 8
"""Bytes of the vault in one segment, whose length has 16 bits and counts itself."""

CHUNK_NAME: Final = b"inVt"
"""Ancillary, private, safe to copy."""

PNG_DATA: Final = 1 << 20
"""Bytes of the vault in one chunk: readers give up on chunks of many megabytes."""

RIFF_LIMIT: Final = 0xFFFFFFFF - 1


@dataclass(frozen=True, slots=True)
class Parted:
    """A picture's file in two: the published picture, and the vault that it carried, None where there was none."""

    picture: bytes
    vault: bytes | None


def jpeg_embed(picture: bytes, vault: bytes) -> bytes:
    """Return the JPEG file with the vault in APP9 segments, before the first that belongs to the picture's coding."""
    parts, _ = containers.jpeg_parts(picture)
    place = next((part.start - 4 for part in parts if not _application(part.kind[0])), 2)
    count = -(-len(vault) // JPEG_DATA)
    segments = []
    for number in range(count):
        data = vault[number * JPEG_DATA : (number + 1) * JPEG_DATA]
        body = JPEG_MARK + number.to_bytes(4, "big") + count.to_bytes(4, "big") + data
        segments.append(bytes([0xFF, APP9]) + (len(body) + 2).to_bytes(2, "big") + body)
    return picture[:place] + b"".join(segments) + picture[place:]


def jpeg_part(data: bytes) -> Parted:
    """Take a JPEG file apart. Raises VaultError when a segment of the vault is missing."""
    head = len(JPEG_MARK)
    found = [
        (part.start, part.end)
        for part in containers.jpeg_parts(data)[0]
        if part.kind[0] == APP9 and data[part.start : part.start + head] == JPEG_MARK
    ]
    if not found:
        return Parted(data, None)
    numbers = [int.from_bytes(data[start + head : start + head + 4], "big") for start, _ in found]
    counts = {int.from_bytes(data[start + head + 4 : start + head + 8], "big") for start, _ in found}
    if numbers != list(range(len(found))) or counts != {len(found)}:
        raise VaultError("the vault is damaged: of its APP9 segments some are missing or out of order")
    vault = b"".join(data[start + head + 8 : end] for start, end in found)
    return Parted(_without(data, [(start - 4, end) for start, end in found]), vault)


def png_embed(picture: bytes, vault: bytes) -> bytes:
    """Return the PNG file with the vault in ``inVt`` chunks before its end."""
    parts, _ = containers.png_parts(picture)
    place = parts[-1].start - 8
    chunks = []
    for start in range(0, len(vault), PNG_DATA):
        data = vault[start : start + PNG_DATA]
        check = zlib.crc32(data, zlib.crc32(CHUNK_NAME))
        chunks.append(len(data).to_bytes(4, "big") + CHUNK_NAME + data + check.to_bytes(4, "big"))
    return picture[:place] + b"".join(chunks) + picture[place:]


def png_part(data: bytes) -> Parted:
    """Take a PNG file apart."""
    found = [part for part in containers.png_parts(data)[0] if part.kind == CHUNK_NAME]
    if not found:
        return Parted(data, None)
    vault = b"".join(data[part.start : part.end] for part in found)
    return Parted(_without(data, [(part.start - 8, part.end + 4) for part in found]), vault)


def webp_embed(picture: bytes, vault: bytes) -> bytes:
    """Return the WebP file with the vault in an ``inVt`` chunk behind all others. Raises VaultError beyond 4 GiB."""
    _, end = containers.riff_parts(picture)
    chunk = CHUNK_NAME + len(vault).to_bytes(4, "little") + vault + bytes(len(vault) % 2)
    size = end - 8 + len(chunk)
    if size > RIFF_LIMIT:
        raise VaultError("the vault and the picture do not fit into 4 GiB, as much as a WebP file can hold")
    return picture[:4] + size.to_bytes(4, "little") + picture[8:end] + chunk + picture[end:]


def webp_part(data: bytes) -> Parted:
    """Take a WebP file apart."""
    parts, _ = containers.riff_parts(data)
    found = [part for part in parts if part.kind == CHUNK_NAME]
    if not found:
        return Parted(data, None)
    vault = b"".join(data[part.start : part.end] for part in found)
    spans = [(part.start - 8, part.end + (part.end - part.start) % 2) for part in found]
    size = int.from_bytes(data[4:8], "little") - sum(end - start for start, end in spans)
    rest = _without(data, spans)
    return Parted(rest[:4] + size.to_bytes(4, "little") + rest[8:], vault)


@dataclass(frozen=True, slots=True)
class PictureCarrier:
    """How one format carries a vault; ``embed`` and ``part`` are each other's inverse."""

    words: str
    embed: Callable[[bytes, bytes], bytes]
    part: Callable[[bytes], Parted]


PICTURES: Final = {
    "jpeg": PictureCarrier("APP9 segments of the JPEG file", jpeg_embed, jpeg_part),
    "png": PictureCarrier("inVt chunks of the PNG file", png_embed, png_part),
    "webp": PictureCarrier("an inVt chunk of the WebP file", webp_embed, webp_part),
}


def _application(marker: int) -> bool:
    return 0xE0 <= marker <= 0xEF or marker == 0xFE


def _without(data: bytes, spans: list[tuple[int, int]]) -> bytes:
    edges = [(0, 0), *spans, (len(data), len(data))]
    return b"".join(data[end:start] for (_, end), (start, _) in pairwise(edges))
