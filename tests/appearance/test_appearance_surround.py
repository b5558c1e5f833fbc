"""What lies round a new face: made from beyond the mask alone, continuing what is there."""

from __future__ import annotations

import numpy as np
import pytest

from incog import geometry
from incog.appearance.surround import filled
from incog.types import Floats

SIZE = 128
ANGLES = np.linspace(0, 2 * np.pi, 40, endpoint=False)
OUTLINE = (np.stack([np.cos(ANGLES) * 38, np.sin(ANGLES) * 46], axis=1) + 63.5).astype(np.float32)


@pytest.fixture(scope="module")
def mask() -> Floats:
    return geometry.mask([OUTLINE], (0, 0, SIZE, SIZE), 4.0)


def picture(values: Floats) -> Floats:
    return np.repeat(values.astype(np.float32)[..., None], 3, axis=2)


def test_nothing_of_what_the_mask_covers_counts(mask: Floats) -> None:
    random = np.random.default_rng(0)
    around = random.uniform(size=(SIZE, SIZE, 3)).astype(np.float32)
    one, other = around.copy(), around.copy()
    one[mask > 0.25], other[mask > 0.25] = 0, 1000
    np.testing.assert_array_equal(filled(one, mask), filled(other, mask))
    np.testing.assert_allclose(filled(one, mask)[mask <= 0.25], around[mask <= 0.25], atol=1e-5)


def test_one_colour_stays_one(mask: Floats) -> None:
    np.testing.assert_allclose(filled(np.full((SIZE, SIZE, 3), 0.3, np.float32), mask), 0.3, atol=1e-4)


def test_detail_goes_on_inside_the_border_and_fades_with_the_way(mask: Floats) -> None:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    stripes = picture(0.5 + 0.3 * np.sin(rows / 2.0))
    new = filled(stripes, mask)[..., 0]
    near = (columns == 102) & (np.abs(rows - 63.5) < 12)
    deep = (np.abs(columns - 63.5) < 8) & (np.abs(rows - 63.5) < 15)
    # At the sides the border runs along the columns: mirrored there, rows stay where they are.
    assert np.corrcoef(new[near], stripes[..., 0][near])[0, 1] > 0.9
    assert new[near].std() > 0.5 * stripes[..., 0][near].std()
    assert new[deep].std() < 0.1 * stripes[..., 0][deep].std()


def test_no_edge_lies_at_the_border(mask: Floats) -> None:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    smooth = picture(0.5 + 0.4 * np.sin(columns / 20.0) * np.cos(rows / 25.0))
    new = filled(smooth, mask)[..., 0]
    across = np.abs(np.diff(new[64]))
    border = np.abs(np.diff((mask[64] > 0.25).astype(np.int8))) > 0
    assert across[border].max() < 0.05


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_masks_of_nothing_and_of_everything(share: float) -> None:
    random = np.random.default_rng(1)
    pixels = random.uniform(size=(64, 64, 3)).astype(np.float32)
    new = filled(pixels, np.full((64, 64), share, np.float32))
    expected = pixels if share == 0 else np.broadcast_to(pixels.mean((0, 1)), pixels.shape)
    np.testing.assert_allclose(new, expected, atol=1e-5)
