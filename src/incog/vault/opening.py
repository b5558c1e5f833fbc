"""What a passphrase or an identity brings back of a published file: the original, or the faces that it was granted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from incog.errors import InputError, VaultError
from incog.media import decode, open_source
from incog.media.base import OutputOptions
from incog.media.encode import encode
from incog.media.files import output_error, pending
from incog.media.image import ImageSource
from incog.media.suffixes import check_suffix, same_suffix
from incog.types import Frame
from incog.vault.carriers import Carried
from incog.vault.header import FACE, FILE, ORIGINALS, TRACK
from incog.vault.locks import Opener, unlock
from incog.vault.patches import Patch, laid, unpack
from incog.vault.rebuild import rebuilt
from incog.vault.stream import Content, opened
from incog.vault.tracks import laid_in


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
    with the granted faces put back, as PNG, or the video, encoded anew.

    follow: not to ``target``, but to a name beside it with the result's suffix, ``photo.restored.jpg``.
    ignore_binding: although ``check_binding`` finds something wrong. Raises VaultError and OutputError, also for a
    target with the suffix of another kind of file; then nothing is written.
    """
    check_binding(carried, ignore=ignore_binding)
    ring = unlock(carried.header, opener)
    with ExitStack() as stack:
        contents = opened(carried.blocks(), carried.header, lambda part: ring.key(carried.header.core, part))
        original, patches, tracks = None, list[Patch](), dict[int, Path]()
        for content in contents:
            if content.part.kind in ORIGINALS:
                original = content
                break
            if content.kind == FACE:
                patches += unpack(b"".join(content.blocks))
            elif content.kind == TRACK:
                scratch = stack.enter_context(
                    pending(target, overwrite=True, parents=True, private=True)
                ).path
                _write(scratch, content.blocks)
                tracks[content.part.number] = scratch
        if original is not None:
            found = _whole(carried, original, contents)
        elif tracks:
            found = _tracks(carried, tracks)
        else:
            found = _granted(carried, patches)
        place = _restored(target, found.suffix) if follow else target
        inputs = [carried.path, *([carried.picture] if carried.picture else [])]
        with pending(place, overwrite=overwrite, parents=True, private=True, inputs=inputs) as file:
            try:
                found.write(file.path)
            except OSError as error:
                raise output_error(place, error) from error
            _check_suffix(place, found.suffix, file.path)
            file.publish()
    return Restored(place, found.words)


@dataclass(frozen=True, slots=True)
class _Found:
    """What is to be written: its suffix, what it is in words, and what writes it."""

    suffix: str
    words: str
    write: Callable[[Path], None]


def _check_suffix(place: Path, suffix: str, written: Path) -> None:
    """Raise OutputError for a name with the suffix of another kind than what was written, which had ``suffix``: the
    original's name need not have said what it was."""
    if not place.suffix or same_suffix(place.suffix, suffix):
        return
    # Of what is no photo or video, or cannot be read, the old name alone says what it is.
    with suppress(InputError):
        suffix = open_source(written).suffix
    check_suffix(place, suffix)


def _write(path: Path, blocks: Iterable[bytes]) -> None:
    with path.open("wb") as out:
        out.writelines(blocks)


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


def _whole(carried: Carried, content: Content, rest: Iterator[Content]) -> _Found:
    if content.kind == FILE:
        words, blocks = "the original, bit for bit", content.blocks
    else:
        words = "the original's pixels and metadata: the same picture, not the same bytes"
        if not carried.bound:
            words = "the original's faces and metadata, and all else from the picture as it is now"
        blocks = iter([rebuilt(b"".join(content.blocks), _published(carried)[1])])

    def write(path: Path) -> None:
        _write(path, blocks)
        # To the end: what is damaged in the rest of the vault must not go unnoticed.
        for _ in rest:
            pass

    return _Found(content.suffix, words, write)


def _granted(carried: Carried, patches: list[Patch]) -> _Found:
    if not patches:
        raise VaultError("the vault no longer holds what these keys open")
    source, frame = _published(carried)
    picture = _png(source, laid(frame, patches))
    words = f"the published picture with {_named(patch.number for patch in patches)}"
    return _Found(".png", words, lambda path: _write(path, [picture]))


def _tracks(carried: Carried, tracks: Mapping[int, Path]) -> _Found:
    source = open_source(_picture(carried))

    def write(path: Path) -> None:
        with ExitStack() as stack:
            files = [stack.enter_context(place.open("rb")) for place in tracks.values()]
            sink = stack.enter_context(source.sink(path, OutputOptions()))
            for frame in laid_in(source.frames(), files):
                sink.write(frame)

    return _Found(source.suffix, f"the published {source.kind}, encoded anew, with {_named(tracks)}", write)


def _named(numbers: Iterable[int]) -> str:
    return f"face(s) {', '.join(map(str, sorted(set(numbers))))} as they were; all others stay hidden"


def _picture(carried: Carried) -> Path:
    if carried.picture is None:
        raise VaultError(
            "the published file is not beside its vault, and the vault holds only what was changed in it"
        )
    return carried.picture


def _published(carried: Carried) -> tuple[ImageSource, Frame]:
    source = ImageSource(_picture(carried))
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
