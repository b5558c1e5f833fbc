"""A whole evaluation over drawn people: weak methods are found out, blackout is at chance, and the report says so."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest
from PIL import Image

from incog.cli.reports import reports
from incog.data.faces import split_of, template
from incog.data.readers import read
from incog.errors import InputError
from incog.evaluate import run as running
from incog.evaluate import samples
from incog.evaluate.document import Evaluation
from incog.evaluate.page import page
from incog.evaluate.run import Results, Settings, Supplied, evaluate
from incog.evaluate.treatments import Files, Hidden
from incog.keys import Secret
from incog.methods import make
from incog.methods.base import Check, Claim
from incog.methods.obscure import Pixelate
from incog.perceive.embedder import align
from incog.perceive.hulls import FaceHulls
from incog.pipeline import Perception
from incog.types import Bytes, Face, Floats, Frame

POINTS = template("arcface", 128)
BOX = (34.0, 34.0, 94.0, 118.0)
SETTINGS = Settings(people=24, known=30, pictures=3)


def picture(person: str, number: int) -> Bytes:
    """Return (128, 128, 3): a person's pattern inside of the face, light and noise of the picture."""
    pattern = np.random.default_rng(abs(hash_of(person)))
    face = cv2.resize(
        pattern.uniform(40, 215, (9, 7, 3)).astype(np.float32), (60, 84), interpolation=cv2.INTER_CUBIC
    )
    random = np.random.default_rng([hash_of(person), number])
    canvas = np.full((128, 128, 3), 110, np.float32) + random.uniform(-60, 60, 3)
    canvas[34:118, 34:94] = face * random.uniform(0.85, 1.1)
    return np.asarray(np.clip(canvas + random.normal(0, 5, canvas.shape), 0, 255), np.uint8)


def hash_of(text: str) -> int:
    return int.from_bytes(text.encode(), "big") % 2**31


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Some 40 people of the train part, 4 of dev and 30 of test, three pictures each; the last has one."""
    path = tmp_path_factory.mktemp("data") / "drawn.zip"
    people = [f"person {n}" for n in range(400)]
    chosen = [name for name in people if split_of(name) == "train"][:40]
    chosen += [name for name in people if split_of(name) == "dev"][:4]
    chosen += [name for name in people if split_of(name) == "test"][:30]
    names = [
        (f"{person}-{n}.png", person, n) for person in chosen for n in range(3 if person != chosen[-1] else 1)
    ]
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(
            "labels.csv", "file,identity\n" + "".join(f"{name},{person}\n" for name, person, _ in names)
        )
        for name, person, number in names:
            coded = io.BytesIO()
            Image.fromarray(picture(person, number)).save(coded, "PNG")
            file.writestr(name, coded.getvalue())
    np.savez(
        path.with_name("drawn-teacher.npz"),
        name=np.array([name for name, *_ in names]),
        points=np.repeat(POINTS[None], len(names), 0),
        embedding=np.tile(np.eye(4, dtype=np.float16)[:1], (len(names), 1)),
    )
    return {"drawn": path}


class Finds:
    """A searcher that knows where faces are drawn; ``blind`` counts pictures in which it finds none."""

    def __init__(self, blind: int = 0) -> None:
        self.left = blind

    def frame(self, frame: Frame) -> list[Face]:
        if self.left > 0:
            self.left -= 1
            return []
        return [Face(BOX, 0.9, POINTS)]


class Squints:
    """A recogniser that compares coarse patterns of aligned faces, each channel without its mean."""

    name, kind, note, sha256, settings = "squints", "black box", "drawn faces only", "", ""

    def __call__(self, pictures: Sequence[Bytes], points: Sequence[Floats]) -> Floats:
        rows = []
        for one, five in zip(pictures, points, strict=True):
            small = cv2.resize(align(one, Face(BOX, points=five)), (14, 14), interpolation=cv2.INTER_AREA)
            row = small.astype(np.float32) - small.mean((0, 1))
            rows.append(np.append(row.ravel(), 1.0))
        values = np.stack(rows)
        return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float32)


def hidden(method: str, **settings: str) -> Hidden:
    return Hidden(make(method, settings), Secret.from_seed(0), FaceHulls(None))


def perception(blind: int = 0) -> Perception:
    return cast("Perception", SimpleNamespace(searcher=Finds(blind), hulls=FaceHulls(None)))


@pytest.fixture(scope="module")
def results(data: dict[str, Path]) -> Results:
    """Three methods, weakest last."""
    treatments = [hidden("blackout"), hidden("pixelate", blocks="8"), hidden("darken")]
    return evaluate(treatments, data, [Squints()], perception(), SETTINGS)


def attacks(results: Results, number: int, shown: str) -> dict[str, Any]:
    record = results.evaluation.methods[number]
    return {row.attack: row for row in record.attacks if row.shown == shown}


# Who plays which part


def test_parts_are_disjoint_and_drawn_by_name_alone(data: dict[str, Path]) -> None:
    pairs = list(read(data))
    judged = samples.choose(pairs, ["test"], people=10, pictures=2)
    assert judged == samples.choose(pairs[::-1], ["test"], people=10, pictures=2)
    people = [sample.identity for _, sample in judged]
    assert len(set(people)) == 10
    assert max(map(people.count, people)) == 2
    assert {split_of(person) for person in people} == {"test"}
    known = samples.choose(pairs, ["dev", "train"], people=6)
    assert {split_of(sample.identity) for _, sample in known} == {"dev", "train"}
    assert len({sample.identity for _, sample in known if split_of(sample.identity) == "dev"}) == 4, (
        "dev first"
    )
    alone = samples.choose(pairs, ["test"])
    assert len({sample.identity for _, sample in alone}) == 30, "who has one picture comes last, but comes"


def test_a_face_that_nobody_finds_stays_and_counts(data: dict[str, Path]) -> None:
    chosen = samples.choose(list(read(data)), ["test"], people=3, pictures=2)
    items, left_out = samples.load(chosen, cast("Any", Finds(blind=2)), FaceHulls(None))
    assert not left_out
    assert [bool(item.faces) for item in items] == [False, False, True, True, True, True]
    after = samples.protect(items, make("blackout", {}), Secret.from_seed(1), FaceHulls(None))
    for number, (item, view) in enumerate(zip(items, after, strict=True)):
        assert np.array_equal(item.picture, view) == (number < 2)
        np.testing.assert_allclose(item.points, POINTS, atol=0.01)


def test_one_picture_plays_one_part(data: dict[str, Path]) -> None:
    chosen, seen = samples.choose(list(read(data)), ["test"], people=2, pictures=1), set[bytes]()
    first, again = (samples.load(chosen, cast("Any", Finds()), FaceHulls(None), seen=seen) for _ in range(2))
    assert len(first[0]) == 2
    assert again == ([], dict.fromkeys((item.name for item in first[0]), samples.TWICE))


def test_the_face_alone_shows_nothing_else(data: dict[str, Path]) -> None:
    chosen = samples.choose(list(read(data)), ["test"], people=2, pictures=1)
    item = samples.load(chosen, cast("Any", Finds()), FaceHulls(None))[0][0]
    alone = samples.face_only(item.picture, item.hull)
    black = samples.protect([item], make("blackout", {}), Secret.from_seed(1), FaceHulls(None))[0]
    assert (alone[:5] == samples.GREY).all()
    assert np.array_equal(alone[70, 64], item.picture[70, 64])
    hidden = samples.face_only(black, item.hull)
    assert set(np.unique(hidden)) == {0, samples.GREY}, "neither a feather nor surroundings show"


# What is found


def test_untouched_faces_are_known(results: Results) -> None:
    for row in results.evaluation.untouched:
        assert row.rank1.value > 0.95
        assert row.auc.value > 0.95


def test_nothing_is_found_after_blackout(results: Results) -> None:
    rows = attacks(results, 0, "face")
    assert set(rows) == {"plain", "retrained", "parrot", "inversion", "linkage"}
    for row in rows.values():
        assert row.rank1.low - 1e-4 <= 1 / 24 <= row.rank1.high + 1e-4
        assert row.auc.value == pytest.approx(0.5, abs=0.02)
        assert row.calibrated["0.01"].value <= 0.02
    assert results.evaluation.methods[0].verdict.startswith("Not told from chance with so few people")


def test_weak_methods_are_found_out(results: Results) -> None:
    for number in (1, 2):
        record = results.evaluation.methods[number]
        assert record.verdict.startswith("Weak")
        assert record.headlines[0].rank1.value > 0.8
        assert record.headlines[0].shown == "face"
    retrained, plain = (attacks(results, 1, "face")[name] for name in ("retrained", "plain"))
    assert retrained.auc.value >= plain.auc.value - 0.05


def test_figures_name_their_numbers(results: Results) -> None:
    protocol = results.evaluation.protocol
    assert (protocol.judged_people, protocol.judged_pictures) == (24, 72)
    assert protocol.probes == 48
    assert protocol.pairs == 72 * 71 // 2 - 24 * 3
    assert any("rest on 2,484 pairs" in word for word in protocol.words)
    row = attacks(results, 1, "picture")["plain"]
    assert (row.genuine, row.impostor) == (24 * 6, 72 * 69)
    assert row.rank1.people == 24
    utility = results.evaluation.methods[2].utility["pixels"]
    assert 0 < utility["dssim"].low <= utility["dssim"].value <= utility["dssim"].high < 0.5


def test_the_same_seed_gives_the_same_report(data: dict[str, Path], results: Results) -> None:
    again = evaluate([hidden("pixelate", blocks="8")], data, [Squints()], perception(), SETTINGS)
    first, second = (
        item.evaluation.methods[number].model_dump(exclude={"seconds": True, "utility": {"speed, ms a face"}})
        for item, number in ((results, 1), (again, 0))
    )
    assert first == second


def test_missed_faces_are_told(data: dict[str, Path]) -> None:
    found = evaluate([hidden("blackout")], data, [Squints()], perception(blind=36), SETTINGS)
    record = found.evaluation.methods[0]
    assert record.unprotected.value == pytest.approx(0.5)
    assert record.headlines[0].rank1.value > 0.3


def test_a_headline_needs_a_black_box(data: dict[str, Path]) -> None:
    judge = Squints()
    judge.kind = "white box"  # type: ignore[misc]
    with pytest.raises(InputError, match="must be a black box"):
        evaluate([hidden("fill")], data, [judge], perception(), SETTINGS)


def test_people_without_second_pictures_are_too_few(data: dict[str, Path]) -> None:
    with pytest.raises(
        InputError, match="at least two people of the test part must have two pictures, got 0"
    ) as refused:
        evaluate([hidden("fill")], data, [Squints()], perception(), Settings(people=5, known=5, pictures=1))
    assert "one person in five is of the test part" in refused.value.hint


def test_attackers_need_pictures_to_learn_from(data: dict[str, Path]) -> None:
    with pytest.raises(
        InputError, match="at least 10 pictures of the dev and train part to learn from, got 6"
    ):
        evaluate([hidden("fill")], data, [Squints()], perception(), Settings(people=5, known=2, pictures=3))


# Attacks by how a method works


def two(data: dict[str, Path]) -> list[samples.Item]:
    chosen = samples.choose(list(read(data)), ["test"], people=2, pictures=1)
    return samples.load(chosen, cast("Any", Finds()), FaceHulls(None))[0]


def rest(items: Sequence[samples.Item], views: Sequence[Bytes], number: int) -> Floats:
    """Return what was done to the middle of a face."""
    inside = (slice(60, 100), slice(45, 83))
    return views[number][inside].astype(np.float32) - items[number].picture[inside]


def test_noise_of_each_frame_averages_out(data: dict[str, Path]) -> None:
    items, mosaic = two(data), hidden("dp-pixelate", epsilon="5", blocks="15")
    views = mosaic(items)
    extras = {extra.attack: extra for extra in mosaic.extras(items, views)}
    assert not extras["averaging"].hidden
    once, mean = (
        float(np.square(rest(items, some, 0)).mean()) for some in (views, extras["averaging"].views)
    )
    assert mean < once / 3
    steady = hidden("gaussian-noise", sigma="0.2")
    assert "averaging" not in {extra.attack for extra in steady.extras(items, steady(items))}


def test_one_key_gives_one_noise(data: dict[str, Path]) -> None:
    items, noise = two(data), hidden("gaussian-noise", sigma="0.2")
    views = noise(items)
    extras = {extra.attack: extra for extra in noise.extras(items, views)}
    assert {name: extra.hidden for name, extra in extras.items()} == {"one key": True, "restoration": False}

    def alike(pictures: Sequence[Bytes]) -> float:
        return float(np.corrcoef(*(rest(items, pictures, number).ravel() for number in range(2)))[0, 1])

    assert alike(extras["one key"].views) > 0.7
    assert abs(alike(views)) < 0.1
    black = hidden("blackout")
    assert not black.extras(items, black(items)), "no key, nothing to average or to undo"


def test_a_learner_adds_an_attack_on_the_face(data: dict[str, Path]) -> None:
    asked = []

    def learner(hidden: Bytes, originals: Bytes, *, people: Sequence[str]) -> Callable[[Bytes], Bytes]:
        assert len(people) == len(originals)
        asked.append(hidden.shape)
        return lambda crops: crops

    found = evaluate(
        [hidden("pixelate")], data, [Squints()], perception(), SETTINGS, supplied=Supplied(learner=learner)
    )
    rows = [row for row in found.evaluation.methods[0].attacks if row.attack == "trained inversion"]
    assert [row.shown for row in rows] == ["face"]
    assert [shape[1:] for shape in asked] == [(112, 112, 3)]
    assert asked[0][0] == found.evaluation.protocol.known_pictures


# Claims


def test_a_broken_claim_is_refuted(data: dict[str, Path]) -> None:
    @dataclass(frozen=True)
    class Boaster(Pixelate):
        def claims(self, *, frames: int = 1) -> tuple[Claim, ...]:
            return (Claim("Nothing is left.", holds=True, scope="", check=Check("span", 0)),)

    boaster = Hidden(Boaster(), Secret.from_seed(0), FaceHulls(None))
    found = evaluate([boaster, hidden("fill")], data, [Squints()], perception(), SETTINGS)
    boasted, kept = (record.audits for record in found.evaluation.methods)
    assert [audit.kept for audit in boasted] == [False]
    assert boasted[0].measured > 10
    assert [audit.kept for audit in kept] == [True]
    text = page(found.evaluation, [])
    assert text.count("Refuted.") == 1


# Going on after a stop


def test_a_stopped_run_goes_on(data: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "unfinished"
    heard: list[str] = []

    def stop(text: str) -> None:
        heard.append(text)
        if text == "fill: utility":
            raise KeyboardInterrupt

    treatments = [hidden("pixelate", blocks="8"), hidden("fill")]
    with pytest.raises(KeyboardInterrupt):
        evaluate(treatments, data, [Squints()], perception(), SETTINGS, progress=folder, tell=stop)
    assert not any(name in path.name for path in folder.iterdir() for name in ("png", "person"))
    heard.clear()
    went_on = evaluate(
        treatments, data, [Squints()], perception(), SETTINGS, progress=folder, tell=heard.append
    )
    assert "pixelate: measured before" in heard
    assert "blackout: hiding" not in heard
    assert not any(text.startswith("blackout") for text in heard), "the floor was kept too"
    anew = evaluate(treatments, data, [Squints()], perception(), SETTINGS)
    for one, other in zip(went_on.evaluation.methods, anew.evaluation.methods, strict=True):
        left = {"seconds": True, "utility": {"speed, ms a face"}}
        assert one.model_dump(exclude=left) == other.model_dump(exclude=left)
    for one, other in zip(went_on.examples, anew.examples, strict=True):
        for pair, same in zip(one, other, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(pair, same, strict=True))


def test_another_run_is_not_taken_for_this_one(data: dict[str, Path], tmp_path: Path) -> None:
    folder, heard = tmp_path / "unfinished", list[str]()
    treatments = [hidden("pixelate", blocks="8")]
    evaluate(treatments, data, [Squints()], perception(), SETTINGS, progress=folder)
    for path in folder.glob("*.json"):
        path.write_text(path.read_text()[:-20])
    evaluate(treatments, data, [Squints()], perception(), SETTINGS, progress=folder, tell=heard.append)
    assert "pixelate: hiding" in heard, "a damaged record counts as none"
    heard.clear()
    for path in folder.glob("*.npz"):
        path.write_bytes(path.read_bytes()[:-20])
    evaluate(treatments, data, [Squints()], perception(), SETTINGS, progress=folder, tell=heard.append)
    assert "pixelate: hiding" in heard, "damaged pictures count as none"
    heard.clear()
    judge = Squints()
    judge.settings = "channels: bgr"
    evaluate(treatments, data, [judge], perception(), SETTINGS, progress=folder, tell=heard.append)
    assert "pixelate: hiding" in heard, "a recogniser that takes faces otherwise is another"
    heard.clear()
    other = replace(SETTINGS, seed=1)
    evaluate(treatments, data, [Squints()], perception(), other, progress=folder, tell=heard.append)
    assert "pixelate: hiding" in heard
    heard.clear()
    finer = [hidden("pixelate", blocks="9")]
    evaluate(finer, data, [Squints()], perception(), other, progress=folder, tell=heard.append)
    assert "pixelate: hiding" in heard


# Files of other tools


@pytest.fixture
def folders(data: dict[str, Path], tmp_path: Path) -> tuple[Path, Path]:
    """The originals as files in one folder, blacked out ones in another under another suffix."""
    before, after = tmp_path / "before", tmp_path / "after"
    with zipfile.ZipFile(data["drawn"]) as file:
        file.extractall(before)
    for name in ("labels.csv",):
        assert (before / name).exists()
    points = np.load(data["drawn"].with_name("drawn-teacher.npz"))
    np.savez(before.with_name("before-teacher.npz"), **points)
    after.mkdir()
    for path in before.glob("*.png"):
        black = np.asarray(Image.open(path)).copy()
        black[20:126, 20:108] = 0
        Image.fromarray(black).save(after / f"{path.stem}.webp", lossless=True)
    return before, after


def test_files_are_matched_by_place(folders: tuple[Path, Path]) -> None:
    before, after = folders
    originals = list(read({"originals": before}))
    gone, small, broken, twice, lost = [sample.name for _, sample in originals[:5]]
    (before / lost).unlink()
    (after / gone).with_suffix(".webp").unlink()
    Image.new("RGB", (64, 64)).save((after / small).with_suffix(".webp"), lossless=True)
    (after / broken).with_suffix(".webp").write_bytes(b"RIFF0000WEBPVP8 ")
    Image.new("RGB", (128, 128)).save(after / twice)
    Image.new("RGB", (128, 128)).save(after / "stranger.png")
    (after / "._stranger.png").write_bytes(b"what another system leaves behind")
    found = Files.beside("tool", originals, after)
    assert found.faults == {
        "originals without a file": [gone],
        "originals that cannot be read": [lost],
        "files of another size than their originals": [small],
        "pictures that cannot be read": [broken],
        "names that stand for several files": [Path(twice).stem],
        "files without an original": ["stranger"],
    }
    assert len(found.paths) == len(originals) - 5
    with pytest.raises(InputError, match="1 files without an original: stranger") as caught:
        found.check(partial=False)
    assert "--allow-partial" in caught.value.hint
    found.check(partial=True)
    with pytest.raises(InputError, match="no file lies where an original does"):
        Files.beside("tool", [], after).check(partial=True)


def test_another_tools_files_are_judged_as_methods_are(folders: tuple[Path, Path]) -> None:
    before, after = folders
    given = {"originals": before}
    Image.new("RGB", (128, 128)).save(after / "stranger.png")
    files = Files.beside("tool", read(given), after)
    found = evaluate([files], given, [Squints()], perception(), SETTINGS, only=files.paths)
    record = found.evaluation.methods[0]
    assert record.method == "tool"
    assert record.verdict.startswith("Not told from chance")
    assert record.unprotected.value == 0
    assert found.evaluation.protocol.left_out == {"files without an original": 1}
    assert any(word.startswith("A part only") for word in found.evaluation.protocol.words)


def test_faces_that_a_tool_left_open_are_seen_through_its_coding(folders: tuple[Path, Path]) -> None:
    before, after = folders
    for number, path in enumerate(sorted(before.glob("*.png"))):
        if number % 2:
            Image.open(path).save(after / f"{path.stem}.webp", quality=80)
    files = Files.beside("tool", read({"originals": before}), after)
    found = evaluate([files], {"originals": before}, [Squints()], perception(), SETTINGS, only=files.paths)
    assert 0.35 < found.evaluation.methods[0].unprotected.value < 0.65


# The report


def test_the_document_survives_json(results: Results) -> None:
    text = json.dumps(results.evaluation.model_dump(mode="json"))
    assert "NaN" not in text
    assert Evaluation.model_validate(json.loads(text)) == results.evaluation


def test_the_page_needs_nothing_else_and_says_all_verdicts(results: Results) -> None:
    text = page(results.evaluation, results.examples)
    alone = page(results.evaluation, [[(None, new) for _, new in some] for some in results.examples])
    assert "below their originals" in text
    assert "below their originals" not in alone
    assert alone.count("data:image/jpeg") == 3
    assert not re.search(r"https?://|<script|src=\"(?!data:)|@import|url\(", text)
    for record in results.evaluation.methods:
        assert record.verdict.split(":")[0] in text
        assert f"<h2>{record.method}" in text
    assert "nan" not in re.sub(r"<[^>]*>", " ", text).lower().split()
    assert text.count("<svg") == 1 + 3 * 3
    assert text.count("data:image/jpeg") == 3
    assert "prefers-color-scheme:dark" in text
    assert "@media print" in text


def test_two_settings_of_one_method_are_told_apart(results: Results) -> None:
    twice = results.evaluation.model_copy(deep=True)
    twice.methods = [results.evaluation.methods[1], results.evaluation.methods[1].model_copy(deep=True)]
    twice.methods[1].parameters["blocks"] = 4
    text = page(twice, [])
    assert "pixelate (blocks 8" in text
    assert "pixelate (blocks 4" in text


def test_a_folder_for_reports_goes_again_when_there_are_none(tmp_path: Path) -> None:
    def write(folder: Path, left: list[str]) -> None:
        with reports(folder, overwrite=False):
            for name in left:
                (folder / name).touch()
            raise InputError("no people")

    for name, left in (("new", []), ("kept", ["other"])):
        with pytest.raises(InputError, match="no people"):
            write(tmp_path / name, left)
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["kept", "other"]


@pytest.mark.slow
def test_the_command_writes_both_reports(
    data: dict[str, Path], tmp_path: Path, incog: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("incog.pipeline.Perception", lambda **_: perception())
    monkeypatch.setattr("incog.evaluate.recognisers.KNOWN", {"lbp": lambda threads: Squints()})
    monkeypatch.setattr(running, "QUICK", SETTINGS)
    words = ("evaluate", "--method", "pixelate:blocks=5", "--data", f"drawn={data['drawn']}", "--quick")
    told = incog(*words, "--report", tmp_path / "out", "--recogniser", "lbp")
    assert told.code == 0, told.err
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    assert document["methods"][0]["parameters"]["blocks"] == 5
    assert (tmp_path / "out" / "report.html").read_text().startswith("<!doctype html>")
    again = incog(*words, "--report", tmp_path / "out", "--recogniser", "lbp")
    assert again.code == 1
    assert "--overwrite" in again.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--method", "pixelate:blocks"), "--method must be NAME or NAME:KEY=VALUE"),
        (("--method", "nothing"), "the method must be one of"),
        ((), "--data must be given"),
        (("a", "--method", "fill"), "ORIGINALS must be given with ANONYMISED"),
        ((".", "nowhere"), "ANONYMISED must be a folder, got 'nowhere'"),
        (("--quick", "--full", "--data", "x=."), "--quick must be given without --full"),
        (("--recogniser", "nobody", "--data", "x=."), "recogniser must be one of"),
    ],
)
def test_wrong_words_are_refused(
    words: tuple[str, ...], said: str, incog: Callable[..., Any], tmp_path: Path
) -> None:
    told = incog("evaluate", *words, "--report", tmp_path / "out")
    assert told.code == 2
    assert said in told.err
    assert not (tmp_path / "out").exists()
