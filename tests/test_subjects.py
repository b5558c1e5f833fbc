"""Which tracks show one person: by looks that are no chance, never two in one frame."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from incog import subjects
from incog.perceive.calibration import Calibration
from incog.perceive.recogniser import Recogniser
from incog.types import Face, Floats, Frame, Layout, Track


class Tail:
    """Strangers reach 0.5 once in a thousand, and more in step."""

    rarest = 1e-6

    def score_at(self, rate: float) -> float:
        return 0.5 - 0.05 * float(np.log10(rate / 1e-3))


CALIBRATION = cast("Calibration", SimpleNamespace(tails=(Tail(),)))


def track_of(number: int, start: int, stop: int, size: float = 80) -> Track:
    count = stop - start
    boxes = np.repeat(np.array([[10 * number, 0, 10 * number + size, size]], np.float32), count, 0)
    return Track(
        number, start, boxes, np.full((count, 5, 2), np.nan, np.float32), np.ones(count, np.float32),
        np.zeros(count, np.uint8), np.zeros(count, np.float32),
    )  # fmt: skip


def vector(person: int, noise: float = 0.0, seed: int = 0) -> Floats:
    base = np.random.default_rng(person).normal(size=64)
    row = base / np.linalg.norm(base)
    row = row + noise * np.random.default_rng(1000 + seed).normal(size=64) / 8
    return (row / np.linalg.norm(row)).astype(np.float32)


def test_tracks_that_look_alike_are_one_person_and_others_are_not() -> None:
    tracks = [track_of(1, 0, 10), track_of(2, 20, 30), track_of(3, 40, 50)]
    seen = {1: [vector(1)], 2: [vector(1, 0.3, 5)], 3: [vector(2)]}
    assert subjects.joined(tracks, seen, CALIBRATION) == {1: 1, 2: 1, 3: 3}


def test_two_faces_in_one_frame_are_two_people_however_alike() -> None:
    tracks = [track_of(1, 0, 10), track_of(2, 5, 15), track_of(3, 20, 30)]
    same = {number: [vector(1, 0.1, number)] for number in (1, 2, 3)}
    found = subjects.joined(tracks, same, CALIBRATION)
    assert found[1] != found[2]
    # The third is one of the two, not both.
    assert found[3] in (found[1], found[2])


def test_what_was_not_seen_is_a_person_of_its_own() -> None:
    tracks = [track_of(1, 0, 10), track_of(2, 20, 30)]
    assert subjects.joined(tracks, {1: [vector(1)], 2: []}, CALIBRATION) == {1: 1, 2: 2}
    assert subjects.joined([], {}, CALIBRATION) == {}


def test_more_comparisons_ask_for_more_likeness() -> None:
    near = vector(1, 1.15, 3)
    likeness = float(near @ vector(1))
    assert 0.5 < likeness < 0.8
    few = subjects.joined([track_of(1, 0, 10), track_of(2, 20, 30)], {1: [vector(1)], 2: [near]}, CALIBRATION)
    assert few == {1: 1, 2: 1}
    many = [track_of(number, 20 * number, 20 * number + 10) for number in range(1, 120)]
    seen = {item.id: [vector(item.id)] * 5 for item in many} | {119: [near]}
    found = subjects.joined(many, seen, CALIBRATION)
    assert (found[119] == 1) == (likeness >= Tail().score_at(subjects.RISK / 35000))


@pytest.mark.parametrize("size", [80.0, 20.0])
def test_looks_are_taken_of_clear_frames_only(size: float) -> None:
    tracks = [track_of(1, 0, 12, size), track_of(2, 20, 32, size)]
    looked: list[int] = []

    class Stub:
        calibration = CALIBRATION

        def sight(self, frame: Frame, face: Face) -> Any:
            looked.append(frame.index)
            return SimpleNamespace(vector=vector(1))

        def is_clear(self, sight: Any) -> bool:
            return True

    plane = np.zeros((4, 4, 3), np.uint8)
    frames: Sequence[Frame] = [Frame((plane,), Layout("rgb"), n, Fraction(n)) for n in range(32)]
    found = subjects.linked(frames, tracks, cast("Recogniser", Stub()))
    if size < 40:
        assert not looked
        assert found == {1: 1, 2: 2}
    else:
        assert len(looked) == 2 * subjects.LOOKS
        assert found == {1: 1, 2: 1}
