"""Video through methods that draw faces: who comes back keeps the new face, if that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from incog import pipeline
from incog.keys import Secret
from incog.media import open_source
from incog.methods import make
from incog.pipeline import Perception

Picture = npt.NDArray[np.uint8]
Decode = Callable[[Path], list[Picture]]
WriteClip = Callable[..., Path]
SECRET = Secret.from_seed(8)
ID = bytes(range(16))


def test_who_comes_back_keeps_the_new_face(
    tmp_path: Path, astronaut: Picture, perception: Perception, write_clip: WriteClip, pictures: Decode
) -> None:
    empty = np.full_like(astronaut, 90)
    path = write_clip(tmp_path / "back.mp4", [astronaut] * 10 + [empty] * 30 + [astronaut] * 10)
    plan = pipeline.plan(open_source(path), perception, file_id=ID)
    assert len(plan.tracks) == 2

    def between(identity: str) -> float:
        """Return the mean difference of the faces before and after the pause."""
        target = tmp_path / f"{identity}.mp4"
        method = make("appearance-replace", {"identity": identity})
        report = pipeline.render(open_source(path), plan, target, method, SECRET, perception)
        assert report.fallback == 0
        shown = pictures(target)
        (x0, y0, x1, y1) = (int(v) for v in plan.tracks[0].boxes[5])
        one, other = (shown[index][y0:y1, x0:x1].astype(float) for index in (5, 45))
        return float(np.abs(one - other).mean())

    assert between("stable") < 0.3 * between("track")
