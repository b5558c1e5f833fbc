"""Boxes over time: no face-frame is lost between detections, before the first, after the last, or at a cut."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incog import geometry
from incog.rescan import covered_share
from incog.track import Settings, Timeline, Tracker, assign, by_frame, every_frame, overlap, single
from incog.types import Array, Face, Floats, Frame, Layout, Origin, Track

WIDTH, HEIGHT = 200, 140
RATE = 25.0
Place = Callable[[int], tuple[float, float] | None]
"""Where the middle of a face is in a frame, or None where it is not in the picture."""


class World:
    """Frames with textured ovals moving over a textured wall, and a detector that sees what it is told to."""

    def __init__(self, *places: Place, size: int = 30, cut: int | None = None) -> None:
        rng = np.random.default_rng(5)
        self.places, self.size, self.cut = places, size, cut
        blocks = [
            np.kron(rng.integers(90, 140, (HEIGHT // 10, WIDTH // 10)), np.ones((10, 10))) for _ in range(2)
        ]
        self.walls = [block.astype(np.uint8) for block in blocks]
        self.walls[1] = 255 - 2 * (self.walls[1] - 90)
        self.skins = [np.kron(rng.integers(0, 256, (6, 6)), np.ones((5, 5))).astype(np.uint8) for _ in places]
        self.blind: Callable[[int], bool] = lambda index: False
        self.near_blind: Callable[[int], bool] = lambda index: False

    def frame(self, index: int) -> Frame:
        picture = self.walls[int(self.cut is not None and index >= self.cut)].copy()
        for place, skin in zip(self.places, self.skins, strict=True):
            at = place(index)
            if at is not None:
                left, top = round(at[0]) - 15, round(at[1]) - 15
                x0, y0 = max(left, 0), max(top, 0)
                x1, y1 = min(left + 30, WIDTH), min(top + 30, HEIGHT)
                if x0 < x1 and y0 < y1:
                    picture[y0:y1, x0:x1] = skin[y0 - top : y1 - top, x0 - left : x1 - left]
        return Frame((picture,), Layout("grey"), index, Fraction(index, 25))

    def frames(self, count: int) -> Iterator[Frame]:
        return (self.frame(index) for index in range(count))

    def truth(self, index: int) -> list[Face]:
        half = self.size / 2
        places = [place(index) for place in self.places]
        return [
            Face((at[0] - half, at[1] - half, at[0] + half, at[1] + half), 0.9)
            for at in places
            if at is not None
        ]

    def scan(self, frame: Frame, depth: object) -> list[Face]:
        return [] if self.blind(frame.index) else self.truth(frame.index)

    def look(self, frame: Frame, face: Face) -> Face | None:
        if self.near_blind(frame.index):
            return None
        near = [
            item for item in self.truth(frame.index) if np.hypot(*np.subtract(item.centre, face.centre)) < 25
        ]
        return near[0] if near else None

    def run(self, count: int, **options: object) -> Timeline:
        given_settings = options.pop("settings", Settings())
        tracker = Tracker(self.scan, self.look, rate=RATE, settings=given_settings, **options)  # type: ignore[arg-type]
        return tracker.run(self.frames(count))


def missed(world: World, timeline: Timeline, count: int, share: float = 0.97) -> list[int]:
    """Return the frames in which masks cover less than ``share`` of a face."""
    lookup = by_frame(timeline.tracks)
    frames = []
    for index in range(count):
        masks = [geometry.hull(face) for _, face in lookup(index)]
        shares = [covered_share(face, masks, WIDTH, HEIGHT) for face in world.truth(index)]
        frames += [index for value in shares if value < share]
    return frames


def steady(index: int) -> tuple[float, float]:
    return 40 + 2.5 * index, 60 + 0.5 * index


# Following


def test_a_moving_face_is_one_track_without_holes() -> None:
    world = World(steady)
    timeline = world.run(50)
    assert timeline.frames == 50
    assert len(timeline.tracks) == 1
    assert missed(world, timeline, 50) == []
    track = timeline.tracks[0]
    assert (track.start, track.stop) == (0, 50)
    assert np.isfinite(track.boxes).all()
    assert (track.grow >= 0).all()


def test_not_every_frame_is_searched_but_the_first_and_the_last_are() -> None:
    timeline = World(steady).run(50)
    assert timeline.scanned[0] == 0
    assert timeline.scanned[-1] == 49
    assert timeline.scanned == sorted(set(timeline.scanned))
    assert len(timeline.scanned) < 25


def test_animations_are_searched_in_every_frame() -> None:
    timeline = World(steady).run(12, settings=every_frame(Settings()))
    assert timeline.scanned == list(range(12))


def test_rows_say_where_they_come_from() -> None:
    timeline = World(steady).run(50)
    track = timeline.tracks[0]
    for index in timeline.scanned:
        assert track.origins[index] == Origin.DETECTED
        assert track.grow[index] == 0
    between = sorted(set(range(50)) - set(timeline.scanned))
    assert set(track.origins[between]) == {Origin.INTERPOLATED}
    assert (track.grow[between] > 0).all()


def test_a_turn_between_two_scans_is_followed_in_the_picture() -> None:
    world = World(lambda index: (100 + 30 * np.sin(index / 3.5), 70 + 20 * np.cos(index / 4)))
    assert missed(world, world.run(50), 50) == []


def test_faces_that_cross_stay_covered() -> None:
    world = World(lambda index: (40 + 2 * index, 50), lambda index: (140 - 2 * index, 62))
    timeline = world.run(50)
    assert missed(world, timeline, 50) == []


def test_a_gap_of_the_detector_is_filled_from_both_sides() -> None:
    world = World(steady)
    world.blind = world.near_blind = lambda index: 10 <= index < 26
    timeline = world.run(48)
    assert len(timeline.tracks) == 1
    assert missed(world, timeline, 48) == []
    assert timeline.tracks[0].grow[18] > timeline.tracks[0].grow[44]


def test_a_face_is_followed_back_to_where_it_appeared() -> None:
    world = World(lambda index: (30 + 2 * index, 60) if index >= 3 else None)
    world.blind = lambda index: index < 22
    timeline = world.run(40)
    assert len(timeline.tracks) == 1
    assert missed(world, timeline, 40) == []
    assert timeline.tracks[0].start <= 3


def test_a_face_that_pops_up_between_scans_is_covered_from_its_first_frame() -> None:
    for first in range(9, 17):
        world = World(lambda index, first=first: (100, 70) if index >= first else None)  # type: ignore[misc]
        assert missed(world, world.run(30), 30) == [], first


def test_a_face_that_enters_at_the_border_is_covered() -> None:
    world = World(lambda index: (4 * index - 10, 70))
    assert missed(world, world.run(40), 40, 0.7) == []


def test_tracks_reach_beyond_both_ends() -> None:
    world = World(lambda index: (100, 70) if 12 <= index < 30 else None)
    timeline = world.run(70)
    assert missed(world, timeline, 70) == []
    assert len(timeline.tracks) == 1
    track = timeline.tracks[0]
    assert track.start < 12
    assert 30 < track.stop <= 30 + RATE * (Settings().patience + Settings().tail) + 1


def test_a_face_hidden_for_a_moment_stays_one_track() -> None:
    world = World(lambda index: None if 20 <= index < 36 else (100, 70))
    timeline = world.run(60)
    assert missed(world, timeline, 60) == []
    assert len(timeline.tracks) == 1


def test_a_doubtful_sighting_that_nothing_confirms_makes_no_track() -> None:
    ghost = Face((50, 50, 80, 80), 0.45)
    tracker = Tracker(
        lambda frame, depth: [ghost] if frame.index == 8 else [],
        lambda frame, face: None,
        rate=RATE,
        settings=Settings(),
        keyframes=frozenset({8}),
    )
    assert tracker.run(World().frames(30)).tracks == []


def test_scores_between_low_and_threshold_continue_a_track_but_start_none() -> None:
    def run(first: float) -> list[Track]:
        def scan(frame: Frame, depth: object) -> list[Face]:
            return [Face((50, 50, 80, 80), first if frame.index == 0 else 0.3)]

        tracker = Tracker(scan, lambda frame, face: None, rate=RATE, settings=Settings())
        return tracker.run(World().frames(40)).tracks

    assert run(0.3) == []
    (track,) = run(0.9)
    assert (track.start, track.stop) == (0, 40)


# Scenes


def test_a_cut_separates_tracks() -> None:
    world = World(lambda index: (100, 70), cut=20)
    timeline = world.run(40)
    assert timeline.cuts == [20]
    assert {19, 20} <= set(timeline.scanned)
    assert sorted((track.start, track.stop) for track in timeline.tracks) == [(0, 20), (20, 40)]


def test_tails_do_not_reach_over_a_cut() -> None:
    world = World(lambda index: (100, 70) if index < 20 else None, cut=20)
    timeline = world.run(40)
    assert max(track.stop for track in timeline.tracks) == 20


def test_keyframes_that_are_asked_for_are_searched() -> None:
    timeline = World(steady).run(30, keyframes=frozenset({3, 4, 29, 500}))
    assert {3, 4, 29} <= set(timeline.scanned)


# Small and odd streams


def test_no_frame_gives_no_track() -> None:
    timeline = World(steady).run(0)
    assert (timeline.tracks, timeline.frames, timeline.scanned, timeline.cuts) == ([], 0, [], [])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_shortest_videos_are_covered(count: int) -> None:
    world = World(steady)
    timeline = world.run(count)
    assert timeline.frames == count
    assert missed(world, timeline, count, 0.9) == []


@pytest.mark.parametrize("rate", [0.0, 1.0, 12.5, 240.0])
def test_any_rate_works(rate: float) -> None:
    world = World(lambda index: (60 + index, 70))
    timeline = Tracker(world.scan, world.look, rate=rate, settings=Settings()).run(world.frames(60))
    assert missed(world, timeline, 60) == []


def test_time_stamps_play_no_role() -> None:
    world = World(steady)
    uneven = (
        Frame(frame.planes, frame.layout, frame.index, Fraction(frame.index**2, 7))
        for frame in world.frames(40)
    )
    timeline = Tracker(world.scan, world.look, rate=RATE, settings=Settings()).run(uneven)
    plain = world.run(40)
    assert timeline.scanned == plain.scanned
    np.testing.assert_array_equal(timeline.tracks[0].boxes, plain.tracks[0].boxes)


def test_ids_count_from_one_in_order_of_appearance() -> None:
    world = World(
        lambda index: (40, 40) if index >= 24 else None, lambda index: (150, 100), lambda index: (60, 100)
    )
    tracks = world.run(50).tracks
    assert [track.id for track in tracks] == [1, 2, 3]
    assert [track.start for track in tracks] == sorted(track.start for track in tracks)
    assert tracks[0].boxes[0, 0] < tracks[1].boxes[0, 0]


def test_frames_are_let_go_of() -> None:
    world = World(steady)
    alive: list[weakref.ref[Array]] = []
    most = 0

    def frames() -> Iterator[Frame]:
        nonlocal most
        for frame in world.frames(400):
            alive.append(weakref.ref(frame.planes[0]))
            yield frame
            most = max(most, sum(item() is not None for item in alive))

    size = 2 * WIDTH * HEIGHT
    world.places = (lambda index: (100, 70),)
    Tracker(world.scan, world.look, rate=RATE, settings=Settings(memory=20 * size)).run(frames())
    assert most <= 24


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_jittering_detector_that_misses_half_of_the_time_loses_no_frame(seed: int) -> None:
    rng = np.random.default_rng(seed)
    blind = rng.random(60) < 0.5
    shift = rng.normal(0, 1, (60, 2))
    speed = rng.uniform(-1.5, 1.5, 2)
    world = World(lambda index: (100 + speed[0] * index, 70 + speed[1] * min(index, 30)))
    blind[0] = False

    def scan(frame: Frame, depth: object) -> list[Face]:
        dx, dy = shift[frame.index]
        return [
            Face((x0 + dx, y0 + dy, x1 + dx, y1 + dy), 0.8)
            for x0, y0, x1, y1 in (
                face.box for face in ([] if blind[frame.index] else world.truth(frame.index))
            )
        ]

    timeline = Tracker(scan, lambda frame, face: None, rate=RATE, settings=Settings()).run(world.frames(40))
    assert missed(world, timeline, 32, 0.85) == []


# Assignment


def brute_force(cost: Floats) -> float:
    """Return the least total cost over all ways to pair the smaller side completely."""
    rows, columns = cost.shape
    if rows > columns:
        return brute_force(cost.T)
    return min(
        float(cost[range(rows), list(order)].sum()) for order in itertools.permutations(range(columns), rows)
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 5))
def test_assignment_is_the_best_of_all_pairings(seed: int, rows: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    # all sizes equal, all within one face of each other: nothing is ruled out, and the cost is distance and overlap
    corners = [rng.uniform(0, 25, (count, 2)) for count in (rows, columns)]
    expected, found = (np.hstack([corner, corner + 40]).astype(np.float32) for corner in corners)
    distance = np.linalg.norm(corners[0][:, None] - corners[1][None], axis=2)
    cost = distance / 40 + 1 - overlap(expected, found)
    pairs = assign(expected, found)
    assert len(pairs) == min(rows, columns)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert sum(cost[row, column] for row, column in pairs) == pytest.approx(brute_force(cost), abs=1e-4)


def test_what_is_too_far_or_of_another_size_is_no_pair() -> None:
    here = np.array([[0, 0, 40, 40]], np.float32)
    assert assign(here, here + 10) == [(0, 0)]
    assert assign(here, here + 45) == []
    assert assign(here, np.array([[-80, -80, 120, 120]], np.float32)) == []
    none = np.empty((0, 4), np.float32)
    assert assign(here, none) == assign(none, here) == assign(none, none) == []


def test_overlap_is_intersection_over_union() -> None:
    one = np.array([[0, 0, 10, 10], [0, 0, 2, 2]], np.float32)
    other = np.array([[5, 0, 15, 10], [0, 0, 10, 10], [20, 20, 30, 30]], np.float32)
    np.testing.assert_allclose(overlap(one, other), [[1 / 3, 1, 0], [0, 0.04, 0]], atol=1e-6)


# Looking up


def tracks_at(*spans: tuple[int, int]) -> list[Track]:
    return [
        Track(
            number,
            start,
            np.tile(np.array([0, 0, 9, 9], np.float32), (stop - start, 1)),
            np.full((stop - start, 5, 2), np.nan, np.float32),
            np.ones(stop - start, np.float32),
            np.zeros(stop - start, np.uint8),
            np.zeros(stop - start, np.float32),
        )
        for number, (start, stop) in enumerate(spans, start=1)
    ]


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 15)), max_size=6),
    st.lists(st.integers(0, 40), max_size=30),
)
def test_faces_are_found_by_frame_in_any_order(spans: list[tuple[int, int]], asked: list[int]) -> None:
    tracks = tracks_at(*[(start, start + count) for start, count in spans])
    lookup = by_frame(tracks)
    for index in asked:
        got = sorted(track.id for track, _ in lookup(index))
        assert got == [track.id for track in tracks if track.start <= index < track.stop]


def test_the_faces_of_a_photo_are_tracks_of_one_frame() -> None:
    faces = [Face((0, 0, 9, 9), 0.9, np.ones((5, 2), np.float32)), Face((20, 20, 40, 44), 0.7)]
    tracks = single(faces, index=4, start=3)
    assert [(track.id, track.start, track.stop) for track in tracks] == [(3, 4, 5), (4, 4, 5)]
    for track, face in zip(tracks, faces, strict=True):
        again = track.face(4)
        assert again is not None
        assert again.box == face.box
        assert (again.points is None) == (face.points is None)
    assert single([]) == []
