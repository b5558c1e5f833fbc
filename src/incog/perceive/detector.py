"""Face detection: CenterFace or incog's own network at several scales; dlib's HOG as the second opinion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from incog import models
from incog.errors import ModelError, UsageError
from incog.runtime import session
from incog.types import Bytes, Face, Floats

STRIDE = 32
"""The networks take sides that are multiples of this."""

TILE = 1024
"""Largest side that is given to the network at once; two megapixels at once are slower than two times one."""

OVERLAP = 96
"""Overlap of tiles in pixels: a face up to this size lies whole in one of them; larger ones are the coarser
scales' to find."""


class Detector(Protocol):
    """Finds faces in a picture."""

    name: str

    def __call__(self, rgb: Bytes, *, scales: Sequence[float], threshold: float) -> list[Face]:
        """Return the faces of an upright picture, best first, without duplicates.

        rgb: (H, W, 3) uint8. scales: factors at which the picture is looked at (1 is as it is). threshold: lowest
        score, 0..1. Boxes and points are in pixels of ``rgb``.
        """


def scales_for(width: int, height: int, *, finest: float, coarsest: int = 480) -> list[float]:
    """Return scales, a factor two apart, from ``finest`` down to where the longer side is about ``coarsest`` px.

    The finest finds the small faces, the coarsest those that fill the picture.
    """
    scales = [finest]
    coarsest = min(coarsest, max(width, height))
    while max(width, height) * scales[-1] / 2 >= coarsest * 0.75:
        scales.append(scales[-1] / 2)
    return scales


def non_maximum_suppression(boxes: Floats, scores: Floats, overlap: float) -> npt.NDArray[np.intp]:
    """Return the rows to keep, best first; a box that overlaps a better one by more than ``overlap`` (IoU), or
    lies to three quarters inside it, goes.

    boxes: (N, 4) float32 x0, y0, x1, y1. scores: (N,) float32.
    """
    order = np.argsort(-scores, kind="stable")
    areas = np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0)
    keep: list[int] = []
    while order.size:
        best, rest = order[0], order[1:]
        keep.append(int(best))
        width = np.minimum(boxes[best, 2], boxes[rest, 2]) - np.maximum(boxes[best, 0], boxes[rest, 0])
        height = np.minimum(boxes[best, 3], boxes[rest, 3]) - np.maximum(boxes[best, 1], boxes[rest, 1])
        common = np.maximum(width, 0) * np.maximum(height, 0)
        union = areas[best] + areas[rest] - common
        inside = common / np.maximum(np.minimum(areas[best], areas[rest]), 1e-6)
        order = rest[(common <= overlap * union) & (inside < 0.75)]
    return np.array(keep, dtype=np.intp)


def merge(faces: Sequence[Face], overlap: float = 0.35) -> list[Face]:
    """Return the faces without duplicates, best first."""
    if not faces:
        return []
    boxes = np.array([face.box for face in faces], dtype=np.float32)
    scores = np.array([face.score for face in faces], dtype=np.float32)
    return [faces[row] for row in non_maximum_suppression(boxes, scores, overlap)]


def _tiles(length: int) -> list[tuple[int, int]]:
    """Return overlapping (start, stop) spans of at most TILE that cover 0..length."""
    if length <= TILE:
        return [(0, length)]
    count = -(-(length - OVERLAP) // (TILE - OVERLAP))
    side = -(-(length + (count - 1) * OVERLAP) // count)
    starts = [min(round(index * (length - side) / (count - 1)), length - side) for index in range(count)]
    return [(start, start + side) for start in starts]


class _Network:
    """A network run by ONNX Runtime at several scales, in overlapping tiles where a picture is large."""

    name: str

    def __init__(self, data: bytes, *, device: str, threads: int) -> None:
        self._session = session(data, device=device, threads=threads)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, rgb: Bytes, *, scales: Sequence[float], threshold: float) -> list[Face]:
        found: list[Face] = []
        for scale in scales:
            found.extend(self._at(rgb, scale, threshold))
        return merge(found)

    def _at(self, rgb: Bytes, scale: float, threshold: float) -> list[Face]:
        height, width = rgb.shape[:2]
        size = max(round(width * scale), STRIDE), max(round(height * scale), STRIDE)
        if size != (width, height):
            rgb = _resize(rgb, size)
        factors = np.array([width / size[0], height / size[1]], dtype=np.float32)
        found: list[Face] = []
        for top, bottom in _tiles(size[1]):
            for left, right in _tiles(size[0]):
                boxes, scores, points = self._run(rgb[top:bottom, left:right], threshold)
                # A box cut by the inner border of a tile is whole in the neighbour, or at a coarser scale.
                inner = (
                    ((boxes[:, 0] < 2) & (left > 0))
                    | ((boxes[:, 1] < 2) & (top > 0))
                    | ((boxes[:, 2] > right - left - 2) & (right < size[0]))
                    | ((boxes[:, 3] > bottom - top - 2) & (bottom < size[1]))
                )
                boxes, scores, points = boxes[~inner], scores[~inner], points[~inner]
                boxes = (boxes + np.array([left, top, left, top], np.float32)) * np.tile(factors, 2)
                points = (points + np.array([left, top], np.float32)) * factors
                for box, score, five in zip(boxes, scores, points, strict=True):
                    x0, y0, x1, y1 = (float(value) for value in box)
                    found.append(Face(box=(x0, y0, x1, y1), score=float(score), points=five))
        return found

    def _run(self, rgb: Bytes, threshold: float) -> tuple[Floats, Floats, Floats]:
        """Return boxes (N, 4), scores (N,) and points (N, 5, 2) in pixels of the given tile."""
        height, width = rgb.shape[:2]
        padded = np.zeros((1, 3, -(-height // STRIDE) * STRIDE, -(-width // STRIDE) * STRIDE), np.float32)
        padded[0, :, :height, :width] = rgb.transpose(2, 0, 1)
        maps = [np.asarray(output[0]) for output in self._session.run(None, {self._input: padded})]
        boxes, scores, points = self._decoded(maps, threshold)
        keep = non_maximum_suppression(boxes, scores, 0.35)
        return boxes[keep], scores[keep], points[keep]

    def _decoded(self, maps: list[Floats], threshold: float) -> tuple[Floats, Floats, Floats]:
        """Return the boxes, scores and points, with duplicates, that the network's outputs mean."""
        raise NotImplementedError


class CenterFace(_Network):
    """CenterFace (Xu et al. 2019).

    The network gives, at a quarter of the resolution, a map of face centres, the logarithm of the box's height and
    width, the centre's sub-pixel offset and five points relative to the box.
    """

    name = "centerface"

    def __init__(self, *, device: str = "cpu", threads: int = 0) -> None:
        """device: ``cpu`` or ``cuda``. threads: of ONNX Runtime, 0 for one per core.

        Raises ModelError when the network is not installed.
        """
        super().__init__(_free_shapes(models.load(models.CENTERFACE)), device=device, threads=threads)

    def _decoded(self, maps: list[Floats], threshold: float) -> tuple[Floats, Floats, Floats]:
        heat, sizes, offsets, landmarks = maps
        rows, columns = np.nonzero(heat[0] > threshold)
        scores = heat[0, rows, columns].astype(np.float32)
        high, wide = (np.exp(sizes[:, rows, columns]) * 4).astype(np.float32)
        x = (columns + offsets[1, rows, columns] + 0.5) * 4
        y = (rows + offsets[0, rows, columns] + 0.5) * 4
        boxes = np.stack([x - wide / 2, y - high / 2, x + wide / 2, y + high / 2], axis=1).astype(np.float32)
        relative = landmarks[:, rows, columns].reshape(5, 2, -1).transpose(2, 0, 1)[:, :, ::-1]
        points = (relative * np.stack([wide, high], axis=1)[:, None] + boxes[:, None, :2]).astype(np.float32)
        return boxes, scores, points


class Light(_Network):
    """incog's own network, some five times as quick as CenterFace; see ``recipes/detector.toml``.

    It gives a map for cells of 8, 16 and 32 px: score, centre in cells from the middle of the cell, logarithm of
    width and height and the five points, all three in units of four cells.
    """

    name = "incog"

    def __init__(self, *, device: str = "cpu", threads: int = 0, network: bytes | None = None) -> None:
        """device, threads: as for CenterFace. network: another ONNX file's bytes than the one that ships.

        Raises ModelError when the network is not installed.
        """
        if network is None:
            if "detector" not in models.RECORDS:
                raise ModelError("the network detector is not installed", hint="use --detector centerface")
            network = models.load(models.RECORDS["detector"])
        super().__init__(network, device=device, threads=threads)

    def _decoded(self, maps: list[Floats], threshold: float) -> tuple[Floats, Floats, Floats]:
        boxes, scores, points = [], [], []
        for stride, cells in zip((8, 16, 32), maps, strict=True):
            rows, columns = np.nonzero(cells[0] > threshold)
            values = cells[:, rows, columns].T
            middles = (np.stack([columns, rows], axis=1) + 0.5).astype(np.float32) * stride
            centres = middles + values[:, 1:3] * stride
            halves = np.exp(np.clip(values[:, 3:5], -4, 4)) * (2 * stride)
            boxes.append(np.concatenate([centres - halves, centres + halves], axis=1))
            scores.append(values[:, 0])
            points.append(middles[:, None] + values[:, 5:].reshape(-1, 5, 2) * (4 * stride))
        return np.concatenate(boxes), np.concatenate(scores), np.concatenate(points)


class Hog:
    """dlib's frontal face detector (histograms of oriented gradients, Felzenszwalb features, 80 px window).

    It shares nothing with the networks, so it fails on other pictures than they do. No points; scores are the
    classifier's margin squashed to 0..1 (0 -> 0.5).
    """

    name = "hog"

    def __init__(self) -> None:
        import dlib

        self._detector = dlib.get_frontal_face_detector()

    def __call__(self, rgb: Bytes, *, scales: Sequence[float], threshold: float) -> list[Face]:
        margin = float(np.log(threshold / (1 - threshold)))
        grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
        height, width = grey.shape
        found: list[Face] = []
        for scale in scales:
            size = max(round(width * scale), 1), max(round(height * scale), 1)
            if min(size) < 80:
                continue
            boxes, margins, _ = self._detector.run(np.ascontiguousarray(_resize(grey, size)), 0, margin)
            for box, value in zip(boxes, margins, strict=True):
                x, y = width / size[0], height / size[1]
                found.append(
                    Face(
                        box=(box.left() * x, box.top() * y, (box.right() + 1) * x, (box.bottom() + 1) * y),
                        score=float(1 / (1 + np.exp(-value))),
                    )
                )
        return merge(found)


def _resize(image: Bytes, size: tuple[int, int]) -> Bytes:
    if size == image.shape[1::-1]:
        return image
    shrinks = size[0] * size[1] < image.shape[0] * image.shape[1]
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.asarray(resized, dtype=np.uint8)


def _free_shapes(data: bytes) -> bytes:
    """Return the ONNX model with free batch, height and width (CenterFace's file fixes them at 10, 32 and 32), and with
    its weights as constants: the file lists them as inputs, which keeps ONNX Runtime from its quicker layouts."""
    import onnx

    model = onnx.load_from_string(data)
    values = [model.graph.input[0], *model.graph.output]
    for value in values:
        for axis in (0, 2, 3):
            value.type.tensor_type.shape.dim[axis].dim_param = f"{value.name}_{axis}"
    del model.graph.value_info[:]
    del model.graph.input[1:]
    model.ir_version = max(model.ir_version, 4)
    return bytes(model.SerializeToString())


DETECTORS: dict[str, type[CenterFace] | type[Light]] = {kind.name: kind for kind in (CenterFace, Light)}


def make_detector(name: str, *, device: str, threads: int = 0) -> Detector:
    """Return a detector by name; raises UsageError for an unknown one."""
    return DETECTORS[known_detector(name)](device=device, threads=threads)


def known_detector(name: str) -> str:
    """Return the name; raises UsageError when there is no such detector."""
    if name not in DETECTORS:
        raise UsageError(f"detector must be one of {', '.join(sorted(DETECTORS))}, got {name!r}")
    return name


def best_device(wanted: str) -> str:
    """Return ``cpu`` or ``cuda`` for ``auto``, ``cpu`` or ``cuda``.

    Raises UsageError when CUDA was asked for and ONNX Runtime cannot use it.
    """
    import onnxruntime

    usable = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if wanted == "cuda" and not usable:
        error = UsageError("device must be one that ONNX Runtime can use, got 'cuda'")
        error.hint = "run: pip install onnxruntime-gpu, on a machine with an NVIDIA GPU"
        raise error
    return "cuda" if wanted != "cpu" and usable else "cpu"
