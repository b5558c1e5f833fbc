"""The suffix of a name and the kind of what the file holds: no result says of itself what it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from incog.errors import OutputError
from incog.media.walk import printable

_ALIASES: Final = {
    ".jpeg": ".jpg",
    ".jpe": ".jpg",
    ".jfif": ".jpg",
    ".tiff": ".tif",
    ".heif": ".heic",
    ".m4v": ".mp4",
    ".apng": ".png",
}


def same_suffix(one: str, other: str) -> bool:
    """Whether two suffixes mean the same kind of file."""
    one, other = one.lower(), other.lower()
    return _ALIASES.get(one, one) == _ALIASES.get(other, other)


def check_suffix(target: Path, suffix: str) -> None:
    """Raise OutputError when the name of a result is not one for content of the kind that ``suffix`` means."""
    if not same_suffix(target.suffix, suffix):
        raise OutputError(
            f"the output must have the suffix {printable(suffix)}, as the content is, got {target.suffix!r}"
        )
