"""A video and what a tool made of it, read side by side: where the faces are, and what each frame tells of them.

One pass finds the faces, a second one measures. Of the frames only two are held, of the faces their embeddings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path

import cv2
import numpy as np

from incog import geometry, track
from incog.colour import Region, rgb8
from incog.errors import InputError
from incog.evaluate import temporal
from incog.evaluate.recognisers import Recogniser
from incog.evaluate.samples import face_only
from incog.evaluate.video_attacks import Rows, Sights
from incog.media import open_source
from incog.media.base import Source
from incog.media.video import VideoSource
from incog.media.video_decode import open_input
from incog.perceive.embedder import align
from incog.perceive.hulls import FaceHulls
from incog.pipeline import Perception, Progress
from incog.types import Bytes, Face, Floats, Frame, Origin, Track

SEEN = (Origin.DETECTED, Origin.INTERPOLATED)
"""Frames of a track that are judged: found there, or between two frames in which it was found. Into others a face is
only followed, and may be gone."""

EXAMPLES = 4
"""Crops of a track that are kept to be shown."""

COVERED = 12
"""Frames of a track, at most, that recognisers also see with the face black."""

SIDE = 112
"""Of such a crop, px."""


class Pair:
    """Two videos of the same frames. Opening reads the headers; ``frames`` decodes both, anew at each call."""

    def __init__(self, original: Path, anonymised: Path) -> None:
        """Raises InputError, which says in which of the two, for what is no video and for sizes that differ."""
        self.original, self.anonymised = _opened(original, "ORIGINAL"), _opened(anonymised, "ANONYMISED")
        sizes = [f"{one.width} x {one.height}" for one in (self.original, self.anonymised)]
        if sizes[0] != sizes[1]:
            raise InputError(
                f"the videos must have upright frames of one size, got {sizes[0]} and {sizes[1]}"
            )

    @property
    def rate(self) -> float:
        """Frames per second of the original, on average."""
        return self.original.rate or 25.0

    def frames(self) -> Iterator[tuple[Frame, Frame]]:
        """Yield the frames of both, upright. Raises InputError when one has more, or cannot be decoded."""
        counts = [0, 0]
        for pair in zip_longest(
            _read(self.original, "ORIGINAL"), _read(self.anonymised, "ANONYMISED"), fillvalue=None
        ):
            counts = [count + (frame is not None) for count, frame in zip(counts, pair, strict=True)]
            before, after = pair
            if before is not None and after is not None:
                yield before, after
        if counts[0] != counts[1]:
            raise InputError(f"the videos must have as many frames, got {counts[0]} and {counts[1]}")

    def sounds(self) -> tuple[int, int]:
        """Return how many sound tracks either has."""
        return _sounds(self.original), _sounds(self.anonymised)


def _opened(path: Path, name: str) -> Source:
    try:
        source = open_source(path)
    except InputError as error:
        raise InputError(f"{name}: {error}", hint=error.hint) from error
    if source.kind == "photo":
        raise InputError(f"{name} must be a video or an animation, got a photo")
    return source


def _read(source: Source, name: str) -> Iterator[Frame]:
    try:
        yield from source.frames()
    except InputError as error:
        raise InputError(f"{name}: {error}", hint=error.hint) from error


def _sounds(source: Source) -> int:
    if not isinstance(source, VideoSource):
        return 0
    with open_input(source.path, source.container) as opened:
        return len(opened.streams.audio)


@dataclass(slots=True, eq=False)
class Watched:
    """What was seen of one track. frames: those judged, see ``SEEN``. shares: of a face's pixels that were altered, NaN
    where none is in the frame. sizes: longer side of the face, px. embedded: (before, after) by recogniser, in the
    frames ``embedded_at``; covered: of faces made black, in the rows ``covered_at`` of these. flickers, warps: (before,
    after) of neighbouring frames. examples: (before, after) crops."""

    track: Track
    frames: list[int] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    embedded: dict[str, list[tuple[Floats, Floats]]] = field(default_factory=dict)
    embedded_at: list[int] = field(default_factory=list)
    covered: dict[str, list[Floats]] = field(default_factory=dict)
    covered_at: list[int] = field(default_factory=list)
    flickers: list[tuple[float, float]] = field(default_factory=list)
    warps: list[tuple[float, float]] = field(default_factory=list)
    examples: list[tuple[Bytes, Bytes]] = field(default_factory=list)

    def sights(self, recogniser: str) -> Sights:
        """Return what a recogniser saw."""
        rows = self.embedded.get(recogniser, [])
        before, after = (np.array([pair[side] for pair in rows], np.float32) for side in range(2))
        covered = np.array(self.covered.get(recogniser, []), np.float32).reshape(-1, before.shape[-1])
        frames, at = np.array(self.embedded_at, np.intp), np.array(self.covered_at, np.intp)
        return Sights(frames, before, after, covered, at)


def find(pair: Pair, perception: Perception, progress: Progress) -> track.Timeline:
    """Return the tracks of the faces in the original, found as ``incog hide`` does. Raises InputError as ``Pair``."""
    settings = perception.settings
    if pair.original.kind == "animation":
        settings = track.every_frame(settings)
    tracker = track.Tracker(
        perception.searcher.scan, perception.searcher.look, rate=pair.original.rate, settings=settings
    )

    def originals() -> Iterator[Frame]:
        for before, _ in pair.frames():
            yield before
            progress("looking", before.index + 1, pair.original.frame_count)

    timeline = tracker.run(originals())
    if not timeline.frames:
        raise InputError("ORIGINAL: the file holds no picture")
    return timeline


def watch(
    pair: Pair,
    tracks: Sequence[Track],
    perception: Perception,
    recognisers: Sequence[Recogniser],
    progress: Progress,
) -> list[Watched]:
    """Return what the frames tell of each track. Raises InputError as ``Pair``."""
    watched = {item.id: _Watch(Watched(item), perception) for item in tracks}
    lookup = track.by_frame(tracks)
    previous: tuple[Bytes, Bytes] | None = None
    for frame, other in pair.frames():
        now = rgb8(frame), rgb8(other)
        faces = lookup(frame.index)
        outlines = [_outline(face) for _, face in faces]
        views: list[_View] = []
        for (item, face), outline in zip(faces, outlines, strict=True):
            if item.origins[frame.index - item.start] in SEEN:
                views.append(watched[item.id].look(frame, face, outline, outlines, now, previous))
        _embed([view for view in views if view.points is not None], recognisers, frame.index)
        previous = now
        progress("comparing", frame.index + 1, pair.original.frame_count)
    return [watched[item.id].told for item in tracks]


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """What recognisers are shown of a face: the face alone. points: of it, None where they cannot be told. covered:
    with the face black, in some frames."""

    told: Watched
    before: Bytes
    after: Bytes
    covered: Bytes | None
    points: Floats | None


def _embed(views: Sequence[_View], recognisers: Sequence[Recogniser], index: int) -> None:
    if not views:
        return
    points = [view.points for view in views if view.points is not None]
    black = [(view, view.covered) for view in views if view.covered is not None]
    pictures = [*(view.before for view in views), *(view.after for view in views), *(one for _, one in black)]
    places = points * 2 + [view.points for view, _ in black if view.points is not None]
    for recogniser in recognisers:
        rows = recogniser(pictures, places)
        first, second, third = np.split(rows, [len(views), 2 * len(views)])
        for view, before, after in zip(views, first, second, strict=True):
            view.told.embedded.setdefault(recogniser.name, []).append((before, after))
        for (view, _), row in zip(black, third, strict=True):
            view.told.covered.setdefault(recogniser.name, []).append(row)
    for view, _ in black:
        view.told.covered_at.append(len(view.told.embedded_at))
    for view in views:
        view.told.embedded_at.append(index)


class _Watch:
    """Follows one track through the frames."""

    def __init__(self, told: Watched, perception: Perception) -> None:
        self.told = told
        self._hulls: FaceHulls = perception.hulls
        self._find = perception.searcher.look
        self._points = carried_points(told.track)
        seen = np.flatnonzero(np.isin(told.track.origins, SEEN)) + told.track.start
        self._shown, self._covered = _spread(seen, EXAMPLES), _spread(seen, COVERED)
        self._crops: list[tuple[Bytes, Bytes]] = []
        self._hull: Floats | None = None
        self._last = -2

    def look(
        self,
        frame: Frame,
        face: Face,
        outline: Floats,
        outlines: Sequence[Floats],
        now: tuple[Bytes, Bytes],
        previous: tuple[Bytes, Bytes] | None,
    ) -> _View:
        """Measure the face in one frame, and return what recognisers are to be shown of it."""
        told, index = self.told, frame.index
        tolerance = temporal.coding_tolerance(*now, outline, faces=outlines)
        told.frames.append(index)
        told.sizes.append(face.size)
        told.shares.append(temporal.altered_share(*now, outline, tolerance=tolerance))
        points = self._placed(frame, face)
        seen = self._hulls(frame, [replace(face, points=points, grow=0.0)], geometry.MASK_SCALE)[0]
        hull = seen.outline
        if index != self._last + 1:
            self._crops, self._hull = [], None
        if previous is not None and self._hull is not None:
            self._warp(previous, now, hull)
        self._hull, self._last = hull, index
        if points is None:
            self._crops = []
        else:
            self._flicker(now, points)
        if index in self._shown:
            told.examples.append((_square(now[0], face), _square(now[1], face)))
        region = _cut(geometry.bounds(hull, 0.6 * face.size), now[0])
        corner = np.array(region[:2], np.float32)
        before, after = (face_only(_part(picture, region), hull - corner) for picture in now)
        black = face_only(np.zeros_like(before), hull - corner) if index in self._covered else None
        places = None if points is None else (points - corner).astype(np.float32)
        return _View(told, before, after, black, places)

    def _placed(self, frame: Frame, face: Face) -> Floats | None:
        """Return the face's points: as they were found, as they are found near its place, or carried over."""
        if face.points is not None:
            return face.points
        found = self._find(frame, face)
        if found is not None and found.points is not None:
            apart = np.hypot(found.centre[0] - face.centre[0], found.centre[1] - face.centre[1])
            # Nearer than the search asks for: the neighbour's face must not speak for this one.
            if apart < 0.4 * face.size:
                return found.points
        points = self._points[frame.index - self.told.track.start]
        return points if np.isfinite(points).all() else None

    def _warp(self, previous: tuple[Bytes, Bytes], now: tuple[Bytes, Bytes], hull: Floats) -> None:
        """Compare with the frame before: flow needs the face's surroundings, not the whole frame."""
        assert self._hull is not None
        both = np.concatenate([self._hull, hull])
        margin = max(temporal.SMALLEST, 0.25 * float(np.ptp(hull, axis=0).max()))
        region = _cut(geometry.bounds(both, margin), now[0])
        if min(region[2] - region[0], region[3] - region[1]) < temporal.SMALLEST:
            return
        inside = geometry.mask([hull], region, 0) > 0
        before, after = (
            [_part(first, region), _part(second, region)] for first, second in zip(previous, now, strict=True)
        )
        errors = temporal.warping_errors(before, after, masks=[inside, inside])
        if np.isfinite(errors).all():
            self.told.warps.append(errors)

    def _flicker(self, now: tuple[Bytes, Bytes], points: Floats) -> None:
        face = Face((0, 0, 1, 1), points=points)
        self._crops = [*self._crops[-2:], (align(now[0], face), align(now[1], face))]
        if len(self._crops) == 3:
            before, after = (
                temporal.flicker(np.stack([pair[side] for pair in self._crops])) for side in range(2)
            )
            self.told.flickers.append((before, after))


def carried_points(item: Track) -> Floats:
    """Return the points of a track in all of its frames, (N, 5, 2) float32 px: where they are unknown, carried over
    from the nearest frames in which they are known, in proportion to the box. NaN when they never are."""
    known = np.flatnonzero(np.isfinite(item.points).all((1, 2)))
    if not len(known):
        return np.full_like(item.points, np.nan)
    corners, sizes = item.boxes[:, None, :2], item.boxes[:, None, 2:] - item.boxes[:, None, :2]
    placed = ((item.points - corners) / sizes)[known].reshape(len(known), 10)
    rows = np.arange(len(item.boxes))
    filled = np.stack([np.interp(rows, known, column) for column in placed.T], axis=1).reshape(-1, 5, 2)
    return np.asarray(filled * sizes + corners, np.float32)


def _spread(frames: Rows, most: int) -> set[int]:
    """Return at most so many of the frames, evenly spaced."""
    if len(frames) <= most:
        return set(frames.tolist())
    return set(frames[np.linspace(0, len(frames) - 1, most + 2)[1:-1].astype(int)].tolist())


def _outline(face: Face) -> Floats:
    """Return the face itself, brow to chin and ear to ear: what must be altered, whatever else a mask covers."""
    return geometry.hull(replace(face, grow=0.0), 1.0)


def _cut(region: Region, picture: Bytes) -> Region:
    """Return the part of a region that lies in the picture, one pixel at least."""
    height, width = picture.shape[:2]
    x0, y0 = min(max(region[0], 0), width - 1), min(max(region[1], 0), height - 1)
    return x0, y0, min(max(region[2], x0 + 1), width), min(max(region[3], y0 + 1), height)


def _part(picture: Bytes, region: Region) -> Bytes:
    x0, y0, x1, y1 = region
    return np.ascontiguousarray(picture[y0:y1, x0:x1])


def _square(picture: Bytes, face: Face) -> Bytes:
    """Return the face with its surroundings, (SIDE, SIDE, 3) uint8; beyond the frame its border is repeated."""
    side = max(2, round(2 * face.size))
    taken = cv2.getRectSubPix(picture, (side, side), face.centre)
    return np.asarray(cv2.resize(taken, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
