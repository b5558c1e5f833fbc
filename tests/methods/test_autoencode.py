"""The method ``autoencode``, with networks whose code is a thumbnail, so that what is drawn can be foretold."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import onnx
import pytest
import skimage.data
from onnx import TensorProto, helper, numpy_helper

from incog import points
from incog.code_tables import ANY, VARIANTS, Codes, kind_of
from incog.data.faces import template
from incog.errors import ModelError, UsageError
from incog.keys import Secret, track_key
from incog.methods import autoencode, settle
from incog.methods.autoencode import Autoencode, Coder
from incog.methods.parameters import parse
from incog.types import Crops, Floats, Key

SIDE, CELLS = 32, 4
LENGTH = 3 * CELLS**2
TONES = ((0.8, 0.6, 0.5), (0.4, 0.3, 0.25), (0.6, 0.6, 0.6))


def network(
    nodes: list[onnx.NodeProto], given: list[object], made: list[object], **values: np.ndarray
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "thumbnail",
        [helper.make_tensor_value_info("given", TensorProto.FLOAT, given)],
        [helper.make_tensor_value_info("made", TensorProto.FLOAT, made)],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def encoder() -> bytes:
    """Return a network whose code is the face's mean colours in 4 x 4 cells."""
    step = SIDE // CELLS
    nodes = [
        helper.make_node("Mul", ["given", "share"], ["scaled"]),
        helper.make_node(
            "AveragePool", ["scaled"], ["cells"], kernel_shape=[step, step], strides=[step, step]
        ),
        helper.make_node("Flatten", ["cells"], ["made"]),
    ]
    return network(nodes, ["B", 3, SIDE, SIDE], ["B", LENGTH], share=np.array(1 / 255, np.float32))


def decoder() -> bytes:
    """Return a network that enlarges a thumbnail."""
    nodes = [
        helper.make_node("Reshape", ["given", "shape"], ["cells"]),
        helper.make_node("Resize", ["cells", "", "zoom"], ["made"], mode="linear"),
    ]
    zoom = np.array([1, 1, SIDE / CELLS, SIDE / CELLS], np.float32)
    return network(
        nodes, ["B", LENGTH], ["B", 3, SIDE, SIDE], shape=np.array([-1, 3, CELLS, CELLS]), zoom=zoom
    )


def code_of(tone: tuple[float, float, float]) -> Floats:
    return np.repeat(np.array(tone, np.float32), CELLS**2)


def tables(sha: str) -> Codes:
    pattern = np.random.default_rng(0).normal(0, 0.1, (3, LENGTH)).astype(np.float32)
    directions, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(LENGTH, 5)))
    read, write = np.zeros((2, LENGTH), np.float32), np.zeros((LENGTH, 2), np.float32)
    read[0, 5] = read[1, 9] = write[5, 0] = write[9, 1] = 1
    return Codes(
        clusters=np.stack([code_of(tone) for tone in TONES]) + pattern,
        classes=np.stack([code_of(TONES[0]), code_of(TONES[1]), code_of(TONES[2])]),
        kinds=np.array([[1, ANY, ANY, ANY], [0, ANY, ANY, ANY], [ANY, ANY, ANY, ANY]]),
        donors=np.stack([code_of(tone) for tone in TONES]) - pattern,
        donor_kinds=np.array([[1, 1, ANY, ANY], [0, 1, ANY, ANY], [1, 2, ANY, ANY]]),
        read=read,
        write=write,
        directions=(0.2 * directions.T).astype(np.float32),
        least=7,
        encoder=sha,
        reach=0.0,
    )


@pytest.fixture(autouse=True)
def coder(monkeypatch: pytest.MonkeyPatch) -> Coder:
    data = encoder()
    made = Coder(data, decoder(), tables(hashlib.sha256(data).hexdigest()).dump())
    monkeypatch.setattr(autoencode, "shipped", lambda: made)
    return made


def key_of(track: int) -> Key:
    return track_key(Secret.from_seed(11), bytes(16), track)


def crops_of(size: int = 128, count: int = 1) -> Crops:
    """Return the astronaut's face, its hull in the middle, with its five points; others are darker."""
    picture = skimage.data.astronaut()[18:216, 126:324].astype(np.float32) / 255
    rows = np.linspace(0, 197, size).astype(int)
    face = picture[rows][:, rows]
    row, column = np.mgrid[:size, :size] / size
    distance = np.hypot((column - 0.49) / 0.3, (row - 0.48) / 0.36)
    mask = np.clip((1.15 - distance) / 0.1, 0, 1).astype(np.float32)
    eyes = np.array([[0.405, 0.42], [0.585, 0.42], [0.51, 0.53], [0.425, 0.62], [0.58, 0.62]], np.float32)
    return Crops(
        pixels=np.stack([face * 0.8**n for n in range(count)]).astype(np.float32),
        masks=np.repeat(mask[None], count, axis=0),
        matrices=np.repeat(np.eye(2, 3, dtype=np.float32)[None], count, axis=0),
        faces=np.full(count, size / 1.8, np.float32),
        points=np.repeat(eyes[None] * size, count, axis=0),
        frames=np.arange(count),
        dense=np.full((count, points.COUNT, 2), np.nan, np.float32),
    )


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", [64, 129])
def test_the_contract(variant: str, size: int) -> None:
    crops = crops_of(size, 3)
    arrays = {item.name: getattr(crops, item.name) for item in dataclasses.fields(crops)}
    before = {name: value.copy() for name, value in arrays.items() if value is not None}
    method = parse(Autoencode, {"variant": variant})
    keys = [key_of(track) for track in (2, 0, 1)]
    result = method(crops, keys)
    assert result.pixels.dtype == np.float32
    assert not result.unfit.any()
    assert np.isfinite(result.pixels).all()
    assert 0 <= result.pixels.min() <= result.pixels.max() <= 1
    outside = crops.masks == 0
    np.testing.assert_array_equal(result.pixels[outside], crops.pixels[outside])
    assert np.abs(result.pixels - crops.pixels)[crops.masks == 1].mean() > 0.02
    for field, value in before.items():
        np.testing.assert_array_equal(getattr(crops, field), value)
    for row in range(3):
        one = method(crops[row : row + 1], keys[row : row + 1]).pixels[0]
        np.testing.assert_array_equal(one, result.pixels[row])


def test_faces_without_usable_points_are_unfit() -> None:
    crops = crops_of(count=4)
    crops.points[0] = np.nan
    crops.points[1] = 40
    crops.points[2] = crops.points[2, [3, 0, 4, 1, 2]]
    result = Autoencode()(crops, [key_of(0)] * 4)
    assert result.unfit.tolist() == [True, True, True, False]
    np.testing.assert_array_equal(result.pixels[:3], crops.pixels[:3])
    with pytest.raises(ValueError, match="1 keys for 4 crops"):
        Autoencode()(crops, [key_of(0)])


def test_the_key_decides_for_repulsive_alone() -> None:
    crops = crops_of()
    for variant in VARIANTS:
        method = Autoencode(variant=variant)
        one, again, other = (method(crops, [key_of(track)]).pixels for track in (0, 0, 1))
        np.testing.assert_array_equal(one, again)
        assert np.array_equal(one, other) is not method.keyed
    assert Autoencode(variant="repulsive").keyed
    assert not Autoencode(variant="repulsive", alpha=0.0).keyed


def drawn(method: Autoencode, pixels: Floats) -> Floats:
    """Return the code of what is drawn for a face that fills the template."""
    five = template("outline", SIDE)
    face = method.drawn(pixels, five, np.eye(2, 3, dtype=np.float32), key_of(0))
    return autoencode.shipped().encode(face)


def test_codes_go_where_the_variants_say(coder: Coder) -> None:
    face = np.zeros((SIDE, SIDE, 3), np.float32) + np.array(TONES[0], np.float32) * 0.9
    own, turn = coder.encode(face), (5, 9)
    rest = np.delete(np.arange(LENGTH), turn)
    cluster = coder.codes.clusters[0]
    # Enlarged thumbnails overshoot nowhere, and their cells' means are a little smoother than they were.
    whole = coder.encode(coder.decode(cluster))
    found = drawn(Autoencode(variant="cluster-mean", pose=0), face)
    np.testing.assert_allclose(found, whole, atol=2e-3)
    turned = cluster.copy()
    turned[list(turn)] = own[list(turn)]
    found = drawn(Autoencode(variant="cluster-mean"), face)
    np.testing.assert_allclose(found, coder.encode(coder.decode(turned)), atol=2e-3)
    half = drawn(Autoencode(variant="cluster-mean", alpha=0.5, pose=0), face)
    np.testing.assert_allclose(half, coder.encode(coder.decode((own + cluster) / 2)), atol=2e-3)
    for settings in ({"variant": "reconstruct"}, {"alpha": 0.0}):
        found = drawn(Autoencode(**settings), face)  # type: ignore[arg-type]
        np.testing.assert_allclose(found[rest], own[rest], atol=2e-3)


def test_what_is_drawn_at_alpha_one_does_not_depend_on_the_face_but_its_class() -> None:
    rng = np.random.default_rng(4)
    base = np.zeros((SIDE, SIDE, 3), np.float32) + np.array(TONES[1], np.float32)
    faces = [np.clip(base + rng.normal(0, 0.05, base.shape), 0, 1).astype(np.float32) for _ in range(3)]
    five, eye = template("outline", SIDE), np.eye(2, 3, dtype=np.float32)
    for variant in ("cluster-mean", "attributes", "nearest"):
        method = parse(Autoencode, {"variant": variant, "pose": "0"})
        made = [method.drawn(face, five, eye, key_of(0)) for face in faces]
        np.testing.assert_array_equal(made[0], made[1])
        np.testing.assert_array_equal(made[0], made[2])


def test_codes_that_are_led_are_as_long_as_those_of_faces(coder: Coder) -> None:
    tables = dataclasses.replace(coder.codes, reach=20.0)
    code, kind = code_of(TONES[0]), np.array([1, 1, 0, 0])
    draws = np.ones(5, np.float32)
    led = tables.lead(code, "attributes", 1.0, kind, draws, pose=False)
    assert float(np.linalg.norm(led)) == pytest.approx(20, rel=1e-5)
    np.testing.assert_allclose(led / np.linalg.norm(led), code / np.linalg.norm(code), atol=1e-3)
    np.testing.assert_array_equal(tables.lead(code, "attributes", 0.0, kind, draws, pose=True), code)
    np.testing.assert_array_equal(tables.lead(code, "reconstruct", 1.0, kind, draws, pose=True), code)


def test_claims_follow_the_parameters() -> None:
    for variant in VARIANTS:
        for alpha in (0.0, 0.5, 1.0):
            for pose in (0, 1):
                method = Autoencode(variant=variant, alpha=alpha, pose=pose)
                first, *rest = method.claims(frames=25)
                assert first.holds is (variant in ("cluster-mean", "attributes", "nearest") and alpha == 1)
                assert "25 frames" in first.scope
                assert not any(claim.holds for claim in rest)
                assert first.statement.endswith(".")
                if first.holds:
                    assert first.value == 7
                    assert ("turn of the head" in first.statement) is bool(pose)
    assert "50% of" in Autoencode(alpha=0.5).claims()[0].statement


def test_parameters_are_checked() -> None:
    with pytest.raises(
        UsageError, match=r"autoencode: variant must be a word of reconstruct, .*, got 'mean'"
    ):
        parse(Autoencode, {"variant": "mean"})
    with pytest.raises(UsageError, match="autoencode: alpha must be a number from 0 to 1, got 2"):
        Autoencode(alpha=2)


def test_tables_of_another_network_or_none_are_refused() -> None:
    data = encoder()
    good = tables(hashlib.sha256(data).hexdigest()).dump()
    assert Codes.load(good, hashlib.sha256(data).hexdigest()).least == 7
    with pytest.raises(ModelError, match="belong to another network"):
        Coder(data, decoder(), tables("0" * 64).dump())
    for bad in (b"", good[: len(good) // 2], b"PK" + bytes(40)):
        with pytest.raises(ModelError, match="cannot be read"):
            Codes.load(bad, "")


def test_kinds_are_of_their_bands() -> None:
    ethnicity = np.array([0.1, 0.2, 0.5, 0.1, 0.1], np.float32)
    for age, band in ((3, 0), (13, 1), (39, 1), (40, 2), (75, 3)):
        np.testing.assert_array_equal(kind_of(age, 0.9, ethnicity, 0.2), [1, band, 2, 0])


# Tone and seam


def test_a_drawn_face_takes_tone_and_light() -> None:
    size = 96
    row, column = np.mgrid[:size, :size] / size - 0.5
    mask = (np.hypot(row, column) < 0.4).astype(np.float32)
    goal = np.array([0.7, 0.5, 0.4], np.float32) * (1 + 0.6 * column)[..., None]
    new = np.zeros((size, size, 3), np.float32) + np.array([0.4, 0.4, 0.4], np.float32)
    made = settle.toned(new, goal.astype(np.float32), mask, 60.0)
    inner = np.hypot(row, column) < 0.25
    np.testing.assert_allclose(made[inner], goal[inner], atol=0.04)


def test_the_seam_is_matched_and_the_middle_stays() -> None:
    size = 96
    row, column = np.mgrid[:size, :size] / size - 0.5
    mask = (np.hypot(row, column) < 0.4).astype(np.float32)
    old = np.zeros((size, size, 3), np.float32) + np.array([0.2, 0.3, 0.6], np.float32)
    old[:, 48:] += 0.2
    new = np.full((size, size, 3), 0.5, np.float32)
    made = settle.unseamed(new, old, mask, 70.0)
    edge = (mask > 0) & (np.hypot(row, column) > 0.385) & (np.abs(column) > 0.1)
    assert np.abs(made - old)[edge].mean() < 0.03
    np.testing.assert_allclose(made[44:52, 44:52], 0.5, atol=0.03)
    np.testing.assert_array_equal(settle.unseamed(new, old, np.ones_like(mask), 70.0), new)
