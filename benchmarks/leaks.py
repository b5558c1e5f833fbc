"""How many faces of the test clips stay visible after incog, deface, or the truth itself as a check.

``python benchmarks/leaks.py --seed 2 --tool incog deface deface:0.1 --out benchmarks/results/leaks.json``; a
number after the colon is a threshold other than the tool's own.

Both tools paint faces black (incog ``--method blackout``, deface ``--replacewith solid``), because coding
alters every pixel a little and only black can be told from that: the clips hold no dark sample (see
clips.py). A pixel is altered when its luma is below 24 in the output and was 32 or more before; pixels darker
than that before are left out. Hulls are neither grown nor shrunk. deface paints its whole box here, although
its default mask is the ellipse inside it: the figure is kind to it.

A face-frame leaks when less than 99 % of the visible part of its brow-to-chin hull was altered. Frames of one
clip are correlated, so the bound over face-frames is too narrow; the rate over face appearances (one face in
one clip, leaking when any of its frames does) stands beside it. A clip that a tool refuses (no output) leaks
nothing, but is listed and left out of every rate.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

import clips
import common
from truth import COVERED, Mask, Truth, bin_labels, raster, rate, size_bin, visible_hulls

Picture = npt.NDArray[np.uint8]
BLACK = 24
KNOWN = 32
SPECK = 9
"""Painted regions of fewer pixels than this are coding noise, not boxes."""
NEAR = 1.5
"""A painted region is a false box when it touches no hull grown so far: a face may be just outside the frame."""


@dataclass(slots=True)
class Row:
    """One counted face in one frame."""

    frame: int
    actor: int
    size: float
    visible: float
    covered: float


@dataclass(slots=True)
class Measured:
    """What was seen in one clip."""

    hazard: str
    rows: list[Row]
    frames: int
    missing: int
    painted_outside: int
    outside: int
    painted: int
    hull: int
    false_boxes: list[int]
    resized: int = 0


def luma(picture: Picture) -> Picture:
    """Return the luma (H, W) of a picture (H, W, 3) RGB."""
    return cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)


def painted(before: Picture, after: Picture) -> tuple[Mask, Mask]:
    """Return which pixels (H, W) a tool painted black, and of which that can be said."""
    known = luma(before) >= KNOWN
    return known & (luma(after) < BLACK), known


def false_regions(mask: Mask, near: Mask) -> list[tuple[int, int, int, int]]:
    """Return the boxes (x, y, width, height) of painted regions that touch nothing of ``near`` (H, W)."""
    clean = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(clean)
    touching = set(np.unique(labels[near]))
    return [
        (int(x), int(y), int(w), int(h))
        for label, (x, y, w, h, pixels) in enumerate(stats)
        if label and label not in touching and pixels >= SPECK
    ]


def measure(truth: Truth, before: Iterator[Picture], after: Iterator[Picture]) -> Measured:
    """Compare a clip with what a tool made of it, frame by frame; both upright.

    Frames that a tool scaled (deface rounds both sides up to multiples of 16) are scaled back, and counted.
    Raises ValueError when the clip itself is not of the size that the truth says.
    """
    out = Measured(truth.hazard, [], truth.frames, 0, 0, 0, 0, 0, [])
    counted = truth.counted
    for index, (source, result) in enumerate(zip_longest(before, after)):
        if result is None:
            out.missing += 1
            continue
        if source is None:
            out.missing -= 1
            continue
        if source.shape[:2] != (truth.height, truth.width):
            raise ValueError(f"frame {index} must be {truth.width}x{truth.height}, got {source.shape[1::-1]}")
        if result.shape != source.shape:
            out.resized += 1
            result = cv2.resize(result, (truth.width, truth.height), interpolation=cv2.INTER_LINEAR)
        black, known = painted(source, result)
        here = np.flatnonzero(truth.frame == index)
        faces, near = np.zeros(black.shape, bool), np.zeros(black.shape, bool)
        if len(here):
            seen = visible_hulls(truth.hulls[here], truth.outlines[here], truth.height, truth.width)
            for row, (rows, columns, mask, _) in zip(here, seen, strict=True):
                if truth.actor[row] < 0:
                    continue
                whole_rows, whole_columns, whole = raster(truth.hulls[row], truth.height, truth.width)
                faces[whole_rows, whole_columns] |= whole
                centre = truth.hulls[row].mean(0)
                grown = (truth.hulls[row] - centre) * NEAR + centre
                whole_rows, whole_columns, whole = raster(grown, truth.height, truth.width)
                near[whole_rows, whole_columns] |= whole
                if counted[row]:
                    judged = mask & known[rows, columns]
                    total = int(judged.sum())
                    share = float((judged & black[rows, columns]).sum()) / total if total else 1.0
                    out.rows.append(
                        Row(
                            index,
                            int(truth.actor[row]),
                            float(truth.size[row]),
                            float(truth.visible[row]),
                            share,
                        )
                    )
        out.painted += int(black.sum())
        out.painted_outside += int((black & ~faces).sum())
        out.outside += int((~faces).sum())
        out.hull += int(faces.sum())
        out.false_boxes += [index] * len(false_regions(black, near))
    return out


def paint(truth: Truth, before: Iterator[Picture], shift: float = 0.0) -> Iterator[Picture]:
    """Yield the frames with every true hull painted black, moved right by ``shift`` of the face size."""
    for index, picture in enumerate(before):
        frame = np.ascontiguousarray(picture).copy()
        for row in np.flatnonzero((truth.frame == index) & (truth.actor >= 0)):
            hull = truth.hulls[row]
            moved = (hull - hull.mean(0)) * 1.3 + hull.mean(0) + (shift * truth.size[row], 0)
            cv2.fillPoly(frame, [np.round(moved * 16).astype(np.int32)], (0, 0, 0), cv2.LINE_8, 4)
        yield frame


def summarise(measured: dict[str, Measured]) -> dict[str, Any]:
    """Return the rates over the clips that were measured, ready for JSON."""
    frames: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    appearances: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    cases: list[dict[str, Any]] = []
    for name, clip in measured.items():
        by_actor: dict[int, list[Row]] = defaultdict(list)
        for row in clip.rows:
            leak = int(row.covered < COVERED)
            label = size_bin(row.size)
            for key in ("all", clip.hazard, label, f"{clip.hazard} {label}"):
                frames[key][0] += leak
                frames[key][1] += 1
            by_actor[row.actor].append(row)
        for actor, rows in by_actor.items():
            leaking = [row for row in rows if row.covered < COVERED]
            label = size_bin(max(row.size for row in rows))
            for key in ("all", clip.hazard, label):
                appearances[key][0] += bool(leaking)
                appearances[key][1] += 1
            if leaking:
                cases.append(
                    {
                        "clip": name,
                        "face": actor,
                        "size": round(float(np.median([row.size for row in leaking])), 1),
                        "of_frames": len(rows),
                        "least_covered": round(min(row.covered for row in leaking), 3),
                        "frames": [row.frame for row in leaking],
                    }
                )
    total = sum(clip.frames for clip in measured.values())
    false = sum(len(clip.false_boxes) for clip in measured.values())
    hazards = [h for h in clips.HAZARDS if h in frames]
    return {
        "clips": len(measured),
        "frames": total,
        "missing_frames": sum(clip.missing for clip in measured.values()),
        "resized_frames": sum(clip.resized for clip in measured.values()),
        "face_frames": rate(*frames["all"]),
        "appearances": rate(*appearances["all"]),
        "hazards": {
            h: {"face_frames": rate(*frames[h]), "appearances": rate(*appearances[h])} for h in hazards
        },
        "sizes": {
            s: {"face_frames": rate(*frames[s]), "appearances": rate(*appearances[s])}
            for s in bin_labels()
            if s in frames
        },
        "hazards_by_size": {
            h: {s: frames[f"{h} {s}"] for s in bin_labels() if f"{h} {s}" in frames} for h in hazards
        },
        "masked_outside_faces": round(
            sum(c.painted_outside for c in measured.values())
            / max(1, sum(c.outside for c in measured.values())),
            6,
        ),
        "masked_to_hull_area": round(
            sum(c.painted for c in measured.values()) / max(1, sum(c.hull for c in measured.values())), 3
        ),
        "false_boxes": false,
        "false_boxes_per_frame": round(false / max(1, total), 5),
        "false_boxes_by_clip": {n: len(c.false_boxes) for n, c in measured.items() if c.false_boxes},
        "leaks": sorted(cases, key=lambda case: (-case["size"], case["clip"])),
    }


def command(tool: str, source: Path, target: Path, threshold: str | None, extra: list[str]) -> list[str]:
    """Return the command line by which a tool paints the faces of a clip black."""
    if tool == "incog":
        words = [
            *common.incog(),
            "hide",
            str(source),
            "-o",
            str(target),
            "--method",
            "blackout",
            "--overwrite",
        ]
        words += ["--quiet"]
        return words + (["--threshold", threshold] if threshold else []) + extra
    words = [*common.deface(), str(source), "-o", str(target), "--replacewith", "solid"]
    return words + (["--thresh", threshold] if threshold else []) + extra


def dump(folder: Path, path: Path, output: Path, truth: Truth, measured: Measured) -> None:
    """Write pictures of up to three leaking frames of every face: original and result, hulls drawn."""
    wanted: dict[int, list[Row]] = defaultdict(list)
    seen: dict[int, int] = defaultdict(int)
    for row in measured.rows:
        if row.covered < COVERED and seen[row.actor] < 3:
            seen[row.actor] += 1
            wanted[row.frame].append(row)
    if not wanted:
        return
    folder.mkdir(parents=True, exist_ok=True)
    size = (truth.width, truth.height)
    results = (cv2.resize(np.ascontiguousarray(frame), size) for frame in clips.read(output))
    for index, pair in enumerate(zip(clips.read(path), results, strict=False)):
        for row in wanted.get(index, []):
            hull = truth.hulls[np.flatnonzero((truth.frame == index) & (truth.actor == row.actor))[0]]
            reach = 1.8 * row.size + 10
            x0, y0 = np.maximum((hull.mean(0) - reach).astype(int), 0)
            x1, y1 = np.minimum((hull.mean(0) + reach).astype(int), (truth.width, truth.height))
            zoom = 400 / max(x1 - x0, y1 - y0)
            halves = []
            for picture in pair:
                crop = np.ascontiguousarray(picture[y0:y1, x0:x1, ::-1])
                crop = cv2.resize(crop, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR)
                line = np.round(((hull - (x0, y0) + 0.5) * zoom - 0.5) * 16).astype(np.int32)
                halves.append(cv2.polylines(crop, [line], True, (0, 255, 0), 1, cv2.LINE_AA, 4))
            cv2.imwrite(str(folder / f"{path.stem}-{row.actor}-{index:03}.png"), np.hstack(halves))


def pick(paths: list[Path], limit: int | None, only: str | None) -> list[Path]:
    """Return the clips whose name holds ``only``; with a limit, that many, spread over the hazards."""
    chosen = [path for path in paths if not only or only in path.stem]
    if limit is None or limit >= len(chosen):
        return chosen
    order = sorted(
        chosen, key=lambda path: (path.stem.split("-")[1], clips.HAZARDS.index(path.stem.split("-")[0]))
    )
    return order[:limit]


def evaluate(
    tool: str, paths: list[Path], folder: Path, options: argparse.Namespace, threshold: str | None
) -> dict[str, Any]:
    """Run a tool over the clips and measure what it left visible."""
    folder.mkdir(parents=True, exist_ok=True)
    measured: dict[str, Measured] = {}
    failures: list[dict[str, Any]] = []
    seconds = 0.0
    for path in paths:
        truth = Truth.load(path.with_suffix(".npz"))
        target = folder / path.name
        if not (options.reuse and target.exists()):
            target.unlink(missing_ok=True)
            if tool == "truth":
                clips.write(target, paint(truth, clips.read(path), options.shift), 25)
            else:
                done = common.run(command(tool, path, target, threshold, options.extra.split()))
                seconds += done.seconds
                if done.code or not target.exists():
                    target.unlink(missing_ok=True)
                    failures.append(
                        {"clip": path.stem, "exit": done.code, "output": done.output[-400:].strip()}
                    )
                    print(f"{path.stem:14} no output, exit {done.code}: {done.output[-200:].strip()}")
                    continue
        result = measure(truth, clips.read(path), clips.read(target))
        measured[path.stem] = result
        leaking = sum(row.covered < COVERED for row in result.rows)
        print(
            f"{path.stem:14} {leaking:4} of {len(result.rows):4} uncovered, "
            f"{len(result.false_boxes):3} false boxes",
            flush=True,
        )
        if options.dump:
            dump(options.dump / (folder.name), path, target, truth, result)
    return {
        "tool": tool,
        "threshold": threshold or "default",
        "extra": options.extra,
        "seconds": round(seconds, 1),
        **summarise(measured),
        "refused": failures,
    }


def report(result: dict[str, Any]) -> str:
    """Return the figures of one tool as a few lines of text."""

    def line(name: str, part: dict[str, Any]) -> str:
        frames, faces = part["face_frames"], part["appearances"]
        return (
            f"  {name:10} {frames['events']:5} / {frames['trials']:5} = {frames['rate']:7.2%} "
            f"(95 % bound {frames['high95']:.2%})"
            f"   appearances {faces['events']:4} / {faces['trials']:4} (bound {faces['high95']:.2%})"
        )

    lines = [
        f"{result['tool']} threshold {result['threshold']}: {result['clips']} clips, "
        f"{result['frames']} frames, "
        f"{len(result['refused'])} refused, {result['missing_frames']} frames missing",
        line("all", result),
        *(line(name, part) for name, part in result["sizes"].items()),
        *(line(name, part) for name, part in result["hazards"].items()),
        f"  masked outside faces {result['masked_outside_faces']:.3%} of the area, "
        f"{result['masked_to_hull_area']} x hull area,"
        f" false boxes {result['false_boxes']} ({result['false_boxes_per_frame']:.4f} a frame)",
    ]
    return "\n".join(lines)


def main() -> None:
    """Make the clips of a seed, run the tools and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the figures")
    parser.add_argument(
        "--tool",
        nargs="+",
        default=["incog"],
        help="incog, deface or truth; with a threshold as in deface:0.1",
    )
    parser.add_argument("--extra", default="", help="further options for the tool, one string")
    parser.add_argument("--limit", type=int, help="use this many clips, spread over the hazards")
    parser.add_argument("--only", help="use clips whose name holds this text, as in turning or crowd-1")
    parser.add_argument("--dump", type=Path, help="folder for pictures of leaking frames")
    parser.add_argument("--reuse", action="store_true", help="measure outputs that are already there")
    parser.add_argument(
        "--shift", type=float, default=0.0, help="tool truth: move the mask by this share of the face"
    )
    parser.add_argument(
        "--work", type=Path, default=common.ROOT / "runs", help="folder for clips and outputs"
    )
    options = parser.parse_args()
    if unknown := {spec.partition(":")[0] for spec in options.tool} - {"incog", "deface", "truth"}:
        parser.error(f"--tool must be incog, deface or truth, got {', '.join(sorted(unknown))}")
    if shutil.disk_usage(common.ROOT).free < 2**30:
        sys.exit("less than 1 GiB of disk is free")
    header = {**common.record(), "seed": options.seed}
    paths = pick(
        clips.make(options.seed, options.work / f"clips-{options.seed}"), options.limit, options.only
    )
    results = []
    for spec in options.tool:
        tool, _, threshold = spec.partition(":")
        begin = time.perf_counter()
        folder = options.work / f"out-{options.seed}-{tool}-{threshold or 'default'}"
        results.append(evaluate(tool, paths, folder, options, threshold or None))
        print(report(results[-1]))
        print(f"  {time.perf_counter() - begin:.0f} s")
    common.save(options.out, {**header, "results": results})


if __name__ == "__main__":
    main()
