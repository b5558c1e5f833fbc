"""New faces by the appearance model: drawn from keys, nothing of the old pixels, pose and expression kept."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest

from incog import alignment, compose, geometry, points
from incog.appearance import model, painting, reading
from incog.errors import InputError
from incog.keys import Secret, derive
from incog.methods.appearance import AppearanceReplace, KSameM
from incog.methods.base import Method, Rendered
from incog.perceive import attributes
from incog.perceive.embedder import SIZE, TEMPLATE, make_embedder
from incog.perceive.hulls import make_hulls
from incog.perceive.landmarks import make_landmarker
from incog.track import single
from incog.types import Bytes, Crops, Face, Floats, Frame, Key, Layout


def key(number: int) -> Key:
    return derive(Secret.from_seed(7), "test", number)


class Keeps:
    """A method that remembers its crops."""

    name = "keeps"
    granularity, weak = "image", ""

    def __call__(self, crops: Crops, keys: Any) -> Rendered:
        self.crops = crops
        return Rendered(1 - crops.pixels, np.zeros(len(crops), np.bool_))


LOOK = np.array([0.4, 0.9, 0.7, 0.1, 0.1, 0.05, 0.05, 0.3, 0.6], np.float32)
"""Of a woman of forty who smiles."""


def crops_of(picture: Bytes, face: Face) -> Crops:
    keeps = Keeps()
    frame = Frame((np.ascontiguousarray(picture),), Layout("rgb"))
    job = compose.Job(single([face])[0], face, cast("Method", keeps), key(0))
    compose.hide(frame, [job], mask_scale=geometry.MASK_SCALE, hulls=make_hulls())
    return keeps.crops


@pytest.fixture(scope="module")
def crops(astronaut: Bytes, collins: Face) -> Crops:
    return crops_of(astronaut, collins)


def eight(pixels: Floats) -> Bytes:
    return np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)


def likeness(crops: Crops, pixels: Floats) -> float:
    """Return the cosine of the package's embeddings of a crop and of what became of it."""
    look = make_embedder()
    five = points.five(crops.dense[0])
    old, new = (alignment.crop(eight(face), five, TEMPLATE, SIZE) for face in (crops.pixels[0], pixels[0]))
    one, other = look(np.stack([old, new]))
    return float(one @ other)


def test_a_key_is_a_person_through_a_whole_track(crops: Crops) -> None:
    method = AppearanceReplace()
    first, again = method(crops, [key(1)]), method(replace(crops, frames=crops.frames + 40), [key(1)])
    np.testing.assert_array_equal(first.pixels, again.pixels)
    other = method(crops, [key(2)])
    inside = crops.masks[0] >= 1
    assert np.abs(first.pixels - other.pixels)[0][inside].mean() > 0.01
    assert not first.unfit.any()


def test_the_person_is_not_recognised_and_another_picture_of_the_fake_is(crops: Crops) -> None:
    method = AppearanceReplace()
    told = [likeness(crops, method(crops, [key(number)]).pixels) for number in range(6)]
    assert np.mean(told) < 0.35
    assert max(told) < 0.6


def test_points_stay_near_and_the_face_is_found_again(crops: Crops) -> None:
    land = make_landmarker()
    (old,) = land.refine(eight(crops.pixels[0]), [points.five(crops.dense[0])])
    eyes = float(points.interocular(old.points))
    for number in range(3):
        (new,) = land.refine(
            eight(AppearanceReplace()(crops, [key(number)]).pixels[0]), [points.five(crops.dense[0])]
        )
        assert new.doubt < 0.12
        assert np.abs(new.yaw - old.yaw) < 8
        apart = np.linalg.norm(points.five(new.points) - points.five(old.points), axis=1)
        assert apart.mean() < 0.12 * eyes


def test_a_mole_does_not_come_through(crops: Crops) -> None:
    method = AppearanceReplace()
    spotted = crops.pixels.copy()
    cheek = (crops.dense[0, 58] + crops.dense[0, 110]) / 2
    size = max(2, round(float(points.interocular(crops.dense[0])) / 20))
    cv2.circle(spotted[0], (int(cheek[0]), int(cheek[1])), size, (0.1, 0.05, 0.05), -1)
    assert np.abs(spotted - crops.pixels).max() > 0.3
    plain, marked = (method(replace(crops, pixels=face), [key(3)]).pixels for face in (crops.pixels, spotted))
    spot = np.abs(spotted - crops.pixels)[0].max(2) > 0.2
    # What changes is how sharp the whole face is, not the cheek.
    changed = np.abs(plain - marked)[0].max(2)
    assert changed[spot].mean() < 0.02
    assert changed[spot].max() < changed[crops.masks[0] >= 1].max() + 1e-6


def test_only_what_is_beyond_the_mask_and_what_was_read_is_painted(crops: Crops) -> None:
    own = model.load()
    seen = reading.read(own, crops.pixels[0], crops.dense[0])
    assert seen is not None
    person = painting.drawn(own, key(4), "test", LOOK)
    dense = painting.shape_for(own, seen.dense, person)
    face = painting.Face(
        dense, own.vector_of(painting.texture_for(own, seen.light, dense, person, 0.8)), seen.light
    )
    mask = crops.masks[0]
    noise = crops.pixels[0].copy()
    noise[mask > 0.25] = np.random.default_rng(0).random((int((mask > 0.25).sum()), 3))
    painted, same = (
        painting.paint(own, face, pixels, mask, seen.matrix) for pixels in (crops.pixels[0], noise)
    )
    np.testing.assert_array_equal(painted, same)


def test_expression_and_gaze_are_kept(crops: Crops) -> None:
    own = model.load()
    seen = reading.read(own, crops.pixels[0], crops.dense[0])
    assert seen is not None
    lips = points.INNER_LIPS.start

    def gap(dense: Floats) -> float:
        return float(np.mean(dense[lips + 5 : lips + 8, 1]) - np.mean(dense[lips + 1 : lips + 4, 1]))

    opened = seen.dense.copy()
    opened[lips + 5 : lips + 8, 1] += 0.12
    people = [painting.drawn(own, key(number), "test", LOOK) for number in range(8)]
    for person in people:
        shut = painting.shape_for(own, seen.dense, person)
        wide = painting.shape_for(own, opened, person)
        assert gap(wide) - gap(shut) > 0.06
    aside = seen.dense.copy()
    aside[points.RIGHT_IRIS, 0] += 0.03
    aside[points.LEFT_IRIS, 0] += 0.03
    moved = painting.looking(aside, seen.dense) - painting.looking(seen.dense, seen.dense)
    assert moved[points.RIGHT_IRIS, 0] == pytest.approx(0.03, abs=5e-3)
    np.testing.assert_allclose(painting.looking(seen.dense, seen.dense), seen.dense, atol=1e-5)


def test_the_new_face_looks_as_the_track_does_or_as_chance_has_it(crops: Crops) -> None:
    judge = attributes.make_attributes()
    man = LOOK.copy()
    man[:2] = 0.7, 0.05

    def told(method: AppearanceReplace, look: Floats) -> tuple[float, float]:
        """Return the mean of female and of age over a few keys."""
        given = replace(crops, looks=look[None])
        five = points.five(crops.dense[0])
        made = [method(given, [key(number)]).pixels[0] for number in range(6)]
        faces = np.stack([alignment.crop(eight(face), five, TEMPLATE, SIZE) for face in made])
        found = judge(faces)
        return float(np.mean([one.gender[1] for one in found])), float(np.mean([one.age for one in found]))

    kept = AppearanceReplace()
    (her, young), (his, old) = told(kept, LOOK), told(kept, man)
    assert her > his + 0.2
    assert old > young + 5
    drawn = AppearanceReplace(looks="drawn")
    assert told(drawn, LOOK) == told(drawn, man)


def test_what_cannot_be_read_is_unfit(crops: Crops) -> None:
    method = AppearanceReplace()
    unknown = replace(crops, dense=np.full_like(crops.dense, np.nan))
    narrow = crops.dense.copy()
    middle = narrow[0].mean(0)
    narrow[0, :, 0] = middle[0] + 0.35 * (narrow[0, :, 0] - middle[0])
    jumbled = crops.dense.copy()
    jumbled[0] = np.random.default_rng(0).permutation(jumbled[0])
    for bad in (unknown, replace(crops, dense=narrow), replace(crops, dense=jumbled)):
        result = method(bad, [key(0)])
        assert result.unfit.all()
        np.testing.assert_array_equal(result.pixels, crops.pixels)


def people_of(crops: Crops, count: int) -> Crops:
    """Return crops of people who do not exist: the same crop with faces of several keys."""
    method = AppearanceReplace(variety=1.0)
    made = [method(crops, [key(100 + number)]).pixels[0] for number in range(count)]
    rows = np.zeros(count, int)
    parts = {
        name: getattr(crops, name)[rows]
        for name in ("masks", "matrices", "faces", "points", "frames", "dense")
    }
    return Crops(pixels=np.stack(made), **parts)


def test_k_same_m_gives_a_group_one_face(crops: Crops) -> None:
    people = people_of(crops, 6)
    names = [f"person {row}" for row in range(6)]
    method = KSameM(k=3).fit([people], names)
    assert sorted(method.members) == [3, 3]
    assert [face.shape for face in method.faces] == [(192, 192, 3)] * 2
    result = method(people, [key(0)] * 6)
    assert not result.unfit.any()
    inside = crops.masks[0] >= 1
    groups = np.array([method.group(crop) for crop in people])
    for group in range(2):
        first, *rest = np.flatnonzero(groups == group)
        core = cv2.erode(inside.astype(np.uint8), np.ones((41, 41), np.uint8)) > 0
        for row in rest:
            assert np.abs(result.pixels[first] - result.pixels[row])[core].max() < 1e-6
    one, other = (result.pixels[np.flatnonzero(groups == group)[0]] for group in range(2))
    assert np.abs(one - other)[inside].mean() > 0.005


def test_k_same_m_is_the_mean_of_parameters(crops: Crops) -> None:
    people = people_of(crops, 2)
    method = KSameM(k=2)
    kept = [method.reduced(crop) for crop in people]
    fitted = method.fit([people], ["a", "b"])
    (mean,) = fitted.groups.means
    np.testing.assert_allclose(mean, np.mean(kept, axis=0), rtol=1e-5, atol=1e-5)
    stranger = replace(people, pixels=people.pixels * np.float32(0.9))
    assert fitted(stranger, [key(0)] * 2).unfit.all()
    with pytest.raises(InputError, match="k = 2"):
        method.fit([people[:1]], ["a"])


def test_a_face_that_is_half_hidden_is_unfit(crops: Crops) -> None:
    hidden = crops.pixels.copy()
    middle = int(crops.dense[0, 102, 0])
    hidden[0, :, :middle] *= np.float32(0.05)
    assert AppearanceReplace()(replace(crops, pixels=hidden), [key(0)]).unfit.all()


def test_a_clip_gets_one_steady_face(
    clip: Path, tmp_path: Path, incog: Any, pictures: Any, perception: Any
) -> None:
    out = tmp_path / "out.mp4"
    done = incog("hide", clip, "-o", out, "--method", "appearance-replace", "--seed", "3")
    assert done.code == 0
    assert "filled instead" not in done.out + done.err
    before, after = pictures(clip), pictures(out)
    frame = Frame((before[0],), Layout("rgb"))
    (face,) = perception.searcher.frame(frame)
    hull = make_hulls()(frame, [face], 1.0)[0].outline
    # The view slides by a pixel a frame: laid over each other, the new faces are one, and not the old one.
    low, high = np.floor(hull.min(0)).astype(int), np.ceil(hull.max(0)).astype(int)
    cuts = [
        [
            picture[low[1] : high[1], low[0] - n : high[0] - n].astype(float)
            for n, picture in enumerate(some[:6])
        ]
        for some in (before, after)
    ]
    steps = np.mean([np.abs(b - a).mean() for a, b in pairwise(cuts[1])])
    assert steps < 0.4 * np.abs(cuts[0][0] - cuts[1][0]).mean()
