"""Faces of videos: where they are in each frame, and their samples frame by frame, to be laid back into it."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from incog.errors import VaultError
from incog.types import Array, Frame, Layout
from incog.vault.patches import Mask, Patch, cut, laid, pack, unpack

Region = tuple[int, int, int, int]
"""x0, y0, x1, y1 in whole pixels, aligned to the samples of chroma."""

_ROW: Final = np.dtype([("frame", ">u4"), ("number", ">u2"), ("region", ">u2", 4)])
_SEEN: Final = np.dtype([("frame", "u4"), ("track", "u4"), ("region", "u2", 4)])
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


class Sightings:
    """Where faces were in the frames of a video that were gone through so far, 20 bytes for each."""

    def __init__(self) -> None:
        self._rows, self._next = bytearray(), 0

    def add(self, frame: int, regions: Mapping[int, Region]) -> None:
        """Take in a frame: regions by track, of any ids. A frame that is not behind the last begins anew."""
        if frame < self._next:
            self._rows.clear()
        self._next = frame + 1
        rows = [(frame, number, region) for number, region in regions.items()]
        self._rows += np.array(rows, _SEEN).tobytes()

    def tracks(self) -> Tracks:
        """Number the tracks from 1, in the order in which they begin, from left to right."""
        seen = np.frombuffer(bytes(self._rows), _SEEN)
        _, first, inverse = np.unique(seen["track"], return_index=True, return_inverse=True)
        order = np.lexsort((seen["region"][first, 0], seen["frame"][first]))
        numbers = np.empty(len(order), np.int64)
        numbers[order] = np.arange(1, len(order) + 1)
        rows = np.empty(len(seen), _ROW)
        rows["frame"], rows["number"], rows["region"] = seen["frame"], numbers[inverse], seen["region"]
        return Tracks(rows[np.lexsort((rows["number"], rows["frame"]))])


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """Where the hidden faces of a video are. rows: ``frame``, ``number`` of the track and ``region``, sorted."""

    rows: npt.NDArray[np.void]
    _frames: npt.NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # A column of the table would be copied by every search.
        object.__setattr__(self, "_frames", self.rows["frame"].astype(np.int64))

    def pack(self) -> bytes:
        """Return all of it as bytes."""
        return self.rows.tobytes()

    @classmethod
    def unpack(cls, data: bytes) -> Tracks:
        """Return what ``pack`` packed. Raises VaultError when the bytes are something else."""
        if len(data) % _ROW.itemsize:
            raise VaultError("the vault holds tracks that cannot be read: they are cut off")
        tracks = cls(np.frombuffer(data, _ROW))
        if (np.diff(tracks._frames) < 0).any():
            raise VaultError("the vault holds tracks that cannot be read: they are out of order")
        return tracks

    def at(self, frame: int) -> dict[int, Region]:
        """Return the regions of a frame by number."""
        start, stop = np.searchsorted(self._frames, [frame, frame + 1])
        found: dict[int, Region] = {}
        for row in self.rows[start:stop]:
            x0, y0, x1, y1 = (int(value) for value in row["region"])
            found[int(row["number"])] = x0, y0, x1, y1
        return found

    def summaries(self) -> list[Summary]:
        """Return one for each track, in the order of their numbers."""
        found = []
        for number in np.unique(self.rows["number"]):
            mine = self.rows[self.rows["number"] == number]
            x0, y0, x1, y1 = (int(value) for value in mine["region"][len(mine) // 2])
            found.append(Summary(int(mine["frame"][0]), int(mine["frame"][-1]), (x0, y0, x1 - x0, y1 - y0)))
        return found

    def cut(self, frame: Frame, number: int) -> bytes:
        """Return the record of a track in a frame of the original, empty where it is not in it.

        Where regions overlap, a sample goes with the one to whose centre it is nearest, in half axes.
        """
        regions = self.at(frame.index)
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
