"""What a picture file holds besides its pixels, in plain words; and that the file is complete.

Nothing found here is ever carried over, because every output is built anew from pixels. The list is for the report.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from incog.errors import InputError
from incog.media import containers
from incog.media.base import ONE_KEPT
from incog.media.containers import Part

_PNG_TEXT: Final = {b"tEXt", b"zTXt", b"iTXt"}
_PNG_PICTURE: Final = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT"}
PNG_COLOUR: Final = {b"gAMA", b"cHRM", b"sRGB", b"cICP"}
_PNG_HARMLESS: Final = {b"iCCP", b"pHYs", b"sBIT", b"bKGD", b"hIST", b"sPLT"}
_MP_ENTRIES: Final = 0xB002
_NO_VIEWS: Final = {0x01, 0x05}
"""Classes of pictures in a multi-picture file: large thumbnails and gain maps."""
_GAIN_MAP: Final = re.compile(rb"hdrgm|hdrgainmap|urn:iso:std:iso:ts:21496")
# a file without a stated time is shown at this pace, and so are GIF delays below two hundredths
DEFAULT_DELAY: Final = Fraction(1, 10)


@dataclass(slots=True)
class Contents:
    """dropped: what was found besides the pixels, one sentence each. delays: seconds per frame of an animation.

    raw_delays: the same as the file states them. loops: as the file states them, None when it does not.
    lossless: whether a WebP picture is coded losslessly. picture: the file without anything but the picture, where
    it can be cut out; else the file itself. chunks: PNG chunks that say what the samples mean.
    """

    picture: bytes
    dropped: list[str] = field(default_factory=list)
    delays: list[Fraction] = field(default_factory=list)
    raw_delays: list[tuple[int, int]] = field(default_factory=list)
    loops: int | None = None
    lossless: bool = False
    chunks: list[tuple[bytes, bytes]] = field(default_factory=list)
    hidden_first: bool = False
    exif: bytes | None = None

    def drop(self, what: str) -> None:
        """Note that ``what`` was found; the second finding of one kind adds nothing."""
        sentence = f"{what} dropped."
        if sentence not in self.dropped:
            self.dropped.append(sentence)


def examine(data: bytes, kind: str) -> Contents:
    """Walk a file of the format ``kind`` (a name from ``magic.image_format`` that can be opened).

    Raises InputError when it is cut off or its structure is broken.
    """
    match kind:
        case "jpeg":
            return _jpeg(data)
        case "png":
            return _png(data)
        case "webp":
            return _webp(data)
        case "gif":
            return _gif(data)
        case "avif" | "heif":
            return _boxes(data)
        case "bmp":
            return _bmp(data)
        case _:
            return Contents(data)


def _jpeg(data: bytes) -> Contents:
    parts, end = containers.jpeg_parts(data)
    contents = Contents(data[:end])
    views = 0
    for part in parts:
        payload = data[part.start : min(part.end, part.start + 64)]
        marker = part.kind[0]
        if marker == 0xFE:
            contents.drop("A comment was")
        elif marker == 0xE1 and payload.startswith(b"Exif\0"):
            # only the first block counts, as in every viewer
            contents.exif = contents.exif or data[part.start : part.end]
        elif marker == 0xE1 and payload.startswith((b"http://ns.adobe.com/xap", b"http://ns.adobe.com/xmp")):
            contents.drop("XMP data were")
            if b"hdrgm" in data[part.start : part.end]:
                contents.drop("The description of a gain map (Ultra HDR) was")
        elif marker == 0xE2 and payload.startswith(b"MPF\0"):
            contents.drop("The index of further pictures (MPO) was")
            views += _views(data[part.start + 4 : part.end], gain_map=_GAIN_MAP.search(data) is not None)
        elif marker == 0xE2 and payload.startswith(b"urn:iso:std:iso:ts:21496"):
            contents.drop("The description of a gain map was")
        elif marker == 0xED:
            contents.drop("IPTC or Photoshop data were")
        elif 0xE0 <= marker <= 0xEF and not payload.startswith(
            (b"JFIF\0", b"ICC_PROFILE\0", b"Adobe", b"JFXX\0")
        ):
            contents.drop(f"Application data (APP{marker - 0xE0}) were")
        elif marker == 0xE0 and payload.startswith(b"JFXX\0"):
            contents.drop("A thumbnail was")
    if views:
        contents.dropped.append(f"{views} further view(s) in the file (MPO) were dropped: {ONE_KEPT}")
    _trailer(contents, data, end)
    return contents


def _views(index: bytes, *, gain_map: bool) -> int:
    """Return how many pictures besides the first the index of a JPEG file names (CIPA DC-007) that are views of their
    own: no previews and no gain maps, which may be of no named kind where there are any (``gain_map``)."""
    order = "<" if index.startswith(b"II") else ">"
    try:
        (at,) = struct.unpack_from(f"{order}L", index, 4)
        (count,) = struct.unpack_from(f"{order}H", index, at)
        fields = [struct.unpack_from(f"{order}HHLL", index, at + 2 + 12 * row) for row in range(count)]
        kinds = [
            struct.unpack_from(f"{order}L", index, place + entry)[0] >> 16 & 0xFF
            for tag, _, length, place in fields
            if tag == _MP_ENTRIES
            for entry in range(16, length, 16)
        ]
    except struct.error:
        return 0
    return sum(kind not in _NO_VIEWS and not (kind == 0 and gain_map) for kind in kinds)


def _png(data: bytes) -> Contents:
    parts, end = containers.png_parts(data)
    picture = [containers.PNG_SIGNATURE]
    contents = Contents(b"")
    promised, first_control = 0, False
    for part in parts:
        payload = data[part.start : part.end]
        if part.kind in _PNG_PICTURE or part.kind in PNG_COLOUR or part.kind in {b"iCCP", b"pHYs"}:
            picture.append(data[part.start - 8 : part.end + 4])
        if part.kind in PNG_COLOUR:
            contents.chunks.append((part.kind, payload))
        elif part.kind == b"acTL" and len(payload) == 8:
            promised, contents.loops = struct.unpack(">II", payload)
        elif part.kind == b"fcTL" and len(payload) == 26:
            numerator, denominator = struct.unpack(">HH", payload[20:24])
            contents.raw_delays.append((numerator, denominator))
            contents.delays.append(Fraction(numerator, denominator or 100) or DEFAULT_DELAY)
        elif part.kind == b"IDAT":
            first_control = first_control or not contents.delays
        elif part.kind == b"eXIf":
            contents.exif = payload
        elif part.kind in _PNG_TEXT:
            contents.drop("XMP data were" if payload.startswith(b"XML:com.adobe.xmp") else "Texts were")
        elif part.kind == b"tIME":
            contents.drop("The time of the last change was")
        elif part.kind not in _PNG_PICTURE | _PNG_HARMLESS:
            name = part.kind.decode("ascii", "replace")
            contents.drop(f"Private data ({name if name.isalnum() else 'unnamed'}) were")
    contents.picture = b"".join(picture)
    if promised != len(contents.delays):
        raise InputError(
            f"the animated PNG file is corrupt: it promises {promised} frames and has {len(contents.delays)}"
        )
    if promised and first_control:
        contents.hidden_first = True
        contents.drop("The picture for viewers that cannot show animations was")
    _trailer(contents, data, end)
    return contents


def _webp(data: bytes) -> Contents:
    parts, end = containers.riff_parts(data)
    contents = Contents(data[:end])
    coded: list[bytes] = []
    for part in parts:
        if part.kind == b"ANIM" and part.end - part.start >= 6:
            contents.loops = struct.unpack("<H", data[part.start + 4 : part.start + 6])[0]
        elif part.kind == b"ANMF" and part.end - part.start >= 16:
            delay = int.from_bytes(data[part.start + 12 : part.start + 15], "little")
            contents.raw_delays.append((delay, 1000))
            contents.delays.append(Fraction(delay, 1000) or DEFAULT_DELAY)
            coded += [inner.kind for inner in containers.riff_chunks(data, part.start + 16, part.end)]
        elif part.kind == b"EXIF":
            contents.exif = data[part.start : part.end]
        elif part.kind == b"XMP ":
            contents.drop("XMP data were")
        elif part.kind not in {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP"}:
            contents.drop("Private data were")
        else:
            coded.append(part.kind)
    contents.lossless = b"VP8L" in coded and b"VP8 " not in coded
    _trailer(contents, data, end)
    return contents


def _gif(data: bytes) -> Contents:
    parts, end = containers.gif_parts(data)
    contents = Contents(data[:end])
    delay = 0
    for part in parts:
        if part.kind == "control":
            delay = int.from_bytes(part.payload[1:3], "little")
        elif part.kind == "image":
            contents.raw_delays.append((delay, 100))
            # browsers and viewers show shorter delays as a tenth of a second
            contents.delays.append(Fraction(delay, 100) if delay > 1 else DEFAULT_DELAY)
            delay = 0
        elif part.kind == "application" and part.name in {b"NETSCAPE2.0", b"ANIMEXTS1.0"}:
            if part.payload[:1] == b"\x01" and len(part.payload) >= 3:
                contents.loops = int.from_bytes(part.payload[1:3], "little")
        elif part.kind == "application":
            contents.drop("XMP data were" if part.name == b"XMP DataXMP" else "Application data were")
        else:
            contents.drop("A comment was" if part.kind == "comment" else "A caption was")
    if not contents.delays:
        raise InputError("the GIF file holds no picture")
    _trailer(contents, data, end)
    return contents


def _boxes(data: bytes) -> Contents:
    parts = containers.box_parts(data)
    contents = Contents(data)
    end = parts[-1].end if parts else 0
    for part in parts:
        if part.kind == b"uuid":
            contents.drop("Private data were")
        elif part.kind == b"meta":
            _items(contents, data, part)
    _trailer(contents, data, end)
    return contents


def _items(contents: Contents, data: bytes, meta: Part) -> None:
    # the names of item types and auxiliary roles are unmistakable: no need to resolve the boxes between
    header = data[meta.start : meta.end]
    if b"infe" in header and b"mime" in header:
        contents.drop("XMP or other attached data were")
    if b"tmap" in header or b":hdrgainmap" in header:
        contents.drop("A gain map was")
    if b"auxid:2" in header or b":depth" in header or b"portraiteffectsmatte" in header:
        contents.drop("A depth map or matte was")
    if b"urn:com:apple:photo" in header and ":hdrgainmap" not in header.decode("latin-1"):
        contents.drop("An auxiliary picture was")
    if b"thmb" in header:
        contents.drop("A thumbnail was")


def _bmp(data: bytes) -> Contents:
    contents = Contents(data)
    # many writers state a wrong size: it serves for the report only
    stated = int.from_bytes(data[2:6], "little")
    if 54 <= stated < len(data):
        _trailer(contents, data, stated)
    return contents


def _trailer(contents: Contents, data: bytes, end: int) -> None:
    rest = data[end:]
    if not rest.strip(b"\0"):
        return
    if b"ftyp" in rest[:4096] or b"MotionPhoto" in rest[-4096:] or b"ftypmp4" in rest:
        contents.drop("The video of a motion photo, behind the picture, was")
    if b"\xff\xd8\xff" in rest:
        contents.drop("Further pictures behind the first (MPO, gain map or preview) were")
    contents.drop(f"{len(rest)} bytes behind the end of the picture were")
