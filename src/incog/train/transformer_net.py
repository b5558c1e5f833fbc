"""The networks of the face identity transformer (Gu, Luo, Ryoo, Lee: Password-conditioned anonymization and
deanonymization with face identity transformers, ECCV 2020), and those that it learns against and with."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from incog.errors import must_be
from incog.train.nets import Trunk

GROUPS = 8
"""Of the group norms."""

_STYLE = 128
"""Numbers that a key is mapped to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """width: channels at full resolution, twice as many at each of two halvings. blocks: at a quarter of it. key:
    numbers of a key. condition: ``film`` scales and shifts every norm by the key, ``tiled`` lays it beside the picture
    (Gu et al.). norm: ``group``, or ``batch`` with the batch's own statistics, in use too (Gu et al.).
    """

    width: int = 40
    blocks: int = 6
    key: int = 32
    condition: str = "film"
    norm: str = "group"

    def __post_init__(self) -> None:
        if self.condition not in ("film", "tiled"):
            raise must_be("condition", "film or tiled", self.condition)
        if self.norm not in ("group", "batch"):
            raise must_be("norm", "group or batch", self.norm)
        if self.norm == "group" and self.width % GROUPS:
            raise must_be("width", f"a multiple of {GROUPS}", self.width)

    @property
    def size_of_a_sign(self) -> float:
        """What signs are multiplied by: keys are unit vectors, or halves where tiled."""
        return 0.5 if self.condition == "tiled" else float(self.key**-0.5)


class Norm(nn.Module):
    """A norm whose scale and shift a key changes, where there is one."""

    def __init__(self, channels: int, options: Network) -> None:
        super().__init__()
        self.norm: nn.Module
        if options.norm == "group":
            self.norm = nn.GroupNorm(GROUPS, channels)
        else:
            self.norm = nn.BatchNorm2d(channels, track_running_stats=False)
        self.film = nn.Linear(_STYLE, 2 * channels) if options.condition == "film" else None
        if self.film is not None:
            nn.init.normal_(self.film.weight, std=0.05)
            nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        x = self.norm(x)
        if self.film is None:
            return x
        scale, shift = self.film(style)[:, :, None, None].chunk(2, 1)
        changed: Tensor = x * (1 + scale) + shift
        return changed


class Layer(nn.Module):
    """Convolution, norm, rectifier. stride 2 halves the resolution; ``up`` doubles it first, by repeating pixels."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        options: Network,
        *,
        kernel: int = 3,
        stride: int = 1,
        up: bool = False,
    ) -> None:
        super().__init__()
        self.up = up
        self.convolution = nn.Conv2d(
            inputs,
            outputs,
            kernel,
            stride,
            kernel // 2,
            bias=False,
            padding_mode="reflect" if kernel > 3 else "zeros",
        )
        self.norm = Norm(outputs, options)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        if self.up:
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
        return functional.relu(self.norm(self.convolution(x), style))


class Residual(nn.Module):
    """Two convolutions beside what they change."""

    def __init__(self, channels: int, options: Network) -> None:
        super().__init__()
        self.first = Layer(channels, channels, options)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm = Norm(channels, options)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        changed: Tensor = self.norm(self.second(self.first(x, style)), style)
        return x + changed


class TransformerNet(nn.Module):
    """(B, 3, S, S) R'G'B' in 0..1, keys (B, K) -> (B, 3, S, S) in 0..1: another person's face, in the same place.

    Keys are unit vectors of signs, or signs times one half where tiled; the key's negative brings the original back. S
    may be any multiple of 4. What goes in does not go round the network: with a way round, a network soon learns to
    leave faces as they are, where the cosine of two embeddings has no slope.
    """

    def __init__(self, options: Network) -> None:
        super().__init__()
        tiled = options.condition == "tiled"
        w = options.width
        self.style = None if tiled else nn.Sequential(nn.Linear(options.key, _STYLE), nn.SiLU())
        # A unit vector of many signs has small numbers: they are brought to a size of 1.
        self.scale = options.key**0.5
        self.stem = Layer(3 + (options.key if tiled else 0), w, options, kernel=7)
        self.downs = nn.ModuleList(Layer(a, 2 * a, options, stride=2) for a in (w, 2 * w))
        self.blocks = nn.ModuleList(Residual(4 * w, options) for _ in range(options.blocks))
        self.ups = nn.ModuleList(Layer(2 * a, a, options, up=True) for a in (2 * w, w))
        self.picture = nn.Conv2d(w, 3, 7, 1, 3, padding_mode="reflect")

    def forward(self, image: Tensor, key: Tensor) -> Tensor:
        x = image * 2 - 1
        if self.style is None:
            style = key
            x = torch.cat([x, key[:, :, None, None].expand(-1, -1, *x.shape[2:])], 1)
        else:
            style = self.style(key * self.scale)
        x = self.stem(x, style)
        for layer in (*self.downs, *self.blocks, *self.ups):
            x = layer(x, style)
        return torch.tanh(self.picture(x).float()) * 0.5 + 0.5


class Critic(nn.Module):
    """(B, 3, S, S) in 0..1 -> scores of overlapping patches of 70 px (Isola et al. 2017), (B, 1, s, s).

    spectral: norm of the weights instead of batch norm.
    """

    def __init__(self, width: int, *, spectral: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for number, (outputs, stride) in enumerate(
            ((width, 2), (2 * width, 2), (4 * width, 2), (8 * width, 1))
        ):
            convolution: nn.Module = nn.Conv2d(inputs, outputs, 4, stride, 1)
            layers.append(spectral_norm(convolution) if spectral else convolution)
            if number and not spectral:
                layers.append(nn.BatchNorm2d(outputs))
            layers.append(nn.LeakyReLU(0.2))
            inputs = outputs
        last: nn.Module = nn.Conv2d(inputs, 1, 4, 1, 1)
        self.layers = nn.Sequential(*layers, spectral_norm(last) if spectral else last)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.layers(images * 2 - 1)
        return scores


class KeyPredictor(nn.Module):
    """A picture and what a key made of it, (B, 3, S, S) in 0..1 each -> (B, outputs): which key it was."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 6
        for number in range(4):
            channels = width * min(2**number, 8)
            layers += [
                nn.Conv2d(inputs, channels, 4, 2, 1, bias=False), nn.GroupNorm(GROUPS, channels), nn.LeakyReLU(0.2)
            ]  # fmt: skip
            inputs = channels
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(inputs, outputs)

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        seen = torch.cat([before, after], 1) * 2 - 1
        answer: Tensor = self.head(self.layers(seen).mean((2, 3)))
        return answer


class Classifier(nn.Module):
    """(B, 3, S, S) in 0..1 -> logits of the people that it knows, (B, N)."""

    def __init__(self, width: int, people: int) -> None:
        super().__init__()
        widths = (width, 2 * width, 4 * width)
        self.trunk = Trunk(widths, (1, 1, 1))
        self.head = nn.Linear(widths[-1], people)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.trunk(images).mean((2, 3)))
        return logits


class Linker(nn.Module):
    """What recognisers say of two pictures -> (B, 128) of unit norm each, alike where both show one person.

    It learns what a recogniser would that is trained on turned faces: (B, D) of faces that may be turned, and (B, D) of
    faces as they are.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.turned, self.known = (
            nn.Sequential(
                nn.Linear(inputs, 512), nn.SiLU(), nn.Linear(512, 512), nn.SiLU(), nn.Linear(512, 128)
            )
            for _ in range(2)
        )

    def forward(self, turned: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        return functional.normalize(self.turned(turned), dim=1), functional.normalize(
            self.known(known), dim=1
        )


class Inverter(nn.Module):
    """Turned faces (B, 3, S, S) -> what it takes the originals for, in 0..1: who attacks without any key trains one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = (width, 2 * width, 4 * width, 4 * width)
        self.stem = nn.Conv2d(3, widths[0], 3, 1, 1)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in pairwise(widths))
        self.middle = nn.ModuleList(nn.Conv2d(widths[-1], widths[-1], 3, 1, 1) for _ in range(2))
        self.ups = nn.ModuleList(nn.Conv2d(b + a, a, 3, 1, 1) for a, b in reversed(list(pairwise(widths))))
        self.last = nn.Conv2d(widths[0], 3, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.silu(self.stem(x * 2 - 1))
        beside = []
        for down in self.downs:
            beside.append(y)
            y = functional.silu(down(y))
        for layer in self.middle:
            y = y + functional.silu(layer(y))
        for up in self.ups:
            y = functional.interpolate(y, scale_factor=2.0, mode="nearest")
            y = functional.silu(up(torch.cat([y, beside.pop()], 1)))
        back: Tensor = (x + self.last(y)).clamp(0, 1)
        return back
