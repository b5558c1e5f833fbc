"""Changed pixels in place of a file, and faces granted one by one: which pixels come back, and which never do."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from incog.errors import InputError, OutputError, UsageError, VaultError
from incog.media import containers, open_source
from incog.media.base import OutputOptions
from incog.types import Array, Face, Frame, Layout
from incog.vault import grants
from incog.vault.carriers import find
from incog.vault.files import Sealing, sealed
from incog.vault.grants import faces_of, grant
from incog.vault.header import FACE, FILE, MASKS, PIXELS, Cost
from incog.vault.locks import Identities, Recipient
from incog.vault.opening import restore
from incog.vault.patches import WITHIN, Changes, Patch, outlined, pack, unpack
from incog.vault.slots import Decoy, Slots
from incog.vault.stream import Passphrase

Blocked = Callable[[Path, Path, str], None]

CHEAP = Cost(1, 8, 1)
OWNER, FRIEND, OTHER = Passphrase("the owner"), Passphrase("a friend"), Passphrase("another friend")
PRIVATE = "AGE-SECRET-KEY-1XMWWC06LY3EE5RYTXM9MFLAZ2U56JJJ36S0MYPDRWSVLUL66MV4QX3S7F6"
IDENTITY = Identities.of(PRIVATE.encode())
PUBLIC = Recipient(str(IDENTITY.parsed()[0].to_public()))
FACES = [Face((4, 6, 20, 26)), Face((18, 8, 34, 28)), Face((40, 4, 58, 24))]
"""The first two overlap."""


def draw(width: int = 64, height: int = 40) -> Any:
    """Return noise over a gradient, (H, W, 3) uint8."""
    random = np.random.default_rng(7)
    y, x = np.mgrid[:height, :width]
    shade = np.dstack([x * 3, y * 5, 255 - x * 3])
    return np.clip(shade + random.integers(-20, 20, (height, width, 3)), 0, 255).astype(np.uint8)


def covered(frame: Frame) -> Frame:
    """Return the frame with ellipses of one colour over the faces."""
    result = frame.copy()
    for face in FACES:
        (x, y), half = face.centre, (face.width / 2, face.height / 2)
        rows, columns = np.mgrid[: frame.height, : frame.width]
        inside = ((columns - x) / half[0]) ** 2 + ((rows - y) / half[1]) ** 2 <= 1
        result.planes[0][inside] = frame.layout.maximum // 3
        if frame.layout.alpha:
            result.planes[1][inside] = frame.layout.maximum
    return result


@dataclass(frozen=True)
class Hidden:
    """An original, its published file with a vault, and their pictures."""

    original: Path
    published: Path
    before: Frame
    after: Frame


def frame_of(path: Path) -> Frame:
    return next(iter(open_source(path).frames()))


def hidden(original: Path, sealing: Sealing | None = None) -> Hidden:
    source = open_source(original)
    before = frame_of(original)
    published = original.with_name(f"out{source.suffix}")
    with source.sink(published, OutputOptions()) as sink:
        sink.write(covered(before))
    changes = Changes.between(before, covered(before), FACES, source.suffix)
    with sealed(published, published, original, sealing or Sealing(OWNER, CHEAP), changes=changes):
        pass
    return Hidden(original, published, before, frame_of(published))


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(path: Path, mode: str = "RGB", **options: Any) -> Path:
    """Write a PNG file with texts, a time and a private chunk, as a camera's program might."""
    picture = Image.fromarray(draw())
    if mode.endswith("16"):
        deep = draw().astype(np.uint16) * 257 + 3
        deep = deep if mode == "RGB16" else deep[..., 0]
        cv2.imwrite(str(path), deep)
    else:
        info = PngImagePlugin.PngInfo()
        info.add_text("Author", "somebody")
        info.add(b"prIv", b"\0\1\2")
        picture = picture.convert(mode)
        if mode.endswith("A"):
            picture.putalpha(Image.fromarray(draw()[..., 1]))
        picture.save(path, pnginfo=info, compress_level=1, **options)
    return path


# Changed pixels


def without_pixels(path: Path) -> list[tuple[bytes, bytes]]:
    data = path.read_bytes()
    parts, end = containers.png_parts(data)
    rest = [(part.kind, data[part.start : part.end]) for part in parts if part.kind != b"IDAT"]
    return [*rest, (b"behind", data[end:])]


def raw(path: Path) -> Any:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "L16", "RGB16"])
def test_pixels_and_metadata_of_a_png_come_back_from_less_than_the_file(mode: str, tmp_path: Path) -> None:
    case = hidden(png(tmp_path / "a.png", mode))
    header = find(case.published).header
    assert [part.kind for part in header.parts] == [PIXELS]
    assert header.parts[0].payload < case.original.stat().st_size
    back = restore(find(case.published), OWNER, tmp_path / "back.png")
    assert "not the same bytes" in back.words
    assert np.array_equal(raw(back.path), raw(case.original))
    assert without_pixels(back.path) == without_pixels(case.original)


def test_on_request_the_file_itself_is_sealed(tmp_path: Path) -> None:
    case = hidden(png(tmp_path / "a.png"), Sealing(OWNER, CHEAP, whole_file=True))
    assert [part.kind for part in find(case.published).header.parts] == [FILE, MASKS]
    back = restore(find(case.published), OWNER, tmp_path / "back.png")
    assert "bit for bit" in back.words
    assert back.path.read_bytes() == case.original.read_bytes()


def turned(path: Path) -> Path:
    exif = Image.Exif()
    exif[0x0112] = 3
    return png(path, exif=exif)


def with_key(path: Path) -> Path:
    Image.fromarray(draw()).save(path, transparency=(1, 2, 3))
    return path


def palette(path: Path) -> Path:
    Image.fromarray(draw()).quantize(200).save(path)
    return path


def with_an_empty_chunk(path: Path) -> Path:
    data = png(path).read_bytes()
    place = data.index(b"IDAT") - 4
    path.write_bytes(data[:place] + chunk(b"IDAT", b"") + data[place:])
    return path


@pytest.mark.parametrize("make", [turned, with_key, palette, lambda path: deep_alpha(path)])
def test_where_pixels_would_not_bring_it_back_the_file_is_sealed(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    case = hidden(make(tmp_path / "a.png"))
    back = restore(find(case.published), OWNER, tmp_path / "back.png")
    assert back.path.read_bytes() == case.original.read_bytes()


def test_a_file_of_empty_chunks_comes_back(tmp_path: Path) -> None:
    case = hidden(with_an_empty_chunk(tmp_path / "a.png"))
    back = restore(find(case.published), OWNER, tmp_path / "back.png")
    assert np.array_equal(raw(back.path), raw(case.original))
    assert without_pixels(back.path) == without_pixels(case.original)


def test_a_file_that_is_smaller_than_its_changed_pixels_is_sealed_itself(tmp_path: Path) -> None:
    original = tmp_path / "a.png"
    Image.new("RGB", (64, 40)).save(original)
    assert [part.kind for part in find(hidden(original).published).header.parts] == [FILE, MASKS]


def test_what_follows_the_end_comes_back_too(tmp_path: Path) -> None:
    original = png(tmp_path / "a.png")
    original.write_bytes(original.read_bytes() + b"a video, perhaps")
    back = restore(find(hidden(original).published), OWNER, tmp_path / "back.png")
    assert back.path.read_bytes().endswith(b"a video, perhaps")


def test_of_an_edited_picture_only_the_faces_come_back(tmp_path: Path) -> None:
    case = hidden(png(tmp_path / "a.png"), Sealing(OWNER, CHEAP, sidecar=True))
    edited = case.after.planes[0].copy()
    edited[39] = 0
    Image.fromarray(edited).save(case.published)
    back = restore(find(case.published), OWNER, tmp_path / "back.png", ignore_binding=True)
    assert "from the picture as it is now" in back.words
    assert np.array_equal(raw(back.path)[:39], raw(case.original)[:39])
    assert not raw(back.path)[39].any()


def test_pixels_need_their_picture(tmp_path: Path) -> None:
    case = hidden(png(tmp_path / "a.png"), Sealing(OWNER, CHEAP, sidecar=True))
    beside = case.published.with_name("out.png.incog")
    Image.fromarray(draw(30, 30)).save(case.published)
    for words in ("outside of the picture", "not beside its vault"):
        with pytest.raises(VaultError, match=words):
            restore(find(beside), OWNER, tmp_path / "back.png", ignore_binding=True)
        case.published.unlink(missing_ok=True)
    assert not (tmp_path / "back.png").exists()


# Grants


def save(path: Path, **options: Any) -> Path:
    Image.fromarray(draw()).save(path, **options)
    return path


def cmyk(path: Path) -> Path:
    Image.fromarray(draw()).convert("CMYK").save(path, quality=90)
    return path


def heic(path: Path) -> Path:
    pillow_heif.from_pillow(Image.fromarray(draw())).save(path, quality=90)
    return path


def deep_tiff(path: Path) -> Path:
    tifffile.imwrite(path, draw().astype(np.uint16) * 250, photometric="rgb")
    return path


def deep_alpha(path: Path) -> Path:
    """Write grey with alpha at 16 bits, which neither Pillow nor OpenCV writes."""
    deep = draw()[..., :2].astype(">u2") * 257 + 5
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    header = struct.pack(">IIBBBBB", deep.shape[1], deep.shape[0], 16, 4, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    path.write_bytes(containers.PNG_SIGNATURE + b"".join(parts))
    return path


PHOTOS: dict[str, Callable[[Path], Path]] = {
    "a.png": png,
    "alpha.png": lambda path: png(path, "RGBA"),
    "grey.png": lambda path: png(path, "L"),
    "deep.png": lambda path: png(path, "RGB16"),
    "deep-alpha.png": deep_alpha,
    "turned.png": turned,
    "palette.png": palette,
    "a.jpg": lambda path: save(path, quality=90),
    "grey.jpg": lambda path: png(path.with_suffix(".png"), "L") and _as_jpeg(path),
    "cmyk.jpg": cmyk,
    "a.webp": lambda path: save(path, quality=90),
    "lossless.webp": lambda path: save(path, lossless=True),
    "a.tiff": save,
    "deep.tiff": deep_tiff,
    "a.bmp": save,
    "a.gif": lambda path: save(path),
    "a.avif": lambda path: save(path, quality=90),
    "a.heic": heic,
}


def _as_jpeg(path: Path) -> Path:
    Image.open(path.with_suffix(".png")).convert("L").save(path, quality=90)
    return path


def samples(frame: Frame) -> Any:
    planes = frame.planes[0]
    return np.dstack([planes] * 3) if planes.ndim == 2 else planes


@pytest.mark.parametrize("name", PHOTOS)
def test_granted_faces_come_back_and_no_others(name: str, tmp_path: Path) -> None:
    case = hidden(PHOTOS[name](tmp_path / name))
    assert list(faces_of(find(case.published).header)) == [1, 2, 3]
    target = tmp_path / f"granted{case.published.suffix}"
    done = grant(find(case.published), OWNER, [2], FRIEND, target)
    assert (done.sidecar is not None) == (case.published.suffix in {".tiff", ".bmp", ".gif"})
    back = restore(find(target), FRIEND, tmp_path / "back.png")
    assert "face(s) 2" in back.words
    shown, before, after = (samples(item) for item in (frame_of(back.path), case.before, case.after))
    assert shown.dtype == before.dtype
    mine = nearest(shown.shape) == 1
    changed = (samples(covered(case.before)) != before).any(axis=-1)
    assert np.array_equal(shown[mine & changed], before[mine & changed])
    assert np.array_equal(shown[~mine], after[~mine])
    # The owner's file is still in it.
    whole = restore(find(target), OWNER, tmp_path / f"whole{case.original.suffix}")
    assert np.array_equal(samples(frame_of(whole.path)), before)


def nearest(shape: tuple[int, ...]) -> Any:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    distances = [
        ((columns - face.centre[0]) / (face.width / 2)) ** 2
        + ((rows - face.centre[1]) / (face.height / 2)) ** 2
        for face in FACES
    ]
    owner = np.argmin(distances, axis=0)
    # In a face's own outline no larger one has a share.
    for place in sorted(range(len(FACES)), key=lambda place: -FACES[place].width * FACES[place].height):
        owner[distances[place] <= WITHIN] = place
    return owner


def test_all_faces_together_are_the_original(tmp_path: Path) -> None:
    case = hidden(png(tmp_path / "a.png"))
    grant(find(case.published), OWNER, [3, 1, 2, 2], FRIEND, tmp_path / "granted.png")
    back = restore(find(tmp_path / "granted.png"), FRIEND, tmp_path / "back.png")
    assert "1, 2, 3" in back.words
    assert np.array_equal(samples(frame_of(back.path)), samples(case.before))


def test_grants_add_up(tmp_path: Path) -> None:
    case = hidden(save(tmp_path / "a.jpg"))
    one, two = tmp_path / "one.jpg", tmp_path / "two.jpg"
    grant(find(case.published), OWNER, [1, 2], FRIEND, one)
    grant(find(one), OWNER, [2, 3], (PUBLIC,), two)
    header = find(two).header
    assert sorted((part.kind, part.number) for part in header.parts) == [
        (FILE, 1),
        (MASKS, 1),
        *((FACE, number) for number in (1, 2, 3)),
    ]
    assert "1, 2" in restore(find(two), FRIEND, tmp_path / "friend.png").words
    assert "2, 3" in restore(find(two), IDENTITY, tmp_path / "identity.png").words
    # A face that is sealed anew has another salt, so no nonce comes twice under one key.
    salts = [
        next(part.salt for part in find(path).header.parts if part.name == b"\4\0\2") for path in (one, two)
    ]
    assert salts[0] != salts[1]


def test_a_copy_for_one_person_holds_nothing_else(tmp_path: Path) -> None:
    case = hidden(save(tmp_path / "a.jpg"))
    grant(find(case.published), OWNER, [1], FRIEND, tmp_path / "one.jpg")
    grant(find(tmp_path / "one.jpg"), OWNER, [3], OTHER, tmp_path / "alone.jpg", alone=True)
    header = find(tmp_path / "alone.jpg").header
    assert [(part.kind, part.number) for part in header.parts] == [(FACE, 3)]
    assert list(faces_of(header)) == [3]
    assert len(header.locks) == 1
    for opener in (OWNER, FRIEND):
        with pytest.raises(VaultError, match="passphrase is wrong"):
            restore(find(tmp_path / "alone.jpg"), opener, tmp_path / "back.png")
    assert "face(s) 3" in restore(find(tmp_path / "alone.jpg"), OTHER, tmp_path / "back.png").words


def test_the_camera_needs_no_secret(tmp_path: Path) -> None:
    case = hidden(save(tmp_path / "a.jpg"), Sealing(None, CHEAP, recipients=(PUBLIC,)))
    back = restore(find(case.published), IDENTITY, tmp_path / "back.jpg")
    assert back.path.read_bytes() == case.original.read_bytes()
    with pytest.raises(VaultError, match="sealed for recipients"):
        restore(find(case.published), OWNER, tmp_path / "no.jpg")
    grant(find(case.published), IDENTITY, [1], FRIEND, tmp_path / "granted.jpg")
    assert "face(s) 1" in restore(find(tmp_path / "granted.jpg"), FRIEND, tmp_path / "f.png").words


def refused(case: Hidden, error: type[Exception], words: str, *arguments: Any) -> None:
    target = case.published.with_name("refused.jpg")
    with pytest.raises(error, match=words):
        grant(find(case.published), *arguments, target)
    assert sorted(path.name for path in target.parent.iterdir()) == [case.original.name, case.published.name]


def test_what_cannot_be_granted_is_refused(tmp_path: Path) -> None:
    case = hidden(save(tmp_path / "a.jpg"))
    for faces in ([], [0], [4], [1, 4], [-1]):
        refused(case, UsageError, "numbers from 1 to 3", OWNER, faces, FRIEND)
    refused(case, VaultError, "passphrase is wrong", FRIEND, [1], OTHER)
    refused(case, UsageError, "must not be the owner's", OWNER, [1], OWNER)
    grant(find(case.published), OWNER, [1], FRIEND, tmp_path / "granted.jpg")
    with pytest.raises(VaultError, match="only the owner"):
        grant(find(tmp_path / "granted.jpg"), FRIEND, [1], OTHER, tmp_path / "more.jpg")
    with pytest.raises(OutputError, match="input itself"):
        grant(find(case.published), OWNER, [1], FRIEND, case.published, overwrite=True)
    case.published.write_bytes(case.published.read_bytes() + b"\0")
    with pytest.raises(VaultError, match="edited"):
        grant(find(case.published), OWNER, [1], FRIEND, tmp_path / "edited.jpg")


def test_slots_have_no_single_faces(tmp_path: Path) -> None:
    case = hidden(save(tmp_path / "a.jpg"), Sealing(OWNER, CHEAP, slots=Slots()))
    assert faces_of(find(case.published).header) == {}
    refused(case, VaultError, "no single faces", OWNER, [1], FRIEND)
    back = restore(find(case.published), OWNER, tmp_path / "back.jpg")
    assert back.path.read_bytes() == case.original.read_bytes()


def test_the_number_of_grants_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = hidden(save(tmp_path / "a.jpg"))
    monkeypatch.setattr(grants, "MAX_LOCKS", 1)
    refused(case, VaultError, "less than 1 locks", OWNER, [1], FRIEND)


# Every byte, every length


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a small published PNG with a recipient and two grants."""
    monkeypatch.setitem(globals(), "FACES", [Face((1, 1, 6, 7)), Face((8, 2, 13, 9))])
    original = tmp_path / "a.png"
    Image.fromarray(draw(16, 10)).save(original)
    case = hidden(original, Sealing(OWNER, CHEAP, recipients=(PUBLIC,)))
    grant(find(case.published), OWNER, [1], FRIEND, tmp_path / "one.png")
    grant(find(tmp_path / "one.png"), OWNER, [2], OTHER, tmp_path / "two.png")
    return tmp_path / "two.png"


def test_no_byte_of_a_file_with_grants_can_be_flipped(tiny: Path, tmp_path: Path) -> None:
    openers = [OWNER, FRIEND, OTHER]
    data, target = tiny.read_bytes(), tmp_path / "back.png"
    with tiny.open("r+b", buffering=0) as file:
        for at in range(len(data)):
            os.pwrite(file.fileno(), bytes([data[at] ^ 1 << at % 8]), at)
            with pytest.raises((VaultError, InputError)):
                restore(find(tiny), openers[at % 3], target)
            os.pwrite(file.fileno(), data[at : at + 1], at)
    assert not target.exists()
    for opener in openers:
        assert restore(find(tiny), opener, target, overwrite=True).path.exists()


def test_no_byte_of_a_file_with_grants_can_be_missing(tiny: Path, tmp_path: Path) -> None:
    data, target = tiny.read_bytes(), tmp_path / "back.png"
    for length in range(len(data)):
        tiny.write_bytes(data[:length])
        with pytest.raises((VaultError, InputError)):
            restore(find(tiny), [OWNER, FRIEND, OTHER][length % 3], target)
    assert not target.exists()


# Patches


def test_each_changed_pixel_belongs_to_one_face(tmp_path: Path) -> None:
    before = frame_of(png(tmp_path / "a.png"))
    changes = Changes.between(before, covered(before), FACES, ".png")
    count = np.zeros((before.height, before.width), int)
    for patch in changes.patches:
        count[patch.window] += patch.mask
    changed = (before.planes[0] != covered(before).planes[0]).any(axis=-1)
    assert np.array_equal(count, changed)
    grown = Changes.between(before, covered(before), FACES, ".jpg")
    assert sum(patch.mask.sum() for patch in grown.patches) > changed.sum()


def test_faces_are_numbered_from_left_to_right(tmp_path: Path) -> None:
    before = frame_of(png(tmp_path / "a.png"))
    changes = Changes.between(before, covered(before), FACES[::-1], ".png")
    assert [patch.number for patch in changes.patches] == [1, 2, 3]
    assert sorted(patch.x for patch in changes.patches) == [patch.x for patch in changes.patches]
    assert Changes.between(before, before, FACES, ".png").patches == ()


def test_patches_that_cannot_be_read_are_damage() -> None:
    patch = Patch(1, 2, 3, np.eye(4, dtype=bool), b"samples")
    data = pack([patch, replace(patch, number=2)])
    (one, two) = unpack(data)
    assert (one.number, two.number, one.box, one.png) == (1, 2, (2, 3, 4, 4), b"samples")
    assert np.array_equal(one.mask, patch.mask)
    for spoiled in (data[:5], data[:30], data[:-1], data[:14] + b"x" + data[15:], data + b"\0"):
        with pytest.raises(VaultError, match="cannot be read"):
            unpack(spoiled)


def test_a_large_face_holds_nothing_of_a_small_one_beside_it() -> None:
    before = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    large, small = Face((50, 50, 250, 250)), Face((195, 135, 225, 165))
    rows, columns = np.mgrid[:400, :400]

    def ellipse(face: Face, scale: float = 1.0) -> Array:
        x, y = face.centre
        across, down = (columns - x) / face.width, (rows - y) / face.height
        return np.asarray((across**2 + down**2) * 4 / scale**2 <= 1)

    after = before.copy()
    changed = ellipse(large, 1.15) | ellipse(small, 1.15)
    after[changed] = 255 - before[changed]
    frames = [Frame((pixels,), Layout("rgb")) for pixels in (before, after)]
    first, second = outlined(*frames, [large, small])
    held = [np.zeros((400, 400), np.bool_), np.zeros((400, 400), np.bool_)]
    for item, patch in zip(held, (first, second), strict=True):
        item[patch.window] = patch.mask
    assert not (held[0] & ellipse(small, 1.15)).any()
    assert held[1][ellipse(small, 1.15)].all()
    assert (held[0] | held[1]).sum() == (before != after).any(2).sum()


def test_a_vault_beside_stays_when_its_replacement_fails(tmp_path: Path) -> None:
    original, target = tmp_path / "photo.png", tmp_path / "photo.incog.tiff"
    Image.new("RGB", (40, 40), (200, 10, 10)).save(original)
    sealing = Sealing(Passphrase("some long passphrase of an owner"), Cost(1, 64, 1))

    def made() -> Path:
        published = tmp_path / "made.tiff"
        Image.new("RGB", (40, 40), (10, 10, 10)).save(published)
        return published

    published = made()
    with sealed(published, target, original, sealing):
        published.rename(target)
    beside = target.with_name(target.name + ".incog")
    content = beside.read_bytes()
    with pytest.raises(KeyboardInterrupt), sealed(made(), target, original, sealing, overwrite=True):
        raise KeyboardInterrupt
    assert beside.read_bytes() == content
    published = made()
    with sealed(published, target, original, sealing, overwrite=True):
        published.replace(target)
    assert beside.read_bytes() != content
    assert sorted(item.name for item in tmp_path.iterdir()) == sorted(
        [original.name, target.name, beside.name]
    )


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("how", ["folder", "original is a link to it", "link to the original"])
def test_nothing_is_moved_where_a_vault_cannot_lie(how: str, blocked: Blocked, tmp_path: Path) -> None:
    original, target = tmp_path / "photo.png", tmp_path / "photo.incog.tiff"
    Image.new("RGB", (40, 40), (200, 10, 10)).save(original)
    published = tmp_path / "made.tiff"
    Image.new("RGB", (40, 40), (10, 10, 10)).save(published)
    blocked(tmp_path / "photo.incog.tiff.incog", original, how)
    before = contents(tmp_path)
    with (
        pytest.raises(OutputError, match=r"folder|input itself"),
        sealed(published, target, original, Sealing(OWNER, CHEAP), overwrite=True),
    ):
        pytest.fail("the vault was placed")
    assert contents(tmp_path) == before


def test_a_decoy_is_not_replaced_by_its_vault(tmp_path: Path) -> None:
    original, target = tmp_path / "photo.png", tmp_path / "photo.incog.tiff"
    decoy = tmp_path / "photo.incog.tiff.incog"
    for path in (original, tmp_path / "made.tiff", decoy):
        Image.new("RGB", (40, 40), (10, 10, 10)).save(path, "TIFF" if path.suffix == ".tiff" else "PNG")
    sealing = Sealing(OWNER, CHEAP, slots=Slots(decoys=(Decoy(decoy, FRIEND),)))
    before = contents(tmp_path)
    with (
        pytest.raises(OutputError, match="input itself"),
        sealed(tmp_path / "made.tiff", target, original, sealing, overwrite=True),
    ):
        pytest.fail("the vault was placed")
    assert contents(tmp_path) == before


def test_a_grant_does_not_replace_the_vault_that_it_reads(tmp_path: Path) -> None:
    case = hidden(save(tmp_path / "a.jpg"), Sealing(OWNER, CHEAP, sidecar=True))
    target = tmp_path / "granted.jpg"
    vault = case.published.with_name(case.published.name + ".incog")
    (tmp_path / "granted.jpg.incog").symlink_to(vault)
    before = contents(tmp_path)
    with pytest.raises(OutputError, match="input itself"):
        grant(find(case.published), OWNER, [1], FRIEND, target, overwrite=True)
    assert contents(tmp_path) == before


def test_passphrases_that_give_one_key_are_equal() -> None:
    assert Passphrase("cr\u00e8me br\u00fbl\u00e9e") == Passphrase("cre\u0300me bru\u0302le\u0301e")
