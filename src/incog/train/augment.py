"""Augmentation on the device, whole batches at once. Every parameter comes from uniform numbers that the caller draws.

Images are (B, 3, H, W) float32, R'G'B' in 0..1.
"""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor
from torch.nn import functional


def between(draws: Tensor, low: float, high: float) -> Tensor:
    """Return uniform numbers of [0, 1) spread over [low, high)."""
    return low + (high - low) * draws


def similarity(angle: Tensor, scale: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return (B, 2, 3) matrices, output -> input, of a turn (radians), a zoom (above 1 enlarges) and a shift.

    x, y: where the middle of the output lies in the input, in half sides from the input's middle. Each (B,).
    """
    cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
    return torch.stack([torch.stack([cosine, -sine, x], 1), torch.stack([sine, cosine, y], 1)], 1)


def warp(images: Tensor, matrices: Tensor, size: int, *, padding: str = "border") -> Tensor:
    """Return (B, C, size, size) seen through ``matrices`` (B, 2, 3), in half sides from the middle."""
    # Places need more than the eight bits of bfloat16, which autocast would leave them.
    with torch.autocast(images.device.type, enabled=False):
        shape = [len(images), images.shape[1], size, size]
        grid = functional.affine_grid(matrices.float(), shape, align_corners=False)
        return functional.grid_sample(images.float(), grid, padding_mode=padding, align_corners=False)


def mirror(images: Tensor, draws: Tensor) -> Tensor:
    """Mirror left and right where ``draws`` (B,) is below one half."""
    return torch.where((draws < 0.5)[:, None, None, None], images.flip(3), images)


def colour(images: Tensor, draws: Tensor, *, strength: float = 1.0) -> Tensor:
    """Change brightness, contrast, gamma, saturation and white balance; now and then make it grey. draws: (B, 8)."""
    d = draws[:, :, None, None, None]
    images = images.clamp(1e-4, 1) ** torch.exp2(between(d[:, 0], -0.7, 0.7) * strength)
    middle = images.mean((1, 2, 3), keepdim=True)
    images = (images - middle) * torch.exp2(between(d[:, 1], -0.5, 0.4) * strength) + middle
    images = images + between(d[:, 2], -0.15, 0.15) * strength
    grey = (images * images.new_tensor([0.299, 0.587, 0.114])[None, :, None, None]).sum(1, keepdim=True)
    saturation = torch.where(d[:, 3] < 0.1, 0.0, between(d[:, 4], 1 - 0.5 * strength, 1 + 0.4 * strength))
    images = grey + (images - grey) * saturation
    tint = 1 + between(draws[:, 5:8], -0.12, 0.12)[:, :, None, None] * strength
    return (images * tint).clamp(0, 1)


def coarse(images: Tensor, draws: Tensor, *, share: float = 0.3, least: float = 0.2) -> Tensor:
    """Take detail away, as small faces have it: a ``share`` of the images is shrunk and enlarged again.

    draws: (B, 2). least: the smallest zoom. Images of one zoom step are done together, in four steps.
    """
    result = images.clone()
    size = images.shape[-1]
    step = (draws[:, 1] * 4).long().clamp(max=3)
    for number in range(4):
        rows = torch.nonzero((draws[:, 0] < share) & (step == number))[:, 0]
        if len(rows):
            small = max(4, round(size * (least + (0.8 - least) * number / 3)))
            shrunk = functional.interpolate(images[rows], size=(small, small), mode="area")
            result[rows] = functional.interpolate(
                shrunk, size=(size, size), mode="bilinear", align_corners=False
            )
    return result


def erase(images: Tensor, draws: Tensor, *, share: float = 0.3, most: float = 0.4) -> Tensor:
    """Cover a rectangle with one colour in a ``share`` of the images. draws: (B, 8). most: its longest side."""
    height, width = images.shape[-2:]
    rows = torch.arange(height, device=images.device)[None, :] / height
    columns = torch.arange(width, device=images.device)[None, :] / width
    d = draws[:, :, None]
    tall, wide = between(d[:, 1], 0.08, most), between(d[:, 2], 0.08, most)
    top, left = d[:, 3] * (1 - tall), d[:, 4] * (1 - wide)
    inside = ((rows >= top) & (rows < top + tall))[:, None, :, None] & (
        (columns >= left) & (columns < left + wide)
    )[:, None, None, :]
    inside &= (draws[:, 0] < share)[:, None, None, None]
    return torch.where(inside, draws[:, 5:8, None, None], images)


def turned(draws: Tensor, *, degrees: float, zoom: tuple[float, float], shift: float) -> Tensor:
    """Return (B, 2, 3) random similarities, see ``similarity``. draws: (B, 4). shift: in half sides."""
    return similarity(
        between(draws[:, 0], -degrees, degrees) * (pi / 180),
        between(draws[:, 1], *zoom),
        between(draws[:, 2], -shift, shift),
        between(draws[:, 3], -shift, shift),
    )
