"""Hiding by the generator so that any passphrase brings faces back: codes are read, and then the faces of the
enciphered ones drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from incog import points
from incog.deniable import codes, payload, seeing
from incog.deniable.coding import Best, Clearest, CodeHider, claims_of, noise
from incog.deniable.drawing import placing
from incog.deniable.payload import Mode, halves
from incog.deniable.prior import BITS, Words, dequantised
from incog.deniable.seeing import Pose
from incog.methods import generated
from incog.methods.base import Claim, Rendered
from incog.methods.generated import Replace
from incog.methods.looking import coarse
from incog.perceive.embedder import SIZE
from incog.types import Crops, Floats, Key

TRIES = 8
"""Codes of a person among which the one that is stored is chosen."""

_RESIDUE = (0.7, 1.0)
"""How much of what did not show of a random code is added, least and most: with all of it a face is as much like its
code as that of a random one, and less like the person."""

_SHORTER = (1.083, 0.333)
"""By how much the sum is shortened: 0.85 at the least and 0.75 at the most, so that it is as long as random codes."""

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

    The generator draws a person's code more exactly than a random one: of that a part never shows in the face. So what
    did not show of random codes is added to the person's, and of several codes that are made so the one is taken whose
    face is about as much like its code, and which is about as likely, as a random one.
    """
    own, random = codes.load(), noise()
    person, pose = seeing.code_of(crop), halves(pose)
    (expected,), _ = own.expected(told[None])
    aims, residues = list[Floats](), list[Floats]()
    for _ in range(TRIES):
        words = random.integers(0, 2**BITS, own.size).astype(np.uint16)
        code, seen = _drawn(words, crop, pose, told, look)
        aims.append(_conspicuous(words, code, seen))
        residues.append(code - seen)
    tried, found = list[Words](), list[Floats]()
    for number, part in enumerate(np.linspace(*_RESIDUE, TRIES)):
        # Of two, the difference: what does not show has a mean, by which codes would be told.
        residue = (residues[number] - residues[number - 1]) / np.sqrt(2)
        # The sum is longer than a code should be.
        left = (_SHORTER[0] - _SHORTER[1] * part) * (person + part * residue - expected)
        tried.append(own.encode(np.asarray(expected + left, np.float32), told))
        found.append(_conspicuous(tried[-1], *_drawn(tried[-1], crop, pose, told, look)))
    aim = aims[int(random.integers(TRIES))]
    return tried[int(np.square((np.stack(found) - aim) / _SPREADS).sum(1).argmin())]


def _drawn(words: Words, crop: Crops, pose: Floats, told: Floats, look: Floats) -> tuple[Floats, Floats]:
    """Return the code of words, and that which is read of its face, (96,) each."""
    code = codes.load().decode(words, told)
    pixels = face_of(crop, pose, code, look)
    return code, seeing.code_of(replace(crop, pixels=pixels[None]))


def _conspicuous(words: Words, code: Floats, seen: Floats) -> Floats:
    """Return the cosine of the embeddings of a code and of its face, and the length of the code's numbers, (2,)."""
    one, other = generated.shipped().prior.embedding(np.stack([code, seen]))
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
    also: ClassVar[tuple[Claim, ...]] = claims_of("little")

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
