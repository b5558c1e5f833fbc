"""Which frames of a track are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from incog import subjects
from incog.perceive.looks import HELD
from incog.perceive.recogniser import CLEAR_SIZE, Recogniser
from incog.types import Face, Frame, Layout, Track


def track_of(number: int, start: int, stop: int, size: float = 80) -> Track:
    count = stop - start
    boxes = np.repeat(np.array([[10 * number, 0, 10 * number + size, size]], np.float32), count, 0)
    return Track(
        number, start, boxes, np.full((count, 5, 2), np.nan, np.float32), np.ones(count, np.float32),
        np.zeros(count, np.uint8), np.zeros(count, np.float32),
    )  # fmt: skip


@pytest.mark.parametrize("size", [80.0, 20.0])
def test_looks_are_taken_of_clear_frames_only(size: float) -> None:
    tracks = [track_of(1, 0, 12, size), track_of(2, 20, 32, size)]
    looked: list[int] = []

    class Stub:
        def sight(self, frame: Frame, face: Face) -> Any:
            looked.append(frame.index)
            return SimpleNamespace(vector=np.ones(4, np.float32) / 2)

        def is_clear(self, sight: Any) -> bool:
            return True

    plane = np.zeros((4, 4, 3), np.uint8)
    frames: Sequence[Frame] = [Frame((plane,), Layout("rgb"), n, Fraction(n)) for n in range(32)]
    found = subjects.clear_looks(frames, tracks, cast("Recogniser", Stub()))
    count = subjects.LOOKS if size >= CLEAR_SIZE else 0
    assert len(looked) == 2 * count
    assert {number: len(mine.vectors) for number, mine in found.items()} == {1: count, 2: count}


def test_looks_of_a_person_are_the_mean_of_all_tracks() -> None:
    def seen(*shares: float) -> subjects.Seen:
        return subjects.Seen(looks=[np.full(9, share, np.float32) for share in shares])

    found = subjects.mean_looks(
        {1: 1, 2: 1, 3: 3}, {1: seen(0.1, 0.3), 2: seen(0.8), 3: seen(), 4: seen(0.5)}
    )
    assert set(found) == {1, 4}
    np.testing.assert_allclose(found[1], np.full(HELD, 0.4), atol=1e-6)
    np.testing.assert_allclose(found[4], np.full(HELD, 0.5), atol=1e-6)
