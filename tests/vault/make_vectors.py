"""Write vectors.json: vaults by failure class, made by a second writer that follows docs/format.md and not the package.

Run: python tests/vault/make_vectors.py
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PLACE = Path(__file__).with_name("vectors.json")
PHRASE = "crème brûlée"
CHUNK = 65536


def key(secret: bytes, name: bytes, core: bytes) -> bytes:
    info = b"s" + struct.pack(">Q", len(name)) + name + b"b" + struct.pack(">Q", len(core)) + core
    return HKDF(SHA256(), 32, salt=b"incog v1", info=info).derive(secret)


def vault(
    payload: bytes,
    *,
    phrase: str = PHRASE,
    passes: int = 1,
    memory: int = 8,
    lanes: int = 1,
    version: int = 1,
    suite: int = 1,
    chunk: int = CHUNK,
    length: int | None = None,
    last: bytes = b"\1",
    first: int = 0,
    commitment: bytes | None = None,
    data: bytes | None = None,
    magic: bytes = b"\x89iVt\r\n\x1a\n",
) -> bytes:
    """Return a vault of one chunk; each option does one thing as the page does not have it. data: associated data."""
    salt, binding = bytes(range(16)), hashlib.sha256(b"published").digest()
    said = len(payload) if length is None else length
    core = (
        magic + struct.pack(">BBHIIIQ", version, suite, lanes, passes, memory, chunk, said) + salt + binding
    )
    secret = Argon2id(salt=salt, length=32, iterations=1, lanes=1, memory_cost=8).derive(phrase.encode())
    head = core + (key(secret, b"vault commitment", core) if commitment is None else commitment)
    head += hashlib.sha256(head).digest()[:16]
    nonce = key(secret, b"vault nonces", core)[:7] + struct.pack(">I", first) + last
    cipher = ChaCha20Poly1305(key(secret, b"vault chunks", core))
    return head + cipher.encrypt(nonce, payload, head if data is None else data)


def packed(
    content: bytes, *, suffix: bytes = b".png", kind: int = 1, size: int | None = None, pad: int = 1
) -> bytes:
    said = len(content) if size is None else size
    return bytes([kind, len(suffix)]) + suffix + struct.pack(">Q", said) + content + bytes(pad)


def vectors() -> list[dict[str, Any]]:
    """Return name, what is expected (success, or words of the error), passphrase, vault and original in hexadecimal."""
    good = packed(b"hello")
    whole = vault(good)
    made = {
        "a file": ("success", whole, b"hello"),
        "an empty file": ("success", vault(packed(b"")), b""),
        "a file without a suffix": ("success", vault(packed(b"hello", suffix=b"")), b"hello"),
        "no padding": ("success", vault(packed(b"hello", pad=0)), b"hello"),
        "one byte flipped": ("chunk 0", whole[:-1] + bytes([whole[-1] ^ 1]), b""),
        "one byte missing": ("damaged|cut off", whole[:-1], b""),
        "one byte more": ("damaged", whole + b"\0", b""),
        "no chunk": ("damaged|cut off", whole[:128], b""),
        "cut in the header": ("cut off", whole[:127], b""),
        "nothing": ("cut off", b"", b""),
        "check sum": ("check sum", whole[:112] + bytes(16) + whole[128:], b""),
        "carriage returns lost": ("not a vault", whole.replace(b"\r\n", b"\n", 1) + b"\0", b""),
        "another version": ("version 1", vault(good, version=2), b""),
        "another suite": ("suite 1", vault(good, suite=2), b""),
        "another chunk length": ("no sense", vault(good, chunk=4096), b""),
        "passes beyond the limit": ("too much", vault(good, passes=65), b""),
        "memory beyond the limit": ("too much", vault(good, memory=(1 << 20) + 1), b""),
        "work beyond the limit": ("too much", vault(good, passes=64, memory=1 << 17), b""),
        "lanes beyond the limit": ("too much", vault(good, lanes=17, memory=1 << 10), b""),
        "too little memory": ("too little", vault(good, lanes=4), b""),
        "another length": ("damaged|cut off", vault(good, length=len(good) + 1), b""),
        "a length without end": ("no sense", vault(good, length=2**64 - 1), b""),
        "another passphrase": ("passphrase is wrong", vault(good, phrase="creme brulee"), b""),
        "another commitment": ("passphrase is wrong", vault(good, commitment=bytes(32)), b""),
        "not said to be the last": ("chunk 0", vault(good, last=b"\0"), b""),
        "counted from one": ("chunk 0", vault(good, first=1), b""),
        "no associated data": ("chunk 0", vault(good, data=b""), b""),
        "an unknown kind": ("kind 2", vault(packed(b"hello", kind=2)), b""),
        "a file longer than the payload": ("less than it says", vault(packed(b"hello", size=7)), b""),
        "a file longer than anything": ("less than it says", vault(packed(b"hello", size=2**64 - 1)), b""),
        "a suffix longer than the payload": ("less than it says", vault(b"\1\xff" + bytes(20)), b""),
        "padding that is not empty": ("padding", vault(packed(b"hello") + b"x"), b""),
    }
    return [
        {"name": name, "expect": words, "passphrase": PHRASE, "vault": data.hex(), "original": file.hex()}
        for name, (words, data, file) in made.items()
    ]


if __name__ == "__main__":
    PLACE.write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
