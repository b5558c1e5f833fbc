"""Nothing of a photo but its picture survives: each hiding place gets a marker, and no output holds one."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import IFDRational

from incog.media.base import OutputOptions, notable
from incog.media.contents import examine
from incog.media.image import open_image

MARK = b"PLANTED"
EXIF, GPS = 0x8769, 0x8825


def scene(seed: int = 0) -> Image.Image:
    """A smooth colour picture of 64 x 48 pixels."""
    y, x = np.mgrid[:48, :64]
    return Image.fromarray(np.stack([x * 4, y * 5, (x + y + 40 * seed) * 2 % 256], axis=2).astype(np.uint8))


def exif_block() -> bytes:
    """EXIF with a marker in every place where cameras and programs write, and tags that may be kept."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x8298] = "Maker", "Model 7", "The Agency"
    exif[0x010E], exif[0x013B], exif[0x0131] = "PLANTED text", "PLANTED artist", "PLANTED software"
    exif[0x9C9C] = MARK
    inner = exif.get_ifd(EXIF)
    inner[0x9003], inner[0x829A] = "2024:05:06 07:08:09", IFDRational(1, 250)
    inner[0x927C], inner[0x9286] = MARK + b" note", b"ASCII\0\0\0" + MARK
    inner[0xA431], inner[0xA430], inner[0xA420] = "PLANTED serial", "PLANTED owner", "PLANTED id"
    gps = exif.get_ifd(GPS)
    gps[1], gps[2], gps[27] = "N", (IFDRational(52), IFDRational(31), IFDRational(12)), MARK
    return exif.tobytes()


def exif_with_thumbnail() -> bytes:
    """A hand-made EXIF block: an empty main directory, then that of a thumbnail with its JPEG data."""
    picture = thumbnail()
    main = struct.pack("<HI", 0, 14)
    second = struct.pack("<HHHIIHHIII", 2, 0x0201, 4, 1, 44, 0x0202, 4, 1, len(picture), 0)
    return b"Exif\0\0II*\0\x08\0\0\0" + main + second + picture


def thumbnail() -> bytes:
    buffer = io.BytesIO()
    scene().resize((16, 12)).save(buffer, "JPEG", comment=MARK)
    return buffer.getvalue()


def app(number: int, payload: bytes) -> bytes:
    return bytes([0xFF, 0xE0 + number]) + struct.pack(">H", len(payload) + 2) + payload


def chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def riff(kind: bytes, payload: bytes) -> bytes:
    return kind + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) % 2)


def saved(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    scene().save(buffer, kind, **options)
    return buffer.getvalue()


def rebuilt(tmp_path: Path, data: bytes, *, keep: bool = False) -> tuple[bytes, list[str]]:
    """Write the file, send every frame through, and return the output's bytes and the decisions."""
    (tmp_path / "in").write_bytes(data)
    source = open_image(tmp_path / "in")
    with source.sink(tmp_path / "out", OutputOptions(keep_metadata=keep)) as sink:
        for frame in source.frames():
            sink.write(frame)
    return (tmp_path / "out").read_bytes(), sink.decisions


def assert_clean(data: bytes) -> None:
    """No marker, in plain or deflated or as two-byte text, and no tag that Pillow can find."""
    assert MARK not in data
    assert "PLANTED".encode("utf-16-le") not in data
    assert b"http://ns.adobe.com" not in data
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        exif = image.getexif()
        assert not exif.get_ifd(GPS)
        assert 0x0112 not in exif
        for name in ("comment", "xmp", "XML:com.adobe.xmp", "photoshop", "parsed_exif", "mpoffset"):
            assert name not in image.info


MOTION_VIDEO = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + MARK
XMP = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>PLANTED hdrgm:Version</x:xmpmeta>"
JPEG_PLACES = {
    "exif": (app(1, exif_block()), b"", "GPS position"),
    "thumbnail": (app(1, exif_with_thumbnail()), b"", "a thumbnail"),
    "xmp": (app(1, XMP), b"", "XMP data"),
    "gain map description": (app(1, XMP), b"", "gain map"),
    "extended xmp": (app(1, b"http://ns.adobe.com/xmp/extension/\0" + MARK), b"", "XMP data"),
    "iptc": (app(13, b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0" + MARK), b"", "IPTC or Photoshop"),
    "multi-picture index": (app(2, b"MPF\0" + MARK), b"", "further pictures (MPO)"),
    "iso gain map": (app(2, b"urn:iso:std:iso:ts:21496:-1\0" + MARK), b"", "gain map"),
    "private data": (app(11, MARK), b"", "APP11"),
    "jfif extension": (app(0, b"JFXX\0\x10" + thumbnail()), b"", "thumbnail"),
    "comment": (b"\xff\xfe" + struct.pack(">H", 9) + MARK, b"", "comment"),
    "motion photo": (b"", MOTION_VIDEO, "motion photo"),
    "further picture": (b"", saved("JPEG") + MARK, "Further pictures"),
    "trailing bytes": (b"", b"xx" + MARK, "9 bytes behind the end"),
}


@pytest.mark.parametrize("place", JPEG_PLACES)
def test_jpeg(tmp_path: Path, place: str) -> None:
    head, tail, words = JPEG_PLACES[place]
    plain = saved("JPEG", quality=90)
    data, decisions = rebuilt(tmp_path, plain[:2] + head + plain[2:] + tail)
    assert_clean(data)
    assert data.endswith(b"\xff\xd9")
    assert data.count(b"\xff\xd8\xff") == 1
    assert any(words in decision for decision in decisions), decisions


def test_an_mpo_file_loses_its_second_picture(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    scene().save(buffer, "MPO", save_all=True, append_images=[scene(1)])
    data, decisions = rebuilt(tmp_path, buffer.getvalue())
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "JPEG"
        assert getattr(image, "n_frames", 1) == 1
    assert data.count(b"\xff\xd8\xff") == 1
    assert any("Further pictures" in decision for decision in decisions)
    assert "1 further view(s) in the file (MPO) were dropped: only the main one is kept." in decisions
    assert [decision for decision in decisions if notable(decision)] == [
        "1 further view(s) in the file (MPO) were dropped: only the main one is kept."
    ]


@pytest.mark.parametrize(
    ("kinds", "gain_map", "views"),
    [
        ([0x020002], b"", 1),
        ([0x020001, 0x010002], b"", 1),
        ([0x020003, 0x020003], b"<hdrgm:Version>", 2),
        ([0x010001, 0x010002], b"", 0),
        ([0x050000], b"", 0),
        ([0], b"<hdrgm:Version>", 0),
        ([0], b"urn:com:apple:photo:2020:aux:hdrgainmap", 0),
        ([0], b"", 1),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_previews_and_gain_maps_are_no_views(
    kinds: list[int], gain_map: bytes, views: int, order: str
) -> None:
    entries = [0x20030000, *kinds]
    index = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(
        f"{order}LHHHLLHHLLL", 8, 2, 0xB001, 4, 1, len(entries), 0xB002, 7, 16 * len(entries), 38, 0
    )
    index += b"".join(struct.pack(f"{order}LLLHH", kind, 100, 200, 0, 0) for kind in entries)
    plain = saved("JPEG")
    decisions = examine(plain[:2] + app(2, b"MPF\0" + index) + plain[2:] + plain + gain_map, "jpeg").dropped
    told = [decision for decision in decisions if notable(decision)]
    assert told == [
        f"{views} further view(s) in the file (MPO) were dropped: only the main one is kept."
    ] * bool(views)
    for cut in range(len(index)):
        examine(plain[:2] + app(2, b"MPF\0" + index[:cut]) + plain[2:], "jpeg")


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (chunk(b"tEXt", b"Author\0" + MARK), "Texts"),
        (chunk(b"zTXt", b"Comment\0\0" + zlib.compress(MARK)), "Texts"),
        (chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + MARK), "XMP"),
        (chunk(b"eXIf", exif_block()[6:]), "GPS position"),
        (chunk(b"tIME", b"\x07\xe8\5\6\7\x08\x09"), "last change"),
        (chunk(b"prVt", MARK), "Private data (prVt)"),
        (chunk(b"caBX", MARK), "Private data (caBX)"),
    ],
)
@pytest.mark.parametrize("at_end", [False, True])
def test_png(tmp_path: Path, extra: bytes, words: str, at_end: bool) -> None:
    plain = saved("PNG")
    place = len(plain) - 12 if at_end else 33
    data, decisions = rebuilt(tmp_path, plain[:place] + extra + plain[place:])
    assert_clean(data)
    kinds = [data[at : at + 4] for at in _chunk_starts(data)]
    assert set(kinds) == {b"IHDR", b"IDAT", b"IEND"}
    assert any(words in decision for decision in decisions), decisions


def _chunk_starts(data: bytes) -> list[int]:
    starts, at = [], 8
    while at < len(data):
        starts.append(at + 4)
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return starts


def test_png_trailing_bytes(tmp_path: Path) -> None:
    data, decisions = rebuilt(tmp_path, saved("PNG") + MARK)
    assert_clean(data)
    assert any("7 bytes behind the end" in decision for decision in decisions)


def test_webp(tmp_path: Path) -> None:
    plain = saved("WEBP", exif=exif_block(), xmp=XMP)
    body = plain[12:] + riff(b"PRIV", MARK)
    data, decisions = rebuilt(tmp_path, b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body + MARK)
    assert_clean(data)
    said = " ".join(decisions)
    for words in ("GPS position", "XMP", "Private data", "behind the end"):
        assert words in said


def test_tiff(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif.load(exif_block())
    exif[700], exif[33723], exif[34377], exif[65000] = XMP, MARK, MARK, MARK
    scene().save(buffer, "TIFF", exif=exif)
    data, decisions = rebuilt(tmp_path, buffer.getvalue() + MARK)
    assert_clean(data)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        assert len(file.pages) == 1
        names = {tag.name for tag in file.pages[0].tags.values()}
    assert not names & {"ImageDescription", "Software", "DateTime", "Artist", "XMP", "ExifTag", "GPSTag"}
    said = " ".join(decisions)
    for words in ("GPS position", "XMP", "IPTC or Photoshop"):
        assert words in said


def test_tiff_previews_in_pages_and_sub_directories(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    picture, small = np.asarray(scene()), np.full((12, 16, 3), 77, np.uint8)
    small[0, 0] = list(MARK[:3])
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(picture, photometric="rgb", subifds=1, metadata=None)
        writer.write(small, photometric="rgb", subfiletype=1, metadata=None)
        writer.write(small, photometric="rgb", subfiletype=1, metadata=None)
    assert small.tobytes() in buffer.getvalue()
    data, decisions = rebuilt(tmp_path, buffer.getvalue())
    assert small.tobytes() not in data
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        assert len(file.pages) == 1
        assert not file.pages[0].subifds
        assert np.array_equal(file.pages[0].asarray(), picture)
    assert "Reduced copies inside the file were dropped." in decisions
    assert "A reduced copy or mask page was dropped." in decisions


def test_gif(tmp_path: Path) -> None:
    plain = saved("GIF", comment=MARK)
    extension = b"\x21\xff\x0bXMP DataXMP" + bytes([len(MARK)]) + MARK + b"\0"
    text = b"\x21\x01\x0c" + bytes(12) + bytes([len(MARK)]) + MARK + b"\0"
    data, decisions = rebuilt(tmp_path, plain[:-1] + extension + text + b";" + MARK)
    assert_clean(data)
    said = " ".join(decisions)
    for words in ("comment", "XMP", "caption", "behind the end"):
        assert words in said


def test_bmp(tmp_path: Path) -> None:
    data, decisions = rebuilt(tmp_path, saved("BMP") + MARK)
    assert_clean(data)
    assert any("behind the end" in decision for decision in decisions)


def test_avif(tmp_path: Path) -> None:
    plain = saved("AVIF", exif=exif_block(), xmp=XMP)
    box = struct.pack(">I", 8 + len(MARK)) + b"uuid" + MARK
    data, decisions = rebuilt(tmp_path, plain + box)
    assert_clean(data)
    said = " ".join(decisions)
    for words in ("GPS position", "XMP", "Private data"):
        assert words in said


def heic_bytes() -> bytes:
    """A HEIC file with a thumbnail, a second picture, EXIF and XMP."""
    file = pillow_heif.from_pillow(scene())
    file.add_from_pillow(scene(1))
    file.info["thumbnails"] = [32]
    buffer = io.BytesIO()
    file.save(buffer, quality=80, exif=exif_block(), xmp=XMP, primary_index=0)
    return buffer.getvalue()


def test_heic(tmp_path: Path) -> None:
    before = pillow_heif.open_heif(io.BytesIO(heic_bytes()))
    assert len(before) == 2
    assert before[0].info["thumbnails"]
    data, decisions = rebuilt(tmp_path, heic_bytes())
    assert MARK not in data
    after = pillow_heif.open_heif(io.BytesIO(data))
    assert len(after) == 1
    assert not after.info["exif"]
    assert not after.info.get("xmp")
    assert after.info["thumbnails"] == []
    assert after.info["depth_images"] == []
    assert after.info["aux"] == {}
    assert after.info["metadata"] == []
    said = " ".join(decisions)
    for words in ("GPS position", "further 1 pictures", "A thumbnail"):
        assert words in said


def with_auxiliary(kind: str, role: bytes) -> bytes:
    """A file whose alpha plane, an auxiliary picture, is declared to be something else."""
    image = scene()
    image.putalpha(scene(1).convert("L"))
    buffer = io.BytesIO()
    if kind == "heic":
        pillow_heif.from_pillow(image).save(buffer)
        alpha = b"urn:mpeg:hevc:2015:auxid:1"
    else:
        image.save(buffer, "AVIF")
        alpha = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"
    assert alpha in buffer.getvalue()
    return buffer.getvalue().replace(alpha, role.ljust(len(alpha), b"\0"))


@pytest.mark.parametrize(
    ("kind", "role", "words"),
    [
        ("heic", b"urn:mpeg:hevc:2015:auxid:2", "depth map"),
        ("heic", b"urn:x:aux:hdrgainmap", "gain map"),
        ("avif", b"urn:com:apple:photo:2020:aux:hdrgainmap", "gain map"),
        ("avif", b"urn:com:apple:photo:2018:aux:skinmatte", "auxiliary picture"),
    ],
)
def test_depth_and_gain_maps_are_dropped(tmp_path: Path, kind: str, role: bytes, words: str) -> None:
    data, decisions = rebuilt(tmp_path, with_auxiliary(kind, role))
    assert b"auxl" not in data
    assert b"urn:" not in data
    assert any(words in decision for decision in decisions), decisions
    if kind == "heic":
        after = pillow_heif.open_heif(io.BytesIO(data))
        assert (after.mode, after.info["depth_images"], after.info["aux"]) == ("RGB", [], {})


def test_boxes_that_speak_of_auxiliary_pictures_are_reported(tmp_path: Path) -> None:
    plain = bytearray(saved("AVIF"))
    # a free property box inside meta would need all offsets moved: a text in the item name does the same here
    assert b"Color" in plain
    plain[plain.index(b"Color") : plain.index(b"Color") + 5] = b"thmb\0"
    data, decisions = rebuilt(tmp_path, bytes(plain))
    assert "A thumbnail was dropped." in decisions
    assert b"thmb" not in data


KEEPING = {
    "JPEG": {"exif": exif_block()},
    "PNG": {"exif": exif_block()},
    "WEBP": {"exif": exif_block()},
    "AVIF": {"exif": exif_block()},
    "TIFF": {"exif": exif_block()},
}


@pytest.mark.parametrize("kind", KEEPING)
def test_keep_metadata_keeps_the_list_and_only_it(tmp_path: Path, kind: str) -> None:
    data, decisions = rebuilt(tmp_path, saved(kind, **KEEPING[kind]), keep=True)
    assert_clean(data)
    with Image.open(io.BytesIO(data)) as image:
        exif = image.getexif()
        inner = exif.get_ifd(EXIF) or exif
        assert (exif[0x010F], exif[0x0110], exif[0x8298]) == ("Maker", "Model 7", "The Agency")
        assert inner[0x9003] == "2024:05:06 07:08:09"
        assert inner[0x829A] == IFDRational(1, 250)
    assert (
        "Tags that were kept on request: Make, Model, Copyright, ExposureTime, DateTimeOriginal." in decisions
    )


def test_keep_metadata_heic(tmp_path: Path) -> None:
    data, _ = rebuilt(tmp_path, heic_bytes(), keep=True)
    assert MARK not in data
    exif = Image.Exif()
    exif.load(pillow_heif.open_heif(io.BytesIO(data)).info["exif"])
    assert exif[0x0110] == "Model 7"
    assert not exif.get_ifd(GPS)


def test_without_the_option_nothing_is_kept(tmp_path: Path) -> None:
    data, _ = rebuilt(tmp_path, saved("JPEG", exif=exif_block()))
    assert b"Maker" not in data
    with Image.open(io.BytesIO(data)) as image:
        assert not dict(image.getexif())


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_colour_profile_is_kept_without_what_hangs_on(tmp_path: Path, kind: str) -> None:
    data, decisions = rebuilt(tmp_path, saved(kind, icc_profile=PROFILE + MARK))
    assert MARK not in data
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["icc_profile"] == PROFILE
    assert not any("profile" in decision for decision in decisions)


def test_the_colour_profile_of_heic_is_kept(tmp_path: Path) -> None:
    image = scene()
    image.info["icc_profile"] = PROFILE
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer)
    data, _ = rebuilt(tmp_path, buffer.getvalue())
    assert pillow_heif.open_heif(io.BytesIO(data)).info["icc_profile"] == PROFILE


@pytest.mark.parametrize("profile", [MARK * 40, PROFILE[:200], PROFILE.replace(b"RGB ", b"GRAY", 1)])
def test_a_profile_that_is_none_is_dropped(tmp_path: Path, profile: bytes) -> None:
    data, decisions = rebuilt(tmp_path, saved("JPEG", icc_profile=profile))
    assert MARK not in data
    assert b"ICC_PROFILE" not in data
    assert any("colour profile was dropped" in decision for decision in decisions)


def test_print_size_is_kept_and_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data, _ = rebuilt(tmp_path, saved("JPEG", dpi=(300, 150), exif=exif))
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["dpi"] == (150, 300)


def test_png_colour_chunks_are_kept(tmp_path: Path) -> None:
    plain = saved("PNG")
    gamma = chunk(b"gAMA", struct.pack(">I", 45455))
    data, _ = rebuilt(tmp_path, plain[:33] + gamma + plain[33:])
    assert gamma in data
