"""Are two faces of one person? Pairs, thresholds and error rates; pure functions over embeddings of unit norm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from incog.types import Floats

Scores = npt.NDArray[np.float64]


def scores(embeddings: Floats, identities: Sequence[str]) -> tuple[Scores, Scores]:
    """Return (genuine, impostor): the cosines of all pairs of one identity, and of all pairs of two.

    embeddings: (N, D), unit norm. Rows of unknown identity ('') are left out.
    """
    known = np.array([identity != "" for identity in identities])
    vectors = embeddings[known].astype(np.float64)
    _, codes = np.unique([identity for identity in identities if identity], return_inverse=True)
    first, second = np.triu_indices(len(vectors), 1)
    cosines = (vectors @ vectors.T)[first, second]
    same = codes[first] == codes[second]
    return cosines[same], cosines[~same]


def threshold_at(impostor: Scores, rate: float) -> float:
    """Return the lowest threshold that at most a share ``rate`` of the impostor scores exceeds (FAR).

    Raises ValueError when there are fewer than 10 / rate scores: such a figure would be noise.
    """
    if len(impostor) * rate < 10:
        raise ValueError(
            f"FAR {rate:g} needs at least {round(10 / rate)} impostor pairs, got {len(impostor)}"
        )
    allowed = int(np.floor(len(impostor) * rate))
    return float(np.partition(impostor, len(impostor) - allowed - 1)[len(impostor) - allowed - 1])


def tar_at(genuine: Scores, impostor: Scores, rate: float) -> float:
    """Return TAR@FAR: the share of genuine scores above ``threshold_at(impostor, rate)``.

    Raises ValueError without genuine scores, or as ``threshold_at`` does.
    """
    _some(genuine)
    return float((genuine > threshold_at(impostor, rate)).mean())


def balanced_accuracy(genuine: Scores, impostor: Scores, threshold: float) -> float:
    """Return the mean of the shares of genuine scores above and impostor scores at or below the threshold.

    Raises ValueError when there are none of either.
    """
    _some(genuine, impostor)
    return float(((genuine > threshold).mean() + (impostor <= threshold).mean()) / 2)


def best_threshold(genuine: Scores, impostor: Scores) -> float:
    """Return the score at which, as threshold, the balanced accuracy is highest; the lowest of several.

    Raises ValueError when there are none of either.
    """
    _some(genuine, impostor)
    values = np.concatenate([genuine, impostor])
    weights = np.concatenate(
        [np.full(len(genuine), 1 / len(genuine)), np.full(len(impostor), -1 / len(impostor))]
    )
    order = np.argsort(values)
    ordered = values[order]
    # With the threshold at a sorted value, what lies at or below it is lost: genuine costs, impostors pay. Equal
    # scores are lost together.
    lost = np.cumsum(weights[order])
    last = np.append(ordered[1:] > ordered[:-1], True)
    return float(ordered[last][np.argmin(lost[last])])


def cross_validated_accuracy(embeddings: Floats, identities: Sequence[str], *, folds: int = 10) -> float:
    """Return the mean balanced accuracy over folds of people, each at the best threshold of the other folds' pairs.

    As LFW is asked (Huang et al. 2007), but of all pairs within a fold. embeddings, identities: see ``scores``. Raises
    ValueError when a fold, or all others together, has no pair of one person or none of two.
    """
    people = {name: number for number, name in enumerate(sorted(set(identities) - {""}))}
    fold = np.array([people[name] % folds if name else -1 for name in identities])
    names = np.array(list(identities))
    found = []
    for number in range(folds):
        inside, others = fold == number, (fold != number) & (fold >= 0)
        threshold = best_threshold(*scores(embeddings[others], names[others].tolist()))
        found.append(balanced_accuracy(*scores(embeddings[inside], names[inside].tolist()), threshold))
    return float(np.mean(found))


def auc(genuine: Scores, impostor: Scores) -> float:
    """Return the area under the ROC curve, 0..1: how often a genuine score is above an impostor one, ties half.

    One half tells nothing; well below tells as much as well above. Raises ValueError without scores of either kind.
    """
    _some(genuine, impostor)
    return float(placements(genuine, impostor).mean())


def placements(genuine: Scores, impostor: Scores) -> Scores:
    """Return for each genuine score the share of impostor scores below it, ties half: their mean is the AUC."""
    ordered = np.sort(impostor)
    below = np.searchsorted(ordered, genuine, "left") + np.searchsorted(ordered, genuine, "right")
    return np.asarray(below / (2 * len(ordered)), np.float64)


def rates(genuine: Scores, impostor: Scores, thresholds: Scores) -> tuple[Scores, Scores]:
    """Return (FAR, FRR) at each threshold: the shares of impostor scores above it, and of genuine ones not above it."""
    _some(genuine, impostor)
    accepted = 1 - np.searchsorted(np.sort(impostor), thresholds, "right") / len(impostor)
    rejected = np.searchsorted(np.sort(genuine), thresholds, "right") / len(genuine)
    return accepted, rejected


def equal_error_rate(genuine: Scores, impostor: Scores) -> float:
    """Return the rate at which FAR and FRR are equal, 0..1; half their sum where they are nearest to that.

    Raises ValueError without scores of either kind.
    """
    accepted, rejected = rates(genuine, impostor, np.unique(np.concatenate([genuine, impostor])))
    # Below every score all are accepted.
    accepted, rejected = np.append(1.0, accepted), np.append(0.0, rejected)
    nearest = np.argmin(np.abs(accepted - rejected))
    return float((accepted[nearest] + rejected[nearest]) / 2)


def roc(genuine: Scores, impostor: Scores, *, points: int = 200) -> tuple[Scores, Scores]:
    """Return (FAR, TAR) of a curve to draw, from the strictest threshold on: (N,) each, N at most ``points``.

    FARs are about evenly spaced on a logarithmic axis down to one of the impostor pairs.
    """
    _some(genuine, impostor)
    wanted = np.unique(np.geomspace(1, len(impostor), points).astype(np.int64))
    thresholds = -np.sort(-impostor)[np.minimum(wanted, len(impostor) - 1)]
    accepted, rejected = rates(genuine, impostor, thresholds)
    return accepted, 1 - rejected


def _some(*pairs: Scores) -> None:
    if not all(len(scores) for scores in pairs):
        raise ValueError("there must be pairs of one person and pairs of two, got none")
