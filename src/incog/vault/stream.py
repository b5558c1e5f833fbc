"""Bytes into the parts of a vault and out again, chunk by chunk in constant memory (STREAM of Hoang et al. 2015)."""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from incog.errors import InputError, VaultError, must_be
from incog.keys import MAX_PASSPHRASE_BYTES, derive
from incog.types import Key
from incog.vault.header import (
    CHUNK,
    FACE,
    FILE,
    MASKS,
    PIXELS,
    SLOT,
    TAG,
    TRACK,
    TRACKS,
    TRAILER_BYTES,
    Header,
    Part,
    padded,
)

MAX_SUFFIX: Final = 16
_KINDS: Final = {SLOT: FILE} | {kind: kind for kind in (FILE, PIXELS, MASKS, FACE, TRACKS, TRACK)}
"""The kind of the payload by that of the part."""


@dataclass(frozen=True, slots=True)
class Passphrase:
    """A passphrase that shows itself in no repr, log or trace. 1 to 4096 bytes as UTF-8, else UsageError. In NFC, as
    keys are derived from it: two that give one key are equal."""

    value: str = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", unicodedata.normalize("NFC", self.value))
        length = len(self.value.encode("utf-8", "surrogatepass"))
        if not 1 <= length <= MAX_PASSPHRASE_BYTES:
            raise must_be("the passphrase's length", f"1 to {MAX_PASSPHRASE_BYTES} bytes", length)

    @classmethod
    def of_key_file(cls, content: bytes) -> Self:
        """Return the passphrase that a key file stands for: its SHA-256, in hexadecimal, behind a word of its own."""
        return cls(f"incog-key-file:{hashlib.sha256(content).hexdigest()}")


@dataclass(frozen=True, slots=True)
class _Keys:
    cipher: ChaCha20Poly1305 = field(repr=False)
    commitment: bytes = field(repr=False)

    @classmethod
    def of(cls, key: Key, core: bytes, part: Part) -> Self:
        # What is readable of the vault and the part goes into each key: one that was altered opens nothing.
        return cls(
            ChaCha20Poly1305(derive(key, "vault chunks", core, part.front).secret),
            derive(key, "vault commitment", core, part.front).secret,
        )


def _nonce(number: int, *, last: bool) -> bytes:
    # Each part has a key of its own, so the number of the chunk is enough.
    return number.to_bytes(11, "big") + (b"\1" if last else b"\0")


@dataclass(frozen=True, slots=True)
class Payload:
    """What is to be sealed. kind: of a part, but ``SLOT``. size: in bytes, of what ``blocks``
    returns, anew at each call. suffix: of a file's name, with the dot; at most 16 bytes, else left out."""

    kind: int
    size: int
    blocks: Callable[[], Iterable[bytes]] = field(repr=False)
    suffix: str = ""

    @classmethod
    def of(cls, kind: int, content: bytes) -> Payload:
        """Return the payload of something that is in memory."""
        return cls(kind, len(content), lambda: [content])

    @property
    def front(self) -> bytes:
        """The bytes before the content."""
        end = self.suffix.encode("utf-8", "surrogateescape")
        end = end if len(end) <= MAX_SUFFIX else b""
        return bytes([self.kind, len(end)]) + end + self.size.to_bytes(8, "big")

    @property
    def padded(self) -> int:
        """Length in bytes with front and padding."""
        return padded(len(self.front) + self.size)


class Sealer:
    """Seals one part. key: the part's own. core: of the vault's header. ``part`` is known before a byte is sealed."""

    def __init__(self, key: Key, core: bytes, part: Part, payload: Payload) -> None:
        self._keys = _Keys.of(key, core, part)
        self._core = core
        self._payload = payload
        self.part = replace(part, commitment=self._keys.commitment)

    def seal(self) -> Iterator[bytes]:
        """Yield the part's chunks. Raises InputError when the payload is not as long as it was said to be."""
        head = self._core + self.part.pack()
        left = self.part.payload
        for number, chunk in enumerate(regrouped(self._padded(), CHUNK)):
            left -= len(chunk)
            yield self._keys.cipher.encrypt(_nonce(number, last=left == 0), chunk, head)

    def _padded(self) -> Iterator[bytes]:
        front = self._payload.front
        yield front
        size = 0
        for block in self._payload.blocks():
            size += len(block)
            yield block
        if size != self._payload.size:
            raise InputError(
                f"the file changed while it was sealed: it had {self._payload.size} bytes, now {size}"
            )
        left = self.part.payload - len(front) - size
        while left:
            yield bytes(min(left, CHUNK))
            left -= min(left, CHUNK)


def written(header: Header, bodies: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """Yield a vault: the header, the sealed parts in the order of its table, and a digest of all that."""
    digest = hashlib.sha256()
    for block in chain([header.pack()], chain.from_iterable(bodies)):
        digest.update(block)
        yield block
    yield digest.digest()


@dataclass(frozen=True, slots=True)
class Content:
    """What comes out of a part: its kind, the suffix and size in bytes of a file, and its blocks, each authenticated
    before it comes.

    It is what was sealed only when ``opened`` ended without an error.
    """

    part: Part
    kind: int
    suffix: str
    size: int
    blocks: Iterator[bytes]


def opened(
    blocks: Iterable[bytes], header: Header, key_of: Callable[[Part], Key | None]
) -> Iterator[Content]:
    """Yield the parts of a vault that there are keys for, in their order; ``header`` is its parsed header.

    What the caller leaves of a part is read and authenticated before the next one comes. Whatever there is no key for
    must agree with the digest at the end, so that the caller has to go on to the end. Raises VaultError for damage.
    """
    reader = _Digested(blocks)
    front = header.pack()
    if reader.take(len(front)) != front:
        raise VaultError("the vault changed while it was read")
    for part in header.parts:
        key = key_of(part)
        if key is None:
            for _ in reader.pieces(part.length):
                pass
            continue
        content = _content(part, _chunks(reader, header.core, part, _Keys.of(key, header.core, part)))
        yield content
        for _ in content.blocks:
            pass
    digest = reader.digest()
    if reader.exactly(TRAILER_BYTES) != digest:
        raise VaultError("the vault is damaged: its digest is not that of its bytes")
    if reader.take(1):
        raise VaultError("the vault is damaged: it goes on behind its end")


def commits(key: Key, header: Header, part: Part) -> bool:
    """Whether the part was sealed under this key, and its row and the header are what they were then."""
    return hmac.compare_digest(_Keys.of(key, header.core, part).commitment, part.commitment)


def _chunks(reader: _Blocks, core: bytes, part: Part, keys: _Keys) -> Iterator[bytes]:
    left, number = part.payload, 0
    head = core + part.pack()
    while left:
        size = min(left, CHUNK)
        left -= size
        sealed = reader.exactly(size + TAG)
        try:
            yield keys.cipher.decrypt(_nonce(number, last=left == 0), sealed, head)
        except InvalidTag:
            raise VaultError(f"the vault is damaged: its chunk {number} is not what was sealed") from None
        number += 1


def _content(part: Part, blocks: Iterator[bytes]) -> Content:
    reader = _Blocks(blocks)
    kind, length = reader.exactly(2)
    suffix = reader.exactly(length)
    size = int.from_bytes(reader.exactly(8), "big")
    if kind != _KINDS.get(part.kind):
        raise VaultError(f"the vault holds something that this version does not know: kind {kind}")
    return Content(part, kind, suffix.decode("utf-8", "surrogateescape"), size, _inner(reader, size))


def _inner(reader: _Blocks, size: int) -> Iterator[bytes]:
    yield from reader.pieces(size)
    # To the end: what was cut off there would else go unnoticed.
    while block := reader.take(CHUNK):
        if block.strip(b"\0"):
            raise VaultError("the vault is damaged: its padding is not empty")


def regrouped(blocks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield the same bytes in blocks of ``size``, the last one shorter, none of them empty."""
    reader = _Blocks(blocks)
    while block := reader.take(size):
        yield block


class _Blocks:
    """Reads as many bytes as are asked for from blocks of any length."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._held = bytearray()

    def take(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer at the end."""
        while len(self._held) < size:
            block = next(self._blocks, None)
            if block is None:
                break
            self._held += block
        taken = bytes(self._held[:size])
        del self._held[:size]
        return taken

    def exactly(self, size: int) -> bytes:
        taken = self.take(size)
        if len(taken) < size:
            raise VaultError("the vault is damaged: it holds less than it says")
        return taken

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield ``size`` bytes in pieces."""
        while size:
            piece = self.exactly(min(size, CHUNK))
            size -= len(piece)
            yield piece


class _Digested(_Blocks):
    """Keeps a digest of what was read."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        super().__init__(blocks)
        self._digest = hashlib.sha256()

    def take(self, size: int) -> bytes:
        taken = super().take(size)
        self._digest.update(taken)
        return taken

    def digest(self) -> bytes:
        """Return the SHA-256 of what was read so far."""
        return self._digest.copy().digest()
