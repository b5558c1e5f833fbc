"""What may be carried over from a photo's EXIF data when the user asks for it: an allow-list, and nothing else.

Kept: when the picture was taken, the make and model of camera and lens, the exposure, and the copyright notice.
Never kept, because they say where, by whom or with which individual device: GPS, time zones, artist and owner
names, serial numbers, image and burst ids, host names, descriptions, comments, maker notes, previews, and every
tag that is not listed here. The copyright notice may name a person: it is kept because its owner wants it seen.
The orientation is not kept either: it is applied to the pixels.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from PIL import ExifTags, Image, TiffImagePlugin

Value = str | int | float | TiffImagePlugin.IFDRational | tuple[object, ...]

_EXIF_IFD: Final = 0x8769
_GPS_IFD: Final = 0x8825
_ORIENTATION: Final = 0x0112
_SHORT, _LONG = 3, 4
_DATE: Final = re.compile(r"\d{4}:\d\d:\d\d \d\d:\d\d:\d\d")
_TEXT_LIMIT: Final = 200


def _date(value: object) -> bool:
    return isinstance(value, str) and _DATE.fullmatch(value) is not None


def _digits(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\d{1,9}", value.strip()) is not None


def _text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _TEXT_LIMIT and value.isprintable()


def _number(value: object) -> bool:
    if not isinstance(value, int | float | TiffImagePlugin.IFDRational):
        return False
    try:
        return math.isfinite(float(value))
    except (ZeroDivisionError, OverflowError):
        return False


def _numbers(value: object) -> bool:
    return isinstance(value, tuple) and 0 < len(value) <= 4 and all(_number(item) for item in value)


def _number_or_numbers(value: object) -> bool:
    return _number(value) or _numbers(value)


ALLOWED_MAIN: Final[Mapping[int, tuple[str, Callable[[object], bool]]]] = {
    0x010F: ("Make", _text),
    0x0110: ("Model", _text),
    0x0132: ("DateTime", _date),
    0x8298: ("Copyright", _text),
}
"""Tags of the main directory that may be kept: number -> name and the test that the value must pass."""

ALLOWED_EXIF: Final[Mapping[int, tuple[str, Callable[[object], bool]]]] = {
    0x829A: ("ExposureTime", _number),
    0x829D: ("FNumber", _number),
    0x8822: ("ExposureProgram", _number),
    0x8827: ("ISOSpeedRatings", _number_or_numbers),
    0x8830: ("SensitivityType", _number),
    0x8832: ("RecommendedExposureIndex", _number),
    0x9003: ("DateTimeOriginal", _date),
    0x9004: ("DateTimeDigitized", _date),
    0x9201: ("ShutterSpeedValue", _number),
    0x9202: ("ApertureValue", _number),
    0x9203: ("BrightnessValue", _number),
    0x9204: ("ExposureBiasValue", _number),
    0x9205: ("MaxApertureValue", _number),
    0x9207: ("MeteringMode", _number),
    0x9208: ("LightSource", _number),
    0x9209: ("Flash", _number),
    0x920A: ("FocalLength", _number),
    0x9290: ("SubsecTime", _digits),
    0x9291: ("SubsecTimeOriginal", _digits),
    0x9292: ("SubsecTimeDigitized", _digits),
    0xA402: ("ExposureMode", _number),
    0xA403: ("WhiteBalance", _number),
    0xA404: ("DigitalZoomRatio", _number),
    0xA405: ("FocalLengthIn35mmFilm", _number),
    0xA406: ("SceneCaptureType", _number),
    0xA432: ("LensSpecification", _numbers),
    0xA433: ("LensMake", _text),
    0xA434: ("LensModel", _text),
}
"""Tags of the EXIF directory that may be kept, as in ``ALLOWED_MAIN``."""

_TELLING: Final = {
    0x010E: "a description",
    0x013B: "the artist's name",
    0x013C: "a host name",
    0x927C: "maker notes",
    0x9286: "a comment",
    0x9C9D: "the author's name",
    0xA420: "an image id",
    0xA430: "the owner's name",
    0xA431: "a camera serial number",
    0xA435: "a lens serial number",
    0xC62F: "a camera serial number",
}


@dataclass(frozen=True, slots=True)
class Kept:
    """Tags that passed the allow-list, by number: those of the main and those of the EXIF directory."""

    main: dict[int, Value] = field(default_factory=dict)
    exif: dict[int, Value] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The names of the tags, in the order of their numbers."""
        return [
            *(ALLOWED_MAIN[tag][0] for tag in sorted(self.main)),
            *(ALLOWED_EXIF[tag][0] for tag in sorted(self.exif)),
        ]


def read_exif(data: bytes | None) -> Image.Exif:
    """Parse an EXIF block (with or without the ``Exif`` prefix). What cannot be parsed counts as absent."""
    exif = Image.Exif()
    if data:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                exif.load(data)
            except Exception:
                # a damaged block, which is dropped in any case, makes the parser raise anything
                return Image.Exif()
    return exif


def orientation(block: bytes | None) -> int:
    """Return how the stored picture must be turned to be upright: 1 (not at all) .. 8, as EXIF numbers it.

    Reads the one tag from the EXIF block by itself: viewers turn a picture whose other tags are damaged, and a face
    that lies on its side is not found.
    """
    data = (block or b"").removeprefix(b"Exif\0\0")
    order: Literal["little", "big"] = "big" if data.startswith(b"MM") else "little"
    start = int.from_bytes(data[4:8], order)
    for at in range(start + 2, start + 2 + 12 * int.from_bytes(data[start : start + 2], order), 12):
        entry = data[at : at + 12]
        if len(entry) < 12:
            break
        if int.from_bytes(entry[:2], order) == _ORIENTATION:
            width = {_SHORT: 2, _LONG: 4}.get(int.from_bytes(entry[2:4], order), 0)
            value = int.from_bytes(entry[8 : 8 + width], order)
            return value if 1 <= value <= 8 else 1
    return 1


def keep(exif: Image.Exif) -> Kept:
    """Return the tags that the allow-list lets through: those listed whose values are of the right form."""
    main = {tag: _value(exif, tag) for tag in ALLOWED_MAIN}
    return Kept(_passing(main, ALLOWED_MAIN), _passing(_directory(exif, _EXIF_IFD), ALLOWED_EXIF))


def filter_exif(exif: Image.Exif) -> bytes | None:
    """Return a new EXIF block with only the tags of ``keep``, or None when there are none."""
    return exif_block(keep(exif))


def exif_block(kept: Kept) -> bytes | None:
    """Return the tags as an EXIF block that starts with ``Exif\\0\\0``, or None when there are none."""
    if not kept.main and not kept.exif:
        return None
    exif = Image.Exif()
    exif.update(kept.main)
    if kept.exif:
        exif.get_ifd(_EXIF_IFD).update(kept.exif)
    return exif.tobytes()


def telling(exif: Image.Exif) -> list[str]:
    """Return in plain words what an EXIF block says about place, people and devices."""
    found = {*exif, *_directory(exif, _EXIF_IFD)}
    words = [word for tag, word in _TELLING.items() if tag in found]
    if _GPS_IFD in exif or _directory(exif, _GPS_IFD):
        words.insert(0, "the GPS position")
    if 0x010F in exif or 0x0110 in exif:
        words.append("the camera")
    if 0x0201 in exif or 0x0201 in _directory(exif, ExifTags.IFD.IFD1):
        words.append("a thumbnail")
    return list(dict.fromkeys(words))


def _passing(
    tags: Mapping[int, object], allowed: Mapping[int, tuple[str, Callable[[object], bool]]]
) -> dict[int, Value]:
    passed: dict[int, Value] = {}
    for tag, (_, test) in allowed.items():
        value = tags.get(tag)
        if isinstance(value, str):
            value = value.rstrip("\0 ")
        if isinstance(value, str | int | float | TiffImagePlugin.IFDRational | tuple) and test(value):
            passed[tag] = value
    return passed


def _value(exif: Image.Exif, tag: int) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return exif.get(tag)
        except Exception:
            # values are parsed when they are asked for: a damaged one spoils only itself
            return None


def _directory(exif: Image.Exif, number: int) -> dict[int, object]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return dict(exif.get_ifd(number))
        except Exception:
            # as in ``read_exif``
            return {}
