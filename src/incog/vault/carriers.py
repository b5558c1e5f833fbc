"""Where a published file carries its vault: inside, where its format has a place for it, else in a file beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from incog.errors import InputError, VaultError
from incog.media import decode
from incog.media.magic import HEAD, image_format
from incog.vault import tails
from incog.vault.header import HEADER_BYTES, MAGIC, Header, head_bytes
from incog.vault.pictures import PICTURES

SIDECAR: Final = "a file beside it"
BOX: Final = "a uuid box at the end of the file"
ATTACHMENT: Final = "an attachment of the Matroska file"


@dataclass(frozen=True, slots=True)
class Carried:
    """A vault as it was found.

    words: where, for people. path: the file that holds the vault. picture: the published file, the same unless the
    vault lies beside it, None when it is not there. header: parsed, not trusted. length: of the vault in bytes.
    binding: SHA-256 of the published file without the vault, None when it is not there. exact: whether the vault lies
    in the file as it was written. published, vault: what they consist of, spans of ``picture`` and ``path`` or bytes.
    """

    words: str
    path: Path
    picture: Path | None
    header: Header
    length: int
    binding: bytes | None
    exact: bool
    published: tuple[tails.Span | bytes, ...]
    vault: tuple[tails.Span | bytes, ...]

    @property
    def bound(self) -> bool:
        """Whether the file is, bit for bit, what the vault was made with."""
        return self.exact and self.binding == self.header.binding

    def blocks(self) -> Iterator[bytes]:
        """Yield the vault's bytes."""
        yield from tails.blocks_of(self.path, self.vault)


def sidecar_of(path: Path) -> Path:
    """Return ``photo.tiff.incog`` for ``photo.tiff``."""
    return path.with_name(f"{path.name}.incog")


def format_of(path: Path) -> str | None:
    """Return which place a file has for a vault: jpeg, png, webp, boxes, matroska, or None. Raises InputError."""
    # To open a pipe is to wait for whoever writes into it.
    if path.is_fifo():
        raise InputError("this is a pipe, not a file")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from error
    name = image_format(head)
    if name in PICTURES:
        return name
    if head[4:8] == b"ftyp":
        return "boxes"
    return "matroska" if tails.is_matroska(head) else None


def embed(path: Path, length: int, vault: Iterable[bytes]) -> str | None:
    """Put a vault of ``length`` bytes into a published file; return where in words, None when it has no place for one.

    Nothing is read from ``vault`` in that case. Pictures are built anew in memory, videos appended to.
    """
    kind = format_of(path)
    if kind in PICTURES:
        carrier = PICTURES[kind]
        path.write_bytes(carrier.embed(decode.read(path), b"".join(vault)))
        return carrier.words
    if kind is None:
        return None
    with path.open("r+b") as file:
        if kind == "boxes":
            tails.box_append(file, length, vault)
            return BOX
        if not tails.attachment_fits(file, length):
            return None
        tails.attachment_append(file, length, vault)
        return ATTACHMENT


def find(path: Path) -> Carried:
    """Return the vault of a published file, from inside or from the file beside it; a file beside may be named itself.

    Raises VaultError when there is none or what is there is damaged, InputError when the file cannot be read.
    """
    found = _inside(path)
    if found is not None:
        return found
    with path.open("rb") as file:
        itself = file.read(len(MAGIC)) == MAGIC
    vault = path if itself else sidecar_of(path)
    if not vault.exists():
        raise VaultError(f"there is no vault in this file, and none beside it named {vault.name}")
    published = path.with_name(path.stem) if itself and path.suffix == ".incog" else path
    there = published != vault and published.is_file()
    pieces = (_whole(published),) if there else ()
    binding = _digest(published, pieces) if there else None
    picture = published if there else None
    return _carried(SIDECAR, vault, picture, (_whole(vault),), binding, exact=True, published=pieces)


def _inside(path: Path) -> Carried | None:
    kind = format_of(path)
    if kind in PICTURES:
        return _in_picture(path, kind)
    if kind is None:
        return None
    with path.open("rb") as file:
        try:
            tail = tails.box_part(file) if kind == "boxes" else tails.attachment_part(file)
        except InputError as error:
            raise VaultError(f"no vault can be found: {error}", hint=error.hint) from error
    if tail is None:
        return None
    binding = _digest(path, tail.published)
    words = BOX if kind == "boxes" else ATTACHMENT
    return _carried(words, path, path, tail.vault, binding, exact=tail.exact, published=tail.published)


def _in_picture(path: Path, kind: str) -> Carried | None:
    carrier = PICTURES[kind]
    data = decode.read(path)
    try:
        parted = carrier.part(data)
        if parted.vault is None:
            return None
        # Whatever is not the picture, the vault or the one way to join them is no part of what was written.
        exact = carrier.embed(parted.picture, parted.vault) == data
    except InputError as error:
        raise VaultError(f"no vault can be found: {error}", hint=error.hint) from error
    binding = hashlib.sha256(parted.picture).digest()
    return _carried(
        carrier.words, path, path, (parted.vault,), binding, exact=exact, published=(parted.picture,)
    )


def _carried(
    words: str,
    path: Path,
    picture: Path | None,
    vault: tuple[tails.Span | bytes, ...],
    binding: bytes | None,
    *,
    exact: bool,
    published: tuple[tails.Span | bytes, ...],
) -> Carried:
    length = sum(len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in vault)
    head, wanted = bytearray(), HEADER_BYTES
    for block in tails.blocks_of(path, vault):
        head += block
        if len(head) >= HEADER_BYTES:
            wanted = head_bytes(bytes(head[:HEADER_BYTES]))
        if len(head) >= wanted > HEADER_BYTES:
            break
    header = Header.parse(bytes(head[:wanted]))
    if length != header.length:
        raise VaultError(f"the vault is damaged: it must be {header.length} bytes, got {length}")
    return Carried(words, path, picture, header, length, binding, exact, published, vault)


def _whole(path: Path) -> tails.Span:
    return 0, path.stat().st_size


def _digest(path: Path, pieces: Iterable[tails.Span | bytes]) -> bytes:
    digest = hashlib.sha256()
    for block in tails.blocks_of(path, pieces):
        digest.update(block)
    return digest.digest()


def binding_of(path: Path) -> bytes:
    """Return the SHA-256 of a file that carries no vault yet."""
    return _digest(path, (_whole(path),))
