"""From a secret to the randomness of one face.

All randomness of a result comes from keys: ``key = HKDF(secret, purpose, scope)`` with every field
length-prefixed, so that no two scopes can collide, and ``Stream(key, ...)`` turns a key into numbers. So a
result does not depend on batch size, order or the number of workers.
"""

from __future__ import annotations

import os
import secrets
import unicodedata
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from scipy import special

from incog.errors import InputError, OutputError, must_be
from incog.private import read_private
from incog.types import Key

SECRET_BYTES = 32
FILE_ID_BYTES = 16
SALT_BYTES = 16

Shape = int | tuple[int, ...]
Doubles = npt.NDArray[np.float64]

# What Argon2id may cost at most, checked before memory is taken: the numbers can come from a file that others
# wrote.
MAX_TIME_COST = 64
MAX_MEMORY_KIB = 1 << 20
MAX_LANES = 16
MAX_PASSPHRASE_BYTES = 4096

_DOMAIN = b"incog v1"


@dataclass(frozen=True, slots=True)
class Secret:
    """32 bytes from which every key of a run is derived. They never appear in a repr or an error."""

    value: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.value, bytes) or len(self.value) != SECRET_BYTES:
            raise ValueError(f"a secret must be {SECRET_BYTES} bytes")

    @classmethod
    def fresh(cls) -> Self:
        """Return a new secret from the operating system's generator."""
        return cls(secrets.token_bytes(SECRET_BYTES))

    @classmethod
    def from_seed(cls, seed: int) -> Self:
        """Return the secret of a seed, for tests: whoever knows or guesses the number knows every key.

        The seed may be any integer. No seed gives a secret that a passphrase or a file could give.
        """
        return cls(_hkdf(b"a seed is not private", encode("seed", seed)))

    @classmethod
    def from_passphrase(
        cls, passphrase: str, salt: bytes, *, time_cost: int = 3, memory_kib: int = 65536, lanes: int = 4
    ) -> Self:
        """Return the secret of a passphrase: Argon2id (RFC 9106), by default its second recommended option.

        passphrase: 1 .. 4096 bytes as UTF-8; Unicode NFC is applied first, so that one keyboard's accents
        equal another's. salt: 16 .. 64 random bytes, stored beside what is protected. time_cost: passes, 1 ..
        64. memory_kib: memory in KiB, from 8 per lane to 1 GiB. lanes: 1 .. 16. Raises UsageError; the
        message never holds the passphrase.
        """
        _within("the Argon2 time cost", time_cost, 1, MAX_TIME_COST)
        _within("the number of Argon2 lanes", lanes, 1, MAX_LANES)
        _within("the Argon2 memory in KiB", memory_kib, 8 * lanes, MAX_MEMORY_KIB)
        if not isinstance(salt, bytes) or not SALT_BYTES <= len(salt) <= 64:
            raise must_be("the salt's length", f"{SALT_BYTES} to 64 bytes", len(salt))
        # Lone surrogates are non-UTF-8 bytes of a command line; a strict encoder's error would quote them.
        phrase = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogatepass")
        if not 1 <= len(phrase) <= MAX_PASSPHRASE_BYTES:
            raise must_be("the passphrase's length", f"1 to {MAX_PASSPHRASE_BYTES} bytes", len(phrase))
        kdf = Argon2id(
            salt=salt, length=SECRET_BYTES, iterations=time_cost, lanes=lanes, memory_cost=memory_kib
        )
        return cls(kdf.derive(phrase))

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read a secret file: a regular file of exactly 32 bytes that only its owner can read (POSIX).

        Raises InputError when it is missing, unreadable, readable by others or of another size.
        """
        value, size = read_private(path, "the secret file", SECRET_BYTES + 1)
        if len(value) != SECRET_BYTES:
            raise InputError(f"the secret file must be {SECRET_BYTES} bytes, got {size}")
        return cls(value)

    def to_file(self, path: Path) -> None:
        """Write the secret to a new file of mode 0600. Raises OutputError, also when the file exists."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            raise OutputError(f"the secret file cannot be made: {error.strerror}") from None
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(self.value)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            Path(path).unlink(missing_ok=True)
            raise OutputError(f"the secret file cannot be written: {error.strerror}") from None


def derive(secret: Secret | Key, purpose: str, *scope: bytes | str | int) -> Key:
    """Return the key of a purpose and scope: HKDF-SHA256 (RFC 5869) over all fields, encoded injectively.

    A key may stand in for the secret, to derive further keys from it. The scope's types count: 1, "1" and
    b"1" give different keys. Strings count by their code points; nothing is normalised.
    """
    return Key(_hkdf(secret.value if isinstance(secret, Secret) else secret.secret, encode(purpose, *scope)))


def track_key(secret: Secret, file_id: bytes, track: int) -> Key:
    """Return the key of one track in one file. file_id: the 16 random bytes that its plan holds."""
    if len(file_id) != FILE_ID_BYTES:
        raise ValueError(f"a file id must be {FILE_ID_BYTES} bytes, got {len(file_id)}")
    return derive(secret, "track", file_id, track)


def person_key(secret: Secret, person_id: str) -> Key:
    """Return the key of a person, the same in every file. Ids are equal when their code points are."""
    return derive(secret, "person", person_id)


def encode(*fields: bytes | str | int) -> bytes:
    """Return the fields as bytes, injectively: each as type tag, length (8 bytes, big-endian) and content.

    Integers are minimal two's complement, big-endian; strings UTF-8, lone surrogates included. Raises
    TypeError for other types, bool among them, since True equals 1.
    """
    parts: list[bytes] = []
    for value in fields:
        # type() rather than isinstance: a subclass (bool, an enum, numpy's str) must not pass as its base.
        if type(value) is bytes:
            tag, content = b"b", value
        elif type(value) is str:
            tag, content = b"s", value.encode("utf-8", "surrogatepass")
        elif type(value) is int:
            # (bits of |v| or of |v + 1|) + sign: what two's complement needs at least.
            bits = (value if value >= 0 else ~value).bit_length() + 1
            tag, content = b"i", value.to_bytes((bits + 7) // 8, "big", signed=True)
        else:
            raise TypeError(f"a scope's field must be bytes, str or int, got {type(value).__name__}")
        parts += (tag, len(content).to_bytes(8, "big"), content)
    return b"".join(parts)


class Stream:
    """Numbers from a key: the AES-256-CTR keystream of ``derive(key, "stream", *scope)``, from its start.

    The same key and scope give the same numbers on every machine and with every version of this package;
    other scopes give independent ones. Each call reads on. How often one asks does not matter: two calls for
    m and n values of one kind give what one call for m + n gives. Values fill arrays in C order. Integers,
    signs, bytes and uniform values are exact everywhere; normal and Laplace values may differ in the last
    bits between mathematics libraries.
    """

    __slots__ = ("_keystream",)

    def __init__(self, key: Key, *scope: bytes | str | int) -> None:
        # Each stream has a key of its own, so the counter may start at zero.
        cipher = Cipher(algorithms.AES(derive(key, "stream", *scope).secret), modes.CTR(bytes(16)))
        self._keystream = cipher.encryptor()

    def bytes(self, count: int) -> bytes:
        """Return the next ``count`` bytes."""
        return self._keystream.update(b"\0" * count)

    def uniform(self, shape: Shape) -> Doubles:
        """Return float64 uniform on [0, 1), multiples of 2**-53. Each takes 8 bytes."""
        return (self._words(shape) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def normal(self, shape: Shape) -> Doubles:
        """Return float64 from the standard normal distribution, by the inverse of its distribution function.

        Each takes 8 bytes; magnitudes end at 8.2, where the 52 bits of the probability end.
        """
        values: Doubles = special.ndtri(_inner(self._words(shape)))
        return values

    def laplace(self, shape: Shape) -> Doubles:
        """Return float64 from the Laplace distribution, density exp(-|x|) / 2. Each takes 8 bytes.

        Floating-point values leak through their last bits when they are added to a secret one (Mironov 2012):
        for differential privacy take ``discrete_laplace``.
        """
        words = self._words(shape)
        # The lowest bit is the sign, the highest 52 the magnitude.
        return np.where(words & np.uint64(1), 1.0, -1.0) * -np.log(_inner(words))

    def discrete_laplace(self, scale: float, shape: Shape) -> npt.NDArray[np.int64]:
        """Return int64 from the discrete Laplace distribution, P(k) proportional to exp(-|k| / scale).

        The difference of two geometric variables (Ghosh, Roughgarden and Sundararajan 2009). Adding it to an
        integer of sensitivity d is (d / scale)-differentially private, up to the 2**-52 resolution of the
        probabilities. scale: 0 < scale <= 2**40. Each value takes 16 bytes.
        """
        if not 0 < scale <= 2.0**40:
            raise ValueError(f"the scale must be above 0 and at most 2**40, got {scale}")
        size = (shape,) if isinstance(shape, int) else shape
        pairs = -np.log(_inner(self._words((*size, 2))))
        # floor(scale * Exp(1)) is geometric: P(>= k) = exp(-k / scale).
        geometric = np.floor(pairs * scale).astype(np.int64)
        difference: npt.NDArray[np.int64] = geometric[..., 0] - geometric[..., 1]
        return difference

    def integers(self, low: int, high: int, shape: Shape) -> npt.NDArray[np.int64]:
        """Return int64 uniform on low .. high - 1, exactly: words that would favour some values are skipped.

        Both bounds lie in -2**63 .. 2**63 - 1 and low < high; otherwise ValueError.
        """
        if not -(2**63) <= low < high <= 2**63 - 1:
            raise ValueError(f"the bounds must be 64-bit with low < high, got {low} and {high}")
        span = high - low
        last = 2**64 - 2**64 % span - 1
        found = np.empty(_count(shape), np.uint64)
        filled = 0
        while filled < len(found):
            # Only as many words as are still missing: so the stream's place does not depend on how calls are
            # split.
            words = self._words(len(found) - filled)
            words = words[words <= np.uint64(last)]
            found[filled : filled + len(words)] = words
            filled += len(words)
        # Wraps modulo 2**64, which is two's complement addition.
        offset = np.uint64(low % 2**64)
        return (found % np.uint64(span) + offset).view(np.int64).reshape(shape)

    def signs(self, shape: Shape) -> npt.NDArray[np.int8]:
        """Return int8, -1 or 1 with equal probability. Each takes 1 byte."""
        bits = np.frombuffer(self.bytes(_count(shape)), np.uint8) & np.uint8(1)
        return (bits.astype(np.int8) * np.int8(2) - np.int8(1)).reshape(shape)

    def _words(self, shape: Shape) -> npt.NDArray[np.uint64]:
        """Return 64-bit words, little-endian in the stream."""
        words = np.frombuffer(self.bytes(8 * _count(shape)), np.dtype("<u8"))
        return words.astype(np.uint64, copy=False).reshape(shape)


def _inner(words: npt.NDArray[np.uint64]) -> Doubles:
    """Return the highest 52 bits as float64 in the open interval (0, 1), symmetric about 1/2."""
    return ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def _count(shape: Shape) -> int:
    return shape if isinstance(shape, int) else prod(shape)


def _hkdf(material: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=SECRET_BYTES, salt=_DOMAIN, info=info).derive(material)


def _within(what: str, value: int, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise must_be(what, f"a whole number from {low} to {high}", value)
