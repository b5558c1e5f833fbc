"""Which container a video file is, told from its first bytes, and whether the file is as long as it says."""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from incog.errors import InputError
from incog.media.video_matroska import EBML_MAGIC, cut_off, doctype

Name = Literal["mp4", "mov", "mkv", "webm", "avi"]


@dataclass(frozen=True, slots=True)
class Container:
    """A video container that incog reads and writes.

    demuxer, muxer: libav's names. faststart: the index stands before the samples (mp4 and mov), for playing
    while loading.
    """

    name: Name
    demuxer: str
    muxer: str
    faststart: bool = False

    @property
    def suffix(self) -> str:
        return f".{self.name}"


_PICTURES = {b"heic", b"heix", b"heim", b"heis", b"mif1", b"avif"}
_BOXES = {b"ftyp", b"moov", b"mdat", b"moof", b"free", b"skip", b"wide", b"pnot", b"uuid", b"sidx", b"styp"}
_PRINTABLE = set(string.printable.encode()) | {0xA9}


def identify(path: Path) -> Container:
    """Return the container of the file at ``path``, from its content and never from its name.

    Raises InputError when the file cannot be read, is none of mp4, mov, mkv, webm and avi, or ends before the
    end that its own header gives.
    """
    try:
        with path.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(0)
            head = file.read(16)
            if not head:
                raise InputError("the file is empty")
            if head[4:8] in _BOXES:
                return _identify_boxes(file, end, head)
            if head[:4] == EBML_MAGIC:
                return _identify_ebml(path)
            if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
                return _identify_riff(file, end)
    except OSError as error:
        raise InputError(f"the file cannot be read: {error.strerror or error}") from error
    raise InputError("the file is not a video that incog reads (mp4, mov, mkv, webm or avi)")


def _boxes(file: BinaryIO, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start, stop) of the top-level boxes; stop may lie beyond the end."""
    start = 0
    while start + 8 <= end:
        file.seek(start)
        header = file.read(16)
        size, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if size == 1:
            size = int.from_bytes(header[8:16], "big")
        stop = start + size if size else end
        if stop < start + 8 or not set(kind) <= _PRINTABLE:
            return
        yield kind, start, stop
        start = stop


def _identify_boxes(file: BinaryIO, end: int, head: bytes) -> Container:
    brand = head[8:12] if head[4:8] == b"ftyp" else b"qt  "
    if brand in _PICTURES:
        raise InputError("the file is a photo, not a video")
    order = []
    for kind, _, stop in _boxes(file, end):
        # Cameras append trailers of their own: only a box of the standard counts as a promise.
        if stop > end and kind in _BOXES:
            raise cut_off(stop, end)
        order.append(kind)
    if b"moov" not in order:
        raise InputError(
            "the video has no index (its moov box is missing): the recording or the copy was cut off",
            hint="copy the file again, or repair it with a tool for that",
        )
    faststart = b"mdat" not in order or order.index(b"moov") < order.index(b"mdat")
    if brand == b"qt  ":
        return Container("mov", "mov", "mov", faststart)
    return Container("mp4", "mov", "mp4", faststart)


def _identify_ebml(path: Path) -> Container:
    kind = doctype(path)
    if kind == b"webm":
        return Container("webm", "matroska", "webm")
    if kind == b"matroska":
        return Container("mkv", "matroska", "matroska")
    raise InputError("the file starts like a Matroska video, but says that it is something else")


def _identify_riff(file: BinaryIO, end: int) -> Container:
    start = 0
    while start + 12 <= end:
        file.seek(start)
        header = file.read(12)
        if header[:4] != b"RIFF":
            break
        size = int.from_bytes(header[4:8], "little")
        # Recorders that lost power leave the length empty.
        if size in (0, 0xFFFFFFFF):
            break
        if start + 8 + size > end:
            raise cut_off(start + 8 + size, end)
        start += 8 + size + size % 2
    return Container("avi", "avi", "avi")
