"""One video and what any tool made of it: faces left open, people recognised, and how steady the result is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from itertools import combinations
from math import isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from incog.data.readers import read
from incog.errors import InputError
from incog.evaluate import temporal, video_attacks, video_watch
from incog.evaluate.attacks import FEWEST
from incog.evaluate.document import RecogniserRecord, Value
from incog.evaluate.intervals import Figure, mean_over_people
from incog.evaluate.recognisers import Recogniser
from incog.evaluate.run import VERSIONS
from incog.evaluate.samples import Item, choose, face_only, load
from incog.evaluate.verification import Scores
from incog.evaluate.video_attacks import ATTACKS, LEAST, RATES, Found, Sights
from incog.evaluate.video_document import (
    Curve,
    JudgeRecord,
    SightRecord,
    TrackRecord,
    VideoEvaluation,
    VideoProtocol,
)
from incog.evaluate.video_verdict import headlines_of, verdict
from incog.evaluate.video_watch import Pair, Watched
from incog.pipeline import Perception, Progress, silent
from incog.track import Timeline
from incog.types import Bytes

STRANGERS = 600
"""People of data on whom thresholds are fixed, at most, one picture each."""

POINTS = 200
"""Of a track's curve, at most."""

SMALLEST = 16.0
"""Face in px, the median of a track, from which on a recogniser has anything to look at."""

BARE = 0.5
"""Share of a face's pixels that must be altered for the face not to count as left as it was."""

WORDS = (
    "Faces are those that incog's detector and tracker find in the original: what these cannot see is not judged. "
    "Frames in which a face was only followed, not found, are left out.",
    "A face-frame is left as it was when less than half of the face, brow to chin and ear to ear, was altered by more "
    "than coding alters its surroundings, and left open in part when less than 99 % was. This errs towards leaks: "
    "coarse blocks and blurs, and the mean colour of an even cheek, differ from the face by less than coding.",
    "Attackers know where the face was in the original, and see the face alone, its surroundings covered: clothes and "
    "places are the same in both videos anyway.",
    "The outline of a face tells a little, too: how much, frames show in which the face is black. Small, blurred or "
    "hidden faces may be alike to everybody: how often they are taken for another person of the video is told. What is "
    "no more than either is not counted as a leak.",
    "A frame is never compared with itself or its neighbours: the first half of a track is compared with the original "
    "at its end, the second half with that at its beginning, at least a second away, or a quarter of the track's "
    "frames where that is less.",
    "Tracks, not frames, count in 95 % intervals. Two tracks may show one person who came back: then fewer are told "
    "than could be, in the original too. Strangers of the video are tracks that share a frame.",
    "Thresholds are fixed on originals of different people. The best of n frames has n chances, and so have strangers: "
    "its threshold is that of a far smaller FAR for each frame, on the strict side.",
)
"""The protocol in words."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoResults:
    """What a run made. examples: for each track a few (before, after) crops."""

    evaluation: VideoEvaluation
    examples: list[list[tuple[Bytes, Bytes]]]


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """What one recogniser found. tracks: numbers of those attacked, as the rows of the others are. pool: similarities
    of different people; mistaken: see ``video_attacks``."""

    recogniser: Recogniser
    tracks: list[int]
    sights: list[Sights]
    found: list[tuple[Found, Found, Found]]
    mistaken: list[Found]
    pool: Scores


def evaluate_video(
    original: Path,
    anonymised: Path,
    recognisers: Sequence[Recogniser],
    perception: Perception,
    *,
    data: Mapping[str, Path] | None = None,
    people: int | None = STRANGERS,
    seed: int = 0,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda text: None,
) -> VideoResults:
    """Measure what is left of the faces of a video in what a tool made of it.

    data: sources that name people, see ``incog.data.readers``, on whose pictures thresholds are fixed. people: at most
    so many. Raises InputError when the videos do not have the same frames, or no recogniser is a black box.
    """
    if not any(item.kind == "black box" for item in recognisers):
        raise InputError(
            "a recogniser must be a black box, none of those given is",
            hint="install one: pip install 'incog[eval]'",
        )
    pair = Pair(original, anonymised)
    tell("looking for faces")
    timeline = video_watch.find(pair, perception, progress)
    tell(f"comparing {len(timeline.tracks)} track(s)")
    watched = video_watch.watch(pair, timeline.tracks, perception, recognisers, progress)
    watched = [item for item in watched if item.frames]
    strangers, left_out = _strangers(data or {}, perception, people, tell)
    judged = [_judged(one, watched, strangers, pair.rate) for one in recognisers]
    bare, opened = (Value.of(_open(watched, limit, seed)) for limit in (BARE, temporal.COVERED))
    judges = [_judge(one, seed) for one in judged if one.tracks]
    records = [_track(number, item, judged, pair.rate) for number, item in enumerate(watched)]
    headlines = headlines_of(judges)
    evaluation = VideoEvaluation(
        versions={name: metadata.version(name) for name in VERSIONS},
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        protocol=VideoProtocol(
            width=pair.original.width,
            height=pair.original.height,
            frames=timeline.frames,
            rate=round(pair.rate, 3),
            cuts=len(timeline.cuts),
            tracks=len(watched),
            short=sum(not record.sights for record in records),
            faces=sum(record.frames for record in records),
            followed=_followed(timeline) - sum(record.frames for record in records),
            data={name: path.name for name, path in (data or {}).items()},
            people=len(strangers),
            left_out=dict(Counter(left_out.values())),
            seed=seed,
            words=[*WORDS, *_notes(pair, judges)],
        ),
        recognisers=[
            RecogniserRecord(name=item.name, kind=item.kind, note=item.note, sha256=item.sha256)
            for item in recognisers
        ],
        bare=bare,
        open=opened,
        judges=judges,
        headlines=headlines,
        tracks=records,
        verdict=verdict(bare, opened, records, headlines),
    )
    return VideoResults(evaluation, [item.examples for item in watched])


def _followed(timeline: Timeline) -> int:
    return sum(len(item.boxes) for item in timeline.tracks)


def _strangers(
    data: Mapping[str, Path], perception: Perception, people: int | None, tell: Callable[[str], None]
) -> tuple[list[Item], dict[str, str]]:
    """Return one picture each of people of the test part, whom incog's networks have not seen."""
    if not data:
        return [], {}
    tell("looking at pictures of other people")
    return load(
        choose(read(data), ["test"], people=people, pictures=1), perception.searcher, perception.hulls
    )


def _judged(
    recogniser: Recogniser, watched: Sequence[Watched], strangers: Sequence[Item], rate: float
) -> _Judged:
    numbers = [
        number
        for number, item in enumerate(watched)
        if len(item.embedded_at) >= LEAST and np.median(item.sizes) >= SMALLEST
    ]
    sights = [watched[number].sights(recogniser.name) for number in numbers]
    rows = recogniser(
        [face_only(item.picture, item.hull) for item in strangers], [item.points for item in strangers]
    )
    seen = [set(watched[number].frames) for number in numbers]
    # Found in one frame, not only followed: surely two people.
    apart = [(a, b) for a, b in combinations(range(len(numbers)), 2) if seen[a] & seen[b]]
    if not numbers:
        return _Judged(recogniser, [], [], [], [], np.zeros(0))
    own = video_attacks.own_impostors(sights, apart, rate)
    pool = video_attacks.impostors(sights, rows, own, rate)
    found, mistaken = video_attacks.compare(sights, rate), video_attacks.mistaken(sights, apart, rate)
    return _Judged(recogniser, numbers, sights, found, mistaken, pool)


def _open(watched: Sequence[Watched], limit: float, seed: int) -> Figure:
    """Return ``temporal.leak_rate`` over all tracks; limit: its ``covered``."""
    leaks = [
        (float(share < limit), str(item.track.id))
        for item in watched
        for share in item.shares
        if isfinite(share)
    ]
    return mean_over_people(
        np.array([leak for leak, _ in leaks]), [name for _, name in leaks], hits=True, seed=seed
    )


def _judge(one: _Judged, seed: int) -> JudgeRecord:
    """Return what a recogniser found over all tracks; each track counts the same, however long it is."""

    def over(values: Sequence[float], *, hits: bool = True) -> Value:
        known = [
            (value, str(name)) for value, name in zip(values, one.tracks, strict=True) if isfinite(value)
        ]
        figure = mean_over_people(
            np.array([value for value, _ in known]), [name for _, name in known], hits=hits, seed=seed
        )
        return Value.of(figure)

    def accepted(side: int) -> dict[str, dict[str, Value]]:
        tables = {
            rate: [video_attacks.accepted(sides[side], one.pool, rate) for sides in one.found]
            for rate in RATES
        }
        return {
            attack: {
                f"{rate:g}": over([nan if row[attack] is None else row[attack] or 0.0 for row in rows])
                for rate, rows in tables.items()
            }
            for attack in ATTACKS
        }

    hidden, untouched, covered = ([sides[side] for sides in one.found] for side in range(3))
    single = video_attacks.level(one.pool, RATES[0])
    wrong = [video_attacks.accepted(item, one.pool, RATES[0]) for item in one.mistaken]
    return JudgeRecord(
        recogniser=one.recogniser.name,
        kind=one.recogniser.kind,
        cosine=over([float(item.similarities.mean()) for item in hidden], hits=False),
        untouched=over([float(item.similarities.mean()) for item in untouched], hits=False),
        strangers=_number(float(one.pool.mean())) if len(one.pool) else None,
        pairs=len(one.pool),
        alike=over([video_attacks.alike(*sides, one.pool) for sides in one.found]),
        rank1=over([float(item.hits.mean()) for item in hidden]),
        untouched_rank1=over([float(item.hits.mean()) for item in untouched]),
        accepted=accepted(0),
        untouched_accepted=accepted(1),
        mistaken={
            attack: _number(_mean(np.array([value for row in wrong if (value := row[attack]) is not None])))
            for attack in ATTACKS
        },
        outline={
            "recognised": over(
                [nan if single is None else _mean(item.similarities > single) for item in covered]
            ),
            "rank 1": over([_mean(item.hits) for item in covered]),
        },
    )


def _mean(values: npt.NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else nan


def _track(number: int, item: Watched, judged: Sequence[_Judged], rate: float) -> TrackRecord:
    shares = np.array(item.shares)
    known = shares[np.isfinite(shares)]
    seconds = np.array(item.frames) / rate
    flicker, warps = _means(item.flickers), _means(item.warps)
    return TrackRecord(
        track=number + 1,
        start=round(float(seconds[0]), 2),
        end=round(float(seconds[-1]), 2),
        frames=len(item.frames),
        followed=len(item.track.boxes) - len(item.frames),
        size=round(float(np.median(item.sizes)), 1),
        bare=_number(float((known < BARE).mean())) if len(known) else None,
        open=_number(float((known < temporal.COVERED).mean())) if len(known) else None,
        altered=_number(float(known.min())) if len(known) else None,
        curve=_thinned(seconds, shares, lowest=True),
        flicker=None if flicker is None else _number(temporal.ratio(*flicker, least=temporal.STILL)),
        warping=None if warps is None else _number(temporal.ratio(*warps, least=temporal.STILL**2)),
        warping_error=None if warps is None else (_sure(warps[0]), _sure(warps[1])),
        sights=[
            _sight(one, one.tracks.index(number), seconds[np.isin(item.frames, item.embedded_at)])
            for one in judged
            if number in one.tracks
        ],
    )


def _means(pairs: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    if not pairs:
        return None
    before, after = np.mean(pairs, axis=0)
    return float(before), float(after)


def _sight(one: _Judged, row: int, seconds: temporal.Values) -> SightRecord:
    (found, untouched, covered), sights = one.found[row], one.sights[row]
    told = {f"{rate:g}": video_attacks.accepted(found, one.pool, rate) for rate in RATES}
    sides = [video_attacks.known(sights.before), video_attacks.known(sights.after)]
    variance = [temporal.identity_variance(side) if len(side) else nan for side in sides]
    switch = [temporal.identity_switch(side) if len(side) else nan for side in sides]
    return SightRecord(
        recogniser=one.recogniser.name,
        cosine=_sure(float(found.similarities.mean())),
        untouched=_sure(float(untouched.similarities.mean())),
        best=_sure(float(found.similarities.max())),
        together=_sure(found.together),
        alike=_number(video_attacks.alike(found, untouched, covered, one.pool)),
        rank1=_number(float(found.hits.mean())),
        untouched_rank1=_number(float(untouched.hits.mean())),
        accepted={
            attack: {
                rate: _number(nan if row[attack] is None else row[attack] or 0.0)
                for rate, row in told.items()
            }
            for attack in ATTACKS
        },
        variance=(_number(variance[0]), _number(variance[1])),
        switch=(_number(switch[0]), _number(switch[1])),
        curve=_thinned(seconds, found.similarities, lowest=False),
    )


def _sure(number: float) -> float:
    return float(f"{number:.5g}")


def _number(number: float) -> float | None:
    """Return a number with five digits; None when it is not finite."""
    return _sure(number) if isfinite(number) else None


def _thinned(seconds: temporal.Values, values: temporal.Values, *, lowest: bool) -> Curve:
    """Return at most ``POINTS`` points, the lowest or highest of each stretch: no single frame is passed over."""
    rows = np.flatnonzero(np.isfinite(values))
    parts = np.array_split(rows, min(POINTS, len(rows))) if len(rows) else []
    pick = np.argmin if lowest else np.argmax
    chosen = [part[pick(values[part])] for part in parts]
    return [(round(float(seconds[row]), 3), _sure(float(values[row]))) for row in chosen]


def _notes(pair: Pair, judges: Sequence[JudgeRecord]) -> Iterator[str]:
    """Yield what is to be said of these videos."""
    before, after = pair.sounds()
    if before:
        yield (
            f"The original has sound, the anonymised video {'has, too' if after else 'has none'}. It was not judged: "
            "voices tell people, too."
        )
    for rate in RATES:
        needed = round(FEWEST / rate)
        few = [item for item in judges if item.pairs < needed]
        if few:
            yield (
                f"A FAR of {rate:g} needs {needed:,} pairs of different people, got {few[0].pairs:,}: who is "
                "recognised at it was not measured. Pictures of other people can be given with --data."
            )
