"""End-to-end frames per second of incog, deface and a bare transcode on the same clips; and peak memory.

``python benchmarks/speed.py --out benchmarks/results/speed.json`` (nothing else should run on the machine)

Every figure is the wall time of a whole process, start-up included, on clips of 10 s with sound. The tools
take turns on each clip; the median of the rounds counts. deface runs with its default settings and with
others that make it faster; each is printed with its recall on the same clips, taken from runs that paint
faces black (see leaks.py). ``--long`` measures the peak memory of incog on a clip of 10 s and on one of 10
min.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

import clips
import common
import heads
import leaks
from truth import COVERED, Truth, rate

SIZES = {"720p": (1280, 720), "1080p": (1920, 1080)}
FACES = (1, 6, 25)
FPS = 25
FRAMES = 250
FILM = "talk"
WINDOW = (500, 0, 1268, 432)
"""The part of the film above all heads: a real camera's picture without a face."""
DEFACE: dict[str, list[str]] = {
    "deface": [],
    "deface opencv": ["--backend", "opencv"],
    "deface 1280x720": ["--scale", "1280x720"],
    "deface 640x360": ["--scale", "640x360"],
}


@lru_cache(maxsize=1)
def _film() -> list[clips.Picture]:
    x0, y0, x1, y1 = WINDOW
    with av.open(str(heads.DATA / "media" / f"{FILM}.mp4")) as container:
        return [frame.to_ndarray(format="rgb24")[y0:y1, x0:x1].copy() for frame in container.decode(video=0)]


def _background(width: int, height: int) -> Callable[[int], clips.Picture]:
    film = _film()

    def picture(index: int) -> clips.Picture:
        at = index % (2 * len(film) - 2)
        shown = film[at if at < len(film) else 2 * len(film) - 2 - at]
        return cv2.resize(shown, (width, height), interpolation=cv2.INTER_CUBIC)

    return picture


def scene(name: str, width: int, height: int, faces: int, frames: int = FRAMES) -> clips.Scene:
    """Return a clip with so many faces that sway before a filmed background; the fewer, the larger."""
    rng = np.random.default_rng((3, height, faces))
    share = {1: (0.25, 0.25), 6: (0.09, 0.25), 25: (0.04, 0.14)}[faces]
    made = clips.Scene(
        name, "sway", width, height, FPS, frames, [(0, _background(width, height))], seed=faces
    )
    taken: list[clips.Floats] = []
    for size in sorted(rng.uniform(*share, faces) * height, reverse=True):
        poses = clips.movement(rng, "sway", float(size), frames, FPS, width, height)
        made.actors.append(
            clips.Actor(heads.choose(rng, float(size)), clips.settle(rng, poses, taken, width, height))
        )
    return made


def make(folder: Path) -> dict[str, Path]:
    """Write the clips and their truth, those that are not there yet; return their paths by name."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for label, (width, height) in SIZES.items():
        for faces in FACES:
            name = f"{label}-{faces}"
            path = folder / f"{name}.mp4"
            paths[name] = path
            if path.with_suffix(".npz").exists():
                continue
            made = scene(name, width, height, faces)
            clips.write(path, clips.render(made), FPS, audio=heads.DATA / "media" / f"{FILM}.mp4")
            clips.truth_of(made).save(path.with_suffix(".npz"))
    return paths


def transcode(source: Path, target: Path) -> None:
    """Code the pictures again (x264 veryfast at its default quality), copy the sound: the practical limit."""
    with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
        pictures, sound = reader.streams.video[0], reader.streams.audio[0]
        pictures.thread_type = "AUTO"
        coded = writer.add_stream("libx264", rate=pictures.average_rate, options={"preset": "veryfast"})
        coded.width, coded.height, coded.pix_fmt = pictures.width, pictures.height, "yuv420p"
        coded.time_base = pictures.time_base
        copied = writer.add_stream_from_template(sound)
        for packet in reader.demux(pictures, sound):
            if packet.stream is sound:
                if packet.dts is not None:
                    packet.stream = copied
                    writer.mux(packet)
            else:
                for frame in packet.decode():
                    frame.pict_type = av.video.frame.PictureType.NONE
                    writer.mux(coded.encode(frame))
        writer.mux(coded.encode(None))


def repeat(source: Path, target: Path, times: int) -> None:
    """Write a clip that plays ``source`` so many times, without coding anything again."""
    with av.open(str(target), "w") as writer:
        outputs: dict[str, av.stream.Stream] = {}
        shift = {"video": 0, "audio": 0}
        for _ in range(times):
            ends, early = dict(shift), {"video": 0, "audio": 0}
            with av.open(str(source)) as reader:
                for stream in reader.streams:
                    if stream.type not in outputs:
                        outputs[stream.type] = writer.add_stream_from_template(stream)
                for packet in reader.demux():
                    if packet.dts is None or packet.pts is None:
                        continue
                    kind = packet.stream.type
                    early[kind] = min(early[kind], packet.pts)
                    packet.pts, packet.dts = packet.pts + shift[kind], packet.dts + shift[kind]
                    ends[kind] = max(ends[kind], packet.pts + (packet.duration or 0))
                    packet.stream = outputs[kind]
                    writer.mux(packet)
            shift = {kind: ends[kind] - early[kind] for kind in shift}


def tool_command(tool: str, source: Path, target: Path, paint: bool) -> list[str]:
    """Return the command line of a tool; ``paint`` asks for black faces instead of the default method."""
    if tool == "transcode":
        return [sys.executable, __file__, "--transcode", str(source), str(target)]
    if tool == "incog":
        words = [*common.incog(), "hide", str(source), "-o", str(target), "--overwrite", "--quiet"]
        return words + (["--method", "blackout"] if paint else [])
    words = [*common.deface(), str(source), "-o", str(target), "--keep-audio", *DEFACE[tool]]
    return words + (["--replacewith", "solid"] if paint else [])


def recall(tool: str, source: Path, target: Path) -> dict[str, Any]:
    """Return the share of face-frames that a tool covers, and its false boxes."""
    done = common.run(tool_command(tool, source, target, paint=True))
    if done.code or not target.exists():
        return {"error": f"exit {done.code}: {done.output[-300:].strip()}"}
    seen = leaks.measure(Truth.load(source.with_suffix(".npz")), clips.read(source), clips.read(target))
    covered = sum(row.covered >= COVERED for row in seen.rows)
    return {
        **rate(covered, len(seen.rows)),
        "false_boxes": len(seen.false_boxes),
        "missing_frames": seen.missing,
    }


def measure_memory(folder: Path) -> dict[str, Any]:
    """Return incog's peak memory on a clip (640x360, 10 frames/s, one face) and on the same clip 60 times over."""
    out = {}
    rate, frames = 10, 100
    source = folder / "360p-1.mp4"
    if not source.exists():
        made = scene("360p-1", 640, 360, 1, frames)
        clips.write(source, clips.render(made), rate, audio=heads.DATA / "media" / f"{FILM}.mp4")
    for label, times in (("10 s", 1), ("10 min", 60)):
        path = folder / f"long-{times}.mp4"
        repeat(source, path, times)
        done = common.run(tool_command("incog", path, folder / f"long-{times}-out.mp4", paint=False), 7200)
        out[label] = {
            "frames": frames * times,
            "peak_mb": round(done.peak_mb, 1),
            "seconds": round(done.seconds, 1),
            "exit": done.code,
        }
        print(f"{label}: {out[label]}", flush=True)
    return out


def main() -> None:
    """Time the tools and write the figures."""
    if sys.argv[1:2] == ["--transcode"]:
        transcode(Path(sys.argv[2]), Path(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the figures")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tool", nargs="+", choices=["incog", "transcode", *DEFACE])
    parser.add_argument("--only", help="use the clip of this name, as in 1080p-1")
    parser.add_argument("--add", action="store_true", help="keep the figures of other clips in --out")
    parser.add_argument("--no-recall", action="store_true")
    parser.add_argument("--long", action="store_true", help="measure memory on 10 s and 10 min too")
    parser.add_argument("--work", type=Path, default=common.ROOT / "runs" / "speed")
    options = parser.parse_args()
    header = common.record()
    tools = options.tool or ["incog", "transcode", *DEFACE]
    paths = {name: path for name, path in make(options.work).items() if options.only in (None, name)}
    results: dict[str, dict[str, Any]] = {}
    for name, path in paths.items():
        runs: dict[str, list[common.Run]] = {tool: [] for tool in tools}
        for turn in range(options.rounds):
            for tool in tools if turn % 2 == 0 else tools[::-1]:
                target = options.work / f"{name}.{tool.replace(' ', '-')}.mp4"
                target.unlink(missing_ok=True)
                runs[tool].append(common.run(tool_command(tool, path, target, paint=False)))
        results[name] = {}
        for tool, done in runs.items():
            failed = [run for run in done if run.code]
            seconds = statistics.median(run.seconds for run in done)
            row: dict[str, Any] = {
                "frames_per_second": round(FRAMES / seconds, 2),
                "seconds": [round(run.seconds, 2) for run in done],
                "peak_mb": round(max(run.peak_mb for run in done), 1),
            }
            if failed:
                row["error"] = f"exit {failed[0].code}: {failed[0].output[-300:].strip()}"
            elif tool != "transcode" and not options.no_recall:
                row["recall"] = recall(tool, path, options.work / f"{name}.painted.mp4")
            results[name][tool] = row
            share = row.get("recall", {}).get("rate")
            print(
                f"{name:9} {tool:16} {row['frames_per_second']:7.2f} fps  {row['peak_mb']:7.0f} MB"
                + (f"  recall {share:.4f}" if share is not None else "")
                + (f"  {row['error']}" if failed else ""),
                flush=True,
            )
    if options.add and options.out.exists():
        results = {**json.loads(options.out.read_text())["clips"], **results}
    result: dict[str, Any] = {**header, "rounds": options.rounds, "frames": FRAMES, "clips": results}
    if options.add and options.out.exists():
        result["memory"] = json.loads(options.out.read_text()).get("memory", {})
    if options.long:
        result["memory"] = measure_memory(options.work)
    common.save(options.out, result)


if __name__ == "__main__":
    main()
