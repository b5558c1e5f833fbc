"""What a passphrase or an identity brings back of a published file: the original, or the faces that it was granted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from incog.errors import VaultError
from incog.media import decode
from incog.media.encode import encode
from incog.media.files import output_error, pending
from incog.media.image import ImageSource
from incog.types import Frame
from incog.vault.carriers import Carried
from incog.vault.header import FACE, FILE, ORIGINALS
from incog.vault.locks import Opener, unlock
from incog.vault.patches import Patch, laid, unpack
from incog.vault.rebuild import rebuilt
from incog.vault.stream import Content, opened


@dataclass(frozen=True, slots=True)
class Restored:
    """What was written: where, and what it is, in words."""

    path: Path
    words: str


def restore(
    carried: Carried,
    opener: Opener,
    target: Path,
    *,
    overwrite: bool = False,
    follow: bool = False,
    ignore_binding: bool = False,
) -> Restored:
    """Write what the opener has the keys of, readable by its owner only: the original, or else the published picture
    with the granted faces put back, as PNG.

    follow: not to ``target``, but to a name beside it with the result's suffix, ``photo.restored.jpg``.
    ignore_binding: although ``check_binding`` finds something wrong. Raises VaultError and OutputError; then nothing is
    written.
    """
    check_binding(carried, ignore=ignore_binding)
    ring = unlock(carried.header, opener)
    contents = opened(carried.blocks(), carried.header, lambda part: ring.key(carried.header.core, part))
    original, patches = None, list[Patch]()
    for content in contents:
        if content.part.kind in ORIGINALS:
            original = content
            break
        if content.part.kind == FACE:
            patches += unpack(b"".join(content.blocks))
    if original is None:
        suffix, words, blocks = _granted(carried, patches)
    else:
        suffix, words, blocks = _whole(carried, original, contents)
    place = _restored(target, suffix) if follow else target
    inputs = [carried.path, *([carried.picture] if carried.picture else [])]
    with pending(place, overwrite=overwrite, private=True, inputs=inputs) as file:
        try:
            with file.path.open("wb") as out:
                for block in blocks:
                    out.write(block)
        except OSError as error:
            raise output_error(place, error) from error
        file.publish()
    return Restored(place, words)


def check_binding(carried: Carried, *, ignore: bool = False) -> str | None:
    """Return None when the file is what the vault was made with; raise VaultError when not.

    ignore: return what is wrong instead.
    """
    if carried.bound:
        return None
    wrong = "the file is not the one that the vault was made with: it was edited, damaged or exchanged"
    if carried.binding is None:
        wrong = "the published file is not beside its vault"
    if ignore:
        return wrong
    raise VaultError(
        wrong, hint="--ignore-binding opens the vault all the same: it may belong to another picture"
    )


def _whole(carried: Carried, content: Content, rest: Iterator[Content]) -> tuple[str, str, Iterable[bytes]]:
    if content.kind == FILE:
        return content.suffix, "the original, bit for bit", _to_the_end(content.blocks, rest)
    picture = rebuilt(b"".join(content.blocks), _published(carried)[1])
    words = "the original's pixels and metadata: the same picture, not the same bytes"
    if not carried.bound:
        words = "the original's faces and metadata, and all else from the picture as it is now"
    return content.suffix, words, _to_the_end(iter([picture]), rest)


def _to_the_end(blocks: Iterator[bytes], contents: Iterator[Content]) -> Iterator[bytes]:
    """Yield the blocks, and read the rest of the vault: what is damaged there must not go unnoticed."""
    yield from blocks
    for _ in contents:
        pass


def _granted(carried: Carried, patches: list[Patch]) -> tuple[str, str, Iterable[bytes]]:
    if not patches:
        raise VaultError("the vault no longer holds what these keys open")
    source, frame = _published(carried)
    numbers = ", ".join(str(number) for number in sorted({patch.number for patch in patches}))
    words = f"the published picture with face(s) {numbers} as they were; all others stay hidden"
    return ".png", words, [_png(source, laid(frame, patches))]


def _published(carried: Carried) -> tuple[ImageSource, Frame]:
    if carried.picture is None:
        raise VaultError(
            "the published picture is not beside its vault, and the vault holds only what was changed in it"
        )
    source = ImageSource(carried.picture)
    return source, next(iter(source.frames()))


def _png(source: ImageSource, frame: Frame) -> bytes:
    """Return a frame as a PNG file with the colours of its source."""
    traits = source.traits
    chunks = traits.chunks
    if traits.primaries and not traits.icc:
        chunks = ((b"cICP", bytes([*traits.primaries, 0, 1])),)
    plain = replace(traits, format="png", chunks=chunks)
    return encode(decode.joined(frame.planes), frame.layout, plain, None)


def _restored(path: Path, suffix: str) -> Path:
    name = path.name.removesuffix(".incog") if path.suffix == ".incog" else path.name
    stem = Path(name).stem.removesuffix(".granted").removesuffix(".incog")
    # The suffix was written by whoever sealed the file: it must not lead out of the folder.
    safe = suffix if suffix.startswith(".") and suffix[1:].isalnum() else ""
    return path.with_name(f"{stem}.restored{safe}")
