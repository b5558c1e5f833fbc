"""The same with a trained network and photos of people that differ, where those lie beside the repository."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from incog import pipeline
from incog.keys import Secret
from incog.media import open_source
from incog.methods import make
from incog.people import RISK, choice_of, enrol
from incog.perceive.calibration import Calibration, calibrate, threshold
from incog.perceive.embedder import OnnxEmbedder, unit
from incog.perceive.recogniser import Recogniser
from incog.pipeline import Perception
from incog.report import FileReport

Picture = npt.NDArray[np.uint8]
SHARED = Path(__file__).resolve().parents[2] / "shared"
NEEDED = [
    SHARED / "weights" / "edgeface_xs.onnx",
    *(SHARED / "data" / f"{name}{end}" for name in ("lfw", "utkface") for end in (".zip", "-teacher.npz")),
]

pytestmark = [
    pytest.mark.skipif(not all(path.exists() for path in NEEDED), reason="the shared data are not here"),
    pytest.mark.slow,
]

PEOPLE = 5


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    """Return the calibration of the network on embeddings that were made beforehand."""
    vectors, names, groups = [], [], []
    for data in ("lfw", "utkface"):
        with np.load(SHARED / "data" / f"{data}-teacher.npz") as known:
            rows = np.isfinite(known["embedding"]).all(axis=1)
            vectors.append(unit(known["embedding"][rows].astype(np.float32)))
            files = known["name"][rows].tolist()
        names += [file.rsplit("_", 1)[0] if data == "lfw" else "" for file in files]
        if data == "lfw":
            groups += [""] * len(files)
            continue
        with zipfile.ZipFile(SHARED / "data" / "utkface.zip") as archive:
            labels = csv.DictReader(io.TextIOWrapper(archive.open("labels.csv")))
            by_file = {row["file"]: row for row in labels}
        groups += [
            f"{by_file[file]['ethnicity']} {'child' if int(by_file[file]['age']) < 16 else by_file[file]['gender']}"
            for file in files
        ]
    return calibrate(np.concatenate(vectors), names, groups, embedder="teacher")


@pytest.fixture
def teacher(perception: Perception, calibration: Calibration, monkeypatch: pytest.MonkeyPatch) -> Perception:
    network = OnnxEmbedder(NEEDED[0].read_bytes(), threads=2)
    monkeypatch.setattr(perception, "recogniser", Recogniser(network, calibration, perception.searcher.look))
    return perception


@pytest.fixture(scope="module")
def photos() -> list[list[Picture]]:
    """Return two photos each of some people, from all over the alphabet."""
    with zipfile.ZipFile(NEEDED[1]) as archive:
        by_name: dict[str, list[str]] = {}
        for file in sorted(name for name in archive.namelist() if name.endswith(".webp")):
            by_name.setdefault(file.rsplit("_", 1)[0], []).append(file)
        several = [files for files in by_name.values() if len(files) > 2]
        chosen = several[:: len(several) // PEOPLE][:PEOPLE]
        return [
            [np.asarray(Image.open(io.BytesIO(archive.read(file))).convert("RGB")) for file in files[:2]]
            for files in chosen
        ]


@pytest.fixture
def crowd(tmp_path: Path, photos: list[list[Picture]]) -> Path:
    """Return a picture with the first photo of everybody, side by side."""
    path = tmp_path / "crowd.png"
    Image.fromarray(np.hstack([pair[0] for pair in photos])).save(path)
    return path


def hidden(crowd: Path, target: Path, teacher: Perception, method: str, **parameters: str) -> FileReport:
    plan = pipeline.plan(open_source(crowd), teacher)
    return pipeline.render(
        open_source(crowd), plan, target, make(method, parameters), Secret.from_seed(1), teacher
    )


def test_groups_differ_and_the_worst_counts(calibration: Calibration) -> None:
    levels = {tail.name: tail.score_at(1e-3) for tail in calibration.tails}
    assert len(levels) >= 10
    assert max(levels.values()) > min(levels.values()) + 0.05
    assert threshold(calibration, 10, 0.01) == max(levels.values())
    # Without what groups have in common, strangers of no group are nearly as unlike as those of the best group.
    assert min(levels.values()) < 0.35


@pytest.mark.parametrize("who", range(PEOPLE))
def test_another_photo_of_a_person_keeps_that_person_alone(
    crowd: Path, tmp_path: Path, teacher: Perception, photos: list[list[Picture]], who: int
) -> None:
    assert teacher.recogniser is not None
    portrait = tmp_path / "portrait.png"
    Image.fromarray(photos[who][1]).save(portrait)
    person = enrol(portrait, teacher.searcher, teacher.recogniser)
    found = {}
    for mode in ("keep", "only"):
        choice = choice_of(mode, [person], RISK, teacher.recogniser.calibration)  # type: ignore[arg-type]
        plan = pipeline.plan(open_source(crowd), teacher, choice=choice)
        assert len(plan.tracks) == PEOPLE
        found[mode] = {int(item.boxes[0][0] // 150) for item in plan.tracks if item.visible(0)}
    assert found == {"keep": {who}, "only": set(range(PEOPLE)) - {who}}


@pytest.mark.parametrize("method", ["fill", "blackout", "blur", "pixelate"])
def test_faces_that_are_gone_pass(crowd: Path, tmp_path: Path, teacher: Perception, method: str) -> None:
    report = hidden(crowd, tmp_path / "out.png", teacher, method)
    assert (report.rescan.compared, report.rescan.recognised) == (PEOPLE, 0)
    assert (report.fallback, report.rescan.rounds) == (0, 1)


@pytest.mark.parametrize(
    ("method", "parameters"),
    [("pixelate", {"blocks": "24"}), ("blur", {"sigma": "0.03"}), ("darken", {}), ("cartoon", {})],
)
def test_faces_that_are_still_recognised_are_filled(
    crowd: Path, tmp_path: Path, teacher: Perception, method: str, parameters: dict[str, str]
) -> None:
    report = hidden(crowd, tmp_path / "out.png", teacher, method, **parameters)
    assert report.fallback >= PEOPLE - 1
    assert report.rescan.recognised >= PEOPLE - 2
    assert report.rescan.exposed == 0
