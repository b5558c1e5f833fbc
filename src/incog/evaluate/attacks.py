"""Attacks on anonymised faces: each takes what an attacker has and returns similarities or learnt transformations.

Embeddings are of unit norm. Who is attacked is never among those that an attacker learns from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy import linalg

from incog.evaluate import verification
from incog.evaluate.identification import by_person, rank_shares
from incog.evaluate.intervals import Figure, drawn, mean_over_people, percentiles
from incog.evaluate.verification import Scores
from incog.types import Bytes, Floats

DEPTH = 20
"""Ranks of a cumulative match curve."""

RATES = (1e-2, 1e-3, 1e-4)
"""False acceptance rates at which true acceptance rates are told."""

FEWEST = 10
"""Impostor pairs that a rate must mean, at least, to be told."""

BINS = 2000
"""Of the histograms by which error rates are drawn anew."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What an attack found.

    rank1: closed-set identification, chance is 1 / ``people``. tar: by FAR, at thresholds given, as those fixed on
    pairs of originals. calibrated: by FAR, at thresholds at which so many of this attack's own impostor pairs are
    accepted: an attacker can fix them on people whom he knows. eer, auc: of genuine against impostor pairs. curve:
    (FAR, TAR) to draw. cmc: hit rate at ranks 1 .. DEPTH. hits: probability of a hit at rank 1 of each probe. people:
    in the gallery. genuine, impostor: numbers of pairs.
    """

    rank1: Figure
    tar: dict[float, Figure]
    calibrated: dict[float, Figure]
    eer: Figure
    auc: Figure
    curve: tuple[Scores, Scores]
    cmc: Scores
    hits: Scores
    people: int
    genuine: int
    impostor: int


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Who is compared with whom.

    people: who each of the N pictures shows. gallery, probes: rows. Only pairs of different pictures count.
    """

    people: list[str]
    gallery: list[int]
    probes: list[int]

    def thresholds(self, originals: Floats) -> dict[float, float]:
        """Return the similarity by FAR, of all pairs of original pictures (N, D) of different people; without the rates
        for which there are too few pairs."""
        impostor = verification.scores(originals, self.people)[1]
        return {
            rate: verification.threshold_at(impostor, rate)
            for rate in RATES
            if len(impostor) * rate >= FEWEST
        }


def judge(
    probes: Floats,
    gallery: Floats,
    pairs: Pairs,
    thresholds: Mapping[float, float] = MappingProxyType({}),
    *,
    seed: int = 0,
) -> Outcome:
    """Return how often probes are told for whose they are.

    probes, gallery: (N, D) embeddings of the same N pictures as either side shows them: a probe of one picture is
    compared with the gallery's other pictures, never with its own. thresholds: similarity by FAR.
    """
    names = np.array(pairs.people)
    similarities = probes @ gallery.T
    same = names[:, None] == names[None]
    np.fill_diagonal(similarities, np.nan)
    genuine_at = same & ~np.isnan(similarities)
    genuine = similarities[genuine_at].astype(np.float64)
    who = np.broadcast_to(names[:, None], same.shape)[genuine_at].tolist()
    impostor = similarities[~same].astype(np.float64)
    # Either of two pictures is a probe: two pairs of the same people, which where both sides are the same are one.
    twice = 2 if probes is gallery else 1
    own = {
        rate: verification.threshold_at(impostor, rate)
        for rate in RATES
        if len(impostor) * rate >= 2 * FEWEST
    }
    tar, calibrated = (
        {
            rate: mean_over_people((genuine > level).astype(np.float64), who, hits=True, seed=seed)
            for rate, level in levels.items()
        }
        for levels in (thresholds, own)
    )
    auc = mean_over_people(verification.placements(genuine, impostor), who, seed=seed)
    to_people, order = by_person(
        similarities[np.ix_(pairs.probes, pairs.gallery)], [pairs.people[row] for row in pairs.gallery]
    )
    columns = np.array([order.index(pairs.people[row]) for row in pairs.probes], np.intp)
    ranks = rank_shares(to_people, columns, min(DEPTH, len(order)))
    probe_people = [pairs.people[row] for row in pairs.probes]
    return Outcome(
        rank1=mean_over_people(ranks[:, 0], probe_people, hits=True, seed=seed),
        tar=tar,
        calibrated=calibrated,
        eer=_equal_error(similarities, same, genuine, impostor, names, seed),
        auc=auc,
        curve=verification.roc(genuine, impostor),
        cmc=ranks.mean(0),
        hits=ranks[:, 0],
        people=len(order),
        genuine=len(genuine) // twice,
        impostor=len(impostor) // twice,
    )


def _equal_error(
    similarities: Floats,
    same: npt.NDArray[np.bool_],
    genuine: Scores,
    impostor: Scores,
    names: npt.NDArray[np.str_],
    seed: int,
) -> Figure:
    """Return the equal error rate; people are drawn anew on histograms of the scores of each person's probes."""
    value = verification.equal_error_rate(genuine, impostor)
    low, high = float(np.nanmin(similarities)), float(np.nanmax(similarities))
    places = np.clip((similarities - low) / max(high - low, 1e-9) * BINS, 0, BINS - 1)
    counts, codes = drawn(names.tolist(), seed=seed, rounds=200)
    people = counts.shape[1]
    tables = []
    for chosen in (same & ~np.isnan(similarities), ~same):
        rows, columns = np.nonzero(chosen)
        flat = codes[rows] * BINS + places[rows, columns].astype(np.int64)
        tables.append(np.bincount(flat, minlength=people * BINS).reshape(people, BINS))
    frr, far = (np.cumsum(counts @ table, axis=1) for table in tables)
    frr, far = frr / np.maximum(frr[:, -1:], 1), 1 - far / np.maximum(far[:, -1:], 1)
    nearest = np.argmin(np.abs(frr - far), axis=1)
    rows = np.arange(len(nearest))
    again = (frr[rows, nearest] + far[rows, nearest]) / 2
    return percentiles(value, again, len(genuine), people)


# What an attacker learns


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """A linear head: subtracts ``mean`` (D,) and multiplies by ``matrix`` (D, K); results are brought to unit norm."""

    mean: Floats
    matrix: Floats

    def __call__(self, rows: Floats) -> Floats:
        placed = (rows - self.mean) @ self.matrix
        return np.asarray(
            placed / np.maximum(np.linalg.norm(placed, axis=1, keepdims=True), 1e-12), np.float32
        )


SHRINKS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Regularisations of which an attacker takes the one that does best on people whom he knows."""


def discriminant(rows: Floats, people: Sequence[str], *, shrink: float = 0.3, most: int = 256) -> Projection:
    """Return the head that tells people apart best (Fisher's linear discriminant), learnt on rows (N, D).

    shrink: share of the mean variance added to the scatter within people, so that few pictures do not mislead it.
    Raises ValueError when nobody has two pictures.
    """
    _, codes, counts = np.unique(list(people), return_inverse=True, return_counts=True)
    if not (counts > 1).any():
        raise ValueError("people must have two pictures and more to learn from, got one of each")
    mean = rows.mean(0)
    # What lies outside of the span of the rows cannot be learnt: long rows are cut down to it.
    _, sizes, axes = np.linalg.svd((rows - mean).astype(np.float64), full_matrices=False)
    axes = axes[sizes > max(float(sizes[0]), 1e-12) * 1e-6] if len(sizes) else axes
    values = (rows - mean).astype(np.float64) @ axes.T
    centres = np.zeros((len(counts), values.shape[1]))
    np.add.at(centres, codes, values)
    centres /= counts[:, None]
    inner = values - centres[codes]
    within = inner.T @ inner / max(len(values) - len(counts), 1)
    within += np.eye(len(within)) * (shrink * np.trace(within) / rows.shape[1] + 1e-9)
    outer = centres * np.sqrt(counts)[:, None]
    shares, vectors = linalg.eigh(outer.T @ outer / len(values), within)
    keep = np.argsort(-shares)[: min(most, len(counts) - 1)]
    return Projection(mean.astype(np.float32), (axes.T @ vectors[:, keep]).astype(np.float32))


def best_head(probes: Floats, gallery: Floats, people: Sequence[str]) -> Projection:
    """Return the head under which an attacker tells known people apart best, or none: then faces are compared as they
    are.

    probes, gallery: (N, D) embeddings of the same N pictures as they will be compared; they are the same for hidden
    faces against hidden ones. Half of the people choose the regularisation by the AUC, all teach the head. Raises
    ValueError when nobody has two pictures.
    """
    names = np.array(list(people))
    _, codes = np.unique(names, return_inverse=True)
    held = codes % 2 == 1
    same = probes is gallery
    learnt = np.concatenate([probes[~held]] if same else [probes[~held], gallery[~held]])
    teachers = names[~held].tolist() * (1 if same else 2)
    plain = Projection(np.zeros(probes.shape[1], np.float32), np.eye(probes.shape[1], dtype=np.float32))

    def score(head: Projection) -> float:
        likeness = head(probes[held]) @ head(gallery[held]).T
        alike = names[held][:, None] == names[held][None]
        apart = ~np.eye(len(likeness), dtype=bool)
        genuine, impostor = likeness[alike & apart], likeness[~alike]
        if not len(genuine) or not len(impostor):
            return 0.5
        return verification.auc(genuine.astype(np.float64), impostor.astype(np.float64))

    scored: list[tuple[float, float | None]] = [(score(plain), None)]
    if len(set(teachers)) < len(teachers):
        scored += [(score(discriminant(learnt, teachers, shrink=shrink)), shrink) for shrink in SHRINKS]
    _, chosen = max(scored, key=lambda pair: pair[0])
    if chosen is None:
        return plain
    every = probes if same else np.concatenate([probes, gallery])
    return discriminant(every, names.tolist() * (1 if same else 2), shrink=chosen)


@dataclass(frozen=True, slots=True, eq=False)
class Inversion:
    """A learnt way back: what was taken from hidden crops, by ridge regression between principal components."""

    hidden: Projection
    slope: Floats
    mean: Floats
    basis: Floats

    def __call__(self, crops: Bytes) -> Bytes:
        """Return restored crops, (B, S, S, 3) uint8, for hidden ones of the same shape."""
        flat = crops.reshape(len(crops), -1).astype(np.float32)
        codes = (flat - self.hidden.mean) @ self.hidden.matrix
        restored = flat + (codes @ self.slope) @ self.basis + self.mean
        return np.clip(np.rint(restored), 0, 255).astype(np.uint8).reshape(crops.shape)


RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)
"""Penalties, as shares of the largest variance of the codes, of which the best on held-out crops is taken."""


LEAST_LEARNT = 10
"""Pairs that an inversion is learnt on, at least."""


def learn_inversion(hidden: Bytes, originals: Bytes, *, most: int = 300) -> Inversion:
    """Return the inversion learnt on pairs of aligned crops (N, S, S, 3) uint8 of other people, N at least 10.

    It learns the difference to the original, so what a method leaves is kept. most: principal components on either
    side. A tenth of the pairs chooses the penalty. Raises ValueError for other shapes.
    """
    if hidden.shape != originals.shape or len(hidden) < LEAST_LEARNT:
        raise ValueError(
            f"there must be at least ten pairs of crops of one shape, got {hidden.shape} and {originals.shape}"
        )
    x, y = (one.reshape(len(one), -1).astype(np.float32) for one in (hidden, originals))
    y = y - x
    (x_mean, x_basis), (y_mean, y_basis) = _components(x, most), _components(y, most)
    codes, goals = (x - x_mean) @ x_basis.T, (y - y_mean) @ y_basis.T
    held = np.arange(len(codes)) % 10 == 9

    def solved(chosen: npt.NDArray[np.bool_], ridge: float) -> Floats:
        rows, targets = codes[chosen], goals[chosen]
        square = rows.T @ rows
        # Hidden crops that are all alike have no components: what is missing is then the mean.
        penalty = ridge * float(square.diagonal().max(initial=0)) + 1e-6
        slope = np.linalg.solve(square + penalty * np.eye(len(square), dtype=np.float32), rows.T @ targets)
        return np.asarray(slope, np.float32)

    def error(ridge: float) -> float:
        slope = solved(~held, ridge)
        return float(np.square(codes[held] @ slope - goals[held]).sum())

    ridge = min(RIDGES, key=error)
    return Inversion(Projection(x_mean, x_basis.T.copy()), solved(held | ~held, ridge), y_mean, y_basis)


def _components(rows: Floats, most: int) -> tuple[Floats, Floats]:
    """Return mean (n,) and principal components (K, n) of rows (N, n), by the smaller of the two scatter matrices."""
    mean = rows.mean(0)
    centred = rows - mean
    values, vectors = np.linalg.eigh(centred @ centred.T)
    keep = np.argsort(-values)[: min(most, len(rows) - 1)]
    keep = keep[values[keep] > max(float(values.max()), 0) * 1e-7]
    basis = (vectors[:, keep] / np.sqrt(values[keep])).T @ centred
    return mean, np.asarray(basis, np.float32)
