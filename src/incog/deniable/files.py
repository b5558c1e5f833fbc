"""Where a published file carries deniable faces: in the same places as a vault, so that no file can have both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from incog.deniable.payload import MAGIC, Payload, parse
from incog.errors import InputError, VaultError
from incog.media import decode
from incog.media.files import output_error, pending
from incog.report import VaultReport
from incog.vault import carriers, tails
from incog.vault.carriers import SIDECAR, sidecar_of
from incog.vault.files import beside
from incog.vault.pictures import PICTURES

STATUS: Final = "pseudonymised, not anonymous"
"""What a published file is as long as it carries the enciphered codes of its faces."""


@dataclass(frozen=True, slots=True)
class Carried:
    """Deniable faces as they were found. words: where, for people. path: the file that holds them. picture: the
    published file, the same unless they lie beside it, None when it is not there. published: what that consists of
    without them, spans of it or bytes. data: what was found, and payload: as read."""

    words: str
    path: Path
    picture: Path | None
    published: tuple[tails.Span | bytes, ...]
    data: bytes
    payload: Payload


def find(path: Path) -> Carried | None:
    """Return the deniable faces of a published file, from inside or from the file beside it, which may be named itself;
    None when it has none.

    Raises VaultError when they are damaged, InputError when the file cannot be read.
    """
    kind = carriers.format_of(path)
    try:
        found = _in_picture(path, kind) if kind in PICTURES else _in_video(path, kind) if kind else None
    except InputError:
        # What is no whole file of its format is told by those who look for vaults.
        return None
    if found is not None:
        return found
    place = path if _begins(path) else sidecar_of(path)
    if not _begins(place):
        return None
    published = path if path != place else path.with_name(path.stem) if path.suffix == ".incog" else None
    there = published if published is not None and published.is_file() else None
    data = decode.read(place)
    return Carried(SIDECAR, place, there, (), data, parse(data))


def _in_picture(path: Path, kind: str) -> Carried | None:
    carrier = PICTURES[kind]
    parted = carrier.part(decode.read(path))
    if parted.vault is None or not parted.vault.startswith(MAGIC):
        return None
    return Carried(carrier.words, path, path, (parted.picture,), parted.vault, parse(parted.vault))


def _in_video(path: Path, kind: str) -> Carried | None:
    with path.open("rb") as file:
        tail = tails.box_part(file) if kind == "boxes" else tails.attachment_part(file)
    if tail is None:
        return None
    blocks = tails.blocks_of(path, tail.vault)
    # A vault may be as long as the video: it is not read.
    first = b""
    while len(first) < len(MAGIC) and (block := next(blocks, b"")):
        first += block
    if not first.startswith(MAGIC):
        return None
    data = first + b"".join(blocks)
    words = carriers.BOX if kind == "boxes" else carriers.ATTACHMENT
    return Carried(words, path, path, tail.published, data, parse(data))


def _begins(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except FileNotFoundError:
        return False
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class Placed:
    """Where deniable faces were put, for people, and how many bytes they are."""

    words: str
    length: int

    def told(self, payload: Payload) -> VaultReport:
        """Return what a report says of it."""
        return VaultReport(
            mode="deniable",
            place=self.words,
            bytes=self.length,
            holds="what every passphrase brings some faces back from",
            guess=str(payload.cost),
        )


@contextmanager
def embedded(
    published: Path, target: Path, original: Path, payload: Payload, *, sidecar: bool, overwrite: bool
) -> Iterator[Placed]:
    """Put the payload into the file ``published``, which will be named ``target``, or beside it.

    A file beside it takes its name when the context is entered and loses it again when the body fails. Raises
    OutputError and VaultError; ``published`` is then not to be published.
    """
    data = b"".join(payload.blocks())
    try:
        words = None if sidecar else carriers.embed(published, len(data), [data])
        if words is not None:
            found = find(published)
            if found is None or found.data != data:
                raise VaultError("what was put into the file does not come out again")
            yield Placed(words, len(data))
            return
        with beside(target, inputs=[original], overwrite=overwrite) as file:
            file.path.write_bytes(data)
            file.publish()
            yield Placed(SIDECAR, len(data))
    except OSError as error:
        raise output_error(target, error) from error


def strip(carried: Carried, target: Path, *, overwrite: bool = False) -> None:
    """Write the published file without the faces. Raises VaultError when they lie beside it, and OutputError."""
    if carried.words == SIDECAR:
        raise VaultError(
            "the faces are in a file of their own: the picture holds nothing of them",
            hint=f"publish the picture, and not {carried.path.name}",
        )
    with pending(target, overwrite=overwrite, parents=True, inputs=[carried.path]) as file:
        try:
            with file.path.open("wb") as out:
                for block in tails.blocks_of(carried.path, carried.published):
                    out.write(block)
        except OSError as error:
            raise output_error(target, error) from error
        file.publish()
