"""Pose, gaze and openness: geometry by construction, and the network that ships on a turned and a mirrored face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from incog import models, points
from incog.evaluate import looks
from incog.evaluate.looks import (
    changes,
    eye_openness,
    eye_widths,
    gaze,
    landmarks_of,
    mouth_openness,
    pose_and_gaze,
)
from incog.evaluate.samples import Item
from incog.perceive.landmarks import NAME, Landmarks, OnnxLandmarker, make_landmarker
from incog.types import Bytes, Face, Floats

Picture = npt.NDArray[np.uint8]
needs_network = pytest.mark.skipif(
    NAME not in models.cards(), reason="this version brings no landmark network"
)


def drawn() -> Floats:
    """Return a face of ellipses: eyes 40 px wide and 12 open, a mouth 60 wide and 10 open, irises in the middle."""
    dense = np.zeros((points.COUNT, 2), np.float32)
    turns = np.arange(36) / 36 * 2 * np.pi
    dense[points.OUTLINE] = np.stack([100 + np.sin(turns) * 80, 100 - np.cos(turns) * 100], 1)
    for eye, iris, x, side in (
        (points.RIGHT_EYE, points.RIGHT_IRIS, 65, 1),
        (points.LEFT_EYE, points.LEFT_IRIS, 135, -1),
    ):
        # From the outer corner by the lower lid to the inner one and back by the upper lid.
        turns = np.arange(16) / 16 * 2 * np.pi
        dense[eye] = np.stack([x - side * 20 * np.cos(turns), 80 + 6 * np.sin(turns)], 1)
        dense[iris] = [x, 80]
    dense[points.NOSE] = [100, 110]
    dense[points.OUTER_LIPS] = [100, 150]
    dense[[points.RIGHT_CORNER, points.LEFT_CORNER]] = [(70, 150), (130, 150)]
    lips = np.arange(8) / 8 * 2 * np.pi
    dense[points.INNER_LIPS] = np.stack([100 - 25 * np.cos(lips), 150 - 5 * np.sin(lips)], 1)
    return dense


def landmarks(
    dense: Floats, *, yaw: float = 0, pitch: float = 0, roll: float = 0, doubt: float = 0.03
) -> Landmarks:
    return Landmarks(dense.astype(np.float32), yaw, pitch, roll, doubt)


def turned(dense: Floats, degrees: float, zoom: float = 1) -> Floats:
    """Return the points turned about (100, 100), enlarged and moved."""
    angle = np.deg2rad(degrees)
    spin = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return ((dense - 100) @ spin.T + [300, 250]).astype(np.float32)


# Geometry


def test_a_face_that_only_moved_looks_the_same_way() -> None:
    dense = drawn()
    for other in (dense + np.float32(5), turned(dense, 30), turned(dense, -70, 2.5)):
        np.testing.assert_allclose(gaze(other), gaze(dense), atol=1e-5)
        assert eye_openness(other) == pytest.approx(eye_openness(dense), abs=1e-5)
        assert mouth_openness(other) == pytest.approx(mouth_openness(dense), abs=1e-5)


def test_openness_is_the_mean_gap_by_the_width() -> None:
    dense = drawn()
    np.testing.assert_allclose(eye_widths(dense), 40, rtol=1e-6)
    lids = 12 * np.sin(np.arange(1, 8) / 16 * 2 * np.pi).mean()
    assert eye_openness(dense) == pytest.approx(lids / 40, rel=1e-5)
    lips = 10 * np.sin(np.arange(1, 4) / 8 * 2 * np.pi).mean()
    assert mouth_openness(dense) == pytest.approx(lips / 60, rel=1e-5)
    shut = dense.copy()
    shut[points.RIGHT_EYE][:, 1] = shut[points.LEFT_EYE][:, 1] = 80
    shut[points.INNER_LIPS][:, 1] = 150
    assert eye_openness(shut) == mouth_openness(shut) == 0
    found = changes(landmarks(dense), landmarks(shut))
    assert found["eye_openness"] == pytest.approx(lids / 40, rel=1e-5)
    assert found["mouth_openness"] == pytest.approx(lips / 60, rel=1e-5)
    assert found["gaze"] == 0


def test_gaze_is_where_irises_lie_in_their_eyes() -> None:
    dense = drawn()
    np.testing.assert_allclose(gaze(dense), 0, atol=1e-6)
    aside = dense.copy()
    aside[points.RIGHT_IRIS] += [8, 0]
    aside[points.LEFT_IRIS] += [8, 0]
    # Both irises to the right of the picture: towards the nose in the right eye, away from it in the left one.
    np.testing.assert_allclose(gaze(aside), [[0.2, 0], [-0.2, 0]], atol=1e-6)
    assert changes(landmarks(dense), landmarks(aside))["gaze"] == pytest.approx(0.2)
    assert changes(landmarks(turned(dense, 20)), landmarks(turned(aside, 65, 2)))["gaze"] == pytest.approx(
        0.2, rel=1e-4
    )
    up = dense.copy()
    up[points.RIGHT_IRIS] += [0, -4]
    assert changes(landmarks(dense), landmarks(up))["gaze"] == pytest.approx(0.05), (
        "one of two eyes, a tenth of its width"
    )


def test_a_narrow_eye_counts_by_its_width() -> None:
    dense = drawn()
    dense[points.LEFT_EYE] = (dense[points.LEFT_EYE] - [135, 80]) / [4, 1] + [135, 80]
    moved = dense.copy()
    moved[points.LEFT_IRIS] += [5, 0]
    # Half of an eye that is 10 of 50 px of both.
    assert changes(landmarks(dense), landmarks(moved))["gaze"] == pytest.approx(0.1, rel=1e-4)


def test_pose_changes_are_the_shorter_way_round() -> None:
    dense = drawn()
    before, after = (landmarks(dense, yaw=y, pitch=p, roll=r) for y, p, r in ((-20, 5, 175), (10, -10, -175)))
    found = changes(before, after)
    assert (found["yaw"], found["pitch"], found["roll"]) == (30, 15, 10)
    assert changes(after, before) == found


def test_nme_is_the_mean_distance_by_the_eyes_of_a_frontal_face() -> None:
    dense = drawn()
    found = changes(landmarks(dense), landmarks(dense + np.array([3, 4], np.float32)))
    spread = 1.12 * np.sqrt(((dense - dense.mean(0)) ** 2).sum(1).mean())
    assert found["nme"] == pytest.approx(5 / spread, rel=1e-4)


def item(person: str, box: tuple[float, float, float, float] = (15, 25, 185, 205)) -> Item:
    five = points.five(drawn())
    picture = np.zeros((220, 200, 3), np.uint8)
    return Item(f"x/{person}", person, picture, [Face(box, 0.9, five)], five, five)


def test_only_pictures_whose_landmarks_can_be_trusted_count() -> None:
    some = [item(f"person {n // 2}") for n in range(8)]
    before = [landmarks(drawn(), yaw=10) for _ in some]
    after = [landmarks(drawn(), yaw=10 + n) for n in range(8)]
    after[2:4] = [replace(one, doubt=0.3, yaw=60.0) for one in after[2:4]]
    before[7] = replace(before[7], doubt=0.3)
    found = pose_and_gaze(some, before, after)
    assert (found["trusted"].value, found["trusted"].count) == (pytest.approx(5 / 7), 7)
    assert (found["yaw"].value, found["yaw"].count, found["yaw"].people) == (np.mean([0, 1, 4, 5, 6]), 5, 3)
    assert found["yaw"].low < found["yaw"].value < found["yaw"].high
    assert found["roll"].value == found["gaze"].value == found["nme"].value == 0
    lost = pose_and_gaze(some, before, [replace(one, doubt=0.5) for one in after])
    assert list(lost) == ["trusted"]
    assert (lost["trusted"].value, lost["trusted"].low) == (0, 0)
    assert lost["trusted"].high > 0.3, "four people tell little"
    assert pose_and_gaze([], [], [])["trusted"].count == 0


def test_a_face_without_a_detection_has_a_box_around_its_points() -> None:
    one = item("somebody")
    assert looks.face_of(one).box == one.faces[0].box
    found = looks.face_of(Item(one.name, one.person, one.picture, [], one.points, one.hull))
    assert found.points is one.points
    x0, y0, x1, y1 = found.box
    # Eyes 70 and eyes to mouth 70 px: 42 px around.
    assert (x0, y0) == pytest.approx((65 - 42, 80 - 42), abs=1)
    assert (x1, y1) == pytest.approx((135 + 42, 150 + 42), abs=1)


# The network that ships


@pytest.fixture(scope="module")
def landmarker() -> OnnxLandmarker:
    return make_landmarker()


@pytest.fixture
def collins_item(astronaut: Picture, collins: Face) -> Item:
    assert collins.points is not None
    return Item("nasa/collins", "Collins", astronaut, [collins], collins.points, collins.points)


def measured(one: Item, views: Sequence[Bytes], landmarker: OnnxLandmarker) -> list[dict[str, float]]:
    """Return the value of each figure for each view."""
    before = landmarks_of([one], [one.picture], landmarker)
    found = [pose_and_gaze([one], before, landmarks_of([one], [view], landmarker)) for view in views]
    return [{name: figure.value for name, figure in figures.items()} for figures in found]


@needs_network
def test_the_same_picture_is_as_before(collins_item: Item, landmarker: OnnxLandmarker) -> None:
    (found,) = measured(collins_item, [collins_item.picture.copy()], landmarker)
    assert found.pop("trusted") == 1
    assert set(found) == {"yaw", "pitch", "roll", "gaze", "eye_openness", "mouth_openness", "nme"}
    assert set(found.values()) == {0.0}


@needs_network
@pytest.mark.parametrize("degrees", [10, -10])
def test_a_turned_picture_is_a_roll(degrees: int, collins_item: Item, landmarker: OnnxLandmarker) -> None:
    picture = collins_item.picture
    middle = tuple(map(float, collins_item.points.mean(0)))
    matrix = cv2.getRotationMatrix2D(middle, degrees, 1)
    view = np.asarray(cv2.warpAffine(picture, matrix, picture.shape[1::-1]), np.uint8)
    (found,) = measured(collins_item, [view], landmarker)
    assert found["trusted"] == 1
    assert found["roll"] == pytest.approx(10, abs=1)
    assert max(found["yaw"], found["pitch"]) < 3
    assert found["gaze"] < 0.05
    assert max(found["eye_openness"], found["mouth_openness"]) < 0.04
    assert found["nme"] > 0.05


@needs_network
def test_a_mirrored_face_looks_the_other_way(collins_item: Item, landmarker: OnnxLandmarker) -> None:
    """About the middle of the face, so that it stays in its place."""
    one = landmarks_of([collins_item], [collins_item.picture], landmarker)[0]
    middle = float(collins_item.points[:, 0].mean())
    height, width = collins_item.picture.shape[:2]
    matrix = np.array([[-1, 0, 2 * middle], [0, 1, 0]])
    view = np.asarray(cv2.warpAffine(collins_item.picture, matrix, (width, height)), np.uint8)
    (found,) = measured(collins_item, [view], landmarker)
    assert found["yaw"] == pytest.approx(abs(2 * one.yaw), abs=3)
    assert found["roll"] == pytest.approx(abs(2 * one.roll), abs=2)
    assert found["pitch"] < 3
    sideways = gaze(one.points)[:, 0]
    assert found["gaze"] == pytest.approx(abs(sideways[0] - sideways[1]), abs=0.06)
    assert max(found["eye_openness"], found["mouth_openness"]) < 0.05


@needs_network
def test_of_a_face_that_is_gone_nothing_is_told(collins_item: Item, landmarker: OnnxLandmarker) -> None:
    gone = collins_item.picture.copy()
    x0, y0, x1, y1 = (round(value) for value in collins_item.faces[0].box)
    gone[y0 - 20 : y1 + 10, x0 - 10 : x1 + 10] = 0
    (found,) = measured(collins_item, [gone], landmarker)
    assert found == {"trusted": 0.0}
