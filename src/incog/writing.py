"""The writing pass: every frame of a source, with the faces of a plan drawn anew in it, into a file."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from incog import calm, compose, track
from incog.calm import Scene
from incog.errors import ExposedError, PlanError
from incog.fallback import Fallback
from incog.media.base import OutputOptions, Source
from incog.methods import DEFAULT, METHODS
from incog.methods.base import Method
from incog.perceive import attributes
from incog.perceive.attributes import make_attributes
from incog.perceive.hulls import FaceHulls
from incog.perceive.looks import Looks
from incog.perceive.steady import Looked, steadied
from incog.plan import Plan, Times, tracks_of, within
from incog.rescan import Comparison
from incog.subjects import Subjects
from incog.types import Face, Frame, Key, Track

Witness = Callable[[Frame, Frame, Sequence[compose.Drawn]], None]
"""Is shown each frame with faces as it was and as it is written, and the faces; once more when all is written anew."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """How faces are drawn. key_of: the key of a track. mask_scale: see ``incog.pipeline.Options``. subjects: whose the
    tracks are, and how these people shall look. safest: hides a face that the method cannot do. averaged: whether faces
    that are drawn for a whole track are averaged over it, see ``incog.calm``."""

    method: Method
    key_of: Callable[[int], Key]
    hulls: FaceHulls
    mask_scale: float
    subjects: Subjects = field(default_factory=Subjects)
    safest: Method = field(default_factory=lambda: METHODS[DEFAULT]())
    averaged: bool = True


@dataclass(slots=True)
class Done:
    """What one pass of writing did. faces: face appearances hidden. frames: frames with one, at least; a person can be
    in each of them, in however many tracks. unfit: (track, frame) pairs that the method could not do."""

    fallback: Fallback
    faces: int = 0
    frames: int = 0
    tracks: set[int] = field(default_factory=set)
    unfit: set[tuple[int, int]] = field(default_factory=set)
    decisions: list[str] = field(default_factory=list)


class Sides:
    """The faces of a plan in a frame: those to hide, and those that stay visible."""

    def __init__(self, plan: Plan) -> None:
        self._lookup = track.by_frame(tracks_of(plan.tracks))
        self._plans = {item.id: item for item in plan.tracks}

    def hidden(self, index: int) -> list[tuple[Track, Face]]:
        return [pair for pair in self._lookup(index) if not self._plans[pair[0].id].visible(index)]

    def visible(self, index: int) -> list[tuple[Track, Face]]:
        return [pair for pair in self._lookup(index) if self._plans[pair[0].id].visible(index)]


def write(
    source: Source,
    frames: Callable[[], Iterator[Frame]],
    plan: Plan,
    path: Path,
    drawing: Drawing,
    output: OutputOptions,
    recognised: set[int],
    comparison: Comparison | None,
    witness: Witness | None = None,
) -> Done:
    """Write the file once; once more where faces turned out to be unfit for the method.

    frames: reads those of the source anew. path: a file that is there. recognised: tracks that are known to be, and are
    filled. comparison: is told what is hidden. witness: see ``Witness``. Raises PlanError when the frames are not the
    plan's, ExposedError when a face cannot be hidden.
    """
    fallback = Fallback(set(recognised))
    lives = {item.id: (item.start, item.start + len(item.boxes)) for item in tracks_of(plan.tracks)}
    while True:
        # Emptied, not removed: a file made anew would be readable by others before it was looked at again.
        os.truncate(path, 0)
        times = Times()
        done = Done(fallback=fallback)
        with source.sink(path, output) as sink:
            looked = looked_at(frames(), times, plan, drawing)
            scenes = _scenes(looked, drawing, done, comparison)
            # What is drawn for a whole track moves with it; other methods show each frame as it is.
            steady = drawing.averaged and drawing.method.granularity == "track"
            for scene in calm.calmed(scenes) if steady else scenes:
                frame = compose.lay(scene.frame, scene.drawn) if scene.drawn else scene.frame
                if witness is not None and scene.drawn:
                    witness(scene.frame, frame, scene.drawn)
                sink.write(frame)
        # Only when the file is finished, all is decided.
        done.decisions = list(sink.decisions)
        if times.record() != [tuple(run) for run in plan.source.times]:
            raise PlanError("the frames or time stamps of the file are not those that the plan was made from")
        if not done.unfit:
            return done
        if lost := {number for number, index in done.unfit if fallback.covers(number, index)}:
            raise ExposedError(f"the method {drawing.safest.name} could not hide {len(lost)} face(s)")
        fallback.add(done.unfit, lives, 0.0 if source.kind == "photo" else source.rate)


def looked_at(
    frames: Iterable[Frame], times: Times, plan: Plan, drawing: Drawing
) -> Iterator[tuple[Looked, list[Track]]]:
    """Yield the frames with the faces to hide in them, their points steadied along the tracks, and these tracks.

    times: is told those of the frames. How faces look is told where the method asks for it.
    """
    looks = None
    if attributes.NAME in drawing.method.needs:
        subjects = drawing.subjects
        looks = Looks(make_attributes(), person=subjects.person, held=subjects.looks)
    sides = Sides(plan)
    waiting: deque[list[Track]] = deque()

    def looked() -> Iterator[Looked]:
        for frame in frames:
            times.add(frame.time)
            pairs = sides.hidden(frame.index) if within(frame.time, plan.spans) else []
            faces = [face for _, face in pairs]
            waiting.append([item for item, _ in pairs])
            tracks, seen = [item.id for item, _ in pairs], drawing.hulls(frame, faces, drawing.mask_scale)
            if looks is not None:
                seen = looks.told(frame, tracks, faces, seen)
            yield Looked(frame, tracks, faces, seen)

    for item in steadied(looked()):
        yield item, waiting.popleft()


def _scenes(
    frames: Iterable[tuple[Looked, list[Track]]],
    drawing: Drawing,
    done: Done,
    comparison: Comparison | None,
) -> Iterator[Scene]:
    """Yield the frames with their new faces, and keep account of them in ``done``."""
    for looked, tracks in frames:
        index = looked.frame.index
        jobs = [
            compose.Job(
                item,
                face,
                drawing.safest if done.fallback.covers(item.id, index) else drawing.method,
                drawing.key_of(item.id),
            )
            for item, face in zip(tracks, looked.faces, strict=True)
        ]
        done.faces += len(jobs)
        done.frames += bool(jobs)
        done.tracks.update(looked.tracks)
        if comparison is not None:
            comparison.remember(looked.frame, zip(looked.tracks, looked.faces, strict=True))
        drawn, failed = compose.draw(looked.frame, jobs, looked.seen, safest=drawing.safest.name)
        done.unfit.update((number, index) for number in failed)
        yield Scene(looked.frame, drawn)
