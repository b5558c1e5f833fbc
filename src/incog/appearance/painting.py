"""New faces: shape and texture drawn from a key, or given, painted into a crop under the light of the old one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from incog import geometry, points, shape
from incog.appearance import grain, mesh, surround, texture
from incog.appearance.model import Appearance, looked
from incog.keys import Stream
from incog.types import Floats, Key

Doubles = npt.NDArray[np.float64]

_OUTLINE, _LIPS, _LIDS = 0.03, 0.012, 0.012
"""How loosely a new face follows the old outline, since hair, ears and neck stay as they are, the form of the open
mouth, and how far the eyes are open: standard deviations in half sides."""

_EYES = ((points.RIGHT_EYE, points.RIGHT_IRIS), (points.LEFT_EYE, points.LEFT_IRIS))

_EDGE = 0.06
"""Least width over which a face passes into its surroundings, as a share of its own width."""

_RING = 1.35
"""Size of the ring round a painted face relative to its outline: the model's is drawn out to the mask's border."""


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """Who a new face shows. shape: (I,) float32, of ``person_modes``. texture: (K,), of ``rest``, standard normal.
    look: (9,), how old the face looks, and so on: see ``incog.perceive.attributes.LOOK``."""

    shape: Floats
    texture: Floats
    look: Floats


def drawn(own: Appearance, key: Key, purpose: str, look: Floats) -> Person:
    """Return a person of a look, (9,), drawn from the model's prior under a key."""
    count = len(own.person_modes)
    values = Stream(key, purpose, "person").normal(count + len(own.rest)).astype(np.float32)
    mean = own.person_expected @ np.append(looked(look), np.float32(1))
    return Person(np.asarray(mean + own.person_rest * values[:count], np.float32), values[count:], look)


def shape_for(own: Appearance, old: Floats, person: Person) -> Floats:
    """Return a new face's points, (130, 2) float32 in half sides: pose and expression of the old one's, (130, 2),
    another person's proportions, near the old outline, looking where the old one looks.

    The person's coordinates are conditioned on what is held (Matheron's rule): outline, inner lips and lids.
    """
    kept = shape.load()(old)
    held, gain = holding(own)
    free = person.shape
    own_part = free + gain @ (held @ (old - kept).ravel() - held @ (free @ own.person_modes))
    new = kept + (own_part @ own.person_modes).reshape(-1, 2)
    return looking(old, new.astype(np.float32))


def looking(old: Floats, new: Floats) -> Floats:
    """Return the new points (130, 2) with the irises where they are in the old eyes, relative to the corners."""
    return gazing(gaze(old), new)


def gaze(dense: Floats) -> Floats:
    """Return where the irises' points lie in the eyes of points (130, 2), relative to the corners: (10, 2) float32."""
    parts = []
    for eye, iris in _EYES:
        middle, axes = _frame_of(dense[eye])
        parts.append((dense[iris] - middle) @ np.linalg.inv(axes))
    return np.concatenate(parts).astype(np.float32)


def gazing(relative: Floats, new: Floats) -> Floats:
    """Return the new points (130, 2) with the irises where ``gaze`` has them, (10, 2)."""
    result = new.copy()
    for (eye, iris), part in zip(_EYES, (relative[:5], relative[5:]), strict=True):
        middle, axes = _frame_of(new[eye])
        result[iris] = middle + part @ axes
    return result


def _frame_of(eye: Floats) -> tuple[Floats, Floats]:
    """Return the middle of an eye's corners and its axes as rows: along the corners, and across as high as the lids are
    apart, but at least a tenth of the width."""
    along = (eye[8] - eye[0]) / 2
    across = np.array([-along[1], along[0]])
    length = float(np.hypot(*along)) + 1e-6
    high = float(np.abs((eye - eye[0]) @ (across / length)).max())
    return (eye[0] + eye[8]) / 2, np.stack([along, across / length * max(high, 0.2 * length)])


@lru_cache(maxsize=2)
def holding(own: Appearance, *, outline: bool = True) -> tuple[Floats, Floats]:
    """Return what is held of a shape, (H, 260), and the gain (I, H) that corrects a person's coordinates by it.

    The rows of the outline come first, unless they are left out.
    """
    held, errors = held_parts(outline=outline)
    seen = held @ own.person_modes.T.astype(np.float64)
    gain = seen.T @ np.linalg.inv(seen @ seen.T + np.diag(errors**2))
    return held.astype(np.float32), gain.astype(np.float32)


def held_parts(*, outline: bool) -> tuple[Doubles, Doubles]:
    """Return the rows (H, 260) of what is held of a shape, and how loosely each is: standard deviations (H,)."""
    every = np.eye(2 * points.COUNT).reshape(points.COUNT, 2, -1)
    lips = every[points.INNER_LIPS]
    parts = [(every[points.OUTLINE].reshape(-1, every.shape[2]), _OUTLINE)] if outline else []
    parts.append(((lips - lips.mean(0)).reshape(-1, every.shape[2]), _LIPS))
    for eye in (points.RIGHT_EYE, points.LEFT_EYE):
        lower, upper = every[eye][[3, 4, 5], 1], every[eye][[13, 12, 11], 1]
        parts.append((lower - upper, _LIDS))
    held = np.concatenate([rows for rows, _ in parts])
    return held, np.concatenate([np.full(len(rows), error) for rows, error in parts])


def texture_for(own: Appearance, light: Floats, dense: Floats, person: Person, strength: float) -> Floats:
    """Return a new face's texture coordinates (K,): what its shape, (130, 2), its light, (TERMS, 3), and its look let
    expect, and the person's own."""
    told = np.append(own.tell(own.shape_of(dense), light, person.look), np.float32(1))
    free = own.rest @ (person.texture * _tamed(len(own.rest), strength))
    return np.asarray(own.expected @ told + free, np.float32)


@lru_cache(maxsize=8)
def _tamed(count: int, strength: float) -> Floats:
    """Return a factor for each column of ``rest``, whose strongest is the last: weak ones drawn at random add up to
    smears rather than features."""
    place = np.arange(count)[::-1] / 60
    return np.asarray(strength / (1 + place), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """What is painted. dense: (130, 2) float32 in half sides. texture: (L,). light: (TERMS, 3)."""

    dense: Floats
    texture: Floats
    light: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Finish:
    """How sharp and grainy a face is painted: like ``bands``, with a share ``strength`` of the noise of ``stream``."""

    bands: grain.Bands
    stream: Stream
    strength: float


def paint(
    own: Appearance, face: Face, pixels: Floats, mask: Floats, matrix: Floats,
    finish: Finish | None = None, zoom: int = 1,
) -> Floats:  # fmt: skip
    """Return the crop (S, S, 3) float32 with a face painted where the mask (S, S) is above 0.

    Of the pixels where the mask is 1 nothing comes through: what lies round the face is filled from beyond the mask.
    matrix: (2, 3), crop -> half sides. zoom: of the frame that is painted in.
    """
    size = len(pixels)
    reflects = texture.decode(face.texture, own.grid)
    if zoom > 1:
        large = cv2.resize(reflects, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
        reflects = np.asarray(large, np.float32)
    if finish is not None:
        reflects = grain.alike(reflects, own, finish.bands, finish.stream, finish.strength, zoom)
    lit = reflects * texture.lit(face.light, zoom)
    here = geometry.apply(geometry.inverse(matrix), face.dense)
    where, covered = own.mesh.back(mesh.vertices(here, _RING), size)
    where = (where + 0.5) * np.float32(zoom) - 0.5
    width = max(float(np.ptp(here[points.OUTLINE][:, 0])), 1.0)
    smooth = texture.blurred(lit, mesh.WIDTH * zoom / width)
    laid = texture.sampled(smooth, where, cv2.INTER_CUBIC)
    around = surround.filled(pixels, mask)
    apart = cv2.GaussianBlur(np.abs(around - laid).max(2), (0, 0), _EDGE * width)
    share = _share(here[points.OUTLINE], mask, _EDGE * width, np.asarray(apart, np.float32)) * covered
    return np.asarray(around + share[..., None] * (laid - around), np.float32)


def _share(outline: Floats, mask: Floats, edge: float, apart: Floats) -> Floats:
    """Return how much of each pixel is the new face, (S, S) float32: 1 inside its outline, 0 at the mask's border.

    Between it falls smoothly all the way where the face and its surroundings are alike, as in front of the ears, and
    quickly where they are not: a wide passage from skin to a wall is a halo. outline: (36, 2) px of ``points.OUTLINE``.
    edge: the least way, px. apart: (S, S), how far face and surroundings differ, 0..1.
    """
    size = len(mask)
    canvas = np.zeros((size, size), np.uint8)
    cv2.fillPoly(canvas, [np.rint(outline * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    beyond = cv2.distanceTransform(1 - canvas, cv2.DIST_L2, cv2.DIST_MASK_5)
    left = cv2.distanceTransform((mask > 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    sharp = np.clip((apart - 0.12) / 0.25, 0, 1)
    # At the forehead the model's own hairline reaches out; at cheeks and jaw the face ends where the outline does.
    down = outline[points.CHIN] - outline[points.FOREHEAD]
    rows, columns = np.mgrid[:size, :size]
    along = (
        (columns - outline[points.FOREHEAD][0]) * down[0] + (rows - outline[points.FOREHEAD][1]) * down[1]
    ) / max(float(down @ down), 1.0)
    lower = np.clip((along - 0.05) / 0.2, 0, 1)
    middle = -0.2 + 0.53 * lower
    # Not to the mask's border, which moves from frame to frame, but short of it where it is near.
    place = np.clip(1 - beyond / (edge * (3.5 - 1.7 * lower)), 0, 1) * np.clip(left / edge, 0, 1)
    ramp = np.clip((place - 0.5 - middle * sharp) / (1 - 0.72 * sharp) + 0.5, 0, 1).astype(np.float32)
    return np.asarray(ramp * ramp * (3 - 2 * ramp), np.float32)
