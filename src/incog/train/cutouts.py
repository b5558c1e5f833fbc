"""Pictures to make collages of: faces with the boxes that CenterFace gives them, and pictures without faces."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from incog.data.faces import Sample, Split, decode, split_of
from incog.data.readers import archive
from incog.errors import InputError
from incog.perceive.detector import CenterFace
from incog.types import Bytes, Floats

SURE = 0.5
"""Score of CenterFace from which a face is one; between ``DOUBTFUL`` and this it is neither one nor none."""

DOUBTFUL = 0.2
SILHOUETTE = 72
"""Side in pixels of the silhouettes."""


@dataclass(frozen=True, slots=True, eq=False)
class Cutout:
    """A picture of one face or more.

    pixels: (H, W, 3) uint8 RGB. silhouette: (SILHOUETTE, SILHOUETTE) uint8, 255 where head and shoulders of the first
    face are, over the whole picture. boxes (K, 4), points (K, 5, 2) float32 px; sure (K,): False where it is not known
    whether it is a face. The first face is the one that the picture is of. tight: the head is cut by the borders.
    """

    pixels: Bytes
    silhouette: Bytes
    boxes: Floats
    points: Floats
    sure: npt.NDArray[np.bool_]
    tight: bool


@dataclass(frozen=True, slots=True, eq=False)
class Scenes:
    """Pictures without faces: photos (H, W, 3) to lie behind, stamps (H, W, 4) with alpha to lie about; uint8 RGB."""

    photos: Sequence[Bytes]
    stamps: Sequence[Bytes]


def load(
    sources: Mapping[str, Path], split: Split, *, limit: int = 3000, cache: Path | None = None
) -> list[Cutout]:
    """Return the pictures of a split, at most ``limit`` of each source, and all of those that name people.

    cache: folder that keeps what CenterFace found. Pictures in which it is sure of no face are left out. Raises
    InputError for a source that cannot be read.
    """
    found: list[Cutout] = []
    for source, path in sources.items():
        samples = [
            sample
            for sample in archive(path)
            if split_of(sample.identity or f"{source}/{sample.name}") == split
        ][:limit]
        kept = cache / f"cutouts-{source}-{split}.npz" if cache is not None else None
        rows = _read(kept, samples) if kept is not None else None
        if rows is None:
            rows = _label(samples)
            if kept is not None:
                kept.parent.mkdir(parents=True, exist_ok=True)
                np.savez_compressed(kept, **rows)  # type: ignore[arg-type]
        found += _cutouts(samples, rows)
    if not found:
        raise InputError(
            "no face is in the data", hint="give archives with labels.csv, such as --data lfw=FILE.zip"
        )
    return found


def scenes(path: Path | None, split: Split) -> Scenes:
    """Return the pictures of a ZIP of photos without faces, of a split by name; those with alpha are stamps.

    None gives none. Raises InputError for a ZIP or a picture that cannot be read.
    """
    photos: list[Bytes] = []
    stamps: list[Bytes] = []
    if path is not None:
        try:
            file = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} is not a ZIP of pictures: {error}") from error
        for name in sorted(file.namelist()):
            if split_of(name) != split:
                continue
            image = cv2.imdecode(np.frombuffer(file.read(name), np.uint8), cv2.IMREAD_UNCHANGED)
            if image is None:
                raise InputError(f"{name} in {path} is not a picture that can be read")
            if image.ndim == 3 and image.shape[2] == 4:
                stamps.append(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA), np.uint8))
            else:
                image = image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
                photos.append(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8))
    return Scenes(photos, stamps)


Rows = Mapping[str, npt.NDArray[np.generic]]


def _read(path: Path, samples: Sequence[Sample]) -> Rows | None:
    if not path.exists():
        return None
    with np.load(path) as stored:
        rows = {key: stored[key] for key in ("name", "row", "box", "points", "score", "silhouette")}
    # A file of more pictures than are asked for serves as well.
    names = [str(name) for name in rows["name"][: len(samples)]]
    return rows if names == [sample.name for sample in samples] else None


def _label(samples: Sequence[Sample]) -> Rows:
    """Return names and silhouettes of all, and row, box, points and score of every face that CenterFace sees."""
    detector = CenterFace(threads=1)
    index: list[int] = []
    boxes: list[Floats] = []
    points: list[Floats] = []
    scores: list[float] = []
    silhouettes = np.zeros((len(samples), SILHOUETTE, SILHOUETTE), np.uint8)
    for row, sample in enumerate(samples):
        picture = decode(sample.read(), sample.name)
        side = max(picture.shape[:2])
        # Faces that touch the border are found better with some room around them.
        room = side // 4
        framed = np.asarray(
            cv2.copyMakeBorder(picture, room, room, room, room, cv2.BORDER_REPLICATE), np.uint8
        )
        scale = 300 / side
        for face in detector(framed, scales=(scale, scale / 2), threshold=DOUBTFUL):
            assert face.points is not None
            index.append(row)
            boxes.append(np.array(face.box, np.float32) - room)
            points.append(face.points - room)
            scores.append(face.score)
        mine = [n for n, at in enumerate(index) if at == row]
        if mine:
            first = max(mine, key=lambda n: scores[n] * _prominence(boxes[n], picture.shape))
            silhouettes[row] = silhouette(picture, boxes[first])
    return {
        "name": np.array([sample.name for sample in samples]),
        "row": np.array(index, np.int64),
        "box": np.array(boxes, np.float32).reshape(-1, 4),
        "points": np.array(points, np.float32).reshape(-1, 5, 2),
        "score": np.array(scores, np.float32),
        "silhouette": silhouettes,
    }


def _prominence(box: Floats, shape: tuple[int, ...]) -> float:
    """Larger for large boxes near the middle of a picture."""
    away = np.hypot((box[0] + box[2] - shape[1]) / shape[1], (box[1] + box[3] - shape[0]) / shape[0])
    return float((box[3] - box[1]) / shape[0] / (1 + away))


def silhouette(picture: Bytes, box: Floats) -> Bytes:
    """Return where head and shoulders are, (SILHOUETTE, SILHOUETTE) uint8, by GrabCut (Rother et al. 2004)."""
    side = SILHOUETTE
    small = np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    x0, y0, x1, y1 = box * np.tile([side / picture.shape[1], side / picture.shape[0]], 2)
    x, y, wide, high = (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    reach = np.hypot((columns - x) / wide, (rows - y + 0.1 * high) / high)
    below = (rows > y1) & (np.abs(columns - x) < wide * (0.45 + 1.2 * (rows - y1) / high))
    labels = np.full((side, side), cv2.GC_BGD, np.uint8)
    labels[(reach < 0.85) | below] = cv2.GC_PR_FGD
    labels[(reach < 0.5) | (below & (np.abs(columns - x) < 0.25 * wide))] = cv2.GC_FGD
    if (labels == cv2.GC_BGD).sum() < 30:
        return np.full((side, side), 255, np.uint8)
    cv2.setRNGSeed(0)
    cv2.grabCut(small, labels, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), 2, cv2.GC_INIT_WITH_MASK)
    mask = np.where(np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)), 255, 0).astype(np.uint8)
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)), np.uint8)


def _cutouts(samples: Sequence[Sample], rows: Rows) -> list[Cutout]:
    found: list[Cutout] = []
    score, at = np.asarray(rows["score"], np.float32), np.asarray(rows["row"], np.int64)
    boxes, points = np.asarray(rows["box"], np.float32), np.asarray(rows["points"], np.float32)
    masks = np.asarray(rows["silhouette"], np.uint8)
    for row, sample in enumerate(samples):
        mine = np.flatnonzero(at == row)
        if not len(mine) or score[mine].max() < SURE:
            continue
        pixels = decode(sample.read(), sample.name)
        rank = [
            -float(score[n] * _prominence(boxes[n], pixels.shape)) - float(score[n] >= SURE) for n in mine
        ]
        mine = mine[np.argsort(rank)]
        height, width = pixels.shape[:2]
        first = boxes[mine[0]]
        edge = np.array([first[0], first[1], width - first[2], height - first[3]])
        found.append(
            Cutout(
                pixels,
                masks[row],
                boxes[mine],
                points[mine],
                score[mine] >= SURE,
                bool((edge < 0.08 * (first[3] - first[1])).any()),
            )
        )
    return found
