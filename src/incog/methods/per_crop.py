"""What all methods that look at one crop at a time share: checks, the loop, what lies outside the mask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from incog.methods.base import Claim, Rendered
from incog.methods.parameters import check
from incog.types import Crops, Floats, Key

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Weights of R', G', B' in luma (ITU-R BT.709)."""

CROP_CONDITION = (
    "place, size and tilt of the face still show: the crop and its mask were cut along it beforehand"
)
REST_CONDITION = "hair, ears, body, clothes, voice and context are not touched and can identify a person"


class PerCrop(ABC):
    """Base of methods whose result for a crop needs that crop, its key and its frame index alone.

    A subclass is a frozen dataclass with its parameters as fields; it writes ``render`` and ``claims``. This
    class checks, loops, keeps what lies outside the mask and clips to 0..1.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    granularity: ClassVar[Literal["image", "track", "set"]] = "image"
    reversible: ClassVar[bool] = False
    keyed: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check(self)

    @abstractmethod
    def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
        """What holds when the method was applied to ``frames`` frames of one track."""

    @abstractmethod
    def render(self, pixels: Floats, mask: Floats, face: float, key: Key, frame: int) -> Floats:
        """Return new pixels (S, S, 3) for one crop; only those where the mask is above 0 are used.

        pixels: (S, S, 3) float32, R'G'B' in 0..1, not to be changed. mask: (S, S) float32, somewhere above 0.
        face: longer side of the face box in pixels. Values out of 0..1 are clipped afterwards.
        """

    def __call__(self, crops: Crops, keys: Sequence[Key]) -> Rendered:
        """Return new pixels for the crops, as ``Method`` says. ValueError unless keys and crops pair."""
        if len(keys) != len(crops):
            raise ValueError(f"there must be one key per crop, got {len(keys)} keys for {len(crops)} crops")
        pixels = crops.pixels.copy()
        for row, key in enumerate(keys):
            mask = crops.masks[row]
            inside = mask > 0
            if inside.any():
                face, frame = float(crops.faces[row]), int(crops.frames[row])
                new = self.render(crops.pixels[row], mask, face, key, frame)
                np.copyto(pixels[row], np.clip(new, 0, 1), where=inside[..., None])
        return Rendered(pixels, np.zeros(len(crops), np.bool_))


def scope_of(frames: int) -> str:
    """Return the scope of a claim about the masked pixels of ``frames`` frames."""
    return "the masked pixels of one picture" if frames == 1 else f"the masked pixels of {frames} frames"


def rest_of(frames: int) -> Claim:
    """Return the warning that goes with every method that covers the face alone."""
    return Claim(
        "What lies outside of the mask can still identify the person.",
        holds=False,
        scope="the rest of the picture" if frames == 1 else f"the rest of {frames} frames",
        conditions=(REST_CONDITION,),
    )


def window_of(mask: Floats, margin: int = 0) -> tuple[slice, slice]:
    """Return the rows and columns where the mask (S, S) is above 0, and ``margin`` pixels around them.

    The mask must be above 0 somewhere.
    """
    covered = mask > 0
    rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
    height, width = mask.shape
    return (
        slice(max(0, int(rows[0]) - margin), min(height, int(rows[-1]) + 1 + margin)),
        slice(max(0, int(columns[0]) - margin), min(width, int(columns[-1]) + 1 + margin)),
    )
