"""The appearance model itself: what the package's file holds, and faces as its coordinates."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from incog import models
from incog.appearance import light, mesh, texture
from incog.appearance.light import Light
from incog.appearance.mesh import SHAPE, Mesh
from incog.appearance.texture import Grid
from incog.errors import ModelError
from incog.points import COUNT
from incog.types import Floats

Flags = npt.NDArray[np.bool_]

NAME = "appearance"
"""The model's record."""

SHAPES, SHADES, LOOKED = 16, 6, 9
"""Numbers that a texture is expected from: coordinates of the shape, numbers of the light, and of the look."""

TOLD = SHAPES + SHADES + LOOKED


@dataclass(frozen=True, eq=False)
class Appearance:
    """Shape, texture, and how texture follows shape and light.

    corners: (VERTICES, 2) float32 and triangles: (T, 3) int32, the mesh in its frame, px. shape_mean: (260,) float32 in
    half sides of a crop of the template ``outline``; shape_modes: (S, 260), orthonormal; shape_spread: (S,), standard
    deviations. person_modes: (I, 260) float32, times their standard deviations: how faces differ when pose and
    expression are taken out; person_expected: (I, LOOKED + 1), their mean given a look, and person_rest: (I,), the
    standard deviations that it leaves. texture_mean: (L,) float32. texture_modes: (K, L) int8, scaled by
    ``texture_scale`` (K,):
    orthonormal rows. expected: (K, TOLD + 1) float32, the mean texture given what is told (as ``tell`` gives it); rest:
    (K, K) float32, a root of the covariance of what remains, its columns from weak to strong. turn: (S + 1,) float32,
    the yaw in degrees by a shape's coordinates.
    """

    corners: Floats
    triangles: npt.NDArray[np.int32]
    shape_mean: Floats
    shape_modes: Floats
    shape_spread: Floats
    person_modes: Floats
    person_expected: Floats
    person_rest: Floats
    texture_mean: Floats
    texture_modes: npt.NDArray[np.int8]
    texture_scale: Floats
    expected: Floats
    rest: Floats
    turn: Floats

    @cached_property
    def mesh(self) -> Mesh:
        return mesh.make(self.corners, self.triangles)

    @cached_property
    def grid(self) -> Grid:
        return texture.grid(self.mesh)

    @cached_property
    def light(self) -> Light:
        return light.make(self.mesh)

    @lru_cache(maxsize=4)  # noqa: B019
    def parts(self, zoom: int) -> tuple[Flags, Flags]:
        """Return the inner part of a face, and the skin in it, on a frame ``zoom`` times as large: (H, W) bool each."""
        height, width = SHAPE
        inner = self.grid.weight[: len(self.grid.full)] > 0.99
        both = np.zeros((2, height, width), np.float32)
        both[0].ravel()[self.grid.full[inner]] = 1
        both[1] = cv2.resize(self.light.prior.astype(np.float32), (width, height)) > 0.9
        large = [cv2.resize(part, (width * zoom, height * zoom)) > 0.5 for part in both]
        return large[0], large[1]

    @cached_property
    def _modes(self) -> Floats:
        return self.texture_modes.astype(np.float32)

    def shape_of(self, dense: Floats) -> Floats:
        """Return the coordinates (..., S) of shapes (..., 130, 2) in half sides."""
        flat = dense.reshape(*dense.shape[:-2], 2 * COUNT)
        return np.asarray((flat - self.shape_mean) @ self.shape_modes.T, np.float32)

    def dense_of(self, coordinates: Floats) -> Floats:
        """Return the shapes (..., 130, 2) of coordinates (..., S)."""
        flat = self.shape_mean + coordinates @ self.shape_modes
        return np.asarray(flat.reshape(*coordinates.shape[:-1], COUNT, 2), np.float32)

    def yaw(self, coordinates: Floats) -> float:
        """Return by how many degrees a face looks to the right of the picture, of its shape's coordinates (S,)."""
        return float(coordinates @ self.turn[:-1] + self.turn[-1])

    def texture_of(self, vector: Floats) -> Floats:
        """Return the coordinates (K,) of a texture (L,)."""
        return np.asarray((self._modes @ (vector - self.texture_mean)) * self.texture_scale, np.float32)

    def vector_of(self, coordinates: Floats) -> Floats:
        """Return the texture (L,) of coordinates (K,), or of the first ones."""
        count = len(coordinates)
        scaled = (coordinates * self.texture_scale[:count]).astype(np.float32)
        return np.asarray(self.texture_mean + scaled @ self._modes[:count], np.float32)

    def tell(self, shape: Floats, coefficients: Floats, look: Floats) -> Floats:
        """Return what a texture is expected from, (TOLD,): see ``told``, of a shape's coordinates (S,)."""
        # Turned faces lie far out in some directions, where a line fitted to the others says little.
        return told(np.clip(shape / self.shape_spread, -3, 3), coefficients, look)

    def pack(self) -> bytes:
        """Return the model as an NPZ file, half precision where that loses nothing."""
        stream = io.BytesIO()
        halves = ("shape_modes", "person_modes", "person_expected", "texture_mean", "expected", "rest")
        names = self.__dataclass_fields__
        arrays = {
            name: getattr(self, name).astype(np.float16) if name in halves else getattr(self, name)
            for name in names
        }
        np.savez_compressed(stream, **arrays)
        return stream.getvalue()


def told(shape: Floats, coefficients: Floats, look: Floats) -> Floats:
    """Return what a texture is expected from, (TOLD,) float32: the first coordinates of a shape in standard deviations,
    the level of its light and five slopes relative to it, and the look.

    shape: (S,). coefficients: (TERMS, 3), of the light. look: (9,), see ``incog.perceive.attributes.LOOK``.
    """
    luma = coefficients @ light.LUMA
    level = max(float(luma[0]), 0.05)
    shades = np.array([np.log(level), *(luma[1:6] / level)])
    return np.concatenate([shape[:SHAPES], shades, looked(look)]).astype(np.float32)


def looked(look: Floats) -> Floats:
    """Return the numbers of a look, (..., 9), that faces are expected from, (..., LOOKED): age in centuries and its
    square, female, the ethnicities but the first, whose share is what they leave, neutral and happy."""
    age = look[..., :1]
    return np.concatenate([age, age**2, look[..., 1:2], look[..., 3:]], -1)


def unpack(data: bytes) -> Appearance:
    """Return the model of an NPZ file. Raises ModelError when it is none."""
    try:
        with np.load(io.BytesIO(data)) as file:
            arrays = {name: file[name] for name in Appearance.__dataclass_fields__}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ModelError(f"the appearance model cannot be read: {error}") from error
    whole = ("triangles", "texture_modes")
    return Appearance(
        **{name: value if name in whole else value.astype(np.float32) for name, value in arrays.items()}
    )


@lru_cache(maxsize=1)
def load() -> Appearance:
    """Return the model that the package brings. Raises ModelError when it is missing or another file."""
    return unpack(models.own(NAME))
