"""Which files of a folder are media, by what they hold, and in an order that is always the same."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from incog.errors import InputError
from incog.media.magic import HEAD, Media, media_type

# fmt: off
MEDIA_SUFFIXES: Final = frozenset({
    ".3g2", ".3gp", ".apng", ".arw", ".asf", ".avi", ".avif", ".avifs", ".bmp", ".cr2", ".cr3", ".dib",
    ".dng", ".flv", ".gif", ".heic", ".heics", ".heif", ".heifs", ".hif", ".insv", ".j2k", ".jfif",
    ".jp2", ".jpe", ".jpeg", ".jpg", ".jxl", ".lrv", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4",
    ".mpe", ".mpeg", ".mpg", ".mpo", ".mts", ".mxf", ".nef", ".ogv", ".orf", ".pef", ".png", ".psd",
    ".qt", ".raf", ".rw2", ".srw", ".tif", ".tiff", ".webm", ".webp", ".wmv",
})
# fmt: on
"""A file with one of these suffixes counts as media whatever it holds, so that a broken one is reported."""

# a resource fork that macOS leaves beside each photo on a foreign disk, with the photo's suffix
_APPLE_DOUBLE: Final = b"\0\x05\x16\x07"


@dataclass(frozen=True, slots=True)
class Walk:
    """What a folder holds. All paths are relative to ``root``, each list in the order of their bytes.

    media: photos and videos, and what is named like one. others: regular files that are neither, and devices,
    pipes and sockets. links: symbolic links; none is followed, what they point to in the tree is visited
    in its own place. errors: what could not be looked at, with the reason.
    """

    root: Path
    media: tuple[Path, ...]
    others: tuple[Path, ...]
    links: tuple[Path, ...]
    errors: tuple[tuple[Path, str], ...]


@dataclass(slots=True)
class _Found:
    media: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)
    errors: list[tuple[Path, str]] = field(default_factory=list)


def walk(root: Path, *, without: Iterable[Path] = ()) -> Walk:
    """Look through ``root`` and every folder below it, hidden ones too.

    without: folders that are left out, such as an output folder that lies inside ``root``.
    Raises InputError when ``root`` is missing, is not a folder or cannot be listed.
    """
    if not root.is_dir():
        problem = "is not a folder" if os.path.lexists(root) else "does not exist"
        raise InputError(f"{printable(root)} {problem}")
    skipped = {_identity(folder) for folder in without if folder.is_dir()}
    found = _Found()
    pending = [Path()]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(root / folder) as entries:
                listed = list(entries)
        except OSError as error:
            if folder == Path():
                raise InputError(f"cannot list the folder {printable(root)}: {_reason(error)}") from error
            found.errors.append((folder, f"cannot list the folder: {_reason(error)}"))
            continue
        for entry in listed:
            _sort_in(root, folder / entry.name, found, pending, skipped)
    return Walk(
        root=root,
        media=tuple(sorted(found.media, key=_order)),
        others=tuple(sorted(found.others, key=_order)),
        links=tuple(sorted(found.links, key=_order)),
        errors=tuple(sorted(found.errors, key=lambda item: _order(item[0]))),
    )


def sniff(path: Path) -> Media | None:
    """Return what the first bytes of the file begin: an ``image``, a ``video``, or None of both.

    Raises InputError when the file cannot be read.
    """
    try:
        return media_type(_head(path))
    except OSError as error:
        raise InputError(f"cannot be read: {_reason(error)}") from error


def printable(path: Path | str) -> str:
    """Return the name on one line, safe to print: control and undecodable characters are escaped."""
    text = os.fspath(path)
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def _sort_in(
    root: Path, path: Path, found: _Found, pending: list[Path], skipped: set[tuple[int, int]]
) -> None:
    try:
        status = (root / path).lstat()
        if stat.S_ISLNK(status.st_mode):
            found.links.append(path)
        elif stat.S_ISDIR(status.st_mode):
            if (status.st_dev, status.st_ino) not in skipped:
                pending.append(path)
        elif stat.S_ISREG(status.st_mode):
            (found.media if _is_media(root / path) else found.others).append(path)
        else:
            # reading a pipe or a device could wait for ever
            found.others.append(path)
    except OSError as error:
        found.errors.append((path, f"cannot read: {_reason(error)}"))


def _is_media(path: Path) -> bool:
    head = _head(path)
    if head.startswith(_APPLE_DOUBLE):
        return False
    return path.suffix.lower() in MEDIA_SUFFIXES or media_type(head) is not None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _order(path: Path) -> tuple[bytes, ...]:
    return tuple(os.fsencode(part) for part in path.parts)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python carries a byte of a name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
