"""Bringing back: every passphrase deciphers the codes to some people, who are drawn where the shown ones are, or gives
keys that turn the shown ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import cv2

from incog import compose, track
from incog.appearance import model
from incog.calm import Scene, calmed
from incog.deniable import cipher, codes, prior, traits
from incog.deniable.drawing import Made, Painted, Redrawn, Turned
from incog.deniable.files import Carried
from incog.deniable.payload import DRAWN, KEYS, Payload, Seen
from incog.deniable.seeing import Pose
from incog.deniable.traits import Person, Traits
from incog.deniable.turning import signs
from incog.errors import InputError, VaultError
from incog.keys import Secret
from incog.media import open_source
from incog.media.base import OutputOptions
from incog.media.files import pending
from incog.media.suffixes import check_suffix
from incog.outline import Seen as Outlined
from incog.types import Floats, Frame, Key
from incog.vault.stream import Passphrase

Progress = Callable[[str, int, int | None], None]


Draws = Callable[[Seen], Redrawn]
"""Returns what draws a face of a file anew."""


def people_of(payload: Payload, secret: Secret) -> list[Person]:
    """Return whom a secret makes of the subjects of a file of codes: the right one those that were there, every other
    others."""
    own = prior.load()
    return [
        own.decode(cipher.deciphered(one.words, row, one.nonce, secret), one.told)
        for row, one in enumerate(payload.subjects)
    ]


def draws(payload: Payload, secret: Secret) -> Draws:
    """Return what a secret brings back of the faces of a file, whatever its mode."""
    if payload.mode == KEYS:
        return turning(payload, secret)
    if payload.mode == DRAWN:
        return generating(payload, codes_of(payload, secret))
    return painting(payload, people_of(payload, secret))


def codes_of(payload: Payload, secret: Secret) -> list[Floats]:
    """Return which codes of the generator, (96,) float32, a secret makes of the subjects of a file: see
    ``people_of``."""
    own = codes.load()
    return [
        own.decode(cipher.deciphered(one.words, row, one.nonce, secret), one.told)
        for row, one in enumerate(payload.subjects)
    ]


def generating(payload: Payload, people: Sequence[Floats]) -> Draws:
    """Return what draws people by their codes, (one for each subject), in the place of those that are shown."""

    def draw(seen: Seen) -> Made:
        assert isinstance(seen.traits, Pose)
        return Made(seen, seen.traits.values, people[seen.subject], payload.subjects[seen.subject].look)

    return draw


def painting(payload: Payload, people: Sequence[Person]) -> Draws:
    """Return what draws people, (one for each subject), in the place of those that are shown."""
    own = model.load()

    def draw(seen: Seen) -> Painted:
        assert isinstance(seen.traits, Traits)
        look = payload.subjects[seen.subject].look
        return Painted(seen, seen.traits, traits.drawn(own, seen.traits, people[seen.subject], look))

    return draw


def turning(payload: Payload, secret: Secret) -> Draws:
    """Return what turns the faces that are shown back, by the key that a secret gives for each subject."""
    keys = [signs(row, one.nonce, secret) for row, one in enumerate(payload.subjects)]
    return lambda seen: Turned(seen, keys[seen.subject])


class Redrawing:
    """Draws the faces that a file carries into the frames of the published file."""

    def __init__(self, payload: Payload, draw: Draws) -> None:
        self._subjects, self._draw, self._averaged = payload.subjects, draw, payload.mode.averaged
        self._by_frame: dict[int, list[Seen]] = {}
        for face in payload.faces:
            self._by_frame.setdefault(face.frame, []).append(face)

    def __call__(self, frame: Frame) -> Frame:
        """Return a published frame with the people's faces in it."""
        return _laid(self._scene(frame))

    def film(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Yield the published frames with the people's faces, each averaged over its neighbours in time where the mode
        says so."""
        scenes = map(self._scene, frames)
        return map(_laid, calmed(scenes) if self._averaged else scenes)

    def _scene(self, frame: Frame) -> Scene:
        # Somebody may be in a photo twice.
        times = Counter[int]()
        jobs, outlines = list[compose.Job](), list[Outlined]()
        for seen in self._by_frame.get(frame.index, []):
            place, method = seen.face, self._draw(seen)
            number = seen.subject + len(self._subjects) * times[seen.subject]
            times[seen.subject] += 1
            (item,) = track.single([place], frame.index, start=number)
            jobs.append(compose.Job(item, place, method, Key(bytes(32))))
            outlines.append(Outlined(method.outline, method.dense))
        drawn, _ = compose.draw(frame, jobs, outlines, safest=Redrawn.name)
        return Scene(frame, drawn)


def _laid(scene: Scene) -> Frame:
    return compose.lay(scene.frame, scene.drawn)


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
    check_suffix(place, source.suffix)
    secret = cipher.secret_of(passphrase, payload.salt, payload.cost)
    redrawn = Redrawing(payload, draws(payload, secret))
    with pending(
        place, overwrite=overwrite, parents=True, private=True, inputs=[carried.path, carried.picture]
    ) as file:
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
