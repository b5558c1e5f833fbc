"""What was done to the pictures: a method of incog, or files that any tool made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from incog import pipeline
from incog.data.faces import Sample, decode
from incog.data.layouts import SUFFIXES
from incog.errors import InputError
from incog.evaluate.around import around
from incog.evaluate.samples import Item, protect
from incog.keys import Secret
from incog.methods.base import Claim, Method
from incog.perceive.hulls import FaceHulls
from incog.types import Bytes

Parameters = dict[str, str | int | float | bool | list[int]]

LISTED = 10
"""So many names are told of a long list."""


class Treatment(Protocol):
    """Something that hides faces."""

    @property
    def name(self) -> str:
        """As the report calls it."""

    @property
    def parameters(self) -> Parameters:
        """Settings by name."""

    @property
    def claims(self) -> tuple[Claim, ...]:
        """What it promises."""

    @property
    def unprotected(self) -> bool:
        """Whether a face that incog's detector misses stays as it was: so with incog's own methods."""

    def __call__(self, items: Sequence[Item]) -> list[Bytes]:
        """Return what became of the pictures, (H, W, 3) uint8 each, of the originals' sizes."""

    def around(self) -> list[str]:
        """Return what files tell besides their pixels, one sentence each."""


class Hidden:
    """A method of incog. Every picture has a key of its own, derived from one secret."""

    unprotected = True

    def __init__(self, method: Method, secret: Secret, hulls: FaceHulls) -> None:
        self._method, self._secret, self._hulls = method, secret, hulls
        self.name, self.parameters = method.name, pipeline.parameters(method)
        self.claims = method.claims()

    def __call__(self, items: Sequence[Item]) -> list[Bytes]:
        return protect(items, self._method, self._secret, self._hulls)

    def around(self) -> list[str]:
        # Pictures stay in memory here; what incog's files hold is tested where they are written.
        return []


@dataclass(frozen=True, slots=True)
class Files:
    """Files that another tool made, by the names of the originals.

    paths: anonymised file of each original. sizes: bytes of each original. missing: originals without a file. extra:
    files without an original. name: of the tool, for the report.
    """

    name: str
    paths: Mapping[str, Path]
    sizes: Mapping[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    parameters: Parameters = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    unprotected: bool = False

    @classmethod
    def beside(cls, name: str, originals: Iterable[Sample], folder: Path) -> Files:
        """Return the files of a folder that lie where the originals do in theirs; the suffix may differ.

        Raises InputError when two files could be one original's.
        """
        found: dict[str, Path] = {}
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix.lower() in SUFFIXES:
                stem = path.relative_to(folder).with_suffix("").as_posix()
                if stem in found:
                    raise InputError(
                        f"{stem} is there twice in {folder}: {found[stem].suffix} and {path.suffix}"
                    )
                found[stem] = path
        paths: dict[str, Path] = {}
        sizes: dict[str, int] = {}
        missing: list[str] = []
        for sample in originals:
            place = found.pop(Path(sample.name).with_suffix("").as_posix(), None)
            if place is None:
                missing.append(sample.name)
            else:
                paths[sample.name], sizes[sample.name] = place, len(sample.read())
        extra = sorted(path.relative_to(folder).as_posix() for path in found.values())
        return cls(name, paths, sizes, missing, extra)

    def check(self, *, partial: bool) -> None:
        """Raise InputError that lists what is unmatched, unless the files may be a part."""
        told = [
            f"{len(names)} {what}: {', '.join(names[:LISTED])}{', ...' if len(names) > LISTED else ''}"
            for what, names in (
                ("originals without a file", self.missing),
                ("files without an original", self.extra),
            )
            if names
        ]
        if told and not partial:
            raise InputError("; ".join(told), hint="add --allow-partial to measure the others")
        if not self.paths:
            raise InputError("no file lies where an original does")

    def __call__(self, items: Sequence[Item]) -> list[Bytes]:
        views = []
        for item in items:
            view = decode(self.paths[item.name].read_bytes(), str(self.paths[item.name]))
            if view.shape != item.picture.shape:
                high, wide = item.picture.shape[:2]
                raise InputError(
                    f"{self.paths[item.name]} must be {wide}x{high}, as its original, got "
                    f"{view.shape[1]}x{view.shape[0]}"
                )
            views.append(view)
        return views

    def around(self) -> list[str]:
        return around(self.paths, self.sizes)
