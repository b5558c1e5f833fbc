"""What is left of the picture's use: detection, geometry, attributes, and differences of pixels and of sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import nan

import numpy as np

from incog.evaluate import quality
from incog.evaluate.intervals import Figure, mean_over_people, wilson
from incog.evaluate.samples import Item
from incog.perceive.attributes import CLASSES, Attributes, OnnxAttributes
from incog.perceive.detector import Detector, scales_for
from incog.types import Bytes, Face, Floats

OVERLAP = 0.5
"""Intersection over union from which a detection is the same face."""

SIDE = 128
"""Shifts are told in pixels of a picture of this width (Gu et al. 2020)."""


def overlap(first: Face, second: Face) -> float:
    """Return the intersection over union of two boxes, 0..1."""
    low = np.maximum(first.box[:2], second.box[:2])
    high = np.minimum(first.box[2:], second.box[2:])
    common = float(np.clip(high - low, 0, None).prod())
    whole = first.width * first.height + second.width * second.height - common
    return common / whole if whole > 0 else 0.0


def detected(detector: Detector, picture: Bytes, *, threshold: float = 0.5) -> list[Face]:
    """Return the faces of a picture (H, W, 3) uint8, searched from twice its size downwards."""
    height, width = picture.shape[:2]
    return detector(picture, scales=scales_for(width, height, finest=2.0), threshold=threshold)


def detection(
    items: Sequence[Item], after: Sequence[Bytes], detector: Detector, *, seed: int = 0
) -> dict[str, Figure]:
    """Return how a detector fares on what a method left, among pictures in which it found the face before.

    detection_rate: share with a detection at the same place. box_shift, points_shift: mean absolute differences of the
    coordinates, in pixels of a picture 128 wide, where it is still found. nme: mean distance of the five points as a
    share of the distance of the eyes. The last two only for detectors that give points.
    """
    found: list[float] = []
    people: list[str] = []
    shifts: dict[str, list[float]] = {"box_shift": [], "points_shift": [], "nme": []}
    whose: dict[str, list[str]] = {name: [] for name in shifts}
    for item, view in zip(items, after, strict=True):
        middle = item.points.mean(0)
        before = [
            face
            for face in detected(detector, item.picture)
            if np.hypot(*(np.array(face.centre) - middle)) < face.size / 2
        ]
        if not before:
            continue
        source = before[0]
        best = max(detected(detector, view), key=lambda face: overlap(source, face), default=None)
        hit = best is not None and overlap(source, best) >= OVERLAP
        found.append(float(hit))
        people.append(item.person)
        if best is None or not hit:
            continue
        scale = SIDE / item.picture.shape[1]
        values = {"box_shift": scale * float(np.abs(np.subtract(source.box, best.box)).mean())}
        if source.points is not None and best.points is not None:
            apart = best.points - source.points
            eyes = float(np.linalg.norm(source.points[1] - source.points[0]))
            values["points_shift"] = scale * float(np.abs(apart).mean())
            values["nme"] = float(np.linalg.norm(apart, axis=1).mean()) / max(eyes, 1e-6)
        for name, value in values.items():
            shifts[name].append(value)
            whose[name].append(item.person)
    rates = {"detection_rate": mean_over_people(np.array(found), people, seed=seed)}
    return rates | {
        name: mean_over_people(np.array(values), whose[name], seed=seed)
        for name, values in shifts.items()
        if values
    }


def attributes(
    items: Sequence[Item],
    after: Sequence[Bytes],
    network: OnnxAttributes,
    *,
    labels: Mapping[str, Sequence[str]] | None = None,
    seed: int = 0,
) -> dict[str, Figure]:
    """Return how far faces look as before to a network that judges, at the places where they were.

    For each class: how often the likeliest is the same as before. age_difference: mean absolute change in years.
    labels: true classes of each item by name, '' where unknown; then also accuracy on them, before and after.
    """
    faces = [Face(box=(0, 0, 1, 1), points=item.points) for item in items]
    old, new = (
        [network.look(view, [face])[0] for view, face in zip(views, faces, strict=True)]
        for views in ([item.picture for item in items], after)
    )
    people = [item.person for item in items]
    ages = np.array([abs(a.age - b.age) for a, b in zip(old, new, strict=True)])
    figures = {"age_difference": mean_over_people(ages, people, seed=seed)}
    for name in CLASSES:
        same = np.array([_named(a, name) == _named(b, name) for a, b in zip(old, new, strict=True)], float)
        figures[f"{name}_kept"] = mean_over_people(same, people, seed=seed)
    for name, truth in (labels or {}).items():
        known = [row for row, label in enumerate(truth) if label in CLASSES[name]]
        for when, judged in (("before", old), ("after", new)):
            right = np.array([_named(judged[row], name) == truth[row] for row in known], float)
            figures[f"{name}_accuracy_{when}"] = mean_over_people(
                right, [people[row] for row in known], seed=seed
            )
    return figures


def _named(face: Attributes, name: str) -> str:
    return face.likeliest(name)[0]


def differences(items: Sequence[Item], after: Sequence[Bytes], *, seed: int = 0) -> dict[str, Figure]:
    """Return how far whole pictures differ: ssim, dssim, psnr in dB (of those that differ), l1, l2; means of all."""
    measures: dict[str, Callable[[Bytes, Bytes], float]] = {
        "ssim": quality.ssim,
        "dssim": quality.dssim,
        "psnr": quality.psnr,
        "l1": quality.l1,
        "l2": quality.l2,
    }
    people = [item.person for item in items]
    figures = {}
    for name, measure in measures.items():
        values = np.array([measure(item.picture, view) for item, view in zip(items, after, strict=True)])
        finite = np.isfinite(values)
        figures[name] = mean_over_people(
            values[finite], [person for person, kept in zip(people, finite, strict=True) if kept], seed=seed
        )
    return figures


def sets(before: Floats, after: Floats, *, seed: int = 0) -> dict[str, Figure]:
    """Return how far the set of faces moved, over a face recogniser's embeddings (N, D) of both.

    fed: Frechet distance, biased upwards for few pictures. ked: kernel distance, times 1000, unbiased. diversity: mean
    of 1 - cosine over pairs of results, and of originals. No intervals: these are figures of a set.
    """
    count = len(before)
    figures = {
        "fed": quality.frechet_distance(before, after),
        "ked": 1000 * quality.kernel_distance(before, after, seed=seed),
        "diversity": quality.diversity(after),
        "diversity_before": quality.diversity(before),
    }
    return {name: Figure(value, nan, nan, count) for name, value in figures.items()}


def exact_copies(items: Sequence[Item], after: Sequence[Bytes]) -> Figure:
    """Return the share of pictures that came back as they were: nothing was hidden in them."""
    same = sum(np.array_equal(item.picture, view) for item, view in zip(items, after, strict=True))
    return wilson(same, len(items))
