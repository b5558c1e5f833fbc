"""Folders are walked in one order, nothing with a face is overlooked, and no link leads out."""

from __future__ import annotations

import io
import os
import socket
from pathlib import Path

import pytest
from PIL import Image

from incog.errors import InputError
from incog.media.magic import image_format, media_type
from incog.media.walk import printable, sniff, walk


def photo(kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), (200, 100, 50)).save(buffer, kind)
    return buffer.getvalue()


def put(root: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def test_a_tree_is_sorted_by_bytes_whatever_the_file_system_says(tmp_path: Path) -> None:
    order = ["B.jpg", "Z/a.jpg", "a/0.jpg", "a/b/c.jpg", "a/z.jpg", "a.jpg", "é.jpg"]
    put(tmp_path, dict.fromkeys(reversed(order), photo()))
    found = walk(tmp_path)
    assert [str(path) for path in found.media] == [
        "B.jpg",
        "Z/a.jpg",
        "a/0.jpg",
        "a/b/c.jpg",
        "a/z.jpg",
        "a.jpg",
        "é.jpg",
    ]
    assert found.others == found.links == ()
    assert found.errors == ()


def test_content_counts_and_so_does_a_media_name(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "no-suffix": photo(),
            "wrong.txt": photo("PNG"),
            "text.jpg": b"not a photo",
            "empty.MP4": b"",
            "notes.txt": b"hello",
            ".hidden.jpg": photo(),
            ".hidden/photo": photo("WEBP"),
            "._resource.jpg": b"\0\x05\x16\x07" + b"Mac OS X",
            "script.ts": b"const a = 1",
        },
    )
    found = walk(tmp_path)
    assert {str(path) for path in found.media} == {
        ".hidden.jpg",
        ".hidden/photo",
        "empty.MP4",
        "no-suffix",
        "text.jpg",
        "wrong.txt",
    }
    assert {str(path) for path in found.others} == {"._resource.jpg", "notes.txt", "script.ts"}


def test_links_are_listed_and_never_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    put(outside, {"secret.jpg": photo()})
    root = tmp_path / "root"
    put(root, {"real.jpg": photo(), "sub/other.jpg": photo()})
    (root / "out").symlink_to(outside)
    (root / "out.jpg").symlink_to(outside / "secret.jpg")
    (root / "cycle").symlink_to(".")
    (root / "sub" / "up").symlink_to("..")
    (root / "again.jpg").symlink_to("real.jpg")
    (root / "broken.jpg").symlink_to("nowhere")
    found = walk(root)
    assert [str(path) for path in found.media] == ["real.jpg", "sub/other.jpg"]
    assert [str(path) for path in found.links] == [
        "again.jpg",
        "broken.jpg",
        "cycle",
        "out",
        "out.jpg",
        "sub/up",
    ]


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    put(tmp_path / "real", {"a.jpg": photo()})
    (tmp_path / "link").symlink_to("real")
    assert walk(tmp_path / "link").media == (Path("a.jpg"),)


def test_an_output_folder_inside_can_be_left_out(tmp_path: Path) -> None:
    put(tmp_path, {"a.jpg": photo(), "safe/b.jpg": photo(), "safe2/c.jpg": photo()})
    assert walk(tmp_path, without=[tmp_path / "safe", tmp_path / "missing"]).media == (
        Path("a.jpg"),
        Path("safe2/c.jpg"),
    )


def test_names_of_any_bytes(tmp_path: Path) -> None:
    odd = [b"\xff\xfe.jpg", b"new\nline.jpg", b"quo'te\".jpg", b" space .jpg", b"-dash.jpg"]
    for name in odd:
        (tmp_path / os.fsdecode(name)).write_bytes(photo())
    assert [os.fsencode(path) for path in walk(tmp_path).media] == sorted(odd)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_what_cannot_be_read_is_listed(tmp_path: Path) -> None:
    put(tmp_path, {"locked/a.jpg": photo(), "locked.jpg": photo(), "fine.jpg": photo()})
    (tmp_path / "locked").chmod(0)
    (tmp_path / "locked.jpg").chmod(0)
    try:
        found = walk(tmp_path)
    finally:
        (tmp_path / "locked").chmod(0o700)
    assert found.media == (Path("fine.jpg"),)
    assert [str(path) for path, _ in found.errors] == ["locked", "locked.jpg"]
    assert all("ermission denied" in reason for _, reason in found.errors)


def test_what_cannot_be_listed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, {"locked/a.jpg": photo(), "fine.jpg": photo()})
    real = os.scandir

    def guarded(path: Path) -> object:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", guarded)
    found = walk(tmp_path)
    assert found.media == (Path("fine.jpg"),)
    assert found.errors == ((Path("locked"), "cannot list the folder: Permission denied"),)


def test_pipes_and_sockets_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.jpg")
        assert walk(tmp_path).others == (Path("pipe.jpg"), Path("socket.jpg"))


def test_a_root_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        walk(tmp_path / "missing")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="is not a folder"):
        walk(tmp_path / "file")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"])
def test_pictures_are_known_by_their_first_bytes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(photo(kind))
    assert sniff(path) == "image"
    assert image_format(photo(kind)) == kind.lower()


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "image"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "image"),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", "image"),
        (b"II*\0\x10\0\0\0CR\x02\0", "image"),
        (b"FUJIFILMCCD-RAW 0201", "image"),
        (b"\xff\x0a\xfa\x7f", "image"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "image"),
        (b"8BPS\0\x01", "image"),
        (b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2", "video"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "video"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "video"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81", "video"),
        (b"RIFF\x24\0\0\0AVI LIST", "video"),
        (b"FLV\x01\x05", "video"),
        (b"\0\0\x01\xba\x44", "video"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9", "video"),
        ((b"\x47" + bytes(187)) * 5, "video"),
        (b"\0\0\0\0" + (b"\x47" + bytes(191)) * 5, "video"),
        (b"OggS\0\x02" + bytes(22) + b"\x80theora", "video"),
        (b"OggS\0\x02" + bytes(22) + b"\x01vorbis", None),
        (b"\0\0\0\x1cftypM4A \0\0\0\0M4A mp42", None),
        (b"RIFF\x24\0\0\0WAVEfmt ", None),
        (b"ID3\x03", None),
        (b"BM is a word here, and more text", None),
        (b"GIF is a format", None),
        (b"G", None),
        (b"", None),
        (b"plain text", None),
    ],
)
def test_heads(head: bytes, kind: str | None) -> None:
    assert media_type(head) == kind


def test_sniffing_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        sniff(tmp_path / "missing")


def test_printable_names_are_one_safe_line() -> None:
    assert printable(Path("plain ü 写真.jpg")) == "plain ü 写真.jpg"
    assert printable("a\nb\tc\x1b[31m\u202e") == "a\\nb\\tc\\x1b[31m\\u202e"
    assert printable(os.fsdecode(b"\xff\x01.jpg")) == "\\xff\\x01.jpg"
