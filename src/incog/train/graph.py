"""ONNX files run by PyTorch, so that gradients flow through them: judges in the losses of other networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from incog.errors import InputError

Attributes = dict[str, Any]
Operator = Callable[..., Any]

DTYPES = {
    onnx.TensorProto.INT8: torch.int8,
    onnx.TensorProto.FLOAT: torch.float32,
    onnx.TensorProto.FLOAT16: torch.float16,
    onnx.TensorProto.INT64: torch.int64,
    onnx.TensorProto.INT32: torch.int32,
    onnx.TensorProto.BOOL: torch.bool,
}

STATIC = {
    "ConstantOfShape": (0,), "CumSum": (1,), "Expand": (1,), "Pow": (1,), "ReduceL2": (1,), "ReduceMean": (1,),
    "ReduceSum": (1,), "Reshape": (1,), "Resize": (1, 2, 3), "Slice": (1, 2, 3, 4), "Split": (1,), "Squeeze": (1,),
    "Unsqueeze": (1,),
}  # fmt: skip
"""Which inputs of an operator are shapes, axes and the like: they are handed over as Python numbers and lists."""


@dataclass(frozen=True, slots=True)
class Node:
    """One operator. inputs: names, '' where left out. outputs: names."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Step:
    """One operator with what is known of its inputs: a name is looked up among the values of the run."""

    operator: Operator
    attributes: Attributes
    inputs: tuple[Any, ...]
    outputs: tuple[str, ...]


class Graph(nn.Module):
    """An ONNX file as a module: (B, ...) -> all outputs of the graph, in its order; ``names`` are theirs.

    What does not depend on the input is computed once, what depends on the shape of the input alone once per shape and
    device: a forward pass waits for no device. Initialisers are buffers that no checkpoint holds. Raises InputError for
    a file that is no ONNX graph of one input, or an operator or type that is not known here.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__()
        try:
            graph = onnx.load_from_string(data).graph
        except Exception as error:
            raise InputError(f"the network is not an ONNX file: {error}") from error
        self._known = {item.name: _tensor(item) for item in graph.initializer}
        inputs = [item.name for item in graph.input if item.name not in self._known]
        if len(inputs) != 1:
            raise InputError(f"the network must have one input, got {len(inputs)}")
        self._input = inputs[0]
        self.names = tuple(item.name for item in graph.output)
        self._nodes: list[Node] = []
        for proto in graph.node:
            if proto.op_type not in OPERATORS:
                raise InputError(
                    f"the network has the operator {proto.op_type}, which is not known here",
                    hint=f"known: {', '.join(sorted(OPERATORS))}",
                )
            node = Node(proto.op_type, tuple(proto.input), tuple(proto.output), _attributes(proto))
            if node.kind != "Shape" and all(not name or name in self._known for name in node.inputs):
                self._known.update(_results(node, [self._known.get(name) for name in node.inputs]))
            else:
                self._nodes.append(node)
        self._slots: dict[str, str] = {}
        for node in self._nodes:
            for place, name in enumerate(node.inputs):
                if name in self._known and name not in self._slots and place not in STATIC.get(node.kind, ()):
                    self._slots[name] = f"value{len(self._slots)}"
                    self.register_buffer(self._slots[name], self._known[name], persistent=False)
        self._plans: dict[tuple[torch.Size, torch.device], list[Step]] = {}

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        key = (x.shape, x.device)
        if key not in self._plans:
            with torch.no_grad():
                self._plans[key] = self._plan(x.detach())
        values = {name: self._buffers[slot] for name, slot in self._slots.items()}
        values[self._input] = x
        for step in self._plans[key]:
            _run(step, values)
        return tuple(values[name] for name in self.names)  # type: ignore[misc]

    def _plan(self, x: Tensor) -> list[Step]:
        """Return the steps for inputs of this shape, on this device."""
        known = dict(self._known)
        values = {name: self._buffers[slot] for name, slot in self._slots.items()}
        values[self._input] = x
        steps: list[Step] = []
        for node in self._nodes:
            if node.kind == "Shape":
                source = known.get(node.inputs[0], values.get(node.inputs[0]))
                known.update(_results(node, [source]))
                continue
            if all(not name or name in known for name in node.inputs):
                known.update(_results(node, [known.get(name) for name in node.inputs]))
                continue
            static = STATIC.get(node.kind, ())
            inputs: list[Any] = []
            for place, name in enumerate(node.inputs):
                if place in static and name and name not in known:
                    raise InputError(
                        f"input {place} of the operator {node.kind} must not depend on pixels, but it does"
                    )
                if place in static:
                    inputs.append(known[name].tolist() if name else None)
                elif name in known and name not in self._slots:
                    inputs.append(known[name].to(x.device))
                else:
                    inputs.append(name or None)
            step = Step(OPERATORS[node.kind], node.attributes, tuple(inputs), node.outputs)
            _run(step, values)
            steps.append(step)
        return steps


def _run(step: Step, values: dict[str, Tensor | None]) -> None:
    inputs = [values[item] if isinstance(item, str) else item for item in step.inputs]
    found = step.operator(step.attributes, *inputs)
    results = found if isinstance(found, tuple | list) else (found,)
    values.update(zip(step.outputs, results, strict=True))


def _results(node: Node, inputs: list[Tensor | None]) -> dict[str, Tensor]:
    static = STATIC.get(node.kind, ())
    given = [
        item.tolist() if item is not None and place in static else item for place, item in enumerate(inputs)
    ]
    found = OPERATORS[node.kind](node.attributes, *given)
    return dict(zip(node.outputs, found if isinstance(found, tuple | list) else (found,), strict=True))


def _tensor(proto: Any) -> Tensor:
    if proto.data_type not in DTYPES:
        raise InputError(f"the network holds values of type {proto.data_type}, which is not known here")
    # A copy: what the file gives is read-only.
    return torch.from_numpy(numpy_helper.to_array(proto).copy())


def _attributes(proto: Any) -> Attributes:
    values: Attributes = {}
    for item in proto.attribute:
        value = onnx.helper.get_attribute_value(item)
        values[item.name] = _tensor(value) if isinstance(value, onnx.TensorProto) else value
    return values


def _pads(attributes: Attributes) -> list[int]:
    """Return the padding per axis. Raises InputError when it is not the same at both ends."""
    pads = list(attributes.get("pads", [0, 0, 0, 0]))
    half = len(pads) // 2
    if pads[:half] != pads[half:]:
        raise InputError(f"padding must be the same at both ends, got {pads}")
    return pads[:half]


def _numbers(attributes: Attributes, steps: Tensor, factors: Tensor) -> Tensor:
    axis = attributes.get("axis", 1)
    shape = [-1 if place == axis % steps.ndim else 1 for place in range(steps.ndim)]
    return steps.to(factors.dtype) * factors.reshape(shape)


def _convolution(attributes: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    strides, dilations = attributes.get("strides", [1, 1]), attributes.get("dilations", [1, 1])
    return functional.conv2d(
        x, weight, bias, strides, _pads(attributes), dilations, attributes.get("group", 1)
    )


def _average_pool(attributes: Attributes, x: Tensor) -> Tensor:
    return functional.avg_pool2d(
        x,
        attributes["kernel_shape"],
        attributes.get("strides", [1, 1]),
        _pads(attributes),
        bool(attributes.get("ceil_mode", 0)),
        bool(attributes.get("count_include_pad", 0)),
    )


def _max_pool(attributes: Attributes, x: Tensor) -> Tensor:
    return functional.max_pool2d(
        x,
        attributes["kernel_shape"],
        attributes.get("strides", [1, 1]),
        _pads(attributes),
        attributes.get("dilations", [1, 1]),
        bool(attributes.get("ceil_mode", 0)),
    )


def _norm(
    attributes: Attributes, x: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, var: Tensor
) -> Tensor:
    return functional.batch_norm(x, mean, var, scale, shift, eps=attributes.get("epsilon", 1e-5))


def _layer_norm(attributes: Attributes, x: Tensor, scale: Tensor, shift: Tensor | None = None) -> Tensor:
    shape = x.shape[attributes.get("axis", -1) :]
    return functional.layer_norm(x, shape, scale, shift, attributes.get("epsilon", 1e-5))


def _matrices(attributes: Attributes, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    left = a.t() if attributes.get("transA", 0) else a
    right = b.t() if attributes.get("transB", 0) else b
    product = left @ right
    alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
    product = product if alpha == 1 else product * alpha
    return product if c is None else product + (c if beta == 1 else c * beta)


def _divided(attributes: Attributes, a: Tensor, b: Tensor) -> Tensor:
    whole = not (a.is_floating_point() or b.is_floating_point())
    return torch.div(a, b, rounding_mode="trunc" if whole else None)


def _reshaped(attributes: Attributes, x: Tensor, shape: list[int]) -> Tensor:
    copies = not attributes.get("allowzero", 0)
    return x.reshape([x.shape[n] if side == 0 and copies else side for n, side in enumerate(shape)])


def _sliced(
    attributes: Attributes,
    x: Tensor,
    starts: list[int],
    ends: list[int],
    axes: list[int] | None = None,
    steps: list[int] | None = None,
) -> Tensor:
    axes = list(range(len(starts))) if axes is None else axes
    for start, end, axis, step in zip(starts, ends, axes, steps or [1] * len(starts), strict=True):
        length = x.shape[axis]
        first, last, stride = slice(start, end, step).indices(length)
        if stride < 0:
            x, first, last, stride = x.flip(axis), length - 1 - first, length - 1 - last, -stride
        place = [slice(None)] * x.ndim
        place[axis] = slice(first, last, stride)
        x = x[tuple(place)]
    return x


def _gathered(attributes: Attributes, x: Tensor, places: Tensor) -> Tensor:
    axis = attributes.get("axis", 0) % x.ndim
    places = torch.where(places < 0, places + x.shape[axis], places)
    picked = x.index_select(axis, places.flatten())
    return picked.reshape([*x.shape[:axis], *places.shape, *x.shape[axis + 1 :]])


def _resized(
    attributes: Attributes,
    x: Tensor,
    region: None = None,
    scales: list[float] | None = None,
    sizes: list[int] | None = None,
) -> Tensor:
    size = (
        sizes[2:]
        if sizes
        else [int(side * zoom) for side, zoom in zip(x.shape, scales or (), strict=True)][2:]
    )
    way = (
        attributes["mode"].decode(),
        attributes.get("coordinate_transformation_mode", b"half_pixel").decode(),
    )
    if way == ("nearest", "asymmetric") and attributes.get("nearest_mode") == b"floor":
        return functional.interpolate(x, size, mode="nearest")
    if way == ("linear", "half_pixel") and not attributes.get("antialias", 0):
        return functional.interpolate(x, size, mode="bilinear", align_corners=False)
    raise InputError(f"the network resizes in a way that is not known here: {' '.join(way)}")


def _depth_to_space(attributes: Attributes, x: Tensor) -> Tensor:
    if attributes.get("mode", b"DCR") != b"CRD":
        raise InputError(f"DepthToSpace must be of mode CRD, got {attributes.get('mode', b'DCR').decode()}")
    return functional.pixel_shuffle(x, attributes["blocksize"])


def _axes(attributes: Attributes, x: Tensor, axes: list[int] | None) -> tuple[list[int], bool]:
    given = attributes.get("axes") if axes is None else axes
    return given or list(range(x.ndim)), bool(attributes.get("keepdims", 1))


def _clipped(
    attributes: Attributes, x: Tensor, low: Tensor | None = None, high: Tensor | None = None
) -> Tensor:
    return x if low is None and high is None else torch.clamp(x, low, high)


def _squeezed(attributes: Attributes, x: Tensor, axes: list[int] | None = None) -> Tensor:
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


def _unsqueezed(attributes: Attributes, x: Tensor, axes: list[int]) -> Tensor:
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _expanded(attributes: Attributes, x: Tensor, shape: list[int]) -> Tensor:
    return x.expand(torch.broadcast_shapes(x.shape, tuple(shape)))  # type: ignore[no-untyped-call]


def _filled(attributes: Attributes, shape: list[int]) -> Tensor:
    value = attributes.get("value", torch.zeros(1))
    return torch.full(shape, value.item(), dtype=value.dtype)


OPERATORS: dict[str, Operator] = {
    "Add": lambda a, x, y: x + y,
    "AveragePool": _average_pool,
    "BatchNormalization": _norm,
    "Cast": lambda a, x: x.to(DTYPES[a["to"]]),
    "Clip": _clipped,
    "Concat": lambda a, *x: torch.cat(x, a["axis"]),
    "Constant": lambda a: a["value"],
    "ConstantOfShape": _filled,
    "Conv": _convolution,
    "DequantizeLinear": _numbers,
    "Cos": lambda a, x: x.cos(),
    "CumSum": lambda a, x, axis: x.cumsum(axis),
    "DepthToSpace": _depth_to_space,
    "Div": _divided,
    "Erf": lambda a, x: x.erf(),
    "Exp": lambda a, x: x.exp(),
    "Expand": _expanded,
    "Flatten": lambda a, x: x.reshape(prod(x.shape[: a.get("axis", 1)]), -1),
    "Gather": _gathered,
    "Gemm": _matrices,
    "GlobalAveragePool": lambda a, x: x.mean((2, 3), keepdim=True),
    "LayerNormalization": _layer_norm,
    "MatMul": lambda a, x, y: x @ y,
    "MaxPool": _max_pool,
    "Min": lambda a, x, y: torch.minimum(x, y),
    "Mul": lambda a, x, y: x * y,
    "Not": lambda a, x: ~x,
    "Pow": lambda a, x, y: x**y,
    "ReduceL2": lambda a, x, axes=None: torch.linalg.vector_norm(x, 2, *_axes(a, x, axes)),
    "ReduceMean": lambda a, x, axes=None: x.mean(*_axes(a, x, axes)),
    "ReduceSum": lambda a, x, axes=None: x.sum(*_axes(a, x, axes)),
    "Relu": lambda a, x: x.relu(),
    "Reshape": _reshaped,
    "Resize": _resized,
    "Shape": lambda a, x: torch.tensor(list(x.shape)[a.get("start", 0) : a.get("end")]),
    "Sigmoid": lambda a, x: x.sigmoid(),
    "Sin": lambda a, x: x.sin(),
    "Slice": _sliced,
    "Softmax": lambda a, x: x.softmax(a.get("axis", -1)),
    "Split": lambda a, x, sizes: x.split(sizes, a.get("axis", 0)),
    "Sqrt": lambda a, x: x.sqrt(),
    "Squeeze": _squeezed,
    "Sub": lambda a, x, y: x - y,
    "Transpose": lambda a, x: x.permute(a["perm"]),
    "Unsqueeze": _unsqueezed,
}
"""The operators: attributes and inputs -> the output, or a tuple of several."""
