"""The critic: does this picture show a real face with this code in this drawing? And how its pictures are shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from incog.train import augment
from incog.train.generator_net import Down, leaky


@dataclass(frozen=True, slots=True, kw_only=True)
class Width:
    """widths: channels at full, half, ... resolution."""

    widths: tuple[int, ...] = (32, 64, 128, 192, 256)


class Critic(nn.Module):
    """(B, planes, S, S), (B, conditions) -> logits of patches (B, 1, s, s) and of the whole (B, 1), and its features.

    The whole is judged with the condition by projection (Miyato and Koyama 2018).
    """

    def __init__(self, planes: int, conditions: int, options: Width) -> None:
        super().__init__()
        widths = options.widths
        self.stem = nn.Conv2d(planes, widths[0], 3, 1, 1)
        self.downs = nn.ModuleList(Down(a, b) for a, b in pairwise(widths))
        self.last = nn.Conv2d(widths[-1], widths[-1], 3, 1, 1)
        self.patches = nn.Conv2d(widths[-1], 1, 1)
        self.whole = nn.Linear(widths[-1], 1)
        self.project = nn.Sequential(
            nn.Linear(conditions, widths[-1]), nn.LeakyReLU(0.2), nn.Linear(widths[-1], widths[-1])
        )

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        x = leaky(self.stem(x))
        features = []
        for down in self.downs:
            x = down(x)
            features.append(x)
        x = leaky(self.last(x))
        pooled = x.mean((2, 3))
        match = (pooled * self.project(condition)).sum(1, keepdim=True) / sqrt(pooled.shape[1])
        return self.patches(x), self.whole(pooled) + match, features


def losses_of_critic(real: tuple[Tensor, Tensor], made: tuple[Tensor, Tensor]) -> Tensor:
    """Return the non-saturating loss (Goodfellow et al. 2014) of a critic's logits, patches and whole alike."""
    pairs = zip(real, made, strict=True)
    return torch.stack(
        [functional.softplus(-r).mean() + functional.softplus(m).mean() for r, m in pairs]
    ).sum()


def loss_of_maker(made: tuple[Tensor, Tensor]) -> Tensor:
    """Return the non-saturating loss of what made the pictures."""
    return torch.stack([functional.softplus(-m).mean() for m in made]).sum()


def flatness(
    critic: Callable[..., tuple[Tensor, Tensor, list[Tensor]]], planes: Tensor, condition: Tensor
) -> Tensor:
    """Return the mean squared gradient of the logits by real pictures (R1, Mescheder et al. 2018). It is
    computed in single precision."""
    planes = planes.detach().float().requires_grad_(True)
    patches, whole, _ = critic(planes, condition.float())
    (gradient,) = torch.autograd.grad(patches.mean((1, 2, 3)).sum() + whole.sum(), planes, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def shown(pictures: Tensor, draws: Tensor, *, vivid: float = 1.0) -> Tensor:
    """Return pictures as the critic sees them, real and made alike: changed in colour, shifted, partly covered, so that
    it cannot learn the few real ones by heart (Zhao et al., DiffAugment, 2020).

    pictures: (B, C, S, S); the first three channels are R'G'B' in -1..1. draws: (B, 8). vivid: how much colours are
    changed: brightness by 0.3, saturation by 0.7 and contrast by 0.4 at 1, nothing at 0. A critic that sees every tone
    as any other does not mind a wrong one.
    """
    d = draws[:, :, None, None, None]
    rgb, rest = pictures[:, :3], pictures[:, 3:]
    rgb = rgb + augment.between(d[:, 0], -0.3, 0.3) * vivid
    grey = rgb.mean(1, keepdim=True)
    rgb = grey + (rgb - grey) * (1 + augment.between(d[:, 1], -0.7, 0.7) * vivid)
    middle = rgb.mean((1, 2, 3), keepdim=True)
    rgb = middle + (rgb - middle) * (1 + augment.between(d[:, 2], -0.4, 0.4) * vivid)
    both = torch.cat([rgb, rest], 1)
    side = both.shape[-1]
    matrices = augment.similarity(
        torch.zeros_like(draws[:, 0]),
        torch.ones_like(draws[:, 0]),
        (augment.between(draws[:, 3], -0.25, 0.25) * side / 2).round() * 2 / side,
        (augment.between(draws[:, 4], -0.25, 0.25) * side / 2).round() * 2 / side,
    )
    both = augment.warp(both, matrices, side, padding="zeros")
    place = (torch.arange(side, device=both.device) + 0.5) / side
    hidden = ((place[None, None, :] - draws[:, 5, None, None]).abs() < 0.2) & (
        (place[None, :, None] - draws[:, 6, None, None]).abs() < 0.2
    )
    return both * (~hidden | (draws[:, 7, None, None] < 0.4))[:, None]
