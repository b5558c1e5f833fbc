"""Vaults at the end of MP4, MOV, HEIF, AVIF and Matroska files, written and found without reading the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from incog.errors import InputError, VaultError
from incog.media.video_matroska import EBML_MAGIC, Elements

Span = tuple[int, int]

UUID: Final = bytes.fromhex("2e29fad52e1c4f0a9a3fb52e6e3a9c47")
"""Of the box, drawn at random for this format."""

_BOX_HEAD: Final = 32
_SEGMENT, _ATTACHMENTS, _ATTACHED, _DATA = 0x18538067, 0x1941A469, 0x61A7, 0x465C
_NAME, _MEDIA, _UID = 0x466E, 0x4660, 0x46AE
ATTACHMENT_NAME: Final = b"vault.incog"
_ATTACHMENT_MEDIA: Final = b"application/octet-stream"
_ATTACHMENT_UID: Final = b"incogVlt"
ATTACHMENT_LIMIT: Final = 1 << 27
"""Players read attachments into memory, and libav refuses those of more than 256 MiB."""


@dataclass(frozen=True, slots=True)
class Tail:
    """A file that carries a vault. published: what the file consists of without it, as spans of bytes and as bytes that
    stand in place of others. vault: the spans of its parts. exact: whether it lies as ``append`` writes it."""

    published: tuple[Span | bytes, ...]
    vault: tuple[Span, ...]
    exact: bool


def box_append(file: BinaryIO, length: int, vault: Iterable[bytes]) -> None:
    """Append a ``uuid`` box with a vault of ``length`` bytes to an ISO base media file."""
    end = file.seek(0, 2)
    boxes = _boxes(file, end)
    if not boxes or boxes[-1][2] != end or boxes[-1][3]:
        raise VaultError("the file must end with a box of known length to carry a vault")
    file.seek(end)
    file.write(_box_head(length))
    _fill(file, length, vault)


def box_part(file: BinaryIO) -> Tail | None:
    """Return where the vault lies in an ISO base media file, or None when it carries none."""
    end = file.seek(0, 2)
    found: list[Span] = []
    for kind, start, stop, _ in _boxes(file, end):
        if kind == b"uuid" and stop - start >= 24:
            file.seek(start)
            head = file.read(_BOX_HEAD)
            wide = head[:4] == b"\0\0\0\1"
            if head[16 if wide else 8 :][:16] == UUID:
                found.append((start, stop))
    if not found:
        return None
    if len(found) > 1:
        raise VaultError("the file must carry one vault, got several")
    start, stop = found[0]
    file.seek(start)
    head = file.read(_BOX_HEAD)
    skip = _BOX_HEAD if head[:4] == b"\0\0\0\1" else 24
    exact = stop == end and head == _box_head(stop - start - _BOX_HEAD)
    return Tail(((0, start), (stop, end)), ((start + skip, stop),), exact)


def _box_head(length: int) -> bytes:
    return b"\0\0\0\1uuid" + (_BOX_HEAD + length).to_bytes(8, "big") + UUID


def _boxes(file: BinaryIO, end: int) -> list[tuple[bytes, int, int, bool]]:
    """Return (type, start, stop, open) of the top-level boxes; open: to the end, whatever that is."""
    found = []
    start = 0
    while start + 8 <= end:
        file.seek(start)
        head = file.read(16)
        size, least = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, least = int.from_bytes(head[8:16], "big"), 16
        stop = start + size if size else end
        if stop < start + least or stop > end:
            break
        found.append((head[4:8], start, stop, size == 0))
        start = stop
    return found


def attachment_fits(file: BinaryIO, length: int) -> bool:
    """Whether a Matroska file can take a vault of so many bytes: its segment is its last element, of known length."""
    if length > ATTACHMENT_LIMIT:
        return False
    try:
        _, _, stop = _segment(file)
    except InputError:
        return False
    return stop == file.seek(0, 2)


def attachment_append(file: BinaryIO, length: int, vault: Iterable[bytes]) -> None:
    """Append an attachment with a vault of ``length`` bytes to a Matroska file that ``attachment_fits``."""
    size_at, content, stop = _segment(file)
    head = _attachment_head(length)
    file.seek(stop)
    file.write(head)
    _fill(file, length, vault)
    file.seek(size_at)
    file.write(_size(stop - content + len(head) + length))


def attachment_part(file: BinaryIO) -> Tail | None:
    """Return where the vault lies in a Matroska file, or None when it carries none. Raises InputError for damage."""
    end = file.seek(0, 2)
    size_at, content, stop = _segment(file)
    elements = Elements(file)
    found: list[tuple[Span, Span]] = []
    at = content
    while at < stop:
        identifier, inner, after = elements.element(at, stop)
        if after is None:
            return None
        if identifier == _ATTACHMENTS:
            found += [((at, after), data) for data in _attached(file, elements, inner, after)]
        at = after
    if not found:
        return None
    if len(found) > 1:
        raise VaultError("the file must carry one vault, got several")
    (start, after), data = found[0]
    file.seek(start)
    head = file.read(data[0] - start)
    exact = after == stop == end and head == _attachment_head(data[1] - data[0])
    size = _size(stop - content - (after - start))
    return Tail(((0, size_at), size, (content, start), (after, end)), (data,), exact)


def _attached(file: BinaryIO, elements: Elements, inner: int, after: int) -> list[Span]:
    """Return the data of the vaults among the attached files of an Attachments element."""
    found = []
    for identifier, start, stop in elements.children(inner, after):
        if identifier != _ATTACHED:
            continue
        name, data = b"", None
        for child, first, last in elements.children(start, stop):
            if child == _NAME:
                file.seek(first)
                name = file.read(min(last - first, 64))
            elif child == _DATA:
                data = first, last
        if name == ATTACHMENT_NAME and data is not None:
            found.append(data)
    return found


def _segment(file: BinaryIO) -> tuple[int, int, int]:
    """Return where the segment's length is written, in eight bytes, and where its content begins and ends."""
    elements = Elements(file)
    _, (content, stop) = elements.open_segment()
    file.seek(content - 12)
    head = file.read(12)
    if stop is None or head[:4] != _SEGMENT.to_bytes(4, "big") or head[4] != 1:
        raise InputError("the video's segment must say its length in eight bytes to carry a vault")
    return content - 8, content, stop


def _size(value: int) -> bytes:
    return b"\1" + value.to_bytes(7, "big")


def _element(identifier: int, content: bytes) -> bytes:
    return identifier.to_bytes(-(-identifier.bit_length() // 8), "big") + _size(len(content)) + content


def _attachment_head(length: int) -> bytes:
    about = (
        _element(_NAME, ATTACHMENT_NAME)
        + _element(_MEDIA, _ATTACHMENT_MEDIA)
        + _element(_UID, _ATTACHMENT_UID)
        + _DATA.to_bytes(2, "big")
        + _size(length)
    )
    attached = _ATTACHED.to_bytes(2, "big") + _size(len(about) + length) + about
    return _ATTACHMENTS.to_bytes(4, "big") + _size(len(attached) + length) + attached


def _fill(file: BinaryIO, length: int, vault: Iterable[bytes]) -> None:
    written = 0
    for block in vault:
        written += file.write(block)
    if written != length:
        raise VaultError(f"the vault must be {length} bytes, got {written}")


def is_matroska(head: bytes) -> bool:
    """Whether a file that begins so is Matroska or WebM; the latter must not have attachments."""
    return head.startswith(EBML_MAGIC) and b"webm" not in head[:64]


def blocks_of(path: Path, pieces: Iterable[Span | bytes]) -> Iterator[bytes]:
    """Yield spans of a file, and bytes that stand between them, in blocks of at most a mebibyte."""
    with path.open("rb") as file:
        for piece in pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            at, stop = piece
            file.seek(at)
            while at < stop:
                block = file.read(min(stop - at, 1 << 20))
                if not block:
                    raise InputError("the file changed while it was read")
                at += len(block)
                yield block
