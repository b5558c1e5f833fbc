"""Who is who, in one file and over many: tracks, and people known by name, are put together by how alike they look.

Agglomerative, by average linkage: the two of which all looks at one and all looks at the other are the most alike on
average are taken for one person first. Two faces in one frame are two people. Everything stays in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import e
from typing import Self

import numpy as np

from incog.keys import Secret, person_key
from incog.perceive.attributes import CLASSES
from incog.perceive.calibration import Calibration
from incog.perceive.looks import HELD
from incog.subjects import RISK, Named, Seen, Subjects
from incog.types import Floats, Track

PLAUSIBLE = 0.1
"""Probability from which on a face may be of a group."""

CHILD, ADULT = 0.2, 0.12
"""Ages in centuries below which a face may be a child's, and above which an adult's: 16 years are the border of what
was measured, and ages are told to a few years."""

ANYBODY = "no group known"
"""The name of the calibration's tail of people whose group is not known."""

Labels = list[int]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Appearance:
    """One track of a file, or somebody enrolled by name. Never shown in a trace.

    vectors: (N, D) float32, a unit row for each clear look, maybe none. looks: (M, 9) float32, how the face looks, see
    ``incog.perceive.attributes.LOOK``. file: its number, None of somebody enrolled. start, stop: the frames of it.
    """

    vectors: Floats
    looks: Floats
    file: int | None = None
    start: int = 0
    stop: int = 1

    @classmethod
    def of(cls, item: Track, seen: Seen, file: int) -> Self:
        """Return the appearance of a track."""
        looks = np.stack(seen.looks) if seen.looks else np.zeros((0, 9), np.float32)
        vectors = np.stack(seen.vectors) if seen.vectors else np.zeros((0, 1), np.float32)
        return cls(vectors, looks, file, item.start, item.stop)

    @classmethod
    def named(cls, person: Named) -> Self:
        """Return the appearance of somebody enrolled."""
        return cls(person.vectors, person.looks)


@dataclass(frozen=True, slots=True)
class Grouping:
    """people: of each appearance, the index of the first one that shows the same person. lowest, highest: similarity
    that was asked for, by group. rate: of false matches per comparison that it stands for. vouched: whether the
    measured data can speak of so small a rate in each group that occurs."""

    people: Labels
    lowest: float
    highest: float
    rate: float
    vouched: bool


def grouped(appearances: Sequence[Appearance], calibration: Calibration, *, risk: float = RISK) -> Grouping:
    """Return which appearances show one person. What was never seen clearly is a person of its own.

    The chance that a given person is taken for any other is at most about ``risk``. With K people, each is compared
    with K - 1 others; by the union bound a comparison may go wrong at a rate of risk / (K - 1). A mean of several
    similarities of two strangers exceeds a level at most e times as often as a single one does where those have an
    exponential tail, since it is smaller in the convex order; so the level is that of a rate e times smaller. It goes
    by the groups that the two faces may be of, the one in which strangers are most alike. K is first taken as the
    number of appearances, then as the number of people that were found so.
    """
    rows = [row for row, item in enumerate(appearances) if len(item.vectors)]
    people = list(range(len(appearances)))
    if not rows:
        return Grouping(people, 1.0, 1.0, risk, True)
    some = [appearances[row] for row in rows]
    count = len(some)
    groups = [tails_of(item.looks, calibration) for item in some]
    for _ in range(2):
        rate = risk / (e * max(count - 1, 1))
        told = {names: level(names, calibration, rate) for names in set(groups)}
        levels = np.array([told[names][0] for names in groups], np.float32)
        labels = averaged(some, levels)
        count = len(set(labels))
    for row, label in zip(rows, labels, strict=True):
        people[row] = rows[label]
    return Grouping(
        people, float(levels.min()), float(levels.max()), rate, all(known for _, known in told.values())
    )


def joined(
    tracks: Sequence[Track], seen: Mapping[int, Seen], calibration: Calibration, *, risk: float = RISK
) -> dict[int, int]:
    """Return the person of each track of one file, by the lowest id of that person's tracks."""
    shown = [Appearance.of(item, seen[item.id], 0) for item in tracks]
    return _by_lowest(tracks, grouped(shown, calibration, risk=risk).people)


def recognised(
    tracks: Sequence[Track],
    seen: Mapping[int, Seen],
    named: Sequence[Named],
    secret: Secret,
    calibration: Calibration,
    *,
    risk: float = RISK,
) -> Subjects:
    """Return who the tracks of one file are: people with a name, who have the same key and look in every file, and
    others, by the lowest id of their tracks."""
    known = [Appearance.named(person) for person in named]
    shown = [Appearance.of(item, seen[item.id], 0) for item in tracks]
    people = grouped([*known, *shown], calibration, risk=risk).people[len(named) :]
    strangers = _by_lowest(tracks, people)
    of = {
        item.id: named[first].name if first < len(named) else strangers[item.id]
        for item, first in zip(tracks, people, strict=True)
    }
    present = [person for person in named if person.name in of.values()]
    return Subjects(
        of,
        {person.name: person_key(secret, person.name) for person in present},
        {person.name: person.looks.mean(0)[:HELD] for person in present},
    )


def _by_lowest(tracks: Sequence[Track], people: Labels) -> dict[int, int]:
    """Return the lowest id of the tracks with its label, for each track."""
    lowest: dict[int, int] = {}
    for item, label in zip(tracks, people, strict=True):
        lowest[label] = min(item.id, lowest.get(label, item.id))
    return {item.id: lowest[label] for item, label in zip(tracks, people, strict=True)}


def tails_of(looks: Floats, calibration: Calibration) -> frozenset[str]:
    """Return the names of the calibration's tails that a face goes by.

    looks: (M, 9). A face that may be of a group that was not measured, or whose look is unknown, goes by all of them.
    """
    names = groups_of(looks.mean(0)) if len(looks) else set[str]()
    known = frozenset(tail.name for tail in calibration.tails)
    return frozenset(names | {ANYBODY}) if names and names <= known else known


def level(names: frozenset[str], calibration: Calibration, rate: float) -> tuple[float, bool]:
    """Return the similarity that strangers exceed at a rate, in that of the tails in which they are most alike, and
    whether the data speak of so small a rate."""
    tails = [tail for tail in calibration.tails if tail.name in names]
    return (
        max(tail.score_at(max(rate, tail.rarest)) for tail in tails),
        all(rate >= tail.rarest for tail in tails),
    )


def groups_of(look: Floats) -> set[str]:
    """Return the names of the groups that a face of a look, (9,), may be of, as the calibration has them."""
    age, female, shares = float(look[0]), float(look[1]), look[2:HELD]
    kinds = ["children"] if age < CHILD else []
    if age > ADULT:
        kinds += ["women"] if female > PLAUSIBLE else []
        kinds += ["men"] if 1 - female > PLAUSIBLE else []
    return {
        f"{ethnicity} {kind}"
        for ethnicity, share in zip(CLASSES["ethnicity"], shares, strict=True)
        for kind in kinds
        if share > PLAUSIBLE
    }


def averaged(appearances: Sequence[Appearance], levels: Floats) -> Labels:
    """Return which appearances are joined by average linkage, each by the index of the first of its cluster.

    levels: (N,), of each; two clusters are joined while the mean similarity of their looks is at least the highest
    level of their members, the pair that exceeds it most first. Clusters of which two members meet are never joined.
    """
    total = len(appearances)
    sums = np.stack([item.vectors.sum(0) for item in appearances])
    counts = np.array([len(item.vectors) for item in appearances], np.float32)
    similar = np.asarray(sums @ sums.T / (counts[:, None] * counts[None]), np.float32)
    levels = levels.copy()
    apart = _meetings(appearances)
    alive = np.ones(total, np.bool_)
    labels = list(range(total))

    def margins(row: int) -> Floats:
        found = similar[row] - np.maximum(levels, levels[row])
        found[~alive] = -np.inf
        found[row] = -np.inf
        found[list(apart[row])] = -np.inf
        return np.asarray(found, np.float32)

    best = np.full(total, -np.inf, np.float32)
    where = np.zeros(total, np.intp)

    def choose(row: int) -> None:
        found = margins(row)
        where[row] = int(found.argmax())
        best[row] = found[where[row]]

    for row in range(total):
        choose(row)
    while float(best.max()) >= 0:
        one = int(best.argmax())
        first, second = sorted((one, int(where[one])))
        share = counts[second] / (counts[first] + counts[second])
        similar[first] += share * (similar[second] - similar[first])
        similar[:, first] = similar[first]
        counts[first] += counts[second]
        levels[first] = max(levels[first], levels[second])
        alive[second], best[second] = False, -np.inf
        apart[first] |= apart[second]
        for other in apart[second]:
            apart[other].add(first)
        labels = [first if label == second else label for label in labels]
        for row in np.flatnonzero(alive & ((where == first) | (where == second))).tolist():
            choose(row)
        choose(first)
        nearer = margins(first)
        rows = np.flatnonzero(nearer > best)
        best[rows], where[rows] = nearer[rows], first
    return labels


def _meetings(appearances: Sequence[Appearance]) -> list[set[int]]:
    """Return of each appearance the others that are surely other people: both are in a frame, or both have a name."""
    files = np.array([-1 if item.file is None else item.file for item in appearances])
    starts = np.array([item.start for item in appearances])
    stops = np.array([item.stop for item in appearances])
    apart: list[set[int]] = []
    for row, item in enumerate(appearances):
        near = np.flatnonzero((files == files[row]) & (starts < item.stop) & (item.start < stops))
        apart.append(set(near.tolist()) - {row})
    return apart
