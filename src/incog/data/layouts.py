"""Public face datasets as folders: which layout a folder has, and its samples, undecoded.

Hidden files, links to folders and what macOS adds to archives are passed over.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from incog.data import tables
from incog.data.faces import Sample
from incog.errors import InputError
from incog.types import Floats

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""Of the files that count as pictures."""

LOOKED_FOR = (
    "pack (FILE.pack of `incog train pack`), archive (ZIP or folder with labels.csv and its column file), "
    "lfw (Name/Name_0001.jpg), utkface (AGE_GENDER_RACE_DATE.jpg), celeba (img_align_celeba/ with list_attr_celeba or "
    "identity_CelebA), ffhq (00000/00000.png), people (a folder for each), images (pictures of nobody known)"
)

TERMS = {
    "lfw": "research",
    "utkface": "non-commercial research",
    "celeba": "non-commercial research",
    "ffhq": "CC BY-NC-SA 4.0, each picture under its own licence",
}
"""Under which terms the known datasets may be used."""

ETHNICITIES = ("white", "black", "asian", "indian", "other")
"""What UTKFace's numbers mean."""

_UTKFACE = re.compile(r"(\d{1,3})_([01])_([0-4])_\d{8,}")
_PARTS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}
_SAMPLED = 50
"""So many pictures or folders say which layout a dataset has."""


def recognise(path: Path) -> tuple[str, Path]:
    """Return the layout of a folder and the folder that has it: folders that hold only one folder are passed through.

    Raises InputError that names what was looked for.
    """
    if (path / "labels.csv").is_file():
        return "archive", path
    if _table(path, "list_attr_celeba") or _table(path, "identity_CelebA"):
        return "celeba", path
    here, below = _pictures(path), _folders(path)
    full = [folder for folder in below if _pictures(folder, 1)]
    if not here and not full and len(below) == 1:
        return recognise(below[0])
    if here and full:
        raise _unclear(
            path, f"pictures beside folders of pictures, such as {here[0].name} and {full[0].name}/"
        )
    if here:
        named = [bool(_UTKFACE.match(item.name)) for item in here[:_SAMPLED]]
        if not any(named):
            return "images", path
        if 2 * sum(named) < len(named):
            raise _unclear(path, "pictures of which only some are named as in UTKFace")
        return "utkface", path
    if not full:
        raise InputError(
            f"{path} holds no pictures in a layout that can be read", hint=f"looked for: {LOOKED_FOR}"
        )
    parts = [folder.name for folder in full if folder.name.lower() in _PARTS]
    if parts:
        raise _unclear(path, f"parts of a dataset: name one of them, such as {path / parts[0]}")
    first = [(folder, item) for folder in full[:_SAMPLED] for item in _pictures(folder, 3)]
    for layout, fits in (("utkface", _is_utkface), ("ffhq", _is_ffhq), ("lfw", _is_lfw)):
        if all(fits(folder.name, item) for folder, item in first):
            return layout, path
    if len(full) == 1:
        raise _unclear(path, f"one folder of pictures, {full[0].name}/: of one person or of many")
    return "people", path


def lfw(path: Path) -> Iterator[Sample]:
    """Yield the samples of Labeled Faces in the Wild: ``Name/Name_0001.jpg``."""
    for folder in _some(_folders(path), path, "folders of people, such as Aaron_Eckhart/"):
        for item in _pictures(folder):
            fault = (
                ""
                if _is_lfw(folder.name, item)
                else f"the name must be {folder.name}_0001{item.suffix} or alike"
            )
            yield _sample(path, item, identity=folder.name, fault=fault)


def utkface(path: Path) -> Iterator[Sample]:
    """Yield the samples of UTKFace: ``AGE_GENDER_RACE_DATE.jpg``, with or without ``.chip.jpg``, here or in folders."""
    for item in _some(_deep(path), path, "pictures"):
        named = _UTKFACE.match(item.name)
        if named is None:
            yield _sample(path, item, fault=f"the name must begin with AGE_GENDER_RACE_DATE, got {item.name}")
            continue
        age, gender, race = named.groups()
        labels = {
            "age": str(int(age)),
            "gender": ("male", "female")[int(gender)],
            "ethnicity": ETHNICITIES[int(race)],
        }
        yield _sample(path, item, labels=labels)


def celeba(path: Path) -> Iterator[Sample]:
    """Yield the samples of CelebA: ``img_align_celeba/`` with list_attr_celeba, identity_CelebA or both, and
    list_landmarks_align_celeba if it is there; each ``.txt`` or ``.csv``, here or in ``Anno/``.

    Labels are ``gender`` and the other 39 attributes, ``yes`` or ``no``. Identities are the numbers.
    """
    attributes, people, landmarks = (
        tables.by_picture(found, SUFFIXES) if (found := _table(path, name)) else None
        for name in ("list_attr_celeba", "identity_CelebA", "list_landmarks_align_celeba")
    )
    places = ["img_align_celeba/img_align_celeba", "img_align_celeba", "Img/img_align_celeba"]
    items = next((shown for place in places if (shown := _pictures(path / place))), [])
    for item in _some(items, path, "img_align_celeba/000001.jpg"):
        wanted = {
            "list_attr_celeba": attributes,
            "identity_CelebA": people,
            "list_landmarks_align_celeba": landmarks,
        }
        absent = [name for name, rows in wanted.items() if rows is not None and item.name not in rows]
        if absent:
            yield _sample(path, item, fault=f"{absent[0]} has no row for it")
            continue
        labels = {} if attributes is None else _attributes(attributes[item.name], item.name)
        points = None
        if landmarks is not None:
            points = _numbers(list(landmarks[item.name].values()), 10, item.name).reshape(5, 2)
        identity = "" if people is None else next(iter(people[item.name].values()), "")
        yield _sample(path, item, identity=identity, labels=labels, points=points)


def people(path: Path) -> Iterator[Sample]:
    """Yield the samples of one folder for each person, as CASIA-WebFace and VGGFace2 have them: ``0000045/001.jpg``."""
    for folder in _some(_folders(path), path, "one folder for each person"):
        for item in _pictures(folder):
            yield _sample(path, item, identity=folder.name)


def images(path: Path) -> Iterator[Sample]:
    """Yield all pictures in a folder and the folders in it, of nobody known: FFHQ, or any photos."""
    for item in _some(_deep(path), path, "pictures"):
        yield _sample(path, item)


def _sample(
    root: Path,
    item: Path,
    *,
    identity: str = "",
    labels: dict[str, str] | None = None,
    points: Floats | None = None,
    fault: str = "",
) -> Sample:
    return Sample(
        name=item.relative_to(root).as_posix(),
        read=item.read_bytes,
        identity=identity,
        labels=labels,
        points=points,
        fault=fault,
    )


def _is_lfw(folder: str, item: Path) -> bool:
    return re.fullmatch(re.escape(folder) + r"_\d{4}", item.stem) is not None


def _is_utkface(folder: str, item: Path) -> bool:
    return _UTKFACE.match(item.name) is not None


def _is_ffhq(folder: str, item: Path) -> bool:
    """Whether the folder is the file's number in thousands: 01000/01234.png, or 00001/img00001234.png."""
    number = re.fullmatch(r"(?:img)?(\d+)", item.stem)
    if not folder.isdigit() or number is None:
        return False
    thousands = int(number[1]) // 1000
    return (len(folder) == len(item.stem) and int(folder) == thousands * 1000) or (
        item.stem.startswith("img") and int(folder) == thousands
    )


def _pictures(folder: Path, most: int | None = None) -> list[Path]:
    """Return the pictures in a folder, sorted by name; any ``most`` of them when only some are wanted."""
    found: list[Path] = []
    if folder.is_dir():
        with os.scandir(folder) as entries:
            for entry in entries:
                if (
                    entry.name.lower().endswith(SUFFIXES)
                    and not entry.name.startswith(".")
                    and entry.is_file()
                ):
                    found.append(folder / entry.name)
                    if len(found) == most:
                        break
    return sorted(found)


def _folders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = [item.name for item in entries if item.is_dir(follow_symlinks=False)]
    return [folder / name for name in sorted(names) if name != "__MACOSX" and not name.startswith(".")]


def _deep(folder: Path) -> list[Path]:
    return [*_pictures(folder), *(item for below in _folders(folder) for item in _deep(below))]


def _some(items: list[Path], path: Path, what: str) -> list[Path]:
    if not items:
        raise InputError(f"{path} must hold {what}, got none")
    return items


def _unclear(path: Path, what: str) -> InputError:
    return InputError(
        f"{path} holds {what}", hint="say which layout it has, such as NAME=people:PATH or NAME=images:PATH"
    )


def _table(path: Path, name: str) -> Path | None:
    places = [path / f"{folder}{name}.{suffix}" for folder in ("", "Anno/") for suffix in ("txt", "csv")]
    return next((place for place in places if place.is_file()), None)


def _attributes(row: dict[str, str], name: str) -> dict[str, str]:
    strange = [value for value in row.values() if value not in ("1", "-1", "0")]
    if strange:
        raise InputError(f"list_attr_celeba: the values of {name} must be 1 or -1, got {strange[0]!r}")
    labels = {key.lower(): "yes" if value == "1" else "no" for key, value in row.items()}
    male = labels.pop("male", None)
    return labels if male is None else {"gender": "male" if male == "yes" else "female", **labels}


def _numbers(values: list[str], count: int, name: str) -> Floats:
    try:
        row = np.array(values, np.float32)
    except ValueError:
        row = np.zeros(0, np.float32)
    if len(row) != count:
        raise InputError(
            f"list_landmarks_align_celeba: {name} must have {count} numbers, got {' '.join(values)}"
        )
    return row
