"""How alike two pictures are, as losses: differentiable, whole batches at once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

LUMA = (0.299, 0.587, 0.114)
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def dssim(first: Tensor, second: Tensor) -> Tensor:
    """Return the structural dissimilarity (1 - SSIM) / 2 of the lumas, (B,): see ``incog.evaluate.quality.ssim``.

    Pictures are (B, 3, H, W) R'G'B' in 0..1, at least 11 px high and wide.
    """
    weights = first.new_tensor(LUMA)[None, :, None, None]
    a, b = ((picture.float() * weights).sum(1, keepdim=True) for picture in (first, second))
    mean_a, mean_b, aa, bb, ab = _smoothed(torch.cat([a, b, a * a, b * b, a * b], 1)).chunk(5, 1)
    spread_a, spread_b, common = aa - mean_a**2, bb - mean_b**2, ab - mean_a * mean_b
    light = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    structure = (2 * common + _C2) / (spread_a + spread_b + _C2)
    alike: Tensor = (light * structure).mean((1, 2, 3))
    return (1 - alike) / 2


def _smoothed(images: Tensor) -> Tensor:
    """Return (B, C, H - 10, W - 10) under a Gaussian window, in single precision: small differences of squares
    follow."""
    places = torch.arange(_WINDOW, device=images.device) - _WINDOW // 2
    line = torch.exp(-places.square() / (2 * _SIGMA**2))
    line = line / line.sum()
    channels = images.shape[1]
    with torch.autocast(images.device.type, enabled=False):
        down = functional.conv2d(
            images, line[None, None, :, None].expand(channels, 1, -1, 1), groups=channels
        )
        return functional.conv2d(down, line[None, None, None, :].expand(channels, 1, 1, -1), groups=channels)
