"""Faces: alignment agrees with independent solutions, splits never part a person, gathering says what is wrong."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from skimage.transform import SimilarityTransform

from incog.alignment import similarity
from incog.data import faces as f
from incog.data.faces import Sample
from incog.errors import InputError, UsageError

Picture = npt.NDArray[np.uint8]


def _points(seed: int) -> npt.NDArray[np.float32]:
    """Return five points roughly like a face, turned, shrunk and shaken."""
    random = np.random.default_rng(seed)
    angle, scale = random.uniform(-1, 1), random.uniform(0.3, 3)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (f.ARCFACE @ turn.T + random.uniform(0, 200, 2) + random.normal(0, 2, (5, 2))).astype(np.float32)


def _coded(picture: Picture) -> bytes:
    return cv2.imencode(".png", picture[..., ::-1])[1].tobytes()


# Alignment


@pytest.mark.parametrize("seed", range(8))
def test_similarity_agrees_with_least_squares(seed: int) -> None:
    source, target = _points(seed), _points(seed + 100)
    found = similarity(source, target)
    # x' = a x - b y + c, y' = b x + a y + d: linear in a, b, c, d.
    x, y = source.astype(float).T
    one, zero = np.ones(5), np.zeros(5)
    rows = np.concatenate([np.stack([x, -y, one, zero], 1), np.stack([y, x, zero, one], 1)])
    a, b, c, d = np.linalg.lstsq(rows, np.concatenate(list(target.astype(float).T)), rcond=None)[0]
    assert found == pytest.approx(np.array([[a, -b, c], [b, a, d]]), abs=2e-3)


@pytest.mark.parametrize("seed", range(8))
def test_similarity_agrees_with_scikit_image(seed: int) -> None:
    source, target = _points(seed), _points(seed + 100)
    theirs = SimilarityTransform.from_estimate(source, target).params[:2]
    assert similarity(source, target) == pytest.approx(theirs, abs=2e-3)


def test_similarity_never_mirrors() -> None:
    source = _points(1)
    matrix = similarity(source, source * np.array([-1, 1], np.float32))
    assert np.linalg.det(matrix[:, :2]) > 0


def test_the_middle_of_the_arcface_template_is_the_recognisers_crop() -> None:
    assert f.template("arcface", 128) == pytest.approx(f.ARCFACE + 8)
    # Pixel centres are at integers: the corner of the crop stays where it is.
    assert f.template("arcface", 256) == pytest.approx((f.ARCFACE + 8.5) * 2 - 0.5)


@pytest.mark.parametrize(("name", "scale"), [("arcface", 1.0), ("outline", 0.8), ("wide", 0.64)])
def test_templates_differ_in_scale_and_place_alone(name: str, scale: float) -> None:
    matrix = similarity(f.ARCFACE, f.template(name, 128))
    assert np.hypot(matrix[0, 0], matrix[1, 0]) == pytest.approx(scale, abs=1e-4)
    assert matrix[1, 0] == pytest.approx(0, abs=1e-5)
    assert (f.template(name, 128) > 0).all()
    assert (f.template(name, 128) < 127).all()


def test_other_templates_are_refused() -> None:
    with pytest.raises(UsageError, match="arcface, wide or outline"):
        f.template("narrow", 128)


@pytest.mark.parametrize("zoom", [1, 5])
def test_a_face_is_brought_to_its_template(zoom: int) -> None:
    # White dots at the points must end up at the template's points; five times larger they are shrunk by areas.
    points = np.array([[60, 80], [110, 90], [82, 112], [58, 135], [100, 142]], np.float32)
    picture = np.zeros((200, 200, 3), np.uint8)
    for x, y in points.astype(int):
        picture[y - 1 : y + 2, x - 1 : x + 2] = 255
    picture = np.kron(picture, np.ones((zoom, zoom, 1), np.uint8))
    goal = f.template("arcface", 128)
    crop, moved = f.align(picture, (points + 0.5) * zoom - 0.5, goal, 128)
    assert crop.shape == (128, 128, 3)
    assert np.abs(moved - goal).max() < 6
    for x, y in moved:
        patch = crop[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3, 0].astype(float)
        rows, columns = np.mgrid[:5, :5]
        assert patch.max() > 90
        assert (patch * columns).sum() / patch.sum() + round(x) - 2 == pytest.approx(x, abs=0.35)
        assert (patch * rows).sum() / patch.sum() + round(y) - 2 == pytest.approx(y, abs=0.35)


# Splits


def test_splits_have_their_shares() -> None:
    parts = [f.split_of(f"person {n}") for n in range(20_000)]
    for part, share in (("train", 0.75), ("dev", 0.05), ("test", 0.2)):
        # Four standard deviations of 20,000 draws.
        assert parts.count(part) / 20_000 == pytest.approx(
            share, abs=4 * (share * (1 - share) / 20_000) ** 0.5
        )


SPLIT = {"Ada": "train", "Eve": "train", "Kim": "test", "Pia": "test", "lfw/12": "dev", "lfw/25": "test"}


def test_splits_are_for_ever() -> None:
    # By sha256sum of the names: its first hexadecimal digits as a share of 1.
    assert [f.split_of(name) for name in SPLIT] == list(SPLIT.values())


def test_no_person_is_in_two_splits() -> None:
    names = [f"{n}.png" for n in range(600)]
    people = ["" if n % 4 == 0 else f"person {n % 50}" for n in range(600)]
    sources = ["one" if n % 3 else "two" for n in range(600)]
    pixels = np.zeros((600, 1, 1, 3), np.uint8)
    faces = f.Faces(pixels, names, sources, people, np.zeros((600, 5, 2), np.float32), {}, None)
    rows = {part: faces.rows(part) for part in ("train", "dev", "test")}
    assert sorted(np.concatenate(list(rows.values()))) == list(range(600))
    seen = {part: {people[row] for row in found} - {""} for part, found in rows.items()}
    assert not seen["train"] & seen["test"]
    assert not seen["train"] & seen["dev"]
    assert not seen["dev"] & seen["test"]
    # Pictures of nobody known are split one by one.
    assert all(any(not people[row] for row in found) for found in rows.values())
    assert {sources[row] for row in faces.rows("train", sources=["two"])} == {"two"}


# Gathering


def _sample(picture: Picture, name: str = "a.png", **facts: object) -> Sample:
    given = {"points": _eyes(), "read": lambda: _coded(picture), **facts}
    return Sample(name=name, **given)  # type: ignore[arg-type]


def _eyes() -> npt.NDArray[np.float32]:
    return f.template("arcface", 128)


@pytest.fixture
def noise() -> Picture:
    return np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)


def test_labels_and_embeddings_of_several_sources(noise: Picture) -> None:
    vector = np.full(4, 0.5, np.float16)
    faces = f.gather(
        [
            ("one", _sample(noise, labels={"age": "7"}, identity="Ada", embedding=vector)),
            ("two", _sample(noise, labels={"gender": "female"})),
            ("two", _sample(noise, "lost.png", points=None)),
        ],
        name="arcface",
        size=128,
    )
    assert len(faces) == 2
    assert faces.labels == {"age": ["7", ""], "gender": ["", "female"]}
    assert faces.identities == ["Ada", ""]
    assert faces.embeddings is not None
    assert np.array_equal(np.isnan(faces.embeddings).all(1), [False, True])
    assert faces.column("age") == ["7", ""]


def test_an_aligned_crop_is_not_sampled_again(noise: Picture) -> None:
    shaken = _eyes() + np.float32(0.4)
    sample = _sample(noise, points=shaken, aligned=("arcface", 128))
    faces = f.gather([("pack", sample)], name="arcface", size=128)
    assert np.array_equal(faces.pixels[0], noise)
    assert np.array_equal(faces.points[0], shaken)
    # The same picture without that mark is moved by the 0.4 px.
    moved = f.gather([("pack", _sample(noise, points=shaken))], name="arcface", size=128)
    assert not np.array_equal(moved.pixels[0], noise)


def test_a_narrow_crop_cannot_become_a_wide_one(noise: Picture) -> None:
    narrow = _sample(noise, aligned=("arcface", 128))
    with pytest.raises(InputError, match="does not show all of 'wide'") as refused:
        f.gather([("pack", narrow)], name="wide", size=128)
    assert "--template wide" in refused.value.hint
    wide = _sample(noise, points=f.template("wide", 128), aligned=("wide", 128))
    faces = f.gather([("pack", wide)], name="arcface", size=64)
    assert faces.pixels.shape == (1, 64, 64, 3)
    assert faces.points[0] == pytest.approx(f.template("arcface", 64), abs=1e-3)


def test_a_resumed_run_finds_its_pixels(noise: Picture, tmp_path: Path) -> None:
    shaken = _eyes() * np.float32(1.1)
    samples = [("one", _sample(noise, points=shaken)), ("one", _sample(noise[::-1].copy(), "b.png"))]
    first = f.gather(samples, name="arcface", size=64, cache=tmp_path / "cache")

    def never() -> bytes:
        raise AssertionError("read again")

    again = [("one", Sample(name=s.name, read=never, points=s.points)) for _, s in samples]
    second = f.gather(again, name="arcface", size=64, cache=tmp_path / "cache")
    assert np.array_equal(first.pixels, second.pixels)
    assert second.points == pytest.approx(first.points, abs=1e-3)
    with pytest.raises(AssertionError, match="read again"):
        f.gather(again, name="wide", size=64, cache=tmp_path / "cache")


def test_a_corrupt_picture_is_named(noise: Picture) -> None:
    whole = _coded(noise)
    for bad in (b"", b"not a picture", whole[: len(whole) // 2]):
        sample = Sample(name="people/bad.png", read=lambda bad=bad: bad, points=_eyes())
        with pytest.raises(InputError, match=r"lfw/people/bad\.png is not a picture that can be read"):
            f.gather([("lfw", _sample(noise)), ("lfw", sample)], name="arcface", size=128)


def test_a_source_without_points_is_named(noise: Picture) -> None:
    with pytest.raises(InputError, match="no face of photos has known points") as refused:
        f.gather([("lfw", _sample(noise)), ("photos", _sample(noise, points=None))], name="arcface", size=128)
    assert "incog train pack --data photos=" in refused.value.hint
    with pytest.raises(InputError, match="no faces"):
        f.gather([], name="arcface", size=128)


def test_a_fault_is_told_with_the_name(noise: Picture) -> None:
    with pytest.raises(InputError, match=r"celeba/7\.jpg: list_attr_celeba has no row for it"):
        f.gather(
            [("celeba", _sample(noise, "7.jpg", fault="list_attr_celeba has no row for it"))],
            name="arcface",
            size=128,
        )


def test_embeddings_of_two_teachers_are_refused(noise: Picture) -> None:
    samples = [(f"of {n}", _sample(noise, embedding=np.ones(n, np.float16))) for n in (4, 8)]
    with pytest.raises(InputError, match="of 4 have 4 values and those of of 8 8"):
        f.gather(samples, name="arcface", size=128)


def test_a_label_that_no_face_has_is_named(noise: Picture) -> None:
    faces = f.gather(
        [("lfw", _sample(noise, labels={"expression": "neutral", "age": ""}))], name="arcface", size=128
    )
    for label in ("age", "gender"):
        with pytest.raises(InputError, match=f"no face of lfw has the label '{label}'") as refused:
            faces.column(label)
        assert refused.value.hint == "the data has expression"
