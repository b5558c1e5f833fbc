"""Vaults byte by byte: the vectors of docs/format.md, damage of every kind, wrong passphrases, hostile headers."""

from __future__ import annotations

import hashlib
import json
import math
import re
import runpy
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
from incog.vault.files import Sealing
from incog.vault.header import CHUNK, HEADER_BYTES, TAG, Cost, Header, padded
from incog.vault.stream import Passphrase, Sealer, open_vault

ROOT = Path(__file__).resolve().parents[2]
CHEAP = Cost(1, 8, 1)
PHRASE = Passphrase("open sesame")
BINDING = hashlib.sha256(b"published").digest()
FRONT = 2 + 8 + len(".jpg")


def vault_of(original: bytes, *, phrase: Passphrase = PHRASE, cost: Cost = CHEAP) -> bytes:
    sealer = Sealer(phrase, size=len(original), suffix=".jpg", binding=BINDING, cost=cost)
    vault = b"".join(sealer.seal([original]))
    assert len(vault) == sealer.header.length
    return vault


def opened(vault: bytes, phrase: Passphrase = PHRASE) -> bytes:
    content = open_vault([vault], Header.parse(vault), phrase)
    original = b"".join(content.blocks)
    assert len(original) == content.size
    return original


def checked(vault: bytes) -> bytes:
    """Return the vault with a check sum that fits whatever its header says."""
    return vault[:112] + hashlib.sha256(vault[:112]).digest()[:16] + vault[128:]


# The page


@pytest.fixture(scope="module")
def page() -> dict[str, str]:
    text = (ROOT / "docs" / "format.md").read_text(encoding="utf-8").split("## Test vector")[1]
    rows = dict(re.findall(r"^\| (.+?) \| `([0-9a-f]+)` \|$", text, re.M))
    rows["vault"] = re.search(r"```\n([0-9a-f\n]+)```", text)[1].replace("\n", "")  # type: ignore[index]
    return rows


def test_the_vector_of_the_page_is_what_comes_out(page: dict[str, str]) -> None:
    phrase = Passphrase("crème brûlée")
    salt = bytes.fromhex(page["salt"])
    cost = Cost(2, 32, 4)
    sealer = Sealer(phrase, size=5, suffix=".png", binding=BINDING, cost=cost, salt=salt)
    vault = b"".join(sealer.seal([b"hel", b"lo"]))
    assert vault.hex() == page["vault"]
    secret = Secret.from_passphrase(phrase.value, salt, time_cost=2, memory_kib=32, lanes=4)
    assert secret.value.hex() == page["secret"]
    for name in ("vault chunks", "vault nonces", "vault commitment"):
        assert derive(secret, name, vault[:80]).secret.hex() == page[f'key("{name}")']
    assert len(page["payload"]) == 2 * sealer.header.payload
    assert opened(vault, Passphrase(unicodedata.normalize("NFD", phrase.value))) == b"hello"


def test_the_failures_of_the_page_are_failures(page: dict[str, str]) -> None:
    vault, phrase = bytes.fromhex(page["vault"]), Passphrase("crème brûlée")
    with pytest.raises(VaultError, match="damaged"):
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
        other(vault[:-1] + bytes([vault[-1] ^ 1]), "crème brûlée")
    for vector in VECTORS:
        if vector["expect"] == "success":
            assert other(bytes.fromhex(vector["vault"]), vector["passphrase"]).hex() == vector["original"]
        elif vector["expect"] in {"chunk 0", "passphrase is wrong", "check sum", "version 1"}:
            with pytest.raises((ValueError, InvalidTag)):
                other(bytes.fromhex(vector["vault"]), vector["passphrase"])
    original = bytes(range(256)) * 1000
    assert other(vault_of(original), PHRASE.value) == original


VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_vaults_of_another_writer_open_or_fail_as_they_should(vector: dict[str, str]) -> None:
    vault, phrase = bytes.fromhex(vector["vault"]), Passphrase(vector["passphrase"])
    if vector["expect"] == "success":
        assert opened(vault, phrase).hex() == vector["original"]
    else:
        with pytest.raises(VaultError, match=vector["expect"]):
            opened(vault, phrase)


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
    sealer = Sealer(PHRASE, size=len(original), suffix=".jpg", binding=BINDING, cost=CHEAP)
    vault = b"".join(sealer.seal(blocks))
    at, pieces = 0, []
    for cut in cuts:
        pieces.append(vault[at : at + cut])
        at += cut
    content = open_vault([*pieces, vault[at:]], Header.parse(vault), PHRASE)
    assert b"".join(content.blocks) == original


def test_no_two_vaults_are_alike_and_none_shows_the_original() -> None:
    original = b"a face " * 1000
    one, two = vault_of(original), vault_of(original)
    assert Header.parse(one).salt != Header.parse(two).salt
    assert one[HEADER_BYTES:] != two[HEADER_BYTES:]
    assert b"a face" not in one
    assert PHRASE.value.encode() not in one


def test_a_file_that_grows_or_shrinks_is_not_sealed() -> None:
    for blocks in ([b"12345"], [b"123456", b"7"]):
        sealer = Sealer(PHRASE, size=6, suffix=".jpg", binding=BINDING, cost=CHEAP)
        with pytest.raises(InputError, match="changed while it was sealed"):
            list(sealer.seal(blocks))


def test_the_suffix_is_kept_when_it_is_short() -> None:
    for suffix, kept in ((".jpeg", ".jpeg"), ("", ""), ("." + "x" * 30, "")):
        sealer = Sealer(PHRASE, size=1, suffix=suffix, binding=BINDING, cost=CHEAP)
        vault = b"".join(sealer.seal([b"a"]))
        assert open_vault([vault], Header.parse(vault), PHRASE).suffix == kept


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
        sealer = Sealer(PHRASE, size=count << 20, suffix=".mp4", binding=BINDING, cost=CHEAP)
        return sum(map(len, sealer.open(sealer.seal(block for _ in range(count)))))

    tracemalloc.start()
    assert there(blocks) == blocks << 20
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


# Damage


@pytest.fixture(scope="module")
def small() -> bytes:
    return vault_of(b"the original")


def test_every_byte_counts(small: bytes) -> None:
    for at in range(len(small)):
        for change in (1 << at % 8, 0xFF):
            changed = small[:at] + bytes([small[at] ^ change]) + small[at + 1 :]
            with pytest.raises(VaultError):
                opened(changed)


def test_every_byte_counts_though_the_check_sum_fits(small: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for at in range(112):
        changed = checked(small[:at] + bytes([small[at] ^ 1]) + small[at + 1 :])
        if at not in range(10, 20):  # the cost of a guess, of which some are let through
            with pytest.raises(VaultError):
                opened(changed)
        else:
            with pytest.raises(IncogError):
                opened(changed)


def test_every_length_counts(small: bytes) -> None:
    for length in range(len(small)):
        with pytest.raises(VaultError):
            opened(small[:length])
    with pytest.raises(VaultError, match="behind its end"):
        opened(small + b"\0")


@pytest.fixture(scope="module")
def three() -> list[bytes]:
    vault = vault_of(b"x" * (3 * CHUNK - FRONT))
    step = CHUNK + TAG
    assert len(vault) == HEADER_BYTES + 3 * step
    return [vault[:HEADER_BYTES], *(vault[at : at + step] for at in range(HEADER_BYTES, len(vault), step))]


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
    assert opened(b"".join(three)) == b"x" * (3 * CHUNK - FRONT)
    with pytest.raises(VaultError, match="damaged"):
        opened(b"".join(ORDERS[name](three)))


def test_a_shorter_vault_cannot_be_made_of_a_longer_one(three: list[bytes]) -> None:
    header = replace(Header.parse(three[0]), payload=2 * CHUNK)
    with pytest.raises(VaultError, match="altered"):
        opened(b"".join([header.pack(), *three[1:3]]))


def test_chunks_of_another_vault_do_not_fit(three: list[bytes]) -> None:
    other = vault_of(b"x" * (3 * CHUNK - FRONT))
    with pytest.raises(VaultError, match="chunk 1"):
        opened(b"".join([*three[:2], other[HEADER_BYTES + CHUNK + TAG :]]))


# Guesses


def test_a_thousand_wrong_passphrases_open_nothing(small: bytes) -> None:
    for number in range(1000):
        with pytest.raises(VaultError, match="passphrase is wrong"):
            opened(small, Passphrase(f"open sesame{number}"))


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
    for thing in (Passphrase(secret), Sealing(Passphrase(secret))):
        assert secret not in f"{thing!r} {thing!s}"
    sealer = Sealer(Passphrase(secret), size=1, suffix="", binding=BINDING, cost=CHEAP)
    assert secret not in repr(vars(sealer))


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
        (8, b"\2", "version 1"),
        (9, b"\2", "suite 1"),
        (20, b"\0\0\0\0", "no sense"),
        (20, b"\x7f\xff\xff\xff", "no sense"),
        (24, b"\xff" * 8, "no sense"),
        (24, b"\0" * 8, "no sense"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(small: bytes, at: int, value: bytes, words: str) -> None:
    with pytest.raises(VaultError, match=words):
        opened(checked(small[:at] + value + small[at + len(value) :]))


def test_the_default_cost_is_that_of_the_rfc() -> None:
    assert Cost() == Cost(3, 65536, 4)
    assert "64 MiB" in str(Cost())
