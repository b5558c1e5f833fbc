"""Packing: faces are found, aligned, judged and coded, and what was left out is counted by reason."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from incog.data import packs
from incog.data.faces import Sample, decode, embeddings_of, fitted, template, workers
from incog.data.layouts import TERMS
from incog.data.packs import Header, Source, Teacher, Writer
from incog.data.readers import find, read
from incog.errors import InputError, UsageError, must_be
from incog.media.files import pending
from incog.train import mixes
from incog.train.finding import BLURRED, NO_FACE, SMALL, UNSURE, Finder, judged
from incog.types import Array, Bytes, Floats

FAULTY, UNREADABLE = "not as its layout says", "cannot be read"
REASONS = (NO_FACE, UNSURE, SMALL, BLURRED, FAULTY, UNREADABLE)
"""Why a face is left out."""

TELL_SECONDS = 5.0

_CHUNK = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How faces are packed.

    template, size: of the crops, see ``incog.data.faces``. quality: of the WebP, 1..100. most: how many faces at
    most; people come whole, but for the last, in the order of a hash. least_score: of the detector that found a face,
    0..1. embeddings: keep those that the data have, where no teacher is given.
    keep_going: leave out, and count, what cannot be read or is mislabelled. threads: 0 for one per core.
    """

    template: str = "arcface"
    size: int = 128
    quality: int = 80
    most: int | None = None
    least_score: float = 0.5
    embeddings: bool = False
    keep_going: bool = False
    threads: int = 0

    def __post_init__(self) -> None:
        template(self.template, self.size)
        if not 16 <= self.size <= 1024:
            raise must_be("--size", "16 to 1024", self.size)
        if not 1 <= self.quality <= 100:
            raise must_be("--quality", "1 to 100", self.quality)
        if not 0 <= self.least_score <= 1:
            raise must_be("--least-score", "0 to 1", self.least_score)
        if self.most is not None and self.most < 1:
            raise must_be("--most", "at least 1", self.most)


@dataclass(frozen=True, slots=True, eq=False)
class _Packed:
    """coded: the crop as WebP. points: (5, 2) in it. shown: (128, 128, 3) for the teacher, or None without one."""

    coded: bytes
    points: Floats
    shown: Bytes | None


@dataclass(frozen=True, slots=True)
class _Rejected:
    """reason: one of ``REASONS``. detail: the measure or fault behind it, in words."""

    reason: str
    detail: str = ""

    @property
    def said(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


def pack(
    sources: Mapping[str, Path],
    out: Path,
    settings: Settings,
    *,
    teacher: tuple[str, Path] | None = None,
    terms: Mapping[str, str] | None = None,
    overwrite: bool = False,
    tell: Callable[[str], None] = print,
) -> Header:
    """Pack the faces of all sources into one file and return its header.

    teacher: name and ONNX file of a recogniser whose embeddings are added. terms: by source, of its pictures. Raises
    UsageError, OutputError, and InputError that names the file for what cannot be read.
    """
    if strange := sorted(set(terms or {}) - set(sources)):
        raise must_be("--terms", f"for {', '.join(sources)}", strange[0])
    described = _described(sources, terms or {})
    everything = list(read(sources))
    _no_doubles(everything)
    for source, facts in described.items():
        count = sum(name == source for name, _ in everything)
        tell(f"{source}: {count} pictures, layout {facts.layout}")
    labeller = mixes.Teacher(teacher[1], threads=settings.threads) if teacher else None
    kept: list[tuple[str, Sample]] = []
    vectors: list[Floats] = []
    rejected: list[tuple[str, str, _Rejected]] = []
    most = len(everything) if settings.most is None else settings.most
    told = time.monotonic()
    with pending(out, overwrite=overwrite, parents=True, inputs=_files(sources)) as file:
        with Writer(file.path) as writer:
            for done, chunk in _worked(_ordered(everything, settings.most), settings, teacher is not None):
                shown: list[Bytes] = []
                for source, sample, result in chunk:
                    if len(kept) == most:
                        break
                    if isinstance(result, _Rejected):
                        rejected.append((source, sample.name, result))
                        continue
                    writer.add(source, sample, result.coded, result.points)
                    kept.append((source, sample))
                    if result.shown is not None:
                        shown.append(result.shown)
                if labeller is not None and shown:
                    vectors.append(labeller(np.stack(shown)))
                last = done == len(everything) or len(kept) == most
                if last or time.monotonic() - told > TELL_SECONDS:
                    tell(f"{done} of {len(everything)} pictures, {len(kept)} faces packed")
                    told = time.monotonic()
                if last:
                    break
            header = _header(described, kept, rejected, settings)
            if not kept:
                counts = Counter(result.reason for _, _, result in rejected)
                what = ", ".join(f"{reason}: {number}" for reason, number in counts.most_common())
                raise InputError(f"no face was left to pack ({what})")
            embeddings: Array | None = np.concatenate(vectors).astype(np.float16) if vectors else None
            if embeddings is None and settings.embeddings:
                embeddings = embeddings_of(kept)
            known = _teacher(teacher, sources, embeddings)
            header = header.model_copy(update={"teacher": known})
            writer.finish(header, embeddings, [(source, name, r.said) for source, name, r in rejected])
        file.publish()
    return header


def _described(sources: Mapping[str, Path], terms: Mapping[str, str]) -> dict[str, Source]:
    """Return what is known of each source before it is read; of a pack, of those that it was packed from."""
    result: dict[str, Source] = {}
    for name, path in sources.items():
        layout, root = find(path)
        if layout == "pack":
            found = dict(packs.read_header(root).sources)
            if name in terms:
                found = {key: facts.model_copy(update={"terms": terms[name]}) for key, facts in found.items()}
        else:
            found = {
                name: Source(
                    layout=layout,
                    terms=terms.get(name, TERMS.get(layout, "not stated")),
                    faces=0,
                    people=0,
                    rejected={},
                )
            }
        if doubles := sorted(set(found) & set(result)):
            raise InputError(
                f"the source {doubles[0]} is given twice", hint="give another NAME, or one of them"
            )
        result |= found
    return result


def _no_doubles(samples: Iterable[tuple[str, Sample]]) -> None:
    seen: set[tuple[str, str]] = set()
    for source, sample in samples:
        if (source, sample.name) in seen:
            raise InputError(f"{source}/{sample.name} is there twice")
        seen.add((source, sample.name))


def _files(sources: Mapping[str, Path]) -> list[Path]:
    return [root for root in (find(path)[1] for path in sources.values()) if root.is_file()]


def _ordered(samples: list[tuple[str, Sample]], most: int | None) -> list[tuple[str, Sample]]:
    """Return the samples as they are, or, when not all are wanted, people in the order of a hash."""
    if most is None:
        return samples

    def place(row: tuple[str, Sample]) -> tuple[bytes, str]:
        source, sample = row
        person = sample.identity or f"{source}/{sample.name}"
        return hashlib.sha256(b"most/" + person.encode()).digest(), sample.name

    return sorted(samples, key=place)


def _worked(
    samples: Sequence[tuple[str, Sample]], settings: Settings, taught: bool
) -> Iterator[tuple[int, list[tuple[str, Sample, _Packed | _Rejected]]]]:
    """Yield (how many are done, chunk) in order, worked on by all threads."""
    finder = Finder()

    def one(row: tuple[str, Sample]) -> tuple[str, Sample, _Packed | _Rejected]:
        return *row, _crop(*row, settings, finder, taught)

    with ThreadPoolExecutor(settings.threads or workers()) as pool:
        for start in range(0, len(samples), _CHUNK):
            chunk = samples[start : start + _CHUNK]
            yield start + len(chunk), list(pool.map(one, chunk))


def _crop(
    source: str, sample: Sample, settings: Settings, finder: Finder, taught: bool
) -> _Packed | _Rejected:
    where = f"{source}/{sample.name}"
    if sample.fault:
        if settings.keep_going:
            return _Rejected(FAULTY, sample.fault)
        raise InputError(
            f"{where}: {sample.fault}", hint="--keep-going leaves out what is not as it should be"
        )
    try:
        coded = sample.read()
        image = decode(coded, where)
    except (InputError, OSError) as error:
        if settings.keep_going:
            return _Rejected(UNREADABLE)
        message = str(error) if isinstance(error, InputError) else f"{where} cannot be read: {error}"
        raise InputError(message, hint="--keep-going leaves out what cannot be read") from error
    if sample.aligned is None:
        if sample.points is None:
            face = finder(image)
            if face is None:
                return _Rejected(NO_FACE)
            sample = replace(sample, points=face.points, score=face.score)
        if sample.score is not None and sample.score < settings.least_score:
            return _Rejected(UNSURE, f"score {sample.score:.2f}")
        if verdict := judged(image, sample):
            return _Rejected(*verdict)
    crop, points = fitted(sample, image, settings.template, settings.size)
    if sample.aligned != (settings.template, settings.size):
        coded = _webp(crop, settings.quality)
    return _Packed(coded, points, fitted(sample, image, "arcface", 128)[0] if taught else None)


def _webp(crop: Bytes, quality: int) -> bytes:
    ok, data = cv2.imencode(
        ".webp", np.ascontiguousarray(crop[..., ::-1]), [cv2.IMWRITE_WEBP_QUALITY, quality]
    )
    if not ok:
        raise UsageError(f"a crop of {crop.shape[0]} px cannot be coded as WebP")
    return data.tobytes()


def _header(
    described: Mapping[str, Source],
    kept: Sequence[tuple[str, Sample]],
    rejected: Sequence[tuple[str, str, _Rejected]],
    settings: Settings,
) -> Header:
    facts: dict[str, Source] = {}
    for source, before in described.items():
        of_it = [sample for name, sample in kept if name == source]
        reasons = Counter(before.rejected)
        reasons.update(result.reason for name, _, result in rejected if name == source)
        facts[source] = before.model_copy(
            update={
                "faces": len(of_it),
                "people": len({sample.identity for sample in of_it} - {""}),
                "rejected": {reason: reasons[reason] for reason in REASONS if reasons[reason]},
            }
        )
    goal = (settings.template, settings.size)
    return Header(
        version=packs.VERSION,
        template=settings.template,
        size=settings.size,
        quality=0 if all(sample.aligned == goal for _, sample in kept) else settings.quality,
        faces=len(kept),
        teacher=None,
        sources=facts,
    )


def _teacher(
    given: tuple[str, Path] | None, sources: Mapping[str, Path], embeddings: Array | None
) -> Teacher | None:
    """Return whose the embeddings are: of the teacher that was given, or of the data's as far as packs say so."""
    if embeddings is None:
        return None
    dimensions = int(embeddings.shape[1])
    if given is not None:
        name, path = given
        return Teacher(name=name, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), dimensions=dimensions)
    found = [
        packs.read_header(root).teacher if layout == "pack" else None
        for layout, root in (find(path) for path in sources.values())
    ]
    if found[0] is not None and all(item == found[0] for item in found):
        return found[0]
    return Teacher(name="of the data", sha256="", dimensions=dimensions)
