"""Tracks in the making: rows of frames, and what is done to them once a video has been seen to its end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from incog.track.boxes import centre_of, moved, size_of
from incog.types import Bytes, Face, Floats, Origin, Track


@dataclass(slots=True, eq=False)
class Row:
    """One frame of a track. match: how well the face still looked like its template there, -1..1."""

    box: Floats
    points: Floats | None
    score: float
    origin: Origin
    grow: float
    match: float = 1.0


@dataclass(slots=True, eq=False)
class Draft:
    """A track in the making: one row per frame, and how often and how surely it was seen."""

    rows: dict[int, Row]
    template: Bytes
    first_seen: int
    last_seen: int
    best: float
    hits: int = 1
    scene: int = 0

    @property
    def end(self) -> int:
        """Index of the last frame."""
        return max(self.rows)

    def velocity(self, index: int) -> Floats:
        """Return the centre's motion in px per frame around ``index``, from the two nearest sightings."""
        seen = [at for at in (index - 1, index, index + 1) if at in self.rows]
        if len(seen) < 2:
            return np.zeros(2, np.float32)
        first, last = self.rows[seen[0]].box, self.rows[seen[-1]].box
        return (centre_of(last) - centre_of(first)) / np.float32(seen[-1] - seen[0])


def row_of(face: Face) -> Row:
    """Return the row of a face that was seen."""
    return Row(np.array(face.box, np.float32), face.points, face.score, Origin.DETECTED, 0.0)


def to_track(number: int, by_index: dict[int, Row]) -> Track:
    """Return the finished track of rows by frame index, without holes."""
    indices = range(min(by_index), max(by_index) + 1)
    rows = [by_index[index] for index in indices]
    unknown = np.full((5, 2), np.nan, np.float32)
    return Track(
        id=number,
        start=indices[0],
        boxes=np.stack([row.box for row in rows]).astype(np.float32),
        points=np.stack([unknown if row.points is None else row.points for row in rows]).astype(np.float32),
        scores=np.array([row.score for row in rows], np.float32),
        origins=np.array([row.origin for row in rows], np.uint8),
        grow=np.array([row.grow for row in rows], np.float32),
    )


def bridge(live: Draft, start: int, stop: int, *, holes_only: bool = False) -> None:
    """Fill holes, and correct rows that were followed blindly, now that both ends are known."""
    first, last = live.rows[start], live.rows[stop]
    for index in range(start + 1, stop):
        share = (index - start) / (stop - start)
        row = live.rows.get(index)
        straight = np.asarray((1 - share) * first.box + share * last.box, np.float32)
        if row is not None and (holes_only or row.match >= 0.6):
            continue
        if row is None or row.origin is Origin.PROPAGATED:
            live.rows[index] = Row(straight, None, first.score, Origin.INTERPOLATED, 0.25)


def trim(live: Draft) -> None:
    """After the last sighting keep only what still looks like the face."""
    for index in range(live.last_seen + 1, live.end + 1):
        if index not in live.rows or live.rows[index].match < 0.5:
            for late in range(index, live.end + 1):
                live.rows.pop(late, None)
            return


def bridged(drafts: list[Draft], longest: int) -> list[Draft]:
    """Join a track's end to a later track's start when it is probably the same face, hidden for a while.

    longest: frames of a gap at most.
    """
    joined: list[Draft] = []
    recent: list[Draft] = []
    for live in sorted(drafts, key=lambda item: (min(item.rows), item.first_seen)):
        start = min(live.rows)
        recent = [other for other in recent if start - other.end <= longest]
        before = max(
            (other for other in recent if _continues(other, live, start, longest)),
            key=lambda other: other.end,
            default=None,
        )
        if before is None:
            joined.append(live)
            recent.append(live)
            continue
        end = before.end
        before.rows.update(live.rows)
        bridge(before, end, start)
        before.last_seen = live.last_seen
        before.best = max(before.best, live.best)
        before.hits += live.hits
    return joined


def _continues(before: Draft, live: Draft, start: int, longest: int) -> bool:
    gap = start - before.end
    if before.scene != live.scene or gap <= 0:
        return False
    last, first = before.rows[before.end].box, live.rows[start].box
    apart = float(np.linalg.norm(centre_of(last) - centre_of(first)))
    near = apart < (size_of(last) + size_of(first)) / 2 * (0.8 + 1.2 * gap / longest)
    return near and 0.5 < size_of(last) / size_of(first) < 2


def extend(live: Draft, low: int, high: int, tail: int) -> None:
    """Carry both ends on for ``tail`` frames, from ``low`` to before ``high``, along the last motion."""
    for direction in (-1, 1):
        index = min(live.rows) if direction < 0 else live.end
        last = live.rows[index]
        inner = live.rows.get(index - direction * 3, last)
        motion = (centre_of(last.box) - centre_of(inner.box)) / np.float32(3)
        for number in range(1, tail + 1):
            at = index + direction * number
            if not low <= at < high:
                break
            grow = min(last.grow + 0.05 * number, 0.5)
            box = moved(last.box, centre_of(last.box) + motion * np.float32(number))
            live.rows[at] = Row(box, None, last.score, Origin.PROPAGATED, grow)


def widen_at_borders(live: Draft, width: int, height: int) -> None:
    """A face that the border cuts has a box that may be cut too short: its mask grows."""
    for row in live.rows.values():
        x0, y0, x1, y1 = (float(value) for value in row.box)
        margin = 0.1 * size_of(row.box)
        inner = margin < x0 and margin < y0 and x1 < width - margin and y1 < height - margin
        if not inner:
            row.grow += 0.15
