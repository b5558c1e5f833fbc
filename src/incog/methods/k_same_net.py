"""k-Same-Net (Meden, Emersic, Struc and Peer 2018): the face of a group is drawn, from the mean code of k people who
never existed.

There the network was given the mean of k one-hot identities of a proxy set of 67 real people. Here the proxies are the
thousand donors of ``incog.methods.policies``: rows of numbers sampled from the prior, so that no input can be one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from incog import alignment, codes, geometry, outline, points
from incog.methods import generated
from incog.methods.aligned import carried, goal, taken
from incog.methods.base import Claim
from incog.methods.generated import CODES, DRAWN, NETWORK, SHAPE, shipped
from incog.methods.looking import look_of
from incog.methods.of_sets import CONDITIONS, OfSets
from incog.methods.per_crop import rest_of, scope_of
from incog.methods.policies import DONORS, normals_of
from incog.perceive import attributes, embedder
from incog.perceive.embedder import Embedder
from incog.types import Array, Crops, Floats

PROXIES = f"the proxies, {DONORS} rows of numbers that ship with the package, are sampled: none is a person of the set"


@dataclass(frozen=True)
class KSameNet(OfSets):
    """k-Same-Net: a group of at least k people gets one code, the mean of the k proxies that a recogniser takes for
    most alike to the group, and one look, the group's mean.

    People are grouped by their codes. A proxy is a row of standard normal numbers; which code it is depends on the
    look, here the group's. Laid back, the face is drawn into each picture's own surroundings, with its pose and
    expression: who is drawn is the same for the group, the pixels are not. The face in the template has the mean shape
    and surroundings of the group.
    """

    name: ClassVar[str] = "k-same-net"
    family: ClassVar[str] = "generated"
    summary: ClassVar[str] = (
        "one face that never existed for each group of k people, by the mean of k sampled codes"
    )
    hides_from: ClassVar[str] = "recognisers, with --share-background provably; not from hair and background"
    weak: ClassVar[str] = (
        "Drawn into its own picture, the face has the person's pose, expression, tone, hair and background, so it is "
        "not the same for k people and no k-anonymity is claimed. --share-background makes it hold for whole pictures."
    )
    needs: ClassVar[tuple[str, ...]] = (NETWORK, CODES, SHAPE, attributes.NAME, embedder.NAME)

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        """What holds when the method was applied to ``frames`` frames of one track."""
        scope = scope_of(frames)
        return (
            Claim(
                "No k-anonymity of pixels is claimed: a face that is drawn into its own picture has the pose, "
                "expression, tone, surroundings and outline of one person, so it is not the same bytes for k people.",
                holds=False,
                scope=scope,
                conditions=("with --share-background the whole files of a group are the same",),
            ),
            Claim(
                f"Who is drawn, {codes.SIZE} numbers, and how old and of which gender and ethnicity they look, are the "
                f"same for at least {self.k} people.",
                holds=True,
                scope=f"what the generator is told of who a face is, not {scope}",
                conditions=(*CONDITIONS, PROXIES),
                value=float(self.k),
            ),
            Claim(
                "No pixel of the face is used: one code and one look of a group, surroundings, lines of pose and "
                "expression, and 5 numbers of tone and light.",
                holds=True,
                scope=scope,
                conditions=DRAWN,
            ),
            rest_of(frames),
        )

    def reduced(self, crop: Crops) -> Array | None:
        if generated.placed(crop.dense[0]) is None:
            return None
        matrix = carried(points.five(crop.dense[0]), goal(self.side))
        if matrix is None:
            return None
        picture = np.rint(np.clip(crop.pixels[0], 0, 1) * 255).astype(np.uint8)
        face = alignment.crop(picture, points.five(crop.dense[0]), embedder.TEMPLATE, embedder.SIZE)
        kept = (
            _network()(face[None])[0],
            look_of(crop),
            (crop.dense[0] @ matrix[:, :2].T + matrix[:, 2]) / self.side,
            taken(crop.pixels[0], matrix, self.side),
        )
        # Half precision is finer than the pictures' 8 bits, and sets can be large.
        return np.concatenate([np.ravel(part) for part in kept]).astype(np.float16)

    def vector(self, kept: Array) -> Floats:
        embedding, *_ = self._parted(kept)
        code: Floats = shipped().prior.code(embedding[None])[0]
        return code

    def mean(self, kept: Sequence[Array], rows: Sequence[int], people: Sequence[str]) -> Floats:
        """Return the code of a group, (96,), its look, (9,), and the mean of the shapes and pictures in the template,
        all in one row."""
        embedding, look, *rest = self._parted(super().mean(kept, rows, people))
        code = mean_code(embedding, look, self.k)
        return np.concatenate([code, look, *(np.ravel(part) for part in rest)])

    def face(self, mean: Floats) -> Floats:
        code, look, dense, picture = self._parted(mean, codes.SIZE)
        here = np.asarray(dense * self.side, np.float32)
        mask = geometry.mask([outline.face_outline(here, grow=1.15)], (0, 0, self.side, self.side), 4.0)
        size = float(np.ptp(here[points.OUTLINE], axis=0).max())
        crop = Crops(
            np.clip(picture, 0, 1)[None],
            mask[None],
            np.eye(2, 3, dtype=np.float32)[None],
            np.array([size], np.float32),
            points.five(here)[None],
            np.zeros(1, np.int64),
            here[None],
        )
        new = crop.pixels.copy()
        self.draw(new[0], crop, np.concatenate([code, look]), new[0])
        return np.asarray(new[0], np.float32)

    def draw(self, pixels: Floats, crop: Crops, mean: Floats, face: Floats) -> None:
        matrix = generated.placed(crop.dense[0])
        # The mean of faces that all can be drawn lies between them.
        assert matrix is not None
        code, look = mean[: codes.SIZE], mean[codes.SIZE : codes.SIZE + len(attributes.LOOK)]
        new = generated.drawn(crop, matrix, code, look)
        np.copyto(pixels, np.clip(new, 0, 1), where=(crop.masks[0] > 0)[..., None])

    def _parted(self, kept: Array, first: int | None = None) -> tuple[Floats, Floats, Floats, Floats]:
        """Return the parts of a row: the embedding, or the code of ``first`` numbers; the look, (9,); the dense points,
        (130, 2) in sides; and the picture, (side, side, 3)."""
        values = kept.astype(np.float32)
        tail = len(attributes.LOOK) + 2 * points.COUNT + 3 * self.side**2
        first = len(values) - tail if first is None else first
        ends = np.cumsum([first, len(attributes.LOOK), 2 * points.COUNT])
        code, look, dense, picture = np.split(values, ends)
        return code, look, dense.reshape(-1, 2), picture.reshape(self.side, self.side, 3)


def mean_code(embedding: Floats, look: Floats, k: int) -> Floats:
    """Return the mean code, (96,), of the k proxies of a look, (9,), whose embeddings are the most alike to one, (D,),
    of any length; of equals the first."""
    prior = shipped().prior
    found = prior.draw(proxies(), np.repeat(look[None], DONORS, 0))
    alike = prior.embedding(found) @ embedding
    nearest = np.argsort(-alike, kind="stable")[:k]
    return np.asarray(found[nearest].mean(0, np.float64), np.float32)


@lru_cache(maxsize=1)
def proxies() -> Floats:
    """Return the numbers of the proxy set, (1000, 96) float32: the donors'."""
    return np.stack([normals_of(number) for number in range(1, DONORS + 1)])


@lru_cache(maxsize=1)
def _network() -> Embedder:
    return embedder.make_embedder(threads=1)
