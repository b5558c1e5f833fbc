"""Networks that judge attributes: a trunk, its mean over all places, and one linear head per attribute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from incog.errors import must_be
from incog.perceive.attributes import CLASSES
from incog.train.attribute_labels import AGES
from incog.train.calibration import Scaling
from incog.train.nets import Block, Places, Trunk

SIDE = 112
"""Side of the crops that the exported network takes; inside it works at the recipe's last resolution."""

LEFT, TOP, WINDOW = 14, 28, 84
"""The square of a crop that the network sees, brows to chin: UTKFace's pictures hold hardly more (the square lies in
most of them), and what only some sources hold, such as hair, would tell the sources apart instead of the faces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """kind: ``residual``, ``plain`` or ``embedder``, whose trunk can begin as a recogniser's. widths, blocks: of the
    stages. dropout: before the heads."""

    kind: str = "residual"
    widths: tuple[int, ...] = (32, 64, 128, 256)
    blocks: tuple[int, ...] = (1, 1, 1, 1)
    dropout: float = 0.2


def _stem(width: int, activation: nn.Module) -> list[nn.Module]:
    # Overlapping and of stride 2: patches of four pixels, as a quarter of the resolution, lose what is fine in a face.
    return [nn.Conv2d(3, width, 5, 2, 2, bias=False), nn.BatchNorm2d(width), activation]


class Plain(nn.Sequential):
    """Convolutions and maximum pooling, no shortcuts: (B, 3, H, W) -> (B, widths[-1], H / 2**(stages + 1), ...)."""

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
        layers, inputs = _stem(widths[0], nn.SiLU(inplace=True)), widths[0]
        for width, count in zip(widths, blocks, strict=True):
            layers.append(nn.MaxPool2d(2))
            for _ in range(count):
                layers += [nn.Conv2d(inputs, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)]
                layers.append(nn.SiLU(inplace=True))
                inputs = width
        super().__init__(*layers)


class Residual(nn.Sequential):
    """Blocks with shortcuts between maximum pooling: the same shapes as ``Plain``."""

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
        layers, inputs = _stem(widths[0], nn.ReLU(inplace=True)), widths[0]
        for width, count in zip(widths, blocks, strict=True):
            layers.append(nn.MaxPool2d(2))
            for _ in range(count):
                layers.append(Block(inputs, width))
                inputs = width
        super().__init__(*layers)


class Means(nn.Module):
    """(B, C, h, w) -> (B, C): the mean over all places."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


KINDS: dict[str, type[nn.Module]] = {"residual": Residual, "plain": Plain, "embedder": Trunk}


class AttributesNet(nn.Module):
    """(B, 3, H, W) R'G'B' in 0..1 -> features (B, D) and logits of ages (B, 101) and of ``CLASSES`` (B, K) each."""

    def __init__(self, options: Network) -> None:
        super().__init__()
        if options.kind not in KINDS:
            raise must_be("kind of network", f"one of {', '.join(KINDS)}", options.kind)
        self.trunk = KINDS[options.kind](options.widths, options.blocks)
        width = options.widths[-1]
        side = -(-WINDOW // 4)
        for _ in options.widths[1:]:
            side = -(-side // 2)
        self.pool = Places(width, side) if options.kind == "embedder" else Means()
        self.norm = nn.BatchNorm1d(width)
        self.dropout = nn.Dropout(options.dropout)
        self.age = nn.Linear(width, AGES)
        self.heads = nn.ModuleDict({name: nn.Linear(width, len(kinds)) for name, kinds in CLASSES.items()})

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        features = self.norm(self.pool(self.trunk(x * 2 - 1)))
        kept = self.dropout(features)
        return features, self.age(kept), *(head(kept) for head in self.heads.values())


class Shipped(nn.Module):
    """(B, 3, 112, 112) RGB 0..255 -> age (B,), spread in years (B,), probabilities of ``CLASSES`` (B, K) each."""

    def __init__(self, network: nn.Module, scalings: Mapping[str, Scaling], side: int) -> None:
        super().__init__()
        self.network, self.side = network, side
        self.years: Tensor
        self.register_buffer("years", torch.arange(AGES, dtype=torch.float32))
        self.temperatures = [scalings[name].temperature for name in ("age", *CLASSES)]
        for name in CLASSES:
            self.register_buffer(f"bias_{name}", torch.tensor(scalings[name].bias, dtype=torch.float32))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        age, *logits = judged(self.network, seen(x, self.side) * (1 / 255))
        shares = torch.softmax(age / self.temperatures[0], 1)
        mean = (shares * self.years).sum(1)
        variance = (shares * (self.years - mean[:, None]).square()).sum(1)
        probabilities = [
            torch.softmax(values / temperature + getattr(self, f"bias_{name}"), 1)
            for name, values, temperature in zip(CLASSES, logits, self.temperatures[1:], strict=True)
        ]
        return mean, variance.sqrt(), *probabilities


def judged(network: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
    """Return the logits of each image (B, 3, H, W) and its mirror image, their mean."""
    both = torch.stack([images, images.flip(3)], 1).flatten(0, 1)
    return tuple(values.unflatten(0, (-1, 2)).mean(1) for values in network(both)[1:])


def seen(crops: Tensor, side: int) -> Tensor:
    """Return what the network sees of crops (B, C, 112, 112), as (B, C, side, side)."""
    window = crops[:, :, TOP : TOP + WINDOW, LEFT : LEFT + WINDOW]
    if side == WINDOW:
        return window
    return functional.interpolate(window, size=(side, side), mode="bilinear", align_corners=False)
