"""Faces of one frame through a method: ``draw`` aligns and applies it, ``lay`` blends. The frame is not changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from incog import colour, geometry
from incog.methods import DEFAULT, METHODS
from incog.methods.base import Method
from incog.outline import Seen
from incog.perceive.attributes import LOOK
from incog.points import COUNT, five
from incog.types import Crops, Face, Floats, Frame, Key, Track


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A face to hide in this frame, and how."""

    track: Track
    face: Face
    method: Method
    key: Key


LOOKS = len(LOOK)

NEAR = 12
"""Frames before and after that tell how large a face is, compared with others: half a second, or a little less."""

UNCHANGED = 0.02
"""Mean change of R'G'B' in 0..1 over the hull below which a face counts as not hidden: about five of 255 levels."""

ALIKE = 0.25
"""Spread of the change relative to the spread of the original below which a face counts as not hidden: old and new then
correlate by more than .968."""


Hulls = Callable[[Frame, Sequence[Face], float], list[Seen]]
"""Returns where each face lies, of a frame as it was and a mask scale."""


def eggs(frame: Frame, faces: Sequence[Face], scale: float) -> list[Seen]:
    """Return the outlines that need nothing but boxes."""
    return [Seen(geometry.hull(face, scale)) for face in faces]


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A face as its method drew it. matrix: (2, 3) float32, crop -> frame pixels. pixels: (S, S, 3) float32 in 0..1.
    mask: (S, S) float32 in 0..1; where it is 0 the pixels are the frame's."""

    job: Job
    seen: Seen
    matrix: Floats
    pixels: Floats
    mask: Floats


def hide(
    frame: Frame, jobs: Sequence[Job], *, mask_scale: float, safest: str = "", hulls: Hulls = eggs
) -> tuple[Frame, set[int]]:
    """Return the frame with the faces hidden, and the ids of tracks with a face that the method could not hide: see
    ``draw`` and ``lay``."""
    seen = hulls(frame, [job.face for job in jobs], mask_scale)
    drawn, unfit = draw(frame, jobs, seen, safest=safest)
    return lay(frame, drawn), unfit


def draw(
    frame: Frame, jobs: Sequence[Job], seen: Sequence[Seen], *, safest: str = ""
) -> tuple[list[Drawn], set[int]]:
    """Return the new faces of a frame, and the ids of tracks with a face that the method could not hide.

    That is one that the method called unfit, or that it left almost as it was, such as fine blocks on a small face;
    ``safest`` names the method that is exempt from the second. Unfit faces are not drawn: the caller renders their
    track with another method. Crops are all taken from the given frame, but other faces in them are filled where the
    method draws with what is around a face: nobody's face may go on in another's surroundings. seen: where each face
    lies.
    """
    groups: dict[tuple[int, int], list[tuple[Job, Seen, Floats]]] = defaultdict(list)
    for job, one in zip(jobs, seen, strict=True):
        matrix, size = geometry.crop_matrix(job.face, one.outline)
        groups[size, id(job.method)].append((job, one, matrix))
    drawn: list[Drawn] = []
    unfit: set[int] = set()
    crowd = crowd_of(frame, jobs, seen)
    for (size, _), members in groups.items():
        crops = _crops(frame, [(job.face, one, matrix) for job, one, matrix in members], size, crowd)
        rendered = members[0][0].method(crops, [job.key for job, _, _ in members])
        for row, (job, one, matrix) in enumerate(members):
            kept = job.method.name != safest and _is_kept(crops, rendered.pixels, row)
            if rendered.unfit[row] or kept:
                unfit.add(job.track.id)
            else:
                drawn.append(Drawn(job, one, matrix, rendered.pixels[row], crops.masks[row]))
    return drawn, unfit


@dataclass(frozen=True, slots=True, eq=False)
class Crowd:
    """The faces of a frame, for crops that must show none but their own. filled: the frame with all of them filled."""

    filled: Frame
    jobs: Sequence[Job]
    seen: Sequence[Seen]

    def others(self, own: Seen, inverse: Floats, size: int, pixels_per_crop: float) -> Floats:
        """Return where other faces and their feathers lie in a crop, (S, S) float32 above 0. inverse: frame -> crop."""
        total = np.zeros((size, size), np.float32)
        for job, one in zip(self.jobs, self.seen, strict=True):
            if one is not own:
                outline = geometry.apply(inverse, one.outline)
                feather = geometry.feather_width(job.face) / pixels_per_crop
                total += geometry.mask([outline], (0, 0, size, size), feather)
        return total


def crowd_of(frame: Frame, jobs: Sequence[Job], seen: Sequence[Seen]) -> Crowd | None:
    """Return the crowd of a frame where a method draws with what is around a face and another lies there; None where
    that is not so."""
    if not any(job.method.granularity == "track" for job in jobs) or not _crowded(jobs, seen):
        return None
    fills = [replace(job, method=METHODS[DEFAULT]()) for job in jobs]
    drawn, _ = draw(frame, fills, seen, safest=DEFAULT)
    return Crowd(lay(frame, drawn), jobs, seen)


def _crowded(jobs: Sequence[Job], seen: Sequence[Seen]) -> bool:
    """Whether a face lies in the crop of another."""
    places = []
    for job, one in zip(jobs, seen, strict=True):
        middle = (one.outline.min(0) + one.outline.max(0)) / 2
        reach = float(np.linalg.norm(one.outline - middle, axis=1).max()) + geometry.feather_width(job.face)
        places.append((middle, reach))
    # A crop is a turned square round its face: its corners are this much farther than its sides.
    return any(
        float(np.linalg.norm(a - b)) < 1.5 * r + s
        for number, (a, r) in enumerate(places)
        for other, (b, s) in enumerate(places)
        if number != other
    )


def lay(frame: Frame, drawn: Sequence[Drawn]) -> Frame:
    """Return the frame with the new faces in their places. Where masks overlap, larger faces, which are nearer, lie
    over smaller ones; but what hides safely lies over what is weak, which may show the other face once more, and faces
    that were drawn for a whole track over both: they show nobody, and others may not be faces."""
    result = frame.copy()
    for item in sorted(drawn, key=lambda item: _nearness(item.job, frame.index)):
        _write(result, item.job.face, item.seen.outline, item.matrix, item.pixels)
    return result


def _nearness(job: Job, index: int) -> tuple[int, float, int]:
    """Return what two faces are ordered by. Sizes are means over ``NEAR`` frames either way: the order of two faces of
    about one size must not change to and fro."""
    row = min(max(index - job.track.start, 0), len(job.track.boxes) - 1)
    boxes = job.track.boxes[max(row - NEAR, 0) : row + NEAR + 1]
    sizes = (boxes[:, 2:] - boxes[:, :2]).max(1)
    rank = 2 if job.method.granularity == "track" else 0 if job.method.weak else 1
    return rank, float(sizes.mean()), job.track.id


def crops(frame: Frame, jobs: Sequence[Job], seen: Sequence[Seen]) -> Iterator[tuple[Job, Crops]]:
    """Yield the crop of each face, a batch of one, as ``draw`` hands it to the method: without other faces, where that
    draws with what is around."""
    crowd = crowd_of(frame, jobs, seen)
    for job, one in zip(jobs, seen, strict=True):
        matrix, size = geometry.crop_matrix(job.face, one.outline)
        yield job, _crops(frame, [(job.face, one, matrix)], size, crowd)


def crop_of(frame: Frame, face: Face, *, mask_scale: float, hulls: Hulls = eggs) -> Crops:
    """Return the crop of one face, a batch of one, as ``hide`` hands it to a method."""
    (seen,) = hulls(frame, [face], mask_scale)
    matrix, size = geometry.crop_matrix(face, seen.outline)
    return _crops(frame, [(face, seen, matrix)], size)


def _is_kept(crops: Crops, pixels: Floats, row: int) -> bool:
    """Whether a crop came back almost as it was: hardly another level anywhere, or the same pattern."""
    inner = crops.masks[row] >= 1
    if not inner.any():
        return False
    old = crops.pixels[row][inner]
    difference = pixels[row][inner] - old
    contrast = float(old.std(axis=0).mean())
    change = float(np.abs(difference).mean())
    little = change < UNCHANGED and change < 0.5 * contrast
    return little or float(difference.std(axis=0).mean()) < ALIKE * contrast


def _crops(
    frame: Frame, members: Sequence[tuple[Face, Seen, Floats]], size: int, crowd: Crowd | None = None
) -> Crops:
    """Return the crops of faces. crowd: other faces, which are filled outside of each crop's own hull."""
    pixels = np.empty((len(members), size, size, 3), np.float32)
    masks = np.empty((len(members), size, size), np.float32)
    points = np.full((len(members), 5, 2), np.nan, np.float32)
    dense = np.full((len(members), COUNT, 2), np.nan, np.float32)
    scale = np.empty(len(members), np.float32)
    looks = [np.full(LOOKS, np.nan, np.float32) if seen.look is None else seen.look for _, seen, _ in members]
    for row, (face, seen, matrix) in enumerate(members):
        corners = geometry.apply(matrix, np.array([[0, 0], [size, 0], [0, size], [size, size]], np.float32))
        region = colour.align(geometry.bounds(corners, 2), frame)
        if region[0] >= region[2] or region[1] >= region[3]:
            region = _nearest(region, frame)
        inside = geometry.shifted(matrix, region[0], region[1])
        pixels[row] = geometry.to_crop(colour.rgb(frame, region), inside, size)
        pixels_per_crop = float(np.hypot(matrix[0, 0], matrix[1, 0]))
        inverse = geometry.inverse(matrix)
        masks[row] = geometry.mask(
            [geometry.apply(inverse, seen.outline)],
            (0, 0, size, size),
            geometry.feather_width(face) / pixels_per_crop,
        )
        if crowd is not None:
            others = crowd.others(seen, inverse, size, pixels_per_crop)
            filled = geometry.to_crop(colour.rgb(crowd.filled, region), inside, size)
            pixels[row] = np.where(((others > 0) & (masks[row] < 1))[..., None], filled, pixels[row])
        scale[row] = face.size / pixels_per_crop
        if seen.dense is not None:
            dense[row] = geometry.apply(inverse, seen.dense)
        # Where no detector looked, as between two looks at a film, the five are those of the others.
        if face.points is not None:
            points[row] = geometry.apply(inverse, face.points)
        elif seen.dense is not None:
            points[row] = five(dense[row])
    return Crops(
        pixels,
        masks,
        np.stack([matrix for _, _, matrix in members]),
        scale,
        points,
        np.full(len(members), frame.index, np.int64),
        dense,
        np.stack(looks) if any(seen.look is not None for _, seen, _ in members) else None,
    )


def _nearest(region: colour.Region, frame: Frame) -> colour.Region:
    """Return the frame's corner nearest to a region that lies wholly outside it."""
    x = min(max(region[0], 0), frame.width - 1)
    y = min(max(region[1], 0), frame.height - 1)
    return colour.align((x, y, x + 1, y + 1), frame)


def region_of(face: Face, outline: Floats, frame: Frame) -> colour.Region:
    """Return the region that a new face may change, in whole pixels and samples of chroma; it may be empty."""
    return colour.align(geometry.bounds(outline, geometry.feather_width(face) + 1), frame)


def _write(frame: Frame, face: Face, outline: Floats, matrix: Floats, pixels: Floats) -> None:
    feather = geometry.feather_width(face)
    region = region_of(face, outline, frame)
    if region[0] >= region[2] or region[1] >= region[3]:
        return
    weight = geometry.mask([outline], region, feather)
    laid = geometry.from_crop(pixels, geometry.shifted(matrix, region[0], region[1]), weight.shape)
    colour.blend(frame, region, laid, weight)
