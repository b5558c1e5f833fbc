"""Dense points and outlines made steady along tracks, by the neighbouring frames.

Landmarks of single frames tremble, and a face that is drawn from them with them: points are averaged, and filled in
where one frame has none. The border of a mask trembles as well, and shows it: outlines are led by those around, but a
mask only ever grows by that. Points are held for a few frames, in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
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


WIDER = 0.04
"""The most that an outline is grown for its tremble, as a share of the face's longer side."""

FEWEST = 5
"""Frames that it takes to tell the tremble of an outline from its motion."""

_ANGLES = np.linspace(0, 2 * np.pi, 48, endpoint=False)
_SIDES = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """A frame and the faces in it. tracks: ids; faces and seen: one for each."""

    frame: Frame
    tracks: Sequence[int]
    faces: Sequence[Face]
    seen: Sequence[Seen]


def steadied(frames: Iterable[Looked]) -> Iterator[Looked]:
    """Yield the frames with the dense points of each face averaged over its track, ``REACH`` frames either way, and its
    outline grown to where it is led by theirs.

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
        replace(
            own,
            dense=_averaged(window, place, number, face, own.dense),
            outline=_led(window, place, number, face, own.outline),
        )
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


def _led(window: Sequence[Looked], place: int, number: int, face: Face, own: Floats) -> Floats:
    """Return an outline, (K, 2) px, convex, joined with that to which the frames around lead: how far it reaches to
    each side moves evenly over time, and its tremble is a margin."""
    reaches, times = [], []
    for other, looked in enumerate(window):
        if abs(other - place) <= REACH and number in looked.tracks:
            outline = looked.seen[list(looked.tracks).index(number)].outline
            reaches.append((outline @ _SIDES.T).max(0))
            times.append(float(other - place))
    if len(reaches) < FEWEST:
        return own
    ahead = np.array(times)
    weights = np.exp(-(ahead**2) / (2 * SPREAD**2))
    weights /= weights.sum()
    middle = float(weights @ ahead)
    far = np.array(reaches, np.float64)
    mean = weights @ far
    slope = (weights * (ahead - middle)) @ (far - mean) / float(weights @ (ahead - middle) ** 2)
    left = far - mean - np.outer(ahead - middle, slope)
    margin = min(float(np.sqrt((weights @ left**2).mean())), WIDER * face.size)
    reach = mean - middle * slope + margin
    # Where two neighbouring sides meet.
    nexts = np.roll(_SIDES, -1, axis=0)
    turn = _SIDES[:, 0] * nexts[:, 1] - _SIDES[:, 1] * nexts[:, 0]
    after = np.roll(reach, -1)
    corners = (
        np.stack(
            [reach * nexts[:, 1] - after * _SIDES[:, 1], after * _SIDES[:, 0] - reach * nexts[:, 0]], axis=1
        )
        / turn[:, None]
    )
    joined = np.concatenate([own, corners.astype(np.float32)])
    return np.asarray(cv2.convexHull(joined)[:, 0], np.float32)
