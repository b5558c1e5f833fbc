"""How steady new faces are along a film, and how many frames of it incog hides in a second.

``python benchmarks/steadiness.py --clip talk.mp4 --out benchmarks/results/steadiness.json`` (nothing else should run on
the machine: seconds are those of a whole process)

Every method hides the whole film, and what it made is compared with the film: the warping error (Lai et al. 2018) and
flicker, both relative to the film's own. ``face`` is the warping error over each face, brow to chin and ear to ear;
``mask``, that of ``incog evaluate --video``, over all that the package's masks cover, with the pixels that a mask newly
comes over. Errors of all face-frames are added up before the ratio is taken, so that long tracks count more; the median
of the tracks and the worst of those of a second and more are told beside.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import common
from incog import geometry, track
from incog.colour import rgb8
from incog.evaluate import temporal, video_watch
from incog.evaluate.video_watch import Pair
from incog.pipeline import Perception, silent
from incog.types import Bytes, Track

Pairs = list[tuple[float, float]]
METHODS = ("pixelate", "fill", "appearance-replace", "replace")


def seconds_of(clip: Path, target: Path, method: str, settings: list[str], rounds: int) -> list[float]:
    """Hide the faces of a clip and return how long it took each time; the file of the last is kept."""
    chosen = [word for setting in settings for word in ("--set", setting)]
    command = [*common.incog(), "hide", str(clip), "-o", str(target), "--method", method, *chosen]
    found = []
    for _ in range(rounds):
        done = common.run([*command, "--seed", "1", "--overwrite", "--quiet"])
        if done.code:
            raise SystemExit(f"{method}: {done.output}")
        found.append(done.seconds)
    return found


def face_errors(pair: Pair, tracks: Sequence[Track]) -> list[Pairs]:
    """Return the warping errors over the faces themselves, (before, after) for each pair of frames, by track."""
    lookup, found = track.by_frame(tracks), {item.id: [] for item in tracks}
    previous: tuple[Bytes, Bytes] | None = None
    for frame, other in pair.frames():
        now = rgb8(frame), rgb8(other)
        for item, face in lookup(frame.index):
            row = frame.index - item.start
            if previous is None or row == 0 or item.origins[row] not in video_watch.SEEN:
                continue
            hull = geometry.hull(replace(face, grow=0.0), 1.0)
            x0, y0, x1, y1 = geometry.bounds(hull, max(temporal.SMALLEST, 0.25 * face.size))
            region = max(x0, 0), max(y0, 0), min(x1, frame.width), min(y1, frame.height)
            if min(region[2] - region[0], region[3] - region[1]) < temporal.SMALLEST:
                continue
            inside = geometry.mask([hull], region, 0) > 0
            sides = [
                [cut(first, region), cut(second, region)] for first, second in zip(previous, now, strict=True)
            ]
            errors = temporal.warping_errors(*sides, masks=[inside, inside])
            if np.isfinite(errors).all():
                found[item.id].append(errors)
        previous = now
    return list(found.values())


def cut(picture: Bytes, region: tuple[int, int, int, int]) -> Bytes:
    """Return a region of a picture."""
    x0, y0, x1, y1 = region
    return np.ascontiguousarray(picture[y0:y1, x0:x1])


def told(parts: dict[str, list[Pairs]], rate: float) -> dict[str, Any]:
    """Return the ratios over all face-frames, and over tracks. parts: (before, after) by track, of each measure."""
    result: dict[str, Any] = {}
    for name, part in parts.items():
        tracks = [np.array(track) for track in part if track]
        ratios = [float(track[:, 1].mean() / track[:, 0].mean()) for track in tracks]
        long = [ratio for ratio, track in zip(ratios, tracks, strict=True) if len(track) >= rate]
        own, new = np.concatenate(tracks).mean(0)
        result[name] = {
            "ratio": round(float(new / own), 3),
            "median_track": round(float(np.median(ratios)), 3),
            "worst_long_track": round(max(long), 3),
            "tracks": len(ratios),
            "long_tracks": len(long),
            "pairs": sum(len(track) for track in tracks),
        }
    return result


def main() -> None:
    """The command line: see the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--method", action="append", help="name, or name:setting=value; all by default")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    result: dict[str, Any] = {**common.record(), "clip": given.clip.name, "methods": {}}
    perception = Perception()
    tracks = None
    with tempfile.TemporaryDirectory() as folder:
        for named in given.method or METHODS:
            method, *settings = named.split(":")
            target = Path(folder) / f"{method}.mp4"
            seconds = seconds_of(given.clip, target, method, settings, given.rounds)
            pair = Pair(given.clip, target)
            if tracks is None:
                tracks = video_watch.find(pair, perception, silent).tracks
            watched = video_watch.watch(pair, tracks, perception, [], silent)
            frames = sum(1 for _ in pair.frames())
            result["methods"][named] = {
                "seconds": [round(value, 1) for value in seconds],
                "frames_per_second": round(frames / min(seconds), 2),
                **told(
                    {
                        "face": face_errors(pair, tracks),
                        "mask": [item.warps for item in watched],
                        "flicker": [item.flickers for item in watched],
                    },
                    pair.rate,
                ),
            }
            print(named, result["methods"][named])
    common.save(given.out, result)


if __name__ == "__main__":
    main()
