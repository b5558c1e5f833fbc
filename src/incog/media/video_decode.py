"""Decoding that never skips: whatever libav would pass over in silence becomes an InputError."""

from __future__ import annotations

import heapq
import struct
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import SideDataContainer
from av.sidedata.sidedata import Type as SideType

from incog.errors import InputError
from incog.media.video_files import Container
from incog.media.video_matroska import video_blocks

_SIDE = 16384
_PIXELS = 2**27
REPAIR = "a video editor or ffmpeg can often repair a video by writing it anew"
# In these codecs one packet is one picture, so that a missing picture can be told from its time stamp.
_ONE_TO_ONE = {"h264", "hevc", "vp8", "libvpx", "vp9", "libvpx-vp9", "av1", "libdav1d", "mjpeg", "prores"}
_ONE_TO_ONE |= {"ffv1", "png", "qtrle", "rawvideo", "dnxhd", "utvideo", "huffyuv", "ffvhuff", "v210"}
# In these a packet may also be one of the two fields of a picture.
_FIELDS = {"h264", "mpeg2video", "mpeg1video", "vc1", "hevc"}
_UNCHANGED = {"mpeg4", "msmpeg4", "msmpeg4v1", "msmpeg4v2", "h263", "flv", "wmv1", "wmv2", "vc1", "wmv3"}


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
    except av.EOFError as error:
        raise InputError("the video ends before a picture can be decoded", hint=REPAIR) from error
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"the video cannot be decoded: {reason}", hint=REPAIR) from error


def decoder_for(stream: av.VideoStream, *, threads: int = 0) -> av.VideoCodecContext:
    """Return a decoder that gives up at the first error instead of painting over it."""
    decoder = stream.codec_context
    # Only libvpx decodes the transparency of VP8 and VP9.
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if tags.get("alpha_mode") == "1" and decoder.name in ("vp8", "vp9"):
        name = {"vp8": "libvpx", "vp9": "libvpx-vp9"}[decoder.name]
        created = av.CodecContext.create(name, "r")
        assert isinstance(created, av.VideoCodecContext)
        decoder = created
    decoder.options = {"err_detect": "explode", "max_pixels": str(_PIXELS)}
    decoder.thread_type = "AUTO"
    decoder.thread_count = threads
    return decoder


class Ledger:
    """Compares what goes into the decoder with what comes out of it: nothing may be missing.

    libav leaves pictures out without an error in several cases, and PyAV swallows an error when a picture was
    ready in the same call.
    """

    def __init__(self, codec: str, demuxer: str) -> None:
        self._codec = codec
        self._avi = demuxer == "avi"
        # An avi file has no time stamps but the order; what libav derives from it for these codecs is late.
        self._slotted = self._avi and codec in ("h264", "hevc")
        self._slots: deque[int] = deque()
        self._first: int | None = None
        self._late = 0
        self._strict = codec in _ONE_TO_ONE and not self._slotted
        self._waiting: list[int] = []
        self._expected = 0
        self._interlaced = False
        self._fields = False
        self.shown = 0
        self.leading = 0

    def sent(self, packet: Packet[av.VideoStream]) -> None:
        """Note a packet that goes into the decoder."""
        if packet.is_discard or not packet.size:
            return
        # The MPEG-4 family codes "no change" in a few bytes, which decode to nothing.
        if self._codec in _UNCHANGED and packet.size < 16:
            return
        # VP8 has pictures that are only referred to, never shown: bit 4 of the first byte.
        if self._codec in ("vp8", "libvpx") and not memoryview(packet)[0] & 0x10:
            return
        self._expected += 1
        if self._first is None:
            self._first = packet.dts
        if self._slotted and packet.dts is not None:
            self._slots.append(packet.dts)
        if self._strict and packet.pts is not None:
            heapq.heappush(self._waiting, packet.pts)
        else:
            self._strict = False

    def received(self, frame: av.VideoFrame) -> None:
        """Note a picture that came out, and correct its time stamp in avi files. Raises InputError after a gap."""
        self.shown += 1
        self._interlaced |= frame.interlaced_frame and self._codec in _FIELDS
        self._strict &= frame.pts is not None
        if self._strict and frame.pts is not None:
            self._match(frame.pts)
        if self._slotted:
            frame.pts = self._slots.popleft() if self._slots else None
        elif self._avi and frame.pts is not None:
            # The first picture stands in the first slot, however long the decoder held it back.
            if self.shown == 1 and self._first is not None:
                self._late = frame.pts - self._first
            frame.pts -= self._late

    def _match(self, pts: int) -> None:
        while self._waiting and self._waiting[0] < pts:
            heapq.heappop(self._waiting)
            # Before the first picture that can be decoded alone there is nothing to see for any player.
            if self.shown == 1:
                self.leading += 1
            elif self._interlaced:
                self._fields = True
            else:
                raise _skipped(self.shown - 1)
        if self._waiting and self._waiting[0] == pts:
            heapq.heappop(self._waiting)

    def finish(self) -> None:
        """Raise InputError when no picture came out, or fewer than went in."""
        if not self.shown:
            raise InputError("the video holds no picture that can be decoded", hint=REPAIR)
        decoded = self.shown * (2 if self._fields else 1) + self.leading
        missing = len(self._waiting) if self._strict and not self._interlaced else self._expected - decoded
        if missing > 0:
            raise _skipped(self.shown)


def _skipped(index: int) -> InputError:
    return InputError(f"the video is damaged: a picture near number {index} cannot be decoded", hint=REPAIR)


def refuse_bomb(width: int, height: int) -> None:
    if not (0 < width <= _SIDE and 0 < height <= _SIDE and width * height <= _PIXELS):
        raise InputError(
            f"the pictures must have at most {_SIDE} pixels a side and 2**27 in all, got {width} x {height}"
        )


def first_picture(opened: InputContainer, stream: av.VideoStream) -> av.VideoFrame:
    decoder = decoder_for(stream, threads=1)
    for frame in decoded(opened, stream, decoder, Ledger(decoder.name, opened.format.name)):
        return frame
    raise InputError("the video holds no picture that can be decoded", hint=REPAIR)


def decoded(
    opened: InputContainer, stream: av.VideoStream, decoder: av.VideoCodecContext, ledger: Ledger
) -> Iterator[av.VideoFrame]:
    """Yield the decoded pictures of ``stream``. Raises InputError for packets that are damaged or missing."""
    read = 0
    for packet in opened.demux(stream):
        if packet.is_corrupt:
            raise InputError(f"the video is damaged or cut off after {ledger.shown} pictures", hint=REPAIR)
        last = packet.dts is None and packet.pts is None and not packet.size
        read += not last
        if packet.size:
            ledger.sent(packet)
        elif not last:
            continue
        # The very last packet, which is empty, makes the decoder give out what it still holds.
        for frame in decoder.decode(packet):
            if frame.is_corrupt:
                raise _skipped(ledger.shown)
            ledger.received(frame)
            yield frame
    # libav takes the end of the file for the end of the video, and passes over what it does not understand.
    if opened.format.name.startswith("matroska"):
        ordinal = [other.index for other in opened.streams if other.type == "video"].index(stream.index)
        promised = (*video_blocks(Path(opened.name)), 0)[ordinal]
    else:
        promised = len(stream.index_entries)
    if read < promised:
        raise InputError(
            f"the video is damaged or cut off: it has {promised} packets, of which {read} can be read",
            hint=REPAIR,
        )


def side_data(frame: av.VideoFrame) -> dict[SideType, bytes]:
    """Return what the decoder attached to a picture, by type."""
    attached = cast(SideDataContainer, frame.side_data)
    # PyAV offers it as a mapping with two kinds of keys; only whole numbers list everything.
    entries = [attached[number] for number in range(len(attached))]
    return {entry.type: bytes(entry) for entry in entries}


def mastering_display(data: bytes | None) -> str | None:
    """Return libav's mastering display data as x264 and x265 take it, None when it is absent or partial."""
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


def light_level(data: bytes | None) -> str | None:
    """Return the content light level as "largest,average" in cd/m2."""
    if data is None or len(data) < 8:
        return None
    return ",".join(str(value) for value in struct.unpack("=2I", data[:8]))
