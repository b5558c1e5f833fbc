"""Hiding by the appearance model so that any passphrase brings faces back: codes are read, and then the faces of the
enciphered ones drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from incog import points
from incog.appearance import model, reading
from incog.appearance.mesh import WIDTH
from incog.deniable import payload, prior, traits
from incog.deniable.coding import Best, Clearest, CodeHider, claims_of, noise
from incog.deniable.drawing import painted, placing
from incog.deniable.payload import Mode, Subject, halves
from incog.deniable.prior import Words
from incog.deniable.traits import Person, Traits
from incog.methods.appearance import AppearanceReplace
from incog.methods.base import Claim, Rendered
from incog.types import Crops, Key

EXAGGERATED = 1.5
"""How much further from what is expected the shown face lies than the one of its code, so that neither the original
nor what a passphrase brings is taken for it."""


class Codes(Clearest):
    """Reads the appearance model's codes."""

    def read(self, crop: Crops, least: float) -> Best | None:
        """See ``Clearest``."""
        own = model.load()
        seen = reading.read(own, crop.pixels[0], crop.dense[0])
        if seen is None or crop.looks is None or not np.isfinite(crop.looks[0]).all():
            return None
        clear = clearness(own, seen, crop)
        if clear <= least:
            return None
        look = halves(crop.looks[0])
        own_traits = Traits.of(halves(traits.read(own, seen).numbers()), seen.zoom)
        outline = traits.outline(own, seen)
        noisy = outline + traits.LOOSE * noise().normal(size=outline.shape)
        around = traits.around(own, seen, crop.pixels[0], crop.masks[0])
        face = traits.coarse(own, crop.pixels[0], crop.dense[0])
        told = halves(traits.told(own_traits, look, noisy.astype(np.float32), around))
        person = traits.person_of(own, seen, face, look)
        return Best(clear, lambda: prior.load().encode(person, told), told, look)


def clearness(own: model.Appearance, seen: reading.Reading, crop: Crops) -> float:
    """Return how well a face can be read: by its size up to the model's, how far it is turned, and how even its light
    is."""
    across = float(np.ptp(crop.dense[0][points.OUTLINE], axis=0)[0]) * float(
        np.hypot(*crop.matrices[0][:, 0])
    )
    turned = abs(own.yaw(own.shape_of(seen.dense)))
    uneven = max(own.light.contrast(seen.light), 1.0)
    return float(min(across / WIDTH, 1) * (1 - turned / 60) / uneven**0.5)


class Hider(CodeHider):
    """Draws the people of the enciphered codes by the appearance model."""

    name: ClassVar[str] = AppearanceReplace.name
    family: ClassVar[str] = AppearanceReplace.family
    summary: ClassVar[str] = AppearanceReplace.summary
    hides_from: ClassVar[str] = AppearanceReplace.hides_from
    weak: ClassVar[str] = AppearanceReplace.weak
    needs: ClassVar[tuple[str, ...]] = (*AppearanceReplace.needs, prior.NAME)
    mode: ClassVar[Mode] = payload.CODES
    also: ClassVar[tuple[Claim, ...]] = claims_of("two or three bits and more")

    def chosen(self, words: Words, best: Best) -> int:
        """Return which of enciphered codes shows the fewest oddities."""
        return int(prior.load().oddity(words).argmin())

    def __call__(self, crops: Crops, keys: Sequence[Key]) -> Rendered:
        """Return new pixels for the crops, as ``Method`` says; whoever has no code is unfit."""
        own = model.load()
        pixels, unfit = crops.pixels.copy(), np.zeros(len(crops), np.bool_)
        for row, key in enumerate(keys):
            known = self.row_of(key)
            seen = reading.read(own, crops.pixels[row], crops.dense[row])
            if known is None or seen is None:
                unfit[row] = True
                continue
            person, number = known
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
