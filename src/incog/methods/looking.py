"""How the face of a crop looks, for methods whose new face follows it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from incog import alignment, points
from incog.perceive import attributes, embedder
from incog.perceive.attributes import OnnxAttributes
from incog.types import Crops, Floats


@lru_cache(maxsize=1)
def _network() -> OnnxAttributes:
    return attributes.make_attributes()


def look_of(crop: Crops) -> Floats:
    """Return the look, (9,) float32, of a batch of one: its track's where it is known, else by this crop.

    Raises ValueError where the crop's dense points are unknown as well.
    """
    if crop.looks is not None and np.isfinite(crop.looks[0]).all():
        known: Floats = crop.looks[0]
        return known
    if not np.isfinite(crop.dense[0]).all():
        raise ValueError("the look of a face can only be told where its points are known")
    picture = np.rint(np.clip(crop.pixels[0], 0, 1) * 255).astype(np.uint8)
    face = alignment.crop(picture, points.five(crop.dense[0]), embedder.TEMPLATE, embedder.SIZE)
    told: Floats = _network()(face[None])[0].look()
    return told
