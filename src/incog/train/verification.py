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
    """Return TAR@FAR: the share of genuine scores above ``threshold_at(impostor, rate)``."""
    return float((genuine > threshold_at(impostor, rate)).mean())


def balanced_accuracy(genuine: Scores, impostor: Scores, threshold: float) -> float:
    """Return the mean of the shares of genuine scores above and impostor scores at or below the threshold."""
    return float(((genuine > threshold).mean() + (impostor <= threshold).mean()) / 2)


def best_threshold(genuine: Scores, impostor: Scores) -> float:
    """Return the threshold of the highest balanced accuracy."""
    values = np.concatenate([genuine, impostor])
    weights = np.concatenate(
        [np.full(len(genuine), 1 / len(genuine)), np.full(len(impostor), -1 / len(impostor))]
    )
    order = np.argsort(values)
    # With the threshold at a sorted value, what lies at or below it is lost: genuine costs, impostors pay.
    return float(values[order][np.argmin(np.cumsum(weights[order]))])
