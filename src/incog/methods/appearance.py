"""Faces painted by the appearance model: another person's, drawn from a key, or the mean of k people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, ClassVar, Literal

import numpy as np

from incog import alignment, geometry, outline, points, shape
from incog.appearance import light, model, painting, reading, texture
from incog.keys import Stream, derive
from incog.methods.aligned import goal
from incog.methods.base import Claim, Rendered
from incog.methods.generated import IDENTITY, Identity
from incog.methods.k_same import KSame
from incog.methods.looking import look_of
from incog.methods.parameters import Parameter, check
from incog.methods.per_crop import CROP_CONDITION, rest_of, scope_of
from incog.perceive import attributes, calibration, embedder
from incog.perceive.embedder import Embedder
from incog.types import Array, Bytes, Crops, Floats, Key

Looks = Literal["kept", "drawn"]


@dataclass(frozen=True)
class AppearanceReplace:
    """Another person's face with the pose, expression, gaze and light of the old one.

    The person, shape and texture, is drawn from the model's prior under the track's key: one for a whole track. Of the
    old face come through: pose and expression of its shape, its outline roughly, the inner lips and how far the eyes
    are open, where the irises are, how old it looks and of which gender, ethnicity and mood (9 numbers of the track, if
    ``looks`` are kept), its light and skin tone as a smooth surface (30 numbers), and how strong three
    octaves of its detail are (6). Its pixels do not. Faces whose points are unknown, turned by more than 40 degrees, or
    hardly any of whose skin fits one light, are unfit.
    """

    name: ClassVar[str] = "appearance-replace"
    family: ClassVar[str] = "subspace"
    summary: ClassVar[str] = "another person's face with the pose, expression, gaze and light of the old one"
    hides_from: ClassVar[str] = "recognisers, and people who do not know hair and build of the person"
    weak: ClassVar[str] = (
        "Outline, tone of the skin, expression and movement are the person's own: how seldom the new face is "
        "recognised is measured, not proven."
    )
    needs: ClassVar[tuple[str, ...]] = (model.NAME, shape.NAME, attributes.NAME)
    granularity: ClassVar[Literal["image", "track", "set"]] = "track"
    reversible: ClassVar[bool] = False
    keyed: ClassVar[bool] = True

    variety: Annotated[
        float, Parameter("how unlike each other new faces are", 0.2, 1.2, unit="of real ones")
    ] = 1.0
    grain: Annotated[float, Parameter("strength of the synthetic grain", 0, 1)] = 0.7

    looks: Annotated[
        Looks, Parameter("whether apparent age, gender and ethnicity are those of the old face or chance")
    ] = "kept"

    identity: Annotated[Identity, IDENTITY] = "track"

    def __post_init__(self) -> None:
        check(self)

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        """What holds when the method was applied to ``frames`` frames of one track."""
        return (
            Claim(
                "No pixel of the face survives: the new face is drawn from a key, and the old one gives it pose, "
                "expression, gaze, a rough outline, 30 numbers of light and 6 of grain in a frame, 9 of its look.",
                holds=True,
                scope=scope_of(frames),
                conditions=(
                    "the mask covers the whole face",
                    "pose, expression, light and the tone of the skin are meant to stay visible",
                    CROP_CONDITION,
                ),
            ),
            Claim(
                "No bound on recognition is claimed: that the new face is taken for another person is measured, not "
                "proven.",
                holds=False,
                scope=scope_of(frames),
                conditions=(
                    "the outline of the face, the tone of its skin and how it moves are the person's own",
                    "the age, gender and ethnicity that the new face seems to have are meant to stay"
                    if self.looks == "kept"
                    else "the age, gender and ethnicity that the new face seems to have are chance",
                ),
            ),
            rest_of(frames),
        )

    def __call__(self, crops: Crops, keys: Sequence[Key]) -> Rendered:
        """Return new pixels for the crops, as ``Method`` says. ValueError unless keys and crops pair."""
        if len(keys) != len(crops):
            raise ValueError(f"there must be one key per crop, got {len(keys)} keys for {len(crops)} crops")
        own = model.load()
        pixels, unfit = crops.pixels.copy(), np.zeros(len(crops), np.bool_)
        for row, key in enumerate(keys):
            seen = reading.read(own, crops.pixels[row], crops.dense[row])
            if seen is None:
                unfit[row] = True
                continue
            look = look_of(crops[row : row + 1]) if self.looks == "kept" else chance(key, self.name)
            person = painting.drawn(own, key, self.name, look)
            dense = painting.shape_for(own, seen.dense, person)
            codes = painting.texture_for(own, seen.light, dense, person, self.variety)
            face = painting.Face(dense, own.vector_of(codes), seen.light)
            finish = painting.Finish(seen.bands, Stream(key, self.name, "grain"), self.grain)
            mask = crops.masks[row]
            new = painting.paint(own, face, crops.pixels[row], mask, seen.matrix, finish, seen.zoom)
            np.copyto(pixels[row], np.clip(new, 0, 1), where=(mask > 0)[..., None])
        return Rendered(pixels, unfit)

    def likeness(self, key: Key, look: Floats) -> Floats:
        """Return what the recogniser makes of the person's portrait, as ``PersonMethod`` says, without what portraits
        of other people of that look have in common: a plain background, and no hair."""
        look = look if self.looks == "kept" else chance(key, self.name)
        kind = (round(float(look[0]) * 5) / 5, look[1] > 0.5, int(look[2:7].argmax()))
        own = _embedded(_portrait(key, self.name, look, self.variety))
        return embedder.unit(own - _common(self.name, self.variety, *kind))


_SKIN = (0.75, 0.6, 0.52)
"""R'G'B' of the light that portraits are painted in."""

_COMMON = 48
"""Portraits that tell what those of a look have in common."""


def _portrait(key: Key, purpose: str, look: Floats, variety: float) -> Bytes:
    """Return the person of a key in the recogniser's template, frontal and evenly lit, (112, 112, 3) uint8."""
    own = model.load()
    lights = np.zeros((light.TERMS, 3), np.float32)
    lights[0] = _SKIN
    mean = own.dense_of(np.zeros(len(own.shape_spread), np.float32))
    person = painting.drawn(own, key, purpose, look)
    dense = painting.shape_for(own, mean, person)
    codes = painting.texture_for(own, lights, dense, person, variety)
    face = painting.Face(dense, own.vector_of(codes), lights)
    made = _painted(face, alignment.similarity(embedder.TEMPLATE, reading.goal()), embedder.SIZE)
    return np.rint(np.clip(made, 0, 1) * 255).astype(np.uint8)


def _painted(face: painting.Face, matrix: Floats, side: int) -> Floats:
    """Return a face on a plain background, (side, side, 3). matrix: (2, 3), picture -> half sides."""
    canvas = np.ones((side, side, 3), np.float32) * np.clip(face.light[0] / 2, 0, 1)
    here = geometry.apply(geometry.inverse(matrix), face.dense)
    mask = geometry.mask([outline.face_outline(here, grow=1.15)], (0, 0, side, side), 4.0)
    return painting.paint(model.load(), face, canvas, mask, matrix)


def _embedded(portrait: Bytes) -> Floats:
    row: Floats = calibration.shipped().project(_network()(portrait[None]))[0]
    return row


@lru_cache(maxsize=256)
def _common(purpose: str, variety: float, age: float, female: bool, ethnicity: int) -> Floats:
    """Return the mean of what the recogniser makes of portraits of a kind of look, (D,) float32."""
    look = np.zeros(len(attributes.LOOK), np.float32)
    look[0], look[1], look[2 + ethnicity], look[7] = age, female, 1, 1
    keys = [derive(Key(bytes(32)), "portrait", number) for number in range(_COMMON)]
    rows = np.stack([_embedded(_portrait(key, purpose, look, variety)) for key in keys])
    return np.asarray(rows.mean(0), np.float32)


@lru_cache(maxsize=1)
def _network() -> Embedder:
    return embedder.make_embedder(threads=1)


def chance(key: Key, purpose: str) -> Floats:
    """Return a look, (9,), drawn by a key: an adult of either gender and any ethnicity, neutral."""
    stream = Stream(key, purpose, "look")
    age, gender, ethnicity = (float(value) for value in stream.uniform((3,)))
    look = np.zeros(len(attributes.LOOK), np.float32)
    look[0], look[1], look[2 + int(ethnicity * 5)], look[7] = 0.2 + 0.4 * age, gender < 0.5, 1, 1
    return look


@dataclass(frozen=True)
class KSameM(KSame):
    """k-Same-M: means of the appearance model's parameters, shape, texture and light, of k people who are alike.

    Shapes are aligned and textures shape-normalised, so that means have no ghosts (Gross et al. 2006).
    """

    name: ClassVar[str] = "k-same-m"
    summary: ClassVar[str] = "the mean shape and texture of k people, painted: no ghosts"
    needs: ClassVar[tuple[str, ...]] = (model.NAME,)
    side: ClassVar[int] = 192

    def reduced(self, crop: Crops) -> Array | None:
        own = model.load()
        seen = reading.read(own, crop.pixels[0], crop.dense[0])
        if seen is None:
            return None
        codes = own.texture_of(texture.encode(seen.face, seen.light, own.grid))
        return np.concatenate([seen.dense.ravel(), seen.light.ravel(), codes])

    def vector(self, kept: Array) -> Floats:
        own = model.load()
        dense, _, codes = _parted(kept)
        # A shape's variance counts as much as a texture's.
        weight = np.linalg.norm(own.rest) / np.linalg.norm(own.shape_spread)
        return np.concatenate([own.shape_of(dense) * weight, codes]).astype(np.float32)

    def face(self, mean: Floats) -> Floats:
        own = model.load()
        dense, lights, codes = _parted(mean)
        matrix = alignment.similarity(goal(self.side), reading.goal())
        return _painted(painting.Face(dense, own.vector_of(codes), lights), matrix, self.side)

    def draw(self, pixels: Floats, crop: Crops, mean: Floats, face: Floats) -> None:
        own = model.load()
        seen = reading.read(own, crop.pixels[0], crop.dense[0])
        assert seen is not None
        dense, lights, codes = _parted(mean)
        lights = lights + np.float32(self.light) * (seen.light - lights)
        person = painting.Face(dense, own.vector_of(codes), lights)
        mask = crop.masks[0]
        new = painting.paint(own, person, crop.pixels[0], mask, seen.matrix, zoom=seen.zoom)
        np.copyto(pixels, np.clip(new, 0, 1), where=(mask > 0)[..., None])


def _parted(kept: Array) -> tuple[Floats, Floats, Floats]:
    """Return shape (130, 2), light (TERMS, 3) and texture (K,) of what is kept of a face."""
    values = kept.astype(np.float32)
    first, second = 2 * points.COUNT, 2 * points.COUNT + 3 * light.TERMS
    return values[:first].reshape(-1, 2), values[first:second].reshape(-1, 3), values[second:]
