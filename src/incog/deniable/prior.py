"""The prior of identity codes, given what is publicly known of a face: codes of people become uniform bits by it, and
any bits become a code that somebody could have whose face is seen under that light, in those surroundings.

A person's shape and texture are predicted linearly from what is told; what remains is turned to its principal axes,
scaled by how much codes vary under such a light and sharpness, and made Gaussian.
"""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from incog import models
from incog.appearance.model import NAME as APPEARANCE
from incog.deniable import traits
from incog.deniable.gaussian import Gaussian
from incog.deniable.traits import Person
from incog.errors import ModelError
from incog.types import Floats

NAME = "deniable"
"""The prior's record."""

BITS = 16
"""Of each number of a code."""

Doubles = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint16]

_FAR = 4.0
"""What is told counts as no further from its mean than this, in standard deviations."""


@dataclass(frozen=True, slots=True, eq=False)
class Prior:
    """mean, spread: (F,) float32 of what is told. slopes: (F + 1, I + T), the person's shape and texture that it lets
    expect, its last row for a constant. axes: (D, I + T), from the numbers of a code to what of the person remains;
    reads: (I + T, D), back: axes @ reads = 1. scales: (P + 1, D), the logarithm of their variance given the plain part
    of what is told. gaussian: of the numbers. shapes: I. model: SHA-256 of the appearance model that they belong to.
    """

    mean: Floats
    spread: Floats
    slopes: Floats
    axes: Floats
    reads: Floats
    scales: Floats
    gaussian: Gaussian
    shapes: int
    model: str

    @property
    def size(self) -> int:
        """The numbers D of a code."""
        return len(self.axes)

    def numbers(self, values: Floats, told: Floats) -> Doubles:
        """Return the codes (N, D), about standard normal, of persons ``values`` (N, I + T) of whom ``told`` (N, F) is
        known."""
        given, part = self._given(told)
        left = (values - given @ self.slopes) @ self.reads.astype(np.float64)
        return self.gaussian.forward(left / np.exp(part @ self.scales / 2))

    def values(self, numbers: Doubles, told: Floats, *, reach: float = 1.0) -> Floats:
        """Return the persons (N, I + T) of codes (N, D): the inverse of ``numbers`` but for what no code holds. reach:
        how far from what is expected they are drawn, of how far the codes say."""
        given, part = self._given(told)
        left = self.gaussian.backward(numbers) * np.exp(part @ self.scales / 2)
        return np.asarray(given @ self.slopes + reach * left @ self.axes, np.float32)

    def _given(self, told: Floats) -> tuple[Doubles, Doubles]:
        near = np.clip((told - self.mean) / self.spread, -_FAR, _FAR).astype(np.float64)
        one = np.ones((len(told), 1))
        return np.concatenate([near, one], 1), np.concatenate([near[:, traits.plain()], one], 1)

    def encode(self, person: Person, told: Floats) -> Words:
        """Return the code (D,) uint16 of a person of whom ``told`` (F,) is known: uniform, if the prior is right."""
        textures = self.slopes.shape[1] - len(person.shape)
        row = np.concatenate([person.shape, person.texture[-textures:]])
        words: Words = quantised(self.numbers(row[None], told[None]))[0]
        return words

    def decode(self, code: Words, told: Floats, *, reach: float = 1.0) -> Person:
        """Return whom a code (D,) stands for. reach: see ``values``."""
        row = self.values(dequantised(code[None]), told[None], reach=reach)[0]
        return Person(row[: self.shapes], row[self.shapes :])

    def oddity(self, codes: Words) -> Doubles:
        """Return how much each person of codes (N, D) owes to a few rare things, such as shadows or what glasses leave:
        the kurtosis of the components, (N,)."""
        parts = self.gaussian.backward(dequantised(codes)) @ self.gaussian.turns[0].astype(np.float64)
        return np.asarray((parts**4).mean(1) / np.square(parts).mean(1) ** 2, np.float64)

    def dump(self) -> bytes:
        """Return the prior as NPZ."""
        file = io.BytesIO()
        tables: dict[str, Any] = {item: getattr(self, item) for item in _TABLES} | asdict(self.gaussian)
        np.savez_compressed(file, model=np.array(self.model), shapes=np.array(self.shapes), **tables)
        return file.getvalue()

    @classmethod
    def load(cls, data: bytes, model: str) -> Prior:
        """Return the prior of an NPZ. Raises ModelError when it is none, or of a model of another SHA-256."""
        names = [item.name for item in fields(Gaussian)]
        parts = models.tables(data, "the prior of deniable codes", *_TABLES, *names)
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            of, shapes = (str(file[name]) if name in file.files else "" for name in ("model", "shapes"))
        if of != model or not shapes.isdigit():
            raise ModelError("the prior of deniable codes belongs to another appearance model")
        mean, spread, slopes, axes, reads, scales, *layers = parts
        return cls(mean, spread, slopes, axes, reads, scales, Gaussian(*layers), int(shapes), of)


_TABLES = ("mean", "spread", "slopes", "axes", "reads", "scales")


@lru_cache(maxsize=1)
def load() -> Prior:
    """Return the prior that the package brings. Raises ModelError when it is missing or another file."""
    return Prior.load(models.own(NAME), models.RECORDS[APPEARANCE].sha256)


def quantised(numbers: Doubles) -> Words:
    """Return standard normal numbers as uniform words, uint16."""
    return np.clip(special.ndtr(numbers) * 2.0**BITS, 0, 2**BITS - 1).astype(np.uint16)


def dequantised(words: Words) -> Doubles:
    """Return the standard normal numbers that words stand for: the middle of each one's share."""
    return np.asarray(special.ndtri((words.astype(np.float64) + 0.5) * 2.0**-BITS), np.float64)
