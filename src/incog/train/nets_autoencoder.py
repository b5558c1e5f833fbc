"""The autoencoder: a face becomes a code, and a code a face (Nousi, Papadopoulos, Tefas, Pitas 2019)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrizations import spectral_norm

from incog.train.nets import Block, Stem, Trunk

COARSEST = 4
"""Side in pixels of the maps between which and the code there is one matrix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """side: of the picture in pixels. code: numbers in a code. encoder: channels at a 4th, 8th ... of the side, down to
    4 px. decoder: channels at 4, 8 ... px, up to the side. inner: channels of the maps on both sides of the code.
    critic: channels of the patch critic at a half, a quarter ... of the side."""

    side: int = 128
    code: int = 256
    encoder: tuple[int, ...] = (32, 64, 96, 96)
    decoder: tuple[int, ...] = (96, 96, 96, 64, 40, 24)
    inner: int = 48
    critic: tuple[int, ...] = (32, 64, 128)

    def __post_init__(self) -> None:
        if self.side != 4 * COARSEST * 2 ** (len(self.encoder) - 1) or self.side != COARSEST * 2 ** (
            len(self.decoder) - 1
        ):
            raise ValueError(f"the stages of encoder and decoder must lead from {self.side} px to {COARSEST}")


class Encoder(nn.Module):
    """(B, 3, S, S) R'G'B' in 0..1 -> code (B, C), each number of mean 0 and variance 1 over the data."""

    def __init__(self, options: Network) -> None:
        super().__init__()
        self.trunk = Trunk(options.encoder, (1,) * len(options.encoder))
        self.narrow = nn.Conv2d(options.encoder[-1], options.inner, 1)
        self.code = nn.Linear(options.inner * COARSEST**2, options.code)
        self.norm = nn.BatchNorm1d(options.code, affine=False)

    def forward(self, images: Tensor) -> Tensor:
        maps = functional.relu(self.narrow(self.trunk(images)))
        code: Tensor = self.norm(self.code(maps.flatten(1)))
        return code


class Decoder(nn.Module):
    """Code (B, C) -> (B, 3, S, S), R'G'B' about 0..1; not clipped."""

    def __init__(self, options: Network) -> None:
        super().__init__()
        self.inner = options.inner
        self.code = nn.Linear(options.code, options.inner * COARSEST**2)
        self.wide = Block(options.inner, options.decoder[0])
        self.stages = nn.ModuleList(Block(*pair) for pair in pairwise(options.decoder))
        self.colours = nn.Conv2d(options.decoder[-1], 3, 3, 1, 1)

    def forward(self, codes: Tensor) -> Tensor:
        maps = self.wide(self.code(codes).view(-1, self.inner, COARSEST, COARSEST))
        for stage in self.stages:
            maps = stage(functional.interpolate(maps, scale_factor=2.0, mode="nearest"))
        colours: Tensor = self.colours(maps)
        return 0.5 + colours


class AutoencoderNet(nn.Module):
    """Both halves: (B, 3, S, S) in 0..1 -> the code (B, C) and the picture made of it (B, 3, S, S)."""

    def __init__(self, options: Network) -> None:
        super().__init__()
        self.encoder = Encoder(options)
        self.decoder = Decoder(options)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        codes = self.encoder(images)
        return codes, self.decoder(codes)


class Critic(nn.Module):
    """(B, 3, S, S) -> how real each patch looks, and the maps of its layers: spectral norms, no others."""

    def __init__(self, options: Network) -> None:
        super().__init__()
        widths = (3, *options.critic)
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(inputs, outputs, 4, 2, 1)) for inputs, outputs in pairwise(widths)
        )
        self.last = spectral_norm(nn.Conv2d(widths[-1], 1, 3, 1, 1))

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        maps, x = [], images * 2 - 1
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), 0.2)
            maps.append(x)
        return self.last(x), maps


class ShippedEncoder(nn.Module):
    """The encoder over R'G'B' 0..255."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pixels: Tensor) -> Tensor:
        codes: Tensor = self.encoder(pixels * (1 / 255))
        return codes


class ShippedDecoder(nn.Module):
    """The decoder to R'G'B' clipped to 0..1."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, codes: Tensor) -> Tensor:
        return torch.clamp(self.decoder(codes), 0, 1)


@torch.no_grad()
def rounded(network: nn.Module) -> AutoencoderNet:
    """Return a copy as it ships: norms folded into the layers before them, and kernels and matrices in half precision,
    which a code is too fine a result to be rounded to afterwards."""
    made = copy.deepcopy(network).eval()
    assert isinstance(made, AutoencoderNet)
    for module in made.modules():
        if isinstance(module, Stem):
            module[0], module[1] = _folded(module[0], module[1]), nn.Identity()
        elif isinstance(module, Block):
            module.first = _folded(module.first, module.first_norm)
            module.second = _folded(module.second, module.second_norm)
            module.add_module("first_norm", nn.Identity())
            module.add_module("second_norm", nn.Identity())
        elif isinstance(module, Encoder):
            mean, variance = module.norm.running_mean, module.norm.running_var
            assert mean is not None
            assert variance is not None
            spread = torch.sqrt(variance + module.norm.eps)
            module.code.weight.div_(spread[:, None])
            module.code.bias.sub_(mean).div_(spread)
            module.add_module("norm", nn.Identity())
    for parameter in made.parameters():
        if parameter.ndim > 1:
            parameter.copy_(parameter.half().float())
    return made


def _folded(layer: nn.Module, norm: nn.Module) -> nn.Conv2d:
    assert isinstance(layer, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return fuse_conv_bn_eval(layer, norm)


def halves(network: nn.Module) -> tuple[Encoder, Decoder]:
    """Return the encoder and the decoder of an ``AutoencoderNet``."""
    encoder, decoder = network.encoder, network.decoder
    assert isinstance(encoder, Encoder)
    assert isinstance(decoder, Decoder)
    return encoder, decoder
