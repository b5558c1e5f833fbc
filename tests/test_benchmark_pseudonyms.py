"""The benchmark of pseudonyms: what it counts, and the section of the page that it becomes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import pseudonyms
import tables_people as tables
from incog.evaluate.recognisers import Recogniser
from incog.parallel import Job
from incog.pseudonyms import File
from incog.types import Bytes, Floats


def files(people: str) -> list[File]:
    return [
        File(Path(name) / f"{n}.png", Job(n, Path(), Path(), follow=True)) for n, name in enumerate(people)
    ]


def test_purity_and_completeness_are_those_of_the_definition() -> None:
    found = pseudonyms.clusters(files("aaabbc"), {0: 1, 1: 1, 2: 2, 3: 3, 4: 3, 5: 3}, 0.05)
    assert (found["pictures"], found["people"], found["clusters"]) == (6, 3, 3)
    assert found["purity"] == pytest.approx(5 / 6, abs=1e-4)
    assert found["completeness"] == pytest.approx(5 / 6, abs=1e-4)
    assert (found["people_whole"], found["clusters_of_several_people"]) == (2, 1)
    whole = pseudonyms.clusters(files("aabb"), {0: 1, 1: 1, 2: 2, 3: 2}, 0.05)
    assert (whole["purity"], whole["completeness"]) == (1, 1)


class Whole:
    """Takes the whole picture for who it is."""

    name = "whole"

    def __call__(self, pictures: list[Bytes], points: list[Floats]) -> Floats:
        rows = np.stack([picture.ravel().astype(np.float32) for picture in pictures]) - 127.5
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def picture(person: int, seed: int, after: int, *, filled: bool = False) -> pseudonyms.Picture:
    def drawn(number: int, noise: int) -> Bytes:
        whole = np.random.default_rng(number).integers(0, 255, (8, 8, 3))
        return np.clip(whole + np.random.default_rng(noise).normal(size=(8, 8, 3)), 0, 255).astype(np.uint8)

    hull = np.array([[0, 0], [8, 0], [8, 8], [0, 8]], np.float32)
    five = np.zeros((5, 2), np.float32)
    return pseudonyms.Picture(
        str(person), drawn(person, seed), drawn(after, seed), five, hull, filled
    )  # fmt: skip


@pytest.mark.parametrize("only", [False, True])
def test_pairs_are_counted_by_kind(only: bool) -> None:
    together = [picture(person, 3 * person + n, 100 + person) for person in range(12) for n in range(3)]
    apart = [picture(person, 3 * person + n, 200 + 3 * person + n) for person in range(12) for n in range(3)]
    together[0] = picture(0, 0, 100, filled=True)
    found = pseudonyms.rates(together, apart, cast("Recogniser", Whole()), only=only)
    assert found["untouched, one person"] == {"pairs": 36, "share": 1.0}
    assert found["untouched, different people"]["share"] <= 0.002
    assert found["pseudonyms, one person"] == {"pairs": 34, "share": 1.0}
    assert found["pseudonyms, different people"]["pairs"] == 35 * 34 // 2 - 34
    assert found["a face for every picture, one person"]["share"] <= 0.1
    assert found["new face and the person's other pictures"]["pairs"] == 35 * 2


def test_the_page_shows_what_was_measured() -> None:
    kinds = {
        name: {"pairs": 10, "share": share}
        for name, share in {
            "untouched, one person": 0.9,
            "untouched, different people": 0.001,
            "pseudonyms, one person": 0.81,
            "pseudonyms, different people": 0.02,
            "a face for every picture, one person": 0.33,
            "a face for every picture, different people": 0.01,
            "new face and the person's other pictures": 0.04,
        }.items()
    }
    cluster = {
        "risk": 0.05,
        "pictures": 350,
        "people": 100,
        "clusters": 180,
        "purity": 0.99,
        "completeness": 0.75,
        "people_whole": 40,
        "clusters_of_several_people": 1,
    }
    machine = {"processor": "P", "cores": 2}
    result: dict[str, Any] = {
        "commit": "c" * 40,
        "changed_files": 0,
        "date": "2026-01-01",
        "machine": machine,
        "versions": {"python": "3", "onnxruntime": "1", "av": "1"},
        "command": "python",
        "people": 100,
        "pictures": 350,
        "clusters": [cluster],
        "faces": {
            "replace": {
                "people": 120, "redrawn": 3, "alike": 1, "pictures": 350, "filled": 20,
                "dlib": {"whole crop": {"level": 0.9, **kinds}},
            }
        },
    }  # fmt: skip
    text = tables.pseudonyms(result)
    assert "| 0.05 | 180 | 99.0% | 75.0% | 40 | 1 |" in text
    assert "| `replace` | dlib | whole crop | 90.0% | 81.0% | 33.0% | 2.0% | 1.0% | 4.0% |" in text
    assert "3 drawn anew, 1 still like another's, 20 of 350 pictures" in text
