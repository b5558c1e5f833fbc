"""Layouts: public datasets are recognised by what is in the folder, and bad data is told by the file's name."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from incog.data import faces, layouts, readers
from incog.data.faces import Sample
from incog.errors import InputError

PICTURE = cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8))[
    1
].tobytes()


def _make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(PICTURE)
    return root


def _read(root: Path, name: str = "set") -> list[Sample]:
    rows = list(readers.read({name: root}))
    assert {source for source, _ in rows} == {name}
    return [sample for _, sample in rows]


# What is recognised

KNOWN = {
    "lfw": (
        "Ada_Lovelace/Ada_Lovelace_0001.jpg",
        "Ada_Lovelace/Ada_Lovelace_0002.jpg",
        "Al_Jo/Al_Jo_0001.jpg",
    ),
    "utkface": ("26_1_0_20170116174525125.jpg.chip.jpg", "100_0_4_20170110183726390.jpg"),
    "people": ("0000045/001.jpg", "0000045/002.jpg", "0000099/001.jpg"),
    "ffhq": ("00000/00000.png", "00000/00999.png", "01000/01234.png"),
    "images": ("a.jpg", "b.JPEG", "c.webp"),
}
MORE = {
    "vggface2": ("people", ("n000002/0001_01.jpg", "n000003/0012_02.jpg")),
    "lfw inside a folder of its name": ("lfw", ("lfw/Ada_L/Ada_L_0001.jpg", "lfw/Bo_X/Bo_X_0001.jpg")),
    "utkface in parts": (
        "utkface",
        ("part1/1_0_2_20161219140623097.jpg", "part2/9_1_3_20161219140623097.jpg"),
    ),
    "ffhq as StyleGAN has it": ("ffhq", ("00000/img00000001.png", "00001/img00001001.png")),
    "few people with numbers": ("people", ("1/a.jpg", "2/b.jpg")),
}


@pytest.mark.parametrize("layout", KNOWN)
def test_public_layouts_are_recognised(layout: str, tmp_path: Path) -> None:
    _make(tmp_path, *KNOWN[layout], ".hidden.jpg", "__MACOSX/a.jpg")
    (tmp_path / "README.txt").write_text("about")
    assert readers.find(tmp_path) == (layout, tmp_path)
    found = _read(tmp_path)
    assert [sample.name for sample in found] == sorted(KNOWN[layout])
    assert all(sample.read() == PICTURE for sample in found)
    assert all(sample.points is None and not sample.fault for sample in found)


@pytest.mark.parametrize("case", MORE)
def test_their_variants_too(case: str, tmp_path: Path) -> None:
    layout, names = MORE[case]
    _make(tmp_path, *names)
    assert readers.find(tmp_path)[0] == layout
    assert len(_read(tmp_path)) == len(names)


def test_people_of_lfw_have_their_names_whatever_the_source_is_called(tmp_path: Path) -> None:
    _make(tmp_path, *KNOWN["lfw"])
    assert [sample.identity for sample in _read(tmp_path)] == ["Ada_Lovelace", "Ada_Lovelace", "Al_Jo"]


def test_numbered_people_belong_to_their_source(tmp_path: Path) -> None:
    _make(tmp_path, *KNOWN["people"])
    one, other = (_read(tmp_path, name) for name in ("casia", "vgg"))
    assert [sample.identity for sample in one] == ["casia/0000045", "casia/0000045", "casia/0000099"]
    assert not {sample.identity for sample in one} & {sample.identity for sample in other}


def test_file_names_of_utkface_are_labels(tmp_path: Path) -> None:
    _make(tmp_path, "26_1_0_20170116174525125.jpg.chip.jpg", "100_0_4_20170110183726390.jpg")
    labels = [sample.labels for sample in _read(tmp_path)]
    assert labels == [
        {"age": "100", "gender": "male", "ethnicity": "other"},
        {"age": "26", "gender": "female", "ethnicity": "white"},
    ]
    assert layouts.ETHNICITIES == ("white", "black", "asian", "indian", "other")


def test_nobody_is_known_in_ffhq(tmp_path: Path) -> None:
    _make(tmp_path, *KNOWN["ffhq"])
    assert {sample.identity for sample in _read(tmp_path)} == {""}


def test_a_layout_may_be_said(tmp_path: Path) -> None:
    _make(tmp_path, *KNOWN["people"])
    assert {sample.identity for sample in _read(Path(f"images:{tmp_path}"))} == {""}
    assert readers.located(Path(f"images:{tmp_path}")) == ("images", tmp_path)
    # A file of that very name comes first, and other words before a colon are part of the name.
    odd = tmp_path / "people:odd"
    odd.mkdir()
    assert readers.located(odd) == ("", odd)
    assert readers.located(Path("C:/faces")) == ("", Path("C:/faces"))


# CelebA

ATTRIBUTES = "3\nMale Smiling \n000001.jpg  1 -1\n000002.jpg -1  1\n000003.jpg -1 -1\n"
PEOPLE = "000001.jpg 2880\n000002.jpg 2937\n000003.jpg 2880\n"
LANDMARKS = """3
lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y
000001.jpg 69 109 106 113 77 142 73 152 108 154
000002.jpg 69 110 107 112 81 135 70 151 108 153
000003.jpg 76 112 104 106 108 128 74 156 98 158
"""


@pytest.fixture
def celeba(tmp_path: Path) -> Path:
    _make(tmp_path / "img_align_celeba", "000001.jpg", "000002.jpg", "000003.jpg")
    (tmp_path / "list_attr_celeba.txt").write_text(ATTRIBUTES)
    (tmp_path / "identity_CelebA.txt").write_text(PEOPLE)
    (tmp_path / "list_landmarks_align_celeba.txt").write_text(LANDMARKS)
    return tmp_path


def test_celeba_is_read_with_all_its_tables(celeba: Path) -> None:
    found = _read(celeba, "celeba")
    assert [sample.identity for sample in found] == ["celeba/2880", "celeba/2937", "celeba/2880"]
    assert found[0].labels == {"gender": "male", "smiling": "no"}
    assert found[1].labels == {"gender": "female", "smiling": "yes"}
    assert found[0].points is not None
    assert found[0].points.tolist() == [[69, 109], [106, 113], [77, 142], [73, 152], [108, 154]]
    assert len(faces.gather(readers.read({"celeba": celeba}), name="arcface", size=32)) == 3


def test_celeba_of_commas_without_identities(celeba: Path) -> None:
    for name in ("list_attr_celeba", "list_landmarks_align_celeba"):
        old = celeba / f"{name}.txt"
        rows = [line.split() for line in old.read_text().splitlines()[1:]]
        rows[0].insert(0, "image_id")
        (celeba / f"{name}.csv").write_text("\n".join(",".join(row) for row in rows) + "\n")
        old.unlink()
    (celeba / "identity_CelebA.txt").unlink()
    found = _read(celeba)
    assert [sample.identity for sample in found] == ["", "", ""]
    assert found[1].labels == {"gender": "female", "smiling": "yes"}
    assert found[2].points is not None


def test_a_picture_without_its_row_is_named(celeba: Path) -> None:
    (celeba / "identity_CelebA.txt").write_text(PEOPLE.replace("000002", "000022"))
    with pytest.raises(
        InputError, match=r"celeba/img_align_celeba/000002\.jpg: identity_CelebA has no row for it"
    ):
        faces.gather(readers.read({"celeba": celeba}), name="arcface", size=32)


CELEBA_FAULTS = {
    "a row too long": (
        "list_attr_celeba.txt",
        "000002.jpg -1  1",
        "000002.jpg -1 1 1",
        r"attr_celeba.txt, line 4: must h",
    ),
    "a row of nothing": (
        "list_attr_celeba.txt",
        "000002.jpg -1",
        "Bald -1",
        r"attr_celeba.txt, line 4: must begin",
    ),
    "another value": (
        "list_attr_celeba.txt",
        "000002.jpg -1",
        "000002.jpg 7",
        r"000002.jpg must be 1 or -1, got '7'",
    ),
    "a word": ("list_landmarks_align_celeba.txt", "69 110", "69 eye", "000002.jpg must have 10 numbers"),
    "no text": ("list_attr_celeba.txt", ATTRIBUTES, "", "holds no rows"),
}


@pytest.mark.parametrize("case", CELEBA_FAULTS)
def test_tables_that_are_wrong_are_named(case: str, celeba: Path) -> None:
    name, old, new, said = CELEBA_FAULTS[case]
    text = (celeba / name).read_text()
    assert old in text
    (celeba / name).write_text(text.replace(old, new))
    with pytest.raises(InputError, match=said):
        list(readers.read({"celeba": celeba}))


def test_celeba_without_pictures_is_named(celeba: Path) -> None:
    for item in (celeba / "img_align_celeba").iterdir():
        item.unlink()
    with pytest.raises(InputError, match=r"must hold img_align_celeba/000001\.jpg"):
        _read(celeba)


# What is not

UNCLEAR = {
    "nothing": ((), "holds no pictures"),
    "pictures beside folders": (("a.jpg", "b/c.jpg"), "pictures beside folders"),
    "parts of a dataset": (
        ("train/1/a.jpg", "train/2/a.jpg", "test/3/a.jpg"),
        "holds no pictures in a layout",
    ),
    "parts with pictures": (("train/a.jpg", "val/b.jpg"), "parts of a dataset"),
    "one folder": (("holiday/a.jpg", "holiday/b.jpg"), "of one person or of many"),
    "a few of UTKFace": (
        ("a.jpg", "b.jpg", "26_1_0_20170116174525125.jpg"),
        "only some are named as in UTKFace",
    ),
    "other files": (("a.txt", "b/c.csv"), "holds no pictures"),
}


@pytest.mark.parametrize("case", UNCLEAR)
def test_other_folders_are_refused_with_what_was_looked_for(case: str, tmp_path: Path) -> None:
    names, said = UNCLEAR[case]
    _make(tmp_path, *names)
    with pytest.raises(InputError, match=said) as refused:
        _read(tmp_path)
    assert str(tmp_path) in str(refused.value)
    assert "PATH" in refused.value.hint or "celeba (img_align_celeba/" in refused.value.hint


@pytest.mark.parametrize("layout", ["lfw", "utkface", "people", "images", "celeba", "ffhq"])
def test_a_said_layout_that_is_not_there_is_refused(layout: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{tmp_path.name} must hold"):
        list(readers.read({"set": Path(f"{layout}:{tmp_path}")}))


def test_files_that_break_their_layout_have_a_fault(tmp_path: Path) -> None:
    bad = "39_1_20170116174525125.jpg.chip.jpg"
    _make(tmp_path / "utk", "26_1_0_20170116174525125.jpg", bad, "27_1_0_20170116174525125.jpg")
    faults = {sample.name: sample.fault for sample in _read(tmp_path / "utk")}
    assert [name for name, fault in faults.items() if fault] == [bad]
    assert bad in faults[bad]
    _make(tmp_path / "lfw", "Ada_L/Ada_L_0001.jpg", "Ada_L/Bo_0001.jpg")
    found = list(readers.read({"lfw": Path(f"lfw:{tmp_path / 'lfw'}")}))
    assert [bool(sample.fault) for _, sample in found] == [False, True]


def test_other_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "faces.rar"
    file.write_bytes(b"Rar!")
    with pytest.raises(InputError, match=r"faces\.rar is no folder, no pack and no ZIP") as refused:
        _read(file)
    assert "utkface (AGE_GENDER_RACE_DATE.jpg)" in refused.value.hint
    with pytest.raises(InputError, match="absent does not exist"):
        _read(tmp_path / "absent")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "")
    with pytest.raises(InputError, match=r"no ZIP with a labels\.csv"):
        _read(file)


# Archives with labels.csv

TABLE = "file,identity,age\na.png,Ada,36\nb.png,,\n"


def _archive(
    root: Path, table: str | bytes, *, zipped: bool, names: tuple[str, ...] = ("a.png", "b.png")
) -> Path:
    data = table if isinstance(table, bytes) else table.encode()
    if not zipped:
        folder = _make(root / "made", *names)
        folder.mkdir(exist_ok=True)
        (folder / "labels.csv").write_bytes(data)
        return folder
    with zipfile.ZipFile(root / "made.zip", "w") as file:
        file.writestr("labels.csv", data)
        for name in names:
            file.writestr(name, PICTURE)
    return root / "made.zip"


def _teach(root: Path, **arrays: object) -> None:
    given = {
        "name": np.array(["a.png", "b.png"]),
        "points": np.stack([faces.template("arcface", 30), np.full((5, 2), np.nan, np.float32)]),
        "embedding": np.eye(2, 4, dtype=np.float16),
        "score": np.array([0.9, np.nan], np.float32),
        **arrays,
    }
    np.savez(root / "made-teacher.npz", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("zipped", [False, True])
def test_archives_are_read_with_their_teacher(zipped: bool, tmp_path: Path) -> None:
    path = _archive(tmp_path, TABLE, zipped=zipped)
    _teach(tmp_path)
    assert readers.find(path)[0] == "archive"
    a, b = _read(path)
    assert (a.name, a.identity, a.labels, a.read()) == ("a.png", "Ada", {"age": "36"}, PICTURE)
    assert a.points is not None
    assert a.embedding is not None
    assert a.score == pytest.approx(0.9)
    assert (b.identity, b.labels, b.points, b.embedding, b.score) == ("", {"age": ""}, None, None, None)


TABLES = {
    "another heading": ("name,age\na.png,3\n", "must have a column file, got name, age"),
    "nothing": ("", "must have a column file, got none"),
    "no rows": ("file,age\n", "has no rows"),
    "a cell too many": ("file,age\na.png,3\nb.png,4,5\n", "line 3: must have 2 cells, got more"),
    "a file twice": ("file,age\na.png,3\na.png,4\n", "line 3: a.png is there twice"),
    "no name": ("file,age\n,3\n", "line 2: column file is empty"),
    "no text": (b"file,age\n\xff.png,3\n", "is not UTF-8 text"),
}


@pytest.mark.parametrize("case", TABLES)
def test_tables_of_archives_that_are_wrong(case: str, tmp_path: Path) -> None:
    table, said = TABLES[case]
    with pytest.raises(InputError, match=said) as refused:
        _read(_archive(tmp_path, table, zipped=True))
    assert "made.zip/labels.csv" in str(refused.value)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_picture_that_is_listed_but_absent_has_a_fault(zipped: bool, tmp_path: Path) -> None:
    a, b = _read(_archive(tmp_path, TABLE, zipped=zipped, names=("a.png",)))
    assert not a.fault
    assert "does not hold it" in b.fault


def test_a_damaged_picture_in_a_zip_is_named(tmp_path: Path) -> None:
    path = _archive(tmp_path, TABLE, zipped=True)
    data = bytearray(path.read_bytes())
    data[data.index(PICTURE) + 50] ^= 1
    path.write_bytes(data)
    a, b = _read(path)
    with pytest.raises(InputError, match=r"a\.png in .*made\.zip cannot be read: Bad CRC"):
        a.read()
    assert b.read() == PICTURE


TEACHERS = {
    "rows for others": {"points": np.zeros((3, 5, 2), np.float32)},
    "four points": {"points": np.zeros((2, 4, 2), np.float32)},
    "flat embeddings": {"embedding": np.zeros(2, np.float16)},
}


@pytest.mark.parametrize("case", TEACHERS)
def test_a_teacher_of_another_shape_is_named(case: str, tmp_path: Path) -> None:
    path = _archive(tmp_path, TABLE, zipped=True)
    _teach(tmp_path, **TEACHERS[case])
    with pytest.raises(InputError, match=r"made-teacher\.npz must have points \(N, 5, 2\)"):
        _read(path)


def test_a_teacher_that_is_something_else_is_named(tmp_path: Path) -> None:
    path = _archive(tmp_path, TABLE, zipped=True)
    data = io.BytesIO()
    np.savez(data, name=np.array(["a.png"]))
    for content in (b"", b"no arrays", data.getvalue()):
        (tmp_path / "made-teacher.npz").write_bytes(content)
        with pytest.raises(InputError, match=r"made-teacher\.npz is not a teacher's"):
            _read(path)
