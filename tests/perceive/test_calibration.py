"""Thresholds hold on people that were not measured, by the group in which strangers are most alike."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from incog.errors import ModelError, UsageError
from incog.perceive import calibration
from incog.perceive.calibration import Calibration, Tail, calibrate, threshold
from incog.perceive.embedder import unit

Floats = npt.NDArray[np.float32]
DEPTH = 64


def faces(
    people: int, photos: int, seed: int, *, common: float = 0.0, spread: float = 1.0
) -> tuple[Floats, list[str]]:
    """Return embeddings of made-up people. common: how much all have in common, along an axis of the group's own.
    spread: in how many more or fewer directions they differ."""
    rng = np.random.default_rng(seed)
    axes = np.ones(DEPTH)
    axes[int(DEPTH * spread) :] = 0.2
    centres = rng.normal(size=(people, 1, DEPTH)) * axes
    pictures = (centres + 0.55 * rng.normal(size=(people, photos, DEPTH)) * axes).reshape(-1, DEPTH)
    pictures[:, seed % DEPTH] += common * np.sqrt(DEPTH)
    names = [f"{seed}-{person}" for person in range(people) for _ in range(photos)]
    return unit(pictures.astype(np.float32)), names


@pytest.fixture(scope="module")
def made() -> Calibration:
    parts = [faces(400, 1, 3, common=0.8), faces(400, 1, 5, common=0.8, spread=0.6), faces(300, 3, 7)]
    groups = ["one"] * 400 + ["two"] * 400 + [""] * 900
    identities = [""] * 800 + parts[2][1]
    vectors = np.concatenate([part[0] for part in parts])
    return calibrate(vectors, identities, groups, embedder="made-up", data="a test")


def strangers(made: Calibration, seed: int, common: float, spread: float) -> Floats:
    """Return similarities of new people of a group of the fixture: the same axis, other faces."""
    rng = np.random.default_rng(seed + 1000)
    axes = np.ones(DEPTH)
    axes[int(DEPTH * spread) :] = 0.2
    pictures = rng.normal(size=(1500, DEPTH)) * axes * np.sqrt(1 + 0.55**2)
    pictures[:, seed % DEPTH] += common * np.sqrt(DEPTH)
    vectors = made.project(unit(pictures.astype(np.float32)))
    return (vectors @ vectors.T)[np.triu_indices(1500, 1)]


@pytest.mark.parametrize("rate", [1e-2, 1e-3, 1e-4])
def test_new_strangers_pass_no_more_often_than_said(made: Calibration, rate: float) -> None:
    level = threshold(made, 1, rate)
    for seed, spread in ((3, 1.0), (5, 0.6)):
        passed = float((strangers(made, seed, 0.8, spread) >= level).mean())
        assert passed <= rate * 1.3, seed
    # And not by asking for the impossible: the worst group comes near the rate.
    assert made.rate(level)[0] == pytest.approx(rate, rel=0.02)


def test_the_group_with_less_variety_is_worse_and_the_worst_counts(made: Calibration) -> None:
    assert {tail.name for tail in made.tails} == {"one", "two", "no group known"}
    by_name = {tail.name: tail for tail in made.tails}
    assert by_name["two"].rate(0.3) > 2 * by_name["one"].rate(0.3)
    for level in (0.1, 0.3, 0.5):
        assert made.rate(level)[0] == max(tail.rate(level) for tail in made.tails)


def test_what_a_group_has_in_common_counts_for_nothing(made: Calibration) -> None:
    alike, names = faces(200, 1, 3, common=0.8)
    assert len(names) == 200
    raw, rest = alike @ alike.T, made.project(alike) @ made.project(alike).T
    rows = np.triu_indices(200, 1)
    assert raw[rows].mean() > 0.25
    assert abs(rest[rows].mean()) < 0.05
    np.testing.assert_allclose(np.linalg.norm(made.project(alike), axis=1), 1, atol=1e-5)


def test_more_comparisons_and_less_risk_ask_for_more(made: Calibration) -> None:
    levels = [threshold(made, count, 0.01) for count in (1, 3, 10, 30)]
    assert levels == sorted(levels)
    assert len(set(levels)) == 4
    assert threshold(made, 10, 0.1) == threshold(made, 1, 0.01)
    for level in levels:
        assert made.rate(level)[0] <= 0.01 / (1, 3, 10, 30)[levels.index(level)]


def test_a_rate_that_the_data_cannot_tell_is_refused(made: Calibration) -> None:
    with pytest.raises(UsageError, match=r"the risk must be at least .* for 1000000 comparisons, got 0.01"):
        threshold(made, 10**6, 0.01)
    with pytest.raises(UsageError, match="more than 0 and less than 1"):
        threshold(made, 1, 0)
    with pytest.raises(ValueError, match="comparisons must be at least 1"):
        threshold(made, 0, 0.01)


def test_misses_are_those_of_one_person(made: Calibration) -> None:
    vectors, names = faces(300, 2, 99)
    projected = made.project(vectors)
    same = (projected[::2] * projected[1::2]).sum(axis=1)
    assert len(names) == 600
    for level in (made.same[1], made.same[-1]):
        assert (same < level).mean() <= made.miss_rate(level) + 0.03
    assert made.miss_rate(2.0) == 1
    assert made.level_of_misses(0.05) <= made.level_of_misses(0.1)
    assert made.level_of_misses(0) == made.same[0]


@pytest.mark.parametrize(("share", "count"), [(0.005, 2000), (0.1, 100), (0.5, 400)])
def test_the_miss_rate_is_the_end_of_an_interval(share: float, count: int, made: Calibration) -> None:
    """Wilson's, as scipy has it."""
    one = made.model_copy(update={"misses": [share, 0.9], "same": [0.4, 0.9], "same_pairs": count})
    interval = stats.binomtest(round(share * count), count).proportion_ci(method="wilson")
    assert one.miss_rate(0.4) == pytest.approx(interval.high, rel=1e-3)


def test_the_tail_of_an_exponential_is_found(made: Calibration) -> None:
    rng = np.random.default_rng(0)
    scores = 0.2 + rng.exponential(0.04, 400_000)
    tail = calibration._tail("any", 900, scores.astype(np.float32), repeated=0.55)
    assert tail.scale == pytest.approx(0.04, rel=0.05)
    for rate in (1e-2, 1e-3, 1e-5):
        assert tail.score_at(rate) == pytest.approx(0.2 + 0.04 * np.log(1 / rate), abs=0.02)
    rates = [tail.rate(score) for score in np.linspace(-1, 1, 300)]
    assert all(before >= after for before, after in pairwise(rates))


def test_the_same_person_twice_under_no_name_is_one(made: Calibration) -> None:
    vectors, _ = faces(400, 1, 3, common=0.8)
    parts = [vectors, vectors[:200], *[faces(300, 3, 7)[0]]]
    names = [""] * 600 + faces(300, 3, 7)[1]
    groups = ["one"] * 600 + [""] * 900
    twice = calibrate(np.concatenate(parts), names, groups, fit=[False] * 600 + [True] * 450 + [False] * 450)
    one = next(tail for tail in twice.tails if tail.name == "one")
    assert one.people <= 400
    assert one.scores[-1] < 0.7


def test_small_groups_get_no_figure_and_are_named() -> None:
    big, few, named = faces(400, 1, 3), faces(20, 1, 5), faces(150, 3, 7)
    vectors = np.concatenate([big[0], few[0], named[0]])
    found = calibrate(vectors, [""] * 420 + named[1], ["big"] * 400 + ["few"] * 20 + [""] * 450)
    assert "few" in found.unmeasured
    assert "big" in {tail.name for tail in found.tails}


def test_too_little_to_measure_is_an_error() -> None:
    vectors, names = faces(30, 2, 3)
    with pytest.raises(ValueError, match="needs 100 pairs"):
        calibrate(vectors, names, [""] * 60)
    with pytest.raises(ValueError, match="59 identities"):
        calibrate(vectors, names[1:], [""] * 60)
    vectors, names = faces(60, 4, 3)
    with pytest.raises(ValueError, match="needs a group with"):
        calibrate(vectors, names, [""] * 240)


# As a file


def test_a_calibration_survives_json(made: Calibration) -> None:
    again = Calibration.model_validate_json(made.model_dump_json())
    assert again == made
    assert threshold(again, 7, 0.01) == threshold(made, 7, 0.01)


def test_a_calibration_of_another_network_is_refused(
    made: Calibration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration.resources, "files", lambda package: tmp_path)
    with pytest.raises(ModelError, match="cannot be read"):
        calibration.load("made-up")
    (tmp_path / calibration.FILE).write_text(made.model_dump_json())
    assert calibration.load("made-up") == made
    with pytest.raises(ModelError, match="belongs to another network"):
        calibration.load("other")
    (tmp_path / calibration.FILE).write_text(json.dumps({"embedder": "made-up"}))
    with pytest.raises(ModelError, match="cannot be read"):
        calibration.load("made-up")


def test_rates_never_rise_with_the_score() -> None:
    tail = Tail(name="t", people=9, pairs=99, shares=[0.5, 0.01, 1e-3], scores=[0.0, 0.2, 0.5], scale=0.03)
    assert tail.rate(0.2) == pytest.approx(0.01)
    # What was counted is more than the fit says: it stands.
    assert tail.rate(0.4999) == pytest.approx(1e-3, rel=0.01)
    assert tail.rate(0.51) < 1e-3
