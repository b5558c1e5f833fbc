"""Faces between people: blends of two aligned faces, labelled by a teacher. Cheap variety for distillation."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnxruntime

from incog.errors import InputError
from incog.train.faces import Faces
from incog.train.seeds import Integers, uniform
from incog.types import Bytes, Floats

_CHUNK = 64


class Teacher:
    """A recogniser that labels faces: an ONNX file that takes (B, 3, 112, 112) RGB, (x / 255 - 0.5) / 0.5."""

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        """Raises InputError when the file cannot be loaded. threads: of ONNX Runtime, 0 for one per core."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise InputError(f"the teacher {path} cannot be loaded: {error}") from error
        self._path, self._name = path, self._session.get_inputs()[0].name

    def __call__(self, pixels: Bytes) -> Floats:
        """Return the embeddings of the middle 112 px of faces, (N, D) float32 of unit norm.

        pixels: (N, S, S, 3) uint8. Raises InputError when the network takes or gives something else.
        """
        edge = (pixels.shape[1] - 112) // 2
        parts = []
        for start in range(0, len(pixels), _CHUNK):
            crop = pixels[start : start + _CHUNK, edge : edge + 112, edge : edge + 112]
            values = crop.astype(np.float32).transpose(0, 3, 1, 2) / 127.5 - 1
            try:
                found = np.asarray(self._session.run(None, {self._name: np.ascontiguousarray(values)})[0])
            except Exception as error:
                raise InputError(f"the teacher {self._path} cannot embed faces: {error}") from error
            if found.ndim != 2 or len(found) != len(crop):
                raise InputError(f"the teacher {self._path} must give (B, D), got {found.shape}")
            parts.append(found / np.linalg.norm(found, axis=1, keepdims=True))
        return np.concatenate(parts).astype(np.float32) if parts else np.zeros((0, 0), np.float32)


def embed(teacher: Path, pixels: Bytes) -> Floats:
    """Return what a teacher says of faces, see ``Teacher``."""
    return Teacher(teacher)(pixels)


def mixed(
    faces: Faces, rows: Integers, count: int, seed: int, teacher: Path | None, cache: Path | None
) -> tuple[Bytes, Floats]:
    """Return ``count`` faces between two of ``rows``, (count, S, S, 3) uint8, and the teacher's embeddings of them.

    A row that is named twice is taken twice as often. Half are cross-fades of the whole face, half take the upper part
    of one and the lower of the other. cache: folder that keeps them, memory-mapped, for a resumed run.
    """
    size = faces.pixels.shape[1]
    width = faces.embeddings.shape[1] if faces.embeddings is not None else 512
    if count == 0:
        return np.zeros((0, size, size, 3), np.uint8), np.zeros((0, width), np.float32)
    if teacher is None:
        raise InputError(
            "mixes need the teacher itself", hint="give it: --data teacher=FILE.onnx, or set mixes = 0"
        )
    mark = hashlib.sha256(rows.tobytes()).hexdigest()[:12]
    stem = cache / f"mixes-{count}-{seed}-{mark}" if cache is not None else None
    pixels_file = stem.with_suffix(".npy") if stem is not None else None
    vectors_file = stem.with_suffix(f".{teacher.stem}.npy") if stem is not None else None
    if pixels_file is not None and vectors_file is not None and vectors_file.exists():
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
