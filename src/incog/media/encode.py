"""From samples to the bytes of a picture file that holds these samples, their colour space, and nothing else."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pillow_heif
import tifffile
from PIL import Image, TiffImagePlugin

from incog.errors import OutputError
from incog.media.files import output_error
from incog.media.metadata import Value, exif_block
from incog.media.traits import Traits
from incog.types import Array, Layout

_QUALITY: Final = {"jpeg": 95, "webp": 95, "avif": 90, "heif": 92}
"""Default quality of the lossy formats: no difference can be seen."""


def encode(pixels: Array, layout: Layout, traits: Traits, quality: int | None) -> bytes:
    """Return the file of one picture.

    pixels: as ``decode.samples`` returns them. quality: 1..100 for the lossy formats, None for what is visually
    lossless. To be called inside ``writing``, as encoders raise what they like.
    """
    match traits.format:
        case "jpeg":
            return _jpeg(pixels, traits, quality)
        case "png":
            return _png(pixels, layout, traits)
        case "webp":
            return _webp(pixels, traits, quality)
        case "tiff":
            return _tiff(pixels, layout, traits)
        case "heif":
            return _heif(pixels, traits, quality)
        case "avif":
            return _saved(
                pixels, "AVIF", **avif_options(traits, quality, grey=pixels.ndim == 2), **_extras(traits)
            )
        case _:
            return _saved(pixels, "BMP", **({"dpi": traits.dpi} if traits.dpi else {}))


@contextmanager
def writing(path: Path, kind: str) -> Iterator[None]:
    """Turn what encoders and the system raise while a file of the format ``kind`` is written into an OutputError."""
    try:
        yield
    except OSError as error:
        raise output_error(path, error) from error
    except (
        ValueError,
        TypeError,
        RuntimeError,
        MemoryError,
        OverflowError,
        struct.error,
        cv2.error,
    ) as error:
        raise OutputError(f"the picture cannot be written as {kind.upper()}: {error}") from error


def picture(pixels: Array) -> Image.Image:
    """Return 8-bit samples (H, W), (H, W, 2), (H, W, 3) or (H, W, 4) as a Pillow image without any tags."""
    return Image.fromarray(np.ascontiguousarray(pixels))


def avif_options(traits: Traits, quality: int | None, *, grey: bool) -> dict[str, Any]:
    """Return the encoder's options for an AVIF picture or sequence."""
    return {
        "quality": quality or _QUALITY["avif"],
        "subsampling": "4:0:0" if grey else traits.chroma,
        "speed": 6,
    }


def webp_options(traits: Traits, quality: int | None) -> dict[str, Any]:
    """Return the encoder's options for a WebP picture or a frame of an animation."""
    if traits.lossless:
        # ``exact`` keeps colours under full transparency: untouched pixels are to stay as they are
        return {"lossless": True, "exact": True, "quality": 70, "method": 4}
    return {"quality": quality or _QUALITY["webp"], "alpha_quality": 100, "method": 4}


def write_tiff_page(writer: tifffile.TiffWriter, pixels: Array, layout: Layout, traits: Traits) -> None:
    """Append one page, compressed without loss, to a TIFF file."""
    extra: dict[str, Any] = {}
    if layout.alpha:
        extra["extrasamples"] = ["unassalpha"]
    if traits.dpi:
        extra["resolution"], extra["resolutionunit"] = traits.dpi, "INCH"
    writer.write(
        np.ascontiguousarray(pixels),
        photometric="minisblack" if layout.kind == "grey" else "rgb",
        planarconfig="contig",
        compression="zlib",
        predictor=True,
        iccprofile=traits.icc,
        metadata=None,
        software=False,
        contiguous=False,
        extratags=[_tiff_tag(tag, value) for tag, value in {**traits.kept.main, **traits.kept.exif}.items()],
        **extra,
    )


def png_chunk(kind: bytes, payload: bytes) -> bytes:
    """Return a PNG chunk with its length and check sum."""
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def png_extras(traits: Traits) -> bytes:
    """Return the chunks that stand between the header and the picture of a PNG file."""
    chunks = [png_chunk(kind, payload) for kind, payload in traits.chunks]
    if traits.icc:
        chunks = [chunk for chunk in chunks if chunk[4:8] not in {b"sRGB", b"iCCP"}]
        chunks.append(png_chunk(b"iCCP", b"ICC\0\0" + zlib.compress(traits.icc)))
    if traits.dpi:
        per_metre = (round(value / 0.0254) for value in traits.dpi)
        chunks.append(png_chunk(b"pHYs", struct.pack(">IIB", *per_metre, 1)))
    if exif := exif_block(traits.kept):
        chunks.append(png_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    return b"".join(chunks)


def png_bytes(pixels: Array, layout: Layout) -> bytes:
    """Return a PNG file of 8 or 16 bits with the picture alone."""
    if layout.depth == 8:
        return _saved(pixels, "PNG", compress_level=6)
    if pixels.ndim == 3 and pixels.shape[2] == 2:
        # OpenCV has no grey with alpha
        pixels = pixels[..., [0, 0, 0, 1]]
    if pixels.ndim == 3:
        pixels = np.ascontiguousarray(pixels[..., [2, 1, 0, 3][: pixels.shape[2]]])
    done, packed = cv2.imencode(".png", pixels.astype(np.uint16), [cv2.IMWRITE_PNG_COMPRESSION, 6])
    if not done:
        raise OutputError("the picture cannot be encoded as PNG")
    return bytes(packed)


def _png(pixels: Array, layout: Layout, traits: Traits) -> bytes:
    plain = png_bytes(pixels, layout)
    header = 8 + 12 + 13
    return plain[:header] + png_extras(traits) + plain[header:]


def _jpeg(pixels: Array, traits: Traits, quality: int | None) -> bytes:
    options: dict[str, Any] = {"subsampling": traits.sampling} if pixels.ndim == 3 else {}
    if quality is None and traits.tables:
        options["qtables"] = [list(table) for table in traits.tables]
    else:
        options["quality"] = quality or _QUALITY["jpeg"]
    if traits.dpi:
        options["dpi"] = traits.dpi
    return _saved(pixels, "JPEG", optimize=True, **options, **_extras(traits))


def _webp(pixels: Array, traits: Traits, quality: int | None) -> bytes:
    return _saved(pixels, "WEBP", **webp_options(traits, quality), **_extras(traits))


def _tiff(pixels: Array, layout: Layout, traits: Traits) -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        write_tiff_page(writer, pixels, layout, traits)
    return buffer.getvalue()


def _heif(pixels: Array, traits: Traits, quality: int | None) -> bytes:
    options: dict[str, Any] = {}
    if traits.primaries and not traits.icc:
        primaries, transfer = traits.primaries
        options = {
            "color_primaries": primaries,
            "transfer_characteristics": transfer,
            "matrix_coefficients": 6,
            "full_range_flag": 1,
        }
    image = picture(pixels)
    if traits.icc:
        image.info["icc_profile"] = traits.icc
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(
        buffer,
        quality=quality or _QUALITY["heif"],
        subsampling=traits.chroma,
        exif=exif_block(traits.kept),
        # less than half the time of the library's default, for the same size and error
        enc_params={"preset": "fast"},
        **options,
    )
    return buffer.getvalue()


def _extras(traits: Traits) -> dict[str, bytes]:
    extras = {"icc_profile": traits.icc, "exif": exif_block(traits.kept)}
    return {name: value for name, value in extras.items() if value}


def _saved(pixels: Array, name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture(pixels).save(buffer, name, **options)
    return buffer.getvalue()


def _tiff_tag(number: int, value: Value) -> tuple[int, int, int, object, bool]:
    # the numbers of the EXIF tags mean the same in the main directory (TIFF/EP)
    ascii_text, long, rational, signed_rational = 2, 4, 5, 10
    if isinstance(value, str):
        return number, ascii_text, 0, value, True
    values = value if isinstance(value, tuple) else (value,)
    if all(isinstance(item, int) and item >= 0 for item in values):
        return number, long, len(values), value, True
    fractions = [_fraction(item) for item in values]
    kind = signed_rational if any(fraction < 0 for fraction in fractions) else rational
    parts = tuple(part for fraction in fractions for part in fraction.as_integer_ratio())
    return number, kind, len(values), parts, True


def _fraction(value: object) -> Fraction:
    assert isinstance(value, int | float | TiffImagePlugin.IFDRational)
    return Fraction(float(value)).limit_denominator(1_000_000)
