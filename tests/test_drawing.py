"""Drawings of pose and expression, and how far a hole reaches: places, channels, and faces out of the picture."""

from __future__ import annotations

import numpy as np
import pytest

from incog import points, shape
from incog.drawing import ANGLES, drawing, reach
from incog.types import Floats

CHANNELS = (
    ("outline", "right_brow", "left_brow"),
    ("right_eye", "left_eye", "right_iris", "left_iris"),
    ("nose", "outer_lips", "inner_lips"),
)


def mean() -> Floats:
    return shape.load().mean


@pytest.mark.parametrize("size", [64, 128, 256])
def test_lines_run_through_the_points(size: int) -> None:
    picture = drawing(mean(), size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8
    places = np.rint(shape.pixels(mean(), size)).astype(int)
    for plane, names in enumerate(CHANNELS):
        for name in names:
            for x, y in places[points.GROUPS[name]]:
                around = picture[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2, plane]
                assert around.max() > 120, name
        assert 0.005 < (picture[..., plane] > 127).mean() < 0.2


def test_a_group_shows_in_its_channel_alone() -> None:
    before = drawing(mean(), 128)
    for plane, names in enumerate(CHANNELS):
        for name in names:
            moved = mean().copy()
            moved[points.GROUPS[name]] += 0.1
            changed = (drawing(moved, 128) != before).any((0, 1))
            assert changed.tolist() == [number == plane for number in range(3)], name


def test_a_mirrored_face_is_drawn_mirrored() -> None:
    turned = mean()[list(points.MIRROR)] * np.array([-1, 1], np.float32)
    straight, mirrored = drawing(mean(), 128).astype(float), drawing(turned, 128)[:, ::-1].astype(float)
    # But for how the ends of antialiased lines are rounded.
    assert np.abs(straight - mirrored).mean() < 2
    assert np.corrcoef(straight.ravel(), mirrored.ravel())[0, 1] > 0.95


def test_small_moves_show() -> None:
    moved = mean().copy()
    moved[points.RIGHT_IRIS] += [2 / 128, 0]
    assert np.abs(drawing(moved, 128).astype(int) - drawing(mean(), 128))[..., 1].sum() > 500


@pytest.mark.parametrize("shift", [1.5, 3, 100, -100])
def test_faces_out_of_the_picture_are_drawn_in_part_or_not_at_all(shift: float) -> None:
    picture = drawing(mean() + np.array([shift, 0], np.float32), 128)
    assert picture.shape == (128, 128, 3)
    if abs(shift) > 2:
        assert not picture[:, 2:126].any()


# How far holes reach


def test_an_ellipse_reaches_as_far_as_its_axes() -> None:
    turn = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    outline = np.stack([0.3 + 0.5 * np.cos(turn), -0.1 + 0.8 * np.sin(turn)], 1).astype(np.float32)
    for order in (slice(None), slice(None, None, -1)):
        middle, found = reach(outline[order])
        np.testing.assert_allclose(middle, [0.3, -0.1], atol=1e-5)
        angles = np.arange(ANGLES) * 2 * np.pi / ANGLES
        expected = 1 / np.hypot(np.cos(angles) / 0.5, np.sin(angles) / 0.8)
        np.testing.assert_allclose(found, expected, rtol=1e-3)
        assert found.dtype == np.float32


def test_a_square_reaches_its_corners() -> None:
    _, found = reach(np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32))
    np.testing.assert_allclose(found[:: ANGLES // 4], 1, rtol=1e-6)
    np.testing.assert_allclose(found[ANGLES // 8 :: ANGLES // 4], np.sqrt(2), rtol=1e-6)


def test_points_that_are_all_one_reach_nowhere() -> None:
    middle, found = reach(np.full((5, 2), 0.25, np.float32))
    np.testing.assert_array_equal(middle, [0.25, 0.25])
    np.testing.assert_array_equal(found, 0)
