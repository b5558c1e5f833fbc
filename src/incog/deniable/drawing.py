"""Faces drawn from what a file carries: the same way when they are hidden and when they are brought back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from incog import geometry
from incog.appearance import model, painting
from incog.deniable.payload import Seen
from incog.deniable.traits import Traits
from incog.methods.base import Claim, Rendered
from incog.types import Crops, Floats, Key


def painted(pixels: Floats, mask: Floats, matrix: Floats, own_traits: Traits, face: painting.Face) -> Floats:
    """Return a crop (S, S, 3) float32 with a face of ``traits.drawn`` in it where the mask (S, S) is above 0, in 0..1.

    Of the pixels only those beyond the mask count. matrix: (2, 3), crop -> half sides.
    """
    new = painting.paint(model.load(), face, pixels, mask, matrix, zoom=own_traits.zoom)
    return np.where((mask > 0)[..., None], np.clip(new, 0, 1), pixels).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Redrawn:
    """Draws one face of a file anew, whatever is shown there: a method for ``incog.compose``."""

    seen: Seen
    face: painting.Face

    name: ClassVar[str] = "deniable-restore"
    family: ClassVar[str] = "subspace"
    summary: ClassVar[str] = "the face that a passphrase gives"
    hides_from: ClassVar[str] = "nobody"
    weak: ClassVar[str] = ""
    needs: ClassVar[tuple[str, ...]] = ()
    granularity: ClassVar[Literal["image", "track", "set"]] = "track"
    reversible: ClassVar[bool] = False
    keyed: ClassVar[bool] = False

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        """None: it hides nothing."""
        return ()

    def __call__(self, crops: Crops, keys: Sequence[Key]) -> Rendered:
        """Return the crop, a batch of one, with the face drawn."""
        there = np.vstack([crops.matrices[0], [0, 0, 1]]).astype(np.float64)
        matrix = np.asarray(self.seen.matrix.astype(np.float64) @ there, np.float32)
        new = painted(crops.pixels[0], crops.masks[0], matrix, self.seen.traits, self.face)
        return Rendered(new[None], np.zeros(1, np.bool_))


def placing(matrix: Floats, crop: Floats) -> Floats:
    """Return a, b, x, y of frame -> half sides, (4,) float32. matrix: (2, 3), crop -> half sides; crop: (2, 3), crop ->
    frame. Both are similarities."""
    back = np.vstack([geometry.inverse(crop), [0, 0, 1]]).astype(np.float64)
    whole = matrix.astype(np.float64) @ back
    return np.array([whole[0, 0], whole[1, 0], whole[0, 2], whole[1, 2]], np.float32)
