"""Hide the faces of two public-domain photos and of a clip made from them, and say where to look.

Run: python examples/quickstart.py [FOLDER]
The photos: Eileen Collins (NASA, from scikit-image) and Grace Hopper (US Navy, from matplotlib).
"""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from matplotlib import cbook
from PIL import Image
from skimage import data


def photos(folder: Path) -> list[Path]:
    """Write the two photos as JPEG."""
    pictures = {
        "astronaut.jpg": Image.fromarray(data.astronaut()),
        "admiral.jpg": Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB"),
    }
    for name, picture in pictures.items():
        picture.save(folder / name, quality=95)
    return [folder / name for name in pictures]


def clip(paths: list[Path], target: Path, *, seconds: int = 4, rate: int = 25) -> None:
    """Write a clip that pans over the photos, with a scene cut between them and a tone as sound."""
    with av.open(str(target), "w") as container:
        video = container.add_stream("libx264", rate=rate, options={"crf": "18", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
        sound = container.add_stream("aac", rate=48000, layout="mono")
        count = seconds * rate
        for number in range(count):
            picture = Image.open(paths[number * len(paths) // count])
            share = number * len(paths) / count % 1
            width = picture.width * (0.95 - 0.25 * share)
            left, top = (picture.width - width) * share, picture.height * 0.02
            box = left, top, left + width, top + width * 9 / 16
            view = picture.resize((640, 360), Image.Resampling.BICUBIC, box=box)
            for packet in video.encode(av.VideoFrame.from_image(view)):
                container.mux(packet)
        wave = 0.1 * np.sin(np.arange(48000 * seconds) * 2 * np.pi * 440 / 48000)
        for start in range(0, len(wave), 1024):
            frame = av.AudioFrame.from_ndarray(
                wave[None, start : start + 1024].astype(np.float32), "fltp", "mono"
            )
            frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
            for packet in sound.encode(frame):
                container.mux(packet)
        for stream in (video, sound):
            for packet in stream.encode(None):
                container.mux(packet)


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "out/quickstart")
    originals, safe = folder / "originals", folder / "safe"
    originals.mkdir(parents=True, exist_ok=True)
    clip(photos(originals), originals / "clip.mp4")
    report = folder / "report.json"
    incog = [sys.executable, "-m", "incog", "hide", str(originals), "-o", str(safe), "--overwrite"]
    subprocess.run([*incog, "--report", str(report)], check=True)
    for entry in json.loads(report.read_text())["files"]:
        print(f"file {entry['name']}: {entry['status']}, {entry['tracks']} face(s), {entry['seconds']} s")
    print(f"Look at:  {safe}  (originals: {originals}, report: {report})")


if __name__ == "__main__":
    main()
