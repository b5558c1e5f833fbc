"""Vaults in files: bit-exact round trips for every place, every byte flipped, every length cut, edits and strangers."""

from __future__ import annotations

import contextlib
import hashlib
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import av
import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image

from incog.errors import IncogError, InputError, OutputError, VaultError
from incog.media import open_source
from incog.vault import carriers, files, opening, pictures, tails
from incog.vault.carriers import find, sidecar_of
from incog.vault.files import Sealing, sealed, strip
from incog.vault.header import Cost
from incog.vault.locks import unlock
from incog.vault.opening import check_binding, restore
from incog.vault.slots import Decoy, Slots
from incog.vault.stream import Passphrase
from incog.vault.stream import opened as parts_of

ROOT = Path(__file__).resolve().parents[2]
CHEAP = Cost(1, 8, 1)
PHRASE = Passphrase("open sesame")
SEALING = Sealing(PHRASE, CHEAP)

PLACES = {
    "a.jpg": "APP9",
    "a.png": "inVt",
    "a.webp": "inVt",
    "lossless.webp": "inVt",
    "extended.webp": "inVt",
    "a.avif": "uuid",
    "a.heic": "uuid",
    "a.mp4": "uuid",
    "a.mov": "uuid",
    "a.mkv": "attachment",
    "a.webm": "beside",
    "a.avi": "beside",
    "a.tiff": "beside",
    "a.gif": "beside",
    "a.bmp": "beside",
}

Picture = Any


def draw(size: int) -> Picture:
    y, x = np.mgrid[:size, :size] * (255 / size)
    return np.dstack([x, y, 255 - x]).astype(np.uint8)


def make(path: Path, size: int = 32) -> Path:
    """Write a small picture or clip of the format that the name says."""
    if path.suffix not in {".mp4", ".mov", ".mkv", ".webm", ".avi"}:
        options: dict[str, Any] = {"lossless": True} if path.stem == "lossless" else {}
        if path.stem == "extended":
            options["exif"] = Image.Exif()
            options["exif"][0x010E] = "x"
        if path.suffix == ".heic":
            pillow_heif.from_pillow(Image.fromarray(draw(size))).save(path)
        else:
            Image.fromarray(draw(size)).save(path, **options)
        return path
    codec = {".webm": "libvpx"}.get(path.suffix, "mpeg4")
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=10)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(draw(size), "rgb24")))
        container.mux(stream.encode(None))
    return path


def seal(path: Path, original: Path, sealing: Sealing = SEALING) -> files.Sealed:
    with sealed(path, path, original, sealing) as done:
        return done


def decoded(path: Path) -> list[Any]:
    return [plane.copy() for frame in open_source(path).frames() for plane in frame.planes]


def opened(path: Path) -> bytes:
    """Return the original as ``restore`` gets it, without writing it."""
    carried = find(path)
    check_binding(carried)
    return content_of(carried)


def content_of(carried: carriers.Carried) -> bytes:
    ring = unlock(carried.header, PHRASE)
    contents = parts_of(carried.blocks(), carried.header, lambda part: ring.key(carried.header.core, part))
    (data,) = [b"".join(content.blocks) for content in contents]
    return data


@pytest.fixture
def original(tmp_path: Path) -> Path:
    path = tmp_path / "original.jpg"
    path.write_bytes(hashlib.shake_128(b"the original").digest(150_000))
    return path


@pytest.mark.parametrize("name", PLACES)
def test_the_original_comes_back_and_the_picture_is_the_same(
    name: str, tmp_path: Path, original: Path
) -> None:
    path = make(tmp_path / name, 64)
    published, frames = path.read_bytes(), decoded(path)
    done = seal(path, original)
    assert PLACES[name] in done.words
    assert (done.sidecar is None) == (PLACES[name] != "beside")
    for before, after in zip(frames, decoded(path), strict=True):
        assert np.array_equal(before, after)
    carried = find(path)
    assert (carried.words, carried.length) == (done.words, done.length)
    back = restore(carried, PHRASE, tmp_path / "back.jpg").path
    assert back.read_bytes() == original.read_bytes()
    assert back.stat().st_mode & 0o077 == 0
    if done.sidecar is None:
        strip(path, tmp_path / f"public{path.suffix}")
        assert (tmp_path / f"public{path.suffix}").read_bytes() == published
        with pytest.raises(VaultError, match="no vault"):
            find(tmp_path / f"public{path.suffix}")
    else:
        assert path.read_bytes() == published
        assert done.sidecar == path.with_name(f"{name}.incog")
        with pytest.raises(VaultError, match="holds nothing of it"):
            strip(path, tmp_path / "public")


@pytest.mark.parametrize("name", PLACES)
def test_the_example_opens_it_without_incog(name: str, tmp_path: Path, original: Path) -> None:
    path = make(tmp_path / name, 64)
    beside = seal(path, original).sidecar
    program = [sys.executable, str(ROOT / "examples" / "open_vault.py"), str(beside or path)]
    back = tmp_path / "back"
    # In a session of its own there is no terminal, and the passphrase is read from the pipe.
    done = subprocess.run(
        [*program, str(back)],
        input=PHRASE.value + "\n",
        text=True,
        capture_output=True,
        start_new_session=True,
    )
    assert done.returncode == 0, done.stderr
    assert back.read_bytes() == original.read_bytes()


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.mp4", "a.tiff"])
def test_slots_lie_everywhere_and_the_example_opens_each(name: str, tmp_path: Path, original: Path) -> None:
    path, decoy = make(tmp_path / name, 64), tmp_path / "decoy.jpg"
    decoy.write_bytes(b"nothing to see here")
    other = Passphrase("another")
    beside = seal(path, original, Sealing(PHRASE, CHEAP, slots=Slots(3, (Decoy(decoy, other),)))).sidecar
    program = runpy.run_path(str(ROOT / "examples" / "open_vault.py"))["open_vault"]
    for phrase, file in ((PHRASE, original), (other, decoy)):
        back = restore(find(path), phrase, tmp_path / "back", overwrite=True).path
        assert back.read_bytes() == file.read_bytes()
        assert program((beside or path).read_bytes(), phrase.value) == file.read_bytes()
    with pytest.raises(VaultError, match="passphrase is wrong"):
        restore(find(path), Passphrase("a third"), tmp_path / "back", overwrite=True)


def test_the_example_is_short_and_needs_one_package() -> None:
    text = (ROOT / "examples" / "open_vault.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    named = {
        line.split()[1].partition(".")[0] for line in text.splitlines() if line.startswith(("import", "from"))
    }
    assert named - sys.stdlib_module_names == {"cryptography"}


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "lossless.webp", "a.mp4", "a.mkv"])
def test_other_readers_do_not_mind(name: str, tmp_path: Path, original: Path) -> None:
    path = make(tmp_path / name, 64)
    seal(path, original)
    if path.suffix in {".mp4", ".mkv"}:
        with av.open(str(path)) as container:
            assert len(container.streams) == 1
            assert sum(1 for _ in container.decode(video=0)) == 3
        capture = cv2.VideoCapture(str(path))
        assert capture.read()[0]
        capture.release()
        return
    assert cv2.imread(str(path)) is not None
    with Image.open(path) as picture:
        picture.load()


def test_several_segments_and_chunks_hold_what_one_cannot(tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(hashlib.shake_128(b"large").digest(2_500_000))
    for name, mark, count in (("a.jpg", b"incog vault\0", 40), ("a.png", b"inVt", 3)):
        path = make(tmp_path / name)
        seal(path, large)
        assert path.read_bytes().count(mark) >= count
        assert opened(path) == large.read_bytes()


def test_on_request_the_vault_lies_beside(tmp_path: Path, original: Path) -> None:
    path = make(tmp_path / "a.png")
    published = path.read_bytes()
    done = seal(path, original, Sealing(PHRASE, CHEAP, sidecar=True))
    assert path.read_bytes() == published
    assert done.sidecar == sidecar_of(path)
    for named in (path, done.sidecar):
        assert opened(named) == original.read_bytes()
    path.unlink()
    carried = find(done.sidecar)
    with pytest.raises(VaultError, match="not beside its vault"):
        restore(carried, PHRASE, tmp_path / "back")
    back = restore(carried, PHRASE, tmp_path / "back", ignore_binding=True).path
    assert back.read_bytes() == original.read_bytes()


def test_the_default_name_follows_the_original(tmp_path: Path, original: Path) -> None:
    path = make(tmp_path / "holiday.incog.png")
    seal(path, original)
    back = restore(find(path), PHRASE, path, follow=True).path
    assert back.name == "holiday.restored.jpg"
    with pytest.raises(OutputError, match="exists already"):
        restore(find(path), PHRASE, path, follow=True)


@pytest.mark.parametrize("suffix", [".a/b", "./../../x", "..", ".x\n"])
def test_a_suffix_does_not_lead_out_of_the_folder(suffix: str, tmp_path: Path) -> None:
    assert opening._restored(tmp_path / "a.incog.png", suffix) == tmp_path / "a.restored"


@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
def test_neither_picture_nor_vault_is_overwritten(name: str, tmp_path: Path, original: Path) -> None:
    path = make(tmp_path / name)
    done = seal(path, original)
    for target in {path, done.sidecar or path}:
        with pytest.raises(OutputError, match="input itself"):
            restore(find(path), PHRASE, target, overwrite=True)


# Every byte, every length


SMALL = ["a.jpg", "a.png", "lossless.webp", "a.mp4", "a.mkv", "a.tiff"]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.jpg"
    path.write_bytes(b"a very small original")
    return path


def small(name: str, folder: Path, tiny: Path) -> list[Path]:
    """Return the files of a small published picture with its vault."""
    path = make(folder / name, 16)
    done = seal(path, tiny)
    return [path] if done.sidecar is None else [path, done.sidecar]


@pytest.mark.parametrize("name", SMALL)
def test_no_byte_can_be_flipped(name: str, tmp_path: Path, tiny: Path) -> None:
    parts = small(name, tmp_path, tiny)
    for part in parts:
        data = part.read_bytes()
        with part.open("r+b", buffering=0) as file:
            for at in range(len(data)):
                os.pwrite(file.fileno(), bytes([data[at] ^ 1 << at % 8]), at)
                with pytest.raises((VaultError, InputError)):
                    opened(parts[0])
                os.pwrite(file.fileno(), data[at : at + 1], at)
    assert opened(parts[0]) == tiny.read_bytes()


@pytest.mark.parametrize("name", SMALL)
def test_no_byte_can_be_missing(name: str, tmp_path: Path, tiny: Path) -> None:
    parts = small(name, tmp_path, tiny)
    for part in parts:
        data = part.read_bytes()
        for length in reversed(range(len(data))):
            os.truncate(part, length)
            with pytest.raises((VaultError, InputError)):
                opened(parts[0])
        for more in (b"\0", b"\0\0\0\x08free", b"x" * 100):
            part.write_bytes(data + more)
            with pytest.raises((VaultError, InputError)):
                opened(parts[0])
        part.write_bytes(data)


@pytest.mark.parametrize("name", PLACES)
def test_garbage_is_an_error_and_never_another_original(name: str, tmp_path: Path, tiny: Path) -> None:
    path = make(tmp_path / name, 16)
    part = seal(path, tiny).sidecar or path
    data, random = part.read_bytes(), Random(name)
    for _ in range(60):
        spoiled = bytearray(data)
        for _ in range(random.choice([1, 2, 5])):
            at, size = random.randrange(len(data)), random.randrange(1, 40)
            match random.randrange(3):
                case 0:
                    spoiled[at : at + size] = random.choice([b"\0", b"\xff", b"\x7f"]) * size
                case 1:
                    spoiled[at:at] = data[random.randrange(len(data)) :][:size]
                case _:
                    del spoiled[at : at + size]
        if bytes(spoiled) == data:
            continue
        part.write_bytes(spoiled)
        with pytest.raises((VaultError, InputError)):
            opened(path)
        with contextlib.suppress(VaultError, InputError):
            carried = find(path)
            assert content_of(carried) == tiny.read_bytes()


# Edits, and vaults of others


def test_after_an_edit_the_user_decides(tmp_path: Path, original: Path) -> None:
    path = make(tmp_path / "a.png")
    seal(path, original)
    data = path.read_bytes()
    text = b"tEXtComment\0edited"
    chunk = (len(text) - 4).to_bytes(4, "big") + text + pictures.zlib.crc32(text).to_bytes(4, "big")
    path.write_bytes(data[:33] + chunk + data[33:])
    carried = find(path)
    with pytest.raises(VaultError, match="edited, damaged or exchanged") as caught:
        restore(carried, PHRASE, tmp_path / "back")
    assert "--ignore-binding" in caught.value.hint
    assert not (tmp_path / "back").exists()
    restore(carried, PHRASE, tmp_path / "back", ignore_binding=True)
    assert (tmp_path / "back").read_bytes() == original.read_bytes()


def test_a_vault_does_not_pass_into_another_picture(tmp_path: Path, original: Path) -> None:
    one, other = make(tmp_path / "a.jpg"), make(tmp_path / "b.jpg", 40)
    seal(one, original)
    vault = b"".join(find(one).blocks())
    other.write_bytes(pictures.jpeg_embed(other.read_bytes(), vault))
    with pytest.raises(VaultError, match="exchanged"):
        opened(other)


def test_moved_parts_are_an_edit(tmp_path: Path, original: Path) -> None:
    path = make(tmp_path / "a.mp4")
    seal(path, original)
    data = path.read_bytes()
    start = data.index(tails.UUID) - 16
    path.write_bytes(data[:start] + data[start:] + b"\0\0\0\x08free")
    carried = find(path)
    assert not carried.exact
    restore(carried, PHRASE, tmp_path / "back", ignore_binding=True)
    assert (tmp_path / "back").read_bytes() == original.read_bytes()


def test_damage_is_no_matter_of_the_binding(tmp_path: Path, original: Path) -> None:
    path = make(tmp_path / "a.tiff")
    done = seal(path, original)
    assert done.sidecar
    data = bytearray(done.sidecar.read_bytes())
    data[-33] ^= 1
    done.sidecar.write_bytes(data)
    with pytest.raises(VaultError, match="chunk 2"):
        restore(find(path), PHRASE, tmp_path / "back", ignore_binding=True)
    assert not (tmp_path / "back").exists()


def test_segments_out_of_order_are_told(tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(200_000))
    path = make(tmp_path / "a.jpg")
    seal(path, large)
    data = path.read_bytes()
    first = data.index(pictures.JPEG_MARK) - 4
    path.write_bytes(data[:first] + data[first + 65537 :])
    with pytest.raises(VaultError, match="missing or out of order"):
        find(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_two_vaults_are_one_too_many(name: str, tmp_path: Path, original: Path) -> None:
    path = make(tmp_path / name)
    seal(path, original)
    append = tails.box_append if name == "a.mp4" else tails.attachment_append
    vault = b"".join(find(path).blocks())
    with path.open("r+b") as file:
        append(file, len(vault), [vault])
    with pytest.raises(VaultError, match="one vault"):
        find(path)


@pytest.mark.parametrize("name", PLACES)
def test_a_file_without_a_vault_says_so(name: str, tmp_path: Path) -> None:
    with pytest.raises(VaultError, match="no vault in this file"):
        find(make(tmp_path / name))


def test_what_is_no_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        find(tmp_path / "missing.png")
    with pytest.raises(InputError):
        find(tmp_path)
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(VaultError):
        find(tmp_path / "empty.png")


# Large videos


def test_a_matroska_file_of_another_make_gets_a_file_beside_it(tmp_path: Path, original: Path) -> None:
    path = make(tmp_path / "a.mkv")
    data = path.read_bytes()
    at = data.index(bytes.fromhex("18538067")) + 4
    # A length that is not known, as of a recording that was streamed.
    path.write_bytes(data[:at] + b"\x01" + b"\xff" * 7 + data[at + 8 :])
    assert seal(path, original).sidecar == sidecar_of(path)


def test_attachments_have_a_limit(tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails, "ATTACHMENT_LIMIT", 1000)
    path = make(tmp_path / "a.mkv")
    assert seal(path, original).sidecar == sidecar_of(path)


def test_videos_are_sealed_in_little_memory(tmp_path: Path) -> None:
    import tracemalloc

    path, large = make(tmp_path / "a.mp4"), tmp_path / "large.mp4"
    with large.open("wb") as file:
        file.truncate(40 << 20)
    tracemalloc.start()
    seal(path, large)
    restore(find(path), PHRASE, tmp_path / "back")
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()
    assert (tmp_path / "back").stat().st_size == 40 << 20


# Failing closed


def test_a_file_beside_goes_when_publishing_fails(tmp_path: Path, original: Path) -> None:
    path = make(tmp_path / "a.tiff")

    def fail() -> None:
        with sealed(path, path, original, SEALING) as done:
            assert done.sidecar
            assert done.sidecar.exists()
            raise RuntimeError("publishing failed")

    with pytest.raises(RuntimeError, match="publishing failed"):
        fail()
    assert not sidecar_of(path).exists()


def test_a_file_beside_is_not_overwritten(tmp_path: Path, original: Path) -> None:
    path = make(tmp_path / "a.tiff")
    sidecar_of(path).write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        seal(path, original)
    assert sidecar_of(path).read_bytes() == b"mine"


@contextmanager
def changing(path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]) -> Iterator[None]:
    """Change a file right after it was read to be sealed."""
    real = carriers.embed

    def embed(*arguments: Any) -> Any:
        done = real(*arguments)
        change(path)
        return done

    monkeypatch.setattr(files, "embed", embed)
    yield


@pytest.mark.parametrize("name", ["a.png", "a.mp4"])
@pytest.mark.parametrize("change", ["other", "shorter", "longer"])
def test_what_is_sealed_is_opened_again_and_compared(
    name: str, change: str, tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = original.read_bytes()
    new = {"other": data[:-1] + b"\0", "shorter": data[:-1], "longer": data + b"\0"}[change]
    path = make(tmp_path / name)
    spoiled = changing(original, monkeypatch, lambda file: file.write_bytes(new) and None)
    with spoiled, pytest.raises(InputError, match="changed while it was sealed"):
        seal(path, original)


def test_a_vault_that_was_written_wrong_is_noticed(
    tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[-40] ^= 1
        path.write_bytes(data)

    path = make(tmp_path / "a.mp4")
    with changing(path, monkeypatch, spoil), pytest.raises(IncogError):
        seal(path, original)


def test_a_full_disk_is_told(tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "embed", full)
    with pytest.raises(OutputError, match="the disk is full"):
        seal(make(tmp_path / "a.png"), original)


def test_a_stripped_file_is_complete_or_not_there(
    tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path / "a.png")
    seal(path, original)
    monkeypatch.setattr(files, "binding_of", lambda path: b"")
    with pytest.raises(InputError, match="changed"):
        strip(path, tmp_path / "public.png")
    assert not (tmp_path / "public.png").exists()
    shutil.copy(path, tmp_path / "copy.png")
    assert opened(tmp_path / "copy.png") == original.read_bytes()
