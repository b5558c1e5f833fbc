"""How surely a similarity of two faces tells people apart, measured on people that no network was trained on.

Embeddings of unlike people are not equally unlike everywhere: within some groups of age, gender and ethnicity they lie
closer together than within others. What a group has in common is taken out of every embedding before it is compared,
and the thresholds go by the group in which strangers are still the most alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib import resources

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError
from scipy.optimize import brentq

from incog import models
from incog.errors import ModelError, UsageError
from incog.perceive.embedder import NAME as EMBEDDER
from incog.perceive.embedder import unit
from incog.types import Floats

FILE = "embedder.json"
"""The shipped calibration, beside the network's file in the package ``incog.models``."""

UPPER = 0.01
"""Share of the impostor scores to which a tail is fitted."""

BEYOND = 30.0
"""How many times rarer than one pair of the data a false match may be for its rate to be stated."""

LEAST_PAIRS = 3_000
"""A group with fewer pairs gets no figure."""

REPEATED = 0.1
"""Two pictures without names that are more alike than this share of the pairs of one person are taken for one person,
of whom only the first counts."""

COMMON = 16
"""Dimensions, at most, of what groups have in common."""

Strings = npt.NDArray[np.str_]
Rows = npt.NDArray[np.intp]

_SHARES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 5e-3, 2e-3, 1e-3, 5e-4, 2e-4, 1e-4, 5e-5, 2e-5, 1e-5)
_MISSES = (1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_BLOCK = 2048


class Tail(BaseModel):
    """Similarities of different people of one group.

    people, pairs: how many were compared. shares, scores: what share of the pairs is at least that similar. scale: of
    the exponential distribution of what exceeds the score at ``UPPER``. Cosines are bounded, so their tail is lighter
    than that (a generalised Pareto distribution of shape below 0): the rates err to the safe side.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    people: int
    pairs: int
    shares: list[float]
    scores: list[float]
    scale: float

    @property
    def rarest(self) -> float:
        """The lowest rate of false matches that these data can speak of."""
        return 1 / (BEYOND * self.pairs)

    def rate(self, score: float) -> float:
        """Return the share of strangers that are at least that similar: what was counted or what the tail says,
        whichever is more."""
        start = self.scores[self.shares.index(UPPER)]
        counted = 0.0
        if score <= self.scores[-1]:
            counted = float(np.exp(np.interp(score, self.scores, np.log(self.shares))))
        if score < start:
            return counted
        fitted = UPPER * float(np.exp((start - score) / self.scale))
        return max(counted, fitted)

    def score_at(self, rate: float) -> float:
        """Return the smallest score at which the rate is at most ``rate``, to 1e-4 and never below."""
        low, high = -1.0, 4.0
        while high - low > 1e-4:
            middle = (low + high) / 2
            low, high = (low, middle) if self.rate(middle) <= rate else (middle, high)
        return high


class Calibration(BaseModel):
    """What was measured of an embedder. Holds means over many people, nothing of one.

    embedder: name or SHA-256 of the network. data: what was measured on. mean (D,), basis (K, D): what is taken out of
    every embedding. tails: strangers, by group. unmeasured: groups that were too small. misses, same: what share of
    pairs of one person is at most that similar. same_pairs: how many such pairs there were.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    embedder: str
    data: str
    mean: list[float]
    basis: list[list[float]]
    tails: list[Tail]
    unmeasured: list[str]
    misses: list[float]
    same: list[float]
    same_pairs: int

    def project(self, embeddings: Floats) -> Floats:
        """Return (N, D) unit vectors for embeddings (N, D), without what groups have in common."""
        mean, basis = np.array(self.mean, np.float32), np.array(self.basis, np.float32)
        rest = np.asarray(embeddings, np.float32) - mean
        if len(basis):
            rest = rest - (rest @ basis.T) @ basis
        return unit(rest)

    def rate(self, score: float) -> tuple[float, str]:
        """Return the worst group's rate of false matches at a threshold, and that group's name."""
        return max((tail.rate(score), tail.name) for tail in self.tails)

    def miss_rate(self, score: float) -> float:
        """Return the share of pairs of one person that are less similar, with the upper end of its 95 % interval.

        From two clear pictures of faces, neither turned far away. At most 1; never below what the data can tell.
        """
        if score > self.same[-1]:
            return 1.0
        share = float(np.exp(np.interp(score, self.same, np.log(self.misses))))
        # Wilson's interval: the count of pairs is what limits a small share.
        z, count = 1.96, self.same_pairs
        middle = share + z * z / (2 * count)
        return min(
            (middle + z * float(np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))))
            / (1 + z * z / count),
            1.0,
        )

    def level_of_misses(self, share: float) -> float:
        """Return the similarity below which at most ``share`` of the pairs of one person lie, or the least share that
        the data can tell."""
        fitting = [score for miss, score in zip(self.misses, self.same, strict=True) if miss <= share]
        return fitting[-1] if fitting else self.same[0]

    def sensitive(self, rate: float) -> float:
        """Return the lowest threshold that some group's rate of false matches allows: for warnings, not for trust."""
        return min(tail.score_at(rate) for tail in self.tails)


def threshold(calibration: Calibration, comparisons: int, risk: float) -> float:
    """Return the smallest similarity at which ``comparisons`` times the worst group's rate of false matches is at most
    ``risk``.

    So, by the union bound, the chance that any comparison takes a stranger for the person is at most ``risk``. Raises
    UsageError when the data are too few to speak of a rate so low.
    """
    if comparisons < 1:
        raise ValueError(f"comparisons must be at least 1, got {comparisons}")
    if not 0 < risk < 1:
        raise UsageError(f"the risk must be more than 0 and less than 1, got {risk:g}")
    rate = risk / comparisons
    least = max(tail.rarest for tail in calibration.tails)
    if rate < least:
        raise UsageError(
            f"the risk must be at least {least * comparisons:.2g} for {comparisons} comparisons, got {risk:g}: "
            "the measured data cannot speak of less"
        )
    return max(tail.score_at(rate) for tail in calibration.tails)


def calibrate(
    embeddings: Floats,
    identities: Sequence[str],
    groups: Sequence[str],
    *,
    fit: Sequence[bool] | None = None,
    embedder: str = "",
    data: str = "",
) -> Calibration:
    """Return what a set of embeddings says about an embedder.

    embeddings: (N, D) unit rows. identities: a name per row; '' where it is unknown and taken for a person of its own,
    unless it is much like another such row of its group. groups: the group per row; '' where unknown, compared with
    each other as one group more. fit: which rows the common part is learned from; the others are measured; every
    second person by default. Rows with a group teach the common part, rows with names the similarity of one person.
    Raises ValueError when there is nothing to measure.
    """
    vectors = np.asarray(embeddings, np.float32)
    names, kinds = np.array(identities), np.array(groups)
    if not len(vectors) == len(names) == len(kinds):
        raise ValueError(f"{len(vectors)} embeddings, {len(names)} identities, {len(kinds)} groups")
    learned = _every_second(names) if fit is None else np.asarray(fit, bool)
    mean, basis = _common(vectors, kinds, learned)
    draft = Calibration(
        embedder=embedder,
        data=data,
        mean=np.round(mean.astype(float), 6).tolist(),
        basis=np.round(basis.astype(float), 6).tolist(),
        tails=[],
        unmeasured=[],
        misses=[],
        same=[],
        same_pairs=0,
    )
    measured = ~learned
    vectors, names, kinds = draft.project(vectors[measured]), names[measured], kinds[measured]
    same = _within(vectors, names)
    if len(same) < 100:
        raise ValueError(f"a calibration needs 100 pairs of pictures of one person, got {len(same)}")
    repeated = float(np.quantile(same, REPEATED))
    tails: list[Tail] = []
    unmeasured: list[str] = []
    for kind in sorted(set(kinds.tolist())):
        rows = _people(vectors, names, np.flatnonzero(kinds == kind), repeated)
        scores = _between(vectors[rows])
        label = kind or "no group known"
        if len(scores) < LEAST_PAIRS:
            unmeasured.append(label)
        else:
            tails.append(_tail(label, len(rows), scores, repeated))
    if not tails:
        raise ValueError(f"a calibration needs a group with {LEAST_PAIRS} pairs of people, got none")
    misses = [share for share in _MISSES if share * len(same) >= 1]
    return draft.model_copy(
        update={
            "tails": tails,
            "unmeasured": unmeasured,
            "misses": misses,
            "same": np.round(np.quantile(same, misses).astype(float), 4).tolist(),
            "same_pairs": len(same),
        }
    )


def load(embedder: str) -> Calibration:
    """Return the calibration that the package brings for a network. embedder: its SHA-256, which must be the measured
    one. Raises ModelError."""
    try:
        text = resources.files("incog.models").joinpath(FILE).read_text(encoding="utf-8")
        found = Calibration.model_validate_json(text)
    except (OSError, ValidationError) as error:
        raise ModelError(f"the calibration {FILE} cannot be read: {type(error).__name__}") from error
    if found.embedder != embedder:
        raise ModelError(f"the calibration {FILE} belongs to another network")
    return found


@lru_cache(maxsize=1)
def shipped() -> Calibration:
    """Return the calibration of the embedder that the package brings. Raises ModelError."""
    return load(models.RECORDS[EMBEDDER].sha256)


def _every_second(names: Strings) -> npt.NDArray[np.bool_]:
    """Return a mask of every second person; a row without a name is a person."""
    numbers: dict[str, int] = {}
    seen = [numbers.setdefault(name or f"\0{row}", len(numbers)) for row, name in enumerate(names.tolist())]
    return np.array([number % 2 == 0 for number in seen], np.bool_)


def _common(vectors: Floats, kinds: Strings, learned: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return the mean (D,) and the directions (K, D) in which the groups' means differ most."""
    rows: npt.NDArray[np.bool_] = learned & (kinds != "")
    if not rows.any():
        rows = learned if learned.any() else np.ones(len(vectors), bool)
        return np.asarray(vectors[rows].mean(axis=0), np.float32), np.zeros((0, vectors.shape[1]), np.float32)
    mean = vectors[rows].mean(axis=0)
    means = np.stack([vectors[rows & (kinds == kind)].mean(axis=0) for kind in sorted(set(kinds[rows]))])
    _, spread, directions = np.linalg.svd(means - mean, full_matrices=False)
    count = min(COMMON, int((spread > 1e-6).sum()))
    return np.asarray(mean, np.float32), np.asarray(directions[:count], np.float32)


def _people(vectors: Floats, names: Strings, rows: Rows, repeated: float) -> Rows:
    """Return one row per person: the first of each name, and of rows without names the first of those much alike."""
    firsts = {name: row for row, name in zip(rows[::-1].tolist(), names[rows][::-1].tolist(), strict=True)}
    firsts.pop("", None)
    nameless = rows[names[rows] == ""]
    taken = np.zeros(len(nameless), bool)
    kept = sorted(firsts.values())
    for number, row in enumerate(nameless.tolist()):
        if not taken[number]:
            kept.append(row)
            taken |= vectors[nameless] @ vectors[row] > repeated
    return np.array(kept, np.intp)


def _between(vectors: Floats) -> Floats:
    """Return the similarities of all pairs of rows."""
    parts = [np.zeros(0, np.float32)]
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK] @ vectors[start:].T
        parts.append(block[np.triu_indices(len(block), 1, block.shape[1])])
    return np.concatenate(parts)


def _within(vectors: Floats, names: Strings) -> Floats:
    """Return the similarities of pairs of one name; of a person with many pictures only ten, so that none rules."""
    parts = [np.zeros(0, np.float32)]
    order = np.argsort(names, kind="stable")
    for rows in np.split(order, np.flatnonzero(names[order][1:] != names[order][:-1]) + 1):
        if names[rows[0]] and len(rows) > 1:
            scores = _between(vectors[rows])
            parts.append(scores[:: -(-len(scores) // 10)])
    return np.concatenate(parts)


def _tail(name: str, people: int, scores: Floats, repeated: float) -> Tail:
    # At least ten pairs above the last counted score: fewer say too little.
    shares = [share for share in _SHARES if share * len(scores) >= 10]
    levels = np.quantile(scores, [1 - share for share in shares]).astype(float)
    start = float(levels[shares.index(UPPER)])
    # What lies beyond was thrown out as one person: the fit must not take its absence for a light tail.
    window = max(repeated - start, 0.02)
    excess = scores[(scores > start) & (scores < start + window)].astype(float) - start
    return Tail(
        name=name,
        people=people,
        pairs=len(scores),
        shares=shares,
        scores=np.round(levels, 4).tolist(),
        scale=round(_scale(float(excess.mean()), window), 5),
    )


def _scale(mean: float, window: float) -> float:
    """Return the scale of the exponential distribution whose mean, cut off at ``window``, is ``mean``: the
    maximum-likelihood estimate from samples that were cut off there."""
    if mean >= 0.49 * window:
        # Flat within the window: any scale would do, and the widest is the safest.
        return 10 * window

    def difference(scale: float) -> float:
        return scale - window / float(np.expm1(window / scale)) - mean

    return float(brentq(difference, mean / 2, 20 * window))
