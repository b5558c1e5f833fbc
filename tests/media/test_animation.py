"""Animations: every frame, at its time, as often; compositing is resolved on the way in and rebuilt on the way out."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from incog.errors import InputError, OutputError
from incog.media.animation import changed_box, indexed
from incog.media.base import OutputOptions, Source
from incog.media.decode import joined
from incog.media.image import open_image
from incog.types import Array, Frame

DELAYS = [50, 70, 110, 90, 200, 40]
TIMES = [Fraction(sum(DELAYS[:index]), 1000) for index in range(len(DELAYS))]


def pictures(channels: int = 3) -> list[Array]:
    """Six frames of 48 x 40: a drawing that moves; the third equals the second, the fifth changes one pixel."""
    y, x = np.mgrid[:40, :48]
    frames = []
    for index in (0, 1, 1, 3, 3, 5):
        wave = (x // 6 + y // 5 + index) % 4 * 60
        colour = np.stack([wave, 255 - wave, np.full_like(wave, 40 * index)], axis=2).astype(np.uint8)
        clear = np.where((x + 7 * index) % 48 < 20, 0, 255).astype(np.uint8)
        frames.append(colour if channels == 3 else np.dstack([colour, clear]))
    frames[4] = frames[4].copy()
    frames[4][7, 9, :3] = (1, 2, 3)
    if channels == 4:
        frames[4][7, 9, 3] = 255
    return frames


def movie(kind: str, frames: list[Array], **options: object) -> bytes:
    """A file that has every frame: Pillow's writers merge equal ones, so equal ones get a passing difference."""
    images = [Image.fromarray(frame) for frame in frames]
    buffer = io.BytesIO()
    settings = {"duration": DELAYS[: len(frames)], "save_all": True, "append_images": images[1:], **options}
    images[0].save(buffer, kind, **settings)
    return buffer.getvalue()


def opened(folder: Path, data: bytes) -> Source:
    (folder / "in").write_bytes(data)
    return open_image(folder / "in")


def through(source: Source, target: Path, frames: list[Frame] | None = None) -> list[Frame]:
    with source.sink(target, OutputOptions()) as sink:
        for frame in frames if frames is not None else source.frames():
            sink.write(frame)
    return list(open_image(target).frames())


def shown(frame: Frame) -> Array:
    """What is seen: colours, and black where the frame is transparent."""
    if not frame.layout.alpha:
        return frame.planes[0]
    return np.where(frame.planes[1][..., None] > 0, frame.planes[0], 0)


EXACT = {
    "gif": ("GIF", 3, {"loop": 0}),
    "gif with holes": ("GIF", 4, {"loop": 3, "disposal": 2}),
    "apng": ("PNG", 3, {"loop": 2}),
    "apng with holes": ("PNG", 4, {"loop": 0, "disposal": 1}),
    "apng that restores": ("PNG", 4, {"loop": 0, "disposal": 2, "blend": 1}),
    "webp": ("WEBP", 3, {"loop": 5, "lossless": True}),
    "webp with holes": ("WEBP", 4, {"loop": 0, "lossless": True, "exact": True}),
}


@pytest.mark.parametrize("name", EXACT)
def test_frames_and_times_come_back(tmp_path: Path, name: str) -> None:
    kind, channels, options = EXACT[name]
    source = opened(tmp_path, movie(kind, pictures(channels), **options))
    assert source.kind == "animation"
    before = list(source.frames())
    with Image.open(tmp_path / "in") as image:
        assert len(before) == source.frame_count == image.n_frames
        for frame in before:
            image.seek(frame.index)
            reference = np.asarray(image.convert("RGBA"))
            assert np.array_equal(shown(frame), np.where(reference[..., 3:] > 0, reference[..., :3], 0))
        loop = image.info.get("loop")
    assert sum(DELAYS) / 1000 == pytest.approx(len(before) / source.rate)

    after = through(source, tmp_path / "out")
    assert [frame.time for frame in after] == [frame.time for frame in before]
    assert all(np.array_equal(shown(one), shown(two)) for one, two in zip(before, after, strict=True))
    with Image.open(tmp_path / "out") as image:
        assert image.is_animated
        assert image.info.get("loop") == loop
        for frame in before:
            image.seek(frame.index)
            reference = np.asarray(image.convert("RGBA"))
            assert np.array_equal(shown(frame), np.where(reference[..., 3:] > 0, reference[..., :3], 0))


@pytest.mark.parametrize("name", EXACT)
def test_frames_that_become_equal_are_not_merged(tmp_path: Path, name: str) -> None:
    kind, channels, options = EXACT[name]
    source = opened(tmp_path, movie(kind, pictures(channels), **options))
    frames = list(source.frames())
    same = [Frame(frames[0].planes, frame.layout, frame.index, frame.time) for frame in frames]
    after = through(source, tmp_path / "out", same)
    assert [frame.time for frame in after] == [frame.time for frame in frames]
    assert all(np.array_equal(shown(frame), shown(frames[0])) for frame in after)


def test_exact_times(tmp_path: Path) -> None:
    source = opened(tmp_path, movie("PNG", pictures()[:2] + pictures()[3:4]))
    data = bytearray((tmp_path / "in").read_bytes())
    # a thirtieth of a second cannot be said in milliseconds
    at = data.index(b"fcTL")
    data[at + 24 : at + 28] = struct.pack(">HH", 1, 30)
    data[at + 30 : at + 34] = struct.pack(">I", zlib.crc32(data[at : at + 30]))
    source = opened(tmp_path, bytes(data))
    assert [frame.time for frame in source.frames()][1] == Fraction(1, 30)
    assert through(source, tmp_path / "out")[1].time == Fraction(1, 30)


def test_lossy_webp(tmp_path: Path) -> None:
    source = opened(tmp_path, movie("WEBP", pictures(), quality=90, loop=0))
    before, after = list(source.frames()), through(source, tmp_path / "out")
    assert [frame.time for frame in after] == [frame.time for frame in before]
    for one, two in zip(before, after, strict=True):
        assert np.abs(shown(one).astype(int) - shown(two).astype(int)).mean() < 12


def test_avif_sequence(tmp_path: Path) -> None:
    source = opened(tmp_path, movie("AVIF", pictures(), quality=90))
    assert (source.kind, source.frame_count, source.rate) == ("animation", 6, 20.0)
    before, after = list(source.frames()), through(source, tmp_path / "out")
    assert [frame.time for frame in before] == [frame.time for frame in after] == TIMES
    for one, two in zip(before, after, strict=True):
        assert np.abs(shown(one).astype(int) - shown(two).astype(int)).mean() < 12


def test_the_picture_for_old_viewers_is_dropped(tmp_path: Path) -> None:
    frames = pictures()
    source = opened(
        tmp_path, movie("PNG", [frames[5], frames[0], frames[1]], default_image=True, duration=[50, 60])
    )
    shown_frames = list(source.frames())
    assert source.kind == "animation"
    assert len(shown_frames) == source.frame_count == 2
    assert np.array_equal(shown_frames[0].planes[0], frames[0])
    with source.sink(tmp_path / "out", OutputOptions()) as sink:
        for frame in shown_frames:
            sink.write(frame)
    assert "The picture for viewers that cannot show animations was dropped." in sink.decisions
    with Image.open(tmp_path / "out") as image:
        assert not image.info.get("default_image")
        assert np.array_equal(np.asarray(image.convert("RGB")), frames[0])


def test_orientation_turns_every_frame(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("PNG", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        source = opened(tmp_path, movie(kind, pictures(), exif=exif.tobytes(), **options))
        assert (source.width, source.height) == (40, 48)
        after = through(source, tmp_path / "out")
        assert np.array_equal(shown(after[0]), np.rot90(pictures()[0], 3))
        with Image.open(tmp_path / "out") as image:
            assert 0x0112 not in image.getexif()


def test_metadata_of_animations(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x013B] = "Maker", "PLANTED"
    for kind in ("PNG", "WEBP"):
        source = opened(tmp_path, movie(kind, pictures(), exif=exif.tobytes()))
        for keep in (False, True):
            with source.sink(tmp_path / "out", OutputOptions(keep_metadata=keep)) as sink:
                for frame in source.frames():
                    sink.write(frame)
            assert b"PLANTED" not in (tmp_path / "out").read_bytes()
            with Image.open(tmp_path / "out") as image:
                assert dict(image.getexif()) == ({0x010F: "Maker"} if keep else {})
                assert image.n_frames == source.frame_count


def test_gif_with_more_than_256_colours_in_a_frame(tmp_path: Path) -> None:
    random = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    source = opened(tmp_path, movie("GIF", pictures()))
    frames = [frame.copy() for frame in source.frames()]
    frames[1].planes[0][:] = random
    frames[2].planes[1][:10] = 0
    after = through(source, tmp_path / "out", frames)
    assert np.array_equal(shown(after[0]), shown(frames[0]))
    assert np.abs(shown(after[1]).astype(int) - random).mean() < 20
    assert np.array_equal(after[2].planes[1], frames[2].planes[1])
    assert np.array_equal(shown(after[3]), shown(frames[3]))


def test_colours_of_a_frame_are_reduced_only_when_needed() -> None:
    pixels = np.zeros((16, 17, 4), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.mgrid[:16, :17]
    pixels[..., 3] = 255
    indices, palette, transparent = indexed(pixels[:, :16])
    assert (len(palette), transparent) == (256, None)
    assert np.array_equal(palette[indices], pixels[:, :16, :3])
    indices, palette, transparent = indexed(pixels)
    assert len(palette) <= 256
    assert transparent is None
    pixels[0, 0, 3] = 0
    indices, palette, transparent = indexed(pixels)
    assert indices[0, 0] == transparent
    assert (indices == transparent).sum() == 1
    assert len(palette) <= 256


def test_changed_box() -> None:
    before = np.zeros((10, 12, 3), np.uint8)
    after = before.copy()
    assert changed_box(None, after) == (0, 0, 12, 10)
    assert changed_box(before, after) == (0, 0, 1, 1)
    after[3, 4, 1] = after[6, 9, 2] = 1
    assert changed_box(before, after) == (4, 3, 10, 7)
    assert changed_box(before[..., 0], after[..., 0]) == (0, 0, 1, 1)


def test_short_gif_delays_are_shown_as_a_tenth_and_written_as_they_were(tmp_path: Path) -> None:
    source = opened(tmp_path, movie("GIF", pictures(), duration=0))
    count = source.frame_count or 0
    assert [frame.time for frame in source.frames()] == [Fraction(index, 10) for index in range(count)]
    assert source.rate == 10
    through(source, tmp_path / "out")
    with Image.open(tmp_path / "out") as image:
        assert image.info.get("duration", 0) == 0


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF"])
def test_a_truncated_animation_is_refused(tmp_path: Path, kind: str) -> None:
    data = movie(kind, pictures())
    for share in (0.2, 0.5, 0.8, 0.95):
        with pytest.raises(InputError):
            list(opened(tmp_path, data[: int(len(data) * share)]).frames())


def test_a_huge_canvas_is_refused(tmp_path: Path) -> None:
    data = bytearray(movie("GIF", pictures()))
    data[6:10] = struct.pack("<HH", 9000, 9000)
    with pytest.raises(InputError, match="above the limit of 64 megapixels"):
        opened(tmp_path, bytes(data))


def test_what_an_encoder_refuses_is_an_output_error(tmp_path: Path) -> None:
    data = bytearray(movie("WEBP", pictures()))
    at = data.index(b"VP8X")
    # the container allows wider canvases than the coding
    data[at + 12 : at + 15] = (16_999).to_bytes(3, "little")
    source = opened(tmp_path, bytes(data))
    with pytest.raises(OutputError, match="cannot be written as WEBP"):
        through(source, tmp_path / "out")


def test_a_promised_frame_that_is_missing(tmp_path: Path) -> None:
    data = bytearray(movie("PNG", pictures()))
    at = data.index(b"acTL")
    data[at + 4 : at + 8] = struct.pack(">I", 40)
    data[at + 12 : at + 16] = struct.pack(">I", zlib.crc32(data[at : at + 12]))
    with pytest.raises(InputError, match="promises 40 frames"):
        opened(tmp_path, bytes(data))


def test_a_missing_frame_is_an_output_error(tmp_path: Path) -> None:
    source = opened(tmp_path, movie("GIF", pictures()))
    sink = source.sink(tmp_path / "out", OutputOptions())
    sink.write(next(iter(source.frames())))
    with pytest.raises(OutputError, match="1 of"):
        sink.close()
    sink.__exit__(ValueError, ValueError(), None)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_memory_does_not_grow_with_the_number_of_frames(tmp_path: Path, kind: str) -> None:
    random = np.random.default_rng(0)
    peaks = []
    for count in (10, 60):
        frames = [random.integers(0, 40, (120, 160, 3)).astype(np.uint8) // 8 * 8 for _ in range(count)]
        options = {"lossless": True} if kind == "WEBP" else {}
        source = opened(tmp_path, movie(kind, frames, duration=40, **options))
        size = (tmp_path / "in").stat().st_size
        tracemalloc.start()
        with source.sink(tmp_path / "out", OutputOptions()) as sink:
            for frame in source.frames():
                sink.write(frame)
        peaks.append(tracemalloc.get_traced_memory()[1] - 2 * size)
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 500_000


def test_still_gif(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(pictures()[0]).save(buffer, "GIF")
    source = opened(tmp_path, buffer.getvalue())
    assert (source.kind, source.frame_count) == ("photo", 1)
    before = next(iter(source.frames()))
    after = through(source, tmp_path / "out")
    assert len(after) == 1
    assert np.array_equal(joined(before.planes), joined(after[0].planes))
