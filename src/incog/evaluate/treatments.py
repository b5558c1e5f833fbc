"""What was done to the pictures: a method of incog, or files that any tool made of them."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from incog import pipeline
from incog.data.faces import Sample, decode
from incog.data.layouts import SUFFIXES
from incog.errors import InputError
from incog.evaluate.around import around
from incog.evaluate.restoration import averaged, restorer
from incog.evaluate.samples import Item, fitted, protect
from incog.keys import Secret
from incog.media.contents import examine
from incog.media.magic import image_format
from incog.methods.base import Claim, Method
from incog.perceive.hulls import FaceHulls
from incog.types import Bytes

Parameters = dict[str, str | int | float | bool | list[int]]

LISTED = 10
"""So many names are told of a long list."""


FRAMES = 16
"""Frames of a still scene that an attacker averages."""


@dataclass(frozen=True, slots=True, eq=False)
class Extra:
    """An attack that only methods of a kind allow. views: what it makes of the pictures. hidden: whether its gallery is
    made like it; else it is the originals."""

    attack: str
    views: list[Bytes]
    hidden: bool


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
    def method(self) -> Method | None:
        """The method, where it is one of incog's."""

    @property
    def unprotected(self) -> bool:
        """Whether a face that incog's detector misses stays as it was: so with incog's own methods."""

    @property
    def faults(self) -> Mapping[str, Sequence[str]]:
        """Names that could not be measured, by reason."""

    def __call__(self, items: Sequence[Item]) -> list[Bytes]:
        """Return what became of the pictures, (H, W, 3) uint8 each, of the originals' sizes."""

    def extras(self, items: Sequence[Item], hidden: Sequence[Bytes]) -> list[Extra]:
        """Return attacks that go by how the method works. hidden: what became of the pictures."""

    def around(self) -> list[str]:
        """Return what files tell besides their pixels, one sentence each."""

    def mark(self) -> str:
        """Return what tells this treatment's results from all others'."""


class Hidden:
    """A method of incog. Every picture has a key of its own, derived from one secret; a method on sets is fitted to the
    people of the pictures that it is called with, as if they were one release."""

    unprotected = True
    faults: Mapping[str, Sequence[str]] = MappingProxyType({})

    def __init__(self, method: Method, secret: Secret, hulls: FaceHulls) -> None:
        self.method, self._secret, self._hulls = method, secret, hulls
        self.name, self.parameters = method.name, pipeline.parameters(method)
        self.claims = method.claims()

    def __call__(self, items: Sequence[Item]) -> list[Bytes]:
        return protect(items, fitted(self.method, items, self._hulls), self._secret, self._hulls)

    def extras(self, items: Sequence[Item], hidden: Sequence[Bytes]) -> list[Extra]:
        found = []
        if self.method.keyed:
            one_key = protect(items, self.method, self._secret, self._hulls, one_key=True)
            found.append(Extra("one key", one_key, hidden=True))
            # A pattern that stays over all frames of a track does not average out.
            if any(
                (self._frame(item, 1) != view).any() for item, view in zip(items[:8], hidden, strict=False)
            ):
                found.append(Extra("averaging", self._averaged(items), hidden=False))
        undo = restorer(self.name, self.parameters)
        if undo is not None:
            views = [
                undo(view, item.faces[0], item.hull) if item.faces else view
                for item, view in zip(items, hidden, strict=True)
            ]
            found.append(Extra("restoration", views, hidden=False))
        return found

    def _averaged(self, items: Sequence[Item]) -> list[Bytes]:
        """Return the mean of what becomes of each picture in several frames of a still scene."""
        return [averaged([self._frame(item, number) for number in range(FRAMES)]) for item in items]

    def _frame(self, item: Item, number: int) -> Bytes:
        return protect([item], self.method, self._secret, self._hulls, frame=number)[0]

    def mark(self) -> str:
        return json.dumps([self.name, self.parameters], sort_keys=True)

    def around(self) -> list[str]:
        # Pictures stay in memory here; what incog's files hold is tested where they are written.
        return []


@dataclass(frozen=True, slots=True)
class Files:
    """Files that another tool made, by the names of the originals' items.

    paths: anonymised file of each original. sizes: bytes of each original. faults: what cannot be measured, by reason.
    name: of the tool, for the report.
    """

    name: str
    paths: Mapping[str, Path]
    sizes: Mapping[str, int] = field(default_factory=dict)
    faults: Mapping[str, Sequence[str]] = field(default_factory=dict)
    parameters: Parameters = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    method: Method | None = None
    unprotected: bool = False

    @classmethod
    def beside(cls, name: str, originals: Iterable[tuple[str, Sample]], folder: Path) -> Files:
        """Return the files of a folder that lie where the originals do in theirs; the suffix may differ.

        originals: (source, sample) pairs. Files are opened and compared with their originals; hidden ones are passed
        over. What is unmatched, of another size or broken is among the faults.
        """
        found: dict[str, list[Path]] = defaultdict(list)
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
                found[path.relative_to(folder).with_suffix("").as_posix()].append(path)
        known: dict[str, list[tuple[str, Sample]]] = defaultdict(list)
        for source, sample in originals:
            known[Path(sample.name).with_suffix("").as_posix()].append((source, sample))
        paths: dict[str, Path] = {}
        sizes: dict[str, int] = {}
        faults: dict[str, list[str]] = defaultdict(list)
        for stem, pairs in known.items():
            files = found.pop(stem, [])
            if len(pairs) > 1 or len(files) > 1:
                faults["names that stand for several files"].append(stem)
                continue
            source, sample = pairs[0]
            try:
                data = sample.read()
            except (InputError, OSError):
                faults["originals that cannot be read"].append(sample.name)
                continue
            fault = _fault(data, files[0]) if files else "originals without a file"
            if fault:
                faults[fault].append(sample.name)
            else:
                paths[f"{source}/{sample.name}"], sizes[f"{source}/{sample.name}"] = files[0], len(data)
        for stem in found:
            faults["files without an original"].append(stem)
        return cls(name, paths, sizes, dict(faults))

    def check(self, *, partial: bool) -> None:
        """Raise InputError that lists what cannot be measured, unless the files may be a part."""
        told = [
            f"{len(names)} {what}: {', '.join(names[:LISTED])}{', ...' if len(names) > LISTED else ''}"
            for what, names in self.faults.items()
        ]
        if told and not partial:
            raise InputError("; ".join(told), hint="add --allow-partial to measure the others")
        if not self.paths:
            raise InputError("no file lies where an original does")

    def __call__(self, items: Sequence[Item]) -> list[Bytes]:
        return [decode(self.paths[item.name].read_bytes(), str(self.paths[item.name])) for item in items]

    def extras(self, items: Sequence[Item], hidden: Sequence[Bytes]) -> list[Extra]:
        return []

    def around(self) -> list[str]:
        return around(self.paths, self.sizes)

    def mark(self) -> str:
        digest = hashlib.sha256(self.name.encode())
        for name, path in sorted(self.paths.items()):
            digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()


def _fault(original: bytes, path: Path) -> str:
    """Return why a file cannot be compared with its original, in words, or ''."""
    try:
        data = path.read_bytes()
        examine(data, image_format(data) or "")
        shapes = [decode(one, path.name).shape for one in (original, data)]
    except (InputError, OSError):
        return "pictures that cannot be read"
    return "" if shapes[0] == shapes[1] else "files of another size than their originals"
