"""What methods on sets of people share: they are fitted to a set, and give each group of at least k people one face."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, Self

import numpy as np

from incog.errors import InputError, UsageError
from incog.methods import grouping
from incog.methods.base import Rendered
from incog.methods.parameters import Parameter, check
from incog.types import Array, Crops, Floats, Key

CONDITIONS = (
    "people are told apart rightly: all pictures of one person are given as theirs, and none as another's",
    "all pictures of the set are released together, once: what two runs release can be intersected",
    "who is in the set is known or does not matter: the set is closed",
    "nothing is promised about attributes: where all of a group share one, such as gender, the face may show it",
)
"""What k-anonymity of faces rests on."""


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
class OfSets(SetOfFaces, ABC):
    """Base of methods on sets. A subclass says how a face is reduced, how far two are apart, and how a mean is drawn.

    An instance is fitted to a set of people by ``fit``; the one that comes back knows these faces and no others, which
    are unfit. side: of the template in pixels.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    granularity: ClassVar[Literal["image", "track", "set"]] = "set"
    reversible: ClassVar[bool] = False
    keyed: ClassVar[bool] = False
    side: ClassVar[int] = 128

    k: Annotated[int, Parameter("least number of people who get the same face", 2, 1000)] = 5

    def __post_init__(self) -> None:
        check(self)

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

    # What a method says.

    @abstractmethod
    def reduced(self, crop: Crops) -> Array | None:
        """Return what is kept of a crop (a batch of one) to make means of, any shape; None when it cannot be used."""

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

    @abstractmethod
    def face(self, mean: Floats) -> Floats:
        """Return the face of a mean in the template, (side, side, 3)."""

    @abstractmethod
    def draw(self, pixels: Floats, crop: Crops, mean: Floats, face: Floats) -> None:
        """Write the face of a group into the pixels of a crop (a batch of one), where its mask is, in place."""


def digest(crop: Crops) -> bytes:
    """Return what tells a crop (a batch of one) from all others: of its pixels and points."""
    mark = hashlib.blake2b(crop.pixels.tobytes(), digest_size=16)
    mark.update(crop.points.tobytes())
    return mark.digest()
