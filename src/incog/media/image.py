"""Photos and animations: opened by content, decoded upright, and built anew from their pixels when written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
from PIL import Image, ImageFile

from incog.errors import InputError, OutputError
from incog.media import decode, metadata, pages
from incog.media.animation import AnimationWriter, open_writer
from incog.media.base import NOT_USED, Kind, OutputOptions, Sink, Source
from incog.media.contents import Contents, examine
from incog.media.encode import encode, writing
from incog.media.magic import HEAD, image_format
from incog.media.traits import Traits, traits_of
from incog.types import Array, Frame, Layout

_SUFFIXES: Final = {
    "jpeg": ".jpg",
    "png": ".png",
    "webp": ".webp",
    "tiff": ".tiff",
    "bmp": ".bmp",
    "gif": ".gif",
    "avif": ".avif",
    "heif": ".heic",
}
_LOSSLESS: Final = {"png", "tiff", "bmp", "gif"}


def open_image(path: Path) -> Source:
    """Open the photo or animation in a file, whatever its name says; reads the structure, decodes nothing.

    A TIFF file with several pages is an ``animation`` of its pages, one second each, because every page has to be
    searched. Raises InputError: missing, unreadable, empty, truncated, corrupt, of a format that cannot be read, or
    larger than ``decode.PIXELS``.
    """
    return ImageSource(path)


class ImageSource:
    """A photo or an animation; see ``base.Source``. Frames are ``rgb`` or ``grey``, with alpha where there is some."""

    def __init__(self, path: Path) -> None:
        self.path = path
        data = decode.read(path)
        self._format = _format(data)
        contents = examine(data, self._format)
        image = decode.open_picture(contents.picture, self._format)
        with decode.parsing(self._format.upper()):
            block = _exif_block(image, self._format, contents)
            exif = _tiff_exif(image) if self._format == "tiff" else metadata.read_exif(block)
            # Pillow turns TIFF pictures and the HEIF library its own, by the container's properties
            self._turn = 1 if self._format in {"tiff", "heif"} else metadata.orientation(block)
            self._dropped = [*_about_exif(exif, contents), *contents.dropped]
            self._pages = pages.frames_of(image, self._format, contents, self._dropped)
            animated = len(self._pages) > 1 or contents.hidden_first
            width, height = pages.size_of(image, self._pages)
            if animated and self._format != "tiff":
                decode.check_size(width, height, limit=decode.ANIMATION_PIXELS)
            # a picture with transparency has no place in a BMP file that every program reads
            target = "png" if self._format == "bmp" and image.mode == "RGBA" else self._format
            if target != self._format:
                self._dropped.append("The picture is written as PNG, as BMP has no reliable transparency.")
            self.traits: Final[Traits] = traits_of(
                image, target, contents, exif, self._turn, len(self._pages), self._dropped
            )
            self._mode = _settled_mode(image, self._format, animated)
            self.rate = _rate(image, self.traits.delays) if animated else 0.0
        self.width, self.height = (height, width) if self._turn >= 5 else (width, height)
        self.kind: Kind = "animation" if animated else "photo"
        self.suffix = _SUFFIXES[target]
        self.frame_count: int | None = len(self._pages)
        self._notes: list[str] = []

    def frames(self) -> Iterator[Frame]:
        """Decode every frame, anew at each call. Raises InputError at one that cannot be decoded or differs in size."""
        data = decode.read(self.path)
        if _format(data) != self._format:
            raise InputError("the file changed while it was used")
        picture = examine(data, self._format).picture
        image = decode.open_picture(picture, self._format)
        time = Fraction(0)
        for index, page in enumerate(self._pages):
            with decode.parsing(self._format.upper()):
                pixels, layout = self._decode(image, picture, page)
            frame = Frame(decode.planes(pixels, layout), layout, index, time)
            if (frame.width, frame.height) != (self.width, self.height):
                raise InputError(
                    f"frame {index} is {frame.width} x {frame.height} pixels, the first {self.width} x {self.height}"
                )
            yield frame
            time += self._delay(image, index)

    def sink(self, path: Path, options: OutputOptions) -> Sink:
        """Return a sink for the same format. Raises OutputError when ``path`` cannot be written."""
        return ImageSink(self, path, options)

    def decisions(self, options: OutputOptions) -> list[str]:
        """Return what an output leaves out, keeps on request, and converts."""
        kept = self.traits.kept.names if options.keep_metadata and self.traits.format != "gif" else []
        notes = [f"Tags that were kept on request: {', '.join(kept)}."] if kept else []
        if options.quality is not None and (self.traits.lossless or self.traits.format in _LOSSLESS):
            notes.append(f"The picture is coded without loss: {NOT_USED}")
        return list(dict.fromkeys([*self._dropped, *self._notes, *notes]))

    def _decode(self, image: ImageFile.ImageFile, data: bytes, page: int) -> tuple[Array, Layout]:
        if page != image.tell():
            image.seek(page)
        # Pillow would take an orientation from XMP, which no viewer does
        image.info.pop("xmp", None)
        deep, inverted = pages.is_deep(image, data, self._format), pages.is_inverted(image)
        pixels, layout = decode.samples(image, self._notes, mode=self._mode)
        self._notes[:] = dict.fromkeys(self._notes)
        if deep and layout.depth == 8:
            pixels, layout = self._deepened(data, pixels, layout, page)
        if inverted and layout == Layout("grey", 16):
            pixels = np.invert(pixels.astype(np.uint16))
        return decode.upright(pixels, self._turn), layout

    def _deepened(self, data: bytes, pixels: Array, layout: Layout, page: int) -> tuple[Array, Layout]:
        full = None
        if self.kind == "photo" or self._format == "tiff":
            full = decode.sixteen_bit(data, pixels, page=page)
        if full is None:
            self._notes.append("The picture had 16 bits per sample and is written with 8.")
            return pixels, layout
        colour = full[..., 0] if layout.kind == "grey" else full[..., :3]
        if not layout.alpha:
            return colour, replace(layout, depth=16)
        alpha = full[..., 3] if full.shape[2] == 4 else pixels[..., -1].astype(np.uint16) * 257
        return np.dstack([colour, alpha]), replace(layout, depth=16)

    def _delay(self, image: ImageFile.ImageFile, index: int) -> Fraction:
        if self.kind == "photo":
            return Fraction(0)
        if self.traits.delays:
            return self.traits.delays[index]
        # an AVIF sequence tells the time of a frame only when it decodes it
        return _stated_delay(image)


class ImageSink:
    """Collects the frames of a photo or an animation and writes them; see ``base.Sink``."""

    def __init__(self, source: ImageSource, path: Path, options: OutputOptions) -> None:
        self.decisions: list[str] = []
        self._source = source
        self._path = path
        self._options = options
        traits = source.traits
        self._traits = traits if options.keep_metadata else replace(traits, kept=metadata.Kept())
        self._photo: Frame | None = None
        self._count = 0
        self._writer: AnimationWriter | None = None
        if source.kind == "animation" or traits.format == "gif":
            with writing(path, traits.format):
                self._writer = open_writer(path, self._traits, (source.width, source.height), options.quality)

    def write(self, frame: Frame) -> None:
        """Take a frame of the source's size. Raises OutputError when there is one too many or it cannot be written."""
        if (frame.width, frame.height) != (self._source.width, self._source.height):
            raise OutputError(
                f"a frame of {frame.width} x {frame.height} pixels cannot be written to a picture of "
                f"{self._source.width} x {self._source.height}"
            )
        if self._count == self._source.frame_count:
            raise OutputError(f"there are more frames than the {self._count} of the source")
        self._count += 1
        if self._writer is None:
            self._photo = frame
            return
        with writing(self._path, self._traits.format):
            self._writer.add(decode.joined(frame.planes), frame.layout, frame.time)

    def close(self) -> None:
        """Write the file. Raises OutputError when frames are missing or it cannot be written."""
        if self._count != self._source.frame_count:
            raise OutputError(f"only {self._count} of {self._source.frame_count} frames were written")
        with writing(self._path, self._traits.format):
            if self._writer is not None:
                self._writer.finish()
            elif self._photo is not None:
                pixels, layout = decode.joined(self._photo.planes), self._photo.layout
                self._path.write_bytes(encode(pixels, layout, self._traits, self._options.quality))
        self.decisions[:] = self._source.decisions(self._options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        elif self._writer is not None:
            self._writer.release()


def _format(data: bytes) -> str:
    name = image_format(data[:HEAD])
    if name is None:
        raise InputError("this is not a picture, whatever its name says")
    if name not in decode.FORMATS:
        raise InputError(
            f"this is a {name} file, which cannot be read", hint="convert it to PNG, TIFF or JPEG first"
        )
    return name


def _exif_block(image: ImageFile.ImageFile, kind: str, contents: Contents) -> bytes | None:
    if kind not in {"avif", "heif"}:
        return contents.exif
    # for AVIF, Pillow puts the turn that the container asks for into the block
    found = image.info.get("exif")
    return found if isinstance(found, bytes) else None


def _tiff_exif(image: ImageFile.ImageFile) -> Image.Exif:
    image.info.pop("xmp", None)
    return image.getexif()


def _about_exif(exif: Image.Exif, contents: Contents) -> list[str]:
    words = metadata.telling(exif)
    if words:
        return [f"EXIF data were dropped: {', '.join(words)}."]
    return ["EXIF data were dropped."] if contents.exif else []


def _settled_mode(image: ImageFile.ImageFile, kind: str, animated: bool) -> str | None:
    """Return the one mode of all frames of an animation; the frames of a file may come out in different ones."""
    if kind == "gif":
        return "RGBA"
    if not animated or kind == "tiff":
        return None
    if decode.has_alpha(image):
        return "RGBA"
    return "L" if image.mode in {"1", "L"} else "RGB"


def _rate(image: ImageFile.ImageFile, delays: tuple[Fraction, ...]) -> float:
    if delays:
        return len(delays) / float(sum(delays))
    image.load()
    return 1 / float(_stated_delay(image))


def _stated_delay(image: ImageFile.ImageFile) -> Fraction:
    return Fraction(int(image.info.get("duration") or 100), 1000)
