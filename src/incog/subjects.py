"""Who the tracks of a file are, and the clear looks at them by which ``incog.crowd`` tells people apart.

Whoever leaves the picture and comes back is a new track, so methods that give a person the same new face throughout
need to know. A track is looked at a few times; what was seen is held in memory until then.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from incog import track
from incog.perceive.attributes import OnnxAttributes
from incog.perceive.looks import HELD, look_at
from incog.perceive.recogniser import CLEAR_SIZE, Recogniser
from incog.types import Floats, Frame, Key, Track

LOOKS = 6
"""Frames in which a track is looked at."""

RISK = 0.05
"""The most that the chance may be that a given person is taken for another, as far as the measured data can tell."""


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


def mean_looks(of: Mapping[int, Hashable], seen: Mapping[int, Seen]) -> dict[Hashable, Floats]:
    """Return how people look, (7,) float32 as in ``Subjects.looks``: the mean of the clear looks at all their tracks,
    for those who have any. of: see ``Subjects``."""
    rows: dict[Hashable, list[Floats]] = {}
    for number, one in seen.items():
        rows.setdefault(of.get(number, number), []).extend(one.looks)
    return {
        who: np.asarray(np.stack(looks).mean(0, np.float64)[:HELD], np.float32)
        for who, looks in rows.items()
        if looks
    }


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
