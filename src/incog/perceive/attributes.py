"""How a face looks to those who label pictures: age, gender, ethnicity, expression, with calibrated probabilities.

UTKFace's labels are an older network's guesses that annotators checked, expressions are a crowd's. They are not
what a person is, and nothing here should decide anything about anybody. They measure what a method keeps or changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from incog import models
from incog.perceive.embedder import SIZE, align
from incog.runtime import session
from incog.types import Bytes, Face, Floats

NAME = "attributes"
"""The network's record."""

JUDGE = "attributes-b"
"""The record of the other one, for judging only: in no loss and no method."""

CLASSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "gender": ("male", "female"),
        "ethnicity": ("white", "black", "asian", "indian", "other"),
        "expression": ("neutral", "happiness", "other"),
    }
)
"""What the probabilities are of, in order. UTKFace's "other" stands for Hispanic, Latino, Middle Eastern and more; the
expression's for all that is neither neutral nor happiness: surprise, anger, sadness, fear, contempt, disgust."""

LOOK = ("age", "female", "white", "black", "asian", "indian", "other", "neutral", "happiness")
"""The numbers of a look, (9,) float32: age in centuries, the rest probabilities."""

_BATCH = 32


@dataclass(frozen=True, slots=True, eq=False)
class Attributes:
    """How one face looks.

    age, spread: mean and standard deviation in years, 0..100. gender (2,), ethnicity (5,), expression (3,): float32
    probabilities of the ``CLASSES``, of sum 1, as they occur in UTKFace (in LFW for the expression).
    """

    age: float
    spread: float
    gender: Floats
    ethnicity: Floats
    expression: Floats

    def likeliest(self, name: str) -> tuple[str, float]:
        """Return the likeliest of ``CLASSES[name]`` and its probability. Raises KeyError for another name."""
        kinds = CLASSES[name]
        values: Floats = getattr(self, name)
        return kinds[int(values.argmax())], float(values.max())

    def look(self) -> Floats:
        """Return the look, (9,) float32: see ``LOOK``."""
        told = (self.age / 100, self.gender[1], *self.ethnicity, *self.expression[:2])
        return np.array(told, np.float32)


class OnnxAttributes:
    """An attribute network run by ONNX Runtime: (B, 3, 112, 112) float32 R'G'B' 0..255 -> age and spread in years (B,)
    each, probabilities of gender (B, 2), ethnicity (B, 5) and expression (B, 3)."""

    def __init__(self, data: bytes, *, name: str = NAME, device: str = "cpu", threads: int = 1) -> None:
        """data: the ONNX file. device: ``cpu`` or ``cuda``. threads: of ONNX Runtime, 0 for one per core."""
        self.name = name
        self._session = session(data, device=device, threads=threads)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, crops: Bytes) -> list[Attributes]:
        """Return what aligned faces look like. crops: (B, 112, 112, 3) uint8 R'G'B', as ``embedder.align`` gives them.

        Raises ValueError for crops of another shape or type.
        """
        if crops.ndim != 4 or crops.shape[1:] != (SIZE, SIZE, 3) or crops.dtype != np.uint8:
            raise ValueError(
                f"crops must be (B, {SIZE}, {SIZE}, 3) uint8, got {crops.shape} {crops.dtype.name}"
            )
        found: list[Attributes] = []
        for start in range(0, len(crops), _BATCH):
            values = crops[start : start + _BATCH].transpose(0, 3, 1, 2).astype(np.float32)
            columns = [
                np.asarray(item, np.float32) for item in self._session.run(None, {self._input: values})
            ]
            found += [
                Attributes(float(age), float(spread), *shares)
                for age, spread, *shares in zip(*columns, strict=True)
            ]
        return found

    def look(self, rgb: Bytes, faces: Sequence[Face]) -> list[Attributes]:
        """Return what the faces of a picture look like. rgb: (H, W, 3) uint8; faces in its pixels, with their points.

        Raises ValueError for a face without points, or whose points are all one.
        """
        if not faces:
            return []
        return self(np.stack([align(rgb, face) for face in faces]))


def make_attributes(name: str = NAME, *, device: str = "cpu", threads: int = 1) -> OnnxAttributes:
    """Return the network of that name that the package brings. Raises ModelError when it is missing or another file."""
    return OnnxAttributes(models.own(name), name=name, device=device, threads=threads)
