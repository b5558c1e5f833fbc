"""Faces moved in a linear space: exact where nothing is changed, and weak where it is said to be."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import optimize
from skimage import data

from incog.errors import ModelError
from incog.keys import Secret, derive
from incog.methods import aligned, eigenspace, subspace
from incog.methods.eigenspace import Basis
from incog.methods.subspace import Hypersphere, Pca, Svd
from incog.types import Bytes, Crops, Floats, Key

FIVE = np.array([(206.5, 118.5), (243.5, 113.5), (228.5, 140.0), (213.5, 154.5), (243.0, 150.5)], np.float32)
"""Of the astronaut, px."""


def key_of(number: int) -> Key:
    return derive(Secret.from_seed(5), "test", number)


def drawn(count: int, side: int = 12) -> Bytes:
    """Return (N, S, S, 3) uint8: few patterns, mixed, and a little noise."""
    random = np.random.default_rng(count)
    patterns = random.normal(0, 22, (10, side * side * 3)) * np.linspace(2, 0.5, 10)[:, None]
    rows = random.normal(size=(count, 10)) @ patterns + 128 + random.normal(0, 3, (count, side * side * 3))
    return np.asarray(np.clip(np.rint(rows), 0, 255), np.uint8).reshape(count, side, side, 3)


@pytest.fixture(scope="module")
def face() -> Floats:
    """Return the astronaut's face in the template, (64, 64, 3)."""
    picture = data.astronaut().astype(np.float32) / 255
    matrix = aligned.placed(FIVE, 64)
    assert matrix is not None
    return aligned.taken(picture, matrix, 64)


def crops_of(picture: Floats, points: Floats, mask: Floats, frames: int = 1) -> Crops:
    def repeated(value: Floats) -> Floats:
        return np.repeat(value[None], frames, 0)

    return Crops(
        repeated(picture),
        repeated(mask),
        repeated(np.eye(2, 3, dtype=np.float32)),
        np.full(frames, 90, np.float32),
        repeated(points),
        np.arange(frames),
        np.full((frames, 130, 2), np.nan, np.float32),
    )


# The basis


def test_all_modes_and_no_change_give_the_face_back() -> None:
    faces = drawn(40)
    basis = eigenspace.fit(faces, None, 39)
    rows = faces.astype(np.float32) / 255
    np.testing.assert_allclose(basis.decode(basis.encode(rows)), rows, atol=1e-5)


def test_the_basis_is_that_of_a_singular_value_decomposition() -> None:
    faces = drawn(60)
    basis = eigenspace.fit(faces, None, 8)
    rows = faces.reshape(60, -1) / 255
    _, sizes, modes = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    np.testing.assert_allclose(basis.deviations, sizes[:8] / np.sqrt(60), rtol=1e-3)
    np.testing.assert_allclose(np.abs((basis.modes * modes[:8]).sum(1)), 1, atol=1e-3)
    np.testing.assert_array_equal(eigenspace.fit(faces, None, 8).modes, basis.modes)


def test_what_a_picture_does_not_show_is_filled_in() -> None:
    faces = drawn(80)
    shown = np.ones(faces.shape[:3], np.float32)
    shown[::2, :, 9:] = 0
    cut = faces.copy()
    cut[::2, :, 9:] = cut[::2, :, 8:9]
    known, blind, filled = (
        eigenspace.fit(faces, None, 8),
        eigenspace.fit(cut, None, 8),
        eigenspace.fit(cut, shown, 8, fills=4),
    )

    def away(basis: Basis) -> float:
        return 8 - float(np.square(known.modes @ basis.modes.T).sum())

    assert away(filled) < 0.5 * away(blind)


def test_the_centre_is_that_of_a_general_solver() -> None:
    codes = np.random.default_rng(1).normal(size=(25, 3)) * [3, 1, 1] + [0, 0, 2]
    most = 1 / (0.2 * 25)
    kernel, squares = codes @ codes.T, np.square(codes).sum(1)
    solved = optimize.minimize(
        lambda alpha: alpha @ kernel @ alpha - alpha @ squares,
        np.full(25, 1 / 25),
        jac=lambda alpha: 2 * kernel @ alpha - squares,
        bounds=[(0, most)] * 25,
        constraints={"type": "eq", "fun": lambda alpha: alpha.sum() - 1},
        method="SLSQP",
    )
    found = eigenspace.svdd(codes.astype(np.float32), outside=0.2, steps=20_000)
    np.testing.assert_allclose(found, solved.x @ codes, atol=0.02)


def test_a_file_keeps_the_basis_and_others_are_refused() -> None:
    basis = eigenspace.fit(drawn(60), None, 12)
    again = eigenspace.unpack(eigenspace.pack(basis))
    np.testing.assert_allclose(again.modes @ again.modes.T, np.eye(12), atol=1e-5)
    np.testing.assert_allclose((again.modes * basis.modes).sum(1), 1, atol=1e-3)
    np.testing.assert_allclose(again.reach, basis.reach, rtol=1e-5)
    with pytest.raises(ModelError, match="no basis of faces"):
        eigenspace.unpack(b"PK nothing")


def test_the_shipped_basis_knows_faces(face: Floats) -> None:
    basis = eigenspace.shipped()
    assert basis.modes.shape == (eigenspace.COUNT, 64 * 64 * 3)
    assert (np.diff(basis.deviations) < 1e-3).all()
    rest = face - basis.decode(basis.encode(face))
    assert np.square(rest).mean() < 0.2 * np.square(face.ravel() - basis.mean).mean()


# Alignment


def test_a_face_comes_back_where_it_was() -> None:
    picture = np.ascontiguousarray(data.astronaut()[20:212, 130:322].astype(np.float32) / 255)
    points = FIVE - np.array([130, 20], np.float32)
    matrix = aligned.placed(points, 128)
    assert matrix is not None
    back = np.zeros_like(picture)
    row, column = np.mgrid[:192, :192] - np.array([points[2][1], points[2][0]])[:, None, None]
    mask = (np.hypot(row, column) < 30).astype(np.float32)
    aligned.lay(back, mask, aligned.taken(picture, matrix, 128), matrix)
    assert np.abs(back - picture)[mask > 0].mean() < 0.01
    assert not back[mask == 0].any()


def test_points_that_are_no_face_are_unfit() -> None:
    picture = np.full((64, 64, 3), 0.5, np.float32)
    upright = aligned.goal(64).copy()
    unknown = upright.copy()
    unknown[3] = np.nan
    line = np.stack([np.linspace(5, 60, 5), np.full(5, 30)], 1).astype(np.float32)
    wrong = (unknown, np.full((5, 2), 30, np.float32), line, upright * np.array([1, -1], np.float32) + 64)
    for points in wrong:
        crops = crops_of(picture, points.astype(np.float32), np.ones((64, 64), np.float32))
        rendered = Pca()(crops, [key_of(0)])
        assert rendered.unfit.all()
        np.testing.assert_array_equal(rendered.pixels, crops.pixels)
    assert not Pca()(crops_of(picture, upright, np.ones((64, 64), np.float32)), [key_of(0)]).unfit.any()


# Coefficients


def moved(method: Pca, codes: Floats, key: int = 0, frame: int = 0) -> Floats:
    deviations = eigenspace.shipped().deviations[: method.modes]
    return method.moved(codes, deviations, key_of(key), frame)


def test_coefficients_change_as_their_mode_says() -> None:
    codes = np.random.default_rng(2).normal(size=60).astype(np.float32)
    np.testing.assert_array_equal(moved(Pca(mode="keep"), codes), codes)
    dropped = moved(Pca(mode="drop", lead=7), codes)
    assert not dropped[:7].any()
    np.testing.assert_array_equal(dropped[7:], codes[7:])
    np.testing.assert_allclose(moved(Pca(mode="scale", beta=0.25, lead=0), codes), codes / 4)
    flipped = moved(Pca(mode="flip", lead=4), codes)
    np.testing.assert_array_equal(np.abs(flipped), np.abs(codes))
    np.testing.assert_array_equal(flipped[:4], codes[:4])
    assert 10 < (flipped[4:] != codes[4:]).sum() < 46


def test_flips_are_undone_by_the_key_alone() -> None:
    codes = np.random.default_rng(3).normal(size=60).astype(np.float32)
    method = Pca(mode="flip")
    once = moved(method, codes)
    np.testing.assert_array_equal(moved(method, once, frame=9), codes)
    assert not np.array_equal(moved(method, once, key=1), codes)


def test_gaussian_noise_is_of_the_size_of_faces_and_one_per_track() -> None:
    method = Pca(mode="gaussian", sigma=2, lead=0)
    codes = np.zeros(60, np.float32)
    noise = np.stack([moved(method, codes, key=key) for key in range(400)])
    ratio = noise.std(0) / eigenspace.shipped().deviations[:60]
    np.testing.assert_allclose(ratio, 2, rtol=0.2)
    np.testing.assert_array_equal(moved(method, codes, frame=0), moved(method, codes, frame=1))


def test_laplace_noise_has_the_scale_that_epsilon_asks_for() -> None:
    method = Pca(mode="laplace", epsilon=2000, modes=40, limit=2)
    assert method.noise == 2 * subspace.LEVELS * 40 / 2000
    bounds = 2 * eigenspace.shipped().deviations[:40]
    codes = np.stack([moved(method, np.zeros(40, np.float32), frame=frame) for frame in range(2000)])
    # Mean magnitude of a Laplace variable is its scale: 2 B r / epsilon.
    np.testing.assert_allclose(np.abs(codes).mean(0), 2 * bounds * 40 / 2000, rtol=0.12)
    assert not np.array_equal(codes[0], codes[1])


def test_laplace_noise_covers_coefficients_of_any_size() -> None:
    method = Pca(mode="laplace", epsilon=1)
    bounds = eigenspace.shipped().deviations[:60]
    for codes in (np.full(60, 1e6, np.float32), np.full(60, -1e6, np.float32)):
        assert (np.abs(moved(method, codes)) <= bounds * 1.0001).all()


def test_epsilon_is_composed_over_frames_and_refused_when_the_original_comes_through() -> None:
    one, many = (Pca(mode="laplace", epsilon=0.5).claims(frames=frames)[0] for frames in (1, 30))
    assert (one.holds, one.value, many.value) == (True, 0.5, 15.0)
    assert many.check is not None
    for method in (Pca(mode="laplace", light=0.1), Pca(mode="laplace", residual=1)):
        claims = method.claims()
        assert not any(claim.holds for claim in claims)
        assert "No epsilon is claimed" in claims[0].statement
    for mode in ("keep", "drop", "scale", "gaussian", "flip"):
        assert not any(claim.holds or claim.check for claim in Pca(mode=mode).claims())


def test_what_is_left_over_and_the_light_can_be_put_back(face: Floats) -> None:
    whole = Pca(mode="keep", residual=1).change(face, key_of(0), 0)
    np.testing.assert_allclose(whole, face, atol=1e-4)
    lit = Pca(mode="laplace", light=1).change(face, key_of(0), 0)
    weight = aligned.inner(64)[..., None]
    mean, goal = ((weight * one).sum((0, 1)) / weight.sum() for one in (lit, face))
    np.testing.assert_allclose(mean, goal, atol=1e-4)
    spread, want = ((weight * np.square(one - goal)).sum((0, 1)) / weight.sum() for one in (lit, face))
    np.testing.assert_allclose(spread, want, rtol=1e-3)


# Singular values


@pytest.fixture(scope="module")
def large() -> Floats:
    """Return the astronaut's face in the larger template, (128, 128, 3)."""
    matrix = aligned.placed(FIVE, 128)
    assert matrix is not None
    return aligned.taken(data.astronaut().astype(np.float32) / 255, matrix, 128)


def test_dropped_and_kept_singular_values_make_the_whole(large: Floats) -> None:
    kept, dropped = (Svd(mode=mode, count=9).decomposed(large) for mode in ("keep", "drop"))
    np.testing.assert_allclose(kept + dropped, large, atol=1e-5)
    assert all(np.linalg.matrix_rank(kept[..., channel], tol=1e-3) == 9 for channel in range(3))
    weaker = Svd(mode="attenuate", count=9, beta=0.5).decomposed(large)
    np.testing.assert_allclose(weaker, dropped + kept / 2, atol=1e-5)


def test_mean_and_contrast_are_restored(large: Floats) -> None:
    new = Svd(mode="drop", count=3).change(large, key_of(0), 0)
    np.testing.assert_allclose(new.mean((0, 1)), large.mean((0, 1)), atol=1e-4)
    np.testing.assert_allclose(new.std((0, 1)), large.std((0, 1)), atol=1e-3)


def test_smoothing_is_a_moving_average_along_rows_and_columns(large: Floats) -> None:
    np.testing.assert_allclose(Svd(mode="smooth", width=1).decomposed(large), large, atol=1e-5)
    expected = np.mean(
        [np.roll(large, (row, column), (0, 1)) for row in range(-2, 3) for column in range(-2, 3)], 0
    )
    np.testing.assert_allclose(Svd(mode="smooth", width=5).decomposed(large), expected, atol=1e-4)


def test_frames_of_a_track_do_not_depend_on_each_other() -> None:
    picture = np.ascontiguousarray(data.astronaut()[20:212, 130:322].astype(np.float32) / 255)
    points = FIVE - np.array([130, 20], np.float32)
    crops = crops_of(picture, points, np.ones((192, 192), np.float32), frames=3)
    pixels = Svd()(crops, [key_of(0)] * 3).pixels
    np.testing.assert_array_equal(pixels[0], pixels[2])


# The sphere


@pytest.mark.parametrize("centre", ["mean", "svdd"])
def test_faces_lie_on_the_sphere_in_their_own_direction(face: Floats, centre: str) -> None:
    basis = eigenspace.shipped()
    place, reach = (basis.mean, basis.reach[0]) if centre == "mean" else (basis.centre, basis.reach[1])
    new = Hypersphere(centre=centre, radius=0.4).change(face, key_of(0), 0).ravel() - place  # type: ignore[arg-type]
    old = face.ravel() - place
    assert np.linalg.norm(new) == pytest.approx(0.4 * reach, rel=1e-4)
    assert float(new @ old) / np.linalg.norm(new) / np.linalg.norm(old) == pytest.approx(1, abs=1e-5)


def test_a_recogniser_of_centred_directions_is_not_affected_as_is_said() -> None:
    basis = eigenspace.shipped()
    codes = np.random.default_rng(4).normal(size=(20, 100)) * basis.deviations[:100]
    probes = codes + 0.3 * np.random.default_rng(5).normal(size=codes.shape) * basis.deviations[:100]
    faces, hidden = (np.clip(basis.decode(rows.astype(np.float32)), 0, 1) for rows in (codes, probes))
    method = Hypersphere(radius=0.3)
    hidden_faces = np.stack([np.rint(method.change(one, key_of(0), 0) * 255) / 255 for one in hidden])

    def directions(rows: Floats) -> Floats:
        away = rows.reshape(len(rows), -1) - basis.mean
        return np.asarray(away / np.linalg.norm(away, axis=1, keepdims=True), np.float32)

    def distances(rows: Floats) -> Floats:
        return np.asarray(
            np.linalg.norm(rows.reshape(len(rows), 1, -1) - faces.reshape(1, len(faces), -1), axis=2),
            np.float32,
        )

    untouched, after = (directions(rows) @ directions(faces).T for rows in (hidden, hidden_faces))
    np.testing.assert_allclose(after, untouched, atol=0.02)
    assert (after.argmax(1) == np.arange(20)).all()
    # By distance many of them now look like whoever is nearest to the mean.
    hits = [float((distances(rows).argmin(1) == np.arange(20)).mean()) for rows in (hidden, hidden_faces)]
    assert hits[0] == 1
    assert hits[1] < 0.8
    told = method.claims()
    assert not any(claim.holds for claim in told)
    assert "not affected" in told[0].statement


@pytest.mark.parametrize("make", [Pca, Svd, Hypersphere])
def test_keys_and_crops_must_pair(make: Callable[[], Pca | Svd | Hypersphere]) -> None:
    crops = crops_of(np.zeros((64, 64, 3), np.float32), aligned.goal(64), np.ones((64, 64), np.float32), 2)
    with pytest.raises(ValueError, match="1 keys for 2 crops"):
        make()(crops, [key_of(0)])
