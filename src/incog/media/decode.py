"""From the bytes of a picture file to upright samples. What a parser cannot make sense of is an InputError."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageCms,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from pillow_heif import HeifImageFile

from incog.errors import IncogError, InputError
from incog.types import Array, Layout

PIXELS: Final = 400_000_000
"""The largest picture that is opened; a larger one is taken for a decompression bomb."""

ANIMATION_PIXELS: Final = 64_000_000
"""The largest animation: several frames are in memory at a time."""

FILE_BYTES: Final = 2 << 30
"""The largest picture file that is opened."""

# the plug-ins themselves rather than Image.open: the format is known, and its limits are Pillow's, not ours
_PLUGINS: Final[dict[str, type[ImageFile.ImageFile]]] = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "png": PngImagePlugin.PngImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "avif": AvifImagePlugin.AvifImageFile,
    "heif": HeifImageFile,
}
FORMATS: Final = frozenset(_PLUGINS)
"""The formats, as ``magic.image_format`` names them, that can be opened."""

_TURNS: Final = {
    2: (0, True),
    3: (2, False),
    4: (2, True),
    5: (3, True),
    6: (3, False),
    7: (1, True),
    8: (1, False),
}


def read(path: Path) -> bytes:
    """Return the bytes of a file. Raises InputError: missing, a folder, not a file, empty, unreadable, too large."""
    try:
        if path.is_dir():
            raise InputError("this is a folder, not a file")
        if not path.exists():
            raise InputError("there is no such file")
        if not path.is_file():
            raise InputError("this is not a regular file")
        with path.open("rb") as file:
            data = file.read(FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}") from error
    if not data:
        raise InputError("the file is empty")
    if len(data) > FILE_BYTES:
        raise InputError(f"the file is too large for a picture: the limit is {FILE_BYTES >> 20} MiB")
    return data


@contextmanager
def parsing(what: str) -> Iterator[None]:
    """Turn whatever a parser raises on bad data into an InputError, and keep its warnings to itself."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except IncogError:
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise InputError(f"the {what} picture is too large to be decoded: {error}") from error
    except Exception as error:
        # decoders of hostile data raise nearly anything; the file is not used, whatever it was
        raise InputError(
            f"the {what} file is corrupt or truncated: {error or type(error).__name__}"
        ) from error


def open_picture(data: bytes, kind: str) -> ImageFile.ImageFile:
    """Open a picture of the format ``kind`` (one of FORMATS) without decoding it.

    Raises InputError when the header is broken or promises more than ``PIXELS`` pixels.
    """
    with parsing(kind.upper()):
        image = _PLUGINS[kind](io.BytesIO(data))
        check_size(*image.size)
        return image


def check_size(width: int, height: int, *, limit: int = PIXELS) -> None:
    """Raise InputError when a picture of this size must not be decoded. limit: in pixels."""
    if width < 1 or height < 1:
        raise InputError(f"the picture has no area: {width} x {height} pixels")
    if width * height > limit:
        raise InputError(
            f"the picture of {width} x {height} pixels is above the limit of {limit // 1_000_000} megapixels"
        )


def samples(image: Image.Image, notes: list[str], *, mode: str | None = None) -> tuple[Array, Layout]:
    """Decode an opened picture to one array (H, W), (H, W, 2), (H, W, 3) or (H, W, 4) and its layout.

    The last channel is alpha where ``layout.alpha``. mode: L, LA, RGB or RGBA where it is settled, as for the frames
    of an animation. notes: gets a sentence for each conversion. To be called inside ``parsing``.
    """
    image.load()
    if mode is not None:
        return np.array(image.convert(mode)), layout_of(mode)
    mode = image.mode
    clear = has_alpha(image)
    if mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.uint16)
        key = image.info.get("transparency")
        if not isinstance(key, int):
            return grey, Layout("grey", 16)
        return np.dstack([grey, np.where(grey == key, 0, 65535).astype(np.uint16)]), Layout(
            "grey", 16, alpha=True
        )
    if mode in {"CMYK", "LAB"}:
        image = _to_rgb(image, notes)
    elif mode in {"1", "L", "LA", "La"}:
        if mode == "1":
            notes.append("The picture had 1 bit per pixel and is written with 8.")
        image = image.convert("LA" if clear else "L")
    elif mode in {"P", "PA", "RGB", "RGBX", "RGBA", "RGBa", "YCbCr"}:
        image = image.convert("RGBA" if clear else "RGB")
    else:
        raise InputError(f"pictures with samples of the type {mode} cannot be read")
    return np.array(image), layout_of(image.mode)


def has_alpha(image: Image.Image) -> bool:
    """Return whether an opened picture has transparency, as a channel or as a marked colour."""
    return "transparency" in image.info or image.mode in {"LA", "La", "PA", "RGBA", "RGBa"}


def layout_of(mode: str) -> Layout:
    """Return the layout of Pillow's modes L, LA, RGB and RGBA."""
    return Layout("grey" if mode in {"L", "LA"} else "rgb", alpha=mode.endswith("A"))


def sixteen_bit(data: bytes, eight: Array, *, page: int = 0, turn: int = 1) -> Array | None:
    """Decode a PNG or TIFF picture with 16 bits per sample; Pillow has only the upper 8 of colours.

    eight: (H, W) or (H, W, 3 or 4), what Pillow decoded: proof that OpenCV, which is silent about broken files, read
    the same picture. turn: the orientation that is applied to the result. Returns an array (H, W, C) uint16, RGB(A),
    or None when the two do not agree, as for layouts that OpenCV does not know.
    """
    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    packed = np.frombuffer(data, np.uint8)
    # it prints a line for every private tag of a sound TIFF file
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        pages = (
            [cv2.imdecode(packed, flags)]
            if page == 0
            else cv2.imdecodemulti(packed, flags, range=(page, page + 1))[1]
        )
    finally:
        cv2.utils.logging.setLogLevel(level)
    decoded = pages[0] if pages else None
    if decoded is None or decoded.dtype != np.uint16:
        return None
    deep: Array = decoded[..., None] if decoded.ndim == 2 else decoded
    if deep.shape[2] >= 3:
        deep = deep[..., [2, 1, 0, 3][: deep.shape[2]]]
    deep = upright(deep, turn)
    shown = eight[..., None] if eight.ndim == 2 else eight
    colours = shown.shape[2] - 1 if shown.shape[2] in {2, 4} else shown.shape[2]
    if deep.shape[:2] != shown.shape[:2] or deep.shape[2] < colours:
        return None
    if not np.array_equal(np.right_shift(deep[..., :colours], 8), shown[..., :colours]):
        return None
    return np.ascontiguousarray(deep)


def upright(pixels: Array, turn: int) -> Array:
    """Apply an EXIF orientation (1..8) to an array (H, W, ...): the picture as it is meant to be seen."""
    quarters, mirrored = _TURNS.get(turn, (0, False))
    turned = np.rot90(pixels, quarters) if quarters else pixels
    return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)


def planes(pixels: Array, layout: Layout) -> tuple[Array, ...]:
    """Split an array as ``samples`` returns it into the planes of a Frame."""
    if not layout.alpha:
        return (np.ascontiguousarray(pixels),)
    colour = pixels[..., 0] if layout.kind == "grey" else pixels[..., :3]
    return np.ascontiguousarray(colour), np.ascontiguousarray(pixels[..., -1])


def joined(frame_planes: tuple[Array, ...]) -> Array:
    """Return the planes of a ``grey`` or ``rgb`` Frame as one array: the inverse of ``planes``."""
    return frame_planes[0] if len(frame_planes) == 1 else np.dstack(frame_planes)


def usable_profile(profile: object, kind: str) -> bytes | None:
    """Return an ICC profile without trailing bytes when it parses and describes ``grey`` or ``rgb`` samples."""
    if not isinstance(profile, bytes) or len(profile) < 132 or profile[36:40] != b"acsp":
        return None
    if profile[16:20] != {"grey": b"GRAY", "rgb": b"RGB "}[kind]:
        return None
    cut = profile[: int.from_bytes(profile[:4], "big")]
    try:
        ImageCms.ImageCmsProfile(io.BytesIO(cut))
    except (OSError, ValueError, ImageCms.PyCMSError):
        return None
    return cut


def _to_rgb(image: Image.Image, notes: list[str]) -> Image.Image:
    profile = image.info.get("icc_profile")
    standard = ImageCms.createProfile("sRGB")
    try:
        if image.mode == "LAB":
            given = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        elif profile:
            given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        else:
            notes.append("The CMYK colours were converted to RGB without a profile, as the file has none.")
            return image.convert("RGB")
        converted = ImageCms.profileToProfile(image, given, standard, outputMode="RGB")
    except (OSError, ValueError, ImageCms.PyCMSError):
        if image.mode == "LAB":
            raise
        notes.append("The CMYK colours were converted to RGB without their profile, which is broken.")
        return image.convert("RGB")
    assert converted is not None
    notes.append(f"The {image.mode} colours were converted to sRGB by their profile.")
    return converted
