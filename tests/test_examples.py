"""The examples do what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_the_quickstart_hides_two_photos_and_a_clip(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "quickstart.py"), str(folder)],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert str(folder / "safe") in done.stdout
    names = {"admiral.jpg", "astronaut.jpg", "clip.mp4"}
    assert {path.name for path in (folder / "originals").iterdir()} == names
    assert {path.name for path in (folder / "safe").iterdir()} == names
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert [(entry["status"], entry["tracks"]) for entry in report["files"]] == [
        ("hidden", 1),
        ("hidden", 1),
        ("hidden", 2),
    ]
    assert all(entry["rescan"]["exposed"] == 0 for entry in report["files"])
    before, after = (
        np.asarray(Image.open(folder / place / "astronaut.jpg"), np.int16) for place in ("originals", "safe")
    )
    change = np.abs(before - after).max(axis=2)
    # The face of the astronaut lies at columns 180 to 270 and rows 60 to 175.
    assert np.median(change[60:175, 180:270]) > 20
    assert np.median(change[300:]) <= 2
