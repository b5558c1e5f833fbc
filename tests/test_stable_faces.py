"""Video through methods that draw faces: who comes back keeps the new face, if that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from incog import pipeline
from incog.keys import Secret
from incog.media import open_source
from incog.methods import make
from incog.pipeline import Options, Perception
from incog.types import Face

Picture = npt.NDArray[np.uint8]
Decode = Callable[[Path], list[Picture]]
WriteClip = Callable[..., Path]
Incog = Callable[..., Any]
SECRET = Secret.from_seed(8)
ID = bytes(range(16))


@pytest.mark.parametrize("name", ["appearance-replace", "replace", "donor"])
def test_who_comes_back_keeps_the_new_face(
    name: str,
    tmp_path: Path,
    astronaut: Picture,
    perception: Perception,
    write_clip: WriteClip,
    pictures: Decode,
) -> None:
    empty = np.full_like(astronaut, 90)
    path = write_clip(tmp_path / "back.mp4", [astronaut] * 8 + [empty] * 30 + [astronaut] * 8)
    plan = pipeline.plan(open_source(path), perception, file_id=ID)
    assert len(plan.tracks) == 2

    def between(identity: str) -> float:
        """Return the mean difference of the faces before and after the pause."""
        target = tmp_path / f"{identity}.mp4"
        method = make(name, {"identity": identity})
        # Without the comparison: by chance a new face may be like the old one, and would be filled.
        plain = Options(compare=False)
        report = pipeline.render(open_source(path), plan, target, method, SECRET, perception, options=plain)
        assert report.fallback == 0
        shown = pictures(target)
        (x0, y0, x1, y1) = (int(v) for v in plan.tracks[0].boxes[5])
        one, other = (shown[index][y0:y1, x0:x1].astype(float) for index in (5, 43))
        return float(np.abs(one - other).mean())

    assert between("stable") < 0.3 * between("track")


@pytest.mark.parametrize("name", ["appearance-replace", "replace", "donor"])
def test_who_is_named_has_one_face_in_all_files(
    name: str, tmp_path: Path, astronaut: Picture, incog: Incog, collins: Face
) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(astronaut).save(photo)
    files = [tmp_path / "one.png", tmp_path / "two.png"]
    for path, share in zip(files, (1, 0.8), strict=True):
        Image.fromarray(np.rint(astronaut * share).astype(np.uint8)).save(path)
    x0, y0, x1, y1 = (int(value) for value in collins.box)

    def alike(*options: str) -> float:
        out = tmp_path / f"out {len(options)}"
        method = ["--method", name, "--set", "identity=stable", "--no-compare"]
        done = incog("hide", *files, "-o", out, "--seed", "3", *method, *options)
        assert done.code == 0, done.err
        one, other = (np.asarray(Image.open(path).convert("L"))[y0:y1, x0:x1] for path in out.iterdir())
        return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])

    together = alike("--person", f"eileen={photo}")
    assert together > 0.9
    assert 1 - together < 0.75 * (1 - alike())


def test_a_name_without_a_use_is_refused(photo: Path, incog: Incog) -> None:
    done = incog(photo, "--person", f"eileen={photo}", "--method", "replace")
    assert done.code == 2
    assert (
        "--person must be given with --pseudonyms or a method with identity=stable, got replace" in done.err
    )
    for given, words in (
        ("eileen", "--person must be NAME=PHOTO, got 'eileen'"),
        ("eileen=nowhere.png", "--person eileen must be a photo or a folder that exists"),
    ):
        done = incog(photo, "--person", given, "--method", "replace", "--set", "identity=stable")
        assert done.code == 2
        assert words in done.err
    twice = ["--person", f"a={photo}", "--person", f"a={photo}"]
    done = incog(photo, *twice, "--method", "replace", "--set", "identity=stable")
    assert "--person must be given once for each name" in done.err
