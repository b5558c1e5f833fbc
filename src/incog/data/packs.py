"""Packs: many aligned faces with what is known about them in one small file.

A pack is a ZIP, nothing in it deflated: ``pack.json`` (``Header``), ``labels.csv`` (file, source, identity and the
labels, one row for each face), ``rejected.csv`` (source, file, reason), ``arrays.npz`` (points (N, 5, 2) float32 in
pixels of the crop, offsets (N + 1,) int64, embeddings (N, D) float16 where a teacher gave them) and ``images.bin`` (one
WebP after the other; that of face n lies from offsets[n] to offsets[n + 1]).
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from incog.data import tables
from incog.data.faces import Sample
from incog.data.seeds import Integers
from incog.errors import InputError
from incog.types import Array, Floats

VERSION = 1
HEADER, LABELS, REJECTED, ARRAYS, IMAGES = (
    "pack.json",
    "labels.csv",
    "rejected.csv",
    "arrays.npz",
    "images.bin",
)

_EPOCH = (1980, 1, 1, 0, 0, 0)


class Teacher(BaseModel):
    """Which recogniser the embeddings are of. sha256: of its file, '' where unknown. dimensions: of an embedding."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    sha256: str
    dimensions: int


class Source(BaseModel):
    """What a pack holds of a source. people: how many different known identities. rejected: faces, by reason."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    layout: str
    terms: str
    faces: int
    people: int
    rejected: dict[str, int]


class Header(BaseModel):
    """What a pack is. quality: of the WebP, 1..100; 0 where the pictures were taken over from other packs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int
    template: str
    size: int
    quality: int
    faces: int
    teacher: Teacher | None
    sources: dict[str, Source]


class Writer:
    """Writes a pack: ``add`` for each face, then ``finish``. The same calls make the same bytes."""

    def __init__(self, path: Path) -> None:
        self._file = zipfile.ZipFile(path, "w", zipfile.ZIP_STORED)
        self._images = self._file.open(zipfile.ZipInfo(IMAGES, _EPOCH), "w", force_zip64=True)
        self._offsets = [0]
        self._points: list[Floats] = []
        self._rows: list[tuple[str, Sample]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._images.close()
        self._file.close()

    def add(self, source: str, sample: Sample, coded: bytes, points: Floats) -> None:
        """Add a face. coded: the crop as WebP. points: (5, 2) float32 px of the crop."""
        self._images.write(coded)
        self._offsets.append(self._offsets[-1] + len(coded))
        self._points.append(points)
        self._rows.append((source, sample))

    def finish(
        self, header: Header, embeddings: Array | None, rejected: Sequence[tuple[str, str, str]]
    ) -> None:
        """Write the rest. embeddings: (N, D) float16 or None. rejected: (source, file, reason)."""
        self._images.close()
        labels = sorted({key for _, sample in self._rows for key in sample.labels or ()})
        if taken := {"file", "source", "identity"} & set(labels):
            raise InputError(
                f"no label may be named {min(taken)!r}: a pack has a column of that name already"
            )
        rows = (
            (sample.name, source, sample.identity, *((sample.labels or {}).get(key, "") for key in labels))
            for source, sample in self._rows
        )
        arrays: dict[str, Array] = {
            "points": np.array(self._points, np.float32).reshape(-1, 5, 2),
            "offsets": np.array(self._offsets, np.int64),
        }
        if embeddings is not None:
            arrays["embeddings"] = embeddings
        self._member(LABELS, _csv(("file", "source", "identity", *labels), rows))
        self._member(REJECTED, _csv(("source", "file", "reason"), rejected))
        self._member(ARRAYS, _npz(arrays))
        self._member(HEADER, (header.model_dump_json(indent=2) + "\n").encode())

    def _member(self, name: str, data: bytes) -> None:
        self._file.writestr(zipfile.ZipInfo(name, _EPOCH), data)


def held(path: Path) -> list[str]:
    """Return the names of the sources that a pack holds; none when the file is not a pack."""
    if not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as file:
        if HEADER not in file.namelist():
            return []
    return list(read_header(path).sources)


def read_header(path: Path) -> Header:
    """Return what a pack says of itself. Raises InputError when the file is not a pack of this version."""
    try:
        with zipfile.ZipFile(path) as file:
            return _header(path, file.read(HEADER))
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a pack: {error}") from error


def samples(path: Path) -> Iterator[tuple[str, Sample]]:
    """Yield (source, sample) of a pack, with the sources that it was packed from.

    Raises InputError that names the pack when it is damaged or of another version.
    """
    try:
        with zipfile.ZipFile(path) as file:
            header = _header(path, file.read(HEADER))
            labels, images, packed = file.read(LABELS), file.read(IMAGES), file.read(ARRAYS)
        with np.load(io.BytesIO(packed)) as found:
            points, offsets = found["points"], found["offsets"]
            embeddings = found["embeddings"] if "embeddings" in found.files else None
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"the pack {path} is damaged: {error}", hint="make it again: incog train pack"
        ) from error
    rows = [row for _, row in tables.labels(labels, f"{path.name}/{LABELS}")]
    whole = (
        len(rows) == header.faces
        and points.shape == (len(rows), 5, 2)
        and offsets.shape == (len(rows) + 1,)
        and (embeddings is None or embeddings.shape[:1] == (len(rows),))
        and bool((np.diff(offsets) > 0).all())
        and (offsets[0], offsets[-1]) == (0, len(images))
    )
    if not whole:
        raise InputError(
            f"the pack {path} is damaged: it does not hold {header.faces} faces throughout",
            hint="make it again: incog train pack",
        )
    places = offsets.tolist()
    for number, row in enumerate(rows):
        name, source, identity = row.pop("file"), row.pop("source", ""), row.pop("identity", "")
        vector = None if embeddings is None else embeddings[number]
        yield (
            source,
            Sample(
                name=name,
                read=partial(_part, images, places[number], places[number + 1]),
                identity=identity,
                labels=row,
                points=points[number],
                embedding=None if vector is None or np.isnan(vector).any() else vector,
                aligned=(header.template, header.size),
            ),
        )


def _part(data: bytes, start: int, stop: int) -> bytes:
    return data[start:stop]


def _header(path: Path, data: bytes) -> Header:
    try:
        found = json.loads(data)
        version = found.get("version") if isinstance(found, dict) else None
        if version != VERSION:
            raise InputError(f"the pack {path} must be of version {VERSION}, got {version!r}")
        return Header.model_validate(found)
    except (ValueError, ValidationError) as error:
        raise InputError(f"the {HEADER} of {path} cannot be read: {error}") from error


def _csv(heading: Sequence[str], rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heading)
    writer.writerows(rows)
    return text.getvalue().encode()


def _npz(arrays: Mapping[str, Array | Integers]) -> bytes:
    """Return the arrays as an .npz, always the same bytes; NumPy's own would hold the time."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as file:
        for name, values in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(values), allow_pickle=False)
            file.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), member.getvalue())
    return data.getvalue()
