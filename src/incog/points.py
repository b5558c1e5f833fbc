"""The 130 dense points of a face: which they are, in which groups, and how they mirror.

Right and left are the person's own: in an upright picture the right eye lies further left. Groups of the two sides run
in mirrored order, so that row n of one is the mirror image of row n of the other.
"""

from __future__ import annotations

import numpy as np

from incog.types import Floats

COUNT = 130

OUTLINE = slice(0, 36)
"""The face's outline, closed: from the middle of the hairline (0) by the person's left temple and ear to the chin (18)
and back by the right ear. Points 32..35 and 0..4 lie on the forehead."""

RIGHT_BROW = slice(36, 46)
"""Closed: the upper edge from the tail to the nose (5), then the lower edge back (5)."""

LEFT_BROW = slice(46, 56)
RIGHT_EYE = slice(56, 72)
"""Edge of the lids, closed: outer corner (0), lower lid (1..7), inner corner (8), upper lid back (9..15)."""

LEFT_EYE = slice(72, 88)
RIGHT_IRIS = slice(88, 93)
"""Centre, then the rim: towards the nose, top, away from the nose, bottom."""

LEFT_IRIS = slice(93, 98)
NOSE = slice(98, 110)
"""The bridge downwards from between the eyes to the tip (0..4), then along the base from the right wing (5) by the
septum (8) to the left wing (11)."""

OUTER_LIPS = slice(110, 122)
"""Closed: right corner (0), upper lip (1..5), left corner (6), lower lip back (7..11)."""

INNER_LIPS = slice(122, 130)
"""Closed: right corner (0), upper lip (1..3), left corner (4), lower lip back (5..7)."""

GROUPS: dict[str, slice] = {
    "outline": OUTLINE,
    "right_brow": RIGHT_BROW,
    "left_brow": LEFT_BROW,
    "right_eye": RIGHT_EYE,
    "left_eye": LEFT_EYE,
    "right_iris": RIGHT_IRIS,
    "left_iris": LEFT_IRIS,
    "nose": NOSE,
    "outer_lips": OUTER_LIPS,
    "inner_lips": INNER_LIPS,
}

MESH: tuple[int, ...] = (
    # outline
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
    # brows
    70, 63, 105, 66, 107, 55, 65, 52, 53, 46,
    300, 293, 334, 296, 336, 285, 295, 282, 283, 276,
    # eyes
    33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246,
    263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466,
    # irises
    468, 469, 470, 471, 472,
    473, 476, 475, 474, 477,
    # nose
    168, 6, 197, 5, 1, 129, 98, 97, 2, 326, 327, 358,
    # lips
    61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91,
    78, 81, 13, 311, 308, 402, 14, 178,
)  # fmt: skip
"""The row of each point in the 478 points of MediaPipe's face mesh with irises."""

FOREHEAD, CHIN, NOSE_TIP = 0, 18, 102
RIGHT_CORNER, LEFT_CORNER = 110, 116
"""The corners of the mouth."""

FIVE = (88, 93, NOSE_TIP, RIGHT_CORNER, LEFT_CORNER)
"""The points that a detector gives: right iris, left iris, tip of the nose, right and left corner of the mouth."""


def _mirror() -> tuple[int, ...]:
    rows = np.arange(COUNT)
    rows[OUTLINE] = (-np.arange(36)) % 36
    for right, left in ((RIGHT_BROW, LEFT_BROW), (RIGHT_EYE, LEFT_EYE), (RIGHT_IRIS, LEFT_IRIS)):
        rows[right], rows[left] = np.arange(COUNT)[left], np.arange(COUNT)[right]
    rows[103:110] = np.arange(109, 102, -1)
    rows[OUTER_LIPS] = 110 + (6 - np.arange(12)) % 12
    rows[INNER_LIPS] = 122 + (4 - np.arange(8)) % 8
    return tuple(rows.tolist())


MIRROR: tuple[int, ...] = _mirror()
"""Which point each becomes in a mirrored picture: ``mirrored = points[..., MIRROR, :]`` with x turned round."""


def five(points: Floats) -> Floats:
    """Return the five points of a detector, (..., 5, 2), of dense points (..., 130, 2)."""
    return points[..., FIVE, :]


def interocular(points: Floats) -> Floats:
    """Return the distance of the centres of the irises, (...), of dense points (..., 130, 2): the yardstick of errors.

    The outer corners of the eyes, which others measure by, lie 1.40 times as far apart.
    """
    return np.asarray(np.linalg.norm(points[..., 88, :] - points[..., 93, :], axis=-1), np.float32)


def scale(points: Floats) -> Floats:
    """Return a size of the face that hardly shrinks in profile, (...): the root mean square distance of all points from
    their mean, times 1.12, which is ``interocular`` of a frontal face."""
    middle = points.mean(axis=-2, keepdims=True)
    return np.asarray(1.12 * np.sqrt(np.square(points - middle).sum(-1).mean(-1)), np.float32)
