"""Means of codes over people, and what of a code is pose: the tables of ``incog.code_tables``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from incog.code_tables import ANY, Codes, Kinds, kind_of
from incog.perceive.attributes import LOOK
from incog.types import Floats

Rows = npt.NDArray[np.int64]

_ROUNDS = 12
_RIDGE = 10.0
REACH = 0.7
"""Length, relative to the mean one of faces, that led codes are stretched to: shorter ones are drawn with artefacts,
longer ones lose eyes and mouth."""

_SHADES = LOOK.index("white")


def fit(
    codes: Floats,
    attributes: Floats,
    pose: Floats,
    people: Sequence[str],
    *,
    clusters: int,
    donors: int,
    directions: int,
    least: int,
    seed: int = 0,
    encoder: str = "",
) -> Codes:
    """Return the tables of training faces.

    codes: (N, D). attributes: (N, 9), ``LOOK`` of ``incog.perceive.attributes``. pose: (N, 3) degrees; yaw and pitch
    are used.
    people: a name for each; '' is taken for a person of its own. clusters, donors: how many are looked for; those of
    fewer than ``least`` people join their nearest. directions: how many ways a face differs from its class. Raises
    ValueError when there are fewer than ``least`` people.
    """
    persons = _numbered(people)
    if len(np.unique(persons)) < least:
        raise ValueError(f"means of {least} people need as many, got {len(np.unique(persons))}")
    kinds = np.stack([kind_of(100 * a[0], a[1], a[_SHADES : _SHADES + 5], a[8]) for a in attributes])
    read, write = _pose(codes, pose[:, :2])
    classes, class_kinds = _classes(codes, kinds, persons, least)
    own = Codes(
        codes[:0], classes, class_kinds, codes[:0], kinds[:0], read, write, codes[:0], least, encoder, 0.0
    )
    rest = codes - classes[[own.row_of(kind) for kind in kinds]]
    # Pose is kept or not by itself: it is none of the ways in which a drawn face differs.
    rest = rest - (rest @ read.T) @ write.T
    found, donor_kinds = _donors(codes, kinds, persons, donors, least, seed)
    return Codes(
        clusters=_clusters(codes, persons, clusters, least, seed),
        classes=classes,
        kinds=class_kinds,
        donors=found,
        donor_kinds=donor_kinds,
        read=read,
        write=write,
        directions=_directions(np.asarray(rest, np.float32), directions),
        least=least,
        encoder=encoder,
        reach=REACH * float(np.linalg.norm(codes, axis=1).mean()),
    )


def _numbered(people: Sequence[str]) -> Rows:
    numbers: dict[str, int] = {}
    named = [name or f"\0{row}" for row, name in enumerate(people)]
    return np.array([numbers.setdefault(name, len(numbers)) for name in named], np.int64)


def _clusters(codes: Floats, persons: Rows, count: int, least: int, seed: int) -> Floats:
    """Return the means of clusters of at least ``least`` people each (Lloyd's k-means; small ones join the nearest)."""
    random = np.random.default_rng(seed)
    count = max(1, min(count, len(np.unique(persons)) // least))
    centres = codes[random.choice(len(codes), count, replace=False)]
    for _ in range(_ROUNDS):
        labels = _nearest(codes, centres)
        centres = np.stack(
            [codes[labels == n].mean(0) if (labels == n).any() else centres[n] for n in range(len(centres))]
        )
    while True:
        labels = _nearest(codes, centres)
        sizes = np.array([len(np.unique(persons[labels == n])) for n in range(len(centres))])
        if sizes.min() >= least or len(centres) == 1:
            break
        centres = np.delete(centres, int(sizes.argmin()), axis=0)
    # The means of what is assigned, not the centres that it was assigned to: a mean over those people it must be.
    return np.stack([codes[labels == n].mean(0) for n in range(len(centres))]).astype(np.float32)


def _nearest(codes: Floats, centres: Floats) -> Rows:
    squares = np.square(centres).sum(1)
    parts = [
        (squares - 2 * chunk @ centres.T).argmin(1) for chunk in np.array_split(codes, len(codes) // 4096 + 1)
    ]
    return np.concatenate(parts)


def _classes(codes: Floats, kinds: Kinds, persons: Rows, least: int) -> tuple[Floats, Kinds]:
    """Return the means of classes of at least ``least`` people and their kinds, the most exact ones first."""
    means, found = [], []
    for exact in ((0, 1, 2, 3), (0, 1, 3), (0, 1), (0,), ()):
        mask = np.isin(np.arange(4), exact)
        masked = np.where(mask, kinds, ANY)
        for kind in np.unique(masked, axis=0):
            rows = (masked == kind).all(1)
            if len(np.unique(persons[rows])) >= least:
                means.append(codes[rows].mean(0))
                found.append(kind)
    return np.stack(means).astype(np.float32), np.stack(found)


def _donors(
    codes: Floats, kinds: Kinds, persons: Rows, count: int, least: int, seed: int
) -> tuple[Floats, Kinds]:
    """Return clusters within each sex and band of age, as many as its share of ``count``, and their kinds."""
    means, found = [], []
    for kind in np.unique(kinds[:, :2], axis=0):
        rows = (kinds[:, :2] == kind).all(1)
        if len(np.unique(persons[rows])) < least:
            continue
        share = max(1, round(count * float(rows.mean())))
        parts = _clusters(codes[rows], persons[rows], share, least, seed)
        means.append(parts)
        found += [[*kind, ANY, ANY]] * len(parts)
    if not means:
        return codes.mean(0, keepdims=True).astype(np.float32), np.full((1, 4), ANY, np.int64)
    return np.concatenate(means), np.array(found, np.int64)


def _pose(codes: Floats, pose: Floats) -> tuple[Floats, Floats]:
    """Return read (P, D) and write (D, P): ridge regressions of pose on codes and back, such that read @ write = 1.

    A code moved by ``write`` is read as turned by as much.
    """
    z, p = (values - values.mean(0) for values in (codes.astype(np.float64), pose.astype(np.float64) / 30))
    read = np.linalg.solve(z.T @ z + _RIDGE * np.eye(z.shape[1]), z.T @ p).T
    write = np.linalg.solve(p.T @ p + _RIDGE * np.eye(p.shape[1]), p.T @ z).T
    write = write @ np.linalg.inv(read @ write)
    return read.astype(np.float32), write.astype(np.float32)


def _directions(rest: Floats, count: int) -> Floats:
    """Return the leading principal axes of (N, D) residuals, as long as their standard deviation: (count, D)."""
    _, spreads, axes = np.linalg.svd(rest - rest.mean(0), full_matrices=False)
    spreads = spreads[:count, None] / np.sqrt(max(len(rest) - 1, 1))
    return np.asarray(axes[:count] * spreads, np.float32)
