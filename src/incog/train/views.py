"""What the landmark network is shown: a face turned, moved and spoilt, in other surroundings, or no face at all."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from incog.data.faces import template
from incog.data.seeds import Integers
from incog.train import augment
from incog.train.pixels import Pixels
from incog.train.textures import texture
from incog.types import Bytes

TEXTURES = 192
"""Pictures without a face."""


class Views:
    """Views of side ``side`` of stored crops.

    pixels: the stored crops, of the template ``name`` and side ``size``. borders: (N, 2, 3) from ``meshes.borders``.
    reach: side of a view in units of the ArcFace template. partners: rows that may stand beside another face.
    """

    def __init__(
        self,
        pixels: Pixels,
        borders: Tensor,
        partners: Integers,
        *,
        name: str,
        size: int,
        side: int,
        reach: float,
        seed: int,
    ) -> None:
        self._pixels, self._borders, self._partners, self.side = pixels, borders, partners, side
        self.base = reach / stored_reach(name, size)
        """Side of a view relative to a stored crop."""
        self._faceless = Pixels(textures(TEXTURES, size, seed), borders.device)
        noise = np.random.default_rng(seed).standard_normal((3, 2 * side, 2 * side)).astype(np.float32)
        self._grain = torch.from_numpy(noise).to(borders.device)

    def show(self, rows: Integers, matrices: Tensor, draws: Tensor, flips: Tensor) -> Tensor:
        """Return (B, 3, side, side) in 0..1 seen through ``matrices``, mirrored where ``flips`` is below one half.

        What lies outside of a face's picture is its repeated border, one colour, or another face's picture far out of
        place, by ``draws`` (B, 4): people stand side by side.
        """
        matrices = scaled(matrices, self.base)
        shown = augment.warp(self._pixels.take(rows), matrices, self.side)
        kind = draws[:, 0]
        plain = torch.nonzero((kind >= 0.3) & (kind < 0.45))[:, 0]
        busy = torch.nonzero(kind >= 0.45)[:, 0]
        outside = self._outside(rows, matrices)
        if len(plain):
            shown[plain] = torch.where(outside[plain], draws[plain, 1:4, None, None], shown[plain])
        if len(busy):
            partners = self._partners[(draws[busy, 1].cpu().numpy() * len(self._partners)).astype(np.int64)]
            away = augment.similarity(
                augment.between(draws[busy, 2], -0.5, 0.5),
                torch.ones_like(draws[busy, 1]),
                torch.where(draws[busy, 3] < 0.5, -0.9, 0.9) + 0 * draws[busy, 1],
                augment.between(draws[busy, 2], -0.3, 0.3),
            )
            around = augment.warp(self._pixels.take(partners), away, self.side, padding="reflection")
            shown[busy] = torch.where(outside[busy], around, shown[busy])
        return augment.mirror(shown, flips)

    def _outside(self, rows: Integers, matrices: Tensor) -> Tensor:
        """Return where views lie outside of their picture: (B, 1, side, side) bool."""
        grid = functional.affine_grid(matrices, [len(rows), 1, self.side, self.side], align_corners=False)
        edges = self._borders[torch.from_numpy(rows).to(grid.device)]
        places = torch.einsum("bhwj,bij->bhwi", grid, edges[:, :, :2]) + edges[:, None, None, :, 2]
        return (places.abs() > 1).any(-1)[:, None]

    def spoilt(self, images: Tensor, draws: Tensor) -> Tensor:
        """Return images as bad cameras, small faces and things in front of them make them. draws: (B, 22)."""
        images = augment.colour(images, draws[:, 0:8], strength=0.9)
        images = augment.erase(images, draws[:, 8:16], share=0.25, most=0.4)
        images = augment.coarse(images, draws[:, 16:18], share=0.3, least=0.2)
        for number in torch.nonzero(draws[:, 18] < 0.3)[:, 0].tolist():
            y, x = (int(value * self.side) for value in draws[number, 19:21].tolist())
            grain = self._grain[:, y : y + self.side, x : x + self.side]
            images[number] += grain * (draws[number, 21] * 0.07)
        return images.clamp(0, 1)

    def empty(self, images: Tensor, chosen: Tensor, draws: Tensor) -> None:
        """Put pictures without a face in the place of the ``chosen`` (B,) images. draws: (B, 5)."""
        for number in torch.nonzero(chosen)[:, 0].tolist():
            pick, x, y, angle, zoom = draws[number].tolist()
            row = np.array([int(pick * len(self._faceless))], np.int64)
            view = augment.similarity(
                *(images.new_tensor([value]) for value in (angle * 6.3, 0.5 + 2 * zoom, x - 0.5, y - 0.5))
            )
            images[number] = augment.warp(self._faceless.take(row), view, self.side, padding="reflection")[0]


def scaled(matrices: Tensor, factor: float) -> Tensor:
    """Return matrices (B, 2, 3), output -> input, of an output whose sides are ``factor`` times as long."""
    return torch.cat([matrices[:, :, :2] * factor, matrices[:, :, 2:]], 2)


def moved(points: Tensor, matrices: Tensor) -> Tensor:
    """Return points (B, P, 2) of the input of ``augment.warp`` in its output, in half sides from the middle."""
    linear = torch.linalg.inv(matrices[:, :, :2].float())
    return torch.einsum("bpj,bij->bpi", points - matrices[:, None, :, 2], linear)


def stored_reach(name: str, size: int) -> float:
    """Return the side of a stored crop in units of the ArcFace template, in which eyes are 35.2 apart."""
    eyes = template(name, size)[:2]
    return size * 35.2377 / float(np.linalg.norm(eyes[1] - eyes[0]))


def textures(count: int, size: int, seed: int) -> Bytes:
    """Return pictures without a face, (count, size, size, 3) uint8."""
    rng = np.random.default_rng(seed)
    drawn = [texture(rng, 256) for _ in range(count)]
    return np.stack(
        [np.asarray(cv2.resize(one, (size, size), interpolation=cv2.INTER_AREA), np.uint8) for one in drawn]
    )
