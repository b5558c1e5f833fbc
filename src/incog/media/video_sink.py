"""Videos out: pictures encoded anew, sound and harmless subtitles copied beside them, tags left behind."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, cast

import av
from av.bitstream import BitStreamFilterContext
from av.codec.context import Flags as CodecFlags
from av.container import Flags as ContainerFlags
from av.packet import Packet
from av.stream import Disposition, Stream

from incog.errors import OutputError, UsageError, must_be
from incog.media import streams
from incog.media.base import OutputOptions
from incog.media.video_copy import Copier, find_telemetry, open_streams, writing
from incog.media.video_encoders import Choice, choose, extra_options
from incog.media.video_files import Container
from incog.media.video_planes import Conversion, format_for, layout_of, write_planes
from incog.types import Frame, Layout

# Keeps the name and version of libav out of the file. The stubs take a flag for its value.
_BITEXACT = cast(int, ContainerFlags.bitexact.value)


@dataclass(frozen=True, slots=True)
class Colour:
    """Colour tags as ITU-T H.273 numbers; 2 is "unspecified". range: 1 limited, 2 full, 0 unspecified."""

    primaries: int
    transfer: int
    matrix: int
    range: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a sink must know about the pictures of its source.

    width, height, layout, aspect (width to height of a pixel, None when unknown): of the upright picture.
    time_base: unit of the time stamps. rate: frames per second on average. codec: libav's name of the
    decoder. field_order: libav's number. mastering, light: HDR metadata as x265 takes it. stream: index in
    the source.
    """

    width: int
    height: int
    layout: Layout
    time_base: Fraction
    rate: Fraction
    aspect: Fraction | None
    codec: str
    colour: Colour
    field_order: int
    mastering: str | None
    light: str | None
    stream: int


class Origin(Protocol):
    """The side of a video source that its sink uses."""

    path: Path

    @property
    def header(self) -> Header: ...
    @property
    def container(self) -> Container: ...
    @property
    def written(self) -> Container: ...
    @property
    def tail(self) -> Fraction: ...
    @property
    def notes(self) -> list[str]: ...


class VideoSink:
    """Writes a video file; see ``Sink`` for the contract. Memory does not grow with the video's length."""

    def __init__(self, origin: Origin, path: Path, options: OutputOptions) -> None:
        self.decisions: list[str] = []
        self._origin = origin
        self._header = origin.header
        self._container = origin.written
        self._held: tuple[av.VideoFrame, int] | None = None
        self._closed = False
        if path.is_symlink() or (path.exists() and (not path.is_file() or path.stat().st_size)):
            raise OutputError(f"the output file exists already: {path.name!r}")
        choice = choose(
            self._container,
            self._header.layout,
            (self._header.width, self._header.height),
            source_codec=self._header.codec,
            transfer=self._header.colour.transfer,
            codec=options.codec,
            quality=options.quality,
        )
        telemetry = find_telemetry(origin.path, origin.container)
        self._input = open_streams(origin.path, origin.container)
        # This only prepares: the file is made when the header is written.
        self._output = av.open(
            str(path.absolute()), "w", format=self._container.muxer, container_options=self._muxer_options()
        )
        try:
            self._set_up(choice, options, telemetry)
        except BaseException:
            self._release()
            raise

    def _muxer_options(self) -> dict[str, str]:
        if self._container.muxer not in ("mp4", "mov"):
            return {}
        # Delays of a stream are counted in the movie's unit: one that divides all others keeps them exact.
        units = {stream.time_base.denominator for stream in self._input.streams if stream.time_base}
        unit = math.lcm(*units, self._header.time_base.denominator)
        if unit >= 2**31:
            unit = self._header.time_base.denominator
        options = {"movie_timescale": str(unit)}
        if self._header.time_base.numerator == 1:
            options["video_track_timescale"] = str(self._header.time_base.denominator)
        if self._container.faststart:
            options["movflags"] = "+faststart"
        return options

    def _set_up(self, choice: Choice, options: OutputOptions, telemetry: dict[int, bool]) -> None:
        selection = streams.select(self._input, self._container, self._header.stream, telemetry)
        tags, about_tags = streams.about_tags(self._input, options.keep_metadata)
        self._output.flags |= _BITEXACT
        self._output.metadata.update(tags)
        targets: dict[int, Stream] = {}
        for stream in self._input.streams:
            if stream.index == self._header.stream:
                self._encoder = self._add_pictures(choice, options)
            elif stream.index in selection.copied:
                targets[stream.index] = self._add_copy(stream)
        chapters = self._input.chapters()
        if chapters:
            for chapter in chapters:
                chapter["metadata"] = {}
            self._output.set_chapters(chapters)
            about_tags.append("The chapter marks were kept without their titles.")
        with writing():
            self._output.start_encoding()
        self.decisions += [*choice.decisions, *selection.decisions, *about_tags]
        self._note_times(targets)
        self._copier = Copier(self._input, targets, self._output)

    def _add_pictures(self, choice: Choice, options: OutputOptions) -> av.VideoStream:
        header = self._header
        try:
            stream = self._output.add_stream(
                choice.codec,
                rate=header.rate.limit_denominator(2**30),
                options=dict(choice.options),
                time_base=header.time_base,
                width=header.width,
                height=header.height,
            )
            assert isinstance(stream, av.VideoStream)
            encoder = stream.codec_context
            encoder.pix_fmt = choice.pix_fmt
            # Threads over whole frames: PyAV's default cuts frames into slices, which compresses worse.
            encoder.thread_type = "AUTO"
            if choice.qscale is not None:
                encoder.qscale = True
                encoder.global_quality = choice.qscale * 118
            if header.aspect:
                encoder.sample_aspect_ratio = header.aspect
            self._tag_colours(encoder, choice)
            extras, losses = extra_options(choice.codec, header.mastering, header.light)
            encoder.options |= extras
            self.decisions += losses
            # Apple's players want the parameter sets of HEVC in the header only, which this tag says.
            if choice.codec == "libx265" and self._container.muxer in ("mp4", "mov"):
                encoder.codec_tag = "hvc1"
            encoder.field_order = header.field_order
            encoder.flags |= CodecFlags.bitexact.value | CodecFlags.frame_duration.value
            # Pictures in an avi file have no time stamps but their order.
            if self._container.name == "avi":
                encoder.options["bf"] = "0"
            encoder.open()
        except (av.FFmpegError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            reason = f"the codec {choice.codec} cannot encode this video: {why}"
            if options.codec:
                raise UsageError(reason, hint="leave the codec out to get the container's default") from error
            raise OutputError(reason) from error
        self._filter = None
        if choice.codec in ("libx264", "libx264rgb") and not (header.mastering or header.light):
            # x264 writes its version and settings into the first picture.
            self._filter = BitStreamFilterContext("filter_units=remove_types=6", in_stream=stream)
        target = layout_of(choice.pix_fmt)
        self._convert = None
        if target is not None and choice.pix_fmt != format_for(header.layout):
            full = header.layout.full_range if header.layout.kind == "yuv" else target.kind != "yuv"
            self._convert = Conversion(choice.pix_fmt, header.layout, full)
        return stream

    def _tag_colours(self, encoder: av.VideoCodecContext, choice: Choice) -> None:
        header, colour = self._header, self._header.colour
        target = layout_of(choice.pix_fmt)
        encoder.color_primaries = colour.primaries
        encoder.color_trc = colour.transfer
        encoder.colorspace, encoder.color_range = colour.matrix, colour.range
        if target is not None and target.kind == "rgb":
            encoder.colorspace, encoder.color_range = 0, 2
        elif header.layout.kind == "rgb":
            # Y'CbCr made from R'G'B' is made with the matrix of HDTV and in limited range.
            encoder.colorspace, encoder.color_range = 1, 1

    def _add_copy(self, stream: Stream) -> Stream:
        with writing():
            target = self._output.add_stream_from_template(stream, opaque=True)
        kept = streams.language(stream)
        target.metadata.clear()
        if kept:
            target.metadata["language"] = kept
        target.disposition = stream.disposition & ~Disposition.attached_pic
        if stream.codec_context.name in ("ass", "ssa") and stream.codec_context.extradata:
            target.codec_context.extradata = streams.clean_ass_header(stream.codec_context.extradata)
        return target

    def _note_times(self, targets: dict[int, Stream]) -> None:
        """Say which time stamps the container rounds. Known once the header is written."""
        pairs = [(self._input.streams[index], target) for index, target in targets.items()]
        pairs.append((self._input.streams[self._header.stream], self._encoder))
        for stream, target in pairs:
            if (
                stream.time_base
                and target.time_base
                and (stream.time_base / target.time_base).denominator != 1
            ):
                self.decisions.append(
                    f"The time stamps of stream {stream.index} are rounded to {target.time_base} s, which is "
                    f"all that {self._container.name} can hold."
                )
        if self._container.name == "avi":
            self.decisions.append(
                "Pictures in an avi file can only be shown at multiples of one fixed interval."
            )

    def write(self, frame: Frame) -> None:
        """Append a frame; it must have the source's size and layout, and be later than the one before.

        Raises UsageError for a frame that does not fit, OutputError when it cannot be written and InputError
        when the sound beside it cannot be read.
        """
        header = self._header
        if (frame.width, frame.height, frame.layout) != (header.width, header.height, header.layout):
            raise must_be(
                "a frame", "of the size and layout of the source", (frame.width, frame.height, frame.layout)
            )
        pts = round(frame.time / header.time_base)
        if self._held is not None and pts <= self._held[1]:
            raise must_be("the time of a frame", "later than that of the frame before", str(frame.time))
        with writing():
            picture = write_planes(frame.planes, header.layout)
            if self._convert is not None:
                picture = self._convert(picture)
        picture.pts = pts
        picture.time_base = header.time_base
        # A frame is held until its successor shows for how long it stands.
        if self._held is not None:
            self._encode(self._held[0], pts - self._held[1])
        self._held = (picture, pts)

    def _encode(self, picture: av.VideoFrame | None, duration: int) -> None:
        with writing():
            if picture is not None:
                picture.duration = duration
            packets = self._encoder.encode(picture)
            if self._filter is not None:
                packets = [kept for packet in packets for kept in self._filtered(packet)]
        for packet in packets:
            stamp = packet.dts if packet.dts is not None else packet.pts
            if stamp is not None:
                self._copier.copy(stamp * packet.time_base)
            with writing():
                self._output.mux(packet)

    def _filtered(self, packet: Packet[av.VideoStream]) -> list[Packet[Stream]]:
        assert self._filter is not None
        # The filter empties the packet that it is given.
        unit = packet.time_base
        kept = self._filter.filter(packet)
        for one in kept:
            one.stream, one.time_base = self._encoder, unit
        return kept

    def close(self) -> None:
        """Finish the file. Raises OutputError, also when the disk is full; then the file is not complete."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._held is not None:
                tail = round(self._origin.tail / self._header.time_base)
                self._encode(self._held[0], tail or round(1 / self._header.rate / self._header.time_base))
                self._held = None
            self._encode(None, 0)
            self._copier.copy(None)
            if self._copier.dropped:
                self.decisions.append("Sound that an edit of the video had cut away was left behind.")
            with writing():
                self._output.close()
        except BaseException:
            self._release()
            raise
        self._input.close()
        self.decisions += [note for note in self._origin.notes if note not in self.decisions]

    def _release(self) -> None:
        self._closed = True
        self._held = None
        with contextlib.suppress(av.FFmpegError, OSError):
            self._output.close()
        self._input.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        elif not self._closed:
            self._release()
