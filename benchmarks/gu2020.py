"""The tables of Gu, Luo, Ryoo, Lee (Password-conditioned anonymization and deanonymization with face identity
transformers, ECCV 2020) for our transformer:

    python benchmarks/gu2020.py --data LFW.zip --out benchmarks/results/gu2020.json [--part faces ...]

Faces of held-out people of LFW, crops in the template ``outline`` at 128 px. What is inside of a mask is turned, much
as in use, or with ``--whole`` all of the crop, as published. I is the original, A what the key makes of it, R what the
negative key makes of A, WR what the negative of a wrong key makes of A. Parts: ``faces`` (verification, shifts,
variety), ``learnt`` (networks that learn to bring back the original, and to read the key) and ``keys`` (neighbouring
keys, sweeps, ranks). Each is written as soon as it is there, with its commit; parts that are not named are kept as they
were.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import gu_keys
import gu_learnt
import turning
from common import record, save
from deniable import hash_of, told_apart
from incog.evaluate import quality
from incog.evaluate.intervals import mean_over_people
from incog.evaluate.supplied import Lpips
from incog.evaluate.verification import scores
from incog.perceive.detector import CenterFace
from incog.perceive.landmarks import make_landmarker
from incog.types import Bytes, Face, Floats
from turning import Portraits, Turned, Turner

KEYS = 8
"""Keys that variety is measured over."""

THEIR_ZOOM = 128 / 250
"""Px of their pictures to one of LFW's."""


def verification(
    untouched: Floats, stages: Mapping[str, Floats], people: list[str], threshold: float
) -> dict[str, Any]:
    """Return what a recogniser takes for one person, as shares of pairs above its threshold.

    untouched: (N, D) embeddings of I. stages: the same of A (``a``), of A under another key (``b``), of R and of WR.
    people: of each row. ``other picture``: of a stage and another untouched picture of the same person.
    """

    def share(first: Floats, second: Floats, of: Sequence[str]) -> dict[str, Any]:
        found = turning.cosines(first, second)
        figure = mean_over_people((found > threshold).astype(np.float64), of, hits=True)
        return turning.said(figure) | {"cosine": round(float(found.mean()), 4)}

    one, two = turning.rows_of(people)
    names = [people[row] for row in one]
    genuine, _ = scores(untouched, people)
    return {
        "threshold": round(threshold, 4),
        "untouched": round(float((genuine > threshold).mean()), 4),
        "I and A": share(untouched, stages["a"], people),
        "I and R": share(untouched, stages["r"], people),
        "I and WR": share(untouched, stages["wr"], people),
        "WR and A": share(stages["wr"], stages["a"], people),
        "A and A of another key": share(stages["a"], stages["b"], people),
        "other picture and I": share(untouched[one], untouched[two], names),
        "other picture and A": share(untouched[one], stages["a"][two], names),
        "other picture and R": share(untouched[one], stages["r"][two], names),
        "other picture and WR": share(untouched[one], stages["wr"][two], names),
    }


def shift(before: Sequence[Face | None], after: Sequence[Face | None], people: list[str]) -> dict[str, Any]:
    """Return in what share of pictures a face is found, and how far box and points moved: the mean absolute
    difference of coordinates in px, over those with a face before and after."""
    triples = zip(before, after, people, strict=True)
    pairs = [(one, two, who) for one, two, who in triples if one is not None and two is not None]
    names = [who for *_, who in pairs]
    boxes = np.array([np.abs(np.subtract(one.box, two.box)).mean() for one, two, _ in pairs])
    points = np.array([np.abs(np.subtract(one.points, two.points)).mean() for one, two, _ in pairs])
    return {
        "found": round(sum(face is not None for face in after) / len(after), 4),
        "box": turning.said(mean_over_people(boxes, names)),
        "points": turning.said(mean_over_people(points, names)),
    }


def shifts(portraits: Portraits, turned: Turned) -> dict[str, Any]:
    """Return the shifts by CenterFace, and by the landmark network, which had a part in training."""
    detector = CenterFace(threads=1)

    def seen(pixels: Bytes) -> list[Face | None]:
        return [next(iter(detector(one, scales=[1.0], threshold=0.3)), None) for one in pixels]

    before = seen(portraits.pixels)
    landmarker, dense = make_landmarker(), {}
    stages = {"A": turned.first, "R": turned.right, "WR": turned.wrong}
    for name, pixels in stages.items():
        found = [
            landmarker.refine(one, [five], passes=2)[0].points
            for one, five in zip(pixels, portraits.points, strict=True)
        ]
        moved = np.abs(np.stack(found) - portraits.dense).mean((1, 2))
        dense[name] = turning.said(mean_over_people(moved, portraits.people))
    return {
        "found before": round(sum(face is not None for face in before) / len(before), 4),
        "centerface": {
            name: shift(before, seen(pixels), portraits.people) for name, pixels in stages.items()
        },
        "landmarks": dense,
        "scale": round(float(THEIR_ZOOM / portraits.zoom.mean()), 4),
    }


def variety(turner: Turner, portraits: Portraits, untouched: Floats, faces: int) -> dict[str, Any]:
    """Return the mean of 1 - cosine between what several keys make of a face, by dlib; beside it, the same between
    untouched pictures of one person and of different people."""
    judge = turning.judges()[0]
    rows = np.arange(min(faces, len(portraits)))
    keys = turning.signs_of(4, KEYS * len(rows), turner.width)
    pixels, masks = (np.repeat(item[rows], KEYS, 0) for item in (portraits.pixels, portraits.masks))
    made = turner(pixels, keys, masks)
    vectors = judge(made, np.repeat(portraits.points[rows], KEYS, 0)).reshape(len(rows), KEYS, -1)
    values = np.array([quality.diversity(some) for some in vectors])
    same, different = scores(untouched, portraits.people)
    return {
        "keys": KEYS,
        "faces": len(rows),
        "between keys": turning.said(mean_over_people(values, [portraits.people[row] for row in rows])),
        "one person": round(float(1 - same.mean()), 4),
        "different people": round(float(1 - different.mean()), 4),
    }


def apart(portraits: Portraits, turned: Turned) -> dict[str, Any]:
    """Return how well classifiers tell R from WR by the picture, its A and what the oracles say of both, on people
    that they were not trained on."""
    watch = gu_keys.Watch()
    both = []
    for pictures in (turned.right, turned.wrong):
        both.append(np.stack([
            gu_keys.features(watch, picture, first, five)
            for picture, first, five in zip(pictures, turned.first, portraits.points, strict=True)
        ]))  # fmt: skip
    return told_apart(both[0], both[1], [hash_of(name) for name in portraits.people])


def faces_part(turner: Turner, given: argparse.Namespace) -> dict[str, Any]:
    """Return verification, shifts and variety."""
    everyone = turning.portraits_of(given.data, "test", 10**6)
    chosen = turning.portraits_of(given.data, "test", given.faces, whole=given.whole)
    turned = turning.turned_of(turner, chosen.pixels, chosen.masks)
    verified, dlib = {}, None
    for judge in turning.judges():
        threshold = turning.told_apart_at(judge(everyone.pixels, everyone.points), everyone.people)
        untouched = judge(chosen.pixels, chosen.points)
        pictures = {"a": turned.first, "b": turned.other, "r": turned.right, "wr": turned.wrong}
        stages = {name: judge(pixels, chosen.points) for name, pixels in pictures.items()}
        verified[judge.name] = verification(untouched, stages, chosen.people, threshold)
        if judge.name == "dlib":
            dlib = untouched
    assert dlib is not None
    return {
        "faces": len(chosen),
        "people": len(set(chosen.people)),
        "verification": verified,
        "shift": shifts(chosen, turned),
        "variety": variety(turner, chosen, dlib, 48),
        "told apart": apart(chosen, turned),
    }


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="LFW.zip")
    parser.add_argument(
        "--network", type=Path, help="the transformer's ONNX file, by default the one that ships"
    )
    parser.add_argument(
        "--whole", action="store_true", help="the network replaces whole crops, not what is inside of masks"
    )
    parser.add_argument("--part", action="append", choices=PARTS, help="by default all")
    parser.add_argument("--faces", type=int, default=400, help="held-out faces")
    parser.add_argument(
        "--train", type=int, default=3000, help="faces of other people that attackers learn from"
    )
    parser.add_argument("--steps", type=int, default=600, help="steps of each U-Net")
    parser.add_argument("--rounds", type=int, default=5, help="passes over the faces to learn to read keys")
    parser.add_argument("--wrong", type=int, default=200, help="wrong keys that a right one is ranked among")
    parser.add_argument("--ranked", type=int, default=12, help="faces whose right keys are ranked")
    parser.add_argument("--swept", type=int, default=4, help="faces that see 256 neighbouring keys")
    parser.add_argument("--lpips", type=Path, help="see incog evaluate --lpips")
    parser.add_argument("--lpips-weights", type=Path)
    parser.add_argument("--sheet", type=Path, help="where the picture of 256 keys goes")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    turner = turning.make_turner(given.network)
    given.lpips = given.lpips and Lpips(given.lpips, weights=given.lpips_weights)
    for name in given.part or PARTS:
        origin = record()
        found = PARTS[name](turner, given)
        result = json.loads(given.out.read_text("utf-8")) if given.out.exists() else {}
        result[name] = origin | {"network_sha256": turner.sha256, "whole": given.whole} | found
        save(given.out, result)
        print(json.dumps({name: found}, indent=1), flush=True)


PARTS = {"faces": faces_part, "learnt": gu_learnt.part, "keys": gu_keys.part}


if __name__ == "__main__":
    main()
