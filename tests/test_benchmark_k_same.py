"""The benchmark of k-Same: what it counts, and the section of the page that it becomes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import k_same
import tables_people as tables
from incog import geometry
from incog.evaluate.samples import Item
from incog.methods import aligned, eigenspace, make
from incog.perceive.hulls import FaceHulls
from incog.types import Bytes, Face, Floats


def test_ties_are_split_among_all_who_are_alike() -> None:
    people = [str(number) for number in range(6)]
    eye = np.eye(6, dtype=np.float32)
    assert k_same.rank1(eye, eye, people) == 1
    alike = np.repeat(eye[:2], 3, 0)
    assert k_same.rank1(alike, alike, people) == pytest.approx(1 / 3)
    assert k_same.rank1(np.roll(eye, 1, 0), eye, people) == 0


def drawn(count: int) -> list[Item]:
    """Return pictures of people who do not exist."""
    points = aligned.goal(128) + 16
    face = Face((42.0, 36.0, 118.0, 140.0), 0.9, points)
    matrix = aligned.placed(points, 64)
    assert matrix is not None
    basis = eigenspace.shipped()
    found = []
    for number in range(count):
        code = np.random.default_rng(number).normal(size=40) * basis.deviations[:40]
        canvas = np.full((160, 160, 3), 0.4, np.float32)
        head = np.clip(basis.decode(code.astype(np.float32)), 0, 1)
        aligned.lay(canvas, np.ones((160, 160), np.float32), head, matrix)
        picture = np.rint(canvas * 255).astype(np.uint8)
        found.append(
            Item(f"drawn/{number}", f"person {number}", picture, [face], points, geometry.hull(face))
        )
    return found


def test_a_release_is_one_picture_per_group() -> None:
    items = drawn(9)
    method: Any = make("k-same-pixel", {"k": "4"})
    release = k_same.Shared(method, items, FaceHulls(None))
    assert (release.distinct, release.fewest) == (2, 4)
    assert sorted(np.bincount(release.groups).tolist()) == [4, 5]

    class Means:
        def __call__(self, pictures: list[Bytes], points: list[Floats]) -> Floats:
            return np.stack([picture.mean((0, 1)) for picture in pictures]).astype(np.float32)

    rows = release.rows(Means())  # type: ignore[arg-type]
    assert len(np.unique(rows, axis=0)) == 2


def test_the_section_says_how_many_rows_keep_the_bound() -> None:
    figure = {
        "method": "k-same-pixel",
        "k": 5,
        "bound": 0.24,
        "kept": True,
        "rank1": {"dlib": {"plain": 0.012}},
    }
    result = {
        "people": 1144, "untouched": {"dlib": 0.9}, "figures": [figure, {**figure, "k": 10, "kept": False}],
        "machine": {"processor": "one", "cores": 2}, "changed_files": 0, "commit": "c" * 40, "command": "python x",
        "versions": {"python": "3", "onnxruntime": "1", "av": "16"}, "date": "2026-01-01T00:00:00",
    }  # fmt: skip
    text = tables.k_same(result)
    assert "| `k-same-pixel` | 5 | 24.0% | – | 1.2% |" in text
    assert "1 of 2 rows keep it" in text
