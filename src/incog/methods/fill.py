"""Family ``obscure``, the safe default: a smooth fill that lets five numbers of the face through."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from incog.keys import Stream
from incog.methods.base import Check, Claim
from incog.methods.per_crop import CROP_CONDITION, LUMA, PerCrop, rest_of, scope_of
from incog.types import Floats, Key

Doubles = npt.NDArray[np.float64]

# The side that the statistics are taken at: enough for a colour and two slopes.
_FIT_SIZE = 32
# Slopes are whole numbers of 1/256, from -127 to 127.
_SLOPE_STEPS, _STEEPEST = 256, 127
# Steepest fall of light from the middle of the mask to its corner: more looks like a painted gradient.
_MAX_FALL = 0.45
# The shading that makes every face a little darker towards its outline: without it a fill looks cut out.
_ROUNDNESS = 0.1


@dataclass(frozen=True)
class Fill(PerCrop):
    """Smooth fill in the colour of the skin, with the light's fall across the face.

    colour * (1 + a u + b v - r), u and v the place from the mask's middle in half faces. The colour is a
    robust mean over the face hull (far-off tones such as eyes, hair, lips, glints count little), a and b are
    slopes of luma from a robust fit. These five numbers, each of 8 bits, are all that comes through of the
    face; r is a fixed, rounded shading, the same for everybody.
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
                scope=scope_of(frames),
                conditions=(
                    "the mask covers the whole face",
                    "the tone of the skin is meant to stay visible; blackout hides it",
                    CROP_CONDITION,
                ),
                value=5.0,
                # Three colours times a constant and two slopes.
                check=Check("span", 9),
            ),
            rest_of(frames),
        )

    def render(self, pixels: Floats, mask: Floats, face: float, key: Key, frame: int) -> Floats:
        u, v = places(mask, face)
        colour, slopes = skin_light(pixels, mask, u, v)
        covered = mask > 0
        reach = np.array([np.abs(u[covered.any(0)]).max(), np.abs(v[covered.any(1)]).max()])
        slopes = _tamed(slopes, reach, float(colour.max()))
        light = 1 + slopes[0] * u[None, :] + slopes[1] * v[:, None] - _roundness(u, v)
        filled: Floats = light.astype(np.float32)[..., None] * colour.astype(np.float32)
        filled += dither(len(pixels))[..., None]
        return filled


def skin_light(pixels: Floats, mask: Floats, u: Doubles, v: Doubles) -> tuple[Doubles, Doubles]:
    """Return the skin's colour (3,) and the light's slopes along u and v (2,), relative to the colour.

    Iteratively reweighted least squares of luma on (1, u, v), over the pixels where the mask is 1 (where
    there are none, above 0), with Welsch weights whose width follows the median residual. Dark outliers
    (eyes, hair, beard, nostrils) lose weight sooner than bright ones; pixels far from the middle (hair,
    background) start with less. Both results have 8 bits a number: the colour is in steps of 1/255 from 0 to
    1, the slopes are in steps of 1/256 from -127/256 to 127/256.
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
    prior = np.exp(-(3 * x**2 + 2 * y**2))
    design = np.stack([np.ones_like(x), x, y], axis=1)
    # Damps the slopes by a sixth or so: they flicker less, and few pixels cannot make a steep one.
    ridge = np.diag([0.0, 0.03, 0.03])
    fit = np.array([np.median(luma), 0.0, 0.0])
    weight = prior
    for _ in range(6):
        residual = luma - design @ fit
        width = 2 * max(0.02, 1.4826 * float(np.median(np.abs(residual))))
        weight = prior * np.exp(-np.square(residual / np.where(residual < 0, 0.7 * width, width)))
        weighted = design * weight[:, None]
        fit = np.linalg.solve(
            weighted.T @ design + ridge * weight.sum() + 1e-9 * np.eye(3), weighted.T @ luma
        )
    slopes = np.rint(_SLOPE_STEPS * fit[1:] / max(float(fit[0]), 1 / 255))
    slopes = np.clip(slopes, -_STEEPEST, _STEEPEST) / _SLOPE_STEPS
    light = np.maximum(1 + design[:, 1:] @ slopes, 0.1)
    colour = weight @ rgb / max(float(weight @ light), 1e-9)
    return np.rint(np.clip(colour, 0, 1) * 255) / 255, slopes


@lru_cache(maxsize=8)
def dither(size: int) -> Floats:
    """Return (S, S) float32 offsets of up to half an 8-bit level, the same for all faces, against banding."""
    uniform = Stream(Key(bytes(32)), "dither").uniform((size, size))
    offsets: Floats = ((uniform - 0.5) / 255).astype(np.float32)
    # Shared by all callers.
    offsets.setflags(write=False)
    return offsets


def _roundness(u: Doubles, v: Doubles) -> Doubles:
    """Return (S, S) in 0..0.1: nothing of it comes from the picture but the mask's middle."""
    # A face is narrower than high, so a step across counts more.
    distance = np.square(1.6 * np.square(u)[None, :] + np.square(v)[:, None])
    shading: Doubles = _ROUNDNESS * distance / (1 + distance)
    return shading


def places(mask: Floats, face: float) -> tuple[Doubles, Doubles]:
    """Return the distance of each column and row from the mask's middle, in half faces."""
    place = np.arange(len(mask), dtype=np.float64)
    across, down = mask.sum(0, dtype=np.float64), mask.sum(1, dtype=np.float64)
    half = max(face, 2.0) / 2
    return (place - place @ across / across.sum()) / half, (place - place @ down / down.sum()) / half


def _tamed(slopes: Doubles, reach: Doubles, brightest: float) -> Doubles:
    """Return the slopes, scaled down where they would fall too steeply or pass white within ``reach``."""
    fall = float(np.abs(slopes) @ reach)
    headroom = 1 / max(brightest, 1 / 255) - 1
    return slopes * min(1.0, min(_MAX_FALL, headroom) / max(fall, 1e-9))
