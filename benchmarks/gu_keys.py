"""What keys do to a face, and whether the right one can be found: parts of ``benchmarks/gu2020.py``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image
from skimage import data

import turning
from deniable import ranks
from incog.appearance import grain, light
from incog.data.faces import align, template
from incog.perceive.detector import CenterFace
from incog.perceive.landmarks import make_landmarker
from incog.train import keyed
from incog.types import Bytes, Floats
from turning import SIDE, Turner

BITS = 8
"""Signs that are varied: the others stay."""

SWEEPS = (16, 32)
CELL = 48
"""Side of a face on the sheet, px."""

BATCHES = 4
"""Batches of eight faces that are timed."""


def neighbours(keys: Floats) -> Floats:
    """Return all keys (2^8, K) that differ from a key (K,) in its first eight signs only, in counting order."""
    result = np.repeat(keys[None], 2**BITS, 0)
    bits = np.arange(2**BITS)[:, None] >> np.arange(BITS)[None] & 1
    result[:, :BITS] = 1 - 2 * bits
    return result


def by_distance(vectors: Floats, keys: Floats, threshold: float) -> list[dict[str, float]]:
    """Return for each number of signs in which two keys differ: pairs, mean of 1 - cosine of the faces' embeddings,
    and the share above a threshold. vectors: (N, D). keys: (N, K)."""
    one, two = np.triu_indices(len(keys), 1)
    differ = (keys[one] != keys[two]).sum(1)
    alike = turning.cosines(vectors[one], vectors[two])
    return [
        {
            "signs": int(count),
            "pairs": int((differ == count).sum()),
            "distance": round(float(1 - alike[differ == count].mean()), 4),
            "same": round(float((alike[differ == count] > threshold).mean()), 4),
        }
        for count in np.unique(differ)
    ]


def merged(tables: Sequence[list[dict[str, float]]]) -> list[dict[str, float]]:
    """Return the means of several faces' tables of one shape."""
    return [
        {
            "signs": rows[0]["signs"],
            "pairs": sum(row["pairs"] for row in rows),
            "distance": round(float(np.mean([row["distance"] for row in rows])), 4),
            "same": round(float(np.mean([row["same"] for row in rows])), 4),
        }
        for rows in zip(*tables, strict=True)
    ]


class Watch:
    """Computes what somebody without the key can see in a recovery, of whom it is not known whether it is right."""

    def __init__(self) -> None:
        self._detector = CenterFace(threads=1)
        self._landmarker = make_landmarker()

    def mask(self, shown: Bytes, five: Floats) -> Bytes:
        """Return where the shown face is, (128, 128) uint8, 255 inside."""
        dense = self._landmarker.refine(shown, [five], passes=2)[0].points
        return keyed.painted(dense[None], SIDE)[0]

    def __call__(self, candidate: Bytes, shown: Bytes, mask: Bytes) -> dict[str, float]:
        """Return how likely each oracle finds a recovery (128, 128, 3), more is likelier.

        natural: CenterFace's score. background: how little changed outside of the face. seam: how smooth the rim of
        the mask is.
        """
        values, before = candidate.astype(np.float32) / 255, shown.astype(np.float32) / 255
        luma = values @ light.LUMA
        inside = mask > 127
        kernel = np.ones((9, 9), np.uint8)
        rim = (cv2.dilate(mask, kernel) > 127) & ~(cv2.erode(mask, kernel) > 127)
        steep = np.hypot(cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1))
        found = self._detector(candidate, scales=[1.0], threshold=0.1)
        return {
            "sharpness": float(grain.octaves(luma)[0][inside].std()),
            "seam": -float(steep[rim].mean()),
            "background": -float(np.abs(values - before)[~inside].mean()),
            "unlikeness to the shown face": float(np.abs(values - before)[inside].mean()),
            "natural": found[0].score if found else 0.0,
        }


def features(watch: Watch, candidate: Bytes, shown: Bytes, five: Floats) -> Floats:
    """Return what a classifier may see of a recovery and the shown face: the oracles, how fine each octave is in both,
    and both pictures made small."""
    told = watch(candidate, shown, watch.mask(shown, five))
    fine = [
        float(np.std(band))
        for one in (candidate, shown)
        for band in grain.octaves(one.astype(np.float32) @ light.LUMA / 255)[: grain.OCTAVES]
    ]
    small = turning.shrunk(np.stack([candidate, shown]), 12).astype(np.float32) / 255
    return np.concatenate([list(told.values()), np.log(np.array(fine) + 1e-4), small.ravel()]).astype(
        np.float32
    )


def ranked(
    turner: Turner, watch: Watch, shown: Bytes, five: Floats, keys: Floats, cover: Floats
) -> dict[str, list[float]]:
    """Return what each oracle says of the recoveries of a shown face under keys (N, K), the first the right one.

    cover: (128, 128), where faces were turned. cycle: how near turning the recovery again comes to the shown face.
    """
    many = np.repeat(shown[None], len(keys), 0)
    covered = np.repeat(cover[None], len(keys), 0)
    candidates = turner(many, -keys, covered)
    again = turner(candidates, keys, covered)
    mask = watch.mask(shown, five)
    told = [watch(one, shown, mask) for one in candidates]
    result = {name: [one[name] for one in told] for name in told[0]}
    errors = np.abs(again.astype(np.float32) - many).mean((1, 2, 3)) / 255
    return result | {"cycle": (-errors).tolist()}


def astronaut(whole: bool) -> tuple[Bytes, Floats, Floats]:
    """Return the face of Eileen Collins (NASA, public domain) in the template, (128, 128, 3), its points, and the mask
    in which it is turned, (128, 128)."""
    picture = np.asarray(data.astronaut(), np.uint8)
    face = CenterFace(threads=1)(picture, scales=[1.0], threshold=0.3)[0]
    assert face.points is not None
    pixels, five = align(picture, face.points, template(turning.TEMPLATE, SIDE), SIDE)
    dense = make_landmarker().refine(pixels, [five], passes=2)[0].points
    mask = keyed.painted(dense[None], SIDE)[0].astype(np.float32) / np.float32(255)
    return pixels, five, np.ones_like(mask) if whole else mask


def sheet(made: Bytes) -> Bytes:
    """Return the faces of 256 keys, (256, S, S, 3), as sixteen rows of sixteen."""
    small = turning.shrunk(made, CELL).reshape(16, 16, CELL, CELL, 3)
    return np.ascontiguousarray(small.transpose(0, 2, 1, 3, 4).reshape(16 * CELL, 16 * CELL, 3))


def part(turner: Turner, given: argparse.Namespace) -> dict[str, Any]:
    """Return the studies of keys."""
    judge = turning.judges()[0]
    everyone = turning.portraits_of(given.data, "test", 10**6, whole=given.whole)
    threshold = turning.told_apart_at(judge(everyone.pixels, everyone.points), everyone.people)
    fixed = turning.signs_of(5, 1 + given.swept, turner.width)
    watch, swept = Watch(), []
    some = slice(given.swept)
    pictures = [
        astronaut(given.whole),
        *zip(everyone.pixels[some], everyone.points[some], everyone.masks[some], strict=True),
    ]
    for number, (pixels, five, mask) in enumerate(pictures):
        keys = neighbours(fixed[number])
        many, masks = (np.repeat(item[None], len(keys), 0) for item in (pixels, mask))
        made = turner(many, keys, masks)
        if not number and given.sheet:
            Image.fromarray(sheet(made)).save(given.sheet, quality=80)
        swept.append(by_distance(judge(made, [five] * len(made)), keys, threshold))
    began, spent = time.perf_counter(), time.process_time()
    for _ in range(BATCHES):
        turner(everyone.pixels[:8], np.repeat(fixed[:1], 8, 0))
    clock, spent = ((now - then) / (8 * BATCHES) for now, then in (
        (time.perf_counter(), began), (time.process_time(), spent)
    ))  # fmt: skip
    oracles = []
    few = slice(given.ranked)
    covers = turning.covers(everyone.masks[few])
    right = turning.signs_of(6, given.ranked, turner.width)
    shown = turner(everyone.pixels[few], right, everyone.masks[few])
    for number, (picture, five, cover) in enumerate(zip(shown, everyone.points[few], covers, strict=True)):
        wrong = turning.signs_of(100 + number, given.wrong, turner.width)
        keys = np.concatenate([right[number : number + 1], wrong])
        oracles.append(ranked(turner, watch, picture, five, keys, cover))
    return {
        "neighbours": {"faces": len(swept), "threshold": round(threshold, 4), "by signs": merged(swept)},
        "sweep": {
            "seconds a face": round(clock, 4),
            "processor seconds a face": round(spent, 4),
            "seconds": {str(bits): round(2**bits * spent, 1) for bits in SWEEPS},
        },
        "ranks": {"faces": len(oracles), "wrong": given.wrong, "by oracle": ranks(oracles)},
    }
