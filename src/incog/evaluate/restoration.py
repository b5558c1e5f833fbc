"""Attackers who learn nothing: they know the method, its settings and where the face was, and compute their way back.

Each works in the method's own frame: from box, points and outline follow the crop that the method was given, its grid
of blocks or grains and its mask, to the pixel. An aligned crop would not do, since its grid is turned and cut off. All
but averaging take the likeliest picture under one prior, that neighbouring pixels differ little: normal, with a
variance for the sum of the channels and a smaller one for their differences. Power then falls with the square of the
frequency, as in photographs, and the way back from a blur is Wiener's filter, with what shows around the mask as its
border.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import sparse, special
from scipy.sparse import linalg

from incog import geometry
from incog.methods.noise import DpPixelate, GaussianNoise, ImpulseNoise, grains
from incog.methods.obscure import (
    Blur,
    LowResolution,
    Pixelate,
    block_side,
    gaussian_weights,
    pixel_count,
    spread,
)
from incog.types import Bytes, Face, Floats

Parameters = Mapping[str, Any]
Restorer = Callable[[Bytes, Face, Floats], Bytes]
"""Returns a picture (H, W, 3) uint8 with one face restored, of a hidden picture, the face as it was found in the
original, and the outline (K, 2) float32 px that the mask covers wholly."""

ROUNDING = 1.5 / 255
"""Standard deviation of what 8 bits and two resamplings add to a pixel of the crop."""

SMOOTH = 0.04
"""Standard deviation of the difference of neighbouring pixels of a crop, for the sum of the channels at unit norm. As
all such figures here: what serves best on other people of LFW."""

STEEP = 0.3
"""The same of neighbouring grains and blocks."""

PALE = 0.3
"""The same of the differences of the channels, as a share of that of their sum."""

OPPONENT: Floats = np.array(
    [np.ones(3) / np.sqrt(3), np.array([1, 0, -1]) / np.sqrt(2), np.array([1, -2, 1]) / np.sqrt(6)],
    np.float32,
)
"""Orthonormal: the sum of the channels, and two differences."""

ROUNDS = 6
"""Of expectation and maximisation, where noise was clipped."""

ITERATIONS = 60
"""Of conjugate gradients."""


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """A hidden face as the method had it: the crop's pixels (S, S, 3) in 0..1 and its mask (S, S); matrix: (2, 3), crop
    -> picture; face: longer side of the face in pixels of the crop."""

    picture: Bytes
    outline: Floats
    feather: float
    matrix: Floats
    pixels: Floats
    mask: Floats
    face: float

    @classmethod
    def of(cls, picture: Bytes, face: Face, outline: Floats) -> _View:
        matrix, size = geometry.crop_matrix(face, outline)
        scale, feather = float(np.hypot(matrix[0, 0], matrix[1, 0])), geometry.feather_width(face)
        inside = [geometry.apply(geometry.inverse(matrix), outline)]
        mask = geometry.mask(inside, (0, 0, size, size), feather / scale)
        pixels = geometry.to_crop(picture.astype(np.float32) / np.float32(255), matrix, size)
        return cls(picture, outline, feather, matrix, pixels, mask, face.size / scale)

    def laid(self, pixels: Floats) -> Bytes:
        """Return the picture with pixels (S, S, 3) in 0..1 wherever the mask is above 0."""
        height, width = self.picture.shape[:2]
        covered = geometry.mask([self.outline], (0, 0, width, height), self.feather) > 0
        new = np.clip(np.rint(geometry.from_crop(pixels, self.matrix, (height, width)) * 255), 0, 255)
        return np.where(covered[..., None], new.astype(np.uint8), self.picture)


_Undo = Callable[[_View], Floats]
"""Returns the restored crop, (S, S, 3) float32."""


def restorer(method: str, parameters: Parameters) -> Restorer | None:
    """Return the restoration for a method, by its name and settings, all of them, as ``pipeline.parameters`` gives
    them; None where nothing can be computed without learning."""
    make = _UNDOING.get(method)
    if make is None:
        return None
    undo = make(**parameters)

    def restore(picture: Bytes, face: Face, outline: Floats) -> Bytes:
        view = _View.of(picture, face, outline)
        return view.laid(undo(view))

    return restore


def averaged(views: Sequence[Bytes]) -> Bytes:
    """Return the mean of pictures (H, W, 3) uint8 of one still scene, each hidden with noise of its own.

    Independent noise falls with the root of their number; what it lost by clipping at black and white stays lost.
    Raises ValueError without pictures, or when they differ in shape.
    """
    shapes = {view.shape for view in views}
    if len(shapes) != 1:
        raise ValueError(f"views must be one and more of one shape, got {sorted(shapes)}")
    total = np.zeros(views[0].shape, np.float64)
    for view in views:
        total += view
    return np.rint(total / len(views)).astype(np.uint8)


# What is mixed


def _deblur(*, sigma: float) -> _Undo:
    def undo(view: _View) -> Floats:
        size = len(view.mask)
        weights = gaussian_weights(size, sigma * view.face, slice(0, size))
        return _unmixed(view, weights, weights)

    return undo


def _unpixelate(*, blocks: int) -> _Undo:
    def undo(view: _View) -> Floats:
        size, side = len(view.mask), block_side(view.face, blocks, len(view.mask))
        index = np.arange(size) // side
        same = (index[:, None] == index[None]).astype(np.float32)
        same /= same.sum(1, keepdims=True)
        return _unmixed(view, same, same)

    return undo


def _sharpen(*, width: int, height: int) -> _Undo:
    def undo(view: _View) -> Floats:
        size = len(view.mask)
        each = np.eye(size, dtype=np.float32)
        # One axis at a time: what becomes of a single row.
        down, across = (
            cv2.resize(
                cv2.resize(each, (size, pixel_count(count, view.face, size)), interpolation=cv2.INTER_AREA),
                (size, size),
                interpolation=cv2.INTER_LINEAR,
            )
            for count in (height, width)
        )
        return _unmixed(view, np.asarray(down, np.float32), np.asarray(across, np.float32))

    return undo


def _unmixed(view: _View, down: Floats, across: Floats) -> Floats:
    """Return the likeliest crop (S, S, 3) of a method that makes ``down @ x @ across.T`` of each channel x.

    down, across: (S, S). The least of |m A x + (1 - m) x - y|^2 / ROUNDING^2 and the prior, by conjugate gradients;
    m is the mask and y what is seen.
    """
    shape = (3, *view.mask.shape)
    mask = view.mask
    rough = np.square(ROUNDING / (SMOOTH * np.array([1, PALE, PALE], np.float32)))[:, None, None]

    def forward(x: Floats) -> Floats:
        return np.asarray(mask * (down @ x @ across.T) + (1 - mask) * x, np.float32)

    def adjoint(y: Floats) -> Floats:
        return np.asarray(down.T @ (mask * y) @ across + (1 - mask) * y, np.float32)

    def normal(flat: Floats) -> Floats:
        x = flat.reshape(shape)
        return np.asarray(adjoint(forward(x)) + rough * _roughness(x), np.float32).ravel()

    seen = np.einsum("oc,hwc->ohw", OPPONENT, view.pixels)
    count = seen.size
    system: Any = linalg.LinearOperator((count, count), matvec=normal, dtype=np.float32)
    found, _ = linalg.cg(system, adjoint(seen).ravel(), x0=seen.ravel(), rtol=1e-4, maxiter=ITERATIONS)
    return np.asarray(np.einsum("oc,ohw->hwc", OPPONENT, found.reshape(shape)), np.float32)


def _roughness(x: Floats) -> Floats:
    """Return half the gradient of the squared differences of neighbours in each (H, W) of x (C, H, W)."""
    result = np.zeros_like(x)
    for axis in (1, 2):
        step = np.diff(x, axis=axis)
        first, last = [slice(None)] * 3, [slice(None)] * 3
        first[axis], last[axis] = slice(0, -1), slice(1, None)
        result[tuple(first)] -= step
        result[tuple(last)] += step
    return result


# What is noisy

Values = npt.NDArray[np.float64]


def _denoise(*, sigma: float, grain: float) -> _Undo:
    def undo(view: _View) -> Floats:
        return _quiet(view, grains(grain, view.face, len(view.mask))[0], sigma)

    return undo


def _unspeckle(*, share: float, grain: float) -> _Undo:
    def undo(view: _View) -> Floats:
        return _quiet(view, grains(grain, view.face, len(view.mask))[0], None)

    return undo


def _dp_unpixelate(*, epsilon: float, pixels: int, blocks: int) -> _Undo:
    scale = DpPixelate(epsilon=epsilon, pixels=pixels, blocks=blocks).scale
    undo_blocks = _unpixelate(blocks=blocks)

    def undo(view: _View) -> Floats:
        size = len(view.mask)
        side = block_side(view.face, blocks, size)
        # Of Laplace noise, whose spread is this, only the variance is used.
        _, noise = _likeliest(view, side, float(np.sqrt(2)) * scale / (255 * side**2))
        mosaic = view.pixels - view.mask[..., None] * spread(noise, side, size)
        return undo_blocks(replace(view, pixels=mosaic))

    return undo


def _quiet(view: _View, side: int, sigma: float | None) -> Floats:
    """Return the crop (S, S, 3) without noise over squares of ``side`` pixels, see ``_likeliest``."""
    found, _ = _likeliest(view, side, sigma)
    size, full = len(view.mask), len(found) * side
    smooth = cv2.resize(found.astype(np.float32), (full, full), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth[:size, :size], np.float32)


def _likeliest(view: _View, side: int, sigma: float | None) -> tuple[Values, Values]:
    """Return the colours (N, N, 3) of squares of ``side`` pixels of the crop, and the noise that was on them.

    sigma: of noise that was added, taken as normal, and clipped to 0..1. None: squares that are black or white tell
    nothing, and all others are as they were.
    """
    values, told, outside = _squares(view, side)
    # A square seen through the picture's pixels is not exactly black or white.
    dark, light = values < 0.04, values > 0.96
    if sigma is None:
        told &= ~(dark.all(2) | light.all(2))
    deviation = max(sigma or 0, ROUNDING)
    trust = (told / deviation**2 + outside / ROUNDING**2).ravel()
    solvers = [
        linalg.splu(sparse.csc_array(sparse.diags_array(trust + 1e-6) + _laplacian(len(values)) / steep**2))
        for steep in (STEEP, STEEP * PALE)
    ]

    def likeliest(given: Values) -> Values:
        goals = trust[:, None] * (given.reshape(-1, 3) @ OPPONENT.T)
        solved = [solvers[min(row, 1)].solve(goals[:, row]) for row in range(3)]
        return np.asarray(np.stack(solved, 1) @ OPPONENT, np.float64).reshape(given.shape)

    found = likeliest(values)
    if sigma is not None:
        clipped = told[..., None] & (dark | light)
        sign = np.where(dark, -1.0, 1.0)
        for _ in range(ROUNDS):
            # What was clipped is taken as it would be on average: beyond the limit, by the inverse Mills ratio.
            away = np.where(dark, found, 1 - found) / deviation
            ratio = np.exp(-np.square(away) / 2 - special.log_ndtr(-away)) / np.sqrt(2 * np.pi)
            found = likeliest(np.where(clipped, found + sign * deviation * ratio, values))
    return found, np.where(told[..., None], values - found, 0)


def _squares(view: _View, side: int) -> tuple[Values, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return the colours (N, N, 3) of squares of ``side`` pixels of the crop, which of them show under the mask, and
    which lie wholly outside of it.

    Colours are the least squares through the picture's own pixels, each of which mixes up to four of the crop.
    """
    size = len(view.mask)
    count = -(-size // side)
    y, x = np.nonzero(geometry.mask([view.outline], (0, 0, *view.picture.shape[1::-1]), 0) > 0)
    places = geometry.apply(geometry.inverse(view.matrix), np.stack([x, y], 1).astype(np.float32))
    rows, columns, shares = [], [], []
    low = np.floor(places)
    for step in ((0, 0), (1, 0), (0, 1), (1, 1)):
        corner = low + step
        at = np.clip(corner, 0, size - 1).astype(np.int64) // side
        rows.append(np.arange(len(places)))
        columns.append(at[:, 1] * count + at[:, 0])
        shares.append(np.prod(1 - np.abs(places - corner), axis=1))
    mixing = sparse.csr_array(
        (np.concatenate(shares), (np.concatenate(rows), np.concatenate(columns))), (len(places), count**2)
    )
    starts = np.arange(0, size, side)
    lengths = np.diff(np.append(starts, size))
    area = (lengths[:, None] * lengths[None])[..., None]
    sums = np.add.reduceat(np.add.reduceat(view.pixels.astype(np.float64), starts, 0), starts, 1)
    rough = (sums / area).reshape(-1, 3)
    # Squares between the picture's pixels are drawn to what shows nearby.
    little = 1e-3
    system = sparse.csc_array(mixing.T @ mixing + little * sparse.eye_array(count**2))
    goals = mixing.T @ (view.picture[y, x].astype(np.float64) / 255) + little * rough
    solved = np.asarray(linalg.splu(system).solve(np.asarray(goals)))
    most = np.maximum.reduceat(np.maximum.reduceat(view.mask, starts, 0), starts, 1)
    told = mixing.sum(0) >= 1
    colours = np.where(told[:, None], solved, rough).reshape(count, count, 3)
    return colours, told.reshape(count, count), most <= 0


def _laplacian(count: int) -> Any:
    """Return the sparse matrix of the squared differences of neighbours in a grid of count x count."""
    step = sparse.diags_array([-1.0, 1.0], offsets=[0, 1], shape=(count - 1, count))
    square, one = step.T @ step, sparse.eye_array(count)
    return sparse.kron(square, one) + sparse.kron(one, square)


_UNDOING: Mapping[str, Callable[..., _Undo]] = MappingProxyType(
    {
        Blur.name: _deblur,
        Pixelate.name: _unpixelate,
        LowResolution.name: _sharpen,
        GaussianNoise.name: _denoise,
        ImpulseNoise.name: _unspeckle,
        DpPixelate.name: _dp_unpixelate,
    }
)
