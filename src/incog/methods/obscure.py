"""Family ``obscure``, the plain ones: cover the face, or keep only its coarse structure.

Sources of the definitions: METHODS "Classical obfuscation" in the docs; each class names its equation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, ClassVar, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from incog.methods.base import Claim
from incog.methods.parameters import Colour, Parameter
from incog.methods.per_crop import CROP_CONDITION, REST_CONDITION, PerCrop
from incog.types import Floats, Key

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Weights of R', G', B' in luma (ITU-R BT.709)."""

N = TypeVar("N", np.float32, np.int64)

# The side that the fill's statistics are taken at: enough for a colour and two slopes.
_FIT_SIZE = 64
# Steepest fall of light across the mask, as a share of its middle: more looks like a painted gradient.
_MAX_FALL = 0.45
_SLOPE_STEP = 1 / 256


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
                scope=_scope(frames),
                conditions=(CROP_CONDITION, REST_CONDITION),
                value=self.sigma,
            ),
        )

    def render(self, pixels: Floats, mask: Floats, face: float, key: Key, frame: int) -> Floats:
        return gaussian(pixels, self.sigma * face)


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
                f"At most {self.blocks} x {self.blocks} colours of the face come through in a frame, "
                "and other ones in the next frame as the face moves under the grid.",
                holds=False,
                scope=_scope(frames),
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
    """Low resolution (Ryoo et al. 2017): area mean down to width x height over the face, bilinear up."""

    name: ClassVar[str] = "low-resolution"
    family: ClassVar[str] = "obscure"
    summary: ClassVar[str] = "a few pixels across the face, enlarged smoothly"
    hides_from: ClassVar[str] = "people at a glance; not from retrained recognisers"
    weak: ClassVar[str] = (
        "A few pixels are a mosaic drawn smoothly: recognisers trained on mosaics named 71 % of people "
        "at the first guess (McPherson, Shokri and Shmatikov, 2016), and frames of a video add up to more pixels."
    )

    width: Annotated[int, Parameter("pixels across the face", 1, 64)] = 8
    height: Annotated[int, Parameter("pixels down the face", 1, 64)] = 8

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        return (
            Claim(
                f"At most {self.width} x {self.height} colours of the face come through in a frame, "
                "and other ones in the next frame as the face moves.",
                holds=False,
                scope=_scope(frames),
                conditions=(CROP_CONDITION, REST_CONDITION),
                value=float(self.width * self.height),
            ),
        )

    def render(self, pixels: Floats, mask: Floats, face: float, key: Key, frame: int) -> Floats:
        size = len(pixels)
        # Never as many as the crop has: then nothing would change.
        columns = max(1, min(round(self.width * size / face), size // 2))
        rows = max(1, min(round(self.height * size / face), size // 2))
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
                scope=_scope(frames),
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
                scope=_scope(frames),
                conditions=("the mask covers the whole face", CROP_CONDITION),
                value=0.0,
            ),
            _rest(frames),
        )

    def render(self, pixels: Floats, mask: Floats, face: float, key: Key, frame: int) -> Floats:
        return np.broadcast_to(np.array(self.colour, np.float32) / np.float32(255), pixels.shape)


@dataclass(frozen=True)
class Fill(PerCrop):
    """Smooth fill in the colour of the skin, with the light's fall across the face.

    colour * (1 + a u + b v), u and v the place from the mask's middle in half faces. The colour is a robust
    mean over the face hull (far-off tones such as eyes, hair, lips, glints count little), a and b are slopes
    of luma from a robust fit. These five numbers, each rounded to 8 bits, are all that comes through of the
    face.
    """

    name: ClassVar[str] = "fill"
    family: ClassVar[str] = "obscure"
    summary: ClassVar[str] = "smooth fill in the tone of the skin, with the fall of the light"
    hides_from: ClassVar[str] = "people and recognisers, retrained ones too, as far as the face goes"
    weak: ClassVar[str] = ""

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        return (
            Claim(
                "No pixel of the face survives: 5 numbers of 8 bits come through in a frame, "
                "the mean skin colour (3) and the slope of the light (2).",
                holds=True,
                scope=_scope(frames),
                conditions=(
                    "the mask covers the whole face",
                    "the tone of the skin is meant to stay visible; blackout hides it",
                    CROP_CONDITION,
                ),
                value=5.0,
            ),
            _rest(frames),
        )

    def render(self, pixels: Floats, mask: Floats, face: float, key: Key, frame: int) -> Floats:
        size = len(pixels)
        u, v = _places(mask, face)
        colour, slopes = skin_light(pixels, mask, u, v)
        covered = mask > 0
        reach = (np.abs(u[covered.any(0)]).max(), np.abs(v[covered.any(1)]).max())
        slopes = _tamed(slopes, reach, float(colour.max()))
        light = 1 + slopes[0] * u[None, :] + slopes[1] * v[:, None]
        filled = light[..., None] * colour + dither(size)[..., None]
        return np.asarray(filled, np.float32)


def gaussian(pixels: Floats, sigma: float) -> Floats:
    """Return pixels (H, W) or (H, W, 3) under a Gaussian of ``sigma`` px, cut at ceil(3 sigma), reflected."""
    side = 2 * math.ceil(3 * sigma) + 1
    blurred = cv2.GaussianBlur(pixels, (side, side), sigma, borderType=cv2.BORDER_REFLECT)
    return np.asarray(blurred, np.float32)


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


def spread(blocks: Floats, side: int, size: int) -> Floats:
    """Return a picture (S, S, C) in which every block has the value of ``blocks`` (N, N, C)."""
    index = np.arange(size) // side
    return np.asarray(blocks, np.float32)[index[:, None], index[None, :]]


def skin_light(
    pixels: Floats, mask: Floats, u: npt.NDArray[np.float64], v: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the skin's colour (3,) and the light's slopes along u and v (2,), relative to the colour.

    Iteratively reweighted least squares of luma on (1, u, v), over the pixels where the mask is 1 (where
    there are none, above 0), with Welsch weights whose width follows the median residual. Dark outliers
    (eyes, hair, beard, nostrils) lose weight sooner than bright ones, pixels far from the middle (hair,
    background) start with less. Both results are rounded, the colour to 8 bits and the slopes to steps of
    1/256.
    """
    step = max(1, len(mask) // _FIT_SIZE)
    hull = mask[::step, ::step] >= 1
    if not hull.any():
        hull = mask[::step, ::step] > 0
    if not hull.any():
        step, hull = 1, mask > 0
    # Means of small cells rather than samples: less noise, and no flicker when the face moves by a pixel.
    small = cv2.blur(pixels, (step, step))[::step, ::step] if step > 1 else pixels
    rows, columns = np.nonzero(hull)
    rgb = small[rows, columns].astype(np.float64)
    x, y = u[::step][columns], v[::step][rows]
    luma = rgb @ LUMA
    prior = np.exp(-(x**2 + y**2))
    design = np.stack([np.ones_like(x), x, y], axis=1)
    # A little weight against slopes that few pixels would decide.
    ridge = np.diag([0.0, 0.01, 0.01]) * prior.sum()
    fit = np.array([np.median(luma), 0.0, 0.0])
    weight = prior
    for _ in range(6):
        residual = luma - design @ fit
        width = 2 * max(0.02, 1.4826 * float(np.median(np.abs(residual))))
        weight = prior * np.exp(-np.square(residual / np.where(residual < 0, 0.7 * width, width)))
        weighted = design * weight[:, None]
        fit = np.linalg.solve(weighted.T @ design + ridge + 1e-9 * np.eye(3), weighted.T @ luma)
    slopes = fit[1:] / max(float(fit[0]), 1 / 255)
    light = np.maximum(design[:, 0] + design[:, 1:] @ slopes, 0.1)
    colour = weight @ rgb / (weight @ light)
    colour = np.rint(np.clip(colour, 0, 1) * 255) / 255
    return colour, np.rint(slopes / _SLOPE_STEP) * _SLOPE_STEP


@lru_cache(maxsize=8)
def dither(size: int) -> Floats:
    """Return (S, S) float32 offsets of up to half an 8-bit level, the same for all faces, against banding.

    Ordered by the golden ratio's two-dimensional relative (the R2 sequence), so that neighbours differ a lot.
    """
    row, column = np.mgrid[:size, :size]
    phase = (0.7548776662466927 * column + 0.5698402909980532 * row) % 1
    pattern: Floats = ((np.abs(2 * phase - 1) - 0.5) / 255).astype(np.float32)
    # Shared by all callers.
    pattern.setflags(write=False)
    return pattern


def _places(mask: Floats, face: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the distance of each column and row from the mask's middle, in half faces."""
    place = np.arange(len(mask), dtype=np.float64)
    across, down = mask.sum(0, dtype=np.float64), mask.sum(1, dtype=np.float64)
    half = max(face, 2.0) / 2
    return (place - place @ across / across.sum()) / half, (place - place @ down / down.sum()) / half


def _tamed(
    slopes: npt.NDArray[np.float64], reach: tuple[float, float], brightest: float
) -> npt.NDArray[np.float64]:
    """Return the slopes, scaled down where they would fall too steeply or pass white within ``reach``."""
    fall = float(np.abs(slopes) @ reach)
    headroom = 1 / max(brightest, 1 / 255) - 1
    return slopes * min(1.0, min(_MAX_FALL, headroom) / max(fall, 1e-9))


def _scope(frames: int) -> str:
    return "the masked pixels of one picture" if frames == 1 else f"the masked pixels of {frames} frames"


def _rest(frames: int) -> Claim:
    return Claim(
        "What lies outside of the mask can still identify the person.",
        holds=False,
        scope=_scope(frames).replace("masked pixels", "rest"),
        conditions=(REST_CONDITION,),
    )
