"""A folder under pseudonyms: one new face for each person, other names, and nothing by order or workers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from incog import pseudonyms
from incog.errors import UsageError
from incog.keys import Secret, person_key
from incog.methods import METHODS, make
from incog.perceive import calibration
from incog.pseudonyms import hidden, rotated
from incog.types import Face

Picture = npt.NDArray[np.uint8]
Incog = Callable[..., Any]
Tree = Callable[[Path], list[str]]
DRAWING = ("appearance-replace", "replace", "donor")


def lit(picture: Picture, share: float) -> Image.Image:
    return Image.fromarray(np.rint(picture * share).astype(np.uint8))


@pytest.fixture
def folder(tmp_path: Path, astronaut: Picture, admiral: Picture) -> Path:
    """Return two people in folders of their own, two pictures of each."""
    root = tmp_path / "people"
    for name, picture, shares in (
        ("Eileen Collins", astronaut, (1, 0.8)),
        ("Grace Hopper", admiral, (1, 0.85)),
    ):
        (root / name).mkdir(parents=True)
        for number, share in enumerate(shares):
            lit(picture, share).save(root / name / f"{name[0]}{number}.png")
    return root


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    Secret.from_seed(5).to_file(path)
    return path


def contents(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def report_of(path: Path) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(path.read_text()))


def people_of(report: Mapping[str, Any], folder: Path, secret: Secret) -> dict[str, list[int]]:
    """Return the numbers of the people in each file, by its name: entries stand in the order of the new names."""
    places = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    places.sort(key=lambda place: hidden(secret, place).as_posix())
    return {
        place.name: entry["people"] for place, entry in zip(places, report["files"], strict=True)
    }  # fmt: skip


def test_a_person_has_one_new_face_and_no_file_its_name(
    folder: Path, tmp_path: Path, key: Path, incog: Incog, tree: Tree
) -> None:
    out, report = tmp_path / "out", tmp_path / "r.json"
    done = incog("hide", folder, "--pseudonyms", "-o", out, "--secret-file", key, "--report", report)
    assert done.code == 0, done.err
    found = report_of(report)
    assert found["pseudonyms"]["told_by"] == "folders"
    assert found["pseudonyms"]["people"] == found["pseudonyms"]["named"] == 2
    assert {entry["method"] for entry in found["files"]} == {"replace"}
    who = people_of(found, folder, Secret.from_file(key))
    assert who["E0.png"] == who["E1.png"] != who["G0.png"] == who["G1.png"]
    assert sorted(who["E0.png"] + who["G0.png"]) == [1, 2]
    # Names are tokens, files of one folder stay in one, and nothing has a date.
    assert sum(re.fullmatch(r"[0-9a-f]{32}", name) is not None for name in tree(out)) == 2
    assert sum(re.fullmatch(r"[0-9a-f]{32}/[0-9a-f]{32}\.png", name) is not None for name in tree(out)) == 4
    assert {path.stat().st_mtime for path in (out, *out.rglob("*"))} == {0.0}
    for word in ("Collins", "Hopper", "E0"):
        assert word not in report.read_text()


@pytest.mark.parametrize("method", DRAWING)
def test_the_new_face_is_the_same_in_all_pictures(
    method: str, folder: Path, tmp_path: Path, key: Path, incog: Incog, collins: Face
) -> None:
    for path in (folder / "Grace Hopper").iterdir():
        path.unlink()
    x0, y0, x1, y1 = (int(value) for value in collins.box)

    def alike(*options: Any) -> float:
        """Return the correlation of the new faces in the two pictures."""
        out = tmp_path / f"out {len(options)}"
        done = incog(
            "hide", folder, "-o", out, "--method", method, "--no-compare", "--secret-file", key, *options
        )
        assert done.code == 0, done.err
        one, other = (np.asarray(Image.open(path).convert("L"))[y0:y1, x0:x1] for path in out.rglob("*.png"))
        return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])

    apart, together = alike(), alike("--pseudonyms", "--people", "folders")
    assert together > 0.9
    # Both are faces in one place under one light; what is left is who it is.
    assert 1 - together < 0.75 * (1 - apart)


@pytest.mark.slow
def test_the_result_is_the_secret_s_alone(folder: Path, tmp_path: Path, key: Path, incog: Incog) -> None:
    for person in folder.iterdir():
        next(person.glob("?1.png")).unlink()
    command = ["hide", folder, "--pseudonyms", "--people", "clusters", "--no-compare"]
    outs = {}
    for name, options in {
        "one": ["--secret-file", key, "--threads", 1],
        "two": ["--secret-file", key, "--threads", 1, "--workers", 2],
        "other": ["--secret-file", key, "--rotate", 1],
    }.items():
        done = incog(*command, *options, "-o", tmp_path / name)
        assert done.code == 0, done.err
        outs[name] = contents(tmp_path / name)
    assert outs["one"] == outs["two"]
    assert not set(outs["other"]) & set(outs["one"])
    assert not set(outs["other"].values()) & set(outs["one"].values())


def test_clusters_are_told_in_photos_and_videos(
    folder: Path, tmp_path: Path, key: Path, clip: Path, incog: Incog
) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in folder.rglob("*.png"):
        path.rename(flat / path.name)
    clip.rename(flat / "C.mp4")
    report = tmp_path / "r.json"
    done = incog(
        "hide", flat, "--pseudonyms", "-o", tmp_path / "out", "--secret-file", key, "--report", report
    )
    assert done.code == 0, done.err
    found = report_of(report)
    figures = found["pseudonyms"]
    assert figures["told_by"] == "clusters"
    assert (figures["people"], figures["named"], figures["unclear"], figures["risk"]) == (2, 0, 0, 0.05)
    assert 0 < figures["lowest"] <= figures["highest"] < 1
    who = people_of(found, flat, Secret.from_file(key))
    assert who["E0.png"] == who["E1.png"] == who["C.mp4"]
    assert who["G0.png"] == who["G1.png"] != who["E0.png"]
    assert "at most about 0.05" in json.dumps(figures["claims"])


def test_a_name_keeps_its_face_over_runs(
    folder: Path, tmp_path: Path, key: Path, astronaut: Picture, incog: Incog
) -> None:
    """Who is enrolled has the same face in a folder of photos with nobody else, and in one with others."""
    photo, secret = tmp_path / "photo.png", Secret.from_file(key)
    Image.fromarray(astronaut).save(photo)
    few = tmp_path / "few"
    (few / "Eileen Collins").mkdir(parents=True)
    (few / "Eileen Collins" / "E0.png").write_bytes((folder / "Eileen Collins" / "E0.png").read_bytes())
    place = hidden(secret, Path("Eileen Collins/E0.png"))
    options = ["--pseudonyms", "--person", f"eileen={photo}", "--secret-file", key, "--no-compare"]
    (folder / "Grace Hopper" / "G1.png").unlink()
    for root, out in ((folder, "one"), (few, "two")):
        report = tmp_path / f"{out}.json"
        done = incog("hide", root, *options, "-o", tmp_path / out, "--report", report)
        assert done.code == 0, done.err
        assert report_of(report)["pseudonyms"]["named"] == 1
    one, two = (contents(tmp_path / out)[f"{place.as_posix()}.png"] for out in ("one", "two"))
    assert one == two


def test_a_gallery_keeps_faces_over_runs(folder: Path, tmp_path: Path, incog: Incog, collins: Face) -> None:
    phrase, place = tmp_path / "phrase", tmp_path / "people.gallery"
    phrase.touch(mode=0o600)
    phrase.write_text("abacus-lantern-quartz-mimic-ferret\n")
    for name in ("E1", "G1"):
        next(folder.rglob(f"{name}.png")).unlink()
    later = tmp_path / "later"
    later.mkdir()
    (later / "other.png").write_bytes((folder / "Eileen Collins" / "E0.png").read_bytes())
    options = ["--pseudonyms", "--no-compare", "--gallery", place, "--gallery-passphrase-file", phrase]
    faces, figures = {}, []
    x0, y0, x1, y1 = (int(value) for value in collins.box)
    for root in (folder, later):
        out, report = tmp_path / f"{root.name}.out", tmp_path / f"{root.name}.json"
        done = incog("hide", root, *options, "-o", out, "--report", report)
        assert done.code == 0, done.err
        figures.append(report_of(report))
        faces[root.name] = [np.asarray(Image.open(path))[y0:y1, x0:x1] for path in out.rglob("*.png")]
    assert [found["pseudonyms"]["met_before"] for found in figures] == [0, 1]
    assert {found["randomness"] for found in figures} == {"from a sealed gallery"}
    # One picture, one person, one face; another name of the file changes the grain at most.
    (again,) = faces["later"]
    nearest = min(float(np.abs(again - one.astype(float)).mean()) for one in faces["people"])
    assert nearest < 1
    assert place.stat().st_mode & 0o077 == 0
    phrase.write_text("another-lantern-quartz-mimic-ferret\n")
    done = incog("hide", later, *options, "-o", tmp_path / "wrong")
    assert done.code == 1
    assert "the passphrase is wrong" in done.err
    assert not (tmp_path / "wrong").exists()
    phrase.write_text("password\n")
    done = incog("hide", later, *options[:-3], tmp_path / "new", *options[-2:], "-o", tmp_path / "weak")
    assert done.code == 2
    assert "the passphrase must have 40 bits" in done.err


def test_folders_that_are_no_people_are_not_taken_for_them(
    folder: Path, tmp_path: Path, key: Path, incog: Incog
) -> None:
    for number in (0, 1):
        day = tmp_path / "days" / f"day {number}"
        day.mkdir(parents=True)
        for name in ("Eileen Collins/E", "Grace Hopper/G"):
            path = folder / f"{name}{number}.png"
            (day / path.name).write_bytes(path.read_bytes())
    report = tmp_path / "r.json"
    options = ["--pseudonyms", "--secret-file", key, "--no-compare"]
    done = incog("hide", tmp_path / "days", *options, "-o", tmp_path / "out", "--report", report)
    assert done.code == 0, done.err
    assert report_of(report)["pseudonyms"]["told_by"] == "clusters"


# Methods


@pytest.mark.parametrize("name", DRAWING)
def test_likeness_is_the_key_s_and_the_look_s(name: str) -> None:
    method = pseudonyms.usable(make(name, {}))
    secret = Secret.from_seed(2)
    look = np.array([0.35, 0.95, 0.9, 0.02, 0.02, 0.02, 0.04, 1, 0], np.float32)
    keys = [person_key(secret, str(n)) for n in range(12)]
    rows = np.stack([method.likeness(key, look) for key in keys])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(method.likeness(keys[0], look), rows[0])
    between = (rows @ rows.T)[np.triu_indices(12, 1)]
    # Most people whom keys draw are strangers to each other.
    assert np.median(between) < calibration.shipped().sensitive(1e-3)
    assert between.max() < 0.9


# What is refused


@pytest.mark.parametrize("name", ["fill", "blur", "blend", "autoencode", "k-same-pixel"])
def test_methods_that_draw_no_person_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"draws a person from a key, got {name}"):
        pseudonyms.usable(METHODS[name]())
    with pytest.raises(UsageError, match="got donor"):
        pseudonyms.usable(make("donor", {"donor": "7"}))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--pseudonyms", "--seed", 1], "--seed must not be given with --pseudonyms"),
        (["--pseudonyms", "--overwrite"], "--overwrite must not be given with --pseudonyms"),
        (["--pseudonyms", "--keep-metadata"], "--keep-metadata must not be given with --pseudonyms"),
        (["--pseudonyms", "--people", "guess"], "--people must be folders or clusters, got 'guess'"),
        (["--pseudonyms", "--rotate", 2], "--rotate must be given with --secret-file"),
        (["--pseudonyms", "--people", "folders", "--risk", 0.1], "--risk must be given with --keep"),
        (["--pseudonyms", "--risk", 2], "--risk must be a number from 1e-06 to 0.5"),
        (["--pseudonyms", "--method", "fill"], "draws a person from a key, got fill"),
        (["--people", "folders"], "--people must be given with --pseudonyms"),
        (["--rotate", 1], "--rotate must be given with --pseudonyms"),
        (["--gallery", "g"], "--gallery must be given with --pseudonyms"),
        (
            ["--pseudonyms", "--people", "folders", "--gallery", "g"],
            "--gallery must not be given with --people",
        ),
        (["--pseudonyms", "--gallery-passphrase-file", "p"], "must be given with --gallery"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    options: list[Any], words: str, folder: Path, tmp_path: Path, incog: Incog
) -> None:
    done = incog("hide", folder, *options, "-o", tmp_path / "out")
    assert done.code == 2
    assert words in done.err
    assert not (tmp_path / "out").exists()


def test_a_file_and_a_folder_in_use_are_refused(
    photo: Path, folder: Path, tmp_path: Path, incog: Incog
) -> None:
    assert "must be given one folder" in incog("hide", photo, "--pseudonyms").err
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "here").write_text("")
    done = incog("hide", folder, "--pseudonyms", "-o", tmp_path / "out")
    assert done.code == 1
    assert "must be a new or an empty folder" in done.err


def test_a_broken_file_stops_before_anything_is_written(
    folder: Path, tmp_path: Path, key: Path, incog: Incog
) -> None:
    (folder / "Grace Hopper" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    out, report = tmp_path / "out", tmp_path / "r.json"
    command = ["hide", folder, "--pseudonyms", "-o", out, "--secret-file", key, "--report", report]
    done = incog(*command)
    assert done.code == 1
    assert not out.exists()
    assert "bad" not in report.read_text()
    done = incog(*command[:-1], tmp_path / "r2.json", "--keep-going")
    assert done.code == 1
    entries = report_of(tmp_path / "r2.json")["files"]
    assert sorted(entry["status"] for entry in entries) == ["failed"] + ["hidden"] * 4
    assert len(contents(out)) == 4


def test_rotations_are_secrets_of_their_own() -> None:
    secret = Secret.from_seed(3)
    assert rotated(secret, 0) is secret
    assert len({rotated(secret, number).value for number in range(20)}) == 20
    with pytest.raises(UsageError, match="--rotate must be a whole number"):
        rotated(secret, -1)
