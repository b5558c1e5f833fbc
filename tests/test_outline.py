"""The outline that a mask takes from dense points: it holds them, and never less than the box's own hull."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incog import geometry, outline, points
from incog.types import Face, Floats

FACE = Face((100, 80, 180, 190))


def oval(*, turn: float = 0.0, shift: float = 0.0) -> Floats:
    """Return dense points on and inside an upright oval about the face's box, hairline above it."""
    rng = np.random.default_rng(3)
    dense = rng.uniform(-0.4, 0.4, (points.COUNT, 2)).astype(np.float32)
    angles = np.arange(36) / 36 * 2 * np.pi
    dense[points.OUTLINE] = np.stack([np.sin(angles), -np.cos(angles)], 1)
    dense = dense * np.float32([42, 70]) + np.float32([140 + shift, 122])
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return ((dense - [140, 122]) @ spin.T + [140, 122]).astype(np.float32)


def holds(hull: Floats, inner: Floats) -> bool:
    contour = hull.reshape(-1, 1, 2)
    return all(cv2.pointPolygonTest(contour, (float(x), float(y)), True) > -0.01 for x, y in inner)


def area(hull: Floats) -> float:
    return float(cv2.contourArea(hull.reshape(-1, 1, 2)))


def test_the_outline_holds_every_point_and_grows_about_its_middle() -> None:
    dense = oval(turn=0.3)
    own = outline.face_outline(dense)
    assert holds(own, dense)
    grown = outline.face_outline(dense, grow=1.2)
    assert holds(grown, own)
    assert area(grown) == pytest.approx(1.44 * area(own), rel=1e-3)


def test_without_points_the_mask_is_the_egg() -> None:
    np.testing.assert_array_equal(outline.mask_hull(FACE, None), geometry.hull(FACE))
    broken = oval()
    broken[7] = np.nan
    np.testing.assert_array_equal(outline.mask_hull(FACE, broken), geometry.hull(FACE))


def test_with_points_the_mask_follows_the_face() -> None:
    tilted = outline.mask_hull(FACE, oval(turn=0.5))
    assert holds(tilted, oval(turn=0.5))
    assert not holds(geometry.hull(FACE), oval(turn=0.5)[points.OUTLINE])
    # And it lets go of what lies beside an upright face.
    assert area(outline.mask_hull(FACE, oval())) < area(geometry.hull(FACE)) * 1.1


@given(
    turn=st.floats(-1.5, 1.5),
    shift=st.floats(-300, 300),
    scale=st.floats(1, 3),
    grow=st.floats(0, 1),
)
def test_wrong_points_never_uncover_the_box(turn: float, shift: float, scale: float, grow: float) -> None:
    face = Face(FACE.box, grow=grow)
    hull = outline.mask_hull(face, oval(turn=turn, shift=shift), scale)
    assert holds(hull, geometry.hull(face, 1.0))
    assert holds(hull, outline.least_hull(face, scale))
    assert holds(geometry.hull(face, scale), outline.least_hull(face, scale))


@given(scale=st.floats(1, 2), more=st.floats(0, 1))
def test_a_larger_scale_never_covers_less(scale: float, more: float) -> None:
    assert holds(outline.mask_hull(FACE, oval(), scale + more), outline.mask_hull(FACE, oval(), scale))


def test_doubt_widens_the_outline() -> None:
    dense = oval(turn=0.4)
    sure, unsure = (outline.mask_hull(FACE, dense, doubt=doubt) for doubt in (0.02, 0.1))
    assert holds(unsure, sure)
    assert area(unsure) > 1.1 * area(sure)


def test_the_hull_of_some_groups() -> None:
    dense = oval()
    eyes = outline.groups_hull(dense, "right_eye", "left_eye")
    assert holds(eyes, dense[points.RIGHT_EYE])
    assert area(eyes) < area(outline.face_outline(dense))
