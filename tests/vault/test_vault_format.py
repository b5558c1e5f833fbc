"""Vaults byte by byte: the vectors of docs/format.md, damage of every kind, wrong passphrases, hostile headers."""

from __future__ import annotations

import hashlib
import json
import math
import re
import runpy
import secrets
import tracemalloc
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from incog.errors import IncogError, InputError, UsageError, VaultError
from incog.keys import Secret, derive
from incog.vault import header as headers
from incog.vault import locks as lock_module
from incog.vault.build import Made, made
from incog.vault.files import Sealing
from incog.vault.header import (
    CHUNK,
    FACE,
    FILE,
    SLOT,
    TAG,
    TRAILER_BYTES,
    Cost,
    Header,
    Part,
    boxes_packed,
    padded,
)
from incog.vault.locks import Identities, Opener, Recipient, fresh, passphrase_lock, recipients_lock, unlock
from incog.vault.slots import Decoy, Slots, filled
from incog.vault.stream import Passphrase, Payload, written
from incog.vault.stream import opened as parts_of

ROOT = Path(__file__).resolve().parents[2]
CHEAP = Cost(1, 8, 1)
PHRASE = Passphrase("open sesame")
FRIEND = Passphrase("knock knock")
BINDING = hashlib.sha256(b"published").digest()
FRONT = 2 + 8 + len(".jpg")
PRIVATE = "AGE-SECRET-KEY-1XMWWC06LY3EE5RYTXM9MFLAZ2U56JJJ36S0MYPDRWSVLUL66MV4QX3S7F6"
IDENTITY = Identities.of(PRIVATE.encode())
PUBLIC = Recipient(str(IDENTITY.parsed()[0].to_public()))


def head_of(cost: Cost = CHEAP, salt: bytes | None = None) -> Header:
    return Header(cost, secrets.token_bytes(16) if salt is None else salt, BINDING)


def bytes_of(vault: Made) -> bytes:
    data = b"".join(written(vault.header, vault.bodies()))
    assert len(data) == vault.header.length
    return data


def payload_of(original: bytes, suffix: str = ".jpg") -> Payload:
    return Payload(FILE, len(original), lambda: [original], suffix)


def vault_of(original: bytes, *, phrase: Passphrase = PHRASE, cost: Cost = CHEAP) -> bytes:
    header, ring, payload = head_of(cost), fresh(), payload_of(original)
    lock = passphrase_lock(phrase, header, ring)
    return bytes_of(made(header, ring, [lock], [(Part(FILE, 1, payload.padded), payload)]))


def everything_of(vault: bytes, opener: Opener = PHRASE) -> dict[tuple[int, int], bytes]:
    """Return what the opener gets, by kind and number of the part."""
    header = Header.parse(vault)
    ring = unlock(header, opener)
    found = {}
    for content in parts_of([vault], header, lambda part: ring.key(header.core, part)):
        found[content.part.kind, content.part.number] = b"".join(content.blocks)
        assert len(found[content.part.kind, content.part.number]) == content.size
    return found


def opened(vault: bytes, opener: Opener = PHRASE) -> bytes:
    (original,) = [data for (kind, _), data in everything_of(vault, opener).items() if kind in {FILE, SLOT}]
    return original


def checked(vault: bytes) -> bytes:
    """Return the vault with sums that fit whatever it says."""
    size = int.from_bytes(vault[76:80], "big")
    check = hashlib.sha256(vault[:80] + vault[96 : 96 + size]).digest()[:16]
    whole = vault[:80] + check + vault[96:-TRAILER_BYTES]
    return whole + hashlib.sha256(whole).digest()


# The page


@pytest.fixture(scope="module")
def page() -> dict[str, str]:
    text = (ROOT / "docs" / "format.md").read_text(encoding="utf-8").split("## Test vector")[1]
    rows = dict(re.findall(r"^\| (.+?) \| `([0-9a-f]+)` \|$", text, re.M))
    rows["vault"] = re.search(r"```\n([0-9a-f\n]+)```", text)[1].replace("\n", "")  # type: ignore[index]
    return rows


def test_the_vector_of_the_page_is_what_comes_out(
    page: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter(
        bytes.fromhex(page[name]) for name in ("owner's key", "nonce of the lock", "salt of the part")
    )
    for module in (lock_module, headers):
        monkeypatch.setattr(module.secrets, "token_bytes", lambda count: next(drawn))
    phrase = Passphrase("crème brûlée")
    header = head_of(Cost(2, 32, 4), bytes.fromhex(page["salt"]))
    ring, payload = fresh(), Payload(FILE, 5, lambda: [b"hel", b"lo"], ".png")
    lock = passphrase_lock(phrase, header, ring)
    vault = made(header, ring, [lock], [(Part(FILE, 1, payload.padded), payload)])
    assert bytes_of(vault).hex() == page["vault"]
    secret = Secret.from_passphrase(phrase.value, header.salt, time_cost=2, memory_kib=32, lanes=4)
    assert secret.value.hex() == page["secret"]
    assert derive(secret, "vault lock", header.core).secret.hex() == page["lock's key"]
    (part,) = vault.header.parts
    key = ring.key(header.core, part)
    assert key is not None
    assert key.secret.hex() == page["part's key"]
    assert derive(key, "vault chunks", header.core, part.front).secret.hex() == page["chunks' key"]
    assert part.commitment.hex() == page["commitment"]
    assert len(page["payload"]) == 2 * part.payload
    assert opened(bytes_of(vault), Passphrase(unicodedata.normalize("NFD", phrase.value))) == b"hello"


def test_the_failures_of_the_page_are_failures(page: dict[str, str]) -> None:
    vault, phrase = bytes.fromhex(page["vault"]), Passphrase("crème brûlée")
    with pytest.raises(VaultError, match="digest"):
        opened(vault[:-1] + bytes([vault[-1] ^ 1]), phrase)
    with pytest.raises(VaultError, match="damaged"):
        opened(vault[:-1], phrase)
    with pytest.raises(VaultError, match="too much"):
        Header.parse(checked(vault[:12] + bytes.fromhex("0000ffff") + vault[16:]))
    with pytest.raises(VaultError, match="passphrase is wrong"):
        opened(vault, Passphrase("creme brulee"))


def test_another_program_written_from_the_page_agrees(page: dict[str, str]) -> None:
    other = runpy.run_path(str(ROOT / "examples" / "open_vault.py"))["open_vault"]
    vault = bytes.fromhex(page["vault"])
    assert other(vault, "crème brûlée") == b"hello"
    with pytest.raises(ValueError, match="wrong"):
        other(vault, "creme brulee")
    with pytest.raises(InvalidTag):
        other(vault[:-33] + bytes([vault[-33] ^ 1]) + vault[-32:], "crème brûlée")
    tried = 0
    for vector in VECTORS:
        if "passphrase" not in vector:
            continue
        if vector["expect"] == "success":
            assert other(bytes.fromhex(vector["vault"]), vector["passphrase"]).hex() == vector["original"]
            tried += 1
        elif vector["expect"] in {"chunk 0", "passphrase is wrong", "version 2"}:
            with pytest.raises((ValueError, InvalidTag)):
                other(bytes.fromhex(vector["vault"]), vector["passphrase"])
            tried += 1
    assert tried > 10
    original = bytes(range(256)) * 1000
    assert other(vault_of(original), PHRASE.value) == original


VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_vaults_of_another_writer_open_or_fail_as_they_should(vector: dict[str, str]) -> None:
    vault = bytes.fromhex(vector["vault"])
    opener: Opener = IDENTITY if "identity" in vector else Passphrase(vector["passphrase"])
    if vector["expect"] == "success":
        assert opened(vault, opener).hex() == vector["original"]
    else:
        with pytest.raises(VaultError, match=vector["expect"]):
            opened(vault, opener)


def test_the_vectors_are_what_their_writer_writes() -> None:
    writer = runpy.run_path(str(Path(__file__).with_name("make_vectors.py")))
    assert writer["vectors"]() == VECTORS


def test_the_limits_on_the_page_are_those_of_the_code() -> None:
    text = " ".join((ROOT / "docs" / "format.md").read_text(encoding="utf-8").split())
    for words in (
        "lanes, 1 to 16",
        "passes, 1 to 64",
        "to 1,048,576",
        "at most 4,194,304 KiB",
        "65,513 bytes",
    ):
        assert words in text


# There and back


SIZES = [0, 1, 6, CHUNK - FRONT - 1, CHUNK - FRONT, CHUNK - FRONT + 1, 2 * CHUNK - FRONT, 3 * CHUNK + 5]


@pytest.mark.parametrize("size", SIZES)
def test_what_was_sealed_comes_back(size: int) -> None:
    original = hashlib.shake_128(b"x").digest(size)
    assert opened(vault_of(original)) == original


@given(st.lists(st.binary(max_size=300)), st.lists(st.integers(1, 400), min_size=1))
def test_how_bytes_are_grouped_makes_no_difference(blocks: list[bytes], cuts: list[int]) -> None:
    original = b"".join(blocks)
    header, ring, payload = head_of(), fresh(), Payload(FILE, len(original), lambda: blocks)
    lock = passphrase_lock(PHRASE, header, ring)
    vault = bytes_of(made(header, ring, [lock], [(Part(FILE, 1, payload.padded), payload)]))
    at, pieces = 0, []
    for cut in cuts:
        pieces.append(vault[at : at + cut])
        at += cut
    header = Header.parse(vault)
    contents = parts_of([*pieces, vault[at:]], header, lambda part: ring.key(header.core, part))
    assert [b"".join(content.blocks) for content in contents] == [original]


def test_no_two_vaults_are_alike_and_none_shows_the_original() -> None:
    original = b"a face " * 1000
    one, two = vault_of(original), vault_of(original)
    assert Header.parse(one).salt != Header.parse(two).salt
    assert one[-len(original) :] != two[-len(original) :]
    assert b"a face" not in one
    assert PHRASE.value.encode() not in one


def test_a_file_that_grows_or_shrinks_is_not_sealed() -> None:
    for blocks in ([b"12345"], [b"123456", b"7"]):
        header, payload = head_of(), Payload(FILE, 6, lambda blocks=blocks: blocks)  # type: ignore[misc]
        vault = made(header, fresh(), [], [(Part(FILE, 1, payload.padded), payload)])
        with pytest.raises(InputError, match="changed while it was sealed"):
            bytes_of(vault)


@pytest.mark.parametrize(("suffix", "kept"), [(".jpeg", ".jpeg"), ("", ""), ("." + "x" * 30, "")])
def test_the_suffix_is_kept_when_it_is_short(suffix: str, kept: str) -> None:
    ring, payload = fresh(), payload_of(b"a", suffix)
    vault = made(head_of(), ring, [], [(Part(FILE, 1, payload.padded), payload)])
    core = vault.header.core
    contents = parts_of([bytes_of(vault)], vault.header, lambda part: ring.key(core, part))
    assert [content.suffix for content in contents] == [kept]


@given(st.integers(10, 2**48))
def test_padding_hides_the_length_and_costs_little(length: int) -> None:
    size = padded(length)
    assert length <= size <= length * 1.12
    assert padded(size) == size
    exponent = math.floor(math.log2(length))
    assert size % 2 ** max(0, exponent - math.floor(math.log2(exponent)) - 1) == 0


def test_memory_does_not_grow_with_the_file() -> None:
    blocks, block = 48, bytes(1 << 20)

    def there(count: int) -> int:
        payload = Payload(FILE, count << 20, lambda: (block for _ in range(count)), ".mp4")
        header, ring = head_of(), fresh()
        vault = made(header, ring, [], [(Part(FILE, 1, payload.padded), payload)])
        blocks = written(vault.header, vault.bodies())
        contents = parts_of(blocks, vault.header, lambda part: ring.key(header.core, part))
        return sum(len(item) for content in contents for item in content.blocks)

    tracemalloc.start()
    assert there(blocks) == blocks << 20
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


# Damage


def granted() -> bytes:
    """Return a vault with a recipient and a grant of one face."""
    header, ring = head_of(), fresh()
    face = Payload.of(FACE, b"a face")
    contents = [(Part(FILE, 1, 80, boxes_packed([(1, 2, 3, 4)])), payload_of(b"the original"))]
    contents += [(Part(FACE, 1, face.padded), face)]
    locks = [passphrase_lock(PHRASE, header, ring), recipients_lock([PUBLIC], ring)]
    some = ring.only(header.core, [contents[1][0]])
    return bytes_of(made(header, ring, [*locks, passphrase_lock(FRIEND, header, some)], contents))


def in_slots() -> bytes:
    contents = [(PHRASE, payload_of(b"the original")), (FRIEND, payload_of(b"another"))]
    return bytes_of(filled(head_of(), contents, 3, 100))


@pytest.fixture(scope="module")
def small() -> bytes:
    return vault_of(b"the original")


KINDS: dict[str, tuple[Callable[[], bytes], list[Opener]]] = {
    "plain": (lambda: vault_of(b"the original"), [PHRASE]),
    "granted": (granted, [PHRASE, FRIEND, IDENTITY]),
    "slots": (in_slots, [PHRASE, FRIEND]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_byte_counts(kind: str) -> None:
    make, openers = KINDS[kind]
    vault = make()
    for at in range(len(vault)):
        for change in (1 << at % 8, 0xFF):
            changed = vault[:at] + bytes([vault[at] ^ change]) + vault[at + 1 :]
            for opener in openers:
                with pytest.raises(VaultError):
                    everything_of(changed, opener)


@pytest.mark.parametrize("kind", KINDS)
def test_every_byte_counts_though_the_sums_fit(kind: str) -> None:
    """Somebody who makes the sums fit can spoil what they want, and never have another original come out."""
    make, openers = KINDS[kind]
    vault = make()
    before = [everything_of(vault, opener) for opener in openers]
    spoiled = 0
    for at in range(len(vault) - TRAILER_BYTES):
        if at in range(76, 96) or at in range(10, 20):  # lengths that hashes are over, the cost of a guess
            continue
        changed = checked(vault[:at] + bytes([vault[at] ^ 1]) + vault[at + 1 :])
        for opener, found in zip(openers, before, strict=True):
            try:
                after = everything_of(changed, opener)
            except VaultError:
                spoiled += 1
            else:
                assert after.items() <= found.items()
    assert spoiled > len(vault) * len(openers) / 4


def test_a_cost_that_was_altered_opens_nothing(small: bytes) -> None:
    for at in range(10, 20):
        with pytest.raises(IncogError):
            opened(checked(small[:at] + bytes([small[at] ^ 1]) + small[at + 1 :]))


@pytest.mark.parametrize("kind", KINDS)
def test_every_length_counts(kind: str) -> None:
    make, openers = KINDS[kind]
    vault = make()
    for length in range(len(vault)):
        for opener in openers:
            with pytest.raises(VaultError):
                everything_of(vault[:length], opener)
    with pytest.raises(VaultError, match="behind its end"):
        everything_of(vault + b"\0", openers[0])


@pytest.fixture(scope="module")
def three() -> list[bytes]:
    vault = vault_of(b"x" * (3 * CHUNK - FRONT))
    step, head = CHUNK + TAG, len(Header.parse(vault).pack())
    assert len(vault) == head + 3 * step + TRAILER_BYTES
    return [vault[:head], *(vault[at : at + step] for at in range(head, len(vault) - TRAILER_BYTES, step))]


def joined(pieces: list[bytes]) -> bytes:
    whole = b"".join(pieces)
    return whole + hashlib.sha256(whole).digest()


ORDERS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "exchanged": lambda v: [v[0], v[2], v[1], v[3]],
    "repeated": lambda v: [v[0], v[1], v[1], v[3]],
    "last first": lambda v: [v[0], v[3], v[2], v[1]],
    "one missing": lambda v: [v[0], v[1], v[3]],
    "last missing": lambda v: [v[0], v[1], v[2]],
    "one more": lambda v: [*v, v[3]],
}


@pytest.mark.parametrize("name", ORDERS)
def test_chunks_have_their_places(three: list[bytes], name: str) -> None:
    assert opened(joined(three)) == b"x" * (3 * CHUNK - FRONT)
    with pytest.raises(VaultError, match="damaged"):
        opened(joined(ORDERS[name](three)))


def test_a_shorter_vault_cannot_be_made_of_a_longer_one(three: list[bytes]) -> None:
    header = Header.parse(three[0])
    header = replace(header, parts=(replace(header.parts[0], payload=2 * CHUNK),))
    with pytest.raises(VaultError, match="altered"):
        opened(joined([header.pack(), *three[1:3]]))


def test_chunks_of_another_vault_do_not_fit(three: list[bytes]) -> None:
    other = vault_of(b"x" * (3 * CHUNK - FRONT))
    rest = other[len(three[0]) + CHUNK + TAG : -TRAILER_BYTES]
    with pytest.raises(VaultError, match="chunk 1"):
        opened(joined([*three[:2], rest]))


# Who opens what


def test_a_grant_opens_its_faces_and_nothing_else() -> None:
    vault = granted()
    assert everything_of(vault, FRIEND) == {(FACE, 1): b"a face"}
    for owner in (PHRASE, IDENTITY):
        assert everything_of(vault, owner) == {(FILE, 1): b"the original", (FACE, 1): b"a face"}
    (part, _) = Header.parse(vault).parts
    assert part.boxes == [(1, 2, 3, 4)]


def test_slots_open_one_by_one_and_look_alike() -> None:
    seen = set()
    for _ in range(20):
        vault = in_slots()
        assert (opened(vault), opened(vault, FRIEND)) == (b"the original", b"another")
        header = Header.parse(vault)
        assert {(lock.kind, lock.opens, len(lock.data)) for lock in header.locks} == {(1, 1, 63)}
        assert len({part.length for part in header.parts}) == 1
        seen.add(tuple(everything_of(vault)))
    # The place is drawn by lot.
    assert len(seen) == 3


def test_slots_do_not_tell_how_many_are_used() -> None:
    one = bytes_of(filled(head_of(), [(PHRASE, payload_of(b"a"))], 3, 1000))
    contents = [
        (PHRASE, payload_of(b"a" * 900)),
        (FRIEND, payload_of(b"b")),
        (Passphrase("x"), payload_of(b"")),
    ]
    all_three = bytes_of(filled(head_of(), contents, 3, 1000))
    assert len(one) == len(all_three)
    # Nothing repeats, as bytes that are zero or counted would: chi-square of the bytes, 5 sigma.
    for vault in (one, all_three):
        body = vault[len(Header.parse(vault).pack()) : -TRAILER_BYTES]
        expected = len(body) / 256
        squares = sum((body.count(bytes([value])) - expected) ** 2 / expected for value in range(256))
        assert abs(squares - 255) < 5 * math.sqrt(2 * 255)


def test_slots_have_limits() -> None:
    decoy = Decoy(Path("x"), FRIEND)
    for options in ({"count": 1}, {"count": 9}, {"count": 2, "decoys": (decoy, decoy)}):
        with pytest.raises(UsageError, match="slots"):
            Slots(**options)
    with pytest.raises(UsageError, match="must differ"):
        filled(head_of(), [(PHRASE, payload_of(b"a")), (PHRASE, payload_of(b"b"))], 3, 10)


def test_recipients_and_identities_are_checked() -> None:
    for public in ("", "age1", PUBLIC.public[:-1] + "q", PRIVATE, "ssh-ed25519 AAAA"):
        with pytest.raises(UsageError, match="public key of age"):
            Recipient(public)
    for content in (b"", b"# a comment\n", b"age1xyz", PRIVATE[:-1].encode(), b"\xff"):
        with pytest.raises(InputError) as caught:
            Identities.of(content)
        assert PRIVATE[:-1] not in str(caught.value)
    assert Identities.of(f"# created\n\n{PRIVATE}\r\n".encode()) == IDENTITY
    assert PRIVATE not in repr(IDENTITY)


# Guesses


@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_wrong_passphrases_open_nothing(kind: str) -> None:
    header = Header.parse(KINDS[kind][0]())
    for number in range(1000):
        with pytest.raises(VaultError, match="passphrase is wrong"):
            unlock(header, Passphrase(f"open sesame{number}"))


@pytest.mark.parametrize(
    "wrong", ["Open sesame", "open sesame ", " open sesame", "open  sesame", "open sesam"]
)
def test_near_is_wrong(small: bytes, wrong: str) -> None:
    with pytest.raises(VaultError, match="passphrase is wrong"):
        opened(small, Passphrase(wrong))


def test_passphrases_have_a_length() -> None:
    for value in ("", "x" * 4097, "ü" * 2049):
        with pytest.raises(UsageError, match="1 to 4096 bytes") as caught:
            Passphrase(value)
        assert "x" * 40 not in str(caught.value)


def test_passphrases_do_not_show_themselves() -> None:
    secret = "do not show this"
    for thing in (Passphrase(secret), Sealing(Passphrase(secret)), Decoy(Path("x"), Passphrase(secret))):
        assert secret not in f"{thing!r} {thing!s}"
    ring = fresh()
    (key,) = ring.keys.values()
    header, payload = head_of(), payload_of(secret.encode())
    vault = made(header, ring, [], [(Part(FILE, 1, payload.padded), payload)])
    for thing in (ring, vault, payload):
        assert secret not in repr(thing)
        assert repr(key.secret) not in repr(thing)


# Headers that others wrote


HOSTILE: dict[str, dict[str, Any]] = {
    "lanes": {"lanes": 17},
    "no lanes": {"lanes": 0},
    "passes": {"passes": 65},
    "no passes": {"passes": 0},
    "memory": {"memory_kib": (1 << 20) + 1},
    "all memory": {"memory_kib": 2**32 - 1},
    "too little memory": {"memory_kib": 7},
    "work": {"passes": 5, "memory_kib": 1 << 20},
}


def hostile(base: bytes, *, lanes: int = 1, passes: int = 1, memory_kib: int = 8) -> bytes:
    numbers = lanes.to_bytes(2, "big") + passes.to_bytes(4, "big") + memory_kib.to_bytes(4, "big")
    return checked(base[:10] + numbers + base[20:])


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("Argon2 must not be begun")

    monkeypatch.setattr(Secret, "from_passphrase", refuse)


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_header_cannot_ask_for_more_than_the_limits(small: bytes, name: str) -> None:
    with pytest.raises(VaultError, match="too much or too little work"):
        opened(hostile(small, **HOSTILE[name]))
    with pytest.raises(UsageError):
        Cost(**{"passes": 1, "memory_kib": 8, "lanes": 1} | HOSTILE[name])


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (0, b"\x89PNG", "not a vault"),
        (8, b"\1", "version 2"),
        (9, b"\2", "suite 1"),
        (20, b"\0\0\0\0", "no sense"),
        (20, b"\x7f\xff\xff\xff", "no sense"),
        (72, b"\xff" * 2, "no sense"),
        (74, b"\0" * 2, "no sense"),
        (74, b"\0\2", "no sense"),
        (76, b"\xff" * 4, "no sense"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(small: bytes, at: int, value: bytes, words: str) -> None:
    with pytest.raises(VaultError, match=words):
        opened(checked(small[:at] + value + small[at + len(value) :]))


def test_the_default_cost_is_that_of_the_rfc() -> None:
    assert Cost() == Cost(3, 65536, 4)
    assert "64 MiB" in str(Cost())
