"""Grants: somebody else gets the keys of single faces, and of nothing but these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from incog.errors import UsageError, VaultError, must_be
from incog.media.files import output_error, pending
from incog.media.image import open_image
from incog.vault.build import Made, sealer
from incog.vault.carriers import SIDECAR, Carried
from incog.vault.files import placed
from incog.vault.header import FACE, FILE, MASKS, MAX_LOCKS, PIXELS, Header, Lock, Part, boxes_packed
from incog.vault.locks import Opener, Recipient, Ring, passphrase_lock, recipients_lock, unlock
from incog.vault.opening import check_binding
from incog.vault.patches import Patch, cut, pack, unpack
from incog.vault.rebuild import patches_of
from incog.vault.stream import Passphrase, Payload, opened
from incog.vault.tails import blocks_of

Holder = Passphrase | tuple[Recipient, ...]
"""To whom faces are granted."""


@dataclass(frozen=True, slots=True)
class Granted:
    """What was written: the file, the vault beside it, if that is where, and the length of the vault in bytes."""

    path: Path
    sidecar: Path | None
    length: int


def faces_of(header: Header) -> dict[int, tuple[int, int, int, int]]:
    """Return the boxes of the faces in a photo by their numbers: x, y, width and height in pixels.

    Empty where the original is no photo, or nothing was hidden.
    """
    for part in header.parts:
        if part.kind in {FILE, PIXELS}:
            return dict(enumerate(part.boxes, 1))
    return {part.number: box for part in header.parts if part.kind == FACE for box in part.boxes[:1]}


def grant(
    carried: Carried,
    owner: Opener,
    faces: Sequence[int],
    holder: Holder,
    target: Path,
    *,
    alone: bool = False,
    overwrite: bool = False,
) -> Granted:
    """Write the published file with a vault in which ``holder`` can open some faces, by their numbers.

    alone: the vault of the new file holds nothing but these faces, neither the original nor what others were granted.
    Raises VaultError: not the owner's keys, not the file that was sealed, nothing that can be granted; UsageError,
    InputError and OutputError. Then nothing is written.
    """
    check_binding(carried)
    header = carried.header
    _check_faces(header, faces)
    if owner == holder:
        raise UsageError("the passphrase of a grant must not be the owner's, got the same")
    ring = unlock(header, owner)
    if not ring.whole:
        raise VaultError("only the owner can grant faces: these are the keys of a grant")
    with ExitStack() as stack:
        file = stack.enter_context(pending(target, overwrite=overwrite, inputs=_inputs(carried)))
        try:
            vault = _vault(carried, ring, sorted(set(faces)), holder, target, alone=alone)
            with file.path.open("wb") as out:
                for block in blocks_of(carried.picture or carried.path, carried.published):
                    out.write(block)
            sidecar = carried.words == SIDECAR
            _, beside = placed(stack, file.path, target, vault, sidecar=sidecar, overwrite=overwrite)
        except OSError as error:
            raise output_error(target, error) from error
        file.publish()
        stack.pop_all()
    return Granted(target, beside, vault.header.length)


def _inputs(carried: Carried) -> list[Path]:
    return [carried.path, *([carried.picture] if carried.picture else [])]


def _check_faces(header: Header, faces: Sequence[int]) -> None:
    known = faces_of(header)
    if not known:
        raise VaultError(
            "the vault has no single faces to grant: it is that of a video, of slots, or no face was hidden"
        )
    if not faces or not set(faces) <= set(known):
        raise must_be(
            "the faces", f"numbers from 1 to {len(known)}, as `incog inspect` lists them", list(faces)
        )
    if len(header.locks) >= MAX_LOCKS:
        raise VaultError(f"the vault must have less than {MAX_LOCKS} locks to take a grant")


def _vault(
    carried: Carried, ring: Ring, faces: Sequence[int], holder: Holder, scratch: Path, *, alone: bool
) -> Made:
    header = carried.header
    data = b"".join(carried.blocks())
    patches = _patches(data, header, ring, scratch)
    sealers, payloads = [], []
    for number in faces:
        patch = patches[number]
        payload = Payload.of(FACE, pack([patch]))
        part = Part(FACE, number, payload.padded, boxes_packed([patch.box]))
        sealers.append(sealer(header, ring, part, payload))
        payloads.append(payload)
    new = [item.part for item in sealers]
    some = ring.only(header.core, new)
    lock = _lock(holder, header, some)
    replaced = {part.name for part in new}
    kept = (
        [] if alone else [(part, body) for part, body in _bodies(data, header) if part.name not in replaced]
    )
    locks: tuple[Lock, ...] = (lock,) if alone else (*header.locks, lock)
    header = replace(header, locks=locks, parts=(*(part for part, _ in kept), *new))

    def bodies() -> Iterable[Iterable[bytes]]:
        return chain(([body] for _, body in kept), (item.seal() for item in sealers))

    return Made(header, some, tuple(payloads), bodies)


def _lock(holder: Holder, header: Header, ring: Ring) -> Lock:
    if isinstance(holder, Passphrase):
        return passphrase_lock(holder, header, ring)
    return recipients_lock(holder, ring)


def _bodies(data: bytes, header: Header) -> Iterator[tuple[Part, bytes]]:
    """Yield the parts of a vault as they are sealed."""
    at = len(header.pack())
    for part in header.parts:
        yield part, data[at : at + part.length]
        at += part.length


def _patches(data: bytes, header: Header, ring: Ring, scratch: Path) -> dict[int, Patch]:
    """Return the faces of the original with their pixels. The whole vault is read and authenticated."""
    patches: list[Patch] = []
    with pending(scratch, overwrite=True, private=True) as file:
        for content in opened([data], header, lambda part: ring.key(header.core, part)):
            if content.kind == FILE:
                with file.path.open("wb") as out:
                    out.writelines(content.blocks)
            elif content.kind == PIXELS:
                patches = patches_of(b"".join(content.blocks))
            elif content.kind == MASKS:
                patches = unpack(b"".join(content.blocks))
        if any(not patch.png for patch in patches):
            frame = next(iter(open_image(file.path).frames()))
            patches = [cut(frame, patch) for patch in patches]
    return {patch.number: patch for patch in patches}
