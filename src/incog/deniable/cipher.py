"""Codes enciphered: a keyed stream is added to their words. There is no authenticator: every key deciphers."""

from __future__ import annotations

import numpy as np

from incog.deniable.prior import Words
from incog.keys import Secret, Stream, derive
from incog.vault.header import Cost
from incog.vault.stream import Passphrase

PURPOSE = "deniable codes"


def secret_of(passphrase: Passphrase, salt: bytes, cost: Cost) -> Secret:
    """Return the secret of a passphrase: Argon2id. salt: 16 random bytes, new for each file."""
    return Secret.from_passphrase(
        passphrase.value, salt, time_cost=cost.passes, memory_kib=cost.memory_kib, lanes=cost.lanes
    )


def enciphered(code: Words, row: int, nonce: int, secret: Secret) -> Words:
    """Return a code (D,) uint16 with a stream of the secret added, modulo 2^16.

    row: of whom it is in the file. nonce: 32 bits that need not be secret. Each row has a stream of its own, which no
    other row, nonce, salt or passphrase has.
    """
    return (code + _stream(code.size, row, nonce, secret)).astype(np.uint16)


def deciphered(words: Words, row: int, nonce: int, secret: Secret) -> Words:
    """Return the code (D,) uint16 of words: the inverse of ``enciphered``, for any secret."""
    return (words - _stream(words.size, row, nonce, secret)).astype(np.uint16)


def _stream(count: int, row: int, nonce: int, secret: Secret) -> Words:
    drawn = Stream(derive(secret, PURPOSE), row, nonce).bytes(2 * count)
    return np.frombuffer(drawn, ">u2").astype(np.uint16)
