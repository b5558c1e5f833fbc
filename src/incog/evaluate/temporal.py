"""What happens from frame to frame: whether a replaced identity stays one, the picture is steady, and no face shows.

Pure functions over arrays. Frames are (H, W, 3) uint8 R'G'B', upright, and all of one size; sequences of frames are
read once and in order, so that a generator over a long video will do. NaN stands for what cannot be measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, zip_longest
from math import nan
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from incog import geometry
from incog.colour import Region
from incog.evaluate.intervals import Figure, mean_over_people
from incog.types import Bytes, Floats

Values = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

STILL = 1 / 255
"""One level of 8 bits. An original that changes by less, root mean square or mean, is as good as still: rounding alone
changes it so, and a ratio to that would say nothing of the method."""

SMALLEST = 16
"""Least width and height in px for optical flow."""

TOLERANCE = 6.0
"""Mean absolute difference of 255 from which on a place counts as altered, where none can be measured: twice and a half
that of noise of sigma 3."""

FLOOR = 2.0
"""Least measured tolerance: an output without loss still differs by rounding."""

CEILING = 24.0
"""Highest measured tolerance: where more is altered round a face, it is hardly by coding."""

ROOM = 1.5
"""Measured tolerance relative to the differences away from faces: a face has more detail, which is coded worse."""

AWAY = 2.5
"""Growth of a face's hull outside of which nothing is taken to be altered but by coding: masks reach that far."""

AROUND = 2.0
"""How far round a face coding is looked at, in square roots of the face's area."""

COVERED = 0.99
"""Share of a face's pixels that must be altered."""

WINDOW = 1 / 4
"""Side of the square over which differences are averaged, as a share of the square root of the face's area."""


def identity_variance(embeddings: Floats) -> float:
    """Return V = 1 - ||mean_t E_t|| of the embeddings (T, D), unit norm, of one track: 0 for one identity, at most 1.

    One minus the mean resultant length, which is the circular variance of directions (Mardia, Jupp 2000). Raises
    ValueError for what are no rows of unit norm.
    """
    return max(0.0, float(1 - np.linalg.norm(_unit(embeddings).mean(0))))


def identity_switch(embeddings: Floats) -> float:
    """Return the largest 1 - cos(E_t, E_t+1) of embeddings (T, D), unit norm, of one track, 0..2; NaN for one frame.

    A track that is swapped for another once has a small variance but a large switch. Raises ValueError as
    ``identity_variance``.
    """
    rows = _unit(embeddings)
    if len(rows) < 2:
        return nan
    return max(0.0, float((1 - (rows[1:] * rows[:-1]).sum(1)).max()))


def best_frame(similarities: Floats) -> float:
    """Return the score of the best-frame attack: the highest of the similarities (T,) of a track's frames to a person.

    One frame that slipped through is enough for it. It grows with T also where nothing leaks, so its threshold must
    come from impostor tracks of the same length. Raises ValueError without frames, or when a value is not finite.
    """
    if similarities.ndim != 1 or not len(similarities) or not np.isfinite(similarities).all():
        raise ValueError(
            f"similarities must be finite, (T,) with T of at least 1, got {similarities.shape} with "
            f"{int((~np.isfinite(similarities)).sum())} that are not"
        )
    return float(similarities.max())


def averaged(embeddings: Floats) -> Floats:
    """Return the mean of a track's embeddings (T, D), unit norm, scaled to unit norm again, (D,) float32.

    Averaging takes out what differs from frame to frame, such as noise drawn anew for each. Raises ValueError as
    ``identity_variance``, and when the embeddings cancel each other.
    """
    mean = _unit(embeddings).mean(0)
    norm = float(np.linalg.norm(mean))
    if norm < 1e-6:
        raise ValueError("embeddings must have a mean that is not 0, got some that cancel each other")
    return np.asarray(mean / norm, np.float32)


def multi_frame(embeddings: Floats, person: Floats) -> float:
    """Return the score of the multi-frame attack: the cosine of ``averaged(embeddings)`` and a person's embedding.

    embeddings: (T, D), unit norm, of one track. person: (D,), unit norm. Raises ValueError as ``averaged``.
    """
    return float(averaged(embeddings).astype(np.float64) @ _unit(person[None])[0])


def warping_error(
    before: Iterable[Bytes], after: Iterable[Bytes], *, masks: Iterable[Mask] | None = None
) -> float:
    """Return how far the output is from moving as the original does, E_w (Lai et al. 2018), 0..1; 0 is steady.

    The mean over t of ||O_t (x_t - W(x_t-1))||^2 / ||O_t||_1, where x are the frames of ``after`` in 0..1, W carries a
    frame along the optical flow of ``before`` (Kroeger et al. 2016, DIS), and O is 1 in all three channels of a pixel
    that both frames of ``before`` show (see ``motion``).

    before, after: as many frames each, all of one size. masks: (H, W) bool for each frame, to look at faces alone; the
    mask of frame t holds for the pair of t - 1 and t. Pairs without a pixel left do not count; NaN when none has any.
    The same frames twice give the original's own error. Across a scene cut the flow has no meaning: measure scenes
    apart. Raises ValueError when numbers or shapes of frames differ, or for frames below 16 px.
    """
    return warping_errors(before, after, masks=masks)[1]


def warping_ratio(
    before: Iterable[Bytes], after: Iterable[Bytes], *, masks: Iterable[Mask] | None = None
) -> float:
    """Return the warping error of the output relative to the original's own: 1 is as steady as the original.

    Arguments and errors as ``warping_error``. Below 1 is no merit: a fill without detail is steadier than any face. NaN
    when the original's own error is below one level of 255, squared: a still picture has none to compare with; report
    ``warping_error`` then.
    """
    own, other = warping_errors(before, after, masks=masks)
    return ratio(own, other, STILL**2)


def warping_errors(
    before: Iterable[Bytes], after: Iterable[Bytes], *, masks: Iterable[Mask] | None = None
) -> tuple[float, float]:
    """Return (error of the original, error of the output) of ``warping_error``, over the same pixels."""
    errors = []
    rows = (
        ((*row, None) for row in _together(before, after))
        if masks is None
        else _together(before, after, masks)
    )
    for (first, first_after, _), (second, second_after, mask) in pairwise(_checked(rows)):
        flow, shown = motion(first, second)
        shown = shown if mask is None else shown & mask
        if shown.any():
            errors.append(
                [_apart(a, b, flow, shown) for a, b in ((first, second), (first_after, second_after))]
            )
    if not errors:
        return nan, nan
    own, other = np.mean(errors, axis=0)
    return float(own), float(other)


def motion(first: Bytes, second: Bytes) -> tuple[Floats, Mask]:
    """Return where each pixel of the second frame was in the first, (H, W, 2) float32 px to add, and whether it was.

    The flow f is of dense inverse search (Kroeger et al. 2016) on lumas. A pixel was not in the first frame, False in
    (H, W) bool, when it would lie outside, or when the flow b back does not return to it: ||f + b||^2 > 0.01 (||f||^2 +
    ||b||^2) + 0.5, with b where f leads (Sundaram et al. 2010). first, second: (H, W, 3) uint8. Raises ValueError when
    shapes differ or are below 16 px.
    """
    if (
        first.shape != second.shape
        or first.ndim != 3
        or first.shape[2] != 3
        or min(first.shape[:2]) < SMALLEST
    ):
        raise ValueError(
            f"frames must be of one shape (H, W, 3), at least {SMALLEST} px wide and high, got {first.shape} and "
            f"{second.shape}"
        )
    lumas = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in (first, second)]
    search: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = np.asarray(search.calc(lumas[1], lumas[0], None), np.float32)
    ahead = np.asarray(search.calc(lumas[0], lumas[1], None), np.float32)
    back = _carried(ahead, flow)
    apart = np.square(flow + back).sum(2)
    allowed = 0.01 * (np.square(flow).sum(2) + np.square(back).sum(2)) + 0.5
    places = _places(flow)
    inside = ((places >= 0) & (places <= [flow.shape[1] - 1, flow.shape[0] - 1])).all(2)
    return flow, inside & (apart <= allowed)


def flicker(crops: Bytes | Floats) -> float:
    """Return the mean of |x_t - (x_t-1 + x_t+1) / 2| over aligned crops of one face, 0..1; NaN below three.

    Half the absolute second difference in time: a steady change, such as light that fades, is none, and black and white
    in turns are 1. crops: (T, S, S, 3) uint8, or float32 in 0..1, of consecutive frames. Raises ValueError for others.
    """
    if crops.ndim != 4 or crops.shape[3] != 3 or crops.dtype not in (np.uint8, np.float32):
        raise ValueError(f"crops must be (T, S, S, 3) uint8 or float32, got {crops.shape} {crops.dtype}")
    if len(crops) < 3:
        return nan
    scale = 255 if crops.dtype == np.uint8 else 1
    # One frame after the other: all at once would take 24 times the crops' own memory.
    means = [
        np.abs(crops[t].astype(np.float64) - (crops[t - 1].astype(np.float64) + crops[t + 1]) / 2).mean()
        for t in range(1, len(crops) - 1)
    ]
    return float(np.mean(means) / scale)


def flicker_ratio(before: Bytes | Floats, after: Bytes | Floats) -> float:
    """Return the flicker of the output's crops relative to the original's: 1 is as steady as the original.

    before, after: (T, S, S, 3) as for ``flicker``, of the same frames and places. NaN when the original's is below one
    level of 255. Raises ValueError as ``flicker``, and when shapes differ.
    """
    if before.shape != after.shape:
        raise ValueError(f"crops must be of one shape, got {before.shape} and {after.shape}")
    return ratio(flicker(before), flicker(after), STILL)


def ratio(own: float, other: float, least: float) -> float:
    """Return the output's measure relative to the original's own; NaN when that is below ``least``: see ``STILL``."""
    return other / own if own >= least else nan


def altered_share(before: Bytes, after: Bytes, hull: Floats, *, tolerance: float = TOLERANCE) -> float:
    """Return the share of a face's pixels that were altered, 0..1; NaN when none of them is in the frame.

    A pixel is altered when, in any channel, the mean absolute difference over a square round it is above the tolerance;
    the square's side is a quarter of the square root of the hull's area, at least 5 px. Each difference counts for at
    most twice the tolerance, so that a face left open beside a black bar is not taken for altered with it.

    Single pixels, or squares of 5 px, would not do: where a face is smooth, its mean colour, a blur or blocks come
    within a few levels of the original, over patches that grow with the face.

    before, after: (H, W, 3) uint8. hull: (K, 2) float32 px, pixel centres at integers, convex or not; each pixel that
    it touches counts. tolerance: of 255, see ``coding_tolerance``. Raises ValueError for arguments that are not so.
    """
    _same(before, after)
    if not 0 < tolerance < 255:
        raise ValueError(f"tolerance must be above 0 and below 255, got {tolerance:g}")
    side = _side(hull)
    region = _region(hull, side, before.shape)
    if region is None:
        return nan
    face = geometry.mask([hull], region, 0) > 0
    # A region of margin alone: the face is just outside of the frame.
    if not face.any():
        return nan
    means = _local(before, after, region, side, 2 * tolerance)
    return float((means > tolerance)[face].mean())


def coding_tolerance(before: Bytes, after: Bytes, hull: Floats, *, faces: Sequence[Floats]) -> float:
    """Return the tolerance for ``altered_share`` that coding, which alters every pixel a little, calls for.

    One and a half of what 95 % of the local mean differences round the face stay below, at least 2 and at most 24 of
    255; 6 where the frame holds nothing round the face. What else alters the surroundings, as a cover of a face that is
    not in ``faces``, makes it higher, and so can make leaks of covered faces but not hide one.

    before, after, hull: as for ``altered_share``. faces: hulls of all faces in the frame, (K, 2) float32 px each; they
    are left out, grown to 2.5 of their size. Raises ValueError as ``altered_share``.
    """
    _same(before, after)
    side, *_ = (_side(face) for face in (hull, *faces))
    region = _region(hull, round(AROUND * side / WINDOW), before.shape)
    if region is None:
        return TOLERANCE
    middles = [face.mean(0) for face in (hull, *faces)]
    grown = [(face - middle) * AWAY + middle for face, middle in zip((hull, *faces), middles, strict=True)]
    away = geometry.mask(grown, region, 0) == 0
    if not away.any():
        return TOLERANCE
    usual = np.percentile(_local(before, after, region, side, 255)[away], 95)
    return float(np.clip(ROOM * usual, FLOOR, CEILING))


def leak_rate(
    before: Iterable[Bytes],
    after: Iterable[Bytes],
    hulls: Iterable[Sequence[Floats]],
    tracks: Iterable[Sequence[str]],
    *,
    tolerance: float | None = None,
    covered: float = COVERED,
    seed: int = 0,
) -> Figure:
    """Return the share of face-frames that were left as they were, with its 95 % interval over tracks.

    A face-frame leaks when less than ``covered`` of its pixels were altered (see ``altered_share``). The frames of a
    track are alike, so the interval is from drawing tracks anew (``intervals.mean_over_people``).

    This measures whether the method was applied, not whether it protects: a slight tint of a whole face alters all of
    it and hides nobody. It finds faces that were overlooked and parts of faces that stick out of a mask, not open spots
    narrower than about an eighth of the face. It knows only the faces that it is given: those of a detector leave out
    what the detector cannot see, and hulls that reach behind other things count those things.

    It errs towards leaks. Methods that keep coarse shades (blur, blocks, mean colours) change an even cheek by no more
    than coding does, so that some faces which they cover count as leaks, the more of them the coarser the coding is.
    For a figure of coverage alone, run the tool with a black cover.

    before, after: as many frames each, (H, W, 3) uint8. hulls: for each frame those of its faces, (K, 2) float32 px.
    tracks: for each frame the names of its faces' tracks. tolerance: of 255; None measures it for each face of each
    frame, with ``coding_tolerance``. A fixed one below the noise of coding would hide leaks. Faces of which no pixel is
    in the frame do not count; the figure is NaN when none is. Raises ValueError as ``altered_share``, when numbers
    differ, or for a share that is not above 0 and at most 1.
    """
    if not 0 < covered <= 1:
        raise ValueError(f"covered must be above 0 and at most 1, got {covered:g}")
    leaks: list[float] = []
    names: list[str] = []
    for number, (source, result, outlines, of) in enumerate(_together(before, after, hulls, tracks)):
        if len(outlines) != len(of):
            raise ValueError(
                f"frame {number} must have a track for each of {len(outlines)} hulls, got {len(of)}"
            )
        for outline, name in zip(outlines, of, strict=True):
            limit = tolerance
            if limit is None:
                limit = coding_tolerance(source, result, outline, faces=outlines)
            share = altered_share(source, result, outline, tolerance=limit)
            if not np.isnan(share):
                leaks.append(float(share < covered))
                names.append(name)
    return mean_over_people(np.array(leaks, np.float64), names, hits=True, seed=seed)


def _unit(embeddings: Floats) -> Values:
    rows = np.asarray(embeddings, np.float64)
    if rows.ndim != 2 or not rows.size or not np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3):
        raise ValueError(
            f"embeddings must be rows of unit norm, (T, D) with T of at least 1, got {rows.shape}"
        )
    return rows


def _same(before: Bytes, after: Bytes) -> None:
    if before.shape != after.shape or before.ndim != 3 or before.shape[2] != 3:
        raise ValueError(f"frames must be of one shape (H, W, 3), got {before.shape} and {after.shape}")
    if before.dtype != np.uint8 or after.dtype != np.uint8:
        raise ValueError(f"frames must be uint8, got {before.dtype} and {after.dtype}")


def _side(hull: Floats) -> int:
    """Return the side of the square over which differences of a face are averaged, in px, odd."""
    if hull.ndim != 2 or hull.shape[1] != 2 or len(hull) < 3 or not np.isfinite(hull).all():
        raise ValueError(f"hull must be finite, (K, 2) with K of at least 3, got {hull.shape}")
    area = cv2.contourArea(np.ascontiguousarray(hull, np.float32))
    return max(5, int(WINDOW * np.sqrt(area)) | 1)


def _region(hull: Floats, margin: int, shape: tuple[int, ...]) -> Region | None:
    """Return the part of the frame within a margin of the hull; None where the frame has none."""
    x0, y0, x1, y1 = geometry.bounds(hull, margin)
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, shape[1]), min(y1, shape[0])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _local(before: Bytes, after: Bytes, region: Region, side: int, most: float) -> Floats:
    """Return the local mean of the absolute difference, each at most ``most``, of the channel where it is highest."""
    x0, y0, x1, y1 = region
    differences = cv2.absdiff(before[y0:y1, x0:x1], after[y0:y1, x0:x1]).astype(np.float32)
    means = cv2.blur(np.minimum(differences, np.float32(most)), (side, side))
    return np.asarray(means.max(2), np.float32)


def _together(*sequences: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    missing = object()
    for row in zip_longest(*sequences, fillvalue=missing):
        if any(item is missing for item in row):
            raise ValueError(
                "there must be as many items in each sequence as frames, got one that ends earlier"
            )
        yield row


def _checked(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Bytes, Bytes, Mask | None]]:
    for before, after, mask in rows:
        _same(before, after)
        if mask is not None and (mask.shape != before.shape[:2] or mask.dtype != np.bool_):
            raise ValueError(f"masks must be {before.shape[:2]} bool, got {mask.shape} {mask.dtype}")
        yield before, after, mask


def _apart(first: Bytes, second: Bytes, flow: Floats, shown: Mask) -> float:
    """Return the mean square of the difference of the second frame and the first carried to it, where it is shown."""
    difference = second.astype(np.float32) - _carried(first.astype(np.float32), flow)
    return float(np.square(difference[shown] / 255, dtype=np.float64).mean())


def _places(flow: Floats) -> Floats:
    rows, columns = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    return np.dstack([columns, rows]) + flow


def _carried(values: Floats, flow: Floats) -> Floats:
    """Return values (H, W, C) at the places that the flow leads to, bilinear."""
    moved = cv2.remap(values, _places(flow), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(moved, np.float32)
