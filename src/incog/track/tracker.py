"""Faces over time: detections on keyframes become tracks without holes.

The picture is scanned on keyframes: at the first and last frame of every scene, at fixed intervals and where something
appears suddenly. Between them a face is followed by template matching from both ends. A face that a scan no longer
finds is looked for near its predicted place, and one that a scan finds for the first time is followed backwards as
well, so a face is covered before it was first, and after it was last, detected. The box's uncertainty grows with the
distance from the nearest detection and with the disagreement of the two directions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from incog.track.boxes import assign, centre_of, face_at, inside, moved, overlap, size_of
from incog.track.draft import Draft, Row, bridge, bridged, extend, row_of, to_track, trim, widen_at_borders
from incog.track.follow import View, follow, template_of
from incog.types import Depth, Face, Floats, Frame, Origin, Track

Scan = Callable[[Frame, Depth], list[Face]]
"""Searches a whole frame. Returns faces down to ``Settings.low``."""

Look = Callable[[Frame, Face], Face | None]
"""Searches near a place where a face of a known size is expected."""

_NEW = 40
"""Most new faces that are looked at closely on one keyframe, the surest first."""


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
        self._history: deque[View] = deque()
        self._live: list[Draft] = []
        self._done: list[Draft] = []
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
            view = View(frame)
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

    def _remember(self, view: View) -> None:
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

    def _keyframe(self, view: View, *, at_least: Depth = Depth.COARSE) -> None:
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

    def _advance(self, before: View, segment: list[View], seen: list[Face]) -> list[Face]:
        """Carry all live tracks from the last keyframe through the segment; return the faces of no track."""
        view = segment[-1]
        paths = [
            follow(live.template, live.rows[before.index].box, segment, live.velocity(before.index))
            for live in self._live
        ]
        expected = np.array(
            [
                moved(live.rows[before.index].box, path[-1][0])
                for live, path in zip(self._live, paths, strict=True)
            ],
            np.float32,
        ).reshape(-1, 4)
        found = np.array([face.box for face in seen], np.float32).reshape(-1, 4)
        pairs = dict(assign(expected, found))
        taken = set(pairs.values())
        staying: list[Draft] = []
        for number, (live, path) in enumerate(zip(self._live, paths, strict=True)):
            face = (
                seen[pairs[number]] if number in pairs else self._look(view.frame, face_at(expected[number]))
            )
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
        self, live: Draft, before: View, segment: list[View], path: list[tuple[Floats, float]], face: Face
    ) -> None:
        """Fill the frames between the last keyframe and a sighting, from both sides."""
        start, end = live.rows[before.index], row_of(face)
        view = segment[-1]
        inner = segment[:-1]
        drift = (centre_of(start.box) - centre_of(end.box)) / np.float32(len(segment))
        live.template = template_of(view, end.box)
        back = follow(live.template, end.box, inner[::-1], drift)[::-1]
        for number, (middle, (forward, sure_forward), (backward, sure_back)) in enumerate(
            zip(inner, path[:-1], back, strict=True), start=1
        ):
            share = number / len(segment)
            straight = (1 - share) * centre_of(start.box) + share * centre_of(end.box)
            weight_forward = (1 - share) * max(sure_forward - 0.35, 0.0) ** 2
            weight_back = share * max(sure_back - 0.35, 0.0) ** 2
            trust = weight_forward + weight_back
            size = size_of(end.box)
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
            live.rows[middle.index] = Row(
                moved(box, centre), None, min(start.score, end.score), Origin.INTERPOLATED, grow
            )
        lost = before.index - live.last_seen
        live.rows[view.index] = end
        if lost > 0:
            bridge(live, live.last_seen, view.index)
        live.last_seen = view.index
        live.best = max(live.best, face.score)
        live.hits += 1

    def _carry(
        self, live: Draft, before: View, segment: list[View], path: list[tuple[Floats, float]]
    ) -> None:
        """Follow a face that was not found again, its mask growing with every frame."""
        start = live.rows[before.index]
        for view, (centre, match) in zip(segment, path, strict=True):
            box = moved(start.box, centre)
            if not inside(box, view.frame):
                return
            age = view.index - live.last_seen
            grow = min(0.06 + 0.25 * age / self._patience + 0.3 * max(0.0, 0.7 - match), 0.5)
            live.rows[view.index] = Row(box, None, start.score, Origin.PROPAGATED, grow, match)

    def _begin(self, view: View, face: Face) -> None:
        """Start a track and follow it back to where the face appeared."""
        if face.score < self._settings.sure:
            again = self._look(view.frame, face)
            if again is None or (again.score + face.score) / 2 < self._settings.threshold:
                return
            if again.score > face.score:
                face = again
        row = row_of(face)
        live = Draft(
            {view.index: row},
            template_of(view, row.box),
            view.index,
            view.index,
            face.score,
            scene=self._scene,
        )
        self._live.append(live)
        earlier = [item for item in self._history if item.index < view.index][::-1]
        step = max(1, self._interval // 2)
        anchor, drift = view, np.zeros(2, np.float32)
        while earlier:
            part, earlier = earlier[:step], earlier[step:]
            start = live.rows[anchor.index].box
            path = follow(template_of(anchor, start), start, part, drift)
            box = moved(live.rows[anchor.index].box, path[-1][0])
            again = self._look(part[-1].frame, face_at(box)) if inside(box, part[-1].frame) else None
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
        live: Draft,
        anchor: View,
        part: list[View],
        path: list[tuple[Floats, float]],
        again: Face | None,
    ) -> Floats:
        """Write the rows of one step backwards; return the motion per step."""
        start = live.rows[anchor.index]
        end = np.array(again.box, np.float32) if again else moved(start.box, path[-1][0])
        for number, (view, (centre, match)) in enumerate(zip(part, path, strict=True), start=1):
            share = number / len(part)
            box = (1 - share) * start.box + share * end
            if match < 0.5:
                centre = centre_of(box)
            placed = moved(np.asarray(box, np.float32), centre)
            if not inside(placed, view.frame):
                break
            if again is None and match < 0.6:
                break
            origin = Origin.INTERPOLATED if again else Origin.PROPAGATED
            grow = 0.06 + 0.2 * max(0.0, 0.8 - match) + (0.0 if again else 0.03 * number)
            live.rows[view.index] = Row(placed, None, start.score, origin, grow, match)
        if again is not None:
            live.rows[part[-1].index] = row_of(again)
        return (centre_of(end) - centre_of(start.box)) / np.float32(len(part))

    def _is_taken(self, live: Draft, index: int, face: Face) -> bool:
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
        kept: list[Draft] = []
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
            trim(live)
            bridge(live, min(live.rows), live.last_seen, holes_only=True)
        lives = bridged(lives, self._bridge)
        bounds = [*self._scene_starts, count]
        for live in lives:
            extend(live, bounds[live.scene], bounds[live.scene + 1], self._tail)
            widen_at_borders(live, self._width, self._height)
        lives.sort(key=lambda item: (min(item.rows), float(item.rows[min(item.rows)].box[0])))
        return [to_track(number, live.rows) for number, live in enumerate(lives, start=1)]


def _correlation(one: Floats, other: Floats) -> float:
    a, b = one - one.mean(), other - other.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 0 else 1.0
