"""Faces in memory: aligned pixels of one size with what is known about them, and how they are split."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from incog.alignment import similarity
from incog.data.seeds import Integers
from incog.errors import InputError, must_be
from incog.types import Array, Bytes, Floats

Split = Literal["train", "dev", "test"]

ARCFACE: Floats = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    np.float32,
)
"""Right eye, left eye, nose tip, mouth corners in a crop of 112 px (Deng et al., ArcFace, 2019)."""


def template(name: str, size: int) -> Floats:
    """Return the five points, (5, 2) float32 px, in a crop of ``size``.

    ``arcface``: the middle 112 of 128 is the crop that face recognisers take. ``wide``: the whole head with hair and
    chin, at 0.64 of that scale. ``outline``: hairline to chin and a turned face's cheeks, with a margin, at 0.8.
    """
    if name == "arcface":
        points = ARCFACE + np.float32(8)
    elif name == "wide":
        points = (ARCFACE - ARCFACE.mean(0)) * np.float32(0.64) + np.array([64, 70], np.float32)
    elif name == "outline":
        points = (ARCFACE - np.array([56, 70], np.float32)) * np.float32(0.8) + np.float32(63.5)
    else:
        raise must_be("template", "arcface, wide or outline", name)
    return np.asarray((points + 0.5) * size / 128 - 0.5, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture of a source, not yet decoded.

    name: of the file, unique in its source. read: returns the coded bytes. identity: '' when unknown. labels: by
    name, '' when unknown. points: (5, 2) px of the picture or None. embedding: of a teacher, unit norm, or None.
    score: of the detector that found the points, 0..1, or None. aligned: (template, size) of a picture that is such a
    crop already. fault: what is wrong with the sample, in words, or ''; one with a fault cannot be used.
    """

    name: str
    read: Callable[[], bytes]
    identity: str = ""
    labels: Mapping[str, str] | None = None
    points: Floats | None = None
    embedding: Floats | None = None
    score: float | None = None
    aligned: tuple[str, int] | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Aligned faces.

    pixels: (N, S, S, 3) uint8 RGB, maybe memory-mapped. names, sources, identities: of each; identity '' is unknown.
    points: (N, 5, 2) float32 px of the crop. labels: by name, '' is unknown. embeddings: (N, D) float16, NaN where
    unknown, or None.
    """

    pixels: Bytes
    names: list[str]
    sources: list[str]
    identities: list[str]
    points: Floats
    labels: dict[str, list[str]]
    embeddings: Array | None

    def __len__(self) -> int:
        return len(self.names)

    def splits(self) -> list[Split]:
        """Return the split of each face, by identity where it is known, else by name."""
        parts = zip(self.sources, self.identities, self.names, strict=True)
        return [split_of(identity or f"{source}/{name}") for source, identity, name in parts]

    def rows(self, split: Split, *, sources: Sequence[str] = ()) -> Integers:
        """Return the rows of a split, of some sources only if any are named."""
        pairs = zip(self.splits(), self.sources, strict=True)
        return np.array(
            [
                n
                for n, (part, source) in enumerate(pairs)
                if part == split and (not sources or source in sources)
            ],
            np.int64,
        )

    def column(self, label: str) -> list[str]:
        """Return a label of each face, '' where unknown. Raises InputError when no face of any source has it."""
        found = self.labels.get(label, [])
        if not any(found):
            sources = ", ".join(dict.fromkeys(self.sources))
            have = ", ".join(name for name, values in self.labels.items() if any(values)) or "no labels"
            raise InputError(f"no face of {sources} has the label {label!r}", hint=f"the data has {have}")
        return found


def split_of(key: str) -> Split:
    """Return the split of a person or picture: 75 % train, 5 % dev, 20 % test, for ever the same."""
    share = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    return "train" if share < 0.75 else "dev" if share < 0.8 else "test"


def decode(data: bytes, name: str) -> Bytes:
    """Return the picture as (H, W, 3) uint8 RGB. Raises InputError, with the name, when it cannot be decoded."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
    if image is None:
        raise InputError(f"{name} is not a picture that can be read")
    return np.asarray(image, dtype=np.uint8)


def align(image: Bytes, points: Floats, goal: Floats, size: int) -> tuple[Bytes, Floats]:
    """Return the (S, S, 3) crop in which ``points`` lie nearest to ``goal``, and the points in it."""
    matrix = similarity(points, goal)
    zoom = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if zoom < 0.5:
        # Bilinear sampling alone would alias: shrink by areas first.
        share = max(zoom * 1.5, 1 / min(image.shape[:2]))
        image = np.asarray(
            cv2.resize(image, None, fx=share, fy=share, interpolation=cv2.INTER_AREA), dtype=np.uint8
        )
        points = (points + 0.5) * np.float32(share) - 0.5
        matrix = similarity(points, goal)
    crop = cv2.warpAffine(
        image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(crop, dtype=np.uint8), (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def fitted(sample: Sample, image: Bytes, name: str, size: int) -> tuple[Bytes, Floats]:
    """Return the crop, (S, S, 3), of a sample's decoded picture, and its points in it. One that is such a crop already
    is returned as it is. Raises InputError when an aligned picture does not show all that the template does.
    """
    assert sample.points is not None
    if sample.aligned == (name, size):
        if image.shape != (size, size, 3):
            raise InputError(f"{sample.name} must be {size} px square, got {image.shape[1]}x{image.shape[0]}")
        return image, sample.points
    goal = template(name, size)
    if sample.aligned is not None:
        have, side = sample.aligned
        matrix = similarity(goal, template(have, side))
        corners = np.array([[-0.5, -0.5], [size - 0.5, size - 0.5]]) @ matrix[:, :2].T + matrix[:, 2]
        # Two pixels of a repeated border do no harm; a missing chin does.
        if corners.min() < -2.5 or corners.max() > side + 1.5:
            raise InputError(
                f"{sample.name} is a crop aligned as {have!r}, which does not show all of {name!r}",
                hint=f"pack the original pictures again: incog train pack --template {name}",
            )
    return align(image, sample.points, goal, size)


def workers() -> int:
    """Return how many threads decode pictures: one for each core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gather(
    samples: Iterable[tuple[str, Sample]], *, name: str, size: int, cache: Path | None = None
) -> Faces:
    """Decode and align (source, sample) pairs. cache: folder that keeps the pixels, memory-mapped, for a resumed run.

    Samples without points are left out, but not whole sources. Raises InputError for those, for a sample with a fault,
    for a picture that cannot be read, for embeddings of several lengths, or when nothing is left.
    """
    known = _usable(samples)
    goal = template(name, size)
    shape = (len(known), size, size, 3)
    points = np.empty((len(known), 5, 2), np.float32)
    pixels, complete = _storage(cache, shape, [f"{source}/{sample.name}" for source, sample in known], name)

    def some(rows: range) -> None:
        for row in rows:
            source, sample = known[row]
            assert sample.points is not None
            if not complete:
                image = decode(sample.read(), f"{source}/{sample.name}")
                pixels[row], points[row] = fitted(sample, image, name, size)
            elif sample.aligned == (name, size):
                points[row] = sample.points
            else:
                points[row] = sample.points @ (m := similarity(sample.points, goal))[:, :2].T + m[:, 2]

    with ThreadPoolExecutor(workers()) as pool:
        for _ in pool.map(
            some, (range(len(known))[start : start + 64] for start in range(0, len(known), 64))
        ):
            pass
    if cache is not None and not complete:
        (cache / "pixels.json").write_text(
            _fingerprint(shape, [f"{s}/{x.name}" for s, x in known], name), "utf-8"
        )
    names = sorted({key for _, sample in known for key in sample.labels or ()})
    return Faces(
        pixels=pixels,
        names=[sample.name for _, sample in known],
        sources=[source for source, _ in known],
        identities=[sample.identity for _, sample in known],
        points=points,
        labels={key: [(sample.labels or {}).get(key, "") for _, sample in known] for key in names},
        embeddings=embeddings_of(known),
    )


def _usable(samples: Iterable[tuple[str, Sample]]) -> list[tuple[str, Sample]]:
    """Return the samples with points. Raises InputError for a fault, or a source that has none with points."""
    known: list[tuple[str, Sample]] = []
    seen: dict[str, int] = {}
    for source, sample in samples:
        if sample.fault:
            raise InputError(f"{source}/{sample.name}: {sample.fault}")
        seen.setdefault(source, 0)
        if sample.points is not None:
            seen[source] += 1
            known.append((source, sample))
    for source in [source for source, count in seen.items() if not count]:
        raise InputError(
            f"no face of {source} has known points",
            hint=f"pack it first: incog train pack --data {source}=PATH --out {source}.pack",
        )
    if not known:
        raise InputError("the data holds no faces")
    return known


def embeddings_of(known: Sequence[tuple[str, Sample]]) -> Array | None:
    """Return (N, D) float16, NaN rows where unknown; None where none is known. Raises InputError for several D."""
    widths: dict[int, str] = {}
    for source, sample in known:
        if sample.embedding is not None:
            widths.setdefault(len(sample.embedding), source)
    if not widths:
        return None
    if len(widths) > 1:
        (one, first), (other, second) = list(widths.items())[:2]
        raise InputError(
            f"the teacher's embeddings of {first} have {one} values and those of {second} {other}: two teachers",
            hint="pack all of them with one: incog train pack --teacher NAME=FILE.onnx",
        )
    result = np.full((len(known), *widths), np.nan, np.float16)
    for row, (_, sample) in enumerate(known):
        if sample.embedding is not None:
            result[row] = sample.embedding
    return result


def _fingerprint(shape: tuple[int, ...], names: list[str], template_name: str) -> str:
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
    return json.dumps({"shape": list(shape), "names": digest, "template": template_name})


def _storage(
    cache: Path | None, shape: tuple[int, ...], names: list[str], template_name: str
) -> tuple[Bytes, bool]:
    """Return the array for the pixels, and whether an earlier run filled it."""
    if cache is None:
        return np.empty(shape, np.uint8), False
    cache.mkdir(parents=True, exist_ok=True)
    mark, file = cache / "pixels.json", cache / "pixels.npy"
    if (
        mark.exists()
        and file.exists()
        and mark.read_text("utf-8") == _fingerprint(shape, names, template_name)
    ):
        return np.load(file, mmap_mode="r"), True
    mark.unlink(missing_ok=True)
    return np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape), False
