"""How the face of a track looks, told once per track: a new face that is chosen by it must not change on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from incog import colour, geometry, points
from incog.outline import Seen
from incog.perceive.attributes import OnnxAttributes
from incog.types import Face, Floats, Frame

AROUND = 0.6
"""How far around a box the picture is looked at, as a share of the box's longer side."""


class Looks:
    """Tells looks and remembers them by track. They live in memory only."""

    def __init__(self, network: OnnxAttributes) -> None:
        self._network = network
        self._known: dict[int, Floats] = {}

    def told(
        self, frame: Frame, tracks: Sequence[int], faces: Sequence[Face], seen: Sequence[Seen]
    ) -> list[Seen]:
        """Return the faces of a frame with their tracks' looks: by the first frame in which points can be trusted."""
        found = []
        for number, face, one in zip(tracks, faces, seen, strict=True):
            if number not in self._known and one.dense is not None:
                self._known[number] = self._look(frame, face, one.dense)
            found.append(replace(one, look=self._known.get(number)))
        return found

    def _look(self, frame: Frame, face: Face, dense: Floats) -> Floats:
        corners = np.array(face.box, np.float32).reshape(2, 2)
        region = colour.align(geometry.bounds(corners, AROUND * face.size), frame)
        five = (points.five(dense) - np.array(region[:2], np.float32)).astype(np.float32)
        here = Face(box=(0.0, 0.0, face.width, face.height), points=five)
        return self._network.look(colour.rgb8(frame, region), [here])[0].look()
