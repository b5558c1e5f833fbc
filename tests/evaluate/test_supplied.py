"""Networks that users bring: LPIPS by hand and by another formula, FID and KID by SciPy, and what does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from scipy import linalg

from incog.errors import InputError, ModelError, UsageError
from incog.evaluate import supplied
from incog.evaluate.samples import Item
from incog.evaluate.supplied import SCALE, SHIFT, Inception, Lpips, backbone_distance, figures, warning
from incog.types import Bytes

Values = npt.NDArray[np.float32]
Shape = Sequence[int | str]
OPEN: Shape = ("b", 3, "h", "w")


def network(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, Shape],
    outputs: Sequence[str],
    constants: dict[str, npt.NDArray[Any]] | None = None,
    kind: int = TensorProto.FLOAT,
) -> Path:
    graph = helper.make_graph(
        nodes,
        "drawn",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def squared(path: Path, *, shape: Shape = OPEN, keepdims: int = 1, last: str = "Identity") -> Path:
    """Write a network of two pictures that gives the mean squared difference of -1..1, (B, 1, 1, 1) or (B,)."""
    nodes = [
        helper.make_node("Sub", ["before", "after"], ["apart"]),
        helper.make_node("Mul", ["apart", "apart"], ["square"]),
        helper.make_node("ReduceMean", ["square"], ["mean"], axes=[1, 2, 3], keepdims=keepdims),
        helper.make_node(last, ["mean"], ["distance"]),
    ]
    return network(path, nodes, {"before": shape, "after": shape}, ["distance"])


KERNELS = [
    np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32),
    np.random.default_rng(1).normal(size=(5, 4, 3, 3)).astype(np.float32),
]
WEIGHTS = {"low": np.array([0.1, 0, 2, 0.5], np.float32), "high": np.array([1, 0.3, 0, 0.2, 4], np.float32)}


def backbone(folder: Path, weights: dict[str, npt.NDArray[Any]] | None = None) -> tuple[Path, Path]:
    """Write a network of two convolutions whose results are its outputs, and its weights."""
    nodes = [
        helper.make_node("Conv", ["picture", "one"], ["first"], strides=[2, 2]),
        helper.make_node("Relu", ["first"], ["low"]),
        helper.make_node("Conv", ["low", "two"], ["high"], strides=[3, 3]),
    ]
    path = network(
        folder / "backbone.onnx",
        nodes,
        {"picture": OPEN},
        ["low", "high"],
        {"one": KERNELS[0], "two": KERNELS[1]},
    )
    np.savez(folder / "weights.npz", **(WEIGHTS if weights is None else weights))
    return path, folder / "weights.npz"


def convolved(values: Values, kernel: Values, stride: int) -> npt.NDArray[np.float64]:
    """Return the convolution (C, h, w) of (3, H, W) by loops over places."""
    size = kernel.shape[2]
    rows, columns = ((side - size) // stride + 1 for side in values.shape[1:])
    found = np.zeros((len(kernel), rows, columns))
    for y in range(rows):
        for x in range(columns):
            part = values[:, y * stride : y * stride + size, x * stride : x * stride + size]
            found[:, y, x] = np.tensordot(kernel.astype(np.float64), part, 3)
    return found


def pooling(
    path: Path, side: int = 299, *, width: int = 2048, batch: int | str = "b", flat: bool = True
) -> Path:
    """Write a network that gives each channel's mean, mixed to ``width`` numbers, (B, width) or (B, width, 1, 1)."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["in"], ["means"]),
        helper.make_node("Conv", ["means", "mix"], ["mixed"]),
        helper.make_node("Flatten" if flat else "Identity", ["mixed"], ["out"]),
    ]
    mix = np.random.default_rng(3).normal(size=(width, 3, 1, 1)).astype(np.float32)
    return network(path, nodes, {"in": (batch, 3, side, side)}, ["out"], {"mix": mix})


def picture(seed: int, height: int = 80, width: int = 70) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def items(count: int) -> list[Item]:
    points = np.zeros((5, 2), np.float32)
    return [Item(f"x/{n}", f"person {n // 2}", picture(n), [], points, points) for n in range(count)]


# LPIPS


@pytest.mark.parametrize("keepdims", [0, 1])
def test_a_network_of_two_pictures_is_fed_values_about_zero(keepdims: int, tmp_path: Path) -> None:
    measure = Lpips(squared(tmp_path / "net.onnx", keepdims=keepdims))
    before, after = picture(1), picture(2)
    expected = np.square((before.astype(float) - after) / 127.5).mean()
    assert measure(before, after) == pytest.approx(expected, rel=1e-5)
    assert measure(before, before) == 0
    assert len(measure.sha256) == 64
    assert measure(np.zeros_like(before), np.full_like(before, 255)) == pytest.approx(4)


def test_large_pictures_are_taken_smaller_and_fixed_sizes_kept(tmp_path: Path) -> None:
    stripes = np.zeros((1024, 64, 3), np.uint8)
    stripes[::2] = 255
    grey = np.full_like(stripes, 128)
    # Pairs of lines are averaged: nothing of the stripes is left.
    assert Lpips(squared(tmp_path / "open.onnx"))(stripes, grey) < 1e-4
    assert Lpips(squared(tmp_path / "open.onnx"))(stripes[:512], grey[:512]) > 0.9
    fixed = Lpips(squared(tmp_path / "fixed.onnx", shape=(1, 3, 32, 64)))
    assert fixed(stripes[:64], grey[:64]) < 1e-4
    assert fixed(grey, grey // 2) == pytest.approx((64 / 127.5) ** 2, rel=1e-4)


def test_a_backbone_is_measured_as_by_the_formula(tmp_path: Path) -> None:
    before, after = picture(1, 64, 67), picture(2, 64, 67)
    expected = 0.0
    features = []
    for one in (before, after):
        values = ((one.astype(np.float32) / 127.5 - 1 - SHIFT) / SCALE).transpose(2, 0, 1)
        low = np.maximum(convolved(values, KERNELS[0], 2), 0)
        features.append((low, convolved(low, KERNELS[1], 3)))
    for layer, weights in enumerate(WEIGHTS.values()):
        f, g = (one[layer].reshape(len(weights), -1) for one in features)
        f, g = (one / np.maximum(np.linalg.norm(one, axis=0), 1e-9) for one in (f, g))
        expected += float(np.mean(weights @ (f - g) ** 2))
    path, weights_place = backbone(tmp_path)
    measure = Lpips(path, weights=weights_place)
    assert expected > 0.1
    assert measure(before, after) == pytest.approx(expected, rel=1e-4)
    assert measure(before, before) == 0


def test_the_formula_by_hand() -> None:
    """Directions (1, 0) and (0, 1): their difference squared is (1, 1); lengths do not count, places are averaged."""
    f = np.array([3, 0], np.float32).reshape(1, 2, 1, 1)
    g = np.array([0, 7], np.float32).reshape(1, 2, 1, 1)
    weights = np.array([0.25, 0.5], np.float32)
    assert backbone_distance([f], [g], [weights]) == pytest.approx(0.75)
    assert backbone_distance([f, f], [g, 9 * f], [weights, weights]) == pytest.approx(0.75)
    wide = [np.concatenate([f, f], 3)], [np.concatenate([g, 2 * f], 3)]
    assert backbone_distance(*wide, [weights]) == pytest.approx(0.375)


@pytest.mark.parametrize(
    ("nodes", "inputs", "said"),
    [
        ([("Identity", ["a"])], {"a": OPEN}, r"must take 2 x \(B, 3, H, W\) float32, B open or 1, got"),
        ([("Sub", ["a", "b"])], {"a": OPEN, "b": (1, 1, 9, 9)}, "must take 2 x"),
        ([("Sub", ["a", "b"])], {"a": (4, 3, 9, 9), "b": (4, 3, 9, 9)}, "must take 2 x"),
        ([("MatMul", ["a", "b"])], {"a": (1, 3, 8, 9), "b": (1, 3, 9, 9)}, "must take 2 x"),
        ([("Sub", ["a", "b"])], {"a": ("n",), "b": ("n",)}, "must take 2 x"),
        ([("Sub", ["a", "b"])], {"a": OPEN, "b": OPEN}, r"must give one finite number .* \(1, 3, 96, 96\)"),
        ([("MatMul", ["a", "b"])], {"a": (1, 3, "h", 50), "b": (1, 3, 50, 9)}, "must take 2 x"),
        ([("MatMul", ["a", "b"])], {"a": OPEN, "b": ("b", 3, "h", "w")}, "must give one finite number"),
    ],
)
def test_other_networks_are_no_lpips(
    nodes: list[tuple[str, list[str]]], inputs: dict[str, Shape], said: str, tmp_path: Path
) -> None:
    made = [helper.make_node(kind, names, ["out"]) for kind, names in nodes]
    path = network(tmp_path / "net.onnx", made, inputs, ["out"])
    with pytest.raises(ModelError, match=f"the LPIPS network net.onnx {said}"):
        Lpips(path)


def test_a_distance_must_be_one(tmp_path: Path) -> None:
    """Zero for equal pictures, finite, and not zero for all: an export that was shown one tensor twice is."""
    with pytest.raises(ModelError, match="must give 0 for a picture and itself, got 1"):
        Lpips(squared(tmp_path / "net.onnx", last="Exp"))
    with pytest.raises(ModelError, match=r"must give one finite number .* not all finite"):
        Lpips(squared(tmp_path / "net.onnx", last="Log"))
    nodes = [
        helper.make_node("Sub", ["before", "before"], ["nothing"]),
        helper.make_node("ReduceMean", ["nothing"], ["out"], axes=[1, 2, 3]),
    ]
    with pytest.raises(ModelError, match="must tell two pictures apart, got 0"):
        Lpips(network(tmp_path / "net.onnx", nodes, {"before": OPEN, "after": OPEN}, ["out"]))


def test_files_that_are_no_networks_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"the LPIPS network none\.onnx cannot be read"):
        Lpips(tmp_path / "none.onnx")
    (tmp_path / "net.onnx").write_bytes(b"no network")
    for make in (Lpips, Inception):
        with pytest.raises(ModelError, match=r"network net\.onnx cannot be loaded"):
            make(tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"low": WEIGHTS["low"]}, "the weights weights.npz must be of the outputs low, high, got low"),
        ({**WEIGHTS, "high": WEIGHTS["low"]}, r"must give finite features \(1, 4, h, w\), got \(1, 5, "),
        (
            {**WEIGHTS, "high": -WEIGHTS["high"]},
            "the weights high in weights.npz must be finite and at least 0",
        ),
        ({**WEIGHTS, "low": WEIGHTS["low"] * np.nan}, "the weights low in weights.npz must be finite"),
    ],
)
def test_weights_must_fit(weights: dict[str, Values], said: str, tmp_path: Path) -> None:
    path, place = backbone(tmp_path, weights)
    with pytest.raises(ModelError, match=said):
        Lpips(path, weights=place)
    place.write_bytes(b"no weights")
    with pytest.raises(ModelError, match=r"the weights weights\.npz cannot be read"):
        Lpips(path, weights=place)


def test_pictures_must_be_of_one_shape(tmp_path: Path) -> None:
    measure = Lpips(squared(tmp_path / "net.onnx"))
    with pytest.raises(ValueError, match="pictures must be of one shape"):
        measure(picture(1), picture(1)[1:])


# Inception


@pytest.mark.parametrize(("batch", "flat"), [("b", True), (1, True), ("b", False)])
def test_features_are_those_of_resized_pictures(batch: int | str, flat: bool, tmp_path: Path) -> None:
    find = Inception(pooling(tmp_path / "net.onnx", batch=batch, flat=flat))
    plain = [np.full((50 + n, 40, 3), 10 * n, np.uint8) for n in range(18)]
    found = find(plain)
    assert found.shape == (18, 2048)
    assert found.dtype == np.float32
    mix = np.random.default_rng(3).normal(size=(2048, 3)).astype(np.float32)
    expected = np.array([10 * n / 127.5 - 1 for n in range(18)])[:, None] * mix.sum(1)
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert find([]).shape == (0, 2048)


def test_settings_say_what_goes_in(tmp_path: Path) -> None:
    path = pooling(tmp_path / "net.onnx", side=64)
    with pytest.raises(ModelError, match=r"must take \(B, 3, 299, 299\) float32, B open or 1, got"):
        Inception(path)
    beside = tmp_path / "net.toml"
    beside.write_text('size = 64\nchannels = "bgr"\nmean = 0\nscale = [1, 2, 4]\nnote = "drawn"')
    find = Inception(path)
    assert find.note == "drawn"
    mix = np.random.default_rng(3).normal(size=(2048, 3)).astype(np.float32)
    colour = np.array([10, 20, 30], np.uint8)
    expected = mix @ np.array([30 / 1, 20 / 2, 10 / 4])
    np.testing.assert_allclose(find([np.tile(colour, (64, 64, 1))])[0], expected, rtol=1e-4, atol=1e-4)
    beside.write_text("flip = true")
    with pytest.raises(UsageError, match=r"net\.toml says 'flip'") as caught:
        Inception(path)
    assert "size, channels, mean, scale, note" in caught.value.hint
    beside.write_text("size =")
    with pytest.raises(InputError, match="are not TOML"):
        Inception(path)


def test_another_width_is_not_inception(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"must give finite features \(2, 2048\), got \(2, 1008\)"):
        Inception(pooling(tmp_path / "net.onnx", width=1008))
    nodes = [helper.make_node("Flatten", ["in"], ["out"])]
    for shape in ((1, 3, 299, 299), ("b", 1, 299, 299)):
        with pytest.raises(ModelError, match=r"the Inception network net\.onnx must"):
            Inception(network(tmp_path / "net.onnx", nodes, {"in": shape}, ["out"]))


# Figures


def test_figures_are_those_of_the_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supplied, "WIDTH", 3)
    some = items(24)
    after = [
        np.clip(one.picture.astype(int) // 2 + 7 * n, 0, 255).astype(np.uint8) for n, one in enumerate(some)
    ]
    measure, find = (
        Lpips(squared(tmp_path / "lpips.onnx")),
        Inception(pooling(tmp_path / "net.onnx", width=3)),
    )
    found = figures(some, after, lpips=measure, inception=find)
    apart = [
        np.square((one.picture.astype(float) - view) / 127.5).mean()
        for one, view in zip(some, after, strict=True)
    ]
    assert found["lpips"].value == pytest.approx(np.mean(apart), rel=1e-5)
    assert (found["lpips"].count, found["lpips"].people) == (24, 12)
    assert found["lpips"].low < found["lpips"].value < found["lpips"].high
    a, b = find([one.picture for one in some]).astype(float), find(after).astype(float)
    one, two = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.real(linalg.sqrtm(one @ two))
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(one + two - 2 * root)
    assert found["fid"].value == pytest.approx(expected, rel=1e-3)
    kernels = [(x @ y.T / 3 + 1) ** 3 for x, y in ((a, a), (b, b), (a, b))]
    within = [(k.sum() - np.trace(k)) / (24 * 23) for k in kernels[:2]]
    assert found["kid"].value == pytest.approx(1000 * (sum(within) - 2 * kernels[2].mean()), rel=1e-4)
    assert (found["fid"].count, found["kid"].count) == (24, 24)
    again = figures(some, after, inception=find, before=a.astype(np.float32))
    assert {name: one.value for name, one in again.items()} == {n: found[n].value for n in ("fid", "kid")}
    same = figures(some, [one.picture for one in some], lpips=measure, inception=find)
    assert same["lpips"].value == 0
    assert same["fid"].value == pytest.approx(0, abs=1e-5)


def test_only_what_can_be_measured_is_told(tmp_path: Path) -> None:
    some = items(3)
    assert figures(some, [one.picture for one in some]) == {}
    measure = Lpips(squared(tmp_path / "lpips.onnx"))
    small = [
        Item(one.name, one.person, one.picture[:63], [], one.points, one.hull) for one in some[:1]
    ] + some[1:]
    found = figures(small, [255 - one.picture for one in small], lpips=measure)
    assert found["lpips"].count == 2, "a picture below 64 px is left out"
    find = Inception(pooling(tmp_path / "net.onnx"))
    assert figures(some[:1], [some[0].picture], inception=find) == {}


def test_few_pictures_are_warned_of() -> None:
    assert warning(9_999) == (
        "FID and KID rest on 9,999 pictures. FID is too high for few: below 10,000 pictures compare it within this "
        "report only. KID is not biased so."
    )
    assert warning(10_000) == "FID and KID rest on 10,000 pictures."
