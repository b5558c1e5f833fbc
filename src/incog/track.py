"""Faces over time: detections on keyframes become tracks without holes.

The picture is scanned on keyframes: at the first and last frame of every scene, at fixed intervals and where something
appears suddenly. Between them a face is followed by template matching from both ends. A face that a scan no longer
finds is looked for near its predicted place, and one that a scan finds for the first time is followed backwards as
well, so a face is covered before it was first, and after it was last, detected. The box's uncertainty grows with the
distance from the nearest detection and with the disagreement of the two directions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from incog import colour
from incog.types import Bytes, Depth, Face, Floats, Frame, Origin, Track

Scan = Callable[[Frame, Depth], list[Face]]
"""Searches a whole frame. Returns faces down to ``Settings.low``."""

Look = Callable[[Frame, Face], Face | None]
"""Searches near a place where a face of a known size is expected."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How closely a video is watched. Times in seconds, scores in 0..1.

    threshold: score that starts a track. low: score that continues one, or starts one when a closer look agrees. sure:
    score that needs no closer look. interval, fine, finest: longest time between scans that are at least that close;
    a scene's first frame is scanned most closely. patience: how long an unseen face is followed. bridge: longest gap
    that is filled between two tracks. back: how far a new face is followed backwards at most. tail: how far tracks
    are extended at both ends. memory: bytes of decoded frames that may be held to follow faces backwards.
    """

    threshold: float = 0.3
    low: float = 0.2
    interval: float = 0.32
    fine: float = 0.8
    finest: float = 2.4
    patience: float = 1.0
    bridge: float = 1.2
    back: float = 2.0
    tail: float = 0.12
    sure: float = 0.65
    memory: int = 400_000_000


def every_frame(settings: Settings) -> Settings:
    """Return the settings for animations, where each frame may show something else."""
    return replace(settings, interval=0.0, fine=0.0, finest=0.0)


@dataclass(frozen=True, slots=True)
class Timeline:
    """What one pass over the frames gave: the tracks by id, the number of frames, and the frames that were scanned."""

    tracks: list[Track]
    frames: int
    scanned: list[int]
    cuts: list[int]


@dataclass(slots=True, eq=False)
class _Row:
    box: Floats
    points: Floats | None
    score: float
    origin: Origin
    grow: float
    match: float = 1.0


@dataclass(slots=True, eq=False)
class _Live:
    """A track in the making: one row per frame, and how often and how surely it was seen."""

    rows: dict[int, _Row]
    template: Bytes
    first_seen: int
    last_seen: int
    best: float
    hits: int = 1
    scene: int = 0

    @property
    def end(self) -> int:
        return max(self.rows)

    def velocity(self, index: int) -> Floats:
        """Return the centre's motion in px per frame around ``index``, from the two nearest sightings."""
        seen = [at for at in (index - 1, index, index + 1) if at in self.rows]
        if len(seen) < 2:
            return np.zeros(2, np.float32)
        first, last = self.rows[seen[0]].box, self.rows[seen[-1]].box
        return (_centre(last) - _centre(first)) / np.float32(seen[-1] - seen[0])


@dataclass(slots=True, eq=False)
class _View:
    """A frame with what tracking needs of it, made when it is first asked for."""

    frame: Frame
    _pyramid: list[Bytes] = field(default_factory=list)

    @property
    def index(self) -> int:
        return self.frame.index

    def level(self, number: int) -> Bytes:
        """Return brightness at 1 / 2**number of the size."""
        if not self._pyramid:
            self._pyramid.append(colour.luma8(self.frame))
        while len(self._pyramid) <= number:
            last = self._pyramid[-1]
            half = max(last.shape[1] // 2, 1), max(last.shape[0] // 2, 1)
            self._pyramid.append(np.asarray(cv2.resize(last, half, interpolation=cv2.INTER_AREA), np.uint8))
        return self._pyramid[number]

    def thumbnail(self) -> Floats:
        """Return brightness at 48 x 27, for scene cuts and sudden changes."""
        # Every fourth sample of every fourth line is enough, and ten times cheaper than the pyramid.
        step = 4 if min(self.frame.width, self.frame.height) > 256 else 1
        small = np.ascontiguousarray(self.level(0)[::step, ::step])
        return np.asarray(cv2.resize(small, (48, 27), interpolation=cv2.INTER_AREA), np.float32)


_PATCH = 28
"""Side of the matched template in its own pixels."""

_NEW = 40
"""Most new faces that are looked at closely on one keyframe, the surest first."""

_REACH = 0.8
"""How far from the guess a face is searched, as a share of its size."""


def _centre(box: Floats) -> Floats:
    return np.asarray((box[:2] + box[2:]) / 2, dtype=np.float32)


def _size(box: Floats) -> float:
    return float(max(box[2] - box[0], box[3] - box[1], 1.0))


def _patch(view: _View, centre: Floats, reach: float, side: int) -> Bytes:
    """Return the square of half-width ``reach`` around a centre, resampled to ``side`` pixels."""
    step = 2 * reach / side
    number = int(np.clip(np.floor(np.log2(max(step, 1.0))), 0, 5))
    image = view.level(number)
    ratio_x, ratio_y = image.shape[1] / view.frame.width, image.shape[0] / view.frame.height
    matrix = np.array(
        [
            [step * ratio_x, 0, (centre[0] - reach + step / 2 + 0.5) * ratio_x - 0.5],
            [0, step * ratio_y, (centre[1] - reach + step / 2 + 0.5) * ratio_y - 0.5],
        ],
        dtype=np.float32,
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(image, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def _follow(template: Bytes, size: float, view: _View, guess: Floats) -> tuple[Floats, float]:
    """Return where the template lies in a view, near a guess, and the normalised cross-correlation there."""
    extent = 0.6 * size
    margin = round(_PATCH / 2 / 0.6 * _REACH)
    side = _PATCH + 2 * margin
    window = _patch(view, guess, extent * side / _PATCH, side)
    scores = np.asarray(cv2.matchTemplate(window, template, cv2.TM_CCOEFF_NORMED), np.float32)
    _, best, _, (x, y) = cv2.minMaxLoc(scores)
    offset = np.array([_peak(scores[y], x), _peak(scores[:, x], y)], dtype=np.float32) - margin
    return guess + offset * np.float32(2 * extent / _PATCH), float(best) if np.isfinite(best) else 0.0


def _peak(line: Floats, at: int) -> float:
    """Return the sub-sample position of a maximum, by a parabola through it and its neighbours."""
    if not 0 < at < len(line) - 1:
        return float(at)
    left, middle, right = (float(value) for value in line[at - 1 : at + 2])
    bend = left - 2 * middle + right
    return at + (0.5 * (left - right) / bend if bend < -1e-9 else 0.0)


def _template(view: _View, box: Floats) -> Bytes:
    """Return what a face looks like in a view, (28, 28) uint8, to find it again by."""
    return _patch(view, _centre(box), 0.6 * _size(box), _PATCH)


def _path(template: Bytes, box: Floats, views: Sequence[_View], drift: Floats) -> list[tuple[Floats, float]]:
    """Follow a face from its box through ``views`` in the order given (either direction in time).

    Returns the centre and the correlation per view. drift: first guess of the motion, px per step.
    """
    size = _size(box)
    centre = _centre(box)
    path: list[tuple[Floats, float]] = []
    for view in views:
        guess = centre + drift
        found, score = _follow(template, size, view, guess)
        if score < 0.35:
            found = guess
        drift = 0.5 * drift + 0.5 * (found - centre)
        centre = found
        path.append((centre, score))
    return path


def _moved(box: Floats, centre: Floats) -> Floats:
    return np.asarray(box + np.tile(centre - _centre(box), 2), dtype=np.float32)


def _row(face: Face, origin: Origin = Origin.DETECTED) -> _Row:
    return _Row(np.array(face.box, np.float32), face.points, face.score, origin, 0.0)


def _face(box: Floats, score: float = 0.0) -> Face:
    x0, y0, x1, y1 = (float(value) for value in box)
    return Face(box=(x0, y0, x1, y1), score=score)


def overlap(one: Floats, other: Floats) -> Floats:
    """Return intersection over union of boxes (N, 4) and (M, 4) as (N, M) float32."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=2)
    area_one = np.prod(one[:, 2:] - one[:, :2], axis=1)
    area_other = np.prod(other[:, 2:] - other[:, :2], axis=1)
    union = area_one[:, None] + area_other[None] - common
    return np.asarray(common / np.maximum(union, 1e-6), dtype=np.float32)


def assign(expected: Floats, found: Floats) -> list[tuple[int, int]]:
    """Return pairs (row of expected, row of found) of boxes (N, 4) and (M, 4) that are likely the same face.

    Hungarian assignment on overlap and distance; pairs further apart than one face size, or more than twice as large,
    do not match.
    """
    if not len(expected) or not len(found):
        return []
    size_expected = np.maximum(np.max(expected[:, 2:] - expected[:, :2], axis=1), 1)
    size_found = np.maximum(np.max(found[:, 2:] - found[:, :2], axis=1), 1)
    distance = np.linalg.norm(
        (expected[:, None, :2] + expected[:, None, 2:] - found[None, :, :2] - found[None, :, 2:]) / 2, axis=2
    )
    mean = (size_expected[:, None] + size_found[None]) / 2
    ratio = np.abs(np.log2(size_expected[:, None] / size_found[None]))
    cost = distance / mean + 0.5 * ratio + (1 - overlap(expected, found))
    cost[(distance > mean) | (ratio > 1)] = 1e3
    rows, columns = linear_sum_assignment(cost)
    return [
        (int(row), int(column)) for row, column in zip(rows, columns, strict=True) if cost[row, column] < 1e3
    ]


class Tracker:
    """Turns a stream of frames into tracks; memory does not grow with the stream's length, but for the rows."""

    def __init__(
        self,
        scan: Scan,
        look: Look,
        *,
        rate: float,
        settings: Settings,
        keyframes: frozenset[int] = frozenset(),
    ) -> None:
        """rate: frames per second, on average. keyframes: frames that are scanned in any case."""
        self._scan, self._look, self._settings = scan, look, settings
        self._wanted = keyframes
        self._width, self._height = 0, 0
        rate = rate if rate > 0 else 25.0
        self._interval = max(1, min(round(settings.interval * rate), 12))
        self._between = {
            Depth.FINE: max(1, round(settings.fine * rate)),
            Depth.FINEST: max(1, round(settings.finest * rate)),
        }
        self._patience = max(3, round(settings.patience * rate))
        self._bridge = max(3, round(settings.bridge * rate))
        self._tail = max(2, round(settings.tail * rate))
        self._reach_back = max(2 * self._interval + 1, round(settings.back * rate))
        self._history: deque[_View] = deque()
        self._live: list[_Live] = []
        self._done: list[_Live] = []
        self._scene = 0
        self._scene_starts: list[int] = [0]
        self._key = -1
        self._last: dict[Depth, int] = {}
        self._sudden = False
        self._unrest = np.full((27, 48), 4.0, np.float32)
        self._scanned: list[int] = []

    def run(self, frames: Iterable[Frame]) -> Timeline:
        """Return the tracks of all frames."""
        count = 0
        previous: Floats | None = None
        for frame in frames:
            self._width, self._height = frame.width, frame.height
            view = _View(frame)
            thumbnail = view.thumbnail()
            if previous is not None:
                change = np.abs(thumbnail - previous)
                if self._is_cut(thumbnail, previous, change):
                    self._close_scene()
                    self._scene_starts.append(frame.index)
                    self._scene += 1
                else:
                    self._sudden |= self._is_sudden(change)
                self._unrest = 0.8 * self._unrest + 0.2 * change
            previous = thumbnail
            self._remember(view)
            waited = frame.index - self._key
            due = waited >= self._interval or (self._sudden and waited >= 2) or frame.index in self._wanted
            if due or len(self._history) == 1:
                self._keyframe(view)
            count += 1
        self._close_scene()
        return Timeline(self._finish(count), count, self._scanned, self._scene_starts[1:])

    def _remember(self, view: _View) -> None:
        self._history.append(view)
        size = sum(plane.nbytes for plane in view.frame.planes) * 2
        limit = max(self._interval + 2, min(self._reach_back, self._settings.memory // max(size, 1)))
        while len(self._history) > limit:
            self._history.popleft()

    def _is_cut(self, now: Floats, before: Floats, change: Floats) -> bool:
        mean = float(change.mean())
        return mean > 40 or (
            mean > 10 and mean > 4 * float(self._unrest.mean()) and _correlation(now, before) < 0.8
        )

    def _is_sudden(self, change: Floats) -> bool:
        """Something appeared: a part of the picture changes far more than it did, and more than the rest."""
        around = np.asarray(cv2.dilate(self._unrest, np.ones((5, 5), np.uint8)), np.float32)
        calm = np.maximum(around, float(np.median(change)))
        return bool(((change > 14) & (change > 3 * calm)).sum() >= 2)

    def _close_scene(self) -> None:
        if not self._history:
            return
        last = self._history[-1]
        if last.index != self._key:
            # Nothing comes after it that could correct a track's end.
            self._keyframe(last, at_least=Depth.FINE)
        self._done.extend(self._live)
        self._live = []
        self._history.clear()

    def _keyframe(self, view: _View, *, at_least: Depth = Depth.COARSE) -> None:
        """Scan a frame and bring every track up to it."""
        depth = max(self._depth(view.index), Depth.FINE if self._sudden else Depth.COARSE, at_least)
        self._last.update({level: view.index for level in Depth if level <= depth})
        self._sudden = False
        seen = self._scan(view.frame, depth)
        self._scanned.append(view.index)
        segment = [item for item in self._history if item.index > self._key]
        before = next((item for item in self._history if item.index == self._key), None)
        self._key = view.index
        if before is not None:
            seen = self._advance(before, segment, seen)
        for face in sorted(seen, key=lambda item: -item.score)[:_NEW]:
            self._begin(view, face)
        self._merge_twins(view.index)

    def _depth(self, index: int) -> Depth:
        """Return how closely this keyframe is scanned."""
        if len(self._history) == 1:
            return Depth.FINEST
        due = [
            level for level, every in self._between.items() if index - self._last.get(level, index) >= every
        ]
        return max(due, default=Depth.COARSE)

    def _advance(self, before: _View, segment: list[_View], seen: list[Face]) -> list[Face]:
        """Carry all live tracks from the last keyframe through the segment; return the faces of no track."""
        view = segment[-1]
        paths = [
            _path(live.template, live.rows[before.index].box, segment, live.velocity(before.index))
            for live in self._live
        ]
        expected = np.array(
            [
                _moved(live.rows[before.index].box, path[-1][0])
                for live, path in zip(self._live, paths, strict=True)
            ],
            np.float32,
        ).reshape(-1, 4)
        found = np.array([face.box for face in seen], np.float32).reshape(-1, 4)
        pairs = dict(assign(expected, found))
        taken = set(pairs.values())
        staying: list[_Live] = []
        for number, (live, path) in enumerate(zip(self._live, paths, strict=True)):
            face = seen[pairs[number]] if number in pairs else self._look(view.frame, _face(expected[number]))
            if face is not None:
                self._join(live, before, segment, path, face)
                staying.append(live)
                continue
            self._carry(live, before, segment, path)
            gone = view.index - live.last_seen > self._patience or view.index not in live.rows
            (self._done if gone else staying).append(live)
        self._live = staying
        return [face for number, face in enumerate(seen) if number not in taken]

    def _join(
        self, live: _Live, before: _View, segment: list[_View], path: list[tuple[Floats, float]], face: Face
    ) -> None:
        """Fill the frames between the last keyframe and a sighting, from both sides."""
        start, end = live.rows[before.index], _row(face)
        view = segment[-1]
        inner = segment[:-1]
        drift = (_centre(start.box) - _centre(end.box)) / np.float32(len(segment))
        live.template = _template(view, end.box)
        back = _path(live.template, end.box, inner[::-1], drift)[::-1]
        for number, (middle, (forward, sure_forward), (backward, sure_back)) in enumerate(
            zip(inner, path[:-1], back, strict=True), start=1
        ):
            share = number / len(segment)
            straight = (1 - share) * _centre(start.box) + share * _centre(end.box)
            weight_forward = (1 - share) * max(sure_forward - 0.35, 0.0) ** 2
            weight_back = share * max(sure_back - 0.35, 0.0) ** 2
            trust = weight_forward + weight_back
            size = _size(end.box)
            grow = 0.04 + min(0.3 * float(np.linalg.norm(drift)) / size, 0.15)
            if trust < 0.02:
                centre = straight
                grow += 0.2
            else:
                centre = (weight_forward * forward + weight_back * backward) / np.float32(trust)
                apart = float(np.linalg.norm(forward - backward)) / size
                if min(sure_forward, sure_back) > 0.5:
                    grow += min(apart, 0.4)
                else:
                    grow += min(float(np.linalg.norm(centre - straight)) / size * 0.5, 0.3)
            box = (1 - share) * start.box + share * end.box
            live.rows[middle.index] = _Row(
                _moved(box, centre), None, min(start.score, end.score), Origin.INTERPOLATED, grow
            )
        lost = before.index - live.last_seen
        live.rows[view.index] = end
        if lost > 0:
            self._bridge_rows(live, live.last_seen, view.index)
        live.last_seen = view.index
        live.best = max(live.best, face.score)
        live.hits += 1

    @staticmethod
    def _bridge_rows(live: _Live, start: int, stop: int, *, holes_only: bool = False) -> None:
        """Fill holes, and correct rows that were followed blindly, now that both ends are known."""
        first, last = live.rows[start], live.rows[stop]
        for index in range(start + 1, stop):
            share = (index - start) / (stop - start)
            row = live.rows.get(index)
            straight = np.asarray((1 - share) * first.box + share * last.box, np.float32)
            if row is not None and (holes_only or row.match >= 0.6):
                continue
            if row is None or row.origin is Origin.PROPAGATED:
                live.rows[index] = _Row(straight, None, first.score, Origin.INTERPOLATED, 0.25)

    def _carry(
        self, live: _Live, before: _View, segment: list[_View], path: list[tuple[Floats, float]]
    ) -> None:
        """Follow a face that was not found again, its mask growing with every frame."""
        start = live.rows[before.index]
        for view, (centre, match) in zip(segment, path, strict=True):
            box = _moved(start.box, centre)
            if not _inside(box, view.frame):
                return
            age = view.index - live.last_seen
            grow = min(0.06 + 0.25 * age / self._patience + 0.3 * max(0.0, 0.7 - match), 0.5)
            live.rows[view.index] = _Row(box, None, start.score, Origin.PROPAGATED, grow, match)

    def _begin(self, view: _View, face: Face) -> None:
        """Start a track and follow it back to where the face appeared."""
        if face.score < self._settings.sure:
            again = self._look(view.frame, face)
            if again is None or (again.score + face.score) / 2 < self._settings.threshold:
                return
            if again.score > face.score:
                face = again
        row = _row(face)
        live = _Live(
            {view.index: row}, _template(view, row.box), view.index, view.index, face.score, scene=self._scene
        )
        self._live.append(live)
        earlier = [item for item in self._history if item.index < view.index][::-1]
        step = max(1, self._interval // 2)
        anchor, drift = view, np.zeros(2, np.float32)
        while earlier:
            part, earlier = earlier[:step], earlier[step:]
            start = live.rows[anchor.index].box
            path = _path(_template(anchor, start), start, part, drift)
            box = _moved(live.rows[anchor.index].box, path[-1][0])
            again = self._look(part[-1].frame, _face(box)) if _inside(box, part[-1].frame) else None
            if again is not None and self._is_taken(live, part[-1].index, again):
                return
            drift = self._back(live, anchor, part, path, again)
            if again is None:
                return
            anchor = part[-1]
            live.first_seen = anchor.index
            live.best = max(live.best, again.score)
            live.hits += 1

    def _back(
        self,
        live: _Live,
        anchor: _View,
        part: list[_View],
        path: list[tuple[Floats, float]],
        again: Face | None,
    ) -> Floats:
        """Write the rows of one step backwards; return the motion per step."""
        start = live.rows[anchor.index]
        end = np.array(again.box, np.float32) if again else _moved(start.box, path[-1][0])
        for number, (view, (centre, match)) in enumerate(zip(part, path, strict=True), start=1):
            share = number / len(part)
            box = (1 - share) * start.box + share * end
            if match < 0.5:
                centre = _centre(box)
            placed = _moved(np.asarray(box, np.float32), centre)
            if not _inside(placed, view.frame):
                break
            if again is None and match < 0.6:
                break
            origin = Origin.INTERPOLATED if again else Origin.PROPAGATED
            grow = 0.06 + 0.2 * max(0.0, 0.8 - match) + (0.0 if again else 0.03 * number)
            live.rows[view.index] = _Row(placed, None, start.score, origin, grow, match)
        if again is not None:
            live.rows[part[-1].index] = _row(again)
        return (_centre(end) - _centre(start.box)) / np.float32(len(part))

    def _is_taken(self, live: _Live, index: int, face: Face) -> bool:
        """Whether another track already holds this face in this frame."""
        box = np.array([face.box], np.float32)
        return any(
            other is not live
            and index in other.rows
            and overlap(other.rows[index].box[None], box)[0, 0] > 0.4
            for other in (*self._live, *self._done[-64:])
        )

    def _merge_twins(self, index: int) -> None:
        """Two tracks that came to lie on one face become one: the one that was seen less ends."""
        kept: list[_Live] = []
        for live in sorted(self._live, key=lambda item: (item.last_seen, item.hits, item.best), reverse=True):
            box = live.rows[index].box
            twin = any(overlap(other.rows[index].box[None], box[None])[0, 0] > 0.5 for other in kept)
            (self._done if twin else kept).append(live)
        self._live = [live for live in self._live if live in kept]

    def _finish(self, count: int) -> list[Track]:
        """Drop what was seen once and doubtfully, trim, bridge gaps, extend, and number the tracks."""
        lives = [
            live for live in self._done if live.hits > 1 or live.best >= self._settings.sure or count == 1
        ]
        for live in lives:
            self._trim(live)
            self._bridge_rows(live, min(live.rows), live.last_seen, holes_only=True)
        lives = self._bridged(sorted(lives, key=lambda item: (min(item.rows), item.first_seen)))
        bounds = [*self._scene_starts, count]
        for live in lives:
            self._extend(live, bounds[live.scene], bounds[live.scene + 1])
            self._widen_at_borders(live)
        lives.sort(key=lambda item: (min(item.rows), float(item.rows[min(item.rows)].box[0])))
        return [_track(number, live.rows) for number, live in enumerate(lives, start=1)]

    def _trim(self, live: _Live) -> None:
        """After the last sighting keep only what still looks like the face."""
        for index in range(live.last_seen + 1, live.end + 1):
            if index not in live.rows or live.rows[index].match < 0.5:
                for late in range(index, live.end + 1):
                    live.rows.pop(late, None)
                return

    def _bridged(self, lives: list[_Live]) -> list[_Live]:
        """Join a track's end to a later track's start when it is probably the same face, hidden for a while."""
        joined: list[_Live] = []
        for live in lives:
            start = min(live.rows)
            before = None
            for other in joined:
                gap = start - other.end
                if other.scene != live.scene or not 0 < gap <= self._bridge:
                    continue
                last, first = other.rows[other.end].box, live.rows[start].box
                size = (_size(last) + _size(first)) / 2
                near = np.linalg.norm(_centre(last) - _centre(first)) < size * (
                    0.8 + 1.2 * gap / self._bridge
                )
                alike = 0.5 < _size(last) / _size(first) < 2
                if near and alike and (before is None or other.end > before.end):
                    before = other
            if before is None:
                joined.append(live)
                continue
            end = before.end
            before.rows.update(live.rows)
            self._bridge_rows(before, end, start)
            before.last_seen = live.last_seen
            before.best = max(before.best, live.best)
            before.hits += live.hits
        return joined

    def _widen_at_borders(self, live: _Live) -> None:
        """A face that the border cuts has a box that may be cut too short: its mask grows."""
        for row in live.rows.values():
            x0, y0, x1, y1 = (float(value) for value in row.box)
            margin = 0.1 * _size(row.box)
            inner = margin < x0 and margin < y0 and x1 < self._width - margin and y1 < self._height - margin
            if not inner:
                row.grow += 0.15

    def _extend(self, live: _Live, low: int, high: int) -> None:
        """Carry both ends on for a few frames, within the scene, along the last motion."""
        for direction in (-1, 1):
            index = min(live.rows) if direction < 0 else live.end
            last = live.rows[index]
            inner = live.rows.get(index - direction * 3, last)
            motion = (_centre(last.box) - _centre(inner.box)) / np.float32(3)
            for number in range(1, self._tail + 1):
                at = index + direction * number
                if not low <= at < high:
                    break
                grow = min(last.grow + 0.05 * number, 0.5)
                box = _moved(last.box, _centre(last.box) + motion * np.float32(number))
                live.rows[at] = _Row(box, None, last.score, Origin.PROPAGATED, grow)


def _inside(box: Floats, frame: Frame) -> bool:
    """Whether a quarter of the box, at least, lies in the picture."""
    width = min(box[2], frame.width) - max(box[0], 0)
    height = min(box[3], frame.height) - max(box[1], 0)
    return bool(width > 0 and height > 0 and width * height > 0.25 * (box[2] - box[0]) * (box[3] - box[1]))


def _correlation(one: Floats, other: Floats) -> float:
    a, b = one - one.mean(), other - other.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 0 else 1.0


def _track(number: int, by_index: dict[int, _Row]) -> Track:
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


def single(faces: Sequence[Face], index: int = 0, start: int = 1) -> list[Track]:
    """Return one-frame tracks for the faces of a photo, numbered from ``start``."""
    return [_track(number, {index: _row(face)}) for number, face in enumerate(faces, start=start)]


def by_frame(tracks: Iterable[Track]) -> Callable[[int], list[tuple[Track, Face]]]:
    """Return a lookup: frame index -> the faces in it with their tracks. Quick when asked in increasing order."""
    everything = sorted(tracks, key=lambda track: track.start, reverse=True)
    waiting = list(everything)
    active: list[Track] = []
    position = -1

    def faces(index: int) -> list[tuple[Track, Face]]:
        nonlocal position, waiting, active
        if index < position:
            waiting, active = list(everything), []
        position = index
        while waiting and waiting[-1].start <= index:
            active.append(waiting.pop())
        active = [track for track in active if track.stop > index]
        return list(_present(active, index))

    return faces


def _present(tracks: Iterable[Track], index: int) -> Iterator[tuple[Track, Face]]:
    for track in tracks:
        face = track.face(index)
        if face is not None:
            yield track, face
