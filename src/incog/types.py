"""The nouns of the package: frames, faces, tracks, crops and keys. NumPy only, and no behaviour beyond access."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import IntEnum
from fractions import Fraction
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Layout:
    """How the samples of a frame are laid out and what they mean.

    kind: ``rgb`` has one plane (H, W, 3); ``grey`` one plane (H, W); ``yuv`` three planes Y (H, W), Cb and Cr
        (ceil(H / 2**shift_y), ceil(W / 2**shift_x)). With ``alpha`` one more plane (H, W) follows.
    depth: bits per sample; planes are uint8 at 8 and uint16 (value range 0 .. 2**depth - 1) above.
    matrix, full_range: how Y'CbCr relates to R'G'B' (ITU-R BT.601, BT.709, BT.2020); only for ``yuv``.
    """

    kind: Literal["rgb", "grey", "yuv"]
    depth: int = 8
    alpha: bool = False
    shift_x: int = 0
    shift_y: int = 0
    matrix: Literal["bt601", "bt709", "bt2020"] = "bt709"
    full_range: bool = True

    @property
    def maximum(self) -> int:
        """The largest sample value."""
        return (1 << self.depth) - 1

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The sample type of the planes."""
        return np.dtype(np.uint8 if self.depth == 8 else np.uint16)


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture, upright, in its native samples.

    planes: arrays as ``layout`` says. Rotation and mirroring tags of the source are already applied.
    index: position in the source, from 0. time: presentation time in seconds, exact; 0 for photos.
    """

    planes: tuple[Array, ...]
    layout: Layout
    index: int = 0
    time: Fraction = Fraction(0)

    @property
    def height(self) -> int:
        return int(self.planes[0].shape[0])

    @property
    def width(self) -> int:
        return int(self.planes[0].shape[1])

    def copy(self) -> Frame:
        """Return the same frame with planes of its own, to be changed in place."""
        return replace(self, planes=tuple(plane.copy() for plane in self.planes))


@dataclass(frozen=True, slots=True)
class Face:
    """A face in a frame.

    box: (x0, y0, x1, y1) in pixels of the upright frame, brow to chin and ear to ear; may reach over the border.
    score: the detector's confidence in 0..1. points: (5, 2) float32 or None: right eye, left eye (as the person
    has them: the first is the one further left in the picture of an upright face), nose tip, right and left
    mouth corner. grow: the uncertainty of the box as a share of its size; the mask widens by it.
    """

    box: tuple[float, float, float, float]
    score: float = 1.0
    points: Floats | None = None
    grow: float = 0.0

    @property
    def width(self) -> float:
        return self.box[2] - self.box[0]

    @property
    def height(self) -> float:
        return self.box[3] - self.box[1]

    @property
    def size(self) -> float:
        """The longer side of the box in pixels."""
        return max(self.width, self.height)

    @property
    def centre(self) -> tuple[float, float]:
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


class Depth(IntEnum):
    """How closely a frame is scanned: for large faces, for small ones, for the smallest."""

    COARSE = 0
    FINE = 1
    FINEST = 2


class Origin(IntEnum):
    """Where the box of a track in one frame comes from."""

    DETECTED = 0
    INTERPOLATED = 1
    PROPAGATED = 2
    ADDED = 3


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One face over consecutive frames, without holes.

    start: index of the first frame; the other fields have one row per frame from there.
    boxes: (N, 4) float32 px. points: (N, 5, 2) float32 px, NaN where unknown. scores: (N,) float32.
    origins: (N,) uint8 of ``Origin``. grow: (N,) float32, see ``Face.grow``.
    hide: False when a person decided that this face stays visible.
    """

    id: int
    start: int
    boxes: Floats
    points: Floats
    scores: Floats
    origins: Bytes
    grow: Floats
    hide: bool = True

    @property
    def stop(self) -> int:
        """Index of the first frame after the track."""
        return self.start + len(self.boxes)

    def face(self, index: int) -> Face | None:
        """Return the face in frame ``index``, or None where the track is not."""
        row = index - self.start
        if not 0 <= row < len(self.boxes):
            return None
        x0, y0, x1, y1 = (float(value) for value in self.boxes[row])
        points = self.points[row]
        return Face(
            box=(x0, y0, x1, y1),
            score=float(self.scores[row]),
            points=None if np.isnan(points).any() else points,
            grow=float(self.grow[row]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Crops:
    """Aligned face crops of one size, the only thing that a method sees.

    pixels: (B, S, S, 3) float32, R'G'B' in 0..1. masks: (B, S, S) float32 in 0..1, exactly 1 on the face hull, falling
    to 0 outside it. matrices: (B, 2, 3) float32, crop -> frame pixels (pixel centres at integers). faces: (B,)
    float32, the longer side of the face box in crop pixels: lengths of a method are relative to it. points: (B, 5, 2)
    float32 in crop pixels, NaN where unknown. frames: (B,) int64, the index of the frame that the crop is from. dense:
    (B, 130, 2) float32 in crop pixels, the points of ``incog.points``; all NaN where they are unknown or not trusted.
    looks: (B, 9) float32, how the face of the track looks, see ``incog.perceive.attributes.LOOK``, NaN where that was
    not told; None where it was not asked for.
    """

    pixels: Floats
    masks: Floats
    matrices: Floats
    faces: Floats
    points: Floats
    frames: npt.NDArray[np.int64]
    dense: Floats
    looks: Floats | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def size(self) -> int:
        """The side S of the crops in pixels."""
        return int(self.pixels.shape[1])

    def __iter__(self) -> Iterator[Crops]:
        """Yield the crops one at a time, each as a batch of one."""
        for row in range(len(self)):
            yield self[row : row + 1]

    def __getitem__(self, rows: slice) -> Crops:
        return Crops(
            self.pixels[rows],
            self.masks[rows],
            self.matrices[rows],
            self.faces[rows],
            self.points[rows],
            self.frames[rows],
            self.dense[rows],
            None if self.looks is None else self.looks[rows],
        )


@dataclass(frozen=True, slots=True)
class Key:
    """32 secret bytes. They never appear in a repr, so not in a log or a trace either."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != 32:
            raise ValueError(f"a key must be 32 bytes, got {len(self.secret)}")
