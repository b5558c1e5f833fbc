"""Readers of face datasets: each yields the samples of one layout, undecoded."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from incog.errors import InputError
from incog.train.faces import Sample


def read(sources: Mapping[str, Path]) -> Iterator[tuple[str, Sample]]:
    """Yield (source, sample) of all sources in order. Raises InputError that names the source and what is wrong."""
    for source, path in sources.items():
        for sample in archive(path):
            yield source, sample


def archive(path: Path) -> Iterator[Sample]:
    """Yield the samples of a ZIP with ``labels.csv`` (column ``file``), and of its teacher beside it.

    The teacher is ``STEM-teacher.npz`` with one row per picture: name, points (5, 2), embedding (D).
    """
    teacher = path.with_name(f"{path.stem}-teacher.npz")
    points, embeddings = {}, {}
    if teacher.exists():
        with np.load(teacher) as rows:
            names = [str(name) for name in rows["name"]]
            good = ~np.isnan(rows["points"]).any((1, 2))
            points = {name: row for name, row, ok in zip(names, rows["points"], good, strict=True) if ok}
            embeddings = {
                name: row for name, row, ok in zip(names, rows["embedding"], good, strict=True) if ok
            }
    try:
        file = zipfile.ZipFile(path)
        table = list(csv.DictReader(io.StringIO(file.read("labels.csv").decode("utf-8"))))
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a ZIP with a labels.csv: {error}") from error
    for row in table:
        name = row.pop("file")
        yield Sample(
            name=name,
            read=lambda name=name: file.read(name),
            identity=row.pop("identity", "") or "",
            labels={key: value or "" for key, value in row.items()},
            points=points.get(name),
            embedding=embeddings.get(name),
        )
