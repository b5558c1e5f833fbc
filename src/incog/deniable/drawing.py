"""Faces drawn from what a file carries: the same way when they are hidden and when they are brought back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from incog import geometry, shape
from incog.appearance import model, painting
from incog.deniable.payload import Seen
from incog.deniable.traits import Traits
from incog.methods import generated, transformer
from incog.methods.base import Claim, Rendered
from incog.types import Crops, Floats, Key


def painted(pixels: Floats, mask: Floats, matrix: Floats, own_traits: Traits, face: painting.Face) -> Floats:
    """Return a crop (S, S, 3) float32 with a face of ``traits.drawn`` in it where the mask (S, S) is above 0, in 0..1.

    Of the pixels only those beyond the mask count. matrix: (2, 3), crop -> half sides.
    """
    new = painting.paint(model.load(), face, pixels, mask, matrix, zoom=own_traits.zoom)
    return np.where((mask > 0)[..., None], np.clip(new, 0, 1), pixels).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Redrawn(ABC):
    """Draws one face of a file anew, whatever is shown there: a method for ``incog.compose``."""

    seen: Seen

    name: ClassVar[str] = "deniable-restore"
    family: ClassVar[str] = "subspace"
    summary: ClassVar[str] = "the face that a passphrase gives"
    hides_from: ClassVar[str] = "nobody"
    weak: ClassVar[str] = ""
    needs: ClassVar[tuple[str, ...]] = ()
    granularity: ClassVar[Literal["image", "track", "set"]] = "track"
    reversible: ClassVar[bool] = False
    keyed: ClassVar[bool] = False

    @property
    def outline(self) -> Floats:
        """Return what the face is laid over wholly, (K, 2) float32 px of the frame."""
        return self.seen.outline

    @property
    @abstractmethod
    def dense(self) -> Floats | None:
        """Return the new face's points, (130, 2) float32 px of the frame, where they are known."""

    @abstractmethod
    def new(self, pixels: Floats, mask: Floats, matrix: Floats, length: float) -> Floats:
        """Return a crop (S, S, 3) with the face drawn where the mask (S, S) is above 0. matrix: (2, 3), crop -> what
        the face's ``placing`` leads to. length: longer side of the face's box in px."""

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        """None: it hides nothing."""
        return ()

    def __call__(self, crops: Crops, keys: Sequence[Key]) -> Rendered:
        """Return the crop, a batch of one, with the face drawn."""
        there = np.vstack([crops.matrices[0], [0, 0, 1]]).astype(np.float64)
        matrix = np.asarray(self.seen.matrix.astype(np.float64) @ there, np.float32)
        new = self.new(crops.pixels[0], crops.masks[0], matrix, float(crops.faces[0]))
        return Rendered(new[None], np.zeros(1, np.bool_))


@dataclass(frozen=True, slots=True, eq=False)
class Painted(Redrawn):
    """Draws the face of a code. traits: of the face in its place."""

    traits: Traits
    face: painting.Face

    @property
    def dense(self) -> Floats:
        return geometry.apply(geometry.inverse(self.seen.matrix), self.face.dense)

    def new(self, pixels: Floats, mask: Floats, matrix: Floats, length: float) -> Floats:
        return painted(pixels, mask, matrix, self.traits, self.face)


@dataclass(frozen=True, slots=True, eq=False)
class Made(Redrawn):
    """Draws the face of a generator's code. pose: (R,) float32, see ``incog.deniable.seeing``. code: (96,). look:
    (9,)."""

    pose: Floats
    code: Floats
    look: Floats

    @property
    def dense(self) -> Floats:
        """Return the points of nobody in particular with the face's pose, which is all that is known."""
        places = shape.pixels(self._shape(), generated.SIDE)
        return geometry.apply(geometry.inverse(self.seen.matrix), places)

    def _shape(self) -> Floats:
        return generated.shipped().pose.shape_of(self.pose)

    def new(self, pixels: Floats, mask: Floats, matrix: Floats, length: float) -> Floats:
        made = generated.joined(pixels, mask, matrix, self._shape(), self.code, self.look, length)
        return np.where((mask > 0)[..., None], np.clip(made, 0, 1), pixels).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Turned(Redrawn):
    """Turns the face that is shown by the negative of a key. signs: (32,) float32, the key."""

    signs: Floats

    @property
    def outline(self) -> Floats:
        """Return the mask's outline with its feather, in which the shown face would show through."""
        apart = self.seen.outline - (self.seen.outline.min(0) + self.seen.outline.max(0)) / 2
        away = apart / np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), 1e-6)
        return np.asarray(self.seen.outline + away * geometry.feather_width(self.seen.face), np.float32)

    @property
    def dense(self) -> None:
        return None

    def new(self, pixels: Floats, mask: Floats, matrix: Floats, length: float) -> Floats:
        return transformer.turned_back(pixels, mask, matrix, self.signs, length)


def placing(matrix: Floats, crop: Floats) -> Floats:
    """Return a, b, x, y of frame -> half sides, or another picture of the face, (4,) float32. matrix: (2, 3), crop ->
    half sides; crop: (2, 3), crop -> frame. Both are similarities."""
    back = np.vstack([geometry.inverse(crop), [0, 0, 1]]).astype(np.float64)
    whole = matrix.astype(np.float64) @ back
    return np.array([whole[0, 0], whole[1, 0], whole[0, 2], whole[1, 2]], np.float32)
