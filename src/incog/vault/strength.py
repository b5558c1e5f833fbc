"""How strong a passphrase is at most, and one that is strong enough.

No program can tell how a passphrase was chosen. The estimate counts what somebody who guesses by patterns would still
have to guess: it is too high for a line from a song, and right for words that were drawn at random.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from math import ceil, log2
from typing import Final

LEAST_BITS: Final = 40
"""What ``incog hide`` wants; see docs/threat-model.md for how long that lasts."""

_TOKENS: Final = re.compile(r"[^\W\d_]+|\d+|.", re.S)
_ROWS: Final = ("qwertzuiop", "qwertyuiop", "asdfghjkl", "yxcvbnm", "zxcvbnm", "1234567890")
# fmt: off
_COMMON: Final = frozenset({
    "password", "passwort", "passwd", "secret", "geheim", "admin", "login", "welcome", "letmein", "master", "dragon",
    "monkey", "iloveyou", "sunshine", "princess", "football", "baseball", "shadow", "superman", "batman", "hello",
    "test", "incog",
})
# fmt: on
_COMMON_BITS: Final = 8.0
_LIKE: Final = {"a": "[a4@]", "e": "[e3]", "i": "[i1!]", "o": "[o0]", "s": "[s5$]", "t": "[t7]"}
_SIGNS: Final = str.maketrans("430157@$!", "aeoistasi")
_REPEATED_BITS: Final = 1.0
_CASE_BITS: Final = 1.0
_DIGIT_BITS: Final = log2(10)
_YEAR_BITS: Final = log2(150)
_SYMBOL_BITS: Final = log2(32)
_LETTER_BITS: Final = log2(26)
_FOREIGN_BITS: Final = 7.0
# Letters that can be pronounced are words: some 2 bits a letter, and no more than a list of 7776 words gives.
_WORD_START: Final = 1.5
_WORD_LETTER: Final = 2.0
_WORD_BITS: Final = log2(7776)
_WORD_LENGTH: Final = 7
_CONSONANTS: Final = "bdfghklmnprstvwz"
_VOWELS: Final = "aiou"


def bits(passphrase: str) -> float:
    """Return how many bits the passphrase has at most: log2 of the guesses that would find it for sure.

    It is cut into runs of letters, runs of digits and single signs. A run of letters counts as words where it can be
    pronounced, else letter by letter; repetitions, rows of a keyboard, counts up or down, years and the commonest
    passwords count for next to nothing.
    """
    text = unicodedata.normalize("NFC", passphrase)
    plain = text.translate(_SIGNS)
    # Signs in the place of letters, as in "p4$$w0rd", are tried by everybody.
    swapped = sum(one != other for one, other in zip(text, plain, strict=True))
    return min(_bits(text), _bits(plain) + swapped)


def _bits(text: str) -> float:
    total = 0.0
    for word in _COMMON:
        pattern = "".join(_LIKE.get(letter, letter) for letter in word)
        while found := re.search(pattern, text, re.I):
            text = text[: found.start()] + text[found.end() :]
            total += _COMMON_BITS
    seen: set[str] = set()
    for token in _TOKENS.findall(text):
        folded = token.lower()
        if folded in seen:
            # A sign between words is guessed once, like a word that comes again.
            total += _REPEATED_BITS
            continue
        seen.add(folded)
        total += _token_bits(folded)
        capitals = sum(letter.isupper() for letter in token[1:])
        total += _CASE_BITS * (1 if capitals == len(token) - 1 else capitals) * bool(capitals)
    return total


def suggestion(words: int = 5) -> str:
    """Return made-up words of two syllables, drawn from the system's generator: 12 bits each."""
    return "-".join(
        "".join(secrets.choice(_CONSONANTS) + secrets.choice(_VOWELS) for _ in range(2)) for _ in range(words)
    )


def _token_bits(token: str) -> float:
    if token.isdigit():
        if re.fullmatch(r"(19|20)\d\d", token):
            return _YEAR_BITS
        return _fresh(token) * _DIGIT_BITS
    if not token.isalpha():
        return _SYMBOL_BITS
    if not token.isascii():
        return min(_fresh(token) * _FOREIGN_BITS, _WORD_BITS * ceil(len(token) / _WORD_LENGTH))
    fresh = _fresh(token)
    if _is_word(token):
        return min(_WORD_START + _WORD_LETTER * fresh, _WORD_BITS * ceil(len(token) / _WORD_LENGTH))
    return fresh * _LETTER_BITS


def _fresh(token: str) -> int:
    """Return how many characters do not follow from those before: by repeating, counting or the keyboard's row."""
    fresh = 2 if len(token) > 1 and token[0] != token[1] else 1
    return fresh + sum(not _follows(*token[at - 2 : at + 1]) for at in range(2, len(token)))


def _follows(first: str, second: str, third: str) -> bool:
    step = ord(third) - ord(second)
    if step == 0 or step == ord(second) - ord(first) in {-1, 1}:
        return True
    three = first + second + third
    return any(three in row or three[::-1] in row for row in _ROWS)


def _is_word(token: str) -> bool:
    if len(token) < 3:
        return False
    vowels = sum(letter in "aeiouy" for letter in token)
    return 0.2 <= vowels / len(token) <= 0.7 and not re.search(r"[^aeiouy]{5}", token)
