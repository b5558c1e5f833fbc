"""The appearance model fitted: shapes and textures of the training people, written with its card.

``python -m incog.train.appearance --portraits FILE --data NAME=PATH ... --models FOLDER`` takes shapes from a file of
``incog.train.portraits`` and textures, finer than those, from the pictures that it was made from. It needs no torch.
The same files give the same model.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import Delaunay

from incog import points, shape
from incog.appearance import light, mesh, model, texture
from incog.appearance.light import Light
from incog.appearance.mesh import SHAPE, WIDTH, Mesh
from incog.appearance.model import NAME, Appearance
from incog.data.faces import Split, decode, workers
from incog.data.readers import read as read_sources
from incog.evaluate import quality
from incog.models import Card
from incog.points import COUNT, MIRROR
from incog.shape import PoseFilter
from incog.train.portraits import SIZE, Portraits, read
from incog.types import Bytes, Floats

MODES = 200
SHAPES = 40
PEOPLE = 40
"""Modes of texture, of shape, and of what is the person's in a shape."""

MOST = 8000
"""Faces that textures are learnt from, at most."""

TURNED = 30.0
"""Largest yaw and pitch in degrees of a face that texture is learnt from."""

ODD = 0.25
"""Share of the faces that are left out since the others do not explain them: glasses, hands, hair over the face."""

GAP = 9.0
"""Least height of the open mouth in the frame, px: closed ones have no room for teeth."""

_BATCH = 500

_FLOOR = 1e-8
"""Least variance of a direction of shape, half sides squared: a hundredth of a pixel's standard deviation."""

STEPS = 80.0
"""Textures are kept in 8 bits, so many steps for the skin's tone."""


TERMS = {
    "lfw": "Labeled Faces in the Wild: research",
    "utkface": "UTKFace: non-commercial research",
    "synthetic": "generated faces, licence unclear: training only",
}
LIMITS = [
    "A linear model: what is rare in its data, such as glasses, beards, moles and wrinkles, is hardly drawn.",
    "Faces turned further than 30 degrees were left out; beyond 35 no face is read.",
    "The textures come from pictures of 150 to 288 px: larger faces are as sharp as the added grain makes them.",
    "Mostly adults from public photos, most of them labelled white; darker skin is drawn from fewer examples.",
    "Ears and hair are not modelled.",
]


def frame(shapes: Floats) -> Mesh:
    """Return the mesh round the mean of shapes (N, 130, 2) in half sides, its mouth opened."""
    mean = (shapes.mean(0) + shapes.mean(0)[MIRROR, :] * np.array([-1, 1])) / 2
    outline = mean[points.OUTLINE]
    zoom = (WIDTH - 1) / np.ptp(outline[:, 0])
    middle = (outline.min(0) + outline.max(0)) / 2
    dense = (mean - middle) * zoom + (np.array(SHAPE[::-1]) - 1) / 2
    inner = points.INNER_LIPS.start
    upper, lower = inner + np.array([1, 2, 3]), inner + np.array([7, 6, 5])
    wanting = np.maximum(GAP - (dense[lower, 1] - dense[upper, 1]), 0)
    outer = points.OUTER_LIPS.start
    for rows, share, sign in ((upper, 0.5, -1), (lower, 0.5, 1)):
        dense[rows, 1] += sign * share * wanting
    for rows, sign in ((outer + np.array([1, 2, 3, 4, 5]), -1), (outer + np.array([11, 10, 9, 8, 7]), 1)):
        dense[rows, 1] += sign * np.interp(np.arange(5), [0, 1, 2, 3, 4], wanting[[0, 0, 1, 2, 2]]) / 2
    corners = mesh.vertices(dense.astype(np.float32))
    triangles = Delaunay(corners.astype(np.float64)).simplices.astype(np.int32)
    ring = (triangles >= mesh.VERTICES - 36).any(1)
    ordered = np.concatenate([triangles[ring], triangles[~ring]])
    return mesh.make(corners, np.ascontiguousarray(ordered))


@dataclass(frozen=True, slots=True, eq=False)
class Textures:
    """What was taken of faces. rows: of the portraits. values: (N, L) uint8, see ``STEPS``. shown: (N, F) bool, where
    pictures reach, of the full-size part. lights: (N, TERMS, 3)."""

    rows: npt.NDArray[np.int64]
    values: Bytes
    shown: npt.NDArray[np.bool_]
    lights: Floats


def take(
    portraits: Portraits, rows: npt.NDArray[np.int64], sources: Mapping[str, Path], own: Mesh, fit: Light
) -> Textures:
    """Return the textures of portraits, taken from the pictures of ``sources``."""
    grid = texture.grid(own)
    of = {(portraits.sources[row], portraits.names[row]): number for number, row in enumerate(rows)}
    values = np.empty((len(rows), grid.length), np.uint8)
    shown = np.zeros((len(rows), len(grid.full)), np.bool_)
    lights = np.zeros((len(rows), light.TERMS, 3), np.float32)
    done = np.zeros(len(rows), np.bool_)

    def one(pair: Any) -> None:
        source, sample = pair
        number = of[source, sample.name]
        row = rows[number]
        image = decode(sample.read(), sample.name)
        height, width = image.shape[:2]
        ends = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1]], np.float32)
        back = cv2.getAffineTransform(portraits.corners[row][:3], ends)
        dense = portraits.dense[row] @ back[:, :2].T + back[:, 2]
        corners = mesh.vertices(dense.astype(np.float32))
        face = texture.taken(image.astype(np.float32) / np.float32(255), corners, own)
        seen = reached(corners, own, width, height)
        lights[number], _ = fit(face, seen)
        vector = texture.encode(face, lights[number], grid)
        values[number, : len(grid.full)] = np.clip(np.rint(vector[: len(grid.full)] * STEPS), 0, 255)
        values[number, len(grid.full) :] = np.clip(np.rint(vector[len(grid.full) :] * STEPS) + 128, 0, 255)
        shown[number] = seen.ravel()[grid.full] > 0.5
        done[number] = True

    wanted = (pair for pair in read_sources(sources) if (pair[0], pair[1].name) in of)
    with ThreadPoolExecutor(workers()) as pool:
        for _ in pool.map(one, wanted):
            pass
    kept = np.flatnonzero(done)
    return Textures(rows[kept], values[kept], shown[kept], lights[kept])


def reached(corners: Floats, own: Mesh, width: int, height: int) -> Floats:
    """Return where a picture of a size reaches in the frame, (H, W) float32, 0 or 1. corners: of the face's mesh."""
    places = own.places(corners)
    seen = np.zeros(SHAPE, np.float32)
    seen.ravel()[own.pixels] = ((places >= -0.5) & (places <= np.array([width, height]) - 0.5)).all(1)
    return seen


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """The principal components of textures. mean: (L,). modes: (K, L), orthonormal. kept: (M,), rows of those that were
    not odd. codes: (M, K), their coordinates."""

    mean: Floats
    modes: Floats
    kept: npt.NDArray[np.int64]
    codes: Floats


def components(found: Textures, count: int, *, rounds: int = 3, seed: int = 0) -> Parts:
    """Return the first components of textures.

    Randomised subspace iteration (Halko, Martinsson, Tropp 2011); what pictures do not show is what the modes so far
    say. After all rounds the faces that the modes explain worst are left out.
    """
    full = found.shown.shape[1]
    kept = np.arange(len(found.values))
    mean = _mean(found)
    generator = np.random.default_rng(seed)
    start, _ = np.linalg.qr(generator.normal(size=(len(mean), count + 20)))
    modes = np.ascontiguousarray(start.T, np.float32)
    for turn in range(rounds + 2):
        total = np.zeros_like(modes)
        errors = np.zeros(len(kept))
        codes = np.zeros((len(kept), len(modes)), np.float32)
        for start_row in range(0, len(kept), _BATCH):
            some = slice(start_row, start_row + _BATCH)
            rows = kept[some]
            part = _floats(found.values[rows], full) - mean
            shown = found.shown[rows]
            part[:, :full] *= shown
            own = part @ modes.T
            # The first modes are random, the second from what is shown alone: neither says what is not shown.
            for _ in range(3 if turn > 1 else 0):
                part[:, :full] = np.where(shown, part[:, :full], (own @ modes)[:, :full])
                own = part @ modes.T
            errors[some] = np.square(part - own @ modes).mean(1)
            codes[some] = own
            total += own.T @ part
        if turn == rounds + 1:
            break
        if turn == rounds:
            # The modes are those of all, the means and variances of those that are not odd.
            kept = np.sort(kept[np.argsort(errors)[: round(len(kept) * (1 - ODD))]])
        basis, _ = np.linalg.qr(total.T.astype(np.float64))
        modes = np.ascontiguousarray(basis.T, np.float32)
    centre = codes.mean(0)
    values, turned = np.linalg.eigh(np.cov(codes.T.astype(np.float64)))
    best = turned[:, np.argsort(values)[::-1][:count]].astype(np.float32)
    return Parts(mean + centre @ modes, np.ascontiguousarray(best.T @ modes), kept, (codes - centre) @ best)


def _mean(found: Textures) -> Floats:
    """Return the mean texture (L,) of what pictures show."""
    full = found.shown.shape[1]
    total = np.zeros(found.values.shape[1])
    for start in range(0, len(found.values), _BATCH):
        part = _floats(found.values[start : start + _BATCH], full)
        part[:, :full] *= found.shown[start : start + _BATCH]
        total += part.sum(0, dtype=np.float64)
    total[:full] /= np.maximum(found.shown.sum(0), 1)
    total[full:] /= len(found.values)
    return total.astype(np.float32)


def _floats(values: Bytes, full: int) -> Floats:
    part = values.astype(np.float32)
    part[:, full:] -= 128
    part /= np.float32(STEPS)
    return part


def chosen(portraits: Portraits, split: Split, most: int) -> npt.NDArray[np.int64]:
    """Return rows of a split turned to the camera, in turn from each source, smallest sources first."""
    of: dict[str, list[int]] = {}
    for row in portraits.rows(split):
        if np.abs(portraits.pose[row, :2]).max() <= TURNED:
            of.setdefault(portraits.sources[row], []).append(int(row))
    found: list[int] = []
    for number, some in enumerate(sorted(of.values(), key=len)):
        share = (most - len(found)) // (len(of) - number)
        found += [some[int(place)] for place in np.linspace(0, len(some) - 1, min(share, len(some)))]
    return np.array(sorted(set(found)), np.int64)


def shape_space(shapes: Floats, count: int) -> tuple[Floats, Floats, Floats]:
    """Return mean (260,), modes (count, 260) and standard deviations (count,) of shapes and their mirror images."""
    both = np.concatenate([shapes, shapes[:, MIRROR] * np.array([-1, 1], np.float32)]).reshape(-1, 2 * COUNT)
    mean = both.mean(0)
    values, vectors = np.linalg.eigh(np.cov((both - mean).T.astype(np.float64)))
    best = np.argsort(values)[::-1][:count]
    return (
        mean.astype(np.float32), np.ascontiguousarray(vectors[:, best].T, np.float32),
        np.sqrt(np.maximum(values[best], _FLOOR)).astype(np.float32),
    )  # fmt: skip


def fit(
    portraits: Portraits, sources: Mapping[str, Path], keep: PoseFilter, *, most: int = MOST
) -> Appearance:
    """Return the model of the training people. keep: what of a shape is not the person's."""
    shapes = shape.halves(portraits.dense, SIZE)
    rows = portraits.rows("train")
    front = rows[np.abs(portraits.pose[rows, :2]).max(1) <= 1.3 * TURNED]
    own = frame(shapes[front])
    mean, modes, spread = shape_space(shapes[front], SHAPES)
    _, person, extent = shape_space(shapes[front] - keep(shapes[front]), PEOPLE)
    apart = (shapes[front] - keep(shapes[front])).reshape(len(front), -1)
    coordinates = (apart - apart.mean(0)) @ (person / extent[:, None]).T
    looks = model.looked(portraits.attributes[front])
    person_expected = _regression(looks, coordinates)
    person_left = (coordinates - looks @ person_expected[:-1] - person_expected[-1]).std(0)
    turn = _regression((shapes[front].reshape(len(front), -1) - mean) @ modes.T, portraits.pose[front, :1])
    found = take(portraits, chosen(portraits, "train", most), sources, own, light.make(own))
    parts = components(found, min(MODES, len(found.rows) // 2))
    told = np.stack(
        [
            model.told((shapes[row].ravel() - mean) @ modes.T / spread, own_light, portraits.attributes[row])
            for row, own_light in zip(found.rows[parts.kept], found.lights[parts.kept], strict=True)
        ]
    )
    expected = _regression(told, parts.codes)
    left = np.cov((parts.codes - told @ expected[:-1] - expected[-1]).T)
    values, vectors = np.linalg.eigh(left)
    scale = np.abs(parts.modes).max(1) / 127
    return Appearance(
        corners=own.corners,
        triangles=own.triangles,
        shape_mean=mean,
        shape_modes=modes,
        shape_spread=spread,
        person_modes=person * extent[:, None],
        person_expected=np.ascontiguousarray(person_expected.T),
        person_rest=person_left.astype(np.float32),
        texture_mean=parts.mean,
        texture_modes=np.rint(parts.modes / scale[:, None]).astype(np.int8),
        texture_scale=scale.astype(np.float32),
        expected=np.ascontiguousarray(expected.T),
        rest=(vectors * np.sqrt(np.maximum(values, 0))).astype(np.float32),
        turn=turn.ravel(),
    )


def _regression(told: Any, goal: Any) -> Floats:
    """Return the matrix, its last row for a constant, that carries rows of ``told`` nearest to those of ``goal``."""
    whole = np.concatenate([told, np.ones((len(told), 1))], axis=1).astype(np.float64)
    inner = whole.T @ whole
    sizes = np.diag(inner)[:-1]
    # Columns that hardly vary get no large weights either.
    ridge = 1e-3 * np.diag(np.append(sizes + 1e-3 * sizes.max() + 1e-6, 0))
    return np.linalg.solve(inner + ridge, whole.T @ goal).astype(np.float32)


def measured(
    own: Appearance, portraits: Portraits, sources: Mapping[str, Path], most: int = 600
) -> dict[str, float]:
    """Return how near the model comes to faces of held-out people, by number of modes.

    Of the face's inner part in the model's frame, lit again: PSNR in dB and DSSIM, (1 - SSIM) / 2, in the box round
    it. With the share of texture that shape, light and look let expect, and the mean error of the yaw.
    """
    rows = chosen(portraits, "test", most)
    found = take(portraits, rows, sources, own.mesh, own.light)
    inner, _ = own.parts(1)
    box = tuple(slice(int(some.min()), int(some.max()) + 1) for some in np.nonzero(inner))
    full = len(own.grid.full)
    counts = [count for count in (10, 25, 50, 100, len(own.texture_scale)) if count <= len(own.texture_scale)]
    errors: dict[int, list[tuple[float, float]]] = {count: [] for count in counts}
    apart, whole = [], []
    shapes = own.shape_of(shape.halves(portraits.dense[found.rows], SIZE))
    looks = portraits.attributes[found.rows]
    for values, shown, lights, place, look in zip(
        found.values, found.shown, found.lights, shapes, looks, strict=True
    ):
        if shown.mean() < 0.95:
            continue
        vector = _floats(values[None], full)[0]
        codes = own.texture_of(vector)
        lit = texture.lit(lights)
        goal = np.clip(texture.decode(vector, own.grid) * lit, 0, 1)
        for count in counts:
            made = np.clip(texture.decode(own.vector_of(codes[:count]), own.grid) * lit, 0, 1)
            wrong = float(np.square(made - goal)[inner].mean())
            one, other = (np.rint(np.where(inner[..., None], face, 0) * 255) for face in (made, goal))
            unlike = quality.dssim(one[box].astype(np.uint8), other[box].astype(np.uint8))
            errors[count].append((-10 * np.log10(max(wrong, 1e-9)), unlike))
        apart.append(codes - own.expected @ np.append(own.tell(place, lights, look), np.float32(1)))
        whole.append(codes)
    told = {"test_faces": float(len(whole))}
    for count, pairs in errors.items():
        psnr, dssim = np.mean(pairs, axis=0)
        told |= {f"psnr_with_{count}_modes": round(psnr, 2), f"dssim_with_{count}_modes": round(dssim, 4)}
    ratio = float(np.var(apart, axis=0).sum() / np.var(whole, axis=0).sum())
    yaw = [
        abs(own.yaw(place) - portraits.pose[row, 0]) for row, place in zip(found.rows, shapes, strict=True)
    ]
    return told | {
        "texture_told_by_shape_light_and_look": round(1 - ratio, 3),
        "yaw_error": round(float(np.mean(yaw)), 2),
    }


def train(
    portraits: Portraits, sources: Mapping[str, Path], keep: PoseFilter, *, most: int = MOST
) -> tuple[bytes, Card]:
    """Return the file of the model and its card."""
    began = time.monotonic()
    data = fit(portraits, sources, keep, most=most).pack()
    own = model.unpack(data)
    of = Counter(portraits.sources[row] for row in chosen(portraits, "train", most))
    card = Card(
        name=NAME,
        about="Appearance model: the shape and the shape-normalised texture of faces, and how one follows the other.",
        file=f"{NAME}.npz",
        sha256=hashlib.sha256(data).hexdigest(),
        layout="130 points in half sides of a crop of the template outline; R'G'B' 0..1 on a mesh over them",
        outputs=f"{len(own.shape_modes)} coordinates of shape, {len(own.texture_scale)} of texture",
        parameters=int(sum(getattr(own, name).size for name in Appearance.__dataclass_fields__)),
        multiply_adds=own.texture_modes.size,
        data=dict(of),
        terms={name: text for name, text in TERMS.items() if name in of},
        recipe="src/incog/train/appearance.py",
        seconds=round(time.monotonic() - began),
        images=sum(of.values()),
        hardware=platform.processor() or platform.machine(),
        measured=measured(own, portraits, sources),
        export_difference=float(f"{_quantised(own):.2g}"),
        limits=LIMITS,
    )
    return data, card


def _quantised(own: Appearance) -> float:
    """Return how far the modes as they are kept are from orthonormal."""
    modes = own.texture_modes.astype(np.float32) * own.texture_scale[:, None]
    return float(np.abs(modes @ modes.T - np.eye(len(modes))).max())


def main(arguments: list[str] | None = None) -> None:
    """The command line: see the module."""
    parser = argparse.ArgumentParser(prog="python -m incog.train.appearance", description=__doc__)
    parser.add_argument("--portraits", type=Path, required=True)
    parser.add_argument("--data", action="append", required=True, metavar="NAME=PATH")
    parser.add_argument("--models", type=Path, required=True)
    given: Any = parser.parse_args(arguments)
    pairs = [item.partition("=") for item in given.data]
    sources = {name: Path(path) for name, _, path in pairs}
    data, card = train(read(given.portraits), sources, shape.load())
    (given.models / card.file).write_bytes(data)
    text = json.dumps(asdict(card), indent=2, ensure_ascii=False) + "\n"
    (given.models / f"{card.name}.card.json").write_text(text, "utf-8")
    print(f"{card.file}: {len(data)} bytes, {card.measured}")


if __name__ == "__main__":
    main()
