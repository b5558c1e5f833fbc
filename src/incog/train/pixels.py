"""Pictures that stay where batches are made: on the GPU, or memory-mapped beside the CPU."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from incog.data.seeds import Integers
from incog.types import Bytes


class Pixels:
    """uint8 pictures (N, S, S, 3), given out as (B, 3, S, S) float32 in 0..1 on the device.

    Several arrays count as one after the other, where they lie.
    """

    def __init__(self, pixels: Bytes, device: torch.device, *more: Bytes) -> None:
        self._device = device
        self._arrays = [pixels, *(array for array in more if len(array))]
        self._starts = np.cumsum([0, *(len(array) for array in self._arrays)])
        self._tensor = None
        if device.type == "cuda":
            parts = [torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in self._arrays]
            self._tensor = torch.cat(parts)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def take(self, rows: Integers) -> Tensor:
        """Return the pictures of these rows."""
        if self._tensor is not None:
            picked = self._tensor[torch.from_numpy(rows).to(self._device)]
        else:
            picked = torch.from_numpy(self._picked(rows))
        return picked.permute(0, 3, 1, 2).float().mul_(1 / 255)

    def _picked(self, rows: Integers) -> Bytes:
        if len(self._arrays) == 1:
            return np.asarray(self._arrays[0][rows], np.uint8)
        picked = np.empty((len(rows), *self._arrays[0].shape[1:]), np.uint8)
        for array, start in zip(self._arrays, self._starts[:-1], strict=True):
            mine = (rows >= start) & (rows < start + len(array))
            picked[mine] = array[rows[mine] - start]
        return picked


def middle(images: Tensor, size: int) -> Tensor:
    """Return the middle (B, C, size, size) of images."""
    edge = (images.shape[-1] - size) // 2
    return images[..., edge : edge + size, edge : edge + size]


def tiled(images: Tensor, columns: int) -> Bytes:
    """Return pictures (B, 3, S, S) in 0..1 as one sheet, (rows * S, columns * S, 3) uint8 RGB."""
    count, _, height, width = images.shape
    rows = -(-count // columns)
    sheet = torch.ones(rows * columns, 3, height, width)
    sheet[:count] = images.detach().float().cpu().clamp(0, 1)
    laid = sheet.reshape(rows, columns, 3, height, width).permute(0, 3, 1, 4, 2)
    return np.asarray((laid.reshape(rows * height, columns * width, 3) * 255).round().byte().numpy())
