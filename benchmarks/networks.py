"""How quick the shipped networks are, and what fewer bits and OpenVINO would do to them.

Run: python benchmarks/networks.py [--rounds 5]. Each round times every variant once, in turn, so that a busy moment of
the machine falls on all of them; the table shows the median. OpenVINO is timed where it is installed, in full precision
and in bfloat16, which it takes by itself on processors that have it.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime import quantization

import common
from incog.models import RECORDS, Card, cards, load
from incog.runtime import session

Arrays = dict[str, np.ndarray[Any, Any]]
"""The inputs of a network by name, (B, ...) float32 each."""

Call = Callable[[Arrays], list[np.ndarray[Any, Any]]]


def inputs(card: Card, batch: int) -> Arrays:
    """Return smooth random planes, and random codes, of the network's input shapes and ranges."""
    import cv2

    model = onnx.load_from_string(load(RECORDS[card.name]))
    random, found = np.random.default_rng(0), Arrays()
    for item in model.graph.input:
        dims = [dim.dim_value for dim in item.type.tensor_type.shape.dim][1:]
        if len(dims) == 1:
            values = random.normal(size=(batch, *dims))
        else:
            channels, height, width = dims[0], dims[1] or 384, dims[2] or 640
            coarse = random.uniform(0, 255, (batch, height // 8 + 1, width // 8 + 1, channels))
            values = np.stack([cv2.resize(item.astype(np.float32), (width, height)) for item in coarse])
            values = values.transpose(0, 3, 1, 2)
            if "(x / 255 - 0.5) / 0.5" in card.layout:
                values = values / 127.5 - 1
            elif "0..255" not in card.layout:
                values = values / 255
        found[item.name] = np.ascontiguousarray(values, np.float32)
    return found


def runtime(data: bytes, threads: int) -> Call:
    """Return the network under ONNX Runtime."""
    made = session(data, threads=threads)
    return lambda batch: made.run(None, batch)


def openvino(data: bytes, threads: int, precision: str) -> Call:
    """Return the network under OpenVINO. precision: ``f32`` or ``bf16``."""
    import openvino as ov

    core = ov.Core()
    model = core.compile_model(
        core.read_model(data),
        "CPU",
        {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision},
    )
    return lambda batch: [np.asarray(value) for value in model(batch).values()]


def eight_bits(data: bytes, samples: Arrays) -> bytes | None:
    """Return the network with weights and activations in eight bits, ranges taken from the samples; None where ONNX
    Runtime's quantisation does not take it."""

    class Samples(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            count = len(next(iter(samples.values())))
            self._rows = iter(
                [{name: rows[n : n + 1] for name, rows in samples.items()} for n in range(count)]
            )

        def get_next(self) -> dict[str, Any] | None:
            return next(self._rows, None)

    with tempfile.TemporaryDirectory() as folder:
        full, small = Path(folder, "full.onnx"), Path(folder, "small.onnx")
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(full)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        onnxruntime.InferenceSession(plain(data), options, providers=["CPUExecutionProvider"])
        try:
            quantization.quantize_static(
                str(full),
                str(small),
                Samples(),
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
            )
        except ValueError as error:
            print(f"not quantised: {error}")
            return None
        return small.read_bytes()


def plain(data: bytes) -> bytes:
    """Return the network with weights that are stored in 8 bits as the numbers that they stand for."""
    model = onnx.load_from_string(data)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in [node for node in model.graph.node if node.op_type == "DequantizeLinear"]:
        steps, factors = (onnx.numpy_helper.to_array(stored[name]) for name in node.input)
        axis = next(item.i for item in node.attribute if item.name == "axis")
        shape = [-1 if place == axis else 1 for place in range(steps.ndim)]
        weights = steps.astype(np.float32) * factors.reshape(shape)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weights, node.output[0]))
        model.graph.node.remove(node)
    return bytes(model.SerializeToString())


def alike(first: list[np.ndarray[Any, Any]], second: list[np.ndarray[Any, Any]]) -> float:
    """Return the mean cosine of two networks' outputs, over the items of the batch."""
    a, b = (np.concatenate([part.reshape(len(part), -1) for part in parts], 1) for parts in (first, second))
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(1) / np.maximum(norms, 1e-12)).mean())


def milliseconds(call: Call, batch: Arrays) -> float:
    """Return the time of a batch of one, over at least a fifth of a second."""
    call(batch)
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < 0.2:
        call(batch)
        count += 1
    return (time.perf_counter() - began) / count * 1e3


def measure(card: Card, rounds: int) -> dict[str, Any]:
    """Return the figures of one network."""
    data = load(RECORDS[card.name])
    one, samples = inputs(card, 1), inputs(card, 16)
    calls: dict[str, Call] = {f"onnxruntime, {n} thread(s)": runtime(data, n) for n in (1, 2)}
    full = runtime(data, 2)(samples)
    cosines: dict[str, float] = {}
    small = eight_bits(data, samples)
    if small is not None:
        calls["int8, 2 thread(s)"] = runtime(small, 2)
        cosines["int8"] = alike(full, calls["int8, 2 thread(s)"](samples))
    if importlib.util.find_spec("openvino"):
        for name, precision in (("openvino", "f32"), ("openvino bf16", "bf16")):
            calls |= {f"{name}, {n} thread(s)": openvino(data, n, precision) for n in (1, 2)}
        cosines["bf16"] = alike(full, calls["openvino bf16, 2 thread(s)"](samples))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(milliseconds(call, one))
    return {
        "network": card.name,
        "input": [list(values.shape) for values in one.values()],
        "milliseconds": {name: round(statistics.median(values), 3) for name, values in times.items()},
        "cosines": {name: round(value, 5) for name, value in cosines.items()},
        "bytes": len(data),
        "int8_bytes": None if small is None else len(small),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    networks = [card for card in cards().values() if ".onnx" in card.file]
    results = [measure(card, arguments.rounds) for card in networks]
    common.save(
        common.RESULTS / "networks.json", {**common.record(), "rounds": arguments.rounds, "results": results}
    )
    for result in results:
        print(result["network"], result["milliseconds"], result["cosines"])


if __name__ == "__main__":
    main()
