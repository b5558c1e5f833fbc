"""Hulls, masks and crops: the face is covered wholly, and what is taken out lies back where it was."""

from __future__ import annotations

from math import cos, pi, radians, sin

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incog import geometry
from incog.types import Face, Floats

QUICK = settings(max_examples=60, deadline=None)


def face_at(x: float, y: float, width: float, height: float, *, angle: float = 0, grow: float = 0) -> Face:
    """Return an upright box with five points turned by ``angle`` in radians, clockwise in the picture."""
    shape = np.array([[-0.2, -0.15], [0.2, -0.15], [0, 0.05], [-0.15, 0.25], [0.15, 0.25]])
    turn = np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])
    points = (shape * [width, height] @ turn.T + [x, y]).astype(np.float32)
    return Face((x - width / 2, y - height / 2, x + width / 2, y + height / 2), 0.9, points, grow)


centres = st.floats(-50, 700)
sides = st.floats(3, 1500)
shares = st.floats(0.5, 2)
feathers = st.just(0.0) | st.floats(1, 30)
faces = st.builds(
    lambda x, y, width, share, angle, grow: face_at(x, y, width, width * share, angle=angle, grow=grow),
    centres,
    centres,
    sides,
    shares,
    st.floats(-pi, pi),
    st.floats(0, 1),
)


def contains(outline: Floats, points: Floats, slack: float = 0.01) -> bool:
    """Whether a convex outline holds all points, or misses them by at most ``slack`` px."""
    start, end = outline, np.roll(outline, -1, axis=0)
    edge, offset = (end - start)[:, None], points[None] - start[:, None]
    cross = edge[..., 0] * offset[..., 1] - edge[..., 1] * offset[..., 0]
    length = np.maximum(np.linalg.norm(edge, axis=2), 1e-9)
    return bool((cross / length >= -slack).all() or (cross / length <= slack).all())


def ellipse(face: Face, scale: float = 1) -> Floats:
    angles = np.linspace(0, 2 * pi, 90)
    half = np.array([face.width, face.height]) / 2 * scale
    return (np.stack([np.cos(angles), np.sin(angles)], axis=1) * half + face.centre).astype(np.float32)


# Hulls


@QUICK
@given(faces)
def test_the_hull_holds_the_ellipse_of_the_box_with_a_margin(face: Face) -> None:
    outline = geometry.hull(face)
    assert outline.shape == (48, 2)
    assert outline.dtype == np.float32
    assert cv2.isContourConvex(np.rint(outline / face.size * 1e4).astype(np.int32)) or face.size < 20
    assert contains(outline, ellipse(face, 1.2), slack=0.01 * face.size)


@QUICK
@given(faces, st.floats(0.5, 3), st.floats(0.01, 1))
def test_hulls_grow_with_the_scale_and_the_uncertainty(face: Face, scale: float, more: float) -> None:
    small = geometry.hull(face, scale)
    assert contains(geometry.hull(face, scale + more), small, slack=0.01 * face.size)
    unsure = Face(face.box, face.score, face.points, face.grow + more)
    assert contains(geometry.hull(unsure, scale), small, slack=0.01 * face.size)


def test_a_narrow_box_of_a_turned_head_gets_a_hull_as_wide_as_the_head() -> None:
    outline = geometry.hull(Face((0, 0, 30, 100)), 1)
    assert 60 < np.ptp(outline[:, 0]) < 90
    assert 99 < np.ptp(outline[:, 1]) < 105


# Roll


@pytest.mark.parametrize("degrees", [-170, -90, -45, -10, 0, 10, 45, 90, 135, 180])
def test_roll_is_the_turn_of_the_eyes(degrees: float) -> None:
    measured = geometry.roll(face_at(100, 100, 60, 60, angle=radians(degrees)))
    assert cos(measured - radians(degrees)) == pytest.approx(1, abs=1e-5)


def test_roll_is_zero_when_the_points_are_missing_or_do_not_agree() -> None:
    good = face_at(100, 100, 60, 80, angle=0.4)
    assert good.points is not None
    assert geometry.roll(Face(good.box)) == 0
    assert geometry.roll(Face(good.box, points=np.zeros((5, 2), np.float32))) == 0
    crossed = good.points.copy()
    crossed[[0, 1]] = crossed[[1, 0]]
    assert geometry.roll(Face(good.box, points=crossed)) == 0


# Crops


@QUICK
@given(faces, st.floats(1, 3))
def test_the_crop_holds_the_hull_and_its_feather(face: Face, scale: float) -> None:
    outline = geometry.hull(face, scale)
    matrix, size = geometry.crop_matrix(face, outline)
    assert size in geometry.CROP_SIZES
    assert matrix.shape == (2, 3)
    inside = geometry.apply(geometry.inverse(matrix), outline)
    pixel = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    margin = geometry.feather_width(face) / pixel
    assert inside.min() >= margin - 0.5 - 0.01 * size
    assert inside.max() <= size - 1 - margin + 0.5 + 0.01 * size


@QUICK
@given(faces)
def test_a_crop_loses_no_resolution_up_to_the_largest_size(face: Face) -> None:
    matrix, size = geometry.crop_matrix(face, geometry.hull(face))
    pixel = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    assert pixel <= 1.001 or size == geometry.CROP_SIZES[-1]


def smooth(height: int, width: int, seed: int = 0) -> Floats:
    picture = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 4), np.float32)


@pytest.mark.parametrize("degrees", [0, 17, -80, 180])
@pytest.mark.parametrize(("x", "y", "size"), [(150, 120, 60), (150, 120, 12), (5, 5, 50), (295, 118, 80)])
def test_what_is_cropped_lies_back_where_it_was(x: float, y: float, size: float, degrees: float) -> None:
    picture = smooth(240, 300)
    face = face_at(x, y, size, size * 1.2, angle=radians(degrees))
    outline = geometry.hull(face)
    matrix, side = geometry.crop_matrix(face, outline)
    crop = geometry.to_crop(picture, matrix, side)
    assert crop.shape == (side, side, 3)
    back = geometry.from_crop(crop, matrix, (240, 300))
    inside = geometry.mask([outline], (0, 0, 300, 240), 0) > 0
    assert np.abs(back - picture)[inside].max() < 0.02


def test_beyond_the_border_the_nearest_pixel_is_repeated() -> None:
    picture = smooth(40, 60)
    matrix = np.array([[1, 0, -20], [0, 1, -20]], np.float32)
    crop = geometry.to_crop(picture, matrix, 64)
    np.testing.assert_allclose(crop[0, 0], picture[0, 0], atol=1e-5)
    np.testing.assert_allclose(crop[20:60, 20:64], picture[:, :44], atol=1e-5)


# Masks


@QUICK
@given(faces.filter(lambda face: face.size < 400), feathers)
def test_the_mask_is_exactly_one_on_the_hull_and_the_feather_lies_outside(face: Face, feather: float) -> None:
    outline = geometry.hull(face)
    x0, y0, x1, y1 = geometry.bounds(outline, feather + 3)
    x, y = np.random.default_rng(0).integers([x0, y0], [x1, y1], (400, 2)).T
    region = x0, y0, x1, y1
    soft = geometry.mask([outline], region, feather)
    assert soft.shape == (y1 - y0, x1 - x0)
    assert soft.dtype == np.float32
    assert soft.min() >= 0
    assert soft.max() == 1
    away = np.array(
        [cv2.pointPolygonTest(outline, (float(i), float(j)), True) for i, j in zip(x, y, strict=True)]
    )
    there = soft[y - y0, x - x0]
    assert (there[away >= 0] == 1).all()
    assert (there[away < -feather - 2] == 0).all()
    assert (geometry.mask([outline], region, 0)[y - y0, x - x0][away >= 0] == 1).all()


def test_every_pixel_that_a_tiny_face_touches_is_on_the_mask() -> None:
    outline = geometry.hull(Face((10.2, 10.2, 10.9, 10.9)))
    assert (geometry.mask([outline], (0, 0, 20, 20), 0)[10:12, 10:12] == 1).any()


def test_masks_of_several_faces_are_their_union() -> None:
    one, other = geometry.hull(face_at(20, 20, 20, 20)), geometry.hull(face_at(40, 25, 20, 20))
    region = 0, 0, 64, 48
    both = geometry.mask([one, other], region, 0)
    apart = [geometry.mask([outline], region, 0) for outline in (one, other)]
    np.testing.assert_array_equal(both, np.maximum(*apart))
    assert geometry.mask([], region, 3).max() == 0


@QUICK
@given(st.integers(-40, 60), st.integers(-40, 60), feathers)
def test_a_part_of_the_mask_is_the_mask_of_the_part(x: int, y: int, feather: float) -> None:
    outline = geometry.hull(face_at(50, 45, 40, 52))
    whole = geometry.mask([outline], (-60, -60, 160, 160), feather)
    part = geometry.mask([outline], (x, y, x + 50, y + 40), feather)
    same = np.abs(part - whole[y + 60 : y + 100, x + 60 : x + 110]) < 0.1
    # where the outline itself is cut, one pixel more or less may count as touched
    assert same.mean() > 0.99


# Matrices


@QUICK
@given(faces, st.floats(-500, 500), st.floats(-500, 500))
def test_inverse_and_shift_undo_themselves(face: Face, x: float, y: float) -> None:
    matrix, size = geometry.crop_matrix(face, geometry.hull(face))
    corners = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
    there = geometry.apply(matrix, corners)
    np.testing.assert_allclose(geometry.apply(geometry.inverse(matrix), there), corners, atol=0.05 * size)
    moved = geometry.apply(geometry.shifted(matrix, x, y), corners)
    np.testing.assert_allclose(moved + np.array([x, y], np.float32), there, atol=0.01 + 1e-5 * face.size)
    back = geometry.shifted(geometry.shifted(matrix, x, y), -x, -y)
    np.testing.assert_allclose(back, matrix, atol=1e-3)


@QUICK
@given(faces, st.floats(0, 20))
def test_bounds_hold_the_outline_and_its_margin(face: Face, margin: float) -> None:
    outline = geometry.hull(face)
    x0, y0, x1, y1 = geometry.bounds(outline, margin)
    assert x0 <= outline[:, 0].min() - margin
    assert y0 <= outline[:, 1].min() - margin
    assert x1 > outline[:, 0].max() + margin
    assert y1 > outline[:, 1].max() + margin
