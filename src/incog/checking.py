"""The second look at a written file, and what follows from it: a plan that holds what was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, repeat
from pathlib import Path

from incog import track
from incog.errors import ExposedError
from incog.media import open_source
from incog.media.base import Source
from incog.methods.base import Method
from incog.perception import Perception, Progress, watched
from incog.plan import Plan, PlanTrack, tracks_of, unrolled, within
from incog.rescan import COMPARED_SECONDS, Comparison, Findings
from incog.types import Face, Floats, Frame, Origin, Track
from incog.writing import Sides

RESCAN_LEAST = 8
"""Frames that the rescan looks at, at least, in a video that has as many."""

RESCAN_SECONDS = 0.64
"""Time between the frames of a video that the rescan looks at."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the rescan compares hidden faces by. fallback: tracks that were filled throughout."""

    method: Method
    fallback: set[int]
    comparison: Comparison | None

    def check(self, frame: Frame, findings: Findings) -> None:
        if self.comparison is not None:
            self.comparison.check(
                frame, findings, lambda number: number in self.fallback or not self.method.weak
            )


def choose(comparison: Comparison, source: Source, plan: Plan) -> None:
    """Have the comparison choose its frames among those in which tracks are hidden."""
    plans = {item.id: item for item in plan.tracks}
    acted = [within(time, plan.spans) for time in unrolled(plan.source.times)] if plan.spans else None

    def hidden(number: int, index: int) -> bool:
        return not plans[number].visible(index) and (acted is None or acted[index])

    window = max(1, round(COMPARED_SECONDS * source.rate)) if source.kind == "video" else 1
    comparison.plan(tracks_of(plan.tracks), hidden, window=window)


def look_again(
    path: Path,
    plan: Plan,
    perception: Perception,
    mask_scale: float,
    round_number: int,
    again: set[int],
    seen: Seen,
    progress: Progress,
) -> Findings:
    """Look at the written file: at frames between the plan's own keyframes, at other ones in each round, and at those
    in which an earlier round found something (``again``). Hidden faces are compared with what they were."""
    output = open_source(path)
    sides, compared = Sides(plan), Findings()
    acted: dict[int, bool] = {}

    def frames() -> Iterator[Frame]:
        count = 0
        # By the source's times, since a container may round those of the output.
        times = unrolled(plan.source.times)
        timed = zip(watched(output, "checking", progress), chain(times, repeat(Fraction(0))), strict=False)
        for frame, moment in timed:
            acted[frame.index] = within(moment, plan.spans)
            count += 1
            seen.check(frame, compared)
            yield frame
            acted.pop(frame.index, None)
        if count != plan.source.frames:
            raise ExposedError(f"the written file has {count} frames, the source {plan.source.frames}")

    def masks(frame: Frame) -> list[Floats]:
        if not acted[frame.index]:
            return []
        return [perception.hulls.least(face, mask_scale) for _, face in sides.hidden(frame.index)]

    def visible(frame: Frame) -> list[Face]:
        if acted[frame.index]:
            return [face for _, face in sides.visible(frame.index)]
        everywhere = Face(box=(0, 0, frame.width, frame.height))
        return [everywhere]

    spaced = min(round(RESCAN_SECONDS * output.rate), plan.source.frames // RESCAN_LEAST)
    step = max(1, spaced) if output.kind == "video" else 1
    scanned = plan.scanned
    offset = ((scanned[1] - scanned[0]) // 2 if len(scanned) > 1 else 0) + round_number - 1
    last = plan.source.frames - 1
    findings = perception.rescanner.look(
        frames(),
        masks=masks,
        visible=visible,
        photo=output.kind == "photo",
        wanted=lambda index: index % step == offset % step or index == last or index in again,
    )
    findings.exposed += compared.exposed
    findings.recognised, findings.compared = compared.recognised, compared.compared
    return findings


def extended(
    source: Source, plan: Plan, findings: Findings, perception: Perception, progress: Progress
) -> Plan:
    """Return the plan with tracks for the faces that the rescan found, followed in both directions in time."""
    first = max((item.id for item in plan.tracks), default=0) + 1
    if source.kind == "photo":
        found = track.single([face for _, face in findings.exposed])
    else:
        seeds: dict[int, list[Face]] = {}
        for index, face in findings.exposed:
            sure = Face(box=face.box, score=1.0, points=face.points)
            seeds.setdefault(index, []).append(sure)
        tracker = track.Tracker(
            lambda frame, depth: seeds.get(frame.index, []),
            perception.searcher.look,
            rate=source.rate,
            settings=perception.settings,
            keyframes=frozenset(seeds),
        )
        found = tracker.run(watched(source, "following", progress)).tracks
    if not found:
        raise ExposedError(f"{len(findings.exposed)} face(s) seen in the output could not be followed")
    added = [PlanTrack.of(_renumbered(item, first + number)) for number, item in enumerate(found)]
    return plan.model_copy(update={"tracks": [*plan.tracks, *added]})


def _renumbered(item: Track, number: int) -> Track:
    origins = item.origins.copy()
    origins[:] = Origin.ADDED
    return Track(
        number, item.start, item.boxes, item.points, item.scores, origins, item.grow + 0.1, item.hide
    )
