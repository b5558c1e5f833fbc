"""Faces between people: blends of two aligned faces, labelled by a teacher. Cheap variety for distillation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from incog.errors import InputError
from incog.train.faces import Faces
from incog.train.seeds import Integers, uniform
from incog.types import Bytes, Floats

_CHUNK = 64


def embed(teacher: Path, pixels: Bytes) -> Floats:
    """Return a recogniser's embeddings of the middle 112 px of faces, (N, D) float32 of unit norm.

    teacher: an ONNX file that takes (B, 3, 112, 112) RGB, (x / 255 - 0.5) / 0.5. pixels: (N, S, S, 3) uint8.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(str(teacher), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InputError(f"the teacher {teacher} cannot be loaded: {error}") from error
    name = session.get_inputs()[0].name
    edge = (pixels.shape[1] - 112) // 2
    parts = []
    for start in range(0, len(pixels), _CHUNK):
        crop = pixels[start : start + _CHUNK, edge : edge + 112, edge : edge + 112]
        values = crop.astype(np.float32).transpose(0, 3, 1, 2) / 127.5 - 1
        found = session.run(None, {name: np.ascontiguousarray(values)})[0]
        parts.append(found / np.linalg.norm(found, axis=1, keepdims=True))
    return np.concatenate(parts).astype(np.float32) if parts else np.zeros((0, 0), np.float32)


def mixed(
    faces: Faces, rows: Integers, count: int, seed: int, teacher: Path | None, cache: Path | None
) -> tuple[Bytes, Floats]:
    """Return ``count`` faces between two of ``rows``, (count, S, S, 3) uint8, and the teacher's embeddings of them.

    Half are cross-fades of the whole face, half take the upper part of one and the lower of the other. cache: folder
    that keeps them, memory-mapped, for a resumed run.
    """
    size = faces.pixels.shape[1]
    width = faces.embeddings.shape[1] if faces.embeddings is not None else 512
    if count == 0:
        return np.zeros((0, size, size, 3), np.uint8), np.zeros((0, width), np.float32)
    if teacher is None:
        raise InputError(
            "mixes need the teacher itself", hint="give it: --data teacher=FILE.onnx, or set mixes = 0"
        )
    pixels_file, vectors_file = (
        (cache / f"mixes-{count}-{seed}.npy", cache / f"mixes-{count}-{seed}-{teacher.stem}.npy")
        if cache is not None
        else (None, None)
    )
    if vectors_file is not None and vectors_file.exists() and pixels_file is not None:
        return np.load(pixels_file, mmap_mode="r"), np.load(vectors_file)
    shape = (count, size, size, 3)
    pixels = (
        np.empty(shape, np.uint8)
        if pixels_file is None
        else np.lib.format.open_memmap(pixels_file, mode="w+", dtype=np.uint8, shape=shape)
    )
    items = np.arange(count, dtype=np.int64)
    draws = uniform(seed, items, np.full(count, -1, np.int64), 4)
    first, second = (rows[(draws[:, column] * len(rows)).astype(np.int64)] for column in (0, 1))
    ramp = np.linspace(0, 1, size, dtype=np.float32)
    for start in range(0, count, _CHUNK):
        part = slice(start, min(start + _CHUNK, count))
        a, b = (faces.pixels[these[part]].astype(np.float32) for these in (first, second))
        share = np.broadcast_to(0.3 + 0.4 * draws[part, 2, None], (len(a), size))
        # The cut runs between eyes and mouth, soft over a tenth of the crop.
        cut = 0.48 + 0.16 * draws[part, 2, None]
        halves = np.clip((ramp[None] - cut) * 10 + 0.5, 0, 1)
        weight = np.where(draws[part, 3, None] < 0.5, share, halves)[:, :, None, None]
        pixels[part] = np.rint(a * (1 - weight) + b * weight).astype(np.uint8)
    vectors = embed(teacher, pixels)
    if vectors_file is not None:
        np.save(vectors_file, vectors)
    return pixels, vectors
