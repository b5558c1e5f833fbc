"""The prior of the generator's codes, given what is publicly known of a face: codes of people become uniform bits by
it, and any bits become the code of somebody who could be seen in those surroundings.

What is known lets expect a code, linearly; what remains is made white, and a flow makes it normal. It is that of people
with some noise: what a photo adds to a person's code by chance is told by it no more, and what is drawn lies as near to
people's codes as theirs do. See ``incog.train.deniable_codes``.
"""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np

from incog import models
from incog.deniable.flow import Doubles, Flow
from incog.deniable.prior import Words, dequantised, quantised
from incog.errors import ModelError
from incog.methods.generated import NETWORK
from incog.types import Floats

NAME = "deniable-codes"
"""The prior's record."""

_FAR = 4.0
"""What is told counts as no further from its mean than this, in standard deviations."""


@dataclass(frozen=True, slots=True, eq=False)
class CodePrior:
    """mean, spread: (F,) float32 of what is told, see ``incog.deniable.seeing``. slopes: (F + 1, 96), the code that it
    lets expect, the last row for a constant. root: (96, 96), a square root of the covariance of what remains. noise:
    the share of the variance that is not a person's, but was drawn anew each time. flow: of the rest. reach: standard
    deviation of what it makes of people that it has not met. model: SHA-256 of the generator whose codes they are."""

    mean: Floats
    spread: Floats
    slopes: Floats
    root: Floats
    noise: float
    flow: Flow
    reach: float
    model: str

    @property
    def size(self) -> int:
        """The numbers of a code."""
        return len(self.root)

    def expected(self, told: Floats) -> tuple[Doubles, Doubles]:
        """Return the codes (N, 96) that are expected where ``told`` (N, F) is known, and what the flow is given."""
        near = np.clip((told - self.mean) / self.spread, -_FAR, _FAR).astype(np.float64)
        return near @ self.slopes[:-1] + self.slopes[-1], near

    def numbers(self, codes: Floats, told: Floats) -> Doubles:
        """Return the codes (N, 96) of people of whom ``told`` (N, F) is known as about standard normal numbers, (N,
        96), if there is noise in them."""
        expected, given = self.expected(told)
        white = np.linalg.solve(self.root.astype(np.float64), (codes - expected).T).T
        return self.flow.forward(np.asarray(white, np.float64), given) / self.reach

    def noisy(self, codes: Floats, told: Floats, noise: Doubles) -> Floats:
        """Return codes (N, 96) with the noise that the prior was learnt with. noise: (N, 96) standard normal."""
        expected, _ = self.expected(told)
        kept = np.sqrt(1 - self.noise) * (codes - expected)
        return np.asarray(expected + kept + np.sqrt(self.noise) * noise @ self.root.T, np.float32)

    def codes(self, numbers: Doubles, told: Floats) -> Floats:
        """Return the codes (N, 96) of standard normal numbers (N, 96): the inverse of ``numbers``."""
        expected, given = self.expected(told)
        return np.asarray(
            expected + self.flow.backward(numbers * self.reach, given) @ self.root.T, np.float32
        )

    def encode(self, code: Floats, told: Floats) -> Words:
        """Return the words (96,) uint16 of a code (96,) of somebody of whom ``told`` (F,) is known: uniform, if the
        prior is right."""
        words: Words = quantised(self.numbers(code[None], told[None]))[0]
        return words

    def decode(self, words: Words, told: Floats) -> Floats:
        """Return the code (96,) float32 that words (96,) stand for."""
        code: Floats = self.codes(dequantised(words[None]), told[None])[0]
        return code

    def dump(self) -> bytes:
        """Return the prior as NPZ, in half precision."""
        file = io.BytesIO()
        tables: dict[str, Any] = {name: getattr(self, name) for name in _TABLES} | asdict(self.flow)
        half = {name: value.astype(np.float16) for name, value in tables.items()}
        np.savez_compressed(
            file, model=np.array(self.model), noise=np.array(self.noise), reach=np.array(self.reach), **half
        )
        return file.getvalue()

    @classmethod
    def load(cls, data: bytes, model: str) -> CodePrior:
        """Return the prior of an NPZ. Raises ModelError when it is none, or of a generator of another SHA-256."""
        what = "the prior of the generator's deniable codes"
        names = [item.name for item in fields(Flow)]
        noise, reach, *parts = models.tables(data, what, "noise", "reach", *_TABLES, *names)
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            of = str(file["model"]) if "model" in file.files else ""
        if of != model:
            raise ModelError(f"{what} belongs to another generator")
        tables, layers = parts[: len(_TABLES)], parts[len(_TABLES) :]
        mean, spread, slopes, root = tables
        return cls(mean, spread, slopes, root, float(noise), Flow(*layers), float(reach), of)


_TABLES = ("mean", "spread", "slopes", "root")


@lru_cache(maxsize=1)
def load() -> CodePrior:
    """Return the prior that the package brings. Raises ModelError when it is missing or another file."""
    return CodePrior.load(models.own(NAME), models.RECORDS[NETWORK].sha256)
