"""Are a method's own claims kept? Each is tried on crops made for it; a claim can be refuted here, never proven."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil, sqrt
from typing import cast

import numpy as np

from incog import alignment, geometry, points, shape
from incog.errors import InputError
from incog.evaluate import audits
from incog.evaluate.samples import Item
from incog.keys import Secret, derive
from incog.methods.base import Check, Claim, Method, SetMethod
from incog.perceive.embedder import SIZE, TEMPLATE
from incog.types import Crops, Floats, Key

FACES = 200
"""Faces that a span is measured on, at most."""

FAINT = 0.02 / 255
"""Root mean square over faces and pixels below which a dimension is rounding."""

TRIALS = 5_000
"""Runs on either of two neighbouring crops."""

SIDE = 64
"""Of crops for neighbours, px."""

_BATCH = 500

_CELLS = 8
"""Cells across a crop, by whose means results are told apart."""


@dataclass(frozen=True, slots=True)
class Audited:
    """What became of a claim. measured: the figure that ``bound`` limits. trials: what it rests on. kept: False when it
    is refuted. told: one sentence."""

    claim: Claim
    measured: float
    trials: int
    kept: bool
    told: str


def audit(
    method: Method, items: Sequence[Item], *, seed: int, tell: Callable[[str], None] = lambda text: None
) -> list[Audited]:
    """Return what became of the claims that say how they are checked. items: known people, at least two."""
    found = []
    for claim in method.claims():
        if claim.check is None or not claim.holds:
            continue
        tell(f"claim of {claim.check.kind}")
        found.append(AUDITS[claim.check.kind](method, claim, claim.check, items, seed))
    return found


def _span(method: Method, claim: Claim, check: Check, items: Sequence[Item], seed: int) -> Audited:
    """Count the dimensions that results span when geometry, key and frame are the same and only faces differ."""
    crops = crops_of(items[:: max(1, len(items) // FACES)][:FACES])
    if len(crops) - 1 <= check.bound:
        told = f"Not tried: {len(crops)} faces cannot span more than the {check.bound:g} dimensions that are claimed"
        return Audited(claim, 0.0, 0, True, told)
    key = _keys(seed, 1)[0]
    pixels = method(crops, [key] * len(crops)).pixels[:, crops.masks[0] > 0]
    rows = pixels.reshape(len(crops), -1).astype(np.float64)
    sizes = np.linalg.svd(rows - rows.mean(0), compute_uv=False) / sqrt(rows.size)
    measured = int((sizes > FAINT).sum())
    kept = measured <= check.bound
    told = (
        f"results for {len(crops)} faces in one place span {measured} dimensions; {check.bound:g} are claimed"
    )
    return Audited(claim, measured, len(crops), kept, told)


def _epsilon(method: Method, claim: Claim, check: Check, items: Sequence[Item], seed: int) -> Audited:
    """Run the method on two crops that differ as much as neighbours may, and tell its results apart."""
    if check.pixels == 0:
        return _any_two(method, claim, check, seed)
    corner = ceil(sqrt(check.pixels))
    if 2 * check.pixels > SIDE**2:
        told = f"Not tried: neighbours differ in {check.pixels} pixels, more than a crop for trials has"
        return Audited(claim, 0.0, 0, True, told)
    # White pixels in one corner, where alone is looked, so that the noise of blocks without any does not drown them.
    black = np.zeros((SIDE, SIDE, 3), np.float32)
    white = black.copy()
    rows, columns = np.divmod(np.arange(check.pixels), corner)
    white[rows, columns] = 1
    middle = [0.0]

    def mechanism(which: int, trials: int) -> list[int]:
        outcomes: list[int] = []
        for pixels in _runs(method, (black, white)[which], trials, seed, which):
            levels = pixels[:, :corner, :corner].mean((1, 2))
            if which == 0 and not outcomes:
                middle[0] = float(np.median(levels))
            outcomes += ((levels > middle[0]) @ np.array([1, 2, 4])).tolist()
        return outcomes

    found = audits.leakage(mechanism, (0, 1), trials=TRIALS)
    told = (
        f"{found.trials:,} runs on either of two crops that differ in {check.pixels} pixels show an epsilon of "
        f"{found.least:.3g} at least; {check.bound:g} is claimed"
    )
    return Audited(claim, found.least, found.trials, not found.refutes(check.bound), told)


def _any_two(method: Method, claim: Claim, check: Check, seed: int) -> Audited:
    """Tell results of a black crop from those of a white one, the two that are furthest apart, by the direction that
    earlier runs showed to tell them best."""
    pair = [np.full((SIDE, SIDE, 3), level, np.float32) for level in (0, 1)]

    def small(which: int, trials: int, *scope: int) -> Floats:
        cells = [
            pixels.reshape(len(pixels), _CELLS, SIDE // _CELLS, _CELLS, SIDE // _CELLS, 3).mean((2, 4))
            for pixels in _runs(method, pair[which], trials, seed, which, *scope)
        ]
        return np.concatenate(cells).reshape(trials, -1)

    one, other = (small(which, TRIALS // 4, 1) for which in (0, 1))
    spread = np.cov(one.T) + np.cov(other.T)
    spread += np.eye(len(spread)) * (1e-3 * np.trace(spread) / len(spread) + 1e-12)
    direction = np.linalg.solve(spread, other.mean(0) - one.mean(0))
    marks = np.quantile(np.concatenate([one, other]) @ direction, (0.02, 0.25, 0.5, 0.75, 0.98))

    def mechanism(which: int, trials: int) -> list[int]:
        return [int(place) for place in np.searchsorted(marks, small(which, trials, 2) @ direction)]

    found = audits.leakage(mechanism, (0, 1), trials=TRIALS)
    told = (
        f"{found.trials:,} runs on either of a black and a white crop show an epsilon of {found.least:.3g} at least; "
        f"{check.bound:g} is claimed"
    )
    return Audited(claim, found.least, found.trials, not found.refutes(check.bound), told)


def _runs(method: Method, crop: Floats, trials: int, seed: int, which: int, *scope: int) -> Iterator[Floats]:
    """Yield results of one crop (S, S, 3) under ``trials`` keys, in batches (B, S, S, 3)."""
    for start in range(0, trials, _BATCH):
        # Keys differ between the two inputs too: with the same, outcomes would not be independent.
        keys = _keys(seed, min(_BATCH, trials - start), which, start, *scope)
        yield method(_flat(np.broadcast_to(crop, (len(keys), *crop.shape))), keys).pixels


def _anonymity(method: Method, claim: Claim, check: Check, items: Sequence[Item], seed: int) -> Audited:
    """Count the people who share one result, byte by byte, among faces in one place and one surroundings: what lies
    outside of the mask is each picture's own, and some methods carry it on below the mask's border."""
    crops = crops_of(items)
    inside = crops.masks >= 1
    crops = replace(crops, pixels=np.where(inside[..., None], crops.pixels, np.float32(0.5)))
    try:
        method = fitted_to(method, crops, [item.person for item in items])
    except InputError as error:
        return Audited(claim, 0.0, 0, True, f"Not tried: {error}")
    rendered = method(crops, _keys(seed, len(crops)))
    # What a method calls unfit is never written.
    fit = [row for row in range(len(crops)) if not rendered.unfit[row]]
    if not fit:
        return Audited(claim, 0.0, 0, True, "Not tried: the method found no face fit")
    outputs = [rendered.pixels[row][inside[row]].tobytes() for row in fit]
    fewest, groups = audits.anonymity(outputs, [items[row].person for row in fit])
    told = f"{len(fit)} faces became {groups} results, of at least {fewest} people each; {check.bound:g} are claimed"
    return Audited(claim, fewest, len(fit), fewest >= check.bound, told)


def fitted_to(method: Method, crops: Crops, people: Sequence[str]) -> Method:
    """Return the method, fitted to crops and who they show if it is one on sets. Raises InputError for too few."""
    if method.granularity != "set":
        return method
    return cast("SetMethod", method).fit([crops], people)


AUDITS: dict[str, Callable[[Method, Claim, Check, Sequence[Item], int], Audited]] = {
    "span": _span,
    "epsilon": _epsilon,
    "k-anonymity": _anonymity,
}


def _keys(seed: int, count: int, *scope: int) -> list[Key]:
    secret = Secret.from_seed(seed)
    return [derive(secret, "audit", *scope, number) for number in range(count)]


def crops_of(items: Sequence[Item]) -> Crops:
    """Return the faces of items as crops of 112 px and one geometry: the mask is an oval."""
    pixels = np.stack([alignment.crop(item.picture, item.points, TEMPLATE, SIZE) for item in items])
    place = (np.arange(SIZE) - (SIZE - 1) / 2) / (SIZE / 2)
    radius = np.hypot(place[None, :] / 0.75, place[:, None] / 0.95)
    mask = np.clip((1.05 - radius) / 0.1, 0, 1).astype(np.float32)
    return _crops(
        np.asarray(pixels, np.float32) / np.float32(255), np.repeat(mask[None], len(items), 0), 0.9 * SIZE
    )


def _flat(pixels: Floats) -> Crops:
    """Return crops that are mask all over, the face as large as the crop."""
    return _crops(np.ascontiguousarray(pixels), np.ones(pixels.shape[:3], np.float32), pixels.shape[1])


def _crops(pixels: Floats, masks: Floats, face: float) -> Crops:
    count = len(pixels)
    return Crops(
        pixels,
        masks,
        np.repeat(np.eye(2, 3, dtype=np.float32)[None], count, 0),
        np.full(count, face, np.float32),
        np.repeat(TEMPLATE[None], count, 0),
        np.zeros(count, np.int64),
        np.repeat(_mean_points()[None], count, 0),
    )


def _mean_points() -> Floats:
    """Return the dense points of the mean face at the template, (130, 2): those of every crop, as its mask is."""
    mean = shape.load().mean
    return geometry.apply(alignment.similarity(points.five(mean), TEMPLATE), mean)
