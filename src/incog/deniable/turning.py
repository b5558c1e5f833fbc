"""Hiding by the face identity transformer, so that any passphrase turns the faces on, and the right one back to those
that were there."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import numpy as np

from incog.deniable import payload
from incog.deniable.coding import Deniable
from incog.deniable.drawing import placing
from incog.deniable.keeping import Keeping
from incog.deniable.payload import Mode, Subject
from incog.keys import Secret, Stream, derive
from incog.methods import transformer
from incog.methods.base import Claim, Method, Rendered
from incog.methods.transformer import Transformer
from incog.types import Crops, Floats, Key

PURPOSE: Final = "deniable keys"


def signs(row: int, nonce: int, secret: Secret) -> Floats:
    """Return a person's key, (32,) float32 of -1 and 1. row: of the file. nonce: 32 bits that need not be secret."""
    return transformer.signs_of(Stream(derive(secret, PURPOSE), row, nonce))


class KeyHider(Keeping):
    """Turns faces by the keys that a passphrase gives."""

    name: ClassVar[str] = Transformer.name
    family: ClassVar[str] = Transformer.family
    summary: ClassVar[str] = Transformer.summary
    hides_from: ClassVar[str] = Transformer.hides_from
    weak: ClassVar[str] = Transformer.weak
    needs: ClassVar[tuple[str, ...]] = Transformer.needs
    mode: ClassVar[Mode] = payload.KEYS
    also: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "Whoever has the passphrase, or guesses it, sees about the face that was there; whoever tries some of the "
            "2^32 keys sees it among others, whatever the passphrase is.",
            holds=False,
            scope="the output with the places and nonces that it carries",
            conditions=(
                "one random key in sixteen or so does it, in one run of the network, without Argon2id",
            ),
        ),
        Claim(
            "Nothing is stored by which a passphrase could be checked: each gives some face.",
            holds=True,
            scope="each person of the output",
            conditions=("nobody is hidden under the passphrase a second time, in this file or another",),
        ),
        Claim(
            "A program can sort keys by the faces that they give: the right one comes first, or nearly.",
            holds=False,
            scope="each person of the output",
            conditions=("the passphrase must be beyond guessing, and the 2^32 keys are not",),
        ),
    )

    def __init__(
        self,
        base: Method,
        of: Mapping[int, int],
        deniable: Deniable,
        keys: Mapping[Key, int],
        salt: bytes | None = None,
    ) -> None:
        """base: the method that it stands for. of: the person of each track. keys: the person of each key. salt: 16
        bytes, for tests; random by default."""
        self._keys = keys
        super().__init__(base, of.__getitem__, set(of.values()), deniable.passphrase, deniable.cost, salt)

    def enciphered(self, row: int) -> Subject:
        """Return a person with a new nonce."""
        return Subject(secrets.randbits(32))

    def knows(self, person: int) -> bool:
        """Everybody can be turned by another key."""
        return person in self._people

    def __call__(self, crops: Crops, keys: Sequence[Key]) -> Rendered:
        """Return new pixels for the crops, as ``Method`` says."""
        pixels, unfit = crops.pixels.copy(), np.zeros(len(crops), np.bool_)
        for row, (crop, key) in enumerate(zip(crops, keys, strict=True)):
            matrix = transformer.place_of(crop)
            if matrix is None:
                unfit[row] = True
                continue
            person = self._keys[key]
            number = self._people.index(person)
            here = placing(matrix, crop.matrices[0])
            self._traits[person, int(crop.frames[0])] = here, None
            own = signs(number, self._subjects[number].nonce, self._secret)
            pixels[row] = transformer.turned(crop.pixels[0], crop.masks[0], matrix, own)
        return Rendered(pixels, unfit)
