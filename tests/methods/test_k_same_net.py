"""k-Same-Net: one code for each group, the mean of proxies that are nobody, and no claim that does not hold."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from incog import codes, compose, geometry
from incog.errors import InputError, UsageError
from incog.keys import Secret, derive
from incog.methods import generated, k_same_net
from incog.methods.appearance import AppearanceReplace
from incog.methods.generated import shipped
from incog.methods.k_same_net import KSameNet, mean_code, proxies
from incog.methods.policies import DONORS, normals_of
from incog.perceive import attributes
from incog.pipeline import Perception
from incog.types import Array, Crops, Floats, Frame, Key, Layout

LOOK = np.array([0.35, 0.95, 0.9, 0.02, 0.02, 0.02, 0.04, 0.05, 0.93], np.float32)


def keys(count: int) -> list[Key]:
    return [derive(Secret.from_seed(5), "test", number) for number in range(count)]


@pytest.fixture(scope="module")
def people(perception: Perception) -> Crops:
    """Return seven people who do not exist, in one picture's place."""
    frame = Frame((np.ascontiguousarray(skimage.data.astronaut()),), Layout("rgb"))
    (found,) = perception.searcher.frame(frame)
    crop = replace(
        compose.crop_of(frame, found, mask_scale=geometry.MASK_SCALE, hulls=perception.hulls),
        looks=LOOK[None],
    )
    made = [AppearanceReplace()(crop, [key]).pixels[0] for key in keys(7)]
    rows = np.zeros(7, int)
    parts = {item.name: getattr(crop, item.name)[rows] for item in fields(Crops)}
    return Crops(**{**parts, "pixels": np.stack(made)})


NAMES = [f"person {row}" for row in range(7)]


# Proxies


def test_the_proxy_set_is_sampled_and_nobody() -> None:
    rows = proxies()
    assert rows.shape == (DONORS, codes.SIZE) == (1000, 96)
    np.testing.assert_array_equal(rows[6], normals_of(7))
    assert abs(float(rows.mean())) < 0.02
    assert float(rows.std()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("k", [2, 5, 50])
def test_a_mean_code_is_that_of_the_proxies_most_alike(k: int) -> None:
    prior = shipped().prior
    embedding = np.random.default_rng(k).normal(size=len(prior.mean)).astype(np.float32) / 20 + prior.mean
    scored = []
    for number in range(1, DONORS + 1):
        code = prior.draw(normals_of(number)[None], LOOK[None])[0]
        mine = prior.embedding(code[None])[0]
        scored.append((float(mine @ embedding), code))
    scored.sort(key=lambda pair: -pair[0])
    expected = np.mean([code for _, code in scored[:k]], axis=0)
    np.testing.assert_allclose(mean_code(embedding, LOOK, k), expected, atol=1e-5)
    # Of whatever length the embedding is.
    np.testing.assert_array_equal(
        mean_code(embedding * np.float32(2), LOOK, k), mean_code(embedding, LOOK, k)
    )


# Groups


def reference(vectors: Floats, k: int) -> list[list[int]]:
    """Return the groups as Newton, Sweeney and Malin write them, for one picture per person."""
    left, found = list(range(len(vectors))), []
    while left:
        take = k if len(left) >= 2 * k else len(left)
        near = sorted(left, key=lambda row: (float(np.linalg.norm(vectors[row] - vectors[left[0]])), row))
        found.append(sorted(near[:take]))
        left = [row for row in left if row not in near[:take]]
    return found


def test_groups_and_codes_are_the_reference_s(people: Crops) -> None:
    method = KSameNet(k=3)
    kept = [method.reduced(crop) for crop in people]
    assert all(item is not None for item in kept)
    rows = np.stack([item for item in kept if item is not None]).astype(np.float32)
    size = len(shipped().prior.mean)
    embeddings, looks = rows[:, :size], rows[:, size : size + 9]
    expected = reference(shipped().prior.code(embeddings), 3)
    fitted = method.fit([people[:4], people[4:]], NAMES)
    assert fitted.members == [len(group) for group in expected] == [3, 4]
    for number, group in enumerate(expected):
        assert [fitted.group(people[row : row + 1]) for row in group] == [number] * len(group)
        mean = fitted.groups.means[number]
        code = mean_code(embeddings[group].mean(0), looks[group].mean(0), 3)
        np.testing.assert_allclose(mean[:96], code, atol=1e-4)
        np.testing.assert_allclose(mean[96:105], looks[group].mean(0), atol=1e-4)


@dataclass(frozen=True)
class Drawn(KSameNet):
    """The method on rows that are given, without a picture: a crop's first pixels say which."""

    table: ClassVar[Floats]

    def reduced(self, crop: Crops) -> Array | None:
        return self.table[int(crop.pixels[0, 0, 0, 0])]

    def face(self, mean: Floats) -> Floats:
        return np.zeros((2, 2, 3), np.float32)


@settings(max_examples=25)
@given(st.integers(2, 5), st.integers(0, 14), st.integers(0, 99), st.booleans())
def test_every_group_has_k_people_whoever_they_are(k: int, more: int, seed: int, alike: bool) -> None:
    count, random = k + more, np.random.default_rng(seed)
    size = len(shipped().prior.mean)
    tail = 9 + 260 + 3 * KSameNet.side**2
    Drawn.table = np.zeros((count, size + tail), np.float32)
    Drawn.table[:, :size] = (
        random.integers(0, 2, (count, size)) if alike else random.normal(size=(count, size))
    )
    Drawn.table[:, size : size + 9] = LOOK
    names = [f"person {row % max(k, count - 3)}" for row in range(count)]
    crops = blank(count)
    fitted = Drawn(k=k).fit([crops], names)
    behind: dict[bytes, set[str]] = defaultdict(set)
    of: dict[str, set[int | None]] = defaultdict(set)
    for crop, name in zip(crops, names, strict=True):
        number = fitted.group(crop)
        assert number is not None
        behind[fitted.groups.means[number][:105].tobytes()].add(name)
        of[name].add(number)
    assert min(map(len, behind.values())) >= k
    assert min(fitted.members) >= k
    assert sum(fitted.members) == len(set(names))
    assert all(len(groups) == 1 for groups in of.values())


def blank(count: int) -> Crops:
    pixels = np.zeros((count, 2, 2, 3), np.float32)
    pixels[:] = np.arange(count)[:, None, None, None]
    none: Any = np.zeros(count)
    return Crops(pixels, none, none, none, np.zeros((count, 5, 2), np.float32), none, none)


# Drawing


def test_a_group_is_told_one_code_and_one_look(people: Crops, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = KSameNet(k=3).fit([people], NAMES)
    assert [face.shape for face in fitted.faces] == [(128, 128, 3)] * 2
    told: dict[int | None, set[bytes]] = defaultdict(set)
    group: list[int | None] = []
    drawn = generated.drawn

    def watched(crop: Crops, matrix: Floats, code: Floats, look: Floats) -> Floats:
        told[group[-1]].add(np.concatenate([code, look]).tobytes())
        return drawn(crop, matrix, code, look)

    monkeypatch.setattr(generated, "drawn", watched)
    for crop in people:
        group.append(fitted.group(crop))
        result = fitted(crop, keys(1))
        assert not result.unfit.any()
        assert np.abs(result.pixels - crop.pixels)[crop.masks == 1].mean() > 0.02
        np.testing.assert_array_equal(result.pixels[crop.masks == 0], crop.pixels[crop.masks == 0])
    assert {number: len(found) for number, found in told.items()} == {0: 1, 1: 1}
    assert told[0] != told[1]


def test_a_batch_equals_one_by_one_and_others_are_unfit(people: Crops) -> None:
    fitted = KSameNet(k=3).fit([people[:6]], NAMES[:6])
    batch = fitted(people, keys(7))
    assert batch.unfit.tolist() == [False] * 6 + [True]
    for row in (0, 5):
        one = fitted(people[row : row + 1], keys(1)).pixels[0]
        np.testing.assert_array_equal(one, batch.pixels[row])


def test_turned_heads_and_unknown_points_count_for_nobody(people: Crops) -> None:
    hidden = replace(people, dense=people.dense.copy())
    hidden.dense[6] = np.nan
    fitted = KSameNet(k=3).fit([hidden], NAMES)
    assert sum(fitted.members) == 6
    assert fitted.group(hidden[6:7]) is None


def test_what_cannot_be_is_refused(people: Crops) -> None:
    with pytest.raises(InputError, match="at least k = 5 people to make one face of, got 3"):
        KSameNet().fit([people[:3]], NAMES[:3])
    with pytest.raises(UsageError, match="k-same-net must be given a set of people, got a single file"):
        KSameNet()(people, keys(7))


# What is claimed


def test_no_anonymity_of_pixels_is_claimed_where_they_differ(people: Crops) -> None:
    first, second, *rest = KSameNet(k=3).claims()
    assert not first.holds
    assert "not the same bytes for k people" in first.statement
    assert "--share-background" in " ".join(first.conditions)
    assert second.holds
    assert second.value == 3
    assert "what the generator is told" in second.scope
    assert k_same_net.PROXIES in second.conditions
    assert all(claim.check is None for claim in (first, second, *rest))
    # And rightly so: in the surroundings of another picture the same code is other pixels.
    darker = people.pixels.copy()
    darker[::2][people.masks[::2] < 1] *= np.float32(0.7)
    crops = replace(people, pixels=darker)
    fitted = KSameNet(k=3).fit([crops], NAMES)
    results = fitted(crops, keys(7)).pixels
    inside = people.masks[0] == 1
    assert len({result[inside].tobytes() for result in results}) > 2


def test_it_needs_what_it_uses() -> None:
    assert set(KSameNet.needs) >= {generated.NETWORK, generated.CODES, attributes.NAME, "embedder"}
    assert KSameNet.granularity == "set"
    assert not KSameNet.keyed
