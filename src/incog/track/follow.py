"""Following a face through frames by how it looks: normalised template matching, in either direction in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from incog import colour
from incog.track.boxes import centre_of, size_of
from incog.types import Bytes, Floats, Frame

_PATCH = 28
"""Side of the matched template in its own pixels."""

_REACH = 0.8
"""How far from the guess a face is searched, as a share of its size."""


@dataclass(slots=True, eq=False)
class View:
    """A frame with what tracking needs of it, made when it is first asked for."""

    frame: Frame
    _pyramid: list[Bytes] = field(default_factory=list)

    @property
    def index(self) -> int:
        return self.frame.index

    def level(self, number: int) -> Bytes:
        """Return brightness at 1 / 2**number of the size."""
        if not self._pyramid:
            self._pyramid.append(colour.luma8(self.frame))
        while len(self._pyramid) <= number:
            last = self._pyramid[-1]
            half = max(last.shape[1] // 2, 1), max(last.shape[0] // 2, 1)
            self._pyramid.append(np.asarray(cv2.resize(last, half, interpolation=cv2.INTER_AREA), np.uint8))
        return self._pyramid[number]

    def thumbnail(self) -> Floats:
        """Return brightness at 48 x 27, for scene cuts and sudden changes."""
        # Every fourth sample of every fourth line is enough, and ten times cheaper than the pyramid.
        step = 4 if min(self.frame.width, self.frame.height) > 256 else 1
        small = np.ascontiguousarray(self.level(0)[::step, ::step])
        return np.asarray(cv2.resize(small, (48, 27), interpolation=cv2.INTER_AREA), np.float32)


def template_of(view: View, box: Floats) -> Bytes:
    """Return what a face looks like in a view, (28, 28) uint8, to find it again by."""
    return _patch(view, centre_of(box), 0.6 * size_of(box), _PATCH)


def follow(template: Bytes, box: Floats, views: Sequence[View], drift: Floats) -> list[tuple[Floats, float]]:
    """Follow a face from its box through ``views`` in the order given (either direction in time).

    Returns the centre and the correlation per view. drift: first guess of the motion, px per step.
    """
    size = size_of(box)
    centre = centre_of(box)
    path: list[tuple[Floats, float]] = []
    for view in views:
        guess = centre + drift
        found, score = _find(template, size, view, guess)
        if score < 0.35:
            found = guess
        drift = 0.5 * drift + 0.5 * (found - centre)
        centre = found
        path.append((centre, score))
    return path


def _find(template: Bytes, size: float, view: View, guess: Floats) -> tuple[Floats, float]:
    """Return where the template lies in a view, near a guess, and the normalised cross-correlation there."""
    extent = 0.6 * size
    margin = round(_PATCH / 2 / 0.6 * _REACH)
    side = _PATCH + 2 * margin
    window = _patch(view, guess, extent * side / _PATCH, side)
    scores = np.asarray(cv2.matchTemplate(window, template, cv2.TM_CCOEFF_NORMED), np.float32)
    _, best, _, (x, y) = cv2.minMaxLoc(scores)
    offset = np.array([_peak(scores[y], x), _peak(scores[:, x], y)], dtype=np.float32) - margin
    return guess + offset * np.float32(2 * extent / _PATCH), float(best) if np.isfinite(best) else 0.0


def _patch(view: View, centre: Floats, reach: float, side: int) -> Bytes:
    """Return the square of half-width ``reach`` around a centre, resampled to ``side`` pixels."""
    step = 2 * reach / side
    number = int(np.clip(np.floor(np.log2(max(step, 1.0))), 0, 5))
    image = view.level(number)
    ratio_x, ratio_y = image.shape[1] / view.frame.width, image.shape[0] / view.frame.height
    matrix = np.array(
        [
            [step * ratio_x, 0, (centre[0] - reach + step / 2 + 0.5) * ratio_x - 0.5],
            [0, step * ratio_y, (centre[1] - reach + step / 2 + 0.5) * ratio_y - 0.5],
        ],
        dtype=np.float32,
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(image, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def _peak(line: Floats, at: int) -> float:
    """Return the sub-sample position of a maximum, by a parabola through it and its neighbours."""
    if not 0 < at < len(line) - 1:
        return float(at)
    left, middle, right = (float(value) for value in line[at - 1 : at + 2])
    bend = left - 2 * middle + right
    return at + (0.5 * (left - right) / bend if bend < -1e-9 else 0.0)
