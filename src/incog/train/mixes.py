"""Faces that a teacher labels for distillation: real ones seen anew, and blends of two, which are nobody.

A recogniser learns from the variety of people, of which there are few; a teacher can tell of any picture what it sees
in it, so people who do not exist serve as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnx

from incog.data.faces import Faces
from incog.data.seeds import Integers, uniform
from incog.errors import InputError
from incog.runtime import session
from incog.types import Bytes, Floats

_CHUNK = 64
_SHARES = (0.25, 0.4, 0.6)
"""Below the first a face stays itself; then come cross-fades, halves, and inner faces in other heads."""
REPEATED = 2.5
"""Mean difference of two rows, of 255, below which one repeats the other."""

_GRID = 5
"""Places along each side at which a view is pulled."""

Halves = npt.NDArray[np.float16]


class Teacher:
    """A recogniser that labels faces: an ONNX file that takes (B, 3, 112, 112) RGB, (x / 255 - 0.5) / 0.5."""

    def __init__(self, path: Path, *, threads: int = 1, hints: Sequence[str] = ()) -> None:
        """Raises InputError when the file cannot be loaded. threads: of ONNX Runtime, 0 for one per core.

        hints: tensors inside of the network that are told too, (B, C, h, w) each.
        """
        try:
            model = onnx.load(str(path))
            made = {name for node in model.graph.node for name in node.output}
            missing = [name for name in hints if name not in made]
            if missing:
                raise InputError(f"the teacher {path} has no tensor {missing[0]!r}")
            model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in hints)
            self._session = session(model.SerializeToString(), threads=threads)
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"the teacher {path} cannot be loaded: {error}") from error
        self._path, self._name = path, self._session.get_inputs()[0].name
        self._outputs = [self._session.get_outputs()[0].name, *hints]

    def __call__(self, pixels: Bytes) -> Floats:
        """Return the embeddings of the middle 112 px of faces, (N, D) float32 of unit norm.

        pixels: (N, S, S, 3) uint8. Raises InputError when the network takes or gives something else.
        """
        parts = [self.look(pixels[start : start + _CHUNK])[0] for start in range(0, len(pixels), _CHUNK)]
        return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)

    def look(self, pixels: Bytes) -> tuple[Floats, list[Floats]]:
        """Return the embeddings of a few faces as ``__call__`` does, and the hints."""
        edge = (pixels.shape[1] - 112) // 2
        crop = pixels[:, edge : edge + 112, edge : edge + 112]
        values = crop.astype(np.float32).transpose(0, 3, 1, 2) / 127.5 - 1
        try:
            told = self._session.run(self._outputs, {self._name: np.ascontiguousarray(values)})
        except Exception as error:
            raise InputError(f"the teacher {self._path} cannot embed faces: {error}") from error
        found, *hints = (np.asarray(value, np.float32) for value in told)
        if found.ndim != 2 or len(found) != len(crop):
            raise InputError(f"the teacher {self._path} must give (B, D), got {found.shape}")
        return found / np.linalg.norm(found, axis=1, keepdims=True), hints


def embed(teacher: Path, pixels: Bytes) -> Floats:
    """Return what a teacher says of faces, see ``Teacher``."""
    return Teacher(teacher)(pixels)


@dataclass(frozen=True, slots=True, eq=False)
class Mixes:
    """Faces that a teacher labelled.

    pixels: (N, S, S, 3) uint8. embeddings: (N, D) float32, unit norm. hints: (N, C, h, w) float16 each, of zero mean
    and unit spread in every channel. All may be memory-mapped.
    """

    pixels: Bytes
    embeddings: Floats
    hints: list[Halves]

    def __len__(self) -> int:
        return len(self.pixels)


def mixed(
    faces: Faces,
    rows: Integers,
    count: int,
    *,
    seed: int,
    teacher: Path | None,
    hints: Sequence[str] = (),
    cache: Path | None = None,
) -> Mixes:
    """Return ``count`` faces made of ``rows``, and what the teacher says of each.

    A row that is named twice is taken twice as often. cache: folder that keeps them, memory-mapped, for a resumed run.
    """
    size = faces.pixels.shape[1]
    width = faces.embeddings.shape[1] if faces.embeddings is not None else 512
    if count == 0:
        return Mixes(np.zeros((0, size, size, 3), np.uint8), np.zeros((0, width), np.float32), [])
    if teacher is None:
        raise InputError(
            "mixes need the teacher itself", hint="give it: --data teacher=FILE.onnx, or set mixes = 0"
        )
    said = repr((count, seed, teacher.read_bytes(), list(hints), faces.names, faces.pixels.shape)).encode()
    mark = hashlib.sha256(rows.tobytes() + said).hexdigest()[:12]
    names = ["pixels", "embeddings", *(f"hint{number}" for number in range(len(hints)))]
    files = [cache / f"mixes-{mark}-{name}.npy" if cache is not None else None for name in names]
    done = cache / f"mixes-{mark}.done" if cache is not None else None
    if done is None:
        return _make(faces.pixels, rows, count, seed, Teacher(teacher, hints=hints), files)
    if not done.exists():
        _make(faces.pixels, rows, count, seed, Teacher(teacher, hints=hints), files)
        done.touch()
    stored = [np.load(file, mmap_mode="r") for file in files if file is not None]
    return Mixes(stored[0], np.array(stored[1]), stored[2:])


def _make(
    source: Bytes, rows: Integers, count: int, seed: int, teacher: Teacher, files: list[Path | None]
) -> Mixes:
    """Return pixels, embeddings and hints, kept in ``files`` where these are named."""
    size = source.shape[1]
    heads = rows[whole(source, rows)]
    some = np.sort(rows[:: max(1, len(rows) // (4 * _CHUNK))])
    vectors, hints = teacher.look(source[some])
    # One scale for each channel, so that each is worth the same to who learns it.
    means = [hint.mean((0, 2, 3), keepdims=True) for hint in hints]
    spreads = [hint.std((0, 2, 3), keepdims=True) + 1e-6 for hint in hints]
    shapes = [
        (count, size, size, 3),
        (count, vectors.shape[1]),
        *((count, *hint.shape[1:]) for hint in hints),
    ]
    kinds = [np.uint8, np.float32, *(np.float16 for _ in hints)]
    made: list[Any] = [
        np.empty(shape, kind)
        if file is None
        else np.lib.format.open_memmap(file, mode="w+", dtype=kind, shape=shape)
        for file, shape, kind in zip(files, shapes, kinds, strict=True)
    ]
    for start in range(0, count, _CHUNK):
        items = np.arange(start, min(start + _CHUNK, count), dtype=np.int64)
        draws = uniform(seed, items, np.full(len(items), -1, np.int64), 10 + 2 * _GRID**2)
        first, second = (rows[(draws[:, column] * len(rows)).astype(np.int64)] for column in (0, 1))
        if len(heads):
            inner = draws[:, 2] >= _SHARES[2]
            first[inner] = heads[(draws[inner, 0] * len(heads)).astype(np.int64)]
        views = [
            view(blend(source[a], source[b], row[2:4]), row[4:])
            for a, b, row in zip(first, second, draws, strict=True)
        ]
        part = slice(start, start + len(items))
        made[0][part] = np.stack(views)
        made[1][part], told = teacher.look(np.stack(views))
        for target, hint, mean, spread in zip(made[2:], told, means, spreads, strict=True):
            target[part] = ((hint - mean) / spread).clip(-30, 30).astype(np.float16)
    return Mixes(made[0], made[1], made[2:])


def whole(pixels: Bytes, rows: Integers) -> npt.NDArray[np.bool_]:
    """Return which of ``rows`` show a picture up to the upper edge of the crop, (N,).

    Pictures that are cut at the forehead repeat their border above it: they are faces without heads.
    """
    apart, most = pixels.shape[1] // 16, pixels.shape[1] // 40
    found = np.empty(len(rows), bool)
    for number, row in enumerate(rows):
        upper, lower = pixels[row, 0].astype(np.int16), pixels[row, apart].astype(np.int16)
        # Faces that were turned upright have turned borders: what is repeated lies a little to the side.
        moved = [
            np.abs(upper - np.roll(lower, shift, 0))[most:-most].mean() for shift in range(-most, most + 1)
        ]
        found[number] = min(moved) > REPEATED
    return found


def blend(first: Bytes, second: Bytes, draws: Floats) -> Floats:
    """Return a face between two aligned ones, (S, S, 3) float32 in 0..255, by ``draws`` (2,) in 0..1.

    It is the first, a cross-fade, the upper part of one over the lower of the other, or the inner face of the second
    in the head of the first.
    """
    a, kind, share = first.astype(np.float32), float(draws[0]), float(draws[1])
    if kind < _SHARES[0]:
        return a
    b = second.astype(np.float32)
    along = np.linspace(0, 1, len(a), dtype=np.float32)
    if kind < _SHARES[1]:
        weight: Floats | float = 0.3 + 0.4 * share
    elif kind < _SHARES[2]:
        # The cut runs between eyes and mouth, soft over a tenth of the crop.
        weight = np.clip((along - 0.48 - 0.16 * share) * 10 + 0.5, 0, 1)[:, None, None]
    else:
        # Colours follow the head, or the border would tell of the blend.
        middle = slice(len(a) // 4, -len(a) // 4)
        b = b + (a[middle, middle].mean((0, 1)) - b[middle, middle].mean((0, 1)))
        away = np.hypot((along[:, None] - 0.56) / 0.32, (along[None] - 0.5) / 0.28) - 1
        weight = (np.clip(0.5 - away * 4, 0, 1) * (0.6 + 0.4 * share))[:, :, None]
    return np.asarray(a + (b - a) * weight, np.float32)


def view(face: Floats, draws: Floats) -> Bytes:
    """Return a face a little turned, zoomed, moved, mirrored or not, and pulled here and there: (S, S, 3) uint8.

    draws: (6 + 2 * 5 * 5,) in 0..1. A pull of a fiftieth of the crop makes other proportions, as of other people.
    """
    size = len(face)
    angle, zoom = np.deg2rad((draws[0] - 0.5) * 14), 2 ** ((draws[1] - 0.5) * 0.2)
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
    if draws[4] < 0.5:
        linear = linear @ np.diag([-1.0, 1.0])
    middle = (size - 1) / 2
    shift = middle + (draws[2:4] - 0.5) * 0.06 * size
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) - middle
    places = np.stack([columns, rows], -1) @ linear.T.astype(np.float32) + shift.astype(np.float32)
    pulls = (draws[6:].reshape(_GRID, _GRID, 2) - 0.5) * np.float32(0.05 * size * draws[5])
    smooth = cv2.resize(pulls.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    x, y = cv2.split(places + smooth)
    seen = cv2.remap(face, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(np.rint(seen), 0, 255), np.uint8)
