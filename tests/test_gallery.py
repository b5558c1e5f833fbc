"""The sealed gallery: what goes in comes out, for the passphrase alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from incog import gallery
from incog.errors import InputError, OutputError, VaultError
from incog.gallery import MOST, Gallery, Known
from incog.keys import Secret
from incog.perceive.embedder import unit
from incog.vault.build import made
from incog.vault.header import FILE, Cost, Header, Part
from incog.vault.locks import fresh, passphrase_lock
from incog.vault.stream import Passphrase, Payload, written

PHRASE = Passphrase("five words drawn by dice")
CHEAP = Cost(passes=1, memory_kib=32, lanes=1)


def known(seed: int, *, given: bool = False, rows: int = 3) -> Known:
    random = np.random.default_rng(seed)
    vectors = unit(random.normal(size=(rows, 512)).astype(np.float32))
    return Known(f"name {seed}", given, vectors, random.random(9).astype(np.float32), seed)


@pytest.fixture
def people() -> Gallery:
    return Gallery(Secret.from_seed(1), (known(1), known(2, given=True, rows=1), known(3, rows=8)))


def test_what_goes_in_comes_out(people: Gallery, tmp_path: Path) -> None:
    path = tmp_path / "people.gallery"
    gallery.write(path, people, PHRASE, cost=CHEAP)
    assert path.stat().st_mode & 0o077 == 0
    found = gallery.read(path, PHRASE)
    assert found.secret == people.secret
    for one, other in zip(found.people, people.people, strict=True):
        assert (one.name, one.given, one.tries) == (other.name, other.given, other.tries)
        np.testing.assert_array_equal(one.look, other.look)
        np.testing.assert_allclose(one.vectors, other.vectors, atol=1e-3)
    gallery.write(path, replace(found, people=()), PHRASE, cost=CHEAP)
    assert gallery.read(path, PHRASE).people == ()


def test_it_is_open_to_nobody_else(people: Gallery, tmp_path: Path) -> None:
    path = tmp_path / "people.gallery"
    gallery.write(path, people, PHRASE, cost=CHEAP)
    data = path.read_bytes()
    assert b"name" not in data
    with pytest.raises(VaultError, match="the passphrase is wrong"):
        gallery.read(path, Passphrase("other words drawn by dice"))
    for place in (3, 60, 200, len(data) - 1):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(VaultError):
            gallery.read(path, PHRASE)
    path.write_bytes(data[:50])
    with pytest.raises(VaultError, match="cut off"):
        gallery.read(path, PHRASE)
    with pytest.raises(InputError, match="cannot be read"):
        gallery.read(tmp_path / "nowhere", PHRASE)
    assert "name" not in repr(people) + repr(people.people[0])


def test_two_runs_at_once_lose_nobody(people: Gallery, tmp_path: Path) -> None:
    path = tmp_path / "people.gallery"
    gallery.write(path, people, PHRASE, cost=CHEAP)
    one, other = (gallery.read(path, PHRASE) for _ in range(2))
    gallery.write(path, replace(one, people=(*one.people, known(4))), PHRASE, cost=CHEAP)
    for late in (other, people):
        with pytest.raises(OutputError, match="changed by another run"):
            gallery.write(path, late, PHRASE, cost=CHEAP)
    path.unlink()
    with pytest.raises(OutputError, match="changed by another run"):
        gallery.write(path, other, PHRASE, cost=CHEAP)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".jpg", gallery.SUFFIX])
def test_another_vault_is_no_gallery(suffix: str, tmp_path: Path) -> None:
    header, ring = Header(CHEAP, bytes(16), bytes(32)), fresh()
    payload = replace(Payload.of(FILE, b"hello"), suffix=suffix)
    sealed = made(
        header, ring, [passphrase_lock(PHRASE, header, ring)], [(Part(FILE, 1, payload.padded), payload)]
    )
    path = tmp_path / "file"
    path.write_bytes(b"".join(written(sealed.header, sealed.bodies())))
    with pytest.raises(VaultError, match="is no gallery"):
        gallery.read(path, PHRASE)


def test_only_so_many_looks_are_kept() -> None:
    person = known(1)
    more = unit(np.random.default_rng(5).normal(size=(20, 512)).astype(np.float32))
    after = person.seen(more, 4)
    assert len(after.vectors) == MOST
    np.testing.assert_array_equal(after.vectors[:3], person.vectors)
    np.testing.assert_array_equal(after.look, person.look)
    assert after.tries == 4
