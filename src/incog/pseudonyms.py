"""A folder under pseudonyms: whoever is in it has one new face in all photos and videos, and no file keeps its name.

People are told by the folders that they lie in, or by how much they look alike. First every file is looked at, then who
is who is told, then each file is written. All that is drawn, and all names, come from one secret: they are the same
again under the same secret, and nobody can make them again without it. What was seen of faces stays in memory.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from incog import parallel, pipeline
from incog.crowd import Appearance, grouped
from incog.errors import InputError, OutputError, UsageError, must_be
from incog.keys import FILE_ID_BYTES, Secret, derive, person_key
from incog.media import open_source
from incog.media.walk import printable, walk
from incog.methods.base import Claim, Method, PersonMethod
from incog.parallel import Job, Outcome, Settings
from incog.perceive.attributes import make_attributes
from incog.perceive.calibration import Calibration
from incog.perceive.looks import HELD
from incog.pipeline import Progress
from incog.plan import Plan, tracks_of
from incog.report import FileReport, PseudonymReport
from incog.subjects import RISK, Named, Seen, Subjects, clear_looks, joined
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

MOST = 1 << 31


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Sighting:
    """What was seen in a file: its plan, and the clear looks at its tracks. In memory only, never shown in a trace."""

    plan: Plan
    seen: dict[int, Seen]


@dataclass(frozen=True, slots=True)
class File:
    """A file of the folder. place: relative to it. job: what is done with it."""

    place: Path
    job: Job

    @property
    def folder(self) -> str:
        """The person's name where folders are people: the first folder, or '' of a file that is in none."""
        return self.place.parts[0] if len(self.place.parts) > 1 else ""


@dataclass(slots=True, eq=False, repr=False)
class Person:
    """Somebody in the folder. key: that faces are drawn from. look: (7,), see ``Subjects``; None where no look was
    clear. number: in the report, from 1, in an order that the secret decides. Never shown in a trace."""

    key: Key
    look: Floats | None = None
    number: int = 0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Casting:
    """Who is who. subjects, people: of each file, by the job's number; people are numbers. record: the figures."""

    subjects: dict[int, Subjects]
    people: dict[int, list[int]]
    record: PseudonymReport


def usable(method: Method) -> PersonMethod:
    """Return the method if it draws people from keys. Raises UsageError for others."""
    if not isinstance(method, PersonMethod) or not method.keyed:
        raise UsageError(
            f"--pseudonyms must be given a method that draws a person from a key, got {method.name}",
            hint="appearance-replace, replace, or donor without a number",
        )
    return method


def rotated(secret: Secret, number: int) -> Secret:
    """Return the secret of a rotation: 0 is the secret itself, each other number gives other faces and names. Raises
    UsageError for a number that is not 0 .. 2**31."""
    if not 0 <= number <= MOST:
        raise must_be("--rotate", f"a whole number from 0 to {MOST}", number)
    return Secret(derive(secret, "rotation", number).secret) if number else secret


def files_of(folder: Path, out: Path, secret: Secret) -> tuple[list[File], int]:
    """Return the photos and videos of a folder, numbered in the order of their new names, and how many files are none.

    Each part of a place becomes a token of its own, so that what lay in one folder lies in one again. Raises InputError
    for what cannot be listed, and for a folder without any; OutputError unless ``out`` is new or empty.
    """
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise OutputError(f"{printable(out)} must be a new or an empty folder")
    found = walk(folder, without=[out])
    if found.errors:
        item, reason = found.errors[0]
        raise InputError(f"{printable(folder / item)}: {reason}")
    if not found.media:
        raise InputError(f"{printable(folder)}: the folder holds no photo or video")
    named = sorted((hidden(secret, place).as_posix(), place) for place in found.media)
    files = [
        File(place, Job(number, folder / place, out / name, follow=True))
        for number, (name, place) in enumerate(named, start=1)
    ]
    return files, len(found.others) + len(found.links)


def hidden(secret: Secret, place: Path) -> Path:
    """Return the place under tokens, 32 hexadecimal digits for each part: the secret tells which is which."""
    parts = place.parts
    return Path(*(derive(secret, "name", *parts[: end + 1]).secret[:16].hex() for end in range(len(parts))))


def look(job: Job, settings: Settings, progress: Progress) -> Outcome:
    """Look at one file and return the outcome with a ``Sighting``: a task of ``parallel.run``."""
    found: list[Sighting] = []

    def action() -> FileReport:
        perception = parallel.perception_of(settings)
        source = open_source(job.path)
        plan = pipeline.plan(
            source,
            perception,
            spans=settings.spans,
            choice=parallel.enrolled(settings.selection, perception) if settings.selection else None,
            # Of the secret, as all else: the same faces and bytes again under the same one.
            file_id=derive(settings.secret, "pseudonym file", job.target.name).secret[:FILE_ID_BYTES],
            progress=progress,
        )
        plans = {item.id: item for item in plan.tracks}
        frames = pipeline.watched(source, "telling apart", progress)
        seen = clear_looks(
            frames if plans else (),
            tracks_of(plan.tracks),
            perception.recogniser,
            attributes=make_attributes(),
            wanted=lambda number, index: not plans[number].visible(index),
        )
        found.append(Sighting(plan, seen))
        return FileReport(name="", status="no_faces")

    outcome = parallel.attempt(job, action)
    return replace(outcome, found=found[0]) if found else outcome


def told_by(files: Sequence[File], sightings: Mapping[int, Sighting], calibration: Calibration) -> By:
    """Return how people are told where nobody says: by folders if every file lies in one, there are two at least, and
    the pictures of a folder look like one person in most of them; else by how they look."""
    folders: dict[str, list[Floats]] = defaultdict(list)
    for file in files:
        if not file.folder:
            return "clusters"
        if (sighting := sightings.get(file.job.number)) is not None:
            folders[file.folder] += _main_vectors(sighting, calibration)
    level = calibration.level_of_misses(STRANGERS)
    alike = []
    for vectors in folders.values():
        if len(vectors) > 1:
            rows = np.stack(vectors)
            alike.append(float((rows @ rows.T)[np.triu_indices(len(rows), 1)].mean()) >= level)
    return "folders" if len(folders) > 1 and alike and np.mean(alike) > 0.5 else "clusters"


def cast(
    files: Sequence[File],
    sightings: Mapping[int, Sighting],
    method: PersonMethod,
    settings: Settings,
    calibration: Calibration,
    *,
    by: By,
    named: Sequence[Named] = (),
    risk: float = RISK,
    rotation: int = 0,
) -> Casting:
    """Return who is who in files that were looked at, with a key for each person.

    It depends on the secret and on which files there are, not on their order. Two people never have new faces that are
    alike to the recogniser as long as other faces can be drawn: in the order of their keys, a person whose face is like
    one before is drawn anew, from a key that counts the tries.
    """
    ordered = sorted((file for file in files if file.job.number in sightings), key=lambda file: file.place)
    people: dict[tuple[str, ...], Person] = {}
    of: dict[int, dict[int, tuple[str, ...]]] = {}
    record = PseudonymReport(told_by=by, rotation=rotation)
    if by == "folders":
        for file in ordered:
            of[file.job.number] = _by_folder(file, sightings[file.job.number], calibration)
    else:
        of, record = _by_looks(ordered, sightings, named, calibration, risk, record)
    looks = _looks(of, sightings, named)
    for who in sorted({who for mine in of.values() for who in mine.values()}):
        key = (
            person_key(settings.secret, who[0]) if len(who) == 1 else derive(settings.secret, "person", *who)
        )
        people[who] = Person(key, looks.get(who))
    redrawn, alike = _drawn_apart(list(people.values()), method, calibration)
    subjects = {
        number: Subjects(
            mine,
            {who: people[who].key for who in mine.values()},
            {who: look for who in mine.values() if (look := people[who].look) is not None},
        )
        for number, mine in of.items()
    }
    shown = {number: sorted({people[who].number for who in mine.values()}) for number, mine in of.items()}
    figures = {
        "people": len(people),
        "named": sum(len(who) == 1 for who in people),
        "unclear": sum(person.look is None for person in people.values()),
        "redrawn": redrawn,
        "alike": alike,
    }
    return Casting(subjects, shown, record.model_copy(update=figures))


def _by_folder(file: File, sighting: Sighting, calibration: Calibration) -> dict[int, tuple[str, ...]]:
    """Return who the tracks of a file are: the one that is largest over all frames is the folder's person, others are
    bystanders of this file."""
    tracks = tracks_of(sighting.plan.tracks)
    vectors = {number: mine.vectors for number, mine in sighting.seen.items()}
    groups = joined(tracks, vectors, calibration)
    main = _largest(tracks, groups)
    place = file.place.as_posix()
    return {
        item.id: (file.folder,) if groups[item.id] == main and file.folder else (place, str(groups[item.id]))
        for item in tracks
    }


def _by_looks(
    files: Sequence[File],
    sightings: Mapping[int, Sighting],
    named: Sequence[Named],
    calibration: Calibration,
    risk: float,
    record: PseudonymReport,
) -> tuple[dict[int, dict[int, tuple[str, ...]]], PseudonymReport]:
    """Return who the tracks of all files are, by how much they look alike, and the figures of it."""
    appearances = [Appearance.named(person) for person in named]
    names: list[tuple[str, ...]] = [(person.name,) for person in named]
    places: list[tuple[int, int]] = []
    for file in files:
        sighting = sightings[file.job.number]
        for item in tracks_of(sighting.plan.tracks):
            appearances.append(Appearance.of(item, sighting.seen[item.id], file.job.number))
            names.append((file.place.as_posix(), str(item.id)))
            places.append((file.job.number, item.id))
    found = grouped(appearances, calibration, risk=risk)
    of: dict[int, dict[int, tuple[str, ...]]] = {file.job.number: {} for file in files}
    for (number, track), first in zip(places, found.people[len(named) :], strict=True):
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
    of: Mapping[int, Mapping[int, tuple[str, ...]]],
    sightings: Mapping[int, Sighting],
    named: Sequence[Named],
) -> dict[tuple[str, ...], Floats]:
    """Return how each person's new face shall look, (7,): the mean of all clear looks at them; of people enrolled by
    name, of their photos alone, so that it is the same in other runs."""
    rows: dict[tuple[str, ...], list[Floats]] = {(person.name,): list(person.looks) for person in named}
    known = set(rows)
    # In the order of the places, so that sums come out the same to the last bit.
    for number in sorted(of, key=lambda number: sightings[number].plan.file_id):
        for track, who in of[number].items():
            if who not in known:
                rows.setdefault(who, []).extend(sightings[number].seen[track].looks)
    return {
        who: np.asarray(np.mean(some, 0, np.float64), np.float32)[:HELD] for who, some in rows.items() if some
    }


def _drawn_apart(people: Sequence[Person], method: PersonMethod, calibration: Calibration) -> tuple[int, int]:
    """Number the people, and change the keys of those whose new face would be like one before. Return how many were
    drawn anew, and how many are like another all the same."""
    level = calibration.sensitive(ALIKE)
    kept: list[Floats] = []
    redrawn = alike = 0
    for number, person in enumerate(sorted(people, key=lambda person: person.key.secret), start=1):
        person.number = number
        if person.look is None:
            continue
        # A neutral mood: it is the moment's, not the person's.
        look = np.append(person.look, np.array([1, 0], np.float32)).astype(np.float32)
        best: tuple[float, Key, Floats] | None = None
        for attempt in range(TRIES):
            key = derive(person.key, "drawn anew", attempt) if attempt else person.key
            vector = method.likeness(key, look)
            nearest = float((np.stack(kept) @ vector).max()) if kept else -1.0
            if best is None or nearest < best[0]:
                best = nearest, key, vector
            if nearest < level:
                break
        assert best is not None
        nearest, key, vector = best
        redrawn += key is not person.key
        alike += nearest >= level
        person.key = key
        kept.append(vector)
    return redrawn, alike


def _main_vectors(sighting: Sighting, calibration: Calibration) -> list[Floats]:
    """Return the clear looks at the person who is largest in a file."""
    tracks = tracks_of(sighting.plan.tracks)
    if not tracks:
        return []
    groups = joined(tracks, {number: mine.vectors for number, mine in sighting.seen.items()}, calibration)
    main = _largest(tracks, groups)
    return [
        vector for number, who in groups.items() if who == main for vector in sighting.seen[number].vectors
    ]


def _largest(tracks: Sequence[Track], groups: Mapping[int, int]) -> int | None:
    """Return the person whose boxes, over all frames, are the largest in sum; None of no tracks."""
    area: dict[int, float] = defaultdict(float)
    for item in tracks:
        area[groups[item.id]] += float(np.prod(item.boxes[:, 2:] - item.boxes[:, :2], axis=1).sum())
    return min(area, key=lambda who: (-area[who], who), default=None)


def settle(out: Path) -> None:
    """Give all that was written one date, 1970: when a file was written tells nothing of whose it is."""
    for path in [*out.rglob("*"), out]:
        os.utime(path, (0, 0))


def claims(record: PseudonymReport, *, kept: bool) -> tuple[Claim, ...]:
    """Return what holds of a folder under pseudonyms. kept: whether the secret is in a file, not forgotten."""
    scope = f"all files of the folder, {record.people} people"
    found = [
        Claim(
            "The new face of a person is the same person's in all files, so files can be linked by it.",
            holds=False,
            scope=scope,
            conditions=("it is what pseudonyms are for", "whoever knows one picture knows of the others"),
        ),
        Claim(
            "Which face and which names belong to whom can be told, and made again, with the secret alone.",
            holds=True,
            scope="new faces, names of files and folders, their order and dates",
            conditions=(
                "the secret file is kept from others, and deleted when nobody shall be able to any more"
                if kept
                else "the secret was forgotten when the command ended",
                "hair, clothes, places and the number of a person's files can tell all the same",
            ),
        ),
    ]
    if record.told_by == "clusters":
        found.append(
            Claim(
                f"The chance that a given person is taken for another of the folder is at most about {record.risk:g}."
                if record.vouched
                else "No bound is claimed on how many people are taken for another: the measured data cannot speak of "
                "so many.",
                holds=record.vouched,
                scope=scope,
                conditions=(
                    "faces are like those measured; twins and close relatives are more alike than strangers",
                    "how many people have several new faces is not bounded",
                ),
                value=record.risk if record.vouched else None,
            )
        )
    if record.alike:
        found.append(
            Claim(
                f"{record.alike} people have a new face that is like another's.",
                holds=False,
                scope=scope,
                conditions=("there are fewer people, or they look less alike: then none has",),
            )
        )
    return tuple(found)


def summary(record: PseudonymReport) -> Iterator[str]:
    """Yield what was done, one plain sentence each."""
    yield f"{record.people} people, told by {'their folders' if record.told_by == 'folders' else 'how they look'}."
    if record.named:
        yield f"{record.named} of them have a name: in other runs under the same secret they have the same new face."
    if record.unclear:
        yield f"{record.unclear} were never seen clearly, and are each a person of their own."
    if record.redrawn:
        yield f"{record.redrawn} were drawn anew, since their new face was like another's."
