"""What of a face is in the clear: pose, expression and light, as the shown face has them too.

They are as many numbers in every frame, in half precision. A face is drawn from them and from a person; who that is is
what gets enciphered.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from incog import geometry, points, shape
from incog.appearance import light, mesh, model, painting, surround, texture
from incog.appearance.model import SHADES, SHAPES, Appearance
from incog.appearance.reading import Reading
from incog.types import Floats

LOOSE = 0.03
"""Standard deviation of the noise that the outline is told with, half sides: two pixels of a face of 128."""

COARSE = 64
"""Width in px of faces whose detail codes hold."""

SECTORS = 12
"""Parts of the surroundings whose mean colours are told."""

_SURE = 2e-3
"""Probabilities count as no nearer to 0 or 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Traits:
    """Of one face in one frame. pose: (R,) float32, see ``incog.shape``. mouth: (H,), form of the inner lips and how
    far the lids are apart, of what that leaves. gaze: (10, 2), the irises in the eyes. light: (TERMS, 3). zoom: of the
    frame that it is painted in.

    How sharp the face was is not among them: it follows from its texture, and would tell a right code."""

    pose: Floats
    mouth: Floats
    gaze: Floats
    light: Floats
    zoom: int

    def numbers(self) -> Floats:
        """Return all but the zoom as ``count()`` numbers, float32."""
        parts = (self.pose, self.mouth, self.gaze.ravel(), self.light.ravel())
        return np.concatenate(parts).astype(np.float32)

    @classmethod
    def of(cls, numbers: Floats, zoom: int) -> Traits:
        """Return the traits of ``numbers``."""
        parts = np.split(numbers.astype(np.float32), np.cumsum(_sizes())[:-1])
        pose, mouth, gaze, lit = parts
        return cls(pose, mouth, gaze.reshape(-1, 2), lit.reshape(light.TERMS, 3), zoom)


@lru_cache(maxsize=1)
def _sizes() -> tuple[int, ...]:
    held, _ = painting.held_parts(outline=False)
    return shape.load().reads.shape[1], len(held), 20, 3 * light.TERMS


def count() -> int:
    """Return how many numbers the traits of a face are."""
    return sum(_sizes())


def read(own: Appearance, reading: Reading) -> Traits:
    """Return the traits of a face that was read."""
    keep = shape.load()
    held, _ = painting.holding(own, outline=False)
    pose = keep.pose(reading.dense)
    mouth = held @ (reading.dense - keep.shape_of(pose)).ravel()
    gaze = painting.gaze(reading.dense)
    return Traits(pose, mouth, gaze, reading.light, reading.zoom)


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """Whom a face shows. shape: (I,) float32, of ``person_modes``. texture: (K,), of ``rest``, or its last columns."""

    shape: Floats
    texture: Floats


def coarse(own: Appearance, pixels: Floats, dense: Floats) -> Floats:
    """Return a face in the model's frame, (H, W, 3), with no more detail than one that is ``COARSE`` px wide has, so
    that codes from large pictures and from small ones are alike. pixels: (S, S, 3) float32. dense: (130, 2), px."""
    share = COARSE / float(np.ptp(dense[points.OUTLINE], axis=0)[0])
    if share < 1:
        small = cv2.resize(pixels, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        ratio = np.array(small.shape[1::-1], np.float32) / np.array(pixels.shape[1::-1], np.float32)
        pixels = np.asarray(small, np.float32)
        dense = np.asarray((dense + 0.5) * ratio - 0.5, np.float32)
    return texture.taken(pixels, mesh.vertices(dense), own.mesh)


def person_of(own: Appearance, reading: Reading, face: Floats, look: Floats) -> Person:
    """Return who is to be seen in a face that was read. face: ``coarse``. look: (9,), see
    ``incog.perceive.attributes.LOOK``."""
    apart = (reading.dense - shape.load()(reading.dense)).ravel()
    coordinates = (own.person_modes @ apart) / np.square(own.person_modes).sum(1)
    codes = own.texture_of(texture.encode(face, reading.light, own.grid))
    left = codes - _expected(own, reading.dense, reading.light, look)
    return Person(coordinates.astype(np.float32), np.linalg.solve(own.rest, left).astype(np.float32))


def outline(own: Appearance, reading: Reading) -> Floats:
    """Return the face's outline apart from pose and expression, (O,) float32, half sides: not yet with its noise."""
    rows, _ = painting.holding(own)
    held, _ = painting.holding(own, outline=False)
    apart = (reading.dense - shape.load()(reading.dense)).ravel()
    return np.asarray(rows[: len(rows) - len(held)] @ apart, np.float32)


def around(own: Appearance, reading: Reading, pixels: Floats, mask: Floats) -> Floats:
    """Return the mean colours of ``SECTORS`` parts of what surrounds a face, relative to the light on it, (3 SECTORS,)
    float32: of what lies beyond the mask alone. pixels: (S, S, 3) and mask: (S, S), of the crop that was read."""
    here = geometry.apply(geometry.inverse(reading.matrix), reading.dense)
    ring = mesh.vertices(here)[-36:]
    colours = texture.sampled(surround.filled(pixels, mask), ring[None])[0]
    mean = texture.lit(reading.light).reshape(-1, 3).mean(0)
    sectors = colours.reshape(SECTORS, -1, 3).mean(1) / mean
    return np.asarray(np.clip(sectors, 0, texture.MOST).ravel(), np.float32)


def told(traits: Traits, look: Floats, outline: Floats, around: Floats) -> Floats:
    """Return what is publicly known of a face when its code is told, (F,) float32: what the prior is given. outline:
    with its noise."""
    lit = model.told(np.zeros(SHAPES, np.float32), traits.light, look)[SHAPES:]
    # A face that is a woman's for certain must be drawn as one: in logits the rest of a code says little of it.
    sure = np.clip(look[1:].astype(np.float64), _SURE, 1 - _SURE)
    logits = np.log(sure / (1 - sure))
    return np.concatenate([lit, logits, traits.pose, traits.mouth, outline, around]).astype(np.float32)


def plain() -> slice:
    """Return where in ``told`` light, look and sharpness are: what says how much codes vary."""
    return slice(0, SHADES + 2 * model.LOOKED - 1)


def drawn(own: Appearance, traits: Traits, person: Person, look: Floats) -> painting.Face:
    """Return a person's face with the traits of another's."""
    held, gain = painting.holding(own, outline=False)
    moved = person.shape + gain @ (traits.mouth - held @ (person.shape @ own.person_modes))
    dense = shape.load().shape_of(traits.pose) + (moved @ own.person_modes).reshape(-1, 2)
    dense = painting.gazing(traits.gaze, np.asarray(dense, np.float32))
    codes = _expected(own, dense, traits.light, look)
    codes = codes + own.rest[:, -len(person.texture) :] @ person.texture
    return painting.Face(dense, own.vector_of(codes), traits.light)


def _expected(own: Appearance, dense: Floats, lit: Floats, look: Floats) -> Floats:
    """Return the texture coordinates (K,) that a shape, light and look let expect."""
    given = np.append(own.tell(own.shape_of(dense), lit, look), np.float32(1))
    return np.asarray(own.expected @ given, np.float32)
