"""A vault put together from locks and parts, before a byte of it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from incog.errors import InputError
from incog.vault.header import Header, Lock, Part
from incog.vault.locks import Ring
from incog.vault.stream import Payload, Sealer, opened, regrouped

_BLOCK = 1 << 20

Bodies = Callable[[], Iterable[Iterable[bytes]]]


@dataclass(frozen=True, slots=True)
class Made:
    """A vault that is to be written. ring: the keys of those parts that hold ``payloads``, in their order. bodies:
    returns all sealed parts, in the order of the header's table."""

    header: Header
    ring: Ring = field(repr=False)
    payloads: tuple[Payload, ...]
    bodies: Bodies = field(repr=False)

    def check(self, vault: Iterable[bytes]) -> None:
        """Open what was written and compare it with what was to be sealed. Raises VaultError, InputError."""
        payloads = iter(self.payloads)
        for content in opened(vault, self.header, lambda part: self.ring.key(self.header.core, part)):
            payload = next(payloads)
            pairs = zip_longest(regrouped(content.blocks, _BLOCK), regrouped(payload.blocks(), _BLOCK))
            if content.size != payload.size or any(one != other for one, other in pairs):
                raise InputError("the file changed while it was sealed")


def made(header: Header, ring: Ring, locks: Iterable[Lock], contents: Sequence[tuple[Part, Payload]]) -> Made:
    """Return the vault with these locks and parts. ring: has the key of each part."""
    sealers = [sealer(header, ring, part, payload) for part, payload in contents]
    header = replace(header, locks=tuple(locks), parts=tuple(item.part for item in sealers))
    payloads = tuple(payload for _, payload in contents)
    return Made(header, ring, payloads, lambda: (item.seal() for item in sealers))


def sealer(header: Header, ring: Ring, part: Part, payload: Payload) -> Sealer:
    """Return what seals a part under the key that the ring has for it."""
    key = ring.key(header.core, part)
    if key is None:
        raise ValueError("the ring must have a key for each part that is sealed")
    return Sealer(key, header.core, part, payload)
