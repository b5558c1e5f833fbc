"""What files tell besides their pixels: tags, thumbnails, further pictures, transparency, names and sizes."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from PIL import Image
from scipy import stats

from incog.media.contents import examine
from incog.media.magic import image_format

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
            found["Transparency, which may hide pixels, was left in"] += "A" in image.getbands()
    total = len(paths)
    told = [f"{what}: {count} of {total} files." for what, count in sorted(found.items()) if count]
    same = sum(Path(name).name == path.name or Path(name).stem == path.stem for name, path in paths.items())
    if same:
        told.append(f"Names are those of the originals: {same} of {total} files.")
    known = [name for name in paths if name in sizes]
    if len(known) > 10:
        before, after = [sizes[name] for name in known], [paths[name].stat().st_size for name in known]
        likeness = float(stats.spearmanr(before, after).statistic)
        if likeness > TOLD:
            told.append(f"File sizes are in the order of the originals' (rank correlation {likeness:.2f}).")
    return told
