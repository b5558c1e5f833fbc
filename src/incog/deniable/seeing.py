"""What of a face is read for the generator's codes: who it is, and what anybody sees all the same."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from incog import alignment, codes, points, shape
from incog.methods.generated import SIDE, placed, shipped
from incog.methods.looking import coarse
from incog.perceive import embedder
from incog.perceive.embedder import Embedder
from incog.types import Crops, Floats


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """What is in the clear of one face in one frame: values, (R,) float32, see ``pose_of``."""

    values: Floats
    zoom: ClassVar[int] = 1

    def numbers(self) -> Floats:
        """Return the values."""
        return self.values


@lru_cache(maxsize=1)
def _network() -> Embedder:
    return embedder.make_embedder(threads=1)


def pose_of(crop: Crops) -> Floats | None:
    """Return pose and expression, (R,) float32 of ``incog.shape``, as the generator is shown them, of a batch of one;
    None where it cannot draw the face: see ``incog.methods.generated.placed``."""
    matrix = placed(crop.dense[0])
    if matrix is None:
        return None
    here = crop.dense[0] @ matrix[:, :2].T + matrix[:, 2]
    return shipped().pose.pose(shape.halves(here, SIDE))


def code_of(crop: Crops) -> Floats:
    """Return who is to be seen in a batch of one, as the generator's code, (96,) float32."""
    picture = np.rint(np.clip(crop.pixels[0], 0, 1) * 255).astype(np.uint8)
    face = alignment.crop(picture, points.five(crop.dense[0]), embedder.TEMPLATE, embedder.SIZE)
    found: Floats = shipped().prior.code(_network()(face[None]))[0]
    return found


def told_of(pose: Floats, look: Floats) -> Floats:
    """Return what is publicly known of a face, (F,) float32: of what kind it looks, and its pose and expression.

    pose: see ``pose_of``. look: (9,), see ``incog.perceive.attributes.LOOK``; age, gender and ethnicity count as those
    of the kind. What lies around the face tells next to nothing of its code.
    """
    return np.concatenate([codes.features(coarse(look)[None])[0, 1:], pose]).astype(np.float32)
