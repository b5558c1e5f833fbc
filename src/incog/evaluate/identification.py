"""Who of a gallery is it? Closed-set ranks of probes; pure functions over similarities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from incog.types import Floats

Shares = npt.NDArray[np.float64]


def by_person(similarities: Floats, gallery: Sequence[str]) -> tuple[Floats, list[str]]:
    """Return the similarities to people, (N, P), the highest of each person's pictures, and the people, sorted.

    similarities: (N, G) of probes and gallery pictures; NaN where a picture may not be compared with a probe, as the
    one that it was made of. gallery: the identity of each picture. A person without a picture left is at -inf.
    """
    if similarities.shape[1] != len(gallery):
        raise ValueError(
            f"gallery must name {similarities.shape[1]} pictures, as the similarities have columns, got {len(gallery)}"
        )
    people, codes = np.unique(list(gallery), return_inverse=True)
    best = np.full((len(similarities), len(people)), -np.inf, similarities.dtype)
    known = np.where(np.isnan(similarities), -np.inf, similarities)
    np.maximum.at(best.T, codes, known.T)
    return best, people.tolist()


def rank_shares(similarities: Floats, columns: npt.NDArray[np.intp], depth: int) -> Shares:
    """Return the probability that a probe's person is among the first 1 .. ``depth`` people, (N, depth).

    similarities: (N, P) to people. columns: (N,) of the right person. Equal similarities are in random order, so ties
    are split: a gallery in which all are alike gives k / P at rank k. Raises ValueError when the right person of a
    probe cannot be compared with it.
    """
    own = np.take_along_axis(similarities, columns[:, None], axis=1)
    if not np.isfinite(own).all():
        raise ValueError("every probe must have a gallery picture of its person to be compared with")
    better = (similarities > own).sum(1)
    equal = (similarities == own).sum(1)
    ranks = np.arange(1, depth + 1)
    return np.asarray(np.clip((ranks[None] - better[:, None]) / equal[:, None], 0, 1), np.float64)
