"""What is copied beside the pictures: packets of sound and subtitles, bit for bit, in step with them."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard, Stream

from incog.errors import InputError, OutputError
from incog.media import streams
from incog.media.video_files import Container

# Packets of sound that decoders need before, or leave unused after, what is played.
_START_UP = 4


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"the streams beside the pictures cannot be read: {reason}") from error


@contextlib.contextmanager
def writing() -> Iterator[None]:
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"the video cannot be written: {reason}") from error


def open_streams(path: Path, container: Container) -> InputContainer:
    with _reading():
        return av.open(
            str(path.absolute()),
            "r",
            format=container.demuxer,
            metadata_errors="ignore",
            options={"protocol_whitelist": "file"},
        )


def find_telemetry(path: Path, container: Container) -> dict[int, bool]:
    """Return for each subtitle stream whether any text in it looks like telemetry; bitmaps never do."""
    with open_streams(path, container) as opened, _reading():
        found: dict[int, bool] = {}
        scanned = []
        for stream in opened.streams:
            stream.discard = Discard.all
            # PyAV gives None for a codec without a decoder, which its stubs do not say.
            context: object = stream.codec_context if stream.type == "subtitle" else None
            if stream.type == "subtitle" and context is not None:
                found[stream.index] = False
                if not stream.codec_context.codec.bitmap_sub:
                    stream.discard = Discard.default
                    scanned.append(stream)
        if scanned:
            for packet in opened.demux(scanned):
                if packet.size:
                    found[packet.stream_index] |= streams.looks_like_telemetry(bytes(packet))
        return found


class _Trim:
    """Lets a stream's packets through, but not the sound that an edit of the video had cut away.

    A cut in a phone leaves everything in the file and only marks what is not to be played. A few packets beside
    what is played are needed, since decoders start up with them.
    """

    def __init__(self) -> None:
        self._held: deque[Packet[Stream]] = deque()
        self._after = _START_UP
        self.dropped = 0

    def __call__(self, packet: Packet[Stream]) -> list[Packet[Stream]]:
        if not packet.is_discard:
            ready = [*self._held, packet]
            self._held.clear()
            self._after = 0
            return ready
        self._after += 1
        if self._after <= _START_UP:
            return [packet]
        self._held.append(packet)
        if len(self._held) > _START_UP:
            self._held.popleft()
            self.dropped += 1
        return []

    def finish(self) -> None:
        """Give up what was held for a part that never came."""
        self.dropped += len(self._held)
        self._held.clear()


class Copier:
    """Feeds packets of other streams into the output, in order, as far as the pictures have come."""

    def __init__(self, opened: InputContainer, targets: dict[int, Stream], output: OutputContainer) -> None:
        self._targets = targets
        self._output = output
        for stream in opened.streams:
            stream.discard = Discard.default if stream.index in targets else Discard.all
        chosen = [stream for stream in opened.streams if stream.index in targets]
        self._trims = {stream.index: _Trim() for stream in chosen}
        self._packets = self._played(opened.demux(chosen) if chosen else iter(()))
        self._next = next(self._packets, None)

    def _played(self, packets: Iterator[Packet[Stream]]) -> Iterator[Packet[Stream]]:
        with _reading():
            for packet in packets:
                if packet.is_corrupt:
                    raise InputError("the sound or the subtitles of the video are damaged or cut off")
                # The empty packets at the end are for decoders.
                if packet.dts is not None or packet.pts is not None or packet.size:
                    yield from self._trims[packet.stream_index](packet)
        for trim in self._trims.values():
            trim.finish()

    @property
    def dropped(self) -> int:
        """How many packets were left behind because an edit had cut them away."""
        return sum(trim.dropped for trim in self._trims.values())

    def copy(self, until: Fraction | None) -> None:
        """Write all packets whose time is at most ``until`` seconds; all that are left for None."""
        while (packet := self._next) is not None:
            stamp = packet.dts if packet.dts is not None else packet.pts
            if until is not None and stamp is not None and stamp * packet.time_base > until:
                return
            # The muxer of mp4 adds the empty texts that end a subtitle by itself.
            if packet.stream.codec_context.name != "mov_text" or bytes(packet) != b"\0\0":
                packet.stream = self._targets[packet.stream_index]
                with writing():
                    self._output.mux(packet)
            self._next = next(self._packets, None)
