"""Bring a file back out of its vault with Python and `cryptography` alone, by docs/format.md; asks for the passphrase.
Run: python examples/open_vault.py PUBLISHED_FILE_OR_VAULT OUTPUT    (whole files, also in slots; checks no binding)"""

import getpass
import hmac
import re
import sys
import unicodedata
from contextlib import suppress
from pathlib import Path
from struct import unpack_from

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305 as Cipher
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id


def derived(secret: bytes, name: bytes, *scope: bytes) -> bytes:
    fields = [(b"s", name), *((b"b", field) for field in scope)]
    info = b"".join(kind + len(field).to_bytes(8, "big") + field for kind, field in fields)
    return hmac.digest(hmac.digest(b"incog v1", secret, "sha256"), info + b"\1", "sha256")  # HKDF


def open_vault(data: bytes, passphrase: str) -> bytes:
    """Return the original in a published file or a vault. Raises ValueError and cryptography's InvalidTag."""
    vault, at, keys = b"", 8, b""
    while data[:4] == b"\x89PNG" and at < len(data):  # chunks of length, name, data and check sum
        size, name = unpack_from(">I4s", data, at)
        vault, at = vault + data[at + 8 : at + 8 + size] * (name == b"inVt"), at + 12 + size
    vault = vault or re.sub(rb"(?s)\xff\xe9..incog vault\0.{8}", b"", data)  # JPEG: heads of segments
    vault = vault[vault.index(b"\x89iVt\r\n\x1a\n") :]
    *front, lanes, passes, memory, chunk, salt, locks, parts, size = unpack_from(">8sBBHIII16s32xHHI", vault)
    core, at, body = vault[:72], 96, 96 + size
    if [*front[1:], chunk] != [2, 1, 65536] or passes * memory > 1 << 22:
        raise ValueError("no vault of version 2, or one that asks for too much work")
    argon = Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory)
    secret = derived(argon.derive(unicodedata.normalize("NFC", passphrase).encode()), b"vault lock", core)
    for _ in range(locks):
        opens, size = unpack_from(">x2sI", vault, at)
        lock, at = vault[at + 7 : at + 7 + size], at + 7 + size
        with suppress(InvalidTag):  # somebody else's
            keys += Cipher(secret).decrypt(lock[:12], lock[12:], core + opens)
    named = {keys[n : n + 3]: keys[n + 3 : n + 35] for n in range(0, len(keys), 35)}
    for _ in range(parts):
        kind, size, public = unpack_from(">B2xQ16xI", vault, at)
        row, at, end = vault[at : at + 31 + public], at + 63 + public, body + size + 16 * -(-size // 65536)
        owner, sealed, payload, body = named.get(bytes(3)), vault[body:end], b"", end
        key = derived(owner, b"vault part", core, row[:3]) if owner else named.get(row[:3])
        for n in range(0, len(sealed) if key and kind in (1, 5) else 0, 65552):
            nonce = (n // 65552).to_bytes(11, "big") + bytes([n + 65552 >= len(sealed)])
            cipher, head = Cipher(derived(key, b"vault chunks", core, row)), core + row + vault[at - 32 : at]
            payload += cipher.decrypt(nonce, sealed[n : n + 65552], head)
        if payload:
            size = int.from_bytes(payload[2 + payload[1] : 10 + payload[1]], "big")
            return payload[10 + payload[1] :][:size]
    raise ValueError("the passphrase is wrong, or it opens no whole file")


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(open_vault(Path(sys.argv[1]).read_bytes(), getpass.getpass()))
