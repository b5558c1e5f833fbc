"""Sealing an original into its published file, and the version of such a file that is to be published."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from incog.errors import InputError, OutputError, UsageError, VaultError
from incog.keys import SALT_BYTES
from incog.media.files import PendingFile, output_error, pending
from incog.report import ClaimReport, VaultReport
from incog.vault import rebuild
from incog.vault.build import Made, made
from incog.vault.carriers import SIDECAR, binding_of, embed, find, sidecar_of
from incog.vault.header import FILE, MASKS, PIXELS, TRACKS, Cost, Header, Lock, Part, boxes_packed
from incog.vault.locks import Recipient, fresh, passphrase_lock, recipients_lock
from incog.vault.patches import Changes, pack
from incog.vault.slots import Slots, filled, told
from incog.vault.stream import Passphrase, Payload, written
from incog.vault.tails import blocks_of
from incog.vault.tracks import Tracks

STATUS: Final = "pseudonymised, not anonymous"
"""What a published file is as long as a vault of it exists."""

_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Sealing:
    """How to seal originals. passphrase, recipients: who opens the vault; at least one of them, else UsageError. cost:
    of one guess at the passphrase. sidecar: beside the file although it could be in it. whole_file: the file itself,
    although the changed pixels would be smaller. slots: several payloads of one size, each under its own passphrase.
    """

    passphrase: Passphrase | None = None
    cost: Cost = field(default_factory=Cost)
    sidecar: bool = False
    recipients: tuple[Recipient, ...] = ()
    whole_file: bool = False
    slots: Slots | None = None

    def __post_init__(self) -> None:
        if self.passphrase is None and not self.recipients:
            raise UsageError("a vault must have a passphrase or a recipient")
        if self.slots is not None and (self.passphrase is None or self.recipients):
            raise UsageError("slots must be opened by passphrases alone, got recipients")


@dataclass(frozen=True, slots=True)
class Sealed:
    """What was sealed. words: where the vault lies. sidecar: the file beside, if that is where. length: of the vault in
    bytes. cost: of one guess, None without a passphrase. holds: what, in words. share: of the vault's length in the
    source's, None for slots, where it would tell which holds the source."""

    words: str
    sidecar: Path | None
    length: int
    cost: Cost | None
    holds: str
    share: float | None

    def told(self) -> tuple[VaultReport, ClaimReport]:
        """Return what a report says of it, and the warning that every claim of a method stands under."""
        claim = ClaimReport(
            statement="Whoever has the passphrase or the identity, or guesses it, has the original.",
            holds=False,
            scope="the output with its vault",
            conditions=["other claims hold for those who do not have it and cannot guess it"],
        )
        report = VaultReport(
            place=self.words,
            bytes=self.length,
            share=self.share,
            holds=self.holds,
            guess="none: sealed for recipients" if self.cost is None else str(self.cost),
        )
        return report, claim


@contextmanager
def sealed(
    published: Path,
    target: Path,
    original: Path,
    sealing: Sealing,
    *,
    changes: Changes | Tracks | None = None,
    overwrite: bool = False,
) -> Iterator[Sealed]:
    """Seal ``original`` into the file ``published``, which will be named ``target``, and open it again to be sure.

    changes: where it was changed, so that faces can be granted one by one. Of a photo only the changed pixels are
    sealed where they bring back the picture and are smaller. A file beside takes its name when the context is entered
    and loses it again when the body fails.

    Raises InputError, OutputError and VaultError; ``published`` is then not to be published.
    """
    with ExitStack() as stack:
        try:
            size, room = original.stat().st_size, published.stat().st_size
            header = Header(sealing.cost, secrets.token_bytes(SALT_BYTES), binding_of(published))
            # What is in a slot must not tell an original from a decoy, which is a file.
            whole = sealing.whole_file or sealing.slots is not None
            payload = _payload(original, published, changes, whole=whole)
            if sealing.slots is None:
                vault = _whole(header, payload, changes, sealing)
            else:
                assert sealing.passphrase is not None
                contents = [(sealing.passphrase, payload)]
                contents += [(item.passphrase, file_payload(item.path)) for item in sealing.slots.decoys]
                vault = filled(header, contents, sealing.slots.count, room)
            decoys = () if sealing.slots is None else sealing.slots.decoys
            words, place = placed(
                stack,
                published,
                target,
                vault,
                inputs=[original, *(item.path for item in decoys)],
                sidecar=sealing.sidecar,
                overwrite=overwrite,
            )
        except OSError as error:
            raise output_error(target, error) from error
        length = vault.header.length
        cost = None if sealing.passphrase is None else sealing.cost
        if sealing.slots is None:
            done = Sealed(words, place, length, cost, HOLDS[payload.kind], round(length / max(size, 1), 3))
        else:
            done = Sealed(words, place, length, cost, told(vault.header, room), None)
        yield done


HOLDS: Final = {
    FILE: "the original file, bit for bit",
    PIXELS: "the original's pixels and metadata, not its coding",
}
"""What a vault brings back, by the kind of its payload."""


def placed(
    stack: ExitStack,
    published: Path,
    target: Path,
    vault: Made,
    *,
    inputs: Iterable[Path],
    sidecar: bool,
    overwrite: bool,
) -> tuple[str, Path | None]:
    """Write a vault into ``published`` or beside ``target``, and open it again to be sure.

    inputs: files that the one beside must not replace. Returns where it is: in words, and the file beside, which is
    removed again, and what lay there is put back, when the stack unwinds by an exception.
    """
    length = vault.header.length
    blocks = written(vault.header, vault.bodies())
    words = None if sidecar else embed(published, length, blocks)
    if words is not None:
        carried = find(published)
        if not carried.bound or carried.header != vault.header:
            raise VaultError("the vault that was written is not bound to its file")
        vault.check(carried.blocks())
        return words, None
    file = stack.enter_context(beside(target, inputs=[published, *inputs], overwrite=overwrite))
    with file.path.open("wb") as out:
        for block in blocks:
            out.write(block)
    vault.check(blocks_of(file.path, ((0, file.path.stat().st_size),)))
    file.publish()
    return SIDECAR, file.target


@contextmanager
def beside(target: Path, *, inputs: Iterable[Path], overwrite: bool) -> Iterator[PendingFile]:
    """Return the file that is written beside ``target`` and that the body publishes; when the body fails, even after
    that, the place is as it was.

    inputs: files that must not be replaced, not even through a link. Raises OutputError, before anything is moved.
    """
    refuse_sidecar(target, overwrite=overwrite)
    path = sidecar_of(target)
    old = path.with_name(f".incog-{secrets.token_hex(8)}-{path.name}")
    with pending(path, overwrite=overwrite, inputs=inputs) as file:
        there = os.path.lexists(path)
        if there:
            path.rename(old)
        try:
            yield file
        except BaseException:
            path.unlink(missing_ok=True)
            if there:
                old.rename(path)
            raise
        old.unlink(missing_ok=True)


def file_payload(path: Path) -> Payload:
    """Return a file as it is, to be sealed."""

    def blocks() -> Iterator[bytes]:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block

    return Payload(FILE, path.stat().st_size, blocks, path.suffix)


def refuse_sidecar(target: Path, *, overwrite: bool) -> None:
    """Raise OutputError when a file lies where the vault of ``target`` may have to, or would be taken for it."""
    path = sidecar_of(target)
    if os.path.lexists(path) and not overwrite:
        raise OutputError(f"the vault {path.name} exists already", hint="use --overwrite to replace it")


def strip(path: Path, target: Path, *, overwrite: bool = False) -> None:
    """Write the published file without its vault.

    Raises VaultError when there is none inside, InputError and OutputError.
    """
    carried = find(path)
    if carried.words == SIDECAR:
        raise VaultError(
            "the vault is a file of its own: the picture holds nothing of it",
            hint=f"publish the picture, and not {carried.path.name}",
        )
    with pending(target, overwrite=overwrite, parents=True, inputs=[path]) as file:
        try:
            with file.path.open("wb") as out:
                for block in blocks_of(path, carried.published):
                    out.write(block)
        except OSError as error:
            raise output_error(target, error) from error
        if binding_of(file.path) != carried.binding:
            raise InputError("the file changed while it was read")
        file.publish()


def _payload(original: Path, published: Path, changes: Changes | Tracks | None, *, whole: bool) -> Payload:
    """Return the smaller of the original file and of the changed pixels, where these bring back the picture."""
    file = file_payload(original)
    if whole or not isinstance(changes, Changes) or not changes.patches:
        return file
    content = rebuild.packed(original, published, changes)
    if content is None or len(content) >= file.size:
        return file
    return replace(Payload.of(PIXELS, content), suffix=original.suffix)


def _whole(header: Header, payload: Payload, changes: Changes | Tracks | None, sealing: Sealing) -> Made:
    ring = fresh()
    faces = changes.patches if isinstance(changes, Changes) else ()
    boxes = boxes_packed([face.box for face in faces])
    contents = [(Part(payload.kind, 1, payload.padded, boxes), payload)]
    if faces and payload.kind == FILE:
        masks = Payload.of(MASKS, pack(faces))
        contents.append((Part(MASKS, 1, masks.padded), masks))
    if isinstance(changes, Tracks) and len(changes.rows):
        table = Payload.of(TRACKS, changes.pack())
        public = b"".join(summary.pack() for summary in changes.summaries())
        contents.append((Part(TRACKS, 1, table.padded, public), table))
    locks: list[Lock] = []
    if sealing.passphrase is not None:
        locks.append(passphrase_lock(sealing.passphrase, header, ring))
    if sealing.recipients:
        locks.append(recipients_lock(sealing.recipients, ring))
    return made(header, ring, locks, contents)
