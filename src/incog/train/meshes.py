"""Labels of the mesh teacher: read, joined with their pictures, and where those pictures end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from incog import points as dense
from incog.data.faces import Sample
from incog.data.readers import read
from incog.errors import InputError
from incog.types import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """points: (130, 2) float32 px of the picture. pose: (3,) degrees. quality: 0..1. size: width, height in px."""

    points: Floats
    pose: Floats
    quality: float
    size: tuple[int, int]


def read_labels(path: Path) -> dict[tuple[str, str], Label]:
    """Return the rows of a file of ``incog.train.teachers mesh`` by (source, name). Raises InputError."""
    try:
        with np.load(path) as file:
            rows = {key: file[key] for key in ("name", "source", "points", "pose", "quality", "size")}
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path} holds no mesh labels: {error}", hint="make them: python -m incog.train.teachers mesh"
        ) from error
    if rows["points"].shape[1:] != (dense.COUNT, 2):
        raise InputError(
            f"{path} must hold points of shape (N, {dense.COUNT}, 2), got {rows['points'].shape}"
        )
    return {
        (str(rows["source"][n]), str(rows["name"][n])): Label(
            rows["points"][n],
            rows["pose"][n],
            float(rows["quality"][n]),
            (int(rows["size"][n, 0]), int(rows["size"][n, 1])),
        )
        for n in range(len(rows["name"]))
    }


def labelled(
    sources: Mapping[str, Path], labels: Mapping[tuple[str, str], Label], least: float
) -> Iterator[tuple[str, Sample]]:
    """Yield the samples that the teacher is sure of, with its own five points to align by."""
    for source, sample in read(sources):
        label = labels.get((source, sample.name))
        if label is not None and label.quality >= least:
            yield source, replace(sample, points=dense.five(label.points), embedding=None)


def inside(label: Label) -> Floats:
    """Return 1 for the points that lie in the picture, else 0: (130,) float32."""
    x, y = label.points.T
    within = (x >= 0) & (y >= 0) & (x <= label.size[0] - 1) & (y <= label.size[1] - 1)
    return np.asarray(within, np.float32)


def borders(matrix: Floats, size: tuple[int, int], half: float) -> Floats:
    """Return (2, 3): from half sides of the stored crop to the picture, whose borders lie at -1 and 1."""
    whole = np.vstack([matrix, [0, 0, 1]])
    crop = np.array([[half, 0, half - 0.5], [0, half, half - 0.5], [0, 0, 1]])
    picture = np.array([[2 / size[0], 0, 1 / size[0] - 1], [0, 2 / size[1], 1 / size[1] - 1], [0, 0, 1]])
    return np.asarray((picture @ np.linalg.inv(whole) @ crop)[:2], np.float32)
