"""Verification figures agree with cases counted by hand and with a second, plain implementation."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from sklearn import metrics

from incog.evaluate import verification as v


def _embeddings(people: int, each: int, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    random = np.random.default_rng(seed)
    centres = np.repeat(random.normal(size=(people, 8)), each, axis=0)
    rows = centres + random.normal(size=centres.shape)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), [f"person {n // each}" for n in range(people * each)]


def test_scores_are_the_cosines_of_all_pairs() -> None:
    rows, names = _embeddings(6, 3)
    names[4] = ""
    genuine, impostor = v.scores(rows, names)
    expected: dict[bool, list[float]] = {True: [], False: []}
    for (a, one), (b, other) in combinations([(n, name) for n, name in enumerate(names) if name], 2):
        expected[one == other].append(sum(float(x) * float(y) for x, y in zip(rows[a], rows[b], strict=True)))
    assert np.sort(genuine) == pytest.approx(sorted(expected[True]), abs=1e-6)
    assert np.sort(impostor) == pytest.approx(sorted(expected[False]), abs=1e-6)
    assert len(genuine) == 5 * 3 + 1
    assert len(genuine) + len(impostor) == 17 * 16 // 2


def test_nobody_known_makes_no_pairs() -> None:
    genuine, impostor = v.scores(np.eye(3, dtype=np.float32), ["", "", ""])
    assert len(genuine) == len(impostor) == 0


def test_threshold_by_hand() -> None:
    impostor = np.arange(100) / 100
    assert v.threshold_at(impostor, 0.1) == pytest.approx(0.89)
    assert (impostor > v.threshold_at(impostor, 0.1)).sum() == 10
    genuine = np.array([0.5, 0.89, 0.9, 1.0])
    assert v.tar_at(genuine, impostor, 0.1) == 0.5


def test_equal_impostors_are_let_in_together_or_not_at_all() -> None:
    impostor = np.array([0.1] * 80 + [0.7] * 20)
    assert v.threshold_at(impostor, 0.1) == 0.7
    assert (impostor > v.threshold_at(impostor, 0.2)).mean() <= 0.2


@pytest.mark.parametrize("rate", [0.5, 0.1, 0.01])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_tar_agrees_with_a_search_over_all_thresholds(rate: float, seed: int) -> None:
    genuine, impostor = v.scores(*_embeddings(16, 3, seed))
    # The lowest threshold among the scores that keeps the false accepts within the rate.
    allowed = [t for t in sorted(impostor) if (impostor > t).sum() <= rate * len(impostor)]
    assert v.threshold_at(impostor, rate) == allowed[0]
    assert v.tar_at(genuine, impostor, rate) == pytest.approx((genuine > allowed[0]).sum() / len(genuine))


@pytest.mark.parametrize("rate", [1e-2, 1e-3])
def test_too_few_pairs_are_refused(rate: float) -> None:
    enough = round(10 / rate)
    assert v.threshold_at(np.zeros(enough), rate) == 0
    with pytest.raises(ValueError, match=f"at least {enough} impostor pairs, got {enough - 1}"):
        v.threshold_at(np.zeros(enough - 1), rate)


def test_no_pairs_are_refused() -> None:
    none, some = np.zeros(0), np.zeros(100)
    with pytest.raises(ValueError, match="got none"):
        v.tar_at(none, some, 0.1)
    for pair in ((none, some), (some, none)):
        with pytest.raises(ValueError, match="got none"):
            v.best_threshold(*pair)
        with pytest.raises(ValueError, match="got none"):
            v.balanced_accuracy(*pair, 0.0)


def test_balanced_accuracy_by_hand() -> None:
    genuine, impostor = np.array([0.2, 0.6, 0.8]), np.array([0.1, 0.3, 0.5, 0.7])
    assert v.balanced_accuracy(genuine, impostor, 0.5) == pytest.approx((2 / 3 + 3 / 4) / 2)
    # At the threshold itself two faces count as two people.
    assert v.balanced_accuracy(genuine, impostor, 0.6) == pytest.approx((1 / 3 + 3 / 4) / 2)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("steps", [0, 10])
def test_the_best_threshold_is_the_best_of_all(seed: int, steps: int) -> None:
    genuine, impostor = v.scores(*_embeddings(12, 3, seed))
    if steps:
        # Many equal scores.
        genuine, impostor = np.round(genuine * steps) / steps, np.round(impostor * steps) / steps
    found = v.balanced_accuracy(genuine, impostor, v.best_threshold(genuine, impostor))
    tried = [v.balanced_accuracy(genuine, impostor, t) for t in np.concatenate([genuine, impostor])]
    assert found == pytest.approx(max(tried))


def _scored(seed: int = 0, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    genuine, impostor = random.normal(1, 1, 300), random.normal(0, 1, 2000)
    return (genuine.round(1), impostor.round(1)) if ties else (genuine, impostor)


@pytest.mark.parametrize("ties", [False, True])
def test_auc_and_curves_are_scikit_learns(ties: bool) -> None:
    genuine, impostor = _scored(ties=ties)
    labels = np.r_[np.ones(len(genuine)), np.zeros(len(impostor))]
    values = np.r_[genuine, impostor]
    assert v.auc(genuine, impostor) == pytest.approx(metrics.roc_auc_score(labels, values), abs=1e-12)
    accepted, _, thresholds = metrics.roc_curve(labels, values, drop_intermediate=False)
    far, frr = v.rates(genuine, impostor, thresholds[1:] - 1e-9)
    assert far == pytest.approx(accepted[1:], abs=1e-12)
    recall = metrics.roc_curve(labels, values, drop_intermediate=False)[1][1:]
    assert 1 - frr == pytest.approx(recall, abs=1e-12)


def test_placements_average_to_the_auc_and_scores_turned_round_to_the_rest() -> None:
    genuine, impostor = _scored(1)
    assert v.placements(genuine, impostor).mean() == pytest.approx(v.auc(genuine, impostor))
    assert v.auc(-genuine, -impostor) == pytest.approx(1 - v.auc(genuine, impostor))


def test_equal_error_rate_of_two_gaussians() -> None:
    random = np.random.default_rng(2)
    genuine, impostor = random.normal(2, 1, 40_000), random.normal(0, 1, 40_000)
    # Both errors are the tail beyond one standard deviation.
    assert v.equal_error_rate(genuine, impostor) == pytest.approx(0.1587, abs=0.005)
    assert v.equal_error_rate(np.array([0.9, 0.8]), np.array([0.1, 0.2])) == 0
    assert v.equal_error_rate(np.array([0.1]), np.array([0.9])) == 1
    assert v.equal_error_rate(np.array([0.5, 0.5]), np.array([0.5, 0.5])) == 0.5


def test_a_drawn_curve_lies_on_the_curve() -> None:
    genuine, impostor = _scored(3)
    far, tar = v.roc(genuine, impostor, points=30)
    assert (np.diff(far) > 0).all()
    assert (np.diff(tar) >= 0).all()
    assert far[0] == pytest.approx(1 / 2000)
    for rate, share in zip(far[3:-1:6], tar[3:-1:6], strict=True):
        if len(impostor) * rate >= 10:
            assert v.tar_at(genuine, impostor, rate + 1e-9) == pytest.approx(share)


def test_cross_validation_never_sees_the_fold_that_it_judges() -> None:
    rows, names = _embeddings(40, 3)
    names[7] = ""
    people = sorted(set(names) - {""})
    expected = []
    for fold in range(10):
        inside = [name != "" and people.index(name) % 10 == fold for name in names]
        parts = {
            side: v.scores(
                rows[[one == side for one in inside]],
                [name for name, one in zip(names, inside, strict=True) if one == side],
            )
            for side in (True, False)
        }
        genuine, impostor = parts[False]
        levels = np.concatenate([genuine, impostor])
        best = max(levels, key=lambda level: (genuine > level).mean() + (impostor <= level).mean())
        expected.append(((parts[True][0] > best).mean() + (parts[True][1] <= best).mean()) / 2)
    assert v.cross_validated_accuracy(rows, names) == pytest.approx(np.mean(expected), abs=0.01)
    with pytest.raises(ValueError, match="there must be pairs"):
        v.cross_validated_accuracy(*_embeddings(12, 2))
