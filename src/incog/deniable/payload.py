"""What a file with deniable faces carries, byte by byte as in docs/format.md: all of it is there to be read, and
nothing in it tells a right passphrase from a wrong one."""

from __future__ import annotations

import hashlib
import secrets
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np

from incog import models, shape
from incog.appearance.model import NAME as APPEARANCE
from incog.deniable import codes, prior, traits
from incog.deniable.prior import Words
from incog.deniable.seeing import Pose
from incog.deniable.traits import Traits
from incog.errors import UsageError, VaultError
from incog.methods import generated
from incog.methods.transformer import NETWORK as TRANSFORMER
from incog.perceive.attributes import LOOK
from incog.types import Face, Floats
from incog.vault.header import Cost

MAGIC: Final = b"\x89iDn\r\n\x1a\n"
VERSION: Final = 1
SUITE: Final = 1
"""Argon2id version 1.3, HKDF-SHA-256, AES-256-CTR, added modulo 2^16."""

HEAD: Final = struct.Struct(">8sBBHIIIIIHHHH16s16s")
CHECK: Final = 16
HEAD_BYTES: Final = HEAD.size + CHECK
_FACE: Final = struct.Struct(">IHBB3f4f")
_STEPS: Final = 8192
"""Of an outline, in the size of the face."""

MOST_CORNERS: Final = 255
_MOST_SIZE: Final = 1e5
_MOST: Final = 1e3
"""Largest number of traits that makes sense: what is damaged draws a face all the same."""


@dataclass(frozen=True, slots=True)
class Mode:
    """How the faces of a file come back. number: in the head. networks: names of the models that draw them. averaged:
    whether those of neighbouring frames are averaged, there and back."""

    number: int
    networks: tuple[str, ...]
    averaged: bool

    @property
    def mark(self) -> bytes:
        """Return the mark of the models, 16 bytes."""
        sums = "".join(models.RECORDS[name].sha256 for name in self.networks)
        return hashlib.sha256(sums.encode()).digest()[:16]

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Return how many numbers there are of a code, of what is told and of a look, and of a face's traits."""
        if self == KEYS:
            return 0, 0, 0, 0
        if self == DRAWN:
            return (
                codes.load().size,
                len(codes.load().mean),
                len(LOOK),
                generated.shipped().pose.reads.shape[1],
            )
        return prior.load().size, len(prior.load().mean), len(LOOK), traits.count()

    def traits_of(self, numbers: Floats, zoom: int) -> Traits | Pose | None:
        """Return the traits of a face that ``numbers`` are."""
        if self == KEYS:
            return None
        return Pose(numbers) if self == DRAWN else Traits.of(numbers, zoom)


CODES: Final = Mode(0, (APPEARANCE, shape.NAME, prior.NAME), averaged=True)
"""A face is drawn by the appearance model from a code that the passphrase deciphers."""

KEYS: Final = Mode(1, (TRANSFORMER,), averaged=False)
"""The face in the picture is turned by a key that the passphrase gives: an average over time could not be turned."""

DRAWN: Final = Mode(2, (generated.NETWORK, generated.CODES, generated.SHAPE, codes.NAME), averaged=True)
"""A face is drawn by the generator from a code that the passphrase deciphers."""

_MODES: Final = {mode.number: mode for mode in (CODES, KEYS, DRAWN)}


def _none() -> Floats:
    return np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """Somebody of a file. nonce: of the stream of the code or key, 32 bits. words: (D,) uint16, the enciphered code.
    told: (F,) float32, what it was told with, and look: (9,), both as they come out of half precision. All three are
    empty where a key turns faces."""

    nonce: int
    words: Words = field(default_factory=lambda: np.zeros(0, np.uint16))
    told: Floats = field(default_factory=_none)
    look: Floats = field(default_factory=_none)

    @classmethod
    def blank(cls, mode: Mode) -> Self:
        """Return somebody whose face does not come back: random bits."""
        size, told, look, _ = mode.sizes
        words = np.frombuffer(secrets.token_bytes(2 * size), np.uint16)
        return cls(secrets.randbits(32), words, np.zeros(told, np.float32), np.zeros(look, np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A face in a frame. subject: the row of whom it shows. size: longer side of the face's box, px. placing: (4,)
    float32, a, b, x, y of frame -> half sides, or the picture of a network, (a -b x; b a y). outline: (K, 2) float32
    px, what the mask covers wholly. traits: pose and, by the appearance model, expression and light, as they come
    out of half precision; None where a key turns faces."""

    frame: int
    subject: int
    size: float
    placing: Floats
    outline: Floats
    traits: Traits | Pose | None

    @property
    def matrix(self) -> Floats:
        """Return frame -> half sides, or picture, (2, 3) float32."""
        a, b, x, y = self.placing
        return np.array([[a, -b, x], [b, a, y]], np.float32)

    @property
    def face(self) -> Face:
        """Return a face of its size at its place."""
        x, y = (float(value) for value in (self.outline.min(0) + self.outline.max(0)) / 2)
        half = self.size / 2
        return Face((x - half, y - half, x + half, y + half))


@dataclass(frozen=True, slots=True, eq=False)
class Payload:
    """cost: of a guess. salt: 16 random bytes. frames: of the published file."""

    cost: Cost
    salt: bytes
    frames: int
    subjects: Sequence[Subject]
    faces: Sequence[Seen]
    mode: Mode = CODES

    @property
    def core(self) -> bytes:
        """The head, which keys are derived from."""
        work = self.cost.lanes, self.cost.passes, self.cost.memory_kib
        counts = self.frames, len(self.subjects), len(self.faces)
        size, told, _, count = self.mode.sizes
        numbers = size, told, count, self.mode.number
        return HEAD.pack(MAGIC, VERSION, SUITE, *work, *counts, *numbers, self.salt, self.mode.mark)

    def blocks(self) -> Iterator[bytes]:
        """Yield the payload's bytes."""
        yield self.core + hashlib.sha256(self.core).digest()[:CHECK]
        for subject in self.subjects:
            words = subject.words.astype(">u2").tobytes()
            yield (subject.nonce.to_bytes(4, "big") + words + _halves(subject.told) + _halves(subject.look))
        for face in self.faces:
            yield _packed(face)


def parse(data: bytes) -> Payload:
    """Return the payload of its bytes. Raises VaultError when they are none, of another version or model, or damaged in
    what says how long it is. What is damaged elsewhere draws another face, or the same one elsewhere."""
    if len(data) < HEAD_BYTES or not data.startswith(MAGIC):
        raise VaultError("this holds no deniable faces, or its first bytes are damaged")
    head, check = data[: HEAD.size], data[HEAD.size : HEAD_BYTES]
    _, version, suite, lanes, passes, memory, *rest = HEAD.unpack(head)
    frames, subjects, faces, size, told, count, number, salt, mark = rest
    if hashlib.sha256(head).digest()[:CHECK] != check:
        raise VaultError("what the file carries is damaged: the check sum of its head is wrong")
    if (version, suite) != (VERSION, SUITE):
        raise VaultError(
            f"deniable faces must be of version {VERSION}, suite {SUITE}, got version {version}, suite {suite}",
            hint="a newer incog may open it",
        )
    mode = _MODES.get(number)
    if mode is None:
        raise VaultError(
            f"the way back of deniable faces must be one of {', '.join(map(str, _MODES))}, got {number}",
            hint="a newer incog may know it",
        )
    if mark != mode.mark or (size, told, mode.sizes[2], count) != mode.sizes:
        raise VaultError(
            "the faces of this file were drawn with other models than this version's",
            hint="the version of incog that made the file brings them back",
        )
    try:
        cost = Cost(passes, memory, lanes)
    except UsageError as error:
        raise VaultError(f"the file asks for too much or too little work: {error}") from None
    reader = _Reader(data, HEAD_BYTES)
    people = [
        Subject(
            int.from_bytes(reader.take(4), "big"),
            np.frombuffer(reader.take(2 * size), ">u2").astype(np.uint16),
            _floats(reader.take(2 * told)),
            _floats(reader.take(2 * mode.sizes[2])),
        )
        for _ in range(subjects)
    ]
    seen = [_seen(reader, subjects, mode) for _ in range(faces)]
    if reader.left:
        raise VaultError("what the file carries is damaged: it goes on behind its end")
    return Payload(cost, salt, frames, people, seen, mode)


class _Reader:
    """Reads bytes in turn. Raises VaultError at their end."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise VaultError("what the file carries is damaged: it holds less than it says")
        self._at += count
        return bytes(self._data[self._at - count : self._at])


def _packed(face: Seen) -> bytes:
    middle = face.outline.mean(0)
    zoom, numbers = (1, _none()) if face.traits is None else (face.traits.zoom, face.traits.numbers())
    head = _FACE.pack(face.frame, face.subject, zoom, len(face.outline), face.size, *middle, *face.placing)
    apart = (face.outline - middle.astype(np.float32)) * (_STEPS / face.size)
    corners = np.clip(np.rint(apart), -(2**15), 2**15 - 1).astype(">i2")
    return bytes(head + _halves(numbers) + corners.tobytes())


def _seen(reader: _Reader, subjects: int, mode: Mode) -> Seen:
    frame, subject, zoom, corners, size, *rest = _FACE.unpack(reader.take(_FACE.size))
    numbers = _floats(reader.take(2 * mode.sizes[3]))
    steps = np.frombuffer(reader.take(4 * corners), ">i2").reshape(-1, 2).astype(np.float32)
    places = np.nan_to_num(np.array(rest, np.float32), nan=0.0, posinf=_MOST_SIZE, neginf=-_MOST_SIZE)
    size = float(np.clip(np.nan_to_num(size), 1, _MOST_SIZE))
    if subject >= subjects or corners < 3 or zoom not in (1, 2, 4):
        raise VaultError("what the file carries is damaged: a face makes no sense")
    outline = places[:2] + steps * np.float32(size / _STEPS)
    return Seen(frame, subject, size, places[2:], outline, mode.traits_of(numbers, zoom))


def halves(values: Floats) -> Floats:
    """Return values as they come out of half precision, float32."""
    return _floats(_halves(values))


def _halves(values: Floats) -> bytes:
    return bytes(np.clip(values, -_MOST, _MOST).astype(">f2").tobytes())


def _floats(data: bytes) -> Floats:
    values = np.frombuffer(data, ">f2").astype(np.float32)
    return np.clip(np.nan_to_num(values, nan=0.0), -_MOST, _MOST)
