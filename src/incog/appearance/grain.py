"""How sharp a face is and how grainy its skin: a few variances, by which a new face is made alike.

Luma, freed of its light, is split into octaves; of each only two numbers are read. New grain is noise from a key that
lies on the face as pores do, in step with nothing of the old face.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from incog.appearance import light, texture
from incog.appearance.mesh import SHAPE
from incog.keys import Stream
from incog.types import Floats

if TYPE_CHECKING:
    from incog.appearance.model import Appearance

OCTAVES = 3

_MOST_GAIN, _LEAST_GAIN = 2.0, 0.35
_MOST_GRAIN = (0.025, 0.015, 0.006)
"""Most noise in each octave, relative to the light: coarse noise looks like freckles."""


@dataclass(frozen=True, slots=True, eq=False)
class Bands:
    """face: (OCTAVES,) float32, standard deviation of each octave, finest first, over the face's inner part, and skin:
    (OCTAVES,), over the skin alone, by the median and so without wrinkles; relative to the light."""

    face: Floats
    skin: Floats


def octaves(luma: Floats) -> list[Floats]:
    """Return the finest octaves of a picture (H, W) and what is left, finest first."""
    found, rest = [], luma
    for number in range(OCTAVES):
        smooth = np.asarray(cv2.GaussianBlur(rest, (0, 0), 0.8 * 2**number), np.float32)
        found.append(rest - smooth)
        rest = smooth
    return [*found, rest]


def bands(own: Appearance, face: Floats, coefficients: Floats, zoom: int) -> Bands:
    """Return the bands of a face in a frame ``zoom`` times as large, (H, W, 3) float32, under a light."""
    luma = (face @ light.LUMA) / (texture.lit(coefficients, zoom) @ light.LUMA)
    return told(octaves(luma), own, zoom)


def told(split: list[Floats], own: Appearance, zoom: int) -> Bands:
    """Return the bands of octaves."""
    inner, skin = own.parts(zoom)
    face = [float(np.std(band[inner])) for band in split[:OCTAVES]]
    plain = [1.4826 * float(np.median(np.abs(band[skin]))) for band in split[:OCTAVES]]
    return Bands(np.array(face, np.float32), np.array(plain, np.float32))


def alike(new: Floats, own: Appearance, goal: Bands, stream: Stream, strength: float, zoom: int) -> Floats:
    """Return a reflectance (H, W, 3) float32 with the sharpness and the grain of ``goal``.

    Octaves are weakened or strengthened, within limits, to those of the goal over the face; of what the skin then lacks
    a share of ``strength`` is added as noise of the stream.
    """
    luma = new @ light.LUMA
    split = octaves(luma)
    now = told(split, own, zoom)
    made = split[-1]
    for number, (band, noise, most) in enumerate(zip(split, _noise(stream, zoom), _MOST_GRAIN, strict=False)):
        wanted = float(goal.face[number]) / max(float(now.face[number]), 1e-5)
        gain = min(max(wanted, _LEAST_GAIN), _MOST_GAIN)
        lacks = float(goal.skin[number]) ** 2 - (gain * float(now.skin[number])) ** 2
        made = made + gain * band + noise * min(strength * max(lacks, 0.0) ** 0.5, most)
    return np.asarray(new + (made - luma)[..., None], np.float32)


def _noise(stream: Stream, zoom: int) -> list[Floats]:
    """Return noise in octaves of unit variance each."""
    white = stream.normal((SHAPE[0] * zoom, SHAPE[1] * zoom)).astype(np.float32)
    return [band / scale for band, scale in zip(octaves(white)[:-1], _scales(), strict=True)]


@lru_cache(maxsize=1)
def _scales() -> tuple[float, ...]:
    """Return the standard deviations of the octaves of white noise."""
    pulse = np.zeros((65, 65), np.float32)
    pulse[32, 32] = 1
    return tuple(float(np.sqrt(np.square(band).sum())) for band in octaves(pulse)[:-1])
