"""A gallery of people under pseudonyms: who was seen in earlier runs, so that they keep their new faces, sealed.

It is the one place where embeddings are stored, and only for those who ask for it: in a vault under a passphrase. It
holds the secret too that faces and names come from, so who loses the file or the passphrase loses the mapping.
"""

from __future__ import annotations

import hashlib
import io
import secrets
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from incog.errors import InputError, OutputError, VaultError
from incog.keys import SALT_BYTES, Secret
from incog.media.files import pending
from incog.perceive.attributes import LOOK
from incog.subjects import Named
from incog.types import Floats
from incog.vault.build import made
from incog.vault.header import FILE, Cost, Header, Part
from incog.vault.locks import fresh, passphrase_lock, unlock
from incog.vault.stream import Passphrase, Payload, opened, written

SUFFIX = ".gallery"

MOST = 8
"""Clear looks that are kept of a person, at most."""

_LARGEST = 1 << 30
"""Length in bytes from which on a file is no gallery."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Known:
    """Somebody who is known beforehand. Never shown in a trace.

    name: the one that was given, or a random one of a cluster (not ``given``). vectors: (V, D) float32, unit rows.
    look: (9,) float32, see ``incog.perceive.attributes.LOOK``, which stays. tries: how often the new face was drawn
    anew, None of somebody who has none yet.
    """

    name: str
    given: bool
    vectors: Floats
    look: Floats
    tries: int | None = None

    @classmethod
    def of(cls, person: Named) -> Self:
        """Return somebody enrolled by name."""
        return cls(person.name, True, person.vectors, np.asarray(person.looks.mean(0), np.float32))

    def seen(self, vectors: Floats, tries: int) -> Self:
        """Return the same with further looks, as many as are kept, and a new face."""
        return replace(self, vectors=np.concatenate([self.vectors, vectors])[:MOST], tries=tries)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Gallery:
    """secret: that all faces and names come from. people: those of earlier runs. digest: of the file that it was read
    from, empty for a new one."""

    secret: Secret = field(default_factory=Secret.fresh)
    people: tuple[Known, ...] = ()
    digest: str = ""

    def dump(self) -> bytes:
        """Return the gallery as NPZ, vectors in half precision. It is to be sealed, not written as it is."""
        size = self.people[0].vectors.shape[1] if self.people else 1
        stream = io.BytesIO()
        np.savez(
            stream,
            secret=np.frombuffer(self.secret.value, np.uint8),
            names=np.array([person.name for person in self.people], np.str_),
            given=np.array([person.given for person in self.people], np.bool_),
            tries=np.array([person.tries or 0 for person in self.people], np.int64),
            looks=np.array([person.look for person in self.people], np.float32).reshape(-1, len(LOOK)),
            counts=np.array([len(person.vectors) for person in self.people], np.int64),
            vectors=np.concatenate(
                [np.zeros((0, size), np.float16), *(item.vectors.astype(np.float16) for item in self.people)]
            ),
        )
        return stream.getvalue()

    @classmethod
    def load(cls, data: bytes) -> Self:
        """Return the gallery of an NPZ. Raises VaultError when it is none."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                secret = Secret(file["secret"].tobytes())
                rows = np.split(file["vectors"].astype(np.float32), np.cumsum(file["counts"])[:-1])
                people = tuple(
                    Known(str(name), bool(given), vectors, look, int(tries))
                    for name, given, vectors, look, tries in zip(
                        file["names"], file["given"], rows, file["looks"], file["tries"], strict=False
                    )
                )
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise VaultError(f"what is sealed here is no gallery: {type(error).__name__}") from None
        return cls(secret, people)


def read(path: Path, passphrase: Passphrase) -> Gallery:
    """Return the gallery of a file. Raises InputError when it cannot be read, VaultError for a wrong passphrase, for
    damage, and for what is no gallery."""
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError("the gallery is too large to be one")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"the gallery cannot be read: {error.strerror}") from None
    header = Header.parse(data)
    ring = unlock(header, passphrase)
    found = [
        (content.suffix, b"".join(content.blocks))
        for content in opened([data], header, lambda part: ring.key(header.core, part))
    ]
    if [suffix for suffix, _ in found] != [SUFFIX]:
        raise VaultError("what is sealed here is no gallery")
    return replace(Gallery.load(found[0][1]), digest=hashlib.sha256(data).hexdigest())


def write(path: Path, gallery: Gallery, passphrase: Passphrase, *, cost: Cost | None = None) -> None:
    """Seal a gallery into a file that its owner alone can read, in the place of the one that it was read from. Raises
    OutputError, also when another run has changed that one since, whose people would be lost."""
    header = Header(cost or Cost(), secrets.token_bytes(SALT_BYTES), bytes(32))
    ring = fresh()
    payload = replace(Payload.of(FILE, gallery.dump()), suffix=SUFFIX)
    lock = passphrase_lock(passphrase, header, ring)
    sealed = made(header, ring, [lock], [(Part(FILE, 1, payload.padded), payload)])
    with pending(path, overwrite=True, parents=True, private=True) as file:
        file.path.write_bytes(b"".join(written(sealed.header, sealed.bodies())))
        there = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
        if there != gallery.digest:
            raise OutputError(
                "the gallery was changed by another run since it was read", hint="run this one again"
            )
        file.publish()
