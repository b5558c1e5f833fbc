"""An attacker's network: a small U-Net that learns from pictures of other people to undo a method.

PyTorch is needed here alone in the evaluation, and looked for when something is learnt.
"""

from __future__ import annotations

import copy
import importlib.util
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from incog.errors import ModelError
from incog.types import Bytes

if TYPE_CHECKING:
    from torch import Tensor

STEPS = 400
"""Of learning: with batches of ``BATCH`` about a minute on one core."""

BATCH = 8
RATE = 2e-3
RISE = 20
"""Steps over which the learning rate rises; it then falls along half a cosine."""

CHECKS = 8
"""How often held-out pairs are looked at; the best network is kept."""

HELD_OUT = 10
"""One person of so many, or one pair, is held out."""

JITTER = 0.1
"""Most change of contrast of a channel, as a share, and of brightness, of the range 0 to 1."""

WIDTHS = (24, 48, 96, 128)
"""Channels at a half, a quarter, an eighth and a sixteenth of the resolution."""

SCALES = 4
"""Halvings, the first of none, at which pictures are compared."""

Indices = npt.NDArray[np.intp]


def available() -> bool:
    """Return whether PyTorch is installed."""
    try:
        return importlib.util.find_spec("torch") is not None
    except ValueError:
        # It is marked as absent.
        return False


def learn_unet(
    hidden: Bytes,
    originals: Bytes,
    *,
    people: Sequence[str] | None = None,
    steps: int = STEPS,
    seed: int = 0,
    threads: int = 1,
) -> Callable[[Bytes], Bytes]:
    """Return the function that restores aligned crops (B, S, S, 3) uint8, learnt on pairs of those of other people.

    hidden, originals: (N, S, S, 3), N at least ten, S a multiple of 16. people: who each pair shows; where they are
    told, whole people are held out. The network begins with the hidden crop as it is, and is judged on the pairs held
    out: where it does not come nearer to the originals than the hidden crops are, these are returned as they are. One
    seed, number of steps and number of threads give one result on one machine. threads: of PyTorch while it learns, 0
    as it is set.

    Raises ValueError for other shapes, ModelError where PyTorch is not installed.
    """
    if hidden.shape != originals.shape or hidden.ndim != 4 or len(hidden) < 10 or hidden.shape[3] != 3:
        raise ValueError(
            f"there must be at least ten pairs of crops of one shape, got {hidden.shape} and {originals.shape}"
        )
    if hidden.shape[1] % 16 or hidden.shape[2] % 16:
        raise ValueError(f"the sides of crops must be multiples of 16, got {hidden.shape}")
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if people is not None and (len(people) != len(hidden) or len(set(people)) < 2):
        raise ValueError(
            f"people must be at least two, one for each pair, got {len(set(people))} of {len(people)}"
        )
    if not available():
        raise ModelError(
            "a network cannot be trained without PyTorch", hint="run: pip install 'incog[train]'"
        )
    import torch

    before = torch.get_num_threads()
    if threads:
        torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = _learnt(hidden, originals, _held_out(len(hidden), people), steps, seed)
    finally:
        torch.set_num_threads(before)
    if network is None:
        return lambda crops: crops.copy()

    def restore(crops: Bytes) -> Bytes:
        return _applied(network, crops)

    return restore


def _held_out(count: int, people: Sequence[str] | None) -> npt.NDArray[np.bool_]:
    """Return which pairs are held out: of every ``HELD_OUT``th person, or every ``HELD_OUT``th pair."""
    codes = np.arange(count) if people is None else np.unique(list(people), return_inverse=True)[1]
    # Of fewer than ten people the last is held out.
    share = min(HELD_OUT, int(codes.max()) + 1)
    return np.asarray(codes % share == share - 1, np.bool_)


def _learnt(hidden: Bytes, originals: Bytes, held: npt.NDArray[np.bool_], steps: int, seed: int) -> Any:
    """Return the network that does best on the pairs held out, or None where none does better than nothing."""
    import torch

    network = _network()
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.01)
    random = np.random.default_rng(seed)
    pairs = np.flatnonzero(~held)
    rounds = -(-steps * BATCH // len(pairs))
    order = np.concatenate([random.permutation(pairs) for _ in range(rounds)])
    least, best = _error(hidden[held], originals[held]), None
    marks = {round(steps * (number + 1) / CHECKS) for number in range(CHECKS)}
    for step in range(steps):
        rate = min((step + 1) / RISE, 1) * (0.51 + 0.49 * math.cos(math.pi * step / steps))
        for group in optimiser.param_groups:
            group["lr"] = RATE * rate
        seen, goal = _pairs(hidden, originals, order[step * BATCH : (step + 1) * BATCH], random)
        network.train()
        loss = _difference(network(seen), goal)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        if step + 1 in marks:
            error = _error(_applied(network, hidden[held]), originals[held])
            if error < least:
                least, best = error, copy.deepcopy(network)
    return best


def _pairs(
    hidden: Bytes, originals: Bytes, rows: Indices, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return the pairs of some rows, each mirrored or not and with other colours, the same on both sides."""
    import torch

    mirrored = torch.from_numpy(random.random(len(rows)) < 0.5)
    gain = torch.from_numpy(random.uniform(1 - JITTER, 1 + JITTER, (len(rows), 3, 1, 1)).astype(np.float32))
    shift = torch.from_numpy(random.uniform(-JITTER, JITTER, (len(rows), 1, 1, 1)).astype(np.float32))
    both = []
    for crops in (hidden, originals):
        values = _tensor(crops[rows])
        values = torch.where(mirrored[:, None, None, None], values.flip(3), values)
        both.append((values - 0.5) * gain + 0.5 + shift)
    return both[0], both[1]


def _difference(one: Tensor, other: Tensor) -> Tensor:
    """Return the mean absolute difference, summed over halvings: coarse structure counts as much as each pixel."""
    from torch.nn import functional

    total = (one - other).abs().mean()
    for _ in range(1, SCALES):
        one, other = functional.avg_pool2d(one, 2), functional.avg_pool2d(other, 2)
        total = total + (one - other).abs().mean()
    return total


def _error(crops: Bytes, originals: Bytes) -> float:
    return float(_difference(_tensor(crops), _tensor(originals)))


def _applied(network: Any, crops: Bytes) -> Bytes:
    import torch

    network.eval()
    result = np.empty_like(crops)
    with torch.inference_mode():
        for start in range(0, len(crops), BATCH):
            values = (
                (network(_tensor(crops[start : start + BATCH])).clamp(0, 1) * 255).round().to(torch.uint8)
            )
            result[start : start + BATCH] = values.permute(0, 2, 3, 1).numpy()
    return result


def _tensor(crops: Bytes) -> Tensor:
    """Return (B, 3, S, S) float32 in 0..1 for crops (B, S, S, 3) uint8."""
    import torch

    values = torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2)
    return (values.float() / 255).contiguous(memory_format=torch.channels_last)


def _network() -> Any:
    """Return a new network: hidden crops (B, 3, S, S) in 0..1 to restored ones, which at first are the same."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Block(nn.Sequential):
        def __init__(self, inputs: int, outputs: int) -> None:
            # Without normalisation a step takes a fifth less time, and ends about as near.
            super().__init__(
                nn.Conv2d(inputs, outputs, 3, padding=1),
                nn.SiLU(inplace=True),
                nn.Conv2d(outputs, outputs, 3, padding=1),
                nn.SiLU(inplace=True),
            )

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            # Two pixels are taken as one with more channels: at full resolution nearly all time would go.
            inputs = (5 * 4, *WIDTHS[:-1])
            self.down = nn.ModuleList(Block(*pair) for pair in zip(inputs, WIDTHS, strict=True))
            self.up = nn.ModuleList(Block(one + other, one) for one, other in pairwise(WIDTHS))
            self.last = nn.Conv2d(WIDTHS[0], 6 * 4, 3, padding=1)
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    # PyTorch's own start would let eight layers fade out.
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                    nn.init.zeros_(module.bias)  # type: ignore[arg-type]
            nn.init.zeros_(self.last.weight)

        def forward(self, x: Tensor) -> Tensor:
            batch, _, height, width = x.shape
            # Crops are aligned: where a pixel lies says what of the face it shows.
            across = torch.linspace(-1, 1, width).expand(batch, 1, height, width)
            down = torch.linspace(-1, 1, height)[:, None].expand(batch, 1, height, width)
            y = functional.pixel_unshuffle(torch.cat([x - 0.5, across, down], 1), 2)
            kept = []
            for number, block in enumerate(self.down):
                y = block(functional.avg_pool2d(y, 2) if number else y)
                kept.append(y)
            for number in reversed(range(len(self.up))):
                larger = functional.interpolate(y, scale_factor=2)
                y = self.up[number](torch.cat([larger, kept[number]], 1))
            # How much of each pixel is kept, and what is added: noise is dropped at once, not learnt to be subtracted.
            kept_share, added = functional.pixel_shuffle(self.last(y), 2).chunk(2, 1)
            return (x - 0.5) * (1 + kept_share) + 0.5 + added

    return UNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
