"""Networks: what they are made of, counted by hand, and what comes out of them."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from torch import nn  # noqa: E402

from incog.train.nets import Block, Normalised, Stem, Trunk, operations, parameters  # noqa: E402
from incog.train.pixels import Pixels, middle, tiled  # noqa: E402


def test_parameters_of_a_tiny_trunk_by_hand() -> None:
    trunk = Trunk((2, 4), (1, 1))
    stem = 3 * 2 * 4 * 4 + 2 * 2
    same = 2 * (2 * 2 * 9) + 2 * (2 * 2)
    halved = 2 * 4 * 9 + 4 * 4 * 9 + 2 * 4 * 1 + 2 * (2 * 4)
    assert parameters(trunk) == stem + same + halved


def test_operations_of_a_tiny_trunk_by_hand() -> None:
    trunk = Trunk((2, 4), (1, 1)).eval()
    # 16 px: 4 after the stem, 2 after the second stage. Batch norms and additions are not counted.
    stem = 4 * 4 * 2 * (3 * 4 * 4)
    same = 2 * (4 * 4 * 2 * (2 * 9))
    halved = 2 * 2 * 4 * (2 * 9) + 2 * 2 * 4 * (4 * 9) + 2 * 2 * 4 * 2
    assert operations(trunk, torch.zeros(1, 3, 16, 16)) == stem + same + halved
    assert operations(trunk, torch.zeros(5, 3, 16, 16)) == stem + same + halved


def test_operations_of_matrices_and_groups_by_hand() -> None:
    net = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4, padding=1), nn.Flatten(), nn.Linear(4 * 25, 7))
    assert operations(net, torch.zeros(2, 4, 5, 5)) == 5 * 5 * 4 * 9 + 700


def test_counting_leaves_no_hooks_behind() -> None:
    net = nn.Linear(3, 2)
    operations(net, torch.zeros(1, 3))
    assert not net._forward_hooks


@pytest.mark.parametrize("side", [32, 48])
def test_a_trunk_halves_with_each_stage(side: int) -> None:
    trunk = Trunk((4, 8, 16), (2, 1, 1)).eval()
    assert trunk(torch.zeros(2, 3, side, side)).shape == (2, 16, side // 16, side // 16)
    assert Stem(4)(torch.zeros(2, 3, side, side)).shape == (2, 4, side // 4, side // 4)


def test_odd_sides_are_rounded_up_both_ways() -> None:
    assert Block(4, 8, 2).eval()(torch.zeros(1, 4, 5, 7)).shape == (1, 8, 3, 4)


def test_a_block_that_learnt_nothing_passes_on() -> None:
    block = Block(4, 4).eval()
    nn.init.zeros_(block.second_norm.weight)
    x = torch.rand(1, 4, 6, 6)
    assert block.shortcut is None
    assert torch.equal(block(x), x)
    assert Block(4, 8).shortcut is not None
    assert Block(4, 4, 2).shortcut is not None


def test_shipped_networks_take_bytes() -> None:
    assert Normalised(nn.Identity())(torch.tensor([0.0, 51.0, 255.0])) == pytest.approx(
        torch.tensor([0, 0.2, 1])
    )


# Pixels


def test_pixels_are_given_out_as_shares_of_white() -> None:
    array = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)
    taken = Pixels(array, torch.device("cpu")).take(np.array([3, 0, 3]))
    assert taken.shape == (3, 3, 4, 4)
    assert taken.numpy() == pytest.approx(array[[3, 0, 3]].transpose(0, 3, 1, 2) / 255, abs=1e-6)


def test_several_arrays_count_as_one() -> None:
    array = np.random.default_rng(0).integers(0, 256, (9, 4, 4, 3), dtype=np.uint8)
    pixels = Pixels(array[:5], torch.device("cpu"), array[:0], array[5:6], array[6:])
    assert len(pixels) == 9
    rows = np.array([8, 0, 5, 4, 6])
    assert torch.equal(pixels.take(rows), Pixels(array, torch.device("cpu")).take(rows))


def test_the_middle_and_the_sheet() -> None:
    images = torch.rand(5, 3, 8, 8)
    assert torch.equal(middle(images, 4), images[..., 2:6, 2:6])
    sheet = tiled(images, 2)
    assert sheet.shape == (24, 16, 3)
    assert sheet.dtype == np.uint8
    assert sheet[8:16, 8:16] == pytest.approx(images[3].permute(1, 2, 0).numpy() * 255, abs=0.51)
    assert (sheet[16:, 8:] == 255).all()
