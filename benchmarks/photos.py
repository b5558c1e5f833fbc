"""Which faces of the group photos incog finds, upright, in every EXIF orientation and rescaled.

``python benchmarks/photos.py --out benchmarks/results/photos.json``

Faces are matched one to one with boxes drawn by hand (marks/*.json) at an intersection over union of .5.
Faces below 12 px and doubtful ones (mostly hidden, or on a poster) count neither as found, nor as missed, nor
as extra.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.optimize import linear_sum_assignment

import common
import heads
from truth import iou

Boxes = npt.NDArray[np.float64]
MARKS = Path(__file__).resolve().parent / "marks"
SCALES = (0.25, 0.5, 0.75, 1.5, 2.0, 3.0, 4.0)
SMALLEST = 12
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""EXIF orientation: how the upright picture is turned to be stored under that tag."""


def match(found: Boxes, marked: Boxes, spared: Boxes, least: float = 0.5) -> dict[str, Any]:
    """Match found boxes (N, 4) with marked ones (M, 4) one to one, most overlap first in sum.

    Boxes that are left over and lie on a spared one (K, 4), by a third of their union, are not extra.
    """
    overlap = iou(found, marked)
    rows, columns = linear_sum_assignment(-np.where(overlap >= least, overlap, 0))
    pairs = [(r, c) for r, c in zip(rows, columns, strict=True) if overlap[r, c] >= least]
    left = sorted(set(range(len(found))) - {r for r, _ in pairs})
    extra = [r for r in left if not (len(spared) and iou(found[r : r + 1], spared).max() >= 1 / 3)]
    missed = sorted(set(range(len(marked))) - {c for _, c in pairs})
    return {
        "marked": len(marked),
        "matched": len(pairs),
        "missed": missed,
        "extra": [[round(float(v), 1) for v in found[r]] for r in extra],
        "mean_iou": round(float(np.mean([overlap[pair] for pair in pairs])), 3) if pairs else None,
    }


def variants(image: Image.Image, folder: Path, quick: bool) -> Iterator[tuple[str, Path, float]]:
    """Write the copies of a photo; yield the name, the path and the scale of each."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "upright.jpg"
    image.save(path, quality=95)
    yield "1x", path, 1.0
    if quick:
        return
    for orientation, turn in STORED.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = folder / f"orientation-{orientation}.jpg"
        image.transpose(turn).save(path, quality=95, exif=exif)
        yield f"EXIF {orientation}", path, 1.0
    for scale in SCALES:
        size = (round(image.width * scale), round(image.height * scale))
        path = folder / f"scale-{scale:g}.jpg"
        image.resize(size, Image.Resampling.LANCZOS).save(path, quality=95)
        yield f"{scale:g}x", path, scale


def plan_boxes(path: Path) -> Boxes:
    """Return the boxes (N, 4) of a photo's Plan."""
    tracks = json.loads(path.read_text())["tracks"]
    boxes = [box for track in tracks for box in track["boxes"]]
    return np.array(boxes, float).reshape(-1, 4)


def judge(found: Boxes, marks: dict[str, Any], scale: float) -> dict[str, Any]:
    """Compare boxes found in a copy of a photo with its marks."""
    marked = np.array(marks["boxes"], float).reshape(-1, 4) * scale
    spared = np.array(marks["doubtful"], float).reshape(-1, 4) * scale
    large = marked[:, 3] - marked[:, 1] >= SMALLEST
    return match(found, marked[large], np.concatenate([spared, marked[~large]]))


def main() -> None:
    """Run ``incog plan`` on every copy of every photo and write what it found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the figures")
    parser.add_argument("--only", help="use photos whose name holds this text")
    parser.add_argument("--quick", action="store_true", help="the upright photos only")
    parser.add_argument("--extra", default="", help="further options for incog plan, one string")
    parser.add_argument("--work", type=Path, default=common.ROOT / "runs" / "photos")
    options = parser.parse_args()
    header = common.record()
    photos: dict[str, dict[str, Any]] = {}
    for marks_path in sorted(MARKS.glob("*.json")):
        marks = json.loads(marks_path.read_text())
        if options.only and options.only not in marks_path.stem:
            continue
        rows = photos.setdefault(marks_path.stem, {})
        with Image.open(heads.DATA / "media" / marks["file"]) as opened:
            image = opened.convert("RGB")
        if image.size != (marks["width"], marks["height"]):
            raise SystemExit(f"{marks['file']} must be {marks['width']}x{marks['height']}, got {image.size}")
        for name, path, scale in variants(image, options.work / marks_path.stem, options.quick):
            plan = path.with_suffix(".plan.json")
            plan.unlink(missing_ok=True)
            words = [*common.incog(), "plan", str(path), "-o", str(plan), "--quiet", *options.extra.split()]
            done = common.run(words)
            if done.code or not plan.exists():
                rows[name] = {"error": f"exit {done.code}: {done.output[-300:].strip()}"}
            else:
                rows[name] = {**judge(plan_boxes(plan), marks, scale), "seconds": round(done.seconds, 2)}
            row = rows[name]
            text = row.get("error") or (
                f"{row['matched']} of {row['marked']}, extra {len(row['extra'])}, "
                f"mean IoU {row['mean_iou']}, {row['seconds']} s"
            )
            print(f"{marks_path.stem:14} {name:8} {text}", flush=True)
    common.save(options.out, {**header, "photos": photos})


if __name__ == "__main__":
    main()
