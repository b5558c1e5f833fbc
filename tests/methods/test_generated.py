"""Faces drawn by the generator: what of the old face they see, who they show, and how they are laid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data

from incog import alignment, compose, geometry, models, points, shape
from incog.errors import UsageError
from incog.keys import Secret, track_key
from incog.methods import evening, generated, make
from incog.methods.generated import Replace, shipped
from incog.methods.looking import AGES, coarse
from incog.methods.policies import DONORS, Blend, Donor, led, normals_of
from incog.perceive import attributes, embedder
from incog.perceive.attributes import OnnxAttributes
from incog.pipeline import Perception
from incog.subjects import LOOKS
from incog.types import Crops, Floats, Frame, Key, Layout

SECRET = Secret.from_seed(11)
ALL = pytest.mark.parametrize("name", ["replace", "donor", "blend"])
UNREAD = pytest.mark.parametrize("name", ["replace", "donor"])


def key_of(track: int) -> Key:
    return track_key(SECRET, bytes(16), track)


@pytest.fixture(scope="module")
def face(perception: Perception) -> Crops:
    """Return the astronaut's face, a batch of one, with its look."""
    frame = Frame((np.ascontiguousarray(skimage.data.astronaut()),), Layout("rgb"))
    (found,) = perception.searcher.frame(frame)
    crop = compose.crop_of(frame, found, mask_scale=geometry.MASK_SCALE, hulls=perception.hulls)
    assert np.isfinite(crop.dense).all()
    look = np.array([[0.35, 0.95, 0.9, 0.02, 0.02, 0.02, 0.04, 0.05, 0.93]], np.float32)
    return replace(crop, looks=look)


def aligned(crop: Crops, pixels: Floats) -> np.ndarray:
    whole = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    return alignment.crop(whole, points.five(crop.dense[0]), embedder.TEMPLATE, embedder.SIZE)[None]


def cosine(crop: Crops, pixels: Floats) -> float:
    """Return how alike the face in new pixels and the one in the crop are, to the package's own recogniser."""
    network = embedder.make_embedder(threads=1)
    old, new = (network(aligned(crop, one))[0] for one in (crop.pixels[0], pixels))
    return float(old @ new)


# What it sees


@UNREAD
@pytest.mark.parametrize("seed", [0, 1])
def test_no_pixel_under_the_mask_reaches_the_result(
    name: str, seed: int, face: Crops, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = face.masks[0] == 1
    noise = face.pixels.copy()
    noise[0][hidden] = np.random.default_rng(seed).random((hidden.sum(), 3))
    other = replace(face, pixels=noise)
    method = make(name, {})
    before, after = (method(crop, [key_of(0)]).pixels[0] for crop in (face, other))
    # Tone and light follow the face, and nothing else does.
    assert np.abs(before - after)[hidden].mean() > 0.01
    monkeypatch.setattr(generated, "toned", lambda new, *rest: new)
    before, after = (method(crop, [key_of(0)]).pixels[0] for crop in (face, other))
    np.testing.assert_array_equal(before, after)


def test_a_blend_reads_the_face_and_says_so(face: Crops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generated, "toned", lambda new, *rest: new)
    noise = face.pixels.copy()
    noise[0][face.masks[0] == 1] = 0.5
    before, after = (Blend()(crop, [key_of(0)]).pixels[0] for crop in (face, replace(face, pixels=noise)))
    assert np.abs(before - after).max() > 0.05
    first, *_ = Blend(cosine=0.4).claims()
    assert not first.holds
    assert first.value == 0.4
    assert "is read" in first.statement
    assert embedder.NAME in Blend.needs


def test_the_five_numbers_are_those_of_the_fill(face: Crops) -> None:
    """A face that is darker as a whole is drawn darker, by as much."""
    darker = replace(face, pixels=face.pixels * np.float32(0.6))
    before, after = (Replace()(crop, [key_of(0)]).pixels[0] for crop in (face, darker))
    inner = geometry.mask([face.points[0][[0, 1, 4, 3]]], (0, 0, face.size, face.size), 0) > 0
    assert after[inner].mean() == pytest.approx(0.6 * before[inner].mean(), rel=0.15)


@ALL
def test_unknown_points_and_turned_heads_are_unfit(name: str, face: Crops) -> None:
    three = Crops(*(np.repeat(getattr(face, item.name), 3, axis=0) for item in fields(Crops)))
    three.dense[0] = np.nan
    # The tip of the nose under an eye, as of a head that is turned far.
    three.dense[1, points.NOSE_TIP, 0] = three.dense[1, points.FIVE[1], 0]
    result = make(name, {})(three, [key_of(0)] * 3)
    assert result.unfit.tolist() == [True, True, False]
    np.testing.assert_array_equal(result.pixels[:2], three.pixels[:2])
    with pytest.raises(ValueError, match="1 keys for 3 crops"):
        make(name, {})(three, [key_of(0)])


def test_what_lies_beyond_the_crop_is_not_known(face: Crops, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Floats] = []

    class Watching:
        prior, pose = shipped().prior, shipped().pose

        def __call__(self, planes: Floats, code: Floats, look: Floats) -> Floats:
            seen.append(planes)
            return np.full((generated.SIDE, generated.SIDE, 3), 0.5, np.float32)

    monkeypatch.setattr(generated, "shipped", Watching)
    side = face.size
    # The same face moved, so that half of the template lies beyond the crop's left border.
    away = np.float32(points.five(face.dense[0])[:, 0].mean() - 0.05 * side)
    matrix = np.array([[1, 0, -away], [0, 1, 0]], np.float32)
    dense = geometry.apply(matrix, face.dense[0])[None]
    Replace()(replace(face, dense=dense), [key_of(0)])
    Replace()(face, [key_of(0)])
    moved, straight = seen
    assert straight[3].mean() > 0.2
    assert not moved[:4, :, :30].any()
    for planes in seen:
        hole = planes[4] == 1
        assert not planes[:4, hole].any()
        assert set(np.unique(planes[4])) <= {0, 1}


# Who it shows


@UNREAD
def test_the_key_decides_who_it_is(name: str, face: Crops) -> None:
    one, again, other = (make(name, {})(face, [key_of(track)]).pixels[0] for track in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other)[face.masks[0] == 1].mean() > 0.02


def test_the_package_s_own_recogniser_takes_it_for_another(face: Crops) -> None:
    card = models.cards()[generated.NETWORK]
    found = [cosine(face, Replace()(face, [key_of(track)]).pixels[0]) for track in range(4)]
    assert max(found) < card.measured["threshold"]
    assert np.mean(found) < 0.4


def test_it_looks_as_it_is_told(face: Crops) -> None:
    network = attributes.make_attributes()
    said = {"age": "75", "gender": "male"}
    plain, told = (
        network(aligned(face, make("replace", settings)(face, [key_of(3)]).pixels[0]))[0]
        for settings in ({}, said)
    )
    assert told.age > plain.age + 15
    assert told.gender[0] > 0.5 > plain.gender[0]
    look = make("replace", {**said, "ethnicity": "indian"}).look(face)  # type: ignore[attr-defined]
    np.testing.assert_allclose(look, [0.75, 0, 0, 0, 0, 1, 0, 0.05, 0.93], atol=1e-6)
    assert face.looks is not None


def test_it_looks_like_its_kind_and_not_like_itself(face: Crops) -> None:
    """One key for all: who looks a little older or surer than another must not be told from them by it."""
    assert face.looks is not None
    alike = [
        replace(face, looks=np.array([[age, sex, *kind, 0.05, 0.93]], np.float32))
        for age, sex, kind in (
            (0.26, 0.52, (0.4, 0.1, 0.2, 0.1, 0.2)),
            (0.44, 0.99, (0.96, 0.01, 0.01, 0.01, 0.01)),
        )
    ]
    one, other = (Replace()(crop, [key_of(3)]).pixels[0] for crop in alike)
    np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(Replace().look(alike[0]), [0.35, 1, 1, 0, 0, 0, 0, 0.05, 0.93], atol=1e-6)


def test_ages_are_told_by_their_band() -> None:
    ages = np.arange(100) + 0.5
    rows = np.zeros((100, 9), np.float32)
    rows[:, 0] = ages / 100
    found = np.array([100 * coarse(row)[0] for row in rows])
    assert list(np.flatnonzero(np.diff(found)) + 1) == list(AGES)
    # No band is so wide that its middle would stand for another time of life.
    assert np.abs(found - ages)[ages < 90].max() < 15
    assert np.abs(found - ages)[ages < 13].max() < 5


def test_claims_count_what_is_read() -> None:
    for settings, words in (
        ({}, "which of 60 kinds of people it looks like, 2 numbers of its mood"),
        ({"age": "40"}, "which of 10 kinds of people it looks like, 2 numbers of its mood"),
        ({"age": "40", "gender": "male", "ethnicity": "other"}, "pose and expression, 2 numbers of its mood"),
    ):
        first, second, _ = make("replace", settings).claims(frames=25)
        assert first.holds
        assert f"{words}, and 5 of its tone and light" in first.statement
        assert "25 frames" in first.scope
        assert not second.holds
        assert ("gender" in second.conditions[0]) is ("gender" not in settings)


def test_a_donor_is_the_same_person_for_everybody(face: Crops) -> None:
    seven = Donor(donor=7)
    one, other = (seven(face, [key_of(track)]).pixels[0] for track in (0, 1))
    np.testing.assert_array_equal(one, other)
    assert not seven.keyed
    assert Donor().keyed
    assert np.abs(Donor(donor=8)(face, [key_of(0)]).pixels[0] - one).max() > 0.05
    assert "number 7" in seven.claims()[0].statement
    assert "chosen by a key" in Donor().claims()[0].statement
    table = np.stack([normals_of(number) for number in range(1, 60)])
    assert table.std() == pytest.approx(1, abs=0.05)
    assert np.abs(np.corrcoef(table))[~np.eye(59, dtype=bool)].max() < 0.5
    with pytest.raises(UsageError, match=f"donor must be a whole number from 0 to {DONORS}"):
        Donor(donor=DONORS + 1)


def test_a_blend_has_the_cosine_that_is_asked_for(face: Crops) -> None:
    random = np.random.default_rng(0)
    own, fresh = (one / np.linalg.norm(one) for one in random.normal(size=(2, 512)).astype(np.float32))
    for goal in (0.0, 0.3, 0.95):
        found = led(own, fresh, goal)
        assert float(np.linalg.norm(found)) == pytest.approx(1, abs=1e-4)
        assert float(found @ own) == pytest.approx(goal, abs=1e-4)
        assert np.linalg.matrix_rank(np.stack([own, fresh, found]), tol=1e-3) == 2
    assert np.isfinite(led(own, own, 0.3)).all()
    found = [cosine(face, Blend(cosine=goal)(face, [key_of(2)]).pixels[0]) for goal in (0.0, 0.5, 0.95)]
    assert found[0] + 0.1 < found[1] < found[2] - 0.1


# How it is laid


def test_a_tint_is_taken_out_and_light_and_detail_stay() -> None:
    dense, size = shape.load().mean, 128
    random = np.random.default_rng(0)
    skin = np.array([0.8, 0.6, 0.5], np.float32) * random.uniform(0.8, 1, (size, size, 1)).astype(np.float32)
    tinted = skin.copy()
    inside = evening.face_weight(dense, size)
    row, column = np.mgrid[:size, :size]
    green = np.exp(-((row - 80) ** 2 + (column - 45) ** 2) / 200)[..., None] * inside[..., None]
    tinted = np.asarray(tinted * (1 + green * np.array([-0.3, 0.2, -0.3])), np.float32)
    made = evening.evened(tinted, dense)

    def tint(face: Floats) -> Floats:
        return face / face.sum(2, keepdims=True)

    before, after = (np.abs(tint(one) - tint(skin))[70:90, 40:55].mean() for one in (tinted, made))
    assert after < 0.5 * before
    luma = np.array([0.2126, 0.7152, 0.0722])
    np.testing.assert_allclose(made @ luma, tinted @ luma, atol=0.03)
    np.testing.assert_array_equal(made[inside == 0], tinted[inside == 0])
    np.testing.assert_allclose(evening.evened(skin, dense), skin, atol=1e-3)


def test_colours_that_no_skin_has_are_taken_out() -> None:
    dense, size = shape.load().mean, 128
    skin = np.tile(np.array([0.8, 0.6, 0.5], np.float32), (size, size, 1))
    spots = skin.copy()
    # A green spot that is too small to be a tint, and a freckle.
    spots[84:87, 44:47] *= np.array([0.4, 1.3, 0.4], np.float32)
    spots[84:87, 80:83] *= np.array([0.93, 0.88, 0.85], np.float32)
    made = evening.evened(spots, dense)

    def apart(face: Floats, column: int) -> float:
        tint = face[84:87, column : column + 3]
        tint = tint / tint.sum(2, keepdims=True)
        return float(np.abs(tint - skin[0, 0] / skin[0, 0].sum()).max())

    assert apart(made, 44) < 0.3 * apart(spots, 44)
    assert apart(made, 80) > 0.7 * apart(spots, 80)
    luma = np.array([0.2126, 0.7152, 0.0722])
    np.testing.assert_allclose(made @ luma, spots @ luma, atol=0.03)


def test_faces_out_of_the_picture_are_not_evened() -> None:
    face = np.full((64, 64, 3), 0.5, np.float32)
    away = shape.load().mean + np.array([9, 0], np.float32)
    np.testing.assert_array_equal(evening.evened(face, away), face)


def test_in_a_video_the_look_is_told_before_and_stays(
    incog: Callable[..., object], clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    told = OnnxAttributes.look

    def counted(self: OnnxAttributes, *given: object) -> object:
        asked.append(len(given))
        return told(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(OnnxAttributes, "look", counted)
    codes: list[Floats] = []
    drawn = Replace.code

    def watched(self: Replace, crop: Crops, key: Key, look: Floats) -> Floats:
        codes.append(drawn(self, crop, key, look))
        return codes[-1]

    monkeypatch.setattr(Replace, "code", watched)
    out = tmp_path / "out.mp4"
    done = incog("hide", clip, "-o", out, "--method", "replace", "--seed", "3", "--no-compare")
    assert done.code == 0, done.err  # type: ignore[attr-defined]
    # The clear looks, and the mood of the first one.
    assert 1 < len(asked) <= LOOKS + 1
    assert len(codes) >= 10
    assert all(np.array_equal(code, codes[0]) for code in codes)
