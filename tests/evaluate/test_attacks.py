"""Attacks succeed where something is left and are at chance where nothing is; figures agree with plain counting."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from incog.evaluate import verification
from incog.evaluate.attacks import Pairs, Projection, best_head, discriminant, judge, learn_inversion
from incog.types import Bytes, Floats


def embeddings(people: int, each: int, noise: float, seed: int = 0) -> tuple[Floats, list[str]]:
    random = np.random.default_rng(seed)
    rows = np.repeat(random.normal(size=(people, 24)), each, 0) + noise * random.normal(
        size=(people * each, 24)
    )
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), [f"person {n // each:03}" for n in range(people * each)]


def pairs_of(names: list[str]) -> Pairs:
    gallery = [row for row, name in enumerate(names) if name not in names[:row]]
    return Pairs(names, gallery, [row for row in range(len(names)) if row not in gallery])


def test_untouched_faces_are_recognised_and_figures_are_counted() -> None:
    rows, names = embeddings(40, 3, 0.7)
    pairs = pairs_of(names)
    thresholds = pairs.thresholds(rows)
    found = judge(rows, rows, pairs, thresholds)
    genuine, impostor = verification.scores(rows, names)
    assert (found.people, found.genuine, found.impostor) == (40, len(genuine), len(impostor))
    for rate in (1e-2,):
        assert found.tar[rate].value == pytest.approx(verification.tar_at(genuine, impostor, rate))
        assert found.calibrated[rate].value == pytest.approx(found.tar[rate].value)
    assert 1e-4 not in found.tar, "4,680 pairs cannot tell of one in ten thousand"
    assert found.auc.value == pytest.approx(verification.auc(genuine, impostor))
    assert found.eer.value == pytest.approx(verification.equal_error_rate(genuine, impostor), abs=1e-6)
    assert found.eer.low <= found.eer.value <= found.eer.high
    hits = 0
    for probe in pairs.probes:
        best = max(pairs.gallery, key=lambda row: float(rows[probe] @ rows[row]))
        hits += names[best] == names[probe]
    assert found.rank1.value == pytest.approx(hits / len(pairs.probes))
    assert found.rank1.value > 0.9
    assert (np.diff(found.cmc) >= 0).all()


def test_a_picture_is_never_matched_with_itself() -> None:
    # Every picture is its own twin only: without that pair there is nothing to find.
    rows, names = embeddings(40, 2, 50.0)
    found = judge(rows, rows, pairs_of(names))
    assert found.rank1.low <= 1 / 40 <= found.rank1.high
    assert found.auc.low <= 0.5 <= found.auc.high


def test_outputs_that_are_all_alike_are_at_chance() -> None:
    _, names = embeddings(25, 3, 1.0)
    rows = np.tile(np.eye(24, dtype=np.float32)[:1], (75, 1))
    found = judge(rows, rows, pairs_of(names))
    assert found.rank1.value == pytest.approx(1 / 25)
    assert found.auc.value == pytest.approx(0.5)
    assert all(figure.value == 0 for figure in found.calibrated.values())


def test_scores_turned_round_show_as_an_auc_below_one_half() -> None:
    rows, names = embeddings(30, 3, 0.5)
    assert judge(-rows, rows, pairs_of(names)).auc.value < 0.05


# What an attacker learns


def test_a_head_finds_people_in_what_hides_them_from_plain_comparison() -> None:
    random = np.random.default_rng(3)
    loud = random.normal(size=(24, 24)) * np.r_[np.full(16, 2.0), np.full(8, 0.05)][:, None]

    def hidden(rows: Floats, seed: int) -> Floats:
        # People differ in few quiet directions, among loud ones that say nothing.
        noise = np.random.default_rng(seed).normal(size=rows.shape)
        noise[:, 16:] = rows[:, 16:] * 150
        values = noise @ loud
        return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)

    known, known_names = embeddings(80, 4, 0.2, 4)
    judged, names = embeddings(40, 3, 0.2, 5)
    after = hidden(judged, 6)
    plain = judge(after, after, pairs_of(names))
    hidden_known = hidden(known, 7)
    head = best_head(hidden_known, hidden_known, known_names)
    learnt = judge(head(after), head(after), pairs_of(names))
    assert learnt.rank1.value > plain.rank1.value + 0.2
    assert learnt.auc.value > plain.auc.value


def test_the_head_spans_what_scikit_learn_finds() -> None:
    rows, names = embeddings(12, 30, 0.8, 8)
    head = discriminant(rows, names, shrink=0.0)
    theirs = LinearDiscriminantAnalysis(solver="eigen").fit(rows, names)
    mine = (rows - head.mean) @ head.matrix
    other = theirs.transform(rows)
    for column in range(3):
        correlation = np.corrcoef(mine[:, column], other[:, column])[0, 1]
        assert abs(correlation) > 0.999


def test_a_head_that_only_misleads_is_not_used() -> None:
    known, known_names = embeddings(30, 2, 0.1, 9)
    head = best_head(known, known, known_names)
    judged, names = embeddings(40, 3, 0.7, 10)
    plain, learnt = (judge(rows, rows, pairs_of(names)) for rows in (judged, head(judged)))
    assert learnt.rank1.value > plain.rank1.value - 0.05


def test_long_rows_give_the_head_of_their_span() -> None:
    rows, names = embeddings(15, 4, 0.5, 11)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(400, 24)))[0].astype(np.float32)
    short, long = (
        discriminant(rows, names, shrink=1e-6),
        discriminant(rows @ turn.T, names, shrink=1e-6 * 400 / 24),
    )
    np.testing.assert_allclose(
        np.abs(short(rows) @ short(rows).T), np.abs(long(rows @ turn.T) @ long(rows @ turn.T).T), atol=2e-3
    )


def test_a_head_needs_people_with_two_pictures() -> None:
    with pytest.raises(ValueError, match="must have two pictures"):
        discriminant(np.eye(3, dtype=np.float32), ["a", "b", "c"])
    still = Projection(np.zeros(3, np.float32), np.zeros((3, 2), np.float32))
    assert np.isfinite(still(np.eye(3, dtype=np.float32))).all()


def crops(count: int, seed: int) -> Bytes:
    """Return smooth pictures made of a few patterns, as faces are."""
    random = np.random.default_rng([1, seed])
    patterns = np.random.default_rng(0).normal(size=(8, 4, 4, 3)).repeat(6, 1).repeat(6, 2)
    values = np.tensordot(random.normal(size=(count, 8)), patterns, 1)
    return np.clip(128 + 30 * values, 0, 255).astype(np.uint8)


def test_an_inversion_undoes_what_is_linear_and_gives_the_mean_where_nothing_is_left() -> None:
    originals, held_out = crops(300, 1), crops(40, 2)

    def blurred(pictures: Bytes) -> Bytes:
        rows = pictures.astype(float)
        for axis in (1, 2):
            rows = sum(np.roll(rows, shift, axis) for shift in range(-4, 5)) / 9
        return rows.astype(np.uint8)

    def error(one: Bytes, other: Bytes) -> float:
        return float(np.abs(one.astype(float) - other).mean())

    way_back = learn_inversion(blurred(originals), originals)
    assert error(way_back(blurred(held_out)), held_out) < 0.3 * error(blurred(held_out), held_out)
    kept = learn_inversion(originals, originals)
    assert error(kept(held_out), held_out) < 1, "what a method leaves stays"
    black = learn_inversion(np.zeros_like(originals), originals)
    mean = np.rint(originals.mean(0))
    assert error(black(np.zeros_like(held_out)), np.broadcast_to(mean, held_out.shape)) < 1
    with pytest.raises(ValueError, match="ten pairs of crops of one shape"):
        learn_inversion(originals, originals[:5])
