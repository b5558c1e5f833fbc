"""Who can open a vault: passphrases, recipients by public key in the age v1 format, and the keys that they get."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import pyrage
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from incog.errors import InputError, UsageError, VaultError
from incog.keys import Secret, derive
from incog.types import Key
from incog.vault.header import PASSPHRASE, RECIPIENTS, TAG, Header, Lock, Part
from incog.vault.stream import Passphrase, commits

OWNER: Final = bytes(3)
"""The name of the key that gives the keys of all parts."""

_NONCE: Final = 12
_ROW: Final = len(OWNER) + 32


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who can open a vault with the identity that belongs to ``age1...``. Raises UsageError."""

    public: str

    def __post_init__(self) -> None:
        try:
            pyrage.x25519.Recipient.from_str(self.public)
        except pyrage.RecipientError:
            # What was given may be a secret key.
            raise UsageError("a recipient must be a public key of age, age1..., got something else") from None


@dataclass(frozen=True, slots=True)
class Identities:
    """The content of an age identity file: lines of AGE-SECRET-KEY-1..., empty ones and comments.

    They show themselves in no repr, log or trace. Raises InputError, which quotes nothing of the content.
    """

    lines: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, content: bytes) -> Identities:
        """Parse the file's content."""
        try:
            text = content.decode("ascii")
        except UnicodeDecodeError:
            raise InputError("the identity file must be text") from None
        lines = [line.strip() for line in text.splitlines()]
        found = cls(tuple(line for line in lines if line and not line.startswith("#")))
        try:
            found.parsed()
        except pyrage.IdentityError:
            found = cls(())
        if not found.lines:
            raise InputError(
                "the identity file must hold lines of AGE-SECRET-KEY-1...",
                hint="`age-keygen -o FILE` makes one; those under a passphrase must be decrypted first",
            )
        return found

    def parsed(self) -> list[pyrage.x25519.Identity]:
        """Return the identities for pyrage."""
        return [pyrage.x25519.Identity.from_str(line) for line in self.lines]


Opener = Passphrase | Identities


@dataclass(frozen=True, slots=True)
class Ring:
    """Keys by the names of parts; the one named ``OWNER`` gives all others."""

    keys: Mapping[bytes, Key] = field(repr=False)

    @property
    def whole(self) -> bool:
        """Whether these are the owner's keys."""
        return OWNER in self.keys

    def key(self, core: bytes, part: Part) -> Key | None:
        """Return the key of a part, None when it is not theirs to open."""
        if self.whole:
            return derive(self.keys[OWNER], "vault part", core, part.name)
        return self.keys.get(part.name)

    def only(self, core: bytes, parts: Iterable[Part]) -> Ring:
        """Return the keys of some parts alone."""
        found = {part.name: self.key(core, part) for part in parts}
        return Ring({name: key for name, key in found.items() if key is not None})

    @property
    def opens(self) -> int:
        """How many parts, 0 for all, as locks say it."""
        return 0 if self.whole else len(self.keys)

    def pack(self) -> bytes:
        """Return what a lock holds."""
        return b"".join(name + key.secret for name, key in self.keys.items())


def fresh() -> Ring:
    """Return the keys of a new vault's owner."""
    return Ring({OWNER: Key(secrets.token_bytes(32))})


def stretched(passphrase: Passphrase, header: Header) -> Secret:
    """Return what Argon2id makes of a passphrase; ``header`` says at what cost, which is within its limits."""
    cost = header.cost
    return Secret.from_passphrase(
        passphrase.value,
        header.salt,
        time_cost=cost.passes,
        memory_kib=cost.memory_kib,
        lanes=cost.lanes,
    )


def passphrase_lock(passphrase: Passphrase, header: Header, ring: Ring) -> Lock:
    """Seal keys under a passphrase. All the locks of a vault have one salt, so that a guess is at all of them."""
    cipher = _cipher(stretched(passphrase, header), header)
    nonce = secrets.token_bytes(_NONCE)
    sealed = cipher.encrypt(nonce, ring.pack(), _about(header, ring.opens))
    return Lock(PASSPHRASE, ring.opens, nonce + sealed)


def recipients_lock(recipients: Iterable[Recipient], ring: Ring) -> Lock:
    """Seal keys for recipients: an age v1 file."""
    to = [pyrage.x25519.Recipient.from_str(item.public) for item in recipients]
    return Lock(RECIPIENTS, ring.opens, pyrage.encrypt(ring.pack(), to))


def empty_lock(ring_bytes: int = _ROW) -> Lock:
    """Return a lock for one part that nothing opens and that looks like any other."""
    return Lock(PASSPHRASE, 1, secrets.token_bytes(_NONCE + ring_bytes + TAG))


def unlock(header: Header, opener: Opener) -> Ring:
    """Return the keys that a passphrase or identities give: the owner's, or those of all their grants together.

    Raises VaultError: none of the locks opens, or the keys are not those of the vault.
    """
    if isinstance(opener, Passphrase):
        packed = _by_passphrase(header, opener)
        wrong = "the passphrase is wrong (or somebody altered the vault's header)"
    else:
        packed = _by_identities(header, opener)
        wrong = "none of the identities opens it (or somebody altered the vault's header)"
    if not packed:
        raise VaultError(wrong)
    ring = Ring({name: key for content in packed for name, key in _keys(content).items()})
    for part in header.parts:
        key = ring.key(header.core, part)
        if key is not None and not commits(key, header, part):
            raise VaultError("somebody altered the vault: its keys are not those that it was made with")
    return ring


def count_of(lock: Lock) -> int:
    """Return how many passphrases or public keys open a lock."""
    if lock.kind == PASSPHRASE:
        return 1
    return lock.data.partition(b"\n--- ")[0].count(b"\n-> X25519 ")


def _by_passphrase(header: Header, passphrase: Passphrase) -> list[bytes]:
    locks = [lock for lock in header.locks if lock.kind == PASSPHRASE]
    if not locks:
        raise VaultError(
            "no passphrase opens this vault, it is sealed for recipients", hint="open it with --identity-file"
        )
    cipher = _cipher(stretched(passphrase, header), header)
    found = []
    for lock in locks:
        try:
            about = _about(header, lock.opens)
            found.append(cipher.decrypt(lock.data[:_NONCE], lock.data[_NONCE:], about))
        except (InvalidTag, ValueError):
            continue
    return found


def _by_identities(header: Header, identities: Identities) -> list[bytes]:
    locks = [lock for lock in header.locks if lock.kind == RECIPIENTS]
    if not locks:
        raise VaultError(
            "no identity opens this vault, it is sealed under a passphrase", hint="leave --identity-file out"
        )
    found = []
    for lock in locks:
        try:
            found.append(bytes(pyrage.decrypt(lock.data, identities.parsed())))
        except pyrage.DecryptError:
            continue
    return found


def _cipher(secret: Secret, header: Header) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(derive(secret, "vault lock", header.core).secret)


def _about(header: Header, opens: int) -> bytes:
    return header.core + opens.to_bytes(2, "big")


def _keys(content: bytes) -> dict[bytes, Key]:
    if not content or len(content) % _ROW:
        raise VaultError("somebody altered the vault: a lock holds something else than keys")
    rows = [content[at : at + _ROW] for at in range(0, len(content), _ROW)]
    return {row[: len(OWNER)]: Key(row[len(OWNER) :]) for row in rows}
