"""The second look: is there a face in the finished output that no mask covers?

It looks at other scales than the plan did and with a second detector that shares nothing with the first. And it
compares hidden faces with what they were: one that is still recognised is no hidden face.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from incog import colour, geometry
from incog.perceive.detector import Detector, merge, scales_for
from incog.perceive.recogniser import Recogniser, Sight, around_points
from incog.perceive.search import SURE, Searcher, photo_scale, video_scale
from incog.types import Bytes, Depth, Face, Floats, Frame, Track

COVERED = 0.75
"""Share of a found face's inner hull that masks must cover for the face to count as hidden."""

INNER = 0.85
"""Size of that inner hull relative to the found box; a box's own rim is the detector's uncertainty."""

_SHIFT = 0.7
"""The rescan's scales relative to the plan's: between two of its octaves."""

_SECOND_SURE = 0.68
"""Score of the second detector that stands alone: a margin of 0.75."""

_SECOND_DOUBTFUL = 0.56
"""Score of the second detector that counts when the first, looking closely, sees something there too."""


COMPARED_LEAST = 24.0
"""Longer side in pixels of a face below which there is too little of it to be compared."""

COMPARED_SECONDS = 4.0
"""Time in which each hidden track of a video is compared once, where it shows most."""

MATCH = 1e-3
"""Rate of false matches at which a hidden face counts as recognised, in the group where strangers are least alike: the
lowest such level, so it errs towards hiding more."""

MATCH_COVERED = 1e-5
"""The same for methods that let nothing of a face through: there a match is chance, unless the mask missed the face."""


@dataclass(slots=True)
class Findings:
    """exposed: (frame index, face) that no mask covers. recognised: tracks whose faces are hidden but still match what
    they were. on_purpose: how many faces were seen where the user wanted them visible. frames: how many frames were
    looked at. compared: how many hidden faces were compared."""

    exposed: list[tuple[int, Face]] = field(default_factory=list)
    recognised: set[int] = field(default_factory=set)
    on_purpose: int = 0
    frames: int = 0
    compared: int = 0


def covered_share(face: Face, outlines: Sequence[Floats], width: int, height: int) -> float:
    """Return the share of the face's inner hull, as far as it lies in the picture, that the outlines cover."""
    inner = geometry.hull(face, INNER)
    x0, y0, x1, y1 = geometry.bounds(inner, 0)
    region = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    if region[0] >= region[2] or region[1] >= region[3]:
        return 1.0
    own = geometry.mask([inner], region, 0) > 0
    if not own.any() or not len(outlines):
        return 0.0 if own.any() else 1.0
    return float((geometry.mask(outlines, region, 0) > 0)[own].mean())


class Rescanner:
    """Looks at output frames with both detectors."""

    def __init__(self, first: Detector, second: Detector, searcher: Searcher, *, threshold: float) -> None:
        self._first, self._second, self._searcher, self._threshold = first, second, searcher, threshold

    @property
    def detectors(self) -> list[str]:
        """The names of the detectors."""
        return [self._first.name, self._second.name]

    def look(
        self,
        frames: Iterable[Frame],
        *,
        masks: Callable[[Frame], list[Floats]],
        visible: Callable[[Frame], list[Face]],
        photo: bool,
        wanted: Callable[[int], bool],
    ) -> Findings:
        """Search the frames that are ``wanted`` (by index) for faces outside the masks.

        masks, visible: the outlines hidden in a frame, and the faces left visible on purpose.
        """
        findings = Findings()
        for frame in frames:
            if not wanted(frame.index):
                continue
            findings.frames += 1
            outlines = masks(frame)
            meant = [geometry.hull(face) for face in visible(frame)]
            size = frame.width, frame.height
            for rgb, face in self._faces(frame, photo=photo):
                if covered_share(face, outlines, *size) >= COVERED:
                    continue
                if meant and covered_share(face, [*outlines, *meant], *size) >= COVERED:
                    findings.on_purpose += 1
                elif self._counts(rgb, face):
                    findings.exposed.append((frame.index, face))
        return findings

    def _faces(self, frame: Frame, *, photo: bool) -> list[tuple[Bytes, Face]]:
        """Return the faces of both detectors, each with the appearance of the picture that it was seen in."""
        width, height = frame.width, frame.height
        finest = photo_scale(width, height) if photo else video_scale(width, height, Depth.COARSE) * 1.5
        scales = scales_for(width, height, finest=finest * _SHIFT)
        # The second detector needs faces of 80 px; it is quick, but not on tens of megapixels.
        zoom = min(2.0 if photo else 1.0, np.sqrt((4e6 if photo else 0.6e6) / (width * height)))
        found: list[tuple[Bytes, Face]] = []
        for rgb in colour.appearances(frame):
            first = self._first(rgb, scales=scales, threshold=self._threshold)
            second = self._second(rgb, scales=[float(zoom)], threshold=_SECOND_DOUBTFUL)
            found += [(rgb, face) for face in merge([*first, *second])]
        return found

    def _counts(self, rgb: Bytes, face: Face) -> bool:
        """Whether a finding is a face: surely so alone, else when a closer look agrees."""
        if face.points is None and face.score >= _SECOND_SURE:
            return True
        if face.points is not None and face.score >= SURE:
            return True
        again = self._searcher.near(rgb, face)
        if again is None:
            return False
        return face.points is None or (again.score + face.score) / 2 >= self._threshold + 0.05


class Comparison:
    """Hidden faces before and after, at a sample of each track's frames. What they were is held as embeddings, in
    memory, until this object goes."""

    def __init__(self, recogniser: Recogniser) -> None:
        self._recogniser = recogniser
        calibration = recogniser.calibration
        self._level, self._level_covered = calibration.sensitive(MATCH), calibration.sensitive(MATCH_COVERED)
        self._due: dict[int, set[int]] = {}
        self._known: dict[tuple[int, int], Sight | None] = {}

    def plan(self, tracks: Iterable[Track], hidden: Callable[[int, int], bool], *, window: int) -> None:
        """Choose the frames to compare each track in: in every ``window`` frames the one where it shows most.

        hidden: whether the track with an id is hidden in a frame.
        """
        self._due = {}
        for item in tracks:
            for index in samples(item, lambda index, item=item: hidden(item.id, index), window=window):  # type: ignore[misc]
                self._due.setdefault(index, set()).add(item.id)

    def remember(self, frame: Frame, faces: Iterable[tuple[int, Face]]) -> None:
        """Take in what the faces of a source frame look like. faces: with the ids of their tracks."""
        due = self._due.get(frame.index, ())
        for number, face in faces:
            if number in due and (number, frame.index) not in self._known:
                self._known[number, frame.index] = self._recogniser.sight(frame, face)

    def check(self, frame: Frame, findings: Findings, covered: Callable[[int], bool]) -> None:
        """Compare the faces of an output frame with what they were, and add to the findings.

        covered: whether the method of a track lets nothing of a face through.
        """
        for number in sorted(self._due.get(frame.index, ())):
            known = self._known.get((number, frame.index))
            if known is None or not known.whole:
                continue
            vector = self._recogniser.vector(frame, known.face)
            if vector is None:
                continue
            findings.compared += 1
            level = self._level_covered if covered(number) else self._level
            # What shows nobody, such as the back of a head, looks like its own fill; that gives nobody away.
            if float(vector @ known.vector) < level or not self._recogniser.is_telling(known):
                continue
            if covered(number):
                findings.exposed.append((frame.index, around_points(known.face)))
            else:
                findings.recognised.add(number)


def samples(item: Track, hidden: Callable[[int], bool], *, window: int) -> list[int]:
    """Return the frames in which to compare a track: per ``window`` frames the one with the best view, if any is
    large enough; one whose points are known goes first."""
    size = np.maximum(item.boxes[:, 2] - item.boxes[:, 0], item.boxes[:, 3] - item.boxes[:, 1])
    known = ~np.isnan(item.points).any(axis=(1, 2))
    value = known * 10.0 + item.scores * np.minimum(size, 112) / 112
    chosen: list[int] = []
    for start in range(0, len(size), window):
        rows = [
            row
            for row in range(start, min(start + window, len(size)))
            if size[row] >= COMPARED_LEAST and hidden(item.start + row)
        ]
        if rows:
            chosen.append(item.start + max(rows, key=lambda row: float(value[row])))
    return chosen
