"""What both ways of hiding by codes share: the code of each person's clearest look, and its enciphering."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Final

import numpy as np

from incog.deniable import cipher
from incog.deniable.keeping import Keeping
from incog.deniable.payload import Subject
from incog.deniable.prior import Words
from incog.methods.base import Claim, Method
from incog.types import Crops, Floats, Key
from incog.vault.header import Cost
from incog.vault.stream import Passphrase

CANDIDATES: Final = 24
"""Enciphered codes among which the shown face is chosen."""


def claims_of(learns: str) -> tuple[Claim, ...]:
    """Return what holds of hiding by codes. learns: what a program learns of each person, in words."""
    return (
        Claim(
            "Whoever has the passphrase, or guesses it, sees about the face that was there.",
            holds=False,
            scope="the output with the codes that it carries",
            conditions=("other claims hold for those who do not have it and cannot guess it",),
        ),
        Claim(
            "Nothing is stored by which a passphrase could be checked: each gives some face.",
            holds=True,
            scope="each person of the output",
            conditions=(
                "nobody is hidden under the passphrase a second time, in this file or another",
                "a face that the comparison with the original filled has no code",
            ),
        ),
        Claim(
            f"A program can sort passphrases by the faces that they give: it learns {learns} of each person, and they "
            "add up.",
            holds=False,
            scope="each person of the output",
            conditions=("the passphrase itself must be beyond guessing, as with a vault",),
        ),
    )


@dataclass(frozen=True, slots=True)
class Deniable:
    """How to hide deniably. cost: of one guess at the passphrase. sidecar: beside the file although what is carried
    could be in it."""

    passphrase: Passphrase
    cost: Cost = field(default_factory=Cost)
    sidecar: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Best:
    """The clearest look at somebody. clear: how clear. code: returns who it is, (D,) uint16. told: (F,), what the code
    is told with, and look: (9,), both as they come out of half precision."""

    clear: float
    code: Callable[[], Words]
    told: Floats
    look: Floats


class Clearest(ABC):
    """Reads who the people of a file are, each by the clearest of their frames.

    One frame is read, and not the mean of many: a mean has less of what a single picture adds by chance, the prior was
    learnt from single pictures, and the right passphrase would stand out by it.
    """

    def __init__(self, subjects: Mapping[int, int]) -> None:
        """subjects: the person of each track by its first one; of those that are missing each is one."""
        self._subjects = subjects
        self.best: dict[int, Best] = {}
        self.known: set[int] = set()

    def person(self, track: int) -> int:
        """Return the person of a track."""
        return self._subjects.get(track, track)

    def look(self, crop: Crops, track: int) -> None:
        """Take in a face of a track, (a batch of one), with its look."""
        person = self.person(track)
        self.known.add(person)
        found = self.read(crop, self.best[person].clear if person in self.best else -inf)
        if found is not None:
            self.best[person] = found

    @abstractmethod
    def read(self, crop: Crops, least: float) -> Best | None:
        """Return what is to be seen in a batch of one; None where it cannot be read or is no clearer than ``least``."""


class CodeHider(Keeping):
    """Draws the people of the enciphered codes."""

    def __init__(
        self,
        base: Method,
        codes: Clearest,
        deniable: Deniable,
        keys: Mapping[Key, int],
        salt: bytes | None = None,
    ) -> None:
        """base: the method that it stands for. keys: the person of each key. salt: 16 bytes, for tests; random by
        default."""
        self._codes, self._keys = codes, keys
        self._told: dict[int, Words] = {}
        super().__init__(base, codes.person, codes.known, deniable.passphrase, deniable.cost, salt)

    def enciphered(self, row: int) -> Subject:
        """Return the person of a row under a new nonce, or random bits where there is no code."""
        person = self._people[row]
        best = self._codes.best.get(person)
        if best is None:
            return Subject.blank(self.mode)
        if person not in self._told:
            self._told[person] = best.code()
        code = self._told[person]
        nonces = [secrets.randbits(32) for _ in range(CANDIDATES)]
        words = np.stack([cipher.enciphered(code, row, nonce, self._secret) for nonce in nonces])
        # Enciphered codes say nothing of the person, so they may be chosen by themselves.
        chosen = self.chosen(words, best)
        return Subject(nonces[chosen], words[chosen], best.told, best.look)

    @abstractmethod
    def chosen(self, words: Words, best: Best) -> int:
        """Return which of enciphered codes (N, D) shall be shown, by them and by what is publicly known alone."""

    def knows(self, person: int) -> bool:
        """Whether there is a code."""
        return person in self._codes.best

    def row_of(self, key: Key) -> tuple[int, int] | None:
        """Return a key's person, and the row of that person in the file; None where there is no code."""
        person = self._keys.get(key)
        if person is None or not self.knows(person):
            return None
        return person, self._people.index(person)


def noise() -> np.random.Generator:
    """Return a generator that nobody can repeat."""
    return np.random.default_rng(np.array([secrets.randbelow(1 << 32) for _ in range(4)], np.uint32))
