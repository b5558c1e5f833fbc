"""The subspace of faces (eigenfaces): its basis, how it is fitted, and the file that ships. Pure functions.

A face is a vector of n = side * side * 3 values in 0..1, aligned as ``incog.methods.aligned`` says; its code is
y = W (x - mean), W with one mode in each row, sorted by how much faces vary along it.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from incog import models
from incog.errors import ModelError
from incog.types import Bytes, Floats

NAME = "eigenfaces"
"""The record of the basis that ships."""

COUNT = 200
"""Modes of the basis that ships."""

SIDE = 64
"""Of its faces, px."""

_ROUNDS = 4
"""Subspace iterations: enough for the leading modes to three digits."""

_EXTRA = 20
"""Directions beyond those asked for, for the last ones to settle."""


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """mean: (n,) float32. modes: (R, n) float32, orthonormal rows. deviations: (R,) float32, the standard deviation of
    faces along each mode, falling. centre: (n,) float32, of the smallest sphere that holds most faces. reach: mean
    distance of faces from ``mean`` and from ``centre``."""

    mean: Floats
    modes: Floats
    deviations: Floats
    centre: Floats
    reach: tuple[float, float]

    def encode(self, faces: Floats, count: int | None = None) -> Floats:
        """Return the codes (..., R) of faces (..., S, S, 3), or the first ``count`` numbers of them."""
        flat = faces.reshape(*faces.shape[:-3], -1) - self.mean
        return np.asarray(flat @ self.modes[:count].T, np.float32)

    def decode(self, codes: Floats) -> Floats:
        """Return the faces (..., S, S, 3) of codes (..., r), r at most R; not clipped."""
        side = round((self.mean.size / 3) ** 0.5)
        flat = np.asarray(codes, np.float32) @ self.modes[: codes.shape[-1]] + self.mean
        return np.asarray(flat.reshape(*codes.shape[:-1], side, side, 3), np.float32)


def fit(faces: Bytes, shown: Floats | None, count: int, *, fills: int = 2, seed: int = 0) -> Basis:
    """Return the basis of faces (N, S, S, 3) uint8 with ``count`` modes, by subspace iteration from fixed directions.

    shown: (N, S, S) in 0..1, 0 where a face's picture ended: what lies there is filled with what the basis makes of the
    rest, ``fills`` times over. None: every picture shows all. The result is the same on every run of one machine.
    """
    rows = faces.reshape(len(faces), -1).astype(np.float32) / np.float32(255)
    if shown is not None:
        missing = np.repeat(shown.reshape(len(shown), -1) < 0.5, 3, axis=1)
        some = np.flatnonzero(missing.any(1))
        known = np.maximum((~missing).sum(0), 1)
        rows[missing] = np.broadcast_to((rows * ~missing).sum(0) / known, rows.shape)[missing]
        for _ in range(fills):
            mean, modes = _components(rows, count, seed)
            for row in some:
                filled = ((rows[row] - mean) @ modes.T) @ modes + mean
                rows[row, missing[row]] = np.clip(filled, 0, 1)[missing[row]]
    mean, modes = _components(rows, count, seed)
    codes = np.asarray((rows - mean) @ modes.T, np.float32)
    centre = mean + svdd(codes) @ modes
    reach = tuple(float(np.linalg.norm(rows - point, axis=1).mean()) for point in (mean, centre))
    return Basis(mean, modes, codes.std(0), centre.astype(np.float32), (reach[0], reach[1]))


def _components(rows: Floats, count: int, seed: int) -> tuple[Floats, Floats]:
    """Return mean (n,) and leading principal directions (count, n) of rows (N, n), signs fixed."""
    mean = rows.mean(0)
    width = min(count + _EXTRA, *rows.shape)
    directions = np.random.default_rng(seed).normal(size=(rows.shape[1], width)).astype(np.float32)
    for _ in range(_ROUNDS):
        # The mean is taken out of the products, so that no second copy of the rows is needed.
        seen = rows @ directions - mean @ directions
        directions, _ = np.linalg.qr(rows.T @ seen - np.outer(mean, seen.sum(0)))
    seen = rows @ directions - mean @ directions
    _, turn = np.linalg.eigh((seen.T @ seen).astype(np.float64))
    modes = (directions @ turn[:, ::-1][:, :count]).T
    largest = np.take_along_axis(modes, np.abs(modes).argmax(1)[:, None], 1)
    return mean, np.ascontiguousarray(modes * np.sign(largest), np.float32)


def svdd(codes: Floats, *, outside: float = 0.05, steps: int = 2000) -> Floats:
    """Return the centre (R,) of the smallest sphere that holds all but about a share ``outside`` of codes (N, R).

    Support vector data description (Tax and Duin 2004) with C = 1 / (outside N): centre = sum of alpha_i x_i, where
    alpha minimises alpha K alpha - alpha diag(K) over sum alpha = 1, 0 <= alpha <= C, by the conditional gradient.
    """
    rows = codes.astype(np.float64)
    count, squares = len(rows), np.square(rows).sum(1)
    most = max(1 / (outside * count), 1 / count)
    alpha = np.full(count, 1 / count)
    centre = rows.mean(0)
    for _ in range(steps):
        # The gradient falls with the squared distance from the centre, so weight goes to the furthest.
        order = np.argsort(2 * (rows @ centre) - squares, kind="stable")
        goal = np.zeros(count)
        full = min(int(1 / most), count)
        goal[order[:full]] = most
        if full < count:
            goal[order[full]] = 1 - full * most
        direction = goal - alpha
        step = direction @ rows
        slope = direction @ (2 * (rows @ centre) - squares)
        curve = 2 * float(step @ step)
        if slope > -1e-9 or curve < 1e-15:
            break
        length = min(1.0, -slope / curve)
        alpha, centre = alpha + length * direction, centre + length * step
    return np.asarray(centre, np.float32)


def pack(basis: Basis) -> bytes:
    """Return the basis as a small NPZ file: modes in steps of 1/127 of their largest value."""
    steps = np.abs(basis.modes).max(1) / 127
    file = io.BytesIO()
    np.savez_compressed(
        file,
        mean=basis.mean.astype(np.float16),
        modes=np.rint(basis.modes / steps[:, None]).astype(np.int8),
        steps=steps.astype(np.float32),
        deviations=basis.deviations.astype(np.float32),
        centre=basis.centre.astype(np.float16),
        reach=np.array(basis.reach, np.float32),
    )
    return file.getvalue()


def unpack(data: bytes) -> Basis:
    """Return the basis of a file that ``pack`` made; its modes are orthonormal again. Raises ModelError."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            found = {name: file[name].astype(np.float32) for name in file.files}
        modes = found["modes"] * found["steps"][:, None]
        # By Gram and Schmidt: each mode keeps its direction but for what it shares with those before it.
        turned, scale = np.linalg.qr(modes.T)
        modes = np.ascontiguousarray((turned * np.sign(np.diag(scale))).T, np.float32)
        mean_reach, centre_reach = (float(value) for value in found["reach"])
        return Basis(found["mean"], modes, found["deviations"], found["centre"], (mean_reach, centre_reach))
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"this is no basis of faces: {error}") from error


@lru_cache(maxsize=1)
def shipped() -> Basis:
    """Return the basis that the package brings. Raises ModelError when it is missing or not the recorded file."""
    return unpack(models.own(NAME))
