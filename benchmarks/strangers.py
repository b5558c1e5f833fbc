"""Whether faces that never existed are somebody of the training data:
``python benchmarks/strangers.py --data LFW.zip --out benchmarks/results/strangers.json``.

New faces are drawn over held-out pictures and compared with all pictures of LFW's training part, which the generator
learnt from. Beside them the held-out pictures as they are, which show nobody of that part: how often a stranger is
taken for one of so many people by chance. Thresholds are those that one in a thousand pairs of untouched held-out
pictures of different people exceeds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import turning
from common import record, save
from gu_learnt import obfuscated
from incog.evaluate.intervals import mean_over_people
from incog.types import Floats

METHODS = ("replace", "donor")
JUDGES = ("dlib", "incog-b")
"""The generator was trained against neither."""


def taken(vectors: Floats, known: Floats, people: list[str], threshold: float) -> dict[str, Any]:
    """Return how often faces (N, D) are taken for pictures of training (M, D): ``pairs``, the share of all pairs above
    a threshold, and ``anybody``, the share of faces with one picture at least above it. people: whose scenes they are.
    """
    above = vectors @ known.T > threshold
    anybody = mean_over_people(above.any(1).astype(np.float64), people, hits=True)
    return {"anybody": turning.said(anybody), "pairs": round(float(above.mean()), 6)}


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="LFW.zip")
    parser.add_argument("--faces", type=int, default=400, help="held-out pictures")
    parser.add_argument("--known", type=int, default=10**6, help="pictures of training at most")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    result: dict[str, Any] = record()
    known = turning.portraits_of(given.data, "train", given.known)
    test = turning.portraits_of(given.data, "test", given.faces)
    shown = {"untouched": test.pixels} | {method: obfuscated(method, test) for method in METHODS}
    result |= {
        "known": len(known), "known_people": len(set(known.people)),
        "faces": len(test), "people": len(set(test.people)), "judges": {},
    }  # fmt: skip
    for judge in (one for one in turning.judges() if one.name in JUDGES):
        gallery = judge(known.pixels, known.points)
        vectors = {name: judge(pixels, test.points) for name, pixels in shown.items()}
        threshold = turning.told_apart_at(vectors["untouched"], test.people)
        result["judges"][judge.name] = {"threshold": round(threshold, 4)} | {
            name: taken(found, gallery, test.people, threshold) for name, found in vectors.items()
        }
    save(given.out, result)
    print(json.dumps(result["judges"], indent=1))


if __name__ == "__main__":
    main()
