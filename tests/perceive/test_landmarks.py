"""Dense landmarks: the point set, crops, two passes, trust. A stand-in network gives every crop about one answer."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from incog import models, points
from incog.errors import ModelError
from incog.perceive import landmarks
from incog.perceive.landmarks import Landmarks, OnnxLandmarker, crop, five_points, trusted
from incog.types import Bytes, Face, Floats

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def mean_face() -> Floats:
    """Return 130 points in the network's crop whose five are the template's."""
    rng = np.random.default_rng(5)
    dense = rng.uniform(30, 80, (points.COUNT, 2)).astype(np.float32)
    angles = np.arange(36) / 36 * 2 * np.pi
    dense[points.OUTLINE] = np.stack([55.5 + np.sin(angles) * 36, 57 - np.cos(angles) * 48], axis=1)
    dense[list(points.FIVE)] = landmarks.TEMPLATE
    return dense


def constant_network(dense: Floats, pose: tuple[float, float, float], doubt: float) -> bytes:
    """Return an ONNX file that gives every crop the same answer, moved by the crop's brightness in its corner pixel."""
    constants = {
        "dense": dense[None],
        "pose_row": np.array([pose], np.float32),
        "doubt_row": np.array([doubt], np.float32),
        "start": np.array([0, 0, 0, 0], np.int64),
        "stop": np.array([99, 1, 1, 1], np.int64),
        "flat": np.array([-1, 1, 1], np.int64),
        "row": np.array([-1, 1], np.int64),
        "single": np.array([-1], np.int64),
        "zero": np.array(0, np.float32),
    }
    nodes = [
        helper.make_node("Slice", ["image", "start", "stop"], ["corner"]),
        helper.make_node("Reshape", ["corner", "flat"], ["shift"]),
        helper.make_node("Add", ["dense", "shift"], ["points"]),
        helper.make_node("Reshape", ["corner", "row"], ["level"]),
        helper.make_node("Mul", ["level", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "pose_row"], ["pose"]),
        helper.make_node("Reshape", ["nothing", "single"], ["none"]),
        helper.make_node("Add", ["none", "doubt_row"], ["doubt"]),
    ]
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["B", 3, 112, 112])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            for name in ("points", "pose", "doubt")
        ],
        [numpy_helper.from_array(value.astype(value.dtype), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def placed(turn: float, zoom: float, x: float, y: float) -> Floats:
    """Return the template's five points turned (degrees), enlarged and moved."""
    angle = np.deg2rad(turn)
    spin = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * zoom
    return ((landmarks.TEMPLATE - 55.5) @ spin.T + [x, y]).astype(np.float32)


def test_the_groups_are_every_point_once() -> None:
    rows = np.concatenate([np.arange(points.COUNT)[group] for group in points.GROUPS.values()])
    assert sorted(rows.tolist()) == list(range(points.COUNT))
    assert 98 <= points.COUNT <= 130
    assert len(set(points.MESH)) == points.COUNT
    assert max(points.MESH) < 478


def test_mirroring_twice_changes_nothing_and_swaps_the_sides() -> None:
    mirror = np.array(points.MIRROR)
    assert (mirror[mirror] == np.arange(points.COUNT)).all()
    assert (mirror[points.RIGHT_EYE] == np.arange(points.COUNT)[points.LEFT_EYE]).all()
    assert mirror[points.RIGHT_CORNER] == points.LEFT_CORNER
    for middle in (points.FOREHEAD, points.CHIN, points.NOSE_TIP):
        assert mirror[middle] == middle


def test_a_crop_brings_the_five_points_to_the_template() -> None:
    picture = np.zeros((400, 500, 3), np.uint8)
    five = placed(20, 1.3, 260, 190)
    for row, colour in zip(np.rint(five).astype(int), (60, 100, 140, 180, 220), strict=True):
        cv2.circle(picture, (int(row[0]), int(row[1])), 3, (colour,) * 3, -1)
    pixels, matrix = crop(picture, five)
    assert pixels.shape == (112, 112, 3)
    np.testing.assert_allclose(five @ matrix[:, :2].T + matrix[:, 2], landmarks.TEMPLATE, atol=1e-3)
    for (x, y), colour in zip(landmarks.TEMPLATE, (60, 100, 140, 180, 220), strict=True):
        assert abs(int(pixels[round(float(y)), round(float(x)), 0]) - colour) < 12


def test_a_large_face_is_averaged_not_skipped() -> None:
    stripes = np.zeros((1600, 1600, 3), np.uint8)
    stripes[:, ::2] = 255
    pixels, _ = crop(stripes, placed(0, 10, 800, 800))
    assert float(pixels.astype(float).std()) < 12


def test_points_and_pose_come_back_in_the_picture() -> None:
    picture = np.zeros((300, 400, 3), np.uint8)
    network = OnnxLandmarker(constant_network(mean_face(), (10, -5, 3), 0.03), passes=1)
    five = placed(15, 1.5, 200, 150)
    box = (*five.min(0).tolist(), *five.max(0).tolist())
    found = network(picture, [Face((box[0] - 40, box[1] - 40, box[2] + 40, box[3] + 40), points=five)])[0]
    np.testing.assert_allclose(points.five(found.points), five, atol=1e-2)
    assert (found.yaw, found.pitch) == (10, -5)
    assert found.roll == pytest.approx(18, abs=0.01)
    assert found.doubt == pytest.approx(0.03)


def test_many_faces_at_once_are_as_each_alone() -> None:
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 60, (400, 400, 3)).astype(np.uint8)
    network = OnnxLandmarker(constant_network(mean_face(), (0, 0, 0), 0.1))
    fives = [placed(float(n), 0.6 + n / 40, 100 + 10 * n, 200) for n in range(20)]
    together = network.refine(picture, fives)
    for five, one in zip(fives, together, strict=True):
        np.testing.assert_allclose(network.refine(picture, [five])[0].points, one.points, atol=1e-3)
    assert network(picture, []) == []


def test_the_second_pass_starts_where_the_first_ended() -> None:
    # Brightness moves the answer, and the second crop lies elsewhere, on another brightness.
    ramp: Bytes = (
        np.repeat(np.arange(400, dtype=np.float32)[None] / 20, 300, 0)[..., None]
        .repeat(3, 2)
        .astype(np.uint8)
    )
    five = placed(0, 1, 200, 150)
    data = constant_network(mean_face(), (0, 0, 0), 0.1)
    one, two = (OnnxLandmarker(data, passes=n).refine(ramp, [five], passes=n)[0] for n in (1, 2))
    expected = OnnxLandmarker(data, passes=1).refine(ramp, [points.five(one.points)])[0]
    assert float(np.abs(two.points - one.points).max()) > 2
    np.testing.assert_allclose(two.points, expected.points, atol=1e-3)


def test_five_points_fall_back_to_the_box() -> None:
    box = (100.0, 100.0, 180.0, 200.0)
    without = five_points(Face(box))
    assert (without > [100, 100]).all()
    assert (without < [180, 200]).all()
    good = (without + np.random.default_rng(0).normal(0, 2, (5, 2))).astype(np.float32)
    np.testing.assert_array_equal(five_points(Face(box, points=good)), good)
    scattered = np.array([[100, 190], [170, 105], [100, 100], [178, 190], [140, 100]], np.float32)
    tiny = (without * 0.1 + 120).astype(np.float32)
    upside_down_unknown = np.full((5, 2), np.nan, np.float32)
    for bad in (scattered, tiny, upside_down_unknown, np.full((5, 2), 140, np.float32)):
        np.testing.assert_array_equal(five_points(Face(box, points=bad)), without)


def test_landmarks_are_trusted_only_where_the_face_is() -> None:
    dense = mean_face() + 100
    low, high = dense[points.OUTLINE].min(0), dense[points.OUTLINE].max(0)
    box = (float(low[0]), float(low[1]) + 15, float(high[0]), float(high[1]))
    assert trusted(Landmarks(dense, 10, 5, 0, 0.03), Face(box))
    assert not trusted(Landmarks(dense, 10, 5, 0, landmarks.DOUBTFUL + 0.01), Face(box))
    assert not trusted(Landmarks(dense, 80, 5, 0, 0.03), Face(box))
    elsewhere = Face((box[0] + 60, box[1], box[2] + 60, box[3]))
    assert not trusted(Landmarks(dense, 10, 5, 0, 0.03), elsewhere)
    huge = Face((box[0] - 80, box[1] - 80, box[2] + 80, box[3] + 80))
    assert not trusted(Landmarks(dense, 10, 5, 0, 0.03), huge)
    broken = dense.copy()
    broken[3] = np.nan
    assert not trusted(Landmarks(broken, 10, 5, 0, 0.03), Face(box))


def test_a_missing_network_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "RECORDS", {})
    with pytest.raises(ModelError, match="brings no network landmarks"):
        landmarks.make_landmarker()


def test_the_network_finds_the_eyes_of_a_known_face(astronaut: Bytes, collins: Face) -> None:
    network = landmarks.make_landmarker()
    found = network(astronaut, [collins])[0]
    assert trusted(found, collins)
    assert collins.points is not None
    size = float(points.interocular(found.points))
    assert float(np.linalg.norm(points.five(found.points) - collins.points, axis=1).mean()) < 0.15 * size
    # A mirrored picture gives mirrored points, about.
    mirrored = np.ascontiguousarray(astronaut[:, ::-1])
    width = astronaut.shape[1]
    five = (collins.points * [-1, 1] + [width - 1, 0])[[1, 0, 2, 4, 3]].astype(np.float32)
    box = (width - 1 - collins.box[2], collins.box[1], width - 1 - collins.box[0], collins.box[3])
    other = network(mirrored, [Face(box, points=five)])[0]
    back = (other.points * [-1, 1] + [width - 1, 0])[list(points.MIRROR)]
    assert float(np.linalg.norm(back - found.points, axis=1).mean()) < 0.06 * size
    assert other.yaw == pytest.approx(-found.yaw, abs=6)
