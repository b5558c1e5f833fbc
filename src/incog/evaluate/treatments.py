"""What was done to the pictures: a method of incog, or files that any tool made of them."""

from __future__ import annotations

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
from incog.evaluate.samples import Item, protect
from incog.keys import Secret
from incog.media.contents import examine
from incog.media.magic import image_format
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

    @property
    def faults(self) -> Mapping[str, Sequence[str]]:
        """Names that could not be measured, by reason."""

    def __call__(self, items: Sequence[Item]) -> list[Bytes]:
        """Return what became of the pictures, (H, W, 3) uint8 each, of the originals' sizes."""

    def around(self) -> list[str]:
        """Return what files tell besides their pixels, one sentence each."""


class Hidden:
    """A method of incog. Every picture has a key of its own, derived from one secret."""

    unprotected = True
    faults: Mapping[str, Sequence[str]] = MappingProxyType({})

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
            data = sample.read()
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

    def around(self) -> list[str]:
        return around(self.paths, self.sizes)


def _fault(original: bytes, path: Path) -> str:
    """Return why a file cannot be compared with its original, in words, or ''."""
    try:
        data = path.read_bytes()
        examine(data, image_format(data) or "")
        shapes = [decode(one, path.name).shape for one in (original, data)]
    except (InputError, OSError):
        return "pictures that cannot be read"
    return "" if shapes[0] == shapes[1] else "files of another size than their originals"
