"""Faces with a hole: what a generator is shown of them, at any resolution, and losses inside of holes.

Pictures are (B, 3, S, S) R'G'B' in -1..1, masks (B, 1, S, S) of 0 and 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from incog import shape
from incog.data.seeds import Integers
from incog.drawing import ANGLES, drawing, reach
from incog.outline import face_outline
from incog.shape import PoseFilter
from incog.train import augment
from incog.train.likeness import LUMA
from incog.train.pixels import Pixels
from incog.train.portraits import SIZE, Portraits, inside

GROWTH = (1.08, 1.45)
"""How much larger than the face's outline a hole is, at least and at most."""

DRAWS = 9
"""Uniform numbers of a picture: one for the mirror, eight for the hole."""

STEPS = DRAWS + 8
"""Uniform numbers of a picture that make the next frame of it."""

CELLS = (16,)
"""Soft cells along a side, whose tones are compared; several numbers, at several scales."""

LIGHT = 0.25
"""How much a difference of light between cells counts, where one of colour counts 1: brows, beards and lips of two
people differ in light."""

_CELL = 8
"""Side in px of the cells whose means ``apart_inside`` compares besides pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What a step works on, at one resolution, (B, ., S, S) each: picture in -1..1, lines of the drawing (3) in 0..1,
    hole, and inside: what the crop shows of its picture."""

    picture: Tensor
    lines: Tensor
    hole: Tensor
    inside: Tensor

    @property
    def planes(self) -> Tensor:
        """What the network is given: see ``generator_net.PLANES``."""
        known = (1 - self.hole) * self.inside
        return torch.cat([self.picture * known, known, self.hole, self.lines], 1)

    def laid(self, made: Tensor) -> Tensor:
        """Return the picture with the hole filled. Beyond the picture's end its repeated border stays: nobody can say
        there what is right, and who judges the face would reward anything."""
        return self.picture + (made - self.picture) * self.hole * self.inside

    def moved(self, matrices: Tensor, jitter: Tensor) -> Shown:
        """Return the same as the next frame of a film may show it: seen through ``matrices`` (B, 2, 3), see
        ``incog.train.augment``, the lines through ``jitter`` before."""
        side = self.picture.shape[-1]
        lines = augment.warp(augment.warp(self.lines, jitter, side, padding="zeros"), matrices, side)
        hole, within = (
            augment.warp(item, matrices, side, padding="zeros") for item in (self.hole, self.inside)
        )
        picture = augment.warp(self.picture, matrices, side)
        return Shown(picture, lines, (hole > 0.5).float(), (within > 0.99).float())

    def judged(self, picture: Tensor) -> Tensor:
        """Return what the critic is given for a picture."""
        return torch.cat([picture * self.inside, self.hole, self.inside, self.lines], 1)


class Scenes:
    """Portraits as pictures with a hole. kept: what of a shape the lines may show.

    whole: (N,), the share of each crop that shows its picture.
    """

    def __init__(self, portraits: Portraits, kept: PoseFilter, device: torch.device) -> None:
        self.device = device
        shapes = shape.halves(portraits.dense, SIZE)
        outlines = [reach(face_outline(one)) for one in shapes]
        insides = np.stack([inside(one).astype(np.uint8) for one in portraits.corners])
        self.whole = insides.mean((1, 2))
        self._pixels = Pixels(portraits.pixels, device)
        self._lines = Pixels(np.stack([drawing(one, SIZE) for one in kept(shapes)]), device)
        self._insides = Pixels((insides * np.uint8(255))[..., None], device)
        self._middles, self._radii = (
            torch.from_numpy(np.stack(column)).to(device) for column in zip(*outlines, strict=True)
        )

    def pictures(self, rows: Integers) -> Tensor:
        """Return pictures (B, 3, 128, 128) in 0..1 as they are."""
        return self._pixels.take(rows)

    def show(self, rows: Integers, draws: Tensor, resolution: int, *, colours: Tensor | None = None) -> Shown:
        """Return rows as a step sees them, mirrored where ``draws[:, 0]`` is below one half.

        draws: (B, 9). resolution: a divisor of 128. colours: (B, 8), or None for colours as they are.
        """
        flips = draws[:, 0]
        index = torch.from_numpy(rows).to(self.device)
        picture = augment.mirror(self._pixels.take(rows), flips)
        if colours is not None:
            picture = augment.colour(picture, colours, strength=0.25)
        lines = augment.mirror(self._lines.take(rows), flips)
        within = augment.mirror(self._insides.take(rows), flips)
        hole = augment.mirror(self._holes(index, draws[:, 1:]), flips)
        if (factor := SIZE // resolution) > 1:
            picture, lines = functional.avg_pool2d(picture, factor), functional.avg_pool2d(lines, factor)
            # What is known in part is not known.
            within, hole = -functional.max_pool2d(-within, factor), functional.max_pool2d(hole, factor)
        return Shown(picture * 2 - 1, lines, hole, (within > 0.5).float())

    def next_frame(
        self, rows: Integers, draws: Tensor, steps: Tensor, resolution: int, *, colours: Tensor
    ) -> tuple[Shown, Tensor]:
        """Return what ``show`` does as the next frame of a film may show it, and what moved it, (B, 2, 3): in a hole
        that is a little different, with lines that are off by a fraction of a pixel. steps: (B, ``STEPS``), uniform.
        """
        draws = draws.clone()
        draws[:, 1:] += 0.2 * (steps[:, 1:DRAWS] - 0.5)
        steps = steps[:, DRAWS:]
        matrices = augment.turned(steps[:, :4], degrees=3, zoom=(0.97, 1.03), shift=0.03)
        jitter = augment.turned(steps[:, 4:], degrees=0, zoom=(0.99, 1.01), shift=0.006)
        return self.show(rows, draws, resolution, colours=colours).moved(matrices, jitter), matrices

    def _holes(self, index: Tensor, draws: Tensor) -> Tensor:
        """Return holes around faces that are not mirrored, (B, 1, 128, 128): the outline grown, and bent by three
        waves. draws: (B, 8)."""
        growth = augment.between(draws[:, 0], *GROWTH)
        angles = torch.arange(ANGLES, device=index.device) * (2 * pi / ANGLES)
        bend = torch.zeros_like(self._radii[index])
        for n in (1, 2, 3):
            wave = torch.cos(n * angles[None] + 2 * pi * draws[:, n + 4, None])
            bend = bend + (draws[:, n, None] - 0.5) * 0.12 * wave
        radii = self._radii[index] * growth[:, None] * (1 + bend.clamp(-0.06, 0.12))
        place = (torch.arange(SIZE, device=index.device) + 0.5) * (2 / SIZE) - 1
        x = place[None, None, :] - self._middles[index, 0, None, None]
        y = place[None, :, None] - self._middles[index, 1, None, None]
        turn = torch.atan2(y, x) * (ANGLES / (2 * pi)) % ANGLES
        low, share = turn.long() % ANGLES, turn.frac()
        flat = low.flatten(1)
        near = torch.gather(radii, 1, flat).view_as(turn)
        far = torch.gather(radii, 1, (flat + 1) % ANGLES).view_as(turn)
        return (torch.hypot(x, y) < near * (1 - share) + far * share)[:, None].float()


def apart_inside(apart: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of |apart| (B, 3, S, S) over a mask, half of single pixels and half of means over cells."""
    apart = apart * mask
    area = mask.sum().clamp(min=1) * 3
    fine = apart.abs().sum() / area
    coarse = functional.avg_pool2d(apart, _CELL).abs().sum() * _CELL**2 / area
    return (fine + coarse) / 2


def ring_around(seen: Shown) -> Tensor:
    """Return the ring of 4 px around the holes, where the picture is known."""
    return (functional.max_pool2d(seen.hole, 9, 1, 4) - seen.hole) * seen.inside


def toned_apart(apart: Tensor, mask: Tensor, changed: Tensor, cells: tuple[int, ...] = CELLS) -> Tensor:
    """Return how far soft tones differ in the mask, (B,): whoever the face is of, light and tone of the skin are those
    of the picture, and one cheek is not green.

    apart: (B, 3, S, S), the difference of two pictures. changed: (B,) bool, faces whose tone as a whole may be another:
    of them only its pattern counts. cells: along a side. They overlap by half; those on the border count by their share
    in the mask.
    """
    each = [_toned(apart, mask, changed, max(apart.shape[-1] // count, 1)) for count in cells]
    return torch.stack(each).mean(0)


def _toned(apart: Tensor, mask: Tensor, changed: Tensor, cell: int) -> Tensor:
    weight = functional.avg_pool2d(mask, 2 * cell, cell)
    cells = functional.avg_pool2d(apart * mask, 2 * cell, cell) / weight.clamp(min=1e-3)
    whole = (cells * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp(min=1e-3)
    cells = torch.where(changed[:, None, None, None], cells - whole, cells)
    grey = (cells * cells.new_tensor(LUMA)[None, :, None, None]).sum(1, keepdim=True)
    each = (cells - grey).abs().mean(1, keepdim=True) + LIGHT * grey.abs()
    total: Tensor = (each * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp(min=1e-3)
    return total


def unsteady(seen: Shown, made: Tensor, moved: Shown, again: Tensor, matrices: Tensor) -> Tensor:
    """Return how far faces ``made`` of ``seen`` differ from those made ``again`` of ``moved``, where both have a hole;
    over three pixels, since what is moved by a share of a pixel is softer. matrices: (B, 2, 3), what moved them."""
    side = made.shape[-1]
    goal = augment.warp(made, matrices, side)
    before = augment.warp(seen.hole * seen.inside, matrices, side, padding="zeros") > 0.99
    within = moved.hole * moved.inside * before.float()
    apart = functional.avg_pool2d((again - goal) * within, 3, 1, 1)
    return apart.abs().sum() / (within.sum().clamp(min=1) * 3)


def fine(pictures: Tensor) -> Tensor:
    """Return the fine detail of pictures, (B, 1, S, S): their luma but for what is soft, which shows light and tone."""
    luma = (pictures * pictures.new_tensor(LUMA)[None, :, None, None]).sum(1, keepdim=True)
    return luma - functional.avg_pool2d(luma, 7, 1, 3, count_include_pad=False)


def edges(images: Tensor, hole: Tensor) -> Tensor:
    """Return the mean difference of neighbouring pixels in the hole, (B,)."""
    across: Any = (images[..., :, 1:] - images[..., :, :-1]).abs().mean(1, keepdim=True) * hole[..., :, 1:]
    total: Tensor = across.sum((1, 2, 3)) / hole.sum((1, 2, 3)).clamp(min=1)
    return total
