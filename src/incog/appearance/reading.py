"""What is read of a face in a crop: its shape, its light, and how coarse its skin is; and whether it can be read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from incog import points, shape
from incog.alignment import similarity
from incog.appearance import grain, mesh, texture
from incog.appearance.mesh import WIDTH
from incog.appearance.model import Appearance
from incog.data.faces import template
from incog.types import Floats

TURNED = 40.0
"""Yaw in degrees beyond which a face is not read: half of it is not there."""

_ODDEST = 6.0
"""Largest mean square of a shape's coordinates in standard deviations."""

_LEAST_SKIN = 0.6
"""Least share of the skin's places that must fit one light."""

_STEEP = 3.0
"""Ratio of the light on the brightest and on the darkest skin to which steeper light is tamed: 2.2 is exceeded on one
face in fifty, by lamps from the side or by something dark that stands before half of it."""

_STEEPEST = 8.0
"""Ratio from which on it is no light."""

_ZOOMS = (1, 2, 4)


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A face in a crop. matrix: (2, 3) float32, crop -> half sides of the template ``outline``. dense: (130, 2)
    float32, its points there. light: (TERMS, 3) float32. bands: how sharp and grainy it is. zoom: how much larger the
    frame is painted than the model's. face: (H, W, 3) float32, the face itself in the frame: for fitting, never for
    painting.
    """

    matrix: Floats
    dense: Floats
    light: Floats
    bands: grain.Bands
    zoom: int
    face: Floats


@lru_cache(maxsize=1)
def goal() -> Floats:
    """Return where the five points lie in the template ``outline``, (5, 2) float32 in half sides."""
    return shape.halves(template("outline", 128), 128)


def read(own: Appearance, pixels: Floats, dense: Floats) -> Reading | None:
    """Return what is read of a face, None where it cannot be: points unknown, or not a face's seen from the front, or
    hardly any skin under one light.

    pixels: (S, S, 3) float32, R'G'B' in 0..1. dense: (130, 2) float32 px of it.
    """
    if not np.isfinite(dense).all():
        return None
    width = float(np.ptp(dense[points.OUTLINE], axis=0).max())
    if width < 8:
        return None
    matrix = similarity(points.five(dense), goal())
    placed = np.asarray(dense @ matrix[:, :2].T + matrix[:, 2], np.float32)
    coordinates = own.shape_of(placed)
    if float(np.square(coordinates / own.shape_spread).mean()) > _ODDEST:
        return None
    if abs(own.yaw(coordinates)) > TURNED:
        return None
    across = float(np.ptp(dense[points.OUTLINE], axis=0)[0])
    zoom = next((zoom for zoom in _ZOOMS if across <= 1.4 * zoom * WIDTH), _ZOOMS[-1])
    corners = mesh.vertices(dense)
    face = texture.taken(pixels, corners, own.mesh)
    coefficients, skin = own.light(face)
    if skin < _LEAST_SKIN or own.light.contrast(coefficients) > _STEEPEST:
        return None
    large = face if zoom == 1 else texture.taken(pixels, corners, own.mesh, zoom)
    rough = grain.bands(own, large, coefficients, zoom)
    return Reading(matrix, placed, own.light.tamed(coefficients, _STEEP), rough, zoom, face)
