"""Collages: boxes and points stay on their faces, what is hidden does not count, and the generator alone decides."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from incog.errors import InputError
from incog.train import cutouts, textures
from incog.train.canvas import LEAST, VISIBLE, Canvas, Collage, rotation, seen, varied
from incog.train.collages import Maker, aside, beside, shuffled
from incog.train.cutouts import SILHOUETTE, Cutout, Scenes, load, scenes
from incog.types import Face, Floats

Picture = npt.NDArray[np.uint8]


@pytest.fixture
def drawn() -> Cutout:
    """A face of 60 x 80 px in the middle of 120 x 120, its five points as coloured discs."""
    pixels = np.full((120, 120, 3), 90, np.uint8)
    points = np.array([[45, 50], [75, 50], [60, 65], [50, 80], [70, 80]], np.float32)
    for number, point in enumerate(points):
        cv2.circle(pixels, point.astype(int).tolist(), 5, COLOURS[number], -1)
    box = np.array([[30, 20, 90, 100]], np.float32)
    return Cutout(pixels, np.full((72, 72), 255, np.uint8), box, points[None], np.ones(1, bool), False)


COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255))


def blank(side: int = 160) -> Canvas:
    return Canvas(np.full((side, side, 3), 90, np.uint8), np.full((side, side), -1, np.int32))


def shift(x: float, y: float, zoom: float = 1.0, turn: float = 0.0, flip: int = 1) -> Floats:
    """Return the matrix that brings the middle of the drawn face to (x, y)."""
    linear = rotation(turn) @ np.diag([zoom * flip, zoom])
    return np.column_stack([linear, np.array([x, y]) - linear @ (60, 60)]).astype(np.float32)


def pasted(cutout: Cutout, *matrices: Floats, side: int = 160) -> Collage:
    canvas = blank(side)
    for matrix in matrices:
        canvas.face(cutout, None, matrix, np.random.default_rng(0))
    return canvas.finished(canvas.pixels)


def where(pixels: Picture, number: int) -> Floats:
    """Return the middle of the pixels nearest to the colour of a disc; tones may have changed."""
    hue = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    wanted = int(cv2.cvtColor(np.array([[COLOURS[number]]], np.uint8), cv2.COLOR_RGB2HSV)[0, 0, 0])
    rows, columns = np.nonzero((np.abs(hue[..., 0].astype(int) - wanted) < 8) & (hue[..., 1] > 120))
    return np.array([columns.mean(), rows.mean()], np.float32)


@pytest.mark.parametrize("turn", [0.0, 0.4, -0.7])
@pytest.mark.parametrize("zoom", [0.3, 1.0, 1.7])
def test_points_lie_where_they_are_drawn(drawn: Cutout, turn: float, zoom: float) -> None:
    collage = pasted(drawn, shift(82.4, 77.7, zoom, turn))
    for number in range(5):
        assert np.abs(where(collage.pixels, number) - collage.points[0, number]).max() < 0.6


def test_a_mirrored_face_has_its_left_eye_on_the_left_again(drawn: Cutout) -> None:
    collage = pasted(drawn, shift(80, 80, flip=-1))
    points = collage.points[0]
    assert points[0, 0] < points[2, 0] < points[1, 0]
    assert points[3, 0] < points[4, 0]
    assert np.abs(where(collage.pixels, 1) - points[0]).max() < 0.6


def test_the_box_of_a_turned_face_is_upright_about_its_ellipse(drawn: Cutout) -> None:
    quarter = pasted(drawn, shift(80, 80, turn=np.pi / 2)).boxes[0]
    np.testing.assert_allclose(quarter, [40, 50, 120, 110], atol=1e-3)
    eighth = pasted(drawn, shift(80, 80, turn=np.pi / 4)).boxes[0]
    half = np.hypot(30, 40) / np.sqrt(2)
    np.testing.assert_allclose(eighth, [80 - half, 80 - half, 80 + half, 80 + half], atol=1e-3)


def test_what_is_hidden_is_no_face_and_what_is_doubtful_is_neither(drawn: Cutout) -> None:
    whole = pasted(drawn, shift(80, 80))
    assert whole.sure.tolist() == [True]
    assert whole.visible[0] > 0.97
    half = pasted(drawn, shift(80, 80), shift(80, 137))
    assert half.sure.tolist() == [False, True]
    assert 0.12 < half.visible[0] < VISIBLE
    assert len(pasted(drawn, shift(80, 80), shift(81, 81)).boxes) == 1
    cut = pasted(drawn, shift(0, 80))
    assert cut.visible[0] == pytest.approx(0.5, abs=0.05)
    assert len(pasted(drawn, shift(-60, 80)).boxes) == 0


def test_faces_too_small_to_be_told_are_neither(drawn: Cutout) -> None:
    assert pasted(drawn, shift(80, 80, LEAST * 1.05 / 80)).sure.tolist() == [True]
    assert pasted(drawn, shift(80, 80, LEAST * 0.9 / 80)).sure.tolist() == [False]


def test_shrinking_keeps_edges_where_they_were() -> None:
    step = np.zeros((200, 200, 3), np.uint8)
    step[:, 100:] = 200
    for zoom in (0.05, 0.21, 0.9, 2.0):
        matrix = np.array([[zoom, 0, 3.25], [0, zoom, 0]], np.float32)
        side = int(200 * zoom)
        row = seen(step, matrix, (slice(0, side), slice(0, side + 3)), cv2.BORDER_REPLICATE)[side // 2, :, 0]
        # The share of white pixels says where the edge is to a fraction of a pixel.
        edge = len(row) - 0.5 - row.sum() / 200
        assert edge == pytest.approx(99.5 * zoom + 3.25, abs=0.3)


def test_another_view_keeps_boxes_on_faces(drawn: Cutout) -> None:
    collage = pasted(drawn, shift(80, 80))
    for seed in range(12):
        view = varied(np.random.default_rng(seed), collage, 128)
        assert view.pixels.shape == (128, 128, 3)
        assert view.sure.tolist() == [True]
        points = view.points[0]
        assert points[0, 0] < points[1, 0]
        nose = where(view.pixels, 2)
        assert np.abs(nose - points[2]).max() < 0.6
    away = varied(np.random.default_rng(0), pasted(drawn, shift(80, 80, 0.3)), 32)
    assert (away.visible <= 1).all()


def test_the_generator_alone_decides(astronaut: Picture, collins: Face) -> None:
    maker = Maker([cutout_of(astronaut, collins)], Scenes([], []), seed=3, drawn=6)
    one, again, other = (maker.draw(np.random.default_rng([5, n]), 128) for n in (1, 1, 2))
    np.testing.assert_array_equal(one.pixels, again.pixels)
    np.testing.assert_array_equal(one.boxes, again.boxes)
    assert not np.array_equal(one.pixels, other.pixels)


def cutout_of(picture: Picture, face: Face) -> Cutout:
    assert face.points is not None
    box = np.array(face.box, np.float32)
    return Cutout(
        picture, cutouts.silhouette(picture, box), box[None], face.points[None], np.ones(1, bool), False
    )


def test_collages_hold_what_they_say(astronaut: Picture, collins: Face) -> None:
    stamp = np.dstack([astronaut[200:, :56], np.full((56, 56), 255, np.uint8)])
    maker = Maker([cutout_of(astronaut, collins)], Scenes([astronaut[180:]], [stamp]), seed=3, drawn=6)
    faces = empty = 0
    for number in range(60):
        collage = maker.draw(np.random.default_rng(number), 128)
        assert collage.pixels.shape == (128, 128, 3)
        assert collage.pixels.dtype == np.uint8
        assert len(collage.boxes) == len(collage.points) == len(collage.sure) == len(collage.visible)
        sizes = (collage.boxes[:, 2:] - collage.boxes[:, :2]).max(1, initial=0)
        assert (sizes[collage.sure] >= LEAST).all()
        assert (collage.visible[collage.sure] >= VISIBLE).all()
        assert np.isfinite(collage.points).all()
        faces += int(collage.sure.sum())
        empty += not len(collage.boxes)
    assert faces > 100
    assert 0 < empty < 30


def test_a_silhouette_is_the_head_and_not_the_wall(astronaut: Picture, collins: Face) -> None:
    part = astronaut[:160, 40:200]
    box = np.array(collins.box, np.float32) - [40, 0, 40, 0]
    mask = cutouts.silhouette(part, box.astype(np.float32))
    x, y = ((box[:2] + box[2:]) / 2 * SILHOUETTE / 160).astype(int)
    assert mask[y, x] == 255
    assert 0.1 < (mask == 255).mean() < 0.8
    assert mask[:6, :6].max() == 0


def test_textures_are_pictures_and_differ() -> None:
    rng = np.random.default_rng(0)
    made = [textures.texture(rng, 64) for _ in range(20)]
    assert all(picture.shape == (64, 64, 3) and picture.dtype == np.uint8 for picture in made)
    assert len({picture.tobytes() for picture in made}) == 20
    assert np.mean([picture.std() for picture in made]) > 10


# Sources


def packed(path: Path, pictures: dict[str, Picture], identities: dict[str, str]) -> Path:
    """Write a ZIP as the readers take it."""
    with zipfile.ZipFile(path, "w") as file:
        for name, picture in pictures.items():
            data = io.BytesIO()
            Image.fromarray(picture).save(data, "PNG")
            file.writestr(name, data.getvalue())
        rows = [f"{name},{identities.get(name, '')}" for name in pictures]
        file.writestr("labels.csv", "\n".join(["file,identity", *rows]) + "\n")
    return path


def test_faces_are_labelled_once_and_split_by_person(
    tmp_path: Path, astronaut: Picture, admiral: Picture, collins: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = np.full((100, 100, 3), 70, np.uint8)
    pictures = {"a.png": astronaut, "b.png": admiral, "c.png": wall}
    # Names whose hashes put them into the training split.
    people = {"a.png": person("train"), "b.png": person("test"), "c.png": person("train")}
    source = {"faces": packed(tmp_path / "faces.zip", pictures, people)}
    found = load(source, "train", cache=tmp_path)
    assert len(found) == 1
    first = found[0]
    np.testing.assert_array_equal(first.pixels, astronaut)
    np.testing.assert_allclose(first.boxes[0], collins.box, atol=8)
    assert first.sure[0]
    assert not first.tight
    assert len(load(source, "test", cache=tmp_path)) == 1

    def never(samples: object) -> None:
        raise AssertionError("labelled a second time")

    monkeypatch.setattr(cutouts, "_label", never)
    np.testing.assert_array_equal(load(source, "train", cache=tmp_path)[0].boxes, first.boxes)


def person(split: str) -> str:
    return next(name for name in map("p{}".format, range(1000)) if cutouts.split_of(name) == split)


def test_data_without_faces_is_refused(tmp_path: Path) -> None:
    wall = np.full((100, 100, 3), 70, np.uint8)
    source = {"walls": packed(tmp_path / "walls.zip", {"a.png": wall}, {"a.png": person("train")})}
    with pytest.raises(InputError, match="no face is in the data"):
        load(source, "train")


def test_scenes_are_photos_and_stamps(tmp_path: Path, astronaut: Picture) -> None:
    path = tmp_path / "scenes.zip"
    with zipfile.ZipFile(path, "w") as file:
        for number in range(12):
            alpha = np.full((*astronaut.shape[:2], 1), number * 20, np.uint8)
            picture = astronaut if number % 2 else np.concatenate([astronaut, alpha], 2)
            data = io.BytesIO()
            Image.fromarray(picture).save(data, "PNG")
            file.writestr(f"{number}.png", data.getvalue())
    parts = [scenes(path, split) for split in ("train", "dev", "test")]
    assert sum(len(part.photos) for part in parts) == 6
    assert sum(len(part.stamps) for part in parts) == 6
    assert all(stamp.shape[2] == 4 for part in parts for stamp in part.stamps)
    np.testing.assert_array_equal(next(part for part in parts if part.photos).photos[0], astronaut)
    assert not scenes(None, "train").photos
    path.write_bytes(b"no zip")
    with pytest.raises(InputError, match="not a ZIP of pictures"):
        scenes(path, "train")


@pytest.mark.parametrize("seed", range(6))
def test_a_face_that_looks_aside_keeps_its_points(drawn: Cutout, seed: int) -> None:
    turned = aside(np.random.default_rng(seed), drawn)
    assert turned.pixels.shape[0] == 120
    assert turned.pixels.shape[1] < 120
    assert turned.silhouette.shape == drawn.silhouette.shape
    # The nose lies on the fold: its disc is no longer round.
    for number in (0, 1, 3, 4):
        assert np.abs(where(turned.pixels, number) - turned.points[0, number]).max() < 0.6
    before, after = drawn.boxes[0], turned.boxes[0]
    assert after[2] - after[0] < before[2] - before[0]
    np.testing.assert_array_equal(after[1::2], before[1::2])


def test_shuffled_squares_are_all_there_and_none_where_it_was() -> None:
    ramp = np.arange(60 * 60 * 3).reshape(60, 60, 3).astype(np.uint8)
    for seed in range(8):
        mixed = shuffled(np.random.default_rng(seed), ramp)
        side = len(mixed)
        assert side in (60, 60 // 4 * 4, 60 // 5 * 5)
        assert sorted(mixed.ravel().tolist()) == sorted(ramp[:side, :side].ravel().tolist())
        assert 0 in [same_squares(mixed, ramp, count) for count in (3, 4, 5)]


def same_squares(mixed: Picture, plain: Picture, count: int) -> int:
    """Return how many of count x count squares are where they were."""
    side = len(mixed) // count
    places = [(row * side, column * side) for row in range(count) for column in range(count)]
    return sum(
        np.array_equal(mixed[y : y + side, x : x + side], plain[y : y + side, x : x + side])
        for y, x in places
    )


def test_what_is_beside_a_face_holds_none_of_it(drawn: Cutout) -> None:
    seen_parts = 0
    for seed in range(12):
        part = beside(np.random.default_rng(seed), drawn)
        assert part is not None
        assert min(part.shape[:2]) >= 16
        assert (part == 90).all()
        seen_parts |= 1 << [(19, 120), (120, 30), (120, 29)].index(part.shape[:2])
    assert seen_parts == 0b111
    close = Cutout(
        drawn.pixels, drawn.silhouette, drawn.boxes * 0 + [2, 2, 118, 118], drawn.points, drawn.sure, True
    )
    assert beside(np.random.default_rng(0), close) is None
