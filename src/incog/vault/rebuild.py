"""A PNG file from the published picture, the pixels that were changed in it, and all else that the file held.

The result has the original's pixels and metadata, bit for bit; only their coding is new.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import numpy as np

from incog.errors import VaultError
from incog.media import containers, decode, open_source
from incog.media.encode import png_bytes, png_chunk
from incog.media.magic import HEAD, image_format
from incog.types import Array, Frame
from incog.vault.patches import Changes, Patch, cut, laid, pack, unpack

_LENGTH: Final = struct.Struct(">I")
_HEADER: Final = slice(8, 8 + 12 + 13)
_PLACE: Final = png_chunk(b"IDAT", b"")
"""What stands in the file for the pixels."""


def packed(original: Path, published: Path, changes: Changes) -> bytes | None:
    """Return what has to be sealed of a PNG file, None where it is none or that would not bring it back."""
    data = decode.read(original)
    frame = _plain(data) if image_format(data[:HEAD]) == "png" else None
    if frame is None:
        return None
    faces = [cut(changes.before, patch) for patch in changes.patches]
    content = _LENGTH.pack(len(frame)) + frame + pack(faces)
    try:
        again = rebuilt(content, next(iter(open_source(published).frames())))
    except VaultError:
        return None
    return content if np.array_equal(_samples(again), _samples(data)) else None


def rebuilt(content: bytes, published: Frame) -> bytes:
    """Return the PNG file that was ``packed``. Raises VaultError when the published picture is another one."""
    if len(content) < _LENGTH.size:
        raise VaultError("the vault holds a picture that cannot be read: it is cut off")
    end = _LENGTH.size + _LENGTH.unpack_from(content)[0]
    frame, patches = content[_LENGTH.size : end], unpack(content[end:])
    whole = laid(published, patches)
    coded = png_bytes(decode.joined(whole.planes), whole.layout)
    place = frame.find(_PLACE)
    if place < 0 or coded[_HEADER] != frame[_HEADER]:
        raise VaultError("the picture is not the one that was hidden: it has another size or other samples")
    pixels = [part for part in containers.png_parts(coded)[0] if part.kind == b"IDAT"]
    chunks = b"".join(coded[part.start - 8 : part.end + 4] for part in pixels)
    return frame[:place] + chunks + frame[place + len(_PLACE) :]


def patches_of(content: bytes) -> list[Patch]:
    """Return the faces in what was ``packed``."""
    return unpack(content[_LENGTH.size + _LENGTH.unpack_from(content)[0] :])


def _plain(original: bytes) -> bytes | None:
    """Return a PNG file without its pixels, None when it is animated or they lie in several places."""
    parts, _ = containers.png_parts(original)
    kinds = [part.kind for part in parts]
    places = [number for number, kind in enumerate(kinds) if kind == b"IDAT"]
    if b"acTL" in kinds or not places or places[-1] - places[0] != len(places) - 1:
        return None
    first, last = parts[places[0]].start - 8, parts[places[-1]].end + 4
    front = original[:first]
    # The place must be found again, whatever else the file holds.
    return None if _PLACE in front else front + _PLACE + original[last:]


def _samples(data: bytes) -> Array:
    """Return the samples of a PNG file as they are stored, at full depth."""
    with decode.parsing("PNG"):
        pixels, layout = decode.samples(decode.open_picture(data, "png"), [])
        deep = decode.sixteen_bit(data, pixels) if layout.depth == 8 and data[24] == 16 else None
    return pixels if deep is None else deep
