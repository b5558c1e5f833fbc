"""Family ``transformer``: a key makes another person's face of a face, and its negative the first one again (Gu, Luo,
Ryoo, Lee: Password-conditioned anonymization and deanonymization with face identity transformers, ECCV 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, ClassVar, Literal

import numpy as np

from incog import models, points
from incog.data.faces import template
from incog.keys import Stream
from incog.methods.aligned import carried, laid, lay, taken
from incog.methods.base import Claim, Rendered
from incog.methods.generated import Identity
from incog.methods.parameters import Parameter, check
from incog.methods.per_crop import CROP_CONDITION, rest_of, scope_of
from incog.methods.settle import unseamed
from incog.runtime import session
from incog.types import Crops, Floats, Key

NETWORK = "transformer"
"""The record of the network."""

SIGNS = 32
"""Of a key."""

SIDE = 128
"""Of the network's pictures in pixels."""


class Turner:
    """The network, run by ONNX Runtime."""

    def __init__(self, network: bytes) -> None:
        """network: the ONNX file."""
        self._session = session(network)

    def __call__(self, face: Floats, signs: Floats) -> Floats:
        """Return the face of another person, (128, 128, 3) float32 in 0..1.

        face: (128, 128, 3) in 0..1 in the template ``outline``. signs: (32,) of -1 and 1; turned by their negative, the
        result is about the face again.
        """
        image = np.ascontiguousarray(face.transpose(2, 0, 1)[None], np.float32)
        key = (signs / np.sqrt(len(signs))).astype(np.float32)[None]
        (made,) = self._session.run(None, {"image": image, "key": key})
        return np.ascontiguousarray(np.asarray(made[0], np.float32).transpose(1, 2, 0))


@lru_cache(maxsize=1)
def shipped() -> Turner:
    """Return the network that the package brings. Raises ModelError when its file is missing or another."""
    return Turner(models.own(NETWORK))


def signs_of(stream: Stream) -> Floats:
    """Return the next signs of a stream, (32,) float32 of -1 and 1."""
    return stream.signs(SIGNS).astype(np.float32)


def place_of(crop: Crops) -> Floats | None:
    """Return the (2, 3) matrix from a crop, a batch of one, to the network's template, or None where its points are no
    face's. Dense points go first: in films the five are known in few frames."""
    dense = crop.dense[0]
    found = points.five(dense) if np.isfinite(dense).all() else crop.points[0]
    return carried(found, template("outline", SIDE))


def turned(pixels: Floats, mask: Floats, matrix: Floats, signs: Floats) -> Floats:
    """Return a crop (S, S, 3) float32 in 0..1 with its face turned by a key where the mask (S, S) is above 0.

    matrix: (2, 3), crop -> template. The network sees what lies around the mask too.
    """
    new = pixels.copy()
    lay(new, mask, shipped()(taken(pixels, matrix, SIDE), signs), matrix)
    return new


def turned_back(pixels: Floats, mask: Floats, matrix: Floats, signs: Floats, length: float) -> Floats:
    """Return a crop with the face of ``turned`` turned back, by the same key, where the mask is above 0.

    length: longer side of the face's box in px: the seam is matched to what is there.
    """
    new = laid(shipped()(taken(pixels, matrix, SIDE), -signs), matrix, len(pixels))
    seamless = unseamed(new, pixels, mask, length)
    return np.where((mask > 0)[..., None], np.clip(seamless, 0, 1), pixels).astype(np.float32)


@dataclass(frozen=True)
class Transformer:
    """The face as another person's, by a network and a key of 32 signs; by the negative of the key it is turned back.

    Pose, expression and light stay, as the network was taught. Faces whose points are unknown, or lie too far from a
    frontal face's, are unfit.
    """

    name: ClassVar[str] = "transformer"
    family: ClassVar[str] = "transformer"
    summary: ClassVar[str] = "the face turned into another person's by a key, which can turn it back"
    hides_from: ClassVar[str] = (
        "most recognisers that are not retrained; nobody who has the key or tries some"
    )
    weak: ClassVar[str] = (
        "Nearly all of the old face is in the new one: one random key in sixteen or so brings it back, whoever tries "
        "all 2^32 has tried the right one, and a network better than ours may learn to do without. Faces look painted, "
        "in odd colours."
    )
    needs: ClassVar[tuple[str, ...]] = (NETWORK,)
    granularity: ClassVar[Literal["image", "track", "set"]] = "track"
    reversible: ClassVar[bool] = False
    keyed: ClassVar[bool] = True

    identity: Annotated[
        Identity,
        Parameter(
            "track: each track has a key of its own; stable: one key per person of a file, and in all files the same "
            "for people named with --person"
        ),
    ] = "track"

    def __post_init__(self) -> None:
        check(self)

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        scope = scope_of(frames)
        return (
            Claim(
                "The old face comes back, with the loss of fine detail, for whoever has the key or tries some keys.",
                holds=False,
                scope=scope,
                conditions=("the network ships with this package", "there are 2^32 keys", CROP_CONDITION),
            ),
            Claim(
                "No bound on recognition is claimed: that the new face is taken for another person is measured, not "
                "proven.",
                holds=False,
                scope=scope,
                conditions=("pose, expression and light are meant to stay",),
            ),
            rest_of(frames),
        )

    def __call__(self, crops: Crops, keys: Sequence[Key]) -> Rendered:
        """Return new pixels for the crops, as ``Method`` says. ValueError unless keys and crops pair."""
        if len(keys) != len(crops):
            raise ValueError(f"there must be one key per crop, got {len(keys)} keys for {len(crops)} crops")
        pixels, unfit = crops.pixels.copy(), np.zeros(len(crops), np.bool_)
        for row, (crop, key) in enumerate(zip(crops, keys, strict=True)):
            matrix = place_of(crop)
            if matrix is None:
                unfit[row] = True
            else:
                pixels[row] = turned(crop.pixels[0], crop.masks[0], matrix, signs_of(Stream(key, self.name)))
        return Rendered(pixels, unfit)
