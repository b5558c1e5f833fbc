"""Building blocks of the networks: dense 3x3 residual trunks over a patch stem.

Dense convolutions on a quarter of the resolution train some fifteen times faster on a CPU than depthwise ones at half
of it (MobileFaceNet), for the same number of parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Stem(nn.Sequential):
    """(B, 3, H, W) -> (B, width, H / 4, W / 4): one 4x4 convolution of stride 4 over pixels in 0..1."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Conv2d(3, width, 4, 4, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True))


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut; stride 2 halves the resolution."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.stride = stride
        self.shortcut = (
            nn.Conv2d(inputs, outputs, 1, bias=False) if (inputs, stride) != (outputs, 1) else None
        )

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(y))
        if self.shortcut is not None:
            if self.stride > 1:
                # Odd sides are rounded up, as by the convolution of the other way.
                x = functional.avg_pool2d(x, self.stride, ceil_mode=True, count_include_pad=False)
            x = self.shortcut(x)
        return functional.relu(x + y)


class Trunk(nn.Sequential):
    """Stem and stages of blocks: (B, 3, H, W) -> (B, widths[-1], H / 4 / 2**(stages - 1), ...)."""

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
        layers: list[nn.Module] = [Stem(widths[0])]
        inputs = widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            for number in range(count):
                layers.append(Block(inputs, width, 2 if number == 0 and stage > 0 else 1))
                inputs = width
        super().__init__(*layers)


class Places(nn.Module):
    """(B, C, h, w) -> (B, C): a weighted sum with one weight per place and channel (MobileFaceNet's global depthwise
    convolution): corners of the crop say less than its middle. Maps of another size take interpolated weights."""

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1, width, side, side), 1 / side**2))

    def forward(self, x: Tensor) -> Tensor:
        weight: Tensor = self.weight
        if x.shape[-2:] != weight.shape[-2:]:
            scale = weight.shape[-1] * weight.shape[-2] / (x.shape[-1] * x.shape[-2])
            weight = (
                functional.interpolate(weight, size=x.shape[-2:], mode="bilinear", align_corners=False)
                * scale
            )
        return (x * weight).sum((2, 3))


class Normalised(nn.Module):
    """A network over uint8-valued RGB 0..255, as it ships: the scaling to 0..1 is inside."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        result: Tensor | tuple[Tensor, ...] = self.network(x * (1 / 255))
        return result


def parameters(module: nn.Module) -> int:
    """Return the number of learnt values."""
    return sum(item.numel() for item in module.parameters())


@torch.no_grad()
def operations(module: nn.Module, *example: Tensor) -> int:
    """Return the multiply-adds of convolutions and matrices for one item of the example batch (B, ...), of one input or
    several."""
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            total += output.numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.Linear):
            total += output.numel() * layer.in_features

    hooks = [layer.register_forward_hook(count) for layer in module.modules()]
    try:
        module(*example)
    finally:
        for hook in hooks:
            hook.remove()
    # What is shown its input more than once, as with its mirror image, computes more often too.
    return total // len(example[0])
