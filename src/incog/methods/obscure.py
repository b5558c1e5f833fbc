"""Family ``obscure``, the plain ones: cover the face with one colour, or keep only its coarse structure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from incog.methods.base import Check, Claim
from incog.methods.parameters import Colour, Parameter
from incog.methods.per_crop import CROP_CONDITION, REST_CONDITION, PerCrop, rest_of, scope_of, window_of
from incog.types import Floats, Key

N = TypeVar("N", np.float32, np.int64)


@dataclass(frozen=True)
class Blur(PerCrop):
    """Gaussian blur: x' = g_sigma * x, separable, cut at 3 sigma, reflected at the crop's border."""

    name: ClassVar[str] = "blur"
    family: ClassVar[str] = "obscure"
    summary: ClassVar[str] = "Gaussian blur"
    hides_from: ClassVar[str] = "people at a glance; not from retrained recognisers or restoration"
    weak: ClassVar[str] = (
        "Blur is a linear map that can be undone up to noise: after restoration by a diffusion model, "
        "95.9 % of Gaussian-blurred faces were re-identified (Revelio, 2025)."
    )

    sigma: Annotated[float, Parameter("standard deviation", 0.02, 1, unit="of the face")] = 0.15

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        return (
            Claim(
                f"Detail finer than about {self.sigma:.0%} of the face is strongly damped, not removed; "
                "the face can be restored in part.",
                holds=False,
                scope=scope_of(frames),
                conditions=(CROP_CONDITION, REST_CONDITION),
                value=self.sigma,
            ),
        )

    def render(self, pixels: Floats, mask: Floats, face: float, key: Key, frame: int) -> Floats:
        rows, columns = window_of(mask)
        blurred = pixels.copy()
        blurred[rows, columns] = gaussian(pixels, self.sigma * face, rows, columns)
        return blurred


@dataclass(frozen=True)
class Pixelate(PerCrop):
    """Mosaic: every block becomes the mean of its pixels. The grid starts at the crop's corner."""

    name: ClassVar[str] = "pixelate"
    family: ClassVar[str] = "obscure"
    summary: ClassVar[str] = "mosaic of block means"
    hides_from: ClassVar[str] = "people at a glance; not from retrained recognisers"
    weak: ClassVar[str] = (
        "Recognisers trained on mosaics named 71 % of people at the first guess and 83 % within five, "
        "where chance is 0.19 % (McPherson, Shokri and Shmatikov, 2016)."
    )

    blocks: Annotated[int, Parameter("blocks across the longer side of the face", 1, 64)] = 8

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        return (
            Claim(
                f"About {self.blocks} x {self.blocks} colours of the face come through in a frame, "
                "and other ones in the next frame as the face moves under the grid.",
                holds=False,
                scope=scope_of(frames),
                conditions=(CROP_CONDITION, REST_CONDITION),
                value=float(self.blocks**2),
            ),
        )

    def render(self, pixels: Floats, mask: Floats, face: float, key: Key, frame: int) -> Floats:
        side = block_side(face, self.blocks, len(pixels))
        sums, counts = block_sums(pixels, side)
        return spread(sums / counts[..., None], side, len(pixels))


@dataclass(frozen=True)
class LowResolution(PerCrop):
    """Low resolution (Ryoo et al. 2017): area mean to width x height over the face, then bilinear."""

    name: ClassVar[str] = "low-resolution"
    family: ClassVar[str] = "obscure"
    summary: ClassVar[str] = "a few pixels across the face, enlarged smoothly"
    hides_from: ClassVar[str] = "people at a glance; not from retrained recognisers"
    weak: ClassVar[str] = (
        "A few pixels are a mosaic drawn smoothly: recognisers trained on mosaics named 71 % of people "
        "at the first guess (McPherson, Shokri and Shmatikov, 2016), and a video's frames add up."
    )

    width: Annotated[int, Parameter("pixels across the face", 1, 64)] = 8
    height: Annotated[int, Parameter("pixels down the face", 1, 64)] = 8

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        return (
            Claim(
                f"About {self.width} x {self.height} colours of the face come through in a frame, "
                "and other ones in the next frame as the face moves.",
                holds=False,
                scope=scope_of(frames),
                conditions=(CROP_CONDITION, REST_CONDITION),
                value=float(self.width * self.height),
            ),
        )

    def render(self, pixels: Floats, mask: Floats, face: float, key: Key, frame: int) -> Floats:
        size = len(pixels)
        columns, rows = (pixel_count(count, face, size) for count in (self.width, self.height))
        small = cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)


@dataclass(frozen=True)
class Darken(PerCrop):
    """Darkening: x' = factor * x on R'G'B'."""

    name: ClassVar[str] = "darken"
    family: ClassVar[str] = "obscure"
    summary: ClassVar[str] = "the face as in deep shadow"
    hides_from: ClassVar[str] = "nobody who can raise the brightness"
    weak: ClassVar[str] = (
        "Darkening only scales the pixels: raising the brightness brings the face back but for rounding."
    )

    factor: Annotated[float, Parameter("share of the brightness that is left", 0, 0.5)] = 0.1

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        return (
            Claim(
                f"About {max(1, round(256 * self.factor))} of 256 brightness levels are left; "
                "the structure of the face stays.",
                holds=False,
                scope=scope_of(frames),
                conditions=(CROP_CONDITION, REST_CONDITION),
                value=self.factor,
            ),
        )

    def render(self, pixels: Floats, mask: Floats, face: float, key: Key, frame: int) -> Floats:
        return pixels * np.float32(self.factor)


@dataclass(frozen=True)
class Blackout(PerCrop):
    """One colour all over the mask: x' = (1 - m) x + m c."""

    name: ClassVar[str] = "blackout"
    family: ClassVar[str] = "obscure"
    summary: ClassVar[str] = "one flat colour"
    hides_from: ClassVar[str] = "people and recognisers, retrained ones too, as far as the face goes"
    weak: ClassVar[str] = ""

    colour: Annotated[Colour, Parameter("colour of the cover")] = (0, 0, 0)

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        return (
            Claim(
                "No pixel of the face survives: 0 numbers of it come through.",
                holds=True,
                scope=scope_of(frames),
                conditions=("the mask covers the whole face", CROP_CONDITION),
                value=0.0,
                check=Check("span", 0),
            ),
            rest_of(frames),
        )

    def render(self, pixels: Floats, mask: Floats, face: float, key: Key, frame: int) -> Floats:
        return np.broadcast_to(np.array(self.colour, np.float32) / np.float32(255), pixels.shape)


def gaussian(pixels: Floats, sigma: float, rows: slice, columns: slice) -> Floats:
    """Return the window of pixels (S, S, 3) under a Gaussian of ``sigma`` px (cut at 3 sigma, reflected).

    rows, columns: slices with bounds and without steps. Nothing outside of the window is computed.
    """
    # Two products with banded matrices: faster than convolving with wide kernels, and as exact in float32.
    size = len(pixels)
    down = np.matmul(gaussian_weights(size, sigma, rows), pixels.reshape(size, -1)).reshape(-1, size, 3)
    window: Floats = np.matmul(gaussian_weights(size, sigma, columns), down)
    return window


def gaussian_weights(size: int, sigma: float, window: slice) -> Floats:
    """Return (window, size) float32: what each of ``size`` pixels in a row adds to each of the window."""
    reach = np.arange(-math.ceil(3 * sigma), math.ceil(3 * sigma) + 1)
    kernel = np.exp(-np.square(reach) / (2 * sigma**2))
    place = np.arange(window.start, window.stop)
    # Half-sample reflection has a period of twice the size.
    source = (place[:, None] + reach) % (2 * size)
    source = np.where(source < size, source, 2 * size - 1 - source)
    cell = np.arange(len(place))[:, None] * size + source
    shares = np.broadcast_to(kernel / kernel.sum(), cell.shape)
    total = np.bincount(cell.ravel(), shares.ravel(), len(place) * size)
    return total.reshape(-1, size).astype(np.float32)


def pixel_count(count: int, face: float, size: int) -> int:
    """Return how many pixels the crop's side becomes when the face becomes ``count``: 1 .. size / 2."""
    # Never as many as the crop has: then nothing would change.
    return max(1, min(round(count * size / face), size // 2))


def block_side(face: float, blocks: int, size: int) -> int:
    """Return the side in pixels of blocks of which ``blocks`` go across the face: 2 .. size."""
    # One pixel per block would change nothing; rounding up lets at most ``blocks`` blocks through.
    return min(size, max(2, math.ceil(face / blocks)))


def block_sums(values: npt.NDArray[N], side: int) -> tuple[npt.NDArray[N], npt.NDArray[np.int64]]:
    """Return the sums of (S, S, C) values over square blocks, (N, N, C), and the pixels per block, (N, N).

    The blocks at the right and lower border are as large as the picture lets them be.
    """
    starts = np.arange(0, len(values), side)
    sums: npt.NDArray[N] = np.add.reduceat(np.add.reduceat(values, starts, axis=0), starts, axis=1)
    lengths = np.diff(np.append(starts, len(values)))
    return sums, lengths[:, None] * lengths[None, :]


def spread(blocks: Floats | npt.NDArray[np.float64], side: int, size: int) -> Floats:
    """Return a picture (S, S, C), float32, in which every block has the value of ``blocks`` (N, N, C)."""
    index = np.arange(size) // side
    return np.asarray(blocks, np.float32)[index[:, None], index[None, :]]
