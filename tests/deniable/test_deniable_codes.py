"""Codes and their cipher: bit for bit with the right secret, somebody with every other, nothing that tells which."""

from __future__ import annotations

import io

import numpy as np
import pytest
from scipy import stats

from incog.deniable import cipher, prior
from incog.deniable.prior import Prior, Words
from incog.deniable.traits import Person
from incog.errors import ModelError
from incog.keys import Secret
from incog.types import Floats
from incog.vault.header import Cost
from incog.vault.stream import Passphrase

CHEAP = Cost(1, 8, 1)


def told(own: Prior, seed: int = 0) -> Floats:
    """Return something that could be known of a face."""
    away = np.random.default_rng(seed).normal(size=len(own.mean)).astype(np.float32)
    return own.mean + 0.5 * own.spread * away


def words(own: Prior, count: int, seed: int) -> Words:
    return np.random.default_rng(seed).integers(0, 2**16, (count, own.size)).astype(np.uint16)


def test_a_code_is_a_person_and_the_person_has_that_code() -> None:
    own = prior.load()
    given = told(own)
    for code in words(own, 5, 1):
        person = own.decode(code, given)
        assert len(person.shape) == own.shapes
        again = own.encode(person, given).astype(np.int64)
        # Half a step of sixteen bits, and what single precision loses.
        assert np.abs(again - code).max() <= 2


def test_another_code_is_another_person_and_so_is_the_same_code_elsewhere() -> None:
    own = prior.load()
    one, other = words(own, 2, 2)
    first = own.decode(one, told(own))
    assert np.abs(first.texture - own.decode(other, told(own)).texture).mean() > 0.3
    assert np.abs(first.texture - own.decode(one, told(own, 7)).texture).mean() > 0.05


def test_all_words_are_as_likely_when_numbers_are_normal() -> None:
    numbers = np.random.default_rng(4).normal(size=200_000)
    counted = np.bincount(prior.quantised(numbers) >> 12, minlength=16)
    assert stats.chisquare(counted).pvalue > 1e-3
    np.testing.assert_array_equal(prior.quantised(np.array([-99.0, 99.0])), [0, 65535])
    every = np.arange(2**16, dtype=np.uint16)
    np.testing.assert_array_equal(prior.quantised(prior.dequantised(every)), every)


def test_whoever_is_far_out_gets_a_code_all_the_same() -> None:
    own = prior.load()
    ones = np.ones(own.slopes.shape[1] - own.shapes, np.float32)
    odd = Person(np.full(own.shapes, 50, np.float32), 50 * ones)
    back = own.decode(own.encode(odd, told(own)), told(own))
    assert np.isfinite(back.texture).all()


def test_the_right_secret_gives_every_bit_back_and_others_do_not() -> None:
    own = prior.load()
    codes = words(own, 3, 5)
    right, wrong = Secret.from_seed(1), Secret.from_seed(2)
    hidden = [cipher.enciphered(code, row, 9, right) for row, code in enumerate(codes)]
    for row, code in enumerate(codes):
        assert hidden[row].dtype == np.uint16
        np.testing.assert_array_equal(cipher.deciphered(hidden[row], row, 9, right), code)
        for lost in (
            hidden[row],
            cipher.deciphered(hidden[row], row, 9, wrong),
            cipher.deciphered(hidden[row], row, 8, right),
            cipher.deciphered(hidden[row], row + 1, 9, right),
        ):
            assert (lost == code).mean() < 0.02
    # Two people have two streams: their difference stays hidden.
    assert (hidden[0] - hidden[1] == codes[0] - codes[1]).mean() < 0.02


def test_what_wrong_secrets_give_is_uniform() -> None:
    size = prior.load().size
    hidden = cipher.enciphered(np.zeros(size, np.uint16), 0, 5, Secret.from_seed(1))
    got = np.concatenate([cipher.deciphered(hidden, 0, 5, Secret.from_seed(n)) for n in range(2, 150)])
    assert stats.chisquare(np.bincount(got >> 11, minlength=32)).pvalue > 1e-3


def test_a_flipped_bit_is_another_person_and_no_error() -> None:
    own = prior.load()
    (code,) = words(own, 1, 6)
    hidden = cipher.enciphered(code, 0, 5, Secret.from_seed(1))
    hidden[7] ^= 1 << 15
    got = cipher.deciphered(hidden, 0, 5, Secret.from_seed(1))
    assert (got != code).sum() == 1
    assert np.isfinite(own.decode(got, told(own)).texture).all()


def test_oddity_is_that_of_few_and_rare_things() -> None:
    own = prior.load()
    many = own.oddity(words(own, 400, 8))
    calm = own.oddity(np.full((1, own.size), 2**15, np.uint16))
    assert np.isfinite(many).all()
    assert many.max() > 2 * many.min()
    assert calm.shape == (1,)


def test_the_secret_is_the_passphrase_and_the_salt() -> None:
    salts = bytes(16), bytes([1] * 16)
    one, again = (cipher.secret_of(Passphrase("a b"), salts[0], CHEAP) for _ in range(2))
    assert one == again
    assert one != cipher.secret_of(Passphrase("a c"), salts[0], CHEAP)
    assert one != cipher.secret_of(Passphrase("a b"), salts[1], CHEAP)


def test_vector() -> None:
    """The one in docs/format.md."""
    secret = cipher.secret_of(Passphrase("cre\u0300me bru\u0302le\u0301e"), bytes(range(16)), Cost(2, 32, 4))
    hidden = cipher.enciphered(np.zeros(8, np.uint16), 0, 7, secret)
    assert hidden.astype(">u2").tobytes().hex() == VECTOR


VECTOR = "76723a8249edc008f224a16aa34984dc"


def test_a_prior_of_another_model_is_refused() -> None:
    data = prior.load().dump()
    assert Prior.load(data, prior.load().model).size == prior.load().size
    with pytest.raises(ModelError, match="another appearance model"):
        Prior.load(data, "0" * 64)
    with pytest.raises(ModelError, match="cannot be read"):
        Prior.load(b"PK nonsense", prior.load().model)
    with np.load(io.BytesIO(data)) as file:
        parts = {name: file[name] for name in file.files if name != "shapes"}
    cut = io.BytesIO()
    np.savez(cut, **parts)
    with pytest.raises(ModelError):
        Prior.load(cut.getvalue(), prior.load().model)
