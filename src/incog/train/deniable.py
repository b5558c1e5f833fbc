"""The prior of deniable codes fitted: what is told of faces, whom they show, and how the one follows the other.

``python -m incog.train.deniable --data NAME=PATH ... --models FOLDER`` takes pictures with their surroundings, each and
its mirror image, through the package's own networks as ``incog hide`` does. It needs no torch. The same files give the
same prior.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from incog import compose, geometry, models
from incog.appearance import model, painting, reading
from incog.appearance.model import Appearance
from incog.data.faces import Sample, Split, decode, split_of, workers
from incog.data.readers import read as read_sources
from incog.deniable import gaussian, prior, traits
from incog.deniable.prior import NAME, Doubles, Prior
from incog.errors import InputError
from incog.evaluate.samples import frame_of
from incog.methods.looking import look_of
from incog.models import Card
from incog.perceive.hulls import FaceHulls, make_hulls
from incog.perceive.recogniser import around_points
from incog.types import Crops, Face, Floats

SHAPES = 16
"""Numbers of a code that are shape: those beyond move no point by a tenth of a pixel of a face of 128."""

TEXTURES = 160
"""Numbers of a code that are texture."""

FOLDS = 4

_RIDGE = 3e-3
_MIRROR = (1, 0, 2, 4, 3)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Faces. people: (N,) who each shows, or its name. sources: (N,). shapes: (N, I), textures: (N, K) float32, see
    ``traits.Person``. told: (N, F), with the outline not yet with its noise. outline: where in it that is."""

    people: npt.NDArray[np.str_]
    sources: npt.NDArray[np.str_]
    shapes: Floats
    textures: Floats
    told: Floats
    outline: slice

    def noisy(self, seed: int) -> Floats:
        """Return ``told`` with noise on the outlines, of a seed."""
        found = self.told.copy()
        part = found[:, self.outline]
        part += np.random.default_rng(seed).normal(size=part.shape) * traits.LOOSE
        return found


def gather(sources: Mapping[str, Path], split: Split, *, mirrored: bool, most: int | None = None) -> Table:
    """Return the faces of a split that can be read. mirrored: and their mirror images. most: of each source, evenly."""
    own, hulls = model.load(), make_hulls()
    rows: list[tuple[str, str, Floats, Floats, Floats]] = []
    with ThreadPoolExecutor(workers()) as pool:
        for found in pool.map(
            lambda job: list(_read(own, hulls, *job, mirrored=mirrored)), evenly(sources, [split], most)
        ):
            rows += found
    if not rows:
        raise InputError("the data holds no faces that can be read")
    people, names, shapes, textures, told = zip(*rows, strict=True)
    start = told[0].size - 3 * traits.SECTORS - _outlines()
    return Table(
        np.array(people), np.array(names), np.stack(shapes), np.stack(textures), np.stack(told),
        slice(start, start + _outlines()),
    )  # fmt: skip


def evenly(
    sources: Mapping[str, Path], splits: Sequence[Split], most: int | None
) -> list[tuple[str, str, Sample]]:
    """Return the samples of splits whose points are known, with their source and who each shows, or its name. most: of
    each source, evenly."""
    parts: dict[str, list[tuple[str, Sample]]] = {}
    for source, sample in read_sources(sources):
        key = sample.identity or f"{source}/{sample.name}"
        if sample.points is not None and not sample.fault and split_of(key) in splits:
            parts.setdefault(source, []).append((key, sample))
    return [
        (source, *pairs[place])
        for source, pairs in parts.items()
        for place in np.unique(
            np.linspace(0, len(pairs) - 1, min(most or len(pairs), len(pairs))).astype(int)
        )
    ]


def crops_of(sample: Sample, hulls: FaceHulls, *, mirrored: bool) -> Iterator[Crops]:
    """Yield a face as it is cut out when it is hidden, (a batch of one), and its mirror image where that is wanted."""
    picture = decode(sample.read(), sample.name)
    assert sample.points is not None
    for turned in (False, True) if mirrored else (False,):
        points = sample.points
        if turned:
            picture = np.ascontiguousarray(picture[:, ::-1])
            points = points[_MIRROR, :] * np.array([-1, 1], np.float32) + [picture.shape[1] - 1, 0]
        face = around_points(Face((0, 0, 0, 0), points=points.astype(np.float32)))
        yield compose.crop_of(frame_of(picture), face, mask_scale=geometry.MASK_SCALE, hulls=hulls)


def _outlines() -> int:
    return len(painting.held_parts(outline=True)[0]) - len(painting.held_parts(outline=False)[0])


def _read(
    own: Appearance, hulls: FaceHulls, source: str, key: str, sample: Sample, *, mirrored: bool
) -> Iterator[tuple[str, str, Floats, Floats, Floats]]:
    for crop in crops_of(sample, hulls, mirrored=mirrored):
        pixels, mask = crop.pixels[0], crop.masks[0]
        seen = reading.read(own, pixels, crop.dense[0])
        if seen is None:
            continue
        look, face_part = look_of(crop), traits.coarse(own, pixels, crop.dense[0])
        person = traits.person_of(own, seen, face_part, look)
        outline, around = traits.outline(own, seen), traits.around(own, seen, pixels, mask)
        told = traits.told(traits.read(own, seen), look, outline, around)
        yield key, source, person.shape, person.texture, told


def fit(
    table: Table,
    own: Appearance,
    digest: str,
    *,
    textures: int = TEXTURES,
    seed: int = 0,
    layers: int = gaussian.LAYERS,
) -> Prior:
    """Return the prior of faces. digest: SHA-256 of the appearance model.

    What remains of a face when it is predicted from others' is what counts: how far a fit is from what it was fitted to
    says too little, and codes of strangers would stand out.
    """
    told = table.noisy(seed)
    values = np.concatenate([table.shapes, table.textures[:, -textures:]], 1).astype(np.float64)
    mean, spread = told.mean(0), told.std(0) + 1e-6
    given = np.clip((told - mean) / spread, -4, 4).astype(np.float64)
    plain = np.concatenate([given[:, traits.plain()], np.ones((len(given), 1))], 1)
    given = np.concatenate([given, np.ones((len(given), 1))], 1)
    folds = np.array([hashlib.sha256(key.encode()).digest()[0] % FOLDS for key in table.people])
    left = np.empty_like(values)
    for fold in range(FOLDS):
        mine = folds == fold
        left[mine] = values[mine] - given[mine] @ _regression(given[~mine], values[~mine])
    slopes = _regression(given, values)
    axes, reads = _axes(left, own, table.shapes.shape[1])
    numbers = left @ reads
    logs = np.log(np.square(numbers) + 0.05)
    scales = np.empty((plain.shape[1], numbers.shape[1]))
    rates = np.empty_like(numbers)
    for fold in range(FOLDS):
        mine = folds == fold
        rates[mine] = plain[mine] @ _regression(plain[~mine], logs[~mine], 0.05)
    scales = _regression(plain, logs, 0.05)
    shift = np.log(np.mean(np.square(numbers) / np.exp(rates), 0))
    scales[-1] += shift
    evened = numbers / np.exp((rates + shift) / 2)
    made = gaussian.fit(evened, layers=layers, seed=seed)
    slopes_, axes_, reads_, scales_ = (_single(item) for item in (slopes, axes, reads, scales))
    return Prior(mean, spread, slopes_, axes_, reads_, scales_, made, table.shapes.shape[1], digest)


def _single(values: Doubles) -> Floats:
    return values.astype(np.float32)


def _regression(given: Doubles, goal: Doubles, ridge: float = _RIDGE) -> Doubles:
    held = np.diag(np.append(np.full(given.shape[1] - 1, ridge * len(given)), 0))
    return np.asarray(np.linalg.solve(given.T @ given + held, given.T @ goal), np.float64)


def _axes(left: Doubles, own: Appearance, shapes: int) -> tuple[Doubles, Doubles]:
    """Return axes (D, I + T) and reads (I + T, D) of what remains of persons, (N, I + T): unit variance on each.

    Of the shape the directions that move the points most; of the texture all.
    """
    modes = own.person_modes.astype(np.float64)
    values, vectors = np.linalg.eigh(np.cov((left[:, :shapes] @ modes).T))
    best = vectors[:, np.argsort(values)[::-1][:SHAPES]]
    project = np.zeros((left.shape[1], SHAPES + left.shape[1] - shapes))
    project[:shapes, :SHAPES] = modes @ best
    project[shapes:, SHAPES:] = np.eye(left.shape[1] - shapes)
    back = np.zeros(project.shape[::-1])
    back[:SHAPES, :shapes] = best.T @ np.linalg.pinv(modes)
    back[SHAPES:, shapes:] = np.eye(left.shape[1] - shapes)
    root = np.linalg.cholesky(np.cov((left @ project).T))
    return np.asarray(root.T @ back, np.float64), np.asarray(project @ np.linalg.inv(root).T, np.float64)


TERMS = {"lfw": "Labeled Faces in the Wild: research"}
LIMITS = [
    "Learnt from press photos: right codes of faces in pictures of another kind can be told from wrong ones by it.",
    "Adults, mostly men and mostly labelled white; faces of children and of darker skin are less like its own.",
    "Detail of faces beyond 64 px in width is not in the codes.",
]


def train(sources: Mapping[str, Path]) -> tuple[bytes, Card]:
    """Return the prior's file and its card."""
    began = time.monotonic()
    own, digest = model.load(), models.RECORDS[model.NAME].sha256
    table = gather(sources, "train", mirrored=True)
    data = fit(table, own, digest).dump()
    made = Prior.load(data, digest)
    card = Card(
        name=NAME,
        about="The prior of deniable codes: which codes people have, given what stays visible of them.",
        file=f"{NAME}.npz",
        sha256=hashlib.sha256(data).hexdigest(),
        layout="arrays by name, NPZ",
        outputs=f"{made.size} numbers of a code, {prior.BITS} bits each",
        parameters=int(
            sum(getattr(made, name).size for name in ("slopes", "axes", "reads", "scales"))
            + sum(part.size for part in asdict(made.gaussian).values())
        ),
        multiply_adds=made.slopes.size + made.axes.size + made.gaussian.turns.size,
        data={str(name): int((table.sources == name).sum()) for name in np.unique(table.sources)},
        terms={name: text for name, text in TERMS.items() if name in table.sources},
        recipe="src/incog/train/deniable.py",
        seconds=round(time.monotonic() - began),
        images=len(table.people),
        hardware=platform.processor() or platform.machine(),
        measured=measured(made, gather(sources, "test", mirrored=False)),
        export_difference=0.0,
        limits=LIMITS,
    )
    return data, card


def measured(made: Prior, table: Table) -> dict[str, float]:
    """Return how near codes of held-out people are to standard normal: their variance, the mean of their squared
    lengths relative to their size and its standard deviation relative to what it should be, and the share of words in
    the outer tenth."""
    told = table.noisy(1)
    textures = made.slopes.shape[1] - made.shapes
    numbers = made.numbers(np.concatenate([table.shapes, table.textures[:, -textures:]], 1), told)
    return normality(numbers)


def normality(numbers: Doubles) -> dict[str, float]:
    """Return how near numbers of held-out people, (N, D), are to standard normal: see ``measured``."""
    lengths, size = np.square(numbers).sum(1), numbers.shape[1]
    words = prior.quantised(numbers).astype(np.float64) / 2**prior.BITS
    return {
        "test_faces": float(len(numbers)),
        "variance": round(float(numbers.var()), 3),
        "length": round(float(lengths.mean() / size), 3),
        "length_spread": round(float(lengths.std() / np.sqrt(2 * size)), 3),
        "outer_tenth": round(float(((words < 0.05) | (words >= 0.95)).mean()), 4),
    }


def main(arguments: list[str] | None = None) -> None:
    """The command line: see the module."""
    parser = argparse.ArgumentParser(prog="python -m incog.train.deniable", description=__doc__)
    parser.add_argument("--data", action="append", required=True, metavar="NAME=PATH")
    parser.add_argument("--models", type=Path, required=True)
    given: Any = parser.parse_args(arguments)
    pairs = [item.partition("=") for item in given.data]
    data, card = train({name: Path(path) for name, _, path in pairs})
    (given.models / card.file).write_bytes(data)
    text = json.dumps(asdict(card), indent=2, ensure_ascii=False) + "\n"
    (given.models / f"{card.name}.card.json").write_text(text, "utf-8")
    print(f"{card.file}: {len(data)} bytes, {card.measured}")


if __name__ == "__main__":
    main()
