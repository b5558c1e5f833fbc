"""A folder of people as one set: look at every picture, fit a method of granularity ``set``, then write all or nothing.

Pictures either get the mean face laid back into them, or, with a shared background, are replaced by one picture for a
whole group, so that its files do not differ in a single byte.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from incog import compose, parallel, pipeline
from incog.errors import ExposedError, IncogError, InputError, OutputError
from incog.keys import FILE_ID_BYTES, Secret, derive
from incog.media import open_source
from incog.media.base import Source
from incog.media.files import make_folders, remove_folders
from incog.media.suffixes import same_suffix
from incog.media.walk import printable, walk
from incog.methods.base import Claim, SetMethod
from incog.methods.of_sets import CONDITIONS
from incog.pipeline import Options, Perception, Progress, silent
from incog.plan import Plan, tracks_of
from incog.report import FileReport
from incog.types import Bytes, Crops, Face, Floats, Frame

LISTED = 5
"""So many files are named of those that an error is about."""

TWICE = 0.01
"""The chance that two people of a set are taken for one, about, where the measured data can speak of so little."""

_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Member:
    """A picture of the set. number: from 1, in the order of names. place: relative to the folder. person: whose it is:
    the first folder of ``place``, or the file itself."""

    number: int
    path: Path
    place: Path
    person: str


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A picture that was looked at. face: the person's, the largest. others: further faces in it."""

    member: Member
    plan: Plan
    face: Face
    others: int


@dataclass(slots=True, eq=False)
class Set:
    """A folder's pictures. left_out: those that cannot be used, by reason, when the others may go on alone."""

    seen: list[Seen]
    left_out: dict[str, list[Member]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user wants. share: one background for all. keep_going: leave out pictures that cannot be used. seeded:
    whether the secret can be guessed."""

    share: bool = False
    keep_going: bool = False
    seeded: bool = False
    options: Options = field(default_factory=Options)


def members_of(folder: Path, *, without: Sequence[Path] = ()) -> tuple[list[Member], int]:
    """Return the pictures of a folder, and how many files are none. A folder in it holds the pictures of one person; a
    file beside it is a person of its own. Raises InputError for what cannot be listed, or a folder without pictures."""
    found = walk(folder, without=without)
    if found.errors:
        item, reason = found.errors[0]
        raise InputError(f"{printable(folder / item)}: {reason}")
    if not found.media:
        raise InputError(f"{printable(folder)}: the folder holds no photo")
    members = [
        Member(number, folder / item, item, item.parts[0] if len(item.parts) > 1 else f"./{item.name}")
        for number, item in enumerate(found.media, start=1)
    ]
    return members, len(found.others) + len(found.links)


def hide(
    members: Sequence[Member],
    out: Path,
    method: SetMethod,
    secret: Secret,
    perception: Perception,
    wish: Wish,
    *,
    progress: Progress = silent,
) -> list[FileReport]:
    """Hide the people of a set and write the folder ``out``, which must be new or empty: all of it, or nothing.

    With a shared background the report is one for the whole set. Raises InputError for pictures that cannot be used,
    named by reason, for too few people and for one person in two folders; OutputError and ExposedError.
    """
    if not members:
        raise InputError("a set must have pictures, got none")
    with _folder(out) as place:
        found = look(members, secret, perception, wish, progress)
        fitted = _fitted(found, method, perception, wish, progress)
        if wish.share:
            reports = [_share(found, fitted, place, secret, perception, wish, progress)]
        else:
            reports = _lay_back(found, fitted, place, secret, perception, wish, progress)
        return [*reports, *_left_out(found)]


def _left_out(found: Set) -> list[FileReport]:
    """Return the reports of pictures that were left out, without their names."""
    return [
        FileReport(
            name=str(member.number),
            status="failed",
            error=parallel.nameless(reason, [member.path, member.place]),
        )
        for reason, some in found.left_out.items()
        for member in some
    ]


@contextmanager
def _folder(out: Path) -> Iterator[Path]:
    """Yield a hidden folder that becomes ``out`` when all went well, and is removed when not."""
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise OutputError(
            f"{printable(out)} must be a new or an empty folder",
            hint="two releases of a set must not be mixed: what differs between them tells who is who",
        )
    place, made = out.parent / f".incog-{secrets.token_hex(16)}", list[Path]()
    try:
        try:
            make_folders(out.parent, made)
            place.mkdir(mode=0o700)
            yield place
            place.chmod(0o755)
            if out.is_dir():
                out.rmdir()
            place.rename(out)
            made.clear()
        finally:
            shutil.rmtree(place, ignore_errors=True)
            remove_folders(made)
    except OSError as error:
        raise OutputError(f"cannot write {printable(out)}: {error.strerror or error}") from error


def look(
    members: Sequence[Member], secret: Secret, perception: Perception, wish: Wish, progress: Progress = silent
) -> Set:
    """Return the set, each picture with its faces. Raises InputError that lists pictures which cannot be used."""
    seen: list[Seen] = []
    faults: dict[str, list[Member]] = defaultdict(list)
    sizes: dict[tuple[int, int], list[Member]] = defaultdict(list)
    for done, member in enumerate(members, start=1):
        progress("looking", done, len(members))
        try:
            source = open_source(member.path)
            if source.kind != "photo":
                faults[f"no photo but {_a(source.kind)}"].append(member)
                continue
            # The file id of a seeded run comes from the seed, so that the run can be repeated.
            scope = derive(secret, "file id", member.number).secret if wish.seeded else None
            plan = pipeline.plan(source, perception, file_id=scope and scope[:FILE_ID_BYTES])
        except (InputError, OSError) as error:
            faults[f"cannot be read ({error})"].append(member)
            continue
        faces = [face for track in tracks_of(plan.tracks) if (face := track.face(0)) is not None]
        if not faces:
            faults["no face was found"].append(member)
            continue
        face = max(faces, key=lambda face: face.width * face.height)
        seen.append(Seen(member, plan, face, len(faces) - 1))
        sizes[source.width, source.height].append(member)
    found = Set(seen)
    _refuse(found, faults, wish)
    if wish.share and len(sizes) > 1:
        most = max(sizes, key=lambda size: len(sizes[size]))
        odd = {
            f"{width} x {height} pixels, not {most[0]} x {most[1]} as most": some
            for (width, height), some in sizes.items()
            if (width, height) != most
        }
        _refuse(found, odd, wish)
    return found


def _refuse(found: Set, faults: dict[str, list[Member]], wish: Wish) -> None:
    """Raise InputError that names the pictures at fault, or leave them out where others may go on without."""
    if not faults:
        return
    if not wish.keep_going:
        raise InputError(
            "; ".join(f"{reason}: {_names(some)}" for reason, some in faults.items()),
            hint="remove them, or leave them out with --keep-going",
        )
    found.left_out |= faults
    out = {member.number for some in faults.values() for member in some}
    found.seen = [item for item in found.seen if item.member.number not in out]


def _names(members: Sequence[Member]) -> str:
    more = f" and {len(members) - LISTED} more" if len(members) > LISTED else ""
    return ", ".join(printable(member.place) for member in members[:LISTED]) + more


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _only(source: Source) -> Frame:
    return next(iter(source.frames()))


def _fitted(
    found: Set, method: SetMethod, perception: Perception, wish: Wish, progress: Progress
) -> SetMethod:
    """Return the method fitted to the set. Raises InputError for faces that it cannot use, and for one person in two
    places as far as the recogniser can tell."""
    vectors: list[Floats | None] = []

    def usable() -> Iterator[Crops]:
        for done, item in enumerate(found.seen, start=1):
            progress("comparing", done, len(found.seen))
            frame = _only(open_source(item.member.path))
            if wish.options.compare:
                sight = perception.recogniser.sight(frame, item.face)
                telling = sight is not None and perception.recogniser.is_clear(sight)
                vectors.append(sight.vector if sight is not None and telling else None)
            yield crop_of(item, frame, perception, wish)

    fitted = method.fit(usable(), [item.member.person for item in found.seen])
    if wish.options.compare:
        _told_apart(found, vectors, perception)
    return fitted


def crop_of(item: Seen, frame: Frame, perception: Perception, wish: Wish) -> Crops:
    """Return the person's crop as rendering cuts it."""
    return compose.crop_of(frame, item.face, mask_scale=wish.options.mask_scale, hulls=perception.hulls)


def _told_apart(found: Set, vectors: Sequence[Floats | None], perception: Perception) -> None:
    """Raise InputError when pictures of two people look like one."""
    clear = [
        (item.member, vector) for item, vector in zip(found.seen, vectors, strict=True) if vector is not None
    ]
    people = np.array([member.person for member, _ in clear])
    if len(set(people.tolist())) < 2:
        return
    rows = np.stack([vector for _, vector in clear])
    rate = TWICE / (len(rows) * (len(rows) - 1) / 2)
    tails = perception.recogniser.calibration.tails
    # That of the middle group: the highest would find nobody, the lowest would find pairs in every large set.
    level = float(np.median([tail.score_at(max(rate, tail.rarest)) for tail in tails]))
    best, pair = -1.0, (0, 0)
    for start in range(0, len(rows), _BLOCK):
        alike = rows[start : start + _BLOCK] @ rows.T
        alike[people[start : start + _BLOCK, None] == people[None]] = -1
        one, other = np.unravel_index(int(alike.argmax()), alike.shape)
        if float(alike[one, other]) > best:
            best, pair = float(alike[one, other]), (start + int(one), int(other))
    if best >= level:
        one_place, other_place = (printable(clear[row][0].place) for row in pair)
        raise InputError(
            f"two people of the set look like one, most of all {one_place} and {other_place}; a person who counts "
            "twice breaks every k",
            hint="put all pictures of one person into one folder, or, if they are two, add --no-compare",
        )


def _lay_back(
    found: Set,
    method: SetMethod,
    place: Path,
    secret: Secret,
    perception: Perception,
    wish: Wish,
    progress: Progress,
) -> list[FileReport]:
    """Write every picture with the mean face laid back into it, where it lay in the folder, and return the reports."""
    reports: list[FileReport] = []
    filled = 0
    for done, item in enumerate(found.seen, start=1):
        progress("hiding", done, len(found.seen))
        source = open_source(item.member.path)
        target = place / item.member.place
        if not same_suffix(target.suffix, source.suffix):
            target = target.with_name(target.name + source.suffix)
        try:
            report = pipeline.render(
                source, item.plan, target, method, secret, perception, options=wish.options
            )
        except IncogError as error:
            raise type(error)(f"{printable(item.member.place)}: {error}", hint=error.hint) from error
        report.name = str(item.member.number)
        # Faces of bystanders are filled: the set does not know them.
        filled += report.fallback > item.others
        reports.append(report)
    if filled:
        why = f"{filled} of {len(reports)} could not be laid back, or were still recognised, and were filled instead"
        refusal = pipeline.told(_refused("k-anonymity of the faces", why))
        for report in reports:
            report.claims = [refusal, *(claim for claim in report.claims if not claim.holds)]
    return reports


def _share(
    found: Set,
    method: SetMethod,
    place: Path,
    secret: Secret,
    perception: Perception,
    wish: Wish,
    progress: Progress,
) -> FileReport:
    """Write for each picture its group's, under a keyed name, and return one report of the set."""
    first = open_source(found.seen[0].member.path)
    size = first.width, first.height
    coded: dict[int, bytes] = {}
    named: dict[str, int] = {}
    behind: dict[bytes, set[str]] = defaultdict(set)
    unfit: dict[str, list[Member]] = {}
    for done, item in enumerate(found.seen, start=1):
        progress("grouping", done, len(found.seen))
        number = method.group(crop_of(item, _only(open_source(item.member.path)), perception, wish))
        if number is None:
            unfit.setdefault("no face that can be aligned", []).append(item.member)
            continue
        if number not in coded:
            coded[number] = _png(shared_picture(method.faces[number], *size))
        named[token(secret, item.member)] = number
        behind[hashlib.sha256(coded[number]).digest()].add(item.member.person)
    _refuse(found, unfit, wish)
    fewest = min(map(len, behind.values()))
    if fewest < method.k:
        raise ExposedError(f"a picture would stand for {fewest} people, fewer than k = {method.k}")
    # In the order of the keyed names, and with one time for all: nothing about a file tells when its person came.
    for name in sorted(named):
        path = place / f"{name}.png"
        path.write_bytes(coded[named[name]])
        path.chmod(0o644)
    for path in place.iterdir():
        os.utime(path, (0, 0))
    sizes = Counter(method.members)
    return FileReport(
        name="1",
        status="hidden",
        faces=len(named),
        tracks=sum(method.members),
        frames=len(named),
        method=method.name,
        parameters=pipeline.parameters(method),
        claims=[pipeline.told(claim) for claim in shared_claims(method.k, fewest, wish)],
        decisions=[
            f"{len(named)} pictures of {sum(method.members)} people became {len(behind)} different ones.",
            "Groups by people: "
            + ", ".join(f"{count} of {people}" for people, count in sorted(sizes.items())),
            "Files are named by keyed tokens, dated 1970, and hold no tags; backgrounds and bystanders are gone.",
        ],
    )


def shared_claims(k: int, fewest: int, wish: Wish) -> tuple[Claim, ...]:
    """Return what holds of files that are the same for a whole group. fewest: people behind one, at least."""
    if wish.seeded:
        return (
            _refused("k-anonymity", "the seed can be guessed, and with it which name stands for which file"),
        )
    return (
        Claim(
            f"Every released file stands for at least {k} people, byte by byte, its name, order and time included: no "
            f"recogniser can link one to its person with a chance above 1/{k} on average.",
            holds=True,
            scope=f"all files of the set; {fewest} people in the smallest group",
            conditions=(
                *CONDITIONS,
                "the secret is not known to whoever links: the names of files come from it",
            ),
            value=float(k),
        ),
        Claim(
            "How many pictures a group has can tell that a person with very many is in it.",
            holds=False,
            scope="sets with several pictures of one person",
            conditions=("one picture per person avoids it",),
        ),
    )


def _refused(what: str, reason: str) -> Claim:
    return Claim(
        f"No {what} is claimed: {reason}.",
        holds=False,
        scope="the whole set",
        conditions=("what is named is mended: then it is",),
    )


def token(secret: Secret, member: Member) -> str:
    """Return the name of a released file, 32 hexadecimal digits: who has the secret can tell which picture it is of."""
    return derive(secret, "set token", member.place.as_posix()).secret[:16].hex()


def shared_picture(face: Floats, width: int, height: int) -> Bytes:
    """Return the picture of a group, (height, width, 3) uint8: its face (S, S, 3) in the middle, as large as fits, its
    border carried on beyond."""
    side = min(width, height)
    large = cv2.resize(
        face, (side, side), interpolation=cv2.INTER_CUBIC if side > len(face) else cv2.INTER_AREA
    )
    left, top = (width - side) // 2, (height - side) // 2
    whole = cv2.copyMakeBorder(
        np.asarray(large, np.float32),
        top,
        height - side - top,
        left,
        width - side - left,
        cv2.BORDER_REPLICATE,
    )
    return np.rint(np.clip(whole, 0, 1) * 255).astype(np.uint8)


def _png(picture: Bytes) -> bytes:
    ok, coded = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))
    if not ok:
        raise OutputError("a picture could not be coded")
    return coded.tobytes()
