"""Videos in: mp4, mkv, mov, webm and avi, decoded picture by picture in constant memory.

A video is read completely or not at all. Everything that libav would pass over with a line in its log (a
damaged packet, a picture that is left out, a file that ends early) is an InputError here, because a picture
that nobody decoded is a picture that nobody looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideType
from av.stream import Discard

from incog.errors import InputError
from incog.media import streams
from incog.media.base import Kind, OutputOptions
from incog.media.video_decode import (
    Ledger,
    decoded,
    decoder_for,
    first_picture,
    light_level,
    mastering_display,
    open_input,
    refuse_bomb,
    side_data,
)
from incog.media.video_files import Container, identify
from incog.media.video_planes import Turn, layout_of, read_planes, readable, swapped, turn_of
from incog.media.video_sink import Colour, Header, VideoSink
from incog.types import Array, Frame, Layout

_FULL_RANGE_GREY = {"mjpeg", "png", "rawvideo", "ffv1", "qtrle", "huffyuv", "ffvhuff"}
_MATRICES: dict[int, Literal["bt601", "bt709", "bt2020"]] = {
    1: "bt709",
    4: "bt601",
    5: "bt601",
    6: "bt601",
    7: "bt709",
    9: "bt2020",
    10: "bt2020",
}


@dataclass(frozen=True, slots=True)
class _Picture:
    """What decoding needs to know beside the header. grey: add neutral chroma to limited-range grey."""

    width: int
    height: int
    pix_fmt: str
    native: str
    turn: Turn
    grey: bool


class VideoSource:
    """A video file. ``frames`` decodes it from the start at each call; see ``Source`` for the contract."""

    kind: Kind = "video"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._container = identify(path)
        self._tail = Fraction(0)
        self._notes: dict[str, str] = {}
        with open_input(path, self._container) as opened:
            stream = streams.picture_stream(opened.streams)
            self._index = stream.index
            refuse_bomb(stream.codec_context.width, stream.codec_context.height)
            self._written, self._container_notes = streams.settle_container(self._container, opened.streams)
            self._read_header(opened, stream, first_picture(opened, stream))

    def _read_header(self, opened: InputContainer, stream: av.VideoStream, first: av.VideoFrame) -> None:
        refuse_bomb(first.width, first.height)
        sides = side_data(first)
        turn = turn_of(sides[SideType.DISPLAYMATRIX]) if SideType.DISPLAYMATRIX in sides else Turn.NONE
        if turn is None:
            self._notes["turn"] = (
                "The video asks to be shown at an odd angle: the pictures were kept as they are stored."
            )
            turn = Turn.NONE
        elif turn is not Turn.NONE:
            self._notes["turn"] = (
                f"The pictures are stored upright, {turn.value}; the file has no rotation tag any more."
            )
        native = readable(first.format.name, turn)
        layout, grey = _layout(native, first, stream.codec_context.name)
        if turn.swaps:
            layout = swapped(layout)
        self._picture = _Picture(first.width, first.height, first.format.name, native, turn, grey)
        self.width, self.height = first.width, first.height
        aspect = stream.sample_aspect_ratio
        if turn.swaps:
            self.width, self.height = self.height, self.width
            aspect = 1 / aspect if aspect else None
        self.suffix = self._written.suffix
        rate = stream.average_rate or stream.guessed_rate or Fraction(0)
        self.rate = float(rate)
        self._step = 1 / rate if rate else Fraction(1, 25)
        self.frame_count = _promised(opened, stream, rate)
        colour = Colour(
            int(first.color_primaries),
            int(first.color_trc),
            int(first.colorspace),
            2 if layout.full_range else 1,
        )
        self._header = Header(
            width=self.width,
            height=self.height,
            layout=layout,
            time_base=stream.time_base or Fraction(1, 90000),
            rate=rate or Fraction(25),
            aspect=aspect,
            codec=stream.codec_context.name,
            colour=replace(colour, range=int(first.color_range)) if layout.kind == "rgb" else colour,
            field_order=int(stream.codec_context.field_order),
            mastering=mastering_display(sides.get(SideType.MASTERING_DISPLAY_METADATA)),
            light=light_level(sides.get(SideType.CONTENT_LIGHT_LEVEL)),
            stream=stream.index,
        )
        self._note_extras(sides, first)
        if native != first.format.name:
            self._notes["native"] = (
                f"The pictures were read as {native}; the source holds them as {first.format.name}."
            )

    def _note_extras(self, sides: dict[SideType, bytes], first: av.VideoFrame) -> None:
        for kinds, what in (
            ((SideType.DOVI_METADATA, SideType.DOVI_RPU_BUFFER), "The Dolby Vision layer was dropped"),
            ((SideType.DYNAMIC_HDR_PLUS, SideType.DYNAMIC_HDR_VIVID), "The dynamic HDR metadata was dropped"),
            ((SideType.SPHERICAL,), "The mark of a 360 degree video was dropped"),
            ((SideType.STEREO3D,), "The mark of a stereoscopic video was dropped"),
            ((SideType.A53_CC,), "The closed captions inside the pictures were dropped"),
            ((SideType.ICC_PROFILE,), "The ICC profile of the video was dropped"),
            (
                (SideType.S12M_TIMECODE, SideType.GOP_TIMECODE),
                "The time codes inside the pictures were dropped",
            ),
        ):
            if any(kind in sides for kind in kinds):
                self._notes[what] = f"{what}."
        if first.interlaced_frame:
            self._notes["fields"] = (
                "The video is interlaced: its pictures were kept whole and encoded as frames."
            )

    def frames(self) -> Iterator[Frame]:
        """Decode every frame in order. Raises InputError at the first that cannot be decoded: never skips."""
        with open_input(self.path, self._container) as opened:
            stream = opened.streams[self._index]
            assert isinstance(stream, av.VideoStream)
            for other in opened.streams:
                if other is not stream:
                    other.discard = Discard.all
            decoder = decoder_for(stream)
            ledger = Ledger(decoder.name, opened.format.name)
            last: Fraction | None = None
            for frame in decoded(opened, stream, decoder, ledger):
                time = self._time(frame, last)
                yield Frame(
                    self._planes(frame, ledger.shown - 1), self._header.layout, ledger.shown - 1, time
                )
                last = time
            ledger.finish()
            if ledger.leading:
                self._notes["leading"] = (
                    f"The first {ledger.leading} pictures were cut off from what they build on and cannot be "
                    "decoded by any player: they are not in the result."
                )

    def _time(self, frame: av.VideoFrame, last: Fraction | None) -> Fraction:
        """Return the exact time of a picture, from the rate where the file has none or goes backwards."""
        base = frame.time_base or self._header.time_base
        if frame.duration:
            self._tail = frame.duration * base
        if frame.pts is not None and (last is None or frame.pts * base > last):
            return frame.pts * base
        self._notes["times"] = (
            "Time stamps that were missing or went backwards were derived from the frame rate."
        )
        if last is None:
            return Fraction(0)
        ticks = max(1, round(self._step / self._header.time_base))
        return last + ticks * self._header.time_base

    def _planes(self, frame: av.VideoFrame, index: int) -> tuple[Array, ...]:
        picture = self._picture
        if (frame.width, frame.height) != (picture.width, picture.height):
            raise InputError(
                f"the pictures of the video change size: {picture.width} x {picture.height}, "
                f"then {frame.width} x {frame.height} at number {index}",
                hint="cut the video where the size changes and hand in the parts",
            )
        if frame.format.name != picture.pix_fmt:
            raise InputError(
                f"the pictures of the video change format: {picture.pix_fmt}, then {frame.format.name} "
                f"at number {index}",
                hint="cut the video where the format changes and hand in the parts",
            )
        if picture.native != picture.pix_fmt:
            frame = frame.reformat(format=picture.native, src_color_range=frame.color_range or None)
        planes = read_planes(frame, picture.turn)
        if picture.grey:
            chroma = tuple((size + 1) // 2 for size in planes[0].shape)
            middle = 1 << (self._header.layout.depth - 1)
            planes = (planes[0], *(np.full(chroma, middle, planes[0].dtype) for _ in range(2)))
        return planes

    def sink(self, path: Path, options: OutputOptions) -> VideoSink:
        """Return a sink that writes a video in the same container to ``path``, which must not exist yet or be empty.

        Raises UsageError for a codec or quality that cannot be had, InputError when the streams to copy
        cannot be read, and OutputError when the file cannot be made.
        """
        return VideoSink(self, path, options)

    @property
    def header(self) -> Header:
        """What the sink must know about the pictures."""
        return self._header

    @property
    def container(self) -> Container:
        """The container that the file is in."""
        return self._container

    @property
    def written(self) -> Container:
        """The container that a sink writes."""
        return self._written

    @property
    def tail(self) -> Fraction:
        """For how many seconds the picture decoded last is shown; 0 when the file does not say."""
        return self._tail

    @property
    def notes(self) -> list[str]:
        """What reading changed or left out, as far as it was read; one sentence each."""
        return [*self._container_notes, *self._notes.values()]


def open_video(path: Path) -> VideoSource:
    """Open the video at ``path``: mp4, mkv, mov, webm or avi, told by content.

    Raises InputError when it is missing, empty, cut off, corrupt, not a video, too large (above 16384 pixels
    a side or 2**27 in all) or holds no picture that can be decoded.
    """
    return VideoSource(path)


def _layout(native: str, first: av.VideoFrame, codec: str) -> tuple[Layout, bool]:
    """Return the layout of pictures read as ``native``, and whether they are grey and get neutral chroma."""
    layout = layout_of(native)
    assert layout is not None
    full = int(first.color_range) == 2 or first.format.name.startswith("yuvj")
    grey = False
    if layout.kind == "grey" and not layout.alpha:
        # A plain grey layout is full range; limited range keeps its meaning as Y'CbCr without colour.
        grey = not full and (int(first.color_range) == 1 or codec not in _FULL_RANGE_GREY)
        if grey:
            layout = replace(layout, kind="yuv", shift_x=1, shift_y=1)
    if layout.kind != "yuv":
        return layout, grey
    matrix = _MATRICES.get(int(first.colorspace))
    if matrix is None:
        # What players assume of untagged video.
        matrix = "bt709" if first.width >= 1280 or first.height > 576 else "bt601"
    return replace(layout, matrix=matrix, full_range=full), grey


def _promised(opened: InputContainer, stream: av.VideoStream, rate: Fraction) -> int | None:
    """Return the number of frames that the header gives or implies, None when it does neither sanely."""
    if 0 < stream.frames < 2**31:
        return int(stream.frames)
    if opened.duration and opened.duration > 0 and rate:
        count = math.ceil(Fraction(opened.duration, av.time_base) * rate - Fraction(1, 2))
        return count if 0 < count < 2**31 else None
    return None
