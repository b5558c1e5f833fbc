"""The face identity transformer and the faces that the tables of Gu et al. are measured on."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from incog import models
from incog.alignment import similarity
from incog.data.faces import Sample, decode, gather, split_of, template
from incog.data.readers import read
from incog.data.seeds import Integers, uniform
from incog.errors import InputError
from incog.evaluate.intervals import Figure
from incog.evaluate.recognisers import Recogniser, make_recognisers
from incog.evaluate.verification import scores, threshold_at
from incog.perceive.landmarks import make_landmarker
from incog.runtime import session
from incog.train import keyed
from incog.types import Bytes, Floats

SIDE = 128
TEMPLATE = "outline"
NETWORK = "transformer"
JUDGES = ("dlib", "incog-b", "incog")
"""dlib's is the only one that neither the transformer's training nor its judges' teachers have to do with."""

RATE = 1e-3
JPEG = 90
MOST = 4
"""Pictures of one person, so that nobody weighs too much."""

_BATCH = 8


class Turner:
    """Makes another person's face of a face by a key.

    sha256: of the network's file. width: signs of a key.
    """

    def __init__(self, data: bytes, *, threads: int = 1) -> None:
        """data: an ONNX file of ``recipes/transformer.toml``."""
        self.sha256 = hashlib.sha256(data).hexdigest()
        self._session = session(data, threads=threads)
        self.width = int(self._session.get_inputs()[1].shape[1])

    def __call__(self, pixels: Bytes, signs: Floats, masks: Floats | None = None) -> Bytes:
        """Return (N, 128, 128, 3) uint8 for faces of that shape in the template ``outline`` and keys (N, K) of signs.

        masks: (N, 128, 128) in 0..1, inside of which turned faces are laid into their pictures; None for whole crops.
        The negative of a key turns back. Results are rounded to 8 bits, as a file keeps them.
        """
        result = np.empty_like(pixels)
        for start in range(0, len(pixels), _BATCH):
            some = slice(start, start + _BATCH)
            values = np.ascontiguousarray(pixels[some].transpose(0, 3, 1, 2), np.float32) / np.float32(255)
            keys = (signs[some] * np.float32(self.width**-0.5)).astype(np.float32)
            turned = np.asarray(self._session.run(None, {"image": values, "key": keys})[0])
            if masks is not None:
                turned = values + (turned - values) * masks[some, None]
            result[some] = np.rint(np.clip(turned, 0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
        return result


def make_turner(path: Path | None) -> Turner:
    """Return the network of a file, by default the one that ships. Raises ModelError where none does."""
    return Turner(models.own(NETWORK) if path is None else path.read_bytes())


def signs_of(seed: int, count: int, width: int) -> Floats:
    """Return keys (count, width) of -1 and 1, the same ones for a seed each time."""
    rows = np.arange(count, dtype=np.int64)
    drawn = uniform(seed, rows, np.zeros_like(rows), width)
    return np.where(drawn < 0.5, -1, 1).astype(np.float32)


def distinct(keys: Floats, *taken: Floats) -> Floats:
    """Return keys (N, K) of signs; where one equals that of the same row in ``taken``, its first sign is turned."""
    result = keys.copy()
    for other in taken:
        result[(result == other).all(1), 0] *= -1
    return result


@dataclass(frozen=True, slots=True, eq=False)
class Portraits:
    """Faces in the template. pixels: (N, 128, 128, 3) uint8. points: (N, 5, 2), dense: (N, 130, 2), px of the crop.
    people: of each. zoom: (N,) px of the crop to one of the picture. masks: (N, 128, 128) float32, in which faces are
    turned."""

    pixels: Bytes
    points: Floats
    dense: Floats
    people: list[str]
    zoom: Floats
    masks: Floats

    def __len__(self) -> int:
        return len(self.pixels)


def portraits_of(path: Path, split: str, count: int, *, whole: bool = False) -> Portraits:
    """Return faces of LFW whose people are in a split, in an order of people that depends on names alone.

    count: at most so many. whole: whether masks are those of whole crops. Raises InputError when there are none.
    """
    by: dict[str, list[Sample]] = defaultdict(list)
    for _, sample in read({"lfw": path}):
        if sample.points is not None and not sample.fault and split_of(sample.identity) == split:
            by[sample.identity].append(sample)
    people = sorted(by)
    order = np.random.default_rng(0).permutation(len(people))
    chosen = [
        sample for place in order for sample in sorted(by[people[place]], key=lambda one: one.name)[:MOST]
    ][:count]
    if not chosen:
        raise InputError(f"{path.name} holds no faces of the split {split}")
    faces = gather([("lfw", sample) for sample in chosen], name=TEMPLATE, size=SIDE)
    goal = template(TEMPLATE, SIDE)
    zoom = [
        float(np.hypot(*similarity(sample.points, goal)[:, 0]))
        for sample in chosen
        if sample.points is not None
    ]
    landmarker = make_landmarker()
    pairs = zip(faces.pixels, faces.points, strict=True)
    dense = np.stack([landmarker.refine(one, [five], passes=2)[0].points for one, five in pairs])
    masks = keyed.painted(dense, SIDE).astype(np.float32) / np.float32(255)
    return Portraits(
        faces.pixels, faces.points, dense, faces.identities, np.array(zoom, np.float32),
        np.ones_like(masks) if whole else masks,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Turned:
    """What becomes of held-out faces, (N, 128, 128, 3) uint8 each. first: A. other: A under another key. right: R.
    wrong: WR. keys: those of A."""

    first: Bytes
    other: Bytes
    right: Bytes
    wrong: Bytes
    keys: Floats


def turned_of(turner: Turner, pixels: Bytes, masks: Floats) -> Turned:
    """Return A, R and WR of faces, with keys that are the same each time. masks: (N, 128, 128), where A are laid in;
    what turns them on covers their faded edges too."""
    keys, second, stray = (signs_of(seed, len(pixels), turner.width) for seed in (1, 2, 3))
    second, stray = distinct(second, keys), distinct(stray, -keys)
    first, cover = turner(pixels, keys, masks), covers(masks)
    return Turned(
        first,
        turner(pixels, second, masks),
        turner(first, -keys, cover),
        turner(first, stray, cover),
        keys,
    )


def covers(masks: Floats) -> Floats:
    """Return where anything was laid in by masks (N, S, S): their faded edges too."""
    return (masks > 0).astype(np.float32)


def jpeg(pixels: Bytes) -> Bytes:
    """Return pictures (N, H, W, 3) as they come out of JPEG files."""
    result = np.empty_like(pixels)
    for row, one in enumerate(pixels):
        _, coded = cv2.imencode(".jpg", one[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG])
        result[row] = decode(coded.tobytes(), str(row))
    return result


def judges() -> list[Recogniser]:
    """Return the recognisers."""
    return make_recognisers(JUDGES, files={})


def told_apart_at(vectors: Floats, people: list[str]) -> float:
    """Return the threshold that one in a thousand pairs of untouched pictures of different people exceeds."""
    return threshold_at(scores(vectors, people)[1], RATE)


def cosines(first: Floats, second: Floats) -> npt.NDArray[np.float64]:
    """Return the cosine of each row of embeddings (N, D) with the same row of others, (N,)."""
    return np.asarray((first.astype(np.float64) * second).sum(1))


def shrunk(pixels: Bytes, side: int) -> Bytes:
    """Return pictures (N, S, S, 3) at (side, side), averaged."""
    return np.stack(
        [np.asarray(cv2.resize(one, (side, side), interpolation=cv2.INTER_AREA), np.uint8) for one in pixels]
    )


def said(figure: Figure) -> dict[str, Any]:
    """Return a figure as it is written into a result."""
    return {
        key: round(value, 5) if isinstance(value, float) else value for key, value in asdict(figure).items()
    }


def rows_of(people: list[str]) -> tuple[Integers, Integers]:
    """Return the rows (P,), (P,) of all ordered pairs of two pictures of one person."""
    names = np.array(people)
    first, second = np.nonzero((names[:, None] == names[None]) & ~np.eye(len(names), dtype=bool))
    return first, second
