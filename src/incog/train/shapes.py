"""How shapes vary while the person stays the same: what ``incog.shape`` keeps of a face.

``python -m incog.train.shapes --data PORTRAITS --models FOLDER`` writes shape.npz and its card.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from incog.data.faces import Split
from incog.data.seeds import Integers
from incog.errors import InputError
from incog.models import Card
from incog.points import COUNT, GROUPS, MIRROR
from incog.shape import NAME, PoseFilter, halves
from incog.train.loop import hardware
from incog.train.portraits import SIZE, Portraits, read
from incog.types import Floats

RANK = 24
"""Directions that the filter keeps."""

LEAST = 0.5
"""Share of the variation within people in all, below which a direction is left out: to scale it down would not hide it
from who scales it up again."""

WEIGHTS = {
    "outline": 0.3, "right_brow": 1.0, "left_brow": 1.0, "right_eye": 2.0, "left_eye": 2.0, "right_iris": 4.0,
    "left_iris": 4.0, "nose": 0.5, "outer_lips": 2.0, "inner_lips": 2.0,
}  # fmt: skip
"""How much a group's movement counts when directions are chosen: expression and gaze before the outline."""

TERMS = {
    "lfw": "Labeled Faces in the Wild: research",
    "utkface": "UTKFace: non-commercial research",
    "synthetic": "generated faces, licence unclear: training only",
}
"""Of the sources that the package's own filter is learnt from."""

_RIDGES = (1e-4, 1e-5, 1e-6)
"""Variance that attackers add to every direction, as a share of that of the largest."""

FLOOR = 1e-5
"""Variance, in half sides squared, that is added to every direction, as of noise of a fifth of a pixel. With less, the
filter leans on directions in which no face differs, and makes the noise of points larger: see ``noise_grows``."""


def fit(portraits: Portraits, *, floor: float = FLOOR) -> PoseFilter:
    """Return the filter learnt from the training people. floor: see ``FLOOR``. Raises InputError when too few people
    have several pictures."""
    shapes = halves(portraits.dense, SIZE)
    train = portraits.rows("train")
    inner = _within(shapes, portraits, train)
    if len(inner) < 4 * COUNT:
        raise InputError(f"{len(inner)} pictures of people with several are too few, {4 * COUNT} are needed")
    flip = np.array([-1, 1], np.float32)
    everybody = np.concatenate([shapes[train], shapes[train][:, MIRROR] * flip])
    mean = everybody.mean(0)
    named = np.array([row for row in train if portraits.identities[row]], np.int64)
    known = np.concatenate([shapes[named], shapes[named][:, MIRROR] * flip])
    noise = floor * np.eye(COUNT * 2)
    total = _covariance(known - mean) + noise
    within = _covariance(np.concatenate([inner, inner[:, MIRROR] * flip])) + noise
    # Directions in which all people have unit variance; in them the filter is one share each.
    values, vectors = np.linalg.eigh(total)
    whiten = vectors / np.sqrt(values)
    shares, turned = np.linalg.eigh(whiten.T @ within @ whiten)
    writes = (vectors * np.sqrt(values)) @ turned
    seen = np.square(writes * np.repeat(weights(), 2)[:, None]).sum(0) * shares
    best = np.argsort(np.where(shares >= LEAST, seen, 0))[::-1][:RANK]
    reads = (whiten @ turned[:, best]) * np.clip(shares[best], 0, 1)
    return PoseFilter(*(np.asarray(item, np.float32) for item in (mean, reads, writes[:, best].T)))


def weights() -> Any:
    """Return ``WEIGHTS`` by point, (130,) float64."""
    found = np.ones(COUNT)
    for name, group in GROUPS.items():
        found[group] = WEIGHTS[name]
    return found


def told(portraits: Portraits, filter_: PoseFilter, split: Split) -> dict[str, float]:
    """Return how well a landmarks-only attacker tells people apart by shapes, before and after the filter, and how far
    the filter moves the points.

    The attackers whiten by the variation within people, learnt from the training people in the same form, and take the
    nearest picture of another day: rank-1 of the best of them among the people of ``split`` who have two pictures.
    """
    shapes = halves(portraits.dense, SIZE)
    kept = filter_(shapes)
    rows = portraits.rows(split)
    result: dict[str, float] = {}
    for name, form in (("raw", shapes), ("kept", kept)):
        inner = _covariance(_within(form, portraits, portraits.rows("train")))
        result[f"rank1_{name}"] = _rank1(form, inner, portraits, rows)
    people = _several(portraits, rows)
    result["rank1_chance"] = 1 / len(people)
    result["people"] = float(len(people))
    moved = np.linalg.norm((kept - shapes)[rows], axis=2) * (SIZE / 2)
    result["moved_px_at_128"] = float(moved.mean())
    result["mouth_moved_px_at_128"] = float(moved[:, 110:130].mean())
    # Of noise that is independent in each coordinate.
    result["noise_grows"] = float(np.sqrt(np.square(filter_.reads @ filter_.writes).sum() / (2 * COUNT)))
    return result


def _several(portraits: Portraits, rows: Integers) -> list[list[int]]:
    people: dict[str, list[int]] = {}
    for row in rows.tolist():
        if portraits.identities[row]:
            people.setdefault(portraits.identities[row], []).append(row)
    return [mine for mine in people.values() if len(mine) > 1]


def _within(shapes: Floats, portraits: Portraits, rows: Integers) -> Floats:
    """Return by how much pictures differ from their person's mean, at the variance of single pictures."""
    parts = [
        (shapes[mine] - shapes[mine].mean(0)) * np.sqrt(len(mine) / (len(mine) - 1))
        for mine in _several(portraits, rows)
    ]
    return np.concatenate(parts) if parts else shapes[:0]


def _covariance(apart: Floats) -> Any:
    flat = apart.reshape(len(apart), -1).astype(np.float64)
    return flat.T @ flat / len(flat)


def _rank1(shapes: Floats, within: Any, portraits: Portraits, rows: Integers) -> float:
    """Return the rank-1 of the best of some attackers: by distance and by angle, and with more or less weight on the
    directions in which pictures of a person hardly differ."""
    values, vectors = np.linalg.eigh(within)
    people = _several(portraits, rows)
    parts = [shapes[[mine[n] for mine in people]].reshape(len(people), -1) for n in (0, 1)]
    found = []
    for ridge in _RIDGES:
        whiten = vectors / np.sqrt(np.maximum(values, 0) + values.max() * ridge)
        probes, gallery = (part @ whiten for part in parts)
        distance = ((probes[:, None] - gallery[None]) ** 2).sum(2)
        probes, gallery = (one - one.mean(0) for one in (probes, gallery))
        angle = (probes @ gallery.T) / np.maximum(np.linalg.norm(gallery, axis=1), 1e-12)
        found += [distance.argmin(1), angle.argmax(1)]
    return max(float((one == np.arange(len(people))).mean()) for one in found)


def write(
    filter_: PoseFilter,
    portraits: Portraits,
    measured: dict[str, float],
    seconds: float,
    models: Path,
    *,
    floor: float = FLOOR,
) -> None:
    """Write shape.npz and shape.card.json into the folder of models. floor: that ``fit`` was given."""
    data = filter_.dump()
    card = Card(
        name=NAME,
        about="The part of a face's shape that is pose and expression, not the person.",
        file=f"{NAME}.npz",
        sha256=hashlib.sha256(data).hexdigest(),
        layout="(130, 2) float32, half sides from the middle of a crop of the template outline",
        outputs="(130, 2) float32, the same of nobody in particular: see incog.shape",
        parameters=int(filter_.mean.size + filter_.reads.size + filter_.writes.size),
        multiply_adds=int(filter_.reads.size + filter_.writes.size),
        data={name: portraits.sources.count(name) for name in dict.fromkeys(portraits.sources)},
        terms={name: TERMS.get(name, "unknown here") for name in dict.fromkeys(portraits.sources)},
        recipe=f"python -m incog.train.shapes --floor {floor:g}",
        seconds=round(seconds),
        images=len(portraits.rows("train")),
        hardware=hardware(torch.device("cpu")),
        measured={name: round(value, 4) for name, value in measured.items()},
        export_difference=0.0,
        limits=[
            "Linear: what a large turn of the head does to a shape is only followed in part.",
            "Some identity stays in what it keeps: see rank1_kept beside rank1_raw and chance.",
        ],
    )
    (models / card.file).write_bytes(data)
    text = json.dumps(asdict(card), indent=2, ensure_ascii=False) + "\n"
    (models / f"{NAME}.card.json").write_text(text, "utf-8")


def main(arguments: list[str] | None = None) -> None:
    """The command line: see the module."""
    parser = argparse.ArgumentParser(prog="python -m incog.train.shapes", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--floor", type=float, default=FLOOR)
    given = parser.parse_args(arguments)
    began = time.monotonic()
    portraits = read(given.data)
    made = fit(portraits, floor=given.floor)
    measured = told(portraits, made, "test")
    write(made, portraits, measured, time.monotonic() - began, given.models, floor=given.floor)
    for name, value in measured.items():
        print(f"{name} {value:.4f}")


if __name__ == "__main__":
    main()
