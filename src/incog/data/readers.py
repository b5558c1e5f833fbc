"""Readers of face datasets: each yields the samples of one layout, undecoded."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from incog.data import layouts, packs, tables
from incog.data.faces import Sample
from incog.errors import InputError
from incog.types import Floats

LAYOUTS: dict[str, Callable[[Path], Iterator[Sample]]] = {
    "archive": lambda path: archive(path),
    "lfw": layouts.lfw,
    "utkface": layouts.utkface,
    "celeba": layouts.celeba,
    "people": layouts.people,
    "ffhq": layouts.images,
    "images": layouts.images,
}
"""Name that ``LAYOUT:PATH`` may say -> reader. A ``pack`` is read by ``packs.samples``: it knows its own sources."""


def read(sources: Mapping[str, Path]) -> Iterator[tuple[str, Sample]]:
    """Yield (source, sample) of all sources in order; of a pack, with the sources that it was packed from.

    A path may begin with the name of its layout: ``people:PATH``. Numbered people of folders belong to their source:
    their identity is ``SOURCE/NUMBER``, for person 45 of one dataset is not that of another.
    Raises InputError that names the file and what is wrong.
    """
    for source, path in sources.items():
        layout, root = find(path)
        if layout == "pack":
            yield from packs.samples(root)
            continue
        numbered = layout in ("celeba", "people")
        for sample in LAYOUTS[layout](root):
            if numbered and any(character.isdigit() for character in sample.identity):
                sample = replace(sample, identity=f"{source}/{sample.identity}")
            yield source, sample


def located(path: Path) -> tuple[str, Path]:
    """Return the layout that a path begins with, '' when it names none, and the path without it."""
    layout, mark, rest = str(path).partition(":")
    if mark and layout in (*LAYOUTS, "pack") and not path.exists():
        return layout, Path(rest)
    return "", path


def find(path: Path) -> tuple[str, Path]:
    """Return the layout of a source and where it lies. Raises InputError when it is none that can be read."""
    layout, root = located(path)
    if layout:
        return layout, root
    if path.is_dir():
        return layouts.recognise(path)
    if not path.exists():
        raise InputError(f"{path} does not exist")
    try:
        with zipfile.ZipFile(path) as file:
            names = set(file.namelist())
    except (OSError, zipfile.BadZipFile) as error:
        raise _unknown(path) from error
    if packs.HEADER in names:
        return "pack", path
    if "labels.csv" in names:
        return "archive", path
    raise _unknown(path)


def archive(path: Path) -> Iterator[Sample]:
    """Yield the samples of a ZIP or folder with ``labels.csv`` (column ``file``), and of its teacher beside it.

    The teacher is ``STEM-teacher.npz`` with one row per picture: name, points (5, 2), embedding (D), maybe score.
    """
    stem = path.name if path.is_dir() else path.stem
    teacher = _teacher(path.with_name(f"{stem}-teacher.npz"))
    data, present, reader = _folder(path) if path.is_dir() else _zip(path)
    seen: set[str] = set()
    for line, row in tables.labels(data, f"{path.name}/labels.csv"):
        name = row.pop("file")
        if not name or name in seen:
            problem = f"{name} is there twice" if name else "column file is empty"
            raise InputError(f"{path.name}/labels.csv, line {line}: {problem}")
        seen.add(name)
        points, embedding, score = teacher.get(name, (None, None, None))
        yield Sample(
            name=name,
            read=_reading(reader, path, name),
            identity=row.pop("identity", ""),
            labels=row,
            points=points,
            embedding=embedding,
            score=score,
            fault="" if present(name) else f"labels.csv names it, but {path.name} does not hold it",
        )


_Opened = tuple[bytes, Callable[[str], bool], Callable[[str], bytes]]


def _folder(path: Path) -> _Opened:
    """Return the table, what says whether a picture is there, and what reads it."""
    return (
        (path / "labels.csv").read_bytes(),
        lambda name: (path / name).is_file(),
        lambda name: (path / name).read_bytes(),
    )


def _zip(path: Path) -> _Opened:
    try:
        file = zipfile.ZipFile(path)
        return file.read("labels.csv"), set(file.namelist()).__contains__, file.read
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a ZIP with a labels.csv: {error}") from error


def _teacher(path: Path) -> dict[str, tuple[Floats, Floats, float | None]]:
    """Return points, embedding and score by name, of the faces that the teacher found."""
    if not path.exists():
        return {}
    try:
        with np.load(path) as rows:
            names, points, embeddings = rows["name"], rows["points"], rows["embedding"]
            scores = rows["score"] if "score" in rows.files else np.full(len(names), np.nan)
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a teacher's name, points and embedding: {error}") from error
    if points.shape != (len(names), 5, 2) or embeddings.ndim != 2 or len(embeddings) != len(names):
        raise InputError(
            f"{path} must have points (N, 5, 2) and embedding (N, D) for {len(names)} names, "
            f"got {points.shape} and {embeddings.shape}"
        )
    good = ~np.isnan(points).any((1, 2))
    return {
        str(names[row]): (points[row], embeddings[row], None if np.isnan(scores[row]) else float(scores[row]))
        for row in np.nonzero(good)[0]
    }


def _reading(reader: Callable[[str], bytes], path: Path, name: str) -> Callable[[], bytes]:
    def read_one() -> bytes:
        try:
            return reader(name)
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise InputError(f"{name} in {path} cannot be read: {error}") from error

    return read_one


def _unknown(path: Path) -> InputError:
    return InputError(
        f"{path} is no folder, no pack and no ZIP with a labels.csv", hint=f"looked for: {layouts.LOOKED_FOR}"
    )
