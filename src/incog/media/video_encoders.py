"""Which encoder writes a video, in which pixel format and at which quality. Tables and pure choices.

``quality`` 1..100 maps linearly onto the constant rate factor of the encoder, monotonically:

    encoder                 quality 1   quality 100   default
    libx264, libx264rgb     crf 51      crf 4         crf 18
    libx265                 crf 51      crf 4         crf 20
    libvpx-vp9              crf 63      crf 4         crf 22
    libsvtav1               crf 63      crf 4         crf 22
    mjpeg, mpeg4, mpeg2 ..  q 31        q 1           q 2
    ffv1, prores and the like have no such scale: they are lossless or nearly so.
"""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass, field

import av
import cv2

from incog.errors import UsageError, must_be
from incog.media.base import NOT_USED
from incog.media.video_files import Container
from incog.media.video_planes import layout_of
from incog.types import Layout


@dataclass(frozen=True, slots=True)
class Choice:
    """An encoder with its settings. decisions: what the choice does to the pictures, one sentence each."""

    codec: str
    pix_fmt: str
    options: dict[str, str]
    qscale: int | None = None
    decisions: list[str] = field(default_factory=list)


_SCALES = {
    "libx264": (51.0, 4.0, 18.0),
    "libx264rgb": (51.0, 4.0, 18.0),
    "libx265": (51.0, 4.0, 20.0),
    "libvpx-vp9": (63.0, 4.0, 22.0),
    "libvpx": (63.0, 4.0, 10.0),
    "libsvtav1": (63.0, 4.0, 22.0),
}
_OPTIONS = {
    "libx264": {"preset": "veryfast"},
    "libx264rgb": {"preset": "veryfast"},
    "libx265": {"preset": "superfast"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "7", "row-mt": "1", "tile-columns": "2"},
    "libvpx": {"deadline": "realtime", "cpu-used": "7"},
    "libsvtav1": {"preset": "10"},
    # Limited range in JPEG is common, and beside the letter of the standard.
    "mjpeg": {"strict": "unofficial"},
    "ffv1": {"level": "3", "slicecrc": "1"},
    "prores_ks": {"vendor": "apl0"},
}
_QSCALE = {
    "mpeg4",
    "msmpeg4",
    "msmpeg4v2",
    "mpeg2video",
    "mpeg1video",
    "mjpeg",
    "h263",
    "h263p",
    "flv",
    "wmv1",
    "wmv2",
}
_LOSSLESS = {"ffv1", "ffvhuff", "huffyuv", "utvideo", "png", "qtrle", "rawvideo"}
# Their encoders refuse pictures that the chroma grid does not divide evenly.
_AVX512 = 13
"""OpenCV's number for AVX-512F, of which its Python module has no name."""

_REPEATABLE = "MMX2,SSE2Fast,SSSE3,SSE4.2,LZCNT,AVX,FMA3,BMI2,AVX2"
"""What x264 may use of a processor with AVX-512. With all of it, its macroblock tree reads stale memory: pictures whose
width is not a multiple of 256 came out in a dozen versions of 40 runs. As quick without it."""

_EVEN = {"libx264", "libx264rgb", "libx265", "libsvtav1"}
# PQ and HLG, as ITU-T H.273 numbers them.
_HDR_TRANSFERS = {16, 18}
_HIGH_EFFICIENCY = {"hevc", "av1", "libdav1d", "vp9", "vvc"}


@functools.cache
def supported(muxer: str) -> frozenset[str]:
    """Return the names of all codecs that a container takes, of libav's encoders and decoders alike."""
    with av.open(io.BytesIO(), "w", format=muxer) as container:
        return frozenset(container.supported_codecs)


@functools.cache
def _formats(codec: str) -> tuple[str, ...]:
    return tuple(known.name for known in av.Codec(codec, "w").video_formats or ())


def video_encoders(container: Container) -> list[str]:
    """Return the names of the video encoders that this installation has for ``container``, sorted."""
    names = []
    for name in supported(container.muxer):
        try:
            codec = av.Codec(name, "w")
        except ValueError:
            continue
        # A codec is listed under its own name too: only names of encoders count.
        if codec.type == "video" and codec.name == name:
            names.append(name)
    return sorted(names)


def _defaults(container: Container, layout: Layout, source_codec: str, transfer: int) -> list[str]:
    """Return the encoders to try, the best first."""
    simple = layout.kind == "yuv" and layout.depth == 8 and (layout.shift_x, layout.shift_y) == (1, 1)
    deep = layout.depth > 10 or (
        layout.depth > 8
        and (source_codec in _HIGH_EFFICIENCY or transfer in _HDR_TRANSFERS or layout.kind == "rgb")
    )
    keepers = {
        "webm": ["libvpx-vp9"],
        "mov": ["prores_ks"],
        "mkv": ["libvpx-vp9"] if simple else ["ffv1"],
        "avi": ["ffv1"],
    }
    if layout.alpha and container.name in keepers:
        return keepers[container.name]
    if container.name == "webm":
        return ["libsvtav1", "libvpx-vp9"] if layout.depth > 8 and layout.kind != "rgb" else ["libvpx-vp9"]
    if container.name == "avi":
        return ["ffv1"] if layout.depth > 10 else ["libx264rgb" if layout.kind == "rgb" else "libx264"]
    if deep:
        return ["libx265", "libx264"]
    return ["libx264rgb" if layout.kind == "rgb" else "libx264"]


def _loss(target: Layout, source: Layout) -> tuple[int, ...]:
    """Order pixel formats: what loses least first, then what is smallest."""
    chroma = 0
    if target.kind == "grey":
        chroma = 0 if source.kind == "grey" else 9
    elif source.kind == "yuv" and target.kind == "yuv":
        chroma = max(0, target.shift_x - source.shift_x) + max(0, target.shift_y - source.shift_y)
    elif target.kind == "yuv" and source.kind == "rgb":
        chroma = target.shift_x + target.shift_y
    samples = {"rgb": 12, "grey": 4}.get(target.kind, 4 + (8 >> (target.shift_x + target.shift_y)))
    return (
        source.alpha and not target.alpha,
        chroma,
        max(0, source.depth - target.depth),
        source.kind != target.kind,
        target.alpha and not source.alpha,
        target.depth,
        samples,
    )


def _pick(codec: str, layout: Layout, width: int, height: int) -> tuple[str, Layout] | None:
    """Return the pixel format of ``codec`` that keeps most of ``layout`` at this size, None without one."""
    best: tuple[tuple[int, ...], str, Layout] | None = None
    names = _formats(codec) or ("yuv420p",)
    for name in names:
        target = layout_of(name)
        # Full range is a tag in what we write; alpha in HEVC is read by next to nothing.
        if target is None or name.startswith("yuvj") or (codec == "libx265" and target.alpha):
            continue
        uneven = width % (1 << target.shift_x) or height % (1 << target.shift_y)
        if codec in _EVEN and target.kind == "yuv" and uneven:
            continue
        ranked = (_loss(target, layout), name, target)
        if best is None or ranked < best:
            best = ranked
    return None if best is None else (best[1], best[2])


def choose(
    container: Container,
    layout: Layout,
    size: tuple[int, int],
    *,
    source_codec: str,
    transfer: int,
    codec: str | None,
    quality: int | None,
) -> Choice:
    """Return how pictures of ``layout`` and ``size`` (width, height) are encoded for ``container``.

    source_codec: the codec that the source was in. transfer: its transfer characteristic, H.273 number.
    codec, quality: see ``OutputOptions``. Raises UsageError for a codec that is unknown, that the container
    does not take or that cannot hold the pictures, and for a quality outside 1..100.
    """
    if quality is not None and not 1 <= quality <= 100:
        raise must_be("quality", "a whole number from 1 to 100", quality)
    if codec is not None and codec not in (names := video_encoders(container)):
        raise UsageError(
            f"the codec must be one that can be written to {container.name}, got {codec!r}",
            hint=f"for {container.name}: {', '.join(names)}",
        )
    for name in [codec] if codec else _defaults(container, layout, source_codec, transfer):
        picked = _pick(name, layout, *size)
        if picked is not None:
            return _settle(name, *picked, layout, quality)
    raise UsageError(
        f"the codec {codec or 'of this container'} cannot hold pictures of {size[0]} x {size[1]}"
    )


def extra_options(codec: str, mastering: str | None, light: str | None) -> tuple[dict[str, str], list[str]]:
    """Return the encoder options that keep HDR metadata, and a sentence where they cannot, and that make results
    repeatable.

    mastering, light: the mastering display and the light levels as x265 takes them, or None.
    """
    names = {"libx265": ("master-display", "max-cll"), "libx264": ("mastering-display", "cll")}.get(codec)
    known = []
    if names is not None:
        known = [f"{name}={value}" for name, value in zip(names, (mastering, light), strict=True) if value]
    if codec == "libx265":
        # Without these x265 writes its version and settings into the stream.
        return {
            "x265-params": ":".join(["log-level=none", "info=0", *(["hdr10=1"] if known else []), *known])
        }, []
    losses = []
    if (mastering or light) and names is None:
        losses = [f"The HDR mastering data was dropped: it cannot be handed to {codec}."]
    if codec in ("libx264", "libx264rgb") and cv2.checkHardwareSupport(_AVX512):
        known.append(f"asm={_REPEATABLE}")
    return ({"x264-params": ":".join(known)} if known else {}), losses


def _settle(codec: str, pix_fmt: str, target: Layout, source: Layout, quality: int | None) -> Choice:
    options = dict(_OPTIONS.get(codec, {}))
    decisions, qscale, level = [], None, ""
    if codec in _SCALES:
        worst, best, default = _SCALES[codec]
        rate = default if quality is None else worst + (best - worst) * (quality - 1) / 99
        # libvpx and SVT-AV1 take whole numbers only.
        options["crf"] = f"{rate:.1f}" if codec.startswith("libx26") else f"{round(rate)}"
        options |= {"b": "0"} if codec == "libvpx-vp9" else {}
        level = f", crf {options['crf']}"
    elif codec in _QSCALE:
        qscale = 2 if quality is None else round(31 - 30 * (quality - 1) / 99)
        level = f", q {qscale}"
    elif codec in _LOSSLESS:
        level = ", lossless" if target == source or _loss(target, source)[:3] == (0, 0, 0) else ""
    elif quality is not None:
        decisions.append(f"The codec {codec} has no quality scale: {NOT_USED}")
    if codec == "libvpx-vp9" and target.alpha:
        options["auto-alt-ref"] = "0"
    if codec == "prores_ks":
        options["profile"] = "4444" if target.shift_x == 0 else "hq"
    decisions.insert(
        0,
        f"The pictures were encoded anew with {codec} ({pix_fmt}{level}); nothing that was embedded in the "
        "old video stream (captions, camera data, encoder settings) survives.",
    )
    decisions += _changes(target, source)
    return Choice(codec, pix_fmt, options, qscale, decisions)


def _changes(target: Layout, source: Layout) -> list[str]:
    changes = []
    if source.alpha and not target.alpha:
        changes.append("The transparency of the video was dropped: the codec cannot hold it.")
    if target.depth < source.depth:
        changes.append(
            f"The depth was reduced from {source.depth} to {target.depth} bits: the codec holds no more."
        )
    coarser = target.shift_x > source.shift_x or target.shift_y > source.shift_y
    finer = target.shift_x < source.shift_x or target.shift_y < source.shift_y
    if source.kind == "yuv" and target.kind == "yuv" and (coarser or finer):
        how = "coarser" if coarser else "finer"
        changes.append(
            f"The chroma is stored on a {how} grid: the codec cannot hold the source's at this size."
        )
    if source.kind == "rgb" and target.kind == "yuv":
        changes.append(
            "The colours were converted from R'G'B' to Y'CbCr: the codec cannot hold the source's."
        )
    return changes
