"""Dense points made steady along tracks: averaged over neighbouring frames, and filled in where one frame has none.

Landmarks of single frames tremble, and a face that is drawn from them with them. What a mask covers is not touched: the
outlines stay those of each frame. Points are held for a few frames, in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from incog.alignment import similarity
from incog.outline import Seen
from incog.types import Face, Floats, Frame
from incog.windows import windows

REACH = 3
"""How many frames before and after count."""

SPREAD = 1.2
"""Standard deviation in frames of their weights."""

APART = 0.15
"""Largest root mean square distance between the points of two frames, laid over each other, as a share of their own
spread, at which they may be averaged: a face that turns or speaks more than that is not smeared."""


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """A frame and the faces in it. tracks: ids; faces and seen: one for each."""

    frame: Frame
    tracks: Sequence[int]
    faces: Sequence[Face]
    seen: Sequence[Seen]


def steadied(frames: Iterable[Looked]) -> Iterator[Looked]:
    """Yield the frames with the dense points of each face averaged over its track, ``REACH`` frames either way.

    The points of another frame are first laid over this frame's by turn, zoom and shift, so that a moving face stays
    where it is; where this frame has none, by what became of the face's box, and they are taken only when there are
    some before and after. The result depends on the frames alone.
    """
    for window, place in windows(frames, REACH):
        yield _steady(window, place)


def _steady(window: Sequence[Looked], place: int) -> Looked:
    here = window[place]
    if len(window) == 1:
        return here
    seen = [
        replace(own, dense=_averaged(window, place, number, face, own.dense))
        for number, face, own in zip(here.tracks, here.faces, here.seen, strict=True)
    ]
    return replace(here, seen=seen)


def _averaged(
    window: Sequence[Looked], place: int, number: int, face: Face, own: Floats | None
) -> Floats | None:
    total, weights, sides = np.zeros((1, 2)), 0.0, set[bool]()
    for other, looked in enumerate(window):
        if abs(other - place) > REACH or number not in looked.tracks:
            continue
        row = list(looked.tracks).index(number)
        dense = looked.seen[row].dense
        if dense is None:
            continue
        laid = dense if other == place else _laid(dense, looked.faces[row], face, own)
        if laid is None:
            continue
        weight = float(np.exp(-((other - place) ** 2) / (2 * SPREAD**2)))
        total, weights = total + weight * laid.astype(np.float64), weights + weight
        sides.add(other > place)
    if not weights or (own is None and len(sides) < 2):
        return own
    return (total / weights).astype(np.float32)


def _laid(dense: Floats, there: Face, here: Face, own: Floats | None) -> Floats | None:
    """Return points of another frame as they lie in this one, or None where they are too different."""
    if own is None:
        zoom = here.size / max(there.size, 1e-6)
        return np.asarray((dense - there.centre) * zoom + here.centre, np.float32)
    matrix = similarity(dense, own)
    laid = dense @ matrix[:, :2].T + matrix[:, 2]
    apart = float(np.sqrt(np.square(laid - own).sum(1).mean()))
    spread = float(np.sqrt(np.square(own - own.mean(0)).sum(1).mean()))
    return np.asarray(laid, np.float32) if apart <= APART * spread else None
