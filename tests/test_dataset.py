"""A folder of people as one set: what is released stands for k people to the byte, and wrong folders write nothing."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from incog import dataset
from incog.keys import Secret
from incog.methods import eigenspace

Picture = npt.NDArray[np.uint8]
Incog = Callable[..., Any]
Tree = Callable[[Path], list[str]]

SIZE = 150


def portrait(person: int, number: int = 0, *, width: int = SIZE, height: int = SIZE) -> Image.Image:
    """Return a face of the shipped basis that nobody has: a person's code, moved a little from picture to picture."""
    basis = eigenspace.shipped()
    code = 0.9 * np.random.default_rng(person).normal(size=50) * basis.deviations[:50]
    code[:2] /= 2
    code += 0.15 * np.random.default_rng([person, number]).normal(size=50) * basis.deviations[:50]
    face = np.clip(basis.decode(code.astype(np.float32)), 0, 1)
    head = Image.fromarray(np.rint(face * 255).astype(np.uint8)).resize((120, 120), Image.Resampling.BICUBIC)
    canvas = Image.new("RGB", (width, height), tuple(int(c) for c in face[0, 0] * 255))
    canvas.paste(head, ((width - 120) // 2, (height - 120) // 2 + 5))
    return canvas


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Return a folder of seven people: five in folders of their own, of one or two pictures, two files."""
    root = tmp_path / "people"
    for person in range(5):
        folder = root / f"Person {person}"
        folder.mkdir(parents=True)
        for number in range(1 + person % 2):
            portrait(person, number).save(folder / f"{number}.png")
    for person in (5, 6):
        portrait(person).save(root / f"somebody-{person}.png")
    return root


def test_people_are_told_by_their_folders(people: Path) -> None:
    (people / "labels.csv").write_text("who,what\n")
    deeper = people / "Person 1" / "more"
    deeper.mkdir()
    portrait(1, 5).save(deeper / "5.png")
    members, others = dataset.members_of(people)
    assert others == 1
    assert [member.number for member in members] == list(range(1, 11))
    who = {member.place.as_posix(): member.person for member in members}
    assert who["Person 1/more/5.png"] == who["Person 1/0.png"] == "Person 1"
    assert who["somebody-5.png"] != who["somebody-6.png"]


# A shared background


def released(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


@pytest.mark.parametrize(
    "method", ["k-same-pixel", "k-same-eigen", "k-same-select", "k-same-furthest", "k-same-net"]
)
def test_files_of_a_group_are_the_same_to_the_byte(
    people: Path, tmp_path: Path, incog: Incog, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = Secret.from_seed(3)
    key = tmp_path / "key"
    secret.to_file(key)
    out = tmp_path / "out"
    options = ["--set", "k=3", "--share-background", "--no-compare", "--secret-file", key]
    result = incog("hide", people, "--method", method, *options, "-o", out, "--report", tmp_path / "r.json")
    assert result.code == 0, result.err
    files = released(out)
    members, _ = dataset.members_of(people)
    assert len(files) == len(members) == 9
    behind: dict[str, set[str]] = defaultdict(set)
    of: dict[str, set[str]] = defaultdict(set)
    for member in members:
        mark = hashlib.sha256(files[f"{dataset.token(secret, member)}.png"]).hexdigest()
        behind[mark].add(member.person)
        of[member.person].add(mark)
    assert min(map(len, behind.values())) >= 3
    assert max(map(len, of.values())) == 1
    # Nothing else about a file differs: no name, folder, time or mode.
    assert all(re.fullmatch("[0-9a-f]{32}.png", name) for name in files)
    assert {path.stat().st_mtime for path in out.iterdir()} == {0.0}
    assert len({path.stat().st_mode for path in out.iterdir()}) == 1
    (report,) = json.loads((tmp_path / "r.json").read_text())["files"]
    assert report["claims"][0]["holds"]
    assert report["claims"][0]["value"] == 3
    assert "Person" not in (tmp_path / "r.json").read_text()


def test_a_fresh_secret_gives_other_names_to_the_same_pictures(
    people: Path, tmp_path: Path, incog: Incog
) -> None:
    command = [
        "hide",
        people,
        "--method",
        "k-same-pixel",
        "--set",
        "k=3",
        "--share-background",
        "--no-compare",
    ]
    for name in ("one", "two"):
        assert incog(*command, "-o", tmp_path / name).code == 0
    one, two = released(tmp_path / "one"), released(tmp_path / "two")
    assert not set(one) & set(two)
    assert sorted(one.values()) == sorted(two.values())


def test_no_claim_is_made_with_a_seed(people: Path, tmp_path: Path, incog: Incog) -> None:
    report = tmp_path / "r.json"
    options = ["--set", "k=3", "--share-background", "--no-compare", "--seed", 1, "--report", report]
    result = incog("hide", people, "--method", "k-same-pixel", *options, "-o", tmp_path / "out")
    assert result.code == 0
    claims = json.loads(report.read_text())["files"][0]["claims"]
    assert not any(claim["holds"] for claim in claims)
    assert "the seed can be guessed" in claims[0]["statement"]


def test_the_picture_of_a_group_shows_a_face(
    people: Path, tmp_path: Path, incog: Incog, perception: Any
) -> None:
    options = ["--share-background", "--no-compare"]
    assert incog("hide", people, "--method", "k-same-pixel", *options, "-o", tmp_path / "out").code == 0
    for path in (tmp_path / "out").iterdir():
        picture = np.asarray(Image.open(path))
        assert picture.shape == (SIZE, SIZE, 3)
        assert perception.searcher._detector(picture, scales=[1.0], threshold=0.5)


def test_pictures_are_widened_by_their_border() -> None:
    face = np.random.default_rng(0).random((16, 16, 3)).astype(np.float32)
    wide = dataset.shared_picture(face, 40, 20)
    assert wide.shape == (20, 40, 3)
    np.testing.assert_array_equal(wide[:, :10], np.repeat(wide[:, 10:11], 10, 1))
    np.testing.assert_array_equal(wide[:, 30:], np.repeat(wide[:, 29:30], 10, 1))
    assert dataset.shared_picture(face, 16, 16).shape == (16, 16, 3)


# Laid back


def test_faces_are_laid_back_where_they_were(people: Path, tmp_path: Path, incog: Incog, tree: Tree) -> None:
    report = tmp_path / "r.json"
    out = tmp_path / "out"
    options = ["--set", "k=3", "--no-compare", "--report", report]
    result = incog("hide", people, "--method", "k-same-pixel", *options, "-o", out)
    assert result.code == 0, result.err
    assert tree(out) == tree(people)
    assert "is weak" in result.err
    for name in ("Person 1/0.png", "somebody-6.png"):
        before, after = (np.asarray(Image.open(root / name)).astype(int) for root in (people, out))
        changed = np.abs(before - after).max(2)
        assert changed[60:100, 55:95].mean() > 4
        assert not changed[:4].any()
    entries = json.loads(report.read_text())["files"]
    assert len(entries) == 9
    for entry in entries:
        assert [claim["holds"] for claim in entry["claims"]] == [True, False, False]
        assert "laid back into its own picture" in entry["claims"][1]["statement"]


def test_a_filled_face_refuses_the_claim(
    people: Path, tmp_path: Path, incog: Incog, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = dataset.pipeline.render

    def recognised(*arguments: Any, **options: Any) -> Any:
        report = real(*arguments, **options)
        report.fallback = 1
        return report

    monkeypatch.setattr(dataset.pipeline, "render", recognised)
    report = tmp_path / "r.json"
    options = ["--set", "k=3", "--no-compare", "--report", report]
    assert incog("hide", people, "--method", "k-same-pixel", *options, "-o", tmp_path / "out").code == 0
    for entry in json.loads(report.read_text())["files"]:
        assert not any(claim["holds"] for claim in entry["claims"])
        assert "9 of 9 could not be laid back" in entry["claims"][0]["statement"]


# What is refused


def refused(incog: Incog, tree: Tree, root: Path, *options: str | Path) -> str:
    before = tree(root.parent)
    result = incog(
        "hide", root, "--method", "k-same-pixel", "--set", "k=3", *options, "-o", root.parent / "out"
    )
    assert result.code in (1, 2)
    assert tree(root.parent) == before, "nothing may be written"
    return " ".join(result.err.split())


def test_too_few_people_are_refused(people: Path, incog: Incog, tree: Tree) -> None:
    text = refused(
        incog, tree, people, "--set", "light=0.5", "--share-background", "--seed", "1", "--spans", "0-1"
    )
    assert "--spans must not be given with k-same-pixel" in text
    for path in [*people.glob("somebody*"), *people.glob("Person [0-2]/*")]:
        path.unlink()
    assert "k-same-pixel must be given at least k = 3 people, got 2" in refused(incog, tree, people)


@pytest.mark.parametrize("share", [[], ["--share-background"]])
def test_what_is_no_face_is_refused_by_name(
    people: Path, tmp_path: Path, incog: Incog, tree: Tree, share: list[str]
) -> None:
    Image.new("RGB", (SIZE, SIZE), "gray").save(people / "wall.png")
    (people / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    frames = [portrait(1, number) for number in range(3)]
    frames[0].save(people / "moving.gif", save_all=True, append_images=frames[1:])
    text = refused(incog, tree, people, *share)
    assert "no face was found: wall.png" in text
    assert "broken.jpg" in text
    assert "no photo but an animation: moving.gif" in text
    assert "--keep-going" in text
    report, out = tmp_path / "r.json", tmp_path / "out"
    options = ["--set", "k=3", "--keep-going", "--no-compare", *share, "--report", report]
    result = incog("hide", people, "--method", "k-same-pixel", *options, "-o", out)
    assert result.code == 1
    assert sum(path.is_file() for path in out.rglob("*")) == 9
    failed = [entry for entry in json.loads(report.read_text())["files"] if entry["status"] == "failed"]
    assert len(failed) == 3
    assert "wall" not in report.read_text()


def test_mixed_sizes_are_refused_where_they_would_tell(people: Path, incog: Incog, tree: Tree) -> None:
    portrait(8, width=180).save(people / "wide.png")
    text = refused(incog, tree, people, "--share-background")
    assert "180 x 150 pixels, not 150 x 150 as most: wide.png" in text


def test_one_person_in_two_places_is_refused(people: Path, incog: Incog, tree: Tree) -> None:
    portrait(1, 0).save(people / "again.png")
    assert "the same picture is given for two people" in refused(incog, tree, people, "--no-compare")
    portrait(1, 0).save(people / "again.jpg", quality=90)
    (people / "again.png").unlink()
    text = refused(incog, tree, people)
    assert "two people of the set look like one, most of all Person 1/0.png and again.jpg" in text
    assert "--no-compare" in text


def test_releases_are_not_mixed(people: Path, tmp_path: Path, incog: Incog, tree: Tree) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "older.png").write_bytes(b"")
    assert "out must be a new or an empty folder" in refused(incog, tree, people)
    (tmp_path / "out" / "older.png").unlink()
    options = ["--set", "k=3", "--share-background", "--no-compare"]
    assert incog("hide", people, "--method", "k-same-pixel", *options, "-o", tmp_path / "out").code == 0


def test_a_failure_half_way_leaves_nothing(
    people: Path, tmp_path: Path, incog: Incog, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []
    real = dataset.pipeline.render

    def fails(*arguments: Any, **options: Any) -> Any:
        done.append(1)
        if len(done) == 4:
            raise dataset.ExposedError("a face is left")
        return real(*arguments, **options)

    monkeypatch.setattr(dataset.pipeline, "render", fails)
    text = refused(incog, tree, people, "--no-compare")
    assert "a face is left" in text
    assert len(done) == 4
    done.clear()
    new = tmp_path / "new"
    method = "--method", "k-same-pixel", "--set", "k=3"
    assert incog("hide", people, *method, "--no-compare", "-o", new / "deep" / "out").code == 1
    assert not new.exists()


def test_methods_and_inputs_must_fit(people: Path, photo: Path, incog: Incog) -> None:
    single = incog(photo, "--method", "k-same-pixel")
    assert single.code == 2
    assert "k-same-pixel must be given one folder, a set of people" in single.err
    two = incog("hide", people, photo, "--method", "k-same-pixel")
    assert two.code == 2
    alone = incog(photo, "--method", "pixelate", "--share-background")
    assert alone.code == 2
    assert "--share-background must be given with a method on sets of people, got pixelate" in alone.err
    assert incog("plan", photo).code == 0
    drawn = incog("render", photo.with_name("holiday.plan.json"), "--method", "k-same-eigen")
    assert drawn.code == 2
    assert "a plan must be given a method on one face, got k-same-eigen" in drawn.err
