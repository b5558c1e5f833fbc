"""Payloads of one size, each under a passphrase of its own, among others that are random bytes and cannot be told."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from incog.errors import UsageError, must_be
from incog.types import Key
from incog.vault.build import Made, sealer
from incog.vault.header import SLOT, Header, Part, padded
from incog.vault.locks import Ring, empty_lock, passphrase_lock
from incog.vault.stream import Passphrase, Payload

LEAST, MOST, USUAL = 2, 8, 3
"""How many slots a vault may have, and how many it has when nobody says."""

_ROOM: Final = 5, 4
"""The size of a slot in that of the published file, which tells nothing of what is in it."""


@dataclass(frozen=True, slots=True)
class Decoy:
    """Another file, to be had with another passphrase."""

    path: Path
    passphrase: Passphrase


@dataclass(frozen=True, slots=True)
class Slots:
    """count: how many, 2 to 8. decoys: fewer than that, under passphrases that differ. Raises UsageError."""

    count: int = USUAL
    decoys: tuple[Decoy, ...] = ()

    def __post_init__(self) -> None:
        if not LEAST <= self.count <= MOST:
            raise must_be("the number of slots", f"from {LEAST} to {MOST}", self.count)
        if len(self.decoys) >= self.count:
            raise must_be("the number of decoys", f"less than that of slots, {self.count}", len(self.decoys))


def filled(
    header: Header, contents: Sequence[tuple[Passphrase, Payload]], count: int, published: int
) -> Made:
    """Return a vault of ``count`` slots, some of which hold something. published: bytes of the published file.

    Which slots these are is drawn by lot, and all slots and their locks look alike. Raises UsageError when a passphrase
    comes twice.
    """
    if len({phrase.value for phrase, _ in contents}) < len(contents):
        raise UsageError("the passphrases of slots must differ, got the same for two of them")
    size = max(_room(published), *(item.padded for _, item in contents))
    places = secrets.SystemRandom().sample(range(1, count + 1), len(contents))
    by_place = dict(sorted(zip(places, contents, strict=True)))
    ring = Ring({Part(SLOT, place, size).name: Key(secrets.token_bytes(32)) for place in by_place})
    parts, locks = [], []
    sealers = {}
    for place in range(1, count + 1):
        part = Part(SLOT, place, size)
        if place in by_place:
            passphrase, payload = by_place[place]
            sealers[place] = sealer(header, ring, part, payload)
            parts.append(sealers[place].part)
            locks.append(passphrase_lock(passphrase, header, ring.only(header.core, [part])))
        else:
            parts.append(replace(part, commitment=secrets.token_bytes(32)))
            locks.append(empty_lock())
    header = replace(header, locks=tuple(locks), parts=tuple(parts))

    def bodies() -> Iterator[Iterable[bytes]]:
        for place, part in enumerate(parts, 1):
            yield sealers[place].seal() if place in sealers else _noise(part.length)

    return Made(header, ring, tuple(payload for _, payload in by_place.values()), bodies)


def told(header: Header, published: int) -> str:
    """Return what everybody can see of the slots, in words. published: bytes of the published file."""
    size = header.parts[0].payload
    words = f"{len(header.parts)} slots of {size} bytes, of which some may hold nothing"
    if size > _room(published):
        words += (
            "; they are larger than the published file alone would make them, so one holds about that much"
        )
    return words


def _room(published: int) -> int:
    return padded(published * _ROOM[0] // _ROOM[1])


def _noise(size: int) -> Iterator[bytes]:
    while size:
        block = secrets.token_bytes(min(size, 1 << 20))
        size -= len(block)
        yield block
