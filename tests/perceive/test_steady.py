"""Points averaged along a track: less tremble, no lag, gaps filled from both sides, nothing from other faces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from incog import shape
from incog.outline import Seen
from incog.perceive.steady import REACH, Looked, steadied
from incog.types import Face, Floats, Frame, Layout

FRAME = Frame((np.zeros((4, 4, 3), np.uint8),), Layout("rgb"))
ANGLES = np.linspace(0, 2 * np.pi, 16, endpoint=False)
SIDES = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)


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
    boxes = [np.array(face.box, np.float32).reshape(2, 2) for face in faces]
    outlines = [np.array([[a[0], a[1]], [b[0], a[1]], [b[0], b[1]], [a[0], b[1]]]) for a, b in boxes]
    return [
        Looked(FRAME, [number], [face], [Seen(outline, dense)])
        for face, outline, dense in zip(faces, outlines, points, strict=True)
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
        reach, old = (item.seen[0].outline @ SIDES.T for item in (after, before))
        np.testing.assert_allclose(reach.max(0), old.max(0), atol=0.1)
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


def test_masks_tremble_less_and_cover_what_they_covered() -> None:
    faces, points = moving(30)
    random = np.random.default_rng(2)
    given = [
        replace(item, seen=[Seen((one.outline + random.normal(size=(4, 2))).astype(np.float32), one.dense)])
        for item in looked(faces, list(points))
        for one in item.seen
    ]
    true = np.array([(item.seen[0].outline @ SIDES.T).max(0) for item in looked(faces, list(points))])
    before, after = (
        np.array([(item.seen[0].outline @ SIDES.T).max(0) for item in items])
        for items in (given, list(steadied(given)))
    )
    assert (after >= before - 1e-3).all()
    inner = slice(REACH, -REACH)
    shaken, calm = (np.diff(reach - true, axis=0)[inner].std() for reach in (before, after))
    assert calm < 0.5 * shaken
    # Not at the cost of masks that grow without end: a box of 60 by 70 px and a tremble of 1 px.
    assert (after - true)[inner].mean() < 2


def test_a_leap_of_the_box_grows_the_mask_by_little() -> None:
    faces, points = moving(15)
    given = looked(faces, list(points))
    shift = np.array([40, 0], np.float32)
    given[7] = replace(given[7], seen=[Seen(given[7].seen[0].outline + shift, points[7])])
    found = [item.seen[0].outline for item in steadied(given)]
    for row in (5, 6, 8, 9):
        grown = (found[row] @ SIDES.T).max(0) - (given[row].seen[0].outline @ SIDES.T).max(0)
        assert grown.max() < 20
