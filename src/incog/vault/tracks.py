"""Faces of videos: where they are in each frame, and their samples frame by frame, to be laid back into it."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from incog.errors import VaultError
from incog.types import Array, Frame, Layout
from incog.vault.patches import Mask, Patch, cut, laid, pack, unpack

Region = tuple[int, int, int, int]
"""x0, y0, x1, y1 in whole pixels, aligned to the samples of chroma."""

_ROW: Final = struct.Struct(">IH4H")
_SUMMARY: Final = struct.Struct(">6I")
_RECORD: Final = struct.Struct(">II")
_MOST: Final = 1 << 28
"""The largest record that is read, in bytes."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A track for people: its first and last frame, and x, y, width and height in pixels half way between."""

    first: int
    last: int
    box: tuple[int, int, int, int]

    def pack(self) -> bytes:
        """Return its row among the public bytes of a part."""
        return _SUMMARY.pack(self.first, self.last, *self.box)


@dataclass(frozen=True, slots=True)
class Tracks:
    """Where the hidden faces of a video are: regions by frame and number of the track."""

    frames: Mapping[int, Mapping[int, Region]]

    @classmethod
    def of(cls, seen: Mapping[int, Mapping[int, Region]]) -> Tracks:
        """Number tracks of any ids from 1, in the order in which they begin, from left to right."""
        begin: dict[int, tuple[int, int]] = {}
        for index in sorted(seen):
            for track, region in seen[index].items():
                begin.setdefault(track, (index, region[0]))
        numbers = {track: number for number, track in enumerate(sorted(begin, key=begin.__getitem__), 1)}
        return cls(
            {index: {numbers[track]: region for track, region in row.items()} for index, row in seen.items()}
        )

    def pack(self) -> bytes:
        """Return all of it as bytes."""
        rows = [
            _ROW.pack(index, number, *region)
            for index in sorted(self.frames)
            for number, region in sorted(self.frames[index].items())
        ]
        return b"".join(rows)

    @classmethod
    def unpack(cls, data: bytes) -> Tracks:
        """Return what ``pack`` packed. Raises VaultError when the bytes are something else."""
        if len(data) % _ROW.size:
            raise VaultError("the vault holds tracks that cannot be read: they are cut off")
        frames: dict[int, dict[int, Region]] = {}
        for index, number, *region in _ROW.iter_unpack(data):
            x0, y0, x1, y1 = region
            frames.setdefault(index, {})[number] = (x0, y0, x1, y1)
        return cls(frames)

    def summaries(self) -> list[Summary]:
        """Return one for each track, in the order of their numbers."""
        places: dict[int, list[tuple[int, Region]]] = {}
        for index in sorted(self.frames):
            for number, region in self.frames[index].items():
                places.setdefault(number, []).append((index, region))
        found = []
        for number in sorted(places):
            x0, y0, x1, y1 = places[number][len(places[number]) // 2][1]
            found.append(Summary(places[number][0][0], places[number][-1][0], (x0, y0, x1 - x0, y1 - y0)))
        return found

    def cut(self, frame: Frame, number: int) -> bytes:
        """Return the record of a track in a frame of the original, empty where it is not in it.

        Where regions overlap, a sample goes with the one to whose centre it is nearest, in half axes.
        """
        regions = self.frames.get(frame.index, {})
        if number not in regions:
            return b""
        patches = []
        for plane, (alone, x, y) in enumerate(_planes(frame, regions[number])):
            mask = _nearest(regions, number, alone, frame, plane)
            patches.append(cut(alone, Patch(plane, x, y, mask)))
        content = pack(patches)
        return _RECORD.pack(frame.index, len(content)) + content


def summaries_of(public: bytes) -> list[Summary]:
    """Return the summaries among the public bytes of a part."""
    whole = len(public) - len(public) % _SUMMARY.size
    return [
        Summary(first, last, (x, y, w, h)) for first, last, x, y, w, h in _SUMMARY.iter_unpack(public[:whole])
    ]


def laid_in(frames: Iterable[Frame], files: Iterable[BinaryIO]) -> Iterator[Frame]:
    """Yield the frames of a published video with the tracks in ``files`` in them, each the records of one track.

    Raises VaultError when the records are something else, or of another video.
    """
    waiting = [_records(file) for file in files]
    heads = [next(records, None) for records in waiting]
    for frame in frames:
        result = frame
        for place, head in enumerate(heads):
            if head is not None and head[0] == frame.index:
                result = _laid(result, head[1])
                heads[place] = next(waiting[place], None)
        yield result
    if any(head is not None for head in heads):
        raise VaultError("the faces lie outside of the video: it is another one")


def _records(file: BinaryIO) -> Iterator[tuple[int, list[Patch]]]:
    last = -1
    while head := file.read(_RECORD.size):
        index, size = _RECORD.unpack(head) if len(head) == _RECORD.size else (last, 0)
        content = file.read(min(size, _MOST))
        if len(content) != size or index <= last:
            raise VaultError("the vault holds faces that cannot be read: they are cut off or out of order")
        last = index
        yield index, unpack(content)


def _laid(frame: Frame, patches: list[Patch]) -> Frame:
    planes = list(frame.planes)
    for patch in patches:
        if patch.number >= len(planes):
            raise VaultError("the faces are of other samples than the video: it is another one")
        alone = _alone(planes[patch.number])
        planes[patch.number] = laid(alone, [patch]).planes[0]
    return replace(frame, planes=tuple(planes))


def _planes(frame: Frame, region: Region) -> Iterator[tuple[Frame, int, int]]:
    """Yield each plane as a picture of its own, and where the region begins in it."""
    for plane, samples in enumerate(frame.planes):
        x, y = _shift(frame.layout, plane)
        yield _alone(samples), region[0] >> x, region[1] >> y


def _alone(samples: Array) -> Frame:
    depth = 8 if samples.dtype == np.uint8 else 16
    return Frame((samples,), Layout("rgb" if samples.ndim == 3 else "grey", depth))


def _shift(layout: Layout, plane: int) -> tuple[int, int]:
    return (layout.shift_x, layout.shift_y) if layout.kind == "yuv" and plane in {1, 2} else (0, 0)


def _nearest(regions: Mapping[int, Region], number: int, alone: Frame, frame: Frame, plane: int) -> Mask:
    """Return which samples of a region go with it, (h, w) bool: those in its outline but in that of no smaller one, and
    of those in no outline the ones that are nearest to it."""
    shift_x, shift_y = _shift(frame.layout, plane)
    x0, y0, x1, y1 = regions[number]
    columns = np.arange(x0 >> shift_x, min(-(-x1 >> shift_x), alone.width)) + 0.5
    rows = np.arange(y0 >> shift_y, min(-(-y1 >> shift_y), alone.height)) + 0.5

    def distance(region: Region) -> npt.NDArray[np.float64]:
        x, y = (region[0] + region[2]) / 2, (region[1] + region[3]) / 2
        half = (region[2] - region[0]) / 2, (region[3] - region[1]) / 2
        across = ((columns * (1 << shift_x) - x) / half[0]) ** 2
        down = ((rows * (1 << shift_y) - y) / half[1]) ** 2
        return np.asarray(across[None] + down[:, None], np.float64)

    mine = distance(regions[number])
    mask: Mask = np.ones(mine.shape, np.bool_)
    for other, region in regions.items():
        if other != number:
            theirs = distance(region)
            nearer = (mine < theirs) if other < number else (mine <= theirs)
            smaller = (_area(regions[number]), number) < (_area(region), other)
            within, beside = mine <= 1, theirs <= 1
            mask &= np.where(within & beside, smaller, np.where(within | beside, within, nearer))
    return mask


def _area(region: Region) -> int:
    return (region[2] - region[0]) * (region[3] - region[1])
