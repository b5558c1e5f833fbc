"""Write vectors.json: vaults by failure class, made by a second writer that follows docs/format.md and not the package.

Run: python tests/vault/make_vectors.py
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import struct
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PLACE = Path(__file__).with_name("vectors.json")
PHRASE = "crème brûlée"
IDENTITY = "AGE-SECRET-KEY-1XMWWC06LY3EE5RYTXM9MFLAZ2U56JJJ36S0MYPDRWSVLUL66MV4QX3S7F6"
"""Of the test vectors that age publishes."""

CHUNK = 65536
SALT, OWNER = bytes(range(16)), bytes(range(32, 64))
MAGIC = b"\x89iVt\r\n\x1a\n"


def hkdf(material: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=salt, info=info).derive(material)


def key(secret: bytes, name: bytes, *scope: bytes) -> bytes:
    fields = [(b"s", name), *((b"b", field) for field in scope)]
    info = b"".join(kind + struct.pack(">Q", len(field)) + field for kind, field in fields)
    return hkdf(secret, b"incog v1", info)


def core(**other: Any) -> bytes:
    """Return the first 72 bytes; each option is one field as the page does not have it."""
    numbers = {"version": 2, "suite": 1, "lanes": 1, "passes": 1, "memory": 8, "chunk": CHUNK} | other
    magic = numbers.pop("magic", MAGIC)
    return magic + struct.pack(">BBHIII", *numbers.values()) + SALT + hashlib.sha256(b"published").digest()


def name_of(kind: int, number: int) -> bytes:
    return struct.pack(">BH", kind, number)


def part_key(kind: int, number: int, head: bytes) -> bytes:
    return key(OWNER, b"vault part", head, name_of(kind, number))


def part(
    payload: bytes,
    head: bytes,
    *,
    kind: int = 1,
    number: int = 1,
    secret: bytes | None = None,
    length: int | None = None,
    first: int = 0,
    last: bytes = b"\1",
    commitment: bytes | None = None,
    data: bytes | None = None,
) -> tuple[bytes, bytes]:
    """Return the row and the one chunk of a part; data: associated data."""
    secret = part_key(kind, number, head) if secret is None else secret
    said = len(payload) if length is None else length
    row = name_of(kind, number) + struct.pack(">Q", said) + bytes(range(16, 32)) + bytes(4)
    full = row + (key(secret, b"vault commitment", head, row) if commitment is None else commitment)
    cipher = ChaCha20Poly1305(key(secret, b"vault chunks", head, row))
    nonce = first.to_bytes(11, "big") + last
    return full, cipher.encrypt(nonce, payload, head + full if data is None else data)


def lock(content: bytes, head: bytes, *, opens: int = 0, phrase: str = PHRASE) -> bytes:
    """Return the row of a lock under a passphrase."""
    secret = Argon2id(salt=SALT, length=32, iterations=1, lanes=1, memory_cost=8).derive(phrase.encode())
    nonce = bytes(range(64, 76))
    sealed = nonce + ChaCha20Poly1305(key(secret, b"vault lock", head)).encrypt(
        nonce, content, head + struct.pack(">H", opens)
    )
    return struct.pack(">BHI", 1, opens, len(sealed)) + sealed


def age_lock(content: bytes, *, identity: str = IDENTITY, opens: int = 0) -> bytes:
    """Return the row of a lock for a recipient: an age v1 file, written by hand from its specification."""
    ephemeral, file_key, nonce = (
        X25519PrivateKey.from_private_bytes(bytes(range(1, 33))),
        bytes(16),
        bytes(16),
    )
    letters = ["qpzry9x8gf2tvdw0s3jn54khce6mua7l".index(letter) for letter in identity.lower()[16:-6]]
    bits = "".join(f"{letter:05b}" for letter in letters)[:256]
    recipient = X25519PrivateKey.from_private_bytes(int(bits, 2).to_bytes(32, "big")).public_key()
    share = ephemeral.public_key().public_bytes_raw()
    salt = share + recipient.public_bytes_raw()
    wrap = hkdf(ephemeral.exchange(recipient), salt, b"age-encryption.org/v1/X25519")
    body = ChaCha20Poly1305(wrap).encrypt(bytes(12), file_key, None)
    head = b"age-encryption.org/v1\n-> X25519 " + plain64(share) + b"\n" + plain64(body) + b"\n---"
    mac = hmac.digest(hkdf(file_key, b"", b"header"), head, "sha256")
    cipher = ChaCha20Poly1305(hkdf(file_key, nonce, b"payload"))
    sealed = head + b" " + plain64(mac) + b"\n" + nonce + cipher.encrypt(bytes(11) + b"\1", content, None)
    return struct.pack(">BHI", 2, opens, len(sealed)) + sealed


def plain64(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def vault(head: bytes, locks: list[bytes], parts: list[tuple[bytes, bytes]], **said: int) -> bytes:
    """Return the whole. said: the numbers of locks and parts and the table's size, as the page does not have them."""
    table = b"".join(locks) + b"".join(row for row, _ in parts)
    counts = {"lock_count": len(locks), "part_count": len(parts), "size": len(table)} | said
    front = head + struct.pack(">HHI", *counts.values())
    check = hashlib.sha256(front + table).digest()[:16]
    whole = front + check + table + b"".join(body for _, body in parts)
    return whole + hashlib.sha256(whole).digest()


def packed(
    content: bytes, *, suffix: bytes = b".png", kind: int = 1, size: int | None = None, pad: int = 1
) -> bytes:
    said = len(content) if size is None else size
    return bytes([kind, len(suffix)]) + suffix + struct.pack(">Q", said) + content + bytes(pad)


def vectors() -> list[dict[str, Any]]:
    """Return name, what is expected (success, or words of the error), passphrase or identity, vault and original."""
    head, good = core(), packed(b"hello")
    owner = bytes(3) + OWNER
    ours = lock(owner, head)
    one = part(good, head)

    def simple(payload: bytes = good, **options: Any) -> bytes:
        return vault(head, [ours], [part(payload, head, **options)])

    def asking(**options: Any) -> bytes:
        other = core(**options)
        return vault(other, [lock(owner, other)], [part(good, other)])

    whole = simple()
    slots = [bytes([number]) * 32 for number in (1, 2)]
    rooms = [part(good, head, kind=5, number=n + 1, secret=secret) for n, secret in enumerate(slots)]
    keys = [name_of(5, n + 1) + secret for n, secret in enumerate(slots)]
    slot_locks = [lock(bytes(35), head, opens=1, phrase="nobody's"), lock(keys[1], head, opens=1)]
    face = part(packed(b"", suffix=b"", kind=4), head, kind=4, number=7)
    friend = lock(name_of(4, 7) + part_key(4, 7, head), head, opens=1, phrase="a friend's")
    made = {
        "a file": ("success", whole, b"hello"),
        "an empty file": ("success", simple(packed(b"")), b""),
        "a file without a suffix": ("success", simple(packed(b"hello", suffix=b"")), b"hello"),
        "no padding": ("success", simple(packed(b"hello", pad=0)), b"hello"),
        "a grant to somebody else": ("success", vault(head, [ours, friend], [one, face]), b"hello"),
        "a recipient too": ("success", vault(head, [age_lock(owner), ours], [one]), b"hello"),
        "the second of two slots": ("success", vault(head, slot_locks, rooms), b"hello"),
        "one byte flipped": ("chunk 0", whole[:-33] + bytes([whole[-33] ^ 1]) + whole[-32:], b""),
        "one byte of the digest flipped": ("digest", whole[:-1] + bytes([whole[-1] ^ 1]), b""),
        "one byte missing": ("less than it says", whole[:-1], b""),
        "one byte more": ("behind its end", whole + b"\0", b""),
        "no chunk": ("less than it says", whole[: -32 - len(good) - 16], b""),
        "cut in the table": ("cut off", whole[:100], b""),
        "cut in the header": ("cut off", whole[:95], b""),
        "nothing": ("cut off", b"", b""),
        "check sum": ("check sum", whole[:80] + bytes(16) + whole[96:], b""),
        "carriage returns lost": ("not a vault", whole.replace(b"\r\n", b"\n", 1) + b"\0", b""),
        "another version": ("version 2", asking(version=1), b""),
        "another suite": ("suite 1", asking(suite=2), b""),
        "another chunk length": ("no sense", asking(chunk=4096), b""),
        "passes beyond the limit": ("too much", asking(passes=65), b""),
        "memory beyond the limit": ("too much", asking(memory=(1 << 20) + 1), b""),
        "work beyond the limit": ("too much", asking(passes=64, memory=1 << 17), b""),
        "lanes beyond the limit": ("too much", asking(lanes=17, memory=1 << 10), b""),
        "too little memory": ("too little", asking(lanes=4), b""),
        "a table beyond the limit": ("no sense", vault(head, [ours], [one], size=(1 << 20) + 1), b""),
        "more locks than there are": ("no sense", vault(head, [ours], [one], lock_count=3), b""),
        "more parts than there are": ("no sense", vault(head, [ours], [one], part_count=2), b""),
        "no part": ("no sense", vault(head, [ours], []), b""),
        "a part twice": ("no sense", vault(head, [ours], [one, one]), b""),
        "a part of another length": ("chunk 0", simple(length=len(good) + 1), b""),
        "a part without end": ("no sense", simple(length=2**64 - 1), b""),
        "another passphrase": (
            "passphrase is wrong",
            vault(head, [lock(owner, head, phrase="creme brulee")], [one]),
            b"",
        ),
        "a lock that is said to open less": (
            "passphrase is wrong",
            vault(head, [ours[:2] + b"\1" + ours[3:]], [one]),
            b"",
        ),
        "no lock for passphrases": ("recipients", vault(head, [age_lock(owner)], [one]), b""),
        "a lock that holds nothing": ("something else", vault(head, [lock(b"", head)], [one]), b""),
        "a lock that holds half a key": ("something else", vault(head, [lock(owner[:20], head)], [one]), b""),
        "another key": ("altered", vault(head, [lock(bytes(35), head)], [one]), b""),
        "another commitment": ("altered", simple(commitment=bytes(32)), b""),
        "not said to be the last": ("chunk 0", simple(last=b"\0"), b""),
        "counted from one": ("chunk 0", simple(first=1), b""),
        "no associated data": ("chunk 0", simple(data=b""), b""),
        "another kind inside": ("kind 2", simple(packed(b"hello", kind=2)), b""),
        "an unknown kind": ("kind 9", simple(packed(b"hello", kind=9), kind=9), b""),
        "a face where a slot may hold none": (
            "kind 4",
            vault(
                head,
                [lock(keys[0], head, opens=1)],
                [part(packed(b"", kind=4), head, kind=5, secret=slots[0])],
            ),
            b"",
        ),
        "a file longer than the payload": ("less than it says", simple(packed(b"hello", size=7)), b""),
        "a file longer than anything": ("less than it says", simple(packed(b"hello", size=2**64 - 1)), b""),
        "a suffix longer than the payload": ("less than it says", simple(b"\1\xff" + bytes(20)), b""),
        "padding that is not empty": ("padding", simple(packed(b"hello") + b"x"), b""),
    }
    by_identity = {
        "for a recipient": ("success", vault(head, [age_lock(owner)], [one]), b"hello"),
        "no lock for recipients": ("sealed under a passphrase", whole, b""),
        "for another recipient": (
            "none of the identities",
            vault(head, [_flipped(age_lock(owner))], [one]),
            b"",
        ),
    }
    rows = [(name, {"passphrase": PHRASE}, *row) for name, row in made.items()]
    rows += [(name, {"identity": IDENTITY}, *row) for name, row in by_identity.items()]
    return [
        {"name": name, "expect": words, **opener, "vault": data.hex(), "original": file.hex()}
        for name, opener, words, data, file in rows
    ]


def _flipped(row: bytes) -> bytes:
    place = row.index(b"X25519 ") + 7
    return row[:place] + bytes([row[place] ^ 1]) + row[place + 1 :]


if __name__ == "__main__":
    PLACE.write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
