"""More policies on the code of the generator: who the new face is, other than anybody fresh."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import Annotated, ClassVar, Literal

import numpy as np

from incog import alignment, codes, points
from incog.keys import Stream
from incog.methods.base import Claim
from incog.methods.generated import CODES, DRAWN, NETWORK, SHAPE, Generated, Replace, shipped
from incog.methods.parameters import Parameter
from incog.methods.per_crop import rest_of, scope_of
from incog.perceive import attributes, embedder
from incog.perceive.embedder import Embedder
from incog.types import Crops, Floats, Key

DONORS = 1000
"""People in the table, numbered from 1. They are sampled, and the same for everybody."""


@dataclass(frozen=True)
class Donor(Replace):
    """One of a table of people who never existed, chosen by number or by the key of the track: control as in CIAGAN
    (Maximov, Elezi and Leal-Taixe 2020), whose donors were real.

    A donor is a row of standard normal numbers; which code they are depends on the look, so a donor has as many faces
    as there are looks.
    """

    name: ClassVar[str] = "donor"
    summary: ClassVar[str] = "one of a thousand faces that never existed, chosen by number"
    weak: ClassVar[str] = (
        "Whoever is given the same donor looks like the same person: results can be linked, which is what it is for. "
        "Otherwise as replace: hair, tone of the skin and movement stay, and mouths can be smeared."
    )

    donor: Annotated[int, Parameter("number of the face; 0: the key chooses", 0, DONORS)] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "keyed", self.donor == 0)

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        linked = Claim(
            "Faces of one donor look like one person, in all files that he is used in.",
            holds=False,
            scope=scope_of(frames),
            conditions=("age, gender and ethnicity are the same: a donor follows the look of the face",),
        )
        first, *others = super().claims(frames=frames)
        return (first, linked, *others)

    def source(self) -> str:
        chosen = f"number {self.donor}" if self.donor else "chosen by a key"
        return f"the new face is one of {DONORS} sampled people, {chosen}"

    def normals(self, key: Key) -> Floats:
        return normals_of(self.donor or 1 + int(Stream(key, self.name).integers(0, DONORS, (1,))[0]))


def normals_of(number: int) -> Floats:
    """Return the numbers of a donor, (96,) float32, from a key that is no secret. number: 1..1000."""
    return Stream(Key(bytes(32)), "donor", number).normal((codes.SIZE,)).astype(np.float32)


@dataclass(frozen=True)
class Blend(Generated):
    """The code of the face itself, led towards a fresh one until its embedding has a chosen cosine to the face's.

    A scale from oneself to anybody, after FALCO's margin (Barattin et al. 2023), without its optimisation: the point of
    the circle through both embeddings that has this cosine. The look is held. It reads the identity of the face, in
    each picture anew.
    """

    name: ClassVar[str] = "blend"
    summary: ClassVar[str] = "a face between the old one and one that never existed"
    hides_from: ClassVar[str] = "recognisers in part, as is asked for; from nobody who has the key"
    weak: ClassVar[str] = (
        "The identity of the face is read and in part kept, as much as is asked for. Who has the key and many pictures "
        "of a person can lead the codes back. In videos the face wavers, since it is read in each frame."
    )
    needs: ClassVar[tuple[str, ...]] = (NETWORK, CODES, SHAPE, attributes.NAME, embedder.NAME)
    granularity: ClassVar[Literal["image", "track", "set"]] = "image"

    cosine: Annotated[float, Parameter("of the new face's embedding to the old one's", 0, 0.95)] = 0.2

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        return (
            Claim(
                f"The identity of the face is read: the code of the new one is told to be at a cosine of "
                f"{self.cosine:g} to it, by the recogniser of this package.",
                holds=False,
                scope=scope_of(frames),
                conditions=(
                    *DRAWN,
                    "what a recogniser says of the face that is drawn is measured, not promised",
                    "age, gender and ethnicity that the face seems to have are meant to stay",
                ),
                value=self.cosine,
            ),
            rest_of(frames),
        )

    def code(self, crop: Crops, key: Key, look: Floats) -> Floats:
        prior = shipped().prior
        normals = Stream(key, self.name, "code").normal((codes.SIZE,)).astype(np.float32)
        fresh = prior.embedding(prior.draw(normals[None], look[None]))[0]
        picture = np.rint(np.clip(crop.pixels[0], 0, 1) * 255).astype(np.uint8)
        face = alignment.crop(picture, points.five(crop.dense[0]), embedder.TEMPLATE, embedder.SIZE)
        made: Floats = prior.code(led(_network()(face[None])[0], fresh, self.cosine)[None])[0]
        return made


@lru_cache(maxsize=1)
def _network() -> Embedder:
    return embedder.make_embedder(threads=1)


def led(own: Floats, fresh: Floats, cosine: float) -> Floats:
    """Return the embedding of unit norm, (D,), on the circle from ``own`` by ``fresh``, both of unit norm, that has a
    cosine to ``own``."""
    side = fresh - (fresh @ own) * own
    side = side / max(float(np.linalg.norm(side)), 1e-6)
    return np.asarray(cosine * own + sqrt(1 - cosine**2) * side, np.float32)
