"""From a run to a file that ships: ONNX, compared with the network it was made from, and its card."""

from __future__ import annotations

import copy
import hashlib
import json
import lzma
import tomllib
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from incog.errors import InputError, TrainingError
from incog.models import Card
from incog.runtime import session
from incog.train.loop import Part, Several, Task, read_checkpoint
from incog.train.nets import operations, parameters
from incog.train.recipe import Recipe, build
from incog.types import Array, Floats

OPSET = 18
"""Of the operators: ONNX Runtime and OpenVINO both take it."""

TOLERANCE = 1e-3
"""Largest difference between the file and the network, relative to the output where that is above 1."""

Inputs = Tensor | Mapping[str, Tensor]
"""What a network takes: one tensor, or several by name, all of the same batch."""

_WORDS = ("about", "terms", "limits", "budget", "bits")
"""What a recipe may say otherwise than the run did: it does not change what was trained."""


@dataclass(frozen=True, slots=True)
class Exported:
    """The file's bytes, not yet compressed, its card, and the weights by name, to train on from: see
    ``incog.train.loop.Run.start``."""

    data: bytes
    card: Card
    weights: dict[str, Array]


def load_run(recipe: Recipe, run: Path, task: Task) -> tuple[nn.Module, dict[str, Any]]:
    """Return the averaged network of a run, on the CPU, and its checkpoint.

    Raises InputError when the run was not made by this recipe.
    """
    state = read_checkpoint(run)
    made = build(Recipe, tomllib.loads(state["recipe"]), where=f"the recipe in {run}")
    for item in fields(Recipe):
        if item.name not in _WORDS and getattr(made, item.name) != getattr(recipe, item.name):
            raise InputError(
                f"{run} was not made by this recipe: {item.name} was {getattr(made, item.name)!r}",
                hint="train it anew, or name the recipe that it was made by",
            )
    network = copy.deepcopy(task.modules["network"])
    network.load_state_dict(state["average"])
    return network.eval(), state


@torch.no_grad()
def export(recipe: Recipe, run: Path, task: Task) -> Exported:
    """Return the run's network as ONNX, with the figures measured on held-out data.

    Kernels and matrices are stored in half precision where that loses nothing, or in 8 bits where the recipe says so;
    the computation stays in single. What 8 bits lose is in the figures: they are of the rounded network.
    Raises TrainingError when the file and the network differ by more than ``TOLERANCE`` on random or real input.
    """
    network, state = load_run(recipe, run, task)
    weights = stored(network)
    rounded(network, recipe.bits)
    return _exported(recipe, recipe.name, state, task.measure(network), task, network, weights)


@torch.no_grad()
def export_all(recipe: Recipe, run: Path, task: Task) -> list[Exported]:
    """Return all files of a run that ship: the network, as ``export`` does, and what else a ``Several`` brings."""
    if not isinstance(task, Several):
        return [export(recipe, run, task)]
    network, state = load_run(recipe, run, task)
    weights = stored(network)
    rounded(network, recipe.bits)
    measured = task.measure(network)
    first = _exported(recipe, recipe.name, state, measured, task, network, weights)
    made = [first]
    for end, part in task.parts().items():
        made.append(_exported(recipe, f"{recipe.name}-{end}", state, measured, part, network, weights))
    for end, (data, words) in task.tables(network, first.card.sha256).items():
        name = f"{recipe.name}-{end}"
        card = replace(
            first.card, name=name, about=words, file=f"{name}.npz", sha256=hashlib.sha256(data).hexdigest(),
            layout="arrays by name, NPZ", outputs="", parameters=0, multiply_adds=0, export_difference=0.0,
        )  # fmt: skip
        made.append(Exported(data, card, {}))
    return made


def _exported(
    recipe: Recipe,
    name: str,
    state: Mapping[str, Any],
    measured: Mapping[str, float],
    task: Part,
    network: nn.Module,
    weights: dict[str, Array],
) -> Exported:
    shipped = task.shipped(network).eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    facts = task.card()
    input_name = facts.get("input_name", "input")
    real = {key: value.cpu().contiguous() for key, value in named(task.example(), input_name).items()}
    names = facts.get("output_names", ["output"])
    few = {key: value[:2] for key, value in real.items()}
    full = to_onnx(shipped, few, input_name, names, facts.get("dynamic", {0: "batch"}))
    noise = {
        key: value.min() + torch.rand_like(value) * (value.max() - value.min()) for key, value in real.items()
    }
    data, worst = full, float("inf")
    for data in (eighths(full),) if recipe.bits == 8 else (halved(full), full):
        worst = max(difference(data, shipped, batch) for batch in (real, noise))
        if worst <= TOLERANCE:
            break
    if not worst <= TOLERANCE:
        raise TrainingError(
            f"the exported file differs from the network by {worst:.2g}, more than {TOLERANCE:g}"
        )
    card = Card(
        name=name,
        about=facts.get("about", recipe.about),
        file=f"{name}.onnx.xz" if recipe.bits == 8 else f"{name}.onnx",
        sha256=hashlib.sha256(data).hexdigest(),
        layout=facts["inputs"],
        outputs=facts["outputs"],
        parameters=parameters(shipped),
        multiply_adds=operations(shipped, *(value[:1] for value in real.values())),
        data=facts["data"],
        terms=dict(recipe.terms),
        recipe=f"recipes/{recipe.name}.toml",
        seconds=round(state["elapsed"]),
        images=state["images"],
        hardware=state["hardware"],
        measured={name: round(value, 4) for name, value in measured.items()},
        export_difference=float(f"{worst:.2g}"),
        limits=list(recipe.limits),
    )
    return Exported(data, card, weights)


def stored(network: nn.Module) -> dict[str, Array]:
    """Return what a network has learnt by name, kernels and matrices in half precision."""
    values = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    return {name: (value.half() if value.ndim > 1 else value).numpy() for name, value in values.items()}


def write(exported: Exported, models: Path) -> tuple[Path, Path]:
    """Write NAME.onnx and NAME.card.json into the folder ``models`` and return their paths."""
    card = exported.card
    file, text = models / card.file, models / f"{card.name}.card.json"
    file.write_bytes(lzma.compress(exported.data) if file.suffix == ".xz" else exported.data)
    text.write_text(json.dumps(asdict(card), indent=2, ensure_ascii=False) + "\n", "utf-8")
    return file, text


def named(example: Inputs, name: str) -> dict[str, Tensor]:
    """Return inputs by name; a single one is called ``name``."""
    return {name: example} if isinstance(example, Tensor) else dict(example)


def to_onnx(
    module: nn.Module, example: Inputs, input_name: str, output_names: list[str], dynamic: Mapping[int, str]
) -> bytes:
    """Return a module as ONNX; ``dynamic`` names the axes that may have any length, of each input that has them.

    input_name: of the only input; several bring their names, in the order of the module's arguments.
    """
    inputs = named(example, input_name)
    axes = {axis: torch.export.Dim(name) if isinstance(name, str) else name for axis, name in dynamic.items()}
    shapes = tuple(
        {axis: length for axis, length in axes.items() if axis < value.ndim} for value in inputs.values()
    )
    with warnings.catch_warnings():
        # The exporter warns of its own use of names that its libraries have deprecated.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            tuple(inputs.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=output_names,
            dynamic_shapes=shapes,
            verbose=False,
        )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    graph = model.graph
    for item in (*graph.node, *graph.input, *graph.output, *graph.initializer, model, graph):
        del item.metadata_props[:]
        item.doc_string = ""
    del graph.value_info[:]
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def halved(data: bytes) -> bytes:
    """Return the model with kernels and matrices stored in half precision, and cast to single on loading."""
    model = onnx.load_from_string(data)
    graph, casts = model.graph, []
    for tensor in list(graph.initializer):
        if tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        name = f"{tensor.name}_half"
        half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), name)
        graph.initializer.remove(tensor)
        graph.initializer.append(half)
        casts.append(onnx.helper.make_node("Cast", [name], [tensor.name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def rounded(network: nn.Module, bits: int) -> None:
    """Round kernels and matrices, in place, to what 8 bits and a factor for each output channel hold; of 16 bits that
    is left to the file."""
    if bits != 8:
        return
    for value in network.parameters():
        if value.ndim > 1:
            steps, factors = _steps(value.detach().numpy(), 0)
            value.copy_(torch.from_numpy(steps * factors.reshape(-1, *[1] * (value.ndim - 1))))


def eighths(data: bytes) -> bytes:
    """Return the model with kernels and matrices stored in 8 bits and a factor for each output channel, and multiplied
    on loading. It loses nothing of a network that was ``rounded``."""
    model = onnx.load_from_string(data)
    graph, nodes = model.graph, []
    channels = {name: axis for node in graph.node for name, axis in _channels(node)}
    for tensor in list(graph.initializer):
        if tensor.data_type != onnx.TensorProto.FLOAT or tensor.name not in channels:
            continue
        axis, name = channels[tensor.name], tensor.name
        steps, factors = _steps(numpy_helper.to_array(tensor), axis)
        graph.initializer.remove(tensor)
        graph.initializer.append(numpy_helper.from_array(steps, f"{name}_steps"))
        graph.initializer.append(numpy_helper.from_array(factors, f"{name}_factors"))
        given = [f"{name}_steps", f"{name}_factors"]
        nodes.append(onnx.helper.make_node("DequantizeLinear", given, [name], axis=axis))
    nodes += graph.node
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _channels(node: onnx.NodeProto) -> list[tuple[str, int]]:
    """Return the name of a node's kernel or matrix and which axis has the output channels, if it has one."""
    if node.op_type == "Conv":
        return [(node.input[1], 0)]
    if node.op_type == "Gemm":
        turned = any(item.name == "transB" and item.i for item in node.attribute)
        return [(node.input[1], 0 if turned else 1)]
    return [(node.input[1], 1)] if node.op_type == "MatMul" else []


def _steps(weights: Floats, axis: int) -> tuple[npt.NDArray[np.int8], Floats]:
    """Return weights as whole numbers from -127 to 127, int8, and the factor of each channel of an axis, float32."""
    others = tuple(place for place in range(weights.ndim) if place != axis)
    most = np.abs(weights).max(others, keepdims=True)
    factors = np.where(most > 0, most / np.float32(127), np.float32(1)).astype(np.float32)
    return np.rint(weights / factors).astype(np.int8), factors.ravel()


def difference(data: bytes, module: nn.Module, batch: Inputs) -> float:
    """Return how far the file's outputs are from the module's at most, relative where they are above 1."""
    made = session(data)
    inputs = named(batch, made.get_inputs()[0].name)
    found = made.run(None, {key: value.numpy() for key, value in inputs.items()})
    expected = module(*inputs.values())
    expected = expected if isinstance(expected, tuple) else (expected,)
    worst = 0.0
    for mine, theirs in zip(found, expected, strict=True):
        goal = theirs.numpy()
        worst = max(worst, float((np.abs(mine - goal) / np.maximum(np.abs(goal), 1)).max()))
    return worst
