"""``incog train``: recipes run, packs are made, and whoever has no PyTorch is told what to install."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

Picture = npt.NDArray[np.uint8]
Incog = Callable[..., Any]

TINY = """
task = "embedder"
name = "tiny"
data = ["faces"]
optional = ["teacher"]
budget = "20m"
batch = 4
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    path = tmp_path / "tiny.toml"
    path.write_text(TINY, "utf-8")
    return path


def _is_told(result: Any, code: int, *words: str) -> None:
    assert result.code == code, result.err
    assert "Traceback" not in result.err
    for word in words:
        assert word in result.err


def test_a_bug_is_told_with_its_trace(incog: Incog, recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incog.train.recipe.Recipe.load", lambda path: 1 / 0)
    result = incog("train", recipe)
    assert result.code == 1
    assert result.err.startswith("incog: internal error (ZeroDivisionError)\nTraceback")


# PyTorch


LOADED = "print('torch' in sys.modules)"
LIGHT = {
    "the library": "import sys, incog, incog.pipeline",
    "the command line": "import sys, incog.cli, incog.cli.train",
    "packing": "import sys, incog.train.packing, incog.train.recipe",
    "help": """import runpy, sys
sys.argv = ["incog", "--help"]
try:
    runpy.run_module("incog", run_name="__main__")
except SystemExit as end:
    assert not end.code""",
}


@pytest.mark.parametrize("case", LIGHT)
def test_only_training_loads_torch(case: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{LIGHT[case]}\n{LOADED}"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"
    assert case != "help" or "train" in done.stdout


@pytest.mark.parametrize("command", ["run", "export"])
def test_without_torch_the_command_that_installs_it_is_told(
    command: str, incog: Incog, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    words = ["train", recipe] if command == "run" else ["train", "export", recipe]
    _is_told(
        incog(*words, "--data", f"faces={recipe}"), 2, "training needs PyTorch", "pip install 'incog[train]'"
    )
    assert not (recipe.parent / "runs").exists()


def test_a_dry_run_needs_no_torch_and_no_data(
    incog: Incog, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    result = incog("train", recipe, "--budget", "90s", "--dry-run")
    assert result.code == 0
    said = tomllib.loads(result.out)
    assert (said["task"], said["budget"], said["batch"], said["rate"]) == ("embedder", 90.0, 4, 0.001)
    assert [item.name for item in recipe.parent.iterdir()] == ["tiny.toml"]


# What is wrong is told on one line

BAD: dict[str, tuple[tuple[str, ...], int, str]] = {
    "no path": (("--data", "faces"), 2, "--data must be NAME=PATH, got 'faces'"),
    "an empty path": (("--data", "faces="), 2, "--data must be NAME=PATH"),
    "a path that is not there": (
        ("--data", "faces=absent.pack"),
        2,
        "--data faces must be a file or folder that exists",
    ),
    "nor behind its layout": (
        ("--data", "faces=lfw:absent"),
        2,
        "--data faces must be a file or folder that exists",
    ),
    "a name twice": (
        ("--data", "faces=tiny.toml", "--data", "faces=tiny.toml"),
        2,
        "given once for each name",
    ),
    "another span": (("--budget", "soon"), 2, "such as 20m, got 'soon'"),
}


@pytest.mark.parametrize("case", BAD)
def test_options_that_are_wrong(case: str, incog: Incog, recipe: Path) -> None:
    words, code, said = BAD[case]
    _is_told(incog("train", recipe, *words), code, said)
    assert not (recipe.parent / "runs").exists()


def test_a_recipe_that_is_not_there(incog: Incog, recipe: Path) -> None:
    _is_told(incog("train", "absent.toml"), 1, "the recipe absent.toml cannot be read")


def test_data_that_the_recipe_needs(incog: Incog, recipe: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra [train]")
    _is_told(incog("train", recipe), 2, "--data must be given for faces, got 'nothing for faces'")
    _is_told(
        incog("train", recipe, "--data", "faces=tiny.toml", "--data", "more=tiny.toml"),
        2,
        "faces, teacher, got 'more'",
    )
    _is_told(incog("train", recipe, "--data", "faces=tiny.toml"), 1, "tiny.toml is no folder, no pack")
    recipe.write_text(TINY.replace("embedder", "embeder"))
    _is_told(
        incog("train", recipe, "--data", "faces=tiny.toml"),
        2,
        "task must be one of embedder,",
        "got 'embeder'",
    )


# A run


def test_a_recipe_runs_stops_and_goes_on(incog: Incog, recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra [train]")
    from incog.train import tasks

    class Mean:
        """Learns one number."""

        items = 8

        def __init__(self) -> None:
            self.modules = torch.nn.ModuleDict({"network": torch.nn.Linear(1, 1)})

        def losses(self, batch: Any) -> dict[str, Any]:
            return {"error": (self.modules["network"](batch.uniform(1)) - 3).square().mean()}

        def measure(self, network: Any) -> dict[str, float]:
            return {"bias": float(network.bias)}

        def sheet(self, network: Any) -> Picture:
            return np.zeros((2, 2, 3), np.uint8)

    monkeypatch.setattr(tasks, "make_task", lambda recipe, data, device, cache: Mean())
    result = incog(
        "train", recipe, "--budget", "0.2s", "--device", "cpu", "--threads", "1", "--out", "out/one"
    )
    assert result.code == 0, result.err
    assert "held out: bias" in result.out
    assert (recipe.parent / "out" / "one" / "checkpoint.pt").exists()
    _is_told(incog("train", recipe, "--out", "out/one"), 1, "out/one already holds a run", "--resume")
    _is_told(incog("train", recipe, "--out", "out/two", "--resume"), 1, "there is no checkpoint in out/two")
    again = incog("train", recipe, "--budget", "0.2s", "--device", "cpu", "--out", "out/one", "--resume")
    assert again.code == 0
    assert again.out.count("held out") == 1


# Packs


def test_packs_are_made(incog: Incog, astronaut: Picture, recipe: Path) -> None:
    folder = recipe.parent / "photos"
    folder.mkdir()
    for name, picture in (("a.png", astronaut), ("b.png", astronaut[160:, :90])):
        cv2.imwrite(str(folder / name), picture[..., ::-1])
    result = incog(
        "train", "pack", "--data", "photos=photos", "--out", "photos.pack", "--terms", "photos=NASA"
    )
    assert result.code == 0, result.err
    assert "photos: 2 pictures, layout images" in result.out
    assert "photos: 1 faces, left out: no face found: 1" in result.out
    assert "wrote photos.pack: 1 faces in 0.0 MB" in result.out
    _is_told(
        incog("train", "pack", "--data", "photos=photos", "--out", "photos.pack"),
        1,
        "exists already",
        "--overwrite",
    )
    again = incog("train", "pack", "--data", "any=photos.pack", "--out", "again.pack")
    assert "photos: 1 faces" in again.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--data", "a=absent"), 2, "--data a must be a file or folder that exists"),
        (("--data", "a=tiny.toml"), 1, "tiny.toml is no folder, no pack and no ZIP"),
        (("--data", "a=."), 1, "holds no pictures in a layout that can be read"),
        (("--data", "a=.", "--teacher", "absent.onnx"), 2, "--teacher must be NAME=PATH"),
        (("--data", "a=.", "--terms", "mine"), 2, "--terms must be NAME=TEXT"),
        (("--data", "a=.", "--template", "narrow"), 2, "template must be arcface, wide or outline"),
    ],
)
def test_packs_that_cannot_be_made(
    words: tuple[str, ...], code: int, said: str, incog: Incog, recipe: Path
) -> None:
    _is_told(incog("train", "pack", *words, "--out", "a.pack"), code, said)
    assert not (recipe.parent / "a.pack").exists()


@pytest.mark.parametrize("command", ["pack", "export"])
def test_every_command_is_explained(command: str, incog: Incog) -> None:
    result = incog("train", command, "--help")
    assert result.code == 0
    assert "--data" in result.out
    assert command in incog("train", "--help").out
