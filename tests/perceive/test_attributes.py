"""Attribute networks at work: what goes in is checked, rows stay in order, and the shipped ones know public faces."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from incog.errors import ModelError
from incog.perceive import attributes
from incog.perceive.attributes import CLASSES, OnnxAttributes, make_attributes
from incog.pipeline import Perception
from incog.types import Face


@pytest.fixture
def hopper(admiral: np.ndarray, perception: Perception) -> Face:
    """Return where the admiral's face is."""
    faces = perception.searcher._detector(admiral, scales=[2.0, 1.0], threshold=0.6)
    assert len(faces) == 1
    return faces[0]


def _brightness() -> bytes:
    """Return a stand-in for a network: the age is the mean of the red channel, all probabilities are constant."""
    nodes = [
        helper.make_node("Slice", ["image", "zero", "one", "axis"], ["red"]),
        helper.make_node("ReduceMean", ["red", "axes"], ["age"], keepdims=0),
        helper.make_node("Identity", ["age"], ["spread"]),
        helper.make_node("Shape", ["age"], ["count"]),
    ]
    constants = [("zero", [0]), ("one", [1]), ("axis", [1]), ("axes", [1, 2, 3])]
    values = [helper.make_tensor(name, TensorProto.INT64, [len(data)], data) for name, data in constants]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b"]) for name in ("age", "spread")]
    for name, kinds in CLASSES.items():
        shares = np.arange(1, len(kinds) + 1, dtype=np.float32)
        values.append(
            helper.make_tensor(f"{name}_row", TensorProto.FLOAT, [1, len(kinds)], shares / shares.sum())
        )
        values.append(helper.make_tensor(f"{name}_width", TensorProto.INT64, [1], [len(kinds)]))
        nodes.append(helper.make_node("Concat", ["count", f"{name}_width"], [f"{name}_shape"], axis=0))
        nodes.append(helper.make_node("Expand", [f"{name}_row", f"{name}_shape"], [name]))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", len(kinds)]))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["b", 3, 112, 112])
    graph = helper.make_graph(nodes, "stand-in", [image], outputs, values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def test_each_crop_has_its_row_in_order() -> None:
    network = OnnxAttributes(_brightness())
    crops = np.zeros((70, 112, 112, 3), np.uint8)
    crops[..., 0] = np.arange(70)[:, None, None]
    crops[..., 2] = 255
    found = network(crops)
    assert [item.age for item in found] == pytest.approx(list(range(70)))
    assert found[0].likeliest("ethnicity") == ("other", pytest.approx(5 / 15))
    for name, kinds in CLASSES.items():
        assert getattr(found[69], name).shape == (len(kinds),)
        assert getattr(found[69], name).sum() == pytest.approx(1)


def test_no_faces_no_rows() -> None:
    network = OnnxAttributes(_brightness())
    assert network(np.zeros((0, 112, 112, 3), np.uint8)) == []
    assert network.look(np.zeros((40, 40, 3), np.uint8), []) == []


@pytest.mark.parametrize(
    "crops",
    [
        np.zeros((112, 112, 3), np.uint8),
        np.zeros((1, 96, 96, 3), np.uint8),
        np.zeros((1, 3, 112, 112), np.uint8),
        np.zeros((1, 112, 112, 3), np.float32),
    ],
)
def test_crops_of_another_kind_are_refused(crops: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8, got"):
        OnnxAttributes(_brightness())(crops)


def test_a_face_is_aligned_before_it_is_looked_at() -> None:
    picture = np.zeros((300, 300, 3), np.uint8)
    picture[100:200, 100:200, 0] = 200
    points = np.array([(135, 130), (165, 130), (150, 150), (138, 168), (162, 168)], np.float32)
    inside, outside = (Face(box=(0, 0, 1, 1), points=points + shift) for shift in (0, 300))
    first, second = OnnxAttributes(_brightness()).look(picture, [inside, outside])
    assert first.age > 150
    assert second.age == 0


def test_a_face_without_points_is_refused() -> None:
    with pytest.raises(ValueError, match="five points"):
        OnnxAttributes(_brightness()).look(np.zeros((9, 9, 3), np.uint8), [Face(box=(0, 0, 5, 5))])


def test_a_network_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelError, match="attributes-c"):
        make_attributes("attributes-c")


@pytest.mark.parametrize("name", [attributes.NAME, attributes.JUDGE])
def test_public_faces(
    name: str, astronaut: np.ndarray, admiral: np.ndarray, collins: Face, hopper: Face
) -> None:
    """Eileen Collins was 36, Grace Hopper 77 when these were taken."""
    network = make_attributes(name)
    (pilot,), (officer,) = network.look(astronaut, [collins]), network.look(admiral, [hopper])
    assert abs(pilot.age - 36) < 15
    assert officer.age > pilot.age + 10
    assert pilot.likeliest("gender")[0] == "female"
    assert pilot.likeliest("ethnicity")[0] == officer.likeliest("ethnicity")[0] == "white"
    assert pilot.likeliest("expression")[0] == "happiness"
