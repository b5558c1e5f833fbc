"""A normalising flow of affine couplings (Dinh, Sohl-Dickstein and Bengio: Density estimation using Real NVP, ICLR
2017): what was learnt from comes out as standard normal numbers, and standard normal numbers as what could have been
learnt from. Exactly invertible, and run without PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from incog.types import Floats

Doubles = npt.NDArray[np.float64]


class _Layer(NamedTuple):
    turn: Doubles
    first: Doubles
    first_shift: Doubles
    second: Doubles
    second_shift: Doubles
    third: Doubles
    third_shift: Doubles


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """L layers, each of which turns all D numbers, and stretches and shifts one half of them as a small network says of
    the other half and of what is given.

    turns: (L, D, D) float32, orthogonal. first: (L, D / 2 + G, H), second: (L, H, H), third: (L, H, D), the weights of
    the networks, and first_shift, second_shift: (L, H), third_shift: (L, D). The last ones' first half is the logarithm
    of the stretch, bent into -1..1 by the hyperbolic tangent.
    """

    turns: Floats
    first: Floats
    first_shift: Floats
    second: Floats
    second_shift: Floats
    third: Floats
    third_shift: Floats

    def forward(self, values: Doubles, given: Doubles) -> Doubles:
        """Return values (N, D) as about standard normal numbers, (N, D). given: (N, G)."""
        for layer in self._layers():
            kept, moved = np.split(values @ layer.turn, 2, axis=1)
            stretch, shift = _told(layer, kept, given)
            values = np.concatenate([kept, moved * np.exp(stretch) + shift], 1)
        return values

    def backward(self, numbers: Doubles, given: Doubles) -> Doubles:
        """Return the values (N, D) of standard normal numbers (N, D): the inverse of ``forward``."""
        for layer in reversed(list(self._layers())):
            kept, moved = np.split(numbers, 2, axis=1)
            stretch, shift = _told(layer, kept, given)
            whole = np.concatenate([kept, (moved - shift) * np.exp(-stretch)], 1)
            # In half precision the turn is not quite orthogonal.
            numbers = np.linalg.solve(layer.turn.T, whole.T).T
        return numbers

    def _layers(self) -> Iterator[_Layer]:
        parts = (
            self.turns,
            self.first,
            self.first_shift,
            self.second,
            self.second_shift,
            self.third,
            self.third_shift,
        )
        for number in range(len(self.turns)):
            yield _Layer(*(part[number].astype(np.float64) for part in parts))


def _told(layer: _Layer, kept: Doubles, given: Doubles) -> tuple[Doubles, Doubles]:
    """Return the logarithm of how far, and where to, the other half is stretched and shifted: (N, D / 2) each."""
    inner = _bent(np.concatenate([kept, given], 1) @ layer.first + layer.first_shift)
    inner = _bent(inner @ layer.second + layer.second_shift)
    stretch, shift = np.split(inner @ layer.third + layer.third_shift, 2, axis=1)
    return np.tanh(stretch), shift


def _bent(values: Doubles) -> Doubles:
    """The sigmoid linear unit."""
    return np.asarray(values / (1 + np.exp(-np.clip(values, -60, None))), np.float64)
