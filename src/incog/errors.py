"""Everything that incog raises on purpose.

    IncogError                 base: catch this one
    ├── UsageError             a parameter or option is wrong (exit status 2)
    ├── InputError             a source is missing, empty, corrupt, too large or not media
    ├── OutputError            the result cannot be written: it exists, the place is read-only, the disk is full
    ├── ModelError             a network's file is missing or is not the one that it claims to be
    ├── PlanError              a plan is malformed or does not belong to this source
    ├── VaultError             a sealed original cannot be had: wrong passphrase, damage, another file, none there
    ├── TrainingError          a training went astray; its last good checkpoint is kept
    ├── ClaimError             an evaluation refuted what a method claims; its report is written
    └── ExposedError           the finished picture still shows a face: nothing was published

A message says what was wrong, what would be right and what was found; ``hint`` holds the next step,
where there is one, such as the exact command to run. No message holds a passphrase or a key.
"""

from __future__ import annotations


class IncogError(Exception):
    """Base of all errors of this package; ``hint`` is one line that says what to do, or empty."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(IncogError, ValueError):
    """A parameter or option has a value that it must not have."""


class InputError(IncogError):
    """A source cannot be read as what it claims to be."""


class OutputError(IncogError):
    """A result cannot be written to the place asked for."""


class ModelError(IncogError):
    """A network is missing, or its file is not the recorded one."""


class PlanError(IncogError):
    """A plan is malformed, of an unknown version, or made from another source."""


class VaultError(IncogError):
    """A vault is missing, damaged, of another file, or does not open with this passphrase."""


class TrainingError(IncogError):
    """A training cannot go on: a loss is not a number, or an export differs from the network."""


class ClaimError(IncogError):
    """A method does not keep what it claims."""


class ExposedError(IncogError):
    """The rescan of the finished output found a face that could not be covered."""


def must_be(what: str, must: str, got: object) -> UsageError:
    """Return the error for a parameter, worded the one way that all parameters use."""
    return UsageError(f"{what} must be {must}, got {got!r}")
