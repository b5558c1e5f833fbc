"""The k-Same family: each face of a set becomes the mean face of a group of at least k people.

Newton, Sweeney and Malin (2005) for pixels and eigenfaces, Gross et al. (2006) for k-Same-Select, Meng and Sun (2014)
for k-Same-furthest, of which the title alone was at hand. Groups: ``incog.methods.grouping``.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, ClassVar, Literal, Self

import cv2
import numpy as np

from incog import alignment
from incog.errors import InputError, UsageError
from incog.methods import eigenspace, grouping
from incog.methods.aligned import SOFT_CONDITION, inner, lay, placed, relit, taken
from incog.methods.base import Check, Claim, Rendered
from incog.methods.parameters import Parameter, check
from incog.methods.per_crop import CROP_CONDITION, rest_of, scope_of
from incog.perceive import attributes, embedder
from incog.perceive.attributes import OnnxAttributes
from incog.types import Array, Crops, Floats, Key

CONDITIONS = (
    "people are told apart rightly: all pictures of one person are given as theirs, and none as another's",
    "all pictures of the set are released together, once: what two runs release can be intersected",
    "who is in the set is known or does not matter: the set is closed",
    "nothing is promised about attributes: where all of a group share one, such as gender, the face may show it",
)
"""What k-anonymity of faces rests on."""


_MOST_CONTRAST = 1.3
"""Means have less contrast than faces: to match it wholly would bring out their ghosts."""


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """What a set was found to be. of: the group of each crop, by digest. means: what is drawn for each group. faces:
    the same in the template, (side, side, 3). people: in each group."""

    of: dict[bytes, int]
    means: list[Floats]
    faces: list[Floats]
    people: list[int]


class SetOfFaces:
    """What is not a parameter: the groups that ``fit`` found."""

    _groups: Groups | None = None


@dataclass(frozen=True)
class KSame(SetOfFaces, ABC):
    """Base of the family. A subclass says how a face is reduced, how far two are apart, and how a mean is drawn.

    An instance is fitted to a set of people by ``fit``; the one that comes back knows these faces and no others, which
    are unfit. side: of the template in pixels.
    """

    name: ClassVar[str]
    family: ClassVar[str] = "subspace"
    summary: ClassVar[str]
    hides_from: ClassVar[str] = (
        "whoever sees the faces alone: of at least k people each; not from hair and background"
    )
    weak: ClassVar[str] = (
        "Laid back into its own picture, the mean face has the person's hair, background, place and outline around it: "
        "k-anonymity then holds for the face alone. --share-background makes it hold for whole pictures."
    )
    needs: ClassVar[tuple[str, ...]] = ()
    granularity: ClassVar[Literal["image", "track", "set"]] = "set"
    reversible: ClassVar[bool] = False
    keyed: ClassVar[bool] = False
    side: ClassVar[int] = 128

    k: Annotated[int, Parameter("least number of people who get the same face", 2, 1000)] = 5
    light: Annotated[float, Parameter("share of the original's mean colour and contrast", 0, 1)] = 0.0

    def __post_init__(self) -> None:
        check(self)

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

    def fit(self, crops: Iterable[Crops], people: Sequence[str]) -> Self:
        """Return the method fitted to a set: crops in batches, and who each shows. The batches are read once.

        Crops that cannot be used are left out. All pictures of one person go to one group. Raises InputError for fewer
        than k people, or when a crop is given for two people; ValueError when crops and people do not pair.
        """
        kept: list[Array] = []
        names: list[str] = []
        marks: list[bytes] = []
        labels: list[Hashable] = []
        total = 0
        for batch in crops:
            for crop in batch:
                total += 1
                found = self.reduced(crop) if total <= len(people) else None
                if found is not None:
                    kept.append(found)
                    names.append(people[total - 1])
                    marks.append(digest(crop))
                    labels.append(self.label(crop))
        if total != len(people):
            raise ValueError(f"there must be a person for each crop, got {len(people)} for {total}")
        owners: dict[bytes, str] = {}
        for mark, name in zip(marks, names, strict=True):
            if owners.setdefault(mark, name) != name:
                raise InputError("the same picture is given for two people")
        return self._fitted(kept, names, marks, labels)

    def _fitted(
        self, kept: list[Array], names: list[str], marks: list[bytes], labels: list[Hashable]
    ) -> Self:
        vectors = np.stack([self.vector(item) for item in kept]) if kept else np.zeros((0, 1), np.float32)
        found = grouping.groups(vectors, names, self.k, parts=labels)
        centres = np.stack([grouping.means_of_people(vectors, rows, names) for rows in found])
        means = [self.mean(kept, rows.tolist(), names) for rows in found]
        means = [means[number] for number in self.partners(centres)]
        faces = [np.clip(self.face(mean), 0, 1).astype(np.float32) for mean in means]
        for face in faces:
            face.setflags(write=False)
        of = {marks[row]: number for number, rows in enumerate(found) for row in rows}
        people = [len({names[row] for row in rows}) for rows in found]
        fitted = replace(self)
        object.__setattr__(fitted, "_groups", Groups(of, means, faces, people))
        return fitted

    def __call__(self, crops: Crops, keys: Sequence[Key]) -> Rendered:
        """Return new pixels for the crops, as ``Method`` says; crops that the method was not fitted to are unfit.

        Raises UsageError when it was fitted to none, ValueError unless keys and crops pair.
        """
        if len(keys) != len(crops):
            raise ValueError(f"there must be one key per crop, got {len(keys)} keys for {len(crops)} crops")
        groups = self.groups
        pixels, unfit = crops.pixels.copy(), np.zeros(len(crops), np.bool_)
        for row, crop in enumerate(crops):
            number = groups.of.get(digest(crop))
            if number is None:
                unfit[row] = True
            else:
                self.draw(pixels[row], crop, groups.means[number], groups.faces[number])
        return Rendered(pixels, unfit)

    @property
    def groups(self) -> Groups:
        """What ``fit`` found. Raises UsageError before it."""
        if self._groups is None:
            raise UsageError(
                f"{self.name} must be given a set of people, got a single file",
                hint="give a folder of them",
            )
        return self._groups

    def group(self, crop: Crops) -> int | None:
        """Return the number of the group of a crop (a batch of one), or None for one that was not fitted."""
        return self.groups.of.get(digest(crop))

    @property
    def faces(self) -> Sequence[Floats]:
        """The face of each group in the template, (side, side, 3)."""
        return self.groups.faces

    @property
    def members(self) -> Sequence[int]:
        """How many people are in each group."""
        return self.groups.people

    # What a method of the family says.

    def reduced(self, crop: Crops) -> Array | None:
        """Return what is kept of a crop (a batch of one) to make means of, any shape; None when it cannot be used."""
        matrix = placed(crop.points[0], self.side)
        # Half precision is finer than the pictures' 8 bits, and sets can be large.
        return None if matrix is None else taken(crop.pixels[0], matrix, self.side).astype(np.float16)

    @abstractmethod
    def vector(self, kept: Array) -> Floats:
        """Return the (D,) float32 vector that distances are taken of."""

    def label(self, crop: Crops) -> Hashable:
        """Return the part that a crop belongs to: groups are made within parts."""
        return ""

    def mean(self, kept: Sequence[Array], rows: Sequence[int], people: Sequence[str]) -> Floats:
        """Return the mean of some rows of what was kept; every person counts the same."""
        own = grouping.units_of([people[row] for row in rows])
        totals = [sum(kept[rows[place]].astype(np.float64) for place in unit) / len(unit) for unit in own]
        return np.asarray(sum(totals) / len(totals), np.float32)

    def partners(self, centres: grouping.Doubles) -> Sequence[int]:
        """Return which group's mean each group gets."""
        return range(len(centres))

    def face(self, mean: Floats) -> Floats:
        """Return the face of a mean in the template, (side, side, 3)."""
        return mean

    def draw(self, pixels: Floats, crop: Crops, mean: Floats, face: Floats) -> None:
        """Write the face of a group into the pixels of a crop (a batch of one), where its mask is, in place."""
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


def digest(crop: Crops) -> bytes:
    """Return what tells a crop (a batch of one) from all others: of its pixels and points."""
    mark = hashlib.blake2b(crop.pixels.tobytes(), digest_size=16)
    mark.update(crop.points.tobytes())
    return mark.digest()


@lru_cache(maxsize=1)
def _network() -> OnnxAttributes:
    return attributes.make_attributes()
