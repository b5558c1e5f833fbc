"""Hiding so that any passphrase brings faces back: codes are read, and then the faces of the enciphered ones drawn."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

import numpy as np

from incog import points
from incog.appearance import model, reading
from incog.appearance.mesh import WIDTH
from incog.deniable import cipher, payload, prior, traits
from incog.deniable.drawing import painted, placing
from incog.deniable.keeping import Keeping
from incog.deniable.payload import Mode, Subject, halves
from incog.deniable.traits import Person, Traits
from incog.errors import UsageError, must_be
from incog.methods.appearance import AppearanceReplace
from incog.methods.base import Claim, Method, Rendered
from incog.methods.transformer import Transformer
from incog.types import Crops, Floats, Key
from incog.vault.header import Cost
from incog.vault.stream import Passphrase

METHOD: Final = AppearanceReplace.name
"""The method that is taken where none is named."""


@dataclass(frozen=True, slots=True)
class Deniable:
    """How to hide deniably. cost: of one guess at the passphrase. sidecar: beside the file although what is carried
    could be in it."""

    passphrase: Passphrase
    cost: Cost = field(default_factory=Cost)
    sidecar: bool = False


def check_method(method: Method) -> AppearanceReplace | Transformer:
    """Return the method, with one face or key for each person, when its faces can be brought back deniably. Raises
    UsageError when they cannot."""
    if isinstance(method, Transformer):
        return Transformer(identity="stable")
    if not isinstance(method, AppearanceReplace):
        known = f"{METHOD} or {Transformer.name} with deniable recovery"
        raise must_be("the method", known, method.name)
    stable = AppearanceReplace(identity="stable")
    if method not in (stable, AppearanceReplace()):
        raise UsageError(
            "the parameters of a method must be its defaults for deniable recovery, since all faces come from one prior"
        )
    return stable


@dataclass(slots=True)
class Best:
    """The clearest look at somebody. clear: how clear, see ``clearness``. person: who. told: (F,). look: (9,)."""

    clear: float
    person: Person
    told: Floats
    look: Floats


CLAIMS: Final = (
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
        "A program can sort passphrases by the faces that they give: it learns two or three bits and more of each "
        "person, and they add up.",
        holds=False,
        scope="each person of the output",
        conditions=("the passphrase itself must be beyond guessing, as with a vault",),
    ),
)

EXAGGERATED = 1.5
"""How much further from what is expected the shown face lies than the one of its code, so that neither the original
nor what a passphrase brings is taken for it."""


CANDIDATES = 24
"""Enciphered codes among which the shown face with the fewest oddities is chosen."""


class Codes:
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
        own = model.load()
        seen = reading.read(own, crop.pixels[0], crop.dense[0])
        if seen is None or crop.looks is None or not np.isfinite(crop.looks[0]).all():
            return
        clear = clearness(own, seen, crop)
        if person in self.best and self.best[person].clear >= clear:
            return
        look = halves(crop.looks[0])
        own_traits = Traits.of(halves(traits.read(own, seen).numbers()), seen.zoom)
        outline = traits.outline(own, seen)
        noise = np.array([secrets.randbelow(1 << 32) for _ in range(4)], np.uint32)
        noisy = outline + traits.LOOSE * np.random.default_rng(noise).normal(size=outline.shape)
        around = traits.around(own, seen, crop.pixels[0], crop.masks[0])
        face = traits.coarse(own, crop.pixels[0], crop.dense[0])
        told = traits.told(own_traits, look, noisy.astype(np.float32), around)
        self.best[person] = Best(clear, traits.person_of(own, seen, face, look), halves(told), look)


def clearness(own: model.Appearance, seen: reading.Reading, crop: Crops) -> float:
    """Return how well a face can be read: by its size up to the model's, how far it is turned, and how even its light
    is."""
    across = float(np.ptp(crop.dense[0][points.OUTLINE], axis=0)[0]) * float(
        np.hypot(*crop.matrices[0][:, 0])
    )
    turned = abs(own.yaw(own.shape_of(seen.dense)))
    uneven = max(own.light.contrast(seen.light), 1.0)
    return float(min(across / WIDTH, 1) * (1 - turned / 60) / uneven**0.5)


class Hider(Keeping):
    """Draws the people of the enciphered codes."""

    name: ClassVar[str] = AppearanceReplace.name
    family: ClassVar[str] = AppearanceReplace.family
    summary: ClassVar[str] = AppearanceReplace.summary
    hides_from: ClassVar[str] = AppearanceReplace.hides_from
    weak: ClassVar[str] = AppearanceReplace.weak
    needs: ClassVar[tuple[str, ...]] = (*AppearanceReplace.needs, prior.NAME)
    mode: ClassVar[Mode] = payload.CODES
    also: ClassVar[tuple[Claim, ...]] = CLAIMS

    def __init__(
        self,
        base: Method,
        codes: Codes,
        deniable: Deniable,
        keys: Mapping[Key, int],
        salt: bytes | None = None,
    ) -> None:
        """base: the method that it stands for. keys: the person of each key. salt: 16 bytes, for tests; random by
        default."""
        self._codes, self._keys = codes, keys
        super().__init__(base, codes.person, codes.known, deniable.passphrase, deniable.cost, salt)

    def enciphered(self, row: int) -> Subject:
        """Return the person of a row under a new nonce, or random bits where there is no code."""
        best = self._codes.best.get(self._people[row])
        if best is None:
            return Subject.blank(self.mode)
        own = prior.load()
        code = own.encode(best.person, best.told)
        nonces = [secrets.randbits(32) for _ in range(CANDIDATES)]
        words = np.stack([cipher.enciphered(code, row, nonce, self._secret) for nonce in nonces])
        # Enciphered codes say nothing of the person, so they may be chosen by themselves.
        chosen = int(own.oddity(words).argmin())
        return Subject(nonces[chosen], words[chosen], best.told, best.look)

    def knows(self, person: int) -> bool:
        """Whether there is a code."""
        return person in self._codes.best

    def __call__(self, crops: Crops, keys: Sequence[Key]) -> Rendered:
        """Return new pixels for the crops, as ``Method`` says; whoever has no code is unfit."""
        own = model.load()
        pixels, unfit = crops.pixels.copy(), np.zeros(len(crops), np.bool_)
        for row, key in enumerate(keys):
            person = self._keys.get(key)
            number = self._people.index(person) if person in self._codes.best else None
            seen = reading.read(own, crops.pixels[row], crops.dense[row])
            if person is None or number is None or seen is None:
                unfit[row] = True
                continue
            own_traits = Traits.of(halves(traits.read(own, seen).numbers()), seen.zoom)
            here = placing(seen.matrix, crops.matrices[row])
            self._traits[person, int(crops.frames[row])] = here, own_traits
            subject = self._subjects[number]
            face = traits.drawn(own, own_traits, shown(subject), subject.look)
            pixels[row] = painted(crops.pixels[row], crops.masks[row], seen.matrix, own_traits, face)
        return Rendered(pixels, unfit)


def shown(subject: Subject) -> Person:
    """Return whom a file shows in a subject's place: whom the enciphered code stands for, exaggerated."""
    return prior.load().decode(subject.words, subject.told, reach=EXAGGERATED)
