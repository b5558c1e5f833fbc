"""Who is who in the files of a folder, and which key draws whom: one for each person, and no two alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from incog.crowd import Appearance, grouped, joined
from incog.gallery import Known
from incog.keys import Secret, derive, person_key
from incog.methods.base import PersonMethod
from incog.perceive.calibration import Calibration
from incog.perceive.looks import HELD
from incog.plan import Plan, tracks_of
from incog.report import PseudonymReport
from incog.subjects import RISK, Seen, Subjects
from incog.types import Floats, Key, Track

By = Literal["folders", "clusters"]
BY: tuple[By, ...] = get_args(By)

ALIKE = 1e-3
"""Rate of false matches at whose level two new faces count as alike: in the group where strangers are least alike, so
that none is."""

TRIES = 100
"""How often a new face is drawn anew before the one that is least like the others is taken."""

STRANGERS = 0.05
"""Share of the pairs of one person below whose similarity the pictures of a folder are, on average, no one's."""

Who = tuple[str, ...]
"""Somebody: (name,) with a name, ("cluster", token) without one, (place, track) of a bystander."""

Places = Mapping[int, Path]
"""Where files lie in the folder, by number."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Sighting:
    """What was seen in a file: its plan, and the clear looks at its tracks. In memory only, never shown in a trace."""

    plan: Plan
    seen: dict[int, Seen]


@dataclass(slots=True, eq=False, repr=False)
class Person:
    """Somebody in the folder. key: that faces are drawn from. look: (9,), of a neutral mood; None where no look was
    clear. tries: how often the face was drawn anew, None before it was drawn. number: in the report, from 1, in an
    order that the secret decides. Never shown in a trace."""

    key: Key
    look: Floats | None = None
    tries: int | None = None
    number: int = 0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Casting:
    """Who is who. subjects, people: of each file, by its number; people are numbers. record: the figures. known:
    everybody without doubt, for other runs."""

    subjects: dict[int, Subjects]
    people: dict[int, list[int]]
    record: PseudonymReport
    known: tuple[Known, ...]


def folder_of(place: Path) -> str:
    """Return the person's name where folders are people: the first folder, or '' of a file that is in none."""
    return place.parts[0] if len(place.parts) > 1 else ""


def told_by(places: Places, sightings: Mapping[int, Sighting], calibration: Calibration) -> By:
    """Return how people are told where nobody says: by folders if every file lies in one, there are two at least, and
    the pictures of a folder look like one person in most of them; else by how they look."""
    folders: dict[str, list[Floats]] = defaultdict(list)
    for number, place in places.items():
        if not folder_of(place):
            return "clusters"
        if (sighting := sightings.get(number)) is not None:
            groups, main = _largest(sighting, calibration)
            folders[folder_of(place)] += [
                vector
                for track, who in groups.items()
                if who == main
                for vector in sighting.seen[track].vectors
            ]
    level = calibration.level_of_misses(STRANGERS)
    alike = []
    for vectors in folders.values():
        if len(vectors) > 1:
            rows = np.stack(vectors)
            alike.append(float((rows @ rows.T)[np.triu_indices(len(rows), 1)].mean()) >= level)
    return "folders" if len(folders) > 1 and alike and np.mean(alike) > 0.5 else "clusters"


def cast(
    places: Places,
    sightings: Mapping[int, Sighting],
    method: PersonMethod,
    secret: Secret,
    calibration: Calibration,
    *,
    by: By,
    known: Sequence[Known] = (),
    risk: float = RISK,
    rotation: int = 0,
) -> Casting:
    """Return who is who in files that were looked at, with a key for each person.

    It depends on the secret, on who is known and on which files there are, not on their order. Two people never have
    new faces that are alike to the recogniser as long as other faces can be drawn: first those who have one already,
    then in the order of their keys, a person whose face is like one before is drawn anew, from a key that counts the
    tries.
    """
    numbers = sorted(sightings, key=lambda number: places[number])
    record = PseudonymReport(told_by=by, rotation=rotation)
    of: dict[int, dict[int, Who]] = {}
    if by == "folders":
        for number in numbers:
            of[number] = _by_folder(places[number], sightings[number], calibration)
    else:
        files = [(number, places[number], sightings[number]) for number in numbers]
        of, record = _by_looks(files, known, secret, calibration, risk, record)
    there = {who for mine in of.values() for who in mine.values()}
    looks = _looks(of, sightings, known)
    tries = {_who(person): person.tries for person in known}
    people = {
        who: Person(key_of(secret, who), looks.get(who), tries.get(who))
        for who in sorted(there | {who for who, count in tries.items() if count is not None})
    }
    redrawn, alike = drawn_apart(list(people.values()), method, calibration)
    subjects = {
        number: Subjects(
            mine,
            {who: people[who].key for who in mine.values()},
            {who: look[:HELD] for who in mine.values() if (look := people[who].look) is not None},
        )
        for number, mine in of.items()
    }
    shown = {number: sorted({people[who].number for who in mine.values()}) for number, mine in of.items()}
    figures = {
        "people": len(there),
        "named": sum(len(who) == 1 for who in there),
        "met_before": sum(tries.get(who) is not None for who in there),
        "unclear": sum(people[who].look is None for who in there),
        "redrawn": redrawn,
        "alike": alike,
    }
    kept = _known(of, sightings, known, people) if by == "clusters" else ()
    return Casting(subjects, shown, record.model_copy(update=figures), kept)


def key_of(secret: Secret, who: Who, tries: int = 0) -> Key:
    """Return the key of somebody whose new face was drawn anew so many times."""
    first = person_key(secret, who[0]) if len(who) == 1 else derive(secret, "person", *who)
    return again(first, tries)


def again(key: Key, tries: int) -> Key:
    """Return the key that a face is drawn from when it was drawn anew so many times."""
    return derive(key, "drawn anew", tries) if tries else key


def _who(person: Known) -> Who:
    return (person.name,) if person.given else ("cluster", person.name)


def hidden_tracks(plan: Plan) -> list[Track]:
    """Return the tracks that are hidden in a frame at least: who stays visible needs no other face."""
    return tracks_of(
        item
        for item in plan.tracks
        if any(not item.visible(item.start + row) for row in range(len(item.boxes)))
    )


def _by_folder(place: Path, sighting: Sighting, calibration: Calibration) -> dict[int, Who]:
    """Return who the tracks of a file are: the one that is largest over all frames is the folder's person, others are
    bystanders of this file."""
    groups, main = _largest(sighting, calibration)
    folder = folder_of(place)
    return {
        track: (folder,)
        if who == main and folder
        else (place.as_posix(), sighting.plan.source.digest, str(who))
        for track, who in groups.items()
    }


def _largest(sighting: Sighting, calibration: Calibration) -> tuple[dict[int, int], int | None]:
    """Return who the tracks of a file are, by numbers, and the person whose boxes, over all frames, are the largest in
    sum; None where there is nobody."""
    tracks = hidden_tracks(sighting.plan)
    groups = joined(tracks, sighting.seen, calibration)
    area: dict[int, float] = defaultdict(float)
    for item in tracks:
        area[groups[item.id]] += float(np.prod(item.boxes[:, 2:] - item.boxes[:, :2], axis=1).sum())
    return groups, min(area, key=lambda who: (-area[who], who), default=None)


def _by_looks(
    files: Sequence[tuple[int, Path, Sighting]],
    known: Sequence[Known],
    secret: Secret,
    calibration: Calibration,
    risk: float,
    record: PseudonymReport,
) -> tuple[dict[int, dict[int, Who]], PseudonymReport]:
    """Return who the tracks of all files are, by how much they look alike, and the figures of it."""
    appearances = [Appearance(person.vectors, person.look[None]) for person in known]
    names: list[Who] = [_who(person) for person in known]
    tracks: list[tuple[int, int]] = []
    for number, place, sighting in files:
        for item in hidden_tracks(sighting.plan):
            appearances.append(Appearance.of(item, sighting.seen[item.id], number))
            # Of the content too: another file of this name in another run shows other people.
            scope = (place.as_posix(), sighting.plan.source.digest, item.id)
            token = derive(secret, "cluster", *scope).secret[:16].hex()
            names.append(("cluster", token))
            tracks.append((number, item.id))
    found = grouped(appearances, calibration, risk=risk)
    of: dict[int, dict[int, Who]] = {number: {} for number, _, _ in files}
    for (number, track), first in zip(tracks, found.people[len(known) :], strict=True):
        of[number][track] = names[first]
    return of, record.model_copy(
        update={
            "risk": risk,
            "lowest": round(found.lowest, 4),
            "highest": round(found.highest, 4),
            "vouched": found.vouched,
            "unmeasured": calibration.unmeasured,
        }
    )


def _looks(
    of: Mapping[int, Mapping[int, Who]], sightings: Mapping[int, Sighting], known: Sequence[Known]
) -> dict[Who, Floats]:
    """Return how each person's new face shall look, (9,): the mean of all clear looks at them; of people who are known
    beforehand what is known, so that it is the same in other runs."""
    fixed = {_who(person): person.look for person in known}
    rows: dict[Who, list[Floats]] = defaultdict(list)
    # In the order of the places' tokens, so that sums come out the same to the last bit.
    for number in sorted(of, key=lambda number: sightings[number].plan.file_id):
        for track, who in of[number].items():
            if who not in fixed:
                rows[who] += sightings[number].seen[track].looks
    found = {who: np.stack(some).mean(0, np.float64) for who, some in rows.items() if some}
    # A neutral mood: it is the moment's, not the person's.
    return {
        who: np.append(np.asarray(look)[:HELD], (1, 0)).astype(np.float32)
        for who, look in (fixed | found).items()
    }


def drawn_apart(people: Sequence[Person], method: PersonMethod, calibration: Calibration) -> tuple[int, int]:
    """Number the people, and change the keys of those whose new face would be like one before. Return how many were
    drawn anew, and how many are like another all the same."""
    level = calibration.sensitive(ALIKE)
    kept: list[Floats] = []
    redrawn = alike = 0
    ordered = sorted(people, key=lambda person: (person.tries is None, person.key.secret))
    for number, person in enumerate(ordered, start=1):
        person.number = number
        if person.look is None:
            continue
        if person.tries is not None:
            person.key = again(person.key, person.tries)
            kept.append(method.likeness(person.key, person.look))
            continue
        tries, vector, nearest = _drawn(person, method, kept, level)
        redrawn += tries > 0
        alike += nearest >= level
        person.key, person.tries = again(person.key, tries), tries
        kept.append(vector)
    return redrawn, alike


def _drawn(
    person: Person, method: PersonMethod, kept: Sequence[Floats], level: float
) -> tuple[int, Floats, float]:
    """Return how often a face has to be drawn anew until none that is kept is like it, what the recogniser makes of it,
    and how like the nearest is."""
    assert person.look is not None
    others = np.stack(kept) if kept else None
    best: tuple[int, Floats, float] | None = None
    for tries in range(TRIES):
        vector = method.likeness(again(person.key, tries), person.look)
        nearest = -1.0 if others is None else float((others @ vector).max())
        if best is None or nearest < best[2]:
            best = tries, vector, nearest
        if nearest < level:
            break
    assert best is not None
    return best


def _known(
    of: Mapping[int, Mapping[int, Who]],
    sightings: Mapping[int, Sighting],
    known: Sequence[Known],
    people: Mapping[Who, Person],
) -> tuple[Known, ...]:
    """Return everybody who is known after this run: who was before, with what is new, and who has a cluster or a name
    and was seen clearly."""
    rows: dict[Who, list[Floats]] = defaultdict(list)
    for number, mine in sorted(of.items()):
        for track, who in mine.items():
            rows[who] += sightings[number].seen[track].vectors
    found = []
    before = {_who(person): person for person in known}
    for who in sorted(before.keys() | rows.keys()):
        person, vectors = people.get(who), rows[who]
        if who in before:
            last = before[who]
            if person is not None and person.tries is not None:
                more = np.stack(vectors) if vectors else last.vectors[:0]
                last = last.seen(more, person.tries)
            found.append(last)
        elif person is not None and person.tries is not None and person.look is not None and vectors:
            entry = Known(who[-1], len(who) == 1, np.zeros((0, vectors[0].size), np.float32), person.look)
            found.append(entry.seen(np.stack(vectors), person.tries))
    return tuple(item for item in found if item.tries is not None)
