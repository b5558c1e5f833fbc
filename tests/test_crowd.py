"""Who is who over many files: by average linkage, never two in one frame, at levels that go by the group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import e
from time import process_time
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incog import crowd
from incog.crowd import Appearance
from incog.keys import Secret, person_key
from incog.perceive import calibration
from incog.perceive.calibration import Calibration
from incog.subjects import Named, Seen
from incog.types import Floats, Track

WHITE_MAN = np.array([0.4, 0.02, 0.96, 0.01, 0.01, 0.01, 0.01, 0.8, 0.1], np.float32)
ASIAN_MAN = np.array([0.4, 0.02, 0.01, 0.01, 0.96, 0.01, 0.01, 0.8, 0.1], np.float32)


@dataclass
class Tail:
    """Strangers reach ``base`` once in a thousand, and more in step."""

    name: str
    base: float
    rarest: float = 1e-6

    def score_at(self, rate: float) -> float:
        return self.base - 0.05 * float(np.log10(rate / 1e-3))


MEASURED = cast(
    "Calibration",
    SimpleNamespace(
        tails=(Tail("no group known", 0.3), Tail("white men", 0.35), Tail("asian men", 0.6)), unmeasured=[]
    ),
)


def vector(person: int, noise: float = 0.0, seed: int = 0) -> Floats:
    row = np.random.default_rng(person).normal(size=64)
    row = row / np.linalg.norm(row) + noise * np.random.default_rng([9, person, seed]).normal(size=64) / 8
    return (row / np.linalg.norm(row)).astype(np.float32)


def photo(person: int, file: int, *, noise: float = 0.5, look: Floats = WHITE_MAN) -> Appearance:
    return Appearance(vector(person, noise, file)[None], look[None], file)


def parts(people: Sequence[int]) -> set[frozenset[int]]:
    """Return the clusters as sets of rows."""
    return {
        frozenset(row for row, who in enumerate(people) if who == first) for first in set(people)
    }  # fmt: skip


def test_pictures_of_one_person_are_put_together() -> None:
    appearances = [photo(row % 5, row) for row in range(15)]
    found = crowd.grouped(appearances, MEASURED)
    assert parts(found.people) == {frozenset(range(who, 15, 5)) for who in range(5)}
    assert found.people == [min(row % 5, row) for row in range(15)]
    assert found.vouched
    assert found.lowest == found.highest


@given(st.permutations(range(12)))
def test_the_order_of_files_does_not_matter(order: list[int]) -> None:
    appearances = [photo(row % 4, row, noise=0.8) for row in range(12)]
    straight = parts(crowd.grouped(appearances, MEASURED).people)
    mixed = crowd.grouped([appearances[row] for row in order], MEASURED).people
    assert {frozenset(order[row] for row in part) for part in parts(mixed)} == straight


def meet(one: Appearance, other: Appearance) -> bool:
    """Whether the two are surely two people."""
    if one.file is None or other.file is None:
        return one.file is other.file
    return one.file == other.file and one.start < other.stop and other.start < one.stop


def reference(appearances: Sequence[Appearance], levels: Sequence[float]) -> set[frozenset[int]]:
    """Return the clusters as one would find them with pencil and paper."""
    clusters = [[row] for row in range(len(appearances))]

    def margin(one: list[int], other: list[int]) -> float:
        if any(meet(appearances[a], appearances[b]) for a in one for b in other):
            return -1.0
        scores = [float(v @ w) for a in one for b in other for v in appearances[a].vectors
                  for w in appearances[b].vectors]  # fmt: skip
        return float(np.mean(scores)) - max(levels[row] for row in one + other)

    while len(clusters) > 1:
        pairs = [(margin(a, b), a, b) for n, a in enumerate(clusters) for b in clusters[:n]]
        best, one, other = max(pairs, key=lambda pair: pair[0])
        if best < 0:
            break
        clusters = [item for item in clusters if item not in (one, other)] + [one + other]
    return {frozenset(cluster) for cluster in clusters}


@given(st.integers(2, 14), st.integers(0, 10_000))
def test_clusters_are_those_of_the_reference(count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    appearances, levels = [], []
    for _ in range(count):
        rows = np.stack([vector(int(random.integers(4)), 1.0, int(random.integers(9999))) for _ in range(2)])
        start = int(random.integers(6))
        appearances.append(
            Appearance(
                rows[: random.integers(1, 3)], WHITE_MAN[None], int(random.integers(4)), start, start + 3
            )
        )
        levels.append(float(random.uniform(0.1, 0.5)))
    found = crowd.averaged(appearances, np.array(levels, np.float32))
    assert parts(found) == reference(appearances, levels)
    assert all(label <= row for row, label in enumerate(found))


def test_two_in_one_frame_are_two_people_however_alike() -> None:
    same = [Appearance(vector(1, 0.1, n)[None], WHITE_MAN[None], file, start, start + 10)
            for n, (file, start) in enumerate([(0, 0), (0, 5), (0, 20), (1, 0)])]  # fmt: skip
    found = crowd.grouped(same, MEASURED).people
    assert found[0] != found[1]
    assert set(found[2:]) <= {found[0], found[1]}


def test_people_with_a_name_are_never_taken_for_each_other() -> None:
    anna, twin = (Named(name, vector(1, 0.1, seed)[None], WHITE_MAN[None]) for seed, name in enumerate("at"))
    found = crowd.grouped([Appearance.named(anna), Appearance.named(twin), photo(1, 0)], MEASURED).people
    assert found[:2] == [0, 1]
    assert found[2] in (0, 1)


def test_what_was_never_seen_clearly_is_somebody_else() -> None:
    unseen = Appearance(np.zeros((0, 64), np.float32), np.zeros((0, 9), np.float32), 7)
    assert crowd.grouped([unseen, unseen], MEASURED).people == [0, 1]
    assert crowd.grouped([], MEASURED).people == []
    assert crowd.grouped([photo(1, 0), unseen, photo(1, 1)], MEASURED).people == [0, 1, 0]


def test_levels_go_by_the_group_in_which_strangers_are_most_alike() -> None:
    near, far = (
        [photo(1, 0, noise=1.0, look=look), photo(1, 1, noise=1.0, look=look)]
        for look in (WHITE_MAN, ASIAN_MAN)
    )
    score = float(near[0].vectors[0] @ near[1].vectors[0])
    assert 0.35 < score < 0.55
    assert crowd.grouped(near, MEASURED).people == [0, 0]
    assert crowd.grouped(far, MEASURED).people == [0, 1]
    mixed = crowd.grouped([near[0], far[1]], MEASURED)
    assert mixed.people == [0, 1]
    assert mixed.highest - mixed.lowest == pytest.approx(0.25, abs=1e-3)


def test_groups_are_those_that_a_face_may_be_of() -> None:
    assert crowd.groups_of(WHITE_MAN) == {"white men"}
    young = np.array([0.17, 0.5, 0.6, 0.02, 0.3, 0.05, 0.03, 0.5, 0.5], np.float32)
    assert crowd.groups_of(young) == {
        f"{ethnicity} {kind}" for ethnicity in ("white", "asian") for kind in ("women", "men", "children")
    }
    infant = np.array([0.03, 0.5, 0.9, 0.02, 0.03, 0.02, 0.03, 0.5, 0.5], np.float32)
    assert crowd.groups_of(infant) == {"white children"}


def test_unmeasured_groups_and_unknown_looks_go_by_the_worst() -> None:
    def level(looks: Floats, rate: float = 1e-3) -> tuple[float, bool]:
        return crowd.level(crowd.tails_of(looks, MEASURED), MEASURED, rate)

    worst, _ = level(ASIAN_MAN[None])
    infant = np.array([[0.03, 0.5, 0.9, 0.02, 0.03, 0.02, 0.03, 0.5, 0.5]], np.float32)
    assert level(infant) == (worst, True)
    assert level(np.zeros((0, 9), np.float32)) == (worst, True)
    assert level(WHITE_MAN[None])[0] < worst
    least, vouched = level(WHITE_MAN[None], 1e-9)
    assert not vouched
    assert least == level(WHITE_MAN[None], 1e-6)[0]


def test_more_people_and_less_risk_ask_for_more_likeness() -> None:
    few = crowd.grouped([photo(7 * n, n) for n in range(3)], MEASURED)
    many = crowd.grouped([photo(n, n) for n in range(60)], MEASURED)
    careful = crowd.grouped([photo(n, n) for n in range(60)], MEASURED, risk=0.001)
    assert few.lowest < many.lowest < careful.lowest
    assert many.rate == pytest.approx(0.05 / (e * (len(set(many.people)) - 1)))
    assert len(set(many.people)) > 55


def test_a_mean_of_similarities_is_as_rare_as_is_said() -> None:
    """With an exponential tail a mean exceeds a level at most e times as often as one of them, however dependent."""
    random = np.random.default_rng(0)
    for shared in (0.0, 0.5, 0.9, 1.0):
        draws = random.exponential(size=(400_000, 4))
        mean = np.where(random.random((400_000, 1)) < shared, draws[:, :1], draws).mean(1)
        for level in (2.0, 4.0, 6.0):
            assert (mean >= level).mean() <= e * np.exp(-level) * 1.05


def test_the_shipped_calibration_names_its_groups() -> None:
    names = {tail.name for tail in calibration.shipped().tails}
    assert crowd.ANYBODY in names
    assert crowd.groups_of(WHITE_MAN) | crowd.groups_of(ASIAN_MAN) <= names


def test_people_with_a_name_have_a_key_and_a_look_of_their_own() -> None:
    secret = Secret.from_seed(1)
    anna = Named("anna", vector(1)[None], WHITE_MAN[None])
    tracks = [track_of(1, 0), track_of(2, 0), track_of(3, 20), track_of(4, 40)]
    seen = {
        1: Seen([vector(1, 0.3, 1)]),
        2: Seen([vector(2, 0.3, 1)]),
        3: Seen([vector(2, 0.3, 2)]),
        4: Seen(),
    }
    found = crowd.recognised(tracks, seen, [anna], secret, MEASURED)
    assert found.of == {1: "anna", 2: 2, 3: 2, 4: 4}
    assert dict(found.keys) == {"anna": person_key(secret, "anna")}
    np.testing.assert_array_equal(found.looks["anna"], WHITE_MAN[:7])
    nobody = crowd.recognised(tracks[1:], seen, [anna], secret, MEASURED)
    assert nobody.keys == {}


# One file


def looks_at(likeness: float, seed: int) -> list[Floats]:
    """Return six looks at one person, of which any two have about that cosine."""
    base = np.random.default_rng(7).normal(size=512)
    noise = np.random.default_rng([8, seed]).normal(size=(6, 512))
    rows = likeness**0.5 * base + (1 - likeness) ** 0.5 * noise
    return list((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))


@pytest.mark.parametrize("looks", [[], [WHITE_MAN] * 6])
@pytest.mark.parametrize("count", [2, 8, 15, 30])
def test_one_person_stays_one_however_often_they_come_back(count: int, looks: list[Floats]) -> None:
    shipped = calibration.shipped()
    likeness = (
        shipped.level_of_misses(0.5) + 0.03
    )  # of half of the pairs of one person, and what is lost in noise
    tracks = [track_of(number, 20 * number) for number in range(count)]
    seen = {number: Seen(looks_at(likeness, number), looks) for number in range(count)}
    assert crowd.joined(tracks, seen, shipped) == dict.fromkeys(range(count), 0)


def test_strangers_of_a_film_stay_apart() -> None:
    tracks = [track_of(number, 20 * number) for number in range(30)]
    seen = {number: Seen([vector(number, 0.3, take) for take in range(6)]) for number in range(30)}
    seen[29] = Seen([vector(3, 0.3, take) for take in range(6, 12)])
    assert crowd.joined(tracks, seen, MEASURED) == {number: number for number in range(29)} | {29: 3}


def test_two_tracks_that_share_a_frame_are_two_people() -> None:
    tracks = [track_of(5, 0), track_of(2, 5), track_of(3, 20)]
    same = {number: Seen([vector(1, 0.1, number)]) for number in (2, 3, 5)}
    for risk in (0.05, 0.5):
        found = crowd.joined(tracks, same, MEASURED, risk=risk)
        assert found[5] != found[2]
        # The third is one of the two, not both, and the lowest of their ids is their name.
        assert found[3] in (2, 3)
        assert len(set(found.values())) == 2


def test_tracks_that_were_not_seen_are_people_of_their_own() -> None:
    tracks = [track_of(1, 0), track_of(2, 20)]
    assert crowd.joined(tracks, {1: Seen([vector(1)]), 2: Seen()}, MEASURED) == {1: 1, 2: 2}
    assert crowd.joined([], {}, MEASURED) == {}


def test_at_a_higher_risk_less_likeness_is_enough() -> None:
    tracks = [track_of(number, 20 * number) for number in range(4)]
    shipped = calibration.shipped()
    seen = {number: Seen(looks_at(0.28, number)) for number in range(4)}
    assert len(set(crowd.joined(tracks, seen, shipped).values())) == 4
    assert len(set(crowd.joined(tracks, seen, shipped, risk=0.5).values())) == 1


def test_many_tracks_take_no_time() -> None:
    tracks = [track_of(number, 20 * number) for number in range(400)]
    seen = {number: Seen(looks_at(0.9, number)) for number in range(400)}
    began = process_time()
    assert len(set(crowd.joined(tracks, seen, calibration.shipped()).values())) == 1
    assert process_time() - began < 5


def track_of(number: int, start: int) -> Track:
    rows: Any = (np.full((10, 5, 2), np.nan, np.float32), np.ones(10, np.float32), np.zeros(10, np.uint8))
    boxes = np.repeat(np.array([[0, 0, 80, 80]], np.float32), 10, 0)
    return Track(number, start, boxes, *rows, np.zeros(10, np.float32))
