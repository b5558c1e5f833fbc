"""The light on a face and the tone of its skin: a smooth surface per colour, fitted to what looks like skin."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from incog import points
from incog.appearance.mesh import ROWS, SHAPE, Mesh
from incog.types import Array, Floats

Doubles = npt.NDArray[np.float64]

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Weights of R', G', B' in luma (ITU-R BT.709)."""

TERMS = 10
"""Of a polynomial in two coordinates up to the third order."""

LEAST = 0.02
"""Of the light: where it is darker nothing can be told of the texture."""

_STEP = 4
"""Side of the cells whose means are fitted, px of the frame."""

_RIDGE = (0, 0.02, 0.02, 0.05, 0.05, 0.05, 0.2, 0.2, 0.2, 0.2)
"""How much each term is held back, per unit of weight: high orders would follow hair and shadows."""

_BESIDE = ("right_eye", "left_eye", "right_brow", "left_brow", "outer_lips")
"""What is not skin."""


def basis(shape: tuple[int, int] = SHAPE) -> Floats:
    """Return the polynomial's terms on a frame, (H, W, TERMS) float32; the coordinates end at about -1 and 1."""
    height, width = shape
    u = ((np.arange(width) + 0.5) * (2 / width) - 1)[None, :] + np.zeros((height, 1))
    v = ((np.arange(height) + 0.5) * (2 / height) - 1)[:, None] + np.zeros((1, width))
    terms = [u**0, u, v, u * u, u * v, v * v, u**3, u * u * v, u * v * v, v**3]
    return np.stack(terms, axis=2).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """Fits light in a mesh's frame. prior: (h, w) float64, how likely each cell of ``_STEP`` px shows skin; terms:
    (h, w, TERMS)."""

    prior: Doubles
    terms: Doubles

    def __call__(self, face: Floats, shown: Floats | None = None) -> tuple[Floats, float]:
        """Return the light (TERMS, 3) float32 of a face in the frame, (H, W, 3) float32, R'G'B' in 0..1, and the share
        of the skin's places that it explains.

        Iteratively reweighted least squares of luma with Welsch weights whose width follows the median residual: what
        is far darker than its surroundings (beard, hair, frames of glasses) or brighter (glints) loses its weight; the
        colours are then fitted with the same weights. shown: (H, W), 1 where the face is seen; everywhere if left out.
        """
        small = cells(face)
        prior = self.prior if shown is None else self.prior * (cells(shown) > 0.99)
        use = prior > 0.01
        rgb, terms, prior = small[use].astype(np.float64), self.terms[use], prior[use]
        luma = rgb @ LUMA
        ridge = np.diag(np.array(_RIDGE) + 1e-9)
        weight = prior
        for _ in range(6):
            weighted = terms * weight[:, None]
            fit = np.linalg.solve(weighted.T @ terms + ridge * weight.sum(), weighted.T @ luma)
            residual = luma - terms @ fit
            width = 2.5 * max(0.015, 1.4826 * float(np.median(np.abs(residual))))
            weight = prior * np.exp(-np.square(residual / np.where(residual < 0, 0.8 * width, width)))
        weighted = terms * weight[:, None]
        found = np.linalg.solve(weighted.T @ terms + ridge * weight.sum(), weighted.T @ rgb)
        return found.astype(np.float32), float(weight.sum() / max(float(prior.sum()), 1e-9))

    def contrast(self, coefficients: Floats) -> float:
        """Return the ratio of the luma of a light (TERMS, 3) on the brightest skin to that on the darkest."""
        luma = np.maximum(self.terms[self.prior > 0.3] @ (coefficients @ LUMA), LEAST)
        low, high = np.percentile(luma, [2, 98])
        return float(high / low)

    def tamed(self, coefficients: Floats, most: float) -> Floats:
        """Return a light (TERMS, 3) whose contrast is ``most`` or less: drawn towards its mean colour on the skin."""
        if self.contrast(coefficients) <= most:
            return coefficients
        even = np.zeros_like(coefficients)
        even[0] = (self.terms[self.prior > 0.3] @ coefficients).mean(0)
        low, high = 0.0, 1.0
        for _ in range(12):
            share = (low + high) / 2
            fits = self.contrast(even + np.float32(share) * (coefficients - even)) <= most
            low, high = (share, high) if fits else (low, share)
        return np.asarray(even + np.float32(low) * (coefficients - even), np.float32)


def cells(image: Floats) -> Floats:
    """Return the means of a frame's cells: (H, W, ...) -> (H / 4, W / 4, ...)."""
    height, width = image.shape[:2]
    return np.asarray(
        cv2.resize(image, (width // _STEP, height // _STEP), interpolation=cv2.INTER_AREA), np.float32
    )


def make(mesh: Mesh) -> Light:
    """Return the fit for a mesh."""
    canvas = np.zeros(SHAPE, np.uint8)
    corners = mesh.corners
    cv2.fillConvexPoly(canvas, _fixed(corners[points.OUTLINE]), 255, cv2.LINE_8, 4)
    canvas = np.asarray(cv2.erode(canvas, np.ones((7, 7), np.uint8)), np.uint8)
    for name in _BESIDE:
        group = points.GROUPS[name]
        feature = np.zeros(SHAPE, np.uint8)
        cv2.fillPoly(feature, [_fixed(cv2.convexHull(corners[ROWS[group]])[:, 0])], 255, cv2.LINE_8, 4)
        canvas[cv2.dilate(feature, np.ones((9, 9), np.uint8)) > 0] = 0
    base = corners[ROWS[slice(103, 110)]]
    cv2.fillPoly(canvas, [_fixed(cv2.convexHull(base - np.float32(2))[:, 0])], 0, cv2.LINE_8, 4)
    terms = basis()
    small = cells(np.asarray(canvas, np.float32) / np.float32(255))
    # The forehead may be hair, the jaw beard: both count less than the cheeks.
    v = cells(np.ascontiguousarray(terms[:, :, 2]))
    trust = np.where(v < -0.45, 0.5, 1.0) * np.where(v > 0.45, 0.4, 1.0)
    return Light((small * trust).astype(np.float64), cells_of(terms))


def cells_of(terms: Floats) -> Doubles:
    """Return the means of a frame's terms over its cells, (h, w, TERMS)."""
    planes = [cells(np.ascontiguousarray(terms[:, :, n])) for n in range(terms.shape[2])]
    return np.stack(planes, axis=2).astype(np.float64)


def _fixed(corners: Array) -> npt.NDArray[np.int32]:
    return np.rint(np.asarray(corners, np.float32) * 16).astype(np.int32)
