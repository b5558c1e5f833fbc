"""Teachers: what other networks know of pictures, written down as labels.

``python -m incog.train.teachers mesh --data NAME=ZIP ... --out FILE.npz`` lays MediaPipe's face mesh over every face.
``python -m incog.train.teachers clip --data NAME=VIDEO --faces FACES.npz --out FILE.npz`` does so in frames of a video,
at the rows ``frame`` and ``five`` (5, 2) of FACES, once per face as the mesh is used alone, without averaging views.
It needs mediapipe 0.10.21, the last release that brings the networks: ``pip install --no-deps mediapipe==0.10.21`` with
protobuf 4, absl-py, attrs, flatbuffers and matplotlib, best in an environment of its own.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from incog import points as dense
from incog.alignment import similarity
from incog.data.faces import ARCFACE, Sample, decode
from incog.data.readers import read
from incog.errors import ModelError
from incog.types import Array, Bytes, Floats

INSTALL = "pip install --no-deps mediapipe==0.10.21"

SIDE = 256
"""Of the square that the mesh is looked for in, in pixels; the network itself takes 192."""

WORST_SPREAD = 0.04
"""Mean distance of a point's views from their mean, as a share of the face's scale, at which the quality is 0: 99.5 %
of the faces are below 0.03."""

WORST_DISTANCE = 0.25
"""The same for the mean distance between the mesh's five points and the given ones."""


@dataclass(frozen=True, slots=True)
class View:
    """How a face is shown to the teacher: zoom of the ArcFace template, turn in degrees, shift in pixels, mirrored."""

    zoom: float
    turn: float
    x: float
    y: float
    mirrored: bool


VIEWS = (
    View(1.7, 0, 0, 0, False),
    View(1.55, 5, 3, -2, False),
    View(1.6, -5, -3, 2, True),
    View(1.7, 0, 0, 0, True),
)
"""The teacher's own noise falls by averaging, and how far its answers lie apart says where it is unsure."""

Mesh = Callable[[Bytes], Floats | None]
"""RGB picture -> (478, 3) float32: x, y in pixels of the picture (centres at integers), z in the same unit, less is
nearer. None without a face."""


def mediapipe_mesh() -> Mesh:
    """Return MediaPipe's face mesh with irises (Grishchenko et al. 2020). Raises ModelError without it."""
    try:
        FaceMesh = import_module("mediapipe.python.solutions.face_mesh").FaceMesh
    except ImportError as error:
        raise ModelError(f"MediaPipe cannot be loaded: {error}", hint=f"run: {INSTALL}") from error
    network: Any = FaceMesh(
        static_image_mode=True, refine_landmarks=True, max_num_faces=1, min_detection_confidence=0.3
    )

    def look(rgb: Bytes) -> Floats | None:
        found = network.process(rgb).multi_face_landmarks
        if not found:
            return None
        height, width = rgb.shape[:2]
        rows = np.array([[point.x, point.y, point.z] for point in found[0].landmark], np.float32)
        scaled = rows * [width, height, width] - [0.5, 0.5, 0]
        return np.asarray(scaled, np.float32)

    return look


def seen(mesh: Mesh, image: Bytes, five: Floats, view: View) -> Floats | None:
    """Return the dense points that the mesh gives for one view, (130, 3) float32 in pixels of ``image``."""
    angle = np.deg2rad(view.turn)
    turn = view.zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    goal = (ARCFACE - ARCFACE.mean(0)) @ turn.T + [SIDE / 2 + view.x, SIDE / 2 + 5 + view.y]
    matrix = similarity(five, goal.astype(np.float32))
    canvas = cv2.warpAffine(
        image, matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    if view.mirrored:
        canvas = np.ascontiguousarray(canvas[:, ::-1])
    found = mesh(np.asarray(canvas, np.uint8))
    if found is None:
        return None
    found = found[list(dense.MESH)]
    if view.mirrored:
        found = (found * [-1, 1, 1] + [SIDE - 1, 0, 0])[list(dense.MIRROR)].astype(np.float32)
    back = np.asarray(cv2.invertAffineTransform(matrix), np.float32)
    flat = found[:, :2] @ back[:, :2].T + back[:, 2]
    return np.column_stack([flat, found[:, 2] * np.hypot(back[0, 0], back[1, 0])]).astype(np.float32)


def labelled(mesh: Mesh, image: Bytes, five: Floats | None) -> tuple[Floats, float] | None:
    """Return the mean of all views, (130, 3) float32, and its quality in 0..1; None where a view shows no face.

    five: (5, 2) px, or None to let the mesh search the whole picture.
    """
    given = five
    if five is None:
        first = mesh(image)
        if first is None:
            return None
        five = dense.five(first[list(dense.MESH), :2])
    views = [seen(mesh, image, five, view) for view in VIEWS]
    found = (
        np.stack([view for view in views if view is not None]) if all(v is not None for v in views) else None
    )
    if found is None:
        return None
    mean = found.mean(0)
    size = max(float(dense.scale(mean[:, :2])), 1e-6)
    spread = float(np.linalg.norm((found - mean)[..., :2], axis=-1).mean()) / size
    distance = 0.0
    if given is not None:
        distance = float(np.linalg.norm(dense.five(mean[:, :2]) - given, axis=1).mean()) / size
    return mean, max(0.0, 1 - max(spread / WORST_SPREAD, distance / WORST_DISTANCE))


def rotations(shape: Floats, faces: Floats) -> Floats:
    """Return the (N, 3, 3) rotations that turn ``shape`` (P, 3) nearest to ``faces`` (N, P, 3) each (Kabsch 1976)."""
    moved = faces - faces.mean(1, keepdims=True)
    u, _, vt = np.linalg.svd(np.einsum("npi,pj->nij", moved, shape))
    # A reflection would fit mirrored noise better than any turn does.
    u[:, :, 2] *= np.linalg.det(u @ vt)[:, None]
    return np.asarray(u @ vt, np.float32)


def mean_shape(faces: Floats, *, rounds: int = 5) -> Floats:
    """Return the frontal mean of dense points (N, 130, 3): symmetric, of unit size, (130, 3) float32.

    x runs along the line of the eyes and y from the middle of the hairline to the chin, which is what pitch 0 means.
    """
    sizes = np.sqrt(np.square(faces - faces.mean(1, keepdims=True)).sum(2).mean(1))
    faces = (faces - faces.mean(1, keepdims=True)) / sizes[:, None, None]
    mean = faces[0]
    for _ in range(rounds):
        mean = np.median(np.einsum("npi,nij->npj", faces, rotations(mean, faces)), axis=0)
        mean = _upright(mean)
        mean = (mean + mean[list(dense.MIRROR)] * [-1, 1, 1]) / 2
        mean /= np.sqrt(np.square(mean).sum(1).mean())
    return np.asarray(mean, np.float32)


def _upright(shape: Floats) -> Floats:
    """Return the shape turned so that the irises lie along x, and hairline and chin in the plane of x and y."""
    shape = shape - shape.mean(0)
    x = shape[dense.LEFT_IRIS.start] - shape[dense.RIGHT_IRIS.start]
    x = x / np.linalg.norm(x)
    y = shape[dense.CHIN] - shape[dense.FOREHEAD]
    y = y - x * (y @ x)
    y = y / np.linalg.norm(y)
    turned = shape @ np.stack([x, y, np.cross(x, y)], axis=1)
    return np.asarray(turned, np.float32)


def angles(turns: Floats) -> Floats:
    """Return (N, 3) yaw, pitch and roll in degrees of rotations (N, 3, 3) = roll about z, yaw about y, pitch about x.

    yaw: above 0 where the face looks to the right of the picture. pitch: above 0 where it looks up. roll: above 0 where
    the head is turned clockwise in the picture.
    """
    yaw = np.arcsin(np.clip(turns[:, 2, 0], -1, 1))
    pitch = np.arctan2(-turns[:, 2, 1], turns[:, 2, 2])
    roll = np.arctan2(turns[:, 1, 0], turns[:, 0, 0])
    return np.asarray(np.degrees(np.stack([yaw, pitch, roll], axis=1)), np.float32)


def mesh_labels(
    samples: Iterable[tuple[str, Sample]], mesh: Mesh, *, tell: Callable[[str], None] = print
) -> dict[str, Array]:
    """Return one row per picture: name, source, points (130, 2) float32 px, pose (yaw, pitch, roll, float32 degrees),
    quality in 0..1 and size (width, height) px. NaN and quality 0 where the mesh saw no face.
    """
    names: list[str] = []
    sources: list[str] = []
    rows: list[Floats] = []
    quality: list[float] = []
    sizes: list[tuple[int, int]] = []
    began = time.monotonic()
    for number, (source, sample) in enumerate(samples):
        image = decode(sample.read(), f"{source}/{sample.name}")
        found = labelled(mesh, image, sample.points)
        names.append(sample.name)
        sources.append(source)
        rows.append(found[0] if found else np.full((dense.COUNT, 3), np.nan, np.float32))
        quality.append(found[1] if found else 0.0)
        sizes.append((image.shape[1], image.shape[0]))
        if number % 1000 == 999:
            tell(f"{number + 1} pictures in {time.monotonic() - began:.0f} s, the last of {source}")
    points = np.stack(rows)
    known = np.nonzero(np.array(quality) > 0)[0]
    pose = np.full((len(rows), 3), np.nan, np.float32)
    if len(known):
        shape = mean_shape(points[known])
        seen_at_all = np.nonzero(~np.isnan(points).any((1, 2)))[0]
        pose[seen_at_all] = angles(rotations(shape, points[seen_at_all]))
    return {
        "name": np.array(names),
        "source": np.array(sources),
        "points": points[..., :2].astype(np.float32),
        "pose": pose,
        "quality": np.array(quality, np.float32),
        "size": np.array(sizes, np.int32),
    }


def clip_points(video: Path, frames: Array, fives: Floats, mesh: Mesh) -> Floats:
    """Return the dense points of faces in frames of a video by one view each, (N, 130, 2) float32, NaN without a mesh.

    frames: (N,) indices. fives: (N, 5, 2) px.
    """
    import av

    found = np.full((len(frames), dense.COUNT, 2), np.nan, np.float32)
    with av.open(str(video)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            for row in np.nonzero(frames == index)[0]:
                picture = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                points = seen(mesh, picture, fives[row], VIEWS[0])
                if points is not None:
                    found[row] = points[:, :2]
    return found


def main(arguments: list[str] | None = None) -> None:
    """Label the sources of the command line; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m incog.train.teachers")
    parser.add_argument("teacher", choices=["mesh", "clip"])
    parser.add_argument("--data", nargs="+", required=True, metavar="NAME=ZIP")
    parser.add_argument("--faces", type=Path, metavar="FACES.npz")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.npz")
    given = parser.parse_args(arguments)
    sources: Mapping[str, Path] = {
        name: Path(path) for name, _, path in (item.partition("=") for item in given.data)
    }
    cv2.setNumThreads(1)
    if given.teacher == "clip":
        if given.faces is None:
            parser.error("clip needs --faces")
        with np.load(given.faces) as rows:
            frames, fives = rows["frame"], rows["five"]
        points = clip_points(next(iter(sources.values())), frames, fives, mediapipe_mesh())
        np.savez_compressed(given.out, points=points)
        return
    labels = mesh_labels(read(sources), mediapipe_mesh())
    np.savez_compressed(given.out, **labels)  # type: ignore[arg-type]
    good = float((labels["quality"].astype(np.float32) > 0).mean())
    print(f"{len(labels['name'])} pictures, {100 * good:.1f} % of them with a good mesh")


if __name__ == "__main__":
    main()
