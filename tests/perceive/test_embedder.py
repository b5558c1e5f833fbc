"""Aligned crops and the network that turns them into unit vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.transform import SimilarityTransform

from incog import models
from incog.alignment import similarity
from incog.errors import ModelError
from incog.perceive.embedder import (
    SIZE,
    TEMPLATE,
    OnnxEmbedder,
    align,
    make_embedder,
    misfit,
    unit,
)
from incog.types import Face

Picture = npt.NDArray[np.uint8]
TEACHER = Path(__file__).resolve().parents[3] / "shared" / "weights" / "edgeface_xs.onnx"


def face_at(points: npt.NDArray[Any]) -> Face:
    return Face((0, 0, 100, 100), points=points.astype(np.float32))


# Aligning


@given(st.floats(0.1, 20), st.floats(-3.1, 3.1), st.floats(-500, 500), st.floats(-500, 500))
def test_a_turned_scaled_and_shifted_template_is_found_back(
    scale: float, angle: float, x: float, y: float
) -> None:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = TEMPLATE @ turn.T * scale + [x, y]
    matrix = similarity(points.astype(np.float32), TEMPLATE)
    np.testing.assert_allclose(points @ matrix[:, :2].T + matrix[:, 2], TEMPLATE, atol=0.05)
    assert misfit(face_at(points)) < 0.05


@given(st.integers(0, 2**32 - 1))
def test_the_least_squares_solution_is_that_of_another_implementation(seed: int) -> None:
    points = TEMPLATE + np.random.default_rng(seed).normal(0, 8, (5, 2))
    expected = SimilarityTransform.from_estimate(points, TEMPLATE.astype(float)).params[:2]
    np.testing.assert_allclose(similarity(points.astype(np.float32), TEMPLATE), expected, atol=1e-3)


def test_a_mirrored_face_is_not_mirrored_back() -> None:
    mirrored = TEMPLATE * [-1, 1]
    matrix = similarity(mirrored.astype(np.float32), TEMPLATE)
    assert np.linalg.det(matrix[:, :2]) > 0
    assert misfit(face_at(mirrored)) > 10


def test_a_turned_head_fits_worse() -> None:
    turned = TEMPLATE.copy()
    turned[:, 0] = 56 + (turned[:, 0] - 56) * 0.4
    turned[2, 0] -= 14
    assert misfit(face_at(turned)) > 8
    assert misfit(Face((0, 0, 1, 1))) == float("inf")
    assert misfit(face_at(np.ones((5, 2)))) == float("inf")


def test_the_points_land_on_the_template(astronaut: Picture, collins: Face) -> None:
    assert collins.points is not None
    marked = np.zeros((*astronaut.shape[:2], 3), np.uint8)
    for x, y in collins.points:
        cv2.circle(marked, (round(float(x)), round(float(y))), 1, (255, 255, 255), -1)
    crop = align(marked, collins)
    assert crop.shape == (SIZE, SIZE, 3)
    assert crop.dtype == np.uint8
    fit = similarity(collins.points, TEMPLATE)
    for x, y in collins.points @ fit[:, :2].T + fit[:, 2]:
        assert (
            crop[round(float(y)) - 2 : round(float(y)) + 3, round(float(x)) - 2 : round(float(x)) + 3].max()
            > 100
        )


def test_large_faces_are_averaged_down_not_sampled() -> None:
    """A fine checkerboard of black and white becomes grey."""
    board = np.indices((1200, 1200)).sum(axis=0) % 2 * 255
    picture = np.repeat(board[..., None], 3, axis=2).astype(np.uint8)
    crop = align(picture, face_at(TEMPLATE * 8 + 100))
    assert np.abs(crop.astype(int) - 127).max() < 24


@pytest.mark.parametrize("scale", [0.5, 1, 3, 7])
def test_a_crop_does_not_depend_on_the_size_of_the_picture(scale: float) -> None:
    smooth = cv2.GaussianBlur(np.random.default_rng(0).random((130, 130, 3)), (0, 0), 6)
    smooth = ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)
    picture = cv2.resize(smooth, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    points = (TEMPLATE + 5 + 0.5) * scale - 0.5
    crop = align(picture, face_at(points)).astype(int)
    assert np.abs(crop - align(smooth, face_at(TEMPLATE + 5)))[4:-4, 4:-4].mean() < 2


def test_beyond_the_border_is_black() -> None:
    white = np.full((60, 60, 3), 255, np.uint8)
    crop = align(white, face_at(TEMPLATE))
    assert crop[:50, :50].min() == 255
    assert crop[70:, 70:].max() == 0


def test_a_face_without_points_cannot_be_aligned() -> None:
    white = np.full((60, 60, 3), 255, np.uint8)
    with pytest.raises(ValueError, match="five points"):
        align(white, Face((0, 0, 30, 30)))
    with pytest.raises(ValueError, match="must not all be the same"):
        align(white, face_at(np.full((5, 2), 3)))


# The network


def average_colour() -> bytes:
    """Return a network that gives the mean of each channel, and so tells what it was fed."""
    helper = onnx.helper
    nodes = [
        helper.make_node("GlobalAveragePool", ["in"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["out"]),
    ]
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "average",
        [helper.make_tensor_value_info("in", kind, ["b", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("out", kind, ["b", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def network() -> OnnxEmbedder:
    return OnnxEmbedder(average_colour(), threads=1)


def test_the_network_gets_red_green_blue_from_minus_one_to_one(network: OnnxEmbedder) -> None:
    crops = np.zeros((2, SIZE, SIZE, 3), np.uint8)
    crops[0] = [255, 0, 0]
    crops[1] = [51, 102, 204]
    expected = np.array([[1, -1, -1], [-0.6, -0.2, 0.6]])
    found = network(crops)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-4)


def test_a_batch_is_as_one_by_one_and_may_be_empty(network: OnnxEmbedder) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (40, SIZE, SIZE, 3)).astype(np.uint8)
    before = crops.copy()
    found = network(crops)
    np.testing.assert_allclose(found, np.concatenate([network(crop[None]) for crop in crops]), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(crops, before)
    assert network(crops[:0]).shape == (0, 3)


@pytest.mark.parametrize("shape", [(SIZE, SIZE, 3), (1, 64, 64, 3), (1, 3, SIZE, SIZE)])
def test_other_shapes_are_refused(network: OnnxEmbedder, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"crops must be \(B, 112, 112, 3\) uint8"):
        network(np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="float32"):
        network(np.zeros((1, SIZE, SIZE, 3), np.float32))  # type: ignore[arg-type]


def test_vectors_without_length_stay_as_they_are() -> None:
    np.testing.assert_allclose(unit(np.array([[3, 4], [0, 0]], np.float32)), [[0.6, 0.8], [0, 0]])


def test_a_version_without_the_network_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "RECORDS", {})
    with pytest.raises(ModelError, match="brings no network embedder"):
        make_embedder()


@pytest.mark.skipif(not TEACHER.exists(), reason="the shared weights are not here")
def test_a_real_network_knows_a_face_again(astronaut: Picture, admiral: Picture, perception: Any) -> None:
    network = OnnxEmbedder(TEACHER.read_bytes(), threads=2)
    small = cv2.resize(astronaut, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
    crops = []
    for picture in (astronaut, small, admiral):
        faces = perception.searcher._detector(picture, scales=[2.0, 1.0], threshold=0.6)
        crops.append(align(picture, max(faces, key=lambda face: face.size)))
    alike = network(np.stack(crops)) @ network(np.stack(crops)).T
    assert alike[0, 1] > 0.8
    assert alike[0, 2] < 0.3
