"""Attacks on the tracks of a video: by one frame, by the best frame and by all frames. Pure functions over embeddings.

A hidden face is compared with its original at other moments only, see ``halves``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, nan

import numpy as np
import numpy.typing as npt

from incog.evaluate import temporal, verification
from incog.evaluate.attacks import FEWEST
from incog.evaluate.identification import rank_shares
from incog.evaluate.verification import Scores
from incog.types import Floats

Rows = npt.NDArray[np.intp]

GAP = 1.0
"""Seconds between a probe and the nearest frame of its gallery, at least, in tracks that are four times as long."""

LEAST = 8
"""Frames of a track that is attacked, at least."""

RATES = (1e-2, 1e-3)
"""False acceptance rates at which it is told how many tracks are recognised."""

LOWEST = 5.0
"""Per cent of a track's untouched frames that are less alike than what counts as alike to untouched ones."""

ATTACKS = {
    "frame": "Each frame by itself, compared with the averaged original of another time of its track.",
    "best frame": "The frame of a track that is most alike: one that slipped through is enough.",
    "multi-frame": "The embeddings of half a track, averaged: what differs from frame to frame goes.",
}
"""Name -> what it does, in words."""


@dataclass(frozen=True, slots=True, eq=False)
class Sights:
    """One track as a recogniser sees it. frames: (T,) their indices, increasing. before, after: (T, D) embeddings of
    unit norm, of zeros where a face gave none. covered: (M, D) of ``covered_at``, rows of some frames, with the face
    black: what the outline of the face alone tells."""

    frames: Rows
    before: Floats
    after: Floats
    covered: Floats
    covered_at: Rows


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What attacks on one track gave. similarities: (T,) of each frame to its gallery. hits: (T,) chance of a hit at
    rank 1 among the tracks; NaN where there is one track. together: of the averaged frames, the higher of two."""

    similarities: Scores
    hits: Scores
    together: float


def halves(frames: Rows, rate: float) -> tuple[tuple[Rows, Rows], tuple[Rows, Rows]]:
    """Return the rows (gallery, probes) of two comparisons: a track's first half with its end, the second with its
    beginning, so that each frame is a probe once.

    Between a probe and a gallery frame there are at least ``GAP`` seconds, or a quarter of the track's frames where
    that is less. frames: (T,) indices, increasing. rate: frames per second. Raises ValueError for fewer than ``LEAST``.
    """
    count = len(frames)
    if count < LEAST:
        raise ValueError(f"a track must have at least {LEAST} frames to be attacked, got {count}")
    gap = max(1, min(ceil(GAP * rate), count // 4))
    middle = count // 2
    rows = np.arange(count)
    early, late = rows[:middle], rows[middle:]
    before, after = rows[frames <= frames[middle] - gap], rows[frames >= frames[middle - 1] + gap]
    return (after, early), (before, late)


def compare(tracks: Sequence[Sights], rate: float) -> list[tuple[Found, Found, Found]]:
    """Return what the attacks on each track find: (in the anonymised frames, in the originals, in covered ones).

    tracks: of one recogniser, each with ``LEAST`` frames at least. rate: frames per second.
    """
    galleries = _galleries(tracks, rate)
    return [
        (
            _found(track, track.after, galleries, number, rate),
            _found(track, track.before, galleries, number, rate),
            _found(track, track.covered, galleries, number, rate, track.covered_at),
        )
        for number, track in enumerate(tracks)
    ]


def mistaken(tracks: Sequence[Sights], apart: Collection[tuple[int, int]], rate: float) -> list[Found]:
    """Return what the attacks find in anonymised frames when they look for another person of the video.

    apart: numbers (a, b) of tracks that share a frame; either is taken for the other. rate: frames per second.
    """
    galleries = _galleries(tracks, rate)
    pairs = sorted({*apart, *((b, a) for a, b in apart)})
    return [_found(tracks[a], tracks[a].after, galleries, b, rate) for a, b in pairs]


def _found(
    track: Sights,
    rows: Floats,
    galleries: tuple[Floats, Floats],
    person: int,
    rate: float,
    at: Rows | None = None,
) -> Found:
    """Return how alike embeddings of a track's frames, or of its frames ``at``, are to a person's originals."""
    similarities, hits, together = np.empty(len(rows)), np.full(len(rows), nan), -1.0
    for (_, half), gallery in zip(halves(track.frames, rate), galleries, strict=True):
        probes = half if at is None else np.flatnonzero(np.isin(at, half))
        if not len(probes):
            continue
        likeness = np.asarray(rows[probes] @ gallery.T, np.float32)
        similarities[probes] = likeness[:, person]
        if len(gallery) > 1:
            hits[probes] = rank_shares(likeness, np.full(len(probes), person), 1)[:, 0]
        together = max(together, float(mean_direction(rows[probes]) @ gallery[person]))
    return Found(similarities, hits, together)


def own_impostors(tracks: Sequence[Sights], apart: Collection[tuple[int, int]], rate: float) -> Scores:
    """Return the similarities of originals of the video's own people: of the galleries of tracks that surely show two,
    one each. The frames of two tracks are alike, many of them are not many pairs.

    apart: numbers (a, b) of tracks that share a frame. rate: frames per second.
    """
    galleries = _galleries(tracks, rate)
    return np.array([float(galleries[0][a] @ galleries[1][b]) for a, b in sorted(apart)], np.float64)


def impostors(tracks: Sequence[Sights], strangers: Floats, own: Scores, rate: float) -> Scores:
    """Return the similarities of originals of different people on which thresholds are fixed: those of the strangers
    to each other and to the tracks' galleries, and the video's own.

    strangers: (N, D), one picture of each. own: see ``own_impostors``. rate: frames per second.
    """
    people = known(strangers)
    first, second = np.triu_indices(len(people), 1)
    parts = [(people @ people.T)[first, second]]
    parts += [(gallery @ people.T).ravel() for gallery in _galleries(tracks, rate)]
    return np.concatenate([*parts, own]).astype(np.float64)


def level(impostor: Scores, rate: float, chances: int = 1) -> float | None:
    """Return the threshold at which a stranger who has so many chances is accepted with probability ``rate`` at most;
    None when there are too few pairs to say.

    Each chance is taken for a throw of its own (Sidak 1967): the FAR of one is 1 - (1 - rate)^(1 / chances).
    """
    single = -np.expm1(np.log1p(-rate) / chances)
    return None if len(impostor) * single < FEWEST else verification.threshold_at(impostor, float(single))


def accepted(found: Found, impostor: Scores, rate: float) -> Mapping[str, float | None]:
    """Return by attack whether a track is recognised at a FAR, 0 or 1, of frames the share; None where there are too
    few pairs for a threshold."""
    count = len(found.similarities)
    frame, best, together = (level(impostor, rate, chances) for chances in (1, count, 2))
    highest = temporal.best_frame(found.similarities.astype(np.float32))
    return {
        "frame": None if frame is None else float((found.similarities > frame).mean()),
        "best frame": None if best is None else float(highest > best),
        "multi-frame": None if together is None else float(found.together > together),
    }


def alike(found: Found, untouched: Found, covered: Found, impostor: Scores) -> float:
    """Return the share of a track's frames that are as alike to the person as untouched frames are: more than the
    lowest ``LOWEST`` per cent of these.

    NaN when the recogniser does not know the original: when these are less alike than black faces are, or than all but
    ``LOWEST`` per cent of different people.
    """
    least = float(np.percentile(untouched.similarities, LOWEST))
    others = float(np.percentile(impostor, 100 - LOWEST)) if len(impostor) else -1.0
    if least <= max([others, *covered.similarities]):
        return nan
    return float((found.similarities > least).mean())


def known(rows: Floats) -> Floats:
    """Return the rows (T, D) of unit norm, without those of zeros."""
    return np.asarray(rows[np.linalg.norm(rows, axis=1) > 0.5], np.float32)


def mean_direction(rows: Floats) -> Floats:
    """Return ``temporal.averaged`` of the rows (T, D) that are not zeros; zeros when all are."""
    some = known(rows)
    return temporal.averaged(some) if len(some) else np.zeros(rows.shape[1], np.float32)


def _galleries(tracks: Sequence[Sights], rate: float) -> tuple[Floats, Floats]:
    """Return the averaged originals (K, D) of all tracks, for either comparison."""
    parts = [halves(track.frames, rate) for track in tracks]
    first, second = (
        np.stack(
            [mean_direction(track.before[pair[side][0]]) for track, pair in zip(tracks, parts, strict=True)]
        )
        for side in range(2)
    )
    return first, second
