"""What can be done to the code of a face: the targets of Nousi, Papadopoulos, Tefas, Pitas (2019), in code space.

They fine-tune one encoder for each set of targets. Here the encoder stays and its codes are moved at run time, by
tables of means that ship beside it: no code of a single person is among them.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from incog.errors import ModelError
from incog.types import Floats

Variant = Literal["reconstruct", "cluster-mean", "attributes", "nearest", "repulsive"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)

BANDS = (13.0, 40.0, 60.0)
"""Ages in years at which another band of age begins."""

ANY = -1
"""In a kind: whatever the attribute is."""

Kinds = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """Tables over codes of D numbers. Each row of ``clusters``, ``classes`` and ``donors`` is a mean over the training
    faces of at least ``least`` people.

    clusters: (C, D) by likeness of the codes. classes: (M, D) by attributes, kinds: (M, 4) int64 which, see
    ``kind_of``, ``ANY`` where they do not matter; the last row is all faces. donors: (N, D) clusters within a sex and
    band of age, donor_kinds: (N, 4). read: (P, D), write: (D, P): from a code to its pose and back, read @ write = 1.
    directions: (R, D) orthogonal, in which faces of a class differ, as long as their standard deviation. encoder:
    SHA-256 of the network whose codes they are. reach: a good part of the mean length of a face's code: the mean of
    many codes is much shorter than that of any face, and what is drawn from it no face, so codes that were led are
    stretched to it.
    """

    clusters: Floats
    classes: Floats
    kinds: Kinds
    donors: Floats
    donor_kinds: Kinds
    read: Floats
    write: Floats
    directions: Floats
    least: int
    encoder: str
    reach: float

    def dump(self) -> bytes:
        """Return the tables as NPZ, in half precision."""
        file = io.BytesIO()
        np.savez_compressed(
            file,
            **{name: getattr(self, name).astype(np.float16) for name in _FLOATS},
            **{name: getattr(self, name).astype(np.int8) for name in _KINDS},
            least=np.int64(self.least),
            encoder=np.array(self.encoder),
            reach=np.float32(self.reach),
        )
        return file.getvalue()

    @classmethod
    def load(cls, data: bytes, encoder: str) -> Codes:
        """Return the tables of an NPZ. Raises ModelError when it is none, or of an encoder of another SHA-256."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                found = cls(
                    **{name: file[name].astype(np.float32) for name in _FLOATS},
                    **{name: file[name].astype(np.int64) for name in _KINDS},
                    least=int(file["least"]),
                    encoder=str(file["encoder"]),
                    reach=float(file["reach"]),
                )
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ModelError(f"the code tables cannot be read: {type(error).__name__}") from error
        if found.encoder != encoder:
            raise ModelError("the code tables belong to another network")
        return found

    def goal(self, code: Floats, variant: Variant, kind: Kinds, draws: Floats) -> Floats:
        """Return where a code (D,) is led, (D,). kind: (4,) of the face. draws: (R,) standard normal.

        cluster-mean: the mean of the nearest cluster. attributes: the mean of the class. nearest: the nearest donor of
        the same sex and band of age. repulsive: from the mean of the class as far as drawn, and never to the face's own
        side of it.
        """
        if variant == "reconstruct":
            return code
        if variant == "cluster-mean":
            return row(self.clusters, nearest(code, self.clusters))
        if variant == "nearest":
            rows = np.flatnonzero((self.donor_kinds[:, :2] == kind[:2]).all(1))
            donors = self.donors[rows] if len(rows) else self.donors
            return row(donors, nearest(code, donors))
        mean = row(self.classes, self.row_of(kind))
        if variant == "attributes":
            return mean
        # What is this face's own, in standard deviations along each direction; what is drawn never points its way.
        own = self.directions @ (code - mean) / np.maximum(np.square(self.directions).sum(1), 1e-9)
        side = float(draws @ own) / max(float(own @ own), 1e-9)
        turned = draws - (side + abs(side)) * own
        return np.asarray(mean + turned @ self.directions, np.float32)

    def lead(
        self, code: Floats, variant: Variant, alpha: float, kind: Kinds, draws: Floats, *, pose: bool
    ) -> Floats:
        """Return the code (D,) led to its goal by a share ``alpha``, (1 - alpha) z + alpha t, at ``reach`` or longer.

        pose: whether the result then gets the pose of the code itself. A code that is not led comes back as it is.
        """
        if variant == "reconstruct" or alpha == 0:
            return code
        led = (1 - alpha) * code + alpha * self.goal(code, variant, kind, draws)
        led = led * max(1.0, self.reach / max(float(np.linalg.norm(led)), 1e-6))
        if pose:
            led = led + self.write @ (self.read @ (code - led))
        return np.asarray(led, np.float32)

    def row_of(self, kind: Kinds) -> int:
        """Return the row of the most exact class that a kind (4,) belongs to: the first that fits."""
        fits = ((self.kinds == kind) | (self.kinds == ANY)).all(1)
        return int(np.flatnonzero(fits)[0])


_FLOATS = ("clusters", "classes", "donors", "read", "write", "directions")
_KINDS = ("kinds", "donor_kinds")


def kind_of(age: float, female: float, ethnicity: Floats, happiness: float) -> Kinds:
    """Return the kind of a face, (4,) int64: female 0 or 1, band of age 0..3, ethnicity 0..4 as in
    ``incog.perceive.attributes.CLASSES``, happy 0 or 1.

    age: years. female, happiness: probabilities. ethnicity: (5,) probabilities.
    """
    band = int(np.searchsorted(BANDS, age, side="right"))
    return np.array([female > 0.5, band, int(np.argmax(ethnicity)), happiness > 0.5], np.int64)


def nearest(code: Floats, table: Floats) -> int:
    """Return the row of a table (N, D) nearest to a code (D,), by Euclidean distance."""
    return int(np.square(table - code).sum(1).argmin())


def row(table: Floats, place: int) -> Floats:
    """Return one row of a table (N, D), (D,) float32."""
    return np.asarray(table[place], np.float32)
