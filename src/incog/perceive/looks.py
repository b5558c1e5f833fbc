"""How the face of a track looks, told once per track: a new face that is chosen by it must not change on the way."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from incog import colour, geometry, points
from incog.outline import Seen
from incog.perceive.attributes import OnnxAttributes
from incog.types import Face, Floats, Frame

AROUND = 0.6
"""How far around a box the picture is looked at, as a share of the box's longer side."""


HELD = 7
"""The first numbers of a look are a person's, age, gender and ethnicity; the others are the mood of the moment."""


class Looks:
    """Tells looks and remembers them by track. They live in memory only."""

    def __init__(
        self,
        network: OnnxAttributes,
        *,
        person: Callable[[int], Hashable] = lambda number: number,
        held: Mapping[Hashable, Floats] | None = None,
    ) -> None:
        """person: whose a track is; all tracks of one have the age, gender and ethnicity of the first that is told.
        held: these by person, (7,) float32, where they are known beforehand."""
        self._network, self._person = network, person
        self._known: dict[int, Floats] = {}
        self._held = dict(held or {})

    def told(
        self, frame: Frame, tracks: Sequence[int], faces: Sequence[Face], seen: Sequence[Seen]
    ) -> list[Seen]:
        """Return the faces of a frame with their tracks' looks: by the first frame in which points can be trusted."""
        found = []
        for number, face, one in zip(tracks, faces, seen, strict=True):
            if number not in self._known and one.dense is not None:
                shown = Face(box=face.box, points=points.five(one.dense))
                look = look_at(self._network, frame, shown)
                look[:HELD] = self._held.setdefault(self._person(number), look[:HELD].copy())
                self._known[number] = look
            found.append(replace(one, look=self._known.get(number)))
        return found


def look_at(network: OnnxAttributes, frame: Frame, face: Face) -> Floats:
    """Return the look, (9,) float32, of a face of a frame. Raises ValueError for one without its five points."""
    if face.points is None:
        raise ValueError("a face must have its five points to be told, got none")
    corners = np.array(face.box, np.float32).reshape(2, 2)
    region = colour.align(geometry.bounds(corners, AROUND * face.size), frame)
    five = (face.points - np.array(region[:2], np.float32)).astype(np.float32)
    here = Face(box=(0.0, 0.0, face.width, face.height), points=five)
    return network.look(colour.rgb8(frame, region), [here])[0].look()
