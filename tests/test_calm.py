"""New faces averaged along their tracks: calmer, as sharp, and made of nothing but what was drawn."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np

from incog import geometry, shape
from incog.calm import REACH, Scene, averaged, calmed
from incog.compose import Drawn, Job
from incog.methods import make
from incog.outline import Seen, face_outline
from incog.track import single
from incog.types import Face, Floats, Frame, Key, Layout

FRAME = Frame((np.zeros((8, 8, 3), np.uint8),), Layout("rgb"))
METHOD = make("appearance-replace", {})


def drawn(
    index: int,
    colour: float,
    *,
    number: int = 1,
    pattern: bool = False,
    grow: float = 1.15,
    speed: float = 4.0,
) -> Drawn:
    """Return a face of 90 px that moves by ``speed`` px a frame, drawn in one colour, or with stripes that are fixed to
    it; around it the crop is white."""
    dense = (shape.load().mean * 60 + [100 + speed * index, 90 + index]).astype(np.float32)
    low, high = dense.min(0), dense.max(0)
    face = Face((float(low[0]), float(low[1]), float(high[0]), float(high[1])))
    outline = face_outline(dense, grow=grow)
    matrix, size = geometry.crop_matrix(face, outline)
    mask = geometry.mask([geometry.apply(geometry.inverse(matrix), outline)], (0, 0, size, size), 4.0)
    nodes = np.stack(np.meshgrid(*[np.arange(size, dtype=np.float32)] * 2), axis=2)
    places = geometry.apply(matrix, nodes) - dense.mean(0)
    inside = colour + 0.3 * np.sin(places[..., 0] / 2) * pattern
    pixels = np.where(mask > 0, inside, 1.0)[..., None].repeat(3, 2).astype(np.float32)
    track = replace(single([face])[0], id=number)
    return Drawn(Job(track, face, METHOD, Key(bytes(32))), Seen(outline, dense), matrix, pixels, mask)


def scenes(faces: list[Drawn]) -> list[Scene]:
    return [Scene(FRAME, [face]) for face in faces]


def middle(face: Drawn) -> float:
    """Return the mean of a face's inner part: at its rim other frames count less."""
    inner = cv2.erode((face.mask >= 1).astype(np.uint8), np.ones((25, 25))) > 0
    return float(face.pixels[inner].mean())


def test_one_frame_stays_as_it_was() -> None:
    face = drawn(0, 0.4, pattern=True)
    (found,) = calmed(scenes([face]))
    np.testing.assert_array_equal(found.drawn[0].pixels, face.pixels)


def test_what_trembles_is_calmed_and_what_moves_with_the_face_stays_sharp() -> None:
    random = np.random.default_rng(0)
    shades = 0.5 + 0.05 * random.normal(size=20)
    faces = [drawn(index, float(shade), pattern=True) for index, shade in enumerate(shades)]
    found = [scene.drawn[0] for scene in calmed(scenes(faces))]
    before, after = (
        np.mean([(middle(b) - middle(a)) ** 2 for a, b in pairwise(every)]) for every in (faces, found)
    )
    assert after < 0.1 * before
    for old, new in zip(faces, found, strict=True):
        inner = old.mask >= 1
        assert new.pixels[inner].std() > 0.85 * old.pixels[inner].std()
        old_pattern, new_pattern = (
            face.pixels[inner][:, 0] - face.pixels[inner].mean() for face in (old, new)
        )
        assert np.corrcoef(old_pattern, new_pattern)[0, 1] > 0.98


def test_nothing_but_what_was_drawn_comes_in() -> None:
    """The other frames' masks are smaller, and around them is white."""
    face = drawn(5, 0.2, grow=1.4)
    others = [(1.0, drawn(index, 0.2, grow=1.0)) for index in (3, 4, 6, 7)]
    new = averaged(face, others)
    np.testing.assert_allclose(new.pixels[face.mask > 0], 0.2, atol=1e-6)
    np.testing.assert_array_equal(new.pixels[face.mask == 0], face.pixels[face.mask == 0])


def test_no_edge_shows_where_another_frame_ends() -> None:
    face = drawn(5, 0.2, grow=1.4, speed=0)
    new = averaged(face, [(1.0, drawn(index, 0.8, grow=1.0, speed=0)) for index in (4, 6)])
    assert (
        np.abs(np.diff(new.pixels[len(new.pixels) // 2, :, 0][face.mask[len(face.mask) // 2] >= 1])).max()
        < 0.15
    )
    assert new.pixels[len(new.pixels) // 2, len(new.pixels) // 2, 0] > 0.5


def test_other_tracks_do_not_count() -> None:
    faces = [drawn(0, 0.2), drawn(1, 0.8, number=2), drawn(2, 0.2)]
    found = [scene.drawn[0] for scene in calmed(scenes(faces))]
    np.testing.assert_allclose([middle(face) for face in found], [0.2, 0.8, 0.2], atol=1e-5)


def test_a_face_leads_over_softly_to_another_and_stays_itself_further_away() -> None:
    faces = [drawn(index, 0.2 if index < 8 else 0.8, speed=0) for index in range(16)]
    shades = [middle(scene.drawn[0]) for scene in calmed(scenes(faces))]
    steps = np.diff(shades)
    assert (steps >= -1e-6).all()
    assert steps.max() < 0.2
    np.testing.assert_allclose(shades[: 8 - REACH], 0.2, atol=1e-5)
    np.testing.assert_allclose(shades[8 + REACH :], 0.8, atol=1e-5)


def test_faces_without_points_are_laid_over_each_other_by_their_boxes() -> None:
    faces = [drawn(index, 0.3 + 0.1 * (index % 2)) for index in range(12)]
    blind = [replace(face, seen=Seen(face.seen.outline)) for face in faces]
    shades = [middle(scene.drawn[0]) for scene in calmed(scenes(blind))]
    assert np.abs(np.diff(shades[3:-3])).max() < 0.02


def test_another_expression_is_not_mixed_in() -> None:
    """Points that fit each other by no turn and zoom: a face that the track lost for another."""
    face, other = drawn(0, 0.2), drawn(1, 0.8)
    assert other.seen.dense is not None
    bent = other.seen.dense.copy()
    bent[100:] += [0, 60]
    found = averaged(face, [(1.0, replace(other, seen=Seen(other.seen.outline, bent)))])
    np.testing.assert_array_equal(found.pixels, face.pixels)


def test_the_result_does_not_depend_on_frames_further_away() -> None:
    random = np.random.default_rng(1)
    faces = [drawn(index, float(shade)) for index, shade in enumerate(random.uniform(0.2, 0.8, 20))]
    whole = list(calmed(scenes(faces)))
    part = list(calmed(scenes(faces[4:16])))
    first: Floats = part[REACH].drawn[0].pixels
    np.testing.assert_array_equal(first, whole[4 + REACH].drawn[0].pixels)
