"""What a file is, told from its first bytes: names lie, and a photo without a suffix still shows a face."""

from __future__ import annotations

from typing import Final, Literal

HEAD: Final = 4096
"""How many bytes of a file ``media_type`` and ``image_format`` want to see."""

Media = Literal["image", "video"]

_STILL_BRANDS: Final = {
    b"heic": "heif",
    b"heix": "heif",
    b"heim": "heif",
    b"heis": "heif",
    b"hevc": "heif",
    b"hevx": "heif",
    b"hevm": "heif",
    b"hevs": "heif",
    b"mif1": "heif",
    b"mif2": "heif",
    b"msf1": "heif",
    b"avif": "avif",
    b"avis": "avif",
    b"crx ": "camera raw",
    b"jp2 ": "JPEG 2000",
    b"jxl ": "JPEG XL",
}
_AUDIO_BRANDS: Final = {b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "}
_QUICKTIME_ATOMS: Final = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
_RAW_STARTS: Final = (
    b"FUJIFILMCCD-RAW",
    b"IIRO",
    b"IIRS",
    b"MMOR",
    b"IIU\0",
    b"FOVb",
    b"\0MRM",
    b"II\x1a\0\0\0HEAPCCDR",
)


def image_format(head: bytes) -> str | None:
    """Return the still or animated picture format that ``head`` starts, or None.

    ``jpeg``, ``png``, ``gif``, ``webp``, ``tiff``, ``bmp``, ``avif`` and ``heif`` can be opened; any other
    name is of a picture that is recognised and cannot be read (camera raw, JPEG 2000, JPEG XL, Photoshop).
    """
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(_RAW_STARTS) or (head.startswith(b"II*\0") and head[8:10] == b"CR"):
        return "camera raw"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiff"
    if head.startswith(b"BM") and len(head) >= 18 and 12 <= int.from_bytes(head[14:18], "little") <= 124:
        return "bmp"
    if head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")):
        return "JPEG XL"
    if head.startswith((b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")):
        return "JPEG 2000"
    if head.startswith(b"8BPS\0"):
        return "Photoshop"
    if head[4:8] == b"ftyp":
        return _still_brand(head)
    return None


def media_type(head: bytes) -> Media | None:
    """Return what ``head``, the first bytes of a file (``HEAD`` of them, or all), begins."""
    if image_format(head) is not None:
        return "image"
    return "video" if _is_video(head) else None


def _still_brand(head: bytes) -> str | None:
    brands = _brands(head)
    # a generic container says only in its compatible brands which coding it holds
    if brands and brands[0] in {b"mif1", b"mif2", b"msf1"} and {b"avif", b"avis"} & set(brands):
        return "avif"
    return _STILL_BRANDS.get(brands[0]) if brands else None


def _brands(head: bytes) -> list[bytes]:
    length = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[at : at + 4] for at in range(16, length - 3, 4)]
    return [head[8:12], *brands] if len(head) >= 12 else []


def _is_video(head: bytes) -> bool:
    if head[4:8] == b"ftyp":
        return head[8:12] not in _AUDIO_BRANDS
    if head.startswith(b"RIFF") and head[8:12] in {b"AVI ", b"AVIX", b"AMV "}:
        return True
    if head.startswith(b"OggS"):
        return any(mark in head for mark in (b"\x80theora", b"OVP80", b"BBCD\0", b"\x01video\0"))
    if head.startswith(
        (
            b"\x1a\x45\xdf\xa3",  # Matroska, WebM
            b"FLV\x01",
            b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF: wmv
            b"\0\0\x01\xba",  # MPEG programme stream
            b"\0\0\x01\xb3",  # MPEG video
            b".RMF\0\0",
            b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02",  # MXF
            b"DKIF\0\0",  # IVF
            b"YUV4MPEG2 ",
            b"\0\0\0\x01\x67",  # H.264 without a container
            b"\0\0\0\x01\x40\x01",  # H.265 without a container
        )
    ):
        return True
    if head[4:8] in _QUICKTIME_ATOMS and _is_atom_size(head):
        return True
    return _is_transport_stream(head)


def _is_atom_size(head: bytes) -> bool:
    size = int.from_bytes(head[:4], "big")
    return size in {0, 1} or size >= 8


def _is_transport_stream(head: bytes) -> bool:
    # packets of 188 bytes, with 4 bytes of time code before each (Blu-ray, AVCHD) or 16 check bytes after
    for start, step in ((0, 188), (4, 192), (0, 204)):
        marks = head[start::step][:5]
        if len(marks) >= 3 and marks == b"\x47" * len(marks):
            return True
    return False
