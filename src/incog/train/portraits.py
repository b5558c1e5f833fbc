"""Portraits: faces with some surroundings and all that generative networks are conditioned on, in one small file.

``python -m incog.train.portraits --data NAME=PATH ... --out FILE`` looks at every face once with the package's own
landmark network, cuts it out in the template ``outline`` and writes: WebP pictures, where each picture ended, dense
points and pose. Embeddings and attributes are told by the package's own networks when the file is read, and kept beside
it for the next time: they belong to the networks, not to the data.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from incog import models, points
from incog.alignment import similarity
from incog.data.faces import Sample, Split, align, decode, split_of, template, workers
from incog.data.readers import read as read_sources
from incog.data.seeds import Integers
from incog.errors import InputError
from incog.perceive import attributes as attributes_module
from incog.perceive import embedder as embedder_module
from incog.perceive.attributes import OnnxAttributes
from incog.perceive.embedder import OnnxEmbedder
from incog.perceive.landmarks import DOUBTFUL, Landmarks, OnnxLandmarker
from incog.types import Array, Bytes, Floats

TEMPLATE = "outline"
SIZE = 128
QUALITY = 80
"""Of the WebP pictures."""

_VERSION = 1
_FINE = 64
"""Points are kept in steps of 1 / 64 pixel."""

_CHUNK = 64


@dataclass(frozen=True, slots=True, eq=False)
class Portraits:
    """Faces cut out alike.

    pixels: (N, 128, 128, 3) uint8 RGB in the template ``outline``. corners: (N, 4, 2) float32 px of the crop, the
    corners of the picture that it was cut from, clockwise from the upper left: beyond them its border is repeated.
    dense: (N, 130, 2) float32 px of the crop, see ``incog.points``. pose: (N, 3) float32 degrees: yaw, pitch, roll in
    the crop. embeddings: (N, D) float32 of unit norm, of the shipped embedder. attributes: (N, 9) float32 looks,
    see ``incog.perceive.attributes.LOOK``. names, sources, identities: of each; identity '' is unknown.
    """

    pixels: Bytes
    corners: Floats
    dense: Floats
    pose: Floats
    embeddings: Floats
    attributes: Floats
    names: list[str]
    sources: list[str]
    identities: list[str]

    def __len__(self) -> int:
        return len(self.names)

    def rows(self, split: Split) -> Integers:
        """Return the rows of a split, by identity where it is known, else by name: see ``incog.data.faces``."""
        parts = zip(self.sources, self.identities, self.names, strict=True)
        return np.array(
            [n for n, (s, i, name) in enumerate(parts) if split_of(i or f"{s}/{name}") == split], np.int64
        )


def inside(corners: Floats, size: int = SIZE) -> Floats:
    """Return 1 where a crop shows its picture and 0 beyond: (size, size) float32. corners: (4, 2) px of the crop."""
    canvas = np.zeros((size, size), np.uint8)
    cv2.fillPoly(canvas, [np.rint(corners * 16).astype(np.int32)], 1, lineType=cv2.LINE_8, shift=4)
    return canvas.astype(np.float32)


def write(sources: Mapping[str, Path], out: Path, *, quality: int = QUALITY) -> int:
    """Cut out the faces of all sources, write them, and return how many. What a picture hides from the landmark
    network, or shows it doubtfully, is left out. Raises InputError for a picture that cannot be read."""
    landmarker = OnnxLandmarker(models.own("landmarks"))
    rows: list[_Cut] = []
    with ThreadPoolExecutor(workers()) as pool:
        found = pool.map(lambda pair: _cut(pair[0], pair[1], landmarker, quality), _usable(sources))
        rows = [row for row in found if row is not None]
    if not rows:
        raise InputError("the data holds no faces with known points")
    table = {"version": _VERSION, "template": TEMPLATE, "size": SIZE, "faces": [row.said for row in rows]}
    arrays = {
        "offsets": np.cumsum([0, *(len(row.coded) for row in rows)]).astype(np.int64),
        "corners": np.stack([row.corners for row in rows]).astype(np.float32),
        "dense": np.rint(np.stack([row.dense for row in rows]) * _FINE).astype(np.int16),
        "pose": np.stack([row.pose for row in rows]).astype(np.float16),
    }
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as file:
        file.writestr("portraits.json", json.dumps(table), zipfile.ZIP_DEFLATED)
        file.writestr("arrays.npz", packed.getvalue())
        file.writestr("images.bin", b"".join(row.coded for row in rows))
    return len(rows)


def read(path: Path) -> Portraits:
    """Return the portraits of a file, with what the package's networks say of them.

    Raises InputError when it is none, or is damaged.
    """
    try:
        with zipfile.ZipFile(path) as file:
            table, images = json.loads(file.read("portraits.json")), file.read("images.bin")
            with np.load(io.BytesIO(file.read("arrays.npz")), allow_pickle=False) as found:
                arrays = {name: found[name] for name in ("offsets", "corners", "dense", "pose")}
        got = [table[name] for name in ("version", "template", "size")]
        faces, places = table["faces"], arrays["offsets"].tolist()
    except Exception as error:
        # NumPy and ZIP raise nearly anything of damaged files.
        raise InputError(
            f"{path.name} holds no portraits: {error}", hint="make them: python -m incog.train.portraits"
        ) from error
    if got != [_VERSION, TEMPLATE, SIZE]:
        raise InputError(
            f"{path.name} must be of version {_VERSION}, template {TEMPLATE}, {SIZE} px, got {got}"
        )
    lengths = {len(faces), len(places) - 1, *(len(arrays[name]) for name in ("corners", "dense", "pose"))}
    if lengths != {len(faces)} or places[-1] != len(images):
        raise InputError(f"{path.name} is damaged: its tables are of different lengths")
    pixels = np.empty((len(faces), SIZE, SIZE, 3), np.uint8)

    def some(rows: range) -> None:
        for row in rows:
            pixels[row] = decode(images[places[row] : places[row + 1]], f"{path.name}/{row}")

    with ThreadPoolExecutor(workers()) as pool:
        list(pool.map(some, _chunks(len(faces))))
    dense = arrays["dense"].astype(np.float32) / _FINE
    embeddings, told = _known(path, pixels, dense)
    return Portraits(
        pixels, arrays["corners"], dense, arrays["pose"].astype(np.float32), embeddings, told,
        *([str(face[column]) for face in faces] for column in range(3)),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    said: tuple[str, str, str]
    coded: bytes
    corners: Floats
    dense: Floats
    pose: Floats


def _usable(sources: Mapping[str, Path]) -> Iterator[tuple[str, Sample]]:
    for source, sample in read_sources(sources):
        if sample.points is not None and not sample.fault:
            yield source, sample


def _cut(source: str, sample: Sample, landmarker: OnnxLandmarker, quality: int) -> _Cut | None:
    image = decode(sample.read(), f"{source}/{sample.name}")
    assert sample.points is not None
    found: Landmarks = landmarker.refine(image, [sample.points], passes=2)[0]
    if found.doubt > DOUBTFUL or not np.isfinite(found.points).all():
        return None
    five = points.five(found.points)
    pixels, _ = align(image, five, template(TEMPLATE, SIZE), SIZE)
    matrix = similarity(five, template(TEMPLATE, SIZE))
    height, width = image.shape[:2]
    ends = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float32)
    turned = np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))
    ok, coded = cv2.imencode(
        ".webp", np.ascontiguousarray(pixels[..., ::-1]), [cv2.IMWRITE_WEBP_QUALITY, quality]
    )
    if not ok:
        raise InputError(f"{source}/{sample.name} cannot be coded")
    return _Cut(
        (sample.name, source, sample.identity),
        coded.tobytes(),
        ends @ matrix[:, :2].T + matrix[:, 2],
        found.points @ matrix[:, :2].T + matrix[:, 2],
        np.array([found.yaw, found.pitch, found.roll + turned], np.float32),
    )


def aligned(pixels: Bytes, dense: Floats) -> Bytes:
    """Return a portrait (128, 128, 3) as recognisers take it: (112, 112, 3) uint8."""
    matrix = similarity(points.five(dense), embedder_module.TEMPLATE)
    return np.asarray(
        cv2.warpAffine(pixels, matrix, (112, 112), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT),
        np.uint8,
    )


def _known(path: Path, pixels: Bytes, dense: Floats) -> tuple[Floats, Floats]:
    """Return embeddings and attributes: kept beside the file, or told anew where the networks or faces are others."""
    networks = {name: models.own(name) for name in (embedder_module.NAME, attributes_module.NAME)}
    seen = hashlib.sha256(b"".join(networks.values()))
    for part in (pixels, dense):
        seen.update(np.ascontiguousarray(part).data)
    digest = seen.hexdigest()
    kept = path.with_name(path.name + ".known.npz")
    try:
        with np.load(io.BytesIO(kept.read_bytes()), allow_pickle=False) as file:
            if str(file["digest"]) == digest:
                return file["embeddings"].astype(np.float32), file["attributes"].astype(np.float32)
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        pass  # Not there, or damaged: told anew.
    embed = OnnxEmbedder(networks[embedder_module.NAME], threads=1)
    look = OnnxAttributes(networks[attributes_module.NAME])

    def some(rows: range) -> tuple[Floats, Floats]:
        crops = np.stack([aligned(pixels[row], dense[row]) for row in rows])
        told = np.stack([one.look() for one in look(crops)])
        return embed(crops), told

    with ThreadPoolExecutor(workers()) as pool:
        parts = list(pool.map(some, _chunks(len(pixels))))
    embeddings, told = (np.concatenate(column) for column in zip(*parts, strict=True))
    stored: dict[str, Array] = {
        "digest": np.array(digest), "embeddings": embeddings.astype(np.float16),
        "attributes": told.astype(np.float16),
    }  # fmt: skip
    np.savez(kept, **stored)  # type: ignore[arg-type]
    return stored["embeddings"].astype(np.float32), stored["attributes"].astype(np.float32)


def _chunks(count: int) -> list[range]:
    return [range(count)[start : start + _CHUNK] for start in range(0, count, _CHUNK)]


def main(arguments: list[str] | None = None) -> None:
    """The command line: see the module."""
    parser = argparse.ArgumentParser(prog="python -m incog.train.portraits", description=__doc__)
    parser.add_argument("--data", action="append", required=True, metavar="NAME=PATH")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quality", type=int, default=QUALITY)
    given: Any = parser.parse_args(arguments)
    pairs = [item.partition("=") for item in given.data]
    count = write({name: Path(path) for name, _, path in pairs}, given.out, quality=given.quality)
    print(f"{count} portraits, {given.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
