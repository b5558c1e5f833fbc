"""What passphrases are worth: an order that people agree with, and no guess above what there is."""

from __future__ import annotations

import math
import secrets
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incog.vault.strength import LEAST_BITS, bits, suggestion

WEAK = [
    "a",
    "password",
    "Password1",
    "P@ssw0rd!2024",
    "p4$$w0rd12345!!",
    "qwertzuiopasdfghjkl",
    "abcdefghijklmnopqrstuvwxyz",
    "12345678901234567890",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "Tr0ub4dor&3",
    "hippopotamus",
    "anna1987",
    "summer2024!",
    "iloveyou iloveyou iloveyou iloveyou",
]
STRONG = [
    "correct horse battery staple",
    "abacus pony velvet drill marble",
    "2f8a91c07be34d65",
    "x7Kp9qLm2Vw3",
    "bako-lumi-tedi-runo-sika",
]


@pytest.mark.parametrize("passphrase", WEAK)
def test_weak_ones_are_told(passphrase: str) -> None:
    assert bits(passphrase) < LEAST_BITS


@pytest.mark.parametrize("passphrase", STRONG)
def test_strong_ones_pass(passphrase: str) -> None:
    assert bits(passphrase) >= LEAST_BITS


@given(st.text(max_size=60))
def test_every_text_has_a_worth(passphrase: str) -> None:
    assert 0 <= bits(passphrase) < 12 * len(passphrase) + 8


@pytest.mark.parametrize("count", [5, 6, 8])
def test_suggestions_are_worth_what_they_say(count: int) -> None:
    drawn = {suggestion(count) for _ in range(300)}
    assert len(drawn) == 300
    for one in drawn:
        assert LEAST_BITS <= bits(one) <= 12 * count


@pytest.mark.parametrize(("alphabet", "length"), [(string.ascii_lowercase, 14), ("0123456789abcdef", 16)])
def test_random_strings_are_not_overrated(alphabet: str, length: int) -> None:
    for _ in range(300):
        drawn = "".join(secrets.choice(alphabet) for _ in range(length))
        assert bits(drawn) <= math.log2(len(alphabet)) * length + 8
