"""What becomes of each stream and tag of a video besides its pictures: copied, dropped, and said so.

Everything that is not known to be harmless is dropped. The pictures of the first real video stream are
rebuilt by the sink; audio is copied bit for bit; subtitles are copied unless they carry telemetry; the rest
stays behind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import av
from av.stream import Disposition, Stream

from incog.errors import InputError
from incog.media.video_encoders import supported
from incog.media.video_files import Container

KEPT_TAGS = ("creation_time", "date", "copyright")
"""The tags that ``keep_metadata`` carries over; language tags of sound and subtitles always stay."""

_TELEMETRY = re.compile(
    r"""
      \bGPS | \bGLONASS\b | \$G[PNLA](GGA|RMC|GLL|VTG) | \bNMEA\b
    | latt?itude | longt?itude | \blat\s*[:=] | \b(lon|lng)\s*[:=] | \b(rel|abs)_alt\b | \baltitude\b
    | HOME\s*\(\s*-?\d | BAROMETER | \bISO\s*:\s*\d | \bshutter\s*: | \bfnum\s*: | SrtCnt | FrameCnt | DiffTime
    | \bG(yro|imbal)?\.?(yaw|pitch|roll)\b | \bgimbal | \b(yaw|pitch|roll)\s*[:=] | \bheading\s*[:=]
    | \b[DH]\s*=?\s*-?\d+(\.\d+)?\s*m\b.*\b[DHV](\.[SV])?\s*=?\s*-?\d
    | -?\d{1,3}\.\d{4,}\s*[,;\s]\s*-?\d{1,3}\.\d{4,}
    | \d{1,3}\s*°\s*\d{1,2}\s*['′’] | \d{1,3}\.\d{3,}\s*°?\s*[NSEW]\b
    | \b(MAC|SSID|IMEI|serial)\s*(no|number|address)?\s*[:=]
    """,
    re.IGNORECASE | re.VERBOSE,
)
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_PLACE = re.compile(r"location|gps|xyz|latitude|longitude|loci|geo", re.IGNORECASE)
_DEVICE = re.compile(
    r"make|model|device|software|encoder|vendor|serial|android|camera|lens|firmware", re.IGNORECASE
)
# The container writes these about itself; they say nothing about the people who made the file.
_TECHNICAL = {
    "major_brand",
    "minor_version",
    "compatible_brands",
    "language",
    "handler_name",
    "vendor_id",
    "duration",
    "alpha_mode",
    "stereo_mode",
}
_ASS_KEEP = {
    "scripttype",
    "wrapstyle",
    "playresx",
    "playresy",
    "layoutresx",
    "layoutresy",
    "scaledborderandshadow",
    "collisions",
    "timer",
    "ycbcr matrix",
}
_ASS_SECTIONS = ("[script info]", "[v4+ styles]", "[v4 styles]", "[events]")


@dataclass(frozen=True, slots=True)
class Selection:
    """What is carried over. copied: indices of audio and subtitle streams. decisions: one sentence each."""

    copied: list[int]
    decisions: list[str]


def picture_stream(streams: Iterable[Stream]) -> av.VideoStream:
    """Return the first video stream that is not an attached picture. Raises InputError when there is none."""
    streams = list(streams)
    for stream in streams:
        if isinstance(stream, av.VideoStream) and not _is_still(stream):
            if stream.codec_context is None:
                raise InputError("the video is in a codec that cannot be decoded here")
            return stream
    if any(stream.type == "audio" for stream in streams):
        raise InputError("the file holds sound only, no video")
    raise InputError("the file holds no video stream")


def _is_still(stream: Stream) -> bool:
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def settle_container(container: Container, streams: Iterable[Stream]) -> tuple[Container, list[str]]:
    """Return the container to write: mov instead of mp4 where only that takes the sound as it is."""
    names = [
        stream.codec_context.name for stream in streams if stream.type == "audio" and stream.codec_context
    ]
    if (
        container.name == "mp4"
        and not supported("mp4").issuperset(names)
        and supported("mov").issuperset(names)
    ):
        changed = Container("mov", container.demuxer, "mov", container.faststart)
        return changed, ["The file is written as mov: mp4 cannot hold this sound unchanged."]
    return container, []


def select(
    source: av.container.InputContainer, container: Container, chosen: int, telemetry: Mapping[int, bool]
) -> Selection:
    """Decide what becomes of each stream and of all tags of ``source``.

    chosen: index of the stream whose pictures are rebuilt. telemetry: by index of a subtitle stream, whether
    its text looks like telemetry (see ``carries_telemetry``).
    """
    copied: list[int] = []
    decisions: list[str] = []
    heard = False
    for stream in source.streams:
        if stream.index == chosen:
            continue
        label = f"stream {stream.index}"
        # PyAV gives None for a codec without a decoder, which its stubs do not say.
        context: object = stream.codec_context if stream.type in ("audio", "subtitle") else None
        taken = context is not None and stream.codec_context.name in supported(container.muxer)
        if stream.type == "audio" and taken:
            copied.append(stream.index)
            heard = True
            decisions.append(
                f"The audio {label} ({stream.codec_context.codec.canonical_name}) was copied bit for bit."
            )
        elif stream.type == "audio":
            decisions.append(
                f"The audio {label} was dropped: its codec cannot be copied into {container.name}."
            )
        elif stream.type == "subtitle" and telemetry.get(stream.index, True):
            decisions.append(
                f"The subtitle {label} was dropped: it carries, or may carry, positions or camera data."
            )
        elif stream.type == "subtitle" and taken:
            copied.append(stream.index)
            decisions.append(
                f"The subtitle {label} ({stream.codec_context.name}) was copied: what it says is unchanged."
            )
        elif stream.type == "subtitle":
            decisions.append(f"The subtitle {label} was dropped: it cannot be copied into {container.name}.")
        elif stream.type == "video" and _is_still(stream):
            decisions.append(f"The attached picture (video {label}) was dropped: it may show a face.")
        elif stream.type == "video":
            decisions.append(f"The further video {label} was dropped: only the first video stream is kept.")
        else:
            decisions.append(
                f"The {stream.type} {label} was dropped: it may hold positions, times or device data."
            )
    if heard:
        decisions.append("The sound was not changed: voices, and what is said, can identify people.")
    return Selection(copied, decisions)


def about_tags(source: av.container.InputContainer, keep: bool) -> tuple[dict[str, str], list[str]]:
    """Return the tags of the file that stay, none unless ``keep``, and a sentence on each group that goes."""
    kept = {key: value for key, value in source.metadata.items() if keep and key.lower() in KEPT_TAGS}
    dropped = [key for key in source.metadata if key not in kept]
    for stream in source.streams:
        dropped += stream.metadata
    for chapter in source.chapters():
        dropped += (key for key in chapter["metadata"] if key != "title")
    dropped = [key for key in dropped if key.lower() not in _TECHNICAL]
    decisions = []
    if kept:
        decisions.append(f"Tags of the file that were kept on request: {', '.join(sorted(kept))}.")
    if any(_PLACE.search(key) for key in dropped):
        decisions.append("The place of recording was dropped from the tags.")
    if any(_DEVICE.search(key) for key in dropped):
        decisions.append("Tags about the camera, the phone or the software were dropped.")
    others = sum(not _PLACE.search(key) and not _DEVICE.search(key) for key in dropped)
    if others:
        decisions.append(f"{others} further tags (titles, names, times and the like) were dropped.")
    return kept, decisions


def language(stream: Stream) -> str | None:
    """Return the language tag of a stream if it is one, and not free text in its place."""
    tag = stream.metadata.get("language", "")
    return tag if _LANGUAGE.fullmatch(tag) and tag != "und" else None


def looks_like_telemetry(packet: bytes) -> bool:
    """Whether the text of a subtitle packet looks like positions, camera settings or device data.

    Text that cannot be read as such is in doubt, and so yes. Bitmaps are not for this function.
    """
    for encoding in ("utf-8", "utf-16"):
        # mov text starts with its length in two bytes and may end with style boxes.
        for start in (0, 2):
            if _TELEMETRY.search(packet[start:].decode(encoding, "ignore")):
                return True
    plain = packet.split(b"styl", 1)[0][2:] if packet[:1] == b"\0" else packet
    unreadable = sum(byte < 9 for byte in plain)
    return unreadable > len(plain) // 4


def clean_ass_header(header: bytes) -> bytes:
    """Return the header of an ASS subtitle stream without author, title, file paths, fonts and comments."""
    lines = []
    section = ""
    for line in header.decode("utf-8", "replace").splitlines():
        text = line.strip()
        if text.startswith("["):
            section = text.lower()
        if section not in _ASS_SECTIONS or text.startswith((";", "!:")):
            continue
        key = text.partition(":")[0].strip().lower()
        if section == "[script info]" and not text.startswith("[") and key not in _ASS_KEEP:
            continue
        lines.append(line)
    return ("\r\n".join(lines) + "\r\n").encode()
