"""Which of the pictures in a file are its frames, and which are copies, masks and previews that go."""

from __future__ import annotations

from typing import Any

from PIL import ImageFile, TiffImagePlugin

from incog.errors import InputError
from incog.media import decode
from incog.media.base import ONE_KEPT
from incog.media.contents import Contents


def frames_of(
    image: ImageFile.ImageFile, kind: str, contents: Contents, dropped: list[str]
) -> tuple[int, ...]:
    """Return the numbers, as Pillow seeks them, of the pictures that are frames; the others are noted as dropped."""
    count = int(getattr(image, "n_frames", 1))
    if kind == "heif":
        info = image.info
        if count > 1:
            dropped.append(f"The further {count - 1} pictures of the file were dropped: {ONE_KEPT}")
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


def size_of(image: ImageFile.ImageFile, pages: tuple[int, ...]) -> tuple[int, int]:
    """Return the width and height that all frames have. Raises InputError when they differ or are too large."""
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


def is_deep(image: ImageFile.ImageFile, data: bytes, kind: str) -> bool:
    """Return whether the file has 16 bits per sample. Raises InputError for TIFF samples that are no such numbers."""
    if kind == "png":
        return data[24] == 16
    if kind == "tiff":
        depths, form = _tags(image).get(258, (1,)), _tags(image).get(339, (1,))
        if max(depths) > 16 or set(form) - {1, 4}:
            raise InputError("only TIFF files with whole numbers of 8 or 16 bits per sample can be read")
        return bool(max(depths) == 16)
    return False


def is_inverted(image: ImageFile.ImageFile) -> bool:
    """Return whether zero means white in a TIFF file."""
    # Pillow turns white-is-zero round for 8 bits and leaves it as it is for 16
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    photometric: object = _tags(image).get(262)
    return photometric == 0


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


def _tags(image: ImageFile.ImageFile) -> Any:
    assert isinstance(image, TiffImagePlugin.TiffImageFile)
    return image.tag_v2
