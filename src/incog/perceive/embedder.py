"""Identity embeddings: an aligned face becomes a unit vector, and two pictures of one person similar ones.

Embeddings are biometric data. They live in memory only: nothing here, or above, writes one to a file, a log or a plan.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from incog import alignment, models
from incog.runtime import session
from incog.types import Bytes, Face, Floats

SIZE = 112
"""Side of an aligned crop in pixels."""

TEMPLATE: Floats = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)],
    np.float32,
)
"""Where the five points of a face lie in an aligned crop (Deng, Guo, Xue, Zafeiriou: ArcFace, 2019)."""

NAME = "embedder"
"""The network's record."""

_BATCH = 32


class Embedder(Protocol):
    """Turns aligned faces into identity embeddings."""

    name: str

    def __call__(self, crops: Bytes) -> Floats:
        """Return (B, D) float32 rows of unit norm for crops (B, 112, 112, 3) uint8 R'G'B', as ``align`` gives them."""


class OnnxEmbedder:
    """An embedding network run by ONNX Runtime: (B, 3, 112, 112) float32, (x / 255 - 0.5) / 0.5, R'G'B', to (B, D)."""

    def __init__(self, data: bytes, *, name: str = NAME, device: str = "cpu", threads: int = 0) -> None:
        """data: the ONNX file. device: ``cpu`` or ``cuda``. threads: of ONNX Runtime, 0 for one per core."""
        self.name = name
        self._session = session(data, device=device, threads=threads)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, crops: Bytes) -> Floats:
        if crops.ndim != 4 or crops.shape[1:] != (SIZE, SIZE, 3) or crops.dtype != np.uint8:
            raise ValueError(
                f"crops must be (B, {SIZE}, {SIZE}, 3) uint8, got {crops.shape} {crops.dtype.name}"
            )
        # An empty batch is run as one crop, for the number of columns.
        rows = crops if len(crops) else np.zeros((1, SIZE, SIZE, 3), np.uint8)
        parts = [self._run(rows[start : start + _BATCH]) for start in range(0, len(rows), _BATCH)]
        return np.concatenate(parts)[: len(crops)]

    def _run(self, crops: Bytes) -> Floats:
        values = (crops.transpose(0, 3, 1, 2).astype(np.float32) / 255 - 0.5) / 0.5
        return unit(np.asarray(self._session.run(None, {self._input: values})[0], np.float32))


def make_embedder(*, device: str = "cpu", threads: int = 0) -> Embedder:
    """Return the embedder that the package brings. Raises ModelError when it is missing or not the recorded file."""
    return OnnxEmbedder(models.own(NAME), device=device, threads=threads)


def unit(vectors: Floats) -> Floats:
    """Return (..., D) vectors at length 1; those of length 0 stay."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12), np.float32)


def misfit(face: Face) -> float:
    """Return how far, root mean square in crop pixels, the face's points lie from the template once aligned.

    Small for a face seen from the front, large for a turned one and for points that do not belong together; infinite
    without points.
    """
    if face.points is None:
        return float("inf")
    try:
        matrix = alignment.similarity(face.points, TEMPLATE)
    except ValueError:
        return float("inf")
    placed = face.points @ matrix[:, :2].T + matrix[:, 2]
    return float(np.sqrt(((placed - TEMPLATE) ** 2).sum(axis=1).mean()))


def align(rgb: Bytes, face: Face) -> Bytes:
    """Return the face as the embedder takes it: (112, 112, 3) uint8, what lies beyond the picture black.

    rgb: (H, W, 3) uint8, the picture that the face's coordinates belong to. Raises ValueError without five points.
    """
    if face.points is None:
        raise ValueError("a face must have its five points to be aligned, got none")
    return alignment.crop(rgb, face.points, TEMPLATE, SIZE)
