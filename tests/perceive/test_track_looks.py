"""Looks are told once per track, by the first frame whose points can be trusted, and stay."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import skimage.data

from incog import points
from incog.data.faces import template
from incog.outline import Seen
from incog.perceive.attributes import Attributes, make_attributes
from incog.perceive.looks import Looks
from incog.types import Bytes, Face, Floats, Frame, Layout

EYES = np.array([[212, 106], [249, 106], [232, 128], [216, 147], [247, 147]], np.float32)
"""The astronaut's five points."""


class Counting:
    """Stands in for the network: the age is the number of the call, in years."""

    def __init__(self) -> None:
        self.seen: list[tuple[Bytes, Face]] = []

    def look(self, rgb: Bytes, faces: Sequence[Face]) -> list[Attributes]:
        self.seen += [(rgb, face) for face in faces]
        third = np.full(3, 1 / 3, np.float32)
        return [
            Attributes(float(len(self.seen)), 1.0, third[:2], np.full(5, 0.2, np.float32), third)
            for _ in faces
        ]


def dense_of(five: Floats) -> Floats:
    dense = np.repeat(five.mean(0)[None], points.COUNT, axis=0)
    dense[list(points.FIVE)] = five
    return dense.astype(np.float32)


def frame_of(picture: Bytes, index: int = 0) -> Frame:
    return Frame((picture,), Layout("rgb"), index, Fraction(index, 25))


def face_of(five: Floats = EYES) -> Face:
    low, high = five.min(0), five.max(0)
    return Face(box=(low[0] - 20, low[1] - 40, high[0] + 20, high[1] + 25))


def seen_of(face: Face, dense: Floats | None) -> Seen:
    return Seen(np.array(face.box, np.float32).reshape(2, 2), dense)


@pytest.fixture
def picture() -> Bytes:
    return np.ascontiguousarray(skimage.data.astronaut())


def told(looks: Looks, frame: Frame, tracks: list[int], dense: list[Floats | None]) -> list[Any]:
    faces = [face_of()] * len(tracks)
    seen = [seen_of(face, one) for face, one in zip(faces, dense, strict=True)]
    return [one.look for one in looks.told(frame, tracks, faces, seen)]


def test_a_look_is_told_once_per_track(picture: Bytes) -> None:
    network = Counting()
    looks = Looks(network)  # type: ignore[arg-type]
    dense = dense_of(EYES)
    first = told(looks, frame_of(picture, 0), [7], [dense])
    second = told(looks, frame_of(picture, 1), [3, 7], [dense, dense])
    third = told(looks, frame_of(picture, 2), [7, 3], [None, dense])
    assert len(network.seen) == 2
    assert first[0] is not None
    assert first[0].shape == (9,)
    assert float(first[0][0]) == pytest.approx(0.01)
    np.testing.assert_array_equal(second[1], first[0])
    np.testing.assert_array_equal(third[0], first[0])
    np.testing.assert_array_equal(third[1], second[0])
    assert float(second[0][0]) == pytest.approx(0.02)


def test_without_trusted_points_nothing_is_told(picture: Bytes) -> None:
    network = Counting()
    looks = Looks(network)  # type: ignore[arg-type]
    assert told(looks, frame_of(picture), [1], [None]) == [None]
    assert not network.seen
    assert told(looks, frame_of(picture, 1), [1], [dense_of(EYES)])[0] is not None
    assert told(looks, frame_of(picture, 2), [1], [None])[0] is not None
    assert len(network.seen) == 1


def test_nothing_but_the_look_is_added(picture: Bytes) -> None:
    face, dense = face_of(), dense_of(EYES)
    (found,) = Looks(Counting()).told(frame_of(picture), [1], [face], [seen_of(face, dense)])  # type: ignore[arg-type]
    np.testing.assert_array_equal(found.dense, dense)
    np.testing.assert_array_equal(found.outline, seen_of(face, dense).outline)


def test_the_network_sees_the_surroundings_of_the_face_alone(picture: Bytes) -> None:
    network = Counting()
    told(Looks(network), frame_of(picture), [1], [dense_of(EYES)])  # type: ignore[arg-type]
    ((region, face),) = network.seen
    assert max(region.shape) < 300
    assert face.points is not None
    x, y = np.rint(face.points[2]).astype(int)
    np.testing.assert_array_equal(region[y, x], picture[128, 232])


def test_the_look_is_that_of_the_whole_picture(picture: Bytes) -> None:
    network = make_attributes()
    face = Face(box=face_of().box, points=EYES)
    (whole,) = network.look(picture, [face])
    (found,) = told(Looks(network), frame_of(picture), [1], [dense_of(EYES)])
    np.testing.assert_allclose(found, whole.look(), atol=2e-3)


def test_faces_at_the_border_are_told_too(picture: Bytes) -> None:
    five = (template("arcface", 112) + np.array([-30, -40], np.float32)).astype(np.float32)
    face = face_of(five)
    (found,) = Looks(make_attributes()).told(frame_of(picture), [1], [face], [seen_of(face, dense_of(five))])
    assert found.look is not None
    assert np.isfinite(found.look).all()
