"""Packs: what went in comes out, what was left out is counted, and a damaged one says so."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from incog.data import faces, packs, readers
from incog.errors import InputError, OutputError, UsageError
from incog.train import finding
from incog.train.packing import Settings, pack
from incog.train.recipe import Recipe
from incog.train.tasks import chosen
from incog.types import Face

Picture = npt.NDArray[np.uint8]
SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def _write(path: Path, picture: Picture) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture[..., ::-1])


def _quiet(line: str) -> None:
    pass


def _packed(
    sources: dict[str, Path], out: Path, *, tell: Callable[[str], None] = _quiet, **settings: Any
) -> packs.Header:
    given = {key: settings.pop(key) for key in ("teacher", "terms", "overwrite") if key in settings}
    return pack(sources, out, Settings(threads=1, **settings), tell=tell, **given)


def _gathered(path: Path, template: str = "arcface", size: int = 128) -> faces.Faces:
    return faces.gather(readers.read({"faces": path}), name=template, size=size)


def _member(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as file:
        return file.read(name)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ZIP of 24 smooth pictures with points near the template's, labels, and embeddings."""
    root = tmp_path_factory.mktemp("labelled")
    random = np.random.default_rng(0)
    names, points = [], []
    with zipfile.ZipFile(root / "made.zip", "w") as file:
        table = io.StringIO()
        writer = csv.writer(table)
        writer.writerow(("file", "identity", "age"))
        for number in range(24):
            rough = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            picture = cv2.resize(rough, (160, 160), interpolation=cv2.INTER_CUBIC)
            names.append(f"{number:02}.png")
            points.append(faces.template("arcface", 128) + random.normal(16, 1, (5, 2)))
            file.writestr(names[-1], cv2.imencode(".png", picture)[1].tobytes())
            writer.writerow((names[-1], "" if number % 6 == 5 else f"person {number % 6}", number))
        file.writestr("labels.csv", table.getvalue())
    embeddings = random.normal(size=(24, 8))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    np.savez(
        root / "made-teacher.npz",
        name=np.array(names),
        points=np.array(points, np.float32),
        embedding=embeddings.astype(np.float16),
        score=np.linspace(0.3, 1, 24).astype(np.float32),
    )
    return root / "made.zip"


def test_faces_come_out_as_they_went_in(labelled: Path, tmp_path: Path) -> None:
    header = _packed({"made": labelled}, tmp_path / "a.pack", quality=100, least_score=0, embeddings=True)
    assert (header.faces, header.template, header.size, header.quality) == (24, "arcface", 128, 100)
    before = faces.gather(readers.read({"made": labelled}), name="arcface", size=128)
    after = _gathered(tmp_path / "a.pack")
    assert after.names == before.names
    assert after.sources == before.sources == ["made"] * 24
    assert after.identities == before.identities
    assert after.labels == before.labels
    assert after.splits() == before.splits()
    assert np.array_equal(after.points, before.points)
    assert before.embeddings is not None
    assert after.embeddings is not None
    assert np.array_equal(after.embeddings, before.embeddings)
    # WebP halves the resolution of colour, which this noise is all about.
    grey = [
        cv2.cvtColor(np.concatenate(list(rows.pixels)), cv2.COLOR_RGB2GRAY).astype(float)
        for rows in (after, before)
    ]
    assert np.abs(grey[0] - grey[1]).mean() < 6


def test_embeddings_are_kept_only_when_asked(labelled: Path, tmp_path: Path) -> None:
    header = _packed({"made": labelled}, tmp_path / "a.pack")
    assert header.teacher is None
    assert _gathered(tmp_path / "a.pack").embeddings is None
    header = _packed({"made": labelled}, tmp_path / "b.pack", embeddings=True)
    assert header.teacher == packs.Teacher(name="of the data", sha256="", dimensions=8)


def test_a_pack_is_stored_and_has_no_member_for_a_face(labelled: Path, tmp_path: Path) -> None:
    _packed({"made": labelled}, tmp_path / "a.pack", least_score=0)
    with zipfile.ZipFile(tmp_path / "a.pack") as file:
        assert set(file.namelist()) == {"images.bin", "labels.csv", "rejected.csv", "arrays.npz", "pack.json"}
        assert {item.compress_type for item in file.infolist()} == {zipfile.ZIP_STORED}
    assert _member(tmp_path / "a.pack", "images.bin").count(b"WEBPVP8") == 24


def test_the_same_faces_make_the_same_bytes(labelled: Path, tmp_path: Path) -> None:
    for name, threads in (("a.pack", 1), ("b.pack", 3)):
        pack({"made": labelled}, tmp_path / name, Settings(threads=threads, embeddings=True), tell=_quiet)
    assert (tmp_path / "a.pack").read_bytes() == (tmp_path / "b.pack").read_bytes()


def test_a_pack_of_a_pack_is_not_sampled_again(labelled: Path, tmp_path: Path) -> None:
    first = _packed(
        {"made": labelled}, tmp_path / "a.pack", quality=60, embeddings=True, terms={"made": "mine"}
    )
    second = _packed({"any": tmp_path / "a.pack"}, tmp_path / "b.pack", embeddings=True)
    assert second.sources == first.sources
    assert second.sources["made"].terms == "mine"
    assert second.teacher == first.teacher
    for member in ("images.bin", "arrays.npz", "labels.csv"):
        assert _member(tmp_path / "b.pack", member) == _member(tmp_path / "a.pack", member)
    assert _gathered(tmp_path / "b.pack").sources == ["made"] * first.faces


def test_a_pack_can_be_packed_smaller_but_not_wider(labelled: Path, tmp_path: Path) -> None:
    _packed({"made": labelled}, tmp_path / "a.pack")
    header = _packed({"any": tmp_path / "a.pack"}, tmp_path / "b.pack", size=64)
    assert header.size == 64
    assert _gathered(tmp_path / "b.pack", size=64).pixels.shape[1:] == (64, 64, 3)
    with pytest.raises(InputError, match="does not show all of 'wide'"):
        _packed({"any": tmp_path / "a.pack"}, tmp_path / "c.pack", template="wide")
    assert not (tmp_path / "c.pack").exists()


def test_only_so_many_faces_and_people_whole(labelled: Path, tmp_path: Path) -> None:
    _packed({"made": labelled}, tmp_path / "all.pack", least_score=0)
    _packed({"made": labelled}, tmp_path / "a.pack", least_score=0, most=11)
    everybody, some = _gathered(tmp_path / "all.pack"), _gathered(tmp_path / "a.pack")
    assert len(some) == 11
    people = set(some.identities) - {""}
    counts = {
        person: (some.identities.count(person), everybody.identities.count(person)) for person in people
    }
    # The last person may be cut short, and nobody else.
    assert sum(have < all_of_them for have, all_of_them in counts.values()) <= 1
    assert any(have == all_of_them for have, all_of_them in counts.values())
    _packed({"any": tmp_path / "all.pack"}, tmp_path / "b.pack", most=11)
    assert set(_gathered(tmp_path / "b.pack").names) == set(some.names)


# What is left out


def test_what_is_left_out_is_counted_by_reason(astronaut: Picture, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    _write(folder / "good.png", astronaut)
    _write(folder / "nobody.png", astronaut[160:, :90])
    _write(folder / "blurred.png", cv2.GaussianBlur(astronaut, (0, 0), 4))
    _write(folder / "small.png", cv2.resize(astronaut, (64, 64), interpolation=cv2.INTER_AREA))
    lines: list[str] = []
    header = _packed({"photos": folder}, tmp_path / "a.pack", tell=lines.append)
    assert header.faces == 1
    assert header.sources["photos"].rejected == {"no face found": 1, "too small": 1, "too blurred": 1}
    rows = list(csv.DictReader(io.StringIO(_member(tmp_path / "a.pack", "rejected.csv").decode())))
    said = {row["file"]: row["reason"].split(":")[0] for row in rows}
    assert said == {"nobody.png": "no face found", "small.png": "too small", "blurred.png": "too blurred"}
    assert "4 pictures, layout images" in lines[0]
    assert lines[-1] == "4 of 4 pictures, 1 faces packed"


def test_faces_of_a_low_score_are_left_out(labelled: Path, tmp_path: Path) -> None:
    header = _packed({"made": labelled}, tmp_path / "a.pack", least_score=0.65)
    assert header.faces == 12
    assert header.sources["made"].rejected == {"score too low": 12}


def test_when_nothing_is_left_the_reasons_are_told(astronaut: Picture, tmp_path: Path) -> None:
    _write(tmp_path / "photos" / "nobody.png", astronaut[160:, :90])
    with pytest.raises(InputError, match=r"no face was left to pack \(no face found: 1\)"):
        _packed({"photos": tmp_path / "photos"}, tmp_path / "a.pack")
    assert not (tmp_path / "a.pack").exists()
    assert [item.name for item in tmp_path.iterdir()] == ["photos"]


def test_a_corrupt_picture_stops_the_packing_or_is_counted(astronaut: Picture, tmp_path: Path) -> None:
    folder = tmp_path / "utk"
    _write(folder / "36_1_0_20170109150557335.png", astronaut)
    whole = (folder / "36_1_0_20170109150557335.png").read_bytes()
    (folder / "37_1_0_20170109150557335.jpg").write_bytes(whole[:900])
    with pytest.raises(InputError, match=r"utk/37_1_0_20170109150557335.jpg is not a picture") as refused:
        _packed({"utk": folder}, tmp_path / "a.pack")
    assert "--keep-going" in refused.value.hint
    (folder / "38_1_20170109150557335.jpg").write_bytes(whole)
    header = _packed({"utk": folder}, tmp_path / "a.pack", keep_going=True)
    assert header.faces == 1
    assert header.sources["utk"].rejected == {"not as its layout says": 1, "cannot be read": 1}
    (folder / "37_1_0_20170109150557335.jpg").unlink()
    with pytest.raises(InputError, match=r"utk/38_1_20170109150557335\.jpg: the name must begin with"):
        _packed({"utk": folder}, tmp_path / "b.pack")


# Finding


def test_a_found_face_is_aligned(astronaut: Picture, admiral: Picture, tmp_path: Path) -> None:
    _write(tmp_path / "p" / "Eileen" / "a.png", astronaut)
    _write(tmp_path / "p" / "Grace" / "a.png", admiral)
    header = _packed({"p": tmp_path / "p"}, tmp_path / "a.pack")
    assert (header.faces, header.sources["p"].people, header.sources["p"].layout) == (2, 2, "people")
    found = _gathered(tmp_path / "a.pack")
    goal = faces.template("arcface", 128)
    # Both look into the camera: their points lie near the template's, 35 px between the eyes.
    assert np.linalg.norm(found.points - goal, axis=2).mean(1).max() < 5
    assert found.identities == ["Eileen", "Grace"]


def test_a_face_that_fills_the_picture_is_found(astronaut: Picture) -> None:
    whole = finding.Finder()(astronaut)
    assert whole is not None
    x0, y0, x1, y1 = (round(value) for value in whole.box)
    close = finding.Finder()(np.ascontiguousarray(astronaut[y0:y1, x0:x1]))
    assert close is not None
    assert whole.points is not None
    assert close.points is not None
    assert np.abs(close.points + np.array([x0, y0]) - whole.points).max() < 0.1 * whole.size


def test_the_largest_and_most_central_face_is_chosen() -> None:
    middle, edge = Face(box=(40, 40, 60, 60)), Face(box=(0, 0, 22, 22))
    assert finding.chosen([edge, middle], 100, 100) is middle
    large = Face(box=(0, 0, 60, 60))
    assert finding.chosen([middle, large], 100, 100) is large
    assert finding.chosen([], 100, 100) is None


# Teachers


@pytest.fixture
def recogniser(tmp_path: Path) -> Path:
    """Return an ONNX file that gives the means of the three colours."""
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 112, 112])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])]
    axes = numpy_helper.from_array(np.array([2, 3], np.int64), "axes")
    node = helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)
    graph = helper.make_graph([node], "means", inputs, outputs, [axes])
    path = tmp_path / "means.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


@pytest.mark.parametrize("template", ["arcface", "wide"])
def test_a_teacher_sees_the_recognisers_crop(
    template: str, labelled: Path, recogniser: Path, tmp_path: Path
) -> None:
    header = _packed(
        {"made": labelled}, tmp_path / "a.pack", template=template, teacher=("means", recogniser)
    )
    assert header.teacher is not None
    assert (header.teacher.name, header.teacher.dimensions, len(header.teacher.sha256)) == ("means", 3, 64)
    found = _gathered(tmp_path / "a.pack", template).embeddings
    crops = faces.gather(readers.read({"made": labelled}), name="arcface", size=128)
    rows = [crops.names.index(name) for name in _gathered(tmp_path / "a.pack", template).names]
    means = crops.pixels[rows][:, 8:120, 8:120].astype(float).mean((1, 2)) / 127.5 - 1
    assert found == pytest.approx(means / np.linalg.norm(means, axis=1, keepdims=True), abs=2e-3)


def test_a_teacher_that_is_none_is_named(labelled: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    with pytest.raises(InputError, match=r"bad\.onnx cannot be loaded"):
        _packed({"made": labelled}, tmp_path / "a.pack", teacher=("bad", tmp_path / "bad.onnx"))


# What is refused


def test_what_must_not_be_said(labelled: Path, tmp_path: Path) -> None:
    for settings, said in (
        ({"quality": 0}, "--quality must be 1 to 100"),
        ({"size": 8}, "--size must be 16 to 1024"),
        ({"most": 0}, "--most must be at least 1"),
        ({"least_score": 2}, "--least-score must be 0 to 1"),
        ({"template": "narrow"}, "template must be"),
        ({"terms": {"other": "mine"}}, "--terms must be for made, got 'other'"),
    ):
        with pytest.raises(UsageError, match=said):
            _packed({"made": labelled}, tmp_path / "a.pack", **settings)


def test_an_existing_file_stays(labelled: Path, tmp_path: Path) -> None:
    (tmp_path / "a.pack").write_bytes(b"dear to me")
    with pytest.raises(OutputError, match="exists already"):
        _packed({"made": labelled}, tmp_path / "a.pack")
    assert (tmp_path / "a.pack").read_bytes() == b"dear to me"
    assert _packed({"made": labelled}, tmp_path / "a.pack", overwrite=True).faces > 0
    with pytest.raises(OutputError, match="is the input itself"):
        _packed({"any": tmp_path / "a.pack"}, tmp_path / "a.pack", overwrite=True)


def test_a_pack_gives_a_recipe_the_sources_that_it_holds(labelled: Path, tmp_path: Path) -> None:
    _packed({"one": labelled, "two": labelled}, tmp_path / "a.pack")
    recipe = Recipe(task="embedder", name="tiny", data=("zero", "one", "two"), optional=("teacher",))
    given = {"teacher": tmp_path / "t.onnx", "faces": tmp_path / "a.pack", "zero": labelled}
    assert list(chosen(recipe, given)) == ["zero", "faces", "teacher"]
    for change, said in (
        ({"zero": None}, "given for zero, one, two, got 'nothing for zero'"),
        ({"one": labelled}, "given once for each source, got 'one twice'"),
        ({"three": labelled}, "for zero, one, two, teacher, got 'three'"),
    ):
        wrong = {name: path for name, path in {**given, **change}.items() if path is not None}
        with pytest.raises(UsageError, match=said):
            chosen(recipe, wrong)


def test_a_source_must_not_come_twice(labelled: Path, tmp_path: Path) -> None:
    _packed({"made": labelled}, tmp_path / "a.pack")
    with pytest.raises(InputError, match="the source made is given twice"):
        _packed({"made": labelled, "any": tmp_path / "a.pack"}, tmp_path / "b.pack")


# Damaged packs


def _changed(path: Path, out: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(out, "w") as target:
        for item in source.namelist():
            data = source.read(item)
            target.writestr(item, change(data) if item == name else data)
    return out


def _json(**facts: object) -> Callable[[bytes], bytes]:
    return lambda data: json.dumps({**json.loads(data), **facts}).encode()


DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "images cut short": ("images.bin", lambda data: data[:-1], "does not hold 17 faces throughout"),
    "a row lost": ("labels.csv", lambda data: data[: data[:-1].rindex(b"\n") + 1], "does not hold 17 faces"),
    "no arrays": ("arrays.npz", lambda data: b"", "is damaged"),
    "other arrays": ("arrays.npz", lambda data: data[: len(data) // 2], "is damaged"),
    "another version": ("pack.json", _json(version=2), "must be of version 1, got 2"),
    "another count": ("pack.json", _json(faces=18), "does not hold 18 faces"),
    "a fact too many": ("pack.json", _json(colour="red"), "pack.json .* cannot be read"),
    "no JSON": ("pack.json", lambda data: data[:-5], "pack.json .* cannot be read"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_pack_says_so(case: str, labelled: Path, tmp_path: Path) -> None:
    name, change, said = DAMAGE[case]
    assert _packed({"made": labelled}, tmp_path / "a.pack").faces == 17
    bad = _changed(tmp_path / "a.pack", tmp_path / "bad.pack", name, change)
    with pytest.raises(InputError, match=said) as refused:
        _gathered(bad)
    assert "bad.pack" in str(refused.value)


def test_a_flipped_bit_is_noticed(labelled: Path, tmp_path: Path) -> None:
    _packed({"made": labelled}, tmp_path / "a.pack")
    data = bytearray((tmp_path / "a.pack").read_bytes())
    data[1000] ^= 4
    (tmp_path / "a.pack").write_bytes(data)
    with pytest.raises(InputError, match="is damaged: Bad CRC"):
        _gathered(tmp_path / "a.pack")


@pytest.mark.skipif(not (SHARED / "lfw.zip").exists(), reason="the shared data is absent")
def test_faces_fit_in_two_kilobytes(tmp_path: Path) -> None:
    header = _packed({"lfw": SHARED / "lfw.zip"}, tmp_path / "a.pack", most=100)
    assert header.faces == 100
    assert (tmp_path / "a.pack").stat().st_size / 100 * 25_000 < 55e6
    assert not {*_gathered(tmp_path / "a.pack").labels} - {"expression"}
