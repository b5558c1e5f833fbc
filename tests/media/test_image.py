"""Photos: opened by content, upright, samples untouched; what is broken is refused with a clear error."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from incog.errors import IncogError, InputError, OutputError
from incog.media import decode
from incog.media.base import OutputOptions, Source
from incog.media.decode import joined, planes, upright, usable_profile
from incog.media.image import open_image
from incog.types import Array, Frame, Layout

WIDTH, HEIGHT = 62, 46


def noise(channels: int, *, deep: bool = False) -> Array:
    """Random samples, (46, 62) or (46, 62, channels): any wrong sample shows."""
    random = np.random.default_rng(channels)
    shape = (HEIGHT, WIDTH) if channels == 1 else (HEIGHT, WIDTH, channels)
    return random.integers(0, 65536 if deep else 256, shape).astype(np.uint16 if deep else np.uint8)


def smooth() -> Array:
    """A picture that lossy formats keep closely, and in which every corner differs."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([x * 4, y * 5, 255 - x * 2 - y * 2], axis=2).astype(np.uint8)


def saved(pixels: Array, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def heic(pixels: Array, **options: object) -> bytes:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(buffer, **options)
    return buffer.getvalue()


def tiff(pixels: Array, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, metadata=None, **options)
    return buffer.getvalue()


def deep_png(pixels: Array) -> bytes:
    """A PNG file of 16 bits, written by hand: 1 to 4 channels."""

    def chunk(kind: bytes, payload: bytes) -> bytes:
        return (
            struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))
        )

    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in pixels)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def opened(folder: Path, data: bytes, name: str = "in") -> Source:
    (folder / name).write_bytes(data)
    return open_image(folder / name)


def only(source: Source) -> Frame:
    frames = list(source.frames())
    assert len(frames) == 1
    return frames[0]


def through(
    source: Source, target: Path, change: Callable[[Frame], Frame] = lambda frame: frame
) -> list[str]:
    with source.sink(target, OutputOptions()) as sink:
        for frame in source.frames():
            sink.write(change(frame))
    return sink.decisions


LOSSLESS = {
    "png grey": (lambda: saved(noise(1), "PNG"), noise(1)),
    "png grey alpha": (lambda: saved(noise(2), "PNG"), noise(2)),
    "png rgb": (lambda: saved(noise(3), "PNG"), noise(3)),
    "png rgba": (lambda: saved(noise(4), "PNG"), noise(4)),
    "png grey 16": (lambda: deep_png(noise(1, deep=True)), noise(1, deep=True)),
    "png rgb 16": (lambda: deep_png(noise(3, deep=True)), noise(3, deep=True)),
    "png rgba 16": (lambda: deep_png(noise(4, deep=True)), noise(4, deep=True)),
    "tiff grey": (lambda: saved(noise(1), "TIFF"), noise(1)),
    "tiff grey alpha": (lambda: saved(noise(2), "TIFF"), noise(2)),
    "tiff rgb lzw": (lambda: saved(noise(3), "TIFF", compression="tiff_lzw"), noise(3)),
    "tiff rgba": (lambda: saved(noise(4), "TIFF"), noise(4)),
    "tiff grey 16": (lambda: tiff(noise(1, deep=True)), noise(1, deep=True)),
    "tiff grey 16 big-endian": (lambda: tiff(noise(1, deep=True), byteorder=">"), noise(1, deep=True)),
    "tiff rgb 16": (lambda: tiff(noise(3, deep=True), photometric="rgb"), noise(3, deep=True)),
    "tiff rgb 16 zlib": (
        lambda: tiff(noise(3, deep=True), photometric="rgb", compression="zlib"),
        noise(3, deep=True),
    ),
    "tiff rgba 16": (
        lambda: tiff(noise(4, deep=True), photometric="rgb", extrasamples=["unassalpha"]),
        noise(4, deep=True),
    ),
    "bmp grey": (lambda: saved(noise(1), "BMP"), noise(1)),
    "bmp rgb": (lambda: saved(noise(3), "BMP"), noise(3)),
    "webp rgb": (lambda: saved(noise(3), "WEBP", lossless=True), noise(3)),
    "webp rgba": (
        lambda: saved(np.maximum(noise(4), 1), "WEBP", lossless=True, exact=True),
        np.maximum(noise(4), 1),
    ),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_give_every_sample_back(tmp_path: Path, name: str) -> None:
    make, pixels = LOSSLESS[name]
    source = opened(tmp_path, make())
    frame = only(source)
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    assert frame.layout == Layout(
        "grey" if channels < 3 else "rgb",
        depth=16 if pixels.dtype == np.uint16 else 8,
        alpha=channels in {2, 4},
    )
    assert (source.kind, source.width, source.height, source.frame_count) == ("photo", WIDTH, HEIGHT, 1)
    assert (source.rate, source.path, frame.time) == (0.0, tmp_path / "in", 0)
    assert np.array_equal(joined(frame.planes), pixels)

    assert through(source, tmp_path / "out") == []
    again = only(open_image(tmp_path / "out"))
    assert again.layout == frame.layout
    assert np.array_equal(joined(again.planes), pixels)
    assert open_image(tmp_path / "out").suffix == source.suffix


def test_a_changed_region_is_written_and_the_rest_is_untouched(tmp_path: Path) -> None:
    source = opened(tmp_path, deep_png(noise(4, deep=True)))

    def blacken(frame: Frame) -> Frame:
        changed = frame.copy()
        changed.planes[0][10:20, 5:15] = 0
        return changed

    through(source, tmp_path / "out", blacken)
    expected = noise(4, deep=True)
    expected[10:20, 5:15, :3] = 0
    assert np.array_equal(joined(only(open_image(tmp_path / "out")).planes), expected)


def test_frames_decodes_anew_each_time(tmp_path: Path) -> None:
    source = opened(tmp_path, saved(noise(3), "PNG"))
    first = only(source)
    first.planes[0][:] = 0
    assert np.array_equal(only(source).planes[0], noise(3))


PALETTES = ["PNG", "GIF", "BMP", "TIFF"]


@pytest.mark.parametrize("kind", PALETTES)
def test_palettes(tmp_path: Path, kind: str) -> None:
    palette = Image.fromarray(smooth()).quantize(64)
    buffer = io.BytesIO()
    palette.save(buffer, kind)
    source = opened(tmp_path, buffer.getvalue())
    frame = only(source)
    assert np.array_equal(frame.planes[0], np.asarray(palette.convert("RGB")))
    through(source, tmp_path / "out")
    again = only(open_image(tmp_path / "out"))
    assert again.layout == frame.layout
    assert np.array_equal(joined(again.planes), joined(frame.planes))


def test_palette_with_transparency(tmp_path: Path) -> None:
    palette = Image.fromarray(smooth()).quantize(16)
    buffer = io.BytesIO()
    palette.save(buffer, "PNG", transparency=bytes([0, 128] + [255] * 14))
    frame = only(opened(tmp_path, buffer.getvalue()))
    assert frame.layout == Layout("rgb", alpha=True)
    assert np.array_equal(joined(frame.planes), np.asarray(Image.open(buffer).convert("RGBA")))
    assert set(np.unique(frame.planes[1])) == {0, 128, 255}


def test_a_transparent_grey_of_16_bits(tmp_path: Path) -> None:
    pixels = noise(1, deep=True)
    data = deep_png(pixels)
    body = b"tRNS" + int(pixels[3, 4]).to_bytes(2, "big")
    data = data[:33] + struct.pack(">I", 2) + body + struct.pack(">I", zlib.crc32(body)) + data[33:]
    frame = only(opened(tmp_path, data))
    assert np.array_equal(frame.planes[0], pixels)
    assert np.array_equal(frame.planes[1] == 0, pixels == pixels[3, 4])


def test_grey_with_alpha_at_16_bits_is_handled_as_colour(tmp_path: Path) -> None:
    pixels = noise(2, deep=True)
    source = opened(tmp_path, deep_png(pixels))
    through(source, tmp_path / "out")
    for frame in (only(source), only(open_image(tmp_path / "out"))):
        assert frame.layout == Layout("rgb", depth=16, alpha=True)
        assert np.array_equal(frame.planes[0], np.repeat(pixels[..., :1], 3, axis=2))
        assert np.array_equal(frame.planes[1], pixels[..., 1])


def test_one_bit(tmp_path: Path) -> None:
    bits = noise(1) > 127
    source = opened(tmp_path, saved(bits, "PNG"))
    assert np.array_equal(only(source).planes[0], np.where(bits, 255, 0))
    assert through(source, tmp_path / "out") == ["The picture had 1 bit per pixel and is written with 8."]


def test_white_is_zero_at_16_bits(tmp_path: Path) -> None:
    data = tiff(noise(1, deep=True), photometric="miniswhite")
    source = opened(tmp_path, data)
    assert np.array_equal(only(source).planes[0], 65535 - noise(1, deep=True))
    through(source, tmp_path / "out")
    assert np.array_equal(only(open_image(tmp_path / "out")).planes[0], 65535 - noise(1, deep=True))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
@pytest.mark.parametrize("profile", [None, b"broken" * 50])
def test_cmyk_becomes_rgb_and_says_so(tmp_path: Path, kind: str, profile: bytes | None) -> None:
    buffer = io.BytesIO()
    Image.fromarray(smooth()).convert("CMYK").save(buffer, kind, quality=95, icc_profile=profile)
    source = opened(tmp_path, buffer.getvalue())
    decisions = through(source, tmp_path / "out")
    assert any("CMYK" in decision for decision in decisions)
    again = only(open_image(tmp_path / "out"))
    assert again.layout == Layout("rgb")
    assert np.abs(again.planes[0].astype(int) - smooth()).mean() < 4


def test_lab_becomes_srgb(tmp_path: Path) -> None:
    transform = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    lab = ImageCms.applyTransform(Image.fromarray(smooth()), transform)
    buffer = io.BytesIO()
    lab.save(buffer, "TIFF")
    frame = only(opened(tmp_path, buffer.getvalue()))
    assert frame.layout == Layout("rgb")
    assert np.abs(frame.planes[0].astype(int) - smooth()).mean() < 8


@pytest.mark.parametrize(
    ("make", "suffix", "limit"),
    [
        (lambda: saved(smooth(), "JPEG", quality=90), ".jpg", 1.0),
        (lambda: saved(smooth(), "JPEG", quality=60, subsampling=0), ".jpg", 2.0),
        (lambda: saved(smooth()[..., 0], "JPEG", quality=75), ".jpg", 1.0),
        (lambda: saved(smooth(), "WEBP", quality=90), ".webp", 2.0),
        (lambda: saved(smooth(), "AVIF", quality=90), ".avif", 2.0),
        (lambda: saved(smooth()[..., 0], "AVIF", quality=90), ".avif", 2.0),
        (lambda: saved(np.dstack([smooth(), smooth()[..., 0]]), "AVIF", quality=90), ".avif", 2.0),
        (lambda: heic(smooth(), quality=90), ".heic", 2.0),
        (lambda: heic(np.dstack([smooth(), smooth()[..., 0]]), quality=90), ".heic", 2.0),
        (lambda: heic(smooth()[..., 0], quality=90), ".heic", 2.0),
    ],
)
def test_lossy_formats_stay_close_and_keep_their_layout(
    tmp_path: Path, make: Callable[[], bytes], suffix: str, limit: float
) -> None:
    source = opened(tmp_path, make())
    frame = only(source)
    assert source.suffix == suffix
    assert through(source, tmp_path / "out") == []
    again = only(open_image(tmp_path / "out"))
    assert again.layout == frame.layout
    assert np.abs(joined(again.planes).astype(int) - joined(frame.planes).astype(int)).mean() < limit


def test_jpeg_keeps_quantisation_and_subsampling(tmp_path: Path) -> None:
    from PIL.JpegImagePlugin import get_sampling

    for sampling in (0, 1, 2):
        data = saved(smooth(), "JPEG", quality=71, subsampling=sampling)
        through(opened(tmp_path, data), tmp_path / "out")
        with Image.open(io.BytesIO(data)) as before, Image.open(tmp_path / "out") as after:
            assert after.quantization == before.quantization
            assert get_sampling(after) == sampling


def test_quality_decides_the_size(tmp_path: Path) -> None:
    for data in (saved(noise(3), "JPEG"), saved(noise(3), "WEBP"), saved(noise(3), "AVIF"), heic(noise(3))):
        source = opened(tmp_path, data)
        sizes = []
        for quality in (20, 95):
            with source.sink(tmp_path / f"{quality}", OutputOptions(quality=quality)) as sink:
                sink.write(only(source))
            sizes.append((tmp_path / f"{quality}").stat().st_size)
        assert sizes[0] < sizes[1]


def tagged(kind: str, turn: int) -> bytes:
    """A file whose picture is upright only after the turn that its tag asks for."""
    exif = Image.Exif()
    exif[0x0112] = turn
    if kind == "tiff 16":
        return tiff(smooth().astype(np.uint16) * 257, photometric="rgb", extratags=[(274, 3, 1, turn, True)])
    if kind == "HEIC":
        # the encoder writes the orientation as irot and imir properties
        return heic(smooth(), quality=95, exif=exif.tobytes())
    options = {"lossless": True} if kind == "WEBP" else {}
    return saved(smooth(), kind, exif=exif.tobytes() if kind != "TIFF" else exif, **options)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "tiff 16", "AVIF", "HEIC"])
def test_orientation_is_applied_once_and_its_tag_is_gone(tmp_path: Path, kind: str, turn: int) -> None:
    stored = Image.fromarray(smooth())
    exif = stored.getexif()
    exif[0x0112] = turn
    expected = np.asarray(ImageOps.exif_transpose(stored)).astype(int)

    source = opened(tmp_path, tagged(kind, turn))
    frame = only(source)
    assert (source.height, source.width) == expected.shape[:2]
    shown = frame.planes[0].astype(int) >> (frame.layout.depth - 8)
    assert np.abs(shown - expected).mean() < (8 if kind in {"AVIF", "HEIC", "JPEG"} else 0.01)

    through(source, tmp_path / "out")
    again = open_image(tmp_path / "out")
    assert (again.width, again.height) == (source.width, source.height)
    shown = only(again).planes[0].astype(int) >> (frame.layout.depth - 8)
    assert np.abs(shown - expected).mean() < (8 if kind in {"AVIF", "HEIC", "JPEG"} else 0.01)
    if kind == "HEIC":
        assert b"irot" not in (tmp_path / "out").read_bytes()
    else:
        with Image.open(tmp_path / "out") as image:
            assert 0x0112 not in image.getexif()


def test_an_orientation_in_xmp_alone_is_ignored_as_viewers_do(tmp_path: Path) -> None:
    xmp = b'<x:xmpmeta tiff:Orientation="6"></x:xmpmeta>'
    for kind in ("JPEG", "TIFF", "WEBP"):
        options = {"tiffinfo": {700: xmp}} if kind == "TIFF" else {"xmp": xmp}
        source = opened(tmp_path, saved(smooth(), kind, **options))
        assert (source.width, source.height) == (WIDTH, HEIGHT)
        assert only(source).planes[0].shape == (HEIGHT, WIDTH, 3)


def test_pages_of_a_tiff_file_are_frames_and_none_is_lost(tmp_path: Path) -> None:
    pages = [noise(3), noise(3)[::-1], noise(3)[:, ::-1]]
    source = opened(tmp_path, tiff(np.stack(pages), photometric="rgb"))
    assert (source.kind, source.frame_count, source.rate) == ("animation", 3, 1.0)
    frames = list(source.frames())
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert [frame.time for frame in frames] == [0, 1, 2]
    through(source, tmp_path / "out")
    assert np.array_equal(tifffile.imread(tmp_path / "out"), np.stack(pages))


def test_deep_pages(tmp_path: Path) -> None:
    pages = np.stack([noise(3, deep=True), noise(3, deep=True)[::-1]])
    source = opened(tmp_path, tiff(pages, photometric="rgb"))
    through(source, tmp_path / "out")
    assert np.array_equal(tifffile.imread(tmp_path / "out"), pages)


def test_pages_of_different_sizes_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(noise(3), photometric="rgb", metadata=None)
        writer.write(noise(3)[:20], photometric="rgb", metadata=None)
    with pytest.raises(InputError, match="differ in size") as caught:
        opened(tmp_path, buffer.getvalue())
    assert "split" in caught.value.hint


def test_bmp_with_transparency_becomes_png(tmp_path: Path) -> None:
    header = struct.pack(
        "<IiiHHIIiiII4I", 108, WIDTH, -HEIGHT, 1, 32, 3, 0, 0, 0, 0, 0, 0xFF0000, 0xFF00, 0xFF, 0xFF000000
    )
    header = header.ljust(108, b"\0")
    rgba = noise(4)
    body = rgba[..., [2, 1, 0, 3]].tobytes()
    data = b"BM" + struct.pack("<IHHI", 14 + 108 + len(body), 0, 0, 14 + 108) + header + body
    source = opened(tmp_path, data)
    assert source.suffix == ".png"
    assert np.array_equal(joined(only(source).planes), rgba)
    assert any("PNG" in decision for decision in through(source, tmp_path / "out"))
    assert np.array_equal(joined(only(open_image(tmp_path / "out")).planes), rgba)


def test_ten_bit_heic_says_that_it_loses_two(tmp_path: Path) -> None:
    deep = (smooth().astype(np.uint16) * 257).tobytes()
    buffer = io.BytesIO()
    pillow_heif.from_bytes(mode="RGB;16", size=(WIDTH, HEIGHT), data=deep).save(buffer, quality=95)
    source = opened(tmp_path, buffer.getvalue())
    assert only(source).layout == Layout("rgb")
    decisions = through(source, tmp_path / "out")
    assert "The picture had more than 8 bits per sample and is written with 8." in decisions


def test_the_name_does_not_matter(tmp_path: Path) -> None:
    source = opened(tmp_path, saved(noise(3), "PNG"), "photo.jpg")
    assert source.suffix == ".png"
    assert np.array_equal(only(source).planes[0], noise(3))


VALID = {
    "jpeg": lambda: saved(smooth(), "JPEG"),
    "png": lambda: saved(smooth(), "PNG"),
    "png 16": lambda: deep_png(noise(3, deep=True)),
    "webp": lambda: saved(smooth(), "WEBP"),
    "tiff": lambda: saved(smooth(), "TIFF"),
    "tiff lzw": lambda: saved(smooth(), "TIFF", compression="tiff_lzw"),
    "tiff 16": lambda: tiff(noise(3, deep=True), photometric="rgb"),
    "bmp": lambda: saved(smooth(), "BMP"),
    "gif": lambda: saved(smooth(), "GIF"),
    "avif": lambda: saved(smooth(), "AVIF"),
    "heic": lambda: heic(smooth()),
}


@pytest.mark.parametrize("kind", VALID)
def test_a_truncated_file_is_refused_wherever_it_is_cut(tmp_path: Path, kind: str) -> None:
    data = VALID[kind]()
    for share in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        cut = data[: max(4, int(len(data) * share))]
        with pytest.raises(InputError):
            list(opened(tmp_path, cut).frames())
    with pytest.raises(InputError):
        # the last two bytes of the BMP file are padding
        list(opened(tmp_path, data[:-3]).frames())


def test_a_png_with_one_flipped_bit_is_refused(tmp_path: Path) -> None:
    data = bytearray(saved(noise(3), "PNG"))
    data[len(data) // 2] ^= 4
    with pytest.raises(InputError, match="check sum"):
        opened(tmp_path, bytes(data))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"this is text", "not a picture"),
        (b"\xff\xd8\xff\xe0 and then text", "truncated"),
        (b"\x89PNG\r\n\x1a\n", "truncated"),
        (b"GIF89a", "truncated"),
        (b"BM" + bytes(12) + b"\x28\0\0\0" + bytes(10), "corrupt or truncated"),
        (b"8BPS\0\x01" + bytes(30), "Photoshop file"),
        (b"\xff\x0a" + bytes(30), "JPEG XL file"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(30), "JPEG 2000 file"),
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(30), "camera raw file"),
        (b"RIFF\x04\0\0\0WEBP", "truncated"),
    ],
)
def test_what_is_no_picture_is_said_in_words(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        opened(tmp_path, data, "photo.jpg")


def test_raw_files_that_look_like_tiff_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="camera raw"):
        opened(tmp_path, tiff(noise(3), photometric="rgb", subfiletype=1))
    with pytest.raises(InputError, match="camera raw"):
        opened(
            tmp_path, tiff(noise(3), photometric="rgb", extratags=[(50706, 1, 4, bytes([1, 4, 0, 0]), True)])
        )


def test_floating_point_tiff_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        list(opened(tmp_path, tiff(noise(1).astype(np.float32))).frames())


def test_places_that_are_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        open_image(tmp_path / "missing.jpg")
    with pytest.raises(InputError, match="a folder"):
        open_image(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        open_image(tmp_path / "pipe")


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").write_bytes(b"x")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match="Permission denied"):
        open_image(tmp_path / "in")


def test_bombs_are_refused_by_their_header(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = b""
    for kind, payload in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")):
        body += (
            struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))
        )
    with pytest.raises(InputError, match="60000 x 60000 pixels is above the limit of 400 megapixels"):
        opened(tmp_path, b"\x89PNG\r\n\x1a\n" + body)

    jpeg = bytearray(saved(smooth(), "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", 65_000, 65_000)
    with pytest.raises(InputError, match="above the limit"):
        opened(tmp_path, bytes(jpeg))

    gif = bytearray(saved(smooth(), "GIF"))
    gif[6:10] = struct.pack("<HH", 65_000, 65_000)
    with pytest.raises(InputError, match="above the limit"):
        opened(tmp_path, bytes(gif))

    bmp = bytearray(saved(smooth(), "BMP"))
    bmp[18:26] = struct.pack("<ii", 65_000, 65_000)
    with pytest.raises(InputError, match="above the limit"):
        opened(tmp_path, bytes(bmp))


def test_a_file_larger_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "FILE_BYTES", 1000)
    with pytest.raises(InputError, match="too large for a picture"):
        opened(tmp_path, saved(noise(3), "PNG"))


def test_a_file_that_is_swapped_between_two_passes(tmp_path: Path) -> None:
    source = opened(tmp_path, saved(noise(3), "PNG"))
    (tmp_path / "in").write_bytes(saved(noise(3), "BMP"))
    with pytest.raises(InputError, match="changed"):
        list(source.frames())
    (tmp_path / "in").write_bytes(saved(noise(3)[:20], "PNG"))
    with pytest.raises(InputError, match="62 x 20"):
        list(source.frames())


def test_a_sink_takes_exactly_the_frames_of_its_source(tmp_path: Path) -> None:
    source = opened(tmp_path, saved(noise(3), "PNG"))
    frame = only(source)
    with pytest.raises(OutputError, match="0 of 1 frames"):
        source.sink(tmp_path / "out", OutputOptions()).close()
    sink = source.sink(tmp_path / "out", OutputOptions())
    small = Frame((noise(3)[:20],), Layout("rgb"))
    with pytest.raises(OutputError, match="62 x 20"):
        sink.write(small)
    sink.write(frame)
    with pytest.raises(OutputError, match="more frames"):
        sink.write(frame)


def test_an_error_inside_leaves_the_sink_unfinished(tmp_path: Path) -> None:
    source = opened(tmp_path, saved(noise(3), "PNG"))

    def fail() -> None:
        with source.sink(tmp_path / "out", OutputOptions()):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF"])
def test_a_full_disk_is_an_output_error(tmp_path: Path, kind: str) -> None:
    source = opened(tmp_path, saved(smooth(), kind))
    with pytest.raises(OutputError, match="the disk is full"):
        through(source, Path("/dev/full"))


def test_a_place_that_does_not_exist_is_an_output_error(tmp_path: Path) -> None:
    for kind in ("PNG", "GIF"):
        source = opened(tmp_path, saved(smooth(), kind))
        with pytest.raises(OutputError, match="the folder does not exist"):
            through(source, tmp_path / "no" / "out")


def test_real_photographs(tmp_path: Path) -> None:
    folder = Path(__file__).parents[2].parent / "shared" / "data" / "media"
    photos = sorted(folder.glob("*.jpg"))
    if not photos:
        pytest.skip("the real photographs are not at hand")
    for photo in photos:
        source = open_image(photo)
        through(source, tmp_path / "out.jpg")
        before, after = only(source).planes[0], only(open_image(tmp_path / "out.jpg")).planes[0]
        assert np.abs(before.astype(int) - after.astype(int)).mean() < 1


def test_upright_and_planes_are_inverses_and_pure() -> None:
    for channels, layout in (
        (1, Layout("grey")),
        (2, Layout("grey", alpha=True)),
        (4, Layout("rgb", alpha=True)),
    ):
        pixels = noise(channels)
        split = planes(pixels, layout)
        assert len(split) == (2 if layout.alpha else 1)
        assert np.array_equal(joined(split), pixels)
        assert np.array_equal(upright(upright(pixels, 6), 8), pixels)
        assert np.array_equal(upright(pixels, 1), pixels)


def test_profiles_of_the_wrong_kind() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert usable_profile(profile, "rgb") == profile
    assert usable_profile(profile, "grey") is None
    assert usable_profile("text", "rgb") is None


@pytest.mark.parametrize("kind", ["jpeg", "png", "png 16", "webp", "tiff", "tiff 16", "bmp", "gif"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6),
    near_start=st.booleans(),
)
def test_mutated_files_never_raise_anything_else(
    tmp_path: Path, kind: str, edits: list[tuple[float, int]], near_start: bool
) -> None:
    data = bytearray(VALID[kind]())
    span = min(len(data), 128) if near_start else len(data)
    for place, value in edits:
        data[min(int(place * span), span - 1)] = value
    try:
        source = opened(tmp_path, bytes(data))
        through(source, tmp_path / "out")
    except IncogError:
        return
    assert list(open_image(tmp_path / "out").frames())


def test_opencv_agrees_on_deep_png(tmp_path: Path) -> None:
    source = opened(tmp_path, deep_png(noise(3, deep=True)))
    through(source, tmp_path / "out.png")
    assert np.array_equal(
        cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)[..., ::-1], noise(3, deep=True)
    )
