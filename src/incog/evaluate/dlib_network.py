"""dlib's recognition network as an ONNX model: the same numbers from its file of weights, ten times as quick.

The file holds the layers from the input on: each with its kind as text, its parameters, and its sizes. The residual
blocks between them are those of dlib's example (King, dnn_face_recognition_ex.cpp): two convolutions, each scaled and
shifted, added to the block's input, which a block that halves the picture averages by two and widens with zeros.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from incog.errors import ModelError
from incog.types import Array, Floats

SIDE = 150
"""Side of the chips in pixels."""

MEAN = (122.782, 117.001, 104.298)
"""Of the red, green and blue of the pictures it was trained on; differences are divided by 256."""

_CONVOLUTIONS = 29
_LAYER = re.compile(rb"con_4|affine_|fc_2")


@dataclass(frozen=True, slots=True, eq=False)
class _Convolution:
    """weights: (N, C, h, w), bias: (N,), with the scale and shift that follow taken in."""

    weights: Floats
    bias: Floats
    stride: int
    padding: int


class _Reader:
    """Reads dlib's serialised numbers and tensors."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data, self.place = data, place

    def integer(self) -> int:
        """Return a number: its low four bits of the first byte say how many bytes follow, the highest is its sign."""
        head = self._data[self.place]
        end = self.place + 1 + (head & 0x0F)
        value = int.from_bytes(self._data[self.place + 1 : end], "little")
        self.place = end
        return -value if head & 0x80 else value

    def tensor(self) -> Floats:
        """Return a tensor, flat."""
        if self.integer() != 2:
            raise ValueError("an unknown version of a tensor")
        count = int(np.prod([self.integer() for _ in range(4)]))
        values = np.frombuffer(self._data, "<f4", count, self.place).astype(np.float32)
        self.place += 4 * count
        return values


def to_onnx(data: bytes) -> bytes:
    """Return the network of dlib's file: (B, 3, 150, 150) float32 R'G'B' of 0..255 -> (B, 128) float32.

    Raises ModelError when the file holds another network.
    """
    try:
        convolutions, last = _layers(data)
    except (ValueError, IndexError) as error:
        raise ModelError(f"dlib's network cannot be read: {error}") from None
    return _built(convolutions, last)


def _layers(data: bytes) -> tuple[list[_Convolution], Floats]:
    """Return the convolutions in order, and the last layer's matrix (256, 128)."""
    convolutions: list[_Convolution] = []
    last: Floats | None = None
    weights: Floats = np.zeros(0, np.float32)
    bias = weights
    stride = padding = 0
    place = 0
    while (layer := _LAYER.search(data, place)) is not None:
        reader = _Reader(data, layer.end())
        if layer.group() == b"con_4":
            values = reader.tensor()
            count, height, width, stride, _, padding, _ = (reader.integer() for _ in range(7))
            weights, bias = values[:-count].reshape(count, -1, height, width), values[-count:]
        elif layer.group() == b"affine_":
            scale, shift = np.split(reader.tensor(), 2)
            convolutions.append(
                _Convolution(weights * scale[:, None, None, None], bias * scale + shift, stride, padding)
            )
        else:
            outputs, inputs = reader.integer(), reader.integer()
            last = reader.tensor().reshape(inputs, outputs)
        place = reader.place
    if len(convolutions) != _CONVOLUTIONS or last is None:
        raise ValueError(
            f"{_CONVOLUTIONS} convolutions and a matrix were expected, {len(convolutions)} found"
        )
    return convolutions, last


def _built(convolutions: list[_Convolution], last: Floats) -> bytes:
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def constant(values: Array) -> str:
        name = f"c{len(constants)}"
        constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(kind: str, *inputs: str, **settings: Any) -> str:
        name = f"n{len(nodes)}"
        nodes.append(helper.make_node(kind, list(inputs), [name], **settings))
        return name

    def convolved(x: str, layer: _Convolution) -> str:
        return add(
            "Conv",
            x,
            constant(layer.weights),
            constant(layer.bias),
            strides=[layer.stride] * 2,
            pads=[layer.padding] * 4,
        )

    def padded(x: str, channels: int, pixels: int) -> str:
        if not channels and not pixels:
            return x
        return add("Pad", x, constant(np.array([0, 0, 0, 0, 0, channels, pixels, pixels], np.int64)))

    mean = constant(np.array(MEAN, np.float32).reshape(1, 3, 1, 1))
    x = add("Div", add("Sub", "pixels", mean), constant(np.array(256, np.float32)))
    x = add("MaxPool", add("Relu", convolved(x, convolutions[0])), kernel_shape=[3, 3], strides=[2, 2])
    side, width = (SIDE - 7) // 2 + 1, len(convolutions[0].bias)
    side = (side - 3) // 2 + 1
    for first, second in zip(convolutions[1::2], convolutions[2::2], strict=True):
        block = convolved(add("Relu", convolved(x, first)), second)
        if first.stride == 2:
            x = add("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
            made, side = (side - 3) // 2 + 1, side // 2
            # dlib adds what is of different sizes as if zeros were beyond.
            block = padded(block, 0, side - made)
            x = padded(x, len(first.bias) - width, 0)
            width = len(first.bias)
        x = add("Relu", add("Add", block, x))
    x = add("Flatten", add("GlobalAveragePool", x))
    nodes.append(helper.make_node("MatMul", [x, constant(last)], ["embedding"]))
    graph = helper.make_graph(
        nodes,
        "dlib",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", last.shape[1]])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    made_bytes: bytes = model.SerializeToString()
    return made_bytes
