"""The first 128 bytes of a vault, byte by byte as in docs/format.md: what is known without the passphrase."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Final

from incog.errors import UsageError, VaultError, must_be
from incog.keys import MAX_LANES, MAX_MEMORY_KIB, MAX_TIME_COST

MAGIC: Final = b"\x89iVt\r\n\x1a\n"
"""As in PNG, its ends of lines tell of a transfer as text."""

VERSION: Final = 1
SUITE: Final = 1
"""Argon2id version 1.3, HKDF-SHA-256, ChaCha20-Poly1305 in a STREAM of chunks."""

CHUNK: Final = 65536
TAG: Final = 16
HEADER_BYTES: Final = 128

MAX_WORK_KIB: Final = 1 << 22
"""Most passes times memory, in KiB: some seconds of a computer, whoever wrote the header."""

MAX_PAYLOAD: Final = CHUNK << 32
"""A chunk's number has 32 bits."""

_FORM: Final = struct.Struct(">8sBBHIIIQ16s32s32s")
_CHECK_BYTES: Final = HEADER_BYTES - _FORM.size


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
class Header:
    """cost: of a guess. payload: length of the padded plaintext in bytes. salt: 16 random bytes. binding: SHA-256 of
    the published file without the vault. commitment: 32 bytes that only the right key gives, empty until known."""

    cost: Cost
    payload: int
    salt: bytes
    binding: bytes
    commitment: bytes = b""

    @property
    def core(self) -> bytes:
        """The 80 bytes before the commitment, which all keys are derived from."""
        return self._packed()[:80]

    @property
    def length(self) -> int:
        """Length of the whole vault in bytes."""
        return vault_bytes(self.payload)

    def pack(self) -> bytes:
        """Return the 128 bytes. The last 16 are a check sum: damage is then not taken for a wrong passphrase."""
        body = self._packed()
        return body + hashlib.sha256(body).digest()[:_CHECK_BYTES]

    def _packed(self) -> bytes:
        cost = self.cost
        numbers = cost.lanes, cost.passes, cost.memory_kib, CHUNK, self.payload
        return _FORM.pack(MAGIC, VERSION, SUITE, *numbers, self.salt, self.binding, self.commitment)

    @classmethod
    def parse(cls, data: bytes) -> Header:
        """Read the header at the beginning of ``data``; nothing in it is trusted.

        Raises VaultError: too short, no vault, of another version, damaged, or with figures beyond the limits.
        """
        if len(data) < HEADER_BYTES:
            raise VaultError(
                f"the vault is cut off: its header must be {HEADER_BYTES} bytes, got {len(data)}"
            )
        body, check = data[: _FORM.size], data[_FORM.size : HEADER_BYTES]
        magic, version, suite, lanes, passes, memory, chunk, payload, salt, binding, commitment = (
            _FORM.unpack(body)
        )
        if magic != MAGIC:
            raise VaultError("this is not a vault, or its first bytes are damaged")
        if (version, suite) != (VERSION, SUITE):
            raise VaultError(
                f"the vault must be of version {VERSION}, suite {SUITE}, got version {version}, suite {suite}",
                hint="a newer incog may open it; else the file is damaged",
            )
        if hashlib.sha256(body).digest()[:_CHECK_BYTES] != check:
            raise VaultError("the vault is damaged: the check sum of its header is wrong")
        try:
            cost = Cost(passes, memory, lanes)
        except UsageError as error:
            raise VaultError(f"the vault asks for too much or too little work: {error}") from None
        if chunk != CHUNK or not 10 <= payload <= MAX_PAYLOAD:
            raise VaultError(f"the vault's lengths make no sense: chunks of {chunk}, {payload} in all")
        return cls(cost, payload, salt, binding, commitment)


def vault_bytes(payload: int) -> int:
    """Return the length of a vault with a padded payload of so many bytes."""
    return HEADER_BYTES + payload + TAG * -(-payload // CHUNK)


def padded(length: int) -> int:
    """Return the length in bytes that ``length`` is padded to: Padmé (Nikitin et al. 2019, algorithm 1).

    Of a length below 2^E only the highest ceil(log2 E) bits stay free, so that at most 12 % is added and a length
    tells O(log log length) bits.
    """
    exponent = max(length, 2).bit_length() - 1
    low = exponent - exponent.bit_length()
    mask = (1 << max(low, 0)) - 1
    return (length + mask) & ~mask
