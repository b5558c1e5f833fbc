"""The k-Same family: each face of a set becomes the mean face of a group of at least k people.

Newton, Sweeney and Malin (2005) for pixels and eigenfaces, Gross et al. (2006) for k-Same-Select, Meng and Sun (2014)
for k-Same-furthest, of which the title alone was at hand. Groups: ``incog.methods.grouping``.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, ClassVar, Literal

import cv2
import numpy as np

from incog import alignment
from incog.methods import eigenspace, grouping
from incog.methods.aligned import SOFT_CONDITION, inner, lay, placed, relit, taken
from incog.methods.base import Check, Claim
from incog.methods.of_sets import CONDITIONS, OfSets
from incog.methods.parameters import Parameter
from incog.methods.per_crop import CROP_CONDITION, rest_of, scope_of
from incog.perceive import attributes, embedder
from incog.perceive.attributes import OnnxAttributes
from incog.types import Array, Crops, Floats

_MOST_CONTRAST = 1.3
"""Means have less contrast than faces: to match it wholly would bring out their ghosts."""


@dataclass(frozen=True)
class KSame(OfSets):
    """Base of the family that draws means of faces."""

    family: ClassVar[str] = "subspace"
    summary: ClassVar[str]
    hides_from: ClassVar[str] = (
        "whoever sees the faces alone: of at least k people each; not from hair and background"
    )
    weak: ClassVar[str] = (
        "Laid back into its own picture, the mean face has the person's hair, background, place and outline around it: "
        "k-anonymity then holds for the face alone. --share-background makes it hold for whole pictures."
    )

    light: Annotated[float, Parameter("share of the original's mean colour and contrast", 0, 1)] = 0.0

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        """What holds when the method was applied to ``frames`` frames of one track."""
        scope = scope_of(frames)
        if self.light:
            first = Claim(
                "No k-anonymity is claimed: the light of each original comes through.",
                holds=False,
                scope=scope,
                conditions=("light is 0: then it is", CROP_CONDITION),
            )
        else:
            first = Claim(
                f"Each face stands for at least {self.k} people, byte by byte, before it is laid back.",
                holds=True,
                scope=f"the face in the template, not {scope}",
                conditions=(*CONDITIONS, *self.also()),
                value=float(self.k),
                check=Check("k-anonymity", self.k),
            )
        return (
            first,
            Claim(
                "No k-anonymity of whole pictures is claimed: a face that is laid back into its own picture has the "
                "place, tilt, outline, hair and background of one person, and the file its name and size.",
                holds=False,
                scope=scope,
                conditions=(
                    "with --share-background the whole files of a group are the same",
                    SOFT_CONDITION,
                ),
            ),
            rest_of(frames),
        )

    def also(self) -> tuple[str, ...]:
        """Return further conditions of the claim."""
        return ()

    def reduced(self, crop: Crops) -> Array | None:
        matrix = placed(crop.points[0], self.side)
        # Half precision is finer than the pictures' 8 bits, and sets can be large.
        return None if matrix is None else taken(crop.pixels[0], matrix, self.side).astype(np.float16)

    def face(self, mean: Floats) -> Floats:
        return mean

    def draw(self, pixels: Floats, crop: Crops, mean: Floats, face: Floats) -> None:
        matrix = placed(crop.points[0], self.side)
        assert matrix is not None
        if self.light:
            own = taken(crop.pixels[0], matrix, self.side)
            lit = relit(face, own, self.light, weight=inner(self.side), most=_MOST_CONTRAST)
            face = np.clip(lit, 0, 1)
        lay(pixels, crop.masks[0], face, matrix)


@dataclass(frozen=True)
class KSamePixel(KSame):
    """k-Same-Pixel: distances of aligned faces of 64 x 64 pixels, means of 128 x 128."""

    name: ClassVar[str] = "k-same-pixel"
    summary: ClassVar[str] = "the mean of k aligned faces that are alike in their pixels"

    def vector(self, kept: Array) -> Floats:
        side = eigenspace.SIDE
        small = cv2.resize(kept.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.float32).ravel()


@dataclass(frozen=True)
class KSameEigen(KSame):
    """k-Same-Eigen: distances and means of coefficients of eigenfaces. A mean of codes is the code of the mean face."""

    name: ClassVar[str] = "k-same-eigen"
    summary: ClassVar[str] = "the mean of k faces that are alike in their eigenfaces' coefficients"
    needs: ClassVar[tuple[str, ...]] = (eigenspace.NAME,)
    side: ClassVar[int] = eigenspace.SIDE

    def vector(self, kept: Array) -> Floats:
        return eigenspace.shipped().encode(kept.astype(np.float32))

    def face(self, mean: Floats) -> Floats:
        basis = eigenspace.shipped()
        return basis.decode(basis.encode(mean))


@dataclass(frozen=True)
class KSameSelect(KSamePixel):
    """k-Same-Select: k-Same-Pixel within people of one expression or gender, so that means keep it. Parts of fewer than
    k people are merged with the nearest."""

    name: ClassVar[str] = "k-same-select"
    summary: ClassVar[str] = "the mean of k aligned faces of one expression or gender"
    needs: ClassVar[tuple[str, ...]] = (attributes.NAME,)

    attribute: Annotated[Literal["expression", "gender"], Parameter("what the faces of a group share")] = (
        "expression"
    )

    def also(self) -> tuple[str, ...]:
        return (f"{self.attribute} is meant to show: the people of a group mostly share it",)

    def label(self, crop: Crops) -> Hashable:
        if placed(crop.points[0], self.side) is None:
            return ""
        pixels = np.rint(np.clip(crop.pixels[0], 0, 1) * 255).astype(np.uint8)
        aligned = alignment.crop(pixels, crop.points[0], embedder.TEMPLATE, embedder.SIZE)
        return _network()(aligned[None])[0].likeliest(self.attribute)[0]


@dataclass(frozen=True)
class KSameFurthest(KSamePixel):
    """k-Same-furthest: groups as k-Same-Pixel makes them; each gets the mean of a group that is far from it."""

    name: ClassVar[str] = "k-same-furthest"
    summary: ClassVar[str] = "the mean of k aligned faces that are as unlike the person's group as any"

    def also(self) -> tuple[str, ...]:
        return ("there are two groups at least: one alone keeps its own mean",)

    def partners(self, centres: grouping.Doubles) -> Sequence[int]:
        return grouping.opposites(centres)


@lru_cache(maxsize=1)
def _network() -> OnnxAttributes:
    return attributes.make_attributes()
