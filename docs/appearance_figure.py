"""The figure of the page on the appearance model, images/appearance.jpg, of two people in the public domain.

``python docs/appearance_figure.py`` draws it again: each face as it is, as the model draws it with 25 and with all of
its modes, and as three other people.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from matplotlib import cbook
from PIL import Image
from skimage import data

from incog import compose, geometry
from incog.appearance import model, painting, reading, texture
from incog.keys import Secret, track_key
from incog.methods import make
from incog.pipeline import Perception
from incog.types import Bytes, Floats, Frame, Layout

SIDE = 200
"""Of a cell, px."""

PEOPLE = (1, 2, 3)
"""Seeds of the other people."""

PLACE = Path(__file__).resolve().parent / "images" / "appearance.jpg"


def row_of(picture: Bytes, perception: Perception) -> Bytes:
    """Return the cells of the largest face of a picture (H, W, 3) uint8, side by side."""
    frame = Frame((np.ascontiguousarray(picture),), Layout("rgb"))
    face = max(perception.searcher.frame(frame), key=lambda found: found.size)
    crops = compose.crop_of(frame, face, mask_scale=geometry.MASK_SCALE, hulls=perception.hulls)
    own = model.load()
    pixels, mask = crops.pixels[0], crops.masks[0]
    seen = reading.read(own, pixels, crops.dense[0])
    assert seen is not None
    codes = own.texture_of(texture.encode(seen.face, seen.light, own.grid))
    cells = [pixels]
    for count in (25, len(codes)):
        same = painting.Face(seen.dense, own.vector_of(codes[:count]), seen.light)
        cells.append(painting.paint(own, same, pixels, mask, seen.matrix, zoom=seen.zoom))
    for seed in PEOPLE:
        key = track_key(Secret.from_seed(seed), bytes(16), 1)
        cells.append(make("appearance-replace", {})(crops, [key]).pixels[0])
    return np.concatenate([_cell(cell) for cell in cells], 1)


def _cell(pixels: Floats) -> Bytes:
    whole = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.resize(whole, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def main() -> None:
    """Draw the figure."""
    perception = Perception()
    admiral = np.asarray(
        Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB")
    )
    rows = [row_of(picture, perception) for picture in (data.astronaut(), admiral)]
    Image.fromarray(np.concatenate(rows)).save(PLACE, quality=88)


if __name__ == "__main__":
    main()
