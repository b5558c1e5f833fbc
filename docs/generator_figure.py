"""The figure of the page on the generator, images/generator.jpg, of two people in the public domain.

``python docs/generator_figure.py`` draws it again: each face, what the generator is shown of it, and what its family of
methods makes of it.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from matplotlib import cbook
from PIL import Image
from skimage import data

from incog import compose, geometry
from incog.keys import Secret, track_key
from incog.methods import generated, make
from incog.pipeline import Perception
from incog.types import Bytes, Crops, Floats, Frame, Layout

SIDE = 160
"""Of a cell, px."""

SHOWN = (
    ("replace", {}, 1),
    ("replace", {}, 2),
    ("replace", {}, 3),
    ("replace", {"age": "75"}, 2),
    ("replace", {"gender": "male"}, 2),
    ("donor", {"donor": "7"}, 1),
    ("blend", {"cosine": "0"}, 1),
    ("blend", {"cosine": "0.9"}, 1),
)
"""Method, parameters and seed of each cell."""

PLACE = Path(__file__).resolve().parent / "images" / "generator.jpg"


def given(crops: Crops) -> Floats:
    """Return what the generator is shown of a face, (128, 128, 3): surroundings, and lines in the hole."""
    planes: list[Floats] = []
    shipped = generated.shipped()

    class Watching:
        prior, pose = shipped.prior, staticmethod(shipped.pose)

        def __call__(self, shown: Floats, code: Floats, look: Floats) -> Floats:
            planes.append(shown)
            return shipped(shown, code, look)

    kept, generated.shipped = generated.shipped, Watching  # type: ignore[assignment]
    try:
        make("replace", {})(crops, [track_key(Secret.from_seed(1), bytes(16), 1)])
    finally:
        generated.shipped = kept
    surroundings, known, lines = planes[0][:3], planes[0][3], planes[0][5:]
    shown = np.where(known[None] > 0, surroundings * 0.5 + 0.5, 0.35 + 0.65 * lines)
    return np.asarray(shown.transpose(1, 2, 0), np.float32)


def row_of(picture: Bytes, perception: Perception) -> Bytes:
    """Return the cells of the largest face of a picture (H, W, 3) uint8, side by side."""
    frame = Frame((np.ascontiguousarray(picture),), Layout("rgb"))
    face = max(perception.searcher.frame(frame), key=lambda found: found.size)
    crops = compose.crop_of(frame, face, mask_scale=geometry.MASK_SCALE, hulls=perception.hulls)
    cells = [crops.pixels[0], given(crops)]
    for name, settings, seed in SHOWN:
        key = track_key(Secret.from_seed(seed), bytes(16), 1)
        cells.append(make(name, settings)(crops, [key]).pixels[0])
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
