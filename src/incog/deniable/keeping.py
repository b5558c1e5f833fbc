"""What all ways of hiding deniably keep while faces are drawn: who is where in which frame, and under which nonce."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from incog.compose import Drawn
from incog.deniable import cipher
from incog.deniable.payload import Mode, Payload, Seen, Subject
from incog.deniable.seeing import Pose
from incog.deniable.traits import Traits
from incog.keys import SALT_BYTES
from incog.methods.base import Claim, Method, Rendered
from incog.types import Crops, Floats, Frame, Key
from incog.vault.header import Cost
from incog.vault.stream import Passphrase


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where a face lies in a frame. track: of the plan."""

    track: int
    size: float
    outline: Floats


class Keeping(ABC):
    """Draws the people of a file under a passphrase, and keeps what it must carry. A method for ``incog.compose``.

    ``witness`` is to be called with each frame when its faces are drawn.
    """

    name: ClassVar[str]
    family: ClassVar[str]
    summary: ClassVar[str]
    hides_from: ClassVar[str]
    weak: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]
    granularity: ClassVar[Literal["image", "track", "set"]] = "track"
    reversible: ClassVar[bool] = True
    keyed: ClassVar[bool] = True
    mode: ClassVar[Mode]
    """How the faces come back."""
    also: ClassVar[tuple[Claim, ...]]
    """What holds besides the method's own claims."""

    def __init__(
        self,
        base: Method,
        person: Callable[[int], int],
        people: Iterable[int],
        passphrase: Passphrase,
        cost: Cost,
        salt: bytes | None,
    ) -> None:
        """base: the method that it stands for. person: of a track. people: all of them. salt: 16 bytes; random where
        None."""
        self.salt = salt or secrets.token_bytes(SALT_BYTES)
        self._base, self._person, self._people, self._cost = base, person, sorted(people), cost
        self._secret = cipher.secret_of(passphrase, self.salt, cost)
        self._subjects = [self.enciphered(row) for row in range(len(self._people))]
        self._places: dict[tuple[int, int], _Place] = {}
        self._traits: dict[tuple[int, int], tuple[Floats, Traits | Pose | None]] = {}

    @abstractmethod
    def enciphered(self, row: int) -> Subject:
        """Return the person of a row under a new nonce."""

    @abstractmethod
    def knows(self, person: int) -> bool:
        """Whether enough is known of a person to draw anybody in their place."""

    @abstractmethod
    def __call__(self, crops: Crops, keys: Sequence[Key]) -> Rendered:
        """Return new pixels for the crops, as ``Method`` says, and keep what each was drawn with in ``_traits``."""

    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        """What holds when the faces were drawn in ``frames`` frames of one track."""
        return (*self._base.claims(frames=frames), *self.also)

    def redrawn(self, tracks: Iterable[int]) -> set[int]:
        """Give the people of tracks other shown faces, and return the tracks of those who can have one."""
        taken = {number for number in tracks if self.knows(self._person(number))}
        for person in {self._person(number) for number in taken}:
            row = self._people.index(person)
            self._subjects[row] = self.enciphered(row)
        return taken

    def witness(self, before: Frame, after: Frame, drawn: Sequence[Drawn]) -> None:
        """Take note of where the faces of a frame lie: see ``incog.writing``."""
        for item in drawn:
            place = _Place(item.job.track.id, item.job.face.size, item.seen.outline)
            self._places[self._person(item.job.track.id), before.index] = place

    def payload(self, frames: int, filled: Callable[[int, int], bool]) -> Payload:
        """Return what the file must carry. frames: of the file. filled: whether a track is filled in a frame; whoever
        is throughout has random bits for a code."""
        faces = []
        for (person, frame), (here, own_traits) in sorted(
            self._traits.items(), key=lambda item: item[0][::-1]
        ):
            place = self._places[person, frame]
            if not filled(place.track, frame):
                row = self._people.index(person)
                faces.append(Seen(frame, row, place.size, here, place.outline, own_traits))
        used = {face.subject for face in faces}
        subjects = [
            one if row in used else Subject.blank(self.mode) for row, one in enumerate(self._subjects)
        ]
        return Payload(self._cost, self.salt, frames, subjects, faces, self.mode)
