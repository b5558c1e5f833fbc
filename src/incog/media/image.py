"""Photos and animations: opened by content, decoded upright, and built anew from their pixels when written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

from incog.errors import InputError, OutputError
from incog.media import decode, metadata
from incog.media.animation import AnimationWriter, open_writer
from incog.media.base import Kind, OutputOptions, Sink, Source
from incog.media.contents import Contents, examine
from incog.media.encode import encode
from incog.media.files import output_error
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
            exif = _exif(image, self._format, contents)
            self._turn = 1 if self._format in {"tiff", "heif"} else metadata.orientation(exif)
            self._dropped = [*_about_exif(exif, contents), *contents.dropped]
            self._pages = _pages(image, self._format, contents, self._dropped)
            width, height = _page_size(image, self._pages)
            # a picture with transparency has no place in a BMP file that every program reads
            target = "png" if self._format == "bmp" and image.mode == "RGBA" else self._format
            if target != self._format:
                self._dropped.append("The picture is written as PNG, as BMP has no reliable transparency.")
            self.traits: Final[Traits] = traits_of(
                image, target, contents, exif, self._turn, len(self._pages), self._dropped
            )
            animated = len(self._pages) > 1 or contents.hidden_first
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
        return list(dict.fromkeys([*self._dropped, *self._notes, *notes]))

    def _decode(self, image: ImageFile.ImageFile, data: bytes, page: int) -> tuple[Array, Layout]:
        if page != image.tell():
            image.seek(page)
        # Pillow would take an orientation from XMP, which no viewer does
        image.info.pop("xmp", None)
        deep, inverted = _is_deep(image, data, self._format), _is_inverted(image)
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
            try:
                self._writer = open_writer(path, self._traits, (source.width, source.height), options.quality)
            except OSError as error:
                raise output_error(path, error) from error

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
        try:
            self._writer.add(decode.joined(frame.planes), frame.layout, frame.time)
        except OSError as error:
            raise output_error(self._path, error) from error

    def close(self) -> None:
        """Write the file. Raises OutputError when frames are missing or it cannot be written."""
        if self._count != self._source.frame_count:
            raise OutputError(f"only {self._count} of {self._source.frame_count} frames were written")
        try:
            if self._writer is not None:
                self._writer.finish()
            elif self._photo is not None:
                pixels, layout = decode.joined(self._photo.planes), self._photo.layout
                self._path.write_bytes(encode(pixels, layout, self._traits, self._options.quality))
        except OSError as error:
            raise output_error(self._path, error) from error
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


def _exif(image: ImageFile.ImageFile, kind: str, contents: Contents) -> Image.Exif:
    if kind == "tiff":
        image.info.pop("xmp", None)
        return image.getexif()
    if kind in {"avif", "heif"}:
        found = image.info.get("exif")
        return metadata.read_exif(found if isinstance(found, bytes) else None)
    return metadata.read_exif(contents.exif)


def _about_exif(exif: Image.Exif, contents: Contents) -> list[str]:
    words = metadata.telling(exif)
    if words:
        return [f"EXIF data were dropped: {', '.join(words)}."]
    return ["EXIF data were dropped."] if contents.exif else []


def _pages(image: ImageFile.ImageFile, kind: str, contents: Contents, dropped: list[str]) -> tuple[int, ...]:
    """Return the numbers, as Pillow seeks them, of the pictures that are frames; the others are noted as dropped."""
    count = int(getattr(image, "n_frames", 1))
    if kind == "heif":
        info = image.info
        if count > 1:
            dropped.append(
                f"The further {count - 1} pictures of the file were dropped: only the main one is kept."
            )
        if info.get("thumbnails"):
            dropped.append("A thumbnail was dropped.")
        if info.get("depth_images"):
            dropped.append("A depth map was dropped.")
        if info.get("aux"):
            dropped.append("Auxiliary pictures (gain map, mattes) were dropped.")
        return (image.tell(),)
    if kind in {"jpeg", "bmp"}:
        return (0,)
    if kind == "tiff":
        return _tiff_pages(image, count, dropped)
    first = 1 if contents.hidden_first else 0
    if contents.delays and count - first != len(contents.delays):
        raise InputError(f"the file has {len(contents.delays)} frames, of which {count - first} can be read")
    return tuple(range(first, count))


def _tiff_pages(image: ImageFile.ImageFile, count: int, dropped: list[str]) -> tuple[int, ...]:
    pages = []
    for page in range(count):
        image.seek(page)
        tags = _tags(image)
        if page == 0 and (50706 in tags or 50827 in tags or int(tags.get(254, 0)) & 1):
            raise InputError(
                "this is a camera raw file, which cannot be read", hint="convert it to TIFF or JPEG first"
            )
        if 330 in tags:
            dropped.append("Reduced copies inside the file were dropped.")
        if {34377, 33723, 37724, 50255} & set(tags):
            dropped.append("IPTC or Photoshop data were dropped.")
        if 700 in tags:
            dropped.append("XMP data were dropped.")
        if int(tags.get(254, 0)) & 5:
            dropped.append("A reduced copy or mask page was dropped.")
        else:
            pages.append(page)
    image.seek(0)
    dropped[:] = dict.fromkeys(dropped)
    return tuple(pages)


def _page_size(image: ImageFile.ImageFile, pages: tuple[int, ...]) -> tuple[int, int]:
    for page in pages if isinstance(image, TiffImagePlugin.TiffImageFile) else ():
        image.seek(page)
        decode.check_size(*image.size)
        if page == pages[0]:
            size = image.size
        elif image.size != size:
            raise InputError(
                "the pages of this TIFF file differ in size", hint="split it into one file for each page"
            )
    if len(pages) > 1 and isinstance(image, TiffImagePlugin.TiffImageFile):
        image.seek(pages[0])
    return image.size


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


def _tags(image: ImageFile.ImageFile) -> Any:
    assert isinstance(image, TiffImagePlugin.TiffImageFile)
    return image.tag_v2


def _is_deep(image: ImageFile.ImageFile, data: bytes, kind: str) -> bool:
    if kind == "png":
        return data[24] == 16
    if kind == "tiff":
        depths, form = _tags(image).get(258, (1,)), _tags(image).get(339, (1,))
        if max(depths) > 16 or set(form) - {1, 4}:
            raise InputError("only TIFF files with whole numbers of 8 or 16 bits per sample can be read")
        return bool(max(depths) == 16)
    return False


def _is_inverted(image: ImageFile.ImageFile) -> bool:
    # Pillow turns white-is-zero round for 8 bits and leaves it as it is for 16
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    photometric: object = _tags(image).get(262)
    return photometric == 0
