"""Family ``generated``: faces that never existed, filled into their surroundings by the generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal

import cv2
import numpy as np

from incog import codes, models, points, shape
from incog.codes import Prior
from incog.data.faces import template
from incog.drawing import drawing
from incog.keys import Stream
from incog.methods.aligned import carried, taken
from incog.methods.base import Claim, Rendered
from incog.methods.looking import look_of
from incog.methods.parameters import check
from incog.methods.per_crop import CROP_CONDITION, rest_of, scope_of
from incog.methods.settle import settled
from incog.perceive import attributes
from incog.types import Crops, Floats, Key

NETWORK, CODES = "generator", "generator-codes"
"""The records of the network and of the prior of its codes."""

SIDE = 128
"""Of the generator's pictures in pixels."""

_MOST_TURNED = 0.2
"""Largest distance of the tip of the nose from the middle of the eyes, as a share of the picture: a profile's."""


class Maker:
    """The generator, run by ONNX Runtime, and its prior."""

    def __init__(self, network: bytes, prior: bytes) -> None:
        """network: the ONNX file. prior: the NPZ of ``incog.codes``."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(
            network, options, providers=["CPUExecutionProvider"]
        )
        self.prior = Prior.load(prior)

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
    return Maker(models.own(NETWORK), models.own(CODES))


def planes_of(face: Floats, hole: Floats, dense: Floats) -> Floats:
    """Return what the generator is given, (8, 128, 128) float32.

    face: (128, 128, 3) in 0..1 in the template ``outline``. hole: (128, 128) of 0 and 1; what it covers is not used.
    dense: (130, 2) in half sides, already without what is the person's own: see ``incog.shape``.
    """
    known = 1 - hole
    surroundings = (face * 2 - 1) * known[..., None]
    lines = drawing(dense, SIDE).astype(np.float32) / 255
    return np.concatenate(
        [surroundings.transpose(2, 0, 1), known[None], hole[None], lines.transpose(2, 0, 1)]
    ).astype(np.float32)


@dataclass(frozen=True)
class Replace:
    """A face that never existed, drawn from the key of the track, in the surroundings of the old one.

    The generator sees what lies outside the mask, pose and expression as lines without the person's proportions, and
    the look that the track's face has: age, gender, ethnicity, so that the new face fits hair, neck and clothes. It
    never sees a pixel of the face. Faces whose points are unknown, and profiles, are unfit.
    """

    name: ClassVar[str] = "replace"
    family: ClassVar[str] = "generated"
    summary: ClassVar[str] = "a face that never existed, with the pose and expression of the old one"
    hides_from: ClassVar[str] = "recognisers, and people who do not know hair and build of the person"
    weak: ClassVar[str] = (
        "Hair, tone of the skin, expression and movement are the person's own: how seldom the new face is recognised "
        "is measured, not proven. Blotches of colour and uneven eyes still occur."
    )
    needs: ClassVar[tuple[str, ...]] = (NETWORK, CODES, shape.NAME, attributes.NAME)
    granularity: ClassVar[Literal["image", "track", "set"]] = "track"
    reversible: ClassVar[bool] = False
    keyed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check(self)

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        """What holds when the method was applied to ``frames`` frames of one track."""
        return (
            Claim(
                "No pixel of the face is used: the new face is drawn from a key, its surroundings, lines of pose and "
                "expression, and nine numbers of how the face looks.",
                holds=True,
                scope=scope_of(frames),
                conditions=(
                    "the mask covers the whole face",
                    "of the shape, the part is used that varies while a person stays the same; some identity is in it",
                    CROP_CONDITION,
                ),
            ),
            Claim(
                "No bound on recognition is claimed: that the new face is taken for another person is measured.",
                holds=False,
                scope=scope_of(frames),
                conditions=("age, gender and ethnicity that the face seems to have are meant to stay",),
            ),
            rest_of(frames),
        )

    def code(self, key: Key, look: Floats) -> Floats:
        """Return the code of the new face, (96,)."""
        normals = Stream(key, self.name, "code").normal((codes.SIZE,)).astype(np.float32)
        made: Floats = shipped().prior.draw(normals[None], look[None])[0]
        return made

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
                look = look_of(crop)
                new = drawn(crop, matrix, self.code(key, look), look)
                np.copyto(pixels[row], np.clip(new, 0, 1), where=(crop.masks[0] > 0)[..., None])
        return Rendered(pixels, unfit)


def placed(dense: Floats) -> Floats | None:
    """Return the (2, 3) matrix crop -> template of dense points (130, 2) px, or None where they are unknown or show a
    profile."""
    if not np.isfinite(dense).all():
        return None
    matrix = carried(points.five(dense), template("outline", SIDE))
    if matrix is None:
        return None
    five = points.five(dense) @ matrix[:, :2].T + matrix[:, 2]
    turned = abs(float(five[2, 0] - five[:2, 0].mean())) / SIDE
    return None if turned > _MOST_TURNED else matrix


def drawn(crop: Crops, matrix: Floats, code: Floats, look: Floats) -> Floats:
    """Return one crop's new face, (S, S, 3), laid where it belongs and joined with what is around the mask.

    matrix: (2, 3), crop -> template. code: (96,). look: (9,).
    """
    old, mask, size = crop.pixels[0], crop.masks[0], crop.size
    # What the feather lets through is seen by all; the generator sees it too, and so continues it.
    outside = taken(np.ascontiguousarray(mask < 1, np.float32)[..., None], matrix, SIDE).reshape(SIDE, SIDE)
    hole = np.asarray(outside < 0.999, np.float32)
    face = taken(old * (mask < 1)[..., None], matrix, SIDE)
    dense = shape.load()(shape.halves(crop.dense[0] @ matrix[:, :2].T + matrix[:, 2], SIDE))
    made = shipped()(planes_of(face, hole, dense), code, look)
    laid = cv2.warpAffine(
        made,
        matrix,
        (size, size),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return settled(np.asarray(laid, np.float32), old, mask, float(crop.faces[0]))
