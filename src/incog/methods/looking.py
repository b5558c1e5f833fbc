"""How the face of a crop looks, for methods whose new face follows it, exactly or as far as its kind."""

from __future__ import annotations

from bisect import bisect
from functools import lru_cache

import numpy as np

from incog import alignment, points
from incog.perceive import attributes, embedder
from incog.perceive.attributes import OnnxAttributes
from incog.types import Crops, Floats

AGE, GENDER, ETHNICITY = 0, 1, slice(2, 7)
"""Where a look has them: see ``incog.perceive.attributes.LOOK``."""

AGES = (4, 13, 25, 45, 65)
"""Years at which another band of age begins."""

_MIDDLES = (2, 8, 19, 35, 55, 75)


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


def coarse(look: Floats) -> Floats:
    """Return the look, (9,) float32, that all of a kind have: the middle of a band of age, the likelier gender and the
    likeliest ethnicity for certain. The mood, which is no part of who somebody is, stays.

    Exact ages and probabilities tell people apart: of 227 faces drawn with one key, a recogniser told 15 % with them
    and 11 % without.
    """
    found = look.copy()
    found[AGE] = _MIDDLES[bisect(AGES, 100 * float(look[AGE]))] / 100
    found[GENDER] = look[GENDER] > 0.5
    found[ETHNICITY] = np.arange(5) == look[ETHNICITY].argmax()
    return found
