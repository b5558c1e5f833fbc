"""Mask outlines in frames: the face's own where its landmarks are trusted, and never less than the box's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
import pytest

from incog import colour, compose, geometry, points
from incog.methods import METHODS
from incog.methods.base import Method, Rendered
from incog.outline import least_hull
from incog.perceive.hulls import LEAST, FaceHulls
from incog.perceive.landmarks import Landmarks
from incog.track import single
from incog.types import Bytes, Crops, Face, Floats, Frame, Key, Layout


class Tilted:
    """A landmarker that sees every face as an oval in its box, tilted; it counts its calls and keeps its pictures."""

    def __init__(self, *, doubt: float = 0.02, degrees: float = 30, away: float = 0) -> None:
        self.doubt, self.degrees, self.away = doubt, degrees, away
        self.seen: list[tuple[Bytes, Face]] = []

    def __call__(self, rgb: Bytes, faces: Sequence[Face]) -> list[Landmarks]:
        self.seen += [(rgb, face) for face in faces]
        return [Landmarks(self.points(face), 0, 0, self.degrees, self.doubt) for face in faces]

    def points(self, face: Face) -> Floats:
        angles = np.arange(36) / 36 * 2 * np.pi
        dense = np.zeros((points.COUNT, 2))
        dense[points.OUTLINE] = (
            np.stack([np.sin(angles) * face.width, -np.cos(angles) * face.height * 1.2], 1) / 2
        )
        turn = np.deg2rad(self.degrees)
        spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        return (dense @ spin.T + face.centre + np.array([self.away, 0])).astype(np.float32)


FACE = Face((60, 50, 120, 130))


def picture(width: int = 200, height: int = 180, *, shift: int = 1) -> Frame:
    """Return a frame with its columns' numbers as luma, 4:2:0 unless ``shift`` is 0."""
    luma = np.repeat(np.arange(width, dtype=np.uint8)[None], height, 0)
    grey = np.full((-(-height >> shift), -(-width >> shift)), 128, np.uint8)
    return Frame((luma, grey, grey.copy()), Layout("yuv", shift_x=shift, shift_y=shift))


def covers(hull: Floats, inner: Floats) -> bool:
    return all(
        cv2.pointPolygonTest(hull.reshape(-1, 1, 2), (float(x), float(y)), True) > -0.1 for x, y in inner
    )


def test_the_outline_is_the_face_s_own_in_pixels_of_the_frame() -> None:
    landmarker = Tilted()
    hull = FaceHulls(landmarker)(picture(), [FACE], 1.25)[0].outline
    assert covers(hull, landmarker.points(FACE)[points.OUTLINE])
    assert covers(hull, least_hull(FACE))
    # The landmarker saw a part of the frame, and the face at its place in that part.
    rgb, face = landmarker.seen[0]
    assert rgb.shape[1] < 200
    levels = rgb[rgb.shape[0] // 2, :, 1].astype(int)
    whole = colour.rgb8(picture())[0, :, 1].astype(int)
    assert abs(levels[round(face.centre[0])] - whole[round(FACE.centre[0])]) <= 2


@pytest.mark.parametrize(
    "landmarker", [None, Tilted(doubt=0.5), Tilted(away=60)], ids=["none", "doubtful", "elsewhere"]
)
def test_without_trust_the_outline_is_the_egg(landmarker: Tilted | None) -> None:
    hull = FaceHulls(landmarker)(picture(), [FACE], 1.25)[0].outline
    np.testing.assert_array_equal(hull, geometry.hull(FACE, 1.25))


def test_tiny_faces_and_those_outside_are_not_looked_at() -> None:
    landmarker = Tilted()
    tiny = Face((50, 50, 50 + LEAST / 2, 50 + LEAST / 2))
    outside = Face((900, 900, 960, 980))
    hulls = FaceHulls(landmarker)(picture(), [tiny, outside], 1.25)
    assert landmarker.seen == []
    np.testing.assert_array_equal(hulls[0].outline, geometry.hull(tiny, 1.25))
    np.testing.assert_array_equal(hulls[1].outline, geometry.hull(outside, 1.25))


@pytest.mark.parametrize("shift", [0, 1])
def test_a_face_over_the_border_is_covered(shift: int) -> None:
    over = Face((-30, 20, 41, 111))
    hull = FaceHulls(Tilted(degrees=0))(picture(181, 135, shift=shift), [over], 1.25)[0].outline
    assert covers(hull, least_hull(over))


def test_what_is_covered_for_certain_is_covered() -> None:
    for landmarker in (None, Tilted(), Tilted(doubt=0.5)):
        hulls = FaceHulls(landmarker)
        assert covers(hulls(picture(), [FACE], 1.25)[0].outline, hulls.least(FACE, 1.25))


def test_hidden_pixels_follow_the_outline() -> None:
    landmarker = Tilted()
    frame = picture()
    job = compose.Job(single([FACE])[0], FACE, METHODS["blackout"](), Key(bytes(32)))
    result, unfit = compose.hide(frame, [job], mask_scale=1.25, hulls=FaceHulls(landmarker))
    assert not unfit
    own = FaceHulls(landmarker)(frame, [FACE], 1.25)[0].outline
    inside = geometry.mask([own], (0, 0, 200, 180), 0) > 0
    assert (result.planes[0][inside] <= 17).all()
    far = geometry.mask([own], (0, 0, 200, 180), 12) == 0
    np.testing.assert_array_equal(result.planes[0][far], frame.planes[0][far])


def test_dense_points_are_given_where_the_outline_is_made_from_them() -> None:
    landmarker = Tilted()
    seen = FaceHulls(landmarker)(picture(), [FACE], 1.25)[0]
    assert seen.dense is not None
    np.testing.assert_allclose(seen.dense, landmarker.points(FACE), atol=1e-3)
    for blind in (None, Tilted(doubt=0.5), Tilted(away=60)):
        assert FaceHulls(blind)(picture(), [FACE], 1.25)[0].dense is None


class Keeps:
    """A method that remembers its crops and blackens them."""

    def __init__(self) -> None:
        self.crops: list[Crops] = []

    name = "keeps"
    granularity, weak = "image", ""

    def __call__(self, crops: Crops, keys: Sequence[Key]) -> Rendered:
        self.crops.append(crops)
        return Rendered(np.zeros_like(crops.pixels), np.zeros(len(crops), np.bool_))


@pytest.mark.parametrize("landmarker", [Tilted(), Tilted(doubt=0.5)], ids=["trusted", "doubtful"])
def test_methods_get_the_dense_points_in_pixels_of_the_crop(landmarker: Tilted) -> None:
    method = Keeps()
    job = compose.Job(single([FACE])[0], FACE, cast("Method", method), Key(bytes(32)))
    compose.hide(picture(), [job], mask_scale=1.25, hulls=FaceHulls(landmarker))
    (crops,) = method.crops
    assert crops.dense.shape == (1, points.COUNT, 2)
    if landmarker.doubt > 0.1:
        assert np.isnan(crops.dense).all()
    else:
        back = geometry.apply(crops.matrices[0], crops.dense[0])
        np.testing.assert_allclose(back, landmarker.points(FACE), atol=1e-2)
    np.testing.assert_array_equal(crops[:1].dense, crops.dense)
