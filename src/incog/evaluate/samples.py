"""The pictures that are judged: faces of known people, before and after a method, and who plays which part."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np

from incog import compose, geometry
from incog.colour import rgb8
from incog.data.faces import Sample, Split, decode, split_of
from incog.errors import InputError
from incog.keys import FILE_ID_BYTES, Secret, track_key
from incog.methods.base import Method, SetMethod
from incog.perceive.hulls import FaceHulls
from incog.perceive.search import Searcher
from incog.types import Bytes, Face, Floats, Frame, Layout, Origin, Track

GREY = 127
"""What surroundings are covered with when only the face is shown."""

UNFOUND = "no face was found, and the data give no points"
TWICE = "the same picture is there twice"
"""Why pictures are left out."""

LEAST_PAIRS = 100_000
"""Pairs of different people that thresholds are fixed on, at least, in an evaluation that may be quoted."""


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One picture of one person.

    name: ``SOURCE/NAME`` of the file. person: who it shows. picture: (H, W, 3) uint8 R'G'B', before. faces: all that
    the detector found, the person's first; none when it found none. points: (5, 2) float32 px, where the person's face
    is, by the detector or, where it found none, by the dataset. hull: (K, 2) float32 px, what the mask covers wholly.
    """

    name: str
    person: str
    picture: Bytes
    faces: list[Face]
    points: Floats
    hull: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Cast:
    """Who plays which part: no person plays two.

    judged: pictures of people who are attacked. known: pictures of other people, from which an attacker learns.
    left_out: names of pictures that could not be used, and why. sought: names of the pictures that were to be judged.
    """

    judged: list[Item]
    known: list[Item]
    left_out: dict[str, str] = field(default_factory=dict)
    sought: frozenset[str] = frozenset()

    def gallery(self) -> tuple[list[int], list[int]]:
        """Return the rows of the judged pictures that are in the gallery, one of each person, and of the probes: all
        others. Who has one picture only is in the gallery all the same, as most people of a real one are."""
        first: dict[str, int] = {}
        for row, item in enumerate(self.judged):
            first.setdefault(item.person, row)
        gallery = sorted(first.values())
        probes = sorted(set(range(len(self.judged))) - set(gallery))
        return gallery, probes


def choose(
    samples: Iterable[tuple[str, Sample]],
    splits: Sequence[Split],
    *,
    people: int | None = None,
    pictures: int = 4,
) -> list[tuple[str, Sample]]:
    """Return the (source, sample) pairs of splits that name a person, in an order that depends on names alone.

    people: at most so many, drawn by a hash: those with several pictures first, and of these the ones of the first
    split. pictures: of each person, at most. Raises InputError for a sample that its dataset names but does not hold.
    """
    of: dict[str, list[tuple[str, Sample]]] = defaultdict(list)
    for source, sample in samples:
        if sample.identity and split_of(sample.identity) in splits:
            if sample.fault:
                raise InputError(f"{source}/{sample.name}: {sample.fault}")
            of[sample.identity].append((source, sample))

    def drawn(text: str) -> bytes:
        return hashlib.sha256(b"evaluate " + text.encode()).digest()

    def rank(person: str) -> tuple[bool, int, bytes]:
        return len(of[person]) < 2, splits.index(split_of(person)), drawn(person)

    names = sorted(of, key=rank)[:people]
    return [
        pair
        for person in sorted(names)
        for pair in sorted(of[person], key=lambda p: drawn(p[1].name))[:pictures]
    ]


def load(
    samples: Sequence[tuple[str, Sample]],
    searcher: Searcher,
    hulls: FaceHulls,
    *,
    mask_scale: float = geometry.MASK_SCALE,
    seen: set[bytes] | None = None,
    tell: Callable[[int], None] = lambda done: None,
) -> tuple[list[Item], dict[str, str]]:
    """Return the pictures with their faces, and why others were left out. Raises InputError for one that cannot be
    read.

    The person's face is the one nearest to the dataset's points, or to the middle where it gives none. A picture that
    is there twice is taken once. seen: marks of the pictures that were taken before, to which these are added, so that
    none plays two parts.
    """
    items: list[Item] = []
    left_out: dict[str, str] = {}
    seen = set() if seen is None else seen
    for number, (source, sample) in enumerate(samples):
        name = f"{source}/{sample.name}"
        picture = decode(sample.read(), name)
        mark = hashlib.sha256(repr(picture.shape).encode() + picture.tobytes()).digest()
        if mark in seen:
            left_out[name] = TWICE
            continue
        seen.add(mark)
        frame = frame_of(picture)
        faces = searcher.frame(frame)
        height, width = picture.shape[:2]
        middle = np.array([width - 1, height - 1]) / 2 if sample.points is None else sample.points.mean(0)
        faces.sort(key=lambda face: float(np.hypot(*(np.array(face.centre) - middle))))
        near = bool(faces) and float(np.hypot(*(np.array(faces[0].centre) - middle))) < faces[0].size / 2
        own = faces[0] if near else None
        points = own.points if own is not None and own.points is not None else sample.points
        if points is None:
            left_out[name] = UNFOUND
            continue
        if own is None:
            # The method never sees this face: it stays as it is, and counts as such.
            box = geometry.bounds(points, 0.6 * float(np.ptp(points, axis=0).max()))
            own = Face(box=tuple(float(value) for value in box), points=points)  # type: ignore[arg-type]
            faces = []
        hull = hulls(frame, [own], mask_scale)[0].outline
        items.append(Item(name, sample.identity, picture, faces, points, hull))
        tell(number + 1)
    return items, left_out


def protect(
    items: Sequence[Item],
    method: Method,
    secret: Secret,
    hulls: FaceHulls,
    *,
    one_key: bool = False,
    frame: int = 0,
) -> list[Bytes]:
    """Return what a method makes of each picture: (H, W, 3) uint8 R'G'B'.

    Every picture has a key of its own, but for ``one_key``. frame: the index that the picture has in a video. What a
    method is unfit for is filled, as by ``incog hide``; its second look, which fills more, is left out, since the
    method is what is judged.
    """
    from incog.methods import DEFAULT, METHODS

    safest = METHODS[DEFAULT]()
    results = []
    for item in items:
        scope = hashlib.sha256(b"" if one_key else item.name.encode()).digest()[:FILE_ID_BYTES]
        shown = replace(frame_of(item.picture), index=frame)
        jobs = [
            compose.Job(_track(number, face), face, method, track_key(secret, scope, number))
            for number, face in enumerate(item.faces)
        ]
        for _ in range(2):
            if not jobs:
                break
            hidden, unfit = compose.hide(
                shown, jobs, mask_scale=geometry.MASK_SCALE, safest=safest.name, hulls=hulls
            )
            if not unfit:
                shown = hidden
                break
            jobs = [
                compose.Job(job.track, job.face, safest if job.track.id in unfit else job.method, job.key)
                for job in jobs
            ]
        else:
            raise InputError(f"the faces of {item.name} could not be hidden")
        results.append(rgb8(shown))
    return results


def fitted(method: Method, items: Sequence[Item], hulls: FaceHulls) -> Method:
    """Return the method, fitted to the people of items if it is one on sets: each item's own face, found as ``protect``
    finds it. Raises InputError for fewer people than it needs."""
    if method.granularity != "set":
        return method
    seen = [item for item in items if item.faces]
    crops = (
        compose.crop_of(frame_of(item.picture), item.faces[0], mask_scale=geometry.MASK_SCALE, hulls=hulls)
        for item in seen
    )
    return cast("SetMethod", method).fit(crops, [item.person for item in seen])


def face_only(picture: Bytes, hull: Floats) -> Bytes:
    """Return the picture with all that lies outside of the hull covered, the feather too: (H, W, 3) uint8."""
    height, width = picture.shape[:2]
    inside = geometry.mask([hull], (0, 0, width, height), 0) > 0
    return np.where(inside[:, :, None], picture, np.uint8(GREY))


def frame_of(picture: Bytes) -> Frame:
    """Return a picture (H, W, 3) uint8 as a frame."""
    return Frame((np.ascontiguousarray(picture),), Layout("rgb"))


def _track(number: int, face: Face) -> Track:
    points = np.full((5, 2), np.nan, np.float32) if face.points is None else face.points
    return Track(
        number,
        0,
        np.array([face.box], np.float32),
        points[None],
        np.array([face.score], np.float32),
        np.array([Origin.DETECTED], np.uint8),
        np.array([face.grow], np.float32),
    )
