"""Pictures that stay where batches are made: on the GPU, or memory-mapped beside the CPU."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from incog.train.seeds import Integers
from incog.types import Bytes


class Pixels:
    """uint8 pictures (N, S, S, 3), given out as (B, 3, S, S) float32 in 0..1 on the device."""

    def __init__(self, pixels: Bytes, device: torch.device) -> None:
        self._device = device
        self._array = pixels
        self._tensor = (
            torch.from_numpy(np.ascontiguousarray(pixels)).to(device) if device.type == "cuda" else None
        )

    def __len__(self) -> int:
        return len(self._array)

    def take(self, rows: Integers) -> Tensor:
        """Return the pictures of these rows."""
        if self._tensor is not None:
            picked = self._tensor[torch.from_numpy(rows).to(self._device)]
        else:
            picked = torch.from_numpy(self._array[rows])
        return picked.permute(0, 3, 1, 2).float().mul_(1 / 255)


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
