"""Open a vault with the standard library and `cryptography` alone, as docs/format.md describes it.

Run: python examples/open_vault.py PUBLISHED_FILE_OR_VAULT OUTPUT   (asks for the passphrase; checks no binding)"""

import getpass
import hashlib
import re
import struct
import sys
import unicodedata
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC, FORM, CHUNK, TAG = b"\x89iVt\r\n\x1a\n", ">8sBBHIIIQ16s32s32s", 65536, 16


def vault_in(data: bytes) -> bytes:
    """Return the vault in a published file, with what may follow it; a file that is a vault comes back as it is."""
    if data.startswith(b"\xff\xd8"):  # JPEG: APP9 segments of mark, number, count and data
        marks = re.finditer(rb"\xff\xe9(..)incog vault\0.{8}", data, re.S)
        return b"".join(data[m.end() : m.start() + 2 + int.from_bytes(m[1], "big")] for m in marks)
    found, at = b"", 8
    while data.startswith(b"\x89PNG") and at < len(data):  # chunks of length, name, data and check sum
        size = int.from_bytes(data[at : at + 4], "big")
        found += data[at + 8 : at + 8 + size] if data[at + 4 : at + 8] == b"inVt" else b""
        at += 12 + size
    return found or data[data.index(MAGIC) :]  # the others hold it in one piece


def open_vault(vault: bytes, passphrase: str) -> bytes:
    """Return the original. Raises ValueError and cryptography's InvalidTag."""
    *front, lanes, passes, memory, chunk, length, salt, _, commitment = struct.unpack(FORM, vault[:112])
    check = hashlib.sha256(vault[:112]).digest()[:16]
    if [*front, chunk, check] != [MAGIC, 1, 1, CHUNK, vault[112:128]] or passes * memory > 1 << 22:
        raise ValueError("no vault of version 1, a damaged one, or one that asks for too much work")
    phrase = unicodedata.normalize("NFC", passphrase).encode()
    secret = Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory).derive(phrase)

    def key(name: bytes) -> bytes:
        info = struct.pack(f">cQ{len(name)}scQ80s", b"s", len(name), name, b"b", 80, vault[:80])
        return HKDF(SHA256(), 32, salt=b"incog v1", info=info).derive(secret)

    if key(b"vault commitment") != commitment:
        raise ValueError("the passphrase is wrong")
    cipher, payload = ChaCha20Poly1305(key(b"vault chunks")), b""
    for number, at in enumerate(range(0, length, CHUNK)):
        start, end = 128 + at + number * TAG, 128 + min(at + CHUNK, length) + (number + 1) * TAG
        nonce = key(b"vault nonces")[:7] + struct.pack(">IB", number, at + CHUNK >= length)
        payload += cipher.decrypt(nonce, vault[start:end], vault[:128])
    start = 2 + payload[1] + 8
    return payload[start : start + int.from_bytes(payload[start - 8 : start], "big")]


if __name__ == "__main__":
    typed = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    Path(sys.argv[2]).write_bytes(open_vault(vault_in(Path(sys.argv[1]).read_bytes()), typed))
