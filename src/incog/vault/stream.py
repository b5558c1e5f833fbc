"""Bytes into a vault and out of it again, chunk by chunk in constant memory (STREAM of Hoang et al. 2015)."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from incog.errors import InputError, VaultError, must_be
from incog.keys import MAX_PASSPHRASE_BYTES, SALT_BYTES, Secret, derive
from incog.vault.header import CHUNK, HEADER_BYTES, TAG, Cost, Header, padded

FILE: Final = 1
"""The kind of payload: a file as it was."""

MAX_SUFFIX: Final = 16
_PREFIX_BYTES: Final = 7


@dataclass(frozen=True, slots=True)
class Passphrase:
    """A passphrase that shows itself in no repr, log or trace. 1 to 4096 bytes as UTF-8, else UsageError."""

    value: str = field(repr=False)

    def __post_init__(self) -> None:
        length = len(self.value.encode("utf-8", "surrogatepass"))
        if not 1 <= length <= MAX_PASSPHRASE_BYTES:
            raise must_be("the passphrase's length", f"1 to {MAX_PASSPHRASE_BYTES} bytes", length)


@dataclass(frozen=True, slots=True)
class _Keys:
    cipher: ChaCha20Poly1305 = field(repr=False)
    prefix: bytes = field(repr=False)
    commitment: bytes = field(repr=False)

    @classmethod
    def of(cls, passphrase: Passphrase, header: Header) -> Self:
        cost = header.cost
        secret = Secret.from_passphrase(
            passphrase.value,
            header.salt,
            time_cost=cost.passes,
            memory_kib=cost.memory_kib,
            lanes=cost.lanes,
        )
        # The whole head goes into each key: one that was altered opens nothing.
        core = header.core
        return cls(
            ChaCha20Poly1305(derive(secret, "vault chunks", core).secret),
            derive(secret, "vault nonces", core).secret[:_PREFIX_BYTES],
            derive(secret, "vault commitment", core).secret,
        )

    def nonce(self, number: int, *, last: bool) -> bytes:
        return self.prefix + number.to_bytes(4, "big") + (b"\1" if last else b"\0")


class Sealer:
    """Seals one file. ``length`` of the vault is known before a byte of it is made.

    size: of the original in bytes. suffix: the original's, with the dot; at most 16 bytes, else left out. binding:
    SHA-256 of the published file without the vault. salt: for test vectors; random by default.
    """

    def __init__(
        self,
        passphrase: Passphrase,
        *,
        size: int,
        suffix: str,
        binding: bytes,
        cost: Cost,
        salt: bytes | None = None,
    ) -> None:
        end = suffix.encode("utf-8", "surrogateescape")
        end = end if len(end) <= MAX_SUFFIX else b""
        self._size = size
        self._front = bytes([FILE, len(end)]) + end + size.to_bytes(8, "big")
        payload = padded(len(self._front) + size)
        header = Header(cost, payload, salt or secrets.token_bytes(SALT_BYTES), binding)
        self._keys = _Keys.of(passphrase, header)
        self.header = replace(header, commitment=self._keys.commitment)

    def seal(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the vault of an original that comes in blocks of any length.

        Raises InputError when the blocks are not ``size`` bytes in all.
        """
        head = self.header.pack()
        yield head
        left = self.header.payload
        for number, chunk in enumerate(regrouped(self._padded(blocks), CHUNK)):
            left -= len(chunk)
            yield self._keys.cipher.encrypt(self._keys.nonce(number, last=left == 0), chunk, head)

    def open(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield what this sealer's own vault holds, to check it without deriving the keys again."""
        reader = _Blocks(blocks)
        head = reader.take(HEADER_BYTES)
        if head != self.header.pack():
            raise VaultError("the vault that was written is not the one that was made")
        yield from _content(_opened(reader, self.header, head, self._keys)).blocks

    def _padded(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        yield self._front
        size = 0
        for block in blocks:
            size += len(block)
            yield block
        if size != self._size:
            raise InputError(f"the file changed while it was sealed: it had {self._size} bytes, now {size}")
        left = self.header.payload - len(self._front) - size
        while left:
            yield bytes(min(left, CHUNK))
            left -= min(left, CHUNK)


@dataclass(frozen=True, slots=True)
class Content:
    """What comes out: the original's suffix, its size in bytes, and its blocks, each authenticated before it comes.

    The file is the original only when ``blocks`` ended without an error.
    """

    suffix: str
    size: int
    blocks: Iterator[bytes]


def open_vault(blocks: Iterable[bytes], header: Header, passphrase: Passphrase) -> Content:
    """Open a vault that comes in blocks of any length; ``header`` is its parsed header.

    Raises VaultError for a wrong passphrase, here, and for damage, here or from the blocks.
    """
    reader = _Blocks(blocks)
    head = reader.take(HEADER_BYTES)
    if head != header.pack():
        raise VaultError("the vault changed while it was read")
    keys = _Keys.of(passphrase, header)
    if not hmac.compare_digest(keys.commitment, header.commitment):
        raise VaultError("the passphrase is wrong (or somebody altered the vault's header)")
    return _content(_opened(reader, header, head, keys))


def _opened(reader: _Blocks, header: Header, head: bytes, keys: _Keys) -> Iterator[bytes]:
    left, number = header.payload, 0
    while left:
        size = min(left, CHUNK)
        left -= size
        sealed = reader.exactly(size + TAG)
        try:
            yield keys.cipher.decrypt(keys.nonce(number, last=left == 0), sealed, head)
        except InvalidTag:
            raise VaultError(f"the vault is damaged: its chunk {number} is not what was sealed") from None
        number += 1
    if reader.take(1):
        raise VaultError("the vault is damaged: it goes on behind its end")


def _content(blocks: Iterator[bytes]) -> Content:
    reader = _Blocks(blocks)
    kind, length = reader.exactly(2)
    suffix = reader.exactly(length)
    size = int.from_bytes(reader.exactly(8), "big")
    if kind != FILE:
        raise VaultError(f"the vault holds something that this version does not know: kind {kind}")
    return Content(suffix.decode("utf-8", "surrogateescape"), size, _original(reader, size))


def _original(reader: _Blocks, size: int) -> Iterator[bytes]:
    while size:
        block = reader.exactly(min(size, CHUNK))
        size -= len(block)
        yield block
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
