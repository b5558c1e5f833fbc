"""Faces of one frame through a method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from incog import compose, geometry
from incog.methods import make
from incog.methods.base import Method, Rendered
from incog.points import COUNT, five
from incog.track import single
from incog.types import Bytes, Crops, Face, Frame, Key, Layout

SMALL = Face(box=(60.0, 60.0, 72.0, 74.0))
LARGE = Face(box=(30.0, 20.0, 120.0, 130.0))


def frame_of(pixels: Bytes) -> Frame:
    return Frame((pixels,), Layout("rgb"))


def textured() -> Frame:
    """Smooth patches of a few pixels, as skin and features are."""
    noise = np.random.default_rng(1).normal(size=(160, 160, 3))
    smooth = gaussian_filter(noise, (3, 3, 0))
    return frame_of(np.clip(128 + 50 * smooth / smooth.std(), 0, 255).astype(np.uint8))


def hidden(frame: Frame, face: Face, method: Method) -> tuple[Frame, set[int]]:
    job = compose.Job(single([face])[0], face, method, Key(bytes(32)))
    return compose.hide(frame, [job], mask_scale=1.25, safest="fill")


@pytest.mark.parametrize(
    ("name", "settings", "face"),
    [
        ("pixelate", {"blocks": "64"}, SMALL),
        ("low-resolution", {"width": "64", "height": "64"}, SMALL),
        ("blur", {"sigma": "0.02"}, SMALL),
        ("impulse-noise", {"share": "0.01"}, LARGE),
    ],
)
def test_a_method_that_leaves_a_face_as_it_was_does_not_pass(
    name: str, settings: dict[str, str], face: Face
) -> None:
    frame = textured()
    result, unfit = hidden(frame, face, make(name, settings))
    assert unfit == {1}
    np.testing.assert_array_equal(result.planes[0], frame.planes[0])


@pytest.mark.parametrize("name", ["fill", "blackout", "pixelate", "darken", "gaussian-noise"])
def test_methods_that_hide_pass(name: str) -> None:
    frame = textured()
    before = frame.planes[0].copy()
    result, unfit = hidden(frame, LARGE, make(name, {}))
    assert not unfit
    inside = geometry.mask([geometry.hull(LARGE, 1.25)], (0, 0, 160, 160), 0) > 0
    assert (result.planes[0] != before).any(axis=2)[inside].mean() > 0.95
    np.testing.assert_array_equal(frame.planes[0], before)


def test_a_dark_face_may_be_blacked_out_and_a_flat_one_filled() -> None:
    """Little changes where there is little to change: that is no failure of the method."""
    assert not hidden(frame_of(np.full((160, 160, 3), 3, np.uint8)), LARGE, make("blackout", {}))[1]
    assert not hidden(frame_of(np.full((160, 160, 3), 128, np.uint8)), LARGE, make("fill", {}))[1]


def test_faces_do_not_depend_on_their_order_where_they_lie_apart() -> None:
    frame = textured()
    faces = [Face(box=(10.0, 10.0, 40.0, 45.0)), Face(box=(100.0, 90.0, 140.0, 140.0))]
    method = make("fill", {})
    jobs = [
        compose.Job(track, face, method, Key(bytes([number]) * 32))
        for number, (track, face) in enumerate(zip(single(faces), faces, strict=True))
    ]
    one, _ = compose.hide(frame, jobs, mask_scale=1.25)
    other, _ = compose.hide(frame, jobs[::-1], mask_scale=1.25)
    np.testing.assert_array_equal(one.planes[0], other.planes[0])


def test_near_faces_lie_over_far_ones_and_drawn_faces_over_filled_ones() -> None:
    frame = frame_of(np.full((160, 160, 3), 128, np.uint8))
    near, far = LARGE, Face(box=(90.0, 60.0, 130.0, 110.0))
    tracks = single([near, far])

    def colours(*fills: str) -> tuple[float, ...]:
        """Return the colour where both faces lie, the last given being the last to be drawn."""
        drawn = []
        for track, face, fill in zip(tracks, (near, far), fills, strict=True):
            job = compose.Job(track, face, make("fill", {}), Key(bytes(32)))
            (one,), _ = compose.draw(frame, [job], compose.eggs(frame, [face], 1.25))
            value = {"white": 1.0, "black": 0.0}[fill]
            drawn.append(replace(one, pixels=np.full_like(one.pixels, value)))
        orders = (drawn, drawn[::-1])
        return tuple(float(compose.lay(frame, order).planes[0][85, 105, 0]) for order in orders)

    assert colours("white", "black") == (255, 255)
    assert colours("black", "white") == (0, 0)
    drawn = []
    for track, face, name, value in ((tracks[0], near, "fill", 1.0), (tracks[1], far, "replace", 0.0)):
        seen = compose.eggs(frame, [face], 1.25)
        (one,), _ = compose.draw(frame, [compose.Job(track, face, make("fill", {}), Key(bytes(32)))], seen)
        job = compose.Job(track, face, make(name, {}), Key(bytes(32)))
        drawn.append(replace(one, job=job, pixels=np.full_like(one.pixels, value)))
    assert compose.lay(frame, drawn).planes[0][85, 105, 0] == 0


def test_a_filled_face_lies_over_a_larger_one_that_is_hidden_weakly() -> None:
    """Blocks of the larger one's crop are blocks of the smaller face too."""
    noise = np.random.default_rng(5).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    small = Face(box=(90.0, 60.0, 130.0, 110.0))
    tracks = single([LARGE, small])
    names = ("pixelate", "fill")
    jobs = [
        compose.Job(track, face, make(name, {}), Key(bytes(32)))
        for track, face, name in zip(tracks, (LARGE, small), names, strict=True)
    ]
    frame = frame_of(noise)
    both, _ = compose.hide(frame, jobs, mask_scale=1.25)
    alone, _ = compose.hide(frame, jobs[1:], mask_scale=1.25)
    inside = geometry.mask([geometry.hull(small, 1.25)], (0, 0, 160, 160), 0) > 0
    np.testing.assert_array_equal(both.planes[0][inside], alone.planes[0][inside])


class Looks:
    """A method that draws with what is around a face, and remembers what it was shown."""

    name, granularity, weak = "looks", "track", ""

    def __init__(self) -> None:
        self.crops: list[Crops] = []

    def __call__(self, crops: Crops, keys: Sequence[Key]) -> Rendered:
        self.crops += list(crops)
        return Rendered(1 - crops.pixels, np.zeros(len(crops), np.bool_))


@pytest.mark.parametrize("apart", [45.0, 300.0])
def test_a_face_is_drawn_without_the_faces_beside_it(apart: float) -> None:
    """Whoever stands beside somebody must not go on in his hair."""
    noise = np.random.default_rng(3).integers(0, 256, (160, 500, 3), dtype=np.uint8)
    frame, method = frame_of(noise), Looks()
    faces = [Face((30.0, 40.0, 70.0, 90.0)), Face((30.0 + apart, 40.0, 70.0 + apart, 90.0))]
    jobs = [
        compose.Job(track, face, cast("Method", method), Key(bytes(32)))
        for track, face in zip(single(faces), faces, strict=True)
    ]
    compose.draw(frame, jobs, compose.eggs(frame, faces, 1.25))
    crop = method.crops[0]
    own, outside = crop.masks[0] >= 1, crop.masks[0] == 0
    assert crop.pixels[0][own].std() > 0.15
    other = geometry.apply(geometry.inverse(crop.matrices[0]), geometry.hull(faces[1], 1.1))
    theirs = (geometry.mask([other], (0, 0, crop.size, crop.size), 0) > 0) & outside
    if apart < 100:
        assert theirs.sum() > 50
        assert crop.pixels[0][theirs].std() < 0.05
        assert crop.pixels[0][outside & ~theirs].std() > 0.1
    else:
        assert not theirs.any()
        alone = compose.crop_of(frame, faces[0], mask_scale=1.25)
        np.testing.assert_array_equal(crop.pixels, alone.pixels)


def test_no_pattern_of_another_face_is_in_the_feather_either() -> None:
    """Methods blend with what is there."""
    faces = [Face((30.0, 40.0, 70.0, 90.0)), Face((64.0, 42.0, 104.0, 92.0))]
    pixels = np.full((160, 200, 3), 128, np.uint8)
    theirs = geometry.mask([geometry.hull(faces[1], 1.25)], (0, 0, 200, 160), 0) > 0
    pixels[theirs] = np.random.default_rng(4).integers(0, 256, (theirs.sum(), 3))
    method = Looks()
    jobs = [
        compose.Job(track, face, cast("Method", method), Key(bytes(32)))
        for track, face in zip(single(faces), faces, strict=True)
    ]
    compose.draw(frame_of(pixels), jobs, compose.eggs(frame_of(pixels), faces, 1.25))
    crop = method.crops[0]
    detail = np.abs(crop.pixels[0] - cv2.blur(crop.pixels[0], (3, 3))).mean(2)
    # A pixel's neighbours may lie on the hull, where the crop is the frame's own.
    rim = cv2.dilate((crop.masks[0] >= 1).astype(np.uint8), np.ones((3, 3))) == 0
    where = (crop.masks[0] > 0) & rim
    assert where.sum() > 50
    assert detail[crop.masks[0] >= 1].max() > 0.2
    assert detail[where].max() < 0.1


def test_where_no_detector_looked_five_points_are_those_of_the_landmarks() -> None:
    dense = np.random.default_rng(2).uniform(40, 110, (COUNT, 2)).astype(np.float32)
    (outline,) = compose.eggs(textured(), [LARGE], 1.25)
    job = compose.Job(single([LARGE])[0], LARGE, make("fill", {}), Key(bytes(32)))
    for own in (None, dense[:5] + 1):
        face = replace(LARGE, points=own)
        jobs = [replace(job, face=face)]
        ((_, crop),) = compose.crops(textured(), jobs, [replace(outline, dense=dense)])
        found = geometry.apply(crop.matrices[0], crop.points[0])
        np.testing.assert_allclose(found, five(dense) if own is None else own, atol=1e-2)
    ((_, crop),) = compose.crops(textured(), [job], [outline])
    assert np.isnan(crop.points).all()
