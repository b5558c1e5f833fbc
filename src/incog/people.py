"""Whose face is this? People are enrolled from photos, and faces of a file left visible or hidden by who they are.

To be left visible, a face has to be proved to be the person; whatever is doubtful is hidden. Thresholds bound the
chance that anybody else in the file is left visible, by the group of people in which strangers are most alike.
Embeddings stay in memory: what leaves this module are frame numbers and figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np

from incog import track
from incog.errors import InputError, UsageError
from incog.media import open_source
from incog.media.walk import printable, walk
from incog.methods.base import Claim
from incog.perceive.attributes import OnnxAttributes
from incog.perceive.calibration import Calibration, threshold
from incog.perceive.looks import look_at
from incog.perceive.recogniser import Recogniser
from incog.perceive.search import Searcher
from incog.plan import SelectionRecord
from incog.types import Face, Floats, Frame, Track

Mode = Literal["keep", "only"]
Ranges = list[tuple[int, int]]
"""Frames from the first to before the last of each pair."""

RISK = 0.01
"""Default chance of leaving a wrong face visible anywhere in a file."""

MISS = 0.005
"""Share of pairs of one person that ``only`` may take for strangers, as far as the data can tell."""

LEAST_SIGHTS = 3
"""Clear sights of a track in a video before anything is decided about it."""

AGREEING = 2 / 3
"""Share of a track's clear sights, at least, that must each look like the person."""

SHORTEST = 5
"""Frames in a row below which a face is not uncovered: it would only flicker."""

APART = 0.3
"""Overlap below which two boxes of a frame are two faces."""

_FIRST = 8
"""Sights of a track before it is known whether more are worth the time."""

_RECHECK = 0.5
_SEARCH = 0.25
"""Seconds between sights of a track that does not look like anybody, for ``keep`` and for ``only``."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Person:
    """Somebody enrolled. vectors: (P, D) float32, one unit row per photo. looks: (P, 9), see
    ``incog.perceive.attributes.LOOK``, where they were asked for. Never shown in a trace."""

    vectors: Floats
    looks: Floats | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Who is to be kept visible, or hidden alone. risk: see ``RISK``."""

    mode: Mode
    people: tuple[Person, ...]
    risk: float = RISK


@dataclass(slots=True, eq=False)
class Sights:
    """The looks at one track. frames: indices. scores: per look, one similarity per person. clear: see ``Recogniser``.
    tried: how often it was looked at, also in vain."""

    frames: list[int] = field(default_factory=list)
    scores: list[Floats] = field(default_factory=list)
    clear: list[bool] = field(default_factory=list)
    tried: int = 0

    def add(self, frame: int, scores: Floats, clear: bool) -> None:
        """Append a look."""
        self.frames.append(frame)
        self.scores.append(scores)
        self.clear.append(clear)


@dataclass(frozen=True, slots=True)
class Decision:
    """visible: tracks left visible wholly. shown: frames in which others are. record: how it came about."""

    visible: set[int]
    shown: dict[int, Ranges]
    record: SelectionRecord


# Enrolment


def enrol(
    path: Path, searcher: Searcher, recogniser: Recogniser, attributes: OnnxAttributes | None = None
) -> Person:
    """Return the person in a photo, or in all photos of a folder. attributes: tells how the person looks, too.

    Raises UsageError when a photo does not show exactly one face, when that face is small, blurred or turned, or when
    the photos of a folder do not show the same person; InputError when one cannot be read.
    """
    photos = [path]
    if path.is_dir():
        photos = [path / item for item in walk(path).media if len(item.parts) == 1]
        if not photos:
            raise UsageError(f"{printable(path)}: a person's folder must hold photos, got none")
    found = [_enrolled(photo, searcher, recogniser, attributes) for photo in photos]
    vectors = np.stack([vector for vector, _ in found])
    looks = [look for _, look in found if look is not None]
    level = threshold(recogniser.calibration, len(photos), 0.01)
    for number, photo in enumerate(photos if len(photos) > 1 else ()):
        others = np.delete(vectors, number, axis=0)
        if float((others @ vectors[number]).mean()) < level:
            raise UsageError(
                f"{printable(photo)}: the photos of a folder must show one person, got somebody else here, "
                "or a photo that is hard to tell"
            )
    return Person(vectors, np.stack(looks) if looks else None)


def _enrolled(
    path: Path, searcher: Searcher, recogniser: Recogniser, attributes: OnnxAttributes | None
) -> tuple[Floats, Floats | None]:
    """Return the vector of the face in a photo, and its look where that is asked for."""
    name = printable(path)
    try:
        source = open_source(path)
        if source.kind != "photo":
            raise UsageError(f"{name}: a person must be shown by a photo, got a {source.kind}")
        frame = next(iter(source.frames()))
    except InputError as error:
        raise InputError(f"{name}: {error}", hint=error.hint) from error
    faces = searcher.frame(frame)
    if len(faces) != 1:
        raise UsageError(
            f"{name}: a person's photo must show exactly one face, got {len(faces)}",
            hint="cut the picture so that only this person's face is in it" if faces else "",
        )
    sight = recogniser.sight(frame, faces[0])
    if sight is None or not recogniser.is_clear(sight):
        raise UsageError(
            f"{name}: the face in a person's photo must be sharp, seen from the front and at least 40 pixels large, "
            f"got one of {faces[0].size:.0f} pixels that is not"
        )
    return sight.vector, None if attributes is None else look_at(attributes, frame, sight.face)


def choice_of(mode: Mode, people: Sequence[Person], risk: float, calibration: Calibration) -> Choice:
    """Return the choice; raises UsageError when the risk is not one that the calibration can speak of."""
    # Half of the risk for each: the same as twice the comparisons, and an error then names the risk that was given.
    threshold(calibration, 2 * len(people), risk)
    return Choice(mode, tuple(people), risk)


# Looking


def compare(choice: Choice, vector: Floats) -> Floats:
    """Return the similarity (people,) of a face to each person.

    Over a person's photos: their mean when it takes proof to be visible, the largest when it takes proof to be
    somebody else.
    """
    how = np.mean if choice.mode == "keep" else np.max
    return np.array([how(person.vectors @ vector) for person in choice.people], np.float32)


def look(
    frames: Iterable[Frame],
    tracks: Sequence[Track],
    choice: Choice,
    recogniser: Recogniser,
    *,
    rate: float,
) -> dict[int, Sights]:
    """Look at the faces of tracks as often as a decision needs it, and return the sights by track.

    rate: frames per second, 0 for a photo. A track that looks like one of the people is looked at in every frame for
    ``keep``, since each frame that is left visible has to be proved.
    """
    lookup = track.by_frame(tracks)
    sights = {item.id: Sights() for item in tracks}
    doubt = (
        threshold(recogniser.calibration, 1, choice.risk / 2)
        if choice.mode == "keep"
        else recogniser.calibration.level_of_misses(MISS)
    )
    for frame in frames:
        for item, face in lookup(frame.index):
            mine = sights[item.id]
            if not _is_due(mine, item, frame.index, choice, rate, doubt):
                continue
            mine.tried += 1
            sight = recogniser.sight(frame, face)
            if sight is not None:
                mine.add(frame.index, compare(choice, sight.vector), recogniser.is_clear(sight))
    return sights


def _is_due(mine: Sights, item: Track, index: int, choice: Choice, rate: float, doubt: float) -> bool:
    likely = any(float(scores.max()) >= doubt for scores in mine.scores[-_FIRST:])
    if choice.mode == "only":
        step = max(1, min(round(_SEARCH * rate), len(item.boxes) // _FIRST))
        return not likely and (index - item.start) % step == 0
    first = len(mine.scores) < _FIRST and mine.tried < 2 * _FIRST
    return first or likely or (index - item.start) % max(1, round(_RECHECK * rate)) == 0


# Deciding


def decide(
    sights: Mapping[int, Sights],
    tracks: Sequence[Track],
    choice: Choice,
    calibration: Calibration,
    *,
    photo: bool,
) -> Decision:
    """Return which faces stay visible, and where."""
    rule = _keep if choice.mode == "keep" else _only
    return rule(sights, tracks, choice, calibration, photo)


def _keep(
    sights: Mapping[int, Sights],
    tracks: Sequence[Track],
    choice: Choice,
    calibration: Calibration,
    photo: bool,
) -> Decision:
    people = len(choice.people)
    seen = [item for item in tracks if sights[item.id].frames]
    comparisons = len(seen) * people
    undecided = sum(not _is_enough(sights[item.id], photo) for item in tracks)

    def record(level: float | None, frame_level: float | None, shown: Mapping[int, Ranges]) -> Decision:
        group = calibration.rate(1.0 if level is None else level)[1]
        runs = [stop - first for ranges in shown.values() for first, stop in ranges]
        return Decision(
            set(),
            dict(shown),
            SelectionRecord(
                mode="keep",
                people=people,
                comparisons=comparisons,
                risk=choice.risk,
                level=level,
                frame_level=frame_level,
                group=group,
                unmeasured=calibration.unmeasured,
                visible=len(shown),
                frames=sum(runs),
                runs=len(runs),
                undecided=undecided,
            ),
        )

    try:
        level = threshold(calibration, max(comparisons, 1), choice.risk if photo else choice.risk / 2)
    except UsageError:
        # More comparisons than the measured data can vouch for: nobody is proved to be anybody.
        return record(None, None, {})
    if photo:
        matches = {
            (item.id, who): set(sights[item.id].frames)
            for item in seen
            for who in range(people)
            if sights[item.id].clear[0] and sights[item.id].scores[0][who] >= level
        }
        return record(level, None, _ranges(_unrivalled(matches, tracks), 1))
    single = threshold(calibration, 1, choice.risk / 2)
    proved = [
        (item.id, who)
        for item in seen
        for who in range(people)
        if _is_proved(sights[item.id], who, level, single)
    ]
    if not proved:
        return record(level, None, {})
    # Should each of these tracks have jumped to somebody else, as many strangers are compared once more.
    frame_level = threshold(calibration, len(proved), choice.risk / 2)
    matches = {
        (number, who): {
            index
            for index, scores in zip(sights[number].frames, sights[number].scores, strict=True)
            if scores[who] >= frame_level
        }
        for number, who in proved
    }
    return record(level, frame_level, _ranges(_unrivalled(matches, tracks), SHORTEST))


def _is_enough(mine: Sights, photo: bool) -> bool:
    return sum(mine.clear) >= (1 if photo else LEAST_SIGHTS)


def _is_proved(mine: Sights, who: int, level: float, single: float) -> bool:
    """Whether the clear sights of a track agree that it shows this person: on average, and most of them each."""
    if not _is_enough(mine, photo=False):
        return False
    scores = np.array([row[who] for row, clear in zip(mine.scores, mine.clear, strict=True) if clear])
    return bool(scores.mean() >= level and (scores >= single).mean() >= AGREEING)


def _unrivalled(matches: Mapping[tuple[int, int], set[int]], tracks: Sequence[Track]) -> dict[int, set[int]]:
    """Return the frames per track without those in which two faces look like the same person: one of them is not."""
    by_id = {item.id: item for item in tracks}
    rivals: dict[tuple[int, int], set[int]] = {key: set() for key in matches}
    for one, other in combinations(matches, 2):
        if one[1] == other[1]:
            both = {
                index
                for index in matches[one] & matches[other]
                if _are_two(by_id[one[0]].face(index), by_id[other[0]].face(index))
            }
            rivals[one] |= both
            rivals[other] |= both
    frames: dict[int, set[int]] = {}
    for key, found in matches.items():
        frames.setdefault(key[0], set()).update(found - rivals[key])
    for key, lost in rivals.items():
        frames[key[0]] -= lost
    return frames


def _are_two(one: Face | None, other: Face | None) -> bool:
    if one is None or other is None:
        return False
    boxes = (np.array([face.box], np.float32) for face in (one, other))
    return float(track.overlap(*boxes)[0, 0]) < APART


def _ranges(frames: Mapping[int, set[int]], shortest: int) -> dict[int, Ranges]:
    """Return runs of frames of at least ``shortest``, for the tracks that have one."""
    found: dict[int, Ranges] = {}
    for number, indices in frames.items():
        runs: Ranges = []
        for index in sorted(indices):
            if runs and runs[-1][1] == index:
                runs[-1] = runs[-1][0], index + 1
            else:
                runs.append((index, index + 1))
        runs = [run for run in runs if run[1] - run[0] >= shortest]
        if runs:
            found[number] = runs
    return found


def _only(
    sights: Mapping[int, Sights],
    tracks: Sequence[Track],
    choice: Choice,
    calibration: Calibration,
    photo: bool,
) -> Decision:
    level = calibration.level_of_misses(MISS)
    visible: set[int] = set()
    undecided = 0
    for item in tracks:
        mine = sights[item.id]
        if any(float(scores.max()) >= level for scores in mine.scores):
            continue
        if _is_enough(mine, photo):
            visible.add(item.id)
        else:
            undecided += 1
    lengths = [len(item.boxes) for item in tracks if item.id in visible]
    record = SelectionRecord(
        mode="only",
        people=len(choice.people),
        comparisons=sum(bool(sights[item.id].frames) for item in tracks) * len(choice.people),
        risk=round(calibration.miss_rate(level), 5),
        level=level,
        group=calibration.rate(level)[1],
        unmeasured=calibration.unmeasured,
        visible=len(visible),
        frames=sum(lengths),
        runs=len(lengths),
        undecided=undecided,
    )
    return Decision(visible, {}, record)


# Saying


def claims(record: SelectionRecord) -> tuple[Claim, ...]:
    """Return what a selection promises, with its conditions."""
    scope = f"{record.comparisons} comparison(s) of tracks with {record.people} person(s)"
    photos = (
        "Faces and photos are like those measured: adults and children by ethnicity, as their labels have it."
    )
    if record.unmeasured:
        photos += f" Too few were measured to speak of: {', '.join(record.unmeasured)}."
    if record.mode == "keep":
        return (
            Claim(
                f"The chance that anybody else is left visible in this file is at most {record.risk:g}.",
                holds=True,
                scope=scope,
                conditions=(
                    f"It goes by the group in which strangers are most alike ({record.group}); twins and close "
                    "relatives are more alike than strangers.",
                    "A track shows one person, or jumps to one other at most.",
                    photos,
                ),
                value=record.risk,
            ),
        )
    return (
        Claim(
            f"The chance that one clear look misses a face of these people is at most {record.risk:g}.",
            holds=True,
            scope=scope,
            conditions=(
                "It is the upper end of the 95 % interval of what was measured on pairs of photos of one person.",
                photos,
                "Faces that are never seen clearly are hidden, whoever they are.",
            ),
            value=record.risk,
        ),
        Claim(
            "Everybody else stays visible, and so does a face of these people that was missed.",
            holds=False,
            scope=scope,
            conditions=("Look at the result.",),
        ),
    )


def summary(record: SelectionRecord) -> list[str]:
    """Return what was decided, one plain sentence each."""
    if record.level is None:
        return [
            f"Nobody was left visible: the measured data cannot vouch for {record.comparisons} comparisons at a "
            f"risk of {record.risk:g}."
        ]
    lines = [
        f"{record.visible} face(s) left visible in {record.frames} frame(s), {record.runs} stretch(es), "
        f"at a similarity of {record.level:.3f} or more."
        if record.mode == "keep"
        else f"{record.visible} face(s) left visible, of people less similar than {record.level:.3f}."
    ]
    if record.undecided:
        lines.append(
            f"{record.undecided} face(s) hidden because they were never seen clearly enough to tell."
        )
    return lines
