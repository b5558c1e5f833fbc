"""Augmentation: neutral numbers change nothing, and what happens to a picture is decided by its own numbers alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from torch import Tensor  # noqa: E402

from incog.train import augment  # noqa: E402


@pytest.fixture
def images() -> Tensor:
    return torch.rand(6, 3, 24, 24, generator=torch.Generator().manual_seed(0))


def _draws(count: int, seed: int = 1) -> Tensor:
    return torch.rand(6, count, generator=torch.Generator().manual_seed(seed))


NEUTRAL = torch.tensor([[0.5, 5 / 9, 0.5, 0.5, 5 / 9, 0.5, 0.5, 0.5]]).expand(6, 8)
"""No gamma, contrast, brightness, grey, saturation or tint."""

IDENTITY: dict[str, Callable[[Tensor], Tensor]] = {
    "warp": lambda x: augment.warp(x, torch.eye(2, 3).expand(len(x), 2, 3), 24),
    "turned": lambda x: augment.warp(
        x, augment.turned(torch.full((6, 4), 0.5), degrees=30, zoom=(0.5, 1.5), shift=0.3), 24
    ),
    "mirror": lambda x: augment.mirror(x, torch.full((6,), 0.5)),
    "colour": lambda x: augment.colour(x.clamp(1e-4, 1), NEUTRAL),
    "coarse": lambda x: augment.coarse(x, _draws(2), share=0),
    "erase": lambda x: augment.erase(x, _draws(8), share=0),
}


@pytest.mark.parametrize("name", IDENTITY)
def test_neutral_numbers_leave_the_picture_as_it_is(name: str, images: Tensor) -> None:
    images = images.clamp(1e-4, 1)
    assert IDENTITY[name](images) == pytest.approx(images, abs=1e-4)


def _turn(x: Tensor, d: Tensor) -> Tensor:
    return augment.warp(x, augment.turned(d[:, :4], degrees=20, zoom=(0.8, 1.2), shift=0.2), 24)


ALL: dict[str, tuple[int, Callable[[Tensor, Tensor], Tensor]]] = {
    "warp": (4, _turn),
    "mirror": (1, lambda x, d: augment.mirror(x, d[:, 0])),
    "colour": (8, augment.colour),
    "coarse": (2, lambda x, d: augment.coarse(x, d, share=0.9)),
    "erase": (8, lambda x, d: augment.erase(x, d, share=0.9)),
}


@pytest.mark.parametrize("name", ALL)
def test_a_picture_depends_on_its_own_numbers_alone(name: str, images: Tensor) -> None:
    count, change = ALL[name]
    draws = _draws(count)
    whole = change(images, draws)
    assert whole.shape == images.shape
    assert not torch.equal(whole, images)
    assert torch.equal(change(images, draws), whole)
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    assert change(images[order], draws[order]) == pytest.approx(whole[order], abs=1e-6)
    for row in range(6):
        assert change(images[row : row + 1], draws[row : row + 1])[0] == pytest.approx(whole[row], abs=1e-6)
    assert not torch.equal(change(images, _draws(count, seed=2)), whole)


@pytest.mark.parametrize("name", ["colour", "coarse", "erase"])
def test_colours_stay_in_their_range(name: str, images: Tensor) -> None:
    count, change = ALL[name]
    result = change((images > 0.5).float(), _draws(count))
    assert float(result.min()) >= 0
    assert float(result.max()) <= 1


def test_mirror_turns_left_and_right_where_the_number_is_low(images: Tensor) -> None:
    result = augment.mirror(images, torch.tensor([0.0, 0.49, 0.5, 0.99, 0.1, 0.9]))
    for row, mirrored in enumerate([True, True, False, False, True, False]):
        assert torch.equal(result[row], images[row].flip(2) if mirrored else images[row])


def test_zoom_turn_and_shift_go_the_right_way() -> None:
    # A dot right of the middle. Zoomed by two it lies twice as far; the view turned by 90 degrees has it above.
    dot = torch.zeros(1, 1, 33, 33)
    dot[0, 0, 16, 20] = 1

    def place(angle: float, scale: float, x: float) -> tuple[int, int]:
        matrix = augment.similarity(
            torch.tensor([angle]), torch.tensor([scale]), torch.tensor([x]), torch.zeros(1)
        )
        seen = augment.warp(dot, matrix, 33, padding="zeros")
        return divmod(int(seen.argmax()), 33)

    assert place(0, 1, 0) == (16, 20)
    assert place(0, 2, 0) == (16, 24)
    assert place(np.pi / 2, 1, 0) == (12, 16)
    # The middle of the view lies 4 of 33 pixels further right: 8 / 33 of half a side.
    assert place(0, 1, 8 / 33) == (16, 16)


def test_another_size_shows_the_same(images: Tensor) -> None:
    smooth = torch.linspace(0, 1, 32).expand(1, 3, 32, 32)
    small = augment.warp(smooth, torch.eye(2, 3)[None], 16)
    assert small.shape == (1, 3, 16, 16)
    assert small[0, 0, 8] == pytest.approx(smooth[0, 0, 0].reshape(16, 2).mean(1), abs=1e-5)


def test_coarse_takes_fine_detail_away(images: Tensor) -> None:
    result = augment.coarse(images, torch.zeros(6, 2), share=0.5, least=0.2)

    def fine(x: Tensor) -> float:
        return float((x[..., 1:] - x[..., :-1]).square().mean())

    assert fine(result) < 0.1 * fine(images)
    assert result.mean((1, 2, 3)) == pytest.approx(images.mean((1, 2, 3)), abs=0.05)


def test_erase_covers_one_rectangle_with_one_colour(images: Tensor) -> None:
    draws = _draws(8)
    draws[:, 0] = torch.tensor([0.0, 0.9, 0.0, 0.9, 0.0, 0.9])
    result = augment.erase(images, draws, share=0.3, most=0.5)
    for row in range(6):
        changed = (result[row] != images[row]).any(0)
        if row % 2:
            assert not changed.any()
            continue
        rows, columns = torch.nonzero(changed.any(1))[:, 0], torch.nonzero(changed.any(0))[:, 0]
        assert changed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert max(len(rows), len(columns)) <= 0.5 * 24 + 1
        assert torch.equal(result[row][:, changed], draws[row, 5:8, None].expand(3, int(changed.sum())))
