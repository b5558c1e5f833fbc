"""Bringing back: every passphrase deciphers the codes to some people, and they are drawn where the shown ones are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import cv2

from incog import compose, geometry, track
from incog.appearance import model
from incog.calm import Scene, calmed
from incog.deniable import cipher, prior, traits
from incog.deniable.drawing import Redrawn
from incog.deniable.files import Carried
from incog.deniable.payload import Payload, Seen
from incog.deniable.traits import Person
from incog.errors import InputError, OutputError, VaultError
from incog.keys import Secret
from incog.media import open_source
from incog.media.base import OutputOptions
from incog.media.files import pending
from incog.outline import Seen as Outlined
from incog.types import Face, Frame, Key
from incog.vault.stream import Passphrase

Progress = Callable[[str, int, int | None], None]


def people_of(payload: Payload, secret: Secret) -> list[Person]:
    """Return whom a secret makes of the subjects of a file: the right one those that were there, every other others."""
    own = prior.load()
    return [
        own.decode(cipher.deciphered(one.words, row, one.nonce, secret), one.told)
        for row, one in enumerate(payload.subjects)
    ]


class Redrawing:
    """Draws the faces of people, (one for each subject), into the frames of a published file."""

    def __init__(self, payload: Payload, people: Sequence[Person]) -> None:
        self._subjects, self._people = payload.subjects, people
        self._by_frame: dict[int, list[Seen]] = {}
        for face in payload.faces:
            self._by_frame.setdefault(face.frame, []).append(face)

    def __call__(self, frame: Frame) -> Frame:
        """Return a published frame with the people's faces in it."""
        return _laid(self._scene(frame))

    def film(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Yield the published frames with the people's faces, each averaged over its neighbours in time."""
        return map(_laid, calmed(map(self._scene, frames)))

    def _scene(self, frame: Frame) -> Scene:
        own = model.load()
        # Somebody may be in a photo twice.
        times = Counter[int]()
        jobs, outlines = list[compose.Job](), list[Outlined]()
        for seen in self._by_frame.get(frame.index, []):
            subject, place = self._subjects[seen.subject], _face(seen)
            face = traits.drawn(own, seen.traits, self._people[seen.subject], subject.look)
            number = seen.subject + len(self._subjects) * times[seen.subject]
            times[seen.subject] += 1
            (item,) = track.single([place], frame.index, start=number)
            jobs.append(compose.Job(item, place, Redrawn(seen, face), Key(bytes(32))))
            dense = geometry.apply(geometry.inverse(seen.matrix), face.dense)
            outlines.append(Outlined(seen.outline, dense))
        drawn, _ = compose.draw(frame, jobs, outlines, safest=Redrawn.name)
        return Scene(frame, drawn)


def _laid(scene: Scene) -> Frame:
    return compose.lay(scene.frame, scene.drawn)


def _face(seen: Seen) -> Face:
    """Return a face of the size and at the place of one that a file carries."""
    x, y = (float(value) for value in (seen.outline.min(0) + seen.outline.max(0)) / 2)
    half = seen.size / 2
    return Face((x - half, y - half, x + half, y + half))


def restore(
    carried: Carried,
    passphrase: Passphrase,
    target: Path,
    *,
    overwrite: bool = False,
    follow: bool = False,
    progress: Progress = lambda stage, done, total: None,
) -> Path:
    """Write the published file with the faces that a passphrase gives, readable by its owner only, and return where.

    follow: not to ``target``, but beside it, ``photo.restored.jpg``. Nothing tells whether the passphrase is the right
    one. Raises VaultError where the published file is missing or another one, InputError and OutputError.
    """
    if carried.picture is None:
        raise VaultError(
            "the published file is not beside what it carries: its faces cannot be drawn without it"
        )
    source, payload = open_source(carried.picture), carried.payload
    place = _named(target, source.suffix) if follow else target
    if place.suffix.lower() != source.suffix and not follow:
        raise OutputError(f"the output must have the suffix {source.suffix}, got {place.suffix!r}")
    secret = cipher.secret_of(passphrase, payload.salt, payload.cost)
    redrawn = Redrawing(payload, people_of(payload, secret))
    with pending(place, overwrite=overwrite, private=True, inputs=[carried.path, carried.picture]) as file:
        count = 0
        with source.sink(file.path, OutputOptions()) as sink:
            try:
                for frame in redrawn.film(source.frames()):
                    sink.write(frame)
                    count += 1
                    progress("drawing", count, source.frame_count)
            except cv2.error as error:
                raise VaultError("what the file carries is damaged: a face cannot be drawn") from error
        if count != payload.frames:
            raise InputError(
                f"the file must have {payload.frames} frame(s), got {count}: it is another one, or was cut"
            )
        file.publish()
    return place


def _named(path: Path, suffix: str) -> Path:
    name = path.name.removesuffix(".incog") if path.suffix == ".incog" else path.name
    return path.with_name(f"{Path(name).stem.removesuffix('.incog')}.restored{suffix}")
