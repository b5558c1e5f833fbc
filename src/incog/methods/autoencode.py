"""Family ``autoencoder``: a face as a code, led elsewhere, and drawn again (Nousi, Papadopoulos, Tefas, Pitas 2019)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from incog import alignment, models
from incog.code_tables import Codes, Kinds, Variant, kind_of
from incog.data.faces import template
from incog.keys import Stream
from incog.methods.aligned import carried, laid, taken
from incog.methods.base import Claim, Rendered
from incog.methods.parameters import Parameter, check
from incog.methods.per_crop import CROP_CONDITION, REST_CONDITION, rest_of, scope_of
from incog.methods.settle import settled
from incog.perceive import attributes, embedder
from incog.perceive.attributes import OnnxAttributes
from incog.runtime import session
from incog.types import Crops, Floats, Key

ENCODER, DECODER, CODES = "autoencoder", "autoencoder-decoder", "autoencoder-codes"
"""The records of the networks and of the tables."""

_SOFT = "the face is drawn with 128 x 128 pixels from 256 numbers: it comes out soft"
_TONE = "the mean colour of the skin (3 numbers) and the slope of the light (2) come through, as with fill"
_LEARNT = (
    "the people are of the training data, not of the picture; where it does not name them, each picture there counts "
    "as a person"
)


class Coder:
    """The encoder, the decoder and their tables, run by ONNX Runtime."""

    def __init__(self, encoder: bytes, decoder: bytes, tables: bytes) -> None:
        """encoder, decoder: ONNX files. tables: the NPZ that belongs to them. Raises ModelError when it does not."""
        self._encoder, self._decoder = session(encoder), session(decoder)
        self.codes = Codes.load(tables, hashlib.sha256(encoder).hexdigest())
        self.side = int(self._encoder.get_inputs()[0].shape[2])

    def encode(self, face: Floats) -> Floats:
        """Return the code (D,) of a face (side, side, 3) float32 in 0..1 in the template ``outline``."""
        return self._run(self._encoder, (face * 255).transpose(2, 0, 1))

    def decode(self, code: Floats) -> Floats:
        """Return the face (side, side, 3) float32 in 0..1 of a code (D,)."""
        return np.ascontiguousarray(self._run(self._decoder, code).transpose(1, 2, 0))

    @staticmethod
    def _run(session: Any, item: Floats) -> Floats:
        given = {session.get_inputs()[0].name: np.ascontiguousarray(item[None], np.float32)}
        return np.asarray(session.run(None, given)[0][0], np.float32)


@lru_cache(maxsize=1)
def shipped() -> Coder:
    """Return the coder that the package brings. Raises ModelError when one of its files is missing or another."""
    return Coder(*(models.own(name) for name in (ENCODER, DECODER, CODES)))


@lru_cache(maxsize=1)
def _look() -> OnnxAttributes:
    return attributes.make_attributes()


@dataclass(frozen=True)
class Autoencode:
    """The code z of the face is led to z' = (1 - alpha) z + alpha t, and z' is drawn. Targets t, by variant:

    reconstruct: z. cluster-mean: the mean of the nearest cluster of faces. attributes: the mean of the faces of the
    same sex, band of age, ethnicity and smile. nearest: the nearest other person of that sex and band, who is a mean
    over people too. repulsive: away from the mean of the attributes by what the key draws, never to the face's own
    side. The paper fine-tunes an encoder to each of these; here tables lead the codes of one. Then colour and light of
    the skin are matched, and the seam.
    """

    name: ClassVar[str] = "autoencode"
    family: ClassVar[str] = "autoencoder"
    summary: ClassVar[str] = "the face's code led to a mean of others, and drawn again"
    hides_from: ClassVar[str] = "recognisers at alpha 1; little below, and nothing with variant reconstruct"
    weak: ClassVar[str] = (
        "Only at alpha 1 and with a mean of others as the target does the face's own code not come through. Below, it "
        "is mixed with one of a few known codes, which a retrained recogniser or a decoder learns to undo."
    )
    needs: ClassVar[tuple[str, ...]] = (ENCODER, DECODER, CODES, attributes.NAME)
    granularity: ClassVar[Literal["image", "track", "set"]] = "image"
    reversible: ClassVar[bool] = False
    keyed: ClassVar[bool] = False

    variant: Annotated[Variant, Parameter("where the code is led")] = "attributes"
    alpha: Annotated[float, Parameter("how far it is led there", 0, 1)] = 1.0
    pose: Annotated[int, Parameter("1: the head stays turned as it was; 0: as the target's is", 0, 1)] = 1

    def __post_init__(self) -> None:
        check(self)
        # Of the variants, one draws.
        object.__setattr__(self, "keyed", self.variant == "repulsive" and self.alpha > 0)

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        scope = scope_of(frames)
        conditions = (_TONE, _SOFT, CROP_CONDITION, REST_CONDITION)
        if self.variant == "reconstruct" or self.alpha == 0:
            told = "The whole code of the face comes through: it is drawn softer, and still recognised."
            return (Claim(told, holds=False, scope=scope, conditions=conditions), rest_of(frames))
        if self.alpha < 1:
            told = (
                f"{1 - self.alpha:.0%} of the face's own code comes through: whoever knows the tables, which ship with "
                "this package, finds the target and divides."
            )
            return (Claim(told, holds=False, scope=scope, conditions=conditions), rest_of(frames))
        if self.variant == "repulsive":
            told = (
                "The face's own code decides to which side what the key draws is turned, and its attributes from "
                "where: pictures of one person under many keys tell of it."
            )
            return (Claim(told, holds=False, scope=scope, conditions=conditions), rest_of(frames))
        tables = shipped().codes
        count = {"cluster-mean": len(tables.clusters), "attributes": len(tables.classes)}
        known = count.get(self.variant, len(tables.donors))
        turn = ", with two numbers for the turn of the head" if self.pose else ""
        means = Claim(
            f"Of the face's code nothing comes through but which of {known} codes is drawn, each a mean over at least "
            f"{tables.least} people{turn}.",
            holds=True,
            scope=scope,
            conditions=(
                _TONE,
                _LEARNT,
                "faces with one code look alike, but are not the same pixels: tone, seam and place are the picture's",
                *(["which code it is tells sex, age and more"] if self.variant != "cluster-mean" else []),
                CROP_CONDITION,
            ),
            value=float(tables.least),
        )
        return (means, rest_of(frames))

    def __call__(self, crops: Crops, keys: Sequence[Key]) -> Rendered:
        """Return new pixels for the crops, as ``Method`` says. ValueError unless keys and crops pair."""
        if len(keys) != len(crops):
            raise ValueError(f"there must be one key per crop, got {len(keys)} keys for {len(crops)} crops")
        pixels, unfit = crops.pixels.copy(), np.zeros(len(crops), np.bool_)
        for row, key in enumerate(keys):
            mask = crops.masks[row]
            matrix = carried(crops.points[row], template("outline", shipped().side))
            if matrix is None:
                unfit[row] = True
            elif (mask > 0).any():
                old = crops.pixels[row]
                look = None if crops.looks is None else crops.looks[row]
                new = laid(self.drawn(old, crops.points[row], matrix, key, look), matrix, len(old))
                new = settled(new, old, mask, float(crops.faces[row]))
                np.copyto(pixels[row], np.clip(new, 0, 1), where=(mask > 0)[..., None])
        return Rendered(pixels, unfit)

    def drawn(
        self, pixels: Floats, points: Floats, matrix: Floats, key: Key, look: Floats | None = None
    ) -> Floats:
        """Return the new face in the template, (side, side, 3).

        pixels: (S, S, 3) crop. points: (5, 2) px of it. matrix: (2, 3), crop -> template. look: (9,) of the track, see
        ``incog.perceive.attributes.LOOK``; None or NaN: told from this crop.
        """
        coder = shipped()
        code = coder.encode(taken(pixels, matrix, coder.side))
        if self.variant == "reconstruct" or self.alpha == 0:
            return coder.decode(code)
        kind = np.zeros(4, np.int64) if self.variant == "cluster-mean" else seen(pixels, points, look)
        draws = Stream(key, self.name).normal((len(coder.codes.directions),)).astype(np.float32)
        return coder.decode(
            coder.codes.lead(code, self.variant, self.alpha, kind, draws, pose=bool(self.pose))
        )


def seen(pixels: Floats, points: Floats, look: Floats | None) -> Kinds:
    """Return the kind of a face, (4,), see ``code_tables.kind_of``: of its look (9,), else by the attribute network.

    pixels: (S, S, 3) float32 in 0..1. points: (5, 2) px.
    """
    if look is None or not np.isfinite(look).all():
        picture = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
        look = _look()(alignment.crop(picture, points, embedder.TEMPLATE, embedder.SIZE)[None])[0].look()
    return kind_of(100 * float(look[0]), float(look[1]), look[2:7], float(look[8]))
