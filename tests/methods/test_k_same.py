"""Means of k faces: against a plain reference, for whole people, and honest about what they are not."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from incog.errors import InputError, UsageError
from incog.keys import Secret, derive
from incog.methods import METHODS, aligned, eigenspace, k_same, make
from incog.methods.base import SetMethod
from incog.methods.k_same import KSame, KSameEigen, KSameFurthest, KSamePixel, KSameSelect
from incog.types import Crops, Floats, Key

FAMILY = ("k-same-pixel", "k-same-eigen", "k-same-select", "k-same-furthest")
EVERY = pytest.mark.parametrize("name", FAMILY)


def keys(count: int) -> list[Key]:
    return [derive(Secret.from_seed(5), "test", number) for number in range(count)]


def crops_of(codes: Floats, *, side: int = 96, shift: bool = False) -> Crops:
    """Return faces of the shipped basis, drawn for codes (N, r), in crops of one or of several places."""
    faces = np.clip(eigenspace.shipped().decode(codes), 0, 1)
    count = len(faces)
    pixels = np.full((count, side, side, 3), 0.4, np.float32)
    masks, points = np.zeros((count, side, side), np.float32), np.empty((count, 5, 2), np.float32)
    for row, face in enumerate(faces):
        away = np.array([row % 3, row % 2], np.float32) * 4 * shift
        points[row] = aligned.goal(64) * 1.2 + 8 + away
        matrix = aligned.placed(points[row], 64)
        assert matrix is not None
        aligned.lay(pixels[row], np.ones((side, side), np.float32), face, matrix)
        place = np.hypot(*(np.mgrid[:side, :side][::-1] - points[row][2][:, None, None]))
        masks[row] = np.clip((34 - place) / 6, 0, 1)
    return Crops(
        pixels,
        masks,
        np.repeat(np.eye(2, 3, dtype=np.float32)[None], count, 0),
        np.full(count, 60, np.float32),
        points,
        np.zeros(count, np.int64),
        np.full((count, 130, 2), np.nan, np.float32),
    )


def people_of(people: int, pictures: int = 1, seed: int = 0) -> tuple[Crops, list[str]]:
    random = np.random.default_rng(seed)
    deviations = eigenspace.shipped().deviations[:40]
    own = random.normal(size=(people, 1, 40)) * deviations
    codes = own + 0.2 * random.normal(size=(people, pictures, 40)) * deviations
    names = [f"person {row}" for row in range(people) for _ in range(pictures)]
    return crops_of(codes.reshape(-1, 40).astype(np.float32)), names


def reference(faces: Floats, vectors: Floats, k: int) -> list[tuple[list[int], Floats]]:
    """Return groups and their mean faces as Newton, Sweeney and Malin write it, for one picture per person."""
    left, found = list(range(len(faces))), []
    while left:
        take = k if len(left) >= 2 * k else len(left)
        near = sorted(left, key=lambda row: (float(np.linalg.norm(vectors[row] - vectors[left[0]])), row))[
            :take
        ]
        found.append((sorted(near), np.mean([faces[row] for row in near], 0)))
        left = [row for row in left if row not in near]
    return found


@pytest.mark.parametrize(("method", "side"), [(KSamePixel(k=3), 128), (KSameEigen(k=3), 64)])
def test_faces_are_the_reference_means(method: KSame, side: int) -> None:
    crops, names = people_of(11)
    fitted = method.fit([crops[:4], crops[4:]], names)
    faces = np.stack(
        [
            aligned.taken(pixels, matrix, side)
            for pixels, points in zip(crops.pixels, crops.points, strict=True)
            if (matrix := aligned.placed(points, side)) is not None
        ]
    )
    basis = eigenspace.shipped()
    vectors = np.stack([method.vector(face) for face in faces.astype(np.float16)])
    expected = reference(faces, vectors, 3)
    assert fitted.members == [len(rows) for rows, _ in expected] == [3, 3, 5]
    for number, (rows, mean) in enumerate(expected):
        if isinstance(method, KSameEigen):
            # The mean of the members' codes, drawn: linear, so the code of the mean.
            mean = basis.decode(np.mean([basis.encode(faces[row]) for row in rows], 0))
        assert [fitted.group(crops[row : row + 1]) for row in rows] == [number] * len(rows)
        np.testing.assert_allclose(fitted.faces[number], np.clip(mean, 0, 1), atol=2e-3)


@EVERY
@pytest.mark.parametrize("k", [2, 5])
def test_at_least_k_people_share_every_result_to_the_byte(name: str, k: int) -> None:
    crops, names = people_of(13, 2)
    fitted: Any = make(name, {"k": str(k)})
    fitted = fitted.fit([crops], names)
    rendered = fitted(crops, keys(len(crops)))
    assert not rendered.unfit.any()
    behind: dict[bytes, set[str]] = defaultdict(set)
    of: dict[str, set[bytes]] = defaultdict(set)
    for pixels, mask, person in zip(rendered.pixels, crops.masks, names, strict=True):
        behind[pixels[mask > 0].tobytes()].add(person)
        of[person].add(pixels[mask > 0].tobytes())
    assert min(map(len, behind.values())) >= k
    assert all(len(results) == 1 for results in of.values()), "all pictures of a person become one face"
    assert sum(fitted.members) == 13
    outside = crops.masks == 0
    np.testing.assert_array_equal(rendered.pixels[outside], crops.pixels[outside])
    inside = crops.masks == 1
    assert np.abs(rendered.pixels - crops.pixels)[inside].mean() > 0.02


@EVERY
def test_a_batch_equals_one_by_one_and_others_are_unfit(name: str) -> None:
    crops, names = people_of(6)
    method: Any = make(name, {"k": "3"})
    fitted = method.fit([crops[:5]], names[:5])
    batch = fitted(crops, keys(6))
    assert batch.unfit.tolist() == [False] * 5 + [True]
    np.testing.assert_array_equal(batch.pixels[5], crops.pixels[5])
    for row in range(6):
        np.testing.assert_array_equal(fitted(crops[row : row + 1], keys(1)).pixels[0], batch.pixels[row])
    assert fitted == method, "what was fitted is no parameter"


@EVERY
def test_a_single_file_is_refused(name: str) -> None:
    crops, _ = people_of(2)
    with pytest.raises(UsageError, match=f"{name} must be given a set of people, got a single file"):
        METHODS[name]()(crops, keys(2))
    with pytest.raises(ValueError, match="1 keys for 2 crops"):
        METHODS[name]()(crops, keys(1))


def test_sets_that_do_not_serve_are_refused() -> None:
    crops, names = people_of(4)
    with pytest.raises(InputError, match="at least k = 5 people to make one face of, got 4"):
        KSamePixel().fit([crops], names)
    with pytest.raises(InputError, match="at least k = 2 people to make one face of, got 0"):
        KSamePixel(k=2).fit([], [])
    with pytest.raises(ValueError, match="got 3 for 4"):
        KSamePixel(k=2).fit([crops], names[:3])
    with pytest.raises(InputError, match="the same picture is given for two people"):
        KSamePixel(k=2).fit([crops, crops[:1]], [*names, "somebody else"])


def test_faces_without_points_count_for_nobody() -> None:
    crops, names = people_of(5)
    crops.points[4] = np.nan
    fitted = KSamePixel(k=2).fit([crops], names)
    assert sum(fitted.members) == 4
    assert fitted.group(crops[4:5]) is None
    with pytest.raises(InputError, match="got 4"):
        KSamePixel(k=5).fit([crops], names)


def test_a_person_with_many_pictures_weighs_no_more() -> None:
    crops, names = people_of(2, 6)
    few = KSameEigen(k=2).fit([crops[:1], crops[6:7]], [names[0], names[6]])
    codes = [eigenspace.shipped().encode(face) for face in few.faces]
    more = KSameEigen(k=2).fit([crops[:6], crops[6:7]], names[:7])
    whole = KSameEigen(k=2).fit([crops], names)
    balanced = eigenspace.shipped().encode(whole.faces[0])
    distance = [
        float(np.linalg.norm(eigenspace.shipped().encode(fitted.faces[0]) - balanced))
        for fitted in (few, more)
    ]
    assert len(codes) == 1
    assert max(distance) < 0.5 * float(
        np.linalg.norm(balanced - eigenspace.shipped().encode(crops_mean(crops[:6])))
    )


def crops_mean(crops: Crops) -> Floats:
    faces = []
    for pixels, points in zip(crops.pixels, crops.points, strict=True):
        matrix = aligned.placed(points, 64)
        assert matrix is not None
        faces.append(aligned.taken(pixels, matrix, 64))
    return np.asarray(np.mean(faces, 0), np.float32)


def test_select_keeps_labels_together(monkeypatch: pytest.MonkeyPatch) -> None:
    crops, names = people_of(12)
    bright = [float(crop.pixels[crop.masks == 1].mean()) > 0.45 for crop in crops]
    monkeypatch.setattr(
        KSameSelect, "label", lambda self, crop: float(crop.pixels[crop.masks == 1].mean()) > 0.45
    )
    assert 2 <= sum(bright) <= 10
    fitted = KSameSelect(k=2).fit([crops], names)
    groups = [fitted.group(crop) for crop in crops]
    for number in set(groups):
        assert len({label for label, group in zip(bright, groups, strict=True) if group == number}) == 1


@pytest.mark.parametrize("attribute", ["expression", "gender"])
def test_select_asks_the_attribute_network(attribute: Any) -> None:
    crops, _ = people_of(3)
    found = {KSameSelect(attribute=attribute).label(crop) for crop in crops}
    assert found <= {"neutral", "happiness", "other", "male", "female"}


def test_furthest_gives_nobody_their_own_group() -> None:
    crops, names = people_of(12)
    own = KSamePixel(k=3).fit([crops], names)
    far = KSameFurthest(k=3).fit([crops], names)
    assert own.members == far.members
    assert len({face.tobytes() for face in far.faces}) == len(own.faces)
    for face, other in zip(own.faces, far.faces, strict=True):
        assert not np.array_equal(face, other)
    away = [np.linalg.norm(face - other) for face, other in zip(own.faces, far.faces, strict=True)]
    between = [np.linalg.norm(a - b) for a in own.faces for b in own.faces if a is not b]
    assert np.mean(away) > np.mean(between)


@EVERY
def test_claims_say_what_laying_back_does(name: str) -> None:
    method = METHODS[name]()
    first, second, *_ = method.claims()
    assert first.holds
    assert first.check is not None
    assert (first.check.kind, first.check.bound, first.value) == ("k-anonymity", 5, 5)
    assert any("released together" in condition for condition in first.conditions)
    assert not second.holds
    assert "--share-background" in " ".join(second.conditions)
    lit: Any = make(name, {"light": "0.5"})
    assert not any(claim.holds for claim in lit.claims())
    assert "No k-anonymity is claimed" in lit.claims()[0].statement


def test_light_is_the_persons_own_where_it_is_asked_for() -> None:
    crops, names = people_of(4)
    own = KSamePixel(k=4, light=1).fit([crops], names)(crops, keys(4)).pixels
    inside = crops.masks == 1
    means = [
        float(new[mask].mean() - old[mask].mean())
        for new, old, mask in zip(own, crops.pixels, inside, strict=True)
    ]
    plain = KSamePixel(k=4).fit([crops], names)(crops, keys(4)).pixels
    before = [
        float(new[mask].mean() - old[mask].mean())
        for new, old, mask in zip(plain, crops.pixels, inside, strict=True)
    ]
    assert np.abs(means).mean() < 0.5 * np.abs(before).mean()


def test_the_family_is_of_the_set_protocol() -> None:
    method: SetMethod = KSamePixel()
    assert method.k == 5
    assert {name for name, kind in METHODS.items() if issubclass(kind, k_same.KSame)} >= set(FAMILY)
