"""The embedder task: faces made for a teacher, what it tells of them, and a short run that learns who is who."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from PIL import Image  # noqa: E402

from incog.data.faces import Faces, template  # noqa: E402
from incog.errors import InputError  # noqa: E402
from incog.train import mixes  # noqa: E402
from incog.train.export import difference, to_onnx  # noqa: E402
from incog.train.loop import Batch, Run  # noqa: E402
from incog.train.recipe import Recipe  # noqa: E402
from incog.train.tasks.embedder import Embedder, Shipped  # noqa: E402
from incog.types import Bytes  # noqa: E402

CPU = torch.device("cpu")
STILL = np.full(6 + 2 * 5 * 5, 0.5, np.float32)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file: a map "inner" (B, 4, 7, 7) of colours, and an embedding (B, 8) of the means of it."""
    random = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array((random.normal(size=(4, 3, 16, 16)) / 256).astype(np.float32), "kernel"),
        numpy_helper.from_array(random.normal(size=(8, 4)).astype(np.float32), "matrix"),
    ]
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["inner"], strides=[16, 16]),
        helper.make_node("GlobalAveragePool", ["inner"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "matrix"], ["y"], transB=1),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 112, 112])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8])]
    graph = helper.make_graph(nodes, "teacher", inputs, outputs, weights)
    path = tmp_path_factory.mktemp("teacher") / "teacher.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def picture(person: int, number: int) -> Bytes:
    """Return (128, 128, 3): two colours of a person, with some noise of the picture."""
    colours = np.random.default_rng(person).integers(40, 216, (2, 3))
    canvas = np.repeat(np.repeat(colours[:, None], 64, 0).reshape(128, 1, 3), 128, 1)
    noise = np.random.default_rng([person, number]).normal(0, 6, canvas.shape)
    return np.asarray(np.clip(canvas + noise, 0, 255), np.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, teacher: Path) -> dict[str, Path]:
    """Sixty people, three pictures each."""
    path = tmp_path_factory.mktemp("data") / "people.zip"
    rows = [(f"{person}-{number}.png", person, number) for person in range(60) for number in range(3)]
    with zipfile.ZipFile(path, "w") as file:
        text = "".join(f"{name},person {person}\n" for name, person, _ in rows)
        file.writestr("labels.csv", "file,identity\n" + text)
        for name, person, number in rows:
            coded = io.BytesIO()
            Image.fromarray(picture(person, number)).save(coded, "PNG")
            file.writestr(name, coded.getvalue())
    np.savez(
        path.with_name("people-teacher.npz"),
        name=np.array([name for name, *_ in rows]),
        points=np.repeat(template("arcface", 128)[None], len(rows), 0),
        embedding=mixes.embed(teacher, np.stack([picture(*row[1:]) for row in rows])).astype(np.float16),
    )
    return {"people": path, "teacher": teacher}


def recipe(**options: object) -> Recipe:
    return Recipe(
        task="embedder",
        name="small",
        data=("people",),
        optional=("teacher",),
        batch=24,
        rate=4e-3,
        resolutions=((0.0, 64),),
        network={"widths": [8, 8, 16], "blocks": [1, 1, 1], "dimensions": 8},
        options={"mixes": 40, "hint": 0.5, "hints": ["inner"], **options},
    )


def faces_of(pixels: Bytes) -> Faces:
    none = [""] * len(pixels)
    return Faces(pixels, none, none, none, np.zeros((len(pixels), 5, 2), np.float32), {}, None)


# What the teacher is shown


def test_blends_lie_between_their_faces() -> None:
    one, two = np.full((64, 64, 3), 40, np.uint8), np.full((64, 64, 3), 200, np.uint8)
    assert np.array_equal(mixes.blend(one, two, np.array([0.1, 0.5], np.float32)), one)
    fade = mixes.blend(one, two, np.array([0.3, 0.5], np.float32))
    np.testing.assert_allclose(fade, 120)
    halves = mixes.blend(one, two, np.array([0.5, 0.5], np.float32))
    assert halves[0, 0, 0] == 40
    assert halves[-1, 0, 0] == 200


def test_an_inner_face_keeps_its_features_and_takes_the_heads_colours() -> None:
    random = np.random.default_rng(0)
    head, other = (random.integers(0, 256, (64, 64, 3)).astype(np.uint8) for _ in range(2))
    swapped = mixes.blend(head, other, np.array([0.9, 1.0], np.float32))
    np.testing.assert_array_equal(swapped[0], head[0])
    middle = slice(30, 40)
    change = swapped[middle, middle] - other[middle, middle]
    # Only a shift of each colour tells the two apart.
    assert np.ptp(change, axis=(0, 1)).max() < 1e-3


def test_a_view_without_pulls_is_the_face_and_a_mirrored_one_its_mirror_image() -> None:
    face = picture(3, 0)
    assert np.array_equal(mixes.view(face.astype(np.float32), STILL), face)
    mirrored = STILL.copy()
    mirrored[4] = 0.2
    np.testing.assert_array_equal(mixes.view(face.astype(np.float32), mirrored), face[:, ::-1])


def test_pulls_move_by_a_fiftieth_at_most() -> None:
    ramp = np.repeat(np.arange(128, dtype=np.float32)[None, :, None], 128, 0).repeat(3, 2)
    draws = np.random.default_rng(1).uniform(0, 1, len(STILL)).astype(np.float32)
    draws[:5], draws[5] = 0.5, 1
    moved = mixes.view(ramp, draws).astype(float) - ramp
    assert 1 < np.abs(moved[:, 8:-8]).max() < 0.03 * 128


def test_heads_are_told_from_pictures_cut_at_the_forehead() -> None:
    random = np.random.default_rng(0)
    head = cv2.resize(
        random.integers(0, 256, (12, 12, 3)).astype(np.uint8), (128, 128), interpolation=cv2.INTER_CUBIC
    )
    cut = head.copy()
    cut[:40] = cut[40]
    turn = cv2.getRotationMatrix2D((63.5, 63.5), 6, 1)
    turned = cv2.warpAffine(cut, turn, (128, 128), borderMode=cv2.BORDER_REPLICATE)
    whole = mixes.whole(np.stack([head, cut, turned]), np.array([0, 1, 2, 0]))
    assert whole.tolist() == [True, False, False, True]


# What it tells


def test_a_teacher_tells_what_is_inside_of_it(teacher: Path) -> None:
    pixels = np.stack([picture(person, 0) for person in range(5)])
    found, (inner,) = mixes.Teacher(teacher, hints=["inner"]).look(pixels)
    np.testing.assert_allclose(found, mixes.embed(teacher, pixels), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert inner.shape == (5, 4, 7, 7)
    matrix = numpy_helper.to_array(onnx.load(teacher).graph.initializer[1])
    told = inner.mean((2, 3)) @ matrix.T
    np.testing.assert_allclose(found, told / np.linalg.norm(told, axis=1, keepdims=True), atol=1e-5)


def test_a_tensor_that_a_teacher_lacks_is_named(teacher: Path) -> None:
    with pytest.raises(InputError, match="no tensor 'outer'"):
        mixes.Teacher(teacher, hints=["outer"])


def test_mixes_are_the_same_from_memory_and_from_the_cache(teacher: Path, tmp_path: Path) -> None:
    faces = faces_of(np.stack([picture(person, 0) for person in range(6)]))
    rows = np.arange(6, dtype=np.int64)

    def made(cache: Path | None, seed: int = 3) -> mixes.Mixes:
        return mixes.mixed(faces, rows, 70, seed=seed, teacher=teacher, hints=["inner"], cache=cache)

    first, kept, again = made(None), made(tmp_path), made(tmp_path)
    for other in (kept, again):
        assert np.array_equal(first.pixels, other.pixels)
        assert np.array_equal(first.embeddings, other.embeddings)
        assert np.array_equal(first.hints[0], other.hints[0])
    assert len({row.tobytes() for row in first.pixels}) == 70
    assert not np.array_equal(made(None, seed=4).pixels, first.pixels)
    np.testing.assert_allclose(first.embeddings, mixes.embed(teacher, np.array(first.pixels)), atol=1e-6)
    spread = first.hints[0].astype(float).std((0, 2, 3))
    assert ((spread > 0.3) & (spread < 3)).all()


def test_two_teachers_are_not_mixed(data: dict[str, Path], teacher: Path, tmp_path: Path) -> None:
    model = onnx.load(teacher)
    matrix = numpy_helper.to_array(model.graph.initializer[1])
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(-matrix[::-1].copy(), "matrix"))
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(InputError, match=r"embeddings are not those of other\.onnx"):
        Embedder(recipe(), {**data, "teacher": tmp_path / "other.onnx"}, CPU)


def test_mixes_need_their_teacher() -> None:
    with pytest.raises(InputError, match="need the teacher itself"):
        mixes.mixed(faces_of(np.zeros((1, 128, 128, 3), np.uint8)), np.array([0]), 3, seed=0, teacher=None)


# The task


def test_a_short_run_learns_the_teacher_and_its_inside(data: dict[str, Path], tmp_path: Path) -> None:
    torch.manual_seed(0)
    task = Embedder(recipe(), data, CPU)
    run = Run(recipe(), task, tmp_path, device=CPU)
    first = run.step()
    assert set(first) == {"distil", "hint", "identity"}
    for number in range(90):
        run.elapsed = run.recipe.budget * number / 90
        last = run.step()
    assert last["hint"] < 0.7 * first["hint"]
    assert last["distil"] < 0.5 * first["distil"]
    figures = task.measure(run.average)
    assert figures["accuracy"] > 0.7
    assert figures["cosine_to_teacher"] > 0.6


def test_mixes_are_shown_as_the_teacher_saw_them(
    data: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Embedder(recipe(), data, CPU)
    seen: list[torch.Tensor] = []

    def colour(images: torch.Tensor, draws: torch.Tensor, *, strength: float) -> torch.Tensor:
        seen.append(images.clone())
        return images

    monkeypatch.setattr("incog.train.tasks.embedder.augment.colour", colour)
    items = np.array([0, len(task.rows), len(task.rows) + 7], np.int64)
    task.losses(Batch(items, np.zeros(3, np.int64), 0.0, 112, 1, CPU))
    for row, extra in ((1, 0), (2, 7)):
        middle = task.pixels.take(np.array([len(task.faces) + extra]))[0, :, 8:120, 8:120]
        torch.testing.assert_close(seen[0][row], middle, atol=2e-3, rtol=0)
    plain = task.pixels.take(task.rows[:1])[0, :, 8:120, 8:120]
    assert (seen[0][0] - plain).abs().max() > 0.01


def test_what_ships_takes_a_face_and_its_mirror_image_for_one(data: dict[str, Path]) -> None:
    task = Embedder(recipe(mixes=0), data, CPU)
    shipped = task.shipped(task.modules["network"]).eval()
    example = task.example()
    with torch.no_grad():
        torch.testing.assert_close(shipped(example), shipped(example.flip(3)), atol=1e-5, rtol=0)
        torch.testing.assert_close(shipped(example)[:2], shipped(example[:2]), atol=1e-5, rtol=0)


def test_damping_shrinks_what_pictures_of_one_person_differ_by() -> None:
    random = np.random.default_rng(0)
    people = np.repeat(np.arange(60), 4)
    rows = random.normal(size=(60, 6))[people] + random.normal(size=(240, 6)) * [2, 1, 0.1, 0.1, 0.1, 0.1]
    shipped = Shipped(torch.nn.Identity(), 6)
    shipped.damp(rows.astype(np.float32), people, 0.0)
    placed = (rows - shipped.mean.numpy()) @ shipped.damping.numpy()
    inner = placed - placed.reshape(60, 4, 6).mean(1).repeat(4, 0)
    scatter = inner.T @ inner / len(inner)
    # Without a share it whitens what differs, to the mean variance that it had.
    np.testing.assert_allclose(scatter, np.eye(6) * np.trace(scatter) / 6, atol=1e-4)
    shipped.damp(rows.astype(np.float32), people, 1e6)
    np.testing.assert_allclose(shipped.damping.numpy(), np.eye(6), atol=1e-3)


def test_the_file_agrees_with_the_network(data: dict[str, Path]) -> None:
    task = Embedder(recipe(mixes=0), data, CPU)
    shipped = task.shipped(task.modules["network"].eval()).eval()
    example = task.example()
    with torch.no_grad():
        file = to_onnx(shipped, example[:2], "input", ["embedding"], {0: "batch"})
        assert difference(file, shipped, example) < 1e-4
        norms = shipped(example).norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(len(example)), atol=1e-4, rtol=0)
