"""Which stretches of a track are obscured because a method cannot do them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incog.fallback import LEAST, LINGER, MOST, Fallback

RATE = 20.0
LIVES = {1: (10, 210), 2: (0, 1)}


def after(*frames: int, track: int = 1, rate: float = RATE) -> Fallback:
    made = Fallback()
    made.add([(track, frame) for frame in frames], LIVES, rate)
    return made


def test_nothing_unfit_covers_nothing() -> None:
    assert after().tracks == set()
    assert not after().covers(1, 50)


def test_a_photo_is_covered_whole() -> None:
    assert after(0, track=2, rate=0.0).whole == {2}


def test_a_stretch_lingers_on_either_side_of_an_unfit_frame() -> None:
    made = after(100)
    linger = round(LINGER * RATE)
    assert made.parts == {1: [(100 - linger, 101 + linger)]}
    assert [made.covers(1, frame) for frame in (93, 94, 100, 106, 107)] == [False, True, True, True, False]
    assert not made.covers(2, 100)
    assert made.tracks == {1}
    assert not made.whole


def test_a_face_is_not_shown_for_less_than_the_least_time() -> None:
    gap = round((LEAST + 2 * LINGER) * RATE)
    assert len(after(60, 60 + gap).parts[1]) == 1
    assert len(after(60, 60 + gap + 1).parts[1]) == 2
    # Nor at the ends of the track.
    assert after(12).parts[1][0][0] == 10
    assert after(10 + round(LEAST * RATE)).parts[1][0][0] == 10
    assert after(200).parts[1][-1][1] == 210


def test_a_track_that_is_mostly_unfit_is_covered_whole() -> None:
    assert after(*range(10, 10 + round(MOST * 200))).whole == {1}
    assert after(*range(60, 140)).whole == set()


def test_later_passes_add_to_earlier_ones() -> None:
    made = after(50)
    made.add([(1, 150)], LIVES, RATE)
    assert made.covers(1, 50)
    assert made.covers(1, 150)
    assert not made.covers(1, 100)
    made.add([(1, frame) for frame in range(60, 150)], LIVES, RATE)
    assert made.parts.get(1, [(0, 0)])[0][0] <= 44 or made.whole == {1}


@given(st.sets(st.integers(10, 209), max_size=30), st.sampled_from([1.0, 10.0, 25.0]))
def test_every_unfit_frame_is_covered_and_gaps_are_long(frames: set[int], rate: float) -> None:
    made = after(*frames, rate=rate)
    assert all(made.covers(1, frame) for frame in frames)
    spans = made.parts.get(1, [])
    for (_, stop), (first, _) in pairwise(spans):
        assert first - stop >= round(LEAST * rate)
    assert all(10 <= first < stop <= 210 for first, stop in spans)


@pytest.mark.parametrize("number", [3, 4])
def test_an_unknown_track_is_an_error(number: int) -> None:
    with pytest.raises(KeyError):
        after(5, track=number)
