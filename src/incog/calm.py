"""New faces made calm along their tracks: each is averaged with those of the neighbouring frames, laid over it.

A method draws each frame by itself, and what it draws round a face, its light and its edge tremble with all that it
goes by. The average moves as the face's points do; it also leads over softly from a drawn face to a filled one. It is
made of what was drawn alone: where another frame's mask does not reach, that frame does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from incog import geometry
from incog.alignment import similarity
from incog.compose import Drawn
from incog.types import Floats, Frame
from incog.windows import windows

REACH = 3
"""How many frames before and after count."""

SPREAD = 1.5
"""Standard deviation in frames of their weights."""

APART = 0.15
"""Largest root mean square distance between the points of two frames, laid over each other, as a share of their own
spread, at which one is laid over the other: see ``incog.perceive.steady``."""

SUPPORT = 0.1
"""How far a point moves what is around it: standard deviation, as a share of the face's width."""

RIM = 0.06
"""Distance from a mask's border, as a share of the crop, from which on a pixel counts fully in other frames."""

NODES = 24
"""Of the grid on which movements are told, per side of a crop: between them they are interpolated."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A frame and the new faces in it, not yet laid."""

    frame: Frame
    drawn: Sequence[Drawn]


def calmed(scenes: Iterable[Scene]) -> Iterator[Scene]:
    """Yield the scenes with each face averaged over its track, ``REACH`` frames either way. The result depends on these
    frames alone, not on where a file is split further away."""
    for window, place in windows(scenes, REACH):
        yield _calm(window, place)


def _calm(window: Sequence[Scene], place: int) -> Scene:
    here = window[place]
    near = [
        (
            float(np.exp(-((other - place) ** 2) / (2 * SPREAD**2))),
            {item.job.track.id: item for item in scene.drawn},
        )
        for other, scene in enumerate(window)
        if other != place and abs(other - place) <= REACH
    ]
    drawn = [
        averaged(
            item, [(weight, faces[item.job.track.id]) for weight, faces in near if item.job.track.id in faces]
        )
        for item in here.drawn
    ]
    return replace(here, drawn=drawn)


def averaged(item: Drawn, others: Sequence[tuple[float, Drawn]]) -> Drawn:
    """Return a new face averaged with those of other frames of its track. others: weight, relative to 1 of its own, and
    face."""
    if not others:
        return item
    ground = _Ground(item)
    total, weights = item.pixels.copy(), np.ones(item.mask.shape, np.float32)
    for weight, other in others:
        places = ground.places(other)
        if places is None:
            continue
        theirs = np.dstack([other.pixels, _trusted(other)])
        columns, rows = (np.ascontiguousarray(places[..., axis]) for axis in (0, 1))
        laid = np.asarray(cv2.remap(theirs, columns, rows, cv2.INTER_LINEAR, borderValue=0), np.float32)
        share = weight * laid[..., 3]
        total += share[..., None] * laid[..., :3]
        weights += share
    new = np.where((item.mask > 0)[..., None], total / weights[..., None], item.pixels)
    return replace(item, pixels=np.asarray(new, np.float32))


def _trusted(item: Drawn) -> Floats:
    """Return how much each pixel of a new face counts elsewhere, (S, S) float32: not at all where its mask is not
    whole, since something of what it was drawn over might show, and more with the distance from there, so that no edge
    comes of it."""
    inside = np.pad((item.mask >= 1).astype(np.uint8), 1)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_3)[1:-1, 1:-1]
    return np.asarray(np.clip((depth - 1) / (RIM * len(item.mask)), 0, 1), np.float32)


class _Ground:
    """Tells where the places of a face lie in other frames."""

    def __init__(self, item: Drawn) -> None:
        self._item = item
        self._size = size = len(item.pixels)
        nodes = np.linspace(0, size - 1, NODES, dtype=np.float32)
        self._nodes = geometry.apply(item.matrix, np.stack(np.meshgrid(nodes, nodes), axis=2).reshape(-1, 2))
        # Nodes lie on the outermost pixels' centres, unlike what a resize takes them for.
        step = np.arange(size, dtype=np.float32) * np.float32((NODES - 1) / (size - 1))
        self._columns, self._rows = np.meshgrid(step, step)
        self._pull: Floats | None = None
        if item.seen.dense is not None:
            reach = SUPPORT * float(np.ptp(item.seen.dense[:, 0]))
            apart = np.square(self._nodes[:, None] - item.seen.dense[None]).sum(2)
            weights = np.exp(-apart / (2 * reach**2))
            # Far from all points nothing pulls.
            self._pull = np.asarray(weights / (weights.sum(1, keepdims=True) + 0.5), np.float32)

    def places(self, other: Drawn) -> Floats | None:
        """Return where each pixel of the crop lies in the other's, (S, S, 2) float32 px, or None where the faces are
        too different: by the points of both, and by what became of the box where these are unknown."""
        there = self._moved(other)
        if there is None:
            return None
        back = geometry.apply(geometry.inverse(other.matrix), there).reshape(NODES, NODES, 2)
        return np.asarray(cv2.remap(back, self._columns, self._rows, cv2.INTER_LINEAR), np.float32)

    def _moved(self, other: Drawn) -> Floats | None:
        own, theirs = self._item.seen.dense, other.seen.dense
        if own is None or theirs is None or self._pull is None:
            here, there = self._item.job.face, other.job.face
            zoom = there.size / max(here.size, 1e-6)
            return np.asarray((self._nodes - here.centre) * zoom + there.centre, np.float32)
        matrix = similarity(own, theirs)
        left = theirs - geometry.apply(matrix, own)
        spread = float(np.sqrt(np.square(theirs - theirs.mean(0)).sum(1).mean()))
        if float(np.sqrt(np.square(left).sum(1).mean())) > APART * spread:
            return None
        return np.asarray(geometry.apply(matrix, self._nodes) + self._pull @ left, np.float32)
