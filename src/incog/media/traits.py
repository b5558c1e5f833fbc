"""What an output takes over from its source besides the samples."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction

from PIL import Image, ImageFile, JpegImagePlugin

from incog.media import decode, metadata
from incog.media.contents import Contents
from incog.media.metadata import Kept


@dataclass(frozen=True, slots=True)
class Traits:
    """What an output takes over from its source besides the samples; all of it describes pixels, none of it people.

    format: a name of ``decode.FORMATS``. icc: the colour profile. dpi: horizontal and vertical, of the upright
    picture. tables, sampling: the quantisation of a JPEG source, so that what is not changed stays as it was.
    chroma: subsampling of an AVIF or HEIF source. primaries: colour primaries and transfer of a HEIF source (ITU-T
    H.273). lossless: for WebP. chunks: PNG chunks about colour. loops, delays, raw_delays: as in ``Contents``.
    """

    format: str
    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    tables: tuple[tuple[int, ...], ...] = ()
    sampling: int = 0
    chroma: str = "4:2:0"
    primaries: tuple[int, int] | None = None
    lossless: bool = False
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    loops: int | None = None
    delays: tuple[Fraction, ...] = ()
    raw_delays: tuple[tuple[int, int], ...] = ()
    kept: Kept = field(default_factory=Kept)


def traits_of(
    image: ImageFile.ImageFile,
    target: str,
    contents: Contents,
    exif: Image.Exif,
    turn: int,
    pages: int,
    dropped: list[str],
) -> Traits:
    """Return what the output of an opened picture takes over.

    target: the format that is written. turn: the orientation that is applied. pages: how many frames there are.
    dropped: gets a sentence for what is left behind.
    """
    grey = image.mode in {"1", "L", "LA", "La"} or image.mode.startswith("I")
    given = image.info.get("icc_profile")
    icc = None if image.mode in {"CMYK", "LAB"} else decode.usable_profile(given, "grey" if grey else "rgb")
    if given and icc is None and image.mode not in {"CMYK", "LAB"}:
        dropped.append("The colour profile was dropped: it is broken or not for these colours.")
    traits = Traits(
        format=target,
        icc=icc,
        dpi=_dpi(image, turn),
        chunks=tuple(contents.chunks),
        lossless=contents.lossless,
        loops=contents.loops,
        delays=tuple(contents.delays),
        raw_delays=tuple(contents.raw_delays),
        kept=metadata.keep(exif),
    )
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        return _jpeg_traits(image, traits)
    if target == "tiff":
        return replace(traits, delays=(Fraction(1),) * pages)
    if target == "avif":
        return _avif_traits(contents.picture, traits, dropped)
    if target == "heif":
        return _heif_traits(image, traits, dropped)
    return traits


def _dpi(image: ImageFile.ImageFile, turn: int) -> tuple[float, float] | None:
    given = image.info.get("dpi")
    if image.format not in {"JPEG", "PNG", "TIFF", "BMP"} or not isinstance(given, tuple) or len(given) != 2:
        return None
    try:
        across, down = float(given[0]), float(given[1])
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    if not (1 <= across <= 20_000 and 1 <= down <= 20_000):
        return None
    return (down, across) if turn >= 5 else (across, down)


def _jpeg_traits(image: JpegImagePlugin.JpegImageFile, traits: Traits) -> Traits:
    sampling = JpegImagePlugin.get_sampling(image)
    layers: list[tuple[int, int, int, int]] = image.layer
    numbers = [layer[3] for layer in layers]
    own_colours = image.mode == "L" or (image.mode == "RGB" and image.info.get("adobe_transform") != 0)
    if not own_colours or len(set(numbers[1:])) > 1 or not set(numbers) <= set(image.quantization):
        return traits
    tables = tuple(tuple(image.quantization[number]) for number in numbers[:2])
    if max(max(table) for table in tables) > 255:
        return traits
    return replace(traits, tables=tables, sampling=max(sampling, 0))


def _avif_traits(data: bytes, traits: Traits, dropped: list[str]) -> Traits:
    at = data.find(b"av1C")
    flags = data[at + 6] if 0 <= at < len(data) - 6 else 0x0C
    if flags & 0x40:
        dropped.append("The picture had more than 8 bits per sample and is written with 8.")
    colour = data.find(b"colrnclx")
    if colour >= 0 and not traits.icc:
        primaries = int.from_bytes(data[colour + 8 : colour + 10], "big")
        transfer = int.from_bytes(data[colour + 10 : colour + 12], "big")
        if primaries not in {1, 2} or transfer in {16, 18}:
            dropped.append("The wide or HDR colours are written without their mark and may look paler.")
    chroma = {0x0C: "4:2:0", 0x08: "4:2:2"}.get(flags & 0x0C, "4:4:4")
    return replace(traits, chroma=chroma)


def _heif_traits(image: ImageFile.ImageFile, traits: Traits, dropped: list[str]) -> Traits:
    if int(image.info.get("bit_depth") or 8) > 8:
        dropped.append("The picture had more than 8 bits per sample and is written with 8.")
    chroma = {420: "4:2:0", 422: "4:2:2", 444: "4:4:4"}.get(int(image.info.get("chroma") or 420), "4:2:0")
    colours = image.info.get("nclx_profile")
    primaries = None
    if isinstance(colours, dict):
        primaries = int(colours["color_primaries"]), int(colours["transfer_characteristics"])
    return replace(traits, chroma=chroma, primaries=primaries)
