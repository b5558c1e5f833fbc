"""Hiding by the generator so that any passphrase brings faces back: codes are read, and then the faces of the
enciphered ones drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from incog import points
from incog.deniable import codes, payload, seeing
from incog.deniable.coding import Best, Clearest, CodeHider, noise
from incog.deniable.drawing import placing
from incog.deniable.payload import Mode, halves
from incog.deniable.prior import BITS, Words, dequantised
from incog.deniable.seeing import Pose
from incog.methods import generated
from incog.methods.base import Rendered
from incog.methods.generated import Replace
from incog.methods.looking import coarse
from incog.perceive.embedder import SIZE
from incog.types import Crops, Floats, Key

TRIES = 16
"""Codes of a person among which the one that is stored is chosen."""

MOST_NOISE = 0.35
"""Largest share of the variance of a person's code that is noise: more costs too much of the likeness."""

_SPREADS = np.array([0.08, 0.7], np.float32)
"""Standard deviations of how conspicuous random codes are, see ``_conspicuous``."""


class Sights(Clearest):
    """Reads the generator's codes."""

    def read(self, crop: Crops, least: float) -> Best | None:
        """See ``Clearest``."""
        if crop.looks is None or not np.isfinite(crop.looks[0]).all():
            return None
        pose = seeing.pose_of(crop)
        clear = 0.0 if pose is None else clearness(crop)
        if pose is None or clear <= least:
            return None
        look = halves(coarse(crop.looks[0]))
        told = halves(seeing.told_of(pose, crop.looks[0]))
        return Best(clear, lambda: inconspicuous(crop, pose, told, look), told, look)


def inconspicuous(crop: Crops, pose: Floats, told: Floats, look: Floats) -> Words:
    """Return words of whoever is to be seen in a batch of one, (96,), that stand out as little as random ones do.

    A face that was there comes out of the generator more like its code than one that was not, and codes of people are
    further from the middle than drawn ones. So of several codes of the person, which differ by their noise, the one is
    taken that is most like a random code in both.
    """
    own, code, random = codes.load(), seeing.code_of(crop), noise()
    aim = _conspicuous(random.integers(0, 2**BITS, own.size).astype(np.uint16), crop, pose, told, look)
    shares = np.linspace(own.noise, max(own.noise, MOST_NOISE), TRIES)
    tried = [own.encode(code, told, random.normal(size=own.size), share=share) for share in shares]
    found = np.stack([_conspicuous(words, crop, pose, told, look) for words in tried])
    return tried[int(np.square((found - aim) / _SPREADS).sum(1).argmin())]


def _conspicuous(words: Words, crop: Crops, pose: Floats, told: Floats, look: Floats) -> Floats:
    """Return of words, (96,), the cosine of the embeddings of the code and of its face, and the code's length."""
    code = codes.load().decode(words, told)
    pixels = face_of(crop, halves(pose), code, look)
    both = np.stack([seeing.code_of(replace(crop, pixels=pixels[None])), code])
    one, other = generated.shipped().prior.embedding(both)
    return np.array([one @ other, np.linalg.norm(dequantised(words))], np.float32)


def face_of(crop: Crops, pose: Floats, code: Floats, look: Floats) -> Floats:
    """Return the pixels, (S, S, 3), of a batch of one with the face of a code, (96,). pose: (R,). look: (9,). The crop
    must be one that the generator can draw in."""
    matrix = generated.placed(crop.dense[0])
    assert matrix is not None
    dense, mask = generated.shipped().pose.shape_of(pose), crop.masks[0]
    new = generated.joined(crop.pixels[0], mask, matrix, dense, code, look, float(crop.faces[0]))
    return np.where((mask > 0)[..., None], np.clip(new, 0, 1), crop.pixels[0]).astype(np.float32)


def clearness(crop: Crops) -> float:
    """Return how well a face can be read, in a batch of one: by its size up to the embedder's, and how far it is
    turned."""
    dense, zoom = crop.dense[0], float(np.hypot(*crop.matrices[0][:, 0]))
    five = points.five(dense)
    across = float(np.ptp(dense[points.OUTLINE], axis=0)[0])
    turned = abs(float(five[2, 0] - five[:2, 0].mean())) / max(across, 1e-6)
    return float(min(across * zoom / SIZE, 1) / (1 + 4 * turned))


class FaceHider(CodeHider):
    """Draws the people of the enciphered codes by the generator."""

    name: ClassVar[str] = Replace.name
    family: ClassVar[str] = Replace.family
    summary: ClassVar[str] = Replace.summary
    hides_from: ClassVar[str] = Replace.hides_from
    weak: ClassVar[str] = Replace.weak
    needs: ClassVar[tuple[str, ...]] = (*Replace.needs, codes.NAME)
    mode: ClassVar[Mode] = payload.DRAWN

    def chosen(self, words: Words, best: Best) -> int:
        """Return which of enciphered codes is the furthest from what is expected: nobody else is taken for it."""
        own = codes.load()
        expected, _ = own.expected(best.told[None])
        found = np.stack([own.decode(one, best.told) for one in words])
        return int(np.square(found - expected).sum(1).argmax())

    def __call__(self, crops: Crops, keys: Sequence[Key]) -> Rendered:
        """Return new pixels for the crops, as ``Method`` says; whoever has no code is unfit."""
        pixels, unfit = crops.pixels.copy(), np.zeros(len(crops), np.bool_)
        for row, (crop, key) in enumerate(zip(crops, keys, strict=True)):
            known, matrix, pose = self.row_of(key), generated.placed(crop.dense[0]), seeing.pose_of(crop)
            if known is None or matrix is None or pose is None:
                unfit[row] = True
                continue
            person, number = known
            own_pose, subject = Pose(halves(pose)), self._subjects[number]
            self._traits[person, int(crop.frames[0])] = placing(matrix, crop.matrices[0]), own_pose
            code = codes.load().decode(subject.words, subject.told)
            pixels[row] = face_of(crop, own_pose.values, code, subject.look)
        return Rendered(pixels, unfit)
