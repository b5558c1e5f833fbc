"""Passphrases: asked for on a terminal or read from a file, never from an option or the environment."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from incog.cli.options import Recovery
from incog.cli.screen import Screen
from incog.errors import InputError, UsageError
from incog.keys import MAX_PASSPHRASE_BYTES
from incog.media.walk import printable
from incog.private import read_private
from incog.vault.files import Sealing
from incog.vault.locks import Identities, Opener, Recipient
from incog.vault.slots import USUAL, Decoy, Slots
from incog.vault.stream import Passphrase
from incog.vault.strength import LEAST_BITS, bits, suggestion

_FILE = "the passphrase file"
_IDENTITY_BYTES = 1 << 16
KEY_BYTES = 32, 1 << 16
"""How long a key file is at least and at most."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the options of ``hide`` and ``render`` say about sealing, as they were given."""

    passphrase: bool
    passphrase_file: Path | None
    key_file: Path | None
    allow_weak: bool
    recipients: tuple[str, ...]
    reversible: Recovery | None
    slots: int | None
    decoy: Path | None
    decoy_passphrase_file: Path | None
    whole_file: bool
    sidecar: bool


def sealing(wanted: Wanted, screen: Screen) -> Sealing | None:
    """Return how to seal originals, None when nobody asked for it.

    Raises UsageError for options that do not go together, a passphrase that is weak or mistyped, or no terminal;
    InputError for a file that does not serve.
    """
    by_phrase = wanted.passphrase or wanted.passphrase_file is not None or wanted.key_file is not None
    _alone(
        {
            "--passphrase": wanted.passphrase,
            "--passphrase-file": wanted.passphrase_file is not None,
            "--key-file": wanted.key_file is not None,
        }
    )
    in_slots = wanted.reversible is Recovery.slots
    _refuse(
        {"--allow-weak": wanted.allow_weak},
        # Only what a person chose can be weak.
        wanted.passphrase or wanted.passphrase_file is not None or wanted.decoy is not None,
        "--passphrase or --passphrase-file",
    )
    _refuse(
        {
            "--slots": wanted.slots is not None,
            "--decoy": wanted.decoy is not None,
            "--decoy-passphrase-file": wanted.decoy_passphrase_file is not None,
        },
        by_phrase,
        "--passphrase, --passphrase-file or --key-file",
    )
    _refuse(
        {
            "--sidecar": wanted.sidecar,
            "--whole-file": wanted.whole_file,
            "--reversible": wanted.reversible is not None,
        },
        by_phrase or bool(wanted.recipients),
        "--passphrase, --passphrase-file, --key-file or --recipient",
    )
    _refuse(
        {"--slots": wanted.slots is not None, "--decoy": wanted.decoy is not None},
        in_slots,
        "--reversible slots",
    )
    _refuse(
        {"--decoy-passphrase-file": wanted.decoy_passphrase_file is not None},
        wanted.decoy is not None,
        "--decoy",
    )
    if not by_phrase and not wanted.recipients:
        return None
    recipients = tuple(Recipient(public) for public in wanted.recipients)
    passphrase = None
    if wanted.key_file is not None:
        passphrase = from_key_file(wanted.key_file)
    elif by_phrase:
        passphrase = _strong(
            wanted.passphrase_file, "Passphrase for the original: ", wanted.allow_weak, screen
        )
    slots = None
    if in_slots:
        decoys: tuple[Decoy, ...] = ()
        if wanted.decoy is not None:
            if not wanted.decoy.is_file():
                raise InputError(f"the decoy must be a file, got {printable(wanted.decoy)}")
            phrase = _strong(
                wanted.decoy_passphrase_file, "Passphrase for the decoy: ", wanted.allow_weak, screen
            )
            if phrase == passphrase:
                raise UsageError("the decoy must have a passphrase of its own, got that of the original")
            decoys = (Decoy(wanted.decoy, phrase),)
        slots = Slots(USUAL if wanted.slots is None else wanted.slots, decoys)
    return Sealing(
        passphrase, sidecar=wanted.sidecar, recipients=recipients, whole_file=wanted.whole_file, slots=slots
    )


def granting(
    file: Path | None, recipients: Sequence[str], *, allow_weak: bool, screen: Screen
) -> Passphrase | tuple[Recipient, ...]:
    """Return to whom faces are to be granted; a passphrase is asked for when nothing is given."""
    if recipients and file is not None:
        raise UsageError("--to-recipient and --to-passphrase-file must not be given together")
    if recipients:
        _refuse({"--allow-weak": allow_weak}, False, "a passphrase")
        return tuple(Recipient(public) for public in recipients)
    return _strong(file, "Passphrase for the grant: ", allow_weak, screen)


def _alone(given: dict[str, bool]) -> None:
    there = [option for option, is_there in given.items() if is_there]
    if len(there) > 1:
        raise UsageError(f"{there[0]} and {there[1]} must not be given together")


def _refuse(given: dict[str, bool], allowed: bool, needs: str) -> None:
    for option, there in given.items():
        if there and not allowed:
            raise UsageError(f"{option} must be given with {needs}")


def _strong(file: Path | None, prompt: str, allow_weak: bool | None, screen: Screen) -> Passphrase:
    """Return a new passphrase, from the file or typed twice. allow_weak: None where there is no such option. Raises
    UsageError when it is weak or mistyped."""
    passphrase = from_file(file) if file is not None else _chosen(prompt)
    strength = bits(passphrase.value)
    if strength < LEAST_BITS:
        words = f"the passphrase must have {LEAST_BITS} bits at least, got about {strength:.0f}"
        if not allow_weak:
            raise UsageError(words, hint=_advice(screen, option=allow_weak is not None))
        screen.say(f"Note: {words}. Whoever has the file can guess it.")
    return passphrase


def of_gallery(file: Path | None, *, new: bool, screen: Screen) -> Passphrase:
    """Return the passphrase of a gallery, from the file or the terminal, where a new one is typed twice. Raises
    UsageError for a new one that is weak or mistyped, and InputError."""
    if new:
        return _strong(file, "Passphrase for the gallery: ", None, screen)
    return from_file(file) if file is not None else _typed("Passphrase: ")


def opening(
    file: Path | None, key_file: Path | None, identity_file: Path | None, prompt: str = "Passphrase: "
) -> Opener:
    """Return what to open a vault with: identities or a passphrase, from a file or the terminal.

    Raises UsageError and InputError.
    """
    _alone(
        {
            "--passphrase-file": file is not None,
            "--key-file": key_file is not None,
            "--identity-file": identity_file is not None,
        }
    )
    if key_file is not None:
        return from_key_file(key_file)
    if identity_file is not None:
        return Identities.of(read_private(identity_file, "the identity file", _IDENTITY_BYTES)[0])
    return from_file(file) if file is not None else _typed(prompt)


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


def from_key_file(path: Path) -> Passphrase:
    """Return the passphrase that a key file stands for, which only its owner can read. Raises InputError."""
    least, most = KEY_BYTES
    content, size = read_private(path, "the key file", most)
    if not least <= size <= most:
        raise InputError(
            f"the key file must hold {least} to {most} bytes, got {size}",
            hint="make one: (umask 077; head -c 32 /dev/urandom > key)",
        )
    if len(set(content)) < least // 4:
        raise InputError("the key file must hold random bytes, got the same few again and again")
    return Passphrase.of_key_file(content)


def _chosen(prompt: str) -> Passphrase:
    first = _typed(prompt)
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


def _advice(screen: Screen, *, option: bool) -> str:
    advice = "take five words or more drawn by dice (diceware), not a sentence"
    # Shown to a person only: what goes to a file or a log is no secret.
    drawn = f"; such as, drawn just now: {suggestion()}" if screen.console.is_terminal else ""
    return f"{advice}{drawn}{'; or add --allow-weak' if option else ''}"
