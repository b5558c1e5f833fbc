"""Videos in: mp4, mkv, mov, webm and avi, decoded picture by picture in constant memory.

A video is read completely or not at all. Everything that libav would pass over with a line in its log (a damaged
packet, a picture that is left out, a file that ends early) is an InputError here, because a picture that nobody
decoded is a picture that nobody looked at.
"""

from __future__ import annotations

import heapq
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import Type as SideType
from av.stream import Discard

from incog.errors import InputError
from incog.media import streams
from incog.media.base import Kind, OutputOptions
from incog.media.video_files import Container, identify
from incog.media.video_planes import Turn, layout_of, read_planes, readable, swapped, turn_of
from incog.media.video_sink import Colour, Header, VideoSink
from incog.types import Array, Frame, Layout

_SIDE = 16384
_PIXELS = 2**27
# In these codecs one packet is one picture, so that a missing picture can be told from its time stamp.
_ONE_TO_ONE = {
    "h264", "hevc", "vp8", "libvpx", "vp9", "libvpx-vp9", "av1", "libdav1d", "mjpeg", "prores", "ffv1", "png", "qtrle",
    "rawvideo", "dnxhd", "utvideo", "huffyuv", "ffvhuff", "v210",
}  # fmt: skip
# In these a packet may also be one of the two fields of a picture.
_FIELDS = {"h264", "mpeg2video", "mpeg1video", "vc1", "hevc"}
_FULL_RANGE_GREY = {"mjpeg", "png", "rawvideo", "ffv1", "qtrle", "huffyuv", "ffvhuff"}
_MATRICES = {1: "bt709", 7: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 9: "bt2020", 10: "bt2020"}
_REPAIR = "a video editor or ffmpeg can often repair a video by writing it anew"


@contextmanager
def open_input(path: Path, container: Container) -> Iterator[InputContainer]:
    """Open a file with the demuxer of ``container`` only; whatever libav has against it is an InputError."""
    try:
        with av.open(
            str(path.absolute()),
            "r",
            format=container.demuxer,
            metadata_errors="ignore",
            # A file must not make libav open others, nor allocate pictures beyond our limit while it probes.
            options={"protocol_whitelist": "file", "max_pixels": str(_PIXELS)},
        ) as opened:
            yield opened
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"the video cannot be decoded: {reason}", hint=_REPAIR) from error


def _decoder(stream: av.VideoStream, *, threads: int = 0) -> av.VideoCodecContext:
    """Return a decoder that gives up at the first error instead of painting over it."""
    decoder = stream.codec_context
    # Only libvpx decodes the transparency of VP8 and VP9.
    if stream.metadata.get("alpha_mode") == "1" and decoder.name in ("vp8", "vp9"):
        name = {"vp8": "libvpx", "vp9": "libvpx-vp9"}[decoder.name]
        created = av.CodecContext.create(name, "r")
        assert isinstance(created, av.VideoCodecContext)
        decoder = created
    decoder.options = {"err_detect": "explode", "max_pixels": str(_PIXELS)}
    decoder.thread_type = "AUTO"  # type: ignore[assignment]
    decoder.thread_count = threads
    return decoder


class _Ledger:
    """Compares what goes into the decoder with what comes out of it: nothing may be missing.

    libav leaves pictures out without an error in several cases, and PyAV swallows an error when a picture was ready in
    the same call.
    """

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self._strict = codec in _ONE_TO_ONE
        self._waiting: list[int] = []
        self._expected = 0
        self._fields = False
        self.shown = 0
        self.leading = 0

    def sent(self, packet: Packet[av.VideoStream]) -> None:
        if packet.is_discard or not packet.size:
            return
        # The lowest size of a coded "no change" in the MPEG-4 family, which decodes to nothing.
        if not self._strict and packet.size < 16:
            return
        # VP8 has pictures that are only referred to, never shown: bit 4 of the first byte.
        if self._codec in ("vp8", "libvpx") and not memoryview(packet)[0] & 0x10:
            return
        self._expected += 1
        if self._strict and packet.pts is not None:
            heapq.heappush(self._waiting, packet.pts)
        else:
            self._strict = False

    def received(self, frame: av.VideoFrame) -> None:
        self.shown += 1
        if frame.interlaced_frame and self._codec in _FIELDS:
            self._fields = True
            self._strict = False
        if frame.pts is None:
            self._strict = False
        if not self._strict or frame.pts is None:
            return
        while self._waiting and self._waiting[0] < frame.pts:
            heapq.heappop(self._waiting)
            # Before the first picture that can be decoded alone there is nothing to see for any player.
            if self.shown > 1:
                raise _skipped(self.shown - 1)
            self.leading += 1
        if self._waiting and self._waiting[0] == frame.pts:
            heapq.heappop(self._waiting)

    def finish(self) -> None:
        if not self.shown:
            raise InputError("the video holds no picture that can be decoded", hint=_REPAIR)
        decoded = self.shown * (2 if self._fields else 1)
        if (self._strict and self._waiting) or (not self._strict and decoded < self._expected):
            raise _skipped(self.shown)


def _skipped(index: int) -> InputError:
    return InputError(f"the video is damaged: a picture near number {index} cannot be decoded", hint=_REPAIR)


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
            _refuse_bomb(stream.codec_context.width, stream.codec_context.height)
            self._written, self._container_notes = streams.settle_container(self._container, opened.streams)
            self._read_header(opened, stream, _first_picture(opened, stream))

    def _read_header(self, opened: InputContainer, stream: av.VideoStream, first: av.VideoFrame) -> None:
        _refuse_bomb(first.width, first.height)
        sides = _side_data(first)
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
            colour=replace(colour, range=int(first.color_range)) if layout.kind != "yuv" else colour,
            field_order=int(stream.codec_context.field_order),
            mastering=_mastering(sides.get(SideType.MASTERING_DISPLAY_METADATA)),
            light=_light(sides.get(SideType.CONTENT_LIGHT_LEVEL)),
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
        """Decode every frame in order. Raises InputError at the first one that cannot be decoded: never skips."""
        with open_input(self.path, self._container) as opened:
            stream = opened.streams[self._index]
            assert isinstance(stream, av.VideoStream)
            for other in opened.streams:
                if other is not stream:
                    other.discard = Discard.all
            decoder = _decoder(stream)
            ledger = _Ledger(decoder.name)
            last: Fraction | None = None
            for frame in _decoded(opened, stream, decoder, ledger):
                time = self._time(frame, last)
                yield Frame(
                    self._planes(frame, ledger.shown - 1), self._header.layout, ledger.shown - 1, time
                )
                last = time
            ledger.finish()
            if ledger.leading:
                self._notes["leading"] = (
                    f"The first {ledger.leading} pictures cannot be decoded in any player, since the video was cut "
                    "there; they are not in the result."
                )

    def _time(self, frame: av.VideoFrame, last: Fraction | None) -> Fraction:
        """Return the time of a picture, exact; derived from the rate where the file has none or goes backwards."""
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
                f"the pictures of the video change format: {picture.pix_fmt}, then {frame.format.name} at number {index}",
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
        """Return a sink that writes a video in the same container to ``path``, which must not exist yet.

        Raises UsageError for a codec or quality that cannot be had, InputError when the streams to copy cannot be
        read, and OutputError when the file cannot be made.
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
        """For how long the picture that was decoded last is shown, in seconds; 0 when the file does not say."""
        return self._tail

    @property
    def notes(self) -> list[str]:
        """What reading changed or left out, as far as it was read; one sentence each."""
        return [*self._container_notes, *self._notes.values()]


def open_video(path: Path) -> VideoSource:
    """Open the video at ``path``: mp4, mkv, mov, webm or avi, told by content.

    Raises InputError when it is missing, empty, cut off, corrupt, not a video, too large (above 16384 pixels a side
    or 2**27 in all) or holds no picture that can be decoded.
    """
    return VideoSource(path)


def _refuse_bomb(width: int, height: int) -> None:
    if not (0 < width <= _SIDE and 0 < height <= _SIDE and width * height <= _PIXELS):
        raise InputError(
            f"the pictures must have at most {_SIDE} pixels a side and 2**27 in all, got {width} x {height}"
        )


def _first_picture(opened: InputContainer, stream: av.VideoStream) -> av.VideoFrame:
    decoder = _decoder(stream, threads=1)
    for frame in _decoded(opened, stream, decoder, _Ledger(decoder.name)):
        return frame
    raise InputError("the video holds no picture that can be decoded", hint=_REPAIR)


def _decoded(
    opened: InputContainer, stream: av.VideoStream, decoder: av.VideoCodecContext, ledger: _Ledger
) -> Iterator[av.VideoFrame]:
    """Yield the decoded pictures of ``stream``. Raises InputError for packets that are damaged or missing."""
    read = 0
    for packet in opened.demux(stream):
        if packet.is_corrupt:
            raise InputError(f"the video is damaged or cut off after {ledger.shown} pictures", hint=_REPAIR)
        # The empty packet at the end makes the decoder give out what it still holds.
        if packet.size:
            read += 1
            ledger.sent(packet)
        elif packet.dts is not None or packet.pts is not None:
            continue
        for frame in decoder.decode(packet):
            if frame.is_corrupt:
                raise _skipped(ledger.shown)
            ledger.received(frame)
            yield frame
    # An mp4 names every packet in its index; libav takes the end of the file for the end of the video.
    if opened.format.name.startswith("mov") and read < len(stream.index_entries):
        raise InputError(
            f"the video is cut off: its index names {len(stream.index_entries)} packets, the file has {read}",
            hint=_REPAIR,
        )


def _side_data(frame: av.VideoFrame) -> dict[SideType, bytes]:
    """Return what the decoder attached to a picture, by type."""
    attached = frame.side_data
    # PyAV offers it as a mapping with two kinds of keys; only whole numbers list everything.
    return {attached[i].type: bytes(attached[i]) for i in range(len(attached))}


def _layout(native: str, first: av.VideoFrame, codec: str) -> tuple[Layout, bool]:
    """Return the layout of pictures read as ``native``, and whether neutral chroma must be added to grey ones."""
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
    guess = "bt709" if first.width >= 1280 or first.height > 576 else "bt601"
    matrix = _MATRICES.get(int(first.colorspace), guess)
    return replace(layout, matrix=matrix, full_range=full), grey


def _promised(opened: InputContainer, stream: av.VideoStream, rate: Fraction) -> int | None:
    """Return the number of frames that the header gives or implies, None when it does neither sanely."""
    if 0 < stream.frames < 2**31:
        return int(stream.frames)
    if opened.duration and opened.duration > 0 and rate:
        count = math.ceil(Fraction(opened.duration, av.time_base) * rate - Fraction(1, 2))
        return count if 0 < count < 2**31 else None
    return None


def _mastering(data: bytes | None) -> str | None:
    """Return libav's mastering display data in the form that x264 and x265 take, None when it is absent or partial."""
    if data is None or len(data) < 88:
        return None
    numbers = struct.unpack("=20i2i", data[:88])
    if not (numbers[20] and numbers[21]) or not all(numbers[1:20:2]):
        return None
    values = [Fraction(numbers[i], numbers[i + 1]) for i in range(0, 20, 2)]
    red, green, blue, white = (tuple(round(v * 50000) for v in values[i : i + 2]) for i in (0, 2, 4, 6))
    lowest, highest = (round(value * 10000) for value in values[8:])
    points = "".join(
        f"{mark}({x},{y})"
        for mark, (x, y) in zip(("G", "B", "R", "WP"), (green, blue, red, white), strict=True)
    )
    return f"{points}L({highest},{lowest})"


def _light(data: bytes | None) -> str | None:
    """Return the content light level as "largest,average" in cd/m2."""
    if data is None or len(data) < 8:
        return None
    return ",".join(str(value) for value in struct.unpack("=2I", data[:8]))
