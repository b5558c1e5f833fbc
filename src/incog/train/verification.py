"""Figures of verification: are two faces of one person? Pure functions over embeddings of unit norm."""

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


def _some(*pairs: Scores) -> None:
    if not all(len(scores) for scores in pairs):
        raise ValueError("there must be pairs of one person and pairs of two, got none")
