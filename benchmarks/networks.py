"""How quick the shipped networks are, and what eight-bit weights and OpenVINO would do to them.

Run: python benchmarks/networks.py [--rounds 5]. Each round times every variant once, in turn, so that a busy moment of
the machine falls on all of them; the table shows the median. OpenVINO is timed where it is installed.
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

Call = Callable[[np.ndarray[Any, Any]], list[np.ndarray[Any, Any]]]


def faces(card: Card, batch: int) -> np.ndarray[Any, Any]:
    """Return smooth random pictures of the network's input shape and range: (batch, C, H, W) float32."""
    import cv2

    model = onnx.load_from_string(load(RECORDS[card.name]))
    dims = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    channels, height, width = dims[1], dims[2] or 384, dims[3] or 640
    coarse = np.random.default_rng(0).uniform(0, 255, (batch, height // 8 + 1, width // 8 + 1, channels))
    pictures = [cv2.resize(item.astype(np.float32), (width, height)).transpose(2, 0, 1) for item in coarse]
    values = np.ascontiguousarray(np.stack(pictures))
    return values / 127.5 - 1 if "(x / 255 - 0.5) / 0.5" in card.layout else values


def runtime(data: bytes, threads: int) -> Call:
    """Return the network under ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda batch: session.run(None, {name: batch})


def openvino(data: bytes, threads: int) -> Call:
    """Return the network under OpenVINO."""
    import openvino as ov

    core = ov.Core()
    model = core.compile_model(core.read_model(data), "CPU", {"INFERENCE_NUM_THREADS": threads})
    return lambda batch: [np.asarray(value) for value in model(batch).values()]


def eight_bits(data: bytes, samples: np.ndarray[Any, Any]) -> bytes:
    """Return the network with weights and activations in eight bits, ranges taken from the samples."""

    class Samples(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            self._rows = iter([{name: row[None]} for row in samples])

        def get_next(self) -> dict[str, Any] | None:
            return next(self._rows, None)

    with tempfile.TemporaryDirectory() as folder:
        full, small = Path(folder, "full.onnx"), Path(folder, "small.onnx")
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(full)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        name = onnx.load(str(full)).graph.input[0].name
        quantization.quantize_static(
            str(full),
            str(small),
            Samples(name),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
        )
        return small.read_bytes()


def alike(first: list[np.ndarray[Any, Any]], second: list[np.ndarray[Any, Any]]) -> float:
    """Return the mean cosine of two networks' outputs, over the items of the batch."""
    a, b = (np.concatenate([part.reshape(len(part), -1) for part in parts], 1) for parts in (first, second))
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(1) / np.maximum(norms, 1e-12)).mean())


def milliseconds(call: Call, batch: np.ndarray[Any, Any]) -> float:
    """Return the time per item, over at least a fifth of a second."""
    call(batch)
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < 0.2:
        call(batch)
        count += 1
    return (time.perf_counter() - began) / count / len(batch) * 1e3


def measure(card: Card, rounds: int) -> dict[str, Any]:
    """Return the figures of one network."""
    data = load(RECORDS[card.name])
    one, samples = faces(card, 1), faces(card, 16)
    calls: dict[str, Call] = {f"onnxruntime, {n} thread(s)": runtime(data, n) for n in (1, 2)}
    small = eight_bits(data, samples)
    calls["int8, 2 thread(s)"] = runtime(small, 2)
    if importlib.util.find_spec("openvino"):
        calls |= {f"openvino, {n} thread(s)": openvino(data, n) for n in (1, 2)}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(milliseconds(call, one))
    return {
        "network": card.name,
        "input": list(one.shape),
        "milliseconds": {name: round(statistics.median(values), 3) for name, values in times.items()},
        "int8_cosine": round(alike(runtime(data, 2)(samples), runtime(small, 2)(samples)), 5),
        "bytes": len(data),
        "int8_bytes": len(small),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    results = [measure(card, arguments.rounds) for card in cards().values()]
    common.save(
        common.RESULTS / "networks.json", {**common.record(), "rounds": arguments.rounds, "results": results}
    )
    for result in results:
        print(result["network"], result["milliseconds"], "int8 cosine", result["int8_cosine"])


if __name__ == "__main__":
    main()
