"""The generator: surroundings of a face, a drawing of its pose and expression, and a code of an identity -> a face.

A U-Net. Its way up is modulated by the code as in StyleGAN2 (Karras et al. 2020): channels are scaled before a
convolution and brought back to unit variance after it, so nothing depends on the rest of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from incog import codes
from incog.perceive.attributes import LOOK

PLANES = 8
"""Channels of the input: surroundings (3, -1..1, 0 where unknown), where they are known, where the hole is, drawing
(3)."""

CODE = codes.SIZE
"""Numbers of an identity code, standard normal under the prior."""

ATTRIBUTES = len(LOOK)
"""Numbers that say how the face shall look: see ``incog.perceive.attributes.LOOK``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """widths: channels at full, half, ... resolution. style: numbers that the code is mapped to."""

    widths: tuple[int, ...] = (32, 64, 128, 192, 224)
    style: int = 192


class Modulated(nn.Module):
    """A convolution whose input channels are scaled by a style; where it demodulates, its output has unit variance
    again and is rectified as by ``leaky``."""

    def __init__(
        self, inputs: int, outputs: int, style: int, kernel: int = 3, *, demodulate: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel) / sqrt(inputs * kernel**2))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = nn.Linear(style, inputs)
        nn.init.normal_(self.scale.weight, std=0.5 / sqrt(style))
        nn.init.ones_(self.scale.bias)
        self.demodulate = demodulate

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        # The few numbers that lead all others keep their precision.
        with torch.autocast(x.device.type, enabled=False):
            scale = self.scale(style)
        scaled = x * scale.to(x.dtype)[:, :, None, None]
        y = functional.conv2d(scaled, self.weight, padding=self.weight.shape[-1] // 2)
        bias = self.bias[:, None, None]
        if not self.demodulate:
            return y + bias
        # Not a product of matrices, which autocast would leave the eight bits of bfloat16.
        energy = (scale.square()[:, None] * self.weight.square().sum((2, 3))).sum(2)
        gain = sqrt(2) * (energy + 1e-8).rsqrt()[:, :, None, None]
        # In the numbers of y: single precision would spread to all that follows, at half the speed.
        y = torch.addcmul((sqrt(2) * bias).to(y.dtype), y, gain.to(y.dtype))
        return functional.leaky_relu(y, 0.2)


class Down(nn.Module):
    """(B, inputs, H, W) -> (B, outputs, H / 2, W / 2) by two convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, 2, 1)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = leaky(self.second(leaky(self.first(x))))
        straight: Tensor = self.shortcut(functional.avg_pool2d(x, 2))
        return (y + straight) * sqrt(0.5)


class Up(nn.Module):
    """Twice the resolution, joined with the way down's channels, and what this resolution adds to the picture."""

    def __init__(self, inputs: int, beside: int, outputs: int, style: int) -> None:
        super().__init__()
        self.first = Modulated(inputs + beside, outputs, style)
        self.second = Modulated(outputs, outputs, style)
        self.picture = Modulated(outputs, 3, style, 1, demodulate=False)

    def forward(self, x: Tensor, beside: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.cat([doubled(x), beside], 1)
        x = self.second(self.first(x, style), style)
        return x, self.picture(x, style)


class GeneratorNet(nn.Module):
    """(B, 8, S, S) planes, (B, 96) code, (B, 9) attributes -> (B, 3, S, S) R'G'B' in -1..1; S a multiple of 16."""

    def __init__(self, options: Network) -> None:
        super().__init__()
        widths, style = options.widths, options.style
        self.mapping = nn.Sequential(
            nn.Linear(CODE + ATTRIBUTES, style), nn.LeakyReLU(0.2), nn.Linear(style, style), nn.LeakyReLU(0.2)
        )
        self.stem = nn.Conv2d(PLANES, widths[0], 3, 1, 1)
        self.fine = nn.Conv2d(widths[0], widths[0], 3, 1, 1)
        pairs = list(pairwise(widths))
        self.downs = nn.ModuleList(Down(a, b) for a, b in pairs)
        self.middle = nn.ModuleList(Modulated(widths[-1], widths[-1], style) for _ in range(2))
        self.first_picture = Modulated(widths[-1], 3, style, 1, demodulate=False)
        self.ups = nn.ModuleList(Up(b, a, a, style) for a, b in reversed(pairs))

    def forward(self, planes: Tensor, code: Tensor, attributes: Tensor) -> Tensor:
        with torch.autocast(planes.device.type, enabled=False):
            style = self.mapping(condition(code, attributes).float())
        x = leaky(self.fine(leaky(self.stem(planes))))
        beside = [x]
        for down in self.downs:
            x = down(x)
            beside.append(x)
        x = beside.pop()
        y = x
        for layer in self.middle:
            y = layer(y, style)
        x = (x + y) * sqrt(0.5)
        picture: Tensor = self.first_picture(x, style).float()
        for up in self.ups:
            x, more = up(x, beside.pop(), style)
            picture = doubled(picture) + more.float()
        return picture


def condition(code: Tensor, attributes: Tensor) -> Tensor:
    """Return what networks are told of who a face shall be, (B, 105): the code at unit variance, whose length tells
    nothing of a person, and the look in -1..1. code: (B, 96). attributes: (B, 9)."""
    unit = code * (code.square().mean(1, keepdim=True) + 1e-6).rsqrt()
    return torch.cat([unit, attributes * 2 - 1], 1)


def leaky(x: Tensor) -> Tensor:
    """Return x with what is below 0 at a fifth, at unit gain."""
    return functional.leaky_relu(x, 0.2) * sqrt(2)


def doubled(x: Tensor) -> Tensor:
    """Return maps at twice the resolution, linearly interpolated."""
    # In the numbers of x, which autocast would widen on a CPU.
    with torch.autocast(x.device.type, enabled=False):
        return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
