"""Holes in faces: what a generator is shown, what the next frame shows, and losses inside of holes."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from drawn_faces import FACES, dense_face, faces  # noqa: E402
from torch import Tensor  # noqa: E402

from incog import shape  # noqa: E402
from incog.methods.generated import planes_of  # noqa: E402
from incog.train import augment, holes  # noqa: E402
from incog.train.holes import Scenes, Shown  # noqa: E402
from incog.train.portraits import SIZE  # noqa: E402

CPU = torch.device("cpu")


def moving(angle: float = 0.05) -> tuple[Shown, Shown, Tensor]:
    """Return two scenes, the same as the next frame shows them, and what moved them."""
    seen = Scenes(faces(), shape.load(), CPU).show(np.arange(2), torch.full((2, holes.DRAWS), 0.5), 128)
    turns, ones = torch.full((2,), angle), torch.ones(2)
    matrices = augment.similarity(turns, ones, 0.02 * ones, -0.03 * ones)
    still = augment.similarity(0 * ones, ones, 0 * ones, 0 * ones)
    return seen, seen.moved(matrices, still), matrices


def test_the_next_frame_shows_the_same_elsewhere() -> None:
    seen, moved, matrices = moving()
    for name in ("picture", "lines"):
        there = augment.warp(getattr(seen, name), matrices, 128)
        assert float((there - getattr(moved, name)).abs().mean()) < 0.02, name
        assert float((getattr(seen, name) - getattr(moved, name)).abs().mean()) > 0.01, name
    assert bool(((moved.hole == 0) | (moved.hole == 1)).all())
    assert float(moved.hole.mean()) == pytest.approx(float(seen.hole.mean()), rel=0.05)
    # What came in from beyond the picture is not known.
    assert bool((seen.inside == 1).all())
    assert 0.9 < float(moved.inside.mean()) < 1


def test_faces_that_stay_in_place_waver_and_those_that_move_along_do_not() -> None:
    seen, moved, matrices = moving()
    made = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(3))
    made = torch.nn.functional.avg_pool2d(made, 5, 1, 2)
    along = augment.warp(made, matrices, 128)
    assert float(holes.unsteady(seen, made, moved, along, matrices)) == pytest.approx(0, abs=1e-6)
    there = float(holes.unsteady(seen, made, moved, made, matrices))
    assert there > 0.02
    # Outside of the holes nothing counts.
    outside = torch.where(moved.hole > 0, along, torch.ones_like(along))
    assert float(holes.unsteady(seen, made, moved, outside, matrices)) == pytest.approx(0, abs=1e-6)


def test_detail_is_what_is_not_tone() -> None:
    soft = torch.linspace(-1, 1, 32).expand(1, 3, 32, 32)
    assert float(holes.fine(soft)[..., 4:-4].abs().max()) < 1e-5
    stripes = torch.tensor([-0.5, 0.5]).repeat(16).expand(1, 3, 32, 32)
    assert float(holes.fine(stripes)[..., 4:-4].abs().min()) > 0.4
    green = torch.tensor([-0.587, 0.299, 0.0])[None, :, None, None] * stripes[:, :1]
    assert float(holes.fine(green).abs().max()) < 1e-6


def test_tones_are_compared_at_several_scales() -> None:
    apart = torch.zeros(1, 3, 128, 128)
    # Stripes of 8 px that soft cells of 16 px even out.
    apart[:, 1] = torch.tensor([0.5, -0.5]).repeat_interleave(8).repeat(8)
    mask, same = torch.ones(1, 1, 128, 128), torch.zeros(1, dtype=torch.bool)
    one, other = (holes.toned_apart(apart, mask, same, cells) for cells in ((16,), (64,)))
    both = holes.toned_apart(apart, mask, same, (16, 64))
    assert float(other) > 3 * float(one)
    assert float(both) == pytest.approx(float((one + other) / 2))


# What is shown


@pytest.mark.parametrize("side", [128, 64, 32])
def test_the_network_is_shown_no_pixel_of_the_hole(side: int) -> None:
    first, second = faces(), faces()
    rows = np.arange(8)
    draws = torch.rand(8, holes.DRAWS, generator=torch.Generator().manual_seed(1))
    scenes = Scenes(first, shape.load(), CPU)
    seen = scenes.show(rows, draws, 128)
    # Noise in the place of the face, mirrored back to where it lies.
    hidden = torch.where((draws[:, 0] < 0.5)[:, None, None], seen.hole[:, 0].flip(2), seen.hole[:, 0]) > 0
    noise = np.random.default_rng(0).integers(0, 255, (8, SIZE, SIZE, 3), np.uint8)
    second.pixels[rows] = np.where(hidden.numpy()[..., None], noise, second.pixels[rows])
    seen, other = (one.show(rows, draws, side) for one in (scenes, Scenes(second, shape.load(), CPU)))
    assert seen.planes.shape == (8, 8, side, side)
    assert torch.equal(seen.planes, other.planes)
    assert not torch.equal(seen.picture, other.picture)
    assert bool(((seen.hole == 0) | (seen.hole == 1)).all())


def test_the_plain_hole_is_what_the_method_gives() -> None:
    """Training and use show the network the same of a picture."""
    scenes = Scenes(faces(), shape.load(), CPU)
    seen = scenes.show(np.array([0]), torch.full((1, holes.DRAWS), 0.5), SIZE)
    dense = shape.load()(shape.halves(faces().dense[0], SIZE))
    face = seen.picture[0].permute(1, 2, 0).numpy() * 0.5 + 0.5
    given = planes_of(face, seen.hole[0, 0].numpy(), seen.inside[0, 0].numpy(), dense)
    np.testing.assert_allclose(given, seen.planes[0].numpy(), atol=1e-5)


def test_mirrored_faces_have_mirrored_holes_and_lines() -> None:
    scenes = Scenes(faces(), shape.load(), CPU)
    draws = torch.rand(4, holes.DRAWS, generator=torch.Generator().manual_seed(2))
    straight, mirrored = (
        scenes.show(np.arange(4), torch.cat([torch.full((4, 1), flip), draws[:, 1:]], 1), 128)
        for flip in (0.9, 0.1)
    )
    for name in ("picture", "lines", "hole", "inside"):
        assert torch.equal(getattr(straight, name).flip(3), getattr(mirrored, name)), name


def test_holes_cover_the_face_and_grow() -> None:
    scenes = Scenes(faces(), shape.load(), CPU)
    inner = np.rint(dense_face()).astype(int)
    areas = []
    for growth in (0.0, 0.5, 0.99):
        draws = torch.full((2, holes.DRAWS), 0.5)
        draws[:, 1] = growth
        hole = scenes.show(np.arange(2), draws, 128).hole[0, 0].numpy()
        assert hole[inner[:, 1], inner[:, 0]].min() == 1
        areas.append(hole.mean())
    assert areas[0] < areas[1] < areas[2] < 0.9


def test_beyond_the_picture_nothing_is_known_laid_or_judged() -> None:
    scenes = Scenes(faces(), shape.load(), CPU)
    seen = scenes.show(np.array([0, FACES - 1]), torch.full((2, holes.DRAWS), 0.5), 128)
    assert bool((seen.inside[0] == 1).all())
    assert not seen.inside[1, :, 100:].any()
    assert not seen.planes[1, :4, 100:].any()
    assert seen.hole[1, :, 100:].any()
    laid = seen.laid(torch.ones_like(seen.picture))
    assert torch.equal(laid[1, :, 100:], seen.picture[1, :, 100:])
    assert bool((laid[0] == 1)[seen.hole[0].expand(3, -1, -1) > 0].all())
    assert not holes.ring_around(seen)[1, :, 100:].any()


# Losses inside of holes


def test_pixels_and_cells_count_the_same_where_all_differ() -> None:
    apart, mask = torch.full((2, 3, 32, 32), -0.25), torch.zeros(2, 1, 32, 32)
    mask[:, :, 8:24, 8:24] = 1
    assert float(holes.apart_inside(apart, mask)) == pytest.approx(0.25)
    noise = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    fine = float((noise * mask).abs().sum() / mask.sum() / 3)
    assert 0.5 * fine < float(holes.apart_inside(noise, mask)) < 0.65 * fine
    assert float(holes.apart_inside(apart, torch.zeros_like(mask))) == 0


def blotch(colour: tuple[float, float, float]) -> Tensor:
    apart = torch.zeros(1, 3, 128, 128)
    apart[:, :, 60:80, 40:60] = torch.tensor(colour)[None, :, None, None]
    return apart


def test_a_blotch_of_colour_counts_and_detail_does_not() -> None:
    mask, same = torch.zeros(1, 1, 128, 128), torch.zeros(1, dtype=torch.bool)
    mask[:, :, 20:110, 20:110] = 1
    green, grey = blotch((-0.2, 0.2, -0.2)), blotch((0.2, 0.2, 0.2))
    found = float(holes.toned_apart(green, mask, same))
    assert found > 2 * float(holes.toned_apart(grey, mask, same)) > 0
    detail = torch.zeros(1, 3, 128, 128)
    detail[..., ::2], detail[..., 1::2] = 0.2, -0.2
    assert float(holes.toned_apart(detail, mask, same)) < 0.01 * found
    assert float(holes.toned_apart(green, torch.zeros_like(mask), same)) == 0
    # Outside of the hole nothing counts.
    assert float(holes.toned_apart(green, (mask - 1).abs(), same)) == 0


def test_the_tone_as_a_whole_may_change_with_the_look() -> None:
    mask, yes, no = torch.ones(1, 1, 64, 64), torch.tensor([True]), torch.tensor([False])
    darker = torch.full((1, 3, 64, 64), -0.3)
    assert float(holes.toned_apart(darker, mask, no)) == pytest.approx(holes.LIGHT * 0.3, rel=1e-4)
    assert float(holes.toned_apart(darker, mask, yes)) == pytest.approx(0, abs=1e-6)
    assert float(holes.toned_apart(blotch((0.3, 0, 0)), torch.ones(1, 1, 128, 128), yes)) > 0
