"""Measures over time agree with closed forms and plain loops; leaks are told from covers, blurs and coding noise."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, isnan, sin

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from incog.evaluate import temporal
from incog.evaluate.intervals import mean_over_people
from incog.types import Bytes, Floats

Mask = npt.NDArray[np.bool_]


def directions(seed: int, count: int, size: int = 8) -> Floats:
    rows = np.random.default_rng(seed).normal(size=(count, size))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def texture(height: int, width: int, seed: int = 0) -> Bytes:
    """Return smoothed noise, which has detail everywhere to find motion by."""
    noise = np.random.default_rng(seed).normal(size=(height, width, 3))
    smooth = ndimage.gaussian_filter(noise, (2, 2, 0))
    return np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def moving(count: int = 4, step: tuple[int, int] = (2, 3)) -> list[Bytes]:
    """Return frames (96, 96, 3) over which a texture moves up and to the left by whole pixels."""
    whole = texture(96 + 40, 96 + 40)
    return [whole[t * step[0] : t * step[0] + 96, t * step[1] : t * step[1] + 96] for t in range(count)]


def unrelated(count: int, shape: tuple[int, int] = (96, 96)) -> list[Bytes]:
    random = np.random.default_rng(5)
    return [random.integers(0, 256, (*shape, 3), dtype=np.uint8) for _ in range(count)]


# Identity


def test_identity_measures_by_hand() -> None:
    steady = np.repeat(directions(0, 1), 5, axis=0)
    assert temporal.identity_variance(steady) == pytest.approx(0, abs=1e-6)
    assert temporal.identity_switch(steady) == pytest.approx(0, abs=1e-6)
    swapped = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    assert temporal.identity_variance(swapped) == pytest.approx(1 - np.sqrt(0.5))
    assert temporal.identity_switch(swapped) == pytest.approx(1)
    opposite = np.array([[1, 0], [-1, 0]], np.float32)
    assert temporal.identity_variance(opposite) == pytest.approx(1)
    assert temporal.identity_switch(opposite) == pytest.approx(2)
    assert temporal.identity_variance(swapped[:1]) == 0
    assert isnan(temporal.identity_switch(swapped[:1]))


def test_variance_of_a_turn_is_that_of_its_arc() -> None:
    # The mean of directions spread evenly over an arc of a radians is 2 sin(a / 2) / a long.
    arc, count = 1.2, 4000
    angles = (np.arange(count) + 0.5) / count * arc
    turn = np.array([[cos(angle), sin(angle)] for angle in angles], np.float32)
    assert temporal.identity_variance(turn) == pytest.approx(1 - 2 * sin(arc / 2) / arc, abs=1e-5)
    assert temporal.identity_switch(turn) == pytest.approx(1 - cos(arc / count), abs=1e-6)


@given(st.integers(0, 10_000), st.integers(2, 12))
def test_identity_measures_are_those_of_plain_loops(seed: int, count: int) -> None:
    rows = directions(seed, count)
    mean = [sum(float(row[d]) for row in rows) / count for d in range(rows.shape[1])]
    variance = 1 - sum(value**2 for value in mean) ** 0.5
    assert temporal.identity_variance(rows) == pytest.approx(variance, abs=1e-6)
    steps = [
        1 - sum(float(a) * float(b) for a, b in zip(*rows[t : t + 2], strict=True)) for t in range(count - 1)
    ]
    assert temporal.identity_switch(rows) == pytest.approx(max(steps), abs=1e-6)
    # The order of frames matters to the switch alone, and a change of basis to neither.
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(8, 8)))[0].astype(np.float32)
    assert temporal.identity_variance(rows[::-1] @ basis) == pytest.approx(variance, abs=1e-5)
    assert temporal.identity_switch(rows @ basis) == pytest.approx(max(steps), abs=1e-5)


@pytest.mark.parametrize("rows", [np.zeros((0, 4)), np.ones((2, 4)), np.ones(4) / 2, np.full((2, 4), np.nan)])
def test_only_rows_of_unit_norm_are_embeddings(rows: Floats) -> None:
    for measure in (temporal.identity_variance, temporal.identity_switch, temporal.averaged):
        with pytest.raises(ValueError, match="rows of unit norm"):
            measure(rows.astype(np.float32))


# Attacks


def test_best_frame_is_the_highest() -> None:
    assert temporal.best_frame(np.array([0.1, 0.7, -0.2], np.float32)) == pytest.approx(0.7)
    for wrong in (np.zeros(0), np.zeros((2, 2)), np.array([0.1, np.nan])):
        with pytest.raises(ValueError, match="similarities must be finite"):
            temporal.best_frame(wrong.astype(np.float32))


def test_averaging_takes_noise_out() -> None:
    random = np.random.default_rng(0)
    person = directions(1, 1, 64)[0]
    noisy = person + random.normal(0, 0.5, (200, 64))
    noisy = (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32)
    mean = temporal.averaged(noisy)
    assert mean.shape == (64,)
    assert mean.dtype == np.float32
    assert np.linalg.norm(mean) == pytest.approx(1, abs=1e-6)
    assert temporal.multi_frame(noisy, person) == pytest.approx(float(mean @ person), abs=1e-6)
    assert temporal.multi_frame(noisy, person) > 0.95 > 0.6 > temporal.best_frame(noisy @ person)


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_the_mean_is_at_least_as_near_as_frames_are_on_average(seed: int, count: int) -> None:
    rows, person = directions(seed, count, 4), directions(seed + 1, 1, 4)[0]
    # ||mean|| is at most 1, so dividing by it can only move a similarity away from 0.
    similarity = float((rows @ person).mean())
    assert abs(temporal.multi_frame(rows, person)) >= abs(similarity) - 1e-5


def test_embeddings_that_cancel_have_no_mean() -> None:
    with pytest.raises(ValueError, match="cancel each other"):
        temporal.averaged(np.array([[1, 0], [-1, 0]], np.float32))


# Warping


def test_motion_of_a_shifted_texture() -> None:
    first, second = moving(2)
    flow, shown = temporal.motion(first, second)
    inner = np.s_[8:-8, 8:-8]
    # What is at p in the second frame was at p + (3, 2) in the first.
    assert np.abs(flow[inner] - [3, 2]).max() < 0.1
    assert shown[inner].all()
    # The last columns and rows came in from outside.
    assert not shown[:, -2:].any()
    assert not shown[-1:].any()


def test_motion_marks_what_was_hidden() -> None:
    back, front = texture(128, 160, 1), texture(64, 64, 2)
    first, second = back.copy(), back.copy()
    first[32:96, 40:104] = front
    second[32:96, 46:110] = front
    flow, shown = temporal.motion(first, second)
    assert np.median(flow[40:88, 54:102, 0]) == pytest.approx(-6, abs=0.1)
    assert shown[40:88, 54:102].mean() > 0.95
    assert shown[:24].mean() > 0.95
    # Six columns of background were behind the square before.
    assert shown[40:88, 40:46].mean() < 0.3


def test_what_moves_with_the_original_is_steady() -> None:
    frames = moving()
    assert temporal.warping_error(frames, frames) < 1e-4
    dimmed = [frame // 2 for frame in frames]
    assert temporal.warping_error(frames, dimmed) < 1e-4
    # A frozen texture does not move with it: two places of it are as good as unrelated, of variance 40^2 each.
    frozen = temporal.warping_error(frames, [texture(96, 96, 9)] * 4)
    assert frozen > 100 * temporal.warping_error(frames, frames)


def test_unrelated_noise_is_at_its_expectation() -> None:
    still = [texture(96, 96)] * 4
    # Two uniform values differ by 2 / 12 in the mean of squares, and by 257 / 255 more for 256 levels.
    assert temporal.warping_error(still, unrelated(4)) == pytest.approx(1 / 6 * 257 / 255, rel=0.02)
    # Carried by whole pixels that are right to a hundredth, noise is hardly averaged with its neighbours.
    assert temporal.warping_error(moving(), unrelated(4)) == pytest.approx(1 / 6, rel=0.05)


def test_warping_error_is_that_of_plain_loops() -> None:
    before, after = moving(3), [ndimage.gaussian_filter(frame, (1, 1, 0)) for frame in unrelated(3)]
    masks = [np.random.default_rng(t).random((96, 96)) < 0.1 for t in range(3)]
    errors = []
    for t in (1, 2):
        flow, shown = temporal.motion(before[t - 1], before[t])
        rows, columns = np.mgrid[:96, :96].astype(np.float64)
        previous = np.dstack(
            [
                ndimage.map_coordinates(
                    after[t - 1][..., channel].astype(np.float64),
                    [rows + flow[..., 1], columns + flow[..., 0]],
                    order=1,
                    mode="nearest",
                )
                for channel in range(3)
            ]
        )
        total, number = 0.0, 0
        for y, x in np.argwhere(shown & masks[t]):
            for channel in range(3):
                total += ((float(after[t][y, x, channel]) - previous[y, x, channel]) / 255) ** 2
                number += 1
        errors.append(total / number)
    # OpenCV carries with 32 steps to a pixel.
    assert temporal.warping_error(before, after, masks=masks) == pytest.approx(np.mean(errors), rel=0.01)


def test_masks_restrict_to_faces() -> None:
    before = moving()
    box = np.zeros((96, 96), bool)
    box[30:60, 30:60] = True
    after = []
    for frame, noise in zip(before, unrelated(4), strict=True):
        after.append(np.where(box[..., None], noise, frame))
    inside = temporal.warping_error(before, after, masks=[box] * 4)
    outside = temporal.warping_error(before, after, masks=[~ndimage.binary_dilation(box, iterations=5)] * 4)
    assert inside > 0.1
    assert outside < 1e-3
    assert inside > temporal.warping_error(before, after) > outside
    # The mask of the first frame is of no pair.
    assert temporal.warping_error(before, after, masks=[~box] + [box] * 3) == inside
    assert isnan(temporal.warping_error(before, after, masks=[box & ~box] * 4))
    late = temporal.warping_error(before, after, masks=[box & ~box] * 3 + [box])
    assert late == temporal.warping_error(before[2:], after[2:], masks=[box] * 2)


def test_the_ratio_is_to_the_originals_own() -> None:
    random = np.random.default_rng(0)

    def noisy(frames: list[Bytes], sigma: float) -> list[Bytes]:
        return [
            np.clip(np.rint(f + random.normal(0, sigma, f.shape)), 0, 255).astype(np.uint8) for f in frames
        ]

    before = noisy(moving(), 4)
    assert temporal.warping_ratio(before, before) == 1
    # Independent noises add up as squares: 4^2 + 8^2 over 4^2.
    assert temporal.warping_ratio(before, noisy(before, 8)) == pytest.approx(5, rel=0.1)
    own, other = temporal.warping_errors(before, unrelated(4))
    assert temporal.warping_ratio(before, unrelated(4)) == other / own
    assert temporal.warping_error(before, before) == own


def test_a_still_original_has_no_ratio() -> None:
    still = [texture(96, 96)] * 3
    assert temporal.warping_error(still, still) == 0
    assert isnan(temporal.warping_ratio(still, unrelated(3)))
    assert isnan(temporal.warping_ratio(still, still))
    assert isnan(temporal.warping_error(still[:1], still[:1]))


def test_frames_may_come_one_by_one() -> None:
    frames, noise = moving(), unrelated(4)
    assert temporal.warping_error(iter(frames), iter(noise)) == temporal.warping_error(frames, noise)


def test_frames_that_do_not_fit_are_refused() -> None:
    frames = moving()
    none = [np.zeros((96, 96), bool)] * 4
    with pytest.raises(ValueError, match="ends earlier"):
        temporal.warping_error(frames, frames[:3])
    with pytest.raises(ValueError, match="ends earlier"):
        temporal.warping_error(frames, frames, masks=none[:3])
    with pytest.raises(ValueError, match="must be of one shape"):
        temporal.warping_error(frames, [frame[:80] for frame in frames])
    with pytest.raises(ValueError, match="must be uint8"):
        temporal.warping_error(frames, [frame.astype(np.float32) for frame in frames])  # type: ignore[misc]
    with pytest.raises(ValueError, match="at least 16 px"):
        temporal.warping_error([frame[:12] for frame in frames], [frame[:12] for frame in frames])
    with pytest.raises(ValueError, match="masks must be"):
        temporal.warping_error(frames, frames, masks=[mask[:10] for mask in none])


# Flicker


def test_flicker_by_hand() -> None:
    turns = np.zeros((5, 4, 4, 3), np.uint8)
    turns[1::2] = 255
    assert temporal.flicker(turns) == 1
    fade = np.broadcast_to(np.arange(0, 200, 10, dtype=np.uint8)[:, None, None, None], (20, 4, 4, 3))
    assert temporal.flicker(fade) == 0
    flash = np.zeros((5, 4, 4, 3), np.float32)
    flash[2] = 0.5
    # A half, and a quarter on either side of it.
    assert temporal.flicker(flash) == pytest.approx(1 / 3)
    assert isnan(temporal.flicker(turns[:2]))


@given(st.integers(0, 10_000), st.integers(3, 7))
def test_flicker_is_that_of_plain_loops(seed: int, count: int) -> None:
    crops = np.random.default_rng(seed).integers(0, 256, (count, 3, 3, 3), dtype=np.uint8)
    values = []
    for t in range(1, count - 1):
        for place in np.ndindex(3, 3, 3):
            before, now, after = (int(crops[(at, *place)]) for at in (t - 1, t, t + 1))
            values.append(abs(before - 2 * now + after) / 2 / 255)
    assert temporal.flicker(crops) == pytest.approx(sum(values) / len(values))
    assert temporal.flicker(crops[::-1]) == pytest.approx(temporal.flicker(crops))
    assert temporal.flicker((crops / 255).astype(np.float32)) == pytest.approx(
        temporal.flicker(crops), abs=1e-6
    )


def test_flicker_ratio() -> None:
    random = np.random.default_rng(0)
    before = random.normal(0.5, 0.02, (40, 8, 8, 3)).astype(np.float32)
    after = ((before - 0.5) * 3 + 0.4).astype(np.float32)
    assert temporal.flicker_ratio(before, after) == pytest.approx(3, rel=1e-4)
    # Of independent noise it is sigma sqrt(1 + 1/4 + 1/4) sqrt(2 / pi).
    assert temporal.flicker(before) == pytest.approx(0.02 * np.sqrt(1.5 * 2 / np.pi), rel=0.03)
    assert isnan(temporal.flicker_ratio(np.full_like(before, 0.5), after))
    with pytest.raises(ValueError, match="of one shape"):
        temporal.flicker_ratio(before, after[1:])
    for wrong in (before[0], before[..., :1], before.astype(np.float64)):
        with pytest.raises(ValueError, match="crops must be"):
            temporal.flicker(wrong)  # type: ignore[arg-type]


# Leaks


def oval(x: float, y: float, width: float, height: float, points: int = 40) -> Floats:
    turn = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack([x + width / 2 * np.cos(turn), y + height / 2 * np.sin(turn)], 1).astype(np.float32)


FACE = oval(112, 57, 46, 60)
"""The astronaut's, brow to chin and ear to ear."""


def inside(hull: Floats, shape: tuple[int, ...], grow: float = 1.25) -> Mask:
    canvas = np.zeros(shape[:2], np.uint8)
    middle = hull.mean(0)
    cv2.fillPoly(canvas, [np.rint((hull - middle) * grow + middle).astype(np.int32)], 1)
    return canvas > 0


def noisy(picture: Bytes, sigma: float = 3, seed: int = 0) -> Bytes:
    noise = np.random.default_rng(seed).normal(0, sigma, picture.shape)
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


def black(picture: Bytes) -> Bytes:
    return np.zeros_like(picture)


def mean_colour(picture: Bytes) -> Bytes:
    return np.broadcast_to(picture[inside(FACE, picture.shape)].mean(0), picture.shape).astype(np.uint8)


def blocks(picture: Bytes) -> Bytes:
    height, width = picture.shape[:2]
    small = cv2.resize(picture, (width // 12, height // 12), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def blur(picture: Bytes) -> Bytes:
    return np.asarray(ndimage.gaussian_filter(picture, (9, 9, 0)), np.uint8)


def covered(picture: Bytes, paint: Callable[[Bytes], Bytes], face: Mask | None = None) -> Bytes:
    """Return the picture with its face painted and noise of coding everywhere."""
    face = inside(FACE, picture.shape) if face is None else face
    return noisy(np.where(face[..., None], paint(picture), picture))


PAINTS = [black, mean_colour, blocks, blur]


def test_coding_noise_alone_leaves_a_face_as_it_was(astronaut: Bytes) -> None:
    assert temporal.altered_share(astronaut, astronaut, FACE) == 0
    assert temporal.altered_share(astronaut, noisy(astronaut), FACE) == 0
    # Coarser coding than the tolerance allows for passes for altering, unless the tolerance is measured.
    coarse = noisy(astronaut, 12)
    assert temporal.altered_share(astronaut, coarse, FACE) == 1
    measured = temporal.coding_tolerance(astronaut, coarse, FACE, faces=[FACE])
    assert temporal.altered_share(astronaut, coarse, FACE, tolerance=measured) == 0


@pytest.mark.parametrize("paint", PAINTS)
def test_a_covered_face_is_altered(astronaut: Bytes, paint: Callable[[Bytes], Bytes]) -> None:
    after = covered(astronaut, paint)
    measured = temporal.coding_tolerance(astronaut, after, FACE, faces=[FACE])
    for tolerance in (temporal.TOLERANCE, measured):
        assert temporal.altered_share(astronaut, after, FACE, tolerance=tolerance) >= temporal.COVERED


@pytest.mark.parametrize("paint", PAINTS)
def test_a_face_that_sticks_out_of_its_mask_leaks(astronaut: Bytes, paint: Callable[[Bytes], Bytes]) -> None:
    face = inside(FACE, astronaut.shape)
    face[80:] = False
    # The hull ends at row 87: the chin, a tenth of its height, is open.
    after = covered(astronaut, paint, face)
    measured = temporal.coding_tolerance(astronaut, after, FACE, faces=[FACE])
    for tolerance in (temporal.TOLERANCE, measured):
        assert 0.8 < temporal.altered_share(astronaut, after, FACE, tolerance=tolerance) < temporal.COVERED


def test_the_tolerance_follows_coding_alone(astronaut: Bytes) -> None:
    def measured(after: Bytes, *faces: Floats) -> float:
        return temporal.coding_tolerance(astronaut, after, FACE, faces=faces)

    assert measured(astronaut) == temporal.FLOOR
    # The mean absolute value of noise is sigma sqrt(2 / pi); its mean over a square varies a little.
    assert measured(noisy(astronaut)) == pytest.approx(1.5 * 3 * np.sqrt(2 / np.pi), rel=0.25)
    # The cover itself does not count, nor that of another face which is known.
    painted = np.where(inside(FACE, astronaut.shape)[..., None], 0, astronaut).astype(np.uint8)
    assert measured(painted, FACE) == temporal.FLOOR
    other = oval(200, 60, 40, 50)
    painted[inside(other, astronaut.shape)] = 0
    assert measured(painted, other) == temporal.FLOOR
    assert measured(painted) > 20
    # What alters everything is not coding.
    assert measured(black(astronaut)) == temporal.CEILING
    # No surroundings to measure.
    whole = oval(127, 127, 250, 250)
    assert temporal.coding_tolerance(astronaut, astronaut, whole, faces=[]) == temporal.TOLERANCE
    away = oval(2000, 60, 40, 50)
    assert temporal.coding_tolerance(astronaut, astronaut, away, faces=[]) == temporal.TOLERANCE


def test_altered_share_is_that_of_plain_loops() -> None:
    before = texture(60, 70)
    after = noisy(before, 7, seed=3)
    hull = oval(40, 30, 30, 36)
    area = 0.5 * sum(
        float(a[0]) * float(b[1]) - float(b[0]) * float(a[1])
        for a, b in zip(hull, np.roll(hull, -1, 0), strict=True)
    )
    half = int(area**0.5 / 4) // 2
    difference = np.minimum(np.abs(before.astype(int) - after), 12)
    altered = []
    for y in range(60):
        for x in range(70):
            if ((x - 40) / 15) ** 2 + ((y - 30) / 18) ** 2 <= 1:
                window = difference[y - half : y + half + 1, x - half : x + half + 1]
                altered.append(bool((window.mean((0, 1)) > 6).any()))
    assert 0.05 < np.mean(altered) < 0.95
    # Pixels that the outline only touches count too.
    assert temporal.altered_share(before, after, hull) == pytest.approx(np.mean(altered), abs=0.03)


def test_faces_reach_over_the_border(astronaut: Bytes) -> None:
    half = oval(0, 57, 46, 60)
    assert temporal.altered_share(astronaut, black(astronaut), half) > 0.9
    assert temporal.altered_share(astronaut, astronaut, half) == 0
    # The last ends one pixel outside of the frame.
    for away in (oval(-80, 57, 46, 60), oval(112, 400, 46, 60), oval(280, 57, 46, 60), oval(-25, 57, 46, 60)):
        assert isnan(temporal.altered_share(astronaut, astronaut, away))


def test_leak_rate_is_over_face_frames_and_tracks(astronaut: Bytes) -> None:
    open_frame, closed = noisy(astronaut), covered(astronaut, black)
    other, away = oval(60, 180, 40, 50), oval(-80, 57, 46, 60)
    both = np.where(inside(other, astronaut.shape)[..., None], 0, closed).astype(np.uint8)
    after = [closed, open_frame, both, both]
    hulls = [[FACE], [FACE, other], [FACE, other], [other, away]]
    tracks = [["a"], ["a", "b"], ["a", "b"], ["b", "c"]]
    figure = temporal.leak_rate([astronaut] * 4, after, hulls, tracks)
    expected = mean_over_people(np.array([0.0, 1, 1, 0, 0, 0]), ["a", "a", "b", "a", "b", "b"], hits=True)
    assert figure == expected
    assert figure.value == pytest.approx(1 / 3)
    assert (figure.count, figure.people) == (6, 2)
    fixed = temporal.leak_rate([astronaut] * 4, after, hulls, tracks, tolerance=6)
    assert fixed == figure
    again = temporal.leak_rate(iter([astronaut] * 4), iter(after), iter(hulls), iter(tracks), covered=1e-9)
    assert again.value == pytest.approx(1 / 3)


def test_a_rate_of_nothing_is_not_measured(astronaut: Bytes) -> None:
    assert isnan(temporal.leak_rate([], [], [], []).value)
    nobody = temporal.leak_rate([astronaut], [astronaut], [[]], [[]])
    assert isnan(nobody.value)
    assert nobody.count == 0


def test_no_leak_among_few_tracks_is_not_taken_for_certain(astronaut: Bytes) -> None:
    closed = covered(astronaut, black)
    figure = temporal.leak_rate([astronaut] * 20, [closed] * 20, [[FACE]] * 20, [["a"]] * 20)
    assert figure.value == 0
    assert figure.high > 0.7


def test_wrong_arguments_are_refused(astronaut: Bytes) -> None:
    with pytest.raises(ValueError, match="hull must be"):
        temporal.altered_share(astronaut, astronaut, FACE[:2])
    with pytest.raises(ValueError, match="hull must be"):
        temporal.altered_share(astronaut, astronaut, np.full_like(FACE, np.nan))
    with pytest.raises(ValueError, match="hull must be"):
        temporal.coding_tolerance(astronaut, astronaut, FACE, faces=[np.full_like(FACE, np.nan)])
    for tolerance in (0, 255, float("nan")):
        with pytest.raises(ValueError, match="tolerance must be"):
            temporal.altered_share(astronaut, astronaut, FACE, tolerance=tolerance)
    with pytest.raises(ValueError, match="must be of one shape"):
        temporal.altered_share(astronaut, astronaut[:100], FACE)
    with pytest.raises(ValueError, match="frame 0 must have a track for each of 1 hulls, got 0"):
        temporal.leak_rate([astronaut], [astronaut], [[FACE]], [[]])
    with pytest.raises(ValueError, match="ends earlier"):
        temporal.leak_rate([astronaut], [astronaut], [], [])
    with pytest.raises(ValueError, match="covered must be"):
        temporal.leak_rate([], [], [], [], covered=0)
