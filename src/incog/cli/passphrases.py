"""Passphrases: asked for on a terminal or read from a file, never from an option or the environment."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

from incog.cli.screen import Screen
from incog.errors import InputError, UsageError
from incog.keys import MAX_PASSPHRASE_BYTES
from incog.private import read_private
from incog.vault.files import Sealing
from incog.vault.stream import Passphrase
from incog.vault.strength import LEAST_BITS, bits, suggestion

_FILE = "the passphrase file"


def sealing(
    asked: bool, file: Path | None, *, sidecar: bool, allow_weak: bool, screen: Screen
) -> Sealing | None:
    """Return how to seal originals, None when nobody asked for it.

    Raises UsageError for options that do not go together, a passphrase that is weak or mistyped, or no terminal;
    InputError for a file that does not serve.
    """
    if not asked and file is None:
        for option, given in {"--sidecar": sidecar, "--allow-weak": allow_weak}.items():
            if given:
                raise UsageError(f"{option} must be given with --passphrase or --passphrase-file")
        return None
    if asked and file is not None:
        raise UsageError("--passphrase and --passphrase-file must not be given together")
    passphrase = from_file(file) if file is not None else _chosen()
    strength = bits(passphrase.value)
    if strength < LEAST_BITS:
        words = f"the passphrase must have {LEAST_BITS} bits at least, got about {strength:.0f}"
        if not allow_weak:
            raise UsageError(words, hint=_advice(screen))
        screen.say(f"Note: {words}. Whoever has the file can guess it.")
    return Sealing(passphrase, sidecar=sidecar)


def opening(file: Path | None) -> Passphrase:
    """Return the passphrase to open a vault with, from the file or the terminal. Raises UsageError and InputError."""
    return from_file(file) if file is not None else _typed("Passphrase: ")


def from_file(path: Path) -> Passphrase:
    """Return the passphrase in a file that only its owner can read: one line of UTF-8. Raises InputError."""
    content, _ = read_private(path, _FILE, MAX_PASSPHRASE_BYTES + 3)
    line = content.removesuffix(b"\n").removesuffix(b"\r")
    if not 1 <= len(line) <= MAX_PASSPHRASE_BYTES or b"\n" in line:
        raise InputError(f"{_FILE} must hold one line of 1 to {MAX_PASSPHRASE_BYTES} bytes")
    try:
        return Passphrase(line.decode("utf-8"))
    except UnicodeDecodeError:
        # The error of the decoder quotes what it could not read.
        raise InputError(f"{_FILE} must be UTF-8 text") from None


def _chosen() -> Passphrase:
    first = _typed("Passphrase for the original: ")
    if _typed("Again: ") != first:
        raise UsageError("the two passphrases must be the same, got different ones")
    return first


def _typed(prompt: str) -> Passphrase:
    if not sys.stdin.isatty():
        raise UsageError(
            "a passphrase must be typed on a terminal, and there is none",
            hint="--passphrase-file FILE reads it from a file that only you can read",
        )
    return Passphrase(getpass.getpass(prompt))


def _advice(screen: Screen) -> str:
    advice = "take five words or more drawn by dice (diceware), not a sentence"
    # Shown to a person only: what goes to a file or a log is no secret.
    drawn = f"; such as, drawn just now: {suggestion()}" if screen.console.is_terminal else ""
    return f"{advice}{drawn}; or add --allow-weak"
