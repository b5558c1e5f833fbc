"""Photos, animations, videos and folders: frames in, frames out, and nothing else carried over by accident."""

from __future__ import annotations

from pathlib import Path

from incog.errors import InputError
from incog.media.base import Source
from incog.media.image import open_image
from incog.media.video import open_video
from incog.media.walk import sniff


def open_source(path: Path) -> Source:
    """Return the photo, animation or video in a file, told by its content.

    Raises InputError when it is missing, a folder, empty, corrupt, or no media.
    """
    if not path.exists():
        raise InputError("there is no such file")
    if path.is_dir():
        raise InputError("this is a folder, not a file")
    if not path.is_file():
        raise InputError("this is a pipe or a device, not a file")
    try:
        if path.stat().st_size == 0:
            raise InputError("the file is empty")
        kind = sniff(path)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from error
    if kind == "image":
        return open_image(path)
    if kind == "video":
        return open_video(path)
    raise InputError("this is neither a photo nor a video that incog knows")
