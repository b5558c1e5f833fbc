"""Family ``generated``: faces that never existed, filled into their surroundings by the generator.

One generator, and a policy on the code that says who it draws: here a fresh one, more in ``policies``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Annotated, ClassVar, Literal

import cv2
import numpy as np

from incog import codes, models, points, shape
from incog.codes import Prior
from incog.data.faces import template
from incog.drawing import drawing
from incog.keys import Stream
from incog.methods.aligned import carried, taken
from incog.methods.base import Claim, Rendered
from incog.methods.evening import evened, face_weight
from incog.methods.looking import AGE, AGES, ETHNICITY, GENDER, coarse, look_of
from incog.methods.parameters import Parameter, check
from incog.methods.per_crop import CROP_CONDITION, rest_of, scope_of
from incog.methods.settle import toned, unseamed
from incog.perceive import attributes, calibration
from incog.runtime import session
from incog.shape import PoseFilter
from incog.types import Crops, Floats, Key

NETWORK, CODES, SHAPE = "generator", "generator-codes", "generator-shape"
"""The records of the network, of the prior of its codes, and of the filter of shapes that it was trained behind."""

SIDE = 128
"""Of the generator's pictures in pixels."""

MOST_TURNED = 0.11
"""Largest distance of the tip of the nose from the middle of the eyes, as a share of the picture: that of a head turned
by 40 degrees. The generator has seen none that was turned more."""

Identity = Literal["track", "stable"]

IDENTITY = Parameter(
    "track: each track is another person; stable: one new face per person of a file, and in all files the same for "
    "people named with --person"
)

DRAWN = (
    "the mask covers the whole face",
    "of the shape, the part is used that varies while a person stays the same; some identity is in it",
    "tone of the skin and fall of the light are meant to stay: 5 numbers, as with fill",
    CROP_CONDITION,
)
"""What the claim rests on that no pixel of a face comes through."""


class Maker:
    """The generator, run by ONNX Runtime, its prior, and what it is shown of a shape: ``pose``."""

    def __init__(self, network: bytes, prior: bytes, pose: bytes) -> None:
        """network: the ONNX file. prior: the NPZ of ``incog.codes``. pose: that of ``incog.shape``."""
        self._session = session(network)
        self.prior = Prior.load(prior)
        self.pose = PoseFilter.load(pose)

    def __call__(self, planes: Floats, code: Floats, look: Floats) -> Floats:
        """Return the face, (128, 128, 3) float32 in 0..1.

        planes: (8, 128, 128), see ``planes_of``. code: (96,). look: (9,).
        """
        given = {"planes": planes[None], "code": code[None], "attributes": look[None]}
        made = self._session.run(
            None, {name: np.ascontiguousarray(v, np.float32) for name, v in given.items()}
        )
        return np.ascontiguousarray(np.asarray(made[0][0], np.float32).transpose(1, 2, 0))


@lru_cache(maxsize=1)
def shipped() -> Maker:
    """Return the generator that the package brings. Raises ModelError when a file is missing or another."""
    return Maker(models.own(NETWORK), models.own(CODES), models.own(SHAPE))


def planes_of(face: Floats, hole: Floats, inside: Floats, dense: Floats) -> Floats:
    """Return what the generator is given, (8, 128, 128) float32.

    face: (128, 128, 3) in 0..1 in the template ``outline``. hole: (128, 128) of 0 and 1; what it covers is not used.
    inside: (128, 128) of 0 and 1, where ``face`` shows its picture. dense: (130, 2) in half sides, already without what
    is the person's own: see ``incog.shape``.
    """
    known = (1 - hole) * inside
    surroundings = (face * 2 - 1) * known[..., None]
    lines = drawing(dense, SIDE).astype(np.float32) / 255
    return np.concatenate(
        [surroundings.transpose(2, 0, 1), known[None], hole[None], lines.transpose(2, 0, 1)]
    ).astype(np.float32)


class Generated(ABC):
    """Base of the family. A subclass is a frozen dataclass that says who is drawn: ``code``, and how: ``look``.

    The generator sees what lies outside the mask, pose and expression as lines without the person's proportions, a
    code, and a look. It never sees a pixel of the face. Faces whose points are unknown, and those turned by more than
    40 degrees, are unfit.
    """

    family: ClassVar[str] = "generated"
    needs: ClassVar[tuple[str, ...]] = (NETWORK, CODES, SHAPE, attributes.NAME)
    granularity: ClassVar[Literal["image", "track", "set"]] = "track"
    reversible: ClassVar[bool] = False
    keyed: ClassVar[bool] = True
    name: ClassVar[str]

    def __post_init__(self) -> None:
        check(self)

    @abstractmethod
    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        """What holds when the method was applied to ``frames`` frames of one track."""

    @abstractmethod
    def code(self, crop: Crops, key: Key, look: Floats) -> Floats:
        """Return the code of the new face, (96,), of a batch of one."""

    def look(self, crop: Crops) -> Floats:
        """Return how the new face shall look, (9,), of a batch of one."""
        return look_of(crop)

    def __call__(self, crops: Crops, keys: Sequence[Key]) -> Rendered:
        """Return new pixels for the crops, as ``Method`` says. ValueError unless keys and crops pair."""
        if len(keys) != len(crops):
            raise ValueError(f"there must be one key per crop, got {len(keys)} keys for {len(crops)} crops")
        pixels, unfit = crops.pixels.copy(), np.zeros(len(crops), np.bool_)
        for row, (crop, key) in enumerate(zip(crops, keys, strict=True)):
            matrix = placed(crop.dense[0])
            if matrix is None:
                unfit[row] = True
            elif (crop.masks[0] > 0).any():
                look = self.look(crop)
                new = drawn(crop, matrix, self.code(crop, key, look), look)
                np.copyto(pixels[row], np.clip(new, 0, 1), where=(crop.masks[0] > 0)[..., None])
        return Rendered(pixels, unfit)


@dataclass(frozen=True)
class Replace(Generated):
    """A face that never existed, drawn from the key of the track, in the surroundings of the old one.

    It looks as people of the track's kind do, so that it fits hair, neck and clothes, unless age, gender or ethnicity
    are said.
    """

    name: ClassVar[str] = "replace"
    summary: ClassVar[str] = "a face that never existed, with the pose and expression of the old one"
    hides_from: ClassVar[str] = "most recognisers, and people who do not know hair and build of the person"
    weak: ClassVar[str] = (
        "Hair, tone of the skin, expression and movement are the person's own, and recognisers see them too: some "
        "take the new face for the person more often than the one that it was trained against. Measure it. Uneven "
        "eyes and smeared mouths still occur."
    )

    age: Annotated[
        int, Parameter("how old the new face looks, in years; 0: in the old one's band", 0, 90)
    ] = 0
    gender: Annotated[Literal["kept", "male", "female"], Parameter("what gender it seems to have")] = "kept"
    ethnicity: Annotated[
        Literal["kept", "white", "black", "asian", "indian", "other"],
        Parameter("what ethnicity it seems to have, in the classes of UTKFace"),
    ] = "kept"
    identity: Annotated[Identity, IDENTITY] = "track"

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        choices = {
            "age": (self.age or "kept", len(AGES) + 1),
            "gender": (self.gender, len(attributes.CLASSES["gender"])),
            "ethnicity": (self.ethnicity, len(attributes.CLASSES["ethnicity"])),
        }
        kept = [name for name, (value, _) in choices.items() if value == "kept"]
        kinds = prod(choices[name][1] for name in kept)
        kind = f"which of {kinds} kinds of people it looks like, " if kept else ""
        meant = f"{', '.join(kept)} and expression that the face seems to have are meant to stay"
        return (
            Claim(
                f"No pixel of the face is used: {self.source()}, its surroundings, lines of pose and expression, "
                f"{kind}2 numbers of its mood, and 5 of its tone and light.",
                holds=True,
                scope=scope_of(frames),
                conditions=DRAWN,
            ),
            Claim(
                "No bound on recognition is claimed: that the new face is taken for another person is measured.",
                holds=False,
                scope=scope_of(frames),
                conditions=(meant if kept else "the expression is meant to stay",),
            ),
            rest_of(frames),
        )

    def source(self) -> str:
        """Return in words what decides who the new face is."""
        return "the new face is drawn from a key"

    def look(self, crop: Crops) -> Floats:
        return self.told(look_of(crop))

    def told(self, look: Floats) -> Floats:
        """Return how the new face shall look, (9,), of somebody who looks like this, (9,): as their kind does."""
        look = coarse(look)
        if self.age:
            look[AGE] = self.age / 100
        if self.gender != "kept":
            look[GENDER] = self.gender == "female"
        if self.ethnicity != "kept":
            look[ETHNICITY] = [kind == self.ethnicity for kind in attributes.CLASSES["ethnicity"]]
        return look

    def code(self, crop: Crops, key: Key, look: Floats) -> Floats:
        made: Floats = shipped().prior.draw(self.normals(key)[None], look[None])[0]
        return made

    def normals(self, key: Key) -> Floats:
        """Return the numbers that a key draws, (96,) float32 standard normal."""
        return Stream(key, self.name, "code").normal((codes.SIZE,)).astype(np.float32)

    def likeness(self, key: Key, look: Floats) -> Floats:
        """Return the embedding that the code of a key stands for, as ``PersonMethod`` says. What is drawn follows it,
        damped."""
        prior = shipped().prior
        code = prior.draw(self.normals(key)[None], self.told(look)[None])
        found: Floats = calibration.shipped().project(prior.embedding(code))[0]
        return found


def placed(dense: Floats) -> Floats | None:
    """Return the (2, 3) matrix crop -> template of dense points (130, 2) px, or None where they are unknown or too
    far turned."""
    if not np.isfinite(dense).all():
        return None
    matrix = carried(points.five(dense), template("outline", SIDE))
    if matrix is None:
        return None
    five = points.five(dense) @ matrix[:, :2].T + matrix[:, 2]
    turned = abs(float(five[2, 0] - five[:2, 0].mean())) / SIDE
    return None if turned > MOST_TURNED else matrix


def drawn(crop: Crops, matrix: Floats, code: Floats, look: Floats) -> Floats:
    """Return one crop's new face, (S, S, 3), laid where it belongs and joined with what is around the mask.

    matrix: (2, 3), crop -> template. code: (96,). look: (9,).
    """
    here = shape.halves(crop.dense[0] @ matrix[:, :2].T + matrix[:, 2], SIDE)
    return joined(
        crop.pixels[0], crop.masks[0], matrix, shipped().pose(here), code, look, float(crop.faces[0])
    )


def joined(
    old: Floats, mask: Floats, matrix: Floats, dense: Floats, code: Floats, look: Floats, length: float
) -> Floats:
    """Return a crop's new face, (S, S, 3), as ``drawn`` does.

    old: (S, S, 3) in 0..1. mask: (S, S). matrix: (2, 3), crop -> template. dense: (130, 2) in half sides of the
    template, without what is the person's own. code: (96,). look: (9,). length: longer side of the face's box in px.
    """
    size = len(old)
    # What the feather lets through is seen by all; the generator sees it too, and so continues it.
    outside = taken(np.ascontiguousarray(mask < 1, np.float32)[..., None], matrix, SIDE).reshape(SIDE, SIDE)
    hole = np.asarray(outside < 0.999, np.float32)
    whole = np.ones((size, size), np.float32)
    inside = np.asarray(cv2.warpAffine(whole, matrix, (SIDE, SIDE)) > 0.5, np.float32)
    face = taken(old * (mask < 1)[..., None], matrix, SIDE)
    made = evened(shipped()(planes_of(face, hole, inside, dense), code, look), dense)
    laid = cv2.warpAffine(
        np.dstack([made, face_weight(dense, SIDE)]),
        matrix,
        (size, size),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    new, weight = np.asarray(laid[..., :3], np.float32), np.clip(laid[..., 3:], 0, 1)
    # The skin is toned, not the wall behind it.
    new = new + (toned(new, old, mask, length) - new) * weight
    return unseamed(np.asarray(new, np.float32), old, mask, length)
