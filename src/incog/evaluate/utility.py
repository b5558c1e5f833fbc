"""What is left of the picture's use: detection, geometry, attributes, and differences of pixels and of sets."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import nan

import cv2
import numpy as np
import numpy.typing as npt

from incog import geometry
from incog.alignment import crop
from incog.errors import InputError
from incog.evaluate import quality
from incog.evaluate.claims import crops_of, fitted_to
from incog.evaluate.intervals import Figure, mean_over_people, wilson
from incog.evaluate.recognisers import Recogniser
from incog.evaluate.samples import GREY, Item, face_only
from incog.evaluate.temporal import altered_share, coding_tolerance
from incog.evaluate.treatments import Treatment
from incog.keys import Secret, derive
from incog.methods.base import Method
from incog.perceive.attributes import CLASSES, Attributes, OnnxAttributes
from incog.perceive.detector import Detector, scales_for
from incog.perceive.embedder import SIZE, TEMPLATE
from incog.types import Bytes, Crops, Face, Floats, Key

Names = npt.NDArray[np.str_]

OVERLAP = 0.5
"""Intersection over union from which a detection is the same face."""

OPEN = 0.5
"""Share of a face's pixels that must have changed, at least, for it not to count as left open."""

SMALLEST = 11
"""Side in pixels from which pictures have a SSIM."""

LARGE = 200
"""Side in pixels from which a picture is not enlarged for detectors."""

SIDE = 128
"""Shifts are told in pixels of a picture of this width (Gu et al. 2020)."""


BAND = 0.1
"""Width of the bands at the mask's edge, as a share of the mask's longer side."""

KEYS, KEYED = 10, 20
"""Keys that a face is hidden with, and people who are, to see how much results differ."""

BATCH, WARM = 64, 10
"""Faces that a method's speed is measured on, and runs that do not count."""

TEACHABLE = 12
"""Pictures of a kind, to learn from and to be asked about, from which it is taught."""


def overlap(first: Face, second: Face) -> float:
    """Return the intersection over union of two boxes, 0..1."""
    low = np.maximum(first.box[:2], second.box[:2])
    high = np.minimum(first.box[2:], second.box[2:])
    common = float(np.clip(high - low, 0, None).prod())
    whole = first.width * first.height + second.width * second.height - common
    return common / whole if whole > 0 else 0.0


def detected(detector: Detector, picture: Bytes, *, threshold: float = 0.5) -> list[Face]:
    """Return the faces of a picture (H, W, 3) uint8; a small one is searched from twice its size downwards."""
    height, width = picture.shape[:2]
    finest = 2.0 if min(height, width) < LARGE else 1.0
    return detector(picture, scales=scales_for(width, height, finest=finest), threshold=threshold)


def found_before(items: Sequence[Item], detector: Detector) -> list[Face | None]:
    """Return the person's face in each original as a detector sees it, None where it does not."""
    found: list[Face | None] = []
    for item in items:
        middle = item.points.mean(0)
        near = [
            face
            for face in detected(detector, item.picture)
            if np.hypot(*(np.array(face.centre) - middle)) < face.size / 2
        ]
        found.append(near[0] if near else None)
    return found


def detection(
    items: Sequence[Item],
    before: Sequence[Face | None],
    after: Sequence[Bytes],
    detector: Detector,
    *,
    seed: int = 0,
) -> dict[str, Figure]:
    """Return how a detector fares on what a method left, among pictures in which it found the face before.

    before: see ``found_before``. detection_rate: share with a detection at the same place. box_shift, points_shift:
    mean absolute differences of the coordinates, in pixels of a picture 128 wide, where it is still found. nme: mean
    distance of the five points as a share of the distance of the eyes. The last two only for detectors with points.
    """
    found: list[float] = []
    people: list[str] = []
    shifts: dict[str, list[float]] = {"box_shift": [], "points_shift": [], "nme": []}
    whose: dict[str, list[str]] = {name: [] for name in shifts}
    for item, source, view in zip(items, before, after, strict=True):
        if source is None:
            continue
        faces = detected(detector, view)
        best = max(faces, key=lambda face: overlap(source, face)) if faces else None
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
    rates = {"detection_rate": mean_over_people(np.array(found), people, hits=True, seed=seed)}
    return rates | {
        name: mean_over_people(np.array(values), whose[name], seed=seed)
        for name, values in shifts.items()
        if values
    }


def looks(items: Sequence[Item], views: Sequence[Bytes], network: OnnxAttributes) -> list[Attributes]:
    """Return what the persons' faces look like to a network, at the places where they were."""
    return [
        network.look(view, [Face(box=(0, 0, 1, 1), points=item.points)])[0]
        for item, view in zip(items, views, strict=True)
    ]


def attributes(
    items: Sequence[Item], before: Sequence[Attributes], after: Sequence[Attributes], *, seed: int = 0
) -> dict[str, Figure]:
    """Return how far faces look as before to a network that judges, see ``looks``.

    For each class: how often the likeliest is the same as before. age_difference: mean absolute change in years.
    """
    people = [item.person for item in items]
    ages = np.array([abs(a.age - b.age) for a, b in zip(before, after, strict=True)])
    figures = {"age_difference": mean_over_people(ages, people, seed=seed)}
    for name in CLASSES:
        same = np.array(
            [a.likeliest(name)[0] == b.likeliest(name)[0] for a, b in zip(before, after, strict=True)], float
        )
        figures[f"{name}_kept"] = mean_over_people(same, people, hits=True, seed=seed)
    return figures


def differences(items: Sequence[Item], after: Sequence[Bytes], *, seed: int = 0) -> dict[str, Figure]:
    """Return how far whole pictures differ: ssim, dssim, psnr in dB (of those that differ), l1, l2; means of all that
    are 11 px and more."""
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
        values = np.array(
            [
                measure(item.picture, view) if min(view.shape[:2]) >= SMALLEST else nan
                for item, view in zip(items, after, strict=True)
            ]
        )
        figures[name] = _mean_of_known(values, people, seed)
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


def left_open(items: Sequence[Item], after: Sequence[Bytes]) -> Figure:
    """Return the share of pictures in which the face came back as it was, but for coding: see ``altered_share``."""
    count = 0
    for item, view in zip(items, after, strict=True):
        tolerance = coding_tolerance(item.picture, view, item.hull, faces=[item.hull])
        count += altered_share(item.picture, view, item.hull, tolerance=tolerance) < OPEN
    return wilson(count, len(items))


def seam(items: Sequence[Item], after: Sequence[Bytes], *, seed: int = 0) -> dict[str, Figure]:
    """Return how far the sharpness on both sides of the mask's edge differs, in octaves.

    sharpness_step: mean of |log2 (inside / outside)|, where sharpness is the mean gradient of luma in a band of a tenth
    of the face on either side. sharpness_step_before: the same of the originals, so what a seam that does not show has.
    """
    people = [item.person for item in items]
    views = {"sharpness_step": list(after), "sharpness_step_before": [item.picture for item in items]}
    return {
        name: _mean_of_known(
            np.array([_step(view, item.hull) for view, item in zip(some, items, strict=True)]), people, seed
        )
        for name, some in views.items()
    }


def _mean_of_known(values: npt.NDArray[np.float64], people: Sequence[str], seed: int) -> Figure:
    finite = np.isfinite(values)
    return mean_over_people(
        values[finite], [person for person, kept in zip(people, finite, strict=True) if kept], seed=seed
    )


def _step(picture: Bytes, hull: Floats) -> float:
    height, width = picture.shape[:2]
    inside = geometry.mask([hull], (0, 0, width, height), 0) > 0
    reach = max(2, round(BAND * float(np.ptp(hull, axis=0).max())))
    # The feather itself belongs to neither side.
    near = max(1, reach // 3)

    def grown(mask: Bytes, by: int) -> Bytes:
        return np.asarray(cv2.dilate(mask, np.ones((2 * by + 1, 2 * by + 1), np.uint8)), np.uint8)

    own, other = inside.astype(np.uint8), (~inside).astype(np.uint8)
    inner = inside & (grown(other, reach) > 0) & (grown(other, near) == 0)
    outer = ~inside & (grown(own, reach) > 0) & (grown(own, near) == 0)
    if not inner.any() or not outer.any():
        return nan
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    steep = np.hypot(cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1))
    return float(abs(np.log2((steep[inner].mean() + 1) / (steep[outer].mean() + 1))))


def over_keys(
    treatment: Treatment, items: Sequence[Item], recogniser: Recogniser, *, seed: int = 0
) -> dict[str, Figure]:
    """Return how much results of one face differ from key to key.

    diversity: mean of 1 - cosine over pairs of KEYS results of one picture under keys of their own, to a recogniser.
    Of the first pictures of up to KEYED people.
    """
    first: dict[str, Item] = {}
    for item in items:
        if len(first) < KEYED:
            first.setdefault(item.person, item)
    values = []
    for item in first.values():
        # A picture's key follows from its name.
        renamed = [replace(item, name=f"{item.name} {number}") for number in range(KEYS)]
        values.append(quality.diversity(recogniser(treatment(renamed), [item.points] * KEYS)))
    return {"diversity": mean_over_people(np.array(values), list(first), seed=seed)}


def recovered(items: Sequence[Item], faces: Bytes, *, seed: int = 0) -> dict[str, Figure]:
    """Return how far faces (N, 112, 112, 3) uint8, of which nothing outside of the hull shows, are from the originals'.

    dssim, l1, l2: over the part of the crop that the face covers. Low figures mean that the face came back.
    """
    people = [item.person for item in items]
    rows = []
    for item, face in zip(items, faces, strict=True):
        before, whole = (
            crop(face_only(picture, item.hull), item.points, TEMPLATE, SIZE)
            for picture in (item.picture, np.full_like(item.picture, 255))
        )
        share = max(float((whole > GREY).mean()), 1e-6)
        rows.append([measure(before, face) / share for measure in (quality.dssim, quality.l1, quality.l2)])
    columns = zip(("dssim", "l1", "l2"), np.array(rows).T, strict=True)
    return {name: mean_over_people(values, people, seed=seed) for name, values in columns}


def speed(method: Method, items: Sequence[Item], *, seed: int = 0) -> dict[str, Figure]:
    """Return how long a method takes for a face, in ms: one at a time (median and 95th percentile) and in a batch.

    Of crops of 112 px, without cutting them out and laying them back. Ten runs are not counted. A method on sets is
    fitted before, which is not counted; nothing is measured where there are too few people.
    """
    some_items = [items[number * len(items) // BATCH] for number in range(BATCH)]
    crops = crops_of(some_items)
    try:
        method = fitted_to(method, crops, [item.person for item in some_items])
    except InputError:
        return {}
    keys = [derive(Secret.from_seed(seed), "speed", number) for number in range(BATCH)]
    singles = list(zip(crops, keys, strict=True))

    def seconds(some: Crops, their: Sequence[Key]) -> float:
        began = time.perf_counter()
        method(some, their)
        return time.perf_counter() - began

    for one, key in singles[:WARM]:
        seconds(one, [key])
    times = 1000 * np.array([seconds(one, [key]) for one, key in singles])
    batch = 1000 * seconds(crops, keys) / BATCH
    found = {
        "one_at_a_time": float(np.median(times)),
        "one_at_a_time_95th": float(np.quantile(times, 0.95)),
        f"in_batches_of_{BATCH}": batch,
    }
    return {name: Figure(value, nan, nan, BATCH) for name, value in found.items()}


def taught(
    known: Sequence[Item],
    learnt: Sequence[Bytes],
    known_looks: Sequence[Attributes],
    judged: Sequence[Item],
    looks: Sequence[Attributes],
    *,
    seed: int = 0,
) -> dict[str, Figure]:
    """Return what hidden faces still teach: the balanced accuracy on originals of a classifier trained on hidden ones.

    known, learnt: pictures to learn from, before and after. known_looks, looks: what a network sees in the originals,
    which is taken for the truth. For each class with enough of two kinds; ``..._taught_by_originals`` is the same
    classifier trained on the originals. Ridge regression over histograms of oriented gradients (Dalal, Triggs 2005).
    """
    people = [item.person for item in judged]
    rows = _gradients(judged, [item.picture for item in judged])
    teachers = {
        "": _gradients(known, learnt),
        "_by_originals": _gradients(known, [item.picture for item in known]),
    }
    figures: dict[str, Figure] = {}
    for name in CLASSES:
        labels = np.array([face.likeliest(name)[0] for face in known_looks])
        truth = np.array([face.likeliest(name)[0] for face in looks])
        kinds = [
            kind for kind in CLASSES[name] if min((labels == kind).sum(), (truth == kind).sum()) >= TEACHABLE
        ]
        if len(kinds) < 2:
            continue
        asked = np.isin(truth, kinds)
        # Each kind counts the same, however many there are of it.
        weights = sum((truth == kind) / (truth == kind).sum() for kind in kinds)[asked] / len(kinds)
        for suffix, teaching in teachers.items():
            said = _ridge(teaching, labels, kinds, rows[asked])
            hits = (said == truth[asked]) * weights * asked.sum()
            figures[f"{name}_taught{suffix}"] = mean_over_people(
                hits, [person for person, one in zip(people, asked, strict=True) if one], seed=seed
            )
    return figures


def _gradients(items: Sequence[Item], views: Sequence[Bytes]) -> Floats:
    """Return histograms of oriented gradients of the aligned faces, (N, 1764) float32."""
    small = [
        cv2.resize(
            cv2.cvtColor(crop(view, item.points, TEMPLATE, SIZE), cv2.COLOR_RGB2GRAY),
            (64, 64),
            interpolation=cv2.INTER_AREA,
        )
        for item, view in zip(items, views, strict=True)
    ]
    describe = cv2.HOGDescriptor((64, 64), (16, 16), (8, 8), (8, 8), 9)
    return np.stack([np.asarray(describe.compute(one), np.float32).ravel() for one in small])


def _ridge(rows: Floats, labels: Names, kinds: Sequence[str], asked: Floats) -> Names:
    """Return the kind of each row that is asked about, by ridge regression onto the kinds, balanced among them."""
    chosen = np.isin(labels, kinds)
    x, mean = rows[chosen].astype(np.float64), rows[chosen].mean(0)
    goals = np.stack([2.0 * (labels[chosen] == kind) - 1 for kind in kinds], 1)
    weights = sum((labels[chosen] == kind) / (labels[chosen] == kind).sum() for kind in kinds)
    root = np.sqrt(weights / weights.mean())[:, None]
    x = (x - mean) * root
    kernel = x @ x.T
    duals = np.linalg.solve(kernel + 0.03 * np.trace(kernel) / len(x) * np.eye(len(x)), goals * root)
    said: Names = np.array(kinds)[((asked - mean) @ (x.T @ duals)).argmax(1)]
    return said
