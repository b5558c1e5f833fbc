"""Which tracks of a file show one person, for methods that give a person the same new face throughout.

Whoever leaves the picture and comes back is a new track. Tracks are compared by a few clear looks each, and joined
where that is no chance; what was seen is held in memory until then. Two faces in one frame are two people. Over many
files, and with people who are known by name, ``incog.crowd`` tells them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from incog import track
from incog.perceive.attributes import OnnxAttributes
from incog.perceive.calibration import Calibration
from incog.perceive.looks import look_at
from incog.perceive.recogniser import CLEAR_SIZE, Recogniser
from incog.types import Floats, Frame, Key, Track

LOOKS = 6
"""Frames in which a track is looked at."""

RISK = 0.05
"""The most that the chance may be that two people of a file are taken for one, as far as the measured data can tell."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Subjects:
    """Who the tracks of a file are, for a method that draws a person from a key.

    of: the person of a track, by its id; a track that is missing is a person of its own. keys: of people whose key is
    not that of their first track. looks: how a person's new face shall look, (7,) float32, the first of
    ``incog.perceive.attributes.LOOK``, for those of whom it was told beforehand. Never shown in a trace.
    """

    of: Mapping[int, Hashable] = field(default_factory=dict)
    keys: Mapping[Hashable, Key] = field(default_factory=dict)
    looks: Mapping[Hashable, Floats] = field(default_factory=dict)

    def person(self, number: int) -> Hashable:
        """Return the person of a track."""
        return self.of.get(number, number)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Named:
    """Somebody enrolled by name, to have the same new face in every file. vectors: (P, D) float32, looks: (P, 9), a row
    for each photo. Never shown in a trace."""

    name: str
    vectors: Floats
    looks: Floats


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Seen:
    """The clear looks at a track. vectors: unit vectors, in memory only. looks: (9,) each, where they are asked for."""

    vectors: list[Floats] = field(default_factory=list)
    looks: list[Floats] = field(default_factory=list)


def clear_looks(
    frames: Iterable[Frame],
    tracks: Sequence[Track],
    recogniser: Recogniser,
    *,
    attributes: OnnxAttributes | None = None,
    wanted: Callable[[int, int], bool] = lambda number, index: True,
) -> dict[int, Seen]:
    """Return the clear looks at tracks, by id. attributes: tells how the faces look too. wanted: whether a track, by
    its id, may be looked at in a frame."""
    due: dict[int, set[int]] = {}
    for item in tracks:
        for index in _best(item):
            if wanted(item.id, index):
                due.setdefault(index, set()).add(item.id)
    lookup = track.by_frame(tracks)
    found = {item.id: Seen() for item in tracks}
    for frame in frames:
        for item, face in lookup(frame.index) if frame.index in due else ():
            if item.id in due[frame.index]:
                sight = recogniser.sight(frame, face)
                if sight is not None and recogniser.is_clear(sight):
                    found[item.id].vectors.append(sight.vector)
                    if attributes is not None:
                        found[item.id].looks.append(look_at(attributes, frame, sight.face))
    return found


def linked(frames: Iterable[Frame], tracks: Sequence[Track], recogniser: Recogniser) -> dict[int, int]:
    """Return the person of each track, by the lowest id of that person's tracks. A track that was never seen clearly is
    a person of its own."""
    looked = clear_looks(frames, tracks, recogniser)
    vectors = {number: mine.vectors for number, mine in looked.items()}
    return joined(tracks, vectors, recogniser.calibration)


def _best(item: Track) -> list[int]:
    """Return the frames in which a track shows most, in ``LOOKS`` parts of it."""
    sizes = (item.boxes[:, 2:] - item.boxes[:, :2]).max(1)
    chosen = []
    step = -(-len(sizes) // LOOKS)
    for start in range(0, len(sizes), step):
        rows = [row for row in range(start, min(start + step, len(sizes))) if sizes[row] >= CLEAR_SIZE]
        if rows:
            chosen.append(item.start + max(rows, key=lambda row: float(item.scores[row] * sizes[row])))
    return chosen


def joined(
    tracks: Sequence[Track], seen: dict[int, list[Floats]], calibration: Calibration
) -> dict[int, int]:
    """Return the person of each track, see ``linked``. seen: unit vectors of clear looks, by track."""
    pairs = []
    comparisons = 0
    for one, other in combinations(tracks, 2):
        if one.start < other.stop and other.start < one.stop:
            continue
        scores = [float(a @ b) for a in seen[one.id] for b in seen[other.id]]
        comparisons += len(scores)
        if scores:
            pairs.append((max(scores), one.id, other.id))
    person = {item.id: item.id for item in tracks}
    if not pairs:
        return person
    rate = RISK / comparisons
    level = max(tail.score_at(max(rate, tail.rarest)) for tail in calibration.tails)
    lives = {item.id: (item.start, item.stop) for item in tracks}
    for score, first, second in sorted(pairs, reverse=True):
        if score < level:
            break
        mine, theirs = (
            {number for number, who in person.items() if who == person[end]} for end in (first, second)
        )
        together = any(lives[a][0] < lives[b][1] and lives[b][0] < lives[a][1] for a in mine for b in theirs)
        if mine != theirs and not together:
            for number in mine | theirs:
                person[number] = min(mine | theirs)
    return person
