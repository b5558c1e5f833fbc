"""How a vault begins, byte by byte as in docs/format.md: what is known of it without a key, and nothing is trusted."""

from __future__ import annotations

import hashlib
import secrets
import struct
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from incog.errors import UsageError, VaultError, must_be
from incog.keys import MAX_LANES, MAX_MEMORY_KIB, MAX_TIME_COST, SALT_BYTES

MAGIC: Final = b"\x89iVt\r\n\x1a\n"
"""As in PNG, its ends of lines tell of a transfer as text."""

VERSION: Final = 2
SUITE: Final = 1
"""Argon2id version 1.3, HKDF-SHA-256, ChaCha20-Poly1305 in a STREAM of chunks."""

CHUNK: Final = 65536
TAG: Final = 16
HEADER_BYTES: Final = 96
TRAILER_BYTES: Final = 32

MAX_WORK_KIB: Final = 1 << 22
"""Most passes times memory, in KiB: some seconds of a computer, whoever wrote the header."""

MAX_PAYLOAD: Final = CHUNK << 32
"""A chunk's number has 32 bits."""

MAX_TABLE: Final = 1 << 20
MAX_LOCKS: Final = 256

FILE, PIXELS, MASKS, FACE, SLOT, TRACKS, TRACK = range(1, 8)
"""Kinds of parts: a file as it was; the changed pixels of a picture and its metadata; where the faces of a photo lie;
one face; a slot, which holds a file or nothing; where the faces of a video lie; one face through a video."""

ORIGINALS: Final = frozenset({FILE, PIXELS, SLOT})

PASSPHRASE, RECIPIENTS = 1, 2
"""Kinds of locks."""

_CORE: Final = struct.Struct(">8sBBHIII16s32s")
_COUNTS: Final = struct.Struct(">HHI")
_LOCK: Final = struct.Struct(">BHI")
_PART: Final = struct.Struct(">BHQ16sI")
_BOX: Final = struct.Struct(">4I")
_COMMITMENT: Final = 32


@dataclass(frozen=True, slots=True)
class Cost:
    """What one guess at a passphrase costs: Argon2id's passes, memory in KiB and lanes, within the limits of
    ``keys`` and of passes x memory <= ``MAX_WORK_KIB``. Raises UsageError.

    The default is the second recommended option of RFC 9106.
    """

    passes: int = 3
    memory_kib: int = 65536
    lanes: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.passes <= MAX_TIME_COST:
            raise must_be("the Argon2 passes", f"a whole number from 1 to {MAX_TIME_COST}", self.passes)
        if not 1 <= self.lanes <= MAX_LANES:
            raise must_be("the Argon2 lanes", f"a whole number from 1 to {MAX_LANES}", self.lanes)
        if not 8 * self.lanes <= self.memory_kib <= MAX_MEMORY_KIB:
            raise must_be(
                "the Argon2 memory in KiB", f"from {8 * self.lanes} to {MAX_MEMORY_KIB}", self.memory_kib
            )
        if self.passes * self.memory_kib > MAX_WORK_KIB:
            work = self.passes * self.memory_kib
            raise must_be("Argon2's passes times memory in KiB", f"at most {MAX_WORK_KIB}", work)

    def __str__(self) -> str:
        return f"Argon2id, {self.passes} pass(es), {self.memory_kib / 1024:g} MiB, {self.lanes} lane(s)"


@dataclass(frozen=True, slots=True)
class Lock:
    """Keys of the vault, sealed for somebody. kind: ``PASSPHRASE`` or ``RECIPIENTS``. opens: how many parts, 0 for all.
    data: the sealed keys."""

    kind: int
    opens: int
    data: bytes

    def pack(self) -> bytes:
        """Return its row of the table."""
        return _LOCK.pack(self.kind, self.opens, len(self.data)) + self.data


@dataclass(frozen=True, slots=True)
class Part:
    """What one key opens. kind, number: together its name. payload: length of the padded plaintext in bytes. public:
    what everybody may read of it, boxes of faces. salt: 16 random bytes: a face that is sealed anew for another grant
    gets other nonces. commitment: 32 bytes that only the right key gives."""

    kind: int
    number: int
    payload: int
    public: bytes = b""
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(SALT_BYTES))
    commitment: bytes = b""

    @property
    def name(self) -> bytes:
        """Kind and number, as locks and keys name the part."""
        return struct.pack(">BH", self.kind, self.number)

    @property
    def front(self) -> bytes:
        """Its row without the commitment, which the part's keys are derived from."""
        numbers = self.kind, self.number, self.payload
        return _PART.pack(*numbers, self.salt, len(self.public)) + self.public

    def pack(self) -> bytes:
        """Return its row of the table."""
        return self.front + self.commitment

    @property
    def length(self) -> int:
        """Length of the sealed part in bytes."""
        return self.payload + TAG * -(-self.payload // CHUNK)

    @property
    def boxes(self) -> list[tuple[int, int, int, int]]:
        """Where the faces lie that the part says something of: x, y, width and height in pixels of the picture."""
        whole = len(self.public) - len(self.public) % _BOX.size
        return [(x, y, width, height) for x, y, width, height in _BOX.iter_unpack(self.public[:whole])]


def boxes_packed(boxes: list[tuple[int, int, int, int]]) -> bytes:
    """Return what ``Part.boxes`` reads."""
    return b"".join(_BOX.pack(*box) for box in boxes)


@dataclass(frozen=True, slots=True)
class Header:
    """cost: of a guess. salt: 16 random bytes, which are also the vault's name. binding: SHA-256 of the published file
    without the vault. locks, parts: the table; grants add to it, and nothing of the rest ever changes."""

    cost: Cost
    salt: bytes
    binding: bytes
    locks: tuple[Lock, ...] = ()
    parts: tuple[Part, ...] = ()

    @property
    def core(self) -> bytes:
        """The first 72 bytes, which all keys are derived from."""
        cost = self.cost
        numbers = cost.lanes, cost.passes, cost.memory_kib, CHUNK
        return _CORE.pack(MAGIC, VERSION, SUITE, *numbers, self.salt, self.binding)

    @property
    def length(self) -> int:
        """Length of the whole vault in bytes."""
        return len(self.pack()) + sum(part.length for part in self.parts) + TRAILER_BYTES

    def pack(self) -> bytes:
        """Return the header and the table. Its check sum tells damage from a wrong passphrase."""
        rows = [lock.pack() for lock in self.locks] + [part.pack() for part in self.parts]
        table = b"".join(rows)
        front = self.core + _COUNTS.pack(len(self.locks), len(self.parts), len(table))
        return front + _check(front, table) + table

    @classmethod
    def parse(cls, data: bytes) -> Header:
        """Read the header and the table at the beginning of ``data``; nothing in them is trusted.

        Raises VaultError: too short, no vault, of another version, damaged, or with figures beyond the limits.
        """
        table = data[HEADER_BYTES : head_bytes(data)]
        *_, lanes, passes, memory, chunk, salt, binding = _CORE.unpack_from(data)
        locks, parts, size = _COUNTS.unpack_from(data, _CORE.size)
        if len(table) < size:
            raise VaultError(f"the vault is cut off: its table must be {size} bytes, got {len(table)}")
        if _check(data[: HEADER_BYTES - 16], table) != data[HEADER_BYTES - 16 : HEADER_BYTES]:
            raise VaultError("the vault is damaged: the check sum of its header is wrong")
        try:
            cost = Cost(passes, memory, lanes)
        except UsageError as error:
            raise VaultError(f"the vault asks for too much or too little work: {error}") from None
        if chunk != CHUNK or locks > MAX_LOCKS:
            raise VaultError(f"the vault's numbers make no sense: chunks of {chunk}, {locks} locks")
        try:
            header = cls(cost, salt, binding, *_rows(table, locks, parts))
        except struct.error:
            raise VaultError("the vault's table makes no sense: it is shorter than it says") from None
        for part in header.parts:
            if not 10 <= part.payload <= MAX_PAYLOAD:
                raise VaultError(f"the vault's lengths make no sense: a part of {part.payload} bytes")
        names = sorted(part.name for part in header.parts)
        if not names or any(one == other for one, other in pairwise(names)) or header.pack()[-size:] != table:
            raise VaultError("the vault's table makes no sense: its parts must be there, and be different")
        return header


def head_bytes(data: bytes) -> int:
    """Return the length of header and table together, from the first ``HEADER_BYTES`` of a vault.

    Raises VaultError: too short, no vault, of another version, or a table beyond the limit.
    """
    if len(data) < HEADER_BYTES:
        raise VaultError(f"the vault is cut off: its header must be {HEADER_BYTES} bytes, got {len(data)}")
    magic, version, suite = data[:8], data[8], data[9]
    if magic != MAGIC:
        raise VaultError("this is not a vault, or its first bytes are damaged")
    if (version, suite) != (VERSION, SUITE):
        raise VaultError(
            f"the vault must be of version {VERSION}, suite {SUITE}, got version {version}, suite {suite}",
            hint="a newer incog may open it; else the file is damaged",
        )
    size: int = _COUNTS.unpack_from(data, _CORE.size)[2]
    if size > MAX_TABLE:
        raise VaultError(
            f"the vault's table makes no sense: it must be at most {MAX_TABLE} bytes, got {size}"
        )
    return HEADER_BYTES + size


def _check(front: bytes, table: bytes) -> bytes:
    return hashlib.sha256(front + table).digest()[:16]


def _rows(table: bytes, locks: int, parts: int) -> tuple[tuple[Lock, ...], tuple[Part, ...]]:
    at = 0
    found: list[Lock] = []
    for _ in range(locks):
        kind, opens, size = _LOCK.unpack_from(table, at)
        at += _LOCK.size
        found.append(Lock(kind, opens, table[at : at + size]))
        at += size
    rows: list[Part] = []
    for _ in range(parts):
        kind, number, payload, salt, size = _PART.unpack_from(table, at)
        at += _PART.size
        public, commitment = table[at : at + size], table[at + size : at + size + _COMMITMENT]
        rows.append(Part(kind, number, payload, public, salt, commitment))
        at += size + _COMMITMENT
    return tuple(found), tuple(rows)


def padded(length: int) -> int:
    """Return the length in bytes that ``length`` is padded to: Padmé (Nikitin et al. 2019, algorithm 1).

    Of a length below 2^E only the highest ceil(log2 E) bits stay free, so that at most 12 % is added and a length
    tells O(log log length) bits.
    """
    exponent = max(length, 2).bit_length() - 1
    low = exponent - exponent.bit_length()
    mask = (1 << max(low, 0)) - 1
    return (length + mask) & ~mask
