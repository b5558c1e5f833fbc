"""ONNX files run by PyTorch give what ONNX Runtime gives, and a gradient."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from incog import models
from incog.errors import InputError
from incog.train.graph import Graph

WEIGHTS = Path(__file__).resolve().parents[3] / "shared" / "weights"


def assert_same(data: bytes, values: torch.Tensor) -> None:
    """The graph's outputs are ONNX Runtime's, and the gradient of the input is finite and not zero."""
    graph = Graph(data)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    for batch in (values, values[:1], values):
        found = graph(batch)
        expected = session.run(None, {session.get_inputs()[0].name: batch.numpy()})
        assert graph.names == tuple(item.name for item in session.get_outputs())
        for mine, theirs in zip(found, expected, strict=True):
            assert np.abs(mine.numpy() - theirs).max() <= 1e-4 * max(1, np.abs(theirs).max())
    seen = values.clone().requires_grad_(True)
    # A unit vector's own length has no gradient: take the parts.
    torch.stack(
        [item.float()[(slice(None), *[0] * (item.ndim - 1))].sum() for item in graph(seen)]
    ).sum().backward()
    assert seen.grad is not None
    assert seen.grad.isfinite().all()
    assert (seen.grad.abs() > 0).float().mean() > 0.5


@pytest.mark.parametrize(("name", "scale"), [("embedder", 2.0), ("landmarks", 255.0), ("attributes", 255.0)])
def test_our_networks_give_what_onnx_runtime_gives(name: str, scale: float) -> None:
    values = torch.rand(3, 3, 112, 112, generator=torch.Generator().manual_seed(1)) * scale
    assert_same(models.own(name), values - 1 if name == "embedder" else values)


@pytest.mark.parametrize("name", ["edgeface_xxs", "edgeface_xs"])
def test_edgeface_gives_what_onnx_runtime_gives(name: str) -> None:
    path = WEIGHTS / f"{name}.onnx"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    values = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(2)) * 2 - 1
    assert_same(path.read_bytes(), values)


def test_half_precision_is_left_to_autocast() -> None:
    graph = Graph(models.own("embedder"))
    values = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(3)) * 2 - 1
    with torch.autocast("cpu", torch.bfloat16):
        (coarse,) = graph(values)
    (exact,) = graph(values)
    assert (coarse.float() * exact).sum(1).min() > 0.995


def test_nothing_of_a_graph_is_learnt_or_kept() -> None:
    graph = Graph(models.own("embedder"))
    assert not list(graph.parameters())
    assert not graph.state_dict()
    assert sum(item.numel() for item in graph.buffers()) > 1e6


def file(*nodes: onnx.NodeProto) -> bytes:
    """A graph from x (B, 4) to y."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy")
    return helper.make_model(helper.make_graph(list(nodes), "g", [x], [y])).SerializeToString()


def test_what_is_not_known_is_said() -> None:
    with pytest.raises(InputError, match="Det, which is not known") as caught:
        Graph(file(helper.make_node("Det", ["x"], ["y"])))
    assert "Conv" in caught.value.hint
    with pytest.raises(InputError, match="not an ONNX file"):
        Graph(b"\x00nothing")
    with pytest.raises(InputError, match="must not depend on pixels"):
        Graph(file(helper.make_node("Pow", ["x", "x"], ["y"])))(torch.rand(1, 4))


def test_shapes_are_worked_out_for_each_batch() -> None:
    graph = Graph(
        file(
            helper.make_node("Shape", ["x"], ["shape"], end=1),
            helper.make_node(
                "Constant", [], ["rest"], value=helper.make_tensor("r", TensorProto.INT64, [2], [2, 2])
            ),
            helper.make_node("Concat", ["shape", "rest"], ["goal"], axis=0),
            helper.make_node("Reshape", ["x", "goal"], ["y"]),
        )
    )
    for count in (1, 5):
        assert graph(torch.rand(count, 4))[0].shape == (count, 2, 2)
