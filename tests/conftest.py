"""What many tests share: public-domain faces, clips made of them, the loaded detectors, and the command line."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import hypothesis
import numpy as np
import numpy.typing as npt
import pytest
import skimage.data
from matplotlib import cbook
from PIL import Image, ImageOps

from incog import cli, geometry, parallel
from incog.cli.wishes import cores
from incog.colour import rgb8
from incog.media import open_source
from incog.perceive.calibration import Calibration, Tail
from incog.perceive.embedder import unit
from incog.perceive.recogniser import Recogniser
from incog.pipeline import Perception
from incog.runtime import one_thread_for_matrices
from incog.types import Face

one_thread_for_matrices()
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")

Picture = npt.NDArray[np.uint8]
_MILLI = Fraction(1, 1000)


@pytest.fixture(scope="session")
def astronaut() -> Picture:
    """Eileen Collins (NASA), 256 x 256 pixels; her face is about 50 pixels high."""
    return np.asarray(Image.fromarray(skimage.data.astronaut()).resize((256, 256), Image.Resampling.LANCZOS))


@pytest.fixture(scope="session")
def admiral() -> Picture:
    """Grace Hopper (US Navy), 240 x 280 pixels."""
    picture = Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB")
    return np.asarray(picture.resize((240, 280), Image.Resampling.LANCZOS))


@pytest.fixture(scope="session")
def perception() -> Perception:
    """Return the detectors, the same that the command line uses by default, loaded once."""
    return parallel._perception("centerface", 0.4, "cpu", cores())


@pytest.fixture(scope="session")
def collins(astronaut: Picture, perception: Perception) -> Face:
    """Return where the astronaut's face is."""
    faces = perception.searcher._detector(astronaut, scales=[2.0, 1.0], threshold=0.6)
    assert len(faces) == 1
    return faces[0]


@pytest.fixture
def photo(tmp_path: Path, astronaut: Picture) -> Path:
    """Return a PNG of the astronaut in an empty folder."""
    path = tmp_path / "holiday.png"
    Image.fromarray(astronaut).save(path)
    return path


@pytest.fixture
def blocked() -> Callable[[Path, Path, str], None]:
    """Return a function that puts a folder that is not empty, or the original and a link to it, where a file is to lie:
    the place, the original, and how."""

    def block(place: Path, original: Path, how: str) -> None:
        if how == "folder":
            place.mkdir()
            (place / "kept.txt").write_text("kept")
        elif how == "original is a link to it":
            original.rename(place)
            original.symlink_to(place)
        else:
            place.symlink_to(original)

    return block


WriteClip = Callable[..., Path]


def _write_clip(
    path: Path,
    pictures: Sequence[Picture],
    *,
    rate: int = 25,
    codec: str = "libx264",
    ticks: Sequence[int] | None = None,
    sound: bool = False,
) -> Path:
    """Encode pictures as a video, at ``ticks`` of 1/1000 s if given; with a tone if ``sound``."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        if codec == "libx264":
            stream.options = {"crf": "16", "preset": "ultrafast"}
        if ticks is not None:
            stream.codec_context.time_base = stream.time_base = _MILLI
        tone: Any = container.add_stream("aac", rate=48000, layout="mono") if sound else None
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            if ticks is not None:
                frame.pts, frame.time_base = ticks[number], _MILLI
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if tone is not None:
            for start in range(0, 48000 * len(pictures) // rate, 1024):
                wave = np.sin(np.arange(start, start + 1024) * 0.06).astype(np.float32)[None] * 0.1
                chunk = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
                chunk.sample_rate, chunk.pts = 48000, start
                container.mux(tone.encode(chunk))
            container.mux(tone.encode(None))
    return path


@pytest.fixture(scope="session")
def write_clip() -> WriteClip:
    """Return the function that encodes pictures as a video."""
    return _write_clip


def _pan(
    picture: Picture, count: int, *, width: int = 240, height: int = 200, step: int = 1
) -> list[Picture]:
    """Return views of a picture that slide by ``step`` pixels a frame."""
    return [picture[4 : 4 + height, n * step % 16 : n * step % 16 + width] for n in range(count)]


@pytest.fixture(scope="session")
def pan() -> Callable[..., list[Picture]]:
    """Return the function that makes sliding views of a picture."""
    return _pan


@pytest.fixture(scope="session")
def made_clip(tmp_path_factory: pytest.TempPathFactory, astronaut: Picture) -> bytes:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return _write_clip(path, _pan(astronaut, 14), sound=True).read_bytes()


@pytest.fixture
def clip(tmp_path: Path, made_clip: bytes) -> Path:
    """Return 14 frames of the astronaut, 240 x 200 pixels, with sound."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(made_clip)
    return path


# Judging results


def _pictures(path: Path) -> list[Picture]:
    """Decode every frame without incog: Pillow for photos, PyAV for videos."""
    try:
        image = Image.open(path)
    except OSError:
        with av.open(str(path)) as container:
            return [np.asarray(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    frames: list[Picture] = []
    with image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            frames.append(np.asarray(ImageOps.exif_transpose(image.convert("RGB"))))
    return frames


@pytest.fixture(scope="session")
def pictures() -> Callable[[Path], list[Picture]]:
    """Return the function that decodes every frame of a file, without incog."""
    return _pictures


def _left(before: Picture, after: Picture, face: Face) -> float:
    """Return the share of a face's detail that is left: 1 when untouched, about 0 when replaced.

    The slope of the regression of the new on the old band-passed brightness inside the face.
    """
    outline = geometry.hull(face, 0.85)
    x0, y0, x1, y1 = geometry.bounds(outline, 0)
    height, width = before.shape[:2]
    region = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    if region[0] >= region[2] or region[1] >= region[3]:
        return 0.0
    inside = geometry.mask([outline], region, 0) > 0
    old, new = (
        _detail(picture, face.size)[region[1] : region[3], region[0] : region[2]][inside]
        for picture in (before, after)
    )
    return float((old * new).sum() / max(float((old * old).sum()), 1e-6))


def _detail(picture: Picture, size: float) -> npt.NDArray[np.float32]:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine, coarse = (cv2.GaussianBlur(grey, (0, 0), size * share) for share in (0.015, 0.08))
    return np.asarray(fine - coarse, np.float32)


@pytest.fixture(scope="session")
def left() -> Callable[[Picture, Picture, Face], float]:
    """Return the function that says what share of a face's detail is left."""
    return _left


@pytest.fixture(scope="session")
def most_left(perception: Perception) -> Callable[[Path, Path], list[float]]:
    """Return the function that finds the faces of a source and says how much of each is left in the output."""

    def measure(source: Path, output: Path) -> list[float]:
        shares: list[float] = []
        after = _pictures(output)
        for frame in open_source(source).frames():
            before = rgb8(frame)
            for face in perception.searcher._detector(before, scales=[2.0, 1.0], threshold=0.65):
                shares.append(_left(before, after[frame.index], face))
        return shares

    return measure


@pytest.fixture(scope="session")
def tree() -> Callable[[Path], list[str]]:
    """Return the function that lists every file and folder below a folder, hidden ones too."""
    return lambda folder: sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# The command line


@dataclass(frozen=True)
class Result:
    """code: exit status. out, err: what was printed."""

    code: int
    out: str
    err: str


Incog = Callable[..., Result]


@pytest.fixture
def incog(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Incog]:
    """Return the command line as a function of its arguments, run in this process."""
    before = signal.getsignal(signal.SIGTERM)

    def run(*arguments: str | Path) -> Result:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["incog", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        printed = capsys.readouterr()
        code = stopped.value.code
        return Result(code if isinstance(code, int) else int(code is not None), printed.out, printed.err)

    yield run
    signal.signal(signal.SIGTERM, before)


# Telling people apart


class CoarseEmbedder:
    """Stands in for a network: the pattern of brightness without its coarsest part, and a constant that faces without
    any pattern share."""

    name = "coarse"

    def __call__(self, crops: Picture) -> npt.NDArray[np.float32]:
        rows = []
        for crop in crops:
            grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
            small = cv2.resize(grey, (28, 28), interpolation=cv2.INTER_AREA)
            rows.append(np.append(small - cv2.GaussianBlur(small, (0, 0), 2.5), 0.6))
        return unit(np.array(rows, np.float32).reshape(-1, 28 * 28 + 1))


@pytest.fixture(scope="session")
def measured() -> Calibration:
    """Return a calibration that fits the stand-in: strangers reach 0.5 in one of a hundred pairs."""
    tail = Tail(name="all", people=500, pairs=10**6, shares=[0.5, 0.01], scores=[0.1, 0.5], scale=0.02)
    return Calibration(
        embedder="coarse",
        data="made up",
        mean=[0.0] * (28 * 28 + 1),
        basis=[],
        tails=[tail],
        unmeasured=[],
        misses=[0.005, 0.5],
        same=[0.6, 0.85],
        same_pairs=2000,
    )


@pytest.fixture
def knowing(perception: Perception, measured: Calibration, monkeypatch: pytest.MonkeyPatch) -> Perception:
    """Return the detectors with a recogniser that needs no trained network."""
    recogniser = Recogniser(CoarseEmbedder(), measured, perception.searcher.look)
    monkeypatch.setattr(perception, "recogniser", recogniser)
    return perception
