"""What files tell besides their pixels: tags, thumbnails, further pictures, transparency and sizes."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from PIL import Image
from scipy import stats

from incog.media.contents import examine
from incog.media.magic import image_format

PICTURE_TAGS = frozenset(
    {
        254,
        255,
        256,
        257,
        258,
        259,
        262,
        266,
        273,
        274,
        277,
        278,
        279,
        282,
        283,
        284,
        292,
        293,
        296,
        301,
        317,
        318,
        319,
    }
    | {
        320,
        321,
        322,
        323,
        324,
        325,
        330,
        338,
        339,
        347,
        512,
        513,
        514,
        515,
        519,
        520,
        521,
        529,
        530,
        531,
        532,
        34675,
    }
)
"""TIFF tags that say how the picture is stored and what its samples mean (TIFF 6.0, and the colour profile)."""

TOLD = 0.5
"""Rank correlation of file sizes before and after from which they are said to match files."""


def around(paths: Mapping[str, Path], sizes: Mapping[str, int]) -> list[str]:
    """Return one sentence for each thing that anonymised files tell besides their pixels, with how many do.

    paths: the file of each original, by the original's name. sizes: bytes of each original. Raises InputError for a
    file that is cut off.
    """
    found: Counter[str] = Counter()
    for path in paths.values():
        data = path.read_bytes()
        contents = examine(data, image_format(data) or "")
        found.update(sentence.replace(" dropped.", " left in") for sentence in contents.dropped)
        if contents.exif is not None:
            with Image.open(io.BytesIO(data)) as image:
                exif = image.getexif()
                found["EXIF data were left in"] += 1
                found["A place (GPS) was left in"] += bool(exif.get_ifd(0x8825))
                found["A thumbnail (EXIF) was left in"] += bool(exif.get_ifd(1))
        with Image.open(io.BytesIO(data)) as image:
            clear = "A" in image.getbands() or "transparency" in image.info
            found["Transparency, which may hide pixels, was left in"] += clear
            found["Further pictures or frames were left in"] += getattr(image, "n_frames", 1) > 1
            tags = getattr(image, "tag_v2", {})
            found["Tags beside those of the picture were left in (TIFF)"] += bool(set(tags) - PICTURE_TAGS)
    total = len(paths)
    told = [f"{what}: {count} of {total} files." for what, count in sorted(found.items()) if count]
    known = [name for name in paths if name in sizes]
    if len(known) > 10:
        before, after = [sizes[name] for name in known], [paths[name].stat().st_size for name in known]
        likeness = float(stats.spearmanr(before, after).statistic)
        if likeness > TOLD:
            told.append(f"File sizes are in the order of the originals' (rank correlation {likeness:.2f}).")
    return told
