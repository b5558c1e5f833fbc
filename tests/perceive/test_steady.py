"""Points averaged along a track: less tremble, no lag, gaps filled from both sides, nothing from other faces."""

from __future__ import annotations

import numpy as np
import pytest

from incog import shape
from incog.outline import Seen
from incog.perceive.steady import REACH, Looked, steadied
from incog.types import Face, Floats, Frame, Layout

FRAME = Frame((np.zeros((4, 4, 3), np.uint8),), Layout("rgb"))


def moving(count: int) -> tuple[list[Face], list[Floats]]:
    """Return a face that moves by 5 px and grows by 2 % a frame: boxes and true points."""
    boxes, points = [], []
    for index in range(count):
        zoom, middle = 60 * 1.02**index, np.array([100 + 5 * index, 80 + 2 * index])
        points.append((shape.load().mean * zoom + middle).astype(np.float32))
        low, high = points[-1].min(0), points[-1].max(0)
        boxes.append(Face((float(low[0]), float(low[1]), float(high[0]), float(high[1]))))
    return boxes, points


def looked(faces: list[Face], points: list[Floats | None], number: int = 1) -> list[Looked]:
    outline = np.zeros((3, 2), np.float32)
    return [
        Looked(FRAME, [number], [face], [Seen(outline, dense)])
        for face, dense in zip(faces, points, strict=True)
    ]


def dense_of(items: list[Looked]) -> list[Floats | None]:
    return [item.seen[0].dense for item in items]


@pytest.mark.parametrize("count", [1, 2, REACH, REACH + 1, 3 * REACH + 2])
def test_every_frame_comes_back_in_order(count: int) -> None:
    faces, points = moving(count)
    given = looked(faces, list(points))
    found = list(steadied(iter(given)))
    assert [item.faces[0] for item in found] == faces
    for before, after in zip(given, found, strict=True):
        assert before.seen[0].outline is after.seen[0].outline
        dense = after.seen[0].dense
        assert dense is not None
        np.testing.assert_allclose(dense, before.seen[0].dense, atol=0.01)


def test_tremble_is_less_and_motion_stays() -> None:
    faces, points = moving(20)
    random = np.random.default_rng(0)
    shaken = [dense + random.normal(size=dense.shape).astype(np.float32) for dense in points]
    found = dense_of(list(steadied(looked(faces, list(shaken)))))
    before = np.mean([np.square(a - b).mean() for a, b in zip(shaken, points, strict=True)])
    after = np.mean([np.square(np.asarray(a) - b).mean() for a, b in zip(found, points, strict=True)])
    assert after < 0.4 * before


def test_gaps_are_filled_between_known_frames_alone() -> None:
    faces, points = moving(12)
    holes: list[Floats | None] = [None if row in (0, 5, 11) else dense for row, dense in enumerate(points)]
    found = dense_of(list(steadied(looked(faces, holes))))
    assert found[0] is None
    assert found[11] is None
    assert found[5] is not None
    assert np.abs(found[5] - points[5]).max() < 0.5


def test_a_face_that_changes_is_not_smeared_and_others_do_not_count() -> None:
    faces, points = moving(8)
    other = [dense.copy() for dense in points]
    for index, dense in enumerate(other[4:], 4):
        dense[100:] += [0, 40 * 1.02**index]
    found = dense_of(list(steadied(looked(faces, list(other)))))
    np.testing.assert_allclose(found[4], other[4], atol=0.01)
    mixed = looked(faces[:4], list(points[:4]), 1) + looked(faces[4:], list(other[4:]), 2)
    for before, after in zip(mixed, steadied(mixed), strict=True):
        np.testing.assert_allclose(after.seen[0].dense, before.seen[0].dense, atol=0.01)
