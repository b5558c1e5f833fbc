"""The detector's network: a small dense pyramid that says at every cell whether, where and how large a face is.

Anchor-free, of the kind of YuNet (Wu, Peng, Yu 2023) and FCOS (Tian et al. 2019): three levels of cells, 8, 16 and
32 px apart.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from incog.train.nets import Stem

STRIDES = (8, 16, 32)
"""Pixels between the cells of each level."""

CHANNELS = 15
"""Of each cell: logit, box (4), points (5 x 2)."""

REACH = 4.0
"""Boxes and points are measured in so many cells of their level, so that the network's numbers stay near 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """widths: channels at a 4th, 8th, 16th and 32nd of the resolution. blocks: residual ones at each of these.
    inner: channels inside those blocks. neck: channels of the pyramid."""

    widths: tuple[int, ...] = (32, 48, 64, 64)
    blocks: tuple[int, ...] = (0, 1, 1, 1)
    inner: tuple[int, ...] = (32, 32, 64, 64)
    neck: int = 32


def unit(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Return a 3x3 convolution with its norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class Pinched(nn.Module):
    """Two 3x3 convolutions with fewer channels between them, and a shortcut."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.first = unit(width, inner)
        self.second = nn.Conv2d(inner, width, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.norm(self.second(self.first(x))))


class DetectorNet(nn.Module):
    """(B, 3, H, W) R'G'B' in 0..1, sides multiples of 32 -> a map (B, 15, H / s, W / s) for each stride s."""

    def __init__(self, options: Network) -> None:
        super().__init__()
        widths, neck, inner = options.widths, options.neck, options.inner
        self.stem = Stem(widths[0])
        stages: list[nn.Module] = []
        for level, width in enumerate(widths):
            blocks = [Pinched(width, inner[level]) for _ in range(options.blocks[level])]
            down = [unit(widths[level - 1], width, 2)] if level else []
            stages.append(nn.Sequential(*down, *blocks))
        self.stages = nn.ModuleList(stages)
        self.lateral = nn.ModuleList(nn.Conv2d(width, neck, 1) for width in widths[1:])
        # Upwards, each cell becomes four of its own making: finer than copying it, and as cheap.
        self.up = nn.ModuleList(
            nn.Sequential(nn.Conv2d(neck, 4 * neck, 1), nn.PixelShuffle(2)) for _ in STRIDES[1:]
        )
        self.smooth = nn.ModuleList(unit(neck, neck) for _ in STRIDES)
        self.heads = nn.ModuleList(nn.Conv2d(neck, CHANNELS, 1) for _ in STRIDES)
        for head in self.heads:
            assert isinstance(head, nn.Conv2d)
            assert head.bias is not None
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(head.bias)
            # At first nothing is a face, so that the many empty cells do not drown the few others.
            nn.init.constant_(head.bias[:1], -4.0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.stages[0](self.stem(x))
        fine = self.stages[1](x)
        middle = self.stages[2](fine)
        coarse = self.lateral[2](self.stages[3](middle))
        middle = self.lateral[1](middle) + self.up[1](coarse)
        fine = self.lateral[0](fine) + self.up[0](middle)
        a, b, c = (
            head(smooth(torch.relu(level)))
            for head, smooth, level in zip(self.heads, self.smooth, (fine, middle, coarse), strict=True)
        )
        return a, b, c


class Shipped(nn.Module):
    """(B, 3, H, W) RGB 0..255 -> the three maps, with a score in 0..1 in place of the logit."""

    def __init__(self, network: DetectorNet, *, slope: float, shift: float) -> None:
        """slope, shift: of the logits, so that scores mean the same as those of other detectors."""
        super().__init__()
        self.network = copy.deepcopy(network)
        # The first kernel can take the scaling of the pixels, and the heads that of the logits.
        next(self.network.stem.parameters()).data.mul_(1 / 255)
        for head in self.network.heads:
            weight, bias = head.parameters()
            weight.data[:1].mul_(slope)
            bias.data[:1].mul_(slope).add_(shift)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, b, c = (torch.cat([torch.sigmoid(level[:, :1]), level[:, 1:]], 1) for level in self.network(x))
        return a, b, c


def cells(height: int, width: int, stride: int) -> Tensor:
    """Return the middles of a level's cells, (H / s, W / s, 2) x and y in pixels."""
    rows = (torch.arange(height // stride) + 0.5) * stride
    columns = (torch.arange(width // stride) + 0.5) * stride
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y], -1)


def decode(values: Tensor, middles: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """Return boxes (N, 4) and points (N, 5, 2) in pixels.

    values: (N, 14), what the network says beside the logit. middles: (N, 2) of the cells. strides: (N,).
    """
    unit_size = (REACH * strides)[:, None]
    centres = middles + values[:, 0:2] * strides[:, None]
    # Beyond this a box would be larger than any picture; the gradient stays finite.
    halves = torch.exp(values[:, 2:4].clamp(-4, 4)) * unit_size / 2
    points = middles[:, None] + values[:, 4:].reshape(-1, 5, 2) * unit_size[:, None]
    return torch.cat([centres - halves, centres + halves], 1), points
