"""Drawn faces, for tests of what is made from portraits."""

from __future__ import annotations

import numpy as np

from incog import points, shape
from incog.data.faces import template
from incog.train.portraits import SIZE, Portraits
from incog.types import Floats

FACES, WIDE = 48, 512


def dense_face() -> Floats:
    """Return the mean face at the template, (130, 2) px."""
    dense = shape.pixels(shape.load().mean, SIZE)
    return np.asarray(dense + (template("outline", SIZE) - points.five(dense)).mean(0), np.float32)


def faces(count: int = FACES) -> Portraits:
    """Return drawn faces of many tones on other ones, two pictures of each person; the lower quarter of the last half
    of them lies beyond the picture."""
    random, dense = np.random.default_rng(0), dense_face()
    row, column = np.mgrid[:SIZE, :SIZE]
    oval = np.hypot((column - 63.5) / 34, (row - 66) / 44) < 1
    pixels = np.empty((count, SIZE, SIZE, 3), np.uint8)
    for number, picture in enumerate(pixels):
        picture[:] = random.uniform(0, 255, 3)
        picture[oval] = np.random.default_rng(number // 2).uniform(80, 230, 3)
        for x, y in points.five(dense)[:2]:
            picture[np.hypot(column - x, row - y) < 5] = 20
    corners = np.tile(np.array([[0, 0], [127, 0], [127, 127], [0, 127]], np.float32), (count, 1, 1))
    corners[count // 2 :, 2:, 1] = 95
    looks = np.zeros((count, 9), np.float32)
    looks[:, 0], looks[:, 1], looks[:, 7] = 0.3, np.arange(count) % 4 < 2, 0.8
    looks[np.arange(count), 2 + np.arange(count) // 2 % 2] = 1
    embeddings = np.repeat(random.normal(size=(count // 2, WIDE)), 2, axis=0)
    embeddings = embeddings + 0.3 * random.normal(size=embeddings.shape)
    return Portraits(
        pixels, corners, np.tile(dense, (count, 1, 1)), np.zeros((count, 3), np.float32),
        np.asarray(embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True), np.float32), looks,
        [f"{n}.png" for n in range(count)], ["drawn"] * count, [f"p{n // 2}" for n in range(count)],
    )  # fmt: skip
