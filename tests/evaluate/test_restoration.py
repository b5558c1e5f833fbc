"""What methods leave can be computed back by who knows them: blur, blocks and noise, on a real face and drawn ones."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import skimage.data

from incog import compose, geometry
from incog.colour import rgb8
from incog.evaluate.restoration import averaged, restorer
from incog.evaluate.samples import frame_of
from incog.keys import Secret, track_key
from incog.methods import METHODS, make
from incog.pipeline import parameters
from incog.types import Bytes, Face, Floats, Origin, Track


@pytest.fixture(scope="module")
def portrait() -> Bytes:
    """Eileen Collins (NASA), 512 x 512 pixels; her face is about 100 pixels high."""
    return np.asarray(skimage.data.astronaut())


@pytest.fixture(scope="module")
def face(collins: Face) -> Face:
    """Return where her face is in the portrait, twice as large as the tests' usual one."""
    assert collins.points is not None
    x0, y0, x1, y1 = (2 * value + 0.5 for value in collins.box)
    return Face((x0, y0, x1, y1), collins.score, collins.points * 2 + np.float32(0.5))


def hide(picture: Bytes, face: Face, name: str, seed: int = 0, **settings: str) -> Bytes:
    assert face.points is not None
    track = Track(
        0,
        0,
        np.array([face.box], np.float32),
        face.points[None],
        np.ones(1, np.float32),
        np.array([Origin.DETECTED], np.uint8),
        np.zeros(1, np.float32),
    )
    job = compose.Job(track, face, make(name, settings), track_key(Secret.from_seed(seed), bytes(16), 0))
    hidden, unfit = compose.hide(frame_of(picture), [job], mask_scale=geometry.MASK_SCALE)
    assert not unfit
    return rgb8(hidden)


def restored(hidden: Bytes, face: Face, name: str, **settings: str) -> Bytes:
    undo = restorer(name, parameters(make(name, settings)))
    assert undo is not None
    return undo(hidden, face, geometry.hull(face))


def psnr(one: Bytes, other: Bytes, inside: np.ndarray) -> float:
    error = np.square((one[inside].astype(float) - other[inside]) / 255).mean()
    return float(-10 * np.log10(error))


def inside(picture: Bytes, outline: Floats, feather: float = 0) -> np.ndarray:
    height, width = picture.shape[:2]
    return geometry.mask([outline], (0, 0, width, height), feather) > 0


@pytest.mark.parametrize(
    ("name", "settings", "least"),
    [
        ("blur", {"sigma": "0.03"}, 3.0),
        ("blur", {}, 2.0),
        ("pixelate", {"blocks": "16"}, 1.5),
        ("pixelate", {}, 1.0),
        ("low-resolution", {}, 0.7),
        ("gaussian-noise", {}, 6.0),
        ("gaussian-noise", {"sigma": "0.2"}, 5.0),
        ("impulse-noise", {}, 9.0),
        ("dp-pixelate", {"epsilon": "2"}, 1.2),
    ],
)
def test_what_is_left_is_brought_back(
    portrait: Bytes, face: Face, name: str, settings: dict[str, str], least: float
) -> None:
    hidden = hide(portrait, face, name, **settings)
    back = restored(hidden, face, name, **settings)
    outline = geometry.hull(face)
    within = inside(portrait, outline)
    gain = psnr(back, portrait, within) - psnr(hidden, portrait, within)
    assert gain > least, f"{gain:.2f} dB"
    beyond = ~inside(portrait, outline, geometry.feather_width(face))
    np.testing.assert_array_equal(back[beyond], hidden[beyond])


def test_the_grid_of_a_turned_face_is_found(portrait: Bytes, face: Face) -> None:
    assert face.points is not None
    middle = np.array(face.centre, np.float32)
    turn = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), 25, 1).astype(np.float32)
    height, width = portrait.shape[:2]
    picture = np.asarray(cv2.warpAffine(portrait, turn, (width, height)), np.uint8)
    tilted = Face(face.box, face.score, geometry.apply(turn, face.points))
    assert abs(geometry.roll(tilted)) > 0.3
    hidden = hide(picture, tilted, "impulse-noise")
    within = inside(picture, geometry.hull(tilted))
    before = psnr(hidden, picture, within)
    assert psnr(restored(hidden, tilted, "impulse-noise"), picture, within) > before + 9
    # Who takes the grid to be level finds much less.
    level = psnr(restored(hidden, face, "impulse-noise"), picture, within)
    assert level < before + 6


def test_people_are_told_apart_again() -> None:
    box = (30.0, 24.0, 98.0, 112.0)
    points = np.array([(50, 55), (78, 55), (64, 72), (53, 90), (75, 90)], np.float32)
    face = Face(box, points=points)
    within = inside(np.zeros((128, 128, 3), np.uint8), geometry.hull(face, 0.9))

    def drawn(person: int, number: int) -> Bytes:
        pattern = np.random.default_rng(person).uniform(60, 200, (14, 11, 3)).astype(np.float32)
        canvas = np.full((128, 128, 3), 120, np.float32)
        canvas[4:, 14:114] = cv2.resize(pattern, (100, 124), interpolation=cv2.INTER_CUBIC)
        noise = np.random.default_rng([person, number]).normal(0, 3, canvas.shape)
        return np.asarray(np.clip(canvas + noise, 0, 255), np.uint8)

    def rows(pictures: list[Bytes]) -> Floats:
        fine = [
            one.astype(np.float32) - cv2.GaussianBlur(one.astype(np.float32), (0, 0), 6) for one in pictures
        ]
        values = np.stack([one[within].ravel() for one in fine])
        return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float32)

    people = range(12)
    gallery = rows([drawn(person, 0) for person in people])
    hidden = [hide(drawn(person, 1), face, "gaussian-noise", sigma="1.2") for person in people]
    margins = []
    for probes in (hidden, [restored(one, face, "gaussian-noise", sigma="1.2") for one in hidden]):
        similar = rows(probes) @ gallery.T
        margins.append(float(similar.diagonal().mean() - similar[~np.eye(12, dtype=bool)].mean()))
    assert margins[1] > margins[0] + 0.1, margins


def test_every_method_is_restored_or_said_not_to_be(portrait: Bytes, face: Face) -> None:
    found = {name for name in METHODS if restorer(name, parameters(make(name, {}))) is not None}
    assert found == {"blur", "pixelate", "low-resolution", "gaussian-noise", "impulse-noise", "dp-pixelate"}
    assert restorer("another tool", {}) is None


def test_nothing_comes_back_of_what_is_all_noise(portrait: Bytes, face: Face) -> None:
    hidden = hide(portrait, face, "impulse-noise", share="1")
    back = restored(hidden, face, "impulse-noise", share="1")
    outline = geometry.hull(face, 0.9)
    detail = back.astype(np.float32) - cv2.GaussianBlur(back.astype(np.float32), (0, 0), 6)
    assert detail[inside(back, outline)].std() < 3


def test_the_mean_of_frames_loses_the_noise(portrait: Bytes) -> None:
    clean = np.clip(portrait[:128, 180:308], 90, 165)
    random = np.random.default_rng(0)
    frames = [
        np.asarray(np.rint(np.clip(clean + random.normal(0, 20, clean.shape), 0, 255)), np.uint8)
        for _ in range(16)
    ]
    everywhere = np.ones(clean.shape[:2], bool)
    gain = psnr(averaged(frames), clean, everywhere) - psnr(frames[0], clean, everywhere)
    assert gain == pytest.approx(10 * np.log10(16), abs=0.2)
    np.testing.assert_array_equal(averaged(frames[:1]), frames[0])


def test_averaging_undoes_a_keyed_method(portrait: Bytes, face: Face) -> None:
    frames = [hide(portrait, face, "gaussian-noise", seed, sigma="0.2") for seed in range(16)]
    within = inside(portrait, geometry.hull(face))
    gain = psnr(averaged(frames), portrait, within) - psnr(frames[0], portrait, within)
    # What is clipped at black and white does not average out.
    assert 8 < gain < 12.1


@pytest.mark.parametrize("views", [[], [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)]])
def test_views_must_be_of_one_shape(views: list[Bytes]) -> None:
    with pytest.raises(ValueError, match="views must be one and more of one shape"):
        averaged(views)
