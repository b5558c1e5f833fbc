"""Files that hold secrets: read only where nobody but their owner can read them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from incog.errors import InputError

# Only the owner bits of a mode are free.
_SHARED_BITS = stat.S_IRWXG | stat.S_IRWXO


def read_private(path: Path, what: str, limit: int) -> tuple[bytes, int]:
    """Return the first ``limit`` bytes of a regular file that only its owner can read (POSIX), and its size.

    what: how messages call it, such as "the secret file". Raises InputError when it is missing, unreadable, no
    regular file or readable by others. No message holds its content.
    """
    # Without O_NONBLOCK, opening a named pipe would wait for a writer for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise InputError(f"{what} cannot be read: {error.strerror}") from None
    try:
        # Asked of the open file, not of its name, so that nobody can swap it in between.
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{what} must be a regular file")
        if os.name == "posix" and status.st_mode & _SHARED_BITS:
            raise InputError(
                f"{what} must be readable by its owner only, got mode {stat.S_IMODE(status.st_mode):04o}",
                hint="chmod 600 the file, or make a new one if others may have read it",
            )
        return os.read(descriptor, limit), status.st_size
    except OSError as error:
        raise InputError(f"{what} cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
