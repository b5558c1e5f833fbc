"""Face-free pictures out of nothing: soft noise, stripes, checks, boxes, text and skin-coloured limbs."""

from __future__ import annotations

import cv2
import numpy as np

from incog.types import Bytes, Floats

_LETTERS = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,:-&?!()%@"))


def colour(rng: np.random.Generator) -> list[float]:
    """Return a colour, three values in 0..255, as often dull as vivid."""
    value = rng.uniform(0, 255)
    return [float(v) for v in np.clip(value + rng.uniform(-1, 1, 3) * rng.choice([10, 40, 120]), 0, 255)]


def skin(rng: np.random.Generator) -> Floats:
    """Return the colour of some skin in some light, (3,) float32 RGB in 0..255."""
    light = rng.uniform(50, 245)
    return np.clip(light * np.array([1, rng.uniform(0.6, 0.88), rng.uniform(0.45, 0.8)]), 0, 255).astype(
        np.float32
    )


def noise(rng: np.random.Generator, side: int) -> Floats:
    """Return soft coloured noise of several octaves, (side, side, 3) float32 in about 0..255."""
    canvas = np.zeros((side, side, 3), np.float32)
    weight = 0.0
    for octave in (2, 5, 13, 37, 97):
        grid = rng.uniform(0, 1, (octave, octave, 3)).astype(np.float32)
        if rng.uniform() < 0.5:
            grid[...] = grid[..., :1]
        share = float(rng.uniform(0.1, 1)) / octave**0.4
        canvas += cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC) * share
        weight += share
    return canvas * (255 / weight)


def texture(rng: np.random.Generator, side: int = 384) -> Bytes:
    """Return a picture (side, side, 3) uint8: one to three layers of what this module can draw."""
    canvas = noise(rng, side) if rng.uniform() < 0.7 else np.full((side, side, 3), colour(rng), np.float32)
    canvas = np.ascontiguousarray(canvas, np.float32)
    if rng.uniform() < 0.5:
        _leaves(rng, canvas)
    if rng.uniform() < 0.3:
        _gratings(rng, canvas)
    if rng.uniform() < 0.6:
        _shapes(rng, canvas)
    if rng.uniform() < 0.35:
        _text(rng, canvas)
    if rng.uniform() < 0.3:
        limbs(rng, canvas)
    if rng.uniform() < 0.3:
        canvas = np.asarray(cv2.GaussianBlur(canvas, (0, 0), float(rng.uniform(0.5, 4))), np.float32)
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _gratings(rng: np.random.Generator, canvas: Floats) -> None:
    side = canvas.shape[0]
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), float(np.exp(rng.uniform(np.log(4), np.log(90))))
    wave = np.sin((np.cos(angle) * columns + np.sin(angle) * rows) * 2 * np.pi / period)
    if rng.uniform() < 0.4:
        wave = wave * np.sin((np.cos(angle) * rows - np.sin(angle) * columns) * 2 * np.pi / period)
    if rng.uniform() < 0.5:
        wave = np.sign(wave)
    canvas += wave[..., None] * (np.array(colour(rng), np.float32) - 128) * rng.uniform(0.2, 1)


def _leaves(rng: np.random.Generator, canvas: Floats) -> None:
    """Cover the canvas with shaded blobs and bars of all sizes, as things in photos cover one another."""
    side = canvas.shape[0]
    dim = rng.uniform(0.2, 1)
    rows, columns = np.mgrid[:side, :side].astype(np.float32) / side
    for _ in range(int(rng.integers(15, 90))):
        size = float(np.exp(rng.uniform(np.log(side / 40), np.log(side * 0.9))))
        count = int(rng.choice([4, 5, 9, 16]))
        angles = (
            np.sort(rng.uniform(0, 2 * np.pi, count)) if count < 9 else np.arange(count) * 2 * np.pi / count
        )
        stretch = np.exp(rng.normal(0, 0.5, 2))
        outline = np.stack([np.cos(angles) * stretch[0], np.sin(angles) * stretch[1]], 1)
        outline *= size / 2 * rng.uniform(0.75, 1.1, (count, 1))
        mask = np.zeros((side, side), np.uint8)
        there = rng.uniform(0, side, 2) + outline
        cv2.fillPoly(mask, [np.round(there * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        if rng.uniform() < 0.3:
            mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(1, 6))), np.uint8)
        tone = skin(rng) if rng.uniform() < 0.15 else np.array(colour(rng), np.float32) * dim
        shade = 1 + rng.normal(0, 0.5) * (columns - 0.5) + rng.normal(0, 0.5) * (rows - 0.5)
        if rng.uniform() < 0.3:
            shade = shade * (1 + rng.normal(0, 0.15, (side, side)).astype(np.float32))
        canvas += (tone * shade[..., None] - canvas) * (mask[..., None] * np.float32(1 / 255))


def _shapes(rng: np.random.Generator, canvas: Floats) -> None:
    side = canvas.shape[0]
    for _ in range(int(rng.integers(2, 30))):
        at = rng.integers(0, side, 2)
        size = int(np.exp(rng.uniform(np.log(4), np.log(side / 2))))
        kind = rng.integers(4)
        thickness = -1 if rng.uniform() < 0.6 else int(rng.integers(1, 8))
        if kind == 0:
            far = at + rng.integers(2, size + 3, 2)
            cv2.rectangle(canvas, at.tolist(), far.tolist(), colour(rng), thickness, cv2.LINE_AA)
        elif kind == 1:
            axes = rng.integers(2, size + 3, 2).tolist()
            cv2.ellipse(
                canvas,
                at.tolist(),
                axes,
                float(rng.uniform(0, 180)),
                0,
                360,
                colour(rng),
                thickness,
                cv2.LINE_AA,
            )
        elif kind == 2:
            far = at + rng.integers(-size, size + 1, 2)
            cv2.line(canvas, at.tolist(), far.tolist(), colour(rng), int(rng.integers(1, 12)), cv2.LINE_AA)
        else:
            corners = at + rng.integers(-size, size + 1, (int(rng.integers(3, 7)), 2))
            cv2.fillPoly(canvas, [corners.astype(np.int32)], colour(rng), cv2.LINE_AA)


def _text(rng: np.random.Generator, canvas: Floats) -> None:
    side = canvas.shape[0]
    scale, pen = float(rng.uniform(0.3, 2)), int(rng.integers(1, 4))
    ink, font = colour(rng), int(rng.integers(0, 8))
    y = float(rng.uniform(10, 60))
    for _ in range(int(rng.integers(1, 14))):
        words = "".join(rng.choice(_LETTERS, int(rng.integers(4, 30))))
        cv2.putText(canvas, words, (int(rng.integers(-40, 60)), int(y)), font, scale, ink, pen, cv2.LINE_AA)
        y += 32 * scale + 4
        if y > side + 20:
            break


def limbs(rng: np.random.Generator, canvas: Floats, *, count: int = 0) -> None:
    """Draw arms, hands and other round things in the colour of skin onto a canvas (H, W, 3) float32."""
    height, width = canvas.shape[:2]
    for _ in range(count or int(rng.integers(1, 5))):
        tone = skin(rng)
        thick = float(np.exp(rng.uniform(np.log(3), np.log(60))))
        at = rng.uniform(0, 1, 2) * (width, height)
        layer = canvas.copy()
        if rng.uniform() < 0.6:
            for _ in range(int(rng.integers(1, 4))):
                to = at + rng.normal(0, 2.5, 2) * thick
                cv2.line(
                    layer,
                    at.astype(int).tolist(),
                    to.astype(int).tolist(),
                    tone.tolist(),
                    round(thick) + 1,
                    cv2.LINE_AA,
                )
                at = to
        else:
            axes = [round(thick * rng.uniform(0.6, 1.1)) + 1, round(thick * rng.uniform(0.6, 1.6)) + 1]
            cv2.ellipse(
                layer,
                at.astype(int).tolist(),
                axes,
                float(rng.uniform(0, 180)),
                0,
                360,
                tone.tolist(),
                -1,
                cv2.LINE_AA,
            )
        # Light from one side, so that the thing looks round.
        ramp = np.linspace(rng.uniform(0.6, 1), rng.uniform(0.8, 1.25), width, dtype=np.float32)[
            None, :, None
        ]
        changed = (layer != canvas).any(2)
        canvas[changed] = (layer * ramp)[changed]
