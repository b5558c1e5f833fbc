"""What counts as telemetry, what is left of headers and tags, and how encoders are chosen."""

from __future__ import annotations

import itertools

import pytest

from incog.errors import UsageError
from incog.media.streams import clean_ass_header, looks_like_telemetry
from incog.media.video_encoders import choose, video_encoders
from incog.media.video_files import Container
from incog.types import Layout

MP4 = Container("mp4", "mov", "mp4")
WEBM = Container("webm", "matroska", "webm")


@pytest.mark.parametrize(
    "text",
    [
        "GPS(8.1234,47.1234,19) BAROMETER:64.3",
        "HOME(149.0251,20.2532) 2017.08.05 14:11:51",
        "[iso : 110] [shutter : 1/200.0] [fnum : 280] [latitude: 47.39] [longtitude: 8.54]",
        "F/2.8, SS 206.14, ISO 150, EV 0, DZOOM 1.000, GPS (8.5, 47.3, 20), D 24.57m, H 6.00m, H.S 0.00m/s",
        "lat=47.123 lon=8.22",
        "$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6A",
        "47.397742, 8.545594",
        "48°51'24\"N 2°21'03\"E",
        "SrtCnt : 1, DiffTime : 33ms",
        "rel_alt: 1.200 abs_alt: 412.1",
    ],
)
def test_telemetry_is_recognised_in_every_wrapping(text: str) -> None:
    assert looks_like_telemetry(text.encode())
    assert looks_like_telemetry(len(text.encode()).to_bytes(2, "big") + text.encode())
    assert looks_like_telemetry(text.encode("utf-16"))
    assert looks_like_telemetry(b"0,0,Default,,0,0,0,," + text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "Hello there.",
        "I told you: he lives at number 12, 4th floor.",
        "- Meet me at 10:30.\n- Fine, 7.5 miles from here.",
        "Ça va? Große Straße, 東京で会いましょう。",
        "<i>It cost 3.99, or 4.50.</i>",
        "Take me home (tonight)",
        "",
    ],
)
def test_dialogue_is_not_telemetry(text: str) -> None:
    assert not looks_like_telemetry(text.encode())
    assert not looks_like_telemetry(len(text.encode()).to_bytes(2, "big") + text.encode())
    assert not looks_like_telemetry(b"0,0,Default,,0,0,0,," + text.encode())


def test_binary_in_a_text_stream_is_in_doubt() -> None:
    assert looks_like_telemetry(bytes([0, 3, 1, 0, 2, 7, 0, 0, 5, 1, 0, 0]))


def test_ass_header_keeps_what_drawing_needs_only() -> None:
    header = (
        b"[Script Info]\r\n; Script by Jane\r\nTitle: Jane's party\r\nOriginal Script: Jane\r\nScriptType: v4.00+\r\n"
        b"PlayResX: 640\r\n\r\n[Aegisub Project Garbage]\r\nVideo File: /home/jane/party.mkv\r\n\r\n"
        b"[V4+ Styles]\r\nFormat: Name, Fontname\r\nStyle: Default,Arial\r\n\r\n"
        b"[Fonts]\r\nfontname: jane.ttf\r\nABCD\r\n\r\n[Events]\r\nFormat: Layer, Start, End, Text\r\n"
    )
    kept = clean_ass_header(header)
    assert b"jane" not in kept.lower()
    for needed in (
        b"ScriptType: v4.00+",
        b"PlayResX: 640",
        b"Style: Default,Arial",
        b"[Events]",
        b"Format: Layer",
    ):
        assert needed in kept


def chosen(
    container: Container, layout: Layout, size: tuple[int, int] = (64, 48), **changes: object
) -> tuple[str, str]:
    settings: dict[str, object] = {
        "source_codec": "h264",
        "transfer": 1,
        "codec": None,
        "quality": None,
    } | changes
    choice = choose(container, layout, size, **settings)  # type: ignore[arg-type]
    return choice.codec, choice.pix_fmt


def test_defaults_follow_container_and_samples() -> None:
    common = Layout("yuv", shift_x=1, shift_y=1)
    deep = Layout("yuv", 10, shift_x=1, shift_y=1)
    assert chosen(MP4, common) == ("libx264", "yuv420p")
    assert chosen(MP4, deep) == ("libx264", "yuv420p10le")
    assert chosen(MP4, deep, source_codec="hevc") == ("libx265", "yuv420p10le")
    assert chosen(MP4, deep, transfer=16) == ("libx265", "yuv420p10le")
    assert chosen(MP4, common, (63, 48)) == ("libx264", "yuv444p")
    assert chosen(MP4, Layout("yuv", shift_y=1)) == ("libx264", "yuv444p")
    assert chosen(WEBM, common, (63, 47)) == ("libvpx-vp9", "yuv420p")
    assert chosen(WEBM, deep) == ("libsvtav1", "yuv420p10le")
    assert chosen(WEBM, deep, (63, 47)) == ("libvpx-vp9", "yuv420p")
    assert chosen(WEBM, Layout("yuv", alpha=True, shift_x=1, shift_y=1)) == ("libvpx-vp9", "yuva420p")


def test_losses_are_said() -> None:
    choice = choose(
        WEBM,
        Layout("yuv", 10, shift_x=1, shift_y=1),
        (63, 47),
        source_codec="av1",
        transfer=1,
        codec=None,
        quality=None,
    )
    assert any("reduced from 10 to 8 bits" in decision for decision in choice.decisions)
    choice = choose(
        MP4,
        Layout("rgb", alpha=True),
        (64, 48),
        source_codec="png",
        transfer=1,
        codec="libx264",
        quality=None,
    )
    assert any("transparency" in decision for decision in choice.decisions)
    assert any("R'G'B'" in decision for decision in choice.decisions)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libvpx-vp9"])
def test_quality_maps_monotonically(codec: str) -> None:
    container = WEBM if codec == "libvpx-vp9" else MP4
    rates = [
        float(
            choose(
                container,
                Layout("yuv", shift_x=1, shift_y=1),
                (64, 48),
                source_codec="h264",
                transfer=1,
                codec=codec,
                quality=quality,
            ).options["crf"]
        )
        for quality in range(1, 101)
    ]
    assert all(one >= other for one, other in itertools.pairwise(rates))
    assert rates[0] > 50
    assert rates[-1] == 4


def test_encoders_of_a_container_are_listed() -> None:
    assert {"libvpx-vp9", "libsvtav1"} <= set(video_encoders(WEBM))
    assert "libx264" not in video_encoders(WEBM)
    assert {"libx264", "libx265", "mpeg4"} <= set(video_encoders(MP4))
    with pytest.raises(UsageError):
        chosen(MP4, Layout("yuv"), codec="aac")
