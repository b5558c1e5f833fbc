"""The bones of a Matroska file: its kind, its length, and how many blocks each video track has.

libav finds its way again after damage by leaving out what it cannot read, without a word. So the blocks are
counted here, in a walk over the headers of all elements (RFC 8794 and RFC 9559).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from incog.errors import InputError

EBML_MAGIC = bytes.fromhex("1A45DFA3")
_EBML, _DOCTYPE, _SEGMENT, _CLUSTER, _TRACKS = 0x1A45DFA3, 0x4282, 0x18538067, 0x1F43B675, 0x1654AE6B
_ENTRY, _NUMBER, _TYPE, _VIDEO = 0xAE, 0xD7, 0x83, 1
_GROUP, _BLOCK, _SIMPLE_BLOCK = 0xA0, 0xA1, 0xA3
# Void and checksum.
_ANYWHERE = {0xEC, 0xBF}
# SeekHead, Info, Cues, Chapters, Attachments and Tags beside clusters and tracks.
_TOP = {0x114D9B74, 0x1549A966, 0x1C53BB6B, 0x1043A770, 0x1941A469, 0x1254C367, _CLUSTER, _TRACKS}
# Timestamp, position, previous size, silent tracks and encrypted blocks beside the two kinds of blocks.
_IN_CLUSTER = {0xE7, 0xA7, 0xAB, 0x5854, 0xAF, _GROUP, _SIMPLE_BLOCK} | _ANYWHERE


def cut_off(promised: int, end: int) -> InputError:
    """Return the error for a file of ``end`` bytes that says that it goes on until ``promised``."""
    return InputError(
        f"the video is cut off: its header promises {promised} bytes, the file has {end}",
        hint="copy the file again from where it came from",
    )


def _damaged(where: int) -> InputError:
    return InputError(
        f"the video is damaged: what stands at byte {where} does not belong in a Matroska file",
        hint="a video editor or ffmpeg can often repair a video by writing it anew",
    )


def doctype(path: Path) -> bytes:
    """Return what a Matroska file says that it is: b"matroska" or b"webm". Raises InputError when it is cut off."""
    with path.open("rb") as file:
        return Elements(file).open_segment()[0]


def video_blocks(path: Path) -> list[int]:
    """Return the number of blocks of each video track, in the order of the tracks.

    Raises InputError when the file is not whole: an element that is unknown, that reaches over its parent, or that
    goes on after the end of the file.
    """
    with path.open("rb") as file:
        walk = Elements(file)
        _, (where, stop) = walk.open_segment()
        last = walk.end if stop is None else stop
        tracks: list[int] = []
        blocks: Counter[int] = Counter()
        while where < last:
            identifier, content, after = walk.element(where, last)
            if identifier == _CLUSTER:
                where = walk.count_blocks(content, after, last, blocks)
                continue
            if identifier not in _TOP | _ANYWHERE or after is None:
                raise _damaged(where)
            if identifier == _TRACKS:
                tracks = walk.video_tracks(content, after)
            where = after
        return [blocks[track] for track in tracks]


class Elements:
    """Reads element headers; ``end`` is the length of the file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.end = file.seek(0, 2)

    def _number(self, where: int, *, keep_mark: bool) -> tuple[int, bool]:
        """Read a number of variable length at the current position; the flag says that all its bits are set."""
        first = self._file.read(1)
        width = 9 - first[0].bit_length() if first else 9
        rest = self._file.read(width - 1) if 1 < width < 9 else b""
        if width == 9 or len(rest) < width - 1:
            raise _damaged(where) if self._file.tell() < self.end else cut_off(where + 12, self.end)
        value = int.from_bytes(first + rest, "big")
        bits = (1 << 7 * width) - 1
        return (value if keep_mark else value & bits), value & bits == bits

    def element(self, where: int, last: int) -> tuple[int, int, int | None]:
        """Return identifier, first byte of the content and end of the element at ``where``; None: length unknown."""
        self._file.seek(where)
        identifier, _ = self._number(where, keep_mark=True)
        size, unknown = self._number(where, keep_mark=False)
        content = self._file.tell()
        if unknown:
            return identifier, content, None
        if content + size > self.end:
            raise cut_off(content + size, self.end)
        if content + size > last:
            raise _damaged(where)
        return identifier, content, content + size

    def children(self, content: int, stop: int) -> Iterator[tuple[int, int, int]]:
        while content < stop:
            identifier, start, after = self.element(content, stop)
            if after is None:
                raise _damaged(content)
            yield identifier, start, after
            content = after

    def open_segment(self) -> tuple[bytes, tuple[int, int | None]]:
        """Return the document type, and where the content of the segment starts and stops (None: unknown)."""
        identifier, content, stop = self.element(0, self.end)
        if identifier != _EBML or stop is None:
            raise _damaged(0)
        kind = b""
        for child, start, after in self.children(content, stop):
            if child == _DOCTYPE:
                self._file.seek(start)
                kind = self._file.read(min(after - start, 64)).rstrip(b"\0")
        identifier, content, segment_end = self.element(stop, self.end)
        if identifier != _SEGMENT:
            raise _damaged(stop)
        return kind, (content, segment_end)

    def video_tracks(self, content: int, stop: int) -> list[int]:
        """Return the numbers of the video tracks among the entries of the Tracks element."""
        numbers = []
        for entry, start, after in self.children(content, stop):
            if entry != _ENTRY:
                continue
            values = {}
            for child, first, last in self.children(start, after):
                if child in (_NUMBER, _TYPE):
                    self._file.seek(first)
                    values[child] = int.from_bytes(self._file.read(last - first), "big")
            if values.get(_TYPE) == _VIDEO:
                numbers.append(values.get(_NUMBER, 0))
        return numbers

    def count_blocks(self, where: int, stop: int | None, last: int, blocks: Counter[int]) -> int:
        """Count the blocks of a cluster by track; return where it ends, which an unknown length leaves open."""
        limit = last if stop is None else stop
        while where < limit:
            identifier, content, after = self.element(where, limit)
            if stop is None and identifier in _TOP:
                return where
            if identifier not in _IN_CLUSTER or after is None:
                raise _damaged(where)
            if identifier == _SIMPLE_BLOCK:
                self._count(content, blocks)
            elif identifier == _GROUP:
                for child, start, _ in self.children(content, after):
                    if child == _BLOCK:
                        self._count(start, blocks)
            where = after
        return where

    def _count(self, content: int, blocks: Counter[int]) -> None:
        self._file.seek(content)
        track, _ = self._number(content, keep_mark=False)
        blocks[track] += 1
