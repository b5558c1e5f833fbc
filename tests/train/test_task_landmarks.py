"""The landmarks task: labels follow their pictures through every view, and a short run learns where the points are."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from PIL import Image, ImageDraw  # noqa: E402

from incog import points  # noqa: E402
from incog.errors import InputError  # noqa: E402
from incog.perceive.landmarks import SIDE, TEMPLATE, OnnxLandmarker  # noqa: E402
from incog.train import teachers  # noqa: E402
from incog.train.export import to_onnx  # noqa: E402
from incog.train.loop import Run  # noqa: E402
from incog.train.meshes import read_labels  # noqa: E402
from incog.train.recipe import Recipe  # noqa: E402
from incog.train.tasks.landmarks import Landmarks  # noqa: E402
from incog.types import Bytes, Floats  # noqa: E402

CPU = torch.device("cpu")


def dense_face() -> Floats:
    """Return 130 points in the network's crop, the five at the template, symmetric about its middle."""
    rng = np.random.default_rng(5)
    dense = rng.uniform([41, 46], [70, 74], (points.COUNT, 2))
    angles = np.arange(36) / 36 * 2 * np.pi
    dense[points.OUTLINE] = np.stack([55.5 + np.sin(angles) * 34, 58 - np.cos(angles) * 46], axis=1)
    dense[list(points.FIVE)] = TEMPLATE
    mirrored = (dense * [-1, 1] + [SIDE - 1, 0])[list(points.MIRROR)]
    return np.asarray((dense + mirrored) / 2, np.float32)


FACE = dense_face()
DISCS = {88: (255, 0, 0), 93: (0, 255, 0), 102: (0, 0, 255), 110: (255, 255, 0), 116: (0, 255, 255)}


def drawn(dense: Floats) -> Image.Image:
    """Return a picture of 150 x 150 px with an oval face and a coloured disc at each of the five points."""
    picture = Image.new("RGB", (150, 150), (70, 70, 70))
    canvas = ImageDraw.Draw(picture)
    canvas.polygon([(float(x), float(y)) for x, y in dense[points.OUTLINE]], fill=(190, 160, 140))
    for row, colour in DISCS.items():
        x, y = (float(value) for value in dense[row])
        canvas.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colour)
    return picture


def moved(turn: float, zoom: float, x: float, y: float) -> Floats:
    angle = np.deg2rad(turn)
    spin = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return ((FACE - 55.5) @ spin.T + [x, y]).astype(np.float32)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Sixty drawn faces, a little turned and moved, and their labels; one that the teacher was not sure of."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    names, dense, poses = [], [], []
    with zipfile.ZipFile(folder / "faces.zip", "w") as file:
        for number in range(60):
            turn = float(rng.uniform(-15, 15))
            dense.append(moved(turn, float(rng.uniform(0.9, 1.1)), *rng.uniform(70, 80, 2).tolist()))
            poses.append((0.0, 0.0, turn))
            names.append(f"{number:02}.png")
            coded = io.BytesIO()
            drawn(dense[-1]).save(coded, "PNG")
            file.writestr(names[-1], coded.getvalue())
        file.writestr("labels.csv", "\n".join(["file", *names]))
    quality = np.full(60, 0.8, np.float32)
    quality[3] = 0.0
    np.savez(
        folder / "mesh.npz",
        name=np.array(names),
        source=np.array(["faces"] * 60),
        points=np.stack(dense),
        pose=np.array(poses, np.float32),
        quality=quality,
        size=np.full((60, 2), 150, np.int32),
    )
    return {"faces": folder / "faces.zip", "mesh": folder / "mesh.npz"}


def recipe(**options: Any) -> Recipe:
    return Recipe(
        task="landmarks",
        name="landmarks",
        data=("faces", "mesh"),
        batch=16,
        rate=3e-3,
        budget=6.0,
        average=0.9,
        average_start=0.1,
        template="outline",
        size=128,
        network={"widths": (8, 16, 24), "blocks": (1, 1, 1), "maps": 16, "head": 8},
        options=options,
    )


@pytest.fixture(scope="module")
def task(data: dict[str, Path]) -> Landmarks:
    torch.manual_seed(0)
    return Landmarks(recipe(), data, CPU)


def level(image: Any, x: float, y: float) -> tuple[int, ...]:
    """Return the colour of an image (3, S, S) at a place in half sides from the middle."""
    column, row = (round((value + 1) * SIDE / 2 - 0.5) for value in (x, y))
    return tuple(int(value) for value in (image[:, row, column] * 255).round())


def test_faces_that_the_teacher_doubts_are_left_out(task: Landmarks) -> None:
    assert len(task.faces) == 59
    assert "03.png" not in task.faces.names


@pytest.mark.parametrize("mirrored", [False, True])
def test_points_follow_the_picture_through_every_view(task: Landmarks, mirrored: bool) -> None:
    rows = task.train_rows[:8]
    rng = np.random.default_rng(2)
    matrices = teachers_similarity(rng, len(rows))
    flips = torch.full((len(rows),), 0.0 if mirrored else 1.0)
    shown = task.views.show(rows, matrices, torch.zeros(len(rows), 4), flips)
    targets, pose = task._targets(rows, matrices, flips)
    for image, dense, angles in zip(shown, targets, pose, strict=True):
        for row, colour in DISCS.items():
            there = points.MIRROR[row] if mirrored else row
            found = level(image, *dense[there].tolist())
            assert max(abs(a - b) for a, b in zip(found, colour, strict=True)) < 40
        # The faces have no other pose than their turn, which the line of the eyes shows.
        eyes = dense[points.LEFT_IRIS.start] - dense[points.RIGHT_IRIS.start]
        turn = float(torch.rad2deg(torch.atan2(eyes[1], eyes[0])))
        assert float(angles[2]) * 30 == pytest.approx(turn, abs=0.5)


def teachers_similarity(rng: np.random.Generator, count: int) -> Any:
    from incog.train import augment

    draws = torch.from_numpy(rng.uniform(size=(count, 4)).astype(np.float32))
    return augment.turned(draws, degrees=25, zoom=(0.85, 1.2), shift=0.1)


def test_surroundings_change_only_outside_of_the_picture(task: Landmarks) -> None:
    rows = task.train_rows[:6]
    matrices = teachers_similarity(np.random.default_rng(4), len(rows))
    straight = torch.ones(len(rows))
    plain = task.views.show(rows, matrices, torch.zeros(len(rows), 4), straight)
    busy = task.views.show(
        rows, matrices, torch.tensor([[0.9, 0.3, 0.6, 0.2]]).repeat(len(rows), 1), straight
    )
    same = (plain == busy).all(1)
    targets, _ = task._targets(rows, matrices, straight)
    for image, dense in zip(same, targets, strict=True):
        for row in points.FIVE:
            column, line = (round((float(value) + 1) * SIDE / 2 - 0.5) for value in dense[row])
            assert image[line, column]
    assert not same.all()


def test_the_mean_face_is_where_the_network_begins(task: Landmarks) -> None:
    figures = task.measure(task.modules["network"])
    assert figures["nme"] < 30
    assert figures["faces"] == len(task.test)


def test_a_short_run_learns(data: dict[str, Path], tmp_path: Path) -> None:
    torch.manual_seed(0)
    task = Landmarks(recipe(turn=10.0, zoom=0.1, shift=0.05), data, CPU)
    before = task.measure(task.modules["network"])
    run = Run(task.recipe, task, tmp_path, device=CPU, tell=lambda line: None)
    for step in range(140):
        run.elapsed = step / 25
        losses = run.step()
    assert set(losses) == {"points", "pose", "doubt", "steady"}
    after = task.measure(run.average)
    assert after["nme"] < 0.6 * before["nme"]
    assert task.sheet(run.average).shape[2] == 3


def test_the_shipped_network_answers_in_pixels_and_degrees(task: Landmarks, data: dict[str, Path]) -> None:
    shipped = task.shipped(task.modules["network"]).eval()
    example = task.example()
    exported = to_onnx(shipped, example[:2], "image", task.card()["output_names"], {0: "batch"})
    rows = task.test[:1]
    label = read_labels(data["mesh"])[("faces", task.faces.names[rows[0]])]
    with zipfile.ZipFile(data["faces"]) as file:
        picture: Bytes = np.asarray(Image.open(io.BytesIO(file.read(task.faces.names[rows[0]]))))
    found = OnnxLandmarker(exported).refine(picture, [points.five(label.points)])[0]
    # Untrained, the network says the mean face, which all of these are.
    error = np.linalg.norm(found.points - label.points, axis=1).mean()
    assert error < 0.15 * float(points.scale(label.points))
    assert 0 < found.doubt <= 1


def test_labels_that_are_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", name=np.array(["a"]))
    with pytest.raises(InputError, match="mesh"):
        read_labels(tmp_path / "other.npz")


def solid() -> Floats:
    """Return a symmetric 3-D face whose hairline and chin lie in one upright plane, (130, 3), and not flat."""
    rng = np.random.default_rng(8)
    flat = FACE - [55.5, 58]
    depth = rng.uniform(-15, 5, points.COUNT)
    depth = (depth + depth[list(points.MIRROR)]) / 2
    depth[points.FOREHEAD] = depth[points.CHIN] = 0
    return np.column_stack([flat, depth]).astype(np.float32)


def turned(yaw: float, pitch: float, roll: float) -> Floats:
    """Return roll about z, yaw about y and pitch about x, as axes point in pictures: x right, y down, z away."""
    y, p, r = np.deg2rad([-yaw, -pitch, roll])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    return np.asarray(about_z @ about_y @ about_x, np.float32)


def test_pose_comes_back_from_turned_heads() -> None:
    shape = solid()
    wanted = np.array([(0, 0, 0), (30, 0, 0), (-20, 15, 0), (0, -25, 10), (40, 10, -30)], np.float32)
    heads = np.stack([shape @ turned(*row).T * 3 + 100 for row in wanted])
    found = teachers.angles(teachers.rotations(shape, heads))
    np.testing.assert_allclose(found, wanted, atol=0.1)
    # A face that looks to the right of the picture has its nose moved there, one that looks up has it moved up.
    nose = shape[points.NOSE_TIP] - [0, 0, 40]
    assert (nose @ turned(30, 0, 0).T)[0] > nose[0] + 10
    assert (nose @ turned(0, 20, 0).T)[1] < nose[1] - 10


def test_the_mean_shape_is_frontal() -> None:
    shape = solid()
    rng = np.random.default_rng(1)
    angles = np.concatenate([rng.uniform(-25, 25, (40, 3)), np.zeros((1, 3))])
    heads = np.stack([shape @ turned(*row.tolist()).T + 50 for row in angles]).astype(np.float32)
    mean = teachers.mean_shape(heads)
    np.testing.assert_allclose(mean[:, 0], -mean[list(points.MIRROR), 0], atol=1e-3)
    found = teachers.angles(teachers.rotations(mean, heads))
    np.testing.assert_allclose(found, angles, atol=1.0)


def a_teacher(picture: Bytes) -> Floats | None:
    """Find the discs by their colours and lay the face over them."""
    found = []
    for colour in DISCS.values():
        rows, columns = np.nonzero((np.abs(picture.astype(int) - colour) < 60).all(2))
        if len(rows) < 4:
            return None
        found.append((columns.mean(), rows.mean()))
    five = np.array(found, np.float32)
    # A mirrored picture has the discs of the right on the left; a real teacher knows no colours.
    if five[0, 0] > five[1, 0]:
        five = five[[1, 0, 2, 4, 3]]
    matrix = teachers.similarity(TEMPLATE, five)
    mesh = np.zeros((478, 3), np.float32)
    mesh[list(points.MESH), :2] = FACE @ matrix[:, :2].T + matrix[:, 2]
    return mesh


def test_the_views_of_a_teacher_agree_in_the_picture() -> None:
    dense = moved(10, 1.0, 75, 76)
    picture = np.asarray(drawn(dense))
    found = teachers.labelled(a_teacher, picture, points.five(dense))
    assert found is not None
    assert np.linalg.norm(found[0][:, :2] - dense, axis=1).mean() < 1.2
    assert found[1] > 0.6
    # Points that lie elsewhere than the mesh take its quality away, and so does a view without a face.
    wrong = teachers.labelled(a_teacher, picture, points.five(dense) + np.float32([12, 0]))
    assert wrong is None or wrong[1] < 0.2
    assert teachers.labelled(lambda picture: None, picture, points.five(dense)) is None
    assert teachers.labelled(lambda picture: None, picture, None) is None
