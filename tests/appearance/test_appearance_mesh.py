"""Warps between faces and the model's frame, light, texture and grain: each against what is known by construction."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from incog import shape
from incog.appearance import grain, light, mesh, model, surround, texture
from incog.keys import Secret, Stream, derive
from incog.types import Floats

OWN = model.load()


def dense_at(width: float, middle: tuple[float, float], degrees: float = 0.0) -> Floats:
    """Return the mean face's points, their outline about ``width`` px wide."""
    turn = np.deg2rad(degrees)
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return (shape.load().mean @ spin.T * width + middle).astype(np.float32)


def smooth(size: int, seed: int = 0) -> Floats:
    noise = np.random.default_rng(seed).random((size, size, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 9)
    return np.asarray((soft - soft.min()) / np.ptp(soft), np.float32)


@pytest.mark.parametrize("degrees", [0, 25])
def test_places_and_back_are_inverse(degrees: float) -> None:
    corners = mesh.vertices(dense_at(100, (96, 96), degrees))
    where, covered = OWN.mesh.back(corners, 192)
    places = OWN.mesh.places(corners)
    inside = np.rint(places).astype(int)
    known = covered[inside[:, 1], inside[:, 0]]
    assert known.mean() > 0.99
    frame = np.stack([OWN.mesh.pixels % mesh.SHAPE[1], OWN.mesh.pixels // mesh.SHAPE[1]], 1)
    # A pixel's rounding is up to half a pixel of the crop, which the frame shows at its own scale.
    apart = np.abs(where[inside[:, 1], inside[:, 0]] - frame)[known]
    assert np.median(apart) < 0.6
    assert np.percentile(apart, 99) < 3


def test_a_face_taken_and_laid_back_is_the_same_picture() -> None:
    picture = smooth(192)
    corners = mesh.vertices(dense_at(110, (96, 96)))
    face = texture.taken(picture, corners, OWN.mesh)
    where, covered = OWN.mesh.back(corners, 192)
    inner = cv2.erode(covered.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    laid = texture.sampled(face, where)
    assert np.abs(laid - picture)[inner].max() < 0.02


def test_large_faces_are_taken_at_a_larger_frame() -> None:
    picture = smooth(900)
    face = texture.taken(picture, mesh.vertices(dense_at(500, (450, 450))), OWN.mesh, 4)
    assert face.shape == (4 * mesh.SHAPE[0], 4 * mesh.SHAPE[1], 3)
    small = cv2.resize(face, mesh.SHAPE[::-1], interpolation=cv2.INTER_AREA)
    whole = texture.taken(picture, mesh.vertices(dense_at(500, (450, 450))), OWN.mesh)
    inner, _ = OWN.parts(1)
    assert np.abs(small - whole)[inner].max() < 0.05


def test_the_light_is_found_through_beard_and_glints() -> None:
    true = np.zeros((light.TERMS, 3), np.float32)
    true[0], true[1], true[2] = (0.6, 0.45, 0.35), (0.12, 0.1, 0.08), (-0.05, -0.04, -0.03)
    face = texture.lit(true).copy()
    clean, share = OWN.light(face)
    assert share > 0.9
    # Terms are held back a little: on the face the surface is what counts.
    inner, _ = OWN.parts(1)
    assert np.abs(texture.lit(clean) - face)[inner].max() < 0.03
    bearded = face.copy()
    bearded[130:, :] *= 0.3
    bearded[60:66, 70:76] = 1
    found, _ = OWN.light(bearded)
    upper = inner.copy()
    upper[120:] = False
    assert np.abs(texture.lit(found) - face)[upper].max() < 0.06


def test_textures_come_back_and_do_not_depend_on_the_light() -> None:
    random = np.random.default_rng(2)
    codes = random.normal(size=30).astype(np.float32) * 3
    face = texture.decode(OWN.vector_of(codes), OWN.grid)
    dim, bright = (np.zeros((light.TERMS, 3), np.float32) for _ in range(2))
    dim[0], bright[0], bright[1] = 0.2, (0.5, 0.4, 0.3), 0.1
    inner, _ = OWN.parts(1)
    for coefficients in (dim, bright):
        vector = texture.encode(face * texture.lit(coefficients), coefficients, OWN.grid)
        again = OWN.texture_of(vector)[:30]
        assert np.abs(again - codes).max() < 0.25
        assert np.abs(texture.decode(vector, OWN.grid) - np.clip(face, 0, texture.MOST))[inner].mean() < 0.02


def test_grain_has_the_old_strength_and_nothing_of_the_old_pattern() -> None:
    random = np.random.default_rng(3)
    plain = np.ones((*mesh.SHAPE, 3), np.float32)
    noise = random.normal(size=mesh.SHAPE).astype(np.float32) * 0.02
    grainy = plain + noise[..., None]
    coefficients = np.zeros((light.TERMS, 3), np.float32)
    coefficients[0] = 1
    goal = grain.bands(OWN, grainy, coefficients, 1)
    stream = Stream(derive(Secret.from_seed(1), "test"), "grain")
    made = grain.alike(plain, OWN, goal, stream, 1.0, 1)
    _, skin = OWN.parts(1)
    added = (made - plain)[..., 0][skin]
    assert 0.012 < added.std() < 0.022
    assert abs(np.corrcoef(added, noise[skin])[0, 1]) < 0.05
    assert np.ptp(grain.alike(plain, OWN, goal, stream, 0.0, 1)[skin]) < 1e-5


def test_what_is_round_a_face_is_made_from_beyond_the_mask_alone() -> None:
    mask = np.zeros((128, 128), np.float32)
    cv2.circle(mask, (64, 64), 40, 1.0, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), 2)
    pixels = smooth(128)
    other = pixels.copy()
    other[mask > 0.25] = np.random.default_rng(0).random((int((mask > 0.25).sum()), 3))
    np.testing.assert_array_equal(surround.filled(pixels, mask), surround.filled(other, mask))
    assert np.isfinite(surround.filled(pixels, np.ones_like(mask))).all()
    np.testing.assert_allclose(surround.filled(pixels, np.zeros_like(mask)), pixels, atol=1e-6)


def test_a_steep_light_is_tamed_towards_its_mean_and_a_flat_one_stays() -> None:
    made = OWN.light
    flat = np.zeros((light.TERMS, 3), np.float32)
    flat[0] = 0.5
    np.testing.assert_array_equal(made.tamed(flat, 3.0), flat)
    steep = flat.copy()
    steep[1] = [0.45, 0.4, 0.35]
    assert made.contrast(steep) > 4
    tamed = made.tamed(steep, 3.0)
    assert made.contrast(tamed) == pytest.approx(3.0, rel=0.02)
    # Its colours on the whole are kept, and which side is lit.
    places = made.terms[made.prior > 0.3]
    np.testing.assert_allclose((places @ tamed).mean(0), (places @ steep).mean(0), atol=1e-3)
    assert (tamed[1] > 0).all()
