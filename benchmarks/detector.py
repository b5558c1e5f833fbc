"""incog's own detector beside CenterFace and YuNet: what each finds, what it makes up, how long it takes.

``python benchmarks/detector.py --out benchmarks/results/detector.json``

Collages are of people that no training picture shows (the test split of the sets) over photos of scikit-image,
which no training picture shows either. A face counts from 7 px of its longer side, when 45 % of it can be seen; it
is found by a box with an intersection over union of .5. Their boxes are those that CenterFace drew on the larger
source pictures: so is YuNet's convention, a little smaller, at a disadvantage. Photos have boxes drawn by hand.
Pictures without faces are frames of films and photos: every box in them is false.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime
from PIL import Image

import clips
import common
import heads
import photos
from incog.perceive.detector import CenterFace, Detector, Light, merge
from incog.perceive.search import Searcher
from incog.train.canvas import Collage
from incog.train.collages import Maker
from incog.train.cutouts import Scenes, load
from incog.types import Face, Frame, Layout

Picture = npt.NDArray[np.uint8]
SIDE = 384
BINS = (7, 10, 14, 20, 40, 80, 160, 400)
THRESHOLDS = (0.25, 0.4, 0.5, 0.65)
CASCADE = (2.0, 1.0, 0.5)
"""Scales at which a frame is searched closely."""


class YuNet:
    """YuNet (Wu, Peng, Yu 2023) run by ONNX Runtime; one scale only."""

    name = "yunet"

    def __init__(self, threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        path = heads.SHARED / "weights" / "yunet.onnx"
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def __call__(self, rgb: Picture, *, scales: Sequence[float], threshold: float) -> list[Face]:
        """Return the faces, see ``incog.perceive.detector.Detector``."""
        (scale,) = scales
        size = (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale))
        high, wide = (-(-side // 32) * 32 for side in reversed(size))
        padded = np.zeros((1, 3, high, wide), np.float32)
        padded[0, :, : size[1], : size[0]] = cv2.resize(rgb, size)[..., ::-1].transpose(2, 0, 1)
        outputs = [output[0] for output in self._session.run(None, {self._input: padded})]
        found = []
        for level, stride in enumerate((8, 16, 32)):
            kind, sure, boxes = (outputs[level + 3 * part] for part in range(3))
            scores = np.sqrt(np.clip(kind[:, 0], 0, 1) * np.clip(sure[:, 0], 0, 1))
            for row in np.flatnonzero(scores >= threshold):
                x, y = (np.array([row % (wide // stride), row // (wide // stride)]) + boxes[row, :2]) * stride
                half = np.exp(boxes[row, 2:]) * stride / 2
                corners = np.array([x - half[0], y - half[1], x + half[0], y + half[1]]) / scale
                found.append(Face(tuple(corners.tolist()), float(scores[row])))
        return merge(found)


def test_collages(count: int) -> list[Collage]:
    """Return collages of people and photos that no training saw."""
    sources = {name: heads.DATA / f"{name}.zip" for name in ("lfw", "synthetic", "utkface")}
    cutouts = load(sources, "test", limit=300, cache=common.ROOT / "runs" / "detector" / "cache")
    scenes = Scenes([clips._photo(name) for name in clips.PHOTOS], [])
    maker = Maker(cutouts, scenes, seed=2**31 - 7)
    return [maker.draw(np.random.default_rng([99, number]), SIDE) for number in range(count)]


def judge(detector: Detector, collages: Sequence[Collage], scales: Sequence[float]) -> dict[str, Any]:
    """Return recall by threshold and size, and false boxes per picture."""
    result: dict[str, Any] = {}
    found = [detector(collage.pixels, scales=scales, threshold=min(THRESHOLDS)) for collage in collages]
    for threshold in THRESHOLDS:
        hits: list[bool] = []
        sizes: list[float] = []
        false = 0
        for collage, faces in zip(collages, found, strict=True):
            boxes = np.array([face.box for face in faces if face.score >= threshold], float).reshape(-1, 4)
            marked = collage.boxes.astype(float)
            match = photos.match(boxes, marked[collage.sure], marked[~collage.sure])
            missed = np.zeros(int(collage.sure.sum()), bool)
            missed[match["missed"]] = True
            hits += (~missed).tolist()
            sizes += (marked[collage.sure][:, 2:] - marked[collage.sure][:, :2]).max(1).tolist()
            false += len(match["extra"])
        hit, size = np.array(hits), np.array(sizes)
        row: dict[str, Any] = {
            "faces": len(hit),
            "recall": round(float(hit.mean()), 4),
            "false_per_picture": round(false / len(collages), 4),
        }
        for low, high in pairwise(BINS):
            inside = (size >= low) & (size < high)
            row[f"recall_{low}_{high}"] = round(float(hit[inside].mean()), 4) if inside.any() else None
        result[f"{threshold:g}"] = row
    return result


def on_photos(detector: Detector) -> dict[str, Any]:
    """Return what the search of incog finds on the marked photos with this detector."""
    searcher = Searcher(detector, threshold=0.4, low=0.25)
    result = {}
    for path in sorted(photos.MARKS.glob("*.json")):
        marks = json.loads(path.read_text())
        with Image.open(heads.DATA / "media" / marks["file"]) as opened:
            picture = np.asarray(opened.convert("RGB"))
        for scale in (1.0, 0.5):
            scaled = (
                picture
                if scale == 1
                else cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            )
            faces = searcher.frame(Frame((np.ascontiguousarray(scaled),), Layout("rgb")))
            boxes = np.array([face.box for face in faces], float).reshape(-1, 4)
            judged = photos.judge(boxes, marks, scale)
            result[f"{path.stem} {scale:g}x"] = {
                key: judged[key] for key in ("marked", "matched", "mean_iou")
            } | {"extra": len(judged["extra"]), "missed": judged["missed"]}
    return result


def empty_pictures() -> list[Picture]:
    """Return frames and photos without a face, 360 px high."""
    pictures = [clips._photo(name) for name in clips.PHOTOS]
    for name, start, stop in clips.EMPTY:
        pictures += clips._film(name, start, stop)[::15]
    return [
        cv2.resize(
            picture, None, fx=(scale := 360 / picture.shape[0]), fy=scale, interpolation=cv2.INTER_AREA
        )
        for picture in pictures
    ]


def false_boxes(detector: Detector, pictures: Sequence[Picture], scales: Sequence[float]) -> dict[str, float]:
    """Return the false boxes per picture without faces, by threshold."""
    scores = [face.score for picture in pictures for face in detector(picture, scales=scales, threshold=0.25)]
    return {f"{t:g}": round(sum(s >= t for s in scores) / len(pictures), 4) for t in THRESHOLDS}


def latency(detectors: dict[str, Callable[[], Detector]], rounds: int) -> dict[str, Any]:
    """Return the median and least milliseconds of one look at 640x360; the detectors take turns."""
    picture = cv2.resize(clips._photo("coffee"), (640, 360), interpolation=cv2.INTER_AREA)
    made = {name: make() for name, make in detectors.items()}
    times: dict[str, list[float]] = {name: [] for name in made}
    for number in range(rounds + 3):
        for name, detector in made.items():
            begin = time.perf_counter()
            detector(picture, scales=(1.0,), threshold=0.4)
            if number >= 3:
                times[name].append((time.perf_counter() - begin) * 1000)
    return {
        name: {"median_ms": round(float(np.median(row)), 2), "least_ms": round(min(row), 2)}
        for name, row in times.items()
    }


def main() -> None:
    """Compare the detectors and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the figures")
    parser.add_argument("--network", type=Path, help="another ONNX file than the one that ships")
    parser.add_argument("--collages", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=60, help="of the speed measurement")
    options = parser.parse_args()
    header = common.record()
    data = options.network.read_bytes() if options.network else None
    result: dict[str, Any] = {}
    detectors: dict[str, Detector] = {
        "incog": Light(network=data),
        "centerface": CenterFace(),
        "yunet": YuNet(),
    }
    collages, empty = test_collages(options.collages), empty_pictures()
    for name, detector in detectors.items():
        row: dict[str, Any] = {"collages_one_look": judge(detector, collages, (1.0,))}
        row["empty_one_look"] = false_boxes(detector, empty, (1.0,))
        if name != "yunet":
            row["collages_search"] = judge(detector, collages, CASCADE)
            row["empty_search"] = false_boxes(detector, empty, CASCADE)
            row["photos"] = on_photos(detector)
        result[name] = row
        print(name, json.dumps(row, indent=1), flush=True)
    result["speed"] = {
        f"{threads} threads": latency(
            {
                "incog": lambda threads=threads: Light(network=data, threads=threads),
                "centerface": lambda threads=threads: CenterFace(threads=threads),
                "yunet": lambda threads=threads: YuNet(threads=threads),
            },
            options.rounds,
        )
        for threads in (1, 2)
    }
    print(json.dumps(result["speed"], indent=1))
    common.save(options.out, {**header, **result})


if __name__ == "__main__":
    main()
