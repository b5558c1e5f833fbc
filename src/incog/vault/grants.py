"""Grants: somebody else gets the keys of single faces, and of nothing but these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from incog.errors import UsageError, VaultError, must_be
from incog.media import open_source
from incog.media.files import output_error, pending
from incog.vault.build import Made, sealer
from incog.vault.carriers import SIDECAR, Carried
from incog.vault.files import file_payload, placed
from incog.vault.header import (
    FACE,
    FILE,
    MASKS,
    MAX_LOCKS,
    PIXELS,
    TRACK,
    TRACKS,
    Header,
    Lock,
    Part,
    boxes_packed,
)
from incog.vault.locks import Opener, Recipient, Ring, passphrase_lock, recipients_lock, unlock
from incog.vault.opening import check_binding
from incog.vault.patches import Patch, cut, pack, unpack
from incog.vault.rebuild import patches_of
from incog.vault.stream import Passphrase, Payload, opened
from incog.vault.tails import blocks_of
from incog.vault.tracks import Summary, Tracks, summaries_of

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


def tracks_of(header: Header) -> dict[int, Summary]:
    """Return the faces of a video by their numbers; empty where the original is none, or nothing was hidden."""
    for part in header.parts:
        if part.kind == TRACKS:
            return dict(enumerate(summaries_of(part.public), 1))
    return {
        part.number: item
        for part in header.parts
        if part.kind == TRACK
        for item in summaries_of(part.public)[:1]
    }


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
    # What is scratch goes first: a folder that was made for the file goes with it, and only when it is empty.
    with ExitStack() as stack, ExitStack() as scratch:
        file = stack.enter_context(
            pending(target, overwrite=overwrite, parents=True, inputs=_inputs(carried))
        )
        try:
            vault = _vault(scratch, carried, ring, sorted(set(faces)), holder, target, alone=alone)
            with file.path.open("wb") as out:
                for block in blocks_of(carried.picture or carried.path, carried.published):
                    out.write(block)
            _, beside = placed(
                stack,
                file.path,
                target,
                vault,
                inputs=_inputs(carried),
                sidecar=carried.words == SIDECAR,
                overwrite=overwrite,
            )
        except OSError as error:
            raise output_error(target, error) from error
        file.publish()
    return Granted(target, beside, vault.header.length)


def _inputs(carried: Carried) -> list[Path]:
    return [carried.path, *([carried.picture] if carried.picture else [])]


def _check_faces(header: Header, faces: Sequence[int]) -> None:
    known = {**faces_of(header), **tracks_of(header)}
    if not known:
        raise VaultError("the vault has no single faces to grant: it is one of slots, or no face was hidden")
    if not faces or not set(faces) <= set(known):
        raise must_be(
            "the faces", f"numbers from 1 to {len(known)}, as `incog inspect` lists them", list(faces)
        )
    if len(header.locks) >= MAX_LOCKS:
        raise VaultError(f"the vault must have less than {MAX_LOCKS} locks to take a grant")


def _vault(
    stack: ExitStack,
    carried: Carried,
    ring: Ring,
    faces: Sequence[int],
    holder: Holder,
    scratch: Path,
    *,
    alone: bool,
) -> Made:
    """Return the vault that is to be written. scratch: beside this, files of the owner's alone lie as long as the stack
    is open."""
    header = carried.header
    contents = _contents(stack, carried, ring, faces, scratch)
    sealers = [sealer(header, ring, part, payload) for part, payload in contents]
    new = [item.part for item in sealers]
    some = ring.only(header.core, new)
    replaced = {part.name for part in new}
    spans = [] if alone else [item for item in _spans(header) if item[0].name not in replaced]
    lock = _lock(holder, header, some)
    locks: tuple[Lock, ...] = (lock,) if alone else (*header.locks, lock)
    header = replace(header, locks=locks, parts=(*(part for part, _, _ in spans), *new))

    def bodies() -> Iterable[Iterable[bytes]]:
        kept = (_between(carried.blocks(), start, stop) for _, start, stop in spans)
        return chain(kept, (item.seal() for item in sealers))

    return Made(header, some, tuple(payload for _, payload in contents), bodies)


def _contents(
    stack: ExitStack, carried: Carried, ring: Ring, faces: Sequence[int], scratch: Path
) -> list[tuple[Part, Payload]]:
    """Return what is to be sealed of the faces. The whole vault is read and authenticated."""
    header = carried.header
    patches: list[Patch] = []
    tracks: Tracks | None = None
    original = _scratch(stack, scratch)
    for content in opened(carried.blocks(), header, lambda part: ring.key(header.core, part)):
        if content.kind == FILE:
            with original.open("wb") as out:
                out.writelines(content.blocks)
        elif content.kind == PIXELS:
            patches = patches_of(b"".join(content.blocks))
        elif content.kind == MASKS:
            patches = unpack(b"".join(content.blocks))
        elif content.kind == TRACKS:
            tracks = Tracks.unpack(b"".join(content.blocks))
    if tracks is not None:
        return _cut_tracks(stack, original, tracks, faces, scratch)
    if any(not patch.png for patch in patches):
        frame = next(iter(open_source(original).frames()))
        patches = [cut(frame, patch) for patch in patches]
    found = []
    for patch in patches:
        if patch.number in faces:
            payload = Payload.of(FACE, pack([patch]))
            found.append((Part(FACE, patch.number, payload.padded, boxes_packed([patch.box])), payload))
    return found


def _cut_tracks(
    stack: ExitStack, original: Path, tracks: Tracks, faces: Sequence[int], scratch: Path
) -> list[tuple[Part, Payload]]:
    places = {number: _scratch(stack, scratch) for number in faces}
    with ExitStack() as files:
        outs = {number: files.enter_context(place.open("wb")) for number, place in places.items()}
        for frame in open_source(original).frames():
            for number, out in outs.items():
                out.write(tracks.cut(frame, number))
    summaries = tracks.summaries()
    found = []
    for number, place in places.items():
        payload = replace(file_payload(place), kind=TRACK, suffix="")
        found.append((Part(TRACK, number, payload.padded, summaries[number - 1].pack()), payload))
    return found


def _scratch(stack: ExitStack, beside: Path) -> Path:
    """Return an empty file that only its owner can read, and that goes with the stack."""
    return stack.enter_context(pending(beside, overwrite=True, private=True)).path


def _lock(holder: Holder, header: Header, ring: Ring) -> Lock:
    if isinstance(holder, Passphrase):
        return passphrase_lock(holder, header, ring)
    return recipients_lock(holder, ring)


def _spans(header: Header) -> Iterator[tuple[Part, int, int]]:
    """Yield the parts of a vault, and where each begins and ends in it."""
    at = len(header.pack())
    for part in header.parts:
        yield part, at, at + part.length
        at += part.length


def _between(blocks: Iterable[bytes], start: int, stop: int) -> Iterator[bytes]:
    """Yield the bytes from ``start`` to before ``stop``."""
    at = 0
    for block in blocks:
        piece = block[max(start - at, 0) : max(stop - at, 0)]
        at += len(block)
        if piece:
            yield piece
        if at >= stop:
            return
