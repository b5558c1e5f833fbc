"""A folder under pseudonyms: whoever is in it has one new face in all photos and videos, and no file keeps its name.

People are told by the folders that they lie in, or by how much they look alike. First every file is looked at, then who
is who is told, then each file is written. All that is drawn, and all names, come from one secret: they are the same
again under the same secret, and nobody can make them again without it. What was seen of faces stays in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from incog import parallel, pipeline
from incog.casting import Sighting
from incog.errors import InputError, OutputError, UsageError, must_be
from incog.keys import FILE_ID_BYTES, Secret, derive
from incog.media import open_source
from incog.media.walk import printable, walk
from incog.methods.base import Claim, Method, PersonMethod
from incog.parallel import Job, Outcome, Settings
from incog.perceive.attributes import OnnxAttributes, make_attributes
from incog.perception import Progress, watched
from incog.plan import tracks_of
from incog.report import FileReport, PseudonymReport
from incog.subjects import clear_looks

MOST = 1 << 31


@dataclass(frozen=True, slots=True)
class File:
    """A file of the folder. place: relative to it. job: what is done with it."""

    place: Path
    job: Job


def usable(method: Method) -> PersonMethod:
    """Return the method if it draws people from keys. Raises UsageError for others."""
    if not isinstance(method, PersonMethod) or not method.keyed:
        raise UsageError(
            f"--pseudonyms must be given a method that draws a person from a key, got {method.name}",
            hint="replace, appearance-replace, or donor without a number",
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
        frames = watched(source, "telling apart", progress)
        seen = clear_looks(
            frames if plans else (),
            tracks_of(plan.tracks),
            perception.recogniser,
            attributes=_attributes(),
            wanted=lambda number, index: not plans[number].visible(index),
        )
        found.append(Sighting(plan, seen))
        return FileReport(name="", status="no_faces")

    outcome = parallel.attempt(job, action)
    return replace(outcome, found=found[0]) if found else outcome


@lru_cache(maxsize=1)
def _attributes() -> OnnxAttributes:
    return make_attributes()


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
                "the file with the secret is kept from others, and deleted when nobody shall be able to any more"
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
    if record.met_before:
        yield f"{record.met_before} of them were in the gallery, and keep their new faces."
    if record.unclear:
        yield f"{record.unclear} were never seen clearly, and are each a person of their own."
    if record.redrawn:
        yield f"{record.redrawn} were drawn anew, since their new face was like another's."
