"""Broken files of every kind: either an error of the package, or an output without a face. Never anything else.

INCOG_FUZZ=N tries N mutations per kind, new ones at each run; by default a few, always the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from incog import parallel
from incog.colour import rgb8
from incog.errors import InputError
from incog.keys import Secret
from incog.media import open_source
from incog.parallel import Job, Settings
from incog.pipeline import Perception
from incog.types import Face

Picture = npt.NDArray[np.uint8]
WriteClip = Callable[..., Path]

WANTED = int(os.environ.get("INCOG_FUZZ", "0"))
FUZZ = settings(
    max_examples=WANTED or 30,
    derandomize=not WANTED,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate] if not WANTED else list(Phase),
    suppress_health_check=list(HealthCheck),
)
PHOTOS = {
    "jpg": {"quality": 88},
    "progressive.jpg": {"quality": 88, "progressive": True},
    "png": {},
    "webp": {"quality": 88},
    "gif": {},
    "tif": {"compression": "tiff_lzw"},
    "bmp": {},
    "avif": {"quality": 80, "speed": 10},
}
VIDEOS = {"mp4": "libx264", "mkv": "libx264", "avi": "mpeg4", "webm": "libvpx"}
SURE = 0.8
"""Score from which the broken picture surely shows a face: below it, colours and edges may be all that is left."""


@st.composite
def mutations(draw: st.DrawFn, length: int) -> list[tuple[str, int, bytes]]:
    """Return what happens to a file: (kind, place, bytes); headers are hit as often as the rest."""
    changes: list[tuple[str, int, bytes]] = []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["flip", "flip", "overwrite", "insert", "delete", "truncate", "repeat"]))
        place = draw(st.integers(0, min(400, length - 1)) | st.integers(0, length - 1))
        data = draw(st.binary(min_size=1, max_size=6))
        changes.append((kind, place, data))
    return changes


def mutated(original: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    data = bytearray(original)
    for kind, place, new in changes:
        if not data:
            break
        place %= len(data)
        if kind == "flip":
            data[place] ^= new[0] or 1
        elif kind == "overwrite":
            data[place : place + len(new)] = new
        elif kind == "insert":
            data[place:place] = new
        elif kind == "delete":
            del data[place : place + len(new) * new[0]]
        elif kind == "truncate":
            del data[place:]
        else:
            data[place:place] = data[place : place + 64 * new[0]]
    return bytes(data)


@pytest.fixture(scope="module")
def originals(
    tmp_path_factory: pytest.TempPathFactory, astronaut: Picture, write_clip: WriteClip
) -> dict[str, bytes]:
    """Return small files of every kind that show the face."""
    folder = tmp_path_factory.mktemp("originals")
    views = [astronaut[:128, 56 + 2 * n : 184 + 2 * n] for n in range(4)]
    made: dict[str, bytes] = {}
    for name, options in PHOTOS.items():
        path = folder / f"a.{name}"
        Image.fromarray(views[0]).save(path, **options)  # type: ignore[arg-type]
        made[name] = path.read_bytes()
    Image.fromarray(views[0]).save(
        folder / "moving.gif", save_all=True, append_images=[Image.fromarray(view) for view in views[1:]]
    )
    made["moving.gif"] = (folder / "moving.gif").read_bytes()
    for suffix, codec in VIDEOS.items():
        made[suffix] = write_clip(folder / f"a.{suffix}", views, codec=codec).read_bytes()
    return made


def exposed(
    source: Path,
    output: Path,
    perception: Perception,
    pictures: Callable[[Path], list[Picture]],
    left: Callable[[Picture, Picture, Face], float],
) -> list[tuple[int, float]]:
    """Return (frame, share of detail left) of faces that the source shows and the output still does."""
    after = pictures(output)
    found: list[tuple[int, float]] = []
    for frame in open_source(source).frames():
        before = rgb8(frame)
        for face in perception.searcher._detector(before, scales=[1.0, 2.0], threshold=SURE):
            share = left(before, after[frame.index], face)
            # where the broken picture is almost flat there is no detail to compare
            if share > 0.3 and np.ptp(before) > 60:
                found.append((frame.index, share))
    return found


@pytest.mark.parametrize("kind", [*PHOTOS, "moving.gif", *VIDEOS])
def test_a_broken_file_is_refused_or_hidden(
    kind: str,
    originals: dict[str, bytes],
    tmp_path: Path,
    perception: Perception,
    pictures: Callable[[Path], list[Picture]],
    left: Callable[[Picture, Picture, Face], float],
) -> None:
    plain = Settings("blackout", {}, Secret.from_seed(1), "centerface", 0.4, "cpu", os.cpu_count() or 1, True)
    suffix = kind.rpartition(".")[2]

    def attempt(data: bytes) -> str:
        for path in tmp_path.iterdir():
            path.unlink()
        source = tmp_path / f"in.{suffix}"
        source.write_bytes(data)
        outcome = parallel.work(Job(1, source, tmp_path / f"out.{suffix}", True), plain)
        assert "internal error" not in (outcome.report.error or ""), outcome.trace
        names = {path.name for path in tmp_path.iterdir()}
        if outcome.report.status == "failed":
            assert outcome.report.error
            assert names == {source.name}
        else:
            assert outcome.target is not None
            assert names == {source.name, outcome.target.name}
            assert exposed(source, outcome.target, perception, pictures, left) == []
        return outcome.report.status

    @FUZZ
    @given(mutations(len(originals[kind])))
    def fuzz(changes: list[tuple[str, int, bytes]]) -> None:
        attempt(mutated(originals[kind], changes))

    assert attempt(originals[kind]) == "hidden"
    fuzz()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(sorted({*PHOTOS, *VIDEOS})))
def test_noise_with_a_name_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, kind: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"noise.{kind}"
    path.write_bytes(data)
    with pytest.raises(InputError):
        open_source(path)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_true_beginning_and_noise_is_an_error_or_frames(
    originals: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    kind = data.draw(st.sampled_from(sorted(originals)))
    keep = data.draw(st.integers(4, 200))
    path = tmp_path_factory.getbasetemp() / f"half.{kind}"
    path.write_bytes(originals[kind][:keep] + data.draw(st.binary(max_size=200)))
    try:
        frames = list(open_source(path).frames())
    except InputError:
        return
    assert all(frame.width > 0 and frame.height > 0 for frame in frames)
