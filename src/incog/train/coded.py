"""Pictures as they come out of a lossy file, with gradients: those of what went in.

A picture in 0..1, (B, 3, S, S) R'G'B', S a multiple of 16, loses what JPEG (ITU-T T.81) takes of it: the halved
resolution of its colours, and the rounding of the cosine coefficients of 8 x 8 squares by the tables of the standard's
annex K.
"""

from __future__ import annotations

from math import cos, pi, sqrt

import torch
from torch import Tensor
from torch.nn import functional

from incog.train.augment import between

DRAWS = 3
"""Uniform numbers per picture that ``coded`` takes."""

_SIDE = 8

_LIGHT = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)

_COLOUR = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)

_TO_LIGHT = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
"""R'G'B' -> Y', Cb, Cr (ITU-T T.871), without the offset of the colours."""


def coded(
    pictures: Tensor, draws: Tensor, *, share: float, qualities: tuple[float, float] = (50, 95)
) -> Tensor:
    """Return the pictures, a ``share`` of them softened and coded, all of them in 256 levels.

    draws: (B, 3). qualities: range of the quality, 0..100, as libjpeg counts it.
    """
    with torch.autocast(pictures.device.type, enabled=False):
        pictures = pictures.float()
        # A face that was smaller in its picture than here has lost some detail too.
        soft = pictures.lerp(
            functional.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False),
            between(draws[:, 2], 0, 0.5)[:, None, None, None],
        )
        lossy = jpeg(soft, between(draws[:, 1], *qualities))
        chosen = torch.where((draws[:, 0] < share)[:, None, None, None], lossy, pictures)
        return _rounded(chosen.clamp(0, 1) * 255) / 255


def jpeg(pictures: Tensor, quality: Tensor) -> Tensor:
    """Return pictures as JPEG files of a quality (B,) in 1..99 hold them, with colours of half the resolution."""
    # libjpeg's scale: 50 is the tables as they are printed.
    scale = torch.where(quality < 50, 50 / quality, 2 - quality / 50)[:, None, None, None, None, None]
    turn = pictures.new_tensor(_TO_LIGHT)
    planes = torch.einsum("ij,bjhw->bihw", turn, pictures * 255 - 128)
    # The offset of 128 is the light's alone: the rows of the colours add up to 0.
    light = _squares(planes[:, :1], pictures.new_tensor(_LIGHT) * scale)
    colours = _squares(functional.avg_pool2d(planes[:, 1:], 2), pictures.new_tensor(_COLOUR) * scale)
    colours = functional.interpolate(colours, scale_factor=2.0, mode="bilinear", align_corners=False)
    back = torch.einsum("ij,bjhw->bihw", torch.linalg.inv(turn), torch.cat([light, colours], 1))
    return ((back + 128) / 255).clamp(0, 1)


def _squares(planes: Tensor, table: Tensor) -> Tensor:
    """Return planes (B, C, H, W), cosine coefficients rounded to multiples of the table, (B, 1, 1, 1, 8, 8)."""
    batch, channels, height, width = planes.shape
    cosines = planes.new_tensor(
        [
            [
                cos((2 * x + 1) * k * pi / (2 * _SIDE)) * sqrt((1 if k == 0 else 2) / _SIDE)
                for x in range(_SIDE)
            ]
            for k in range(_SIDE)
        ]
    )
    squares = planes.view(batch, channels, height // _SIDE, _SIDE, width // _SIDE, _SIDE).transpose(3, 4)
    steps = table.round().clamp(min=1)
    coefficients = _rounded(cosines @ squares @ cosines.t() / steps) * steps
    return (cosines.t() @ coefficients @ cosines).transpose(3, 4).reshape(batch, channels, height, width)


def _rounded(values: Tensor) -> Tensor:
    """Return whole numbers with the gradients of what was rounded."""
    return values + (values.round() - values).detach()
