"""The detectors: every size and place, what is merged, and how a device is chosen."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from incog import track
from incog.colour import rgb8
from incog.errors import UsageError
from incog.media import open_source
from incog.perceive.detector import (
    DETECTORS,
    OVERLAP,
    TILE,
    Hog,
    _tiles,
    best_device,
    make_detector,
    merge,
    non_maximum_suppression,
    scales_for,
)
from incog.perceive.search import Searcher, moved, photo_scale
from incog.pipeline import Perception
from incog.types import Face, Frame, Layout

Picture = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def searcher(perception: Perception) -> Searcher:
    return perception.searcher


def frame_of(picture: Picture) -> Frame:
    return Frame((np.ascontiguousarray(picture),), Layout("rgb"))


def scaled(picture: Picture, factor: float) -> Picture:
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=how), np.uint8)


def iou(one: Face, other: Face) -> float:
    boxes = (np.array([face.box], np.float32) for face in (one, other))
    return float(track.overlap(*boxes)[0, 0])


# Finding


@pytest.mark.parametrize("factor", [0.25, 0.5, 1, 2, 4])
def test_the_face_is_found_at_every_scale(
    searcher: Searcher, astronaut: Picture, collins: Face, factor: float
) -> None:
    faces = searcher.frame(frame_of(scaled(astronaut[:160, 40:200], factor)))
    assert len(faces) == 1
    where = moved(Face(tuple(value / factor for value in faces[0].box)), 40, 0)  # type: ignore[arg-type]
    assert iou(where, collins) > 0.6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_face_is_found_however_the_camera_was_held(
    searcher: Searcher, astronaut: Picture, orientation: int, tmp_path: Path
) -> None:
    """The eight EXIF orientations: stored turned, shown upright."""
    turn = Image.Transpose
    how = {2: turn.FLIP_LEFT_RIGHT, 3: turn.ROTATE_180, 4: turn.FLIP_TOP_BOTTOM, 5: turn.TRANSPOSE}
    how |= {6: turn.ROTATE_90, 7: turn.TRANSVERSE, 8: turn.ROTATE_270}
    upright = Image.fromarray(astronaut[:220])
    stored = upright.transpose(how[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.jpg"
    stored.save(path, exif=exif, quality=92)
    (frame,) = open_source(path).frames()
    assert np.abs(rgb8(frame).astype(int) - astronaut[:220]).mean() < 4
    assert len(searcher.frame(frame)) == 1


def test_a_face_that_fills_the_picture_is_found(
    searcher: Searcher, astronaut: Picture, collins: Face
) -> None:
    x0, y0, x1, y1 = (round(value) for value in collins.box)
    close = scaled(astronaut[max(y0 - 4, 0) : y1 + 4, x0 - 4 : x1 + 4], 10)
    faces = searcher.frame(frame_of(close))
    assert len(faces) == 1
    assert faces[0].size > 0.6 * min(close.shape[:2])


def test_faces_are_found_wherever_they_are(searcher: Searcher, astronaut: Picture, admiral: Picture) -> None:
    wall = np.full((420, 700, 3), 120, np.uint8)
    for top, left in [(0, 0), (0, 540), (260, 0), (260, 540)]:
        wall[top : top + 160, left : left + 160] = astronaut[:160, 40:200]
    wall[70:350, 230:470] = admiral
    assert len(searcher.frame(frame_of(wall))) == 5


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (3, 3), (31, 33), (64, 2000)])
def test_odd_pictures_have_no_faces_and_do_no_harm(searcher: Searcher, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    assert searcher.frame(frame_of(noise)) == []
    assert Hog()(noise, scales=[1.0], threshold=0.5) == []


def test_empty_pictures_have_no_faces(searcher: Searcher) -> None:
    for value in (0, 127, 255):
        assert searcher.frame(frame_of(np.full((240, 320, 3), value, np.uint8))) == []


def test_points_lie_in_the_box_in_their_order(collins: Face) -> None:
    assert collins.points is not None
    assert collins.points.shape == (5, 2)
    x0, y0, x1, y1 = collins.box
    assert (collins.points > [x0, y0]).all()
    assert (collins.points < [x1, y1]).all()
    eyes, nose, mouth = collins.points[:2], collins.points[2], collins.points[3:]
    assert eyes[0, 0] < nose[0] < eyes[1, 0]
    assert mouth[0, 0] < mouth[1, 0]
    assert eyes[:, 1].max() < nose[1] < mouth[:, 1].min()


def test_the_second_detector_finds_it_too(astronaut: Picture, collins: Face) -> None:
    faces = Hog()(astronaut, scales=[2.0], threshold=0.56)
    assert len(faces) == 1
    assert iou(faces[0], collins) > 0.4
    assert faces[0].points is None


def test_the_picture_that_was_searched_stays(searcher: Searcher, astronaut: Picture) -> None:
    before = astronaut.copy()
    searcher.frame(frame_of(astronaut))
    Hog()(astronaut, scales=[0.7], threshold=0.5)
    np.testing.assert_array_equal(astronaut, before)


def test_a_closer_look_finds_the_face_and_nothing_else(
    searcher: Searcher, astronaut: Picture, collins: Face
) -> None:
    frame = frame_of(astronaut)
    near = Face(moved(collins, 4, -3).box)
    seen = searcher.look(frame, near)
    assert seen is not None
    assert iou(seen, collins) > 0.5
    assert searcher.look(frame, Face((150, 190, 190, 235))) is None
    assert searcher.look(frame, Face((-900, -900, -850, -850))) is None
    assert searcher.look(frame, Face((*collins.box[:2], collins.box[0] + 8, collins.box[1] + 8))) is None


# Scales and tiles


@given(st.integers(1, 20000), st.integers(1, 20000), st.floats(0.1, 2))
def test_scales_go_down_by_octaves_to_a_coarse_picture(width: int, height: int, finest: float) -> None:
    scales = scales_for(width, height, finest=finest)
    assert scales[0] == finest
    assert all(after == before / 2 for before, after in pairwise(scales))
    assert max(width, height) * scales[-1] < 2 * 480 * 0.75 or len(scales) == 1


@given(st.integers(1, 20000))
def test_tiles_cover_a_length_and_overlap(length: int) -> None:
    tiles = _tiles(length)
    assert tiles[0][0] == 0
    assert tiles[-1][1] == length
    assert all(0 < stop - start <= TILE for start, stop in tiles)
    assert all(one[1] - other[0] >= OVERLAP - 1 for one, other in pairwise(tiles))


def test_photos_up_to_4k_are_looked_at_closely() -> None:
    assert photo_scale(3840, 2160) * 12 >= 12
    assert photo_scale(640, 480) >= photo_scale(1920, 1080) >= photo_scale(8000, 6000) > 0


# Merging


def suppressed_slowly(boxes: list[tuple[float, ...]], scores: list[float], limit: float) -> list[int]:
    """Greedy suppression in plain Python."""
    keep: list[int] = []
    for row in sorted(range(len(boxes)), key=lambda row: -scores[row]):
        a = boxes[row]
        for other in keep:
            b = boxes[other]
            common = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
            areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
            if common > limit * (sum(areas) - common) or common >= 0.75 * min(areas):
                break
        else:
            keep.append(row)
    return keep


@given(st.integers(0, 2**32 - 1), st.integers(1, 25))
def test_suppression_agrees_with_a_plain_version(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 60, (count, 2))
    boxes = np.hstack([corners, corners + rng.integers(5, 50, (count, 2))]).astype(np.float32)
    scores = rng.permutation(count).astype(np.float32)
    got = non_maximum_suppression(boxes, scores, 0.35).tolist()
    assert got == suppressed_slowly([tuple(box) for box in boxes.tolist()], scores.tolist(), 0.35)


def test_merged_faces_come_best_first() -> None:
    faces = [Face((0, 0, 10, 10), 0.5), Face((50, 50, 60, 60), 0.9), Face((1, 0, 11, 10), 0.6)]
    assert [face.score for face in merge(faces)] == [0.9, 0.6]
    assert merge([]) == []


def test_moved_moves_the_box_and_the_points() -> None:
    face = Face((0, 1, 10, 12), 0.5, np.ones((5, 2), np.float32), 0.3)
    there = moved(face, 5, -2)
    assert there.box == (5, -1, 15, 10)
    assert there.points is not None
    np.testing.assert_array_equal(there.points, np.tile([6, -1], (5, 1)))
    assert (there.score, there.grow) == (0.5, 0.3)
    assert moved(Face((0, 0, 1, 1)), 1, 1).points is None


# Names and devices


def test_detectors_have_the_names_they_are_listed_under() -> None:
    assert all(kind.name == name for name, kind in DETECTORS.items())
    with pytest.raises(UsageError, match="detector must be one of centerface, incog, got 'yolo'"):
        make_detector("yolo", device="cpu")


def test_a_device_is_used_only_when_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert best_device("auto") == best_device("cpu") == "cpu"
    with pytest.raises(UsageError, match="device must be") as caught:
        best_device("cuda")
    assert "pip install onnxruntime-gpu" in caught.value.hint
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    assert best_device("auto") == best_device("cuda") == "cuda"
    assert best_device("cpu") == "cpu"
