"""Bad input gets a clear error: the status is 1, the reason is named, and nothing is written or left behind."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from incog.media import files

Picture = npt.NDArray[np.uint8]
Incog = Callable[..., Any]
Tree = Callable[[Path], list[str]]
WriteClip = Callable[..., Path]
Pan = Callable[..., list[Picture]]


@pytest.fixture
def refused(incog: Incog, tmp_path: Path, tree: Tree) -> Callable[..., str]:
    """Return a function that runs a command, asserts that it fails cleanly, and returns what it said."""

    def run(*words: str | Path, code: int = 1) -> str:
        before = tree(tmp_path)
        contents = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        result = incog("hide", *words, "--quiet")
        assert result.code == code, result.err
        assert result.out == ""
        assert "internal error" not in result.err
        assert "Traceback" not in result.err
        assert tree(tmp_path) == before
        assert all(path.read_bytes() == data for path, data in contents.items())
        said = " ".join(result.err.split())
        assert said.startswith("incog: ")
        return said

    return run


Refused = Callable[..., str]


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# Files that are not there or nothing


def test_a_missing_file(refused: Refused, tmp_path: Path) -> None:
    assert "there is no such file" in refused(tmp_path / "lost.jpg")


def test_a_dangling_link(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "link.jpg").symlink_to(tmp_path / "lost.jpg")
    assert "there is no such file" in refused(tmp_path / "link.jpg")


@pytest.mark.parametrize("name", ["a.jpg", "a.mp4", "a.txt", "a"])
def test_an_empty_file(refused: Refused, tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert "the file is empty" in refused(tmp_path / name)


def test_a_name_that_is_too_long(refused: Refused, tmp_path: Path) -> None:
    assert "name too long" in refused(tmp_path / ("n" * 300 + ".jpg")).lower()


def test_a_pipe_is_not_waited_for(refused: Refused, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    words = [sys.executable, "-m", "incog", str(tmp_path / "pipe.jpg")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "this is a pipe or a device, not a file" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["pipe.jpg"]


@pytest.mark.parametrize(
    "words", [["inspect"], ["restore"], ["strip", "-o", "out.jpg"], ["grant", "--faces", "1"]]
)
def test_a_pipe_is_not_waited_for_where_vaults_are_looked_for(tmp_path: Path, words: list[str]) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    done = subprocess.run(
        [sys.executable, "-m", "incog", *words, "pipe.jpg"],
        capture_output=True, text=True, timeout=60, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "incog: pipe.jpg: this is a pipe, not a file\n")


def test_a_folder_in_the_place_of_a_plan(incog: Incog, tmp_path: Path) -> None:
    result = incog("plan", tmp_path)
    assert result.code == 1
    assert "this is a folder, not a file" in result.err
    assert incog("render", tmp_path).code == 1


@pytest.mark.parametrize("here", [".", ""])
def test_a_plan_of_the_folder_one_is_in(
    incog: Incog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = incog("plan", here)
    assert (result.code, result.err) == (1, "incog: .: this is a folder, not a file\n")


# Files that are not what they should be


@pytest.mark.parametrize("name", ["a.jpg", "a.mp4", "a.docx"])
@pytest.mark.parametrize("content", [b"hello, world\n" * 50, bytes(5000), bytes(range(256)) * 20, b"\xff"])
def test_a_file_that_is_no_media(refused: Refused, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert "neither a photo nor a video" in refused(tmp_path / name)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_truncated_photo(
    refused: Refused, tmp_path: Path, astronaut: Picture, kind: str, share: float
) -> None:
    path = tmp_path / f"a.{kind.lower()}"
    Image.fromarray(astronaut[:64, :64]).save(path, kind)
    data = path.read_bytes()
    path.write_bytes(data[: max(4, int(len(data) * share))])
    assert refused(path)


@pytest.mark.parametrize("kind", ["mp4", "mkv", "avi", "webm", "mov"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_truncated_video(
    refused: Refused,
    tmp_path: Path,
    astronaut: Picture,
    pan: Pan,
    write_clip: WriteClip,
    kind: str,
    share: float,
) -> None:
    codec = {"webm": "libvpx-vp9", "avi": "mpeg4"}.get(kind, "libx264")
    path = write_clip(tmp_path / f"a.{kind}", pan(astronaut, 8, width=64, height=64), codec=codec)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert refused(path)


def test_a_corrupt_photo(refused: Refused, photo: Path) -> None:
    data = bytearray(photo.read_bytes())
    data[len(data) // 2] ^= 0xFF
    photo.write_bytes(data)
    assert refused(photo)


def test_a_corrupt_video(refused: Refused, clip: Path) -> None:
    data = bytearray(clip.read_bytes())
    start = data.index(b"mdat")
    data[start + 2000 : start + 2400] = os.urandom(400)
    clip.write_bytes(data)
    assert refused(clip)


def test_a_mislabelled_photo_is_written_as_what_it_is(incog: Incog, photo: Path, tree: Tree) -> None:
    photo.rename(photo.with_name("holiday.jpg"))
    result = incog(photo.with_name("holiday.jpg"))
    assert result.code == 0, result.err
    assert tree(photo.parent) == ["holiday.incog.jpg.png", "holiday.jpg"]
    assert photo.with_name("holiday.incog.jpg.png").read_bytes().startswith(b"\x89PNG")


def test_an_output_of_another_kind_is_refused(refused: Refused, photo: Path) -> None:
    assert "must have the suffix .png" in refused(photo, "-o", photo.with_name("out.jpg"))
    assert "must have the suffix .png" in refused(photo, "-o", photo.with_name("out"))


# Media that hold nothing or too much


def test_a_video_of_sound_only(refused: Refused, tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert "sound only, no video" in refused(path)


def test_a_video_without_frames(refused: Refused, clip: Path) -> None:
    data = clip.read_bytes()
    moov = data.index(b"moov") - 4
    mdat = data.index(b"mdat") - 4
    # the index alone, or the pictures alone
    clip.write_bytes(data[:mdat] + data[moov:] if moov > mdat else data[:mdat])
    assert refused(clip)
    clip.write_bytes(data[:moov])
    assert refused(clip)


def test_a_video_whose_frames_change_size(
    refused: Refused, tmp_path: Path, astronaut: Picture, pan: Pan, write_clip: WriteClip
) -> None:
    parts = [
        write_clip(tmp_path / f"{side}.h264", pan(astronaut, 4, width=side, height=side)).read_bytes()
        for side in (128, 64)
    ]
    raw = tmp_path / "raw.h264"
    raw.write_bytes(b"".join(parts))
    path = tmp_path / "grows.mkv"
    with av.open(str(raw)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(packet for packet in source.demux() if packet.size):
            packet.stream, packet.pts, packet.dts = stream, number * 40, number * 40
            target.mux(packet)
    assert "64 x 64" in refused(path)


def test_a_decompression_bomb_of_a_photo(refused: Refused, tmp_path: Path) -> None:
    side = 60_000
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(bytes(10**6)))
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + body + png_chunk(b"IEND", b""))
    assert "pixels" in refused(path)


def test_a_gif_that_claims_a_huge_screen(refused: Refused, tmp_path: Path) -> None:
    Image.new("P", (8, 8)).save(tmp_path / "a.gif")
    data = bytearray((tmp_path / "a.gif").read_bytes())
    data[6:10] = struct.pack("<HH", 65535, 65535)
    (tmp_path / "a.gif").write_bytes(data)
    assert "pixels" in refused(tmp_path / "a.gif")


# Places that cannot be written


def test_an_output_that_is_the_input(refused: Refused, photo: Path) -> None:
    for place in (photo, photo.parent / "." / photo.name, photo.parent / "x" / ".." / photo.name):
        (photo.parent / "x").mkdir(exist_ok=True)
        assert "is the input itself" in refused(photo, "-o", place, "--overwrite")


def test_an_output_that_links_to_the_input(refused: Refused, photo: Path) -> None:
    photo.with_name("soft.png").symlink_to(photo)
    os.link(photo, photo.with_name("hard.png"))
    for name in ("soft.png", "hard.png"):
        assert "is the input itself" in refused(photo, "-o", photo.with_name(name), "--overwrite")


def test_an_output_that_exists(refused: Refused, photo: Path) -> None:
    photo.with_name("holiday.incog.png").write_bytes(b"mine")
    said = refused(photo)
    assert "exists already" in said
    assert "--overwrite" in said


def test_a_file_in_the_place_of_the_output_folder(refused: Refused, photo: Path) -> None:
    photo.with_name("out").write_bytes(b"mine")
    assert refused(photo.parent, "-o", photo.with_name("out"))
    assert refused(photo, photo, "-o", photo.with_name("out"), code=2)
    assert "not a folder" in refused(photo, "-o", photo.with_name("out") / "a.png")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a place where nobody can write")
def test_a_place_where_nobody_can_write(incog: Incog, photo: Path, tree: Tree) -> None:
    result = incog("hide", photo, "-o", "/proc/self/out.png")
    assert result.code == 1
    assert "cannot write /proc/self/out.png" in result.err
    assert tree(photo.parent) == ["holiday.png"]


def test_a_folder_that_is_read_only(refused: Refused, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write anywhere, so the refusal of the system is put in its place."""

    def denied(*arguments: object, **options: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.os, "open", denied)
    assert "permission denied" in refused(photo)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(refused: Refused, photo: Path) -> None:
    photo.chmod(0)
    assert "Permission denied" in refused(photo)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_disk_that_is_full_in_the_end(
    refused: Refused, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    assert "the disk is full" in refused(photo)
