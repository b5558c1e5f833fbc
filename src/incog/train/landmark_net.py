"""The landmark network: maps of where each point may be, and what is left to the whole picture."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor, nn
from torch.nn import functional

from incog import points as dense
from incog.perceive.landmarks import SIDE
from incog.train.nets import Trunk

DEGREES = 30.0
"""Unit of the pose inside the network."""

_BEYOND = 1.25
"""How far the maps reach, in half sides: points may lie outside of the crop."""

_GAIN = 10.0
"""Factor of the maps before the softmax: they learn that much quicker."""

_SPREAD = 0.2
"""Standard deviation of the maps before training, in half sides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """widths, blocks: of the trunk's three stages. maps: channels that the maps are read from. head: channels per place
    that pose, doubt and corrections are read from."""

    widths: tuple[int, ...] = (32, 64, 128)
    blocks: tuple[int, ...] = (1, 1, 1)
    maps: int = 64
    head: int = 16


class LandmarksNet(nn.Module):
    """(B, 3, 112, 112) R'G'B' in 0..1 -> points (B, 130, 2) in half sides from the middle, pose (B, 3) in units of
    DEGREES, logarithm of the doubt (B,).

    A point is the mean place under the softmax of its map (Nibali et al. 2018) of 14 x 14 places plus a correction by
    the whole picture: maps learn from far fewer pictures than a correction alone.
    """

    def __init__(self, options: Network) -> None:
        super().__init__()
        self.trunk = Trunk(options.widths, options.blocks)
        self.middle = options.blocks[0] + options.blocks[1]
        width, deep = options.widths[1:]
        side = SIDE // 8
        self.lateral = nn.Conv2d(width, options.maps, 1, bias=False)
        self.top = nn.Conv2d(deep, options.maps, 1, bias=False)
        self.mix = nn.Sequential(
            nn.BatchNorm2d(options.maps),
            nn.ReLU(inplace=True),
            nn.Conv2d(options.maps, options.maps, 3, 1, 1, bias=False),
            nn.BatchNorm2d(options.maps),
            nn.ReLU(inplace=True),
        )
        self.maps = nn.Conv2d(options.maps, dense.COUNT, 1)
        self.prior = nn.Parameter(torch.zeros(dense.COUNT, side * side))
        places = ((torch.arange(side) + 0.5) / side * 2 - 1) * _BEYOND
        self.register_buffer("places", torch.cartesian_prod(places, places).flip(1))
        self.squeeze = nn.Sequential(
            nn.Conv2d(deep, options.head, 1, bias=False),
            nn.BatchNorm2d(options.head),
            nn.ReLU(inplace=True),
            nn.Flatten(),
        )
        self.head = nn.Linear(options.head * (side // 2) ** 2, dense.COUNT * 2 + 4)
        self.pose = nn.Linear(dense.COUNT * 2, 3, bias=False)
        nn.init.normal_(self.maps.weight, std=0.01)
        nn.init.normal_(self.head.weight, std=0.001)
        nn.init.zeros_(self.head.bias)
        nn.init.zeros_(self.pose.weight)

    @torch.no_grad()
    def start_at(self, mean: Tensor) -> None:
        """Make the answer to any picture these points, (130, 2) in half sides, before training."""
        places = self._places()
        distance = (places[None] - mean[:, None].to(places)).square().sum(2)
        self.prior.copy_(-distance / (2 * _SPREAD**2) / _GAIN)
        rest = mean.to(places) - torch.softmax(self.prior * _GAIN, 1) @ places
        self.head.bias[: dense.COUNT * 2] = rest.reshape(-1)
        self.head.bias[-1] = log(0.05)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps, rest = self._convolved(x)
        if torch.is_autocast_enabled(x.device.type):
            # Places need more than the eight bits of bfloat16.
            with torch.autocast(x.device.type, enabled=False):
                return self._placed(maps, rest)
        return self._placed(maps, rest)

    def _placed(self, maps: Tensor, rest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        answer = self.head(rest.float())
        count = dense.COUNT * 2
        likely = torch.softmax((maps.float().flatten(2) + self.prior) * _GAIN, 2)
        placed = likely @ self._places()
        pose = answer[:, count : count + 3] + self.pose(placed.flatten(1).detach())
        return placed + answer[:, :count].reshape(-1, dense.COUNT, 2), pose, answer[:, count + 3]

    def _convolved(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps (B, 130, 14, 14) and what the head reads (B, N)."""
        y = x * 2 - 1
        fine = y
        for number, layer in enumerate(self.trunk):
            y = layer(y)
            if number == self.middle:
                fine = y
        coarse = functional.interpolate(self.top(y), scale_factor=2.0, mode="nearest")
        return self.maps(self.mix(self.lateral(fine) + coarse)), self.squeeze(y)

    def _places(self) -> Tensor:
        places = self.places
        assert isinstance(places, Tensor)
        return places


class Shipped(nn.Module):
    """(B, 3, 112, 112) RGB 0..255 -> points (B, 130, 2) in pixels of the crop, pose (B, 3) in degrees, doubt (B,)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        points, pose, doubt = self.network(x * (1 / 255))
        return points * (SIDE / 2) + (SIDE - 1) / 2, pose * DEGREES, doubt.clamp(max=0).exp()
